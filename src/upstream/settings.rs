//! Where backends are and how to speak with them. Plain data: knows no connections.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::uri::Authority;

use super::health::Check;
use super::tls::Tls;

/// Where one backend is and how to speak with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The places it can be reached at, all alike; at least one.
    pub targets: Vec<Target>,
    /// How far places that speak TLS are trusted.
    pub tls: Arc<Tls>,
    /// How long things may take.
    pub times: Times,
    /// How much there may be at a time.
    pub bounds: Bounds,
    /// Whether each person stays at one of the targets, while that is well.
    pub sticky: bool,
    /// How targets are asked whether they are well; `None` is not at all.
    pub check: Option<Check>,
}

/// One place to send requests to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where to connect.
    pub place: Place,
    /// What is spoken there.
    pub protocol: Protocol,
    /// What it calls itself, for requests that do not keep the host that was asked for.
    pub authority: Authority,
}

/// Where to connect.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A host, by name or address without brackets, and a port.
    Tcp(String, u16),
    /// A socket in the file system.
    Unix(PathBuf),
}

/// What is spoken with a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1.
    Http,
    /// HTTP/2 or HTTP/1.1 over TLS, as the target chooses (ALPN, RFC 7301).
    Https,
    /// HTTP/2 without TLS, by prior knowledge (RFC 9113 3.3).
    H2c,
}

/// How long things may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Times {
    /// To connect, TLS included.
    pub connect: Duration,
    /// From the last byte of the request to the head of the answer.
    pub response_header: Duration,
    /// Without a byte of a body in either direction.
    pub stream_idle: Duration,
    /// In the queue for a connection.
    pub queue: Duration,
    /// That a connection is kept unused.
    pub keepalive: Duration,
    /// That a connection is used at all.
    pub connection_age: Duration,
}

/// How much there may be at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections to each target, those of tunnels included.
    pub connections: usize,
    /// Requests that wait for a connection to each target.
    pub pending: usize,
    /// Bytes of a request's body; `None` is any number.
    pub body_bytes: Option<u64>,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            response_header: Duration::from_secs(300),
            stream_idle: Duration::from_secs(300),
            queue: Duration::from_secs(10),
            // Below the 5 seconds after which Node closes: a request on a connection that is just being closed is lost.
            keepalive: Duration::from_secs(4),
            connection_age: Duration::from_secs(3600),
        }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self { connections: 1000, pending: 1000, body_bytes: None }
    }
}
