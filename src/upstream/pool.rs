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
    waiting: VecDeque<Waiter>,
}

/// Somebody in the queue.
struct Waiter {
    want: Want,
    hand: oneshot::Sender<Turn>,
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
        // One for the whole of it, however often it is handed what has just ended.
        let mut queued = None;
        loop {
            let turn = match self.next(want)? {
                Next::Turn(turn) => turn,
                Next::Wait(turn) => self.wait(turn, *queued.get_or_insert_with(Instant::now)).await?,
            };
            match turn {
                Turn::Slot(slot) => return self.connect(slot, want).await,
                Turn::Link(Link::One(mut one)) => {
                    // It is about to be, or to close.
                    if one.is_ready() || timeout(self.times.connect, one.ready()).await == Ok(true) {
                        return Ok((Link::One(one), true));
                    }
                }
                Turn::Link(link @ Link::Lane(_)) => return Ok((link, true)),
            }
        }
    }

    async fn wait(&self, turn: oneshot::Receiver<Turn>, since: Instant) -> Result<Turn, UpstreamError> {
        let _counted = Waiting::new(&self.metrics);
        match timeout(self.times.queue.saturating_sub(since.elapsed()), turn).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(UpstreamError::Crowded(Arc::clone(&self.name))),
        }
    }

    fn next(self: &Arc<Self>, want: Want) -> Result<Next, UpstreamError> {
        // Dropped behind the lock, which they ask for.
        let _freed;
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
        if want == Want::Tunnel
            && let Some(one) = state.kept(&self.times, now)
        {
            return Ok(Next::Turn(Turn::Link(Link::One(one))));
        }
        if state.waiting.len() >= self.bounds.pending {
            state.waiting.retain(|waiting| !waiting.hand.is_closed());
            if state.waiting.len() >= self.bounds.pending {
                return Err(UpstreamError::Full(Arc::clone(&self.name)));
            }
        }
        let (hand, receiver) = oneshot::channel();
        state.waiting.push_back(Waiter { want, hand });
        _freed = state.make_room(want, &self.times, now);
        Ok(Next::Wait(receiver))
    }

    async fn connect(self: &Arc<Self>, slot: Slot, want: Want) -> Result<(Link, bool), UpstreamError> {
        let failed = |why: String| UpstreamError::Connect(Arc::clone(&self.name), why);
        let offer = if want == Want::Tunnel { Offer::Http1 } else { Offer::Any };
        let mut turn = None;
        if want == Want::Any && self.may_share() {
            // Whoever waits too long for it goes ahead: what keeps the one before may not be the target's fault.
            turn = timeout(self.times.connect, self.turn.acquire()).await.ok().and_then(Result::ok);
            let lane = self.state().lane(self, Instant::now());
            if let Some(lane) = lane {
                return Ok((Link::Lane(lane), true));
            }
            // The one before may have found out that there is nothing to share.
            turn = turn.filter(|_| self.may_share());
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

    /// Whether a new connection may be one that many can share.
    fn may_share(&self) -> bool {
        self.protocol != Protocol::Http && !self.chose_http1.load(Ordering::Relaxed)
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
        if one.is_closed() || one.is_bound() || one.age(one.since) > self.times.connection_age {
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
            match waiting.hand.send(turn) {
                Ok(()) => return,
                Err(back) => turn = back,
            }
        }
    }

    /// Gives streams that have become free to those who wait for one; for a tunnel, a connection closes whose streams are
    /// all free.
    pub(super) fn feed(self: &Arc<Self>) {
        // What those left who do not wait any more.
        let mut left = None;
        loop {
            let mut state = self.state();
            let Some(place) = state.waiting.iter().position(|waiting| waiting.want != Want::Tunnel) else {
                let unused = if state.waiting.is_empty() { None } else { state.unused() };
                drop(state);
                drop((left, unused));
                return;
            };
            let Some(lane) = left.take().or_else(|| state.lane(self, Instant::now())) else { return };
            let waiting = state.waiting.remove(place);
            drop(state);
            if let Some(waiting) = waiting
                && let Err(Turn::Link(Link::Lane(lane))) = waiting.hand.send(Turn::Link(Link::Lane(lane)))
            {
                left = Some(lane);
            }
        }
    }

    /// Closes what has been kept for too long; how many are kept still.
    pub(super) fn sweep(&self, now: Instant) -> usize {
        let mut state = self.state();
        let worn = state.worn(&self.times, now);
        let kept = state.kept.len() + state.shared.len();
        drop(state);
        drop(worn);
        kept
    }

    /// Closes all that nobody uses; whether there are still connections.
    pub(super) fn close_unused(&self) -> bool {
        let mut state = self.state();
        let ones = std::mem::take(&mut state.kept);
        let idle = |shared: &Shared| shared.is_gone() || shared.is_unused();
        let shared: Vec<_> = state.shared.extract_if(.., |shared| idle(shared)).collect();
        drop(state);
        drop((ones, shared));
        self.state().open > 0
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
        let usable = |one: &&One| !is_old(one, times, now);
        let ready = self.kept.iter().rposition(|one| one.is_ready() && usable(&one));
        // One whose answer has just been read is about to be ready, and nobody is told when it is.
        let index = ready.or_else(|| self.kept.iter().rposition(|one| usable(&one)))?;
        Some(self.kept.remove(index))
    }

    /// Takes out what is not to be used again.
    fn worn(&mut self, times: &Times, now: Instant) -> (Vec<One>, Vec<Arc<Shared>>) {
        let ones = self.kept.extract_if(.., |one| is_old(one, times, now)).collect();
        let worn = |shared: &Shared| {
            shared.is_gone() || shared.age(now) > times.connection_age || shared.unused(now) > times.keepalive
        };
        (ones, self.shared.extract_if(.., |shared| worn(shared)).collect())
    }

    /// Takes out what stands in the way of somebody who waits: what is worn, and where that is no kept connection, for
    /// who wants another one, the one that was used least recently.
    fn make_room(&mut self, want: Want, times: &Times, now: Instant) -> (Vec<One>, Vec<Arc<Shared>>) {
        let (mut ones, mut shared) = self.worn(times, now);
        if want != Want::Any && ones.is_empty() {
            match self.kept.is_empty() {
                true => shared.extend(self.unused()),
                false => ones.push(self.kept.remove(0)),
            }
        }
        (ones, shared)
    }

    /// Takes out a connection that many can share and nobody uses.
    fn unused(&mut self) -> Option<Arc<Shared>> {
        let index = self.shared.iter().position(|shared| shared.is_unused())?;
        Some(self.shared.remove(index))
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
            match waiting.hand.send(turn) {
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

/// Somebody who waits, counted.
struct Waiting<'m>(&'m Metrics);

impl<'m> Waiting<'m> {
    fn new(metrics: &'m Metrics) -> Self {
        metrics.upstream_waiting.inc();
        Self(metrics)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.upstream_waiting.dec();
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

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use http::Request;

    use tokio::task::yield_now;

    use super::*;
    use crate::trust::SystemRoots;
    use crate::upstream::exchange::exchange;
    use crate::upstream::outgoing::Outgoing;
    use crate::upstream::reply::Streams;
    use crate::upstream::tls::{Roots, Tls};

    fn pool(protocol: Protocol, connections: usize, listener: &TcpListener) -> Arc<Pool> {
        let address = listener.local_addr().unwrap();
        let target = Target {
            place: Place::Tcp(address.ip().to_string(), address.port()),
            protocol,
            authority: address.to_string().parse().unwrap(),
        };
        let settings = Settings {
            targets: vec![target.clone()],
            tls: Arc::new(Tls { roots: Roots::Anybody, ..Tls::default() }),
            times: Times { queue: Duration::from_millis(200), ..Times::default() },
            bounds: Bounds { connections, ..Bounds::default() },
            sticky: false,
            check: None,
        };
        let tls = settings.tls.connectors(&SystemRoots::default()).unwrap();
        Arc::new(Pool::new(&target, &settings, Some(tls), Arc::default()))
    }

    fn listener() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").unwrap()
    }

    /// A connection whose other end is returned, too.
    async fn one(pool: &Arc<Pool>, listener: &TcpListener) -> (One, TcpStream) {
        let (link, kept) = pool.take(Want::Any).await.unwrap();
        let Link::One(one) = link else { panic!("HTTP/1.1 alone is spoken") };
        assert!(!kept);
        (one, listener.accept().unwrap().0)
    }

    /// Lets the pool open this connection without an other end.
    fn share(pool: &Arc<Pool>, shared: &Arc<Shared>) -> Slot {
        let mut state = pool.state();
        state.shared.push(Arc::clone(shared));
        state.open += 1;
        pool.metrics.upstream_connections.inc();
        Slot(Some(Arc::clone(pool)))
    }

    async fn until(is_so: impl Fn() -> bool) {
        let all = async {
            while !is_so() {
                yield_now().await;
            }
        };
        timeout(Duration::from_secs(20), all).await.expect("never so");
    }

    /// Ends where it would go on for ever.
    async fn ends<T>(what: impl Future<Output = T>) -> T {
        timeout(Duration::from_secs(20), what).await.expect("it never ends")
    }

    #[tokio::test]
    async fn those_who_want_a_tunnel_are_not_woken_by_streams_and_told_in_time() {
        let listener = listener();
        let pool = pool(Protocol::H2c, 1, &listener);
        let shared = Shared::ended(2);
        let _slot = share(&pool, &shared);
        let _busy = pool.take(Want::Any).await.unwrap();
        let waiting: Vec<_> = (0..2)
            .map(|_| {
                let pool = Arc::clone(&pool);
                tokio::spawn(async move { pool.take(Want::Tunnel).await.map(|_| ()) })
            })
            .collect();
        until(|| pool.state().waiting.len() == 2).await;
        // A stream comes and goes, and whoever can use it gets it at once.
        drop(pool.take(Want::Any).await.unwrap());
        for waiting in waiting {
            assert!(matches!(ends(waiting).await.unwrap(), Err(UpstreamError::Crowded(_))));
        }
        assert_eq!(pool.metrics.upstream_waiting.get(), 0);
    }

    #[tokio::test]
    async fn a_stream_goes_past_a_tunnel_to_whoever_can_use_it() {
        let listener = listener();
        let pool = pool(Protocol::H2c, 1, &listener);
        let shared = Shared::ended(1);
        let _slot = share(&pool, &shared);
        let busy = pool.take(Want::Any).await.unwrap();
        let (Next::Wait(mut tunnel), Next::Wait(next)) =
            (pool.next(Want::Tunnel).unwrap(), pool.next(Want::Any).unwrap())
        else {
            panic!("all is in use")
        };
        drop(busy);
        assert!(matches!(ends(next).await, Ok(Turn::Link(Link::Lane(_)))));
        assert!(tunnel.try_recv().is_err());
    }

    #[tokio::test]
    async fn an_unused_shared_connection_closes_for_a_tunnel() {
        for is_late in [false, true] {
            let listener = listener();
            let pool = pool(Protocol::H2c, 1, &listener);
            let shared = Shared::ended(1);
            let slot = share(&pool, &shared);
            let busy = if is_late { Some(pool.take(Want::Any).await.unwrap()) } else { None };
            let Next::Wait(tunnel) = pool.next(Want::Tunnel).unwrap() else { panic!("there is no slot") };
            assert_eq!(pool.state().shared.len(), usize::from(is_late));
            drop(busy);
            assert!(pool.state().shared.is_empty(), "nobody else gets it");
            // Its task ends when the last sender is gone.
            assert_eq!(Arc::strong_count(&shared), 1);
            drop(slot);
            assert!(matches!(ends(tunnel).await, Ok(Turn::Slot(_))));
        }
    }

    #[tokio::test]
    async fn at_the_limit_kept_connections_serve_tunnels_and_make_room_for_new_ones() {
        let listener = listener();
        let pool = pool(Protocol::Http, 2, &listener);
        let (first, mut far) = one(&pool, &listener).await;
        let (second, _far) = one(&pool, &listener).await;
        let born = |one: &One| one.slot.0.as_ref().map(|_| Arc::as_ptr(&one.slot));
        let newest = born(&second);
        until(|| first.is_ready() && second.is_ready()).await;
        pool.give(first);
        pool.give(second);
        let (link, kept) = pool.take(Want::Tunnel).await.unwrap();
        let Link::One(second) = link else { panic!("HTTP/1.1 alone is spoken") };
        assert!(kept && born(&second) == newest);
        pool.give(second);
        let (_, kept) = ends(pool.take(Want::Fresh)).await.unwrap();
        assert!(!kept);
        let left: Vec<_> = pool.state().kept.iter().map(born).collect();
        assert_eq!(left, [newest]);
        assert_eq!(
            std::io::Read::read(&mut far, &mut [0]).unwrap(),
            0,
            "the one used least recently is closed"
        );
    }

    #[tokio::test]
    async fn a_connection_that_is_about_to_be_ready_is_waited_for() {
        let listener = listener();
        let pool = pool(Protocol::Http, 1, &listener);
        let (one, _far) = one(&pool, &listener).await;
        assert!(!one.is_ready(), "its task has not run yet");
        pool.give(one);
        assert!(ends(pool.take(Want::Any)).await.unwrap().1);
    }

    #[tokio::test]
    async fn streams_find_their_way_past_any_number_who_have_left() {
        let listener = listener();
        let pool = pool(Protocol::H2c, 1, &listener);
        let shared = Shared::ended(1);
        let _slot = share(&pool, &shared);
        let busy = pool.take(Want::Any).await.unwrap();
        let gone = std::iter::repeat_with(|| Waiter { want: Want::Any, hand: oneshot::channel().0 });
        pool.state().waiting.extend(gone.take(100_000));
        let (hand, last) = oneshot::channel();
        pool.state().waiting.push_back(Waiter { want: Want::Any, hand });
        drop(busy);
        assert!(matches!(ends(last).await, Ok(Turn::Link(Link::Lane(_)))));
    }

    #[tokio::test]
    async fn those_who_leave_the_queue_are_not_counted_in_it() {
        let listener = listener();
        let pool = pool(Protocol::Http, 1, &listener);
        let _held = one(&pool, &listener).await;
        let waiting = Arc::clone(&pool);
        let waiting = tokio::spawn(async move { waiting.take(Want::Any).await.map(|_| ()) });
        until(|| pool.metrics.upstream_waiting.get() == 1).await;
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        assert_eq!(pool.metrics.upstream_waiting.get(), 0);
    }

    #[tokio::test]
    async fn a_burst_connects_at_once_as_soon_as_there_is_nothing_to_share() {
        let listener = listener();
        listener.set_nonblocking(true).unwrap();
        let mut pool = pool(Protocol::Https, 2, &listener);
        // For the turn; dialing goes by the time before.
        Arc::get_mut(&mut pool).unwrap().times.connect = Duration::from_secs(3600);
        let first = pool.turn.acquire().await.unwrap();
        let waiting: Vec<_> = (0..2)
            .map(|_| {
                let pool = Arc::clone(&pool);
                tokio::spawn(async move { pool.take(Want::Any).await.map(|_| ()) })
            })
            .collect();
        until(|| pool.state().open == 2).await;
        pool.chose_http1.store(true, Ordering::Relaxed);
        drop(first);
        // Nobody answers them, so that none waits for another.
        let mut accepted = Vec::new();
        ends(async {
            while accepted.len() < 2 {
                accepted.extend(listener.accept());
                yield_now().await;
            }
        })
        .await;
        assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
    }

    #[tokio::test]
    async fn whoever_waits_too_long_for_a_turn_connects() {
        let listener = listener();
        let mut pool = pool(Protocol::Https, 1, &listener);
        Arc::get_mut(&mut pool).unwrap().times.connect = Duration::from_millis(10);
        let _first = pool.turn.acquire().await.unwrap();
        let taking = Arc::clone(&pool);
        let _taking = tokio::spawn(async move { taking.take(Want::Any).await.map(|_| ()) });
        listener.set_nonblocking(true).unwrap();
        until(|| listener.accept().is_ok()).await;
    }

    #[tokio::test]
    async fn what_was_not_sent_is_sent_though_several_connections_have_ended() {
        let listener = listener();
        let pool = pool(Protocol::Http, 1, &listener);
        let slot = share(&pool, &Shared::ended(1));
        let asking = Arc::clone(&pool);
        let asking = tokio::spawn(async move {
            let request = Request::new(Outgoing::Nothing);
            exchange(&asking, request, None, &Streams::default()).await.map(|answer| answer.status())
        });
        let is_waiting = || pool.state().waiting.len() == 1;
        until(is_waiting).await;
        pool.state().shared.push(Shared::ended(1));
        pool.feed();
        assert!(!is_waiting());
        until(|| is_waiting() || asking.is_finished()).await;
        let app = std::thread::spawn(move || {
            let (mut far, _) = listener.accept().unwrap();
            std::io::Read::read(&mut far, &mut [0; 1024]).unwrap();
            far.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        });
        drop(slot);
        let answered = ends(asking).await.unwrap();
        assert_eq!(answered.map_err(|failed| failed.error.to_string()).unwrap(), 204);
        app.join().unwrap();
    }
}
