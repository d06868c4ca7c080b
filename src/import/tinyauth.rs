//! Tinyauth: its variables and flags, and what labels say of apps.

use std::collections::BTreeMap;

use super::options::variables;
use super::plan::{App, Headers, Plan, Rule, Secret, Terms, Verdict};
use super::regex::{Against, paths_of};
use super::words::{commas, email, host_key, network, origin, seconds, term};
use super::{Given, ImportError, Wish};

/// Reads all that was given as one configuration.
pub(super) fn read(given: &Given, wish: &Wish) -> Result<Plan, ImportError> {
    let mut settings: Vec<(String, String)> = Vec::new();
    for (_, text) in given.files.iter().chain(&given.variables) {
        settings.extend(variables(text, ""));
    }
    put_flags(&mut settings, &given.flags)?;
    if settings.is_empty() {
        return Err(ImportError::Nothing("no setting of Tinyauth"));
    }
    let mut plan = Plan::default();
    let mut apps = Labels::default();
    let whole = carry(&settings, &mut plan, &mut apps);
    finish(&mut plan, apps, &whole, wish);
    Ok(plan)
}

/// Adds flags to settings. One that another flag stands behind has no value of its own.
pub(super) fn put_flags(settings: &mut Vec<(String, String)>, flags: &[String]) -> Result<(), ImportError> {
    let mut flags = flags.iter().peekable();
    while let Some(flag) = flags.next() {
        let Some(bare) = flag.strip_prefix("--").filter(|bare| !bare.is_empty()) else {
            return Err(ImportError::Wish(format!("`{flag}` is no flag")));
        };
        let (name, value) = match bare.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => {
                let value = flags.next_if(|next| !next.starts_with("--"));
                (bare, value.cloned().unwrap_or_else(|| "true".to_owned()))
            }
        };
        settings.push((name.to_owned(), value));
    }
    Ok(())
}

/// What is said of apps: by the name of the app, its keys in small letters with dots.
pub(super) type Labels = BTreeMap<String, Vec<(String, String)>>;

/// Sorts settings: those of apps aside, all others into the plan. The answer is whom Tinyauth lets in at all.
pub(super) fn carry(settings: &[(String, String)], plan: &mut Plan, apps: &mut Labels) -> Verdict {
    plan.headers = Some(Headers::Preset("remote"));
    plan.carried("Remote-User, -Name, -Email, -Groups", "headers = \"remote\"");
    let mut listed = None;
    let mut local = Vec::new();
    let mut lifetime = None;
    for (key, value) in settings {
        let name = key.to_ascii_lowercase().replace(['_', '-'], ".");
        let name = name.strip_prefix("tinyauth.").unwrap_or(&name);
        if let Some((app, part)) = name.strip_prefix("apps.").and_then(|rest| rest.split_once('.')) {
            apps.entry(app.to_owned()).or_default().push((part.to_owned(), value.clone()));
            continue;
        }
        if value.contains("${") && name.replace('.', "").ends_with("clientsecret") {
            plan.lost(key, "its value is not here: put it into provider.client_secret_file");
            continue;
        }
        if value.contains("${") {
            plan.close(key, "its value cannot be read here");
            continue;
        }
        match name {
            "appurl" | "app.url" => {
                plan.public_url = origin(value);
                plan.carried(key, "public_url");
            }
            "oauth.whitelist" | "oauth.white.list" => {
                listed = whitelist(key, value, plan).or(listed);
                plan.carried(key, "allow");
            }
            "users" | "auth.users" => {
                local.extend(commas(value).iter().filter_map(|one| one.split(':').next()).map(str::to_owned));
                plan.lost(key, PASSWORDS);
            }
            "auth.sessionexpiry" | "session.expiry" => lifetime = seconds(value),
            _ => other(key, name, value, plan),
        }
    }
    plan.session.lifetime = lifetime.filter(|length| *length >= 60).or(Some(DAY));
    plan.carried("session expiry (a day, if it is not set)", "session.lifetime");
    listed.unwrap_or_else(|| anybody(&local, plan))
}

/// Whom it lets in without a list: all people of its providers. Without a provider only those whom it names itself can sign
/// in, and the OpenID Provider that takes its place has others.
fn anybody(local: &[String], plan: &mut Plan) -> Verdict {
    if plan.provider.client_id.as_ref().is_some_and(|id| !id.trim().is_empty()) {
        return Verdict::signed_in();
    }
    let key = "users, without a provider";
    if local.is_empty() {
        plan.close(
            key,
            "neither people nor a provider is in what was given, so that nobody says whom Tinyauth lets in",
        );
        return Verdict::signed_in();
    }
    let terms: Vec<String> = local.iter().filter_map(|name| term("user", name)).collect();
    if terms.len() < local.len() {
        plan.lost(key, "some of them have names that no term of foregate can have");
    }
    plan.carried(key, "allow: who has one of these names at your OpenID Provider");
    Verdict::who(Terms::any(terms))
}

/// Settings about the provider, and all that need no counterpart.
fn other(key: &str, name: &str, value: &str, plan: &mut Plan) {
    let provider =
        ["oauth.providers.", "providers.", "generic.", "google.", "github."].iter().find_map(|start| {
            let rest = name.strip_prefix(start)?;
            let named = start.ends_with("providers.");
            if named { rest.split_once('.') } else { Some((start.trim_end_matches('.'), rest)) }
        });
    if let Some((which, part)) = provider {
        return provided(key, which, &part.replace('.', ""), value, plan);
    }
    let first = name.split('.').next().unwrap_or_default();
    match first {
        "users" | "ldap" => plan.lost(key, PASSWORDS),
        "auth" if name.starts_with("auth.user") => plan.lost(key, PASSWORDS),
        "experimental" if name.ends_with("configfile") => plan.close(
            key,
            "that file is not read here, and may keep somebody out: give its settings as variables",
        ),
        "oidc" => plan.lost(key, "foregate is no OpenID Provider"),
        "auth"
            if [
                "auth.securecookie",
                "auth.logintimeout",
                "auth.loginmaxretries",
                "auth.sessionmaxlifetime",
                "auth.trustedproxies",
                "auth.subdomainsenabled",
            ]
            .contains(&name) =>
        {
            plan.needless(key, "foregate has its own");
        }
        "port" | "address" | "server" | "log" | "loglevel" | "logjson" | "databasepath" | "database"
        | "resourcesdir" | "resources" | "secret" | "cookie" | "disable" | "disableanalytics"
        | "analytics" | "disableresources" | "disableuiwarnings" | "ui" | "app" | "background" | "forgot"
        | "login" | "labelprovider" | "trusted" | "tailscale" => plan.needless(key, "foregate has its own"),
        "oauth" if name.replace('.', "") == "oauthautoredirect" => {
            plan.needless(key, "people go straight to the provider if there is one")
        }
        _ => plan.close(key, "it is not known, and may keep somebody out"),
    }
}

fn provided(key: &str, which: &str, part: &str, value: &str, plan: &mut Plan) {
    match part {
        "clientid" => {
            plan.provider.client_id.get_or_insert_with(|| value.to_owned());
            if which == "google" {
                plan.provider.issuer = Some("https://accounts.google.com".to_owned());
            }
            plan.carried(key, "provider.client_id");
        }
        "clientsecret" => {
            plan.provider.secret.get_or_insert_with(|| Secret::There(value.to_owned()));
            plan.carried(
                key,
                "provider.client_secret_file, which you have to write; --with-secrets prints it",
            );
        }
        "clientsecretfile" => {
            plan.provider.secret = Some(Secret::File(value.to_owned()));
            plan.carried(key, "provider.client_secret_file");
        }
        "scopes" => {
            plan.provider.scopes = commas(&value.replace(' ', ","));
            if !plan.provider.scopes.iter().any(|scope| scope == "openid") {
                plan.provider.scopes.insert(0, "openid".to_owned());
            }
            plan.carried(key, "provider.scopes");
        }
        "name" => {
            plan.provider.title = Some(value.to_owned());
            plan.carried(key, "provider.title");
        }
        "redirecturl" => plan.needless(key, "it is public_url and /.foregate/callback: register that"),
        "authurl" | "tokenurl" | "userinfourl" | "userurl" => {
            plan.lost(key, "foregate finds this by provider.issuer, which the source does not name")
        }
        "insecure" | "insecureskipverify" => plan.needless(key, "foregate always checks"),
        _ => plan.close(key, "it is not known, and may keep somebody out"),
    }
}

/// Addresses between commas; `/…/` is an expression. An empty list is none.
fn whitelist(key: &str, value: &str, plan: &mut Plan) -> Option<Verdict> {
    if value.trim().is_empty() {
        return None;
    }
    let mut terms = Vec::new();
    for one in entries(value) {
        let pattern = if one.starts_with('@') { format!("*{one}") } else { one.clone() };
        match email(&pattern) {
            Some(term) if !one.starts_with('/') => terms.push(term),
            _ => plan.lost(key, format!("`{one}` is no address and no domain: whom it lets in stays out")),
        }
    }
    Some(Verdict::who(Terms::any(terms)))
}

/// Names between commas, as terms of this kind.
fn names(key: &str, kind: &str, value: &str, plan: &mut Plan) -> Verdict {
    let mut terms = Vec::new();
    for one in entries(value) {
        match term(kind, &one) {
            Some(term) if !one.starts_with('/') => terms.push(term),
            _ => plan.lost(key, format!("`{one}` is an expression: whom it lets in stays out")),
        }
    }
    Verdict::who(Terms::any(terms))
}

/// An expression between slashes is one entry, whatever commas it has.
fn entries(value: &str) -> Vec<String> {
    let whole = value.trim();
    if whole.len() > 1 && whole.starts_with('/') && whole.ends_with('/') {
        vec![whole.to_owned()]
    } else {
        commas(whole)
    }
}

/// Makes apps of what labels say.
pub(super) fn finish(plan: &mut Plan, labels: Labels, whole: &Verdict, wish: &Wish) {
    for (name, parts) in labels {
        let domain =
            parts.iter().find(|(part, _)| part == "config.domain").and_then(|(_, value)| host_key(value));
        let Some(host) = domain else {
            plan.close(
                format!("tinyauth.apps.{name}"),
                "it names no config.domain, so that it is not known which host it is about",
            );
            continue;
        };
        let app = app(&host, &name, &parts, whole, plan);
        plan.apps.push(app);
    }
    for host in wish.hosts.iter().filter_map(|host| host_key(host)) {
        if !plan.apps.iter().any(|app| app.host == host) {
            plan.apps.push(App { host, otherwise: whole.clone(), ..App::default() });
        }
    }
    plan.fallback = whole.clone();
}

fn app(host: &str, name: &str, parts: &[(String, String)], whole: &Verdict, plan: &mut Plan) -> App {
    let mut app = App { host: host.to_owned(), ..App::default() };
    let place = |part: &str| format!("tinyauth.apps.{name}.{part}");
    let get = |part: &str| {
        parts
            .iter()
            .rev()
            .find(|(other, _)| other == part)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.trim().is_empty())
    };
    let mut who = whole.clone();
    for (part, kind) in [("users.allow", "user"), ("oauth.groups", "group"), ("ldap.groups", "group")] {
        if let Some(value) = get(part) {
            who = who.and(&names(&place(part), kind, value, plan));
        }
    }
    if let Some(listed) =
        get("oauth.whitelist").and_then(|value| whitelist(&place("oauth.whitelist"), value, plan))
    {
        who = who.and(&listed);
    }
    if let Some(value) = get("ip.allow") {
        who = who.and(&Verdict::who(networks(&place("ip.allow"), value, plan)));
    }
    if let Some(value) = get("ip.bypass") {
        let key = place("ip.bypass");
        let networks = networks(&key, value, plan);
        app.rules.push(Rule::new(key, Verdict::Public).of(networks));
    }
    let (allow, block) = (get("path.allow"), get("path.block"));
    if let Some(expression) = allow {
        app.rules.push(
            Rule::new(place("path.allow"), Verdict::Public).at(paths_of(expression, Against::PathAndQuery)),
        );
    }
    app.otherwise = who.clone();
    if let Some(expression) = block {
        // Only what fits asks for a sign-in there; all else is open.
        app.rules.push(Rule::new(place("path.block"), who).at(paths_of(expression, Against::PathAndQuery)));
        app.otherwise = Verdict::Public;
    }
    told(&mut app, name, parts, plan);
    app
}

fn networks(key: &str, value: &str, plan: &mut Plan) -> Terms {
    let given = commas(value);
    let found: Vec<String> = given.iter().filter_map(|one| network(one)).collect();
    if found.len() < given.len() {
        plan.lost(key, "some of it is no network");
    }
    Terms::any(found)
}

/// What became of each label.
fn told(app: &mut App, name: &str, parts: &[(String, String)], plan: &mut Plan) {
    for (part, value) in parts {
        let key = format!("tinyauth.apps.{name}.{part}");
        match part.as_str() {
            _ if value.trim().is_empty() => plan.needless(key, "it is empty"),
            _ if value.contains("${") => plan.close_app(app, key, "its value cannot be read here"),
            "config.domain" | "users.allow" | "oauth.groups" | "ldap.groups" | "oauth.whitelist"
            | "ip.allow" | "ip.bypass" => plan.carried(key, "[apps]"),
            "path.allow" | "path.block" => {
                if !paths_of(value, Against::PathAndQuery).is_exact() {
                    plan.lost(
                        &key,
                        "patterns are whole segments, whatever the query: open is only what surely was",
                    );
                }
                plan.carried(key, "rules in [apps]");
            }
            "users.block" | "ip.block" => {
                plan.close_app(app, key, "foregate's terms say who is let in, not who is not: name those")
            }
            "response.headers" => plan.lost(key, "write it into `headers` of the app"),
            _ if part.starts_with("response.basicauth") => {
                plan.lost(key, "the app gets no Authorization; see `authorization` of apps with an upstream")
            }
            _ => plan.close_app(app, key, "it is not known, and may keep somebody out"),
        }
    }
}

const DAY: u64 = 86_400;
const PASSWORDS: &str =
    "people with a password of Tinyauth's own cannot sign in any more: give them accounts at the provider";
