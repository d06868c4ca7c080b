//! Authelia: `access_control` of its configuration.yml, its portal and its sessions.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::hosts::{Hosts, spread};
use super::plan::{Factor, Headers, Plan, Rule, Terms, Verdict};
use super::regex::{Against, Matched, paths_of};
use super::tree::{Value, read_yaml};
use super::words::{host_key, network, origin, seconds, term};
use super::{Given, ImportError, Wish};

/// Reads all files as one configuration. What stands in two of them, or in a second document, is refused: which of the two counts is
/// not for us to guess.
pub(super) fn read(given: &Given, wish: &Wish) -> Result<Plan, ImportError> {
    let mut sections: Vec<(String, Value)> = Vec::new();
    let mut keys: HashSet<String> = HashSet::new();
    for (name, text) in &given.files {
        let unreadable = |problem: String| ImportError::Unreadable { name: name.clone(), problem };
        let documents = read_yaml(name, text)?;
        if documents.len() > 1 {
            return Err(unreadable("it holds several documents; Authelia reads one".to_owned()));
        }
        for (key, value) in documents.iter().filter_map(Value::map).flatten() {
            if !keys.insert(key.clone()) {
                return Err(unreadable(format!("`{key}` stands in an earlier file, too: join the two")));
            }
            sections.push((key.clone(), value.clone()));
        }
    }
    let config = Value::Map(sections);
    let Some(control) = config.at("access_control") else {
        return Err(ImportError::Nothing("no access_control of Authelia"));
    };
    let mut plan = Plan { headers: Some(Headers::Preset("remote")), ..Plan::default() };
    plan.carried("Remote-User, -Groups, -Name, -Email", "headers = \"remote\"");
    if !given.variables.is_empty() || !given.flags.is_empty() {
        plan.close(
            "variables and flags",
            "those of Authelia are not read: write them into configuration.yml",
        );
    }
    sessions(&config, &mut plan);
    sections_told(&config, &mut plan);
    rules(control, &config, &mut plan, wish);
    Ok(plan)
}

fn sessions(config: &Value, plan: &mut Plan) {
    let session = config.at("session").unwrap_or(&Value::Null);
    let cookies = session.at("cookies").map(Value::items).unwrap_or_default();
    let first = cookies.first().unwrap_or(session);
    let text = |key: &str| first.at(key).or_else(|| session.at(key)).and_then(Value::text);
    for (key, default, place) in [("inactivity", 300, "idle"), ("expiration", 3600, "lifetime")] {
        let length =
            text(key).map_or(Some(default), seconds).filter(|length| *length >= 60).unwrap_or(default);
        let said = if text(key).is_some() {
            format!("session.{key}")
        } else {
            format!("session.{key} (the default)")
        };
        plan.carried(said, format!("session.{place}"));
        if place == "idle" { plan.session.idle = Some(length) } else { plan.session.lifetime = Some(length) }
    }
    let portal = text("authelia_url").and_then(origin);
    let issuer = config.at("identity_providers").and_then(|providers| providers.at("oidc")).is_some();
    if let (Some(portal), true) = (&portal, issuer) {
        plan.provider.issuer = Some(portal.clone());
        plan.carried(
            "session.cookies.authelia_url",
            "provider.issuer: Authelia goes on signing people in, once foregate is a client of its",
        );
        plan.lost("identity_providers.oidc.clients", "make a client for foregate there");
    } else if portal.is_some() {
        plan.lost(
            "session.cookies.authelia_url",
            "foregate needs an OpenID Provider, and Authelia is none here: put one into provider.issuer",
        );
    }
    if let Some(domain) = text("domain") {
        plan.public_url = host_key(domain).map(|domain| format!("https://foregate.{domain}"));
        plan.carried("session.cookies.domain", "public_url, a host below it: choose its name");
    }
    for key in ["remember_me", "same_site", "name", "default_redirection_url", "secret", "redis", "file"] {
        if first.at(key).or_else(|| session.at(key)).is_some() {
            plan.needless(
                format!("session.{key}"),
                "foregate's sessions are its own; nobody stays longer than session.lifetime",
            );
        }
    }
    for cookie in cookies.iter().skip(1) {
        let domain = cookie.at("domain").and_then(Value::text).unwrap_or("?");
        plan.needless(format!("session.cookies for {domain}"), "apps in other domains need nothing more");
    }
}

/// All sections but those that are read.
fn sections_told(config: &Value, plan: &mut Plan) {
    for (key, _) in config.map().unwrap_or_default() {
        match key.as_str() {
            "access_control" | "session" | "definitions" | "identity_providers" => {}
            "authentication_backend"
            | "totp"
            | "webauthn"
            | "duo_api"
            | "identity_validation"
            | "password_policy"
            | "regulation"
            | "notifier"
            | "privacy_policy" => plan.needless(key, "the affair of the OpenID Provider: set it there"),
            "server"
            | "log"
            | "theme"
            | "telemetry"
            | "storage"
            | "ntp"
            | "certificates_directory"
            | "jwt_secret"
            | "default_2fa_method"
            | "default_redirection_url"
            | "port"
            | "host"
            | "tls_key"
            | "tls_cert"
            | "log_level" => {
                plan.needless(key, "foregate has its own");
            }
            _ => plan.close(key, "it is not known, and may keep somebody out"),
        }
    }
    if config.at("server").and_then(|server| server.at("endpoints")).is_some() {
        plan.lost("server.endpoints", "foregate has an address for each front proxy: `foregate snippet`");
    }
    if config.at("identity_providers").is_some_and(|providers| providers.at("oidc").is_none()) {
        plan.needless("identity_providers", "the affair of the OpenID Provider");
    }
}

fn rules(control: &Value, config: &Value, plan: &mut Plan, wish: &Wish) {
    let networks = networks(control, config, plan);
    let mut rules = Vec::new();
    let mut keys: BTreeSet<String> = wish.hosts.iter().filter_map(|host| host_key(host)).collect();
    let mut read = Reading { plan, networks: &networks, keys: &mut keys };
    for (index, rule) in control.at("rules").map(Value::items).unwrap_or_default().iter().enumerate() {
        rules.push(read.rule(&format!("access_control.rules[{index}]"), rule));
    }
    for (key, _) in control.map().unwrap_or_default() {
        if !["default_policy", "networks", "rules"].contains(&key.as_str()) {
            plan.close(format!("access_control.{key}"), "it is not known, and may keep somebody out");
        }
    }
    let default = control.at("default_policy").and_then(Value::text).unwrap_or("deny");
    let otherwise = policy(default).unwrap_or_else(|| {
        plan.close("access_control.default_policy", format!("`{default}` is no policy"));
        Verdict::Nobody
    });
    plan.carried("access_control.default_policy", "allow");
    let (apps, elsewhere) = spread(&rules, &otherwise, &keys.into_iter().collect::<Vec<_>>());
    plan.apps = apps;
    plan.fallback = elsewhere;
    if matches!(plan.fallback, Verdict::Who(_, Factor::Second)) {
        plan.close_fallback("access_control.default_policy");
    }
}

impl Plan {
    /// Hosts that no line names cannot be asked for a second factor.
    fn close_fallback(&mut self, key: &str) {
        let why = "the top-level `allow` cannot ask for a second factor: hosts that no line names are closed";
        self.note(key, super::plan::Fate::Closed(why.to_owned()));
        self.fallback = Verdict::Nobody;
    }
}

fn policy(name: &str) -> Option<Verdict> {
    match name {
        "bypass" => Some(Verdict::Public),
        "one_factor" => Some(Verdict::signed_in()),
        "two_factor" => Some(Verdict::Who(Terms::signed_in(), Factor::Second)),
        "deny" => Some(Verdict::Nobody),
        _ => None,
    }
}

/// Networks by name; `None` where not all of one can be read.
fn networks(control: &Value, config: &Value, plan: &mut Plan) -> BTreeMap<String, Option<Vec<String>>> {
    let mut named = BTreeMap::new();
    let read = |value: Option<&Value>| {
        value.and_then(Value::texts)?.into_iter().map(network).collect::<Option<Vec<_>>>()
    };
    for entry in control.at("networks").map(Value::items).unwrap_or_default() {
        if let Some(name) = entry.at("name").and_then(Value::text) {
            named.insert(name.to_owned(), read(entry.at("networks")));
        }
    }
    let definitions = config.at("definitions").and_then(|definitions| definitions.at("network"));
    for (name, value) in definitions.and_then(Value::map).unwrap_or_default() {
        named.insert(name.clone(), read(Some(value)));
    }
    if !named.is_empty() {
        plan.carried(
            "networks",
            "terms network:…, which count by what server.trusted_proxies say of an address",
        );
    }
    named
}

/// What is needed to read a rule.
struct Reading<'a> {
    plan: &'a mut Plan,
    networks: &'a BTreeMap<String, Option<Vec<String>>>,
    keys: &'a mut BTreeSet<String>,
}

impl Reading<'_> {
    fn rule(&mut self, place: &str, rule: &Value) -> (Hosts, Rule) {
        let named = rule.at("policy").and_then(Value::text).unwrap_or("deny");
        let verdict = policy(named).unwrap_or(Verdict::Nobody);
        let hosts = self.hosts(place, rule);
        let mut read = Rule::new(place, verdict).at(self.resources(place, rule));
        if let Some(methods) = rule.at("methods").filter(|value| !value.is_empty()) {
            match methods.texts() {
                Some(methods) => read = read.with_methods(methods.into_iter().map(str::to_ascii_uppercase)),
                None => read.paths.surely.clear(),
            }
        }
        let asked = rule.at("query").is_some_and(|value| !value.is_empty());
        let unknown = rule.map().unwrap_or_default().iter().find(|(key, _)| !KEYS.contains(&key.as_str()));
        if asked || unknown.is_some() || policy(named).is_none() {
            // It is not known of which requests it speaks: what it opens stays closed, what it closes is closed.
            read.paths.surely.clear();
            let what = unknown.map_or("query", |(key, _)| key.as_str());
            self.plan.lost(format!("{place}.{what}"), "write it as `query` of rules of foregate; what it opens stays closed, what it closes is closed whatever the query");
        }
        self.people(place, rule, &mut read);
        self.plan.carried(place, "[apps]");
        (hosts, read)
    }

    fn hosts(&mut self, place: &str, rule: &Value) -> Hosts {
        let domains = rule.at("domain").filter(|value| !value.is_empty());
        let regex = rule.at("domain_regex").is_some_and(|value| !value.is_empty());
        let texts = domains.map_or(Some(Vec::new()), Value::texts);
        let keys = texts.and_then(|texts| texts.into_iter().map(host_key).collect::<Option<Vec<_>>>());
        self.keys.extend(keys.iter().flatten().cloned());
        match keys {
            Some(keys) if !regex && !keys.is_empty() => Hosts::These(keys),
            // Authelia itself does not start with a rule that names no host.
            Some(_) | None => {
                let why = "it is missing, or not all of it is a host: what it opens stays closed, what it closes is closed for every host";
                self.plan.lost(format!("{place}.domain"), why);
                Hosts::Some
            }
        }
    }

    /// The paths; a query is part of what Authelia looks at.
    fn resources(&mut self, place: &str, rule: &Value) -> Matched {
        let Some(resources) = rule.at("resources").filter(|value| !value.is_empty()) else {
            return Rule::new("", Verdict::Nobody).paths;
        };
        let Some(texts) = resources.texts() else { return Matched::unknown() };
        let mut all = Matched { surely: Vec::new(), maybe: Vec::new() };
        for text in texts {
            let one = paths_of(text, Against::PathAndQuery);
            if !one.is_exact() {
                self.plan.lost(format!("{place}.resources {text}"), "patterns are whole segments, whatever the query: what it opens is open only where that is sure");
            }
            all.surely.extend(one.surely);
            all.maybe.extend(one.maybe);
        }
        all
    }

    /// Of whom it speaks: subjects, and networks they come from.
    fn people(&mut self, place: &str, rule: &Value, read: &mut Rule) {
        let mut whom: Option<Terms> = None;
        if let Some(subjects) = rule.at("subject").filter(|value| !value.is_empty()) {
            let ways = subjects.items().iter().filter_map(|way| self.subjects(place, way));
            let ways: Vec<Terms> = ways.collect();
            whom = Some(ways.iter().fold(Terms::any([]), |all, way| all.or(way)));
        }
        if let Some(networks) = rule.at("networks").filter(|value| !value.is_empty()) {
            let mut terms = Vec::new();
            for text in networks.items().iter().map(|item| item.text().unwrap_or("?")) {
                let named = self.networks.get(text).cloned().flatten();
                match named.or_else(|| network(text).map(|one| vec![one])) {
                    Some(found) => terms.extend(found),
                    None => self
                        .plan
                        .lost(format!("{place}.networks"), format!("`{text}` is no network that is known")),
                }
            }
            let terms = Terms::any(terms);
            whom = Some(whom.map_or_else(|| terms.clone(), |subjects| subjects.and(&terms)));
        }
        if let Some(whom) = whom {
            // Nobody can be told from the others by a term that is missing.
            *read = read.clone().of(whom);
        }
    }

    /// One entry: all of these.
    fn subjects(&mut self, place: &str, way: &Value) -> Option<Terms> {
        let mut all: Option<Terms> = None;
        for text in way.items().iter().map(|item| item.text().unwrap_or("?")) {
            let found = match text.split_once(':') {
                Some(("user", name)) => term("user", name),
                Some(("group", name)) => term("group", name),
                Some(_) | None => None,
            };
            let Some(found) = found else {
                self.plan.lost(
                    format!("{place}.subject"),
                    format!("`{text}` is nobody that a term of foregate can name"),
                );
                return None;
            };
            let one = Terms::one(found);
            all = Some(all.map_or_else(|| one.clone(), |all| all.and(&one)));
        }
        all
    }
}

/// The keys of a rule that are read.
const KEYS: [&str; 8] =
    ["domain", "domain_regex", "policy", "subject", "networks", "resources", "methods", "query"];
