//! `allow` and `rules` of apps: who is let in, and which rules could never apply. Knows no hosts.

use std::collections::HashSet;

use http::Method;

use super::conditions::{read_age, read_query, read_words, with_mode};
use super::findings::{Notebook, Place, nearest};
use super::keys::rule_keys;
use super::written::{Entry, Node, Value};
use crate::identity::Proof;
use crate::policy::{PathPattern, QueryPattern, Requirement, Rule, TermError, Terms};
use crate::visit::can_be_judged;

/// Reads who is let in: a term, an array of which any one is enough, `{ any = […] }` or `{ all = […] }`.
pub(crate) fn read_allow(node: &Node, terms: Terms<'_>, book: &mut Notebook) -> Option<Requirement> {
    match &node.value {
        Value::Text(text) => read_term(text, &node.place, terms, book),
        Value::List(list) => read_several((list, &node.place), Several::Any, terms, book),
        Value::Table(entries) => match entries.as_slice() {
            [Entry { key, node: Node { value: Value::List(list), place }, .. }] if key == "any" => {
                read_several((list, place), Several::Any, terms, book)
            }
            [Entry { key, node: Node { value: Value::List(list), place }, .. }] if key == "all" => {
                read_several((list, place), Several::All, terms, book)
            }
            _ => {
                let fix = "write { all = [\"…\", \"…\"] } or { any = [\"…\", \"…\"] }";
                book.note(&node.place, "a table in `allow` holds either all or any, with an array", fix);
                None
            }
        },
        value @ (Value::Count(_) | Value::Flag(_) | Value::Fraction(_) | Value::Odd(_)) => {
            let problem = format!("`allow` is {}", value.kind());
            book.note(
                &node.place,
                problem,
                "write such as \"signed-in\" or [\"group:family\", \"user:bob\"]",
            );
            None
        }
    }
}

fn read_term(text: &str, place: &Place, terms: Terms<'_>, book: &mut Notebook) -> Option<Requirement> {
    match terms.parse(text) {
        Ok(_) if is_ragged(text) => {
            let problem = format!("`{}` has white space around its name", text.escape_debug());
            book.note(place, problem, "remove it");
            None
        }
        Ok(wanted) => Some(wanted),
        Err(error) => {
            let meant = match &error {
                TermError::NoRole(name) => nearest(name, terms.roles.roles().map(|role| &*role.name)),
                TermError::NoPermission(name) => {
                    nearest(name, terms.roles.permissions().map(|one| &*one.name))
                }
                TermError::Unknown(_)
                | TermError::Empty(_)
                | TermError::Pattern(_)
                | TermError::Claim(_)
                | TermError::NoTenants(_)
                | TermError::NoName(_)
                | TermError::EveryNetwork(_)
                | TermError::Network(_)
                | TermError::Braces(_)
                | TermError::NotInPath(..)
                | TermError::NoCapture(_) => None,
            };
            match (meant, error.to_string().rsplit_once(": ")) {
                (Some(meant), Some((problem, _))) => {
                    book.note(place, problem, format!("did you mean `{meant}`?"))
                }
                (Some(_) | None, _) => book.note_error(place, &error),
            }
            None
        }
    }
}

/// Whether a name has blanks at an end, or what no name has. No e-mail address, role or network gets here with such.
fn is_ragged(term: &str) -> bool {
    let name = term.split_once(':').map_or("", |(_, name)| name);
    let ends = name.split_once('=').filter(|_| term.starts_with("claim:"));
    let (claim, value) = ends.unwrap_or((name, name));
    [claim, value].iter().any(|name| name.trim() != *name) || term.contains(char::is_control)
}

/// How the entries of an array count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Several {
    Any,
    All,
}

fn read_several(
    (list, place): (&[Node], &Place),
    how: Several,
    terms: Terms<'_>,
    book: &mut Notebook,
) -> Option<Requirement> {
    if list.is_empty() {
        book.note(place, "this `allow` is empty", "write \"nobody\" if nobody is to be let in");
        return None;
    }
    let before = book.count();
    let mut wanted: Vec<Requirement> = Vec::new();
    for node in list {
        let Some(one) = read_allow(node, terms, book) else { continue };
        if wanted.contains(&one) {
            book.note(&node.place, "this entry stands there twice", "remove one of the two");
        }
        let decisive = match (&one, how) {
            (Requirement::Public | Requirement::Nobody, _) => true,
            // Whom a network lets in need not sign in.
            (Requirement::SignedIn, Several::Any) => !list.iter().any(is_network),
            (
                Requirement::SignedIn
                | Requirement::User(_)
                | Requirement::Group(_)
                | Requirement::Role(_)
                | Requirement::Permission(_)
                | Requirement::Email(_)
                | Requirement::Claim(..)
                | Requirement::Tenant(_)
                | Requirement::Network(_)
                | Requirement::Any(_)
                | Requirement::All(_),
                _,
            ) => false,
        };
        if decisive && list.len() > 1 {
            let problem = "beside this entry the others have no effect, or it has none itself";
            book.note(&node.place, problem, "remove it, or the others");
        }
        wanted.push(one);
    }
    if book.count() > before {
        return None;
    }
    Some(match (how, wanted.len()) {
        (_, 1) => wanted.remove(0),
        (Several::Any, _) => Requirement::Any(wanted),
        (Several::All, _) => Requirement::All(wanted),
    })
}

/// Whether an entry is met by an address alone.
fn is_network(node: &Node) -> bool {
    matches!(&node.value, Value::Text(text) if text.starts_with("network:"))
}

/// A rule as far as it says which requests it speaks of.
struct Scope {
    /// No path is every path.
    path: Option<PathShape>,
    /// Without HEAD, which counts as GET; none are all.
    methods: HashSet<Method>,
    query: QueryPattern,
    place: Place,
}

/// A path pattern that is well formed, `*` for each segment that may be any.
struct PathShape {
    segments: Vec<String>,
    /// Whether everything below belongs to it.
    open: bool,
}

/// Reads the rules of an app. The flag is whether they speak of every request, so that nothing is left for `allow`.
pub(crate) fn read_rules(
    app: &str,
    node: &Node,
    terms: Terms<'_>,
    book: &mut Notebook,
) -> Option<(Vec<Rule>, bool)> {
    let Value::List(list) = &node.value else {
        book.note(&node.place, format!("`rules` is {}", node.value.kind()), RULES_FIX);
        return None;
    };
    if list.is_empty() {
        book.note(&node.place, "`rules` is empty", "remove it");
        return None;
    }
    let before = book.count();
    let mut rules = Vec::new();
    let mut scopes: Vec<Scope> = Vec::new();
    for (index, node) in list.iter().enumerate() {
        let Some((rule, scope)) = read_rule(&format!("{app} rule {}", index + 1), node, terms, book) else {
            continue;
        };
        if let Some(wider) = scopes.iter().find(|earlier| earlier.covers(&scope)) {
            let problem =
                format!("this rule is never reached: the one at {} applies first", book.whence(&wider.place));
            book.note(&scope.place, problem, "move it up, or remove it");
        }
        rules.push(rule);
        scopes.push(scope);
    }
    let everything = Scope::of(None, &[], node.place.clone());
    let closed = scopes.iter().any(|scope| scope.covers(&everything));
    (book.count() == before).then_some((rules, closed))
}

fn read_rule(name: &str, node: &Node, common: Terms<'_>, book: &mut Notebook) -> Option<(Rule, Scope)> {
    let Value::Table(entries) = &node.value else {
        book.note(&node.place, format!("a rule is a table, and this is {}", node.value.kind()), RULES_FIX);
        return None;
    };
    let before = book.count();
    // Before all else, as terms speak of its segments.
    let path = entries.iter().find(|entry| entry.key == "path");
    let path = path.and_then(|entry| read_path(&entry.node, book));
    let unread = book.count() > before;
    let terms = Terms { path: path.as_ref().map(|(_, pattern)| pattern), ..common };
    let (mut methods, mut allow) = (Vec::new(), None);
    let (mut query, mut proof) = (QueryPattern::default(), Proof::default());
    for entry in entries {
        match entry.key.as_str() {
            "path" | "mode" | "meanwhile" => {}
            "methods" => methods = read_methods(&entry.node, book).unwrap_or_default(),
            // What a path that cannot be read has no segment for is no other mistake.
            "allow" if unread => {}
            "allow" => allow = read_allow(&entry.node, terms, book),
            "query" => query = read_query(&entry.node, book).unwrap_or_default(),
            "max_auth_age" => proof.max_age = read_age(entry, book),
            "acr" => proof.acr = read_words(entry, book),
            "amr" => proof.amr = read_words(entry, book),
            _ => note_unknown_entry(entry, "a rule", rule_keys(), book),
        }
    }
    if !entries.iter().any(|entry| entry.key == "allow") {
        book.note(&node.place, "this rule has no `allow`", "write allow = \"nobody\" if it lets nobody in");
    }
    if book.count() > before {
        return None;
    }
    if allow == Some(Requirement::Public) && !proof.is_empty() {
        let problem = "this rule lets everybody in and wants a proof of who they are";
        book.note(&node.place, problem, "write allow = \"signed-in\", or whom you mean");
        return None;
    }
    let (text, pattern) = path.unzip();
    let scope = Scope { query: query.clone(), ..Scope::of(text.as_deref(), &methods, node.place.clone()) };
    let terms = Terms { path: pattern.as_ref(), ..common };
    let rule =
        Rule::new(name.to_owned(), pattern.clone(), methods, allow?).with_query(query).with_proof(proof);
    Some((with_mode(rule, entries, terms, book)?, scope))
}

fn read_path(node: &Node, book: &mut Notebook) -> Option<(String, PathPattern)> {
    let Value::Text(text) = &node.value else {
        book.note(
            &node.place,
            format!("`path` is {}", node.value.kind()),
            "write text such as \"/admin/**\"",
        );
        return None;
    };
    match PathPattern::parse(text) {
        Ok(pattern) => Some((text.clone(), pattern)),
        Err(error) => {
            book.note_error(&node.place, &error);
            None
        }
    }
}

/// What is no method, and written for all of them.
const EVERY_METHOD: [&str; 3] = ["*", "ALL", "ANY"];

fn read_methods(node: &Node, book: &mut Notebook) -> Option<Vec<Method>> {
    let fix = "write such as [\"GET\", \"POST\"], or leave it out for all methods";
    let list = match &node.value {
        Value::List(list) if !list.is_empty() => list,
        Value::List(_) => {
            book.note(&node.place, "`methods` is empty", fix);
            return None;
        }
        value @ (Value::Text(_)
        | Value::Count(_)
        | Value::Flag(_)
        | Value::Table(_)
        | Value::Fraction(_)
        | Value::Odd(_)) => {
            book.note(&node.place, format!("`methods` is {}", value.kind()), fix);
            return None;
        }
    };
    let before = book.count();
    let mut methods = Vec::new();
    for node in list {
        let text = match &node.value {
            Value::Text(text) => text.as_str(),
            Value::Count(_)
            | Value::Flag(_)
            | Value::List(_)
            | Value::Table(_)
            | Value::Fraction(_)
            | Value::Odd(_) => "",
        };
        let upper = !text.bytes().any(|byte| byte.is_ascii_lowercase());
        match Method::from_bytes(text.as_bytes()) {
            Ok(_) if EVERY_METHOD.iter().any(|word| text.eq_ignore_ascii_case(word)) => {
                book.note(
                    &node.place,
                    format!("no request has the method `{text}`"),
                    "leave `methods` out for all methods",
                );
            }
            Ok(method) if can_be_judged(&method) => methods.push(method),
            Ok(Method::CONNECT) => book.note(&node.place, "`CONNECT` is always refused", "leave it out"),
            Ok(_) if upper => {
                book.note(
                    &node.place,
                    format!("no request has the method `{text}`: they are of the letters A to Z"),
                    fix,
                );
            }
            Ok(_) => book.note(
                &node.place,
                format!("the method `{text}` is not in upper case"),
                format!("write \"{}\"", text.to_ascii_uppercase()),
            ),
            Err(_) => book.note(&node.place, "this is not a method", fix),
        }
    }
    if book.count() == before && methods.iter().all(|method| *method == Method::HEAD) {
        book.note(&node.place, "HEAD alone is never reached, as it counts as GET", "write \"GET\"");
    }
    (book.count() == before).then_some(methods)
}

/// Notes a name that an app or a rule does not know.
pub(crate) fn note_unknown_entry(
    entry: &Entry,
    of: &str,
    known: impl Iterator<Item = &'static str> + Clone,
    book: &mut Notebook,
) {
    book.hide(&entry.node.place);
    let fix = match nearest(&entry.key, known.clone()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("remove it; {of} has {}", known.collect::<Vec<_>>().join(", ")),
    };
    book.note(&entry.key_place, format!("`{}` is not a setting of {of}", entry.key), fix);
}

impl Scope {
    fn of(path: Option<&str>, methods: &[Method], place: Place) -> Self {
        let methods = methods.iter().filter(|method| **method != Method::HEAD).cloned().collect();
        Self { path: path.map(PathShape::of), methods, query: QueryPattern::default(), place }
    }

    /// Whether every request of the other scope is also one of this.
    fn covers(&self, other: &Self) -> bool {
        let all_methods =
            self.methods.is_empty() || (!other.methods.is_empty() && other.methods.is_subset(&self.methods));
        all_methods
            && self.query.covers(&other.query)
            && match (&self.path, &other.path) {
                (None, _) => true,
                (Some(path), None) => path.open && path.segments.is_empty(),
                (Some(path), Some(other)) => path.covers(other),
            }
    }
}

impl PathShape {
    fn of(pattern: &str) -> Self {
        let base = pattern.strip_suffix("/**");
        let segments = base.unwrap_or(pattern).split('/').skip(1);
        let any = |segment: &str| if segment.starts_with('{') { "*".to_owned() } else { segment.to_owned() };
        Self { segments: segments.map(any).collect(), open: base.is_some() }
    }

    /// Whether it matches whatever the other one matches.
    fn covers(&self, other: &Self) -> bool {
        let long_enough = match (self.open, other.open) {
            (true, _) => other.segments.len() >= self.segments.len(),
            (false, true) => false,
            (false, false) => other.segments.len() == self.segments.len(),
        };
        let fits = |(wide, narrow): (&String, &String)| wide == narrow || (wide == "*" && !narrow.is_empty());
        long_enough && self.segments.iter().zip(&other.segments).all(fits)
    }
}

const RULES_FIX: &str = "write rules = [ { path = \"/health\", allow = \"public\" } ]";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::findings::Origin;
    use crate::config::written::read_value;
    use crate::identity::Roles;
    use crate::policy::Name;

    fn node(text: &str) -> (Node, Notebook) {
        let mut book = Notebook::default();
        let whole = book.add(Origin::File("f".into()), text);
        (read_value(text, &whole, &mut book).unwrap(), book)
    }

    fn problems(book: Notebook) -> Vec<String> {
        let findings = book.findings();
        findings
            .iter()
            .flat_map(|all| all.iter().map(|one| format!("{}; {}", one.problem, one.fix)))
            .collect()
    }

    #[test]
    fn allow_is_a_term_an_array_or_a_table() {
        let group = |name: &str| Requirement::Group(Name::Fixed(name.into()));
        for (text, wanted) in [
            ("'signed-in'", Requirement::SignedIn),
            ("['group:a']", group("a")),
            ("['group:a', 'group:b']", Requirement::Any(vec![group("a"), group("b")])),
            (
                "['network:10.0.0.0/8', 'signed-in']",
                Requirement::Any(vec![
                    Requirement::Network("10.0.0.0/8".parse().unwrap()),
                    Requirement::SignedIn,
                ]),
            ),
            ("{ any = ['group:a', 'group:b'] }", Requirement::Any(vec![group("a"), group("b")])),
            ("{ all = ['group:a', 'group:b'] }", Requirement::All(vec![group("a"), group("b")])),
            (
                "['group:c', { all = ['group:a', 'group:b'] }]",
                Requirement::Any(vec![group("c"), Requirement::All(vec![group("a"), group("b")])]),
            ),
        ] {
            let (node, mut book) = node(text);
            let terms = Terms { roles: &Roles::default(), path: None, tenants: false };
            assert_eq!(read_allow(&node, terms, &mut book), Some(wanted), "{text}");
        }
    }

    #[test]
    fn an_allow_that_cannot_be_meant_is_a_finding() {
        let table = "a table in `allow` holds either all or any, with an array; write { all = [\"…\", \"…\"] } or { any = [\"…\", \"…\"] }";
        let idle =
            "beside this entry the others have no effect, or it has none itself; remove it, or the others";
        for (text, wanted) in [
            (
                "'everyone'",
                "`everyone` is not an allow term; use public, signed-in, user:NAME, group:NAME, role:NAME, permission:NAME, email:PATTERN, claim:NAME=VALUE, tenant:NAME or network:CIDR",
            ),
            ("'role:x'", "there is no role `x`; write a table [roles.NAME] for it"),
            ("'permission:x'", "no role has the permission `x`; add it to the permissions of a role"),
            ("'claim:x'", "`claim:x` does not say which value; write claim:NAME=VALUE"),
            ("'claim: x=y'", "`claim: x=y` has white space around its name; remove it"),
            ("'claim:x=y '", "`claim:x=y ` has white space around its name; remove it"),
            (
                "'network:10.0.0.1/8'",
                "`10.0.0.1/8` is no network; write such as network:10.0.0.0/8 or network:192.0.2.7",
            ),
            (
                "'group:{x}'",
                "`group:{x}` speaks of {x}, which the path of its rule does not have; name a segment of the path so",
            ),
            (
                "'role:{x}'",
                "`role:{x}` cannot hold a part of the path; only names of users, groups and tenants and values of claims can",
            ),
            (
                "'group:a}'",
                "`group:a}` holds braces that are no part of the path; write one {name} of the rule's path at a time",
            ),
            ("'group:'", "`group:` names nobody; write the name behind the colon"),
            ("'group: a'", "`group: a` has white space around its name; remove it"),
            ("'email:*'", "`*` is not an e-mail pattern; write `bob@example.com` or `*@example.com`"),
            ("[]", "this `allow` is empty; write \"nobody\" if nobody is to be let in"),
            ("5", "`allow` is a number; write such as \"signed-in\" or [\"group:family\", \"user:bob\"]"),
            ("{ some = ['public'] }", table),
            ("{ all = 'public' }", table),
            ("{}", table),
            ("['public', 'user:a']", idle),
            ("['user:a', 'signed-in']", idle),
            ("{ all = ['nobody', 'user:a'] }", idle),
            ("['user:a', 'user:a']", "this entry stands there twice; remove one of the two"),
        ] {
            let (node, mut book) = node(text);
            let terms = Terms { roles: &Roles::default(), path: None, tenants: false };
            assert_eq!(read_allow(&node, terms, &mut book), None, "{text}");
            assert_eq!(problems(book), [wanted], "{text}");
        }
    }

    #[test]
    fn a_rule_that_cannot_apply_is_a_finding() {
        let hidden = "this rule is never reached: the one at f:1 applies first; move it up, or remove it";
        for (text, wanted) in [
            ("[{ path = '/a' }]", "this rule has no `allow`; write allow = \"nobody\" if it lets nobody in"),
            (
                "[{ path = 'a', allow = 'public' }]",
                "`a` is not a path pattern; start with `/`, end in `/**` for all below, use `*` or `{name}` for one whole segment",
            ),
            ("[{ path = 5, allow = 'public' }]", "`path` is a number; write text such as \"/admin/**\""),
            (
                "[{ methods = ['get'], allow = 'public' }]",
                "the method `get` is not in upper case; write \"GET\"",
            ),
            (
                "[{ methods = ['G ET'], allow = 'public' }]",
                "this is not a method; write such as [\"GET\", \"POST\"], or leave it out for all methods",
            ),
            (
                "[{ methods = [], allow = 'public' }]",
                "`methods` is empty; write such as [\"GET\", \"POST\"], or leave it out for all methods",
            ),
            (
                "[{ methods = 'GET', allow = 'public' }]",
                "`methods` is text; write such as [\"GET\", \"POST\"], or leave it out for all methods",
            ),
            (
                "[{ methods = ['HEAD'], allow = 'public' }]",
                "HEAD alone is never reached, as it counts as GET; write \"GET\"",
            ),
            ("[{ pth = '/a', allow = 'public' }]", "`pth` is not a setting of a rule; did you mean `path`?"),
            (
                "[{ acr = 'mfa', allow = 'public' }]",
                "this rule lets everybody in and wants a proof of who they are; write allow = \"signed-in\", or whom you mean",
            ),
            (
                "[{ acr = 'm fa', allow = 'signed-in' }]",
                "`m fa` is no word that a provider could say; write letters, digits and signs without blanks and quotes",
            ),
            (
                "[{ amr = [], allow = 'signed-in' }]",
                "`amr` is empty; write such as \"mfa\" or [\"otp\", \"hwk\"]",
            ),
            (
                "[{ acr = 5, allow = 'signed-in' }]",
                "`acr` is a number; write such as \"mfa\" or [\"otp\", \"hwk\"]",
            ),
            (
                "[{ max_auth_age = '10s', allow = 'signed-in' }]",
                "`max_auth_age` is shorter than a sign-in takes; write 30s or more, such as 10m",
            ),
            (
                "[{ max_auth_age = 'soon', allow = 'signed-in' }]",
                "`max_auth_age` is not a length of time; write a number with s, m, h, d or w, such as 30m or 12h",
            ),
            (
                "[{ query = 'a=b', allow = 'signed-in' }]",
                "`query` is text; write such as { action = \"edit\" } or { action = [\"edit\", \"delete\"] }",
            ),
            (
                "[{ query = {}, allow = 'signed-in' }]",
                "`query` is empty; write such as { action = \"edit\" } or { action = [\"edit\", \"delete\"] }",
            ),
            (
                "[{ query = { a = [] }, allow = 'signed-in' }]",
                "the parameter `a` can have no value; write such as { action = \"edit\" } or { action = [\"edit\", \"delete\"] }",
            ),
            (
                "[{ query = { 'a[]' = '1' }, allow = 'signed-in' }]",
                "no rule can be sure of a parameter `a[]`; write names in letters and digits, with - _ and . between them",
            ),
            (
                "[{ query = { a = ['1', '2'] }, allow = 'public' }, { query = { a = '1', b = '2' }, allow = 'user:a' }]",
                hidden,
            ),
            (
                "['public']",
                "a rule is a table, and this is text; write rules = [ { path = \"/health\", allow = \"public\" } ]",
            ),
            ("[]", "`rules` is empty; remove it"),
            ("'public'", "`rules` is text; write rules = [ { path = \"/health\", allow = \"public\" } ]"),
            ("[{ allow = 'public' }, { path = '/a', allow = 'user:a' }]", hidden),
            (
                "[{ path = '/a', allow = 'public' }, { path = '/a', methods = ['GET'], allow = 'user:a' }]",
                hidden,
            ),
        ] {
            let (node, mut book) = node(text);
            let terms = Terms { roles: &Roles::default(), path: None, tenants: false };
            assert!(read_rules("app", &node, terms, &mut book).is_none(), "{text}");
            assert_eq!(problems(book), [wanted], "{text}");
        }
    }

    #[test]
    fn one_rule_hides_another_only_if_it_takes_all_of_it() {
        for (wide, narrow, hides) in [
            (("/a", ""), ("/a", "GET"), true),
            (("/a", "GET POST"), ("/a", "POST"), true),
            (("/a", "GET"), ("/a", "GET HEAD"), true),
            (("/a", "GET"), ("/a", ""), false),
            (("/a", "GET"), ("/a", "POST"), false),
            (("/a/**", ""), ("/a", ""), true),
            (("/a/**", ""), ("/a/", ""), true),
            (("/a/**", ""), ("/a/b/**", ""), true),
            (("/a/**", ""), ("/ab", ""), false),
            (("/a/*", ""), ("/a/b", ""), true),
            (("/a/{x}", ""), ("/a/*", ""), true),
            (("/a/*", ""), ("/a/", ""), false),
            (("/a/b", ""), ("/a/*", ""), false),
            (("/a/*", ""), ("/a/b/c", ""), false),
            (("/a/*", ""), ("/a/**", ""), false),
            (("/**", ""), ("", ""), true),
            (("/**", ""), ("/", ""), true),
            (("", ""), ("/a", ""), true),
            (("/a", ""), ("", ""), false),
        ] {
            let scope = |(path, methods): (&str, &str)| {
                let methods: Vec<Method> =
                    methods.split_whitespace().map(|method| method.parse().unwrap()).collect();
                let path = Some(path).filter(|path| !path.is_empty());
                Scope::of(path, &methods, Notebook::default().add(Origin::Default, ""))
            };
            assert_eq!(scope(wide).covers(&scope(narrow)), hides, "{wide:?} {narrow:?}");
        }
    }
}
