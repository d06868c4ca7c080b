//! Where a browser may be sent back to. The one validator for every such address; denies by default. Knows no
//! messages.

use std::fmt;

use url::{Host, Url};

use crate::visit::{Path, Target, parse_host};

/// An address of ours that a browser may be sent to; only the functions here make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnTo(Url);

/// The origins that are ours.
pub struct Origins<'a> {
    /// foregate's own address; it gives the scheme of all others.
    pub public_url: &'a Url,
    /// The port of an app's own URLs, if the host is one of ours.
    pub port_of: &'a (dyn Fn(&str) -> Option<u16> + Sync),
    /// How paths begin at which foregate answers for other products.
    pub theirs: &'a [&'static str],
}

impl ReturnTo {
    /// Foregate's own start, for everybody who came from nowhere in particular.
    pub fn home(origins: &Origins<'_>) -> Self {
        Self(origins.public_url.clone())
    }

    /// The page that a visit asked for, on the scheme and port that browsers use for it.
    ///
    /// `None` if the host is not ours. An address over 4 KiB loses its query, and then its path: it travels
    /// within `state`, which providers and proxies must let through.
    pub fn of_target(target: &Target<'_>, origins: &Origins<'_>) -> Option<Self> {
        let mut url = origins.url(&target.host)?;
        let path = clean(target.path.raw());
        if url.as_str().len() + path.len() <= LONGEST {
            url.set_path(&path);
            let query = target.query.map(clean);
            if query.as_ref().is_none_or(|query| url.as_str().len() + query.len() < LONGEST) {
                url.set_query(query.as_deref());
            }
        }
        Some(Self(url))
    }

    /// The start of the host that a visit asked for.
    pub fn start_of(target: &Target<'_>, origins: &Origins<'_>) -> Option<Self> {
        origins.url(&target.host).map(Self)
    }

    /// Reads an address from a parameter: a path on `public_url`'s own host, or an absolute address of ours.
    ///
    /// `None` for everything else: other schemes, hosts and ports, user info, `//`, `\`, white space, control
    /// bytes, dot segments, addresses over 4 KiB, and foregate's own addresses but its pages: others act, such as the
    /// sign-out, or are nothing to look at. A sign-in is a page here, as one may go on with another.
    pub fn parse(text: &str, origins: &Origins<'_>) -> Option<Self> {
        let bad = |c: char| c.is_whitespace() || c.is_control() || c == '\\';
        if text.len() > LONGEST || text.contains(bad) {
            return None;
        }
        let (start, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
                if scheme.to_ascii_lowercase() != origins.public_url.scheme() {
                    return None;
                }
                let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
                (origins.authority(&rest[..end])?, &rest[end..])
            }
            Some(_) | None => (origins.public_url.clone(), text),
        };
        // Written anew it may have grown.
        let url = with_page(start, rest, origins.theirs)?;
        (url.as_str().len() <= LONGEST).then_some(Self(url))
    }

    /// The address for a `Location` header.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Scheme, host and port, for a policy.
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// The path, as it will be asked for.
    pub fn path(&self) -> &str {
        self.0.path()
    }

    /// The host, for a person to read.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }
}

impl fmt::Display for ReturnTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Origins<'_> {
    /// Scheme, host and port of one of our hosts, as people see them.
    pub fn origin_of(&self, host: &str) -> Option<String> {
        Some(self.url(host)?.origin().ascii_serialization())
    }

    /// The origin of one of our hosts.
    fn url(&self, host: &str) -> Option<Url> {
        let mut url = self.public_url.clone();
        if url.host_str() != Some(host) {
            let port = (self.port_of)(host)?;
            url.set_host(Some(host)).ok()?;
            url.set_port(Some(port)).ok()?;
        }
        Some(url)
    }

    /// The origin that `host[:port]` names, if the port is the one that host uses.
    fn authority(&self, text: &str) -> Option<Url> {
        if text.contains('@') {
            return None;
        }
        let url = self.url(&parse_host(text.as_bytes()).ok()?)?;
        let named = Url::parse(&format!("{}://{text}/", url.scheme())).ok()?;
        let same_host =
            named.host().map(|host| host.to_string()).as_deref().map(|host| host.trim_end_matches('.'))
                == url.host().map(|host: Host<&str>| host.to_string()).as_deref();
        (same_host && named.port_or_known_default() == url.port_or_known_default()).then_some(url)
    }
}

/// Puts a path with query onto an origin, refusing what would be read differently elsewhere.
fn with_page(mut url: Url, page: &str, theirs: &[&str]) -> Option<Url> {
    let page = page.split_once('#').map_or(page, |(page, _)| page);
    let (path, query) = page.split_once('?').map_or((page, None), |(path, query)| (path, Some(query)));
    let path = if path.is_empty() && !page.is_empty() { "/" } else { path };
    if page.is_empty() {
        return Some(url);
    }
    if path.starts_with("//") {
        return None;
    }
    let parsed = Path::parse(path.as_bytes()).ok()?;
    if !is_page(parsed.canonical().unwrap_or(path), theirs) {
        return None;
    }
    url.set_path(path);
    url.set_query(query);
    Some(url)
}

/// Whether somebody can be sent to a path: one of an app, or a page of ours.
fn is_page(path: &str, theirs: &[&str]) -> bool {
    let longer = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || "-_.~".contains(c));
    if let Some(own) = path.strip_prefix(OWN).filter(|rest| !longer(rest)) {
        return PAGES.contains(&own) || own.starts_with(RESUME);
    }
    let their = theirs.iter().find_map(|start| path.strip_prefix(start));
    their.is_none_or(|rest| THEIR_SIGN_INS.contains(&rest))
}

/// Bytes as text of a URL: everything but visible ASCII is percent-encoded, and so are quotes and brackets.
fn clean(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_graphic() && !b"\"<>\\^`{}".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

const OWN: &str = "/.foregate";
/// Pages of foregate's own.
const PAGES: [&str; 3] = ["/account", "/signed-out", "/sign-in"];
/// What is before the path of a form that waits.
const RESUME: &str = "/resume/";
const THEIR_SIGN_INS: [&str; 2] = ["start", "sign_in"];
/// Bytes of the longest address that is carried through a sign-in.
const LONGEST: usize = 4096;

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::visit::Scheme;

    fn port_of(host: &str) -> Option<u16> {
        match host {
            "app.test" | "[::1]" => Some(443),
            "odd.test" => Some(8443),
            _ => None,
        }
    }

    fn parse(text: &str) -> Option<String> {
        let public_url = Url::parse("https://auth.test/").unwrap();
        ReturnTo::parse(text, &Origins { public_url: &public_url, port_of: &port_of, theirs: &["/oauth2/"] })
            .map(|to| to.to_string())
    }

    #[test]
    fn our_own_addresses_come_back_as_they_are() {
        for (text, address) in [
            ("/", "https://auth.test/"),
            ("", "https://auth.test/"),
            ("/a/b?c=d&e=f", "https://auth.test/a/b?c=d&e=f"),
            ("https://app.test", "https://app.test/"),
            ("https://app.test/p?a=1&b=https://x.test/", "https://app.test/p?a=1&b=https://x.test/"),
            ("HTTPS://APP.test:443/p", "https://app.test/p"),
            ("https://odd.test:8443/x", "https://odd.test:8443/x"),
            ("https://app.test?x=1", "https://app.test/?x=1"),
            ("https://app.test/a%2Fb", "https://app.test/a%2Fb"),
            ("https://app.test/ä", "https://app.test/%C3%A4"),
            ("/a#b", "https://auth.test/a"),
        ] {
            assert_eq!(parse(text).as_deref(), Some(address), "{text}");
        }
    }

    #[test]
    fn what_is_too_long_once_it_is_written_anew_is_refused() {
        let page = |letters: usize| format!("/?{}", "é".repeat(letters));
        assert!(parse(&page(600)).is_some_and(|address| address.len() < LONGEST));
        assert_eq!(parse(&page(700)), None);
    }

    #[test]
    fn everything_else_is_refused() {
        let hosts = [
            "evil.test",
            "app.test.evil.test",
            "appxtest",
            "evilapp.test",
            "app.test@evil.test",
            "evil.test@app.test",
            "app.test:443@evil.test",
            "app.test:1337",
            "odd.test",
            "app.test%2eevil.test",
            "evil.test%00.app.test",
            "app.test\u{3002}evil.test",
            "",
        ];
        for host in hosts {
            for prefix in
                ["https://", "//", "/\\", "\\\\", "///", "https:/\\", "https:\\\\", "/%09/", "https:///"]
            {
                if prefix == "/%09/" && !host.is_empty() {
                    continue;
                }
                let text = format!("{prefix}{host}/");
                assert_eq!(parse(&text).filter(|to| !to.starts_with("https://auth.test/")), None, "{text}");
            }
        }
        for text in [
            "http://app.test/",
            "javascript:alert(1)",
            "javascript://app.test/%0aalert(1)",
            "data:text/html,x",
            "https:app.test",
            "https:/app.test",
            "/\t/evil.test",
            "/./\\evil.test",
            "/a/..//evil.test",
            "/./../../\\evil.test",
            "/../x",
            " /a",
            "/a b",
            "/a\r\nSet-Cookie: x",
            "//evil.test/%2e%2e",
            "///evil.test",
            "evil.test",
            "?x",
            "ftp://app.test/",
            "https://[::1",
            "/%zz",
        ] {
            let address = parse(text);
            assert!(address.is_none() || text == "?x", "{text} gave {address:?}");
        }
        assert_eq!(parse(&format!("/{}", "a".repeat(5000))), None);
    }

    #[test]
    fn of_foregates_own_addresses_only_pages_are_led_to() {
        for page in [
            "/.foregate/account",
            "/.foregate/account?code=BCDF-GHJK",
            "/.foregate/signed-out",
            "/.foregate/sign-in?rd=/p",
            "https://app.test/.foregate/resume/send;now",
            "https://app.test/.foregate.html",
            "https://app.test/.foregates/sign-out",
            "https://app.test/x/.foregate/sign-out",
            "/oauth2/sign_in",
            "/oauth2/start?rd=/",
            "/outpost.goauthentik.io/sign_out",
        ] {
            assert!(parse(page).is_some(), "{page}");
        }
        for act in [
            "/.foregate/sign-out",
            "/.foregate/sign-out?rd=/",
            "/%2eforegate/sign-out",
            "/.foregate/sign%2Dout",
            "/.foregate/%73ign-out",
            "/.foregate%2fsign-out",
            "/.foregate;/sign-out",
            "/.foregate",
            "/.foregate/",
            "/.foregate/callback?code=a&state=b",
            "/.foregate/ticket?t=x",
            "/.foregate/auth/traefik",
            "/.foregate/session",
            "/.foregate/session.js",
            "/.foregate/jwks.json",
            "/.foregate/device",
            "/.foregate/frontchannel-logout?iss=x&sid=y",
            "/.foregate/resume",
            "/.foregate/sign-in/x",
            "/oauth2/sign_out",
            "/oauth2/auth",
            "/oauth2/callback?code=a",
        ] {
            for origin in ["", "https://auth.test", "https://app.test"] {
                assert_eq!(parse(&format!("{origin}{act}")), None, "{origin}{act}");
            }
        }
    }

    #[test]
    fn a_target_leads_back_to_exactly_that_page() {
        let public_url = Url::parse("https://auth.test:8443/").unwrap();
        let origins = Origins { public_url: &public_url, port_of: &port_of, theirs: &[] };
        let of = |host: &'static str, path: &'static [u8], query: Option<&'static [u8]>| {
            let target = Target {
                scheme: Scheme::Http,
                host: Cow::Borrowed(host),
                path: Path::parse(path).unwrap(),
                query,
                method: http::Method::GET,
                overrides: crate::visit::Overrides::Nowhere,
                destination: crate::visit::Destination::Nowhere,
            };
            ReturnTo::of_target(&target, &origins).map(|to| to.to_string())
        };
        assert_eq!(
            of("app.test", b"/p", Some(b"a=1&b=%20x")).as_deref(),
            Some("https://app.test/p?a=1&b=%20x")
        );
        assert_eq!(of("app.test", b"/a%2Fb//c;d", None).as_deref(), Some("https://app.test/a%2Fb//c;d"));
        assert_eq!(
            of("app.test", "/ä".as_bytes(), Some("ü=\"".as_bytes())).as_deref(),
            Some("https://app.test/%C3%A4?%C3%BC=%22")
        );
        assert_eq!(of("evil.test", b"/", None), None);
        let long: &'static [u8] =
            Box::leak(format!("q={}", "x".repeat(5000)).into_bytes().into_boxed_slice());
        assert_eq!(of("app.test", b"/p", Some(long)).as_deref(), Some("https://app.test/p"));
    }
}
