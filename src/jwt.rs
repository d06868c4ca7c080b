//! Tokens signed by a provider: its keys, and one function that checks. Knows not who asks, nor why.

use jsonwebtoken::crypto::{self, aws_lc};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde_json::{Map, Value};
use url::Url;

pub use self::access::{UnverifiedAccess, check_introspected, good_until};
pub use self::error::{KeysError, TokenError};
use self::keys::KeySet;
pub use self::logout::{LogoutToken, UnverifiedIssuer};
use self::raw::RawToken;
use self::ring::Ring;
use crate::outbound::Outbound;
use crate::secret::Secret;

mod access;
mod claims;
mod error;
mod keys;
mod logout;
mod raw;
mod ring;

/// The public keys of a provider, fetched when needed; share one, as its throttle is for the whole process.
///
/// A key set is fetched at most once in 10 seconds, one fetch at a time, outside any lock. The last good set
/// stays when a fetch fails. After 10 minutes the next use fetches anew in the background.
pub struct KeyRing {
    ring: Ring,
}

/// What a token must be to pass.
#[derive(Clone, Copy, Debug)]
pub struct Expect<'a> {
    /// Where the provider keeps its keys; from its discovery document, never from a token.
    pub jwks_uri: &'a Url,
    /// The names the provider may call itself, letter by letter.
    pub issuers: &'a [String],
    /// Our client id; access tokens have audiences of their own.
    pub audience: &'a str,
    /// The algorithms the provider may sign with; an empty list admits nothing.
    pub algorithms: &'a [Algorithm],
    /// The client secret: the key for HS256, should `algorithms` have it.
    pub secret: Option<&'a Secret>,
    /// Which kind of token it is.
    pub kind: Kind<'a>,
}

/// The kinds of token; one never passes for another.
#[derive(Clone, Copy, Debug)]
pub enum Kind<'a> {
    /// An ID token (OpenID Connect Core 3.1.3.7).
    Id {
        /// What the token's `nonce` must be. None only where no nonce is due: after a refresh.
        nonce: Option<&'a str>,
        /// The access token that came along; checked against `at_hash` if the token has one.
        access_token: Option<&'a str>,
        /// The code that was redeemed; checked against `c_hash` if the token has one.
        code: Option<&'a str>,
    },
    /// A signed userinfo answer (OpenID Connect Core 5.3.2): `iss`, `aud` and times are checked if there.
    Userinfo {
        /// The subject of the ID token, which it must be about.
        subject: &'a str,
    },
    /// A logout token (Back-Channel Logout 2.4): read it with [`LogoutToken::read`].
    Logout,
    /// An access token (RFC 9068), checked with [`KeyRing::verify_access`].
    Access {
        /// Whom it may be for; one is enough, and an empty list admits nothing.
        audiences: &'a [String],
        /// Whether it must say that it is an access token.
        mark: Mark,
    },
}

/// Whether a token that is not named `at+jwt` must bear another mark of access tokens: a scope, a client, or its provider's
/// own. ID tokens are for the audience of a client, and access tokens often are as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It must.
    Needed,
    /// It need not, as nobody signs in there.
    Waived,
}

/// The algorithms that only a key's owner can sign with.
pub const ASYMMETRIC: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// How many seconds clocks may differ.
pub const LEEWAY_SECONDS: u64 = claims::LEEWAY_SECONDS as u64;

/// For how many seconds after its `iat` a logout token can pass at most.
pub const LOGOUT_LIFETIME: u64 = claims::LOGOUT_LIFETIME;

impl KeyRing {
    /// A ring without keys yet, which fetches through `outbound`.
    pub fn new(outbound: Outbound) -> Self {
        // Without this jsonwebtoken guesses from cargo features, and panics if a dependency adds another.
        // A second installation is refused, and is the same one.
        let _already = aws_lc::DEFAULT_PROVIDER.install_default();
        Self { ring: Ring::new(outbound) }
    }

    /// Checks signature, kind and claims of `token` at the time `now` (Unix seconds) and yields its claims.
    ///
    /// Clocks may differ by a minute; `iat` may lie 5 minutes ahead, but a logout token's only that minute, and it must be
    /// at most 5 minutes old. An ID token for which a nonce is due must be at most a day old.
    ///
    /// # Errors
    /// One [`TokenError`] per reason; [`TokenError::NoKeys`] alone is the provider's fault, not the token's.
    pub async fn verify(
        &self,
        token: &str,
        expect: &Expect<'_>,
        now: u64,
    ) -> Result<Map<String, Value>, TokenError> {
        let raw = RawToken::parse(token)?;
        let algorithm = self.check_seal(&raw, expect, now).await?;
        let claims = raw.claims()?;
        claims::check(&claims, (&raw, algorithm), expect, now)?;
        Ok(claims)
    }

    /// The same for an access token that is taken apart already.
    ///
    /// # Errors
    /// As [`KeyRing::verify`].
    pub async fn verify_access(
        &self,
        token: UnverifiedAccess<'_>,
        expect: &Expect<'_>,
        now: u64,
    ) -> Result<Map<String, Value>, TokenError> {
        let UnverifiedAccess { raw, claims, .. } = token;
        let algorithm = self.check_seal(&raw, expect, now).await?;
        claims::check(&claims, (&raw, algorithm), expect, now)?;
        Ok(claims)
    }

    /// How many of the provider's keys go with any of these algorithms.
    ///
    /// # Errors
    /// [`KeysError`] if they cannot be had.
    pub async fn count(&self, uri: &Url, algorithms: &[Algorithm], now: u64) -> Result<usize, KeysError> {
        Ok(self.ring.keys(uri, now).await?.count(algorithms))
    }

    /// Another number than before whenever the keys at hand have changed: what was verified then is to be verified anew.
    pub fn version(&self) -> u64 {
        self.ring.version()
    }

    /// Checks type, algorithm and signature.
    async fn check_seal(
        &self,
        raw: &RawToken<'_>,
        expect: &Expect<'_>,
        now: u64,
    ) -> Result<Algorithm, TokenError> {
        raw.check_type(expect.kind)?;
        // An algorithm is taken from our list, never from the token (RFC 8725 3.1).
        let named = keys::algorithm(&raw.algorithm);
        let Some(algorithm) = named.filter(|algorithm| expect.algorithms.contains(algorithm)) else {
            return Err(TokenError::Algorithm(raw.algorithm.clone()));
        };
        match (algorithm.family(), expect.secret) {
            (AlgorithmFamily::Hmac, Some(secret)) => {
                let key = DecodingKey::from_secret(secret.expose().as_bytes());
                is_signed(raw, &key, algorithm).then_some(()).ok_or(TokenError::Signature)?;
            }
            (AlgorithmFamily::Hmac, None) => return Err(TokenError::Algorithm(raw.algorithm.clone())),
            (AlgorithmFamily::Rsa | AlgorithmFamily::Ec | AlgorithmFamily::Ed, _) => {
                self.check_signature(raw, algorithm, expect.jwks_uri, now).await?;
            }
        }
        Ok(algorithm)
    }

    /// The claims of a token that [`Self::verify`] passed before, and that nobody could change since. Times are not
    /// looked at again.
    ///
    /// # Errors
    /// [`TokenError`] for what is no token.
    pub fn verified_before(token: &str) -> Result<Map<String, Value>, TokenError> {
        RawToken::parse(token)?.claims()
    }

    /// Checks with the keys at hand, and once more if there are newer ones to be had.
    async fn check_signature(
        &self,
        raw: &RawToken<'_>,
        algorithm: Algorithm,
        uri: &Url,
        now: u64,
    ) -> Result<(), TokenError> {
        let keys = self.ring.keys(uri, now).await.map_err(TokenError::NoKeys)?;
        let Err(error) = check_with(&keys, raw, algorithm) else { return Ok(()) };
        match self.ring.newer(uri, &keys, now).await {
            Some(keys) => check_with(&keys, raw, algorithm),
            None => Err(error),
        }
    }
}

fn check_with(keys: &KeySet, raw: &RawToken<'_>, algorithm: Algorithm) -> Result<(), TokenError> {
    let mut fitting = keys.fitting(raw.key_id.as_deref(), algorithm)?.peekable();
    if fitting.peek().is_none() {
        return Err(TokenError::KeyMismatch);
    }
    if fitting.any(|key| is_signed(raw, key, algorithm)) { Ok(()) } else { Err(TokenError::Signature) }
}

fn is_signed(raw: &RawToken<'_>, key: &DecodingKey, algorithm: Algorithm) -> bool {
    crypto::verify(raw.signature, raw.message.as_bytes(), key, algorithm).unwrap_or(false)
}

/// Takes anything apart as a token, for [`crate::entrances`].
#[cfg(any(test, fuzzing))]
pub(crate) fn look_at_token(text: &str) {
    let Ok(raw) = RawToken::parse(text) else { return };
    assert!(text.starts_with(raw.message) && text.ends_with(raw.signature), "what is signed is what came");
    let access = raw.check_type(Kind::Logout).is_ok();
    assert!(!(access && raw.is_named_access()), "a token of one kind is none of another");
    let _ = (raw.claims(), UnverifiedAccess::read(text), UnverifiedIssuer::read(text));
}

/// Reads anything as a key set, for [`crate::entrances`].
#[cfg(any(test, fuzzing))]
pub(crate) fn look_at_keys(bytes: &[u8]) {
    let Ok(set) = KeySet::parse(bytes) else { return };
    let symmetric = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
    assert_eq!(set.count(&symmetric), 0, "no published key is a secret");
    for &algorithm in ASYMMETRIC {
        let _ = set.fitting(Some("a"), algorithm).map(Iterator::count);
    }
}

#[cfg(test)]
mod differential;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
