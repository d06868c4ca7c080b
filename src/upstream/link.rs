//! One connection to a target, in either version of HTTP. Knows neither queues nor retries.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, StatusCode, Uri, Version};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::oneshot;
use tokio::time::{Instant, interval};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::dial::{Socket, Speaks};
use super::moment::Moment;
use super::outgoing::Outgoing;
use super::patience::{Patience, Patient};
use super::pool::{Pool, Slot};
use super::tasks::Tasks;

/// A way to send one request.
#[derive(Debug)]
pub(super) enum Link {
    /// A connection of its own.
    One(One),
    /// A stream of a connection that others use as well.
    Lane(Lane),
}

/// An HTTP/1.1 connection.
#[derive(Debug)]
pub(super) struct One {
    /// Nothing once the connection has ended under a request.
    sender: Option<http1::SendRequest<Outgoing>>,
    patience: Arc<Patience>,
    pub slot: Arc<Slot>,
    /// Whether its other end may take whoever comes next for the one before.
    bound: bool,
    born: Instant,
    /// Since when it is kept.
    pub since: Instant,
}

/// An HTTP/2 connection.
#[derive(Debug)]
pub(super) struct Shared {
    /// Nothing once the connection has ended.
    sender: Mutex<Option<http2::SendRequest<Outgoing>>>,
    patience: Arc<Patience>,
    streams: AtomicUsize,
    /// Streams that its other end allows.
    most: AtomicUsize,
    gone: AtomicBool,
    born: Instant,
    /// When a stream was last begun or ended.
    used: Moment,
    /// Tells its tasks when it is dropped: nobody waits for an answer on it, or will.
    _needed: DropGuard,
}

/// One stream of an HTTP/2 connection, counted.
#[derive(Debug)]
pub(super) struct Lane {
    shared: Arc<Shared>,
    pool: Arc<Pool>,
}

/// What came of a request.
pub(super) type Sent = Result<Response<Incoming>, Unanswered>;

/// A request without an answer.
pub(super) struct Unanswered {
    /// The request, where it was surely not sent.
    pub unsent: Option<Request<Outgoing>>,
    /// What broke; nothing if the connection ended before.
    pub why: Option<hyper::Error>,
}

impl From<TrySendError<Request<Outgoing>>> for Unanswered {
    fn from(mut error: TrySendError<Request<Outgoing>>) -> Self {
        Self { unsent: error.take_message(), why: Some(error.into_error()) }
    }
}

impl One {
    /// Begins HTTP/1.1.
    pub(super) async fn open(socket: Socket, slot: Slot) -> Result<Self, hyper::Error> {
        let (socket, patience) = Patient::http1(socket);
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(BUFFER_BYTES)
            .max_header_size(HEAD_BYTES)
            .handshake(TokioIo::new(socket))
            .await?;
        let slot = Arc::new(slot);
        let held = Arc::clone(&slot);
        // It ends by itself when the sender is dropped, the backend closes it, or a tunnel takes it over.
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a connection to a backend broke");
            }
            drop(held);
        });
        let now = Instant::now();
        Ok(Self { sender: Some(sender), patience, slot, bound: false, born: now, since: now })
    }

    /// Whether it waits for a request, and its last answer has been read.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.as_ref().is_some_and(http1::SendRequest::is_ready)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.as_ref().is_none_or(http1::SendRequest::is_closed)
    }

    /// Whether it is somebody's own, and no other visitor may have it.
    pub(super) fn is_bound(&self) -> bool {
        self.bound
    }

    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.born)
    }

    /// Sends a request. One that is handed over just as the connection ends may be left lying between the two, and only
    /// when the sender is gone it is given back: so the sender goes as soon as the connection has.
    async fn send(&mut self, request: Request<Outgoing>) -> Sent {
        let Some(sender) = &mut self.sender else {
            return Err(Unanswered { unsent: Some(request), why: None });
        };
        self.patience.begin();
        self.bound |= binds(request.headers());
        let mut answer = pin!(sender.try_send_request(request));
        let sent = poll_fn(|cx| match answer.as_mut().poll(cx) {
            Poll::Ready(sent) => Poll::Ready(Some(sent)),
            Poll::Pending => match sender.poll_ready(cx) {
                Poll::Ready(Err(_)) => Poll::Ready(None),
                Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
            },
        });
        match sent.await {
            Some(sent) => {
                self.patience.end();
                sent.map_err(Unanswered::from)
            }
            None => {
                self.sender = None;
                answer.await.map_err(Unanswered::from)
            }
        }
    }

    /// Waits until it can be used; whether it ever can.
    pub(super) async fn ready(&mut self) -> bool {
        match &mut self.sender {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        }
    }
}

impl Shared {
    /// Begins HTTP/2, and waits to be told how many streams there may be: who begins more than that finds them waiting
    /// behind others.
    pub(super) async fn open(socket: Socket, slot: Slot) -> Result<Arc<Self>, hyper::Error> {
        let (socket, patience) = Patient::http2(socket);
        let (tasks, unneeded) = (Tasks::default(), CancellationToken::new());
        let (sender, connection) = http2::Builder::new(tasks.clone())
            .timer(TokioTimer::new())
            .max_header_list_size(HEAD_BYTES as u32)
            // What one reader leaves lying is no other stream's room.
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(STREAM_WINDOW * (MOST_STREAMS as u32 + 1))
            .initial_max_send_streams(NOT_TOLD)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIME)
            .handshake(TokioIo::new(socket))
            .await?;
        let shared = Arc::new(Self {
            sender: Mutex::new(Some(sender)),
            patience,
            streams: AtomicUsize::new(0),
            most: AtomicUsize::new(MOST_STREAMS),
            gone: AtomicBool::new(false),
            born: Instant::now(),
            used: Moment::default(),
            _needed: unneeded.clone().drop_guard(),
        });
        let watched = Arc::downgrade(&shared);
        let (tell, told) = oneshot::channel::<()>();
        // It ends by itself when nobody can send any more, or the backend closes it.
        tokio::spawn(async move {
            // Dropped before its tasks are waited for, which take their leave once it is.
            let ended = watch(connection, &watched, tell).await;
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection to a backend broke");
            }
            if let Some(shared) = watched.upgrade() {
                shared.end();
            }
            drop(watched);
            // Streams that are under way go on, whatever ended it for new ones.
            tokio::select! {
                () = tasks.done() => {}
                () = unneeded.cancelled() => tasks.end().await,
            }
            drop(slot);
        });
        // The sender is only ever dropped: when the settings are there, or the connection ends.
        let _: Result<(), _> = told.await;
        Ok(shared)
    }

    /// One that has ended and does not know it yet.
    #[cfg(test)]
    pub(super) fn ended(most: usize) -> Arc<Self> {
        Arc::new(Self {
            sender: Mutex::new(None),
            patience: Patience::none(),
            streams: AtomicUsize::new(0),
            most: AtomicUsize::new(most),
            gone: AtomicBool::new(false),
            born: Instant::now(),
            used: Moment::default(),
            _needed: CancellationToken::new().drop_guard(),
        })
    }

    /// Keeps it from getting more requests.
    fn leave(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }

    /// Lets go of the sender, as nobody is at its other end.
    fn end(&self) {
        self.leave();
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn sender(&self) -> Option<http2::SendRequest<Outgoing>> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it gets no more requests.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// Whether no stream is open.
    pub(super) fn is_unused(&self) -> bool {
        self.streams.load(Ordering::Relaxed) == 0
    }

    /// How long no stream has been open.
    pub(super) fn unused(&self, now: Instant) -> Duration {
        if !self.is_unused() {
            return Duration::ZERO;
        }
        now.saturating_duration_since(self.used.last())
    }

    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.born)
    }
}

/// Runs a connection until it takes no more requests, and keeps how many streams its other end allows. `tell` is dropped as soon as
/// that is known.
async fn watch(
    connection: http2::Connection<TokioIo<Patient>, Outgoing, Tasks>,
    watched: &Weak<Shared>,
    tell: oneshot::Sender<()>,
) -> hyper::Result<()> {
    let mut connection = pin!(connection);
    // Nobody says when the settings of the other end arrive, so it is looked after until they have.
    let mut telling = Some((tell, interval(LOOK_EVERY)));
    poll_fn(|cx| {
        let polled = connection.as_mut().poll(cx);
        let most = connection.current_max_send_streams();
        if most == NOT_TOLD && polled.is_pending() {
            while telling.as_mut().is_some_and(|(_, tick)| tick.poll_tick(cx).is_ready()) {}
        } else if let Some(shared) = watched.upgrade() {
            shared.most.store(most.min(MOST_STREAMS), Ordering::Relaxed);
            telling.take();
        }
        polled
    })
    .await
}

impl Lane {
    /// A stream of this connection, if it has one left. Claims are made one at a time, under the pool's lock.
    pub(super) fn claim(shared: &Arc<Shared>, pool: &Arc<Pool>) -> Option<Self> {
        if shared.streams.load(Ordering::Relaxed) >= shared.most.load(Ordering::Relaxed) {
            return None;
        }
        Some(Self::beyond(shared, pool))
    }

    /// One more stream, which waits at the other end for those before it.
    pub(super) fn beyond(shared: &Arc<Shared>, pool: &Arc<Pool>) -> Self {
        shared.streams.fetch_add(1, Ordering::Relaxed);
        shared.used.note();
        Self { shared: Arc::clone(shared), pool: Arc::clone(pool) }
    }

    /// Keeps the connection from getting more requests.
    pub(super) fn leave(&self) {
        self.shared.leave();
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.shared.streams.fetch_sub(1, Ordering::Relaxed);
        self.shared.used.note();
        self.pool.feed();
    }
}

impl Link {
    /// What is spoken on it.
    pub(super) fn speaks(&self) -> Speaks {
        match self {
            Self::One(_) => Speaks::Http1,
            Self::Lane(_) => Speaks::Http2,
        }
    }

    /// Sends a request. Where it was surely not sent, the error has it.
    pub(super) async fn send(&mut self, request: Request<Outgoing>) -> Sent {
        match self {
            Self::One(one) => one.send(request).await,
            Self::Lane(lane) => {
                let Some(mut sender) = lane.shared.sender() else {
                    return Err(Unanswered { unsent: Some(request), why: None });
                };
                lane.shared.patience.one_more();
                if binds(request.headers()) {
                    // Whoever is on it already stays; nobody else comes.
                    lane.leave();
                }
                let answer = sender.try_send_request(request);
                // As with the other version: what is left lying comes back when the last sender is gone.
                drop(sender);
                answer.await.map_err(Unanswered::from)
            }
        }
    }
}

/// Whether somebody proves who they are for the connection, and not for the request alone (RFC 4559 6): behind it, the app would
/// take every visitor for them.
fn binds(headers: &HeaderMap) -> bool {
    headers.get_all(AUTHORIZATION).iter().any(|line| {
        let line = line.as_bytes().trim_ascii_start();
        let scheme = line.split(u8::is_ascii_whitespace).next().unwrap_or_default();
        BINDING.iter().any(|one| scheme.eq_ignore_ascii_case(one))
    })
}

/// Schemes that servers by Microsoft take so.
const BINDING: [&[u8]; 4] = [b"Negotiate", b"NTLM", b"Kerberos", b"CredSSP"];

/// Gives a request the form of a version of HTTP, for `host`.
pub(super) fn prepare(speaks: Speaks, request: &mut Request<Outgoing>, host: &HeaderValue, scheme: &Scheme) {
    let path = request.uri().path_and_query().cloned();
    match speaks {
        Speaks::Http1 => {
            request.headers_mut().insert(HOST, host.clone());
            // Told of every body whose length nobody knows: hyper leaves that of a GET away otherwise.
            if !request.body().is_end_stream() && request.body().size_hint().exact().is_none() {
                request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            }
            *request.version_mut() = Version::HTTP_11;
            if request.uri().authority().is_some() {
                *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
            }
        }
        // The authority takes the place of Host (RFC 9113 8.3.1).
        Speaks::Http2 => {
            request.headers_mut().remove(HOST);
            request.headers_mut().remove(TRANSFER_ENCODING);
            *request.version_mut() = Version::HTTP_2;
            let mut parts = request.uri().clone().into_parts();
            parts.scheme = Some(scheme.clone());
            parts.authority = Authority::try_from(host.as_bytes()).ok();
            parts.path_and_query = path.or_else(|| Some(PathAndQuery::from_static("/")));
            if let Ok(uri) = Uri::from_parts(parts) {
                *request.uri_mut() = uri;
            }
        }
    }
}

/// Sends one request on a connection that nobody else uses, and says how it was answered.
pub(super) async fn ask_once(
    socket: Socket,
    speaks: Speaks,
    request: Request<Outgoing>,
) -> Result<StatusCode, hyper::Error> {
    let response = match speaks {
        Speaks::Http1 => {
            let (socket, patience) = Patient::http1(socket);
            patience.begin();
            let mut builder = http1::Builder::new();
            builder.max_buf_size(BUFFER_BYTES).max_header_size(HEAD_BYTES);
            let (mut sender, connection) = builder.handshake(TokioIo::new(socket)).await?;
            tokio::spawn(connection);
            sender.send_request(request).await?
        }
        Speaks::Http2 => {
            let (socket, patience) = Patient::http2(socket);
            patience.one_more();
            let tasks = Tasks::default();
            let mut builder = http2::Builder::new(tasks.clone());
            builder.max_header_list_size(HEAD_BYTES as u32);
            let (mut sender, connection) = builder.handshake(TokioIo::new(socket)).await?;
            tokio::spawn(async move {
                let _: Result<(), _> = connection.await;
                tasks.end().await;
            });
            sender.send_request(request).await?
        }
    };
    Ok(response.status())
}

/// The head of an answer may be this long, as that of a request.
const HEAD_BYTES: usize = 64 * 1024;
/// So much of a body is read at a time.
const BUFFER_BYTES: usize = 128 * 1024;
/// Streams on one connection, whatever its other end would allow.
const MOST_STREAMS: usize = 100;
/// Stands for what its other end has not said yet.
const NOT_TOLD: usize = 99_991;
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Bytes of a body that a stream may have under way.
const STREAM_WINDOW: u32 = 256 * 1024;
/// A connection with requests on it is asked whether it is still there, as often and for so long.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_TIME: Duration = Duration::from_secs(10);
