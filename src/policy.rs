//! Who may do what: apps by host, rules by path and method, and the one place that grants. Knows no HTTP
//! messages, clocks or stores.

mod capture;
mod explain;
mod hosts;
mod matcher;
mod query;
mod requirement;
mod route;
mod term;

use std::sync::Arc;

use http::Method;

use crate::headers::{GroupPattern, HeaderSet, Person};
use crate::identity::{Proof, Roles};
use crate::visit::{Target, Visit, is_within};
pub use capture::Captured;
pub use explain::{Explanation, Verdict};
use hosts::Hosts;
pub use matcher::{EmailPattern, HostPattern, PathPattern, PatternError};
pub use query::{Fit, QueryPattern};
pub use requirement::{Name, Requirement};
pub use route::{Backend, Route};
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
    query: QueryPattern,
    allow: Requirement,
    proof: Proof,
    would: Option<Box<Would>>,
}

/// What a rule in report mode will want once it bites.
#[derive(Clone, Debug)]
struct Would {
    allow: Requirement,
    proof: Proof,
}

impl Rule {
    /// A rule for the paths and methods named; no path is every path, no methods are all.
    pub fn new(name: String, path: Option<PathPattern>, methods: Vec<Method>, allow: Requirement) -> Self {
        let (query, proof) = (QueryPattern::default(), Proof::default());
        Self { name, path, methods, query, allow, proof, would: None }
    }

    /// The same rule, for such queries only.
    #[must_use]
    pub fn with_query(self, query: QueryPattern) -> Self {
        Self { query, ..self }
    }

    /// The same rule, for those who have given this proof of who they are. It lets in nobody whom nobody knows.
    #[must_use]
    pub fn with_proof(self, proof: Proof) -> Self {
        Self { proof, ..self }
    }

    /// The same rule in report mode: until it bites it lets in whom `meanwhile` names, which is written beside it, so
    /// that nothing is open that nobody opened.
    #[must_use]
    pub fn reporting(self, meanwhile: Requirement) -> Self {
        let would = Some(Box::new(Would { allow: self.allow, proof: self.proof }));
        Self { would, allow: meanwhile, proof: Proof::default(), ..self }
    }

    /// Whether this is all it wants of anybody.
    pub fn wants_just(&self, allow: &Requirement) -> bool {
        self.allow == *allow && self.proof.is_empty()
    }

    /// Whether it is in report mode.
    pub fn is_reporting(&self) -> bool {
        self.would.is_some()
    }

    /// Who is let in as long as a rule is in report mode, as it was written.
    pub fn meanwhile(&self) -> Option<String> {
        self.would.as_ref().map(|_| self.allow.to_string())
    }

    /// Whether the rule speaks of a path and a method, the query aside. `HEAD` counts as `GET`, whose answer it describes (RFC 9110 9.3.2).
    fn covers(&self, path: &str, method: &Method) -> bool {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        (self.methods.is_empty() || self.methods.contains(method))
            && self.path.as_ref().is_none_or(|pattern| pattern.matches(path))
    }

    /// Which requests it speaks of, in words.
    pub fn scope_in_words(&self) -> String {
        let methods: Vec<&str> = self.methods.iter().map(Method::as_str).collect();
        let path = self.path.as_ref().map_or_else(|| "every path".to_owned(), ToString::to_string);
        let query = if self.query.is_empty() { String::new() } else { format!("?{}", self.query) };
        let methods = if methods.is_empty() { "all methods".to_owned() } else { methods.join(" ") };
        format!("{methods}, {path}{query}")
    }

    /// Decides for one person at `now`, in Unix seconds, or for nobody in particular, as everybody is whom the app's
    /// providers do not know. The only place that mints a [`Grant`].
    pub fn admits<'p>(
        &'p self,
        app: &'p App,
        person: Option<Arc<Person>>,
        visit: &Visit<'_>,
        now: u64,
    ) -> Decision<'p> {
        let person = person.filter(|person| app.takes_people_of(person.identity().issuer()));
        if !self.allow.met_by(person.as_deref().map(Person::identity), visit) {
            return refused(&self.allow, person, visit);
        }
        if self.proof.is_empty() {
            return Decision::Allow(Grant { app, rule: self, person });
        }
        match person {
            None => Decision::SignIn,
            Some(person) if self.proof.is_given_by(person.identity(), now) => {
                Decision::Allow(Grant { app, rule: self, person: Some(person) })
            }
            Some(person) => Decision::StepUp(StepUp { wanted: &self.proof, person }),
        }
    }

    /// Whether it lets this visit in without asking who it is.
    pub fn is_open_to(&self, visit: &Visit<'_>) -> bool {
        self.proof.is_empty() && self.allow.met_by(None, visit)
    }

    /// The groups it looks at, also those it will in report mode.
    pub fn groups(&self) -> Vec<GroupPattern> {
        let later = self.would.as_ref().map(|would| would.allow.groups());
        self.allow.groups().into_iter().chain(later.into_iter().flatten()).collect()
    }

    /// The claims it looks at.
    pub fn wanted_claims(&self) -> Vec<String> {
        let wanted = |allow: &Requirement, proof: &Proof| -> Vec<String> {
            let of_allow = allow.claims().into_iter().map(str::to_owned);
            of_allow.chain(proof.claims().map(str::to_owned)).collect()
        };
        let later = self.would.as_ref().map(|would| wanted(&would.allow, &would.proof));
        wanted(&self.allow, &self.proof).into_iter().chain(later.into_iter().flatten()).collect()
    }

    /// Whether it may let in somebody nobody knows.
    fn admits_strangers(&self) -> bool {
        self.proof.is_empty() && self.allow.admits_strangers()
    }
}

/// What was decided. An error is never one of these but for [`Decision::Unavailable`], which lets nobody in.
#[derive(Debug)]
pub enum Decision<'p> {
    /// Let in, with the proof.
    Allow(Grant<'p>),
    /// Signing in may help.
    SignIn,
    /// The person may come in, after a sign-in that proves more.
    StepUp(StepUp<'p>),
    /// Signing in would not help.
    Forbid(Refusal),
    /// What is needed to decide cannot be reached.
    Unavailable,
}

/// A proof that somebody has not given, or not lately.
#[derive(Debug)]
pub struct StepUp<'p> {
    /// What the rule wants.
    pub wanted: &'p Proof,
    person: Arc<Person>,
}

impl StepUp<'_> {
    /// Whether the provider has been asked for this very proof and did not give it.
    pub fn was_refused(&self) -> bool {
        self.wanted.was_refused_to(self.person.identity())
    }
}

/// Why somebody was refused.
#[derive(Clone, Debug)]
pub enum Refusal {
    /// No line of the configuration speaks of the host.
    UnknownHost,
    /// The path names different things to different servers, and rules of this host look at paths.
    AmbiguousPath,
    /// Whether a rule speaks of the query depends on the server that reads it.
    AmbiguousQuery,
    /// The rule wants something the person does not have; in words, any one of which would do.
    NotAllowed {
        /// Such as `group family`.
        missing: Vec<String>,
        /// Who it is; nobody in particular where nobody at all is let in.
        person: Option<Arc<Person>>,
    },
}

/// Proof that a rule let a request in; minted by [`Rule::admits`] alone.
#[derive(Debug)]
pub struct Grant<'p> {
    app: &'p App,
    rule: &'p Rule,
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
    pub fn narrowed(self, wanted: &Requirement, visit: &Visit<'_>) -> Decision<'p> {
        if wanted.met_by(self.person().map(Person::identity), visit) {
            return Decision::Allow(self);
        }
        refused(wanted, self.person, visit)
    }

    /// What a rule in report mode would have missed of whoever was let in; `None` if they will still be once it bites.
    pub fn would_miss(&self, visit: &Visit<'_>, now: u64) -> Option<Vec<String>> {
        let would = self.rule.would.as_ref()?;
        let identity = self.person().map(Person::identity);
        if !would.allow.met_by(identity, visit) {
            return Some(would.allow.missing(identity, visit));
        }
        let given = identity.is_some_and(|identity| would.proof.is_given_by(identity, now));
        (!would.proof.is_empty() && !given).then(|| vec!["a stronger or newer sign-in".to_owned()])
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

/// The no to somebody who is not what is wanted, or to nobody in particular.
fn refused<'p>(wanted: &Requirement, person: Option<Arc<Person>>, visit: &Visit<'_>) -> Decision<'p> {
    match person {
        None if wanted.can_be_met_at(visit) => Decision::SignIn,
        person => {
            let missing = wanted.missing(person.as_deref().map(Person::identity), visit);
            Decision::Forbid(Refusal::NotAllowed { missing, person })
        }
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
    /// The query cannot be judged.
    AmbiguousQuery,
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
        let (exact, wildcard, roles) = (Hosts::default(), Hosts::default(), Arc::default());
        let mut policy = Self { exact, wildcard, own, fallback, roles };
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

    /// What groups make of people.
    pub fn roles(&self) -> &Roles {
        &self.roles
    }

    /// What terms without a path of their own may speak of.
    pub fn terms(&self) -> Terms<'_> {
        Terms { roles: &self.roles, path: None }
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
            Some(path) => site.rule_for(path, target),
            None if site.paths_matter => Ruling::AmbiguousPath,
            None => match site.rule_for("/", target) {
                Ruling::Rule(_, rule) if rule.admits_strangers() => Ruling::AmbiguousPath,
                ruling @ (Ruling::Rule(..)
                | Ruling::UnknownHost
                | Ruling::AmbiguousPath
                | Ruling::AmbiguousQuery) => ruling,
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
        let length = |app: &App| app.prefix.as_ref().map_or(0, String::len);
        let place = self.apps.partition_point(|other| length(other) >= length(&app));
        self.apps.insert(place, app);
    }

    fn app_at(&self, path: &str) -> Option<&App> {
        self.apps.iter().find(|app| app.prefix.as_deref().is_none_or(|prefix| is_below(path, prefix)))
    }

    fn rule_for(&self, path: &str, target: &Target<'_>) -> Ruling<'_> {
        let Some(app) = self.app_at(path) else { return Ruling::UnknownHost };
        for rule in app.rules.iter().filter(|rule| rule.covers(path, &target.method)) {
            match rule.query.fit(target.query) {
                Fit::Yes => return Ruling::Rule(app, rule),
                Fit::Unclear => return Ruling::AmbiguousQuery,
                Fit::No => {}
            }
        }
        Ruling::Rule(app, &app.last)
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
