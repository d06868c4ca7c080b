//! The second address of a WebDAV request: where a page is to be copied or moved. Knows no rules.

use http::header::HeaderName;
use http::{HeaderMap, Method};

use super::{Path, parse_host, split_url};

/// Where a `COPY` or `MOVE` puts what it takes (RFC 4918 9.8, 9.9).
#[derive(Clone, Copy, Debug, Default)]
pub enum Destination<'r> {
    /// The method has none, or nobody knows of it.
    #[default]
    Nowhere,
    /// This is what `Destination` says.
    At(&'r [u8]),
    /// It is a `COPY` or `MOVE` without one, or there are several.
    Unclear,
}

impl<'r> Destination<'r> {
    /// What these headers say, also to other methods: not every front proxy tells which one it is.
    pub fn of(method: &Method, headers: &'r HeaderMap) -> Self {
        let mut all = headers.get_all(&DESTINATION).iter();
        match (all.next(), all.next()) {
            (Some(one), None) => Self::At(one.as_bytes()),
            (Some(_), Some(_)) => Self::Unclear,
            (None, _) if has_one(method) => Self::Unclear,
            (None, _) => Self::Nowhere,
        }
    }

    /// The path there, if it is one of this host (RFC 4918 10.3), has no query, and every server reads it alike.
    pub fn path_at(self, host: &str) -> Option<Path<'r>> {
        let Self::At(text) = self else { return None };
        let path = match text.first() {
            Some(b'/') => text,
            _ => below(text, host)?,
        };
        let path = Path::parse(path).ok()?;
        path.canonical()?;
        Some(path)
    }
}

/// Whether a method has a destination.
pub fn has_one(method: &Method) -> bool {
    matches!(method.as_str(), "COPY" | "MOVE")
}

/// The path of an absolute address, if it is one of this host.
fn below<'r>(text: &'r [u8], host: &str) -> Option<&'r [u8]> {
    let [scheme, named, path] = split_url(text).ok()?;
    let is_web = [&b"http"[..], b"https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    (is_web && parse_host(named).ok()? == host).then_some(path)
}

const DESTINATION: HeaderName = HeaderName::from_static("destination");

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_destination_is_a_clear_path_of_the_same_host() {
        for (text, path) in [
            ("/a/b", Some("/a/b")),
            ("/a%20b", Some("/a b")),
            ("https://dav.test/a", Some("/a")),
            ("HTTP://DAV.test:8443/a", Some("/a")),
            ("https://dav.test", None),
            ("https://other.test/a", None),
            ("https://dav.test@other.test/a", None),
            ("https://other.test@dav.test/a", None),
            ("//dav.test/a", None),
            ("ftp://dav.test/a", None),
            ("a/b", None),
            ("/a/../b", None),
            ("/a%2fb", None),
            ("/a//b", None),
            ("/a?x", None),
            ("/a#x", None),
            ("/a;x", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(DESTINATION, HeaderValue::from_static(text));
            let method = Method::from_bytes(b"MOVE").expect("a method");
            let found = Destination::of(&method, &headers).path_at("dav.test");
            assert_eq!(found.as_ref().and_then(Path::canonical), path, "{text}");
            assert!(matches!(Destination::of(&Method::GET, &headers), Destination::At(_)));
            headers.append(DESTINATION, HeaderValue::from_static(text));
            assert!(Destination::of(&method, &headers).path_at("dav.test").is_none(), "{text} twice");
        }
    }
}
