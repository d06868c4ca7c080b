//! The operator's page: what is down, what is decided, who is signed in, and ending that. Knows not who may use it.

mod act;
mod door;
mod people;
mod status;

use http::header::{HeaderValue, LOCATION, REFRESH, SET_COOKIE};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use super::super::body::{Body, read_form};
use super::super::denial::too_many;
use super::super::pages::{CSS, OperatorSignIn, OperatorTold, Page};
use super::super::portal::query::Query;
use super::super::{Site, answer, audit, unix_now};
use super::wrong_token;
use crate::visit::Intent;
use act::Act;
use door::{Closed, Operator};

/// Whether an address is one of the page's.
pub(super) fn is_ours(path: &str) -> bool {
    path.strip_prefix(PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Answers a request to one of its addresses.
pub(super) async fn answer(site: &Site, request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().strip_prefix(PATH).unwrap_or_default().to_owned();
    let reads = parts.method == Method::GET || parts.method == Method::HEAD;
    if !reads && parts.method != Method::POST {
        return answer::wrong_method("GET, HEAD, POST");
    }
    let operator = match (door::of(site, &parts), path.as_str()) {
        (Ok(operator), _) => operator,
        (Err(Closed::Token), "/sign-in") if !reads => return enter(site, &parts, body).await,
        (Err(Closed::Token), _) => return sign_in(""),
        (Err(Closed::Refused(refused)), _) => return super::refuse(refused),
    };
    if reads {
        return read(site, &operator, &parts, &path).await;
    }
    let Some(form) = read_form(body, LARGEST).await else {
        return answer::empty(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let form = Query::from_bytes(&form);
    if !operator.sent(site, &parts, &form) {
        return told(site, &operator, StatusCode::FORBIDDEN, &[FOREIGN.to_owned()]);
    }
    match path.as_str() {
        "/sign-out" => leave(),
        _ => {
            let act = Act { operator: &operator, place: audit::place_of(site, &parts) };
            act::answer(site, act, &path, &form).await
        }
    }
}

async fn read(site: &Site, operator: &Operator, parts: &Parts, path: &str) -> Response<Body> {
    let query = Query::of(parts);
    match path {
        "" | "/" => status::page(site, operator, &query).await,
        "/sessions" => people::sessions(site, operator, &query).await,
        "/people" => people::people(site, operator, &query).await,
        "/sign-in" => to(PATH),
        "/refs" => {
            let typed = query.one("ref").ok().flatten().unwrap_or_default();
            let known = site.references.find(typed.trim());
            let lines = known.map(|entry| entry.in_words());
            let own = site.references.replica();
            let unknown = || {
                vec![format!("Nothing is known of it here. References of this foregate begin with {own}.")]
            };
            told(site, operator, StatusCode::OK, &lines.unwrap_or_else(unknown))
        }
        _ => told(site, operator, StatusCode::NOT_FOUND, &["There is no such page.".to_owned()]),
    }
}

/// Takes the token, and keeps who has shown it in a cookie.
async fn enter(site: &Site, parts: &Parts, body: Incoming) -> Response<Body> {
    let Some(form) = read_form(body, LARGEST).await else {
        return answer::empty(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let shown = Query::from_bytes(&form).one("token").ok().flatten().unwrap_or_default();
    if !door::is_same_origin(&parts.headers, None) {
        return sign_in(FOREIGN);
    }
    match door::cookie(site, shown.trim(), &parts.headers, unix_now()) {
        Some(cookie) => {
            tracing::info!("an operator signed in at the operator's page");
            let mut response = to(PATH);
            response.headers_mut().append(SET_COOKIE, cookie);
            response
        }
        None => match parts.extensions.get().map_or(Ok(()), |peer| wrong_token(site, *peer)) {
            Ok(()) => sign_in("That is another token."),
            Err(limited) => too_many(site, limited, Intent::Navigation),
        },
    }
}

fn leave() -> Response<Body> {
    let mut response = to(PATH);
    response.headers_mut().append(SET_COOKIE, door::no_cookie());
    response
}

/// The form for the token.
fn sign_in(wrong: &str) -> Response<Body> {
    let page = OperatorSignIn { css: CSS, wrong, action: SIGN_IN };
    answer::page(StatusCode::UNAUTHORIZED, Page::new(&page, "'self'"))
}

/// A page of some lines.
fn told(site: &Site, operator: &Operator, status: StatusCode, lines: &[String]) -> Response<Body> {
    let csrf = operator.csrf(site);
    let page = OperatorTold { css: CSS, who: operator.name(), leaves: operator.leaves(), csrf: &csrf, lines };
    answer::page(status, Page::new(&page, "'self'"))
}

/// On to another address of the page, as a browser reads it where the page is.
fn to(path: &str) -> Response<Body> {
    let mut response = answer::empty(StatusCode::SEE_OTHER);
    if let Ok(path) = HeaderValue::from_str(path) {
        response.headers_mut().insert(LOCATION, path);
    }
    response
}

/// The same answer, loaded anew after some seconds.
fn again(mut response: Response<Body>, seconds: u8) -> Response<Body> {
    response.headers_mut().insert(REFRESH, HeaderValue::from(u16::from(seconds)));
    response
}

/// Where the page is.
pub(super) const PATH: &str = "/operator";
const SIGN_IN: &str = "/operator/sign-in";
const FOREIGN: &str = "This form was not sent from this page. Load the page again, and send it from there.";
/// Bytes of the largest form.
const LARGEST: usize = 16 * 1024;
