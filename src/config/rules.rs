//! `allow` and `rules` of apps: who is let in, and which rules could never apply. Knows no hosts.

use std::collections::HashSet;

use http::Method;

use super::findings::{Notebook, Place, nearest};
use super::keys::{LATER_IN_APPS, rule_keys};
use super::written::{Entry, Node, Value};
use crate::policy::{PathPattern, Requirement, Rule};

/// Reads who is let in: a term, an array of which any one is enough, `{ any = […] }` or `{ all = […] }`.
pub(crate) fn read_allow(node: &Node, book: &mut Notebook) -> Option<Requirement> {
    match &node.value {
        Value::Text(text) => read_term(text, &node.place, book),
        Value::List(list) => read_several(list, &node.place, Several::Any, book),
        Value::Table(entries) => match entries.as_slice() {
            [Entry { key, node: Node { value: Value::List(list), place }, .. }] if key == "any" => {
                read_several(list, place, Several::Any, book)
            }
            [Entry { key, node: Node { value: Value::List(list), place }, .. }] if key == "all" => {
                read_several(list, place, Several::All, book)
            }
            _ => {
                let fix = "write { all = [\"…\", \"…\"] } or { any = [\"…\", \"…\"] }";
                book.note(&node.place, "a table in `allow` holds either all or any, with an array", fix);
                None
            }
        },
        value @ (Value::Count(_) | Value::Flag(_) | Value::Odd(_)) => {
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

fn read_term(text: &str, place: &Place, book: &mut Notebook) -> Option<Requirement> {
    let wanted = match Requirement::parse_term(text) {
        Ok(wanted) => wanted,
        Err(error) => {
            book.note_error(place, &error);
            return None;
        }
    };
    let name = match &wanted {
        Requirement::User(name) | Requirement::Group(name) => name,
        Requirement::Nobody
        | Requirement::Public
        | Requirement::SignedIn
        | Requirement::Email(_)
        | Requirement::Any(_)
        | Requirement::All(_) => return Some(wanted),
    };
    if name.trim() != &**name || name.contains(char::is_control) {
        book.note(place, format!("`{}` has white space around its name", text.escape_debug()), "remove it");
        return None;
    }
    Some(wanted)
}

/// How the entries of an array count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Several {
    Any,
    All,
}

fn read_several(list: &[Node], place: &Place, how: Several, book: &mut Notebook) -> Option<Requirement> {
    if list.is_empty() {
        book.note(place, "this `allow` is empty", "write \"nobody\" if nobody is to be let in");
        return None;
    }
    let before = book.count();
    let mut wanted: Vec<Requirement> = Vec::new();
    for node in list {
        let Some(one) = read_allow(node, book) else { continue };
        if wanted.contains(&one) {
            book.note(&node.place, "this entry stands there twice", "remove one of the two");
        }
        let decisive = match (&one, how) {
            (Requirement::Public | Requirement::Nobody, _) | (Requirement::SignedIn, Several::Any) => true,
            (
                Requirement::SignedIn
                | Requirement::User(_)
                | Requirement::Group(_)
                | Requirement::Email(_)
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

/// A rule as far as it says which requests it speaks of.
struct Scope {
    /// No path is every path.
    path: Option<PathShape>,
    /// Without HEAD, which counts as GET; none are all.
    methods: HashSet<Method>,
    place: Place,
}

/// A path pattern that is well formed, `*` for each segment that may be any.
struct PathShape {
    segments: Vec<String>,
    /// Whether everything below belongs to it.
    open: bool,
}

/// Reads the rules of an app. The flag is whether they speak of every request, so that nothing is left for `allow`.
pub(crate) fn read_rules(app: &str, node: &Node, book: &mut Notebook) -> Option<(Vec<Rule>, bool)> {
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
        let Some((rule, scope)) = read_rule(&format!("{app} rule {}", index + 1), node, book) else {
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

fn read_rule(name: &str, node: &Node, book: &mut Notebook) -> Option<(Rule, Scope)> {
    let Value::Table(entries) = &node.value else {
        book.note(&node.place, format!("a rule is a table, and this is {}", node.value.kind()), RULES_FIX);
        return None;
    };
    let before = book.count();
    let (mut path, mut methods, mut allow) = (None, Vec::new(), None);
    for entry in entries {
        match entry.key.as_str() {
            "path" => path = read_path(&entry.node, book),
            "methods" => methods = read_methods(&entry.node, book).unwrap_or_default(),
            "allow" => allow = read_allow(&entry.node, book),
            _ => note_unknown_entry(entry, "a rule", rule_keys(), book),
        }
    }
    if !entries.iter().any(|entry| entry.key == "allow") {
        book.note(&node.place, "this rule has no `allow`", "write allow = \"nobody\" if it lets nobody in");
    }
    if book.count() > before {
        return None;
    }
    let (text, pattern) = path.unzip();
    let scope = Scope::of(text.as_deref(), &methods, node.place.clone());
    Some((Rule::new(name.to_owned(), pattern, methods, allow?), scope))
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

fn read_methods(node: &Node, book: &mut Notebook) -> Option<Vec<Method>> {
    let fix = "write such as [\"GET\", \"POST\"], or leave it out for all methods";
    let list = match &node.value {
        Value::List(list) if !list.is_empty() => list,
        Value::List(_) => {
            book.note(&node.place, "`methods` is empty", fix);
            return None;
        }
        value @ (Value::Text(_) | Value::Count(_) | Value::Flag(_) | Value::Table(_) | Value::Odd(_)) => {
            book.note(&node.place, format!("`methods` is {}", value.kind()), fix);
            return None;
        }
    };
    let before = book.count();
    let mut methods = Vec::new();
    for node in list {
        let text = match &node.value {
            Value::Text(text) => text.as_str(),
            Value::Count(_) | Value::Flag(_) | Value::List(_) | Value::Table(_) | Value::Odd(_) => "",
        };
        let upper = !text.bytes().any(|byte| byte.is_ascii_lowercase());
        match Method::from_bytes(text.as_bytes()) {
            Ok(method) if upper => methods.push(method),
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
    if LATER_IN_APPS.contains(&entry.key.as_str()) {
        book.note(&entry.key_place, format!("`{}` is not known to this version", entry.key), "remove it");
        return;
    }
    let fix = match nearest(&entry.key, known.clone()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("remove it; {of} has {}", known.collect::<Vec<_>>().join(", ")),
    };
    book.note(&entry.key_place, format!("`{}` is not a setting of {of}", entry.key), fix);
}

impl Scope {
    fn of(path: Option<&str>, methods: &[Method], place: Place) -> Self {
        let methods = methods.iter().filter(|method| **method != Method::HEAD).cloned().collect();
        Self { path: path.map(PathShape::of), methods, place }
    }

    /// Whether every request of the other scope is also one of this.
    fn covers(&self, other: &Self) -> bool {
        let all_methods =
            self.methods.is_empty() || (!other.methods.is_empty() && other.methods.is_subset(&self.methods));
        all_methods
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
        let group = |name: &str| Requirement::Group(name.into());
        for (text, wanted) in [
            ("'signed-in'", Requirement::SignedIn),
            ("['group:a']", group("a")),
            ("['group:a', 'group:b']", Requirement::Any(vec![group("a"), group("b")])),
            ("{ any = ['group:a', 'group:b'] }", Requirement::Any(vec![group("a"), group("b")])),
            ("{ all = ['group:a', 'group:b'] }", Requirement::All(vec![group("a"), group("b")])),
            (
                "['group:c', { all = ['group:a', 'group:b'] }]",
                Requirement::Any(vec![group("c"), Requirement::All(vec![group("a"), group("b")])]),
            ),
        ] {
            let (node, mut book) = node(text);
            assert_eq!(read_allow(&node, &mut book), Some(wanted), "{text}");
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
                "`everyone` is not an allow term; use public, signed-in, user:NAME, group:NAME or email:PATTERN",
            ),
            (
                "'role:x'",
                "`role:x` is not known to this version; use public, signed-in, user:NAME, group:NAME or email:PATTERN",
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
            assert_eq!(read_allow(&node, &mut book), None, "{text}");
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
            ("[{ acr = 'mfa', allow = 'public' }]", "`acr` is not known to this version; remove it"),
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
            assert!(read_rules("app", &node, &mut book).is_none(), "{text}");
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
