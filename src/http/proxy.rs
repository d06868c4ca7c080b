//! foregate as the proxy itself: the same judge, then the backend with the identity headers. Knows no rules.

mod circle;
mod clear;
mod homeward;
mod hop;
mod live;
mod outward;
mod shown;
mod trouble;
mod tunnel;
mod upgrade;
mod way;

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::header::{HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::time::timeout;

use super::access::{self, Decided};
use super::body::Body;
use super::denial::{self, Denied};
use super::dialect::direct;
use super::intent::{client, intent};
use super::portal::elsewhere::{Here, OwnPage};
use super::probe::{self, Saw};
use super::refs::{self, Asked, Came, Mark, Received};
use super::{Site, answer, kept_form, portal, unix_now};
use crate::headers::EMERGENCY;
use crate::journal;
use crate::metrics::Outcome;
use crate::policy::Grant;
use crate::server::Peer;
use crate::upstream::{Outgoing, ReplyBody, UpstreamError};
use crate::visit::{Scheme, Target, Visit};
pub use homeward::Meddlers;
use hop::Hop;
pub use live::LiveBody;
use live::{Kept, Live, is_long};
use shown::Shown;
pub use tunnel::Tunnels;
use upgrade::Socket;
use way::Way;
pub(super) use way::leads_astray;

/// Removes from any header lines what does not travel on, for [`crate::entrances`].
#[cfg(any(test, fuzzing))]
#[allow(clippy::expect_used, reason = "a test")]
pub(crate) fn look_at_hop(mut headers: HeaderMap) {
    let whole = headers.clone();
    let Ok(hop) = Hop::of_request(&headers) else { return };
    let peer = Peer { address: [192, 0, 2, 1].into(), trusted: true, local: false, in_clear: false };
    let _ = Way::of(&headers, peer, &["192.0.2.0/24".parse().expect("a network")]);
    hop.remove_from(&mut headers);
    for name in headers.keys() {
        let stays = name == http::header::TE && headers.get_all(name).iter().all(|value| value == "trailers");
        assert!(stays || !(hop.names(name) || hop::HOP_BY_HOP.contains(name)), "{name} goes on");
    }
    for name in whole.keys().filter(|name| !hop.names(name) && !hop::HOP_BY_HOP.contains(name)) {
        assert!(headers.get_all(name).iter().eq(whole.get_all(name)), "{name} is changed");
    }
}

/// What is read of a request before anything of it is removed, and what the backend is told of its visitor.
struct Told {
    hop: Hop,
    way: Way,
    /// The host that was judged, in one spelling.
    host: HeaderValue,
    /// The port of the app.
    port: Option<u16>,
    identity: HeaderMap,
}

impl Told {
    fn of(
        site: &Site,
        grant: &Grant<'_>,
        (parts, visit): (&Parts, &Visit<'_>),
        (hop, peer): (Hop, Peer),
    ) -> Self {
        let port = site.port_of(&visit.target.host);
        let mut identity = grant.app().headers.lines(grant.person());
        site.assert(grant, &visit.target.host, &mut identity);
        if grant.in_emergency() {
            identity.insert(EMERGENCY, HeaderValue::from_static("true"));
        }
        let way = Way::of(&parts.headers, peer, &site.trusted_proxies);
        Self { hop, way, host: written(visit, way::port_asked(parts), port), port, identity }
    }
}

/// The host of a visit as backends are told it, with the port that was `asked` for if it is the app's `own`: other ports and
/// spellings are the visitor's invention, and backends build links and cache keys from them.
fn written(visit: &Visit<'_>, asked: Option<u16>, own: Option<u16>) -> HeaderValue {
    let Target { host, scheme, .. } = &visit.target;
    let port = asked.filter(|port| *port != scheme.port() && own.is_none_or(|own| *port == own));
    let text = port.map_or_else(|| host.to_string(), |port| format!("{host}:{port}"));
    // A host that was judged is of letters that a header can have.
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Answers a request to a host with an upstream, and counts the decision; on any other host there is nothing. Whatever
/// is rare is boxed, as a future is moved in one piece.
#[expect(clippy::disallowed_methods, reason = "the faces are where time enters")]
pub(super) async fn answer(
    house: &Arc<ArcSwap<Site>>,
    site: &Site,
    request: Request<Incoming>,
    peer: Peer,
) -> Response<Body> {
    let started = Instant::now();
    let counted = |outcome| site.metrics.decided(outcome, started.elapsed().as_secs_f64());
    let (mut parts, body) = request.into_parts();
    if !upgrade::settle_method(&mut parts) {
        let response = answer::wrong_method("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        return unread(site, &parts, peer, response);
    }
    let visit = match direct(&parts, &site.cookies, site.scheme()) {
        Ok(visit) => visit.from(client(&parts.headers, peer, &site.trusted_proxies)),
        Err(malformed) => {
            counted(Outcome::Malformed);
            let text = format!("foregate: {malformed}.");
            return unread(site, &parts, peer, denial::refused(site, StatusCode::BAD_REQUEST, &text));
        }
    };
    let received = || Received::visit(site, Asked::Proxy, peer, &parts, &visit);
    let noted = |mut response: Response<Body>| {
        refs::note(site, &mut response, received);
        response
    };
    let Ok(hop) = Hop::of_request(&parts.headers) else {
        counted(Outcome::Malformed);
        return noted(denial::refused(site, StatusCode::BAD_REQUEST, NAMES_MORE));
    };
    if let Some((outcome, response)) = aside(site, &parts, &visit, peer).await {
        outcome.into_iter().for_each(counted);
        return noted(response);
    }
    let denied = match Denied::unless_allowed(site.gate.judge(&visit, unix_now()).await) {
        Ok(grant) => {
            counted(Outcome::Allowed);
            site.note_report(&grant, &visit);
            let draft = decided(&visit).allowed(site, &grant);
            let name = || denial::username(grant.person());
            site.recent.see(|| (Outcome::Allowed.name(), name(), received()));
            let told = Told::of(site, &grant, (&parts, &visit), (hop, peer));
            let kept = Kept::of(&parts, visit, &grant);
            let response = Passage { house, site, grant, peer }.forward((parts, body), told, kept).await;
            return access::with(draft, response);
        }
        Err(Denied::SignIn) => match Box::pin(kept_form::keep(site, &parts, &visit, body)).await {
            Some(response) => {
                counted(Outcome::SignIn);
                return noted(response);
            }
            None => Denied::SignIn,
        },
        Err(denied) => denied,
    };
    let user = denied.username();
    let (outcome, response) = Box::pin(denial::answer(site, &parts, &visit, denied, false)).await;
    let response = access::with(decided(&visit).denied(site, outcome, &user), response);
    site.recent.see(|| (outcome.name(), user, received()));
    let mut response = noted(response);
    probe::tell(site, &parts, &mut response, || Saw::visit("proxy", peer, &parts, &visit));
    counted(outcome);
    response
}

fn decided<'d>(visit: &'d Visit<'d>) -> Decided<'d> {
    Decided { kind: journal::Asked::Proxy, dialect: None, visit }
}

/// The same answer to a request that could not be read, noted.
fn unread(site: &Site, parts: &Parts, peer: Peer, mut response: Response<Body>) -> Response<Body> {
    refs::note(site, &mut response, || Received::unread(site, Asked::Proxy, peer, parts));
    response
}

/// The answer to what is not for a backend, with the decision it was, if it was one: what was sent on from here before, another
/// host, clear text, and foregate's own pages on a host outside the cookie domain. All of it is boxed.
async fn aside(
    site: &Site,
    parts: &Parts,
    visit: &Visit<'_>,
    peer: Peer,
) -> Option<(Option<Outcome>, Response<Body>)> {
    if circle::comes_back(&parts.headers) {
        let response = denial::refused(site, StatusCode::LOOP_DETECTED, COMES_BACK);
        return Some((Some(Outcome::Malformed), response));
    }
    if !site.gate.policy.is_proxied(&visit.target.host) {
        return Some((None, Box::pin(without_app(site, parts, &visit.target.host, peer)).await));
    }
    if peer.in_clear && site.speaks_tls && site.scheme() == Scheme::Https {
        return Some((None, clear::answer(site, visit)));
    }
    let (page, here) = (OwnPage::of(visit)?, Here::of(site, parts, visit, false)?);
    let (outcome, response) = Box::pin(here.own_page(page)).await;
    Some((Some(outcome), response))
}

/// The answer on a host that is not proxied: foregate's own first page, or nothing.
async fn without_app(site: &Site, parts: &Parts, host: &str, peer: Peer) -> Response<Body> {
    if site.public_url.host_str() == Some(host) && parts.uri.path() == "/" {
        return portal::home(site, parts, peer).await;
    }
    denial::refused(site, StatusCode::NOT_FOUND, NOTHING_HERE)
}

/// A request that was let in, between its visitor and the backend.
struct Passage<'s> {
    house: &'s Arc<ArcSwap<Site>>,
    site: &'s Site,
    grant: Grant<'s>,
    peer: Peer,
}

impl Passage<'_> {
    /// Sends the request to the backend, and the answer back.
    async fn forward(self, (mut parts, body): (Parts, Incoming), told: Told, kept: Kept) -> Response<Body> {
        let intent = intent(&parts.headers, &parts.method);
        let Ok(shown) = Shown::to(self.site, &self.grant, kept.credential()).await else {
            return self.noted(&kept.came(), denial::unavailable(self.site, intent));
        };
        let socket = Socket::wanted(&mut parts, &told.hop, &body);
        outward::prepare(self.site, &self.grant, (told, shown), socket.as_ref(), &mut parts);
        let watched = if is_long(&body) {
            Watched::Already(Live::begin(self.house, kept))
        } else {
            Watched::NotYet(kept)
        };
        let body = Outgoing::from(body).with_trailers(|| outward::strainer(self.site));
        let body = match &watched {
            Watched::NotYet(_) => body,
            Watched::Already(live) => body.until(live.until()),
        };
        let request = Request::from_parts(parts, body);
        let (sent, watched) = match self.exchange(request, watched).await {
            Ok(exchanged) => exchanged,
            Err(live) => return self.noted(live.came(), trouble::ended(self.site)),
        };
        match sent {
            Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => match socket {
                Some(socket) if socket.is_opened_by(&response) => {
                    self.open(socket, response, watched.live(self.house))
                }
                // Nobody asked, or for something else.
                Some(_) | None => self.noted(&watched.came(), trouble::odd_answer(self.site, intent)),
            },
            Ok(response) if socket.is_some_and(|socket| socket.seems_opened_by(&response)) => {
                self.noted(&watched.came(), trouble::odd_answer(self.site, intent))
            }
            Ok(response) => self.bring(response, watched),
            Err(error) => self.noted(&watched.came(), trouble::no_answer(self.site, &error, intent)),
        }
    }

    /// The same answer, noted: it came from nobody behind.
    #[cold]
    fn noted(&self, came: &Came, mut response: Response<Body>) -> Response<Body> {
        let mark = response.extensions_mut().remove::<Mark>();
        let mut response = match mark {
            Some(mark) => mark.about(self.grant.person()).on(response),
            None => response,
        };
        refs::note(self.site, &mut response, || Received::passed(came, self.peer, &self.grant));
        response
    }

    /// What the backend answers, and who watches by then; the watch alone if it would not be let in any more before.
    async fn exchange(
        &self,
        request: Request<Outgoing>,
        watched: Watched,
    ) -> Result<(Result<Response<ReplyBody>, UpstreamError>, Watched), Live> {
        let mut sending = pin!(self.site.upstreams.send(&self.grant, request));
        let live = match watched {
            Watched::Already(live) => live,
            Watched::NotYet(kept) => match timeout(LONG_WAIT, &mut sending).await {
                Ok(sent) => return Ok((sent, Watched::NotYet(kept))),
                // As in a long poll, whose answer may be short and come when the session is long over.
                Err(_) => Live::begin(self.house, kept),
            },
        };
        tokio::select! {
            biased;
            () = live.refused() => Err(live),
            sent = sending => Ok((sent, Watched::Already(live))),
        }
    }

    fn bring(&self, response: Response<ReplyBody>, watched: Watched) -> Response<Body> {
        let (mut parts, body) = response.into_parts();
        homeward::prepare(self.site, &self.grant, &mut parts);
        let body = if is_long(&body) {
            Body::Live(Box::new(LiveBody::new(body, watched.live(self.house))))
        } else {
            Body::Stream(body)
        };
        Response::from_parts(parts, body)
    }

    /// Answers that the WebSocket is open, and joins the two connections once both are.
    fn open(&self, socket: Socket, mut response: Response<ReplyBody>, live: Live) -> Response<Body> {
        let backend = hyper::upgrade::on(&mut response);
        let (mut parts, _) = response.into_parts();
        let held = parts.extensions.remove();
        homeward::prepare(self.site, &self.grant, &mut parts);
        let visitor = socket.tell(&mut parts);
        self.site.tunnels.open(visitor, (backend, held), live);
        Response::from_parts(parts, Body::Empty)
    }
}

/// Whether anybody watches over a request yet: what is short ends by itself.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each request, and a box would be made for each"
)]
enum Watched {
    NotYet(Kept),
    Already(Live),
}

impl Watched {
    fn came(&self) -> Came {
        match self {
            Self::NotYet(kept) => kept.came(),
            Self::Already(live) => live.came().clone(),
        }
    }

    fn live(self, house: &Arc<ArcSwap<Site>>) -> Live {
        match self {
            Self::NotYet(kept) => Live::begin(house, kept),
            Self::Already(live) => live,
        }
    }
}

/// How long an answer may be waited for before somebody watches over its session.
const LONG_WAIT: Duration = Duration::from_secs(5);
const NOTHING_HERE: &str = "foregate is here, but no app of its own is on this host.";
const COMES_BACK: &str = "foregate: this request was sent on from here and came back; the upstream of its app leads to foregate again.";
const NAMES_MORE: &str = "foregate: the header Connection names a field that is meant for the app.";
