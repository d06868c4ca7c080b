//! What a code is exchanged for. Knows how tokens arrive and rest, not what is in them.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use super::error::{ProviderError, Step, no_object};
use crate::outbound::json::{self, Fault};
use crate::secret::Secret;

/// A provider's tokens, not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Who signed in, as the provider signed it.
    pub id_token: Secret,
    /// Opens the userinfo endpoint.
    pub access_token: Secret,
    /// Gets new tokens.
    pub refresh_token: Option<Secret>,
    /// When the access token ends, in Unix seconds, if the provider said.
    pub expires_at: Option<u64>,
}

/// Tokens at rest.
#[derive(Serialize)]
struct Stored<'a> {
    id_token: &'a str,
    access_token: &'a str,
    refresh_token: Option<&'a str>,
    expires_at: Option<u64>,
}

#[derive(Deserialize)]
struct Restored {
    id_token: String,
    access_token: String,
    refresh_token: Option<String>,
    expires_at: Option<u64>,
}

/// An answer of the token endpoint (RFC 6749 5.1).
#[derive(Deserialize)]
struct Answer {
    access_token: String,
    token_type: String,
    id_token: Option<String>,
    refresh_token: Option<String>,
    expires_in: Option<Value>,
}

impl Tokens {
    /// The tokens as JSON, for sealing; wiped when dropped.
    ///
    /// # Errors
    /// None that is known: all of it is texts and a number.
    pub fn to_json(&self) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
        let stored = Stored {
            id_token: self.id_token.expose(),
            access_token: self.access_token.expose(),
            refresh_token: self.refresh_token.as_ref().map(Secret::expose),
            expires_at: self.expires_at,
        };
        let texts = [Some(stored.id_token), Some(stored.access_token), stored.refresh_token];
        let length: usize = texts.into_iter().flatten().map(str::len).sum();
        // Room enough, so that growing leaves no copy behind unless a token is full of escapes.
        let mut json = Zeroizing::new(Vec::with_capacity(length + 256));
        serde_json::to_writer(&mut *json, &stored)?;
        Ok(json)
    }

    /// Tokens from what [`Tokens::to_json`] made.
    ///
    /// # Errors
    /// If it is something else.
    pub fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        let restored: Restored = serde_json::from_slice(json)?;
        Ok(Self {
            id_token: Secret::new(restored.id_token),
            access_token: Secret::new(restored.access_token),
            refresh_token: restored.refresh_token.map(Secret::new),
            expires_at: restored.expires_at,
        })
    }

    /// When to get new ones: before the access token ends, as some providers tell of a sign-out only while one is
    /// good, and once an hour in any case, as groups change. `None` if there is nothing to get them with.
    pub fn renew_at(&self, now: u64) -> Option<u64> {
        self.refresh_token.as_ref()?;
        let ends = self.expires_at.unwrap_or(u64::MAX);
        let lifetime = ends.saturating_sub(now);
        let early = (lifetime / 3).min(LONGEST_LEAD_SECONDS);
        let (soonest, latest) = (now.saturating_add(1), now.saturating_add(RENEW_EVERY_SECONDS));
        Some(ends.saturating_sub(early).clamp(soonest, latest))
    }

    /// Reads a successful answer to a code.
    pub(super) fn read(bytes: &[u8], now: u64) -> Result<Self, ProviderError> {
        Self::read_after(bytes, None, now)
    }

    /// Reads a successful answer of the token endpoint. What it leaves out of a renewal is as `before`
    /// (RFC 6749 6, OpenID Connect Core 12.2).
    pub(super) fn read_after(bytes: &[u8], before: Option<&Self>, now: u64) -> Result<Self, ProviderError> {
        let unusable = |reason| ProviderError::Answer { step: Step::Token, reason };
        let answer: Answer = json::read(bytes).map_err(|fault| match fault {
            Fault::Repeated => unusable(no_object(&fault)),
            Fault::Unreadable(_) => unusable("it is no JSON object with access_token and token_type"),
        })?;
        if !answer.token_type.eq_ignore_ascii_case("bearer") {
            return Err(unusable("its token_type is not Bearer"));
        }
        let id_token = answer.id_token.map(Secret::new).or_else(|| before.map(|old| old.id_token.clone()));
        let refresh_token = answer.refresh_token.filter(|token| !token.is_empty()).map(Secret::new);
        Ok(Self {
            id_token: id_token.ok_or_else(|| unusable("it has no id_token; is openid among the scopes?"))?,
            access_token: Secret::new(answer.access_token),
            refresh_token: refresh_token.or_else(|| before?.refresh_token.clone()),
            expires_at: answer
                .expires_in
                .as_ref()
                .and_then(seconds)
                .map(|seconds| now.saturating_add(seconds)),
        })
    }
}

/// How long before its end an access token is renewed at the earliest.
const LONGEST_LEAD_SECONDS: u64 = 60;
const RENEW_EVERY_SECONDS: u64 = 3600;

/// A lifetime in seconds: a number, or as some write it a text with one.
fn seconds(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number
            .as_u64()
            .or_else(|| number.as_f64().filter(|whole| *whole >= 0.0).map(|whole| whole as u64)),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
