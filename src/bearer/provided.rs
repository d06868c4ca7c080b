//! Credentials that only the provider can tell about: opaque tokens and app passwords. Knows no caches and no rules.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::NoPerson;
use super::sources::Source;
use crate::jwt::{self, Expect, Kind, TokenError};
use crate::oidc::{Mapped, Provider, ProviderError};
use crate::secret::Secret;

/// A person, and until when the provider's word for it may count.
pub(super) struct Told {
    pub(super) mapped: Mapped,
    pub(super) until: u64,
}

/// A name and a password (RFC 7617 2).
pub(super) struct Pair {
    pub(super) name: String,
    password: Secret,
}

impl Pair {
    /// Reads them out of what stands behind `Basic`.
    pub(super) fn read(text: &str) -> Option<Self> {
        let plain = Zeroizing::new(STANDARD.decode(text).ok()?);
        let (name, password) = std::str::from_utf8(&plain).ok()?.split_once(':')?;
        let sound =
            |text: &str| !text.is_empty() && !text.contains(char::is_control) && text.len() <= LONGEST;
        (sound(name) && sound(password))
            .then(|| Self { name: name.to_owned(), password: Secret::new(password) })
    }
}

/// Asks whose an opaque token is (RFC 7662).
///
/// # Errors
/// [`NoPerson::Refused`] for a token that is not active, or not an access token for us.
pub(super) async fn introspect(
    source: &Source,
    provider: &Provider,
    token: &str,
    now: u64,
) -> Result<Told, NoPerson> {
    let Some(mut claims) = provider.introspect(token, now).await? else {
        return Err(NoPerson::Refused("the token is not active".to_owned()));
    };
    // A program's own token is about nobody else (RFC 9068 2.2).
    let client = claims
        .get("client_id")
        .filter(|_| !["sub", "username"].iter().any(|name| claims.contains_key(*name)));
    let client = client.cloned();
    claims.extend(client.iter().map(|client| ("sub".to_owned(), client.clone())));
    let issuers = source.rules(now).await?.issuers;
    jwt::check_introspected(&claims, &issuers, source.audiences(), now)?;
    let mut mapped = source.profile(&claims)?;
    if client.is_some() {
        // Whoever registers a client may choose its id: it is no name, and no subject that the provider told.
        mapped.profile.nameless = true;
        mapped.profile.claims.remove("sub");
    }
    Ok(Told { mapped, until: end_of(&claims, now, TOKEN_SECONDS) })
}

/// Asks who has this name and this app password.
///
/// # Errors
/// [`NoPerson::Refused`] if nobody has.
pub(super) async fn log_in(
    source: &Source,
    provider: &Provider,
    pair: &Pair,
    now: u64,
) -> Result<Told, NoPerson> {
    let tokens = match provider.redeem_password(&pair.name, &pair.password, now).await {
        Ok(tokens) => tokens,
        Err(
            error @ (ProviderError::InvalidGrant { .. }
            | ProviderError::InvalidClient { .. }
            | ProviderError::Refused { .. }),
        ) => {
            tracing::info!(user = pair.name, %error, "an app password was refused");
            return Err(NoPerson::Refused(WRONG.to_owned()));
        }
        Err(error) => return Err(error.into()),
    };
    let rules = provider.keys_and_rules(now).await?;
    let access_token = Some(tokens.access_token.expose());
    let expect = Expect {
        jwks_uri: &rules.jwks_uri,
        issuers: &rules.issuers,
        audience: &rules.client_id,
        algorithms: &rules.algorithms,
        secret: rules.secret.as_ref(),
        // No browser, so no nonce.
        kind: Kind::Id { nonce: None, access_token, code: None },
    };
    let claims = source.keys.verify(tokens.id_token.expose(), &expect, now).await.map_err(|error| {
        // Not the client's fault: it has shown a password, and no token.
        tracing::warn!(%error, "the ID token for an app password is not what it should be");
        NoPerson::Unavailable
    })?;
    Ok(Told { mapped: source.profile(&claims)?, until: end_of(&claims, now, PASSWORD_SECONDS) })
}

/// When a verdict ends: after so many seconds, or with the token.
fn end_of(claims: &Map<String, Value>, now: u64, longest: u64) -> u64 {
    let longest = now.saturating_add(longest);
    if claims.contains_key("exp") { longest.min(jwt::good_until(claims)) } else { longest }
}

impl From<TokenError> for NoPerson {
    fn from(error: TokenError) -> Self {
        if let TokenError::NoKeys(error) = &error {
            tracing::warn!(%error, "a token cannot be checked");
            return Self::Unavailable;
        }
        Self::Refused(error.reason())
    }
}

/// How long the provider's word for a token counts, and for a password.
const TOKEN_SECONDS: u64 = 60;
const PASSWORD_SECONDS: u64 = 300;
/// Bytes of the longest name or password that is passed on.
const LONGEST: usize = 1024;
const WRONG: &str = "user name and password do not belong together";
