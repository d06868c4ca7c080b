//! What the provider is asked about programs: whose an opaque token is, and whether a password is right. Knows not who
//! asks, nor what comes of it.

use serde_json::{Map, Value};

use super::Provider;
use super::error::{ProviderError, Step, no_object};
use super::tokens::Tokens;
use crate::outbound::json;
use crate::secret::Secret;

impl Provider {
    /// The claims of a token, if the provider says that it is active now (RFC 7662 2). They are of its own word and not
    /// checked for whom it is.
    ///
    /// # Errors
    /// Those of discovery and of the exchange, and [`ProviderError::Answer`] if the provider does not offer it.
    pub async fn introspect(
        &self,
        token: &str,
        now: u64,
    ) -> Result<Option<Map<String, Value>>, ProviderError> {
        let step = Step::Introspection;
        let document = self.discovery.document(now).await?;
        let Some(endpoint) = &document.introspection else {
            return Err(ProviderError::Answer { step, reason: "the provider has no such endpoint" });
        };
        let form = [("token", token), ("token_type_hint", "access_token")];
        let body = self.back_channel(&document).post(step, endpoint, &form).await?;
        let claims: Map<String, Value> =
            json::read(&body).map_err(|fault| ProviderError::Answer { step, reason: no_object(&fault) })?;
        match claims.get("active") {
            Some(Value::Bool(active)) => Ok(active.then_some(claims)),
            Some(_) | None => {
                Err(ProviderError::Answer { step, reason: "it does not say whether the token is active" })
            }
        }
    }

    /// The tokens of whoever has this name and this app password, as authentik gives them for client credentials. They
    /// are not verified here.
    ///
    /// # Errors
    /// [`ProviderError::InvalidGrant`], [`ProviderError::InvalidClient`] or [`ProviderError::Refused`] if the two do not
    /// belong together; the others are the provider's or the network's.
    pub async fn redeem_password(
        &self,
        username: &str,
        password: &Secret,
        now: u64,
    ) -> Result<Tokens, ProviderError> {
        let document = self.discovery.document(now).await?;
        let scopes = self.scopes(&document).into_iter().map(|scope| scope.to_string());
        // A refresh token would be of no use to anybody.
        let scopes: Vec<String> = scopes.filter(|scope| scope != "offline_access").collect();
        let scope = format!("openid {}", scopes.join(" "));
        let form = [
            ("grant_type", "client_credentials"),
            ("username", username),
            ("password", password.expose()),
            ("scope", scope.trim_end()),
        ];
        let body = self.back_channel(&document).post(Step::Token, &document.token, &form).await?;
        Tokens::read(&body, now)
    }
}
