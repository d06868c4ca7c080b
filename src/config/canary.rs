//! The table `[canary]`: how often foregate asks its own apps from outside. Asks nobody.

use std::time::Duration;

use rustls::pki_types::CertificateDer;

use super::Config;
use super::backend::read_certificates;
use super::values::{Read, Reader};
use crate::canary::{Choice, Left, Settings, choose};
use crate::visit::parse_host;

impl Config {
    /// What the canary asks; nothing where there is none.
    pub fn canary_choice(&self) -> Choice {
        let Some(canary) = &self.canary else { return Choice::default() };
        choose(&self.policy(), (&self.apps, &canary.hosts), &canary.except, &self.public_url)
    }
}

impl Reader {
    /// How foregate asks its apps; `None` inside where it does not. The outer `None` is a finding.
    pub(crate) fn canary(&mut self) -> Option<Option<Settings>> {
        let hosts = self.canary_hosts();
        let except = self.texts("canary.except");
        let address = self.canary_address();
        let authorities = self.canary_authorities();
        if !self.is_written(INTERVAL) {
            self.used(INTERVAL);
            return self.note_without_interval().then_some(None);
        }
        let interval = self.duration(INTERVAL, SHORTEST)?.value;
        let except = except?.into_iter().map(|name| name.value).collect();
        Some(Some(Settings { interval, hosts: hosts?, except, address: address?, authorities: authorities? }))
    }

    /// Notes what has no effect without an interval; whether all is well.
    fn note_without_interval(&mut self) -> bool {
        let before = self.book.count();
        for path in ["canary.hosts", "canary.except", "canary.address", "canary.ca_file"] {
            if let Some(place) = self.place_of(path) {
                let problem = format!("`{path}` has no effect without `{INTERVAL}`");
                self.book.note(&place, problem, "write interval = \"5m\" below [canary], or remove it");
            }
        }
        self.book.count() == before
    }

    fn canary_hosts(&mut self) -> Option<Vec<String>> {
        let texts = self.texts("canary.hosts")?;
        let before = self.book.count();
        let mut hosts = Vec::new();
        for Read { value, place } in &texts {
            match parse_host(value.as_bytes()) {
                Ok(host) if host == value.as_str() => hosts.push(value.clone()),
                Ok(_) | Err(_) => {
                    let problem = format!("`canary.hosts`: `{}` is not a host", value.escape_debug());
                    self.book.note(place, problem, "write a name such as wiki.example.com, in small letters");
                }
            }
        }
        (self.book.count() == before).then_some(hosts)
    }

    fn canary_address(&mut self) -> Option<Option<Box<str>>> {
        let path = "canary.address";
        if !self.is_written(path) {
            self.used(path);
            return Some(None);
        }
        let Read { value, place } = self.text(path)?;
        let parts = value.rsplit_once(':');
        let is_good = parts.is_some_and(|(host, port)| {
            parse_host(host.as_bytes()).is_ok() && port.parse::<u16>().is_ok_and(|port| port != 0)
        });
        if !is_good {
            let problem = format!("`{path}`: `{}` is not a host and a port", value.escape_debug());
            self.book.note(&place, problem, "write such as traefik:443 or 10.0.0.2:8443");
        }
        is_good.then(|| Some(value.into()))
    }

    fn canary_authorities(&mut self) -> Option<Option<Vec<CertificateDer<'static>>>> {
        let path = "canary.ca_file";
        if !self.is_written(path) {
            self.used(path);
            return Some(None);
        }
        let Read { value: file, place } = self.text(path)?;
        self.book.follow(path.to_owned(), &file);
        match read_certificates(&file) {
            Ok(certificates) => Some(Some(certificates)),
            Err(problem) => {
                let problem = format!("`{path}` names {}, {problem}", file.escape_debug());
                self.book.note(&place, problem, "name a PEM file that foregate may read");
                None
            }
        }
    }

    /// Notes what of it speaks of nothing, once all else is known to be well.
    pub(crate) fn note_idle_canary(&mut self, config: &Config) {
        let Some(canary) = &config.canary else { return };
        let policy = config.policy();
        let is_exact = |host: &str| policy.apps_of(host).any(|app| app.host.is_exactly(host));
        for host in &canary.hosts {
            let problem = match (policy.apps_of(host).next(), is_exact(host)) {
                (None, _) => format!("`canary.hosts`: no app stands for {host}"),
                (Some(_), true) => format!("`canary.hosts`: {host} is asked anyway, as [apps] names it"),
                (Some(_), false) => continue,
            };
            self.note_at("canary.hosts", problem, "remove it");
        }
        for name in canary.except.iter().filter(|name| !config.apps.iter().any(|app| app.name == **name)) {
            let problem = format!("`canary.except`: `{}` is none of [apps]", name.escape_debug());
            self.note_at("canary.except", problem, "write it as [apps] has it, or remove it");
        }
        let choice = config.canary_choice();
        if choice.places.is_empty() && self.book.count() == 0 {
            let why =
                choice.left.first().map_or("there is no app", |(_, why): &(String, Left)| why.in_words());
            self.note_at(
                INTERVAL,
                format!("`{INTERVAL}` has no effect: {why}"),
                "see to that, or remove [canary]",
            );
        }
    }

    fn note_at(&mut self, path: &str, problem: String, fix: &str) {
        if let Some(place) = self.place_of(path) {
            self.book.note(&place, problem, fix);
        }
    }
}

const INTERVAL: &str = "canary.interval";
/// More often would be a load of its own.
const SHORTEST: Duration = Duration::from_secs(5);

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use crate::canary::{Choice, Left};
    use crate::config::{Config, Environment};

    fn chosen(canary: &str, apps: &str) -> Choice {
        let text = format!(
            "public_url = 'https://auth.example.com:8443'\nallow = 'signed-in'\n[provider]\nissuer = 'https://id.example.com/'\n\
             client_id = 'f'\nclient_auth = 'none'\n[canary]\ninterval = '5m'\n{canary}\n[apps]\n{apps}\n"
        );
        match Config::from_text(Some(("f", &text)), &Environment::default()) {
            Ok(loaded) => loaded.config.canary_choice(),
            Err(findings) => panic!("{findings}"),
        }
    }

    fn urls(choice: &Choice) -> Vec<(&str, Option<&str>)> {
        choice.places.iter().map(|place| (place.url.as_str(), place.open.as_deref())).collect()
    }

    #[test]
    fn a_page_is_asked_for_that_no_stranger_may_see() {
        for (app, url, open) in [
            ("'a.example.com' = 'signed-in'", "https://a.example.com:8443/", None),
            ("'a.example.com:9443' = 'user:bob'", "https://a.example.com:9443/", None),
            ("'a.example.com' = 'nobody'", "https://a.example.com:8443/", None),
            ("'a.example.com/x' = 'signed-in'", "https://a.example.com:8443/x/", None),
            (
                "'a.example.com' = { allow = 'signed-in', rules = [{ path = '/', allow = 'public' }] }",
                "https://a.example.com:8443/foregate-canary",
                Some("/"),
            ),
            (
                "'a.example.com' = { allow = 'public', rules = [{ path = '/admin', allow = 'group:a' }] }",
                "https://a.example.com:8443/admin",
                Some("/"),
            ),
            (
                "'a.example.com' = { allow = ['network:10.0.0.0/8'], rules = [{ path = '/admin', allow = 'group:a' }] }",
                "https://a.example.com:8443/admin",
                None,
            ),
        ] {
            let choice = chosen("", app);
            assert_eq!(urls(&choice), [(url, open)], "{app}");
            assert!(choice.left.is_empty(), "{app}");
        }
    }

    #[test]
    fn what_cannot_be_asked_is_told_with_its_reason() {
        let apps = "'a.example.com' = 'signed-in'\n'open.example.com' = 'public'\n'net.example.com' = 'network:10.0.0.0/8'\n\
            'post.example.com' = { allow = 'public', rules = [{ path = '/x', methods = ['POST'], allow = 'group:a' }] }\n\
            '*.c.example.com' = 'signed-in'\n'*.d.example.com' = 'signed-in'";
        let choice =
            chosen("hosts = ['x.d.example.com', 'other.example.com']\nexcept = ['net.example.com']", apps);
        let asked: Vec<_> =
            choice.places.iter().map(|place| (place.app.as_str(), place.url.host_str().unwrap())).collect();
        assert_eq!(
            asked,
            [
                ("a.example.com", "a.example.com"),
                ("*.d.example.com", "x.d.example.com"),
                ("allow", "other.example.com")
            ]
        );
        let left: Vec<_> = choice.left.iter().map(|(app, why)| (app.as_str(), *why)).collect();
        assert_eq!(
            left,
            [
                ("open.example.com", Left::Open),
                ("post.example.com", Left::Open),
                ("*.c.example.com", Left::Wildcard)
            ]
        );
        assert!(choice.places.iter().all(|place| place.open_host.as_deref() == Some("open.example.com")));
    }

    #[test]
    fn settings_without_effect_are_refused() {
        for (canary, found) in [
            ("[canary]\ninterval = '1s'", "`canary.interval` is too short"),
            ("[canary]\nhosts = ['x.example.com']", "`canary.hosts` has no effect without `canary.interval`"),
            ("[canary]\ninterval = '5m'\nhosts = ['A b']", "`A b` is not a host"),
            ("[canary]\ninterval = '5m'\nhosts = ['a.example.com']", "a.example.com is asked anyway"),
            ("[canary]\ninterval = '5m'\nhosts = ['x.other.net']", "no app stands for x.other.net"),
            ("[canary]\ninterval = '5m'\nexcept = ['b.example.com']", "`b.example.com` is none of [apps]"),
            (
                "[canary]\ninterval = '5m'\nexcept = ['a.example.com']",
                "`canary.interval` has no effect: there is no app",
            ),
            ("[canary]\ninterval = '5m'\naddress = 'traefik'", "`traefik` is not a host and a port"),
            (
                "[canary]\ninterval = '5m'\nca_file = '/none'",
                "`canary.ca_file` names /none, which cannot be read",
            ),
            ("[canary]\nevery = '5m'", "`every` is not a setting of [canary]"),
        ] {
            let text = format!(
                "public_url = 'https://auth.example.com'\n[provider]\nissuer = 'https://id.example.com/'\nclient_id = 'f'\n\
                 client_auth = 'none'\n{canary}\n[apps]\n'a.example.com' = 'signed-in'\n"
            );
            let Err(findings) = Config::from_text(Some(("f", &text)), &Environment::default()) else {
                panic!("no finding: {canary}")
            };
            assert!(findings.to_string().contains(found), "{canary}\n{findings}");
        }
    }
}
