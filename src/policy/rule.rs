//! A rule: which requests it speaks of, whom it lets in, and the one place that grants. Knows no other rules.

use std::sync::Arc;

use http::Method;

use super::loose::LoosePath;
use super::tenancy::settle;
use super::{App, Fit, PathPattern, QueryPattern, Requirement};
use crate::headers::{GroupPattern, Person};
use crate::identity::{Field, Identity, Proof};
use crate::visit::{Path, Target, Visit};

/// Who may do some part of an app.
#[derive(Clone, Debug)]
pub struct Rule {
    /// How logs name it.
    pub name: String,
    pub(super) path: Option<PathPattern>,
    methods: Vec<Method>,
    pub(super) query: QueryPattern,
    pub(super) allow: Requirement,
    pub(super) proof: Proof,
    pub(super) would: Option<Box<Would>>,
}

/// What a rule in report mode will want once it bites.
#[derive(Clone, Debug)]
pub(super) struct Would {
    pub(super) allow: Requirement,
    proof: Proof,
}

impl Rule {
    /// Whether it speaks of some methods only.
    pub(super) fn minds_methods(&self) -> bool {
        !self.methods.is_empty()
    }

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

    /// Whether everybody is let in, wherever they are.
    pub fn is_public(&self) -> bool {
        self.wants_just(&Requirement::Public)
    }

    /// Whether nobody is let in whom nobody knows, wherever they are.
    pub fn is_guarded(&self) -> bool {
        !self.admits_strangers()
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
    pub(super) fn covers(&self, path: &str, method: &Method) -> bool {
        self.minds(method) && self.path.as_ref().is_none_or(|pattern| pattern.matches(path))
    }

    /// Whether it speaks of a request to servers that read the path loosely, and not to others.
    pub(super) fn covers_loosely(&self, target: &Target<'_>, path: &LoosePath<'_>) -> bool {
        let (Some(pattern), Some(exact)) = (&self.path, target.path.canonical()) else { return false };
        pattern.matches_loosely(path) && !pattern.matches(exact) && self.speaks(target)
    }

    /// Whether it speaks of a path that is read loosely.
    fn stays_loosely(&self, path: &LoosePath<'_>) -> bool {
        self.path.as_ref().is_none_or(|pattern| pattern.matches_loosely(path))
    }

    /// Whether it may speak of a request, the path aside.
    fn speaks(&self, target: &Target<'_>) -> bool {
        self.minds(&target.method) && self.query.fit(target.query) != Fit::No
    }

    /// Whether it decides alike about two places and all that is below each of them, by whatever method.
    pub(super) fn is_one_for(&self, one: (&str, &LoosePath<'_>), other: (&str, &LoosePath<'_>)) -> bool {
        self.path.as_ref().is_none_or(|pattern| pattern.is_one_for(one, other))
    }

    fn minds(&self, method: &Method) -> bool {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        self.methods.is_empty() || self.methods.contains(method)
    }

    /// A request it speaks of: method and path, which may be any; `None` if it is about a query.
    pub fn example(&self) -> Option<(Method, Option<String>)> {
        let method = self.methods.first().cloned().unwrap_or(Method::GET);
        self.query.is_empty().then(|| (method, self.path.as_ref().map(PathPattern::example)))
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
    /// providers do not know. Where the backend is asked for another path, the rule that names that one must let the visit
    /// in, too.
    pub fn admits<'p>(
        &'p self,
        app: &'p App,
        person: Option<Arc<Person>>,
        visit: &Visit<'_>,
        now: u64,
    ) -> Decision<'p> {
        let person = person.filter(|person| app.takes_people_of(person.identity().issuer()));
        let Some(route) = app.route.as_ref().filter(|route| route.rewrites()) else {
            return self.admits_with((app, None), person, visit, now);
        };
        let Some(path) = route.rewritten(app, &visit.target) else {
            return Decision::Forbid(Refusal::AmbiguousPath);
        };
        let decision = match Path::parse(path.as_bytes()) {
            Ok(there) => self.admits_at(app, person, (visit, &visit.to_path(there)), now),
            Err(_) => Decision::Forbid(Refusal::AmbiguousPath),
        };
        let Decision::Allow(grant) = decision else { return decision };
        Decision::Allow(Grant { path: Some(path), ..grant })
    }

    /// Decides about a visit whose backend sees it as another one, and so takes from the path what that backend gets.
    fn admits_at<'p>(
        &'p self,
        app: &'p App,
        person: Option<Arc<Person>>,
        (visit, there): (&Visit<'_>, &Visit<'_>),
        now: u64,
    ) -> Decision<'p> {
        match app.rule_naming(&there.target) {
            Some(rule) => self.admits_with((app, Some((rule, there))), person, visit, now),
            None => Decision::Forbid(Refusal::AmbiguousPath),
        }
    }

    /// Decides with the rules for what the backend sees, which must let it in, too.
    fn admits_with<'p>(
        &'p self,
        (app, other): (&'p App, Option<(Option<&'p Self>, &Visit<'_>)>),
        person: Option<Arc<Person>>,
        visit: &Visit<'_>,
        now: u64,
    ) -> Decision<'p> {
        let naming = other.and_then(|(rule, there)| Some((rule.filter(|rule| rule.path.is_some())?, there)));
        let person = match self.settled(app, person, (visit, naming)) {
            Ok(person) => person,
            Err(refusal) => return Decision::Forbid(refusal),
        };
        let by_other = other.and_then(|(rule, there)| app.refuses(rule, person.as_ref(), there, now));
        let by_rule = || naming.map(|(rule, there)| rule.decides(app, person.clone(), there, now));
        let refusal = by_other
            .or_else(|| by_rule().filter(|decision| !matches!(decision, Decision::Allow(_))))
            .or_else(|| app.refuses(Some(self), person.as_ref(), visit, now));
        refusal.unwrap_or_else(|| self.decides(app, person, visit, now))
    }

    /// Somebody in the tenant that a visit is about: one for this rule and for the other one, if one will do for both.
    fn settled(
        &self,
        app: &App,
        person: Option<Arc<Person>>,
        (visit, other): (&Visit<'_>, Option<(&Self, &Visit<'_>)>),
    ) -> Result<Option<Arc<Person>>, Refusal> {
        let Some(tenants) = &app.tenants else { return Ok(person) };
        let here = |tenant: &str| self.names_tenant(tenant, visit);
        let Some((rule, at)) = other else { return settle(tenants, person, visit, here) };
        let there = |tenant: &str| rule.names_tenant(tenant, at);
        let by_both = settle(tenants, person.clone(), visit, |tenant| here(tenant) && there(tenant))?;
        let inside = by_both.as_ref().and_then(|person| person.identity().tenant());
        if inside.is_some_and(|inside| here(&inside.tenant) && there(&inside.tenant)) {
            return Ok(by_both);
        }
        settle(tenants, person, visit, |tenant| here(tenant) || there(tenant))
    }

    /// The only place that mints a [`Grant`].
    fn decides<'p>(
        &'p self,
        app: &'p App,
        person: Option<Arc<Person>>,
        visit: &Visit<'_>,
        now: u64,
    ) -> Decision<'p> {
        if !self.allow.met_by(person.as_deref().map(Person::identity), visit) {
            return refused(&self.allow, person, visit);
        }
        if self.proof.is_empty() {
            return Decision::Allow(Grant { app, rule: self, path: None, person, by: By::Session });
        }
        match person {
            None => Decision::SignIn,
            Some(person) if self.proof.is_given_by(person.identity(), now) => {
                let person = Some(person);
                Decision::Allow(Grant { app, rule: self, path: None, person, by: By::Session })
            }
            Some(person) => Decision::StepUp(StepUp { wanted: &self.proof, person, by_token: false }),
        }
    }

    /// Whether it speaks of a tenant, as far as this visit tells.
    pub(super) fn names_tenant(&self, tenant: &str, visit: &Visit<'_>) -> bool {
        self.wanted().iter().any(|wanted| wanted.names_tenant(tenant, visit))
    }

    /// What it wants of people, also what it will in report mode.
    pub(super) fn wanted(&self) -> Vec<&Requirement> {
        let later = self.would.as_ref().map(|would| &would.allow);
        std::iter::once(&self.allow).chain(later).collect()
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

    /// Whether it lets this person in and not everybody, as far as this visit tells.
    pub(super) fn is_for(&self, identity: &Identity, visit: &Visit<'_>) -> bool {
        !self.admits_strangers() && self.allow.met_by(Some(identity), visit)
    }

    /// Whether it may let in somebody nobody knows.
    pub(super) fn admits_strangers(&self) -> bool {
        self.proof.is_empty() && self.allow.admits_strangers()
    }
}

impl App {
    /// What the rules before the deciding one, or all, say to a visit that they would have spoken of if the path were read loosely:
    /// they must let it in as well, as nobody knows what server reads it. So must the rule behind it that decides there, if this
    /// one does not. Nothing if all do.
    fn refuses<'p>(
        &'p self,
        deciding: Option<&'p Rule>,
        person: Option<&Arc<Person>>,
        visit: &Visit<'_>,
        now: u64,
    ) -> Option<Decision<'p>> {
        let path = LoosePath::of(visit.target.path.canonical()?);
        let before = self
            .rules
            .iter()
            .take_while(|rule| deciding.is_none_or(|deciding| !std::ptr::eq(*rule, deciding)))
            .filter(|rule| rule.covers_loosely(&visit.target, &path));
        let behind = deciding.filter(|rule| !rule.stays_loosely(&path)).map(|deciding| {
            let rest = self.rules.iter().skip_while(|rule| !std::ptr::eq(*rule, deciding)).skip(1);
            let mut rest = rest.filter(|rule| rule.speaks(&visit.target) && rule.stays_loosely(&path));
            rest.next().unwrap_or(&self.last)
        });
        before
            .chain(behind)
            .map(|rule| rule.decides(self, person.cloned(), visit, now))
            .find(|decision| !matches!(decision, Decision::Allow(_)))
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
    /// The token that was shown counts for nothing here; why, in words of ours.
    BadToken(String),
    /// Nobody can sign in, and a password for emergency access would help.
    Emergency,
    /// There were too many tries like this one.
    Limited {
        /// When to try again.
        seconds: u64,
    },
    /// What is needed to decide cannot be reached.
    Unavailable,
}

impl Decision<'_> {
    /// The same decision about somebody who came with a token, to whom no sign-in is offered.
    #[must_use]
    pub fn by_token(self) -> Self {
        match self {
            Self::Allow(grant) => Self::Allow(Grant { by: By::Token, ..grant }),
            Self::SignIn => Self::BadToken(OTHER_ISSUER.to_owned()),
            Self::StepUp(step) => Self::StepUp(StepUp { by_token: true, ..step }),
            Self::Forbid(Refusal::NotAllowed { missing, person, .. }) => {
                Self::Forbid(Refusal::NotAllowed { missing, person, by_token: true })
            }
            decision @ (Self::Forbid(
                Refusal::UnknownHost
                | Refusal::AmbiguousPath
                | Refusal::AmbiguousQuery
                | Refusal::AmbiguousMethod
                | Refusal::OtherDestination
                | Refusal::AmbiguousTenant,
            )
            | Self::BadToken(_)
            | Self::Emergency
            | Self::Limited { .. }
            | Self::Unavailable) => decision,
        }
    }
}

impl Decision<'_> {
    /// The same decision about somebody with emergency access, who cannot be sent to prove more.
    #[must_use]
    pub fn in_emergency(self) -> Self {
        match self {
            Self::Allow(grant) => Self::Allow(Grant { by: By::Emergency, ..grant }),
            Self::SignIn => Self::Emergency,
            Self::StepUp(step) => Self::Forbid(Refusal::NotAllowed {
                missing: vec!["a stronger or newer sign-in, which emergency access is not".to_owned()],
                person: Some(step.person),
                by_token: false,
            }),
            decision @ (Self::Forbid(_)
            | Self::BadToken(_)
            | Self::Emergency
            | Self::Limited { .. }
            | Self::Unavailable) => decision,
        }
    }
}

/// A proof that somebody has not given, or not lately.
#[derive(Debug)]
pub struct StepUp<'p> {
    /// What the rule wants.
    pub wanted: &'p Proof,
    /// Whether the person is known by a token: a program, which only another token helps.
    pub by_token: bool,
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
    /// Some servers would act on another method than was asked for, and rules of this host look at methods.
    AmbiguousMethod,
    /// What is asked for is to be put where another rule decides, or the visit does not say where.
    OtherDestination,
    /// The visit does not name one tenant.
    AmbiguousTenant,
    /// The rule wants something the person does not have; in words, any one of which would do.
    NotAllowed {
        /// Such as `group family`.
        missing: Vec<String>,
        /// Who it is; nobody in particular where nobody at all is let in.
        person: Option<Arc<Person>>,
        /// Whether it is known by a token.
        by_token: bool,
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
    by: By,
}

/// What somebody was let in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// A session, or nothing at all.
    Session,
    Token,
    Emergency,
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
        let by_token = self.by == By::Token;
        let decision = refused(wanted, self.person, visit);
        if by_token { decision.by_token() } else { decision }
    }

    /// Whether a token or a password let them in, which is then foregate's and no affair of the app's.
    pub fn by_token(&self) -> bool {
        self.by != By::Session
    }

    /// Whether it was a password for emergency access.
    pub fn in_emergency(&self) -> bool {
        self.by == By::Emergency
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

    /// Whether it is this person who was let in, in this tenant, or nobody in particular.
    pub fn is_for(&self, person: Option<&Person>) -> bool {
        fn who(person: &Person) -> (&str, &str, Option<&str>) {
            let identity = person.identity();
            let tenant = identity.tenant().map(|inside| &*inside.tenant);
            (identity.issuer(), identity.field(Field::Subject), tenant)
        }
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

/// The no to somebody who is not what is wanted, or to nobody in particular.
fn refused<'p>(wanted: &Requirement, person: Option<Arc<Person>>, visit: &Visit<'_>) -> Decision<'p> {
    match person {
        None if wanted.can_be_met_at(visit) => Decision::SignIn,
        person => {
            let missing = wanted.missing(person.as_deref().map(Person::identity), visit);
            Decision::Forbid(Refusal::NotAllowed { missing, person, by_token: false })
        }
    }
}

const OTHER_ISSUER: &str = "the app takes no tokens of this issuer";
