//! Traefik's labels: which routers have a middleware that asks the product, what that demands besides, and the hosts that are
//! apps by it.

use std::collections::{BTreeSet, HashMap, HashSet};

use url::Url;

use super::super::asked::Demands;
use super::super::plan::{App, Fate, Plan, Rule, Verdict};
use super::super::traefik_rule::ways;
use super::super::words::{commas, host_of};
use super::service::Service;

/// Makes apps of routers. Without a product each middleware that asks is about what the operator said.
pub(super) fn read(services: &[Service], product: Option<&Service>, whole: &Verdict, plan: &mut Plan) {
    let middlewares = Middlewares::read(services, product, plan);
    let mut apps = Apps::of(plan, whole);
    let mut used = HashSet::new();
    for service in services {
        for router in routers(service) {
            one(&router, &middlewares, (&mut apps, &mut used), plan);
        }
    }
    for (name, asks) in middlewares.own.iter().filter(|(name, asks)| asks.is_special && !used.contains(*name))
    {
        plan.close(
            &asks.key,
            format!(
                "no router here has the middleware `{name}`, so that it is not known which hosts it is about"
            ),
        );
    }
}

/// What is said of a router.
struct Router<'a> {
    /// Of its rule, or of its middlewares if it has none.
    key: &'a str,
    rule: Option<&'a str>,
    middlewares: Vec<String>,
}

/// In the order of their labels. Of two labels that differ in their letters' case only, the first counts.
fn routers(service: &Service) -> Vec<Router<'_>> {
    let mut routers: Vec<Router<'_>> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut seen = HashSet::new();
    for (key, value) in &service.labels {
        let lower = key.to_ascii_lowercase();
        let Some((name, part)) =
            lower.strip_prefix("traefik.http.routers.").and_then(|rest| rest.rsplit_once('.'))
        else {
            continue;
        };
        if !["rule", "middlewares"].contains(&part) || !seen.insert(lower.clone()) {
            continue;
        }
        let at = *places.entry(name.to_owned()).or_insert(routers.len());
        if at == routers.len() {
            routers.push(Router { key, rule: None, middlewares: Vec::new() });
        }
        let Some(router) = routers.get_mut(at) else { continue };
        if part == "rule" {
            (router.key, router.rule) = (key.as_str(), Some(value.as_str()));
        } else {
            router.middlewares = names(value);
        }
    }
    routers
}

/// Names of middlewares, those of other providers than Docker with it.
fn names(list: &str) -> Vec<String> {
    let plain = |name: String| {
        let name = name.to_ascii_lowercase();
        ["@docker", "@swarm"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name).to_owned()
    };
    commas(list).into_iter().map(plain).collect()
}

/// A middleware that asks for a decision.
struct Asks {
    /// Of its address.
    key: String,
    /// Who is let in among those whom the product lets in.
    verdict: Verdict,
    /// Why whom it lets in cannot be said.
    closed: Vec<String>,
    /// Whether it asks the product for more than others do.
    is_special: bool,
}

/// All middlewares.
#[derive(Default)]
struct Middlewares {
    known: HashSet<String>,
    own: HashMap<String, Asks>,
    chains: HashMap<String, Vec<String>>,
}

impl Middlewares {
    fn read(services: &[Service], product: Option<&Service>, plan: &mut Plan) -> Self {
        let mut all = Self::default();
        for (key, value) in services.iter().flat_map(|service| &service.labels) {
            let lower = key.to_ascii_lowercase();
            let Some((name, part)) =
                lower.strip_prefix("traefik.http.middlewares.").and_then(|rest| rest.split_once('.'))
            else {
                continue;
            };
            all.known.insert(name.to_owned());
            match part {
                "forwardauth.address" => {
                    all.own.entry(name.to_owned()).or_insert_with(|| asks(key, value, product, plan));
                }
                "chain.middlewares" => {
                    all.chains.insert(name.to_owned(), names(value));
                }
                _ if part.starts_with("forwardauth.") => plan.needless(key, SNIPPET),
                _ => {}
            }
        }
        all
    }

    /// Those that ask among these and among their chains, and those that are not here.
    fn behind<'a>(&'a self, names: &'a [String]) -> (BTreeSet<&'a str>, Vec<&'a str>) {
        let (mut asking, mut elsewhere) = (BTreeSet::new(), Vec::new());
        let mut seen = HashSet::new();
        let mut open: Vec<&str> = names.iter().map(String::as_str).collect();
        while let Some(name) = open.pop() {
            if !seen.insert(name) {
                continue;
            }
            if self.own.contains_key(name) {
                asking.insert(name);
            } else if !self.known.contains(name) {
                elsewhere.push(name);
            }
            open.extend(self.chains.get(name).into_iter().flatten().map(String::as_str));
        }
        (asking, elsewhere)
    }
}

/// Whom an address asks, and what for.
fn asks(key: &str, address: &str, product: Option<&Service>, plan: &mut Plan) -> Asks {
    let key = key.to_owned();
    let is_own = product.is_none_or(|product| {
        let base = address.split(['?', '#']).next().unwrap_or_default();
        let host = Url::parse(base).ok().and_then(|url| url.host_str().map(str::to_ascii_lowercase));
        let public = plan.public_url.as_deref().and_then(host_of);
        host.is_some_and(|host| product.names.contains(&host) || public == Some(host))
    });
    let is_partial = address.contains("${");
    let why = if is_partial {
        Some("has a value that cannot be read here")
    } else {
        (!is_own).then_some("asks another server than the product: whom that lets in is not here")
    };
    if let Some(why) = why {
        let why = format!("{key} {why}");
        if !is_partial {
            plan.needless(&key, "it asks another server than the product");
        }
        return Asks { key, verdict: Verdict::signed_in(), closed: vec![why], is_special: is_partial };
    }
    let demands = Demands::of(address);
    let is_special = demands.verdict != Verdict::Public || !demands.unknown.is_empty();
    if is_special {
        plan.carried(&key, "allow of the apps behind it");
    } else {
        plan.needless(&key, SNIPPET);
    }
    let unknown = |parameter: &String| {
        format!("`{parameter}` of {key} may keep somebody out, and foregate has no words for it")
    };
    let closed = demands.unknown.iter().map(unknown).collect();
    Asks { verdict: demands.verdict, closed, is_special, key }
}

/// A protected router. Which of a host's paths reach foregate is Traefik's affair, so that the whole host is the app, and of
/// several routers each has its say.
fn one(
    router: &Router<'_>,
    middlewares: &Middlewares,
    (apps, used): (&mut Apps<'_>, &mut HashSet<String>),
    plan: &mut Plan,
) {
    let (asking, mut elsewhere) = middlewares.behind(&router.middlewares);
    elsewhere.sort_by_key(|name| !name.contains("${"));
    let mut verdict = Verdict::Public;
    let mut closed = Vec::new();
    for name in &asking {
        used.insert((*name).to_owned());
        if let Some(asks) = middlewares.own.get(*name) {
            verdict = verdict.and(&asks.verdict);
            closed.extend(asks.closed.iter().cloned());
        }
    }
    let why = if router.middlewares.is_empty() {
        "it has no middleware"
    } else {
        "none of its middlewares asks for a decision"
    };
    match elsewhere.first() {
        None if asking.is_empty() => return plan.needless(router.key, why),
        Some(name) if asking.is_empty() || name.contains("${") => {
            closed.push(format!("its middleware `{name}` is not here, and may ask for a decision"));
        }
        Some(name) => plan.lost(
            router.key,
            format!(
                "its middleware `{name}` is not here: if it asks for a decision, whom it keeps out is let in"
            ),
        ),
        None => {}
    }
    let ways = router.rule.map(ways).unwrap_or_default();
    let hosts: Vec<String> = ways.iter().filter_map(|way| way.hosts.clone()).flatten().collect();
    if hosts.is_empty() || ways.iter().any(|way| way.hosts.is_none()) {
        let nameless = "it names no host that can be read";
        if verdict == Verdict::Public && closed.is_empty() {
            plan.lost(router.key, format!("{nameless}: hosts that no line names get the top-level allow"));
        } else {
            plan.close(
                router.key,
                format!("{nameless}, and its middlewares may let in fewer people than the product"),
            );
        }
    }
    for host in &hosts {
        apps.narrow(host, &verdict, (router.key, &closed), plan);
        plan.carried(router.key, "[apps]");
    }
}

/// The apps of a plan, by host.
struct Apps<'a> {
    whole: &'a Verdict,
    places: HashMap<String, usize>,
    /// Which of them are about wildcards.
    wildcards: Vec<usize>,
}

impl<'a> Apps<'a> {
    fn of(plan: &Plan, whole: &'a Verdict) -> Self {
        let mut apps = Self { whole, places: HashMap::new(), wildcards: Vec::new() };
        for (at, app) in plan.apps.iter().enumerate() {
            let new = apps.places.insert(app.host.clone(), at).is_none();
            if new && app.host.starts_with('*') {
                apps.wildcards.push(at);
            }
        }
        apps
    }

    /// Lets in at a host whom the verdict lets in, too.
    fn narrow(&mut self, host: &str, verdict: &Verdict, (key, closed): (&str, &[String]), plan: &mut Plan) {
        let at = *self.places.entry(host.to_owned()).or_insert_with(|| {
            // What the product says of a wildcard or of all hosts counts here, too.
            let above = self.wildcards.iter().filter_map(|at| plan.apps.get(*at));
            let above = above
                .into_iter()
                .find(|app| app.host.strip_prefix('*').is_some_and(|end| host.ends_with(end)));
            let rules: Vec<Rule> = above.map(|app| app.rules.clone()).unwrap_or_default();
            plan.apps.push(App {
                host: host.to_owned(),
                rules,
                otherwise: self.whole.clone(),
                ..App::default()
            });
            plan.apps.len() - 1
        });
        let Some(app) = plan.apps.get_mut(at) else { return };
        app.otherwise = app.otherwise.and(verdict);
        app.rules.iter_mut().for_each(|rule| rule.verdict = rule.verdict.and(verdict));
        app.closed.extend(closed.iter().map(|why| format!("{key}: {why}")));
        for why in closed {
            plan.note(key, Fate::Closed(format!("{why}; {host} is closed")));
        }
    }
}

const SNIPPET: &str = "`foregate snippet traefik` prints this middleware anew";
