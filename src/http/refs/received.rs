//! What was received of a request that has a reference: bounded, and without cookies, tokens, codes and queries. Knows no
//! answers.

use std::net::IpAddr;

use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Uri};

use super::super::Site;
use super::super::dialect::Dialect;
use super::super::intent::client;
use super::super::probe;
use super::super::proxy::leads_astray;
use crate::headers::fold;
use crate::policy::{Grant, Ruling};
use crate::server::Peer;
use crate::visit::{Scheme, Visit, parse_host};

/// By what a request was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Asked {
    /// A front proxy asked about it.
    By(Dialect),
    /// It came to foregate as the proxy.
    Proxy,
    /// It is for a page of foregate's own.
    Own,
}

/// What was received.
#[derive(Clone, Debug)]
pub(in crate::http) struct Received {
    /// The words it was read by.
    pub(super) asked: Asked,
    /// Who is at the other end of the connection.
    pub(super) peer: IpAddr,
    pub(super) trusted: bool,
    /// Whether foregate itself asked it, so that nobody will ask what became of it.
    pub(super) own: bool,
    /// Whether it was read as a visit; else what follows is the request as it came.
    read: bool,
    /// The visitor's address, if that is sure.
    pub(super) client: Option<IpAddr>,
    pub(super) method: String,
    /// Empty where nobody said.
    pub(super) scheme: &'static str,
    pub(super) host: String,
    pub(super) path: String,
    pub(super) lines: Vec<Line>,
    /// The app and the rule that speak of it, else empty.
    pub(super) app: String,
    pub(super) rule: String,
}

/// What is known of a request when its head is gone.
#[derive(Clone, Debug)]
pub(in crate::http) struct Came {
    scheme: Scheme,
    method: String,
    host: String,
    path: String,
    client: Option<IpAddr>,
}

impl Came {
    /// A request of this method and address, from there as far as that is sure.
    pub(in crate::http) fn new(
        scheme: Scheme,
        method: &Method,
        host: &[u8],
        uri: &Uri,
        client: Option<IpAddr>,
    ) -> Self {
        Self {
            scheme,
            method: cut(method.as_str(), LONGEST_METHOD),
            host: cut(&parse_host(host).unwrap_or_default(), LONGEST_HOST),
            path: cut(uri.path(), LONGEST_PATH),
            client,
        }
    }
}

/// A header that says where a request came from, what it is for, or who sends it.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) name: String,
    /// Without its query; nothing where it may hold a secret, or who somebody claims to be.
    pub(super) value: String,
    pub(super) weight: Weight,
}

/// What a header counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// It was believed.
    Believed,
    /// It would have been, from a trusted proxy.
    Stranger,
    /// Nothing reads it here.
    Unread,
    /// It names a person, and never counts.
    Identity,
}

impl Asked {
    /// How it is told.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::By(dialect) => dialect.name(),
            Self::Proxy => "proxy",
            Self::Own => "own page",
        }
    }

    /// The headers that say something here.
    fn reads(self) -> &'static [&'static str] {
        match self {
            Self::By(dialect) => dialect.reads(),
            Self::Proxy | Self::Own => &[FORWARDED_FOR],
        }
    }
}

impl Received {
    /// A request that was read as a visit.
    pub(in crate::http) fn visit(
        site: &Site,
        asked: Asked,
        peer: Peer,
        parts: &Parts,
        visit: &Visit<'_>,
    ) -> Self {
        let target = &visit.target;
        let (app, rule) = match site.gate.policy.rule_for(target) {
            Ruling::Rule(app, rule) => (cut(&app.name, LONGEST_NAME), cut(&rule.name, LONGEST_NAME)),
            Ruling::UnknownHost
            | Ruling::AmbiguousPath
            | Ruling::AmbiguousQuery
            | Ruling::AmbiguousMethod
            | Ruling::OtherDestination => Default::default(),
        };
        Self {
            read: true,
            client: visit.address(),
            method: cut(target.method.as_str(), LONGEST_METHOD),
            scheme: target.scheme.as_str(),
            host: cut(&target.host, LONGEST_HOST),
            path: cut(&String::from_utf8_lossy(target.path.raw()), LONGEST_PATH),
            app,
            rule,
            ..Self::unread(site, asked, peer, parts)
        }
    }

    /// A request that was not.
    pub(in crate::http) fn unread(site: &Site, asked: Asked, peer: Peer, parts: &Parts) -> Self {
        // What is no host may hold a password.
        let host = parts.headers.get(HOST).and_then(|host| parse_host(host.as_bytes()).ok());
        Self {
            asked,
            peer: peer.address,
            trusted: peer.trusted,
            own: probe::is_asked(site, &parts.headers),
            read: false,
            client: None,
            method: cut(parts.method.as_str(), LONGEST_METHOD),
            scheme: "",
            host: cut(&host.unwrap_or_default(), LONGEST_HOST),
            path: cut(parts.uri.path(), LONGEST_PATH),
            lines: lines(site, asked, peer, &parts.headers),
            app: String::new(),
            rule: String::new(),
        }
    }

    /// A request for a page of foregate's own.
    pub(in crate::http) fn own(site: &Site, peer: Peer, parts: &Parts) -> Self {
        let client = client(&parts.headers, peer, &site.trusted_proxies).address();
        Self { read: true, client, ..Self::unread(site, Asked::Own, peer, parts) }
    }

    /// A request that was let in, and then came to no end. Its headers are the backend's by then.
    pub(in crate::http) fn passed(came: &Came, peer: Peer, grant: &Grant<'_>) -> Self {
        Self {
            asked: Asked::Proxy,
            peer: peer.address,
            trusted: peer.trusted,
            own: false,
            read: true,
            client: came.client,
            method: came.method.clone(),
            scheme: came.scheme.as_str(),
            host: came.host.clone(),
            path: came.path.clone(),
            lines: Vec::new(),
            app: cut(&grant.app().name, LONGEST_NAME),
            rule: cut(&grant.rule().name, LONGEST_NAME),
        }
    }

    /// What was asked for, as far as it is known: method and address.
    pub(in crate::http) fn request(&self) -> String {
        let Self { method, scheme, host, path, .. } = self;
        let mark = if scheme.is_empty() { "" } else { "://" };
        format!("{method} {scheme}{mark}{host}{path}")
    }

    /// The rule that speaks of it, else empty.
    pub(in crate::http) fn rule(&self) -> &str {
        &self.rule
    }

    /// The visitor's address, if that is sure.
    pub(in crate::http) fn client(&self) -> Option<IpAddr> {
        self.client
    }

    /// Whether it was understood.
    pub(super) fn is_read(&self) -> bool {
        self.read
    }

    #[cfg(test)]
    pub(in crate::http) fn nothing() -> Self {
        Self {
            own: false,
            asked: Asked::Own,
            peer: IpAddr::from([127, 0, 0, 1]),
            trusted: true,
            read: true,
            client: None,
            method: "GET".into(),
            scheme: "https",
            host: "app.test".into(),
            path: "/".into(),
            lines: Vec::new(),
            app: String::new(),
            rule: String::new(),
        }
    }
}

/// The headers that could say something, in the order they came.
fn lines(site: &Site, asked: Asked, peer: Peer, headers: &HeaderMap) -> Vec<Line> {
    let line = |(name, value): (&HeaderName, &HeaderValue)| {
        let folded = fold(name.as_str());
        let names_person = site.own_names.holds(&folded);
        if !(names_person || leads_astray(&folded)) {
            return None;
        }
        let weight = match (names_person, asked.reads().contains(&name.as_str()), peer.trusted) {
            (true, ..) => Weight::Identity,
            (false, false, _) => Weight::Unread,
            (false, true, false) => Weight::Stranger,
            (false, true, true) => Weight::Believed,
        };
        let value = if SHOWN.contains(&name.as_str()) { shown(value) } else { String::new() };
        Some(Line { name: cut(name.as_str(), LONGEST_NAME), value, weight })
    };
    headers.iter().filter_map(line).take(MOST_LINES).collect()
}

/// A value that is no secret: without a query, and nothing at all where it holds a password's mark.
fn shown(value: &HeaderValue) -> String {
    let text = String::from_utf8_lossy(value.as_bytes());
    let text = text.split(['?', '#']).next().unwrap_or_default();
    if text.contains('@') { String::new() } else { cut(text, LONGEST_VALUE) }
}

/// At most so many bytes of a text, whole letters.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", &text[..end])
}

const FORWARDED_FOR: &str = "x-forwarded-for";
/// Headers whose values are kept; of all others only the name is.
const SHOWN: [&str; 11] = [
    FORWARDED_FOR,
    "x-forwarded-host",
    "x-forwarded-method",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-uri",
    "x-original-method",
    "x-original-url",
    "x-real-ip",
    "forwarded",
];
const MOST_LINES: usize = 12;
const LONGEST_METHOD: usize = 32;
const LONGEST_HOST: usize = 253;
const LONGEST_PATH: usize = 256;
const LONGEST_NAME: usize = 128;
const LONGEST_VALUE: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_kept_of_a_value() {
        for (value, kept) in [
            ("/a/b?code=secret", "/a/b"),
            ("https://app.test/x#secret", "https://app.test/x"),
            ("https://alice:secret@app.test/", ""),
            ("192.0.2.1, 10.0.0.1", "192.0.2.1, 10.0.0.1"),
        ] {
            assert_eq!(shown(&HeaderValue::from_static(value)), kept);
        }
        assert_eq!(cut("aüb", 2), "a…");
        assert_eq!(cut(&"x".repeat(1000), 256).len(), 256 + "…".len());
    }
}
