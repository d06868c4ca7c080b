//! Another method than that of the request line, as which some servers act on a request, by a header or by a parameter of the
//! query; and another root, below which they look for its path. Knows no rules.

use http::{HeaderMap, Method};

/// Where such servers would look, beside the query.
#[derive(Clone, Copy, Debug, Default)]
pub enum Overrides<'r> {
    /// Nowhere, or where nothing of it reaches the server.
    #[default]
    Nowhere,
    /// In these headers.
    In(&'r HeaderMap),
}

impl Overrides<'_> {
    /// Whether some server could take the request for one of another method. The same one said again is none.
    pub fn differ_from(self, method: &Method, query: Option<&[u8]>) -> bool {
        let other = |value: &[u8]| !value.trim_ascii().eq_ignore_ascii_case(method.as_str().as_bytes());
        let in_headers = self.hold(&METHOD_LETTERS, other);
        // To some servers a semicolon separates, too.
        let parts = query.unwrap_or_default().split(|byte| matches!(byte, b'&' | b';'));
        let mut pairs = parts.flat_map(url::form_urlencoded::parse);
        in_headers || pairs.any(|(name, value)| is_parameter(&name) && other(value.as_bytes()))
    }

    /// Whether some server could take a beginning off the path, and serve what is left.
    pub fn name_a_root(self) -> bool {
        self.hold(&ROOT_LETTERS, |value| !value.trim_ascii().is_empty())
    }

    /// Whether a header of one of these letters has such a value.
    fn hold(self, names: &[&str], such: impl Fn(&[u8]) -> bool) -> bool {
        let Self::In(headers) = self else { return false };
        headers.iter().any(|(name, value)| is_of(names, name.as_str()) && such(value.as_bytes()))
    }
}

/// Whether some server reads a root in a header of these letters, however they are joined.
pub fn moves_root(letters: &str) -> bool {
    ROOT_LETTERS.contains(&letters)
}

/// Whether some server reads a method in a header of these letters, however they are joined.
pub fn overrides(letters: &str) -> bool {
    METHOD_LETTERS.contains(&letters)
}

/// Whether a name has the letters of one of these, which are looked at only if it begins as one does.
fn is_of(names: &[&str], name: &str) -> bool {
    let begins = folded(name).next().is_some_and(|first| matches!(first, 'd' | 'm' | 'p' | 's' | 'x'));
    begins && names.iter().any(|known| folded(name).eq(known.chars()))
}

/// The letters and digits of a name in lower case, as which the laxest servers read it.
pub fn folded(name: &str) -> impl Iterator<Item = char> {
    name.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| char::from(byte.to_ascii_lowercase()))
}

/// The same for a parameter of the query. PHP drops spaces before a name, reads dots and spaces in it as underscores, and stops
/// reading at NUL.
fn is_parameter(name: &str) -> bool {
    let name = name.split('\0').next().unwrap_or_default().trim_start_matches(' ');
    let plain = |byte: u8| if matches!(byte, b'.' | b' ' | b'-') { b'_' } else { byte.to_ascii_lowercase() };
    PARAMETERS.iter().any(|known| name.bytes().map(plain).eq(known.bytes()))
}

/// Headers in which frameworks read a method: Rails, Laravel, Symfony, Django, Express, ASP.NET and the SDKs of clouds.
pub const METHOD_HEADERS: [&str; 9] = [
    "Method",
    "Method-Override",
    "X-HTTP-Method",
    "X-HTTP-Method-Override",
    "X-HTTP-Override",
    "X-HTTP-Verb",
    "X-Method",
    "X-Method-Override",
    "X-Tunneled-Method",
];
/// Headers by which some backends serve another address or method than the one that was checked. A front proxy is to take them
/// off, as all snippets do, and Envoy is told so by each answer.
pub const ELSEWHERE: [&str; 16] = [
    "Daphne-Root-Path",
    "Forwarded",
    "Path-Info",
    "Script-Name",
    "X-Forwarded-Method",
    "X-Forwarded-Prefix",
    "X-Forwarded-Uri",
    "X-HTTP-Method",
    "X-HTTP-Method-Override",
    "X-Method-Override",
    "X-Original-Method",
    "X-Original-URI",
    "X-Original-URL",
    "X-Override-URL",
    "X-Rewrite-URL",
    "X-Script-Name",
];
/// The letters of [`METHOD_HEADERS`].
const METHOD_LETTERS: [&str; 9] = [
    "method",
    "methodoverride",
    "xhttpmethod",
    "xhttpmethodoverride",
    "xhttpoverride",
    "xhttpverb",
    "xmethod",
    "xmethodoverride",
    "xtunneledmethod",
];
/// Those in [`ELSEWHERE`] that name the root which an app is said to be at: Daphne, gunicorn, Calibre-Web and much else in Python take it
/// off the path.
const ROOT_LETTERS: [&str; 4] = ["daphnerootpath", "pathinfo", "scriptname", "xscriptname"];
const PARAMETERS: [&str; 5] =
    ["_method", "x_http_method_override", "x_http_method", "x_method_override", "x_tunneled_method"];

#[cfg(test)]
mod tests {
    use http::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn letters_are_those_of_the_names() {
        assert_eq!(METHOD_HEADERS.map(|name| folded(name).collect::<String>()), METHOD_LETTERS);
        let elsewhere = ELSEWHERE.map(|name| folded(name).collect::<String>());
        for known in ROOT_LETTERS {
            assert!(elsewhere.iter().any(|letters| letters == known), "{known}");
        }
        for known in METHOD_LETTERS.iter().chain(&ROOT_LETTERS) {
            assert!(is_of(&[known], known), "{known}");
        }
    }

    #[test]
    fn a_method_beside_the_request_line_is_seen_in_every_spelling() {
        let none = HeaderMap::new();
        for (query, differs) in [
            ("_method=DELETE", true),
            ("a=1&_METHOD=put", true),
            ("a=1;_method=DELETE", true),
            ("%5Fmethod=DELETE", true),
            (".method=DELETE", true),
            ("_method%00x=DELETE", true),
            ("x-tunneled-method=DELETE", true),
            ("+_method=DELETE", true),
            ("X-HTTP-Method-Override=DELETE", true),
            ("_method", true),
            ("_method=post", false),
            ("method=delete", false),
            ("a_method=delete", false),
            ("", false),
        ] {
            let told = Overrides::In(&none).differ_from(&Method::POST, Some(query.as_bytes()));
            assert_eq!(told, differs, "{query}");
        }
        for (name, value, differs) in [
            ("x-http-method-override", "DELETE", true),
            ("x_http_method_override", "DELETE", true),
            ("x-method-override", "PATCH", true),
            ("x-http-method", "GET, DELETE", true),
            ("_method", "delete", true),
            ("x-http-method-override", " post ", false),
            ("x-original-method", "DELETE", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            assert_eq!(Overrides::In(&headers).differ_from(&Method::POST, None), differs, "{name}: {value}");
            assert!(!Overrides::Nowhere.differ_from(&Method::POST, None));
        }
    }
}
