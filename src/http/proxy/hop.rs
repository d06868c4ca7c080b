//! What a message says of one connection only, and does not travel on (RFC 9110 7.6.1). Knows nothing of what is set
//! in its place.

use http::header::{self, CONNECTION, HeaderMap, HeaderName, HeaderValue, TE};

/// The fields that `Connection` names.
#[derive(Debug, Default)]
pub(super) struct Hop(Vec<HeaderName>);

/// A `Connection` that names what a request is judged or framed by: no such request is whole without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NamesMore;

impl Hop {
    /// Reads `Connection` of a request, before anything is removed or set.
    ///
    /// # Errors
    /// [`NamesMore`] where a field is named that must reach the backend as it was judged.
    pub(super) fn of_request(headers: &HeaderMap) -> Result<Self, NamesMore> {
        let hop = Self::of_response(headers);
        if hop.0.iter().any(|name| END_TO_END.contains(name)) { Err(NamesMore) } else { Ok(hop) }
    }

    /// Reads `Connection` of a response. What is no name names nothing.
    pub(super) fn of_response(headers: &HeaderMap) -> Self {
        Self(tokens(headers, &CONNECTION).filter_map(|token| token.parse().ok()).collect())
    }

    /// Whether a field is named.
    pub(super) fn names(&self, name: &HeaderName) -> bool {
        self.0.contains(name)
    }

    /// Removes what is named, and what speaks of one connection by itself. Trailers go on, and so does that they are
    /// understood (RFC 9110 10.1.4).
    pub(super) fn remove_from(&self, headers: &mut HeaderMap) {
        let trailers = tokens(headers, &TE).any(|token| token.eq_ignore_ascii_case("trailers"));
        for name in self.0.iter().chain(&HOP_BY_HOP) {
            headers.remove(name);
        }
        if trailers {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
    }
}

/// The members of a list, over all lines of a field.
pub(super) fn tokens<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

/// What a client may not have removed on the way: the judge saw it.
const END_TO_END: [HeaderName; 4] =
    [header::AUTHORIZATION, header::CONTENT_LENGTH, header::COOKIE, header::HOST];
/// `Trailer` is not among them: it announces what travels to the end. `Proxy` is no field at all, but programs that
/// are run as CGI take it for their own proxy.
pub(super) const HOP_BY_HOP: [HeaderName; 10] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy"),
    HeaderName::from_static("proxy-authentication-info"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let line = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        };
        lines.iter().map(line).collect()
    }

    #[test]
    fn what_speaks_of_the_connection_goes_and_the_rest_stays() {
        for (before, after) in [
            (vec![("connection", "keep-alive"), ("keep-alive", "timeout=5"), ("a", "1")], vec![("a", "1")]),
            (vec![("connection", "x-a, X-B"), ("x-a", "1"), ("x-b", "2"), ("x-c", "3")], vec![("x-c", "3")]),
            (vec![("connection", "close"), ("connection", "x-a"), ("x-a", "1")], vec![]),
            (vec![("connection", "a b, ,;"), ("a", "1")], vec![("a", "1")]),
            (vec![("te", "gzip, Trailers"), ("trailer", "x")], vec![("trailer", "x"), ("te", "trailers")]),
            (vec![("te", "gzip")], vec![]),
            (vec![("connection", "te"), ("te", "trailers")], vec![("te", "trailers")]),
            (vec![("proxy", "http://x"), ("proxy-authorization", "x"), ("proxy-connection", "x")], vec![]),
            (vec![("upgrade", "h2c"), ("transfer-encoding", "chunked")], vec![]),
        ] {
            let mut map = headers(&before);
            Hop::of_request(&map).unwrap().remove_from(&mut map);
            assert_eq!(map, headers(&after), "{before:?}");
        }
    }

    #[test]
    fn nobody_has_removed_what_a_request_was_judged_by() {
        for named in ["host", "close, Cookie", "AUTHORIZATION", "content-length"] {
            assert_eq!(Hop::of_request(&headers(&[("connection", named)])).err(), Some(NamesMore), "{named}");
        }
    }
}
