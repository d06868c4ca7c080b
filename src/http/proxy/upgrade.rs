//! WebSockets: which requests ask for one, and which answers open one. Any other change of protocol is none of ours to
//! pass on, and `h2c` least of all, as nobody would judge what comes after it. Knows no rules.

use http::header::{HeaderName, HeaderValue, UPGRADE};
use http::{Method, Response, StatusCode, Version, request};
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::OnUpgrade;

use super::hop::{Hop, tokens};

/// The protocol, as it is named on the way to the backend and back.
pub(super) const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// The connection of the visitor, if the request asks for a WebSocket (RFC 6455 4.1). Whatever asks for another
/// protocol, or for this one in another way, is an ordinary request.
pub(super) fn wanted(parts: &mut request::Parts, hop: &Hop, body: &Incoming) -> Option<OnUpgrade> {
    // Taken in any case: dropped, nothing is ever tunnelled.
    let connection = parts.extensions.remove::<OnUpgrade>()?;
    let asks = parts.method == Method::GET
        && parts.version == Version::HTTP_11
        && hop.names(&UPGRADE)
        && tokens(&parts.headers, &UPGRADE).any(is_websocket)
        && body.is_end_stream();
    asks.then_some(connection)
}

/// Whether the backend opens the WebSocket it was asked for.
pub(super) fn is_opened<B>(response: &Response<B>) -> bool {
    let mut protocols = tokens(response.headers(), &UPGRADE);
    response.status() == StatusCode::SWITCHING_PROTOCOLS
        && protocols.next().is_some_and(is_websocket)
        && protocols.next().is_none()
        && response.headers().contains_key(ACCEPT)
}

fn is_websocket(token: &str) -> bool {
    token.as_bytes().eq_ignore_ascii_case(WEBSOCKET.as_bytes())
}

const ACCEPT: HeaderName = HeaderName::from_static("sec-websocket-accept");
