//! A token taken apart, before anything in it is believed. Knows JSON and base64, no keys and no rules.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::Kind;
use super::error::TokenError;
use crate::outbound::json::{self, Fault};

/// A token whose header is read and whose claims are not yet.
pub(super) struct RawToken<'a> {
    /// The header's `alg`, as written.
    pub(super) algorithm: String,
    /// The header's `typ`.
    kind: Option<String>,
    /// The header's `kid`.
    pub(super) key_id: Option<String>,
    /// What is signed.
    pub(super) message: &'a str,
    /// The signature in base64url.
    pub(super) signature: &'a str,
    payload: &'a str,
}

impl<'a> RawToken<'a> {
    /// Takes a JWS in compact form apart (RFC 7515 7.1).
    pub(super) fn parse(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > LIMIT_BYTES {
            return Err(TokenError::TooLong);
        }
        let parts: Vec<&str> = token.splitn(6, '.').collect();
        let (header, payload, signature) = match parts[..] {
            [header, payload, signature] => (header, payload, signature),
            [_, _, _, _, _] => return Err(TokenError::Encrypted),
            _ => return Err(TokenError::Malformed("not three parts")),
        };
        let message = &token[..header.len() + 1 + payload.len()];
        let header = object(header, "the header is not a JSON object in base64url")?;
        let (kind, algorithm, key_id) = read_header(&header)?;
        Ok(Self { kind, algorithm, key_id, message, signature, payload })
    }

    /// Refuses a token whose header says that it is of a special kind (RFC 8725 3.11): `at+jwt`, `dpop+jwt` and their
    /// like, `logout+jwt` and `at+jwt` but where such a token is due. Any of them may go without.
    pub(super) fn check_type(&self, expected: Kind<'_>) -> Result<(), TokenError> {
        let (Some(kind), Some(name)) = (&self.kind, self.type_name()) else { return Ok(()) };
        let fits = match expected {
            Kind::Id { .. } | Kind::Userinfo { .. } => !name.ends_with("+jwt"),
            Kind::Logout => name == "logout+jwt" || name == "jwt",
            Kind::Access { .. } => name == ACCESS || name == "jwt",
        };
        if fits { Ok(()) } else { Err(TokenError::Type(kind.clone())) }
    }

    /// Whether the header says that it is an access token (RFC 9068 2.1).
    pub(super) fn is_named_access(&self) -> bool {
        self.type_name().as_deref() == Some(ACCESS)
    }

    /// The header's `typ`, whose prefix may be left out (RFC 7515 4.1.9), in small letters.
    fn type_name(&self) -> Option<String> {
        let lower = self.kind.as_ref()?.to_ascii_lowercase();
        Some(lower.strip_prefix("application/").map_or_else(|| lower.clone(), str::to_owned))
    }

    /// The claims; nothing of them counts before the signature is checked.
    pub(super) fn claims(&self) -> Result<Map<String, Value>, TokenError> {
        object(self.payload, "the claims are not a JSON object in base64url")
    }
}

/// `typ`, `alg` and `kid`.
fn read_header(header: &Map<String, Value>) -> Result<(Option<String>, String, Option<String>), TokenError> {
    if header.contains_key("enc") {
        return Err(TokenError::Encrypted);
    }
    // What `b64` changes is what is signed; it must be critical (RFC 7797 6), and a reader that skips it reads another token.
    if header.contains_key("crit") || header.contains_key("b64") {
        return Err(TokenError::Critical);
    }
    let kind = match header.get("typ") {
        None => None,
        Some(Value::String(kind)) => Some(kind.clone()),
        Some(_) => return Err(TokenError::Malformed("typ is not a text")),
    };
    let Some(Value::String(algorithm)) = header.get("alg") else {
        return Err(TokenError::Malformed("alg is not a text"));
    };
    let key_id = match header.get("kid") {
        None => None,
        Some(Value::String(id)) => Some(id.clone()),
        Some(_) => return Err(TokenError::Malformed("kid is not a text")),
    };
    Ok((kind, algorithm.clone(), key_id))
}

fn object(part: &str, fault: &'static str) -> Result<Map<String, Value>, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed(fault))?;
    json::read(&bytes).map_err(|error| match error {
        Fault::Repeated => TokenError::Duplicate,
        Fault::Unreadable(_) => TokenError::Malformed(fault),
    })
}

/// The `typ` of access tokens.
const ACCESS: &str = "at+jwt";
const LIMIT_BYTES: usize = 64 * 1024;
