//! What a connection begins with before its first request: who it is from, and TLS. Knows no HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ipnet::IpNet;
use tokio_rustls::TlsAcceptor;

use super::proxy_protocol::Source;
use super::stream::Stream;
use super::tls::H2;
use super::{Listener, Peer, Settings, proxy_protocol};

/// What all connections of a listener begin with.
pub(super) struct Prelude {
    tls: Option<TlsAcceptor>,
    proxy_protocol: bool,
    trusted_proxies: Vec<IpNet>,
    /// Whether the log has been told of a trusted peer without a PROXY protocol header.
    told: AtomicBool,
}

/// A connection on which requests can come.
pub(super) struct Begun {
    pub stream: Stream,
    pub peer: Peer,
    pub http2: bool,
}

impl Prelude {
    /// `None` for a listener whose connections begin with a request.
    pub(super) fn of(listener: &Listener, settings: &Settings) -> Option<Self> {
        (!listener.is_plain()).then(|| Self {
            tls: listener.tls.clone().map(TlsAcceptor::from),
            proxy_protocol: listener.proxy_protocol,
            trusted_proxies: settings.trusted_proxies.clone(),
            told: AtomicBool::new(false),
        })
    }

    /// Goes through all of it; `None` if the other side does not do as it should.
    pub(super) async fn pass(self: Arc<Self>, stream: Stream, peer: Peer) -> Option<Begun> {
        // From anybody else a header would be a claim that nobody answers for; as a request it is none.
        let peer = if self.proxy_protocol && peer.trusted { self.named(&stream, peer).await? } else { peer };
        let Some(tls) = &self.tls else { return Some(Begun { stream, peer, http2: false }) };
        match tls.accept(stream).await {
            Ok(stream) => {
                let peer = Peer { in_clear: false, ..peer };
                let http2 = stream.get_ref().1.alpn_protocol() == Some(H2);
                Some(Begun { stream: Stream::Tls(Box::new(stream)), peer, http2 })
            }
            Err(error) => {
                tracing::debug!(peer = %peer.address, %error, "a TLS handshake failed");
                None
            }
        }
    }

    /// The peer that a front proxy names; whether that one is trusted is another question, and whom it does not name is not.
    /// Either way that one is in between, and may have ended TLS.
    async fn named(&self, stream: &Stream, peer: Peer) -> Option<Peer> {
        match proxy_protocol::take(stream).await {
            Ok(Source::Client(source)) => {
                Some(Peer { in_clear: false, ..Peer::at(source, &self.trusted_proxies) })
            }
            Ok(Source::Untold) => Some(Peer { trusted: false, local: true, ..peer }),
            Ok(Source::Proxy) => Some(peer),
            Err(error) => {
                if self.told.swap(true, Ordering::Relaxed) {
                    tracing::debug!(peer = %peer.address, %error, "a connection of a trusted peer was closed");
                } else {
                    tracing::warn!(
                        peer = %peer.address,
                        %error,
                        "a connection of a trusted peer was closed, as server.proxy_protocol is on; let that front proxy \
                         send the header, or take it out of server.trusted_proxies; further ones are not told of"
                    );
                }
                None
            }
        }
    }
}
