//! Every way the demo's provider says no, and to whom. Knows no people and no tokens.

use askama::Template;
use aws_lc_rs::error::Unspecified;
use http::StatusCode;
use http::header::{HeaderValue, WWW_AUTHENTICATE};
use serde_json::json;

use super::form::Repeated;
use super::grants::NoTokens;
use super::{Settings, with_query};
use crate::demo::answer::{self, Answer};
use crate::http::pages::CSS;

/// A request that gets nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Told to the person in front of the browser: it cannot be sent anywhere.
    Here(StatusCode, &'static str),
    /// Told to the client through the browser (RFC 6749 4.1.2.1).
    There {
        /// The error code.
        code: &'static str,
        /// A sentence for the client's developer.
        why: &'static str,
        /// The client's own.
        state: Option<String>,
    },
    /// Told to the client itself (RFC 6749 5.2).
    Direct {
        /// The error code.
        code: &'static str,
        /// A sentence for the client's developer.
        why: &'static str,
    },
    /// The client did not prove who it is.
    Client,
    /// The access token is missing or not good any more (RFC 6750 3.1).
    Bearer,
    /// No random bytes.
    Broken,
}

impl Refused {
    /// As it is sent.
    pub(super) fn answer(&self, settings: &Settings) -> Answer {
        match self {
            Self::Here(status, why) => notice(*status, "This cannot go on", why),
            Self::There { code, why, state } => {
                let mut pairs = vec![("error", *code), ("error_description", *why)];
                pairs.extend(state.as_deref().map(|state| ("state", state)));
                pairs.push(("iss", settings.issuer.as_str()));
                answer::see_other(&with_query(&settings.redirect_uri, &pairs))
            }
            Self::Direct { code, why } => problem(StatusCode::BAD_REQUEST, code, why),
            Self::Client => {
                let mut answer =
                    problem(StatusCode::UNAUTHORIZED, "invalid_client", "wrong client_id or client_secret");
                let ask = HeaderValue::from_static(r#"Basic realm="foregate demo provider""#);
                answer.headers_mut().insert(WWW_AUTHENTICATE, ask);
                answer
            }
            Self::Bearer => {
                let mut answer =
                    problem(StatusCode::UNAUTHORIZED, "invalid_token", "no access token that is good now");
                let ask = HeaderValue::from_static(r#"Bearer error="invalid_token""#);
                answer.headers_mut().insert(WWW_AUTHENTICATE, ask);
                answer
            }
            Self::Broken => {
                answer::text(StatusCode::INTERNAL_SERVER_ERROR, "The system gives no random bytes.\n")
            }
        }
    }
}

/// A short text for a person.
pub(super) fn notice(status: StatusCode, title: &str, text: &str) -> Answer {
    answer::page(status, &Notice { css: CSS, title, text, interaction: "", action: "" }, "")
}

/// The provider's page of few words, with a button if there is an `action`.
#[derive(Debug, Template)]
#[template(path = "demo/provider/notice.html")]
pub(super) struct Notice<'a> {
    pub(super) css: &'static str,
    pub(super) title: &'a str,
    pub(super) text: &'a str,
    pub(super) interaction: &'a str,
    pub(super) action: &'a str,
}

fn problem(status: StatusCode, code: &str, why: &str) -> Answer {
    answer::json(status, &json!({ "error": code, "error_description": why }))
}

impl From<Unspecified> for Refused {
    fn from(_: Unspecified) -> Self {
        Self::Broken
    }
}

impl From<Repeated> for Refused {
    fn from(_: Repeated) -> Self {
        Self::Direct { code: "invalid_request", why: "a parameter is repeated" }
    }
}

impl From<NoTokens> for Refused {
    fn from(why: NoTokens) -> Self {
        match why {
            NoTokens::Refused => {
                Self::Direct { code: "invalid_grant", why: "unknown, used, expired or not yours" }
            }
            NoTokens::Broken => Self::Broken,
        }
    }
}
