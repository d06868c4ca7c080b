//! Which hosts share a session: the cookie domain, and whether every app lies in it. Knows no cookies.

use url::{Host, Url};

use super::findings::Place;
use super::values::{Read, Reader};
use crate::browser::CookieScope;
use crate::policy::{App, HostPattern, Requirement, is_within};

impl Reader {
    /// Settles the cookie domain, written or derived, and notes every app that lies outside it.
    pub(crate) fn cookies(
        &mut self,
        public_url: &Url,
        apps: &[(App, Place)],
        fallback: Option<&Requirement>,
    ) -> Option<CookieScope> {
        let path = "session.cookie_domain";
        let host = public_url.host_str()?;
        let secure = public_url.scheme() == "https";
        let domain = if self.is_written(path) {
            let text = self.text(path)?;
            Some(self.written_domain(public_url, &text)?)
        } else {
            let alone = fallback == Some(&Requirement::Nobody)
                && apps.iter().all(|(app, _)| matches!(&app.host, HostPattern::Exact(name) if name == host));
            let derived = if alone { None } else { domain_for(public_url) };
            let shown = derived.as_ref().map(|domain| format!("\"{domain}\""));
            self.derived(path, shown.unwrap_or_else(|| format!("({host} alone)")));
            derived
        };
        for (app, place) in apps {
            self.note_outside(public_url, domain.as_deref(), app, place);
        }
        Some(CookieScope { domain, secure })
    }

    fn written_domain(&mut self, public_url: &Url, text: &Read<String>) -> Option<String> {
        let domain = text.value.strip_prefix('.').unwrap_or(&text.value).to_ascii_lowercase();
        let host = public_url.host_str()?;
        let (problem, fix) = match Host::parse(&domain) {
            Ok(Host::Domain(name)) if !is_within(host, &name) => (
                format!("`{domain}` is neither {host}, the host of public_url, nor a domain above it"),
                keep_out(host),
            ),
            Ok(Host::Domain(name)) if is_public_suffix(&name) => {
                (format!("`{domain}` is a public suffix, for which browsers keep no cookie"), keep_out(host))
            }
            Ok(Host::Domain(name)) => return Some(name),
            Ok(Host::Ipv4(_) | Host::Ipv6(_)) => (
                format!("`{domain}` is an address, and only a name can be a cookie domain"),
                "remove it".to_owned(),
            ),
            Err(_) => (format!("`{domain}` is not a domain"), "write such as example.com".to_owned()),
        };
        self.book.note(&text.place, format!("`session.cookie_domain`: {problem}"), fix);
        None
    }

    fn note_outside(&mut self, public_url: &Url, domain: Option<&str>, app: &App, place: &Place) {
        let host = public_url.host_str().unwrap_or_default();
        let (HostPattern::Exact(name) | HostPattern::Wildcard(name)) = &app.host;
        let exact = matches!(app.host, HostPattern::Exact(_));
        let inside = match domain {
            Some(domain) => is_within(name, domain),
            None => exact && name == host,
        };
        if inside {
            return;
        }
        let (problem, fix) = match domain {
            Some(domain) => (
                format!(
                    "`{}` lies outside the cookie domain {domain}, so nobody could stay signed in there",
                    app.name
                ),
                match common_domain(host, name) {
                    Some(common) => format!("set cookie_domain = \"{common}\" below [session]"),
                    None => {
                        format!("give the app a name below {domain}, or run a foregate of its own for it")
                    }
                },
            ),
            None => (
                format!(
                    "`{}` cannot share a session with {host}, for which browsers keep no domain cookie",
                    app.name
                ),
                format!("give public_url a name such as https://auth.example.com{}", hint(host)),
            ),
        };
        self.book.note(place, problem, fix);
    }
}

/// The domain that the hosts beside `public_url` share with it; `None` where there can be no domain cookie.
fn domain_for(public_url: &Url) -> Option<String> {
    let Host::Domain(host) = public_url.host()? else { return None };
    let parent = host.split_once('.').map(|(_, parent)| parent).filter(|parent| !is_public_suffix(parent));
    parent.or_else(|| Some(host).filter(|host| !is_public_suffix(host))).map(str::to_owned)
}

/// The smallest domain that holds both hosts and may have cookies.
fn common_domain<'h>(host: &'h str, other: &str) -> Option<&'h str> {
    let mut domain = host;
    loop {
        if is_within(other, domain) {
            return Some(domain).filter(|domain| !is_public_suffix(domain));
        }
        domain = domain.split_once('.')?.1;
    }
}

/// Whether browsers keep no cookie for a whole domain: public suffixes and names of a single label.
fn is_public_suffix(domain: &str) -> bool {
    !domain.contains('.') || psl::suffix_str(domain) == Some(domain)
}

fn keep_out(host: &str) -> String {
    match host.split_once('.').map(|(_, parent)| parent).filter(|parent| !is_public_suffix(parent)) {
        Some(parent) => format!("write {parent}"),
        None => "remove it".to_owned(),
    }
}

fn hint(host: &str) -> &'static str {
    if host == "localhost" || host.ends_with(".localhost") {
        ", on this machine http://auth.apps.localhost with apps below apps.localhost"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_domain_is_the_parent_unless_browsers_refuse_it() {
        for (url, domain) in [
            ("https://auth.example.com", Some("example.com")),
            ("https://auth.home.example.com", Some("home.example.com")),
            ("https://example.com", Some("example.com")),
            ("https://auth.example.co.uk", Some("example.co.uk")),
            ("https://example.co.uk", Some("example.co.uk")),
            ("https://me.github.io", Some("me.github.io")),
            ("https://auth.me.duckdns.org", Some("me.duckdns.org")),
            ("https://auth.home.lab", Some("home.lab")),
            ("https://auth.lab", Some("auth.lab")),
            ("https://auth.home.arpa", Some("auth.home.arpa")),
            ("http://localhost:4180", None),
            ("http://auth.localhost", Some("auth.localhost")),
            ("http://auth.apps.localhost", Some("apps.localhost")),
            ("http://127.0.0.1", None),
            ("http://[::1]", None),
        ] {
            assert_eq!(domain_for(&Url::parse(url).unwrap()).as_deref(), domain, "{url}");
        }
    }

    #[test]
    fn two_hosts_share_the_smallest_domain_above_both() {
        for (host, other, common) in [
            ("auth.example.com", "wiki.example.com", Some("example.com")),
            ("auth.a.example.com", "wiki.b.example.com", Some("example.com")),
            ("auth.example.com", "wiki.example.org", None),
            ("auth.example.co.uk", "wiki.other.co.uk", None),
            ("auth.home.arpa", "wiki.home.arpa", None),
        ] {
            assert_eq!(common_domain(host, other), common, "{host} {other}");
        }
    }
}
