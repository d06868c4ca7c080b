//! Answers in their few shapes: page, problem, redirect, nothing. Knows no decisions.

use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION,
    RETRY_AFTER,
};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::body::Body;
use super::pages::Page;

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    response
}

/// A redirect to an absolute address, never kept by any cache.
pub(super) fn redirect(status: StatusCode, location: &str) -> Response<Body> {
    let mut response = empty(status);
    match HeaderValue::from_str(location) {
        Ok(location) => {
            response.headers_mut().insert(LOCATION, location);
            response
        }
        // Addresses are serialised from parsed parts, so this is a bug and not a visitor's doing.
        Err(_) => empty(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// 405 with the methods that would do (RFC 9110 15.5.6).
pub(super) fn wrong_method(allowed: &'static str) -> Response<Body> {
    let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// A plain text for whoever set something up wrong.
pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    typed(status, "text/plain; charset=utf-8", Body::from(text.into()))
}

/// A body that is what it says it is.
fn typed(status: StatusCode, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = empty(status);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    *response.body_mut() = body;
    response
}

/// A page for a person.
pub(super) fn page(status: StatusCode, page: Page) -> Response<Body> {
    let mut response = typed(status, "text/html; charset=utf-8", Body::from(page.html));
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, page.policy);
    // Not `no-referrer`: browsers then hide the Origin of our own forms from us.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// What a program asked for.
pub(super) fn json(status: StatusCode, told: &Value) -> Response<Body> {
    typed(status, "application/json", Body::from(told.to_string()))
}

/// A problem for a program (RFC 9457).
pub(super) fn problem(status: StatusCode, reason: &str, title: &str, more: Value) -> Response<Body> {
    let mut object =
        json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "reason": reason });
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        object.extend(more);
    }
    typed(status, "application/problem+json", Body::from(object.to_string()))
}

/// An error as OAuth has it (RFC 6749 5.2), which providers read.
pub(super) fn oauth_error(status: StatusCode, error: &str, description: &str) -> Response<Body> {
    let body = json!({ "error": error, "error_description": description });
    typed(status, "application/json", Body::from(body.to_string()))
}

/// Tells when to come again.
pub(super) fn retry(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    response
}

/// Nothing that foregate says about somebody may be kept by anybody in between.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const X_CONTENT_TYPE_OPTIONS: HeaderName = HeaderName::from_static("x-content-type-options");
const REFERRER_POLICY: HeaderName = HeaderName::from_static("referrer-policy");
