//! Who may do what: apps by host, and the rule that decides about a request. Knows no HTTP messages, clocks or stores.

mod capture;
mod explain;
mod hosts;
mod loose;
mod matcher;
mod offers;
mod persona;
mod query;
mod requirement;
mod rewrite;
mod route;
mod rule;
mod tenancy;
mod term;

use std::sync::Arc;

use http::Method;

use crate::headers::{HeaderSet, Person};
use crate::identity::{Roles, Tenants};
use crate::visit::{Destination, Path, Target, Visit, has_destination, is_within};
pub use capture::Captured;
pub use explain::{Explanation, Verdict};
use hosts::Hosts;
use loose::LoosePath;
pub use matcher::{EmailPattern, HostPattern, PathPattern, PatternError};
pub use persona::{Persona, Vouching};
pub use query::{Fit, QueryPattern};
pub use requirement::{Name, Requirement};
pub use route::{Authorization, Backend, Route, Token};
pub use rule::{Decision, Grant, Refusal, Rule, StepUp};
pub use term::{TermError, Terms};

/// One line of `[apps]`: a host, or a part of one, and who may use it.
#[derive(Clone, Debug)]
pub struct App {
    /// The key of the line as written.
    pub name: String,
    /// Which hosts it speaks of.
    pub host: HostPattern,
    /// The part of the host it speaks of, whole segments without a trailing `/`; `None` is all of it.
    pub prefix: Option<String>,
    /// The port in the app's own URLs where it differs from that of `public_url`.
    pub port: Option<u16>,
    /// Tried in order before `last`.
    pub rules: Vec<Rule>,
    /// The app's own `allow`, for whatever no rule speaks of.
    pub last: Rule,
    /// The identity headers its backend gets.
    pub headers: Arc<HeaderSet>,
    /// How requests reach the backend, if foregate itself is the proxy in front of it.
    pub route: Option<Route>,
    /// Whether its backend gets a signed assertion beside them.
    pub assertion: bool,
    /// For how long a sign-in is good here.
    pub limits: Limits,
    /// The issuers whose people it lets in; `None` is everybody's.
    pub issuers: Option<Arc<[Box<str>]>>,
    /// Whether emergency access opens it.
    pub emergency: bool,
    /// Which tenants its people belong to, where there are tenants.
    pub tenants: Option<Arc<Tenants>>,
}

/// For how long a sign-in is good for an app, where that is shorter than the session lives; in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Since the session was last used, for whichever app.
    pub idle: Option<u64>,
    /// Since the sign-in.
    pub lifetime: Option<u64>,
}

impl Limits {
    /// Whether a session is still good at `now`; all in Unix seconds.
    pub fn admit(self, created_at: u64, last_seen: u64, now: u64) -> bool {
        let within =
            |limit: Option<u64>, since: u64| limit.is_none_or(|limit| now.saturating_sub(since) < limit);
        within(self.lifetime, created_at) && within(self.idle, last_seen)
    }
}

impl App {
    /// Whether a line of the configuration names it, and not the `allow` for hosts that none names.
    pub fn is_named(&self) -> bool {
        !matches!(&self.host, HostPattern::Wildcard(parent) if parent.is_empty())
    }

    /// Whether people that this issuer vouches for count here. Whoever they are elsewhere, here others are nobody.
    pub fn takes_people_of(&self, issuer: &str) -> bool {
        if issuer == EMERGENCY_ISSUER {
            return self.emergency;
        }
        self.issuers.as_ref().is_none_or(|issuers| issuers.iter().any(|known| **known == *issuer))
    }
}

/// Who vouches for people with emergency access. No provider can: its issuer is an https or http address.
pub const EMERGENCY_ISSUER: &str = "foregate:emergency";

/// What the policy says of a target, before anybody's identity counts.
#[derive(Debug)]
pub enum Ruling<'p> {
    /// This rule of this app decides.
    Rule(&'p App, &'p Rule),
    /// No line speaks of the host.
    UnknownHost,
    /// The path cannot be judged.
    AmbiguousPath,
    /// The query cannot be judged.
    AmbiguousQuery,
    /// The method cannot be judged.
    AmbiguousMethod,
    /// What is asked for is to be put where another rule decides, or nobody knows where.
    OtherDestination,
}

/// All apps, found by host in one or two look-ups however many there are.
#[derive(Debug)]
pub struct Policy {
    exact: Hosts<Site>,
    wildcard: Hosts<Site>,
    /// foregate's own pages on its own host.
    own: App,
    fallback: Option<Fallback>,
    roles: Arc<Roles>,
    tenants: Option<Arc<Tenants>>,
}

/// What answers for hosts that no line names.
#[derive(Debug)]
pub struct Fallback {
    /// The rule and headers for them.
    pub app: App,
    /// Only hosts within this domain, as others could not keep a session.
    pub within: String,
}

/// The apps of one host, the longest prefix first, and what answers where no prefix fits.
#[derive(Debug, Default)]
struct Site {
    apps: Vec<App>,
    paths_matter: bool,
    methods_matter: bool,
}

impl Policy {
    /// Sorts the apps by host. Of two apps for the same part of a host the first one counts. The rules of `own`
    /// come before those of all others on its host, but only for the paths they name.
    pub fn new(apps: Vec<App>, own: App, fallback: Option<Fallback>) -> Self {
        let (exact, wildcard, roles) = (Hosts::default(), Hosts::default(), Arc::default());
        let mut policy = Self { exact, wildcard, own, fallback, roles, tenants: None };
        for app in apps {
            let (map, host) = match &app.host {
                HostPattern::Exact(host) => (&mut policy.exact, host),
                HostPattern::Wildcard(host) => (&mut policy.wildcard, host),
            };
            map.entry(host.as_str().into()).or_default().add(app);
        }
        policy
    }

    /// The same rules, with the roles they speak of.
    #[must_use]
    pub fn with_roles(self, roles: Arc<Roles>) -> Self {
        Self { roles, ..self }
    }

    /// The same rules, for people who belong to tenants.
    #[must_use]
    pub fn with_tenants(self, tenants: Option<Arc<Tenants>>) -> Self {
        Self { tenants, ..self }
    }

    /// Which tenants people belong to, where there are tenants.
    pub fn tenants(&self) -> Option<&Arc<Tenants>> {
        self.tenants.as_ref()
    }

    /// Somebody in the tenant that a visit names, else in the first of theirs.
    ///
    /// # Errors
    /// The [`Refusal`] of a visit that names a tenant of others, or does not name one tenant.
    pub fn in_tenant(&self, person: &Arc<Person>, visit: &Visit<'_>) -> Result<Arc<Person>, Refusal> {
        let person = Arc::clone(person);
        let Some(tenants) = &self.tenants else { return Ok(person) };
        let inside = tenancy::settle(tenants, Some(Arc::clone(&person)), visit, |_| false)?;
        Ok(inside.unwrap_or(person))
    }

    /// What groups make of people.
    pub fn roles(&self) -> &Roles {
        &self.roles
    }

    /// What terms without a path of their own may speak of.
    pub fn terms(&self) -> Terms<'_> {
        Terms { roles: &self.roles, path: None, tenants: self.tenants.is_some() }
    }

    /// Finds the rule that decides about `target`: of the host's apps the one with the longest prefix, of its
    /// rules the first that speaks of path and method. A path that servers read differently is refused where a
    /// path could matter, and never public.
    pub fn rule_for(&self, target: &Target<'_>) -> Ruling<'_> {
        if let Some(rule) = self.own_rule(target) {
            return Ruling::Rule(&self.own, rule);
        }
        let Some(site) = self.site(&target.host) else { return self.fall_back(target) };
        if site.methods_matter && target.names_other_method() {
            return Ruling::AmbiguousMethod;
        }
        if site.paths_matter && target.names_other_root() {
            return Ruling::AmbiguousPath;
        }
        let ruling = match target.path.canonical() {
            Some(path) => site.rule_for(path, (&target.method, target.query)),
            None if site.paths_matter => Ruling::AmbiguousPath,
            None => {
                let ruling = site.rule_for("/", (&target.method, target.query));
                let is_open = matches!(ruling, Ruling::Rule(_, rule) if rule.admits_strangers());
                if is_open { Ruling::AmbiguousPath } else { ruling }
            }
        };
        if site.keeps_in_place(&ruling, target) { ruling } else { Ruling::OtherDestination }
    }

    /// Whether foregate is the proxy in front of some part of a host.
    pub fn is_proxied(&self, host: &str) -> bool {
        self.site(host).is_some_and(|site| site.apps.iter().any(|app| app.route.is_some()))
    }

    /// Whether what is decided about a host can depend on the method.
    pub fn minds_methods(&self, host: &str) -> bool {
        self.site(host).is_some_and(|site| site.methods_matter)
    }

    /// Whether a line speaks of a host.
    pub fn names(&self, host: &str) -> bool {
        self.site(host).is_some()
    }

    /// Whether an app is at a host, some part of it at least. A wildcard does not speak of foregate's own host for that.
    pub fn is_app_host(&self, host: &str) -> bool {
        let is_own = matches!(&self.own.host, HostPattern::Exact(own) if own == host);
        if is_own { self.exact.contains_key(host) } else { self.names(host) }
    }

    /// An app of a host, to know its port and whether it is one of ours.
    pub fn app_of(&self, host: &str) -> Option<&App> {
        let fallback =
            self.fallback.as_ref().filter(|fallback| fallback.covers(host)).map(|fallback| &fallback.app);
        self.site(host).and_then(|site| site.apps.first()).or(fallback)
    }

    /// The apps of a host: those that name it, else the `allow` for hosts that none names, if it covers this one.
    pub fn apps_of(&self, host: &str) -> impl Iterator<Item = &App> {
        let site = self.site(host);
        let fallback = self.fallback.as_ref().filter(|fallback| site.is_none() && fallback.covers(host));
        site.into_iter().flat_map(|site| &site.apps).chain(fallback.map(|fallback| &fallback.app))
    }

    /// The app that a page of a host belongs to, foregate's own pages aside.
    pub fn app_at(&self, host: &str, path: &str) -> Option<&App> {
        match self.site(host) {
            Some(site) => site.app_at(path),
            None => self.app_of(host),
        }
    }

    fn site(&self, host: &str) -> Option<&Site> {
        self.exact.get(host).or_else(|| {
            let (_, parent) = host.split_once('.')?;
            self.wildcard.get(parent)
        })
    }

    /// The rule for one of foregate's own pages, as it is written: what is spelled otherwise, front proxies hand to an app on the same
    /// host, and it falls to that app's rules.
    fn own_rule(&self, target: &Target<'_>) -> Option<&Rule> {
        let HostPattern::Exact(own) = &self.own.host else { return None };
        let path = target.path.canonical().filter(|path| {
            path.starts_with(OWN_PATHS) && path.as_bytes() == target.path.raw() && target.host == own.as_str()
        })?;
        self.own.rules.iter().find(|rule| rule.covers(path, &target.method))
    }

    fn fall_back(&self, target: &Target<'_>) -> Ruling<'_> {
        match &self.fallback {
            Some(fallback) if fallback.covers(&target.host) => match target.path.canonical() {
                None if fallback.app.last.admits_strangers() => Ruling::AmbiguousPath,
                None | Some(_) => Ruling::Rule(&fallback.app, &fallback.app.last),
            },
            Some(_) | None => Ruling::UnknownHost,
        }
    }
}

impl Fallback {
    fn covers(&self, host: &str) -> bool {
        is_within(host, &self.within)
    }
}

impl Site {
    fn add(&mut self, app: App) {
        self.paths_matter |= app.prefix.is_some() || app.rules.iter().any(|rule| rule.path.is_some());
        self.methods_matter |= app.rules.iter().any(Rule::minds_methods);
        let length = |app: &App| app.prefix.as_ref().map_or(0, String::len);
        let place = self.apps.partition_point(|other| length(other) >= length(&app));
        self.apps.insert(place, app);
    }

    fn app_at(&self, path: &str) -> Option<&App> {
        self.apps.iter().find(|app| app.prefix.as_deref().is_none_or(|prefix| is_below(path, prefix)))
    }

    fn rule_for(&self, path: &str, (method, query): (&Method, Option<&[u8]>)) -> Ruling<'_> {
        let Some(app) = self.app_at(path) else { return Ruling::UnknownHost };
        if self.paths_matter && self.is_loosely_elsewhere(app, &LoosePath::of(path)) {
            return Ruling::AmbiguousPath;
        }
        for rule in app.rules.iter().filter(|rule| rule.covers(path, method)) {
            match rule.query.fit(query) {
                Fit::Yes => return Ruling::Rule(app, rule),
                Fit::Unclear => return Ruling::AmbiguousQuery,
                Fit::No => {}
            }
        }
        Ruling::Rule(app, &app.last)
    }

    /// Whether a page of an app is another app's, or nobody knows which one, to servers that read the path loosely.
    fn is_loosely_elsewhere(&self, app: &App, path: &LoosePath<'_>) -> bool {
        let longer = self.apps.iter().take_while(|other| !std::ptr::eq(*other, app));
        let mut prefixes = longer.filter_map(|other| other.prefix.as_deref());
        path.is_unclear() || prefixes.any(|prefix| path.is_below(&LoosePath::of(prefix)))
    }

    /// Whether what a visit copies or moves stays where the same rules decide, about all that is below it and by whatever method:
    /// else it would be put by one rule where another one keeps people out, or be read by one that another one keeps to a few.
    /// Where no rule speaks of paths it has to stay at the host.
    fn keeps_in_place(&self, ruling: &Ruling<'_>, target: &Target<'_>) -> bool {
        match (target.destination, ruling) {
            (Destination::Nowhere, _) => true,
            (_, _) if !self.paths_matter && !has_destination(&target.method) => true,
            (Destination::Unclear, _) => !self.paths_matter,
            (Destination::At(_), Ruling::Rule(app, _)) => {
                let to = target.destination.path_at(&target.host);
                let Some(to) = to.as_ref().and_then(Path::canonical) else { return false };
                !self.paths_matter
                    || target.path.canonical().is_some_and(|from| self.is_one_for(app, from, to))
            }
            // Refused already, for its own reason.
            (Destination::At(_), _) => true,
        }
    }

    /// Whether this app has two places and all that is below each of them, and its rules decide alike about both.
    fn is_one_for(&self, app: &App, one: &str, other: &str) -> bool {
        let (one, other) = ((one, &LoosePath::of(one)), (other, &LoosePath::of(other)));
        let holds = |(path, place): (&str, &LoosePath<'_>)| {
            let mut others = self.apps.iter().filter(|other| !std::ptr::eq(*other, app));
            self.app_at(path).is_some_and(|at| std::ptr::eq(at, app))
                && !self.is_loosely_elsewhere(app, place)
                && !others.any(|other| LoosePath::of(other.prefix.as_deref().unwrap_or("/")).is_below(place))
        };
        holds(one) && holds(other) && app.rules.iter().all(|rule| rule.is_one_for(one, other))
    }
}

/// Whether `path` is `prefix` or lies below it, segment by segment.
fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether two paths are one place to servers that mind neither letter case nor how letters are composed.
pub fn is_one_place(one: &str, other: &str) -> bool {
    let (one, other) = (LoosePath::of(one), LoosePath::of(other));
    one.is_below(&other) && other.is_below(&one)
}

/// Where foregate's own pages are.
const OWN_PATHS: &str = "/.foregate/";

#[cfg(test)]
mod tests;
