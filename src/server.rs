//! Listeners and connections: bounded heads, bounded time, cheap accepts, a graceful end. Knows nothing of what
//! is served.

mod connections;
mod held;
mod phase;

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::IpNet;
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::metrics::Metrics;
use connections::{Connections, Entry};
use held::Held;
use phase::{Phased, Verdict, Watch};

/// How connections are accepted and ended.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where front proxies and browsers connect.
    pub listen: SocketAddr,
    /// Where the operator's tools connect.
    pub admin_listen: SocketAddr,
    /// Peers whose forwarded headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Time from the first byte of a request head to its last.
    pub head_timeout: Duration,
    /// Time a connection may stay idle; longer than any front proxy keeps one, as a request on a connection that
    /// is just being closed is lost.
    pub idle_timeout: Duration,
    /// Connections at a time.
    pub connections: usize,
    /// Time requests in flight get to finish at the end.
    pub drain: Duration,
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address, an IPv4 one also where it came over a dual-stack socket.
    pub address: IpAddr,
    /// Whether it is a front proxy whose headers are believed.
    pub trusted: bool,
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

/// Opens a listener with a long queue: some front proxies open a connection for every check.
///
/// # Errors
/// What the system says, such as an address that is in use.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(QUEUE)?;
    TcpListener::from_std(socket.into())
}

/// Accepts and serves until `stop`, then lets requests in flight finish for `settings.drain` at most.
pub async fn run<S: Serve>(
    listener: TcpListener,
    settings: &Settings,
    serve: S,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) {
    let tasks = TaskTracker::new();
    let connections = Arc::new(Connections::new(settings, metrics));
    let reaper = tokio::spawn(Arc::clone(&connections).reap(stop.clone()));
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
                let peer = peer_of(address, &settings.trusted_proxies);
                let connection = Connection { peer, serve: serve.clone() };
                tasks.spawn(connection.run(stream, entry));
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
    listener: &TcpListener,
    connections: &Arc<Connections>,
) -> io::Result<(TcpStream, SocketAddr, Entry)> {
    let entry = Arc::clone(connections).enter().await;
    let (stream, address) = listener.accept().await?;
    entry.phase().accepted();
    Ok((stream, address, entry))
}

/// Who a socket address is; IPv4-mapped ones are unmapped before any comparison.
fn peer_of(address: SocketAddr, trusted: &[IpNet]) -> Peer {
    let address = address.ip().to_canonical();
    Peer { address, trusted: trusted.iter().any(|net| net.contains(&address)) }
}

struct Connection<S> {
    peer: Peer,
    serve: S,
}

impl<S: Serve> Connection<S> {
    async fn run(self, stream: TcpStream, entry: Entry) {
        // An answer is written in one piece: waiting for more would only delay it.
        let _ = stream.set_nodelay(true);
        let phase = Arc::clone(entry.phase());
        let (peer, serve) = (self.peer, self.serve);
        let service = service_fn(|request: Request<Incoming>| {
            let busy = phase.busy();
            let answer = serve.serve(request, peer);
            async move { Ok::<_, Infallible>(answer.await.map(|body| Held::new(body, busy))) }
        });
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(None)
                .max_buf_size(HEAD_BYTES)
                .max_header_size(HEAD_BYTES)
                .serve_connection(TokioIo::new(Phased::new(stream, Arc::clone(&phase))), service)
        );
        let mut watch = Watch::new(Arc::clone(&phase));
        let ended = poll_fn(|cx| {
            match watch.news(cx) {
                Some(Verdict::Close) => return Poll::Ready(Ok(())),
                Some(Verdict::Finish) => connection.as_mut().graceful_shutdown(),
                None => {}
            }
            connection.as_mut().poll(cx)
        })
        .await;
        if let Err(error) = ended {
            tracing::debug!(peer = %peer.address, %error, "a connection broke");
        }
    }
}

/// Connections waiting to be accepted.
const QUEUE: i32 = 4096;
/// Bytes of the largest request head; a larger one is answered 431 (RFC 6585 5).
const HEAD_BYTES: usize = 64 * 1024;

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
            assert_eq!(peer_of(address.parse().unwrap(), &nets).trusted, trusted, "{address}");
        }
        assert!(!peer_of("127.0.0.1:1".parse().unwrap(), &[]).trusted, "an empty list trusts nobody");
    }
}
