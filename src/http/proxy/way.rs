//! The way a request came, told to the backend: `X-Forwarded-*`, `X-Real-IP` and `Forwarded` (RFC 7239). Knows no
//! decision.

use std::fmt::Write as _;
use std::net::IpAddr;

use http::header::{self, FORWARDED, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use ipnet::IpNet;

use super::super::intent::client_address;
use super::hop::tokens;
use crate::server::Peer;
use crate::visit::{Scheme, moves_root, overrides_method};

/// Who asked, and by whom it came here.
#[derive(Debug)]
pub(super) struct Way {
    client: IpAddr,
    /// What a trusted peer says of the hops before it.
    before: Vec<String>,
    peer: IpAddr,
}

/// What was asked for, in the words of the visitor.
pub(super) struct Asked<'a> {
    pub(super) scheme: Scheme,
    /// With the port that was asked for, if that is the app's and not the scheme's own.
    pub(super) host: &'a HeaderValue,
    /// The port of the app where `host` names none.
    pub(super) port: Option<u16>,
    /// What was taken off the path.
    pub(super) prefix: Option<&'a str>,
}

impl Way {
    /// Reads it, before anything is removed. Only a trusted peer is asked who came before it, and only by
    /// `X-Forwarded-For`: most proxies that write that leave a client's `Forwarded` as it is.
    pub(super) fn of(headers: &HeaderMap, peer: Peer, trusted: &[IpNet]) -> Self {
        let client = client_address(headers, peer, trusted);
        let mut before = Vec::new();
        if peer.trusted {
            before.extend(tokens(headers, &FOR).map(str::to_owned));
            before.drain(..before.len().saturating_sub(MOST_HOPS));
        }
        Self { client, before, peer: peer.address }
    }

    /// Tells it. What the client said of it must have been removed.
    pub(super) fn tell(&self, asked: &Asked<'_>, headers: &mut HeaderMap) {
        let mut chain = self.before.join(", ");
        if !chain.is_empty() {
            chain.push_str(", ");
        }
        let _ = write!(chain, "{}", self.peer);
        let mut tell = |name: HeaderName, value: Result<HeaderValue, _>| {
            if let Ok(value) = value {
                headers.insert(name, value);
            }
        };
        tell(FOR, HeaderValue::from_str(&chain));
        tell(REAL_IP, HeaderValue::from_str(&self.client.to_string()));
        tell(FORWARDED, HeaderValue::from_str(&self.forwarded(asked)));
        tell(PROTO, Ok(HeaderValue::from_static(asked.scheme.as_str())));
        tell(HOST, Ok(asked.host.clone()));
        if let Some(port) = port_in(asked.host).or(asked.port) {
            tell(PORT, Ok(HeaderValue::from(port)));
        }
        if let Some(prefix) = asked.prefix {
            tell(PREFIX, HeaderValue::from_str(prefix));
        }
    }

    /// The same hops as elements of `Forwarded`; only the last one is of our own knowledge.
    fn forwarded(&self, asked: &Asked<'_>) -> String {
        let mut text = String::new();
        for hop in &self.before {
            let _ = match hop.parse::<IpAddr>() {
                Ok(address) => write!(text, "for={}, ", node(address)),
                Err(_) => write!(text, "for=unknown, "),
            };
        }
        let host = asked.host.to_str().unwrap_or_default();
        let _ = write!(text, "for={};host=\"{host}\";proto={}", node(self.peer), asked.scheme.as_str());
        text
    }
}

/// Whether a header of this folded name says by which way a client came here, or names another address, method or scheme
/// than those that were judged, which some backends would serve instead.
pub(in crate::http) fn leads_astray(folded: &str) -> bool {
    OTHER_STARTS.iter().any(|start| folded.starts_with(start))
        || OTHER_ENDS.iter().any(|end| folded.ends_with(end))
        || OTHER_WAYS.contains(&folded)
        || overrides_method(folded)
        || moves_root(folded)
}

/// An address as a node (RFC 7239 6): in quotes where it has colons.
fn node(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("\"[{address}]\""),
    }
}

/// The port that a request names with its host.
pub(super) fn port_asked(parts: &Parts) -> Option<u16> {
    parts.uri.port_u16().or_else(|| port_in(parts.headers.get(header::HOST)?))
}

/// The port that a `Host` names.
fn port_in(host: &HeaderValue) -> Option<u16> {
    let (name, port) = host.to_str().ok()?.rsplit_once(':')?;
    if name.contains(':') && !name.ends_with(']') { None } else { port.parse().ok() }
}

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
/// Hops that are passed on, the nearest ones.
const MOST_HOPS: usize = 32;
/// Further names, folded, by which backends are told of another address, scheme, method or person than the one judged.
const OTHER_WAYS: [&str; 16] = [
    "forwarded",
    "forwardedfor",
    "foregateassertion",
    "foregateprobe",
    "frontendhttps",
    "http2settings",
    "https",
    "ssl",
    "xaccelmapping",
    "xhost",
    "xhttphostoverride",
    "xoverrideurl",
    "xrealip",
    "xscheme",
    "xsendfiletype",
    "xurlscheme",
];
/// How such names begin. The middleware of Next.js takes a request for one that it has let through already.
const OTHER_STARTS: [&str; 8] = [
    "xauthentikmeta",
    "xenvoyexternaladdress",
    "xenvoyoriginal",
    "xforwarded",
    "xmiddleware",
    "xoriginal",
    "xrewrite",
    "xwawsunencodedurl",
];
/// How names end by which proxies and clouds tell the visitor's address.
const OTHER_ENDS: [&str; 8] = [
    "clientip",
    "connectingip",
    "connectingipv6",
    "pseudoipv4",
    "remoteaddr",
    "remoteip",
    "socketip",
    "userip",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::{fold, remove_folded};
    use crate::visit::{ELSEWHERE, METHOD_HEADERS};

    fn told(lines: &[&str], peer: &str, trusted: bool, host: &'static str) -> HeaderMap {
        let mut headers: HeaderMap =
            lines.iter().map(|value| (FOR, HeaderValue::from_str(value).unwrap())).collect();
        let nets = ["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        let peer = Peer { address: peer.parse().unwrap(), trusted, local: false, in_clear: false };
        let way = Way::of(&headers, peer, &nets);
        remove_folded(&mut headers, leads_astray);
        let host = HeaderValue::from_static(host);
        let asked = Asked { scheme: Scheme::Https, host: &host, port: Some(443), prefix: None };
        way.tell(&asked, &mut headers);
        headers
    }

    #[test]
    fn what_front_proxies_take_off_goes_here_as_well() {
        for name in ELSEWHERE.into_iter().chain(METHOD_HEADERS) {
            assert!(leads_astray(&fold(name)), "{name}");
        }
    }

    #[test]
    fn the_way_is_told_once_and_only_trusted_peers_know_what_was_before_them() {
        for (lines, peer, trusted, chain, client, forwarded) in [
            (vec![], "1.2.3.4", false, "1.2.3.4", "1.2.3.4", "for=1.2.3.4"),
            (vec!["6.6.6.6"], "1.2.3.4", false, "1.2.3.4", "1.2.3.4", "for=1.2.3.4"),
            (
                vec!["6.6.6.6", "5.5.5.5,junk"],
                "127.0.0.1",
                true,
                "6.6.6.6, 5.5.5.5, junk, 127.0.0.1",
                "127.0.0.1",
                "for=6.6.6.6, for=5.5.5.5, for=unknown, for=127.0.0.1",
            ),
            (
                vec!["2001:db8::1"],
                "::1",
                true,
                "2001:db8::1, ::1",
                "2001:db8::1",
                "for=\"[2001:db8::1]\", for=\"[::1]\"",
            ),
        ] {
            let told = told(&lines, peer, trusted, "a.test");
            assert_eq!(told[FOR], chain, "{lines:?}");
            assert_eq!(told[REAL_IP], client, "{lines:?}");
            assert_eq!(told[FORWARDED], format!("{forwarded};host=\"a.test\";proto=https"), "{lines:?}");
            assert_eq!(told.len(), 6, "{told:?}");
        }
    }

    #[test]
    fn the_port_is_the_one_the_visitor_used() {
        for (host, port) in [
            ("a.test", "443"),
            ("a.test:8443", "8443"),
            ("[::1]", "443"),
            ("[::1]:80", "80"),
            ("a.test:", "443"),
        ] {
            assert_eq!(told(&[], "1.2.3.4", false, host)[PORT], port, "{host}");
        }
    }

    #[test]
    fn only_the_nearest_hops_go_on() {
        let long = vec!["1.1.1.1"; 500].join(",");
        assert_eq!(
            told(&[&long], "127.0.0.1", true, "a.test")[FOR].to_str().unwrap().matches(',').count(),
            32
        );
    }
}
