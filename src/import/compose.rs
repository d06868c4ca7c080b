//! Compose files: which of the products stands in them, its variables and flags, and the labels that say what it protects.

use std::collections::{HashMap, HashSet};

use super::options::{Options, variables};
use super::plan::{App, Plan, Rule, Verdict};
use super::traefik_rule::ways;
use super::tree::{Value, read_yaml};
use super::words::allowed;
use super::{Given, ImportError, Wish, oauth2_proxy, tinyauth, traefik_forward_auth};

/// Reads all files as one set of services.
pub(super) fn read(given: &Given, wish: &Wish) -> Result<Plan, ImportError> {
    let outside: Outside = given.variables.iter().flat_map(|(_, text)| variables(text, "")).collect();
    let mut services: Vec<Service> = Vec::new();
    for (name, text) in &given.files {
        for document in read_yaml(name, text)? {
            for (service, value) in document.at("services").and_then(Value::map).unwrap_or_default() {
                services.push(Service::read(service, value, &outside));
            }
        }
    }
    if services.is_empty() {
        return Err(ImportError::Nothing("no service"));
    }
    let mut plan = Plan::default();
    let mut labels = tinyauth::Labels::default();
    let found = products(&services, &mut plan, &mut labels, wish)?;
    let guards = guards(&services, &mut plan);
    let whole = match found {
        Found::Whole(verdict) => verdict,
        Found::Nothing => allowed(wish).unwrap_or_else(|| {
            plan.close("services", "whom the product lets in is not in this file: say so with --allow, or import its own configuration");
            Verdict::signed_in()
        }),
    };
    let mut routed = Routed::after(&plan);
    for service in &services {
        apps(service, &guards, &whole, (&mut plan, &mut routed));
    }
    for service in &services {
        tinyauth_labels(service, &mut labels);
    }
    let own = plan.fallback.clone();
    labelled(&mut plan, labels, &whole);
    plan.fallback = own;
    Ok(plan)
}

/// Variables from outside of the file; of several the last counts.
type Outside = HashMap<String, String>;

/// A service as far as it matters.
struct Service {
    name: String,
    image: String,
    environment: Vec<(String, String)>,
    flags: Vec<String>,
    labels: Vec<(String, String)>,
    /// Files of variables, which are not read.
    env_files: Vec<String>,
}

impl Service {
    fn read(name: &str, value: &Value, outside: &Outside) -> Self {
        let text = |key: &str| {
            value.at(key).and_then(Value::text).map(|text| filled(text, outside)).unwrap_or_default()
        };
        let pairs = |key: &str| pairs(value.at(key), outside);
        let command = value.at("command").map(|command| match command {
            Value::Text(line) => line.split_whitespace().map(str::to_owned).collect(),
            other @ (Value::Null | Value::List(_) | Value::Map(_) | Value::Tagged(..)) => {
                other.texts().unwrap_or_default().into_iter().map(str::to_owned).collect::<Vec<_>>()
            }
        });
        let flags = command
            .unwrap_or_default()
            .iter()
            .map(|flag| filled(flag, outside))
            .filter(|flag| flag.starts_with('-'))
            .collect();
        let env_files = value
            .at("env_file")
            .and_then(Value::texts)
            .unwrap_or_default()
            .into_iter()
            .map(str::to_owned)
            .collect();
        let mut labels = pairs("labels");
        labels.extend(self::pairs(value.at("deploy").and_then(|deploy| deploy.at("labels")), outside));
        Self {
            name: name.to_owned(),
            image: text("image"),
            environment: pairs("environment"),
            flags,
            labels,
            env_files,
        }
    }

    fn is(&self, product: &str) -> bool {
        let image = self.image.split(['@', ':']).next().unwrap_or_default();
        image.rsplit('/').next() == Some(product)
    }
}

/// A map, or a list of `NAME=VALUE`.
fn pairs(value: Option<&Value>, outside: &Outside) -> Vec<(String, String)> {
    match value {
        Some(Value::Map(entries)) => entries
            .iter()
            .map(|(key, value)| (key.clone(), filled(value.text().unwrap_or_default(), outside)))
            .collect(),
        Some(list @ Value::List(_)) => {
            let texts = list.items().iter().filter_map(Value::text);
            texts
                .map(|text| text.split_once('=').unwrap_or((text, "")))
                .map(|(key, value)| (key.to_owned(), filled(value, outside)))
                .collect()
        }
        Some(Value::Null | Value::Text(_) | Value::Tagged(..)) | None => Vec::new(),
    }
}

/// `${NAME}`, `$NAME` and `${NAME:-default}` by what was given; `$$` is a `$`. What nobody knows stays as it is.
fn filled(text: &str, outside: &Outside) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('$') {
        filled.push_str(before);
        if let Some(after) = behind.strip_prefix('$') {
            filled.push('$');
            rest = after;
            continue;
        }
        let (name, after) = match behind.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((name, after)) => (name, after),
            // Not a name: the letter itself.
            None if !behind.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') => {
                filled.push('$');
                rest = behind;
                continue;
            }
            None => behind.split_at(
                behind.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(behind.len()),
            ),
        };
        let (bare, default) = name
            .split_once(":-")
            .or_else(|| name.split_once('-'))
            .map_or((name, None), |(bare, default)| (bare, Some(default)));
        match outside.get(bare).map(String::as_str).or(default) {
            Some(value) => filled.push_str(value),
            None => filled.push_str(&format!("${{{bare}}}")),
        }
        rest = after;
    }
    filled + rest
}

enum Found {
    Whole(Verdict),
    Nothing,
}

/// Reads the products themselves.
fn products(
    services: &[Service],
    plan: &mut Plan,
    labels: &mut tinyauth::Labels,
    wish: &Wish,
) -> Result<Found, ImportError> {
    let mut found = Found::Nothing;
    for service in services {
        let is_one =
            ["oauth2-proxy", "traefik-forward-auth", "tinyauth"].iter().any(|product| service.is(product));
        if is_one {
            if let Found::Whole(_) = found {
                plan.close(&service.name, "there is more than one product: import each by itself");
                continue;
            }
            for file in &service.env_files {
                plan.close(
                    format!("{}.env_file", service.name),
                    format!("{file} is not read: give it with --env, and its variables in `environment`"),
                );
            }
        }
        if service.is("oauth2-proxy") {
            let own: Vec<(String, String)> = service
                .environment
                .iter()
                .filter_map(|(key, value)| {
                    Some((key.strip_prefix(oauth2_proxy::PREFIX)?.to_owned(), value.clone()))
                })
                .collect();
            let mut options = Options::new(oauth2_proxy::KNOWN);
            oauth2_proxy::put_variables(&mut options, &own);
            options.put_flags(&service.flags)?;
            if options.key("config").is_some() || options.key("alpha-config").is_some() {
                plan.close(
                    format!("{}.command", service.name),
                    "its configuration file is not read here: import that file",
                );
            }
            oauth2_proxy::carry(&options, plan, &[], wish);
            found = Found::Whole(plan.fallback.clone());
        } else if service.is("traefik-forward-auth") {
            let mut options = Options::new(traefik_forward_auth::KNOWN);
            traefik_forward_auth::put_variables(&mut options, &service.environment);
            options.put_flags(&service.flags)?;
            traefik_forward_auth::carry(&options, plan, wish);
            found = Found::Whole(plan.fallback.clone());
        } else if service.is("tinyauth") {
            let settings: Vec<(String, String)> = service
                .environment
                .iter()
                .cloned()
                .chain(service.flags.iter().filter_map(|flag| {
                    let (name, value) = flag.trim_start_matches('-').split_once('=')?;
                    Some((name.to_owned(), value.to_owned()))
                }))
                .collect();
            found = Found::Whole(tinyauth::carry(&settings, plan, labels));
        }
    }
    Ok(found)
}

/// Names of Traefik's middlewares that ask for a decision.
fn guards(services: &[Service], plan: &mut Plan) -> HashSet<String> {
    let mut guards = HashSet::new();
    for (key, value) in services.iter().flat_map(|service| &service.labels) {
        let Some(rest) =
            key.to_ascii_lowercase().strip_prefix("traefik.http.middlewares.").map(str::to_owned)
        else {
            continue;
        };
        let Some((name, part)) = rest.split_once('.') else { continue };
        match part {
            "forwardauth.address" => {
                guards.insert(name.to_owned());
                plan.needless(key, "`foregate snippet traefik` prints this middleware anew");
            }
            _ if part.starts_with("forwardauth.") => {
                plan.needless(key, "`foregate snippet traefik` prints this middleware anew")
            }
            "chain.middlewares" if value.split(',').any(|one| guards.contains(&plain(one))) => {
                guards.insert(name.to_owned());
            }
            _ => {}
        }
    }
    guards
}

/// A middleware's name without its provider.
fn plain(name: &str) -> String {
    name.trim().split('@').next().unwrap_or_default().to_ascii_lowercase()
}

/// The hosts of a plan's apps, and which of these apps are about wildcards.
#[derive(Default)]
struct Routed {
    hosts: HashSet<String>,
    wildcards: Vec<usize>,
}

impl Routed {
    fn after(plan: &Plan) -> Self {
        let mut routed = Self::default();
        plan.apps.iter().enumerate().for_each(|(at, app)| {
            routed.add(&app.host, at);
        });
        routed
    }

    /// Whether the host was not there yet.
    fn add(&mut self, host: &str, at: usize) -> bool {
        let new = self.hosts.insert(host.to_owned());
        if new && host.starts_with('*') {
            self.wildcards.push(at);
        }
        new
    }
}

/// Routers that have such a middleware are apps.
fn apps(service: &Service, guards: &HashSet<String>, whole: &Verdict, to: (&mut Plan, &mut Routed)) {
    let (plan, routed) = to;
    // Of two labels that differ in their letters' case only, the first counts.
    let mut labels: HashMap<String, &str> = HashMap::new();
    for (key, value) in &service.labels {
        labels.entry(key.to_ascii_lowercase()).or_insert(value);
    }
    let label =
        |router: &str, part: &str| labels.get(&format!("traefik.http.routers.{router}.{part}")).copied();
    for (key, rule) in &service.labels {
        let lower = key.to_ascii_lowercase();
        let Some(router) =
            lower.strip_prefix("traefik.http.routers.").and_then(|rest| rest.strip_suffix(".rule"))
        else {
            continue;
        };
        let names: Vec<String> = label(router, "middlewares")
            .unwrap_or_default()
            .split(',')
            .map(plain)
            .filter(|name| !name.is_empty())
            .collect();
        if !names.iter().any(|name| guards.contains(name)) {
            let elsewhere = names.iter().any(|name| !name.is_empty());
            plan.needless(
                key,
                if elsewhere {
                    "none of its middlewares here asks for a decision"
                } else {
                    "it has no middleware"
                },
            );
            continue;
        }
        router_app(key, rule, whole, (plan, routed));
    }
}

/// A protected router. Which of a host's paths reach foregate is Traefik's affair, so that the whole host is the app.
fn router_app(key: &str, rule: &str, whole: &Verdict, (plan, routed): (&mut Plan, &mut Routed)) {
    for way in ways(rule) {
        let Some(hosts) = way.hosts else {
            plan.lost(
                key,
                "it names no host that can be read: hosts that no line names get the top-level allow",
            );
            continue;
        };
        for host in hosts {
            let above = routed.wildcards.clone();
            if routed.add(&host, plan.apps.len()) {
                // What the product says of a wildcard or of all hosts counts here, too.
                let rules: Vec<Rule> = above
                    .iter()
                    .filter_map(|at| plan.apps.get(*at))
                    .find(|app| app.host.strip_prefix('*').is_some_and(|end| host.ends_with(end)))
                    .map(|app| app.rules.clone())
                    .unwrap_or_default();
                plan.apps.push(App { host, rules, otherwise: whole.clone(), ..App::default() });
            }
        }
    }
    plan.carried(key, "[apps]");
}

fn tinyauth_labels(service: &Service, labels: &mut tinyauth::Labels) {
    for (key, value) in &service.labels {
        let lower = key.to_ascii_lowercase();
        if let Some((app, part)) = lower.strip_prefix("tinyauth.apps.").and_then(|rest| rest.split_once('.'))
        {
            let own = labels.entry(app.to_owned()).or_default();
            own.push((part.to_owned(), value.clone()));
        }
    }
}

/// Labels of Tinyauth say more about a host than its router does.
fn labelled(plan: &mut Plan, labels: tinyauth::Labels, whole: &Verdict) {
    let behind = std::mem::take(&mut plan.apps);
    tinyauth::finish(plan, labels, whole, &Wish::default());
    let mut routed = Routed::after(plan);
    for app in behind {
        if routed.add(&app.host, plan.apps.len()) {
            plan.apps.push(app);
        }
    }
}
