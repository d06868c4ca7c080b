//! Forms sent to a provider in our own name, and its refusals. Knows client authentication, no tokens.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, StatusCode};
use serde::Deserialize;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::document::Document;
use super::error::{ProviderError, Step, is_page};
use super::settings::{ClientAuth, Settings};
use crate::outbound::{Outbound, json};

/// What it takes to send a form in our own name.
pub(super) struct BackChannel<'a> {
    pub(super) settings: &'a Settings,
    pub(super) outbound: &'a Outbound,
    pub(super) document: &'a Document,
}

/// An OAuth error (RFC 6749 5.2).
#[derive(Deserialize)]
struct OAuthError {
    error: String,
    #[serde(default)]
    error_description: Option<String>,
}

impl BackChannel<'_> {
    /// Sends a form and yields the body of a success.
    pub(super) async fn post(
        &self,
        step: Step,
        url: &Url,
        form: &[(&str, &str)],
    ) -> Result<Zeroizing<Vec<u8>>, ProviderError> {
        let tried = self.method();
        let request = self.request(url, form, tried).map_err(|_| ProviderError::Answer {
            step,
            reason: "the request cannot be written, as the client id or secret is unusable",
        })?;
        let answer = self.outbound.fetch(request).await;
        let answer = answer.map_err(|error| ProviderError::of_exchange(step, error))?;
        let (status, is_page) = (answer.status(), is_page(answer.headers()));
        let body = Zeroizing::new(answer.into_body());
        let told: Option<OAuthError> = json::read(&body).ok();
        match (status.is_success(), told) {
            (true, None) if is_page => Err(ProviderError::Page { step, status: status.as_u16() }),
            (true, None) => Ok(body),
            (_, told) => Err(refusal(step, status, told, tried)),
        }
    }

    fn method(&self) -> ClientAuth {
        match self.settings.client_secret {
            Some(_) => self.settings.client_auth.unwrap_or(self.document.client_auth),
            None => ClientAuth::None,
        }
    }

    fn request(
        &self,
        url: &Url,
        form: &[(&str, &str)],
        method: ClientAuth,
    ) -> Result<Request<Vec<u8>>, http::Error> {
        let id = self.settings.client_id.as_str();
        let secret = self.settings.client_secret.as_ref().map_or("", |secret| secret.expose());
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(form);
        let mut request =
            Request::post(url.as_str()).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        match method {
            ClientAuth::Basic => {
                request = request.header(AUTHORIZATION, basic(&encoded(id), &encoded(secret))?)
            }
            ClientAuth::BasicRaw => request = request.header(AUTHORIZATION, basic(id, secret)?),
            ClientAuth::Post => {
                body.append_pair("client_id", id).append_pair("client_secret", secret);
            }
            ClientAuth::None => {
                body.append_pair("client_id", id);
            }
        }
        request.body(body.finish().into_bytes())
    }
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn basic(id: &str, secret: &str) -> Result<HeaderValue, http::Error> {
    let plain = Zeroizing::new(format!("{id}:{secret}"));
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(plain.as_bytes())))?;
    value.set_sensitive(true);
    Ok(value)
}

/// What a refusal means. Codes are compared, never descriptions; a provider that is not well is believed to be
/// that, whatever its body says, as a grant must not be given up for it.
fn refusal(step: Step, status: StatusCode, told: Option<OAuthError>, tried: ClientAuth) -> ProviderError {
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return ProviderError::of_status(step, status);
    }
    let Some(told) = told else {
        return if status == StatusCode::UNAUTHORIZED {
            ProviderError::InvalidClient { step, tried, detail: String::new() }
        } else {
            ProviderError::NotOAuth { step, status: status.as_u16() }
        };
    };
    let detail = tame(&told.error_description.unwrap_or_default());
    match told.error.as_str() {
        "invalid_grant" => ProviderError::InvalidGrant { step, detail },
        // Keycloak calls a wrong secret unauthorized_client.
        "invalid_client" | "unauthorized_client" => ProviderError::InvalidClient { step, tried, detail },
        "server_error" | "temporarily_unavailable" | "slow_down" => {
            ProviderError::Unwell { step, status: status.as_u16() }
        }
        _ if status == StatusCode::UNAUTHORIZED => ProviderError::InvalidClient { step, tried, detail },
        code => ProviderError::Refused { step, code: tame(code), detail },
    }
}

/// A provider's text made fit for a log line.
fn tame(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(200).collect()
}
