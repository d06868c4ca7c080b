//! Which hosts share a cookie, and which have one of their own: the cookie domain, and the apps outside it. Knows no
//! cookies.

use url::{Host, Url};

use super::findings::Place;
use super::values::{Read, Reader};
use crate::browser::CookieScope;
use crate::policy::{App, HostPattern, Requirement};
use crate::visit::is_within;

impl Reader {
    /// Settles the cookie domain, written or derived, and notes every app outside it that cannot have a cookie of its own.
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
            let (alone, wide) = (None, domain_for(public_url));
            let (alone, wide) = (CookieScope { domain: alone, secure }, CookieScope { domain: wide, secure });
            // Apps that the domain does not reach are no reason to have one.
            let fits =
                |(app, _): &(App, Place)| !is_elsewhere(&alone, host, app) || is_elsewhere(&wide, host, app);
            let derived = if fallback == Some(&Requirement::Nobody) && apps.iter().all(fits) {
                None
            } else {
                wide.domain
            };
            let shown = derived.as_ref().map(|domain| format!("\"{domain}\""));
            self.derived(path, shown.unwrap_or_else(|| format!("({host} alone)")));
            derived
        };
        let scope = CookieScope { domain, secure };
        for (app, place) in apps {
            self.note_outside(public_url, &scope, app, place);
        }
        Some(scope)
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

    /// Notes an app that lies outside the cookie domain and cannot have a cookie of its own either.
    fn note_outside(&mut self, public_url: &Url, scope: &CookieScope, app: &App, place: &Place) {
        let home = public_url.host_str().unwrap_or_default();
        if !is_elsewhere(scope, home, app) {
            return;
        }
        let Some((problem, fix)) = why_no_cookie(&app.host, scope.secure) else { return };
        let domain = scope.domain.as_deref().unwrap_or(home);
        let beside = match scope.domain.as_deref() {
            Some(domain) => format!("give the app a name below {domain}, or {fix}"),
            None => fix.to_owned(),
        };
        let problem = format!("`{}` lies outside the cookie domain {domain}, and {problem}", app.name);
        self.book.note(place, problem, beside);
    }
}

/// Whether sessions of `home` need a cookie of their own on an app's hosts.
pub(super) fn is_elsewhere(scope: &CookieScope, home: &str, app: &App) -> bool {
    match &app.host {
        HostPattern::Exact(name) => !scope.covers(home, name),
        HostPattern::Wildcard(name) => scope.domain.as_ref().is_none_or(|domain| !is_within(name, domain)),
    }
}

/// Why hosts outside the cookie domain cannot have a cookie of their own, and what to do.
fn why_no_cookie(hosts: &HostPattern, secure: bool) -> Option<(&'static str, &'static str)> {
    let (HostPattern::Exact(name) | HostPattern::Wildcard(name)) = hosts;
    let is_name = matches!(Host::parse(name), Ok(Host::Domain(_)));
    if !is_name || is_public_suffix(name) {
        return Some(match hosts {
            HostPattern::Exact(_) => ("is no name within a domain", "give it one, such as wiki.example.org"),
            HostPattern::Wildcard(_) => {
                ("covers hosts that are nobody's in particular", "name each host instead")
            }
        });
    }
    let here = name.ends_with(".localhost");
    (!secure && !here).then_some((
        "its cookie would cross the network in the clear",
        "reach public_url and all apps by https",
    ))
}

/// The domain that the hosts beside `public_url` share with it; `None` where there can be no domain cookie.
fn domain_for(public_url: &Url) -> Option<String> {
    let Host::Domain(host) = public_url.host()? else { return None };
    let parent = host.split_once('.').map(|(_, parent)| parent).filter(|parent| !is_public_suffix(parent));
    parent.or_else(|| Some(host).filter(|host| !is_public_suffix(host))).map(str::to_owned)
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
    fn hosts_elsewhere_need_a_domain_of_somebodys() {
        for (pattern, secure, fits) in [
            ("photos.family.org", true, true),
            ("family.org", true, true),
            ("*.family.org", true, true),
            ("wiki.home.arpa", true, true),
            ("nas.home.lab", true, true),
            ("photos.family.localhost", false, true),
            ("*.family.localhost", false, true),
            ("me.github.io", true, true),
            ("github.io", true, false),
            ("*.github.io", true, false),
            ("*.org", true, false),
            ("*.localhost", false, false),
            ("nas", true, false),
            ("192.0.2.1", true, false),
            ("[2001:db8::1]", true, false),
            ("photos.family.org", false, false),
            ("127.0.0.1", false, false),
        ] {
            let hosts = HostPattern::parse(pattern).unwrap();
            assert_eq!(why_no_cookie(&hosts, secure).is_none(), fits, "{pattern} {secure}");
        }
    }
}
