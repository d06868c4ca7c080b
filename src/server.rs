//! Listeners and connections: TLS, PROXY protocol, bounded heads, bounded time, cheap accepts, a graceful end. Knows
//! nothing of what is served.

mod connections;
mod flow;
mod frames;
mod held;
mod http2;
mod listener;
mod messages;
mod phase;
mod prelude;
mod proxy_protocol;
mod stamp;
mod stream;
pub mod tls;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::header::{CACHE_CONTROL, CONNECTION, HeaderValue, TRANSFER_ENCODING};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::IpNet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::metrics::Metrics;
use connections::{Connections, Entry};
use flow::Streams;
use held::Held;
pub(crate) use listener::UNIX;
pub use listener::{Address, Listener, bind};
use phase::{Phased, Watch};
use prelude::Prelude;
pub use stamp::Stamp;
use stream::Stream;

/// Where connections are accepted, and what is spoken on them.
#[derive(Clone, Debug)]
pub struct Listeners {
    /// Where front proxies and browsers connect; at least one.
    pub listen: Vec<Listen>,
    /// What listeners that speak TLS show, the first to whoever asks for no name that is known.
    pub certificates: Vec<tls::Files>,
    /// Whether trusted peers begin with a PROXY protocol header.
    pub proxy_protocol: bool,
    /// The permissions of Unix sockets, such as `0o660`.
    pub socket_mode: u32,
    /// Where the operator's tools connect, in plain HTTP.
    pub admin_listen: SocketAddr,
}

/// How connections are served and ended.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Peers whose forwarded headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether those of peers on Unix sockets are, too.
    pub trusted_sockets: bool,
    /// Time from the first byte of a request head to its last.
    pub head_timeout: Duration,
    /// Time a connection may stay idle; longer than any front proxy keeps one, as a request on a connection that
    /// is just being closed is lost.
    pub idle_timeout: Duration,
    /// Time a client may let an answer lie without taking any of it.
    pub send_timeout: Duration,
    /// Connections at a time.
    pub connections: usize,
    /// Time requests in flight get to finish at the end.
    pub drain: Duration,
}

/// One listener to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Where.
    pub address: Address,
    /// Whether it speaks TLS.
    pub tls: bool,
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address, an IPv4 one also where it came over a dual-stack socket; loopback on a Unix socket.
    pub address: IpAddr,
    /// Whether it is a front proxy whose headers are believed.
    pub trusted: bool,
    /// Whether it has no address that tells who it is: it came by a Unix socket, or a front proxy does not tell.
    pub local: bool,
    /// Whether it speaks clear text over a network, with no trusted front proxy in between that may have ended TLS.
    pub in_clear: bool,
}

/// Answers requests.
pub trait Serve: Clone + Send + Sync + 'static {
    /// What answers are made of.
    type Body: Body<Data = bytes::Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static;

    /// Answers one request; must not fail, as there is always something to say.
    fn serve(
        &self,
        request: Request<Incoming>,
        peer: Peer,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// Accepts and serves until `stop`, then lets requests in flight finish for `settings.drain` at most.
pub async fn run<S: Serve>(
    listener: impl Into<Listener>,
    settings: &Settings,
    serve: S,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) {
    let listener = listener.into();
    let tasks = TaskTracker::new();
    let connections = Arc::new(Connections::new(settings, metrics));
    let reaper = tokio::spawn(Arc::clone(&connections).reap(stop.clone()));
    let prelude = Prelude::of(&listener, settings).map(Arc::new);
    let mut refused = 0_u32;
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        match accepted {
            Ok((stream, address, entry)) => {
                refused = 0;
                let connection = Connection {
                    peer: peer_of(address, settings),
                    serve: serve.clone(),
                    send_timeout: settings.send_timeout,
                    tasks: tasks.clone(),
                };
                match &prelude {
                    None => tasks.spawn(connection.run(stream, entry)),
                    Some(prelude) => tasks.spawn(connection.begin(stream, entry, Arc::clone(prelude))),
                };
            }
            Err(error) => {
                // Out of descriptors, mostly: wait for some to come back rather than spin.
                if refused == 0 {
                    tracing::error!(%error, "a connection could not be accepted");
                }
                refused = refused.saturating_add(1);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    tasks.close();
    if tokio::time::timeout(settings.drain, tasks.wait()).await.is_err() {
        tracing::warn!(left = tasks.len(), "requests were still in flight at the end of the drain time");
    }
    reaper.abort();
}

/// The next connection, as soon as there is room for one; the system's queue holds them meanwhile.
async fn accept(
    listener: &Listener,
    connections: &Arc<Connections>,
) -> io::Result<(Stream, Option<SocketAddr>, Entry)> {
    let place = connections.place().await;
    let (stream, address) = listener.accept().await?;
    Ok((stream, address, Arc::clone(connections).enter(place)))
}

/// Who a socket address is; whoever came by a Unix socket is on this machine, and has none.
fn peer_of(address: Option<SocketAddr>, settings: &Settings) -> Peer {
    match address {
        Some(address) => Peer::at(address.ip(), &settings.trusted_proxies),
        None => {
            let (address, trusted) = (Ipv4Addr::LOCALHOST.into(), settings.trusted_sockets);
            Peer { address, trusted, local: true, in_clear: false }
        }
    }
}

impl Peer {
    /// Who is at an address, as far as a plain connection tells; IPv4-mapped ones are unmapped before any comparison.
    fn at(address: IpAddr, trusted: &[IpNet]) -> Self {
        let address = address.to_canonical();
        let trusted = trusted.iter().any(|net| net.contains(&address));
        Self { address, trusted, local: false, in_clear: !trusted }
    }
}

struct Connection<S> {
    peer: Peer,
    serve: S,
    send_timeout: Duration,
    tasks: TaskTracker,
}

impl<S: Serve> Connection<S> {
    /// Serves a connection that does not begin with HTTP.
    async fn begin(self, stream: Stream, entry: Entry, prelude: Arc<Prelude>) {
        let peer = self.peer;
        let mut watch = Watch::new(Arc::clone(entry.phase()));
        let begun = watch.over(Box::pin(prelude.pass(stream, peer))).await;
        let Some(begun) = begun.unwrap_or_else(|| {
            tracing::debug!(peer = %peer.address, "a connection was not ready for requests in time");
            None
        }) else {
            return;
        };
        entry.phase().accepted();
        let connection = Self { peer: begun.peer, ..self };
        if begun.http2 {
            let streams =
                Streams::new(Arc::clone(entry.phase()), connection.tasks.clone(), connection.send_timeout);
            // One that has heard nothing yet, so that it also hears what was no news to a handshake.
            let watch = Watch::new(Arc::clone(entry.phase()));
            let served =
                Box::pin(http2::serve(begun.stream, watch, (connection.serve, begun.peer), streams)).await;
            note_end(begun.peer, served);
        } else {
            connection.run(begun.stream, entry).await;
        }
    }

    async fn run(self, stream: Stream, entry: Entry) {
        let phase = Arc::clone(entry.phase());
        let (peer, serve) = (self.peer, self.serve);
        let service = service_fn(|request: Request<Incoming>| {
            let busy = phase.busy();
            let answer = (!phase.is_unclear() && is_clear(&request)).then(|| serve.serve(request, peer));
            async move {
                let Some(answer) = answer else { return Ok::<_, Infallible>(refusal(Held::empty(busy))) };
                let answer = answer.await;
                // Hyper takes it for the last message, too.
                if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                    busy.changes();
                }
                Ok(answer.map(|body| Held::new(body, busy)))
            }
        });
        let connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(None)
                .max_buf_size(HEAD_BYTES as usize)
                .max_header_size(HEAD_BYTES as usize)
                .serve_connection(TokioIo::new(Phased::keeping(stream, entry)), service)
                .with_upgrades()
        );
        let mut watch = Watch::new(Arc::clone(&phase));
        note_end(peer, watch.until_end(connection, |connection| connection.graceful_shutdown()).await);
    }
}

/// Whether the length of a request is told in a way that every server understands: at most one coding, and no other
/// than `chunked` (RFC 9112 6.1). Headers are not asked where hyper knows the length.
fn is_clear(request: &Request<Incoming>) -> bool {
    if request.body().size_hint().exact().is_some() {
        return true;
    }
    let mut codings = request.headers().get_all(TRANSFER_ENCODING).iter();
    let chunked = codings.next().is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    chunked && codings.next().is_none()
}

/// What somebody gets whose bytes could be taken in two ways; it ends the connection.
fn refusal<B>(body: B) -> Response<B> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn note_end(peer: Peer, ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(peer = %peer.address, %error, "a connection broke");
    }
}

/// Bytes of the largest request head; a larger one is answered 431 (RFC 6585 5).
const HEAD_BYTES: u32 = 64 * 1024;

/// Reads anything as the beginning of a connection, for [`crate::entrances`].
#[cfg(any(test, fuzzing))]
pub(crate) fn look_at_beginning(bytes: &[u8]) {
    proxy_protocol::look_at(bytes);
    let mut whole = messages::Messages::default();
    let both = whole.see(bytes);
    let mut cut = messages::Messages::default();
    let both_cut = bytes.chunks(3).fold(false, |both, piece| cut.see(piece) | both);
    assert_eq!(both, both_cut, "where bytes are cut changes nothing");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_peer_is_itself_on_every_socket() {
        let nets: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        for (address, trusted) in [
            ("10.1.2.3:1", true),
            ("[::ffff:10.1.2.3]:1", true),
            ("[::ffff:11.1.2.3]:1", false),
            ("11.1.2.3:1", false),
            ("[::1]:1", false),
        ] {
            let address: SocketAddr = address.parse().unwrap();
            assert_eq!(Peer::at(address.ip(), &nets).trusted, trusted, "{address}");
        }
        assert!(!Peer::at(Ipv4Addr::LOCALHOST.into(), &[]).trusted, "an empty list trusts nobody");
    }
}
