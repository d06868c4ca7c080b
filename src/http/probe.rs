//! What a request looked like when it reached foregate, told to `foregate check` and to the canary: in a header of an answer
//! that lets nobody in, and only to whoever has the sealing keys. Decides nothing.

use http::Response;
use http::header::{HeaderMap, HeaderValue, UPGRADE};
use http::request::Parts;

use super::{Site, unix_now};
use crate::browser::Purpose;
pub(super) use crate::outside::Saw;
use crate::outside::{PROBE, Request, SAW};
use crate::server::Peer;
use crate::session::random;
use crate::visit::Visit;

/// Adds to a denial what was seen, if that is asked for by somebody who may.
pub(super) fn tell<B>(site: &Site, parts: &Parts, response: &mut Response<B>, saw: impl FnOnce() -> Saw) {
    if response.status().is_success() || !is_asked(site, &parts.headers) {
        return;
    }
    let told = serde_json::to_vec(&saw()).ok().zip(random().ok());
    let told = told.map(|(json, nonce)| site.sealer.seal_text(Purpose::Arrival, &json, nonce));
    if let Some(value) = told.and_then(|text| HeaderValue::from_str(&text).ok()) {
        response.headers_mut().insert(SAW, value);
    }
}

/// Whether somebody with the sealing keys asks what was seen.
pub(super) fn is_asked(site: &Site, headers: &HeaderMap) -> bool {
    let Some(word) = headers.get(PROBE) else { return false };
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

/// How far the clocks of `check` and of the foregate that runs may be apart, and how long a word is good.
const GOOD_SECONDS: u64 = 60;
