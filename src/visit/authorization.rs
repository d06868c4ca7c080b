//! The `Authorization` line of a request, read only where no session decides. Knows no tokens and nobody's password.

use std::fmt;

use http::Method;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, ORIGIN};

use super::Target;
use super::app_token::APP_TOKEN;
use super::host::parse_host;

/// Whatever a request shows in its `Authorization` lines, not looked at before somebody asks; nothing by default.
#[derive(Clone, Copy, Default)]
pub struct Authorization<'r>(Option<&'r HeaderMap>);

/// What an `Authorization` line shows (RFC 9110 11.6.2).
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shown<'r> {
    /// Nothing, or a scheme that is an affair of the app's.
    Nothing,
    /// A bearer token (RFC 6750 2.1), not looked at yet.
    Bearer(&'r str),
    /// User name and password, in base64 as sent (RFC 7617).
    Basic(&'r str),
    /// More than one line, or a token that is none: nobody knows which of them others would read.
    Unclear,
}

impl<'r> Authorization<'r> {
    /// That of a request with these headers.
    pub fn of(headers: &'r HeaderMap) -> Self {
        Self(Some(headers))
    }

    /// Reads it.
    pub fn shown(self) -> Shown<'r> {
        let mut lines = self.lines();
        let Some(first) = lines.next() else { return Shown::Nothing };
        if lines.next().is_some() { Shown::Unclear } else { Shown::in_line(first) }
    }
    fn lines(self) -> impl Iterator<Item = &'r HeaderValue> {
        self.0.into_iter().flat_map(|headers| headers.get_all(AUTHORIZATION))
    }

    /// The lines of the header for app tokens.
    pub(super) fn app_token_lines(self) -> impl Iterator<Item = &'r HeaderValue> {
        self.0.into_iter().flat_map(|headers| headers.get_all(APP_TOKEN))
    }

    /// Whether a page of another site has a browser show what it knows, as it does for passwords (RFC 7617) without being asked:
    /// other than by a link, which only reads. A browser that does not say so (Fetch Metadata) is told by the `Origin`.
    pub fn is_shown_by_another_site(self, target: &Target<'_>) -> bool {
        let Some(headers) = self.0 else { return false };
        let says = |name: &HeaderName, word: &str| headers.get_all(name).iter().any(|value| value == word);
        let is_elsewhere = if headers.contains_key(SITE) {
            says(&SITE, "cross-site")
        } else {
            headers.get_all(ORIGIN).iter().any(|origin| !is_at(origin.as_bytes(), &target.host))
        };
        let is_link = matches!(target.method, Method::GET | Method::HEAD)
            && says(&MODE, "navigate")
            && headers.get_all(DEST).iter().all(|place| place == "document");
        is_elsewhere && !is_link
    }

    /// Whether a line is there that speaks of a bearer token: a program, never to be redirected.
    pub fn is_bearer(self) -> bool {
        self.lines().any(|line| {
            line.as_bytes().get(..6).is_some_and(|word| word.eq_ignore_ascii_case(b"bearer"))
                && line.as_bytes().get(6).is_none_or(|&end| end == b' ')
        })
    }
}

/// Whether an origin (RFC 6454 7.1) is of this host, whatever its port.
fn is_at(origin: &[u8], host: &str) -> bool {
    let scheme_end = memchr::memmem::find(origin, b"://");
    scheme_end.is_some_and(|end| parse_host(&origin[end + 3..]).is_ok_and(|named| named == host))
}

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

impl<'r> Shown<'r> {
    fn in_line(line: &'r HeaderValue) -> Self {
        let line = line.as_bytes();
        let (scheme, rest) = line.iter().position(|&byte| byte == b' ').map_or((line, &[][..]), |end| {
            let (scheme, rest) = line.split_at(end);
            (scheme, rest.trim_ascii())
        });
        let ours: fn(&'r str) -> Self = if scheme.eq_ignore_ascii_case(b"bearer") {
            Self::Bearer
        } else if scheme.eq_ignore_ascii_case(b"basic") {
            Self::Basic
        } else {
            return Self::Nothing;
        };
        match std::str::from_utf8(rest) {
            Ok(token) if is_token(rest) => ours(token),
            Ok(_) | Err(_) => Self::Unclear,
        }
    }
}

/// Whether these bytes are a `token68` (RFC 9110 11.2).
fn is_token(bytes: &[u8]) -> bool {
    let unpadded = bytes.iter().rposition(|&byte| byte != b'=').map_or(0, |last| last + 1);
    unpadded > 0
        && bytes[..unpadded].iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte))
}

impl fmt::Debug for Authorization<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Bearer(_) => "Bearer(***)",
            Self::Basic(_) => "Basic(***)",
            Self::Unclear => "Unclear",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_of_a_known_scheme_is_shown_and_all_others_are_the_apps() {
        for (lines, shown, bearer) in [
            (&[][..], Shown::Nothing, false),
            (&["Bearer a.b-c_d~e+f/g=="], Shown::Bearer("a.b-c_d~e+f/g=="), true),
            (&["bEARER   x "], Shown::Bearer("x"), true),
            (&["Basic YTpi"], Shown::Basic("YTpi"), false),
            (&["Digest username=\"x\""], Shown::Nothing, false),
            (&["DPoP x"], Shown::Nothing, false),
            (&["Bearerx y"], Shown::Nothing, false),
            (&["x"], Shown::Nothing, false),
            (&[""], Shown::Nothing, false),
            (&["Bearer"], Shown::Unclear, true),
            (&["Bearer =="], Shown::Unclear, true),
            (&["Bearer a b"], Shown::Unclear, true),
            (&["Bearer a=b"], Shown::Unclear, true),
            (&["Bearer a,Bearer b"], Shown::Unclear, true),
            (&["Bearer é"], Shown::Unclear, true),
            (&["Basic"], Shown::Unclear, false),
            (&["Bearer a", "Bearer a"], Shown::Unclear, true),
            (&["Basic YTpi", "Bearer a"], Shown::Unclear, true),
            (&["Digest a", "Digest b"], Shown::Unclear, false),
        ] {
            let line = |text: &&str| (AUTHORIZATION, HeaderValue::from_bytes(text.as_bytes()).unwrap());
            let headers: HeaderMap =
                lines.iter().map(line).fold(HeaderMap::new(), |mut all, (name, value)| {
                    all.append(name, value);
                    all
                });
            let found = Authorization::of(&headers);
            assert!(found.shown() == shown, "{lines:?}: {:?}", found.shown());
            assert_eq!(found.is_bearer(), bearer, "{lines:?}");
        }
    }
}
