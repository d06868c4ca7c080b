//! Rules in another product's order and meaning, as rules of foregate: the paths are cut into parts within which every
//! rule speaks of all or of nothing, and each part gets what the rules together let in. Where it is not known whether a
//! rule speaks of a part, whoever is let in is let in either way. Knows no product and no TOML.

use std::collections::BTreeSet;

use super::path::Paths;
use super::plan::{Factor, Rule, Terms, Verdict};

/// A rule of foregate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decided {
    /// All paths without.
    pub(super) path: Option<Paths>,
    /// All methods without.
    pub(super) methods: Vec<String>,
    pub(super) verdict: Verdict,
}

/// What an app is to decide.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    /// In the order in which they count.
    pub(super) rules: Vec<Decided>,
    /// Where no rule speaks.
    pub(super) otherwise: Verdict,
    /// The rules, by their keys, that keep out more than they did; all of it is in the table.
    pub(super) stricter: BTreeSet<String>,
}

/// Settles all parts.
pub(super) fn decide(rules: &[Rule], otherwise: &Verdict) -> Table {
    let Some(parts) = parts(rules) else {
        let stricter = rules.iter().map(|rule| rule.key.clone()).collect();
        return Table { stricter, ..Table::default() };
    };
    let methods: BTreeSet<&str> =
        rules.iter().filter_map(|rule| rule.methods.as_ref()).flatten().map(|one| class(one)).collect();
    let mut stricter = BTreeSet::new();
    let mut rows: Vec<Row<'_>> = Vec::new();
    for part in parts {
        let mut ask = |method| verdict(rules, otherwise, (&part, method), &mut stricter);
        let others = ask(None);
        let single = methods.iter().map(|method| (*method, ask(Some(*method)))).collect();
        rows.push(Row { part, others, single });
    }
    thin(&mut rows);
    let mut table = Table { stricter, ..Table::default() };
    for row in rows {
        row.write(&mut table);
    }
    table
}

/// A part, and what is decided there by method.
struct Row<'a> {
    part: Paths,
    single: Vec<(&'a str, Verdict)>,
    others: Verdict,
}

impl Row<'_> {
    fn says_the_same(&self, other: &Self) -> bool {
        self.others == other.others && self.single == other.single
    }

    fn write(self, table: &mut Table) {
        let everywhere = self.part == Paths::all();
        let path = (!everywhere).then_some(self.part);
        let mut differing: Vec<(Verdict, Vec<String>)> = Vec::new();
        for (method, verdict) in self.single.into_iter().filter(|(_, verdict)| *verdict != self.others) {
            match differing.iter_mut().find(|(other, _)| *other == verdict) {
                Some((_, methods)) => methods.push(method.to_owned()),
                None => differing.push((verdict, vec![method.to_owned()])),
            }
        }
        let rules =
            differing.into_iter().map(|(verdict, methods)| Decided { path: path.clone(), methods, verdict });
        table.rules.extend(rules);
        if everywhere {
            table.otherwise = self.others;
        } else {
            table.rules.push(Decided { path, methods: Vec::new(), verdict: self.others });
        }
    }
}

/// Leaves out parts about which the next one says the same.
fn thin(rows: &mut Vec<Row<'_>>) {
    let mut at = rows.len();
    while at > 0 {
        at -= 1;
        let next = rows[at + 1..].iter().find(|row| row.part.common(&rows[at].part).is_some());
        if next.is_some_and(|next| next.part.holds(&rows[at].part) && next.says_the_same(&rows[at])) {
            rows.remove(at);
        }
    }
}

/// All parts, such that those within others come first; the last one is everything. `None` if there are too many.
fn parts(rules: &[Rule]) -> Option<Vec<Paths>> {
    let sets = rules.iter().flat_map(|rule| rule.paths.surely.iter().chain(&rule.paths.maybe));
    let mut parts: Vec<Paths> = vec![Paths::all()];
    let mut waiting: Vec<Paths> =
        sets.flat_map(|set| set.edge().into_iter().chain([set.sayable()])).collect();
    while let Some(part) = waiting.pop() {
        if parts.contains(&part) {
            continue;
        }
        waiting.extend(parts.iter().filter_map(|other| part.common(other)));
        parts.push(part);
        if parts.len() > MOST_PARTS {
            return None;
        }
    }
    parts.sort_by_key(|part| (part.rank(), part.clone()));
    Some(parts)
}

/// Whether a rule speaks of a part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaks {
    Of,
    NotOf,
    PerhapsOf,
}

fn speaks(rule: &Rule, (part, method): (&Paths, Option<&str>)) -> Speaks {
    let by_method = match (&rule.methods, method) {
        (None, _) => Speaks::Of,
        (Some(methods), Some(method)) if methods.contains(method) => Speaks::Of,
        // HEAD counts as GET.
        (Some(methods), Some(method)) if methods.iter().any(|one| class(one) == method) => Speaks::PerhapsOf,
        (Some(_), Some(_) | None) => Speaks::NotOf,
    };
    let by_path = if rule.paths.surely.iter().any(|set| set.holds(part)) {
        Speaks::Of
    } else if rule.paths.maybe.iter().any(|set| set.holds(part)) {
        Speaks::PerhapsOf
    } else {
        Speaks::NotOf
    };
    match (by_method, by_path) {
        (Speaks::NotOf, _) | (_, Speaks::NotOf) => Speaks::NotOf,
        (Speaks::Of, Speaks::Of) => Speaks::Of,
        (Speaks::PerhapsOf, _) | (_, Speaks::PerhapsOf) => Speaks::PerhapsOf,
    }
}

/// What the rules let in at a part. Those that keep out more than they did are noted.
fn verdict(
    rules: &[Rule],
    otherwise: &Verdict,
    place: (&Paths, Option<&str>),
    stricter: &mut BTreeSet<String>,
) -> Verdict {
    let spoken: Vec<Speaks> = rules.iter().map(|rule| speaks(rule, place)).collect();
    let is_last = |(rule, speaks): (&Rule, &Speaks)| *speaks == Speaks::Of && rule.whom.is_none();
    let last = rules.iter().zip(&spoken).position(is_last);
    let rest = last.and_then(|at| rules.get(at)).map_or(otherwise, |rule| &rule.verdict).clone();
    let before = rules.iter().zip(spoken).take(last.unwrap_or(rules.len()));
    before.rev().fold(rest, |rest, (rule, speaks)| rule.before(rest, speaks, stricter))
}

impl Rule {
    /// What is decided where it stands before rules that decide so.
    fn before(&self, rest: Verdict, speaks: Speaks, stricter: &mut BTreeSet<String>) -> Verdict {
        let left = match (speaks, &self.whom) {
            (Speaks::NotOf, _) => return rest,
            // Whom it keeps out could be told from the others only by a no, which foregate's terms do not have.
            (_, Some(_)) if self.verdict == Verdict::Nobody => Verdict::Nobody,
            (_, Some(whom)) if self.admits_all(whom) => {
                // Nobody knows whether they are meant before they have signed in.
                let left = rest.and(&self.asked(whom));
                return if speaks == Speaks::Of { self.verdict.of(whom).or(&left) } else { left };
            }
            (_, Some(_) | None) if self.verdict == Verdict::Public => rest.clone(),
            (_, Some(_) | None) => rest.and(&self.verdict),
        };
        if left != rest {
            stricter.insert(self.key.clone());
        }
        match &self.whom {
            Some(whom) if speaks == Speaks::Of => self.verdict.of(whom).or(&left),
            Some(_) | None => left,
        }
    }

    /// Whether it lets in all of whom it speaks, so that it keeps nobody out whom it knows.
    fn admits_all(&self, whom: &Terms) -> bool {
        match &self.verdict {
            Verdict::Public => true,
            Verdict::Nobody => false,
            Verdict::Who(terms, factor) => *factor == Factor::Any && whom.and(terms) == *whom,
        }
    }

    /// What everybody is asked for whom it does not let in.
    fn asked(&self, whom: &Terms) -> Verdict {
        if self.verdict == Verdict::Public || !whom.is_personal() {
            Verdict::Public
        } else {
            Verdict::signed_in()
        }
    }
}

/// As which method one counts.
fn class(method: &str) -> &str {
    if method == "HEAD" { "GET" } else { method }
}

/// An app with more parts is closed.
const MOST_PARTS: usize = 300;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::regex::{Against, paths_of};
    use super::*;

    fn rule(expression: &str, verdict: Verdict) -> Rule {
        Rule::new(expression, verdict).at(paths_of(expression, Against::Path))
    }

    fn group(name: &str) -> Terms {
        Terms::one(format!("group:{name}"))
    }

    fn shown(table: &Table) -> String {
        let say = |verdict: &Verdict| match verdict {
            Verdict::Public => "public".to_owned(),
            Verdict::Nobody => "nobody".to_owned(),
            Verdict::Who(terms, factor) => {
                let ways: Vec<String> = terms
                    .ways()
                    .iter()
                    .map(|way| way.iter().cloned().collect::<Vec<_>>().join("+"))
                    .collect();
                ways.join("|") + if *factor == Factor::Second { "!" } else { "" }
            }
        };
        let mut text = String::new();
        for rule in &table.rules {
            let path = rule.path.as_ref().map_or_else(|| "*".to_owned(), ToString::to_string);
            text.push_str(&format!("{path}{} {}; ", rule.methods.join(","), say(&rule.verdict)));
        }
        text + &say(&table.otherwise)
    }

    #[test]
    fn the_first_rule_decides_and_people_it_does_not_mean_are_left_to_the_next() {
        let rules = [
            rule("^/admin(/.*)?$", Verdict::signed_in()).of(group("admins")),
            rule("^/admin(/.*)?$", Verdict::Nobody),
            rule("^/api/", Verdict::Public),
        ];
        let table = decide(&rules, &Verdict::signed_in());
        assert_eq!(shown(&table), "/api signed-in; /admin/** group:admins; /api/** public; signed-in");
        assert!(table.stricter.is_empty());
        let rules = [
            rule(".*", Verdict::signed_in()).of(group("a")),
            rule("^/x$", Verdict::signed_in()).of(group("b")),
        ];
        assert_eq!(shown(&decide(&rules, &Verdict::Nobody)), "/x group:a|group:b; group:a");
    }

    #[test]
    fn a_rule_for_some_asks_everybody_who_they_are() {
        let rules = [rule(".*", Verdict::signed_in()).of(group("a")), rule(".*", Verdict::Public)];
        assert_eq!(shown(&decide(&rules, &Verdict::Nobody)), "signed-in");
        let network = Terms::one("network:10.0.0.0/8");
        let rules = [rule(".*", Verdict::signed_in()).of(network), rule(".*", Verdict::Public)];
        assert_eq!(shown(&decide(&rules, &Verdict::Nobody)), "signed-in");
    }

    #[test]
    fn who_is_kept_out_alone_closes_it_for_all() {
        let rules = [rule("^/x", Verdict::Nobody).of(group("banned"))];
        let table = decide(&rules, &Verdict::signed_in());
        assert_eq!(shown(&table), "nobody");
        assert_eq!(table.stricter.len(), 1);
        assert!(decide(&rules, &Verdict::Nobody).stricter.is_empty(), "nothing is lost where all was closed");
    }

    #[test]
    fn what_may_be_meant_is_opened_by_neither() {
        let second = Verdict::Who(Terms::signed_in(), Factor::Second);
        let table = decide(&[rule("^/admin.*$", second)], &Verdict::signed_in());
        assert_eq!(shown(&table), "signed-in!");
        assert_eq!(shown(&decide(&[rule(r"\.css$", Verdict::Public)], &Verdict::signed_in())), "signed-in");
        assert_eq!(shown(&decide(&[rule("^/admin", Verdict::Nobody)], &Verdict::Public)), "nobody");
    }

    #[test]
    fn methods_are_told_apart_and_head_is_get() {
        let rules = [rule("^/a$", Verdict::Public).with_methods(["GET".to_owned(), "HEAD".to_owned()])];
        assert_eq!(shown(&decide(&rules, &Verdict::signed_in())), "/aGET public; /a signed-in; signed-in");
        let rules = [rule(".*", Verdict::Public).with_methods(["HEAD".to_owned()])];
        assert_eq!(shown(&decide(&rules, &Verdict::signed_in())), "signed-in");
        let rules = [rule(".*", Verdict::Public).with_methods(["OPTIONS".to_owned()])];
        assert_eq!(shown(&decide(&rules, &Verdict::signed_in())), "*OPTIONS public; signed-in");
    }

    /// What the rules mean by themselves, for one request of one person.
    fn meant(rules: &[Rule], otherwise: &Verdict, path: &Paths, method: &str, person: &str) -> Option<bool> {
        for rule in rules {
            let surely = rule.paths.surely.iter().any(|set| set.holds(path));
            let maybe = rule.paths.maybe.iter().any(|set| set.holds(path));
            let by_method = rule.methods.as_ref().is_none_or(|methods| methods.contains(method));
            let whom =
                rule.whom.as_ref().is_none_or(|whom| whom.ways().iter().all(|way| way.contains(person)));
            // Who is nobody yet is asked to sign in first.
            let asked = rule.whom.is_some() && person.is_empty() && rule.verdict != Verdict::Public;
            if surely && by_method && asked {
                return Some(false);
            }
            if maybe && !surely && by_method && (whom || asked) {
                return None;
            }
            if surely && by_method && whom {
                return Some(admits(&rule.verdict, person));
            }
        }
        Some(admits(otherwise, person))
    }

    fn admits(verdict: &Verdict, person: &str) -> bool {
        match verdict {
            Verdict::Public => true,
            Verdict::Nobody => false,
            Verdict::Who(terms, _) => terms.ways().iter().any(|way| {
                way.iter().all(|term| term == person || (term == "signed-in" && !person.is_empty()))
            }),
        }
    }

    fn rules() -> impl Strategy<Value = Vec<Rule>> {
        let expressions = prop::sample::select(vec![
            "^/a$",
            "^/a/",
            "^/a(/.*)?$",
            "^/a/b$",
            "^/a",
            "^/[^/]+/b$",
            "^/a/[^/]+$",
            ".*",
            r"\.x$",
            "^/c",
            "^/a/b/.*$",
            "^/(a|c)/b",
        ]);
        let verdicts = prop::sample::select(vec![
            Verdict::Public,
            Verdict::Nobody,
            Verdict::signed_in(),
            Verdict::who(group("a")),
        ]);
        let methods = prop::sample::select(vec![None, Some("GET"), Some("POST")]);
        let whom = prop::sample::select(vec![None, Some("a"), Some("b")]);
        let one = (expressions, verdicts, methods, whom).prop_map(|(expression, verdict, methods, whom)| {
            let rule = rule(expression, verdict);
            let rule = whom.map_or_else(|| rule.clone(), |name| rule.clone().of(group(name)));
            methods.map_or_else(|| rule.clone(), |method| rule.clone().with_methods([method.to_owned()]))
        });
        prop::collection::vec(one, 0..6)
    }

    proptest! {
        #[test]
        fn nobody_gets_in_who_was_kept_out(rules in rules(), open in any::<bool>()) {
            let otherwise = if open { Verdict::signed_in() } else { Verdict::Nobody };
            let table = decide(&rules, &otherwise);
            for path in ["/", "/a", "/a/", "/a/b", "/a/b/c", "/c", "/c/b", "/d/b", "/ab", "/a/x.x", "/cx/y"] {
                let path = Paths::literal(path, super::super::path::Reach::Exact).unwrap();
                for method in ["GET", "POST", "PUT"] {
                    for person in ["", "group:a", "group:b"] {
                        let decides = |rule: &&Decided| {
                            rule.path.as_ref().is_none_or(|set| set.holds(&path)) && (rule.methods.is_empty() || rule.methods.iter().any(|one| one == method))
                        };
                        let verdict = table.rules.iter().find(decides).map_or(&table.otherwise, |rule| &rule.verdict);
                        let lets_in = admits(verdict, person);
                        if let Some(meant) = meant(&rules, &otherwise, &path, method, person) {
                                prop_assert!(!lets_in || meant, "{rules:?} {path} {method} {person}: {table:?}");
                                let exact = rules.iter().all(|rule| rule.paths.is_exact());
                                if exact && table.stricter.is_empty() {
                                    prop_assert_eq!(lets_in, meant, "{:?} {} {} {}: {:?}", rules, path, method, person, table);
                                }
                            }
                    }
                }
            }
        }
    }
}
