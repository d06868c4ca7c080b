//! Sign-outs that the provider sends: to us with a signed token, or through the browser in a frame. Knows no rules
//! and not what makes a token good.

use std::sync::Arc;
use std::time::Duration;

use http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderValue, SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;

use super::super::answer;
use super::super::audit::place_of;
use super::super::body::Body;
use super::super::{Site, unix_now};
use super::note_sign_out;
use super::query::Query;
use crate::journal::{By, Place};
use crate::login::{Named, NotEnded};
use crate::session::store::StoreError;
use crate::trace;
use crate::visit::{Credential, SessionHandle};

/// `POST /.foregate/backchannel-logout` (Back-Channel Logout 1.0, 2.5 to 2.8): 200 as soon as nobody that the token names
/// is signed in any more, whether or not anybody was.
pub(in crate::http) async fn backchannel(site: &Arc<Site>, request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if parts.method != Method::POST {
        return answer::wrong_method("POST");
    }
    if !is_form(&parts.headers) {
        return refuse(StatusCode::BAD_REQUEST, "the body is not application/x-www-form-urlencoded");
    }
    let form = match read(body).await {
        Ok(form) => form,
        Err(response) => return response,
    };
    let Ok(Some(token)) = form.one("logout_token") else {
        return refuse(StatusCode::BAD_REQUEST, "there must be one logout_token");
    };
    // A task of its own: it goes on when the provider does not wait for it.
    let (told, place) = (Arc::clone(site), place_of(site, &parts));
    let ending = site.farewells.spawn(trace::carry(async move {
        let (who, sessions) = told.login.end_told(&token, unix_now()).await?;
        note_sign_out(&told, (who, By::Provider), sessions, &place);
        Ok(())
    }));
    match ending.await {
        Ok(Ok(())) => answer::empty(StatusCode::OK),
        Ok(Err(NotEnded::Token(error))) => {
            let reason = error.reason();
            tracing::warn!(reason, "a logout token was refused");
            refuse(StatusCode::BAD_REQUEST, &reason)
        }
        Ok(Err(error @ (NotEnded::Provider(_) | NotEnded::Keys(_) | NotEnded::Store(_)))) => {
            tracing::warn!(%error, "a logout token could not be obeyed yet");
            answer::retry(answer::oauth_error(
                StatusCode::SERVICE_UNAVAILABLE,
                "temporarily_unavailable",
                "nobody was signed out yet; send the same token once more",
            ))
        }
        Err(_) => answer::empty(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// `GET /.foregate/frontchannel-logout?iss=&sid=` (Front-Channel Logout 1.0, 3), which the provider shows in a frame. No
/// signature says who asks, so it ends nothing but the browser's own session, and that only by its right name.
pub(in crate::http) async fn frontchannel(site: &Arc<Site>, parts: &Parts) -> Response<Body> {
    if parts.method != Method::GET {
        return answer::wrong_method("GET");
    }
    let query = Query::of(parts);
    let (Ok(Some(issuer)), Ok(Some(sid))) = (query.one("iss"), query.one("sid")) else {
        return framed(site, StatusCode::OK);
    };
    let Credential::Session(first, mut handles) = site.cookies.credential(&parts.headers) else {
        return framed(site, StatusCode::OK);
    };
    handles.insert(0, first);
    let ending = site.farewells.spawn(trace::carry(end_own(
        Arc::clone(site),
        handles,
        (issuer, sid),
        place_of(site, parts),
    )));
    match ending.await {
        Ok(Ok(After::Drop)) => {
            let mut response = framed(site, StatusCode::OK);
            response.headers_mut().append(SET_COOKIE, site.cookies.drop_session());
            response.headers_mut().append(SET_COOKIE, site.cookies.drop_login());
            response
        }
        Ok(Ok(After::Keep)) => framed(site, StatusCode::OK),
        Ok(Err(error)) => {
            tracing::warn!(%error, "a browser could not be signed out for the provider");
            answer::retry(framed(site, StatusCode::SERVICE_UNAVAILABLE))
        }
        Err(_) => framed(site, StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// What becomes of a browser's cookies.
enum After {
    /// They open nothing any more.
    Drop,
    /// No session ended, or another one lives: the ended one was a neighbour's, who may set cookies of our name.
    Keep,
}

/// Ends those of a browser's sessions that the provider calls `sid`.
async fn end_own(
    site: Arc<Site>,
    handles: Vec<SessionHandle>,
    (issuer, sid): (String, String),
    place: Place,
) -> Result<After, StoreError> {
    let now = unix_now();
    let mut ended = Vec::new();
    for handle in &handles {
        ended.extend(site.login.end_if_of(handle, (&issuer, &sid), now).await?);
    }
    ended.iter().for_each(|farewell| note_sign_out(&site, (farewell.who.clone(), By::Provider), 1, &place));
    let mut stays_as_is = ended.is_empty();
    for handle in &handles {
        stays_as_is |= site.sessions.find(handle, now).await?.is_some();
    }
    let told = Arc::clone(&site);
    // The frame does not wait for the provider, which may wait for the frame.
    site.farewells.spawn(trace::carry(async move {
        for farewell in &ended {
            told.login.revoke(farewell, now).await;
        }
    }));
    Ok(if stays_as_is { After::Keep } else { After::Drop })
}

/// An empty answer that pages of our providers may frame, and nobody else's.
fn framed(site: &Site, status: StatusCode) -> Response<Body> {
    let origin = |named: &Named| named.provider().issuer().origin().ascii_serialization();
    let origins: Vec<String> = site.login.providers().iter().map(origin).collect();
    let policy = format!("default-src 'none'; frame-ancestors {}", origins.join(" "));
    let mut response = answer::empty(status);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let policy = HeaderValue::from_str(&policy);
    headers.insert(CONTENT_SECURITY_POLICY, policy.unwrap_or(HeaderValue::from_static(FRAMED_BY_NOBODY)));
    response
}

fn refuse(status: StatusCode, description: &str) -> Response<Body> {
    answer::oauth_error(status, "invalid_request", description)
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

async fn read(body: Incoming) -> Result<Query, Response<Body>> {
    let late = || refuse(StatusCode::REQUEST_TIMEOUT, "the body took too long");
    let read = tokio::time::timeout(FORM_TIME, Limited::new(body, LARGEST_FORM).collect());
    match read.await.map_err(|_| late())? {
        Ok(read) => Ok(Query::from_bytes(&read.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 64 KiB"))
        }
        Err(_) => Err(refuse(StatusCode::BAD_REQUEST, "the body ended early")),
    }
}

const FRAMED_BY_NOBODY: &str = "default-src 'none'; frame-ancestors 'none'";
/// Bytes of the largest form.
const LARGEST_FORM: usize = 64 * 1024;
const FORM_TIME: Duration = Duration::from_secs(10);
