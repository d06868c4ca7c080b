//! What the faces tell of a request to the trace that it belongs to. Knows neither spans nor who is told of them.

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::request::Parts;
use http::{Method, Request, Response};
use hyper::body::Incoming;

use super::access::cut;
use super::body::Body;
use super::dialect::{Dialect, addressed};
use super::{OWN_PATHS, Site, access, forward, noted_route};
use crate::server::Peer;
use crate::trace::{About, Tracer};

/// Answers a check as a part of its trace. Only a trusted peer says which that is.
pub(super) async fn check(
    tracer: &Tracer,
    site: &Site,
    dialect: Dialect,
    parts: &Parts,
    peer: Peer,
) -> Response<Body> {
    let route = format!("/.foregate/auth/{}", dialect.name());
    let name = (format!("{} {route}", method(&parts.method)), || about(parts, Some(&route)));
    let work = async {
        if site.access.is_on() {
            return access::check(site, dialect, parts, peer).await;
        }
        forward::answer(site, dialect, parts, peer).await
    };
    tracer.within((&parts.headers, peer.trusted), name, work, status).await
}

/// Answers any other request as a part of its trace.
pub(super) async fn other(
    tracer: &Tracer,
    house: &Arc<ArcSwap<Site>>,
    site: &Arc<Site>,
    request: Request<Incoming>,
    peer: Peer,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let route = OWN_PATHS.iter().find(|path| **path == parts.uri.path()).copied();
    let name = [Some(method(&parts.method)), route].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let (headers, about) = (parts.headers.clone(), about(&parts, route));
    let work = noted_route(house, site, Request::from_parts(parts, body), peer);
    tracer.within((&headers, peer.trusted), (name, || about), work, status).await
}

/// What is told of a request: whom it was sent to, but no query and no header.
fn about(parts: &Parts, route: Option<&str>) -> About {
    let host = addressed(&parts.headers).map(|host| host.to_string()).unwrap_or_default();
    let mut about = vec![
        ("http.request.method", method(&parts.method).to_owned()),
        ("server.address", host),
        ("url.path", cut(parts.uri.path()).to_owned()),
    ];
    about.extend(route.map(|route| ("http.route", route.to_owned())));
    about
}

/// A method that everybody knows, as names of spans are few (OpenTelemetry, HTTP spans).
fn method(method: &Method) -> &str {
    match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" | "CONNECT" | "TRACE") => {
            known
        }
        _ => "HTTP",
    }
}

fn status(response: &Response<Body>) -> u16 {
    response.status().as_u16()
}
