//! What a request looked like when it reached foregate, as it tells by itself to whoever has the sealing keys; and the word
//! that asks for that. Decides nothing.

use std::net::IpAddr;

use http::header::{HeaderMap, HeaderName};
use serde::{Deserialize, Serialize};

use crate::browser::{NONCE_BYTES, Purpose, Sealer};

/// What the request looked like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saw {
    /// By which front proxy's words it was asked about; `proxy` where foregate is the proxy.
    pub dialect: String,
    /// Who is at the other end of the connection.
    pub peer: IpAddr,
    /// Whether it is one of `server.trusted_proxies`.
    pub trusted: bool,
    /// Why the request cannot be read, if so.
    pub malformed: Option<String>,
    /// The request itself, if it was read.
    pub request: Option<Request>,
}

/// The visitor's own request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The visitor's address, if it is known.
    pub client: Option<IpAddr>,
    /// `http` or `https`.
    pub scheme: String,
    /// The host without a port.
    pub host: String,
    /// The method.
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// Whether it wants to change protocols, as far as the front proxy says so.
    pub upgrade: bool,
}

/// A word that is good for a minute from `now`, in Unix seconds, for [`PROBE`].
pub fn seal(sealer: &Sealer, now: u64, nonce: [u8; NONCE_BYTES]) -> String {
    sealer.seal_text(Purpose::Probe, &now.to_be_bytes(), nonce)
}

/// Reads what an answer tells; nothing that somebody without the keys made up.
pub fn read(sealer: &Sealer, headers: &HeaderMap) -> Option<Saw> {
    let text = headers.get(SAW)?.to_str().ok()?;
    serde_json::from_slice(&sealer.open_text(Purpose::Arrival, text)?).ok()
}

/// Carries the word.
pub const PROBE: HeaderName = HeaderName::from_static("foregate-probe");
/// Carries what was seen.
pub const SAW: HeaderName = HeaderName::from_static("foregate-saw");
