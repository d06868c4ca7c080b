//! thomseddon's traefik-forward-auth: its ini file, variables and flags, with rules.

use std::collections::{BTreeMap, HashMap};

use super::hosts::{Hosts, spread};
use super::options::{Kind, Known, Meaning, Options, unquoted, variables};
use super::plan::{Headers, Plan, Rule, Secret, Terms, Verdict};
use super::regex::Matched;
use super::traefik_rule::ways;
use super::tree::Value;
use super::words::{commas, email, host_key, seconds};
use super::{Given, ImportError, Wish};

/// Reads all that was given as one configuration.
pub(super) fn read(given: &Given, wish: &Wish) -> Result<Plan, ImportError> {
    let mut options = Options::new(KNOWN);
    for (_, text) in &given.variables {
        // Those of other programs are left alone.
        drop(put_variables(&mut options, &variables(text, "")));
    }
    for (name, text) in &given.files {
        put_file(&mut options, name, text)?;
    }
    options.put_flags(&given.flags)?;
    if options.is_empty() {
        return Err(ImportError::Nothing("no option of traefik-forward-auth"));
    }
    let mut plan = Plan::default();
    carry(&options, &mut plan, wish);
    if given.files.is_empty() {
        options.without_its_file("config", &mut plan);
    }
    Ok(plan)
}

/// `key = value`, or in its older form `key value`. Keys that stand there more than once add up.
fn put_file(options: &mut Options, name: &str, text: &str) -> Result<(), ImportError> {
    let mut lines: Vec<(String, Vec<Value>)> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';', '[']) {
            continue;
        }
        let (key, value) =
            line.split_once('=').or_else(|| line.split_once(' ')).ok_or_else(|| ImportError::Unreadable {
                name: name.to_owned(),
                problem: format!("line {}: no `key = value`", at + 1),
            })?;
        let value = Value::Text(unquoted(value.trim()).to_owned());
        let key = key.trim().to_owned();
        match known.get(&key).and_then(|at| lines.get_mut(*at)) {
            Some((_, values)) => values.push(value),
            None => {
                known.insert(key.clone(), lines.len());
                lines.push((key, vec![value]));
            }
        }
    }
    lines.into_iter().for_each(|(key, values)| options.put(&key, &Value::List(values)));
    Ok(())
}

/// Takes variables, and names those that are not of this program.
pub(super) fn put_variables(options: &mut Options, variables: &[(String, String)]) -> Vec<String> {
    let mut others = Vec::new();
    for (name, value) in variables {
        let flag = name
            .to_ascii_lowercase()
            .replace("providers_google_", "providers.google.")
            .replace("providers_oidc_", "providers.oidc.")
            .replace("providers_generic_oauth_", "providers.generic-oauth.")
            .replace('_', "-");
        if KNOWN.iter().any(|known| known.name == flag) {
            options.put(&flag, &Value::Text(value.clone()));
        } else {
            others.push(name.clone());
        }
    }
    others
}

/// Fills the plan from options; also for one that stands in a Compose file.
pub(super) fn carry(options: &Options, plan: &mut Plan, wish: &Wish) {
    options.tell(plan, |name| name.starts_with("rule."));
    plan.lost("X-Forwarded-User", "foregate sets no X-Forwarded-…: apps get Remote-User and its like, or the names you write in `headers`");
    plan.headers = Some(Headers::Preset("remote"));
    provider(options, plan);
    let whole =
        people(options.given("whitelist"), options.given("domain"), options, plan, "domain, whitelist");
    for name in ["whitelist", "domain", "match-whitelist-or-domain"] {
        carried(options, plan, name, "allow");
    }
    let mut keys: Vec<String> = wish.hosts.iter().filter_map(|host| host_key(host)).collect();
    let rules = rules(options, plan, &whole, &mut keys);
    for domain in options.all("cookie-domain").into_iter().chain(options.all("cookie-domains")) {
        let domain = domain.trim_start_matches('.').to_owned();
        keys.extend([domain.clone(), format!("*.{domain}")].iter().filter_map(|host| host_key(host)));
    }
    carried(options, plan, "cookie-domain", "[apps] for the domain and the hosts below it");
    carried(options, plan, "cookie-domains", "[apps] for the domain and the hosts below it");
    keys.sort();
    keys.dedup();
    let otherwise = match options.one("default-action").as_deref() {
        Some("allow") => Verdict::Public,
        _ => whole,
    };
    carried(options, plan, "default-action", "allow of each app");
    let (apps, elsewhere) = spread(&rules, &otherwise, &keys);
    plan.apps = apps;
    plan.fallback = elsewhere;
}

fn provider(options: &Options, plan: &mut Plan) {
    let kind = options.one("default-provider").unwrap_or_else(|| "google".to_owned());
    let get = |name: &str| options.one(&format!("providers.{kind}.{name}"));
    plan.provider.issuer = match kind.as_str() {
        "google" => Some("https://accounts.google.com".to_owned()),
        "oidc" => get("issuer-url"),
        _ => None,
    };
    if plan.provider.issuer.is_none() {
        plan.lost(
            "default-provider",
            format!("`{kind}` is no OpenID Provider that the source names: put one into provider.issuer"),
        );
    }
    plan.provider.client_id = get("client-id").or_else(|| options.one("client-id"));
    plan.provider.secret = get("client-secret")
        .or_else(|| options.one("client-secret"))
        .filter(|secret| !secret.contains("${"))
        .map(Secret::There);
    plan.provider.prompt = get("prompt").or_else(|| options.one("prompt"));
    let known =
        ["issuer-url", "client-id", "client-secret", "prompt"].map(|name| format!("providers.{kind}.{name}"));
    for name in
        known.iter().map(String::as_str).chain(["default-provider", "client-id", "client-secret", "prompt"])
    {
        carried(options, plan, name, "[provider]; its secret is not printed without --with-secrets");
    }
    for (rest, key, _) in options.below("providers.") {
        let name = format!("providers.{rest}");
        if !known.contains(&name) && !rest.starts_with(&format!("{kind}.")) {
            plan.lost(key, "write [providers.NAME] for it");
        }
    }
    if let Some(host) = options.one("auth-host") {
        plan.public_url = super::words::origin(&format!("https://{host}"));
        carried(options, plan, "auth-host", "public_url; register its /.foregate/callback at the provider");
    }
    let lifetime = options
        .one("lifetime")
        .map_or(Some(HALF_A_DAY), |text| seconds(&text))
        .filter(|length| *length >= 60);
    plan.session.lifetime = lifetime.or(Some(HALF_A_DAY));
    plan.carried(options.key("lifetime").unwrap_or("lifetime (43200, the default)"), "session.lifetime");
}

/// Whom a whitelist and domains let in; everybody who is signed in without. One that is there and empty is a list of one empty
/// name to it, and lets in nobody.
fn people(
    whitelist: Option<Vec<String>>,
    domains: Option<Vec<String>>,
    options: &Options,
    plan: &mut Plan,
    key: &str,
) -> Verdict {
    if whitelist.is_none() && domains.is_none() {
        return Verdict::signed_in();
    }
    let both = options.on("match-whitelist-or-domain") == Some(true);
    let domains = domains.filter(|_| whitelist.is_none() || both).unwrap_or_default();
    let whitelist = whitelist.unwrap_or_default();
    if whitelist.is_empty() && domains.is_empty() {
        plan.lost(key, "it is there and empty: nobody gets in by it, there or here");
    }
    let mut terms = Vec::new();
    for address in whitelist.into_iter().chain(domains.iter().map(|domain| format!("*@{domain}"))) {
        match email(&address) {
            Some(term) => terms.push(term),
            None => plan.lost(key, format!("`{address}` is no address")),
        }
    }
    Verdict::who(Terms::any(terms))
}

/// Its rules have no order, so that one that asks for a sign-in counts before one that does not.
fn rules(options: &Options, plan: &mut Plan, whole: &Verdict, keys: &mut Vec<String>) -> Vec<(Hosts, Rule)> {
    let mut named: BTreeMap<String, BTreeMap<String, Vec<String>>> = BTreeMap::new();
    for (rest, key, values) in options.below("rule.") {
        match rest.rsplit_once('.') {
            Some((name, part)) => {
                drop(named.entry(name.to_owned()).or_default().insert(part.to_owned(), values))
            }
            None => plan.close(key, "it is not known, and may keep somebody out"),
        }
    }
    let (mut closing, mut opening) = (Vec::new(), Vec::new());
    for (name, parts) in named {
        let key = format!("rule.{name}");
        let last = |part: &str| {
            parts.get(part).and_then(|values| values.last()).map(|text| unquoted(text).to_owned())
        };
        for (part, _) in parts.iter().filter(|(part, _)| {
            !["action", "rule", "provider", "whitelist", "domains"].contains(&part.as_str())
        }) {
            plan.close(format!("{key}.{part}"), "it is not known, and may keep somebody out");
        }
        if parts.contains_key("provider") {
            plan.lost(format!("{key}.provider"), "write [providers.NAME], and `provider` of the app");
        }
        let list = |part: &str| {
            parts.get(part).map(|texts| texts.iter().flat_map(|text| commas(text)).collect::<Vec<_>>())
        };
        let own = list("whitelist").is_some() || list("domains").is_some();
        let verdict = match last("action").as_deref() {
            Some("allow") => Verdict::Public,
            Some("auth") | None if own => people(list("whitelist"), list("domains"), options, plan, &key),
            Some("auth") | None => whole.clone(),
            Some(_) => {
                plan.close(format!("{key}.action"), "it is not known, and may keep somebody out");
                Verdict::Nobody
            }
        };
        let is_open = verdict == Verdict::Public;
        for way in ways(&last("rule").unwrap_or_default()) {
            if way.unsure || !way.paths.is_exact() {
                plan.lost(format!("{key}.rule"), "not all of it can be said in patterns of whole segments: what it opens is open only where that is sure");
            }
            keys.extend(way.hosts.iter().flatten().cloned());
            let hosts = way.hosts.map_or(Hosts::All, Hosts::These);
            let paths = if way.unsure { Matched { surely: Vec::new(), ..way.paths } } else { way.paths };
            let rule = Rule { methods: way.methods, ..Rule::new(&key, verdict.clone()).at(paths) };
            if is_open { opening.push((hosts, rule)) } else { closing.push((hosts, rule)) }
        }
        plan.carried(key, "rules in [apps]");
    }
    // Which of several counts where they meet is not defined there: whoever passes one has to pass all.
    let unsure = closing.iter().map(|(hosts, rule): &(Hosts, Rule)| {
        let maybe = rule.paths.maybe.clone();
        (hosts.clone(), rule.clone().at(Matched { surely: Vec::new(), maybe }))
    });
    unsure.chain(closing.iter().cloned()).chain(opening).collect()
}

fn carried(options: &Options, plan: &mut Plan, option: &str, what: &str) {
    if let Some(key) = options.key(option) {
        plan.carried(key, what);
    }
}

const HALF_A_DAY: u64 = 43_200;

/// By the names of its flags.
pub(super) const KNOWN: &[Known] = &[
    known("auth-host", Kind::One, Meaning::Read),
    known("whitelist", Kind::Many, Meaning::Read),
    known("domain", Kind::Many, Meaning::Read),
    known("match-whitelist-or-domain", Kind::Flag, Meaning::Read),
    known("cookie-domain", Kind::Many, Meaning::Read),
    known("cookie-domains", Kind::Many, Meaning::Read),
    known("default-action", Kind::One, Meaning::Read),
    known("default-provider", Kind::One, Meaning::Read),
    known("lifetime", Kind::One, Meaning::Read),
    known("client-id", Kind::One, Meaning::Read),
    known("client-secret", Kind::One, Meaning::Read),
    known("prompt", Kind::One, Meaning::Read),
    known("providers.google.client-id", Kind::One, Meaning::Read),
    known("providers.google.client-secret", Kind::One, Meaning::Read),
    known("providers.google.prompt", Kind::One, Meaning::Read),
    known("providers.google.scope", Kind::One, Meaning::Lost("write provider.scopes")),
    known("providers.oidc.issuer-url", Kind::One, Meaning::Read),
    known("providers.oidc.client-id", Kind::One, Meaning::Read),
    known("providers.oidc.client-secret", Kind::One, Meaning::Read),
    known("providers.oidc.resource", Kind::One, Meaning::Lost("foregate asks for no resource")),
    known(
        "providers.generic-oauth.auth-url",
        Kind::One,
        Meaning::Lost("foregate needs an OpenID Provider: provider.issuer"),
    ),
    known(
        "providers.generic-oauth.token-url",
        Kind::One,
        Meaning::Lost("foregate needs an OpenID Provider: provider.issuer"),
    ),
    known(
        "providers.generic-oauth.user-url",
        Kind::One,
        Meaning::Lost("foregate needs an OpenID Provider: provider.issuer"),
    ),
    known("providers.generic-oauth.client-id", Kind::One, Meaning::Read),
    known("providers.generic-oauth.client-secret", Kind::One, Meaning::Read),
    known("providers.generic-oauth.scope", Kind::Many, Meaning::Lost("write provider.scopes")),
    known(
        "providers.generic-oauth.token-style",
        Kind::One,
        Meaning::Needless("foregate sends tokens in the header"),
    ),
    known("providers.generic-oauth.resource", Kind::One, Meaning::Lost("foregate asks for no resource")),
    known(
        "insecure-cookie",
        Kind::Flag,
        Meaning::Needless("cookies are for https unless public_url is http on this machine"),
    ),
    known(
        "cookie-secure",
        Kind::Flag,
        Meaning::Needless("cookies are for https unless public_url is http on this machine"),
    ),
    known("cookie-name", Kind::One, Meaning::Needless("foregate's cookies and keys are its own")),
    known("csrf-cookie-name", Kind::One, Meaning::Needless("foregate's cookies and keys are its own")),
    known("secret", Kind::One, Meaning::Needless("foregate's cookies and keys are its own")),
    known("cookie-secret", Kind::One, Meaning::Needless("foregate's cookies and keys are its own")),
    known("url-path", Kind::One, Meaning::Needless("foregate's own addresses begin with /.foregate/")),
    known(
        "logout-redirect",
        Kind::One,
        Meaning::Lost("sign-outs lead to where `rd` says, among foregate's apps"),
    ),
    known("log-level", Kind::One, Meaning::Needless("foregate logs its own way")),
    known("log-format", Kind::One, Meaning::Needless("foregate logs its own way")),
    known("config", Kind::One, Meaning::Needless("give the file itself")),
    known("port", Kind::One, Meaning::Needless("server.listen")),
];

const fn known(name: &'static str, kind: Kind, meaning: Meaning) -> Known {
    Known { name, kind, meaning }
}
