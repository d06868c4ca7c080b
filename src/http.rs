//! The faces: bytes to values, values to bytes. Which address is whose is decided in one match. Knows how to ask
//! the judge, not how it judges.

mod access;
mod admin;
mod answer;
mod audit;
mod body;
mod chooser;
mod compat;
mod denial;
pub mod dialect;
mod forward;
mod intent;
mod kept_form;
pub mod pages;
mod portal;
pub mod probe;
mod proxy;
pub mod question;
mod recent;
mod refs;
mod traced;

use std::collections::HashSet;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use ipnet::IpNet;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::browser::{Cookies, Origins, ReturnTo, Sealer};
use crate::canary::Canary;
use crate::gate::Gate;
use crate::headers::{ASSERTION, Heavy, OwnNames, Signer};
use crate::identity::Field;
use crate::journal::{Access, Audit};
use crate::limits::Limiter;
use crate::login::Login;
use crate::metrics::Metrics;
use crate::policy::{Grant, Vouching};
use crate::secret::Secret;
use crate::server::{Peer, Serve};
use crate::session::Sessions;
use crate::trace::{self, About, Tracer};
use crate::upstream::Upstreams;
use crate::visit::{Scheme, Visit};
pub use admin::{Admin, Reloaded, Reloads, Wish};
pub use body::Body;
pub use compat::{Compat, Tells};
use dialect::Dialect;
pub use kept_form::FormsAtOnce;
#[cfg(any(test, fuzzing))]
pub(crate) use proxy::look_at_hop;
pub use proxy::{LiveBody, Meddlers, Tunnels};
pub use recent::Recent;
use refs::Received;
pub use refs::References;

/// Everything of one version of the configuration that answering takes.
#[derive(Debug)]
pub struct Site {
    /// The judge.
    pub gate: Gate,
    /// Who asks the apps from outside, if that is wanted.
    pub canary: Option<Arc<Canary>>,
    /// How often anybody may try, shared with the judge.
    pub limiter: Arc<Limiter>,
    /// Signing in and out.
    pub login: Login,
    /// The sessions, shared with the judge.
    pub sessions: Arc<Sessions>,
    /// The names and scope of our cookies.
    pub cookies: Cookies,
    /// What signs our own forms.
    pub sealer: Arc<Sealer>,
    /// What signs the assertions that backends get.
    pub signer: Signer,
    /// Where browsers reach foregate itself.
    pub public_url: Url,
    /// What opens the operator's API; `None` only where its listener is on loopback.
    pub admin_token: Option<Secret>,
    /// The host of the app whose people may use the operator's page, by its own rules.
    pub admin_app: Option<String>,
    /// When the configuration as it is written was refused last, and why, if no other is in force since.
    pub last_reload: Arc<LastRefusal>,
    /// The last decisions, while somebody looks at them.
    pub recent: Arc<Recent>,
    /// The identity headers that clients may not send.
    pub own_names: Arc<OwnNames>,
    /// Whether foregate speaks TLS itself, so that clear text is not only what front proxies send.
    pub speaks_tls: bool,
    /// Peers whose word counts.
    pub trusted_proxies: Vec<IpNet>,
    /// Connections to backends, where foregate is the proxy.
    pub upstreams: Upstreams,
    /// Tunnels through it to backends.
    pub tunnels: Tunnels,
    /// Apps that set cookies of ours and have been told of in the log.
    pub meddlers: Meddlers,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What is written down for whoever audits.
    pub audit: Audit,
    /// Each request, where that is wanted.
    pub access: Access,
    /// What records traces, where they are wanted.
    pub tracer: Option<Tracer>,
    /// Peers that were refused and have been told of in the log.
    pub strangers: Strangers,
    /// Who vouches for people who are only thought of.
    pub vouching: Vouching,
    /// Origins whose scripts may ask who is signed in, beside those that foregate answers on itself.
    pub cors_origins: Vec<String>,
    /// The products whose addresses are answered beside our own.
    pub compat: Compat,
    /// How long the app tokens may last that people make for themselves; `None` where they may not.
    pub self_service: Option<Duration>,
    /// Forms that are read to be kept.
    pub kept_forms: FormsAtOnce,
    /// Apps and people whose large headers the log has told of.
    pub told_heavy: Once<(String, String)>,
    /// References of answers that say no, and what is kept of them.
    pub references: Arc<References>,
    /// Sign-outs under way, which go on when the browser leaves.
    pub farewells: TaskTracker,
}

/// The public listener: one [`Site`] for the whole of each request.
#[derive(Clone, Debug)]
pub struct Faces(pub Arc<ArcSwap<Site>>);

impl Serve for Faces {
    type Body = Body;

    async fn serve(&self, request: Request<Incoming>, peer: Peer) -> Response<Body> {
        match Dialect::of_path(request.uri().path()) {
            Some(dialect) => {
                // Borrowed, as a count that all cores write to would cost them more than most of a check.
                let site = self.0.load();
                let parts = request.into_parts().0;
                if let Some(tracer) = &site.tracer {
                    return Box::pin(traced::check(tracer, &site, dialect, &parts, peer)).await;
                }
                if site.access.is_on() {
                    return Box::pin(access::check(&site, dialect, &parts, peer)).await;
                }
                forward::answer(&site, dialect, &parts, peer).await
            }
            None => route(&self.0, &self.0.load_full(), request, peer).await,
        }
    }
}

/// Everything but checks.
fn route<'s>(
    house: &'s Arc<ArcSwap<Site>>,
    site: &'s Arc<Site>,
    request: Request<Incoming>,
    peer: Peer,
) -> std::pin::Pin<Box<dyn Future<Output = Response<Body>> + Send + 's>> {
    match &site.tracer {
        Some(tracer) => Box::pin(traced::other(tracer, house, site, request, peer)),
        None => noted_route(house, site, request, peer),
    }
}

/// The same, whether or not it belongs to a trace.
fn noted_route<'s>(
    house: &'s Arc<ArcSwap<Site>>,
    site: &'s Arc<Site>,
    request: Request<Incoming>,
    peer: Peer,
) -> std::pin::Pin<Box<dyn Future<Output = Response<Body>> + Send + 's>> {
    if site.access.is_on() {
        return Box::pin(access::other(house, site, request, peer));
    }
    own_route(house, site, request, peer)
}

/// The same, whether or not it is written down. Boxed, so that a check does not pay for the size of a sign-in, and a request to an app not for
/// that of foregate's own pages.
fn own_route<'s>(
    house: &'s Arc<ArcSwap<Site>>,
    site: &'s Arc<Site>,
    request: Request<Incoming>,
    peer: Peer,
) -> std::pin::Pin<Box<dyn Future<Output = Response<Body>> + Send + 's>> {
    if request.uri().path().starts_with("/.foregate/") {
        Box::pin(own_page(site, request, peer))
    } else if compat::is_theirs(site, &request) {
        Box::pin(compat::answer(site, request, peer))
    } else {
        Box::pin(proxy::answer(house, site, request, peer))
    }
}

/// One of foregate's own pages; what was received is kept where it is refused.
async fn own_page(site: &Arc<Site>, request: Request<Incoming>, peer: Peer) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    // For what is written down of it.
    parts.extensions.insert(peer);
    let received = Received::own(site, peer, &parts);
    let mut response = page(site, Request::from_parts(parts, body), peer).await;
    refs::note(site, &mut response, || received);
    response
}

async fn page(site: &Arc<Site>, request: Request<Incoming>, peer: Peer) -> Response<Body> {
    if kept_form::is_resume(request.uri().path()) {
        return kept_form::resume(site, request, peer).await;
    }
    let (parts, body) = request.into_parts();
    if let Some(response) = portal::elsewhere::answer_direct(site, &parts).await {
        return response;
    }
    let request = Request::from_parts(parts, body);
    match request.uri().path() {
        "/.foregate/sign-in" => portal::sign_in(site, &request.into_parts().0, peer).await,
        "/.foregate/callback" => portal::callback(site, &request.into_parts().0, peer).await,
        "/.foregate/sign-out" => portal::sign_out(site, request).await,
        "/.foregate/signed-out" => portal::signed_out(site),
        "/.foregate/backchannel-logout" => portal::logout::backchannel(site, request).await,
        "/.foregate/frontchannel-logout" => portal::logout::frontchannel(site, &request.into_parts().0).await,
        "/.foregate/account" => portal::account(site, request).await,
        portal::device::PATH => portal::device::ask(site, request, peer).await,
        portal::device::TOKEN_PATH => portal::device::poll(site, request, peer).await,
        portal::session::PATH => portal::session::answer(site, &request.into_parts().0).await,
        portal::session::SCRIPT_PATH => portal::session::script(&request.into_parts().0),
        JWKS_PATH => jwks(site, request.method()),
        _ => answer::text(StatusCode::NOT_FOUND, NO_SUCH_PAGE),
    }
}

impl Site {
    /// Tells the trace of the request that is under way, if there are traces.
    fn trace(&self, about: impl FnOnce() -> About) {
        if self.tracer.is_some() {
            trace::note(about);
        }
    }

    /// The scheme of all our addresses.
    fn scheme(&self) -> Scheme {
        if self.public_url.scheme() == "https" { Scheme::Https } else { Scheme::Http }
    }

    /// The port of an app's own URLs, if the host is one of ours.
    fn port_of(&self, host: &str) -> Option<u16> {
        let app = self.gate.policy.app_of(host)?;
        app.port.or_else(|| self.public_url.port_or_known_default())
    }

    /// Tells once of each person and app for whom identity headers take more room than there may be.
    #[cold]
    fn note_heavy(&self, grant: &Grant<'_>, heavy: Heavy) {
        self.metrics.heavy_answers.inc();
        let user = grant.person().map_or("", |person| person.identity().field(Field::Username));
        let app = &grant.app().name;
        if self.told_heavy.is_new((app.clone(), user.to_owned())) {
            let Heavy { bytes, limit_bytes, left_out } = heavy;
            tracing::warn!(
                app,
                user,
                bytes,
                limit_bytes,
                left_out,
                "the identity headers of this person are large: what does not fit into the front proxy's buffers breaks \
                 there, with nginx as it is above 4096 bytes; set groups = \"matching\" or a header_limit for the app, \
                 or enlarge the buffers"
            );
        }
    }

    /// Tells of somebody whom a rule in report mode would have kept out.
    fn note_report(&self, grant: &Grant<'_>, visit: &Visit<'_>) {
        if grant.rule().is_reporting()
            && let Some(missing) = grant.would_miss(visit, unix_now())
        {
            self.metrics.would_deny.inc();
            let path = String::from_utf8_lossy(visit.target.path.raw());
            let user = grant.person().map_or("", |person| person.identity().field(Field::Username));
            let missing = missing.join(", or ");
            let (rule, host, method) =
                (&grant.rule().name, &*visit.target.host, visit.target.method.as_str());
            tracing::warn!(rule, user, host, method, %path, missing, "a rule in report mode would deny this");
        }
    }

    /// Calls `with` with the origins that are ours.
    fn with_origins<T>(&self, with: impl FnOnce(&Origins<'_>) -> T) -> T {
        let port_of = |host: &str| self.port_of(host);
        with(&Origins { public_url: &self.public_url, port_of: &port_of, theirs: self.compat.paths() })
    }

    /// Adds the signed assertion for the app's backend, where the app wants one and somebody was let in.
    fn assert(&self, grant: &Grant<'_>, host: &str, lines: &mut HeaderMap) {
        let app = grant.app();
        let Some(person) = grant.shared_person().filter(|_| app.assertion) else { return };
        let Some(mut audience) = self.with_origins(|origins| origins.origin_of(host)) else { return };
        audience.push_str(app.prefix.as_deref().unwrap_or_default());
        lines.insert(ASSERTION, self.signer.assert(person, &app.headers, audience, unix_now()));
    }

    /// One of our own addresses, with where to go afterwards.
    fn own_url(&self, path: &str, rd: Option<&ReturnTo>, more: &[(&str, &str)]) -> Url {
        let mut url = self.public_url.clone();
        url.set_path(path);
        if rd.is_some() || !more.is_empty() {
            let mut query = url.query_pairs_mut();
            if let Some(rd) = rd {
                query.append_pair("rd", rd.as_str());
            }
            query.extend_pairs(more);
        }
        url
    }
}

/// `/.foregate/jwks.json`: the keys that backends check assertions with.
fn jwks(site: &Site, method: &Method) -> Response<Body> {
    if !(method == Method::GET || method == Method::HEAD) {
        return answer::wrong_method("GET, HEAD");
    }
    let mut response = answer::text(StatusCode::OK, site.signer.key_set());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    response
}

/// When a configuration was refused, and why, as long as no other is in force.
pub type LastRefusal = Mutex<Option<(u64, Vec<String>)>>;

/// Peers refused so far.
pub type Strangers = Once<IpAddr>;

/// What the log has told of, bounded, so that each is told once.
#[derive(Debug)]
pub struct Once<T>(Mutex<HashSet<T>>);

impl<T: Eq + Hash> Once<T> {
    /// Whether this is the first time; after very many nothing is new any more.
    fn is_new(&self, one: T) -> bool {
        let Ok(mut seen) = self.0.lock() else { return false };
        seen.len() < MOST_TOLD && seen.insert(one)
    }
}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// The time as everything below takes it: Unix seconds. A clock before 1970 makes everything too old.
#[expect(clippy::disallowed_methods, reason = "the faces are where time enters")]
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(u64::MAX, |time| time.as_secs())
}

/// The same in Unix milliseconds, for what is only written down.
#[expect(clippy::disallowed_methods, reason = "the faces are where time enters")]
pub fn unix_millis() -> u64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// foregate's own addresses for browsers and the provider.
pub const OWN_PATHS: [&str; 12] = [
    "/.foregate/sign-in",
    "/.foregate/callback",
    "/.foregate/sign-out",
    "/.foregate/signed-out",
    "/.foregate/backchannel-logout",
    "/.foregate/frontchannel-logout",
    "/.foregate/account",
    portal::device::PATH,
    portal::device::TOKEN_PATH,
    portal::session::PATH,
    portal::session::SCRIPT_PATH,
    JWKS_PATH,
];
const JWKS_PATH: &str = "/.foregate/jwks.json";
const NO_SUCH_PAGE: &str = "foregate has no page here.\n";
const MOST_TOLD: usize = 1000;
