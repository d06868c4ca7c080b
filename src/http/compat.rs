//! The addresses of authentik's outpost and of oauth2-proxy, so that what front proxies say to those stays as it is.
//! Makes each request one of our own, and the answer one of theirs. Knows no rules.

mod oauth2_proxy;
mod outpost;

use std::sync::Arc;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use url::form_urlencoded;

use super::body::Body;
use super::dialect::{AUTH_PREFIX, Dialect, addressed};
use super::forward;
use super::refs::{self, Asked, Received};
use super::{Site, answer, denial, own_page};
use crate::headers::ASSERTION;
use crate::policy::Requirement;
use crate::server::Peer;
use crate::visit::parse_host;

/// The products whose addresses are answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compat {
    /// authentik's outpost: `/outpost.goauthentik.io/`.
    pub outpost: bool,
    /// oauth2-proxy: `/oauth2/`, and `/ping` and `/ready` on hosts that are not proxied.
    pub oauth2_proxy: Option<Tells>,
}

/// Which headers say what a check of oauth2-proxy's is about. Never several at once: what a front proxy does not set
/// may be its visitor's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tells {
    /// X-Forwarded-Method, -Proto, -Host and -Uri, as Traefik and Caddy set them.
    Forwarded,
    /// `Host` and X-Forwarded-Uri, as the configuration for nginx in oauth2-proxy's documentation sets them.
    Nginx,
}

impl Compat {
    /// How the paths begin that are theirs.
    pub fn paths(self) -> &'static [&'static str] {
        match (self.outpost, self.oauth2_proxy) {
            (true, Some(_)) => &[outpost::PREFIX, oauth2_proxy::PREFIX],
            (true, None) => &[outpost::PREFIX],
            (false, Some(_)) => &[oauth2_proxy::PREFIX],
            (false, None) => &[],
        }
    }
}

/// Whether a request is to an address of theirs.
pub(super) fn is_theirs<B>(site: &Site, request: &Request<B>) -> bool {
    let (compat, path) = (&site.compat, request.uri().path());
    if compat.outpost && path.starts_with(outpost::PREFIX) {
        return true;
    }
    // A proxied app may have a page of that name.
    let is_probe = || oauth2_proxy::PROBES.contains(&path) && !is_proxied(site, request);
    compat.oauth2_proxy.is_some() && (path.starts_with(oauth2_proxy::PREFIX) || is_probe())
}

fn is_proxied<B>(site: &Site, request: &Request<B>) -> bool {
    addressed(request.headers()).is_none_or(|host| site.gate.policy.is_proxied(&host))
}

/// Answers as the product whose address it is; what was received is kept where that is a refusal.
pub(super) async fn answer(site: &Arc<Site>, request: Request<Incoming>, peer: Peer) -> Response<Body> {
    // A check of theirs is one of ours, and noted as that.
    if is_check(request.uri().path()) {
        return answer_as(site, request, peer).await;
    }
    let (parts, body) = request.into_parts();
    let received = Received::own(site, peer, &parts);
    let mut response = answer_as(site, Request::from_parts(parts, body), peer).await;
    refs::note(site, &mut response, || received);
    response
}

fn is_check(path: &str) -> bool {
    let rest = path.strip_prefix(outpost::PREFIX).or_else(|| path.strip_prefix(oauth2_proxy::PREFIX));
    rest.is_some_and(|rest| rest == "auth" || rest.starts_with("auth/"))
}

async fn answer_as(site: &Arc<Site>, request: Request<Incoming>, peer: Peer) -> Response<Body> {
    let path = request.uri().path().to_owned();
    match (
        path.strip_prefix(outpost::PREFIX),
        path.strip_prefix(oauth2_proxy::PREFIX),
        site.compat.oauth2_proxy,
    ) {
        (Some(rest), ..) => outpost::answer(site, rest, request, peer).await,
        (None, Some(rest), Some(tells)) => oauth2_proxy::answer(site, (rest, tells), request, peer).await,
        (None, ..) => oauth2_proxy::probe(site, &path).await,
    }
}

/// A check at the address that foregate has for a dialect, narrowed to who is `wanted`, too.
async fn check(
    site: &Site,
    dialect: Dialect,
    mut parts: Parts,
    (peer, wanted): (Peer, Option<&Requirement>),
) -> Response<Body> {
    // What narrows; and of Envoy the visitor's own, which it sends along and which is judged.
    let query = parts.uri.query();
    let behind = if dialect == Dialect::Envoy { parts.uri.path().strip_prefix(outpost::ENVOY) } else { None };
    let path = format!("{AUTH_PREFIX}{}{}", dialect.name(), behind.unwrap_or_default());
    let Some(uri) = uri(&parts.uri, &path, query) else {
        let mut response = denial::refused(site, StatusCode::BAD_REQUEST, "foregate: this address is none.");
        refs::note(site, &mut response, || Received::unread(site, Asked::By(dialect), peer, &parts));
        return response;
    };
    parts.uri = uri;
    let mut response = forward::answer_narrowed(site, dialect, &parts, (peer, wanted)).await;
    // Configurations for those products let scripts of an app ask, too, and name any other app.
    if let Some(assertion) = response.headers_mut().get_mut(ASSERTION) {
        *assertion = HeaderValue::from_static("");
    }
    response
}

/// A page of ours, asked for with this query.
async fn page(
    site: &Arc<Site>,
    path: &str,
    query: Option<&str>,
    request: Request<Incoming>,
    peer: Peer,
) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    let Some(uri) = uri(&parts.uri, path, query) else { return answer::empty(StatusCode::BAD_REQUEST) };
    parts.uri = uri;
    own_page(site, Request::from_parts(parts, body), peer).await
}

/// A sign-in that leads to `rd`, or else to the start of the host that was asked. A path is one of that host.
async fn sign_in(
    site: &Arc<Site>,
    rd: Option<String>,
    request: Request<Incoming>,
    peer: Peer,
) -> Response<Body> {
    let rd = rd.unwrap_or_else(|| "/".to_owned());
    let absolute = if rd.starts_with('/') { origin(site, &request).map(|origin| origin + &rd) } else { None };
    let query: String =
        form_urlencoded::Serializer::new(String::new()).append_pair("rd", &absolute.unwrap_or(rd)).finish();
    page(site, "/.foregate/sign-in", Some(&query), request, peer).await
}

/// The origin of the host that was asked, as browsers write it.
fn origin<B>(site: &Site, request: &Request<B>) -> Option<String> {
    let host = addressed(request.headers())?;
    site.with_origins(|origins| origins.origin_of(&host))
}

/// What stands for a method that a check does not tell: any, where no rule asks for methods, and else none. Where an address is there to copy
/// or move something to, it may be one that does.
fn method_untold(site: &Site, host: &[u8], headers: &HeaderMap) -> Option<HeaderValue> {
    let host = parse_host(host).ok()?;
    if !site.gate.policy.minds_methods(&host) {
        let is_address = |place: &HeaderValue| memchr::memmem::find(place.as_bytes(), b"://").is_some();
        let moves = headers.get_all("destination").iter().any(is_address);
        return Some(HeaderValue::from_static(if moves { "MOVE" } else { "GET" }));
    }
    tracing::warn!(
        host = &*host,
        "a check that does not tell the method was refused, as rules of this app ask for methods; have nginx ask \
         /.foregate/auth/nginx, as `foregate snippet nginx` prints it"
    );
    None
}

/// The address with another path and query; an authority of its own stays, so that it is held against `Host`.
fn uri(asked: &Uri, path: &str, query: Option<&str>) -> Option<Uri> {
    let text = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let mut parts = asked.clone().into_parts();
    parts.path_and_query = Some(text.parse().ok()?);
    Uri::from_parts(parts).ok()
}

const ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");
const ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");
