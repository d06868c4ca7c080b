//! Which rules speak of which hosts, and what is left for hosts that nobody names. Knows no product.

use super::decide::decide;
use super::plan::{App, Rule, Verdict};
use super::regex::Matched;

/// The hosts that a rule of the product speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hosts {
    All,
    /// Hosts, and `*.` with a host for any number of labels in front of it.
    These(Vec<String>),
    /// It cannot be told which.
    Some,
}

/// Rules with their hosts as apps, one for each key, and as what hosts get that no key names.
pub(super) fn spread(rules: &[(Hosts, Rule)], otherwise: &Verdict, keys: &[String]) -> (Vec<App>, Verdict) {
    let apps = keys.iter().map(|key| App {
        host: key.clone(),
        rules: rules.iter().filter_map(|(hosts, rule)| at(hosts, rule, key)).collect(),
        otherwise: otherwise.clone(),
        ..App::default()
    });
    let elsewhere: Vec<Rule> = rules.iter().filter_map(|(hosts, rule)| anywhere(hosts, rule)).collect();
    (apps.collect(), least(&elsewhere, otherwise))
}

/// Whoever all rules let in everywhere.
fn least(rules: &[Rule], otherwise: &Verdict) -> Verdict {
    let table = decide(rules, otherwise);
    table.rules.iter().fold(table.otherwise.clone(), |least, rule| least.and(&rule.verdict))
}

/// The rule as it counts for a key.
fn at(hosts: &Hosts, rule: &Rule, key: &str) -> Option<Rule> {
    match hosts {
        Hosts::All => Some(rule.clone()),
        Hosts::Some => Some(perhaps(rule)),
        Hosts::These(hosts) if hosts.iter().any(|host| holds(host, key)) => Some(rule.clone()),
        // A wildcard that has this host below it.
        Hosts::These(hosts) if hosts.iter().any(|host| holds(key, host)) && key.starts_with("*.") => {
            hosts.iter().any(|host| host.starts_with("*.")).then(|| perhaps(rule))
        }
        Hosts::These(_) => None,
    }
}

/// The rule as it counts for hosts without a key: those deep below a wildcard are among them.
fn anywhere(hosts: &Hosts, rule: &Rule) -> Option<Rule> {
    match hosts {
        Hosts::All => Some(rule.clone()),
        Hosts::Some => Some(perhaps(rule)),
        Hosts::These(hosts) => hosts.iter().any(|host| host.starts_with("*.")).then(|| perhaps(rule)),
    }
}

fn perhaps(rule: &Rule) -> Rule {
    let maybe = rule.paths.maybe.clone();
    rule.clone().at(Matched { surely: Vec::new(), maybe })
}

/// Whether all hosts of `other` are meant by `host`.
fn holds(host: &str, other: &str) -> bool {
    host == other
        || host
            .strip_prefix('*')
            .is_some_and(|end| end.starts_with('.') && other.trim_start_matches('*').ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_get_the_rules_that_speak_of_them() {
        let these = |hosts: &[&str]| Hosts::These(hosts.iter().map(ToString::to_string).collect());
        let rules = [
            (these(&["a.x.org"]), Rule::new("1", Verdict::Public)),
            (these(&["*.x.org"]), Rule::new("2", Verdict::Nobody)),
            (Hosts::All, Rule::new("3", Verdict::signed_in())),
        ];
        let keys = ["a.x.org", "b.x.org", "*.x.org", "*.b.x.org", "y.org"].map(str::to_owned);
        let (apps, elsewhere) = spread(&rules, &Verdict::Nobody, &keys);
        let decided = apps.iter().map(|app| decide(&app.rules, &app.otherwise).otherwise);
        let [public, nobody, signed_in] = [Verdict::Public, Verdict::Nobody, Verdict::signed_in()];
        assert_eq!(
            decided.collect::<Vec<_>>(),
            [public, nobody.clone(), nobody.clone(), nobody.clone(), signed_in]
        );
        assert_eq!(elsewhere, nobody, "a.b.x.org has no key and is below the wildcard");
    }
}
