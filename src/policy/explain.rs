//! Why the policy decides as it does, in words: the code that decides, looked over the shoulder. Grants nothing.

use std::fmt;
use std::sync::Arc;

use super::loose::LoosePath;
use super::tenancy::settle;
use super::{App, Decision, Fit, Name, Policy, Refusal, Requirement, Rule, Ruling};
use crate::headers::Person;
use crate::identity::{Given, Identity};
use crate::visit::Visit;

/// How a visit ends, as tests of the configuration name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Let in.
    Allow,
    /// Asked to sign in.
    SignIn,
    /// Asked for a stronger or newer sign-in.
    StepUp,
    /// Refused, whoever signs in.
    Forbid,
    /// Refused as a request that servers read differently.
    Malformed,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Allow, Self::SignIn, Self::StepUp, Self::Forbid, Self::Malformed];

    /// How configurations and people spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::SignIn => "sign-in",
            Self::StepUp => "step-up",
            Self::Forbid => "forbid",
            Self::Malformed => "malformed",
        }
    }
}

/// What was decided about one visit, and by what.
#[derive(Debug)]
pub struct Explanation {
    /// How it ends.
    pub verdict: Verdict,
    /// The rule that decided, by its name; empty where none did.
    pub rule: String,
    /// What is missing, in the words of the page.
    pub missing: Vec<String>,
    steps: Vec<String>,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))?;
        writeln!(f, "decision: {}", self.verdict.as_str())
    }
}

impl Policy {
    /// Decides about a visit as the gate does, for a person or for nobody in particular, and says why.
    pub fn explain(&self, visit: &Visit<'_>, person: Option<Arc<Person>>, now: u64) -> Explanation {
        let (app, rule) = match self.rule_for(&visit.target) {
            Ruling::Rule(app, rule) => (app, rule),
            Ruling::UnknownHost => {
                let why =
                    format!("no line of [apps] speaks of {}, and `allow` does not either", visit.target.host);
                return Explanation::without_rule(Verdict::Forbid, why);
            }
            Ruling::AmbiguousPath => {
                return Explanation::without_rule(Verdict::Malformed, AMBIGUOUS_PATH.to_owned());
            }
            Ruling::AmbiguousQuery => {
                return Explanation::without_rule(Verdict::Malformed, AMBIGUOUS_QUERY.to_owned());
            }
            Ruling::AmbiguousMethod => {
                return Explanation::without_rule(Verdict::Malformed, AMBIGUOUS_METHOD.to_owned());
            }
            Ruling::OtherDestination => {
                return Explanation::without_rule(Verdict::Malformed, OTHER_DESTINATION.to_owned());
            }
        };
        let mut steps = vec![format!("app: {}", app.name)];
        steps.extend(passed_over(app, rule, visit));
        steps.push(format!("rule: {} ({})", rule.name, rule.scope_in_words()));
        let known = person.as_ref().filter(|person| app.takes_people_of(person.identity().issuer()));
        if person.is_some() && known.is_none() {
            steps.push("  this person's provider is none of the app's, so here it is nobody".to_owned());
        }
        let inside = known.and_then(|person| place(app, rule, person, visit, &mut steps));
        let identity = inside.map(|person| person.identity().clone());
        write_terms(&rule.allow, identity.as_ref(), visit, 1, &mut steps);
        if !rule.proof.is_empty() {
            let given = identity.as_ref().is_some_and(|identity| rule.proof.is_given_by(identity, now));
            steps.push(format!("  {} the sign-in proves what the rule wants", yes(given)));
        }
        if let Some(would) = &rule.would {
            steps.push("in report mode; when it bites:".to_owned());
            write_terms(&would.allow, identity.as_ref(), visit, 1, &mut steps);
        }
        let (verdict, missing) = match rule.admits(app, person, visit, now) {
            Decision::Allow(_) => (Verdict::Allow, Vec::new()),
            Decision::SignIn => (Verdict::SignIn, rule.allow.missing(identity.as_ref(), visit)),
            Decision::StepUp(_) => (Verdict::StepUp, Vec::new()),
            Decision::Forbid(Refusal::NotAllowed { missing, .. }) => (Verdict::Forbid, missing),
            Decision::Forbid(Refusal::AmbiguousTenant) => (Verdict::Malformed, Vec::new()),
            Decision::Forbid(
                Refusal::UnknownHost
                | Refusal::AmbiguousPath
                | Refusal::AmbiguousQuery
                | Refusal::AmbiguousMethod
                | Refusal::OtherDestination,
            )
            | Decision::BadToken(_)
            | Decision::Emergency
            | Decision::Limited { .. }
            | Decision::Unavailable => (Verdict::Forbid, Vec::new()),
        };
        Explanation { verdict, rule: rule.name.clone(), missing, steps }
    }
}

impl Explanation {
    /// What was looked at, line by line.
    pub fn steps(&self) -> &[String] {
        &self.steps
    }

    /// A visit that cannot be read at all, and why.
    pub fn malformed(why: &str) -> Self {
        Self::without_rule(Verdict::Malformed, why.to_owned())
    }

    fn without_rule(verdict: Verdict, why: String) -> Self {
        Self { verdict, rule: String::new(), missing: Vec::new(), steps: vec![why] }
    }
}

/// The rules before the one that decides, and why each is none for this visit.
fn passed_over(app: &App, deciding: &Rule, visit: &Visit<'_>) -> Vec<String> {
    let path = visit.target.path.canonical().unwrap_or("/");
    let loosely = LoosePath::of(path);
    let earlier = app.rules.iter().take_while(|rule| !std::ptr::eq(*rule, deciding));
    let why = |rule: &Rule| {
        let path_fits = rule.path.as_ref().is_none_or(|pattern| pattern.matches(path));
        if rule.covers_loosely(&visit.target, &loosely) {
            return "another path, but not to servers that mind neither letter case nor a slash at the end; it must let the visit in as well";
        }
        if !path_fits {
            "another path"
        } else if !rule.covers(path, &visit.target.method) {
            "another method"
        } else if rule.query.fit(visit.target.query) == Fit::No {
            "another query"
        } else {
            "passed over"
        }
    };
    earlier.map(|rule| format!("  not {} ({}): {}", rule.name, rule.scope_in_words(), why(rule))).collect()
}

/// One line for each term, with whether it is met.
fn write_terms(
    wanted: &Requirement,
    identity: Option<&Identity>,
    visit: &Visit<'_>,
    depth: usize,
    lines: &mut Vec<String>,
) {
    let mark = yes(wanted.met_by(identity, visit));
    let indent = "  ".repeat(depth);
    match wanted {
        Requirement::Any(several) | Requirement::All(several) => {
            let how = if matches!(wanted, Requirement::Any(_)) { "any of" } else { "all of" };
            lines.push(format!("{indent}{mark} {how}"));
            for one in several {
                write_terms(one, identity, visit, depth + 1, lines);
            }
        }
        Requirement::User(name)
        | Requirement::Group(name)
        | Requirement::Claim(_, name)
        | Requirement::Tenant(name) => {
            let filled = match name {
                Name::Fixed(_) => String::new(),
                Name::Captured(captured) => match captured.at(&visit.target.path) {
                    Some(filled) => format!(", here `{filled}`"),
                    None => ", which this path cannot fill in".to_owned(),
                },
            };
            lines.push(format!("{indent}{mark} {wanted}{filled}"));
        }
        Requirement::Role(given) | Requirement::Permission(given) => {
            lines.push(format!("{indent}{mark} {wanted}, which is any of {}", given_by(given)));
        }
        Requirement::Network(_) => {
            let from = visit
                .address()
                .map_or_else(|| "nobody knows where".to_owned(), |address| address.to_string());
            lines.push(format!("{indent}{mark} {wanted}, from {from}"));
        }
        Requirement::Nobody | Requirement::Public | Requirement::SignedIn | Requirement::Email(_) => {
            lines.push(format!("{indent}{mark} {wanted}"));
        }
    }
}

/// Somebody in the tenant that a visit is about, and a line about it. Without tenants it is they as they are.
fn place(
    app: &App,
    rule: &Rule,
    person: &Arc<Person>,
    visit: &Visit<'_>,
    steps: &mut Vec<String>,
) -> Option<Arc<Person>> {
    let Some(tenants) = &app.tenants else { return Some(Arc::clone(person)) };
    let inside = settle(tenants, Some(Arc::clone(person)), visit, |tenant| rule.names_tenant(tenant, visit))
        .ok()
        .flatten();
    let all: Vec<String> = person.places(tenants).tenants().map(str::to_owned).collect();
    let tenant = inside.as_ref().and_then(|person| person.identity().tenant());
    steps.push(match tenant {
        Some(inside) if inside.roles.is_empty() => {
            format!("  tenant: {} of {}", inside.tenant, all.join(", "))
        }
        Some(inside) => {
            format!("  tenant: {} of {}, as {}", inside.tenant, all.join(", "), inside.roles.join(", "))
        }
        None if all.is_empty() => "  tenant: none".to_owned(),
        None => format!("  tenant: none of {}", all.join(", ")),
    });
    inside
}

/// The groups and roles in a tenant that give a role or a permission.
fn given_by(given: &Given) -> String {
    let list =
        |kind: &str, names: Vec<&str>| (!names.is_empty()).then(|| format!("{kind} {}", names.join(", ")));
    let by = [
        list("the groups", given.groups().collect()),
        list("the roles in a tenant", given.tenant_roles().collect()),
    ];
    by.into_iter().flatten().collect::<Vec<_>>().join(", or ")
}

fn yes(met: bool) -> &'static str {
    if met { "yes" } else { "no " }
}

const AMBIGUOUS_PATH: &str =
    "the path means different things to different servers, and rules of this host look at paths";
const AMBIGUOUS_QUERY: &str =
    "the query means different things to different servers, and a rule depends on it";
const AMBIGUOUS_METHOD: &str =
    "the query names another method, which some servers act on in place of the request's own";
const OTHER_DESTINATION: &str = "it would be copied or moved to another host, where other rules decide about some of it, or nobody knows where; it is refused with 400";
