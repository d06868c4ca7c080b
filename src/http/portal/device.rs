//! `/.foregate/device`: where an app without a browser asks to be paired, and then for its token, in the words of RFC 8628. Knows
//! no sessions; who approves does so on the account page.

use std::sync::Arc;

use http::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::json;

use super::super::answer::{self, oauth_error};
use super::super::body::Body;
use super::super::intent::{client, client_address};
use super::super::{Site, unix_now};
use super::query::Query;
use super::{account, is_at_home, read_form, tokens};
use crate::limits::Kind;
use crate::server::Peer;
use crate::session::store::StoreError;
use crate::session::{Codes, NewPairing, PAIRING_TIME, POLL_EVERY, Polled};

/// Begins a pairing (RFC 8628 3.1).
pub(in crate::http) async fn ask(site: &Arc<Site>, request: Request<Incoming>, peer: Peer) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let form = match form_of(site, &parts, body).await {
        Ok(form) => form,
        Err(refusal) => return refusal,
    };
    let client = client_address(&parts.headers, peer, &site.trusted_proxies);
    let (app, name) = match wish(site, &form) {
        Ok(wish) => wish,
        Err(what) => return oauth_error(StatusCode::BAD_REQUEST, "invalid_request", what),
    };
    if let Some(refusal) = too_often(site, &parts.headers, peer) {
        return refusal;
    }
    if site.gate.policy.has_app(&app) {
        tracing::debug!(app, %client, "a device asks to be paired");
    } else {
        tracing::info!(app, %client, "a device asks to be paired for an app that is not there");
    }
    match site.sessions.begin_pairing(NewPairing { app, name, client }, unix_now()).await {
        Ok(Some(codes)) => begun(site, &codes),
        Ok(None) => {
            let what = "too many devices wait to be paired; try again in some minutes";
            answer::retry(oauth_error(StatusCode::TOO_MANY_REQUESTS, "slow_down", what))
        }
        Err(error) => silent(&error),
    }
}

/// Tells a device how far its pairing is (RFC 8628 3.4, 3.5), and hands over the token, once.
pub(in crate::http) async fn poll(
    site: &Arc<Site>,
    request: Request<Incoming>,
    peer: Peer,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let form = match form_of(site, &parts, body).await {
        Ok(form) => form,
        Err(refusal) => return refusal,
    };
    let lasts = site.self_service.unwrap_or_default();
    let (Ok(Some(code)), Ok(grant)) = (form.one("device_code"), form.one("grant_type")) else {
        let what = "device_code is wanted, and nothing twice";
        return oauth_error(StatusCode::BAD_REQUEST, "invalid_request", what);
    };
    if grant.is_some_and(|grant| grant != GRANT) {
        return oauth_error(StatusCode::BAD_REQUEST, "unsupported_grant_type", GRANT);
    }
    if let Some(refusal) = too_often(site, &parts.headers, peer) {
        return refusal;
    }
    let polled = site.sessions.poll_pairing(&code, lasts, unix_now()).await;
    // Each question is written into the store, so that only those of a device that waits as it was told cost nothing.
    if matches!(polled, Ok(Polled::Pending | Polled::Collected(_))) {
        let client = client(&parts.headers, peer, &site.trusted_proxies).address();
        site.limiter.give_back(Kind::Token, client);
    }
    match polled {
        Ok(Polled::Collected(token)) => {
            let told = json!({
                "access_token": token.expose(), "token_type": "Bearer", "expires_in": lasts.as_secs(),
            });
            answer::json(StatusCode::OK, &told)
        }
        Ok(polled) => {
            let (error, what) = not_yet(&polled);
            oauth_error(StatusCode::BAD_REQUEST, error, what)
        }
        Err(error) => silent(&error),
    }
}

/// Counts a question, which is taken back from a device that does as it was told; the answer where there were too many.
fn too_often(site: &Site, headers: &HeaderMap, peer: Peer) -> Option<Response<Body>> {
    let client = client(headers, peer, &site.trusted_proxies).address();
    let limited = site.limiter.take(Kind::Token, client, unix_now()).err()?;
    let what = "there are too many questions from here";
    let mut response = oauth_error(StatusCode::TOO_MANY_REQUESTS, "slow_down", what);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(limited.seconds));
    Some(response)
}

/// Why there is no token (RFC 8628 3.5, RFC 6749 5.2).
fn not_yet(polled: &Polled) -> (&'static str, &'static str) {
    match polled {
        Polled::Pending => ("authorization_pending", "nobody has decided yet"),
        Polled::TooSoon => ("slow_down", "ask less often"),
        Polled::Refused => ("access_denied", "it was refused"),
        Polled::Expired => ("expired_token", "nobody decided in time; begin again"),
        Polled::Unknown | Polled::Collected(_) => {
            ("invalid_grant", "no device waits with this code, or it has its token")
        }
    }
}

/// The form of a device, at foregate's own host, where people may make tokens.
async fn form_of(site: &Site, parts: &Parts, body: Incoming) -> Result<Query, Response<Body>> {
    if !is_at_home(site, parts) {
        let here = site.own_url(PATH, None, &[]);
        return Err(answer::text(StatusCode::NOT_FOUND, format!("Devices are paired at {here}\n")));
    }
    if parts.method != Method::POST {
        return Err(answer::wrong_method("POST"));
    }
    if site.self_service.is_none() {
        let what = "people make no app tokens here: tokens.self_service is not set";
        return Err(oauth_error(StatusCode::BAD_REQUEST, "unauthorized_client", what));
    }
    let too_long =
        || oauth_error(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", "the form is too long or too slow");
    read_form(body).await.ok_or_else(too_long)
}

/// The app that a device asks for, and what it calls itself.
fn wish(site: &Site, form: &Query) -> Result<(String, String), &'static str> {
    let (Ok(Some(app)), Ok(name)) = (form.one("app"), form.one("name")) else {
        return Err("app is wanted, and nothing twice");
    };
    // Nobody is told which apps there are. A device for one that is not there waits like any other: nobody can approve it.
    if !(is_app_name(&app) || site.gate.policy.has_app(&app)) {
        return Err("app has no blanks and at most 300 letters");
    }
    let name = name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| "A paired device".to_owned());
    if tokens::is_name(&name) { Ok((app, name)) } else { Err("name has at most 100 letters, on one line") }
}

/// Whether an app can have this name, be it there or not.
fn is_app_name(text: &str) -> bool {
    (1..=LONGEST_APP_BYTES).contains(&text.len())
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// What a device shows and keeps (RFC 8628 3.2).
fn begun(site: &Site, codes: &Codes) -> Response<Body> {
    let user = codes.user.to_string();
    let account = site.own_url(account::PATH, None, &[]);
    let complete = site.own_url(account::PATH, None, &[("code", &user)]);
    let told = json!({
        "device_code": codes.device,
        "user_code": user,
        "verification_uri": account.as_str(),
        "verification_uri_complete": complete.as_str(),
        "expires_in": PAIRING_TIME.as_secs(),
        "interval": POLL_EVERY.as_secs(),
    });
    answer::json(StatusCode::OK, &told)
}

fn silent(error: &StoreError) -> Response<Body> {
    tracing::error!(%error, "a device could not be answered");
    let what = "try again in some seconds";
    answer::retry(oauth_error(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", what))
}

/// Where devices ask.
pub(in crate::http) const PATH: &str = "/.foregate/device";
/// Where they ask for their token.
pub(in crate::http) const TOKEN_PATH: &str = "/.foregate/device/token";
/// A host has 253 bytes at most, and may have a path behind it.
const LONGEST_APP_BYTES: usize = 300;
const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
