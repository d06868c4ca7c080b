//! Who gains and who loses access by another configuration: the rules of both are asked about the same visits by the same
//! people. Knows no sessions.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use http::Method;

use super::Config;
use crate::headers::Person;
use crate::http::dialect::read_url;
use crate::identity::{Field, Identity, Profile};
use crate::policy::{App, Decision, HostPattern, Policy, Ruling};
use crate::visit::{AskedTenant, Authorization, Credential, Visit};

/// What changes for people at one app, or at a part of one that has a rule of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessChange {
    place: Place,
    loses: Vec<String>,
    gains: Vec<String>,
}

/// An app by its name, and the part that a rule speaks of.
type Place = (String, Option<String>);
/// A visit to such a place, as an address and a method.
type Example = (String, Method);

/// What changes for these people from one configuration to another, at `now`, in Unix seconds. A rule is tried with one
/// address that it speaks of, from no known network; a rule about a query is not tried.
pub fn access_changes(before: &Config, after: &Config, people: &[Profile], now: u64) -> Vec<AccessChange> {
    let mut claims = before.wanted_claims();
    claims.extend(after.wanted_claims());
    let known = |profile: &Profile| {
        let identity = Identity::pack(profile, profile.issuer.as_str().into(), &claims);
        Some(Arc::new(Person::new(identity)))
    };
    let mut everybody = vec![None];
    everybody.extend(people.iter().map(known));
    let mut examples = examples(before);
    examples.extend(self::examples(after));
    let policies = [before.policy(), after.policy()];
    let change = |(place, example): (Place, Example)| {
        let [old, new] = policies.each_ref().map(|policy| let_in(policy, &example, &everybody, now));
        let names = |only: &[bool], not: &[bool]| {
            let only_there =
                everybody.iter().zip(only.iter().zip(not)).filter(|(_, (only, not))| **only && !**not);
            named(only_there.map(|(person, _)| person.as_ref()))
        };
        let (loses, gains) = (names(&old, &new), names(&new, &old));
        (!loses.is_empty() || !gains.is_empty()).then_some(AccessChange { place, loses, gains })
    };
    examples.into_iter().filter_map(change).collect()
}

/// A visit for every app and every rule. What both configurations name alike is one place.
fn examples(config: &Config) -> BTreeMap<Place, Example> {
    let scheme = config.public_url.scheme();
    let mut examples = BTreeMap::new();
    for app in &config.apps {
        let host = host_of(app);
        let prefix = app.prefix.as_deref().unwrap_or_default();
        let rest = (format!("{scheme}://{host}{prefix}{ANYWHERE}"), Method::GET);
        examples.insert((app.name.clone(), None), rest);
        for rule in &app.rules {
            let Some((method, path)) = rule.example() else { continue };
            let path = path.unwrap_or_else(|| format!("{prefix}{ANYWHERE}"));
            let place = (app.name.clone(), Some(rule.scope_in_words()));
            examples.insert(place, (format!("{scheme}://{host}{path}"), method));
        }
    }
    let url = format!("{scheme}://{ANY_HOST}.{}{ANYWHERE}", config.session_domain());
    examples.insert((UNNAMED.to_owned(), None), (url, Method::GET));
    examples
}

fn host_of(app: &App) -> String {
    match &app.host {
        HostPattern::Exact(host) => host.clone(),
        HostPattern::Wildcard(parent) => format!("{ANY_HOST}.{parent}"),
    }
}

/// Whether each of these people is let in, if need be after a stronger sign-in.
fn let_in(policy: &Policy, example: &Example, people: &[Option<Arc<Person>>], now: u64) -> Vec<bool> {
    let (url, method) = example;
    let Ok(target) = read_url(url.as_bytes(), method.clone()) else { return vec![false; people.len()] };
    let authorization = Authorization::default();
    let (tenant, client) = (AskedTenant::Nothing, None);
    let visit = Visit { target, credential: Credential::None, authorization, tenant, client };
    let Ruling::Rule(app, rule) = policy.rule_for(&visit.target) else { return vec![false; people.len()] };
    let admits = |person: &Option<Arc<Person>>| {
        matches!(rule.admits(app, person.clone(), &visit, now), Decision::Allow(_) | Decision::StepUp(_))
    };
    people.iter().map(admits).collect()
}

/// Their names; where everybody is one of them, nobody else needs to be named.
fn named<'p>(people: impl Iterator<Item = Option<&'p Arc<Person>>>) -> Vec<String> {
    let mut names = Vec::new();
    for person in people {
        let Some(person) = person else { return vec![EVERYBODY.to_owned()] };
        names.push(person.identity().field(Field::Username).escape_debug().to_string());
    }
    names.sort_unstable();
    names.dedup();
    let more = names.len().saturating_sub(MOST_NAMES);
    names.truncate(MOST_NAMES);
    if more > 0 {
        names.push(format!("{more} more"));
    }
    names
}

impl fmt::Display for AccessChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (app, part) = &self.place;
        let app_is = if app == UNNAMED { "" } else { "app " };
        write!(f, "{app_is}{app}")?;
        part.as_ref().map_or(Ok(()), |part| write!(f, ", {part}"))?;
        let changes = [("loses", &self.loses), ("gains", &self.gains)];
        let changes = changes.iter().filter(|(_, names)| !names.is_empty());
        let told: Vec<String> = changes.map(|(verb, names)| format!("{verb} {}", names.join(", "))).collect();
        write!(f, ": {}", told.join("; "))
    }
}

/// A path that rules hardly speak of.
const ANYWHERE: &str = "/any/other/page";
const ANY_HOST: &str = "any-other-host";
/// No app can have this name, which is no host.
const UNNAMED: &str = "hosts that no line names";
const EVERYBODY: &str = "everybody, also without a sign-in";
/// Names in one line of the log.
const MOST_NAMES: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;

    fn config(apps: &str) -> Config {
        let text = format!(
            "public_url = \"https://auth.example.com\"\n{apps}\n[apps.\"z.example.com\"]\nallow = \"public\"\n\
             [provider]\nissuer = \"https://id.example.com/\"\nclient_id = \"foregate\"\nclient_auth = \"none\"\n"
        );
        Config::from_text(Some(("foregate.toml", &text)), &Environment::default()).unwrap().config
    }

    fn person(username: &str, groups: &[&str], claim: &str) -> Profile {
        Profile {
            issuer: "https://id.example.com/".to_owned(),
            subject: username.to_owned(),
            username: username.to_owned(),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            claims: [("team".to_owned(), claim.into())].into_iter().collect(),
            ..Profile::default()
        }
    }

    #[test]
    fn who_gains_and_who_loses_is_what_the_rules_say() {
        let people =
            [person("alice", &["family"], "red"), person("bob", &[], "blue"), person("carol", &[], "red")];
        let app = |lines: &str| format!("[apps.\"a.example.com\"]\n{lines}");
        let whole = |allow: &str| app(&format!("allow = {allow}"));
        let admin = |rule: &str| app(&format!("allow = \"signed-in\"\nrules = [{rule}]"));
        let (users, first) =
            (whole("[\"user:alice\", \"user:bob\"]"), "{ path = \"/admin/**\", allow = \"user:bob\" }");
        let shadowed = format!("{{ path = \"/*/any\", allow = \"nobody\" }}, {first}");
        for (before, after, told) in [
            (users.clone(), users.clone(), vec![]),
            (
                users.clone(),
                whole("\"user:carol\""),
                vec!["app a.example.com: loses alice, bob; gains carol"],
            ),
            // In other words, and with claims that only one of them wants.
            (whole("\"claim:team=red\""), whole("[\"group:family\", \"user:carol\"]"), vec![]),
            (
                users.clone(),
                whole("\"public\""),
                vec!["app a.example.com: gains everybody, also without a sign-in"],
            ),
            (users.clone(), String::new(), vec!["app a.example.com: loses alice, bob"]),
            (
                String::new(),
                "allow = \"group:family\"".to_owned(),
                vec!["hosts that no line names: gains alice"],
            ),
            (
                app("allow = \"signed-in\""),
                admin(first),
                vec!["app a.example.com, all methods, /admin/**: loses alice, carol"],
            ),
            // A rule before it is what decides.
            (
                admin(first),
                admin(&shadowed),
                vec![
                    "app a.example.com, all methods, /*/any: loses alice, bob, carol",
                    "app a.example.com, all methods, /admin/**: loses bob",
                ],
            ),
        ] {
            let changes = access_changes(&config(&before), &config(&after), &people, 1000);
            let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
            assert_eq!(changes, told, "{before} -> {after}");
        }
    }

    #[test]
    fn many_names_are_some_and_a_number() {
        let people: Vec<Profile> = (10..35).map(|number| person(&format!("p{number}"), &[], "")).collect();
        let [closed, open] = ["\"nobody\"", "\"signed-in\""].map(|allow| config(&format!("allow = {allow}")));
        let changes = access_changes(&closed, &open, &people, 1000);
        let text = changes.iter().map(ToString::to_string).collect::<String>();
        assert!(text.contains(": gains p10, p11") && text.ends_with("p29, 5 more"), "{text}");
    }
}
