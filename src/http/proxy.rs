//! foregate as the proxy itself: the same judge, then the backend with the identity headers. Knows no rules.

use std::time::Instant;

use http::header::{self, CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;

use super::body::Body;
use super::denial::{self, Denied};
use super::dialect::direct;
use super::intent::{client, client_address};
use super::portal::elsewhere::{Here, OwnPage};
use super::{Site, answer, kept_form, portal, unix_now};
use crate::headers::fold;
use crate::metrics::Outcome;
use crate::policy::{Decision, Grant};
use crate::server::Peer;
use crate::upstream::{Outgoing, RequestFault, UpstreamError};

/// Answers a request to a host with an upstream, and counts the decision; on any other host there is nothing.
#[expect(clippy::disallowed_methods, reason = "the faces are where time enters")]
pub(super) async fn answer(site: &Site, request: Request<Incoming>, peer: Peer) -> Response<Body> {
    if request.method() == Method::CONNECT || request.method() == Method::TRACE {
        return answer::wrong_method("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    }
    let started = Instant::now();
    let counted = |outcome| site.metrics.decided(outcome, started.elapsed().as_secs_f64());
    let (parts, body) = request.into_parts();
    let visit = match direct(&parts, &site.cookies, site.scheme()) {
        Ok(visit) => visit.from(client(&parts.headers, peer, &site.trusted_proxies)),
        Err(malformed) => {
            counted(Outcome::Malformed);
            return answer::text(StatusCode::BAD_REQUEST, format!("foregate: {malformed}.\n"));
        }
    };
    if !site.gate.policy.is_proxied(&visit.target.host) {
        if site.public_url.host_str() == Some(&visit.target.host) && parts.uri.path() == "/" {
            return portal::home(site, &parts).await;
        }
        return answer::text(StatusCode::NOT_FOUND, NOTHING_HERE);
    }
    if let Some(page) = OwnPage::of(&visit)
        && let Some(here) = Here::of(site, &parts, &visit, false)
    {
        let (outcome, response) = here.own_page(page).await;
        counted(outcome);
        return response;
    }
    let denied = match site.gate.judge(&visit, unix_now()).await {
        Decision::Allow(grant) => {
            counted(Outcome::Allowed);
            site.note_report(&grant, &visit);
            let mut lines = grant.app().headers.lines(grant.person());
            site.assert(&grant, &visit.target.host, &mut lines);
            drop(visit);
            return forward(site, &grant, lines, Request::from_parts(parts, body), peer).await;
        }
        Decision::StepUp(step) => Denied::StepUp(step.wanted.clone(), step.was_refused()),
        Decision::SignIn => match kept_form::keep(site, &parts, &visit, body).await {
            Some(response) => {
                counted(Outcome::SignIn);
                return response;
            }
            None => Denied::SignIn,
        },
        Decision::Forbid(refusal) => Denied::Forbidden(refusal),
        Decision::Unavailable => Denied::Unavailable,
    };
    let (outcome, response) = denial::answer(site, &parts, &visit, denied, false).await;
    counted(outcome);
    response
}

async fn forward(
    site: &Site,
    grant: &Grant<'_>,
    lines: HeaderMap,
    mut request: Request<Incoming>,
    peer: Peer,
) -> Response<Body> {
    if is_websocket(request.headers()) {
        return answer::text(StatusCode::NOT_IMPLEMENTED, "foregate does not pass WebSockets on yet.\n");
    }
    let host = request.headers().get(HOST).cloned();
    let client = client_address(request.headers(), peer, &site.trusted_proxies);
    let headers = request.headers_mut();
    drop_hop_by_hop(headers);
    drop_routing(headers);
    site.own_names.strip(headers);
    site.cookies.hide(headers);
    headers.extend(lines);
    headers.insert("x-forwarded-proto", HeaderValue::from_static(site.scheme().as_str()));
    if let (Some(host), Ok(client)) = (host, HeaderValue::from_str(&client.to_string())) {
        headers.insert(HOST, host.clone());
        headers.insert("x-forwarded-host", host);
        headers.insert("x-forwarded-for", client);
    }
    // The path that was judged, without the authority that an absolute address has.
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
    *request.version_mut() = Version::HTTP_11;
    match site.upstreams.send(grant, request.map(Outgoing::from)).await {
        Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
            answer::text(StatusCode::BAD_GATEWAY, "The app behind foregate answered what nobody asked.\n")
        }
        Ok(response) => {
            let mut response = response.map(Body::Stream);
            // The version is of the connection to the backend, not of this one (RFC 9110 2.5).
            *response.version_mut() = Version::HTTP_11;
            drop_hop_by_hop(response.headers_mut());
            response
        }
        Err(error) => no_answer(&error),
    }
}

fn no_answer(error: &UpstreamError) -> Response<Body> {
    let status = match error {
        UpstreamError::None => return answer::text(StatusCode::NOT_FOUND, NOTHING_HERE),
        UpstreamError::Full(_) | UpstreamError::Crowded(_) => StatusCode::SERVICE_UNAVAILABLE,
        UpstreamError::Connect(..) | UpstreamError::Broken(..) => StatusCode::BAD_GATEWAY,
        UpstreamError::Late(_) => StatusCode::GATEWAY_TIMEOUT,
        UpstreamError::Request(RequestFault::Idle) => StatusCode::REQUEST_TIMEOUT,
        UpstreamError::Request(RequestFault::Broken) => StatusCode::BAD_REQUEST,
        UpstreamError::Request(RequestFault::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
    };
    let reference = super::reference();
    tracing::warn!(ref = reference, %error, "a backend did not answer");
    let mut response =
        answer::text(status, format!("The app behind foregate does not answer. Reference: {reference}\n"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

/// Removes what speaks of one connection only, first of all what `Connection` names (RFC 9110 7.6.1).
fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

fn is_websocket(headers: &HeaderMap) -> bool {
    let named = |value: &HeaderValue| {
        value.as_bytes().to_ascii_lowercase().windows(9).any(|part| part == b"websocket")
    };
    headers.get_all(header::UPGRADE).iter().any(named)
}

/// Removes what a client says of its own way here, which is rebuilt, and of another address than the one that was
/// judged, which some backends would serve instead: in every spelling.
fn drop_routing(headers: &mut HeaderMap) {
    let routes = |name: &&HeaderName| {
        let folded = fold(name.as_str());
        ["xforwarded", "xoriginal", "xrewrite"].iter().any(|start| folded.starts_with(start))
            || OTHER_ROUTES.contains(&folded.as_str())
    };
    let named: Vec<HeaderName> = headers.keys().filter(routes).cloned().collect();
    for name in named {
        headers.remove(name);
    }
}

const HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
/// Further names, folded, by which backends are told of another scheme, method or person than the one judged.
const OTHER_ROUTES: [&str; 10] = [
    "forwarded",
    "foregateassertion",
    "frontendhttps",
    "http2settings",
    "xhttpmethod",
    "xhttpmethodoverride",
    "xmethodoverride",
    "xrealip",
    "xscheme",
    "xurlscheme",
];
const NOTHING_HERE: &str = "foregate is here, but no app of its own is on this host.\n";
