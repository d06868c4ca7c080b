//! Who may use the operator's API: whoever has the token, or, where none is set, processes of this machine, but no page
//! that a browser on it shows. Knows no sessions.

use std::net::IpAddr;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use http::header::{AUTHORIZATION, CONTENT_TYPE, FORWARDED, HOST, HeaderMap, ORIGIN, VIA};
use http::request::Parts;
use http::{HeaderName, Method};

use crate::secret::Secret;
use crate::visit::parse_host;

/// Why somebody may not use the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The token is missing or another one.
    Token,
    /// The address is not one of this machine: a page may have a name of its own lead here (DNS rebinding).
    Host,
    /// A browser asks, for a page of somebody else.
    Page,
    /// A script or a frame asks for a page that is for people.
    Script,
    /// A change that a page of somebody else could ask for without the browser asking back.
    Plain,
}

/// Whether a request may use the API, by the token if one is set.
pub(super) fn check(token: Option<&Secret>, parts: &Parts) -> Result<(), Refused> {
    match token {
        Some(token) if shows(token, &parts.headers) => Ok(()),
        Some(_) => Err(Refused::Token),
        None => check_local(parts),
    }
}

/// Compares hashes, so that the time taken tells nothing of the token.
fn shows(token: &Secret, headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return false };
    let Some((scheme, shown)) = line.as_bytes().split_at_checked("bearer ".len()) else { return false };
    let hash = |bytes: &[u8]| digest(&SHA256, bytes);
    scheme.eq_ignore_ascii_case(b"bearer ")
        && verify_slices_are_equal(hash(shown).as_ref(), hash(token.expose().as_bytes()).as_ref()).is_ok()
}

fn check_local(parts: &Parts) -> Result<(), Refused> {
    let headers = &parts.headers;
    if !is_local(parts) || is_brought(headers) {
        return Err(Refused::Host);
    }
    // Without CORS no page can read an answer, or send a header of its own making (Fetch, CORS protocol).
    let from_page = |site: &http::HeaderValue| !(site == "none" || site == "same-origin");
    if headers.contains_key(ORIGIN) || headers.get_all(SEC_FETCH_SITE).iter().any(from_page) {
        return Err(Refused::Page);
    }
    let changes = parts.method == Method::POST;
    if changes && !is_json(headers) && !headers.contains_key(X_REQUESTED_WITH) {
        return Err(Refused::Plain);
    }
    Ok(())
}

/// Whether a proxy says that it brings a request from elsewhere.
pub(super) fn is_brought(headers: &HeaderMap) -> bool {
    [FORWARDED, VIA].iter().any(|name| headers.contains_key(name))
        || headers.keys().any(|name| name == "x-real-ip" || name.as_str().starts_with("x-forwarded-"))
}

/// Whether the one host that is asked for is this machine by an address or a name that nobody else can give.
pub(super) fn is_local(parts: &Parts) -> bool {
    let mut lines = parts.headers.get_all(HOST).iter();
    let (Some(host), None) = (lines.next(), lines.next()) else { return false };
    let named = parts.uri.authority();
    if named.is_some_and(|named| !named.as_str().as_bytes().eq_ignore_ascii_case(host.as_bytes())) {
        return false;
    }
    let Ok(host) = parse_host(host.as_bytes()) else { return false };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or_else(
        |_| host == "localhost" || host.ends_with(".localhost"),
        |address| address.to_canonical().is_loopback(),
    )
}

/// Whether the body says of itself that it is JSON, once and first.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    has_type(headers, "application/json")
}

/// Whether there is one content type, and it is this one.
pub(super) fn has_type(headers: &HeaderMap, wanted: &str) -> bool {
    let mut lines = headers.get_all(CONTENT_TYPE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return false };
    let essence = line.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(wanted)
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn asked(method: &str, target: &str, lines: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_token_is_needed_whole_and_once() {
        let token = Secret::new("s3cret");
        for (lines, admitted) in [
            (vec![("authorization", "Bearer s3cret")], true),
            (vec![("authorization", "bearer s3cret")], true),
            (vec![("authorization", "Bearer s3cret"), ("host", "evil.test"), ("origin", "null")], true),
            (vec![], false),
            (vec![("host", "localhost")], false),
            (vec![("authorization", "Bearer")], false),
            (vec![("authorization", "Bearer ")], false),
            (vec![("authorization", "Bearer s3cre")], false),
            (vec![("authorization", "Bearer s3cret ")], false),
            (vec![("authorization", "Bearer S3CRET")], false),
            (vec![("authorization", "Basic s3cret")], false),
            (vec![("authorization", "s3cret")], false),
            (vec![("authorization", "Bearer s3cret"), ("authorization", "Bearer s3cret")], false),
        ] {
            let checked = check(Some(&token), &asked("POST", "/api/v1/users/disable", &lines));
            assert_eq!(checked, if admitted { Ok(()) } else { Err(Refused::Token) }, "{lines:?}");
        }
    }

    #[test]
    fn without_a_token_only_this_machine_by_its_own_names() {
        for (host, admitted) in [
            ("localhost:4181", true),
            ("LOCALHOST", true),
            ("localhost.", true),
            ("admin.localhost:1", true),
            ("127.0.0.1:4181", true),
            ("127.9.9.9", true),
            ("[::1]:4181", true),
            ("[::ffff:127.0.0.1]", true),
            ("evil.test:4181", false),
            ("localhost.evil.test", false),
            ("notlocalhost", false),
            ("127.0.0.1.evil.test", false),
            ("10.0.0.1", false),
            ("0.0.0.0:4181", false),
            ("[::]", false),
            ("localhost, evil.test", false),
            ("x@localhost", false),
            ("", false),
        ] {
            let checked = check(None, &asked("GET", "/api/v1/users", &[("host", host)]));
            assert_eq!(checked, if admitted { Ok(()) } else { Err(Refused::Host) }, "{host}");
        }
        let twice = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(check(None, &asked("GET", "/x", &twice)), Err(Refused::Host));
        assert_eq!(check(None, &asked("GET", "/x", &[])), Err(Refused::Host));
        let other = asked("GET", "http://evil.test/x", &[("host", "localhost")]);
        assert_eq!(check(None, &other), Err(Refused::Host));
    }

    #[test]
    fn without_a_token_no_page_in_a_browser_gets_in() {
        for (method, lines, checked) in [
            ("GET", vec![], Ok(())),
            ("DELETE", vec![], Ok(())),
            ("GET", vec![("sec-fetch-site", "none")], Ok(())),
            ("GET", vec![("sec-fetch-site", "same-origin")], Ok(())),
            ("GET", vec![("sec-fetch-site", "same-site")], Err(Refused::Page)),
            ("GET", vec![("sec-fetch-site", "cross-site")], Err(Refused::Page)),
            ("GET", vec![("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")], Err(Refused::Page)),
            ("DELETE", vec![("origin", "http://localhost:3000")], Err(Refused::Page)),
            ("POST", vec![("content-type", "application/json")], Ok(())),
            ("POST", vec![("content-type", "Application/JSON; charset=utf-8")], Ok(())),
            ("POST", vec![("x-requested-with", "curl")], Ok(())),
            ("POST", vec![], Err(Refused::Plain)),
            ("POST", vec![("content-type", "text/plain; application/json")], Err(Refused::Plain)),
            ("POST", vec![("content-type", "application/x-www-form-urlencoded")], Err(Refused::Plain)),
            ("POST", vec![("content-type", "application/json"), ("origin", "null")], Err(Refused::Page)),
        ] {
            let with_host = [vec![("host", "127.0.0.1:4181")], lines].concat();
            assert_eq!(check(None, &asked(method, "/x", &with_host)), checked, "{method} {with_host:?}");
        }
    }
}
