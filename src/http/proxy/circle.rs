//! Requests that come back to the foregate that sent them: an upstream, or a proxy before it, leads here again. Each is marked
//! on its way out (RFC 8586), so that it makes a few turns at most. An app that asks another one through foregate, with the headers
//! it got, makes one.

use std::fmt::Write as _;
use std::sync::LazyLock;

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::hop::tokens;

/// Whether this process has sent the request on so often that it goes in a circle.
pub(super) fn comes_back(headers: &HeaderMap) -> bool {
    headers.contains_key(CDN_LOOP)
        && tokens(headers, &CDN_LOOP).filter(|token| *MARK == *token).count() >= MOST_TURNS
}

/// Marks a request that is sent on. What others have written stays.
pub(super) fn mark(headers: &mut HeaderMap) {
    headers.append(CDN_LOOP, MARK.clone());
}

const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");
/// Turns that a request may make.
const MOST_TURNS: usize = 5;

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
        for turn in 1..=MOST_TURNS {
            assert!(!comes_back(&headers), "turn {turn}");
            mark(&mut headers);
        }
        assert!(comes_back(&headers) && headers.get_all(CDN_LOOP).iter().count() == MOST_TURNS + 1);
    }
}
