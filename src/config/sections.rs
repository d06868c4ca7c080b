//! The tables `[server]`, but for its listeners, and `[session]` as their modules want them.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use url::Url;

use super::apps::Apps;
use super::findings::Place;
use super::secrets::NEW_KEY;
use super::values::{Read, Reader};
use crate::journal::Output;
use crate::limits::Rate;
use crate::policy::{App, HostPattern};
use crate::secret::Secret;
use crate::server::{Address, Listen, Listeners};
use crate::session::store::Location;
use crate::{journal, limits, server, session};

impl Reader {
    pub(crate) fn server(&mut self, listen: Option<&[Listen]>) -> Option<server::Settings> {
        let trusted = self.trusted_proxies(listen);
        let drain = self.duration("server.drain", Duration::ZERO);
        let head_timeout = self.duration("server.limits.head_timeout", SECOND);
        let idle_timeout = self.duration("server.limits.idle_timeout", SECOND);
        let send_timeout = self.duration("server.limits.send_timeout", SECOND);
        let connections = self.count("server.limits.connections");
        let (trusted_proxies, trusted_sockets) = trusted?;
        Some(server::Settings {
            trusted_proxies,
            trusted_sockets,
            head_timeout: head_timeout?.value,
            idle_timeout: idle_timeout?.value,
            send_timeout: send_timeout?.value,
            connections: connections?,
            drain: drain?.value,
        })
    }

    /// How often anybody may try what costs something.
    pub(crate) fn rates(&mut self) -> Option<limits::Settings> {
        let kinds = ["sign_ins", "callbacks", "codes", "tokens", "emergency"];
        let [sign_ins, callbacks, codes, tokens, emergency] = kinds.map(|kind| self.rate(kind));
        Some(limits::Settings {
            sign_ins: sign_ins?,
            callbacks: callbacks?,
            codes: codes?,
            tokens: tokens?,
            emergency: emergency?,
        })
    }

    fn rate(&mut self, kind: &str) -> Option<Rate> {
        let path = format!("server.limits.{kind}_per_minute");
        let path_of_all = format!("{path}_total");
        let client = self.count(&path);
        let (client, total) = (client?, self.count(&path_of_all)?);
        if client > total {
            let place = [&path, &path_of_all].into_iter().find_map(|path| self.place_of(path))?;
            let problem = format!("`{path}` is more than `{path_of_all}` and would have no effect");
            self.book.note(&place, problem, "let one client have as much as all together, or less");
            return None;
        }
        let fits = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Some(Rate { client: fits(client), total: fits(total) })
    }

    pub(crate) fn tunnel_idle(&mut self) -> Option<Duration> {
        self.duration("server.limits.tunnel_idle_timeout", SECOND).map(|idle| idle.value)
    }

    /// What opens the operator's API, which may do without only where nobody from elsewhere can connect.
    pub(crate) fn admin_token(&mut self, admin_listen: Option<SocketAddr>) -> Option<Option<Secret>> {
        let path = "server.admin_token";
        if !self.is_written(path) {
            self.node(path);
            let open = admin_listen.is_some_and(|address| !address.ip().to_canonical().is_loopback());
            if let Some(place) = self.place_of("server.admin_listen").filter(|_| open) {
                let problem = "`server.admin_token` is not set, and whoever reaches `server.admin_listen` could end \
                               sessions and disable people";
                let fix =
                    "name a file with a long random text in server.admin_token_file, or listen on 127.0.0.1";
                self.book.note(&place, problem, fix);
                return None;
            }
            return Some(None);
        }
        let token = self.secret(path)?;
        if !token.value.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
            let problem = format!("`{path}` holds characters that no bearer token can have");
            self.book.note(&token.place, problem, "write letters and digits only");
            return None;
        }
        let from_elsewhere = admin_listen.is_some_and(|address| !address.ip().to_canonical().is_loopback());
        if from_elsewhere && token.value.expose().len() < SHORTEST_TOKEN {
            let problem = format!(
                "`{path}` is shorter than {SHORTEST_TOKEN} letters, and others than this machine could try it out"
            );
            self.book.note(
                &token.place,
                problem,
                "write a long random text, such as `openssl rand -hex 32` prints",
            );
            return None;
        }
        Some(Some(token.value))
    }

    /// The app that leads to the operator's page: of one host, with foregate as its proxy, and telling who was let in in a
    /// way that nobody else can.
    pub(crate) fn admin_app(
        &mut self,
        apps: Option<&Apps>,
        listeners: Option<&Listeners>,
    ) -> Option<Option<String>> {
        let named = self.named_admin_app(apps.map(|apps| &*apps.list))?;
        if let (Some(apps), Some(listeners)) = (apps, listeners) {
            self.note_ourselves(apps, listeners, named.as_ref().map(|(name, _)| name.as_str()));
        }
        Some(named.map(|(_, host)| host))
    }

    /// Its name, and its host.
    fn named_admin_app(&mut self, apps: Option<&[(App, Place)]>) -> Option<Option<(String, String)>> {
        let path = "server.admin_app";
        if !self.is_written(path) {
            self.node(path);
            return Some(None);
        }
        let named = self.text(path)?;
        let app = apps?.iter().map(|(app, _)| app).find(|app| app.name == named.value);
        let (problem, fix) = match app {
            Some(App {
                host: HostPattern::Exact(host),
                port,
                prefix: None,
                route: Some(_),
                assertion: true,
                ..
            }) => {
                let beside = apps?.iter().map(|(other, _)| other).find(|other| {
                    other.name != named.value && other.host.is_exactly(host) && other.port == *port
                });
                let Some(beside) = beside else { return Some(Some((named.value, host.clone()))) };
                let problem = format!(
                    "`{path}`: `{}` is on the same host, and its pages could do there what an operator may",
                    beside.name
                );
                self.book.note(&named.place, problem, "give the operator's page a host of its own");
                return None;
            }
            Some(App { assertion: false, .. }) => (
                "has no `assertion`, by which the page knows whom it let in",
                "add assertion = true to the app",
            ),
            Some(_) => (
                "is not one whole host that foregate is the proxy of",
                "name an app of one host, with the admin listener as its upstream",
            ),
            None => ("is no app", "name one as it stands in [apps]"),
        };
        self.book.note(&named.place, format!("`{path}`: `{}` {problem}", named.value), fix);
        None
    }

    /// The networks written, and whether sockets are; or those of this machine, where only it can connect at all.
    fn trusted_proxies(&mut self, listen: Option<&[Listen]>) -> Option<(Vec<IpNet>, bool)> {
        let path = "server.trusted_proxies";
        let is_socket = |listen: &Listen| matches!(listen.address, Address::Unix(_));
        if !self.is_written(path) {
            let is_local = |listen: &Listen| match &listen.address {
                Address::Tcp(address) => address.ip().is_loopback(),
                Address::Unix(_) => true,
            };
            let local = listen?.iter().all(is_local);
            let networks = if local { loopback() } else { Vec::new() };
            let sockets = local && listen?.iter().any(is_socket);
            let words = networks.iter().map(ToString::to_string).chain(sockets.then(|| SOCKETS.to_owned()));
            let shown: Vec<String> = words.map(|word| format!("\"{word}\"")).collect();
            self.derived(path, format!("[{}]", shown.join(", ")));
            return Some((networks, sockets));
        }
        let texts = self.texts(path)?;
        let (sockets, networks): (Vec<_>, Vec<_>) = texts.iter().partition(|text| text.value == SOCKETS);
        if let (Some(one), Some(listen)) = (sockets.first(), listen)
            && !listen.iter().any(is_socket)
        {
            let problem = format!("`{path}`: `{SOCKETS}` has no effect, as no listener is a Unix socket");
            self.book.note(
                &one.place,
                problem,
                "remove it, or listen on such as unix:/run/foregate/foregate.sock",
            );
        }
        let networks: Vec<Option<IpNet>> = networks
            .iter()
            .map(|text| {
                let network =
                    text.value.parse().ok().or_else(|| text.value.parse::<IpAddr>().ok().map(IpNet::from));
                if network.is_none() {
                    let problem = format!("`{path}`: `{}` is neither an address nor a network", text.value);
                    self.book.note(&text.place, problem, "write such as 10.0.0.5 or 10.0.0.0/8");
                }
                network.map(|network| network.trunc())
            })
            .collect();
        Some((networks.into_iter().collect::<Option<_>>()?, !sockets.is_empty()))
    }

    pub(crate) fn session(&mut self) -> Option<session::Settings> {
        let location = self.location();
        let keys = self.sealing_keys();
        if let (Some((location, place)), Some(keys)) = (&location, &keys) {
            self.note_missing_keys(location, keys, place);
        }
        let idle = self.duration("session.idle", MINUTE);
        let lifetime = self.duration("session.lifetime", MINUTE);
        if let (Some(idle), Some(lifetime)) = (&idle, &lifetime)
            && idle.value > lifetime.value
        {
            let place = if self.is_written("session.idle") { &idle.place } else { &lifetime.place };
            let problem = "`session.idle` is longer than `session.lifetime` and would have no effect";
            self.book.note(place, problem, "make it as long as the lifetime, or shorter");
        }
        let outage_grace = self.duration("session.outage_grace", Duration::ZERO);
        let poll = self.duration("session.poll", SECOND);
        let cache_sessions = self.count("session.cache_sessions");
        let owner_absence = self.owner_absence(lifetime.as_ref());
        Some(session::Settings {
            location: location?.0,
            // Known when the providers are.
            issuers: Vec::new(),
            keys: keys?,
            idle: idle?.value,
            lifetime: lifetime?.value,
            outage_grace: outage_grace?.value,
            poll: poll?.value,
            cache_sessions: cache_sessions?,
            owner_absence: owner_absence?,
        })
    }

    /// How long app tokens count without their owner: as long as a sign-in, unless it is written.
    fn owner_absence(&mut self, lifetime: Option<&Read<Duration>>) -> Option<Duration> {
        let path = "tokens.owner_absence";
        if self.is_written(path) {
            return Some(self.duration(path, MINUTE)?.value);
        }
        self.used(path);
        lifetime.map(|lifetime| lifetime.value)
    }

    /// How long the app tokens may last that people make for themselves, if they may.
    pub(crate) fn self_service(&mut self) -> Option<Option<Duration>> {
        let path = "tokens.max_lifetime";
        let may = self.flag("tokens.self_service")?;
        let longest = self.duration(path, MINUTE)?;
        if !may && self.is_written(path) {
            let problem = format!("`{path}` has no effect, as people may not make app tokens");
            self.book.note(&longest.place, problem, "set tokens.self_service = true, or remove it");
            return None;
        }
        Some(may.then_some(longest.value))
    }

    /// Where the audit log and the access log go.
    pub(crate) fn journals(&mut self) -> Option<journal::Settings> {
        let (audit, access) = (self.output("audit.output"), self.output("access_log.output"));
        Some(journal::Settings { audit: audit?, access: access? })
    }

    /// Where a journal goes, if anywhere.
    fn output(&mut self, path: &str) -> Option<Option<Output>> {
        let Read { value: text, place } = self.text(path)?;
        if text == "off" {
            return Some(None);
        }
        let output = Output::parse(&text);
        if output.is_none() {
            let problem = format!("`{path}`: `{text}` is neither stdout, stderr, off nor the path of a file");
            self.book.note(&place, problem, "write such as /var/log/foregate/audit.log, or ./audit.log");
        }
        output.map(Some)
    }

    /// Origins as browsers name them, letter by letter.
    pub(crate) fn cors_origins(&mut self) -> Option<Vec<String>> {
        let texts = self.texts("session.cors_origins")?;
        let mut origins = Vec::new();
        for text in &texts {
            let url = Url::parse(&text.value).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
            match url.map(|url| url.origin().ascii_serialization()) {
                Some(origin) if origin == text.value => origins.push(origin),
                named => {
                    let problem = format!("`session.cors_origins`: `{}` is not an origin", text.value);
                    let origin = named.unwrap_or_else(|| "https://app.example.com".to_owned());
                    self.book.note(&text.place, problem, format!("write such as {origin}"));
                }
            }
        }
        (origins.len() == texts.len()).then_some(origins)
    }

    /// Notes limits of apps that are no shorter than those of every session.
    pub(crate) fn note_long_limits(&mut self, apps: &[(App, Place)], session: &session::Settings) {
        for (app, place) in apps {
            for (name, own, common) in
                [("idle", app.limits.idle, session.idle), ("lifetime", app.limits.lifetime, session.lifetime)]
            {
                if own.is_some_and(|seconds| seconds >= common.as_secs()) {
                    let problem = format!(
                        "`{name}` of `{}` is not shorter than `session.{name}` and would have no effect",
                        app.name
                    );
                    self.book.note(place, problem, format!("make it shorter, or raise session.{name}"));
                }
            }
        }
    }

    fn location(&mut self) -> Option<(Location, Place)> {
        let Read { value: text, place } = self.secret("session.store")?;
        match parse_location(&text) {
            Ok(location) => Some((location, place)),
            Err((problem, fix)) => {
                self.book.note(&place, format!("`session.store` {problem}"), fix);
                None
            }
        }
    }

    /// Keys that several replicas share cannot be made by one of them.
    fn note_missing_keys(&mut self, location: &Location, keys: &[Secret], place: &Place) {
        let shared = match location {
            #[cfg(feature = "sqlite")]
            Location::Sqlite(_) | Location::Memory => false,
            #[cfg(feature = "postgres")]
            Location::Postgres(_) => true,
        };
        if shared && keys.is_empty() {
            let problem = "`session.keys` is not set, and PostgreSQL needs keys that all replicas share";
            let fix = format!("{NEW_KEY}, and name its file in session.keys_file");
            self.book.note(place, problem, fix);
        } else if keys.is_empty() && !self.is_written("session.keys") {
            self.derived("session.keys", "(in the file beside the database)".to_owned());
        }
    }
}

/// Reads where sessions are kept. The error is what is wrong and what to write; it holds nothing of the text.
fn parse_location(text: &Secret) -> Result<Location, (&'static str, &'static str)> {
    let text = text.expose();
    if let Some(path) = text.strip_prefix("sqlite:") {
        return parse_sqlite(path);
    }
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        return parse_postgres(text);
    }
    Err(("names no store that is known", "write sqlite:foregate.db, or postgres://user@host/database"))
}

#[cfg(feature = "sqlite")]
fn parse_sqlite(path: &str) -> Result<Location, (&'static str, &'static str)> {
    match path {
        "" | ":memory:" => Err(("names no file", "write such as sqlite:/var/lib/foregate/foregate.db")),
        path if path.starts_with("//") || path.contains('?') || path.ends_with('/') => {
            Err(("is not the path of a file", "write sqlite:/absolute/path.db or sqlite:relative.db"))
        }
        path => Ok(Location::Sqlite(path.into())),
    }
}

#[cfg(not(feature = "sqlite"))]
fn parse_sqlite(_: &str) -> Result<Location, (&'static str, &'static str)> {
    Err((
        "names SQLite, which this build does not have",
        "use a build with the feature sqlite, or PostgreSQL",
    ))
}

#[cfg(feature = "postgres")]
fn parse_postgres(text: &str) -> Result<Location, (&'static str, &'static str)> {
    match text.parse::<tokio_postgres::Config>() {
        Ok(config) if !config.get_hosts().is_empty() => Ok(Location::Postgres(Secret::new(text))),
        Ok(_) | Err(_) => {
            Err(("is not a PostgreSQL address", "write postgres://user:password@host/database"))
        }
    }
}

#[cfg(not(feature = "postgres"))]
fn parse_postgres(_: &str) -> Result<Location, (&'static str, &'static str)> {
    Err((
        "names PostgreSQL, which this build does not have",
        "use a build with the feature postgres, or SQLite",
    ))
}

fn loopback() -> Vec<IpNet> {
    let four = Ipv4Net::new(std::net::Ipv4Addr::LOCALHOST, 8).map(|network| network.trunc().into());
    let six = Ipv6Net::from(std::net::Ipv6Addr::LOCALHOST).into();
    four.into_iter().chain(std::iter::once(six)).collect()
}

/// Letters of an admin token that nobody finds by trying.
const SHORTEST_TOKEN: usize = 16;
/// Peers on Unix sockets, among the trusted proxies.
const SOCKETS: &str = "unix";
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_a_file_or_a_server() {
        let known = |text: &str| parse_location(&Secret::new(text)).is_ok();
        let (sqlite, postgres) = (cfg!(feature = "sqlite"), cfg!(feature = "postgres"));
        for (text, usable) in [
            ("sqlite:foregate.db", sqlite),
            ("sqlite:/var/lib/foregate.db", sqlite),
            ("postgres://u:p@db.example.com:5432/foregate?sslmode=require", postgres),
            ("postgresql:///foregate?host=/run/postgresql", postgres),
            ("sqlite:", false),
            ("sqlite::memory:", false),
            ("sqlite:///x.db", false),
            ("sqlite:x.db?mode=ro", false),
            ("foregate.db", false),
            ("redis://x", false),
            ("postgres://", false),
            ("postgres://u@h:port/d", false),
            ("mysql://u@h/d", false),
        ] {
            assert_eq!(known(text), usable, "{text}");
        }
    }
}
