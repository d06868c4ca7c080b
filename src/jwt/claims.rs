//! What the claims of a token must say. Knows the rules of OpenID Connect, no keys and no signatures.

use aws_lc_rs::digest::{self, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::error::TokenError;
use super::logout::LogoutToken;
use super::raw::RawToken;
use super::{Expect, Kind, access};

pub(super) type Claims = Map<String, Value>;

/// Checks the claims of the token `raw` whose signature, by `algorithm`, is right.
pub(super) fn check(
    claims: &Claims,
    (raw, algorithm): (&RawToken<'_>, Algorithm),
    expect: &Expect<'_>,
    now: u64,
) -> Result<(), TokenError> {
    match expect.kind {
        Kind::Id { nonce, access_token, code } => {
            check_kind(claims)?;
            subject(claims)?;
            require(claims, &["iss", "aud", "exp", "iat"])?;
            check_parties(claims, expect)?;
            check_times(claims, AHEAD_SECONDS, now)?;
            if nonce.is_some() {
                check_sign_in(claims, nonce, now)?;
            }
            if !matches_hash(claims, "at_hash", access_token, algorithm)? {
                return Err(TokenError::AccessTokenHash);
            }
            if !matches_hash(claims, "c_hash", code, algorithm)? {
                return Err(TokenError::CodeHash);
            }
            Ok(())
        }
        Kind::Userinfo { subject: expected } => {
            check_kind(claims)?;
            let subject = subject(claims)?;
            check_parties(claims, expect)?;
            check_times(claims, AHEAD_SECONDS, now)?;
            if subject == expected { Ok(()) } else { Err(TokenError::Subject) }
        }
        Kind::Logout => check_logout(claims, expect, now),
        Kind::Access { audiences, mark } => {
            access::check(claims, raw.is_named_access(), (audiences, mark), expect, now)
        }
    }
}

/// Core 3.1.3.7, steps 10 and 11: a sign-in is answered at once, so that its token is neither another's nor an old one.
fn check_sign_in(claims: &Claims, nonce: Option<&str>, now: u64) -> Result<(), TokenError> {
    if text(claims, "nonce")? != nonce {
        return Err(TokenError::Nonce);
    }
    let is_old = |issued: f64| issued + SIGN_IN_LIFETIME_SECONDS < now as f64;
    if time(claims, "iat")?.is_some_and(is_old) { Err(TokenError::Stale) } else { Ok(()) }
}

/// Back-Channel Logout 2.6. `exp` may be missing, so that its age decides.
fn check_logout(claims: &Claims, expect: &Expect<'_>, now: u64) -> Result<(), TokenError> {
    if claims
        .get("typ")
        .is_some_and(|mark| ["Bearer", "DPoP", "Refresh", "Offline", "ID"].iter().any(|kind| mark == kind))
    {
        return Err(TokenError::Kind("typ"));
    }
    if claims.contains_key("token_use") {
        return Err(TokenError::Kind("token_use"));
    }
    require(claims, &["iss", "aud", "iat"])?;
    check_parties(claims, expect)?;
    check_times(claims, LEEWAY_SECONDS, now)?;
    let token = LogoutToken::read(claims)?;
    if token.issued_at + LOGOUT_LIFETIME <= now { Err(TokenError::Stale) } else { Ok(()) }
}

pub(super) fn require(claims: &Claims, names: &[&'static str]) -> Result<(), TokenError> {
    names
        .iter()
        .find(|name| !claims.contains_key(**name))
        .map_or(Ok(()), |name| Err(TokenError::Missing(name)))
}

pub(super) fn subject(claims: &Claims) -> Result<&str, TokenError> {
    text(claims, "sub")?.filter(|subject| !subject.is_empty()).ok_or(TokenError::Missing("sub"))
}

/// Refuses tokens whose claims mark them as neither ID token nor userinfo.
fn check_kind(claims: &Claims) -> Result<(), TokenError> {
    if claims.contains_key("events") {
        return Err(TokenError::Kind("events")); // Back-Channel Logout 2.4
    }
    // Keycloak's mark, and Amazon Cognito's.
    let is_other =
        |mark: &Value| ["Bearer", "DPoP", "Refresh", "Offline", "Logout"].iter().any(|kind| mark == kind);
    if claims.get("typ").is_some_and(is_other) {
        return Err(TokenError::Kind("typ"));
    }
    if claims.get("token_use").is_some_and(|usage| usage != "id") {
        return Err(TokenError::Kind("token_use"));
    }
    Ok(())
}

/// Core 3.1.3.7, steps 2 to 5: by whom and for whom, each if it is there.
fn check_parties(claims: &Claims, expect: &Expect<'_>) -> Result<(), TokenError> {
    check_issuer(claims, expect.issuers)?;
    let audiences = audiences(claims)?;
    if !claims.contains_key("aud") {
        return Ok(());
    }
    if !audiences.iter().any(|audience| audience == expect.audience) {
        return Err(TokenError::Audience);
    }
    match text(claims, "azp")? {
        Some(party) if party != expect.audience => Err(TokenError::AuthorizedParty),
        // A logout token may be for all whom it concerns, and has no such claim.
        None if audiences.len() > 1 && !matches!(expect.kind, Kind::Logout) => {
            Err(TokenError::AuthorizedParty)
        }
        Some(_) | None => Ok(()),
    }
}

/// By whom, if it says so.
pub(super) fn check_issuer(claims: &Claims, issuers: &[String]) -> Result<(), TokenError> {
    let Some(found) = text(claims, "iss")? else { return Ok(()) };
    if issuers.iter().any(|issuer| issuer == found) {
        return Ok(());
    }
    let expected = issuers.first().cloned().unwrap_or_default();
    Err(TokenError::Issuer { expected, found: found.chars().take(200).collect() })
}

/// For whom: a text or an array of texts (RFC 7519 4.1.3); nobody if it does not say.
pub(super) fn audiences(claims: &Claims) -> Result<&[Value], TokenError> {
    let audiences: &[Value] = match claims.get("aud") {
        None => &[],
        Some(Value::Array(list)) => list,
        Some(single) => std::slice::from_ref(single),
    };
    if audiences.iter().all(Value::is_string) { Ok(audiences) } else { Err(TokenError::Mistyped("aud")) }
}

/// Core 3.1.3.7, steps 9 and 10, and `nbf` (RFC 7519 4.1.5): each if it is there.
pub(super) fn check_times(claims: &Claims, ahead: f64, now: u64) -> Result<(), TokenError> {
    let now = now as f64;
    let (expires, begins, issued) = (time(claims, "exp")?, time(claims, "nbf")?, time(claims, "iat")?);
    if expires.is_some_and(|expires| now >= expires + LEEWAY_SECONDS) {
        return Err(TokenError::Expired);
    }
    if begins.is_some_and(|begins| begins > now + LEEWAY_SECONDS) {
        return Err(TokenError::NotYet);
    }
    if issued.is_some_and(|issued| issued > now + ahead) {
        return Err(TokenError::IssuedAhead);
    }
    Ok(())
}

/// Whether a hash claim, if it and what it hashes are there, is right (Core 3.1.3.6).
fn matches_hash(
    claims: &Claims,
    name: &'static str,
    hashed: Option<&str>,
    algorithm: Algorithm,
) -> Result<bool, TokenError> {
    let (Some(found), Some(hashed)) = (text(claims, name)?, hashed) else { return Ok(true) };
    let is_half_of = |hash: &'static digest::Algorithm| {
        let whole = digest(hash, hashed.as_bytes());
        URL_SAFE_NO_PAD.encode(&whole.as_ref()[..hash.output_len / 2]) == found
    };
    Ok(hashes(algorithm).iter().any(|hash| is_half_of(hash)))
}

/// The hash of an algorithm. EdDSA has none of its own: Ed25519 means SHA-512, and SHA-256 is seen too.
fn hashes(algorithm: Algorithm) -> &'static [&'static digest::Algorithm] {
    use Algorithm::{ES256, ES384, EdDSA, HS256, HS384, HS512, PS256, PS384, PS512, RS256, RS384, RS512};
    match algorithm {
        HS256 | RS256 | PS256 | ES256 => &[&digest::SHA256],
        HS384 | RS384 | PS384 | ES384 => &[&digest::SHA384],
        HS512 | RS512 | PS512 => &[&digest::SHA512],
        EdDSA => &[&digest::SHA512, &digest::SHA256],
        _ => &[],
    }
}

pub(super) fn text<'a>(claims: &'a Claims, name: &'static str) -> Result<Option<&'a str>, TokenError> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(TokenError::Mistyped(name)),
    }
}

/// A time in Unix seconds, perhaps with a fraction (RFC 7519 2, NumericDate).
pub(super) fn time(claims: &Claims, name: &'static str) -> Result<Option<f64>, TokenError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_f64().ok_or(TokenError::Mistyped(name))?;
    if (0.0..=YEAR_9999_SECONDS).contains(&seconds) {
        Ok(Some(seconds))
    } else {
        Err(TokenError::Absurd(name))
    }
}

/// How far clocks may differ.
pub(super) const LEEWAY_SECONDS: f64 = 60.0;
/// How far ahead a token may have been issued.
pub(super) const AHEAD_SECONDS: f64 = 300.0;
/// How old the ID token of a sign-in may be: a day, as clocks are wrong by hours where time zones are.
const SIGN_IN_LIFETIME_SECONDS: f64 = 86_400.0;
/// How old a logout token may be, and the leeway.
pub(super) const LOGOUT_LIFETIME: u64 = 300 + LEEWAY_SECONDS as u64;
const YEAR_9999_SECONDS: f64 = 253_402_300_799.0;
