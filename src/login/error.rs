//! Why a sign-in did not happen, one variant per reaction. Knows no pages.

use thiserror::Error;

use crate::browser::ReturnTo;
use crate::jwt::TokenError;
use crate::limits::Limited;
use crate::oidc::{ProfileError, ProviderError};
use crate::session::store::StoreError;

/// A callback that signed nobody in.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub error: LoginError,
    /// Where the person wanted to go, if the state told.
    pub to: Option<ReturnTo>,
}

/// Why a sign-in did not happen.
#[derive(Debug, Error)]
pub enum LoginError {
    /// Not a sign-in that was begun here.
    #[error("the state does not open: it was not sealed here, or was changed on its way")]
    State,
    /// The third turn without a session.
    #[error("the sign-in went in a circle: {0}")]
    Circle(Cause),
    /// The provider said no, with this error code (RFC 6749 4.1.2.1, OpenID Connect Core 3.1.2.6).
    #[error("the provider refused the sign-in: {0}")]
    Denied(String),
    /// The answer came from another issuer than was asked (RFC 9207).
    #[error("the answer names another issuer than the one that was asked")]
    Issuer,
    /// The provider could not be asked, or answered what it must not.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The provider has refused too many codes lately, so that it is not asked.
    #[error("too many codes were refused by the provider, which is not asked for now")]
    Limited(Limited),
    /// The ID token is not for us, of this kind, by this key.
    #[error("the ID token is refused: {0}")]
    Token(#[from] TokenError),
    /// The provider takes longer to tell where it signs people in than a check may wait.
    #[error("discovery: the provider does not answer in time")]
    Silent,
    /// What the provider says of the person cannot be used.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The session could not be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the provider says of the person is nothing that the store can hold.
    #[error("what the provider says of this person cannot be kept: {0}")]
    Unkept(StoreError),
    /// An operator has shut this person out.
    #[error("this person is disabled here")]
    Disabled,
    /// The tokens cannot be written down.
    #[error("the tokens cannot be kept")]
    Tokens,
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

impl LoginError {
    /// Why a session is not kept: the store is silent, or well and can never hold what there is.
    pub(super) fn of_keeping(error: StoreError) -> Self {
        if matches!(error, StoreError::Damaged(_)) { Self::Unkept(error) } else { Self::Store(error) }
    }
}

/// The likely cause of a circle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The browser came back without its login cookie.
    LoginCookie,
    /// It signed in but came without the session cookie.
    SessionCookie,
    /// It brought tickets to a host outside the cookie domain that were worth nothing there.
    HostCookie,
    /// The provider's code could not be redeemed.
    Code,
    /// It took longer than a sign-in may take.
    Late,
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::LoginCookie => "the browser came back without its login cookie",
            Self::SessionCookie => "the browser signed in but does not send the session cookie",
            Self::HostCookie => "the browser does not keep the cookie of a host outside the cookie domain",
            Self::Code => "the provider does not redeem its own code",
            Self::Late => "the sign-in took too long, or clocks differ",
        })
    }
}
