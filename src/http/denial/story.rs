//! What is told of a sign-in that did not happen: to the person what to do, to whoever runs the site the likely cause. Knows no
//! configuration, and nothing that the provider said is in it.

use http::StatusCode;

use crate::jwt::{KeysError, TokenError};
use crate::login::{Cause, LoginError};
use crate::oidc::ProviderError;

/// What a person and their operator are told of an error.
pub(super) struct Story {
    pub(super) status: StatusCode,
    pub(super) title: &'static str,
    pub(super) happened: &'static str,
    pub(super) advice: &'static str,
    pub(super) causes: Causes,
}

/// Likely causes, each with what helps.
type Causes = &'static [(&'static str, &'static str)];

impl Story {
    pub(super) fn of(error: &LoginError) -> Self {
        let told = |status, title, happened, advice, causes| Self { status, title, happened, advice, causes };
        let busy = |happened| told(StatusCode::SERVICE_UNAVAILABLE, BUSY, happened, WAIT, &[]);
        let mismatch = |causes| told(StatusCode::BAD_GATEWAY, NOT_FINISHED, MISMATCH, TELL, causes);
        match error {
            LoginError::Circle(cause) => {
                told(StatusCode::FORBIDDEN, CIRCLE, cause.story(), TRY_AGAIN_OR_TELL, cause.causes())
            }
            LoginError::State => told(StatusCode::BAD_REQUEST, NOT_FINISHED, FOREIGN, START_OVER, &[]),
            LoginError::Denied(code) if OUTAGES.contains(&code.as_str()) => busy(SILENT),
            LoginError::Denied(_) => {
                told(StatusCode::FORBIDDEN, NOT_FINISHED, DENIED, TRY_AGAIN_OR_TELL, DENIED_CAUSES)
            }
            LoginError::Limited(_) => busy(TOO_MANY),
            LoginError::Silent => busy(SILENT),
            LoginError::Provider(error) if error.is_outage() => busy(SILENT),
            LoginError::Token(TokenError::NoKeys(KeysError::Outbound(_) | KeysError::Interrupted)) => {
                busy(SILENT)
            }
            LoginError::Store(_) | LoginError::Random | LoginError::Tokens => {
                busy("You could not be signed in just now.")
            }
            LoginError::Provider(error) => mismatch(of_provider(error)),
            LoginError::Token(error) => mismatch(of_token(error)),
            LoginError::Issuer => mismatch(ISSUER),
            LoginError::Disabled => told(StatusCode::FORBIDDEN, DISABLED, SHUT_OUT, A_MISTAKE, &[]),
            LoginError::Profile(_) | LoginError::Unkept(_) => {
                told(StatusCode::FORBIDDEN, NOT_FINISHED, UNUSABLE, TELL, PROFILE)
            }
        }
    }
}

fn of_provider(error: &ProviderError) -> Causes {
    use ProviderError as Error;
    if matches!(error, Error::Issuer { .. }) {
        ISSUER
    } else if matches!(error, Error::InvalidClient { .. }) {
        CLIENT
    } else if matches!(error, Error::Algorithms { .. }) {
        KEYS
    } else if matches!(
        error,
        Error::Status { .. } | Error::NotOAuth { .. } | Error::Page { .. } | Error::Document(_)
    ) {
        BETWEEN
    } else {
        UNCLEAR
    }
}

fn of_token(error: &TokenError) -> Causes {
    use TokenError as Error;
    if matches!(error, Error::Issuer { .. }) {
        ISSUER
    } else if matches!(error, Error::Expired | Error::NotYet | Error::Stale | Error::IssuedAhead) {
        CLOCKS
    } else if matches!(
        error,
        Error::Encrypted | Error::Algorithm(_) | Error::NoKeys(_) | Error::UnknownKey | Error::KeyMismatch
    ) {
        KEYS
    } else {
        UNCLEAR
    }
}

impl Cause {
    fn story(self) -> &'static str {
        match self {
            Self::LoginCookie => {
                "You came back from the sign-in, but your browser did not bring the cookie that belongs to it."
            }
            Self::SessionCookie => {
                "You signed in, but your browser came back without the session cookie it was given."
            }
            Self::HostCookie => {
                "You are signed in, but your browser did not keep the cookie of the page you wanted."
            }
            Self::Code => "You signed in, but the sign-in service did not confirm it.",
            Self::Late => "You signed in, but it took too long to count.",
        }
    }

    fn causes(self) -> Causes {
        match self {
            Self::LoginCookie | Self::SessionCookie => &[
                ("The browser refuses cookies", "Allow cookies for this site, or leave private browsing."),
                (
                    "The cookie domain does not fit",
                    "The app and foregate's public_url must lie in session.cookie_domain.",
                ),
                SCHEME,
                SET_COOKIE,
            ],
            Self::HostCookie => &[
                ("The browser refuses cookies", "Allow cookies for that site, or leave private browsing."),
                SCHEME,
                SET_COOKIE,
                OUR_CLOCKS,
                (
                    "Two foregates do not share their store",
                    "One that answers for a host must know the sessions of the one at public_url.",
                ),
            ],
            Self::Code => &[
                (
                    "The redirect address differs",
                    "The provider must know exactly public_url + /.foregate/callback.",
                ),
                (
                    "Something asks for the callback twice",
                    "Look for a browser extension or proxy that repeats requests.",
                ),
            ],
            Self::Late => &[OUR_CLOCKS, ("The page was left open", "Signing in again is all it takes.")],
        }
    }
}

/// Errors by which a provider says that it is not well (RFC 6749 4.1.2.1).
const OUTAGES: [&str; 2] = ["server_error", "temporarily_unavailable"];

const SCHEME: (&str, &str) =
    ("The scheme does not fit", "With an https public_url, people must reach every app by https.");
const SET_COOKIE: (&str, &str) =
    ("The front proxy drops Set-Cookie", "Compare its configuration with `foregate snippet`.");
const OUR_CLOCKS: (&str, &str) = ("Clocks differ", "Compare the clocks of all machines that run foregate.");

const CIRCLE: &str = "The sign-in went in a circle";
const NOT_FINISHED: &str = "The sign-in could not be finished";
const BUSY: &str = "Please try again in a moment";
const DISABLED: &str = "Your account is disabled";

const FOREIGN: &str = "This sign-in was not started here, or its address was changed on the way.";
const DENIED: &str = "The sign-in service did not let you in.";
const MISMATCH: &str = "What the sign-in service answered does not fit what was asked.";
const UNUSABLE: &str = "The sign-in service did not say enough about your account.";
const SHUT_OUT: &str =
    "Your name and password are right, but whoever runs this site does not let this account in.";
/// What everybody hears while the provider does not answer.
pub(super) const TOO_MANY: &str = "There were too many tries from your network, or from everywhere.";
pub(super) const SILENT: &str = "The sign-in service does not answer.";

const A_MISTAKE: &str = "If you think this is a mistake, show this page to whoever runs this site.";
const START_OVER: &str = "Open the page you wanted once more.";
const TRY_AGAIN_OR_TELL: &str = "Try again. If it happens again, show this page to whoever runs this site.";
const TELL: &str = "Show this page to whoever runs this site; the log tells more under the same reference.";
const WAIT: &str = "Wait a moment, then try again.";

const DENIED_CAUSES: Causes = &[
    ("The account may not use this application", "Look at the bindings of the application at the provider."),
    ("The sign-in was cancelled", "Trying again is all it takes."),
];
const ISSUER: Causes = &[(
    "The issuer differs",
    "provider.issuer must be letter by letter what the provider calls itself; `foregate check` shows both.",
)];
const CLIENT: Causes = &[(
    "The client id or secret is wrong",
    "Compare provider.client_id, client_secret and client_auth with the provider's settings.",
)];
const CLOCKS: Causes =
    &[("Clocks differ", "Compare the clocks of foregate and the provider; `foregate check` does.")];
const KEYS: Causes = &[(
    "The keys do not fit",
    "Choose a signing key for this application at the provider, and no encryption key; `foregate check` names the algorithms.",
)];
const BETWEEN: Causes = &[(
    "Something else answers in the provider's place",
    "A proxy on the way may want another host or scheme: see provider.issuer and provider.internal_url, and run `foregate check`.",
)];
const UNCLEAR: Causes =
    &[("It is no answer to our question", "Run `foregate check`, and look into the log.")];
const PROFILE: Causes = &[
    (
        "The e-mail address is not verified",
        "Verify it at the provider, or turn off provider.require_verified_email.",
    ),
    ("A claim is missing", "Compare [provider.claims] with what the provider sends."),
    ("A name is too long", "The subject and the username may have 1 KiB each."),
];
