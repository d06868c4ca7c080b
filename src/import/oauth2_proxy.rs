//! oauth2-proxy: its cfg file, alpha configuration, variables and flags.

mod alpha;
mod known;

use super::hosts::{Hosts, spread};
use super::options::{Options, variables};
use super::plan::{Headers, Plan, Rule, Secret, Terms, Verdict};
use super::regex::{Against, paths_of};
use super::tree::{Value, read_toml, read_yaml};
use super::words::{email, host_key, host_of, network, origin, seconds, term};
use super::{Given, ImportError, Wish};
pub(super) use known::KNOWN;

/// Reads all that was given as one configuration.
pub(super) fn read(given: &Given, wish: &Wish) -> Result<Plan, ImportError> {
    let mut options = Options::new(KNOWN);
    let mut plan = Plan::default();
    let mut emails: Vec<(String, Vec<String>)> = Vec::new();
    for (name, text) in &given.files {
        if is_yaml(name) {
            for document in read_yaml(name, text)? {
                alpha::put(&document, &mut options, &mut plan);
            }
        } else if is_text(name) {
            emails.push((
                base(name).to_owned(),
                text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect(),
            ));
        } else {
            read_toml(name, text)?.iter().for_each(|(key, value)| options.put(key, value));
        }
    }
    for (_, text) in &given.variables {
        put_variables(&mut options, &variables(text, PREFIX));
    }
    options.put_flags(&given.flags)?;
    defaults(&mut options, &mut plan);
    if options.is_empty() {
        return Err(ImportError::Nothing("no option of oauth2-proxy"));
    }
    carry(&options, &mut plan, &emails, wish);
    let is_given = |wanted: &dyn Fn(&str) -> bool| given.files.iter().any(|(name, _)| wanted(name));
    if !is_given(&|name| !is_yaml(name) && !is_text(name)) {
        options.without_its_file("config", &mut plan);
    }
    if !is_given(&is_yaml) {
        options.without_its_file("alpha-config", &mut plan);
    }
    Ok(plan)
}

/// Takes variables without their prefix. An empty one is as none to it.
pub(super) fn put_variables(options: &mut Options, variables: &[(String, String)]) {
    for (name, value) in variables {
        if value.is_empty() {
            options.put_empty(name);
        } else {
            options.put(name, &Value::Text(value.clone()));
        }
    }
}

/// Leaves out what its own conversion writes though it says nothing.
fn defaults(options: &mut Options, plan: &mut Plan) {
    for (name, default) in [("oidc-audience-claim", "aud"), ("azure-tenant", "common")] {
        if let Some(key) = options.forget(name, default) {
            plan.needless(key, "it says no more than the default");
        }
    }
}

/// Fills the plan from options; also for one that stands in a Compose file.
pub(super) fn carry(options: &Options, plan: &mut Plan, emails: &[(String, Vec<String>)], wish: &Wish) {
    options.tell(plan, |_| false);
    plan.compat = Some("oauth2-proxy");
    provider(options, plan);
    place(options, plan);
    headers(options, plan);
    let who = who(options, plan, emails);
    let rules = rules(options, plan);
    let keys = keys(options, plan, wish);
    let (apps, elsewhere) = spread(&rules, &who, &keys);
    plan.apps = apps;
    plan.fallback = elsewhere;
    upstreams(options, plan);
}

fn provider(options: &Options, plan: &mut Plan) {
    let kind = options.one("provider").unwrap_or_else(|| "google".to_owned());
    plan.provider.issuer =
        options.one("oidc-issuer-url").or_else(|| (kind == "google").then(|| GOOGLE.to_owned()));
    match kind.as_str() {
        "oidc" | "keycloak-oidc" | "entra-id" | "adfs" | "gitlab" => {
            carried(options, plan, "provider", "[provider]")
        }
        "google" => plan.carried(
            options.key("provider").unwrap_or("provider (google, the default)"),
            format!("provider.issuer = {GOOGLE}"),
        ),
        _ => plan.lost(
            "provider",
            format!("`{kind}` is no OpenID Provider: put one that is into provider.issuer"),
        ),
    }
    carried(options, plan, "oidc-issuer-url", "provider.issuer");
    plan.provider.client_id = options.one("client-id");
    carried(options, plan, "client-id", "provider.client_id");
    if let Some(secret) = options.one("client-secret").filter(|secret| !secret.contains("${")) {
        plan.provider.secret = Some(Secret::There(secret));
        carried(
            options,
            plan,
            "client-secret",
            "provider.client_secret_file, which you have to write; --with-secrets prints it",
        );
    }
    if let Some(file) = options.one("client-secret-file") {
        plan.provider.secret = Some(Secret::File(file));
        carried(options, plan, "client-secret-file", "provider.client_secret_file");
    }
    plan.provider.title = options.one("provider-display-name");
    carried(options, plan, "provider-display-name", "provider.title");
    if let Some(scope) = options.one("scope") {
        plan.provider.scopes = scope.split_whitespace().map(str::to_owned).collect();
        if !plan.provider.scopes.iter().any(|scope| scope == "openid") {
            plan.provider.scopes.insert(0, "openid".to_owned());
        }
        carried(options, plan, "scope", "provider.scopes");
    }
    plan.provider.prompt = options.one("prompt");
    carried(options, plan, "prompt", "provider.prompt");
    for (option, claim, default) in [
        ("oidc-email-claim", "email", "email"),
        ("oidc-groups-claim", "groups", "groups"),
        ("user-id-claim", "email", "email"),
    ] {
        if let Some(name) = options.one(option) {
            if name != default {
                plan.provider.claims.insert(claim, name);
            }
            carried(options, plan, option, &format!("provider.claims.{claim}"));
        }
    }
    plan.provider.require_verified_email = options.on("insecure-oidc-allow-unverified-email") != Some(true);
    plan.carried(
        "insecure-oidc-allow-unverified-email",
        "provider.require_verified_email is the opposite of it",
    );
}

/// Where foregate is, and for how long sessions last.
fn place(options: &Options, plan: &mut Plan) {
    if let Some(url) = options.one("redirect-url") {
        match origin(&url) {
            Some(origin) => {
                carried(
                    options,
                    plan,
                    "redirect-url",
                    "public_url; register its /.foregate/callback at the provider",
                );
                plan.public_url = Some(origin);
            }
            None => plan.lost("redirect-url", "it is no whole address: put public_url there"),
        }
    }
    let tls = options.one("tls-cert-file").zip(options.one("tls-key-file"));
    let listen = if tls.is_some() { "https-address" } else { "http-address" };
    if let Some(address) = options.one(listen) {
        match listen_address(&address) {
            Some(address) => {
                plan.server.listen = Some(address);
                carried(options, plan, listen, "server.listen");
            }
            None => plan.lost(
                options.key(listen).unwrap_or(listen).to_owned(),
                "it is no address that foregate can listen on",
            ),
        }
    }
    let idle = if tls.is_some() { "http-address" } else { "https-address" };
    if let Some(key) = options.key(idle) {
        plan.needless(key, "oauth2-proxy itself does not listen there");
    }
    if let Some(tls) = tls {
        plan.server.tls = Some(tls);
        carried(options, plan, "tls-cert-file", "server.tls");
        carried(options, plan, "tls-key-file", "server.tls");
    }
    proxies_and_times(options, plan);
}

fn proxies_and_times(options: &Options, plan: &mut Plan) {
    let networks = options.all("trusted-proxy-ip");
    plan.server.trusted_proxies = networks
        .iter()
        .filter_map(|one| network(one))
        .map(|one| one.trim_start_matches("network:").to_owned())
        .collect();
    if plan.server.trusted_proxies.is_empty() {
        plan.needless(
            options.key("reverse-proxy").unwrap_or("reverse-proxy"),
            "foregate believes nobody but server.trusted_proxies: put your front proxy's address there",
        );
    } else {
        carried(options, plan, "trusted-proxy-ip", "server.trusted_proxies");
        carried(options, plan, "reverse-proxy", "server.trusted_proxies");
    }
    let expire = options.one("cookie-expire");
    match expire.as_deref().map(seconds) {
        None => {
            plan.session.lifetime = Some(WEEK);
            plan.carried("cookie_expire (168h, the default)", "session.lifetime");
        }
        Some(Some(length)) if length >= 60 => {
            plan.session.lifetime = Some(length);
            carried(options, plan, "cookie-expire", "session.lifetime");
        }
        Some(_) => {
            plan.session.lifetime = Some(DAY);
            carried(
                options,
                plan,
                "cookie-expire",
                "session.lifetime is a day, as cookies of foregate do not end with the browser",
            );
        }
    }
}

/// `host:port` with a host that is an address, or a socket.
fn listen_address(text: &str) -> Option<String> {
    if let Some(path) = text.strip_prefix("unix://") {
        return path.starts_with('/').then(|| format!("unix:{path}"));
    }
    let address = text.trim_start_matches("http://").trim_start_matches("https://");
    let address = if address.starts_with(':') { format!("0.0.0.0{address}") } else { address.to_owned() };
    address.parse::<std::net::SocketAddr>().ok().map(|address| address.to_string())
}

fn headers(options: &Options, plan: &mut Plan) {
    if options.on("set-xauthrequest") == Some(true) {
        plan.headers.get_or_insert(Headers::Preset("oauth2-proxy"));
        carried(options, plan, "set-xauthrequest", "headers = \"oauth2-proxy\"");
    } else if let Some(key) = options.key("set-xauthrequest") {
        plan.needless(key, "it is off");
    }
    if plan.headers.is_none() && !options.all("upstream").is_empty() {
        plan.lost("X-Forwarded-User, -Email, -Groups", "foregate sets no X-Forwarded-…: apps get Remote-User and its like, or the names you write in `headers`");
    }
}

/// Whom oauth2-proxy lets in: an e-mail address that fits, and a group that fits.
fn who(options: &Options, plan: &mut Plan, emails: &[(String, Vec<String>)]) -> Verdict {
    by_email(options, plan, emails).and(&by_group(options, plan))
}

fn by_email(options: &Options, plan: &mut Plan, emails: &[(String, Vec<String>)]) -> Verdict {
    let domains = options.all("email-domain");
    let file = options.one("authenticated-emails-file");
    if domains.is_empty() && file.is_none() {
        let why = "neither it nor authenticated_emails_file is in what was given, so nobody says whom oauth2-proxy lets in";
        plan.close("email_domains", why);
        return Verdict::signed_in();
    }
    let key = options.key("email-domain").unwrap_or("email_domains").to_owned();
    let mut terms = Vec::new();
    let mut verdict = Verdict::Nobody;
    for domain in domains {
        match email(&format!("*@{}", domain.trim_start_matches('@'))) {
            _ if domain == "*" => verdict = Verdict::signed_in(),
            Some(term) if !domain.starts_with(['.', '*']) => terms.push(term),
            _ => plan.lost(
                &key,
                format!("`{domain}` is every domain below one: write a term email:*@DOMAIN for each"),
            ),
        }
    }
    if let Some(file) = file {
        let key = options.key("authenticated-emails-file").unwrap_or_default().to_owned();
        match emails.iter().find(|(name, _)| name == base(&file)) {
            Some((_, lines)) => {
                terms.extend(lines.iter().filter_map(|line| email(line)));
                plan.carried(key, "terms email:ADDRESS");
            }
            None => plan.lost(
                key,
                format!("the people in it: give the file as one more FILE, called {}", base(&file)),
            ),
        }
    }
    plan.carried(key, "allow");
    verdict.or(&Verdict::who(Terms::any(terms)))
}

fn by_group(options: &Options, plan: &mut Plan) -> Verdict {
    let mut terms = Vec::new();
    let mut asked = false;
    let roles = if options.one("provider").as_deref() == Some("keycloak-oidc") {
        "claim:realm_access.roles="
    } else {
        ""
    };
    for option in ["allowed-group", "keycloak-group", "allowed-role"] {
        let Some(key) = options.key(option).map(str::to_owned) else { continue };
        let Some(names) = options.given(option) else { continue };
        asked = true;
        if names.is_empty() {
            plan.lost(&key, NO_NAME);
        }
        for name in names {
            // Keycloak's roles are groups of this form there.
            let role = if option == "allowed-role" {
                Some(name.as_str())
            } else {
                name.strip_prefix("role:").filter(|_| !roles.is_empty())
            };
            let found = match role {
                Some(role) if !roles.is_empty() && !role.contains(':') => {
                    term("claim", &format!("realm_access.roles={role}"))
                }
                Some(_) => None,
                None => term("group", &name),
            };
            match found {
                Some(term) => terms.push(term),
                None => {
                    plan.lost(&key, format!("`{name}` is no group or role that a term of foregate can name"))
                }
            }
        }
        plan.carried(key, "allow");
    }
    if asked { Verdict::who(Terms::any(terms)) } else { Verdict::Public }
}

/// What oauth2-proxy lets through without a sign-in.
fn rules(options: &Options, plan: &mut Plan) -> Vec<(Hosts, Rule)> {
    let mut rules = Vec::new();
    if let Some(key) = options.key("trusted-ip").map(str::to_owned) {
        let given = options.all("trusted-ip");
        let networks: Vec<String> = given.iter().filter_map(|one| network(one)).collect();
        if networks.len() < given.len() {
            plan.lost(&key, "some of it is no network");
        }
        plan.carried(&key, "terms network:…, which count by what server.trusted_proxies say of an address");
        rules.push((Hosts::All, Rule::new(key, Verdict::Public).of(Terms::any(networks))));
    }
    if options.on("skip-auth-preflight") == Some(true) {
        carried(options, plan, "skip-auth-preflight", "a rule for OPTIONS");
        rules.push((
            Hosts::All,
            Rule::new("skip_auth_preflight", Verdict::Public).with_methods(["OPTIONS".to_owned()]),
        ));
    } else if let Some(key) = options.key("skip-auth-preflight") {
        plan.needless(key, "it is off");
    }
    for option in ["skip-auth-route", "skip-auth-regex"] {
        for route in options.all(option) {
            let key = format!("{} {route}", options.key(option).unwrap_or(option));
            rules.extend(
                skipped(plan, &key, &route, option == "skip-auth-route").map(|rule| (Hosts::All, rule)),
            );
        }
    }
    rules
}

/// `METHOD=regex`, `METHOD!=regex`, `!=regex` or a regex.
fn skipped(plan: &mut Plan, key: &str, route: &str, with_method: bool) -> Option<Rule> {
    let split = if with_method { route.split_once('=') } else { None };
    let (method, expression) = match split {
        Some((method, _)) if method.ends_with('!') => {
            plan.lost(key, "it opens all paths but some, which no pattern says: write rules for those that are to be open");
            return None;
        }
        Some((method, rest)) if method.bytes().all(|byte| byte.is_ascii_alphabetic()) => (method, rest),
        Some((method, _)) => {
            plan.lost(key, format!("what stands before `=` is no method: `{method}`"));
            return None;
        }
        None => ("", route),
    };
    let matched = paths_of(expression, Against::Path);
    if matched.surely.is_empty() {
        plan.lost(key, "no path pattern says just this: it stays closed");
        return None;
    }
    if matched.is_exact() {
        plan.carried(key, "public rules");
    } else {
        let shown: Vec<String> = matched.surely.iter().map(ToString::to_string).collect();
        plan.lost(key, format!("only {} is open: patterns are whole segments", shown.join(", ")));
    }
    let rule = Rule::new(key, Verdict::Public).at(matched);
    Some(if method.is_empty() { rule } else { rule.with_methods([method.to_ascii_uppercase()]) })
}

/// The hosts that are protected: those the operator names, else the one of the redirect address and all below the
/// cookie's domains.
fn keys(options: &Options, plan: &mut Plan, wish: &Wish) -> Vec<String> {
    let mut keys: Vec<String> = wish.hosts.iter().filter_map(|host| host_key(host)).collect();
    if keys.is_empty() {
        keys.extend(options.one("redirect-url").as_deref().and_then(host_of));
        for domain in options.all("cookie-domain") {
            let domain = domain.trim_start_matches('.');
            keys.extend([domain.to_owned(), format!("*.{domain}")].iter().filter_map(|host| host_key(host)));
        }
    }
    keys.dedup();
    if keys.is_empty() {
        plan.lost(
            "hosts",
            "which ones are protected is not in the source: name them with --host, for rules about paths",
        );
    }
    carried(options, plan, "cookie-domain", "[apps] for the domain and the hosts below it");
    keys
}

/// Upstreams by path become apps by prefix, on the first host.
fn upstreams(options: &Options, plan: &mut Plan) {
    let Some(key) = options.key("upstream").map(str::to_owned) else { return };
    let upstreams = options.all("upstream");
    for upstream in upstreams {
        let Ok(url) = url::Url::parse(&upstream) else {
            plan.lost(&key, "one of them is no address");
            continue;
        };
        match (url.scheme(), url.path(), plan.apps.first_mut()) {
            ("static", ..) => {
                plan.needless(&key, "a front proxy asks foregate, and passes the request on itself")
            }
            ("http" | "https", "/" | "", Some(app)) if app.upstream.is_none() => {
                app.upstream = Some(url.origin().ascii_serialization());
                plan.carried(&key, "upstream");
            }
            _ => plan.lost(
                &key,
                format!(
                    "{}: write it as the upstream of an app with a prefix, or serve it elsewhere",
                    url.path()
                ),
            ),
        }
    }
}

fn carried(options: &Options, plan: &mut Plan, option: &str, what: &str) {
    if let Some(key) = options.key(option) {
        plan.carried(key, what);
    }
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn is_text(name: &str) -> bool {
    std::path::Path::new(name).extension().is_some_and(|end| end == "txt")
}

fn is_yaml(name: &str) -> bool {
    std::path::Path::new(name)
        .extension()
        .is_some_and(|end| ["yaml", "yml", "json"].iter().any(|one| end == *one))
}

/// What the names of its variables begin with.
pub(super) const PREFIX: &str = "OAUTH2_PROXY_";

/// oauth2-proxy compares an empty name with those of each person.
const NO_NAME: &str = "it lists an empty name, which nobody has: nobody gets in by it, there or here";
const GOOGLE: &str = "https://accounts.google.com";
const DAY: u64 = 86_400;
const WEEK: u64 = 604_800;
