//! Telling that a backend gave no answer, or none that can be passed on: a page for people, a problem for programs.
//! Knows no backends.

use http::header::{CONNECTION, HeaderValue};
use http::{Response, StatusCode};
use serde_json::json;

use super::super::body::Body;
use super::super::pages::{CSS, Page, Trouble};
use super::super::refs::Mark;
use super::super::{Site, answer, denial};
use super::NOTHING_HERE;
use crate::upstream::{RequestFault, UpstreamError};
use crate::visit::Intent;

/// What is told of an error.
struct Story {
    status: StatusCode,
    /// For programs, which match on it.
    reason: &'static str,
    title: &'static str,
    happened: &'static str,
    advice: &'static str,
}

/// The answer in place of one that did not come.
pub(super) fn no_answer(site: &Site, error: &UpstreamError, intent: Intent) -> Response<Body> {
    let story = match error {
        UpstreamError::None => return denial::refused(site, StatusCode::NOT_FOUND, NOTHING_HERE),
        UpstreamError::Down => DOWN,
        UpstreamError::Full(_) | UpstreamError::Crowded(_) => BUSY,
        UpstreamError::Connect(..) | UpstreamError::Broken(..) => SILENT,
        UpstreamError::Coded(_) => ODD,
        UpstreamError::Late(_) => LATE,
        UpstreamError::Request(RequestFault::Idle) => IDLE,
        UpstreamError::Request(RequestFault::Broken) => BROKEN,
        UpstreamError::Request(RequestFault::TooLarge) => TOO_LARGE,
    };
    let reference = site.references.issue();
    if story.status.is_server_error() {
        tracing::warn!(ref = reference, %error, "a backend did not answer");
    } else {
        tracing::info!(ref = reference, %error, "a request could not be passed on");
    }
    Mark::new(&reference, error.to_string()).on(story.told(&reference, intent))
}

/// The answer where a backend changes to a protocol that nobody asked for.
pub(super) fn odd_answer(site: &Site, intent: Intent) -> Response<Body> {
    let reference = site.references.issue();
    tracing::warn!(ref = reference, "a backend changed the protocol, which nobody asked for");
    let why = "the backend changed the protocol, which nobody asked for";
    Mark::new(&reference, why).on(ODD.told(&reference, intent))
}

/// The answer to a request whose session ended before the backend had answered. Nothing more of its body is read.
pub(super) fn ended(site: &Site) -> Response<Body> {
    let reference = site.references.issue();
    let mut response = Mark::new(&reference, ENDED.happened).on(ENDED.told(&reference, Intent::Call));
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

impl Story {
    fn told(&self, reference: &str, intent: Intent) -> Response<Body> {
        let response = match intent {
            Intent::Call => {
                let more = json!({ "detail": self.happened, "ref": reference });
                answer::problem(self.status, self.reason, self.title, more)
            }
            Intent::Navigation => {
                let page = Trouble {
                    css: CSS,
                    title: self.title,
                    happened: self.happened,
                    advice: self.advice,
                    causes: &[],
                    again: "",
                    label: "",
                    reference,
                };
                answer::page(self.status, Page::new(&page, ""))
            }
        };
        if self.status == StatusCode::SERVICE_UNAVAILABLE { answer::retry(response) } else { response }
    }
}

const WAIT: &str = "Wait a moment, then load this page again.";
const TELL: &str =
    "Load this page again. If that does not help, show it to whoever runs this site; the log tells more.";
const BUSY: Story = Story {
    status: StatusCode::SERVICE_UNAVAILABLE,
    reason: "app-busy",
    title: "Please try again in a moment",
    happened: "The app behind this address has more to do than it can.",
    advice: WAIT,
};
const DOWN: Story = Story {
    status: StatusCode::SERVICE_UNAVAILABLE,
    reason: "app-down",
    title: "Please try again in a moment",
    happened: "The app behind this address is down.",
    advice: WAIT,
};
const SILENT: Story = Story {
    status: StatusCode::BAD_GATEWAY,
    reason: "app-unreachable",
    title: "The app does not answer",
    happened: "The app behind this address cannot be reached.",
    advice: TELL,
};
const ODD: Story = Story {
    status: StatusCode::BAD_GATEWAY,
    reason: "app-broken",
    title: "The app does not answer as it should",
    happened: "The app behind this address answered what nobody asked.",
    advice: TELL,
};
const LATE: Story = Story {
    status: StatusCode::GATEWAY_TIMEOUT,
    reason: "app-late",
    title: "The app takes too long",
    happened: "The app behind this address did not answer in time.",
    advice: TELL,
};
const IDLE: Story = Story {
    status: StatusCode::REQUEST_TIMEOUT,
    reason: "request-late",
    title: "The request took too long",
    happened: "Nothing more came of what was being sent.",
    advice: TELL,
};
const BROKEN: Story = Story {
    status: StatusCode::BAD_REQUEST,
    reason: "request-broken",
    title: "The request broke off",
    happened: "What was being sent did not arrive as a whole.",
    advice: TELL,
};
const TOO_LARGE: Story = Story {
    status: StatusCode::PAYLOAD_TOO_LARGE,
    reason: "request-too-large",
    title: "That is too much",
    happened: "What was sent is larger than the app takes.",
    advice: "Send less, or show this page to whoever runs this site.",
};
const ENDED: Story = Story {
    status: StatusCode::FORBIDDEN,
    reason: "session-ended",
    title: "Not signed in any more",
    happened: "The session ended before the app had answered.",
    advice: "",
};
