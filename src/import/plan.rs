//! What every product's configuration is read into: apps with rules as the product means them, and what became of each
//! key. Knows no product and no TOML.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::path::Paths;
use super::regex::Matched;

/// A configuration of another product, as far as foregate has words for it.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) public_url: Option<String>,
    pub(super) provider: Provider,
    pub(super) server: Server,
    pub(super) session: Session,
    pub(super) headers: Option<Headers>,
    pub(super) compat: Option<&'static str>,
    pub(super) apps: Vec<App>,
    /// Who may use hosts that no app names.
    pub(super) fallback: Verdict,
    /// Why nothing may be open until somebody has looked, each with the key.
    pub(super) closed: Vec<String>,
    pub(super) notes: Notes,
}

/// Who signs people in.
#[derive(Debug, Default)]
pub(super) struct Provider {
    pub(super) issuer: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) secret: Option<Secret>,
    pub(super) title: Option<String>,
    pub(super) scopes: Vec<String>,
    pub(super) prompt: Option<String>,
    /// Claims with other names, by the key of `[provider.claims]`.
    pub(super) claims: BTreeMap<&'static str, String>,
    pub(super) require_verified_email: bool,
}

/// A secret of the source.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Secret {
    /// It stands in the source.
    There(String),
    /// It is in a file that the source names.
    File(String),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::There(_) => f.write_str("***"),
            Self::File(path) => write!(f, "file {path}"),
        }
    }
}

/// Where foregate listens.
#[derive(Debug, Default)]
pub(super) struct Server {
    pub(super) listen: Option<String>,
    /// Certificate and key.
    pub(super) tls: Option<(String, String)>,
    pub(super) trusted_proxies: Vec<String>,
}

/// How long sessions last.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// In seconds.
    pub(super) idle: Option<u64>,
    /// In seconds.
    pub(super) lifetime: Option<u64>,
}

/// What backends are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Headers {
    Preset(&'static str),
    Table(Vec<(String, String)>),
}

/// A host, and who may use it, in the product's order and meaning.
#[derive(Clone, Debug, Default)]
pub(super) struct App {
    /// As a key of `[apps]`.
    pub(super) host: String,
    pub(super) rules: Vec<Rule>,
    /// Where no rule says anything.
    pub(super) otherwise: Verdict,
    pub(super) upstream: Option<String>,
    pub(super) headers: Option<Headers>,
    /// Why it may not be open until somebody has looked, each with the key.
    pub(super) closed: Vec<String>,
}

/// A rule of the product: the first one that speaks of a request and of its visitor decides.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// What it is called in notes.
    pub(super) key: String,
    /// Which paths.
    pub(super) paths: Matched,
    /// Which methods; all without.
    pub(super) methods: Option<BTreeSet<String>>,
    /// Of whom it speaks; of everybody without. Everybody else is left to the rules behind it.
    pub(super) whom: Option<Terms>,
    pub(super) verdict: Verdict,
}

impl Rule {
    /// A rule about all requests of everybody.
    pub(super) fn new(key: impl Into<String>, verdict: Verdict) -> Self {
        let paths = Matched { surely: vec![Paths::all()], maybe: vec![Paths::all()] };
        Self { key: key.into(), paths, methods: None, whom: None, verdict }
    }

    pub(super) fn at(self, paths: Matched) -> Self {
        Self { paths, ..self }
    }

    pub(super) fn with_methods(self, methods: impl IntoIterator<Item = String>) -> Self {
        Self { methods: Some(methods.into_iter().collect()), ..self }
    }

    pub(super) fn of(self, whom: Terms) -> Self {
        Self { whom: Some(whom), ..self }
    }
}

/// Who is let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Verdict {
    Public,
    #[default]
    Nobody,
    /// Whoever meets the terms; with the proof of a second factor where that is wanted.
    Who(Terms, Factor),
}

/// What a sign-in must have proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Factor {
    Any,
    Second,
}

/// Terms of foregate: of the outer ones any is enough, of the inner ones all are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Terms(Vec<BTreeSet<String>>);

impl Terms {
    pub(super) fn one(term: impl Into<String>) -> Self {
        Self(vec![BTreeSet::from([term.into()])])
    }

    /// Any of these; nobody if there are none.
    pub(super) fn any(terms: impl IntoIterator<Item = String>) -> Self {
        Self(widest(terms.into_iter().map(|term| BTreeSet::from([term])).collect()))
    }

    pub(super) fn signed_in() -> Self {
        Self::one(SIGNED_IN)
    }

    pub(super) fn ways(&self) -> &[BTreeSet<String>] {
        &self.0
    }

    /// Whether each way wants somebody who has signed in.
    pub(super) fn is_personal(&self) -> bool {
        self.0.iter().all(|way| way.iter().any(|term| is_personal(term)))
    }

    pub(super) fn and(&self, other: &Self) -> Self {
        if self == other {
            return self.clone();
        }
        let both = |one: &BTreeSet<String>| other.0.iter().map(|two| settle(one | two)).collect::<Vec<_>>();
        Self(widest(self.0.iter().flat_map(both).collect()))
    }

    /// Ways that another one holds already are left out.
    pub(super) fn or(&self, other: &Self) -> Self {
        Self(widest(self.0.iter().chain(&other.0).cloned().collect()))
    }
}

/// Each way once, without those that a wider one holds.
fn widest(ways: Vec<BTreeSet<String>>) -> Vec<BTreeSet<String>> {
    let all: HashSet<BTreeSet<String>> = ways.iter().cloned().collect();
    let mut seen = HashSet::new();
    let is_kept = |way: &BTreeSet<String>| seen.insert(way.clone()) && !has_wider(way, &all);
    ways.into_iter().filter(is_kept).collect()
}

/// Whether another way asks for less. Ways are short and many, so that what would be wider is looked up.
fn has_wider(way: &BTreeSet<String>, all: &HashSet<BTreeSet<String>>) -> bool {
    if way.len() > LOOKED_UP {
        return all.iter().any(|other| other != way && is_wider(other, way));
    }
    let mut terms: Vec<&str> = way.iter().map(String::as_str).collect();
    if way.iter().any(|term| is_personal(term)) && !way.contains(SIGNED_IN) {
        terms.push(SIGNED_IN);
    }
    let some = |of: u32| terms.iter().enumerate().filter(move |(at, _)| of >> at & 1 == 1);
    (0..1_u32 << terms.len())
        .map(|of| some(of).map(|(_, term)| (*term).to_owned()).collect::<BTreeSet<String>>())
        .any(|other| other != *way && all.contains(&other))
}

/// Of longer ways there are too many parts to look each of them up.
const LOOKED_UP: usize = 6;

/// Who meets a term of a person has signed in.
fn settle(mut way: BTreeSet<String>) -> BTreeSet<String> {
    if way.iter().any(|term| is_personal(term) && term != SIGNED_IN) {
        way.remove(SIGNED_IN);
    }
    way
}

fn is_wider(one: &BTreeSet<String>, other: &BTreeSet<String>) -> bool {
    let has = |term: &String| {
        other.contains(term) || (term == SIGNED_IN && other.iter().any(|term| is_personal(term)))
    };
    one.iter().all(has)
}

fn is_personal(term: &str) -> bool {
    !term.starts_with("network:")
}

const SIGNED_IN: &str = "signed-in";

impl Verdict {
    pub(super) fn signed_in() -> Self {
        Self::Who(Terms::signed_in(), Factor::Any)
    }

    pub(super) fn who(terms: Terms) -> Self {
        Self::some(terms, Factor::Any)
    }

    fn some(terms: Terms, factor: Factor) -> Self {
        if terms.0.is_empty() { Self::Nobody } else { Self::Who(terms, factor) }
    }

    /// Whoever either lets in.
    pub(super) fn or(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Public, _) | (_, Self::Public) => Self::Public,
            (Self::Nobody, other) => other.clone(),
            (one, Self::Nobody) => one.clone(),
            (Self::Who(one, first), Self::Who(two, second)) => Self::Who(one.or(two), *first.max(second)),
        }
    }

    /// Whoever both let in.
    pub(super) fn and(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Public, other) => other.clone(),
            (one, Self::Public) => one.clone(),
            (Self::Nobody, _) | (_, Self::Nobody) => Self::Nobody,
            (Self::Who(one, first), Self::Who(two, second)) => Self::some(one.and(two), *first.max(second)),
        }
    }

    /// Whom of those that the terms speak of.
    pub(super) fn of(&self, whom: &Terms) -> Self {
        match self {
            Self::Public => Self::who(whom.clone()),
            Self::Nobody => Self::Nobody,
            Self::Who(terms, factor) => Self::some(terms.and(whom), *factor),
        }
    }
}

/// What became of the keys of the source, each said once.
#[derive(Debug, Default)]
pub(super) struct Notes {
    in_order: Vec<Note>,
    said: HashSet<Note>,
}

impl Notes {
    fn add(&mut self, note: Note) {
        if self.said.insert(note.clone()) {
            self.in_order.push(note);
        }
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Note> {
        self.in_order.iter()
    }
}

/// What became of a key of the source.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Note {
    pub(super) key: String,
    pub(super) fate: Fate,
}

/// See [`Note`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Fate {
    /// It is in what is printed.
    Carried(String),
    /// foregate needs no such thing, and why.
    Needless(String),
    /// It is not in what is printed, and nobody gets in by that.
    Lost(String),
    /// It kept somebody out, and is not in what is printed as it was: what is closed instead.
    Closed(String),
}

impl Plan {
    pub(super) fn note(&mut self, key: impl Into<String>, fate: Fate) {
        self.notes.add(Note { key: key.into(), fate });
    }

    pub(super) fn carried(&mut self, key: impl Into<String>, what: impl Into<String>) {
        self.note(key, Fate::Carried(what.into()));
    }

    pub(super) fn needless(&mut self, key: impl Into<String>, why: impl Into<String>) {
        self.note(key, Fate::Needless(why.into()));
    }

    pub(super) fn lost(&mut self, key: impl Into<String>, why: impl Into<String>) {
        self.note(key, Fate::Lost(why.into()));
    }

    /// Closes everything.
    pub(super) fn close(&mut self, key: impl Into<String>, why: impl Into<String>) {
        let (key, why) = (key.into(), why.into());
        self.closed.push(format!("{key}: {why}"));
        self.note(key, Fate::Closed(format!("{why}; everything is closed")));
    }

    /// Closes one app.
    pub(super) fn close_app(&mut self, app: &mut App, key: impl Into<String>, why: impl Into<String>) {
        let (key, why) = (key.into(), why.into());
        app.closed.push(format!("{key}: {why}"));
        self.note(key, Fate::Closed(format!("{why}; {} is closed", app.host)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_as_short_as_they_can_be() {
        let [network, group, user] = ["network:10.0.0.0/8", "group:a", "user:b"].map(Terms::one);
        let signed_in = Terms::signed_in();
        assert_eq!(group.or(&signed_in), signed_in);
        assert_eq!(group.and(&signed_in), group);
        assert_eq!(group.or(&group), group);
        assert_eq!(network.or(&signed_in).ways().len(), 2, "who comes from there need not sign in");
        assert_eq!(network.and(&signed_in).ways()[0].len(), 2);
        assert_eq!(group.or(&group.and(&user)), group);
        assert_eq!(Verdict::who(Terms::any([])), Verdict::Nobody);
        let many = ["group:a", "network:10.0.0.0/8", "group:a", "signed-in", "user:b"].map(str::to_owned);
        let short = ["network:10.0.0.0/8", "signed-in"].map(str::to_owned);
        assert_eq!(Terms::any(many), Terms::any(short));
        let long = (0..9).fold(group.clone(), |all, n| all.and(&Terms::one(format!("group:{n}"))));
        assert_eq!((long.ways()[0].len(), long.or(&group)), (10, group.clone()));
        assert_eq!(long.or(&signed_in), signed_in);
    }

    #[test]
    fn verdicts_are_lawful() {
        let all = [
            Verdict::Public,
            Verdict::Nobody,
            Verdict::signed_in(),
            Verdict::Who(Terms::one("group:a"), Factor::Second),
        ];
        for one in &all {
            assert_eq!(one.or(&Verdict::Nobody), *one);
            assert_eq!(one.and(&Verdict::Public), *one);
            assert_eq!(one.or(&Verdict::Public), Verdict::Public);
            assert_eq!(one.and(&Verdict::Nobody), Verdict::Nobody);
        }
    }
}
