//! `groups` and `header_limit` of apps: how much a backend is told. Knows no requests.

use super::findings::{Notebook, Place};
use super::roles::read_names;
use super::written::{Entry, Value};
use crate::headers::{Budget, GroupPattern, HeaderSet};
use crate::policy::Rule;

/// Which groups are told, and where that stands.
pub(crate) struct Shown {
    which: Which,
    place: Place,
}

enum Which {
    All,
    Matching,
    These(Vec<GroupPattern>),
}

/// Reads `"all"`, `"matching"`, or an array of names with `*`.
pub(crate) fn read_shown(entry: &Entry, book: &mut Notebook) -> Option<Shown> {
    let which = match &entry.node.value {
        Value::Text(text) if text == "all" => Which::All,
        Value::Text(text) if text == "matching" => Which::Matching,
        Value::List(_) => {
            Which::These(read_names(entry, book).iter().map(|text| GroupPattern::parse(text)).collect())
        }
        Value::Text(_)
        | Value::Count(_)
        | Value::Flag(_)
        | Value::Table(_)
        | Value::Fraction(_)
        | Value::Odd(_) => {
            let fix = "write \"all\", \"matching\", or an array such as [\"kb-*\"]";
            book.note(&entry.node.place, "`groups` does not say which groups", fix);
            return None;
        }
    };
    Some(Shown { which, place: entry.node.place.clone() })
}

/// Reads a number of bytes, and where it stands.
pub(crate) fn read_limit(entry: &Entry, book: &mut Notebook) -> Option<(usize, Place)> {
    let limit = match &entry.node.value {
        Value::Count(bytes) => usize::try_from(*bytes).ok().filter(|bytes| (LEAST..=MOST).contains(bytes)),
        Value::Text(_)
        | Value::Flag(_)
        | Value::List(_)
        | Value::Table(_)
        | Value::Fraction(_)
        | Value::Odd(_) => None,
    };
    if limit.is_none() {
        let problem = "`header_limit` is no number of bytes from 256 to 65536";
        book.note(&entry.node.place, problem, "write such as 3500, for nginx as it is");
    }
    limit.map(|limit| (limit, entry.node.place.clone()))
}

/// The set for an app that says how much it is told.
pub(crate) fn within<'r>(
    set: &HeaderSet,
    (shown, limit): (Option<Shown>, Option<(usize, Place)>),
    rules: impl Iterator<Item = &'r Rule>,
    book: &mut Notebook,
) -> Option<HeaderSet> {
    let places = shown.iter().map(|shown| &shown.place).chain(limit.iter().map(|(_, place)| place));
    if !set.speaks_of_groups() {
        for place in places {
            book.note(place, "this has no effect: no header of this app tells groups", "remove it");
        }
        return None;
    }
    let ruled: Box<[GroupPattern]> = rules.flat_map(Rule::groups).collect();
    let mut budget = Budget { ruled, ..Budget::default() };
    match shown {
        Some(Shown { which: Which::Matching, place }) if budget.ruled.is_empty() => {
            let problem = "no rule of this app speaks of a group, so that none would be told";
            book.note(&place, problem, "write which, such as [\"kb-*\"]");
            return None;
        }
        Some(Shown { which: Which::Matching, .. }) => budget.shown = Some(budget.ruled.clone()),
        Some(Shown { which: Which::These(patterns), .. }) => budget.shown = Some(patterns.into()),
        Some(Shown { which: Which::All, .. }) | None => {}
    }
    if let Some((limit_bytes, _)) = limit {
        budget = Budget { limit_bytes, leaves_out: true, ..budget };
    }
    Some(set.clone().within(budget))
}

/// Less would leave no room for a name and an address.
const LEAST: usize = 256;
/// More than any front proxy takes.
const MOST: usize = 65_536;
