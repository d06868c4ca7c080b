//! WebSockets: which requests ask for one, and which answers open one. Any other change of protocol is none of ours to
//! pass on, and `h2c` least of all, as nobody would judge what comes after it. Knows no rules.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use http::{Method, Response, StatusCode, Version, request, response};
use hyper::body::{Body as _, Incoming};
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;

use super::hop::{Hop, tokens};

/// A WebSocket that a visitor asks for.
#[derive(Debug)]
pub(super) struct Socket {
    visitor: OnUpgrade,
    /// What foregate asks the backend with, where the visitor's own connection needs no key (RFC 8441 5).
    key: Option<String>,
}

/// Makes an extended CONNECT for a WebSocket (RFC 8441 4) the GET that it stands for, to be judged as that. Whether the
/// request may go on: any other CONNECT may not.
pub(super) fn settle_method(parts: &mut request::Parts) -> bool {
    if parts.method != Method::CONNECT {
        return parts.method != Method::TRACE;
    }
    let is_ours = parts.extensions.get::<Protocol>().is_some_and(|protocol| is_websocket(protocol.as_str()));
    if is_ours && parts.version == Version::HTTP_2 {
        parts.method = Method::GET;
        return true;
    }
    false
}

impl Socket {
    /// The WebSocket a request asks for (RFC 6455 4.1). Whatever asks for another protocol, or for this one in another
    /// way, is an ordinary request.
    pub(super) fn wanted(parts: &mut request::Parts, hop: &Hop, body: &Incoming) -> Option<Self> {
        // Taken in any case: dropped, nothing is ever tunnelled.
        let visitor = parts.extensions.remove::<OnUpgrade>()?;
        if parts.version == Version::HTTP_2 {
            parts.extensions.get::<Protocol>()?;
            return Some(Self { visitor, key: Some(new_key()?) });
        }
        let asks = parts.method == Method::GET
            && parts.version == Version::HTTP_11
            && hop.names(&UPGRADE)
            && tokens(&parts.headers, &UPGRADE).any(is_websocket)
            && body.is_end_stream();
        asks.then_some(Self { visitor, key: None })
    }

    /// Asks the backend for it.
    pub(super) fn ask(&self, headers: &mut HeaderMap) {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, WEBSOCKET);
        if let Some(key) = self.key.as_deref().and_then(|key| HeaderValue::from_str(key).ok()) {
            headers.insert(KEY, key);
        }
    }

    /// Whether the backend opens it. That the visitor's own key was understood, the visitor looks at.
    pub(super) fn is_opened_by<B>(&self, response: &Response<B>) -> bool {
        let mut protocols = tokens(response.headers(), &UPGRADE);
        let accepted = response.headers().get(ACCEPT);
        response.status() == StatusCode::SWITCHING_PROTOCOLS
            && protocols.next().is_some_and(is_websocket)
            && protocols.next().is_none()
            && accepted.is_some_and(|accepted| self.key.as_deref().is_none_or(|key| accepted == &accept(key)))
    }

    /// Whether an answer that opens nothing would seem to: on HTTP/2 every success does (RFC 8441 5).
    pub(super) fn seems_opened_by<B>(&self, response: &Response<B>) -> bool {
        self.key.is_some() && response.status().is_success()
    }

    /// Tells the visitor that it is open, and gives their connection, which is ready when they know.
    pub(super) fn tell(self, parts: &mut response::Parts) -> OnUpgrade {
        if self.key.is_some() {
            parts.status = StatusCode::OK;
            parts.headers.remove(ACCEPT);
        } else {
            parts.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            parts.headers.insert(UPGRADE, WEBSOCKET);
        }
        self.visitor
    }
}

fn is_websocket(token: &str) -> bool {
    token.as_bytes().eq_ignore_ascii_case(WEBSOCKET.as_bytes())
}

/// A key for a handshake (RFC 6455 4.1).
fn new_key() -> Option<String> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).ok()?;
    Some(STANDARD.encode(bytes))
}

/// The answer that shows that a key was understood (RFC 6455 4.2.2).
fn accept(key: &str) -> String {
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{GUID}").as_bytes()))
}

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const ACCEPT: HeaderName = HeaderName::from_static("sec-websocket-accept");
const KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_answered_as_in_the_example_of_the_rfc() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(new_key().is_some_and(|key| key.len() == 24));
    }
}
