//! Whether a person or a program waits for an answer, and from where. Knows no decision.

use std::net::IpAddr;

use http::Method;
use http::header::{ACCEPT, HeaderMap, UPGRADE, USER_AGENT};
use ipnet::IpNet;

use crate::server::Peer;
use crate::visit::{Authorization, Client, Intent, Nearest};

/// Tells a page navigation from everything a redirect would break: GET or HEAD with `Sec-Fetch-Mode: navigate`, or
/// without Sec-Fetch headers an Accept that prefers HTML (Fetch Metadata Request Headers; RFC 9110 12.5.1).
pub(super) fn intent(headers: &HeaderMap, method: &Method) -> Intent {
    let reads = method == Method::GET || method == Method::HEAD;
    if reads && navigates(headers) { Intent::Navigation } else { Intent::Call }
}

/// The same whatever the method: whether a person waits for a page, for which most methods leave nothing to redirect.
pub(super) fn navigates(headers: &HeaderMap) -> bool {
    let socket = headers.contains_key("sec-websocket-key") || headers.contains_key(UPGRADE);
    let script = headers.contains_key("x-requested-with");
    if socket || script || Authorization::of(headers).is_bearer() {
        return false;
    }
    match headers.get("sec-fetch-mode") {
        Some(mode) => mode == "navigate",
        None => prefers_html(headers),
    }
}

/// Whether a page of `origin` itself sends this in a window of its own, as the browser tells by Sec-Fetch headers, and
/// one without them by `Origin`. Whatever is not told is a no.
pub(super) fn is_same_origin(headers: &HeaderMap, origin: &str) -> bool {
    let lines = |name: &str| headers.get_all(name).iter().collect::<Vec<_>>();
    let origins = lines("origin");
    let told = ["sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest"].map(lines);
    if told.iter().all(Vec::is_empty) {
        return origins == [origin];
    }
    // Pages that send no referrer have `null` for an origin, and so have strangers' frames; the browser knows which.
    let own = origins.iter().all(|line| *line == origin || *line == "null");
    own && origins.len() <= 1 && told == [["same-origin"], ["navigate"], ["document"]]
}

/// Whether a browser wants a page for a window of its own, as far as it tells: what a script, a frame or an image asks for it calls
/// otherwise.
pub(super) fn is_for_a_window(headers: &HeaderMap) -> bool {
    let all = |name: &str, value: &str| headers.get_all(name).iter().all(|line| line == value);
    all("sec-fetch-mode", "navigate") && all("sec-fetch-dest", "document")
}

/// Whether HTML is wanted at least as much as anything else that is named.
fn prefers_html(headers: &HeaderMap) -> bool {
    let (mut html, mut other) = (0, 0);
    for line in headers.get_all(ACCEPT) {
        let Ok(line) = line.to_str() else { return false };
        for part in line.split(',') {
            let mut pieces = part.split(';').map(str::trim);
            let kind = pieces.next().unwrap_or_default().to_ascii_lowercase();
            let weight = pieces.find_map(|piece| piece.strip_prefix("q=")).map_or(1000, permille);
            match kind.as_str() {
                "text/html" | "application/xhtml+xml" => html = html.max(weight),
                "application/xml" | "text/xml" | "*/*" | "image/*" => {}
                kind if kind.starts_with("image/") || kind == "application/signed-exchange" => {}
                _ => other = other.max(weight),
            }
        }
    }
    html > 0 && html >= other
}

fn permille(weight: &str) -> u32 {
    let thousand = weight.parse::<f32>().unwrap_or(0.0).clamp(0.0, 1.0) * 1000.0;
    thousand as u32
}

/// Where a request comes from, as far as trusted proxies tell.
pub(super) fn client<'r>(headers: &'r HeaderMap, peer: Peer, trusted: &'r [IpNet]) -> Client<'r> {
    let nearest = match peer {
        Peer { trusted: true, address, .. } => Nearest::Proxy(address),
        // A socket: whoever is behind it could be anywhere.
        Peer { local: true, address, .. } => Nearest::Hidden(address),
        Peer { address, .. } => Nearest::Visitor(address),
    };
    Client::new(nearest, headers, trusted)
}

/// The visitor's address, or that of the proxy that names nobody.
pub(super) fn client_address(headers: &HeaderMap, peer: Peer, trusted: &[IpNet]) -> IpAddr {
    client(headers, peer, trusted).nearest_known()
}

/// The browser's own name, cut to what a list of sessions shows.
pub(super) fn user_agent(headers: &HeaderMap) -> String {
    let name =
        headers.get(USER_AGENT).map(|name| String::from_utf8_lossy(name.as_bytes())).unwrap_or_default();
    let mut kept = String::new();
    for c in name.chars().filter(|c| !c.is_control()) {
        if kept.len() + c.len_utf8() > LONGEST_USER_AGENT {
            break;
        }
        kept.push(c);
    }
    kept
}

/// Bytes that a list keeps: browsers on phones name themselves last, in up to 200.
const LONGEST_USER_AGENT: usize = 256;

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::HeaderName;

    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        };
        lines.iter().map(pair).collect()
    }

    #[test]
    fn only_page_navigations_are_redirected() {
        let html = ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8");
        for (method, lines, navigates) in [
            ("GET", vec![html], true),
            ("HEAD", vec![html], true),
            ("POST", vec![html], false),
            ("OPTIONS", vec![html], false),
            ("GET", vec![], false),
            ("GET", vec![("accept", "*/*")], false),
            ("GET", vec![("accept", "application/json, text/plain, */*")], false),
            ("GET", vec![("accept", "application/json;q=0.9, text/html;q=0.5")], false),
            ("GET", vec![("accept", "text/html;q=0")], false),
            ("GET", vec![("sec-fetch-mode", "navigate")], true),
            ("GET", vec![("sec-fetch-mode", "cors"), html], false),
            ("GET", vec![("sec-fetch-mode", "no-cors"), html], false),
            ("GET", vec![("sec-fetch-mode", "websocket"), html], false),
            ("GET", vec![("x-requested-with", "XMLHttpRequest"), html], false),
            ("GET", vec![("sec-websocket-key", "x"), html], false),
            ("GET", vec![("authorization", "Bearer x"), html], false),
            ("GET", vec![("authorization", "Basic x"), html], true),
        ] {
            let found = intent(&headers(&lines), &method.parse().unwrap()) == Intent::Navigation;
            assert_eq!(found, navigates, "{method} {lines:?}");
        }
    }

    #[test]
    fn only_what_the_browser_says_comes_from_a_page_of_the_same_origin_does() {
        let own = ("origin", "https://app.test");
        let site = |value| ("sec-fetch-site", value);
        let (mode, dest) = (("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"));
        for (lines, same) in [
            (vec![site("same-origin"), mode, dest, own], true),
            (vec![site("same-origin"), mode, dest], true),
            (vec![site("same-origin"), mode, dest, ("origin", "null")], true),
            (vec![own], true),
            (vec![], false),
            (vec![("origin", "null")], false),
            (vec![("origin", "https://app.test:8443")], false),
            (vec![("origin", "http://app.test")], false),
            (vec![("origin", "https://app.test.evil.test")], false),
            (vec![("origin", "")], false),
            (vec![own, own], false),
            (vec![own, ("origin", "https://evil.test")], false),
            (vec![("referer", "https://app.test/")], false),
            (vec![site("same-site"), mode, dest, own], false),
            (vec![site("cross-site"), mode, dest, own], false),
            (vec![site("none"), mode, dest, own], false),
            (vec![site("same-origin"), site("cross-site"), mode, dest, own], false),
            (vec![site("same-origin"), mode, dest, ("origin", "https://evil.test")], false),
            (vec![site("same-origin"), mode, dest, own, ("origin", "null")], false),
            (vec![site("same-origin"), mode, ("sec-fetch-dest", "iframe"), own], false),
            (vec![site("same-origin"), ("sec-fetch-mode", "cors"), dest, own], false),
            (vec![site("same-origin"), own], false),
            (vec![mode, dest, own], false),
            (vec![mode, own], false),
        ] {
            let mut found = HeaderMap::new();
            for (name, value) in &lines {
                found.append(*name, HeaderValue::from_static(value));
            }
            assert_eq!(is_same_origin(&found, "https://app.test"), same, "{lines:?}");
        }
    }

    #[test]
    fn a_page_is_for_a_window_unless_the_browser_says_otherwise() {
        let (mode, dest) = (("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"));
        for (lines, is_so) in [
            (vec![], true),
            (vec![mode, dest], true),
            (vec![mode], true),
            (vec![dest], true),
            (vec![("sec-fetch-site", "cross-site"), mode, dest], true),
            (vec![("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")], false),
            (vec![("sec-fetch-mode", "same-origin"), dest], false),
            (vec![mode, ("sec-fetch-dest", "iframe")], false),
            (vec![("sec-fetch-dest", "image")], false),
            (vec![mode, dest, ("sec-fetch-dest", "empty")], false),
        ] {
            let mut found = HeaderMap::new();
            for (name, value) in &lines {
                found.append(*name, HeaderValue::from_static(value));
            }
            assert_eq!(is_for_a_window(&found), is_so, "{lines:?}");
        }
    }

    #[test]
    fn a_browsers_name_is_kept_up_to_256_bytes() {
        let named = |name: &[u8]| {
            let line = (USER_AGENT, HeaderValue::from_bytes(name).unwrap());
            user_agent(&[line].into_iter().collect())
        };
        assert_eq!(named(b"Firefox/128.0"), "Firefox/128.0");
        assert_eq!(named(b"a\tb\xff"), "ab\u{fffd}");
        assert_eq!(named(&[b'x'; 300]).len(), 256);
        assert_eq!(named("é".repeat(200).as_bytes()), "é".repeat(128));
        assert_eq!(named(format!("x{}", "é".repeat(200)).as_bytes()).len(), 255, "no half of a letter");
        assert_eq!(user_agent(&HeaderMap::new()), "");
    }
}
