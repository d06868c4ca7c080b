//! Requests that come back to the foregate that sent them: an upstream, or a proxy before it, leads here again. Each is marked
//! on its way out (RFC 8586), so that one turn is all it makes.

use std::fmt::Write as _;
use std::sync::LazyLock;

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::hop::tokens;

/// Whether this process has sent the request on before.
pub(super) fn comes_back(headers: &HeaderMap) -> bool {
    headers.contains_key(CDN_LOOP) && tokens(headers, &CDN_LOOP).any(|token| *MARK == token)
}

/// Marks a request that is sent on. What others have written stays.
pub(super) fn mark(headers: &mut HeaderMap) {
    headers.append(CDN_LOOP, MARK.clone());
}

const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");

/// The name of this process, which nobody else has and which says nothing.
static MARK: LazyLock<HeaderValue> = LazyLock::new(|| {
    let mut bytes = [0_u8; 8];
    // Without randomness others may have it too, and would be refused.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    let mut name = String::from("fg-");
    for byte in bytes {
        let _ = write!(name, "{byte:02x}");
    }
    HeaderValue::from_str(&name).unwrap_or_else(|_| HeaderValue::from_static("fg"))
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sent_from_here_comes_back() {
        let mut headers = HeaderMap::new();
        assert!(!comes_back(&headers));
        headers.append(CDN_LOOP, HeaderValue::from_static("cloudflare; loops=1, fg-0000000000000000"));
        assert!(!comes_back(&headers));
        mark(&mut headers);
        assert!(comes_back(&headers) && headers.get_all(CDN_LOOP).iter().count() == 2);
    }
}
