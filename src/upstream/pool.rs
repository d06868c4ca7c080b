//! The connections to one target: kept, counted, and waited for. Knows no other targets.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderValue;
use http::uri::Scheme;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout};

use super::UpstreamError;
use super::dial::{Dial, Offer, Speaks};
use super::health::Health;
use super::link::{Lane, Link, One, Shared};
use super::settings::{Bounds, Place, Protocol, Settings, Target, Times};
use super::tls::Connectors;
use crate::metrics::Metrics;

/// The connections to one target.
pub(super) struct Pool {
    /// How errors name it.
    pub name: Arc<str>,
    /// What it calls itself.
    pub host: HeaderValue,
    pub scheme: Scheme,
    pub times: Times,
    /// Requests under way here.
    pub pending: AtomicUsize,
    pub health: Health,
    pub metrics: Arc<Metrics>,
    pub dial: Dial,
    protocol: Protocol,
    bounds: Bounds,
    state: Mutex<State>,
    /// One at a time opens a connection that many can share.
    turn: Semaphore,
    /// Whether the target, asked for either version of HTTP, took the older.
    chose_http1: AtomicBool,
}

#[derive(Default)]
struct State {
    /// The one used last at the end.
    kept: Vec<One>,
    shared: Vec<Arc<Shared>>,
    /// Connections there are, or that are being opened.
    open: usize,
    waiting: VecDeque<oneshot::Sender<Turn>>,
}

/// The right to one connection, given back when dropped.
#[derive(Debug)]
pub(super) struct Slot(Option<Arc<Pool>>);

/// What somebody who waits gets.
enum Turn {
    Link(Link),
    Slot(Slot),
}

enum Next {
    Turn(Turn),
    Wait(oneshot::Receiver<Turn>),
}

/// Which connection is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// One that is there, or else a new one.
    Any,
    /// A new one.
    Fresh,
    /// A new one that can become a tunnel.
    Tunnel,
}

/// A request under way, counted.
#[derive(Debug)]
pub(super) struct Pending(Arc<Pool>);

/// What an answer holds until its end.
#[derive(Debug)]
pub(super) struct Hold {
    link: Link,
    pending: Pending,
}

/// What a tunnel holds of its backend: it counts as a connection and as a request for as long as this lives. Found in
/// the extensions of an answer with status 101; to be kept with the upgraded connection.
#[derive(Clone, Debug)]
pub struct Tunnel {
    _held: Arc<(Arc<Slot>, Pending)>,
}

impl Pool {
    pub(super) fn new(
        target: &Target,
        settings: &Settings,
        tls: Option<Connectors>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let name = match &target.place {
            Place::Tcp(..) => target.authority.as_str().into(),
            Place::Unix(path) => format!("unix:{}", path.display()).into(),
        };
        let tls = tls.map(|connectors| (connectors, settings.tls.server_name.clone()));
        Self {
            name,
            // An authority is visible ASCII.
            host: HeaderValue::from_str(target.authority.as_str())
                .unwrap_or_else(|_| HeaderValue::from_static("")),
            scheme: if target.protocol == Protocol::Https { Scheme::HTTPS } else { Scheme::HTTP },
            times: settings.times.clone(),
            pending: AtomicUsize::new(0),
            health: Health::default(),
            metrics,
            protocol: target.protocol,
            bounds: settings.bounds.clone(),
            dial: Dial::new(target, tls, settings.times.connect),
            state: Mutex::default(),
            turn: Semaphore::new(1),
            chose_http1: AtomicBool::new(!settings.tls.http2),
        }
    }

    /// A connection for one request, and whether it was there before.
    ///
    /// # Errors
    /// [`UpstreamError::Full`], [`UpstreamError::Crowded`] and [`UpstreamError::Connect`].
    pub(super) async fn take(self: &Arc<Self>, want: Want) -> Result<(Link, bool), UpstreamError> {
        loop {
            let turn = match self.next(want)? {
                Next::Turn(turn) => turn,
                Next::Wait(turn) => self.wait(turn).await?,
            };
            match turn {
                Turn::Slot(slot) => return self.connect(slot, want).await,
                Turn::Link(Link::Lane(_)) if want == Want::Tunnel => {}
                Turn::Link(Link::One(mut one)) => {
                    // It is about to be, or to close.
                    if one.is_ready() || timeout(self.times.connect, one.ready()).await == Ok(true) {
                        return Ok((Link::One(one), true));
                    }
                }
                Turn::Link(link) => return Ok((link, true)),
            }
        }
    }

    async fn wait(&self, turn: oneshot::Receiver<Turn>) -> Result<Turn, UpstreamError> {
        self.metrics.upstream_waiting.inc();
        let turn = timeout(self.times.queue, turn).await;
        self.metrics.upstream_waiting.dec();
        match turn {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(UpstreamError::Crowded(Arc::clone(&self.name))),
        }
    }

    fn next(self: &Arc<Self>, want: Want) -> Result<Next, UpstreamError> {
        // Dropped behind the lock, which they ask for.
        let mut old = Vec::new();
        let now = Instant::now();
        let mut state = self.state();
        if want == Want::Any {
            let link = state.lane(self, now).map(Link::Lane);
            if let Some(link) = link.or_else(|| state.kept(&self.times, now).map(Link::One)) {
                return Ok(Next::Turn(Turn::Link(link)));
            }
        }
        if state.open < self.bounds.connections {
            state.open += 1;
            self.metrics.upstream_connections.inc();
            return Ok(Next::Turn(Turn::Slot(Slot(Some(Arc::clone(self))))));
        }
        if state.waiting.len() >= self.bounds.pending {
            state.waiting.retain(|waiting| !waiting.is_closed());
            if state.waiting.len() >= self.bounds.pending {
                return Err(UpstreamError::Full(Arc::clone(&self.name)));
            }
        }
        // Those too old to be used again stand in the way.
        old.extend(state.kept.extract_if(.., |one| is_old(one, &self.times, now)));
        let (sender, receiver) = oneshot::channel();
        state.waiting.push_back(sender);
        Ok(Next::Wait(receiver))
    }

    async fn connect(self: &Arc<Self>, slot: Slot, want: Want) -> Result<(Link, bool), UpstreamError> {
        let failed = |why: String| UpstreamError::Connect(Arc::clone(&self.name), why);
        let offer = if want == Want::Tunnel { Offer::Http1 } else { Offer::Any };
        let may_share = self.protocol != Protocol::Http && !self.chose_http1.load(Ordering::Relaxed);
        let mut turn = None;
        if want == Want::Any && may_share {
            let waited = timeout(self.times.connect, self.turn.acquire()).await;
            turn = waited.map_err(|_| failed("no answer in time".to_owned()))?.ok();
            let lane = self.state().lane(self, Instant::now());
            if let Some(lane) = lane {
                return Ok((Link::Lane(lane), true));
            }
        }
        let (socket, speaks) = self.dial.connect(offer).await.map_err(failed)?;
        let broken = |error: hyper::Error| failed(error.to_string());
        let link = match speaks {
            Speaks::Http1 => Link::One(One::open(socket, slot).await.map_err(broken)?),
            Speaks::Http2 => {
                let opened = timeout(self.times.connect, Shared::open(socket, slot)).await;
                let shared = opened.map_err(|_| failed("it does not speak HTTP/2".to_owned()))?;
                Link::Lane(self.share(&shared.map_err(broken)?))
            }
        };
        if offer == Offer::Any && self.protocol == Protocol::Https {
            self.chose_http1.store(speaks == Speaks::Http1, Ordering::Relaxed);
        }
        drop(turn);
        Ok((link, false))
    }

    /// Lets others use a connection, too.
    fn share(self: &Arc<Self>, shared: &Arc<Shared>) -> Lane {
        let lane = {
            let mut state = self.state();
            state.shared.push(Arc::clone(shared));
            Lane::claim(shared, self)
        };
        self.feed();
        lane.unwrap_or_else(|| Lane::beyond(shared, self))
    }

    /// Takes a connection back whose answer has been read.
    fn give(self: &Arc<Self>, mut one: One) {
        one.since = Instant::now();
        if one.is_closed() || one.age(one.since) > self.times.connection_age {
            return;
        }
        let mut turn = Turn::Link(Link::One(one));
        loop {
            let mut state = self.state();
            let Some(waiting) = state.waiting.pop_front() else {
                if let Turn::Link(Link::One(one)) = turn {
                    state.kept.push(one);
                }
                return;
            };
            drop(state);
            match waiting.send(turn) {
                Ok(()) => return,
                Err(back) => turn = back,
            }
        }
    }

    /// Gives streams that have become free to those who wait.
    pub(super) fn feed(self: &Arc<Self>) {
        loop {
            let mut state = self.state();
            if state.waiting.is_empty() {
                return;
            }
            let Some(lane) = state.lane(self, Instant::now()) else { return };
            let waiting = state.waiting.pop_front();
            drop(state);
            if let Some(waiting) = waiting {
                // Whoever does not wait any more leaves it to the next.
                let _ = waiting.send(Turn::Link(Link::Lane(lane)));
            }
        }
    }

    /// Closes what has been kept for too long; how many are kept still.
    pub(super) fn sweep(&self, now: Instant) -> usize {
        let mut state = self.state();
        let old: Vec<One> = state.kept.extract_if(.., |one| is_old(one, &self.times, now)).collect();
        let worn = |shared: &Shared| {
            shared.is_gone()
                || shared.age(now) > self.times.connection_age
                || shared.unused(now) > self.times.keepalive
        };
        let gone: Vec<_> = state.shared.extract_if(.., |shared| worn(shared)).collect();
        let kept = state.kept.len() + state.shared.len();
        drop(state);
        drop((old, gone));
        kept
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_old(one: &One, times: &Times, now: Instant) -> bool {
    one.is_closed()
        || now.saturating_duration_since(one.since) > times.keepalive
        || one.age(now) > times.connection_age
}

impl State {
    /// The connection used last of those that can be used, as those before it are more likely to have been closed.
    fn kept(&mut self, times: &Times, now: Instant) -> Option<One> {
        let index = self.kept.iter().rposition(|one| one.is_ready() && !is_old(one, times, now))?;
        Some(self.kept.remove(index))
    }

    fn lane(&self, pool: &Arc<Pool>, now: Instant) -> Option<Lane> {
        let usable =
            |shared: &&Arc<Shared>| !shared.is_gone() && shared.age(now) <= pool.times.connection_age;
        self.shared.iter().filter(usable).find_map(|shared| Lane::claim(shared, pool))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Some(pool) = self.0.take() else { return };
        let mut turn = Turn::Slot(Self(Some(Arc::clone(&pool))));
        loop {
            let mut state = pool.state();
            let Some(waiting) = state.waiting.pop_front() else {
                state.open -= 1;
                break;
            };
            drop(state);
            match waiting.send(turn) {
                Ok(()) => return,
                Err(back) => turn = back,
            }
        }
        pool.metrics.upstream_connections.dec();
        if let Turn::Slot(mut unused) = turn {
            unused.0 = None;
        }
    }
}

impl Pending {
    pub(super) fn new(pool: &Arc<Pool>) -> Self {
        pool.pending.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(pool))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.pending.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Hold {
    pub(super) fn new(link: Link, pending: Pending) -> Self {
        Self { link, pending }
    }

    /// Frees the connection for the next request, as the answer came to its end. Dropped instead, it closes.
    pub(super) fn finish(self) {
        if let Link::One(one) = self.link {
            self.pending.0.give(one);
        }
    }

    /// What remains of it when the connection becomes a tunnel.
    pub(super) fn into_tunnel(self) -> Option<Tunnel> {
        match self.link {
            Link::One(one) => Some(Tunnel { _held: Arc::new((one.slot, self.pending)) }),
            Link::Lane(_) => None,
        }
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("name", &self.name).finish_non_exhaustive()
    }
}
