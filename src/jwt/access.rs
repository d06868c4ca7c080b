//! What an access token must say (RFC 9068, RFC 6750). Knows no keys, no people and no rules.

use serde_json::{Map, Value};

use super::claims::{self, Claims};
use super::error::TokenError;
use super::raw::RawToken;
use super::{Expect, Mark};

/// An access token taken apart, nothing of which is believed yet.
pub struct UnverifiedAccess<'t> {
    pub(super) raw: RawToken<'t>,
    pub(super) claims: Map<String, Value>,
    issuer: String,
}

impl<'t> UnverifiedAccess<'t> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// [`TokenError`] if it is no signed token of at most 16 KiB, or names no issuer.
    pub fn read(token: &'t str) -> Result<Self, TokenError> {
        if token.len() > LONGEST_BYTES {
            return Err(TokenError::TooLong);
        }
        let raw = RawToken::parse(token)?;
        let claims = raw.claims()?;
        let issuer = claims::text(&claims, "iss")?.ok_or(TokenError::Missing("iss"))?.to_owned();
        Ok(Self { raw, claims, issuer })
    }

    /// Who it says it is from: good to pick whose keys to check it with, as anybody may have written it.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }
}

/// The first Unix second at which a token with these verified claims counts no more, the leeway for clocks included.
pub fn good_until(claims: &Map<String, Value>) -> u64 {
    let expires = claims.get("exp").and_then(Value::as_f64).unwrap_or_default();
    (expires + claims::LEEWAY_SECONDS).ceil() as u64
}

/// Checks what an issuer says of an opaque token (RFC 7662 2.2): that it is an access token, for one of our `audiences`, and
/// in time. Who says it is known, so that `iss` may be missing, as may `exp`.
///
/// # Errors
/// [`TokenError`], as for a token that says all of this itself.
pub fn check_introspected(
    claims: &Map<String, Value>,
    issuers: &[String],
    audiences: &[String],
    now: u64,
) -> Result<(), TokenError> {
    claims::require(claims, &["aud"])?;
    claims::subject(claims)?;
    check_kind(claims, true, Mark::Needed)?;
    // The same endpoint knows refresh tokens, which have no type (RFC 7662 2.2, RFC 6749 7.1).
    let typed = claims::text(claims, "token_type")?.or(claims::text(claims, "typ")?);
    if !typed.is_some_and(|word| word.eq_ignore_ascii_case("bearer")) {
        return Err(TokenError::Unmarked);
    }
    claims::check_issuer(claims, issuers)?;
    check_audience(claims, audiences)?;
    claims::check_times(claims, claims::AHEAD_SECONDS, now)
}

fn check_audience(claims: &Claims, audiences: &[String]) -> Result<(), TokenError> {
    let is_ours = |found: &Value| audiences.iter().any(|known| found == known);
    if claims::audiences(claims)?.iter().any(is_ours) { Ok(()) } else { Err(TokenError::Audience) }
}

/// Checks the claims of a token whose signature is right; `named` is whether its header says that it is an access token.
pub(super) fn check(
    claims: &Claims,
    named: bool,
    (audiences, mark): (&[String], Mark),
    expect: &Expect<'_>,
    now: u64,
) -> Result<(), TokenError> {
    claims::require(claims, &["iss", "aud", "exp"])?;
    claims::subject(claims)?;
    check_kind(claims, named, mark)?;
    claims::check_issuer(claims, expect.issuers)?;
    check_audience(claims, audiences)?;
    claims::check_times(claims, claims::AHEAD_SECONDS, now)
}

/// Refuses tokens that are for something else, and such as their owner must prove more for.
fn check_kind(claims: &Claims, named: bool, mark: Mark) -> Result<(), TokenError> {
    // Back-Channel Logout 2.4; RFC 7800: a bearer has not proved that it holds the key.
    if let Some(other) = ["events", "cnf"].into_iter().find(|name| claims.contains_key(*name)) {
        return Err(TokenError::Kind(other));
    }
    let says = |name: &str, word: &str| claims.get(name).map(|value| value == word);
    // Keycloak's mark, and Amazon Cognito's.
    let (by_type, by_use) = (says("typ", "Bearer"), says("token_use", "access"));
    if by_type == Some(false) {
        return Err(TokenError::Kind("typ"));
    }
    if by_use == Some(false) {
        return Err(TokenError::Kind("token_use"));
    }
    // RFC 9068 2.1: no ID token is named so.
    if named {
        return Ok(());
    }
    if let Some(of_id) = OF_ID_TOKENS.into_iter().find(|name| claims.contains_key(*name)) {
        return Err(TokenError::Kind(of_id));
    }
    let has = |name: &str| claims.contains_key(name);
    // The last is how authentik marks them.
    let is_marked = by_type.is_some()
        || by_use.is_some()
        || has("scope")
        || has("scp")
        || has("client_id")
        || (has("azp") && has("uid"));
    if is_marked || mark == Mark::Waived { Ok(()) } else { Err(TokenError::Unmarked) }
}

/// Claims that only ID tokens have (OpenID Connect Core 2 and 3.3.2.11; OpenID Financial-grade API 1.0, part 2).
const OF_ID_TOKENS: [&str; 4] = ["nonce", "at_hash", "c_hash", "s_hash"];
/// Access tokens travel in every request, so that they are short.
const LONGEST_BYTES: usize = 16 * 1024;
