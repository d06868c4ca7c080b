//! Requests in clear text where browsers could use TLS: they are led there, and nothing of them goes on to an app, which
//! would be told that they came by TLS. Knows no rules.

use http::{Method, Response, StatusCode};
use serde_json::json;

use super::super::body::Body;
use super::super::{Site, answer};
use crate::browser::ReturnTo;
use crate::visit::Visit;

/// The answer to a request to one of the hosts with an app. Only what may be asked twice is led on: whoever sends more
/// in clear text should hear of it.
pub(super) fn answer(site: &Site, visit: &Visit<'_>) -> Response<Body> {
    let asks = matches!(visit.target.method, Method::GET | Method::HEAD);
    let by_tls = || site.with_origins(|origins| ReturnTo::of_target(&visit.target, origins));
    match asks.then(by_tls).flatten() {
        Some(page) => answer::redirect(StatusCode::PERMANENT_REDIRECT, &page.to_string()),
        None => answer::problem(
            StatusCode::FORBIDDEN,
            "clear-text",
            "Not in clear text",
            json!({ "detail": "This address is served by https:// only." }),
        ),
    }
}
