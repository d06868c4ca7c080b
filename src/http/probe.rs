//! What a request looked like when it reached foregate, told to `foregate check`: in a header of an answer that lets
//! nobody in, and only to whoever has the sealing keys. Decides nothing.

use std::net::IpAddr;

use http::Response;
use http::header::{HeaderMap, HeaderName, HeaderValue, UPGRADE};
use http::request::Parts;
use serde::{Deserialize, Serialize};

use super::{Site, unix_now};
use crate::browser::{NONCE_BYTES, Purpose, Sealer};
use crate::server::Peer;
use crate::session::random;
use crate::visit::Visit;

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

/// Adds to a denial what was seen, if that is asked for by somebody who may.
pub(super) fn tell<B>(site: &Site, parts: &Parts, response: &mut Response<B>, saw: impl FnOnce() -> Saw) {
    let Some(word) = parts.headers.get(PROBE) else { return };
    if response.status().is_success() || !is_good(site, word) {
        return;
    }
    let told = serde_json::to_vec(&saw()).ok().zip(random().ok());
    let told = told.map(|(json, nonce)| site.sealer.seal_text(Purpose::Arrival, &json, nonce));
    if let Some(value) = told.and_then(|text| HeaderValue::from_str(&text).ok()) {
        response.headers_mut().insert(SAW, value);
    }
}

fn is_good(site: &Site, word: &HeaderValue) -> bool {
    let opened = word.to_str().ok().and_then(|word| site.sealer.open_text(Purpose::Probe, word));
    let made = opened.and_then(|plain| <[u8; 8]>::try_from(plain.as_slice()).ok());
    made.is_some_and(|made| unix_now().abs_diff(u64::from_be_bytes(made)) <= GOOD_SECONDS)
}

impl Saw {
    /// A request whose peer is not believed, or that cannot be read.
    pub(super) fn nothing(dialect: &str, peer: Peer, malformed: Option<String>) -> Self {
        Self {
            dialect: dialect.to_owned(),
            peer: peer.address,
            trusted: peer.trusted,
            malformed,
            request: None,
        }
    }

    /// A request that was read.
    pub(super) fn visit(dialect: &str, peer: Peer, parts: &Parts, visit: &Visit<'_>) -> Self {
        let target = &visit.target;
        let request = Request {
            client: visit.address(),
            scheme: target.scheme.as_str().to_owned(),
            host: target.host.to_string(),
            method: target.method.to_string(),
            path: String::from_utf8_lossy(target.path.raw()).into_owned(),
            upgrade: parts.headers.contains_key(UPGRADE),
        };
        Self { request: Some(request), ..Self::nothing(dialect, peer, None) }
    }
}

/// Carries the word of `foregate check`.
pub const PROBE: HeaderName = HeaderName::from_static("foregate-probe");
/// Carries what was seen.
pub const SAW: HeaderName = HeaderName::from_static("foregate-saw");
/// How far the clocks of `check` and of the foregate that runs may be apart, and how long a word is good.
const GOOD_SECONDS: u64 = 60;
