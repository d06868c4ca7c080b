//! The operator's listener: is it alive, is it ready, what has it counted, and the API. Knows no visitors.

mod access;
mod api;
mod explain;
mod input;
mod page;
mod reload;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::body::Body;
use super::denial::too_many;
use super::{Site, answer, unix_now};
use crate::limits::{Kind, Limited};
use crate::server::{Peer, Serve};
use crate::visit::Intent;
use access::Refused;
pub use reload::{Reloaded, Reloads, Wish};

/// The admin listener.
#[derive(Clone, Debug)]
pub struct Admin {
    /// What is in force.
    pub site: Arc<ArcSwap<Site>>,
    /// Where to ask for something else to be; nowhere without.
    pub reloads: Option<Reloads>,
}

impl Serve for Admin {
    type Body = Body;

    async fn serve(&self, mut request: Request<Incoming>, peer: Peer) -> Response<Body> {
        let site = self.site.load_full();
        // For what is written down of it.
        request.extensions_mut().insert(peer);
        if request.uri().path().starts_with("/api/") {
            let (parts, body) = request.into_parts();
            return match access::check(site.admin_token.as_ref(), &parts) {
                Ok(()) if parts.uri.path() == "/api/v1/reload" => {
                    Box::pin(reload::answer(self.reloads.as_ref(), &parts)).await
                }
                Ok(()) => Box::pin(api::answer(&site, Request::from_parts(parts, body))).await,
                Err(refused) => refused_by(&site, &parts, (refused, peer)),
            };
        }
        if page::is_ours(request.uri().path()) {
            return Box::pin(page::answer(&site, request)).await;
        }
        if !(request.method() == Method::GET || request.method() == Method::HEAD) {
            return answer::wrong_method("GET, HEAD");
        }
        match request.uri().path() {
            "/livez" => answer::text(StatusCode::OK, "alive\n"),
            "/readyz" => Box::pin(ready(&site)).await,
            "/metrics" => metrics(&site),
            _ => answer::text(
                StatusCode::NOT_FOUND,
                "There are /operator, /livez, /readyz, /metrics and /api/v1/ here.\n",
            ),
        }
    }
}

/// The same for somebody who shows a wrong token, whom the log tells of; and not any more after many.
fn refused_by(site: &Site, parts: &Parts, (refused, peer): (Refused, Peer)) -> Response<Body> {
    if refused != Refused::Token || !parts.headers.contains_key(AUTHORIZATION) {
        return refuse(refused);
    }
    match wrong_token(site, peer) {
        Ok(()) => refuse(refused),
        Err(limited) => too_many(site, limited, Intent::Call),
    }
}

/// Counts a wrong token, and tells the log.
///
/// # Errors
/// [`Limited`] after many.
fn wrong_token(site: &Site, peer: Peer) -> Result<(), Limited> {
    site.limiter.take(Kind::Token, Some(peer.address), unix_now())?;
    tracing::warn!(peer = %peer.address, "somebody showed a wrong token at the admin listener");
    Ok(())
}

/// Says no to somebody who may not use the API, and how they could.
fn refuse(refused: Refused) -> Response<Body> {
    let told = |status, reason, title, detail: &str| {
        answer::problem(status, reason, title, json!({ "detail": detail }))
    };
    match refused {
        Refused::Token => {
            let detail = "send Authorization: Bearer with the server.admin_token of this foregate";
            let mut response = told(StatusCode::UNAUTHORIZED, "token-required", "Token required", detail);
            let challenge = HeaderValue::from_static("Bearer realm=\"foregate admin\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            response
        }
        Refused::Host => {
            let detail = "without server.admin_token, ask by localhost or a loopback address";
            told(StatusCode::FORBIDDEN, "not-this-machine", "Not by this name", detail)
        }
        Refused::Page => {
            let detail = "without server.admin_token, no page in a browser may ask";
            told(StatusCode::FORBIDDEN, "from-a-page", "Not from a page", detail)
        }
        Refused::Script => {
            let detail = "this page is for people, in a window of its own";
            told(StatusCode::FORBIDDEN, "from-a-script", "Not from a script", detail)
        }
        Refused::Plain => {
            let detail =
                "without server.admin_token, send Content-Type: application/json or an X-Requested-With";
            told(StatusCode::FORBIDDEN, "not-json", "Send JSON", detail)
        }
    }
}

/// Names each part and how it is. A provider that is down is told, but those who are signed in go on.
async fn ready(site: &Site) -> Response<Body> {
    let now = unix_now();
    let (store, mut providers) = tokio::join!(site.sessions.probe(now), probe_providers(site, now));
    let ready = store.is_ok();
    let mut body = json!({ "ready": ready, "store": part(store.err().map(|error| error.to_string())) });
    // The one provider of a configuration is a part of its own; several are parts by their names.
    if site.login.providers().iter().len() == 1 {
        body["provider"] = providers.pop().map_or(Value::Null, |(_, part)| part);
    } else {
        body["providers"] = Value::Object(providers.into_iter().collect());
    }
    if let Some(emergency) = site.gate.emergency() {
        body["emergency"] = json!({ "open": emergency.is_open(), "declared": emergency.is_declared() });
    }
    if let Some(canary) = &site.canary {
        body["canary"] = canary.to_json();
    }
    let mut response =
        answer::text(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, body.to_string());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// How each provider is, asked all at once.
async fn probe_providers(site: &Site, now: u64) -> Vec<(String, Value)> {
    let mut probes = JoinSet::new();
    for named in site.login.providers().iter() {
        let (name, provider) = (named.name().to_owned(), named.provider().clone());
        probes.spawn(async move {
            let told = tokio::time::timeout(PROBE_TIME, provider.probe(now)).await;
            let error = told.map_or_else(
                |_| Some("no answer yet".to_owned()),
                |told| told.err().map(|error| error.to_string()),
            );
            (name, part(error))
        });
    }
    probes.join_all().await
}

/// What is wrong with such a part.
fn trouble_of(part: &Value) -> Option<String> {
    part["error"].as_str().map(str::to_owned)
}

fn part(error: Option<String>) -> Value {
    match error {
        None => json!({ "ok": true }),
        Some(error) => json!({ "ok": false, "error": error }),
    }
}

fn metrics(site: &Site) -> Response<Body> {
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    site.metrics.tasks.set(i64::try_from(tasks).unwrap_or(i64::MAX));
    let mut response = answer::text(StatusCode::OK, site.metrics.text());
    let format = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(format));
    response
}

/// How long the answer waits to tell how the provider is, which does not decide it.
const PROBE_TIME: Duration = Duration::from_millis(500);
