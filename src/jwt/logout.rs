//! What a logout token says (OpenID Connect Back-Channel Logout 1.0, 2.4). Knows no sessions and no signatures.

use serde_json::{Map, Value};

use super::claims::{text, time};
use super::error::TokenError;
use super::raw::RawToken;

/// Whom a provider signs out, read from the claims of a logout token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutToken {
    /// The token's own name, to know it again by.
    pub id: String,
    /// The person, by the provider's lasting name.
    pub subject: Option<String>,
    /// One session at the provider. One of the two is always there.
    pub sid: Option<String>,
    /// When it was issued, in Unix seconds.
    pub issued_at: u64,
}

/// Who a token says it is from, before anything of it is checked: good to pick whose keys to check it with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnverifiedIssuer(String);

impl LogoutToken {
    /// Reads claims, of which [`super::KeyRing::verify`] has checked by whom, for whom and when.
    ///
    /// # Errors
    /// One [`TokenError`] per rule of the specification's section 2.6 that is broken.
    pub fn read(claims: &Map<String, Value>) -> Result<Self, TokenError> {
        let Value::Object(events) = claims.get("events").ok_or(TokenError::Missing("events"))? else {
            return Err(TokenError::Mistyped("events"));
        };
        if !events.get(EVENT).ok_or(TokenError::Kind("events"))?.is_object() {
            return Err(TokenError::Mistyped(EVENT));
        }
        if claims.contains_key("nonce") {
            return Err(TokenError::Kind("nonce")); // An ID token has it.
        }
        let (subject, sid) = (bounded(claims, "sub")?, bounded(claims, "sid")?);
        if subject.is_none() && sid.is_none() {
            return Err(TokenError::Nobody);
        }
        let id = bounded(claims, "jti")?.ok_or(TokenError::Missing("jti"))?;
        let issued_at = time(claims, "iat")?.ok_or(TokenError::Missing("iat"))? as u64;
        Ok(Self { id, subject, sid, issued_at })
    }
}

impl UnverifiedIssuer {
    /// Reads who `token` says it is from.
    ///
    /// # Errors
    /// [`TokenError`] if it is no token, or names nobody.
    pub fn read(token: &str) -> Result<Self, TokenError> {
        let claims = RawToken::parse(token)?.claims()?;
        Ok(Self(text(&claims, "iss")?.ok_or(TokenError::Missing("iss"))?.to_owned()))
    }

    /// The name, which anybody may have written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is neither empty nor longer than anybody's names are.
fn bounded(claims: &Map<String, Value>, name: &'static str) -> Result<Option<String>, TokenError> {
    match text(claims, name)? {
        Some("") => Err(TokenError::Missing(name)),
        Some(found) if found.len() > LONGEST_NAME => Err(TokenError::LongName(name)),
        found => Ok(found.map(str::to_owned)),
    }
}

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// Bytes of the longest name; session ids of 332 letters are seen.
const LONGEST_NAME: usize = 1024;
