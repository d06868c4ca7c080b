//! The few shapes of what the demo's two servers say. Knows nothing of sign-in.

use askama::Template;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, LOCATION, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode};
use http_body_util::Full;
use serde_json::Value;

use crate::http::pages::Page;

/// What both servers answer with.
pub(super) type Answer = Response<Full<Bytes>>;

/// A page whose forms, if it has any, lead to `form_targets`.
pub(super) fn page(status: StatusCode, template: &impl Template, form_targets: &str) -> Answer {
    let page = Page::new(template, form_targets);
    let mut answer = of(status, HeaderValue::from_static("text/html; charset=utf-8"), page.html);
    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, page.policy);
    answer.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    answer
}

/// Something for programs.
pub(super) fn json(status: StatusCode, value: &Value) -> Answer {
    of(status, HeaderValue::from_static("application/json"), value.to_string())
}

/// A line for whoever looks.
pub(super) fn text(status: StatusCode, text: &'static str) -> Answer {
    of(status, HeaderValue::from_static("text/plain; charset=utf-8"), text)
}

/// Sends the browser on with GET, whatever it came with (RFC 9110 15.4.4).
pub(super) fn see_other(location: &str) -> Answer {
    let Ok(location) = HeaderValue::from_str(location) else {
        return text(StatusCode::INTERNAL_SERVER_ERROR, "There is nowhere to go from here.\n");
    };
    let mut answer = text(StatusCode::SEE_OTHER, "");
    answer.headers_mut().insert(LOCATION, location);
    answer
}

fn of(status: StatusCode, kind: HeaderValue, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}
