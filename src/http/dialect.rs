//! How each front proxy tells what a visitor asked for. One fixed header family each, nothing guessed. Knows no
//! policy and no sessions.

use std::borrow::Cow;

use http::Method;
use http::header::{HOST, HeaderMap, HeaderName};
use http::request::Parts;

use crate::browser::{Cookies, Lines};
use crate::headers::fold;
use crate::visit::{
    AskedTenant, Authorization, Destination, Malformed, Overrides, Path, Scheme, Target, Visit,
    can_be_judged, parse_host, split_url,
};

/// The front proxies foregate speaks with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Traefik `forwardAuth`.
    Traefik,
    /// nginx `auth_request`.
    Nginx,
    /// Caddy `forward_auth`.
    Caddy,
    /// HAProxy through its Lua client.
    Haproxy,
    /// Envoy `ext_authz` over HTTP.
    Envoy,
}

/// Where the auth addresses begin.
pub const AUTH_PREFIX: &str = "/.foregate/auth/";

impl Dialect {
    /// The dialect an auth address speaks; Envoy's has the visitor's own path behind it.
    pub fn of_path(path: &str) -> Option<Self> {
        match path.strip_prefix(AUTH_PREFIX)? {
            "traefik" => Some(Self::Traefik),
            "nginx" => Some(Self::Nginx),
            "caddy" => Some(Self::Caddy),
            "haproxy" => Some(Self::Haproxy),
            "envoy" => Some(Self::Envoy),
            other => other.starts_with("envoy/").then_some(Self::Envoy),
        }
    }

    /// How logs and pages name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Traefik => "traefik",
            Self::Nginx => "nginx",
            Self::Caddy => "caddy",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
        }
    }

    /// The headers that are read in a check, `Host` aside.
    pub fn reads(self) -> &'static [&'static str] {
        match self {
            Self::Traefik | Self::Caddy | Self::Haproxy => {
                &[METHOD.name, PROTO.name, HOST_NAME.name, URI.name, FORWARDED_FOR]
            }
            Self::Nginx => &[ORIGINAL_METHOD.name, ORIGINAL_URL.name, FORWARDED_FOR],
            Self::Envoy => &[PROTO.name, FORWARDED_FOR],
        }
    }

    /// Reads a check as the visit it is about. `fallback` is the scheme where Envoy sends none.
    ///
    /// # Errors
    /// [`Malformed`] for whatever is missing, there twice, or not what it should be.
    pub fn read<'r>(
        self,
        parts: &'r Parts,
        cookies: &Cookies,
        fallback: Scheme,
    ) -> Result<Visit<'r>, Malformed> {
        let target = match self {
            Self::Traefik | Self::Caddy | Self::Haproxy => forwarded(&parts.headers)?,
            Self::Nginx => original_url(&parts.headers)?,
            Self::Envoy => request_line(parts, fallback)?,
        };
        let target = Target { overrides: Overrides::In(&parts.headers), ..target };
        Ok(visit(target, &parts.headers, (cookies, Lines::Joined)))
    }
}

/// A visit to `target` with all that a request shows for it.
fn visit<'r>(target: Target<'r>, headers: &'r HeaderMap, (cookies, lines): (&Cookies, Lines)) -> Visit<'r> {
    let credential = cookies.credential_at(&target.host, headers, lines);
    let target = Target { destination: Destination::of(&target.method, headers), ..target };
    let (authorization, tenant) = (Authorization::of(headers), AskedTenant::In(headers));
    Visit { target, credential, authorization, tenant, client: None }
}

/// Traefik, Caddy, HAProxy: X-Forwarded-Method, -Proto, -Host and -Uri.
fn forwarded(headers: &HeaderMap) -> Result<Target<'_>, Malformed> {
    let [method, scheme, host, uri] = read([METHOD, PROTO, HOST_NAME, URI], headers)?;
    target(Scheme::parse(scheme)?, host, uri, parse_method(method)?)
}

/// nginx: X-Original-URL and X-Original-Method.
fn original_url(headers: &HeaderMap) -> Result<Target<'_>, Malformed> {
    let [method, url] = read([ORIGINAL_METHOD, ORIGINAL_URL], headers)?;
    read_url(url, parse_method(method)?)
}

/// What a whole address asks for, as a front proxy would tell of it.
///
/// # Errors
/// [`Malformed`] for all that a check about it would be refused for.
pub fn read_url(url: &[u8], method: Method) -> Result<Target<'_>, Malformed> {
    let [scheme, host, uri] = split_url(url)?;
    target(Scheme::parse(scheme)?, host, uri, method)
}

/// Envoy: the request line behind the prefix, Host, and X-Forwarded-Proto where Envoy sends it.
fn request_line(parts: &Parts, fallback: Scheme) -> Result<Target<'_>, Malformed> {
    let [] = read([], &parts.headers)?;
    let whole = parts.uri.path_and_query().map_or("/", |uri| uri.as_str());
    let uri = whole.strip_prefix(ENVOY_PREFIX).ok_or(Malformed::Path)?;
    let uri = if uri.is_empty() { "/" } else { uri };
    let host = match (parts.uri.authority(), one(&parts.headers, &HOST, "Host")) {
        (Some(authority), Ok(host)) if authority.as_str().as_bytes() == host => host,
        (Some(_), _) => return Err(Malformed::Host),
        (None, host) => host?,
    };
    let scheme = match one(&parts.headers, &X_FORWARDED_PROTO, PROTO.called) {
        Ok(word) => Scheme::parse(word)?,
        Err(Malformed::Missing(_)) if !parts.headers.contains_key(&X_FORWARDED_PROTO) => fallback,
        Err(error) => return Err(error),
    };
    target(scheme, host, uri.as_bytes(), parts.method.clone())
}

/// The target of these words, each in its one spelling.
pub(super) fn target<'r>(
    scheme: Scheme,
    host: &'r [u8],
    uri: &'r [u8],
    method: Method,
) -> Result<Target<'r>, Malformed> {
    if !can_be_judged(&method) {
        return Err(Malformed::Method);
    }
    let host: Cow<'r, str> = parse_host(host)?;
    let (path, query) = match memchr::memchr(b'?', uri) {
        Some(mark) => (&uri[..mark], Some(&uri[mark + 1..])),
        None => (uri, None),
    };
    if query.is_some_and(|query| query.iter().any(|byte| byte.is_ascii_control() || *byte == b'#')) {
        return Err(Malformed::Query);
    }
    // Where foregate is the proxy itself, none of these headers reaches a backend.
    let (path, overrides, destination) = (Path::parse(path)?, Overrides::Nowhere, Destination::Nowhere);
    Ok(Target { scheme, host, path, query, method, overrides, destination })
}

/// The visit of a request to foregate as the proxy itself: what is judged is what will be sent.
pub(super) fn direct<'r>(
    parts: &'r Parts,
    cookies: &Cookies,
    scheme: Scheme,
) -> Result<Visit<'r>, Malformed> {
    let host = match (parts.uri.authority(), one(&parts.headers, &HOST, "Host")) {
        (Some(authority), Ok(host)) if authority.as_str().as_bytes().eq_ignore_ascii_case(host) => host,
        (Some(_), _) => return Err(Malformed::Host),
        (None, host) => host?,
    };
    let uri = parts.uri.path_and_query().map_or("/", |uri| uri.as_str());
    let target = target(scheme, host, uri.as_bytes(), parts.method.clone())?;
    Ok(visit(target, &parts.headers, (cookies, Lines::AsSent)))
}

/// The host that a request is sent to by its `Host`, if it names one.
pub(super) fn addressed(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    parse_host(headers.get(HOST)?.as_bytes()).ok()
}

/// The one value of a header that must be there exactly once.
fn one<'r>(headers: &'r HeaderMap, name: &HeaderName, called: &'static str) -> Result<&'r [u8], Malformed> {
    let value = headers.get(name).ok_or(Malformed::Missing(called))?.as_bytes();
    if headers.get_all(name).iter().count() > 1 {
        return Err(Malformed::Repeated(called));
    }
    if value.is_empty() { Err(Malformed::Missing(called)) } else { Ok(value) }
}

fn parse_method(word: &[u8]) -> Result<Method, Malformed> {
    Method::from_bytes(word).map_err(|_| Malformed::Method)
}

/// The values of headers that must each be there exactly once, from one walk over all headers, which costs less than
/// looking each of them up. Refuses look-alikes on the way.
fn read<const N: usize>(wanted: [Wanted; N], headers: &HeaderMap) -> Result<[&[u8]; N], Malformed> {
    let mut found = [(0_u32, [].as_slice()); N];
    for (name, value) in headers {
        let name = name.as_str();
        if name.len() <= SHORTEST_LOOK_ALIKE || !name.starts_with('x') {
            continue;
        }
        match wanted.iter().position(|wanted| wanted.name == name) {
            Some(index) => found[index] = (found[index].0 + 1, value.as_bytes()),
            // Nearly always there, and only like itself.
            None if name == FORWARDED_FOR => {}
            None => refuse_look_alike(name)?,
        }
    }
    let mut values = [[].as_slice(); N];
    for ((place, found), Wanted { called, .. }) in values.iter_mut().zip(found).zip(wanted) {
        *place = match found {
            (0, _) | (1, []) => return Err(Malformed::Missing(called)),
            (1, value) => value,
            (_, _) => return Err(Malformed::Repeated(called)),
        };
    }
    Ok(values)
}

/// Refuses `X_Forwarded_Uri`, `X.Forwarded.Host` and their like: some software reads them as the real ones, and
/// no front proxy sends them.
fn refuse_look_alike(name: &str) -> Result<(), Malformed> {
    if name.bytes().any(|byte| byte == b'_' || byte == b'.') {
        let folded = fold(name);
        if let Some((_, real)) = FOLDED.iter().find(|(known, _)| *known == folded) {
            return Err(Malformed::Alias(real));
        }
    }
    Ok(())
}

/// A header that a front proxy must send, as requests and as people spell it.
#[derive(Clone, Copy)]
struct Wanted {
    name: &'static str,
    called: &'static str,
}

const METHOD: Wanted = Wanted { name: "x-forwarded-method", called: "X-Forwarded-Method" };
const PROTO: Wanted = Wanted { name: "x-forwarded-proto", called: "X-Forwarded-Proto" };
const HOST_NAME: Wanted = Wanted { name: "x-forwarded-host", called: "X-Forwarded-Host" };
const URI: Wanted = Wanted { name: "x-forwarded-uri", called: "X-Forwarded-Uri" };
const ORIGINAL_URL: Wanted = Wanted { name: "x-original-url", called: "X-Original-URL" };
const ORIGINAL_METHOD: Wanted = Wanted { name: "x-original-method", called: "X-Original-Method" };
const FORWARDED_FOR: &str = "x-forwarded-for";
const ENVOY_PREFIX: &str = "/.foregate/auth/envoy";
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static(PROTO.name);
/// A look-alike has at least the letters of the shortest folded name.
const SHORTEST_LOOK_ALIKE: usize = 12;
const FOLDED: [(&str, &str); 7] = [
    ("xforwardedmethod", "X-Forwarded-Method"),
    ("xforwardedproto", "X-Forwarded-Proto"),
    ("xforwardedhost", "X-Forwarded-Host"),
    ("xforwardeduri", "X-Forwarded-Uri"),
    ("xforwardedfor", "X-Forwarded-For"),
    ("xoriginalurl", "X-Original-URL"),
    ("xoriginalmethod", "X-Original-Method"),
];

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn each_source_is_there_once_and_under_its_own_name() {
        let sound = [
            ("x-forwarded-method", "GET"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "app.test"),
            ("x-forwarded-uri", "/"),
        ];
        let changed = |change: &[(&'static str, &'static str)], left_out: &str| -> HeaderMap {
            let kept = sound.iter().filter(|(name, _)| *name != left_out);
            let line = |(name, value): &(&'static str, &'static str)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            let mut headers = HeaderMap::new();
            kept.chain(change).map(line).for_each(|(name, value)| {
                headers.append(name, value);
            });
            headers
        };
        assert!(forwarded(&changed(&[("x-forwarded-for", "192.0.2.1"), ("x_other", "")], "")).is_ok());
        for (change, left_out, error) in [
            (&[][..], "x-forwarded-method", Malformed::Missing("X-Forwarded-Method")),
            (&[], "x-forwarded-uri", Malformed::Missing("X-Forwarded-Uri")),
            (&[("x-forwarded-host", "")], "x-forwarded-host", Malformed::Missing("X-Forwarded-Host")),
            (&[("x-forwarded-host", "app.test")], "", Malformed::Repeated("X-Forwarded-Host")),
            (&[("x-forwarded-uri", "")], "", Malformed::Repeated("X-Forwarded-Uri")),
            (&[("x_forwarded_uri", "/")], "", Malformed::Alias("X-Forwarded-Uri")),
            (&[("x.forwarded-for", "")], "", Malformed::Alias("X-Forwarded-For")),
            (&[("x_original_url", "")], "x-forwarded-uri", Malformed::Alias("X-Original-URL")),
            (&[("x-forwarded-uri", "/")], "x-forwarded-proto", Malformed::Missing("X-Forwarded-Proto")),
        ] {
            assert_eq!(forwarded(&changed(change, left_out)).err(), Some(error), "{change:?} {left_out}");
        }
    }

    #[test]
    fn a_method_is_in_capital_letters_however_it_is_told() {
        let of = |word: &str| {
            let method = Method::from_bytes(word.as_bytes()).expect("a token");
            target(Scheme::Https, b"app.test", b"/", method).map(|target| target.method.to_string())
        };
        for word in ["GET", "QUERY", "PROPFIND", "VERSION-CONTROL", &"A".repeat(32)] {
            assert_eq!(of(word).as_deref(), Ok(word));
        }
        for word in ["CONNECT", "post", "Post", "POSt", "PO_ST", "P0ST", "GET'", &"A".repeat(33)] {
            assert_eq!(of(word), Err(Malformed::Method), "{word}");
        }
    }
}
