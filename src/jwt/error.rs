//! Why a token is refused. Knows the reasons, not the rules.

use thiserror::Error;

use crate::outbound::OutboundError;

/// Why a token is refused; one variant per reason.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    /// More than 64 KiB, or 16 KiB for an access token.
    #[error("the token is too long")]
    TooLong,
    /// Not three parts of base64url with JSON objects in the first two.
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    /// A JSON object in it names a member twice (RFC 7519 4).
    #[error("a member of the token's JSON appears twice")]
    Duplicate,
    /// Encrypted (JWE). Take the encryption key off the client at the provider.
    #[error("the token is encrypted (JWE), which is not supported: turn encryption off at the provider")]
    Encrypted,
    /// Signed with something the provider did not announce or we do not allow, `none` among it.
    #[error("the token's algorithm {0:?} is not allowed")]
    Algorithm(String),
    /// Its `typ` header says that it is for something else.
    #[error("the token's type is {0:?}, which is another kind of token")]
    Type(String),
    /// It has critical headers (RFC 7515 4.1.11), of which we know none, or one that must be critical.
    #[error("the token has critical header parameters")]
    Critical,
    /// The provider's keys cannot be had.
    #[error("no keys to check the token with: {0}")]
    NoKeys(KeysError),
    /// No key has this key id.
    #[error("the provider has no key with the token's key id")]
    UnknownKey,
    /// The key is for another algorithm, or no key is for this one.
    #[error("the provider's key does not go with the token's algorithm")]
    KeyMismatch,
    /// The signature is wrong.
    #[error("the token's signature is wrong")]
    Signature,
    /// A required claim is absent.
    #[error("the token lacks the claim {0:?}")]
    Missing(&'static str),
    /// A claim has the wrong JSON type.
    #[error("the token's claim {0:?} has the wrong type")]
    Mistyped(&'static str),
    /// A time that is negative or beyond the year 9999.
    #[error("the token's time {0:?} is absurd")]
    Absurd(&'static str),
    /// Issued by somebody else.
    #[error("the token's issuer is {found:?}, expected {expected:?}")]
    Issuer {
        /// What the configuration says.
        expected: String,
        /// What the token says.
        found: String,
    },
    /// Meant for somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// Handed to another client (`azp`), or to several without saying which.
    #[error("the token's authorized party is not our client id")]
    AuthorizedParty,
    /// Past its time.
    #[error("the token has expired")]
    Expired,
    /// Before its time (`nbf`).
    #[error("the token is not valid yet")]
    NotYet,
    /// Issued longer ago than a token of its kind may be.
    #[error("the token was issued too long ago; compare the clocks")]
    Stale,
    /// `iat` lies further ahead than a token of its kind may: a clock is wrong.
    #[error("the token was issued in the future; compare the clocks")]
    IssuedAhead,
    /// It answers another sign-in.
    #[error("the token's nonce is not that of this sign-in")]
    Nonce,
    /// The access token beside it is not the one it was issued with.
    #[error("the token's at_hash does not match the access token")]
    AccessTokenHash,
    /// The code is not the one it was issued for.
    #[error("the token's c_hash does not match the code")]
    CodeHash,
    /// Its claims say that it is for something else: a logout token, an access token, or an ID token.
    #[error("the token is of another kind, as its claim {0:?} says")]
    Kind(&'static str),
    /// A name in it is longer than we are willing to remember.
    #[error("the token's claim {0:?} is too long")]
    LongName(&'static str),
    /// A logout token that signs nobody out.
    #[error("the token has neither \"sub\" nor \"sid\"")]
    Nobody,
    /// Nothing in it says that it is an access token, so that it may be an ID token.
    #[error("the token does not say that it is an access token")]
    Unmarked,
    /// It is about somebody else.
    #[error("the token is about another subject")]
    Subject,
}

impl TokenError {
    /// The reason in our own words only, for an answer to somebody who may have made the token up: nothing of what it
    /// says is in it.
    pub fn reason(&self) -> String {
        match self {
            Self::Algorithm(_) => "the token's algorithm is not allowed".to_owned(),
            Self::Type(_) => "the token's type is that of another kind of token".to_owned(),
            Self::Issuer { .. } => "the token's issuer is not the provider".to_owned(),
            Self::NoKeys(_) => "no keys to check the token with".to_owned(),
            told @ (Self::TooLong
            | Self::Malformed(_)
            | Self::Duplicate
            | Self::Encrypted
            | Self::Critical
            | Self::UnknownKey
            | Self::KeyMismatch
            | Self::Signature
            | Self::Missing(_)
            | Self::Mistyped(_)
            | Self::Absurd(_)
            | Self::Audience
            | Self::AuthorizedParty
            | Self::Expired
            | Self::NotYet
            | Self::Stale
            | Self::IssuedAhead
            | Self::Nonce
            | Self::AccessTokenHash
            | Self::CodeHash
            | Self::Kind(_)
            | Self::LongName(_)
            | Self::Nobody
            | Self::Unmarked
            // RFC 6749 5.2 has no double quotes in descriptions.
            | Self::Subject) => told.to_string().replace('"', "'"),
        }
    }
}

/// Why a provider's keys cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeysError {
    /// No answer.
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    /// An answer that is not 200.
    #[error("the key set's address answered {0}")]
    Status(u16),
    /// Not a JSON Web Key Set (RFC 7517 5).
    #[error("the key set is unreadable: {0}")]
    Unreadable(String),
    /// More keys than we are willing to look at.
    #[error("the key set has {0} keys, more than 100")]
    TooMany(usize),
    /// The fetch was ended with the process's shutdown.
    #[error("the fetch was interrupted")]
    Interrupted,
}
