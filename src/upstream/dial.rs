//! A connection to a target, up to the first byte of HTTP. Knows no requests.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::{Instant, timeout};
use tokio_rustls::client::TlsStream;

use super::names::Names;
use super::settings::{Place, Protocol, Target};
use super::tls::{Connectors, HTTP_2};

/// Where to connect, and how.
pub(super) struct Dial {
    place: Place,
    protocol: Protocol,
    tls: Option<Secured>,
    time: Duration,
    names: Names,
}

struct Secured {
    connectors: Connectors,
    name: ServerName<'static>,
}

/// What is offered to a target that has a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// HTTP/2 as well, if it may be.
    Any,
    /// HTTP/1.1 alone, which can be upgraded (RFC 9110 7.8).
    Http1,
}

/// What will be spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    Http1,
    Http2,
}

impl Dial {
    /// A way to a target within `time`; `connectors` are needed where it speaks TLS.
    pub(super) fn new(
        target: &Target,
        tls: Option<(Connectors, Option<ServerName<'static>>)>,
        time: Duration,
    ) -> Self {
        let host = match &target.place {
            Place::Tcp(host, _) => ServerName::try_from(host.clone()).ok(),
            Place::Unix(_) => None,
        };
        let tls = tls.and_then(|(connectors, name)| Some(Secured { connectors, name: name.or(host)? }));
        Self { place: target.place.clone(), protocol: target.protocol, tls, time, names: Names::default() }
    }

    /// Connects; the error says why not, in words.
    pub(super) async fn connect(&self, offer: Offer) -> Result<(Socket, Speaks), String> {
        match timeout(self.time, self.open(offer)).await {
            Ok(opened) => opened.map_err(|error| error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }

    async fn open(&self, offer: Offer) -> io::Result<(Socket, Speaks)> {
        let tcp = match &self.place {
            Place::Unix(path) => return Ok((Socket::Unix(unix(path).await?), self.plainly(offer))),
            Place::Tcp(host, port) => self.tcp(host, *port).await?,
        };
        if self.protocol != Protocol::Https {
            return Ok((Socket::Tcp(tcp), self.plainly(offer)));
        }
        let Some(tls) = &self.tls else { return Err(io::Error::other("it cannot be reached by TLS")) };
        let connector = match offer {
            Offer::Any => &tls.connectors.any,
            Offer::Http1 => &tls.connectors.http1,
        };
        let stream = connector.connect(tls.name.clone(), tcp).await?;
        let speaks =
            if stream.get_ref().1.alpn_protocol() == Some(HTTP_2) { Speaks::Http2 } else { Speaks::Http1 };
        Ok((Socket::Tls(Box::new(stream)), speaks))
    }

    /// Tries the addresses that the name has now one after the other: each gets its part of the time that is left, so
    /// that one that swallows everything does not take it all.
    async fn tcp(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let end = Instant::now() + self.time;
        let addresses = match host.parse::<IpAddr>() {
            Ok(address) => [SocketAddr::from((address, port))].into(),
            Err(_) => {
                let host = host.to_owned();
                self.names.find(|| async move { lookup_host((host, port)).await.map(Vec::from_iter) }).await?
            }
        };
        let mut last = io::Error::new(io::ErrorKind::NotFound, "it has no address");
        for (index, address) in addresses.iter().enumerate() {
            let others = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
            let share = end.saturating_duration_since(Instant::now()) / others;
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // Small pieces, such as events, leave at once.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(last)
    }

    /// What is spoken without TLS: servers of `h2c` mostly take HTTP/1.1 as well.
    fn plainly(&self, offer: Offer) -> Speaks {
        if self.protocol == Protocol::H2c && offer == Offer::Any { Speaks::Http2 } else { Speaks::Http1 }
    }
}

async fn unix(path: &PathBuf) -> io::Result<UnixStream> {
    UnixStream::connect(path).await
}

/// A connection of any kind.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

macro_rules! on_each {
    ($socket:expr, $stream:ident => $what:expr) => {
        match $socket {
            Socket::Tcp($stream) => $what,
            Socket::Unix($stream) => $what,
            Socket::Tls($stream) => $what,
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        on_each!(self.get_mut(), stream => Pin::new(stream).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        on_each!(self.get_mut(), stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_each!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(cx, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        on_each!(self, stream => stream.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_each!(self.get_mut(), stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_each!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(cx))
    }
}
