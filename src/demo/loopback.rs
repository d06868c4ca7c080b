//! Listeners that this machine alone can reach: another address cannot be written down. Knows nothing of what is
//! served.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::server::{self, Serve, Settings};

/// A listener on 127.0.0.1. The demo's servers ask nobody for a password and take no other.
#[derive(Debug)]
pub(super) struct Loopback {
    listener: TcpListener,
    port: u16,
}

impl Loopback {
    /// Listens on `wanted`, or on a free port if that one is taken; 0 is any free port.
    ///
    /// # Errors
    /// What the system says if it has no port left.
    pub(super) fn bind(wanted: u16) -> io::Result<Self> {
        let taken = wanted != 0 && is_taken_on_v6(wanted);
        let bound = if taken { bind(0) } else { bind(wanted).or_else(|_| bind(0)) };
        let listener = bound?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port })
    }

    /// The port it got.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Serves until `stop`, and for a second longer what is being answered then.
    pub(super) async fn run(self, serve: impl Serve, stop: CancellationToken) {
        let settings = Settings {
            trusted_proxies: Vec::new(),
            trusted_sockets: false,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(120),
            send_timeout: Duration::from_secs(60),
            connections: 256,
            drain: Duration::from_secs(1),
        };
        server::run(self.listener, &settings, serve, Arc::new(Metrics::default()), stop).await;
    }
}

fn bind(port: u16) -> io::Result<TcpListener> {
    server::bind(address(port))
}

fn address(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Whether somebody else listens on `[::1]`, which browsers try first for names under `localhost`.
fn is_taken_on_v6(port: u16) -> bool {
    let address = (Ipv6Addr::LOCALHOST, port);
    std::net::TcpListener::bind(address).is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_left_alone() {
        let first = Loopback::bind(0).unwrap();
        let second = Loopback::bind(first.port()).unwrap();
        assert_ne!(first.port(), second.port());
        for loopback in [&first, &second] {
            let address = loopback.listener.local_addr().unwrap();
            assert!(address.ip().is_loopback() && address.port() == loopback.port());
        }
        let port = first.port();
        drop(first);
        assert_eq!(Loopback::bind(port).unwrap().port(), port, "a free port is taken as asked");
    }

    #[tokio::test]
    async fn a_port_that_is_taken_on_ipv6_would_get_the_browsers() {
        let Ok(other) = std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else { return };
        let port = other.local_addr().unwrap().port();
        assert_ne!(Loopback::bind(port).unwrap().port(), port);
    }
}
