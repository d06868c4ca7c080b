//! Who may do what: apps by host, rules by path and method, and the one place that grants. Knows no HTTP
//! messages, clocks or stores.

mod hosts;
mod matcher;
mod requirement;
mod rewrite;
mod route;

use std::sync::Arc;

use http::Method;

use crate::headers::{HeaderSet, Person};
use crate::identity::Field;
use crate::visit::{Target, is_within};
use hosts::Hosts;
pub use matcher::{EmailPattern, HostPattern, PathPattern, PatternError};
pub use requirement::{Requirement, TermError};
use rewrite::Rewritten;
pub use route::{Authorization, Backend, Route, Token};

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
    /// Whether people that this issuer vouches for count here. Whoever they are elsewhere, here others are nobody.
    pub fn takes_people_of(&self, issuer: &str) -> bool {
        self.issuers.as_ref().is_none_or(|issuers| issuers.iter().any(|known| **known == *issuer))
    }
}

/// Who may do some part of an app.
#[derive(Clone, Debug)]
pub struct Rule {
    /// How logs name it.
    pub name: String,
    path: Option<PathPattern>,
    methods: Vec<Method>,
    allow: Requirement,
}

impl Rule {
    /// A rule for the paths and methods named; no path is every path, no methods are all.
    pub fn new(name: String, path: Option<PathPattern>, methods: Vec<Method>, allow: Requirement) -> Self {
        Self { name, path, methods, allow }
    }

    /// Whether the rule speaks of a request. `HEAD` counts as `GET`, whose answer it describes (RFC 9110 9.3.2).
    fn covers(&self, path: &str, method: &Method) -> bool {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        (self.methods.is_empty() || self.methods.contains(method))
            && self.path.as_ref().is_none_or(|pattern| pattern.matches(path))
    }

    /// Decides about `target` for one person, or for nobody in particular, as everybody is whom the app's providers do
    /// not know. Where the backend is asked for another path, the rule that names that one must let it in too.
    pub fn admits<'p>(
        &'p self,
        app: &'p App,
        person: Option<Arc<Person>>,
        target: &Target<'_>,
    ) -> Decision<'p> {
        let Some(route) = app.route.as_ref().filter(|route| route.rewrites()) else {
            return self.decides(app, person);
        };
        let Some(rewritten) = Rewritten::of(app, route, target) else {
            return Decision::Forbid(Refusal::AmbiguousPath);
        };
        match rewritten.rule.map(|rule| rule.decides(app, person.clone())) {
            None | Some(Decision::Allow(_)) => match self.decides(app, person) {
                Decision::Allow(grant) => Decision::Allow(Grant { path: Some(rewritten.path), ..grant }),
                no @ (Decision::SignIn | Decision::Forbid(_) | Decision::Unavailable) => no,
            },
            Some(no @ (Decision::SignIn | Decision::Forbid(_) | Decision::Unavailable)) => no,
        }
    }

    /// The only place that mints a [`Grant`].
    fn decides<'p>(&'p self, app: &'p App, person: Option<Arc<Person>>) -> Decision<'p> {
        let person = person.filter(|person| app.takes_people_of(person.identity().issuer()));
        if self.allow.met_by(person.as_deref().map(Person::identity)) {
            return Decision::Allow(Grant { app, rule: self, path: None, person });
        }
        match person {
            None if self.allow.can_be_met() => Decision::SignIn,
            person => Decision::Forbid(Refusal::NotAllowed { missing: self.allow.in_words(), person }),
        }
    }

    /// Whether it lets everybody in without asking who they are.
    pub fn is_public(&self) -> bool {
        self.allow.met_by(None)
    }
}

/// What was decided. An error is never one of these but for [`Decision::Unavailable`], which lets nobody in.
#[derive(Debug)]
pub enum Decision<'p> {
    /// Let in, with the proof.
    Allow(Grant<'p>),
    /// Signing in may help.
    SignIn,
    /// Signing in would not help.
    Forbid(Refusal),
    /// What is needed to decide cannot be reached.
    Unavailable,
}

/// Why somebody was refused.
#[derive(Clone, Debug)]
pub enum Refusal {
    /// No line of the configuration speaks of the host.
    UnknownHost,
    /// The path names different things to different servers, and rules of this host look at paths.
    AmbiguousPath,
    /// The rule wants something the person does not have; in words, any one of which would do.
    NotAllowed {
        /// Such as `group family`.
        missing: Vec<String>,
        /// Who it is; nobody in particular where nobody at all is let in.
        person: Option<Arc<Person>>,
    },
}

/// Proof that a rule let a request in, and for which path; minted by [`Rule::admits`] alone.
#[derive(Debug)]
pub struct Grant<'p> {
    app: &'p App,
    rule: &'p Rule,
    /// Where the backend is asked for another path than was asked for.
    path: Option<Box<str>>,
    person: Option<Arc<Person>>,
}

impl<'p> Grant<'p> {
    /// The app that was asked for.
    pub fn app(&self) -> &'p App {
        self.app
    }

    /// The rule that let the request in.
    pub fn rule(&self) -> &'p Rule {
        self.rule
    }

    /// The same grant if the person is also `wanted`, which can only take away.
    pub fn narrowed(self, wanted: &Requirement) -> Decision<'p> {
        let identity = self.person().map(Person::identity);
        if wanted.met_by(identity) {
            Decision::Allow(self)
        } else if identity.is_none() && wanted.can_be_met() {
            Decision::SignIn
        } else {
            Decision::Forbid(Refusal::NotAllowed { missing: wanted.in_words(), person: self.person })
        }
    }

    /// Whether it is this person who was let in, or nobody in particular.
    pub fn is_for(&self, person: Option<&Person>) -> bool {
        let who = |person: &Person| {
            let identity = person.identity();
            (identity.issuer().to_owned(), identity.field(Field::Subject).to_owned())
        };
        self.person().map(who) == person.map(who)
    }

    /// The path to ask the backend for, if it is not the one that was asked for.
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// Who was let in; nobody in particular for a public rule.
    pub fn person(&self) -> Option<&Person> {
        self.person.as_deref()
    }

    /// The same, to be kept.
    pub fn shared_person(&self) -> Option<&Arc<Person>> {
        self.person.as_ref()
    }
}

/// What the policy says of a target, before anybody's identity counts.
#[derive(Debug)]
pub enum Ruling<'p> {
    /// This rule of this app decides.
    Rule(&'p App, &'p Rule),
    /// No line speaks of the host.
    UnknownHost,
    /// The path cannot be judged.
    AmbiguousPath,
}

/// All apps, found by host in one or two look-ups however many there are.
#[derive(Debug)]
pub struct Policy {
    exact: Hosts<Site>,
    wildcard: Hosts<Site>,
    /// foregate's own pages on its own host.
    own: App,
    fallback: Option<Fallback>,
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
}

impl Policy {
    /// Sorts the apps by host. Of two apps for the same part of a host the first one counts. The rules of `own`
    /// come before those of all others on its host, but only for the paths they name.
    pub fn new(apps: Vec<App>, own: App, fallback: Option<Fallback>) -> Self {
        let mut policy = Self { exact: Hosts::default(), wildcard: Hosts::default(), own, fallback };
        for app in apps {
            let (map, host) = match &app.host {
                HostPattern::Exact(host) => (&mut policy.exact, host),
                HostPattern::Wildcard(host) => (&mut policy.wildcard, host),
            };
            map.entry(host.as_str().into()).or_default().add(app);
        }
        policy
    }

    /// Finds the rule that decides about `target`: of the host's apps the one with the longest prefix, of its
    /// rules the first that speaks of path and method. A path that servers read differently is refused where a
    /// path could matter, and never public.
    pub fn rule_for(&self, target: &Target<'_>) -> Ruling<'_> {
        if let Some(rule) = self.own_rule(target) {
            return Ruling::Rule(&self.own, rule);
        }
        let Some(site) = self.site(&target.host) else { return self.fall_back(target) };
        match target.path.canonical() {
            Some(path) => site.rule_for(path, &target.method),
            None if site.paths_matter => Ruling::AmbiguousPath,
            None => match site.rule_for("/", &target.method) {
                Ruling::Rule(_, rule) if rule.is_public() => Ruling::AmbiguousPath,
                ruling @ (Ruling::Rule(..) | Ruling::UnknownHost | Ruling::AmbiguousPath) => ruling,
            },
        }
    }

    /// Whether foregate is the proxy in front of some part of a host.
    pub fn is_proxied(&self, host: &str) -> bool {
        self.site(host).is_some_and(|site| site.apps.iter().any(|app| app.route.is_some()))
    }

    /// Whether a line speaks of a host.
    pub fn names(&self, host: &str) -> bool {
        self.site(host).is_some()
    }

    /// An app of a host, to know its port and whether it is one of ours.
    pub fn app_of(&self, host: &str) -> Option<&App> {
        let fallback =
            self.fallback.as_ref().filter(|fallback| fallback.covers(host)).map(|fallback| &fallback.app);
        self.site(host).and_then(|site| site.apps.first()).or(fallback)
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

    /// The rule for one of foregate's own pages.
    fn own_rule(&self, target: &Target<'_>) -> Option<&Rule> {
        let HostPattern::Exact(own) = &self.own.host else { return None };
        let path = target
            .path
            .canonical()
            .filter(|path| path.starts_with(OWN_PATHS) && target.host == own.as_str())?;
        self.own.rules.iter().find(|rule| rule.covers(path, &target.method))
    }

    fn fall_back(&self, target: &Target<'_>) -> Ruling<'_> {
        match &self.fallback {
            Some(fallback) if fallback.covers(&target.host) => match target.path.canonical() {
                None if fallback.app.last.is_public() => Ruling::AmbiguousPath,
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
        let length = |app: &App| app.prefix.as_ref().map_or(0, String::len);
        let place = self.apps.partition_point(|other| length(other) >= length(&app));
        self.apps.insert(place, app);
    }

    fn app_at(&self, path: &str) -> Option<&App> {
        self.apps.iter().find(|app| app.prefix.as_deref().is_none_or(|prefix| is_below(path, prefix)))
    }

    fn rule_for(&self, path: &str, method: &Method) -> Ruling<'_> {
        let Some(app) = self.app_at(path) else { return Ruling::UnknownHost };
        let rule = app.rules.iter().find(|rule| rule.covers(path, method)).unwrap_or(&app.last);
        Ruling::Rule(app, rule)
    }
}

/// Whether `path` is `prefix` or lies below it, segment by segment.
fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Where foregate's own pages are.
const OWN_PATHS: &str = "/.foregate/";

#[cfg(test)]
mod tests;
