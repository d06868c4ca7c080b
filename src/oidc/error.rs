//! What can go wrong with a provider, one variant per reaction. Knows no requests.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use thiserror::Error;

use super::settings::ClientAuth;
use crate::outbound::OutboundError;
use crate::outbound::json::Fault;

/// What kept a step from succeeding.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProviderError {
    /// No answer. Trying again later may help.
    #[error("{step}: {error}")]
    Unreachable {
        /// What was asked.
        step: Step,
        /// What happened.
        error: OutboundError,
    },
    /// An answer that says the provider is not well: 5xx or 429. Trying again later may help.
    #[error("{step}: the provider answered {status}")]
    Unwell {
        /// What was asked.
        step: Step,
        /// The HTTP status.
        status: u16,
    },
    /// A status that has no meaning here, such as a redirect.
    #[error("{step}: the provider answered {status}, which makes no sense here")]
    Status {
        /// What was asked.
        step: Step,
        /// The HTTP status.
        status: u16,
    },
    /// The provider calls itself something else (Discovery 4.3).
    #[error(
        "the issuer is configured as {configured:?}, and the provider calls itself {found:?}; they must be equal letter by letter"
    )]
    Issuer {
        /// What the configuration says.
        configured: String,
        /// What the discovery document says.
        found: String,
    },
    /// The discovery document cannot be used.
    #[error("the discovery document cannot be used: {0}")]
    Document(String),
    /// The provider signs with nothing that we allow.
    #[error("the provider announces only signature algorithms we do not allow: {listed}")]
    Algorithms {
        /// What it announces.
        listed: String,
    },
    /// The code or refresh token is used up, expired or not ours (RFC 6749 5.2).
    #[error("{step}: the provider takes the grant for invalid: {detail}")]
    InvalidGrant {
        /// What was asked.
        step: Step,
        /// What the provider added; for logs, not for pages.
        detail: String,
    },
    /// The provider does not know us, or not in this way (RFC 6749 5.2).
    #[error("{step}: the provider refuses our client id and secret, sent with client_auth = {:?}: {detail}", tried.name())]
    InvalidClient {
        /// What was asked.
        step: Step,
        /// How we authenticated.
        tried: ClientAuth,
        /// What the provider added; for logs, not for pages.
        detail: String,
    },
    /// Any other OAuth error.
    #[error("{step}: the provider refuses with {code:?}: {detail}")]
    Refused {
        /// What was asked.
        step: Step,
        /// The OAuth error code.
        code: String,
        /// What the provider added; for logs, not for pages.
        detail: String,
    },
    /// A refusal that is not OAuth's: a page of a proxy in between, perhaps.
    #[error("{step}: the provider answered {status} with something that is no OAuth error")]
    NotOAuth {
        /// What was asked.
        step: Step,
        /// The HTTP status.
        status: u16,
    },
    /// A page in the place of a success: of a proxy in between, that tells people something. Trying again later may help.
    #[error("{step}: a page came in the place of an answer ({status})")]
    Page {
        /// What was asked.
        step: Step,
        /// The HTTP status.
        status: u16,
    },
    /// A success that cannot be used, as it lacks what it must have, is too large or is compressed. What it holds may be of a
    /// person's own making, so that it is no outage.
    #[error("{step}: the answer cannot be used: {reason}")]
    Answer {
        /// What was asked.
        step: Step,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The userinfo endpoint does not accept the access token.
    #[error("userinfo: the access token is not accepted ({status})")]
    TokenRejected {
        /// The HTTP status.
        status: u16,
    },
    /// The userinfo answer is about somebody else (Core 5.3.2).
    #[error("userinfo: the answer is about another subject than the ID token")]
    Subject,
    /// The PKCE verifier is not one (RFC 7636 4.1).
    #[error("the PKCE verifier is not 43 to 128 unreserved characters")]
    Verifier,
    /// The process is shutting down.
    #[error("discovery was interrupted")]
    Interrupted,
}

impl ProviderError {
    /// Whether trying again later may help by itself.
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Unwell { .. } | Self::Interrupted)
    }

    /// What an exchange means that brought no answer which could be read.
    pub(super) fn of_exchange(step: Step, error: OutboundError) -> Self {
        let (status, reason) = match error {
            OutboundError::TooLarge { status } => (status, "it is larger than 1 MiB"),
            OutboundError::Compressed { status } => (status, "it is compressed, which nobody asked for"),
            OutboundError::Timeout
            | OutboundError::Connect(_)
            | OutboundError::Exhausted(_)
            | OutboundError::Refused(_)
            | OutboundError::Broken(_) => return Self::Unreachable { step, error },
        };
        if status.is_success() { Self::Answer { step, reason } } else { Self::of_status(step, status) }
    }

    /// What a status that is no success means where nothing more is known.
    pub(super) fn of_status(step: Step, status: StatusCode) -> Self {
        let is_unwell = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        let status = status.as_u16();
        if is_unwell { Self::Unwell { step, status } } else { Self::Status { step, status } }
    }
}

/// Whether an answer is a page for people, whatever its status: claims make none of it.
pub(super) fn is_page(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/html"))
}

/// Why an answer is no object of JSON that says one thing.
pub(super) fn no_object(fault: &Fault) -> &'static str {
    match fault {
        Fault::Repeated => "a member of its JSON stands there twice",
        Fault::Unreadable(_) => "it is no JSON object",
    }
}

/// The steps that ask the provider something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Fetching the discovery document.
    Discovery,
    /// The authorization endpoint, where browsers go.
    Authorization,
    /// The token endpoint.
    Token,
    /// The userinfo endpoint.
    Userinfo,
    /// The revocation endpoint.
    Revocation,
    /// The introspection endpoint.
    Introspection,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Discovery => "discovery",
            Self::Authorization => "authorization endpoint",
            Self::Token => "token endpoint",
            Self::Userinfo => "userinfo",
            Self::Revocation => "revocation",
            Self::Introspection => "introspection",
        })
    }
}

/// Why claims make no profile.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProfileError {
    /// The claims name nobody.
    #[error("the claims have no subject")]
    NoSubject,
    /// A verified e-mail address is required, and `email_verified` is not true.
    #[error("the e-mail address is not verified, and require_verified_email is on")]
    EmailNotVerified,
    /// The subject or the username is longer than 1 KiB, or the names alone are more than 64 KiB.
    #[error("the subject or a name is too long")]
    TooLong,
    /// The provider's own session has a name longer than 1 KiB, or with a NUL in it.
    #[error("the claim sid is no name that can be kept")]
    Session,
}
