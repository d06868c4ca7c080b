//! What a provider tells of a person when asked. Knows the answer's form, not what the claims mean.

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use serde_json::{Map, Value};
use url::Url;

use super::error::{ProviderError, Step, is_page, no_object};
use crate::outbound::{Outbound, json};
use crate::secret::Secret;

/// An answer of the userinfo endpoint.
#[derive(Clone, Debug, PartialEq)]
pub enum Userinfo {
    /// Claims about the subject asked for.
    Claims(Map<String, Value>),
    /// A signed answer (Core 5.3.2): worth nothing until it is verified, for the same subject.
    Signed(String),
}

/// Asks for the claims about `subject`.
pub(super) async fn ask(
    outbound: &Outbound,
    endpoint: &Url,
    access_token: &Secret,
    subject: &str,
) -> Result<Userinfo, ProviderError> {
    let step = Step::Userinfo;
    let unusable = |reason| ProviderError::Answer { step, reason };
    let mut bearer = HeaderValue::from_str(&format!("Bearer {}", access_token.expose()))
        .map_err(|_| unusable("the access token cannot be sent in a header"))?;
    bearer.set_sensitive(true);
    let request = Request::get(endpoint.as_str())
        .header(AUTHORIZATION, bearer)
        .body(Vec::new())
        .map_err(|_| unusable("the endpoint is no address"))?;
    let answer = outbound.fetch(request).await;
    let answer = answer.map_err(|error| ProviderError::of_exchange(step, error))?;
    match answer.status() {
        status @ StatusCode::OK if is_page(answer.headers()) => {
            Err(ProviderError::Page { step, status: status.as_u16() })
        }
        StatusCode::OK => read(answer, subject),
        // RFC 6750 3.1 says 401; others are seen. 431 is for a token that holds too many claims.
        status @ (StatusCode::UNAUTHORIZED
        | StatusCode::BAD_REQUEST
        | StatusCode::FORBIDDEN
        | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE) => {
            Err(ProviderError::TokenRejected { status: status.as_u16() })
        }
        status => Err(ProviderError::of_status(step, status)),
    }
}

fn read(answer: Response<Vec<u8>>, subject: &str) -> Result<Userinfo, ProviderError> {
    let unusable = |reason| ProviderError::Answer { step: Step::Userinfo, reason };
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/jwt") {
        let token = String::from_utf8(answer.into_body()).map_err(|_| unusable("it is no JWT"))?;
        return Ok(Userinfo::Signed(token.trim().to_owned()));
    }
    let claims: Map<String, Value> =
        json::read(answer.body()).map_err(|fault| unusable(no_object(&fault)))?;
    match claims.get("sub") {
        Some(Value::String(found)) if found == subject => Ok(Userinfo::Claims(claims)),
        Some(_) => Err(ProviderError::Subject),
        None => Err(unusable("it has no sub")),
    }
}
