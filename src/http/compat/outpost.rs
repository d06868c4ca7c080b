//! authentik's outpost. Knows no dialects but by name.

use std::sync::Arc;

use http::request::Parts;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;

use super::{ORIGINAL_METHOD, ORIGINAL_URL, check, method_untold, page, sign_in};
use crate::http::Site;
use crate::http::answer;
use crate::http::body::Body;
use crate::http::dialect::Dialect;
use crate::http::portal::query::Query;
use crate::server::Peer;

pub(super) const PREFIX: &str = "/outpost.goauthentik.io/";
/// Behind it is the visitor's own path.
pub(super) const ENVOY: &str = "/outpost.goauthentik.io/auth/envoy";

/// Answers what is asked behind [`PREFIX`].
pub(super) async fn answer(
    site: &Arc<Site>,
    rest: &str,
    request: Request<Incoming>,
    peer: Peer,
) -> Response<Body> {
    let query = request.uri().query().map(str::to_owned);
    let only =
        |dialect, request: Request<Incoming>| check(site, dialect, request.into_parts().0, (peer, None));
    match rest {
        _ if rest.starts_with("ping") => answer::empty(StatusCode::NO_CONTENT),
        "auth/traefik" => only(Dialect::Traefik, request).await,
        "auth/caddy" => only(Dialect::Caddy, request).await,
        "auth/nginx" => {
            let mut parts = request.into_parts().0;
            tell_method(site, &mut parts);
            check(site, Dialect::Nginx, parts, (peer, None)).await
        }
        "auth/envoy" => only(Dialect::Envoy, request).await,
        _ if rest.starts_with("auth/envoy/") => only(Dialect::Envoy, request).await,
        "start" => {
            let rd = Query::of_uri(request.uri()).rd();
            sign_in(site, rd, request, peer).await
        }
        "callback" => page(site, "/.foregate/callback", query.as_deref(), request, peer).await,
        "sign_out" => page(site, "/.foregate/sign-out", query.as_deref(), request, peer).await,
        _ => answer::text(StatusCode::NOT_FOUND, "foregate has no such address of authentik's outpost.\n"),
    }
}

/// authentik's configuration for nginx tells only the address. A method would be its visitor's own word, so none is read.
fn tell_method(site: &Site, parts: &mut Parts) {
    parts.headers.remove(ORIGINAL_METHOD);
    let url = parts.headers.get(ORIGINAL_URL).map(|url| url.as_bytes()).unwrap_or_default();
    let behind = url.windows(3).position(|part| part == b"://").map_or(&[][..], |at| &url[at + 3..]);
    let host = behind.split(|&byte| byte == b'/').next().unwrap_or_default();
    if let Some(method) = method_untold(site, host, &parts.headers) {
        parts.headers.insert(ORIGINAL_METHOD, method);
    }
}
