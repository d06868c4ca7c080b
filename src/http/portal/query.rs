//! Parameters of an address or a form, read strictly. Knows no meaning of theirs but that of `rd`.

use http::Uri;
use http::request::Parts;
use url::form_urlencoded;

use crate::visit::folded;

/// The parameters as they came.
#[derive(Debug)]
pub(in crate::http) struct Query {
    raw: String,
    pairs: Vec<(String, String)>,
}

/// A parameter that stands there twice (RFC 6749 3.1 forbids it).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) struct Repeated;

impl Query {
    pub(in crate::http) fn of(parts: &Parts) -> Self {
        Self::of_uri(&parts.uri)
    }

    pub(in crate::http) fn of_uri(uri: &Uri) -> Self {
        Self::from_bytes(uri.query().unwrap_or_default().as_bytes())
    }

    pub(in crate::http) fn from_bytes(bytes: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(bytes).into_owned().collect();
        Self { raw: String::from_utf8_lossy(bytes).into_owned(), pairs }
    }

    /// The one value of a parameter.
    pub(in crate::http) fn one(&self, name: &str) -> Result<Option<String>, Repeated> {
        let mut values = self.pairs.iter().filter(|(other, _)| other == name).map(|(_, value)| value.clone());
        let first = values.next();
        if values.next().is_some() { Err(Repeated) } else { Ok(first) }
    }

    /// All values of a parameter that has these letters, such as `allowed_groups[]`.
    pub(in crate::http) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let pairs = self.pairs.iter().filter(move |(other, _)| folded(other).eq(folded(name)));
        pairs.map(|(_, value)| value.as_str())
    }

    /// Where to go afterwards. Front proxies paste it in unescaped, so that all behind its first `&` would be lost:
    /// an `rd` that holds a bare `://`, or a path with a bare `?`, takes the rest of the query with it.
    pub(in crate::http) fn rd(&self) -> Option<String> {
        let start = if self.raw.starts_with("rd=") { 3 } else { self.raw.find("&rd=")? + 4 };
        let rest = &self.raw[start..];
        let end = rest.find('&').unwrap_or(rest.len());
        let bare = rest[..end].contains("://") || (rest.starts_with('/') && rest[..end].contains('?'));
        if bare { Some(rest.to_owned()) } else { self.one("rd").ok().flatten() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rd_is_whole_however_it_was_escaped() {
        for (query, rd) in [
            ("rd=https%3A%2F%2Fapp.test%2Fp%3Fa%3D1%26b%3D2", Some("https://app.test/p?a=1&b=2")),
            ("rd=https://app.test/p?a=1&b=2", Some("https://app.test/p?a=1&b=2")),
            ("x=1&rd=/p?a=1&b=2", Some("/p?a=1&b=2")),
            ("rd=/p&account=other", Some("/p")),
            ("rd=%2Fp&account=other", Some("/p")),
            ("rd=/a&rd=/b", None),
            ("x=1", None),
            ("", None),
        ] {
            assert_eq!(Query::from_bytes(query.as_bytes()).rd().as_deref(), rd, "{query}");
        }
    }

    #[test]
    fn a_parameter_that_stands_twice_is_an_error() {
        let query = Query::from_bytes(b"state=a&state=b&code=c");
        assert_eq!(query.one("state"), Err(Repeated));
        assert_eq!(query.one("code"), Ok(Some("c".to_owned())));
        assert_eq!(query.one("none"), Ok(None));
    }
}
