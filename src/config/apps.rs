//! `[apps]` and what apps fall back to: hosts, upstreams and headers as the policy wants them. Knows no requests.

use std::collections::HashMap;
use std::sync::Arc;

use url::Url;

use super::backend::{Upstream, is_beside_upstream, read_upstream};
use super::budget::{read_limit, read_shown, within};
use super::conditions::with_mode;
use super::findings::{Notebook, Place};
use super::headers::{Known, read_headers};
use super::keys::app_keys;
use super::provider::{Named, any_issuers, read_issuers};
use super::rules::{note_unknown_entry, read_allow, read_rules};
use super::values::Reader;
use super::written::{Entry, Node, Value};
use crate::headers::{ASSERTION, EMERGENCY, HeaderSet};
use crate::identity::{Roles, Tenants};
use crate::policy::{App, Backend, HostPattern, Limits, Requirement, Route, Rule, Terms, is_one_place};
use crate::upstream;
use crate::wording::parse_duration;

/// The apps with their places, and who may use hosts that none of them names. What cannot be read is left out, with
/// a finding for it.
pub(crate) struct Apps {
    pub list: Vec<(App, Place)>,
    pub backends: Vec<upstream::Settings>,
    pub fallback: Option<Requirement>,
    pub defaults: Defaults,
    pub roles: Arc<Roles>,
    pub tenants: Option<Arc<Tenants>>,
}

/// What apps have that do not say otherwise.
pub(crate) struct Defaults {
    headers: [Arc<HeaderSet>; 2],
    pub assertion: bool,
}

impl Defaults {
    fn new(headers: HeaderSet, assertion: bool) -> Self {
        let asserted = headers.with_place_for(ASSERTION);
        Self { headers: [Arc::new(headers), Arc::new(asserted)], assertion }
    }

    /// The headers of apps that do not name their own.
    pub(crate) fn headers(&self, assertion: bool) -> &Arc<HeaderSet> {
        let [plain, asserted] = &self.headers;
        if assertion { asserted } else { plain }
    }
}

impl Reader {
    /// Reads `apps`, `allow` and `headers`. `None` is a finding.
    pub(crate) fn apps(&mut self, public_url: Option<&Url>, providers: &[Named]) -> Option<Apps> {
        let tenants = self.tenants();
        // One with a finding is still one, so that what speaks of tenants is no other finding.
        let has_tenants = !matches!(tenants, Some(None));
        let roles = Arc::new(self.roles(has_tenants));
        let tenants = tenants.flatten();
        let terms = Terms { roles: &roles, path: None, tenants: has_tenants };
        let known = Known { roles: &roles, tenants: tenants.as_ref(), has_tenants };
        let fallback = self.node("allow").and_then(|node| read_allow(&node, terms, &mut self.book));
        let headers = self.node("headers").and_then(|node| read_headers(&node, known, &mut self.book));
        // A stand-in where there is a finding, so that the apps are still looked at.
        let headers = headers.or_else(|| HeaderSet::preset("remote"))?;
        let defaults = Defaults::new(headers, self.flag("assertion").unwrap_or_default());
        let common = Common { defaults: &defaults, known, providers };
        let node = self.node("apps")?;
        let mut list: Vec<(App, Place)> = Vec::new();
        let (mut hosts, mut backends) = (HashMap::new(), Vec::new());
        let entries = app_entries(&node, &mut self.book);
        for entry in entries {
            let Some((mut app, upstream)) = read_app(entry, common, &mut self.book) else {
                continue;
            };
            app.route = upstream.map(|upstream| route(upstream, &mut backends));
            app.issuers = app.issuers.or_else(|| any_issuers(providers));
            app.tenants.clone_from(&tenants);
            note_conflict(&app, &entry.key_place, &list, &mut hosts, &mut self.book);
            if let Some(url) = public_url {
                note_on_public_host(&app, url, &entry.key_place, &mut self.book);
            }
            list.push((app, entry.key_place.clone()));
        }
        self.note_unnamed(providers, &list);
        if fallback == Some(Requirement::Nobody) {
            self.note_inert(entries);
            self.note_unreachable(providers, &list);
        }
        Some(Apps { list, backends, fallback, defaults, roles, tenants })
    }

    /// Providers that no app lets anybody in from, where hosts that no line names are closed.
    fn note_unreachable(&mut self, providers: &[Named], apps: &[(App, Place)]) {
        for provider in providers {
            let (Some(issuer), Some(place)) = (provider.issuer(), &provider.place) else { continue };
            if !provider.signs_in() {
                continue;
            }
            if !apps.is_empty() && !apps.iter().any(|(app, _)| app.takes_people_of(issuer)) {
                let problem =
                    format!("nobody ever signs in at `{}`: every app names other providers", provider.name);
                self.book.note(place, problem, "name it in the `provider` of an app, or remove its table");
            }
        }
    }

    /// Issuers of tokens that no app names.
    fn note_unnamed(&mut self, providers: &[Named], apps: &[(App, Place)]) {
        for one in providers.iter().filter(|one| !one.signs_in()) {
            let (Some(issuer), Some(place)) = (one.issuer().filter(|issuer| !issuer.is_empty()), &one.place)
            else {
                continue;
            };
            if !apps.iter().any(|(app, _)| app.takes_people_of(issuer)) {
                let problem = format!("no app takes tokens of `{}`", one.name);
                self.book.note(place, problem, "name it in the `provider` of an app, or remove its table");
            }
        }
    }

    /// What makes no sense where hosts that no line names are closed.
    fn note_inert(&mut self, apps: &[Entry]) {
        if apps.is_empty() {
            let fix = "write allow = \"signed-in\" at the top, or a line below [apps] for each app";
            let place = ["apps", "allow"].into_iter().find_map(|path| self.place_of(path));
            match place {
                Some(place) => self.book.note(&place, NOBODY, fix),
                None => self.note_for_whole(NOBODY, fix),
            }
        } else if let Some(place) = self.place_of("headers")
            && apps.iter().all(|app| has_own_headers(&app.node))
        {
            self.book.note(&place, "`headers` has no effect: every app has its own", "remove it");
        }
    }
}

fn app_entries<'n>(node: &'n Node, book: &mut Notebook) -> &'n [Entry] {
    match &node.value {
        Value::Table(entries) => entries,
        value @ (Value::Text(_)
        | Value::Count(_)
        | Value::Flag(_)
        | Value::List(_)
        | Value::Fraction(_)
        | Value::Odd(_)) => {
            let fix = "write a line [apps], and below it such as \"wiki.example.com\" = \"signed-in\"";
            book.note(&node.place, format!("`apps` is {}", value.kind()), fix);
            &[]
        }
    }
}

fn has_own_headers(node: &Node) -> bool {
    matches!(&node.value, Value::Table(entries) if entries.iter().any(|entry| entry.key == "headers"))
}

/// What the key of an app says.
#[derive(Debug, PartialEq, Eq)]
struct AppKey {
    host: HostPattern,
    port: Option<u16>,
    prefix: Option<String>,
}

impl AppKey {
    /// Reads `host`, `host:port`, `host/prefix` or `*.host`, or these together. The error is what is wrong and
    /// what to write.
    fn parse(text: &str) -> Result<Self, (String, String)> {
        let wrong = |problem: &str, fix: &str| (format!("`{text}` {problem}"), fix.to_owned());
        if text.contains("://") {
            return Err(wrong("is a URL", "write the host alone, without https://"));
        }
        let (authority, path) = text.find('/').map_or((text, ""), |at| text.split_at(at));
        let (host, port) = split_port(authority);
        let port = match port.map(str::parse::<u16>) {
            None => None,
            Some(Ok(port)) if port > 0 => Some(port),
            Some(_) => return Err(wrong("has no valid port", "write a number up to 65535 behind the colon")),
        };
        let host = HostPattern::parse(host).map_err(|error| {
            let error = error.to_string();
            let (problem, fix) = error.rsplit_once(": ").unwrap_or((&error, "write a host"));
            (problem.to_owned(), fix.to_owned())
        })?;
        let prefix = path.strip_suffix('/').unwrap_or(path);
        if !is_plain_path(prefix) {
            let fix = "write whole segments as they are, such as /api/v1, and patterns in its rules";
            return Err(wrong("has a prefix that is no plain path", fix));
        }
        Ok(Self { host, port, prefix: (!prefix.is_empty()).then(|| prefix.to_owned()) })
    }
}

/// The port behind the last colon, unless that is part of an IPv6 address.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && (!host.contains(':') || host.ends_with(']')) => {
            (host, Some(port))
        }
        Some(_) | None => (authority, None),
    }
}

pub(crate) fn is_plain_path(path: &str) -> bool {
    let plain = |segment: &str| {
        !segment.is_empty()
            && segment != "."
            && segment != ".."
            && !segment.contains(|c: char| c.is_control() || "*{}%?#;\\".contains(c))
    };
    path.is_empty() || path.split('/').skip(1).all(plain)
}

/// What apps may speak of.
#[derive(Clone, Copy)]
struct Common<'a> {
    /// What those have that do not say otherwise.
    defaults: &'a Defaults,
    known: Known<'a>,
    providers: &'a [Named],
}

fn read_app(entry: &Entry, common: Common<'_>, book: &mut Notebook) -> Option<(App, Option<Upstream>)> {
    let before = book.count();
    let key = match AppKey::parse(&entry.key) {
        Ok(key) => Some(key),
        Err((problem, fix)) => {
            book.note(&entry.key_place, problem, fix);
            None
        }
    };
    let body = read_body(entry, common, book);
    if book.count() > before {
        return None;
    }
    let (key, body) = (key?, body?);
    if key.prefix.is_none() && body.upstream.as_ref().is_some_and(|upstream| upstream.strip_prefix) {
        let problem = format!("`strip_prefix` has no effect: `{}` has no prefix", entry.key);
        book.note(&entry.key_place, problem, "write the app as \"host/prefix\", or remove it");
    }
    let assertion = body.assertion.unwrap_or(common.defaults.assertion);
    let headers = match body.headers {
        Some(own) if assertion => Arc::new(own.with_place_for(ASSERTION)),
        Some(own) => Arc::new(own),
        None => Arc::clone(common.defaults.headers(assertion)),
    };
    let headers = if body.emergency { Arc::new(headers.with_place_for(EMERGENCY)) } else { headers };
    let app = App {
        name: entry.key.clone(),
        host: key.host,
        prefix: key.prefix,
        port: key.port,
        rules: body.rules,
        last: body.last,
        headers,
        route: None,
        assertion,
        limits: body.limits,
        issuers: body.issuers,
        emergency: body.emergency,
        tenants: None,
    };
    Some((app, body.upstream))
}

/// The way to an upstream, which joins the backends unless another app has the same.
fn route(upstream: Upstream, backends: &mut Vec<upstream::Settings>) -> Route {
    let Upstream { settings, preserve_host, base, strip_prefix, authorization } = upstream;
    let place = backends.iter().position(|known| *known == settings).unwrap_or_else(|| {
        backends.push(settings);
        backends.len() - 1
    });
    Route { backend: Backend(place), preserve_host, base, strip_prefix, authorization }
}

/// What stands behind the key of an app.
struct Body {
    last: Rule,
    rules: Vec<Rule>,
    headers: Option<HeaderSet>,
    assertion: Option<bool>,
    emergency: bool,
    upstream: Option<Upstream>,
    limits: Limits,
    issuers: Option<Arc<[Box<str>]>>,
}

impl Body {
    fn new(app: &str, allow: Requirement) -> Self {
        let limits = Limits::default();
        let last = Rule::new(format!("{app} allow"), None, Vec::new(), allow);
        Self {
            last,
            rules: Vec::new(),
            headers: None,
            assertion: None,
            emergency: false,
            upstream: None,
            limits,
            issuers: None,
        }
    }
}

fn read_body(app: &Entry, common: Common<'_>, book: &mut Notebook) -> Option<Body> {
    let Common { known, providers, .. } = common;
    let terms = Terms { roles: known.roles, path: None, tenants: known.has_tenants };
    let Value::Table(entries) = &app.node.value else {
        return Some(Body::new(&app.key, read_allow(&app.node, terms, book)?));
    };
    if let Some(nested) = entries.iter().find(|entry| is_split_host(app, entry)) {
        let problem = format!("`{}` and `{}` are parts of one host name", app.key, nested.key);
        book.note(&app.key_place, problem, "put the whole host in quotes, such as \"wiki.example.com\"");
        return None;
    }
    let before = book.count();
    let (mut allow, mut closed, mut allow_place) = (Requirement::Nobody, false, None);
    let mut body = Body::new(&app.key, Requirement::Nobody);
    let (mut groups, mut limit) = (None, None);
    for entry in entries {
        match entry.key.as_str() {
            "allow" => {
                allow_place = Some(&entry.key_place);
                allow = read_allow(&entry.node, terms, book).unwrap_or(Requirement::Nobody);
            }
            "rules" => {
                (body.rules, closed) = read_rules(&app.key, &entry.node, terms, book).unwrap_or_default();
            }
            "headers" => body.headers = read_headers(&entry.node, known, book),
            "assertion" => body.assertion = read_flag(entry, book),
            "emergency" => body.emergency = read_flag(entry, book).unwrap_or_default(),
            // Read together, below.
            key if key == "upstream" || ["mode", "meanwhile"].contains(&key) || is_beside_upstream(key) => {}
            "idle" => body.limits.idle = read_seconds(entry, book),
            "lifetime" => body.limits.lifetime = read_seconds(entry, book),
            "provider" => body.issuers = read_issuers(&entry.node, providers, book),
            "groups" => groups = read_shown(entry, book),
            "header_limit" => limit = read_limit(entry, book),
            _ => note_strange(entry, book),
        }
    }
    body.upstream = read_upstream(entries, book);
    body.last = with_mode(Body::new(&app.key, allow).last, entries, terms, book).unwrap_or(body.last);
    match allow_place {
        Some(place) if closed => {
            book.note(
                place,
                "this `allow` is never reached: a rule before it takes every request",
                "remove one of the two",
            );
        }
        None if !entries.iter().any(|entry| entry.key == "rules") => {
            let problem = format!("`{}` has neither `allow` nor `rules`, so nobody is let in", app.key);
            book.note(&app.key_place, problem, "write allow = \"signed-in\", or whom you mean");
        }
        Some(_) | None => {}
    }
    if book.count() == before && (groups.is_some() || limit.is_some()) {
        let set = body.headers.as_ref().unwrap_or_else(|| common.defaults.headers(false));
        let rules = body.rules.iter().chain([&body.last]);
        body.headers = within(set, (groups, limit), rules, book);
    }
    (book.count() == before).then_some(body)
}

/// Notes a name that an app does not know, or that belongs elsewhere.
fn note_strange(entry: &Entry, book: &mut Notebook) {
    let name = entry.key.as_str();
    match name {
        "max_auth_age" | "acr" | "amr" | "query" | "methods" | "path" => {
            let fix = format!("write rules = [{{ {name} = …, allow = … }}]");
            book.note(&entry.key_place, format!("`{name}` belongs into a rule"), fix);
        }
        "all" | "any" => {
            let fix = format!("write allow = {{ {name} = […] }}");
            book.note(&entry.key_place, format!("`{name}` belongs into `allow`"), fix);
        }
        _ => note_unknown_entry(entry, "an app", app_keys(), book),
    }
}

fn read_flag(entry: &Entry, book: &mut Notebook) -> Option<bool> {
    if let Value::Flag(flag) = entry.node.value {
        return Some(flag);
    }
    let problem = format!("`{}` is {}", entry.key, entry.node.value.kind());
    book.note(&entry.node.place, problem, "write true or false");
    None
}

/// A length of time of an app.
pub(crate) fn read_seconds(entry: &Entry, book: &mut Notebook) -> Option<u64> {
    let seconds = match &entry.node.value {
        Value::Text(text) => parse_duration(text).map(|time| time.as_secs()).filter(|seconds| *seconds > 0),
        Value::Count(_)
        | Value::Flag(_)
        | Value::List(_)
        | Value::Table(_)
        | Value::Fraction(_)
        | Value::Odd(_) => None,
    };
    if seconds.is_none() {
        let problem = format!("`{}` is not a length of time", entry.key);
        book.note(&entry.node.place, problem, "write a number with s, m, h, d or w, such as 30m or 12h");
    }
    seconds
}

/// Whether an app's table is what TOML makes of a host without quotes: `wiki.example.com = "public"`.
fn is_split_host(app: &Entry, entry: &Entry) -> bool {
    let known = app_keys().any(|name| name == entry.key) || ["all", "any"].contains(&entry.key.as_str());
    !app.key.contains('.') && !known && matches!(entry.node.value, Value::Table(_) | Value::Text(_))
}

/// Notes an app that another one leaves nothing to, and two ports for one host. `hosts` has the apps of each host so
/// far, by their place in `list`.
fn note_conflict(
    app: &App,
    place: &Place,
    list: &[(App, Place)],
    hosts: &mut HashMap<String, Vec<usize>>,
    book: &mut Notebook,
) {
    let host = match &app.host {
        HostPattern::Exact(host) => host.clone(),
        HostPattern::Wildcard(host) => format!("*.{host}"),
    };
    let indices = hosts.entry(host).or_default();
    let same_host = || indices.iter().filter_map(|&index| list.get(index));
    if let Some((other, first)) = same_host().find(|(other, _)| other.prefix == app.prefix) {
        let problem =
            format!("`{}` names the same app as `{}` at {}", app.name, other.name, book.whence(first));
        book.note(place, problem, "keep one of the two");
    } else if let Some((other, first)) = same_host().find(|(other, _)| are_one_place(other, app)) {
        let problem = format!(
            "`{}` and `{}` at {} are one place to servers that do not mind letter case",
            app.name,
            other.name,
            book.whence(first)
        );
        book.note(place, problem, "keep one of the two");
    } else if let Some((other, first)) = same_host().find(|(other, _)| other.port != app.port) {
        let problem =
            format!("`{}` names another port than `{}` at {}", app.name, other.name, book.whence(first));
        book.note(place, problem, "write the same port for all parts of a host");
    }
    indices.push(list.len());
}

fn are_one_place(one: &App, other: &App) -> bool {
    let [one, other] = [one, other].map(|app| app.prefix.as_deref().unwrap_or_default());
    is_one_place(one, other)
}

/// Notes what would have no effect on the host where foregate itself is.
fn note_on_public_host(app: &App, public_url: &Url, place: &Place, book: &mut Notebook) {
    if !matches!(&app.host, HostPattern::Exact(host) if public_url.host_str() == Some(host)) {
        return;
    }
    if app.port.is_some_and(|port| public_url.port_or_known_default() != Some(port)) {
        let problem = format!("`{}` names another port than public_url, which has the same host", app.name);
        book.note(place, problem, "leave the port out");
    }
    if app.prefix.as_deref().is_some_and(|prefix| prefix == OWN_PATH || prefix.starts_with("/.foregate/")) {
        book.note(place, format!("`{}` is where foregate itself answers", app.name), "remove it");
    }
}

/// Where foregate's own pages are.
const OWN_PATH: &str = "/.foregate";
const NOBODY: &str = "nothing would ever be let in: there are no apps, and `allow` is nobody";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_host_with_port_and_prefix() {
        let exact = |host: &str| HostPattern::Exact(host.into());
        for (text, host, port, prefix) in [
            ("wiki.example.com", exact("wiki.example.com"), None, None),
            ("Wiki.Example.com.", exact("wiki.example.com"), None, None),
            ("*.example.com", HostPattern::Wildcard("example.com".into()), None, None),
            ("wiki.example.com:8443", exact("wiki.example.com"), Some(8443), None),
            ("wiki.example.com/", exact("wiki.example.com"), None, None),
            ("wiki.example.com/a/b/", exact("wiki.example.com"), None, Some("/a/b")),
            ("*.example.com:1/a", HostPattern::Wildcard("example.com".into()), Some(1), Some("/a")),
            ("[::1]", exact("[::1]"), None, None),
            ("[::1]:80/a", exact("[::1]"), Some(80), Some("/a")),
            ("127.0.0.1:80", exact("127.0.0.1"), Some(80), None),
        ] {
            let wanted = AppKey { host, port, prefix: prefix.map(str::to_owned) };
            assert_eq!(AppKey::parse(text), Ok(wanted), "{text}");
        }
        for text in [
            "",
            "/a",
            "https://a.b",
            "a.b:0",
            "a.b:x",
            "a.b:",
            "a.b:99999",
            "a.b//c",
            "a.b/../c",
            "a.b/%61",
            "a.b/*",
            "a.b/a//",
            "a b",
            "*",
            "a.*.b",
            "::1",
            "a.b:80:90",
            "u@a.b",
        ] {
            assert!(AppKey::parse(text).is_err(), "{text}");
        }
    }
}
