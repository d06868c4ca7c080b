//! What rules ask of a query and of a sign-in. Knows no paths.

use super::apps::read_seconds;
use super::findings::Notebook;
use super::rules::read_allow;
use super::written::{Entry, Node, Value};
use crate::policy::{QueryPattern, Rule, Terms};

/// Reads `{ action = "edit" }`, with an array where a parameter may have several values.
pub(crate) fn read_query(node: &Node, book: &mut Notebook) -> Option<QueryPattern> {
    let entries = match &node.value {
        Value::Table(entries) if !entries.is_empty() => entries,
        Value::Table(_) => {
            book.note(&node.place, "`query` is empty", QUERY_FIX);
            return None;
        }
        value @ (Value::Text(_)
        | Value::Count(_)
        | Value::Flag(_)
        | Value::List(_)
        | Value::Fraction(_)
        | Value::Odd(_)) => {
            book.note(&node.place, format!("`query` is {}", value.kind()), QUERY_FIX);
            return None;
        }
    };
    let before = book.count();
    let mut conditions = Vec::new();
    for entry in entries {
        let Some(values) = texts(&entry.node).filter(|values| !values.is_empty()) else {
            let problem = format!("the parameter `{}` can have no value", entry.key);
            book.note(&entry.node.place, problem, QUERY_FIX);
            continue;
        };
        let condition = (entry.key.clone(), values);
        if QueryPattern::new(std::slice::from_ref(&condition)).is_none() {
            let problem = format!("no rule can be sure of a parameter `{}`", entry.key.escape_debug());
            book.note(
                &entry.key_place,
                problem,
                "write names in letters and digits, with - _ and . between them",
            );
        }
        conditions.push(condition);
    }
    if book.count() > before { None } else { QueryPattern::new(&conditions) }
}

/// Reads how long ago a sign-in may have been.
pub(crate) fn read_age(entry: &Entry, book: &mut Notebook) -> Option<u64> {
    let seconds = read_seconds(entry, book)?;
    if seconds < SHORTEST_AGE {
        let problem = format!("`{}` is shorter than a sign-in takes", entry.key);
        book.note(&entry.node.place, problem, "write 30s or more, such as 10m");
        return None;
    }
    Some(seconds)
}

/// Reads a word that providers say of sign-ins, or an array of them.
pub(crate) fn read_words(entry: &Entry, book: &mut Notebook) -> Vec<String> {
    let Some(words) = texts(&entry.node) else {
        book.note(&entry.node.place, format!("`{}` is {}", entry.key, entry.node.value.kind()), WORDS_FIX);
        return Vec::new();
    };
    if words.is_empty() {
        book.note(&entry.node.place, format!("`{}` is empty", entry.key), WORDS_FIX);
    }
    // They stand in a list with blanks (OpenID Connect Core 3.1.2.1) and between quotes (RFC 9470 3).
    let sayable = |word: &String| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
    };
    for word in words.iter().filter(|word| !sayable(word)) {
        let problem = format!("`{}` is no word that a provider could say", word.escape_debug());
        let fix = "write letters, digits and signs without blanks and quotes";
        book.note(&entry.node.place, problem, fix);
    }
    words
}

/// The rule as it is in force: in report mode if `mode` says so, with whom `meanwhile` names. The one needs the other, so
/// that it is always written who is let in.
pub(crate) fn with_mode(
    rule: Rule,
    entries: &[Entry],
    terms: Terms<'_>,
    book: &mut Notebook,
) -> Option<Rule> {
    let entry = |key: &str| entries.iter().find(|entry| entry.key == key);
    let (mode, meanwhile) = match (entry("mode"), entry("meanwhile")) {
        (None, None) => return Some(rule),
        (None, Some(meanwhile)) => {
            let problem = "`meanwhile` has no effect without mode = \"report\"";
            book.note(&meanwhile.key_place, problem, "remove it, or add the mode");
            return None;
        }
        (Some(mode), meanwhile) => (mode, meanwhile),
    };
    if !matches!(&mode.node.value, Value::Text(text) if text == "report") {
        let fix = "write mode = \"report\", or remove it if the rule is to bite";
        book.note(&mode.node.place, "this is no mode that a rule can have", fix);
        return None;
    }
    let Some(entry) = meanwhile else {
        let problem =
            "in report mode `allow` keeps nobody out, and nothing says who is let in until it bites";
        book.note(
            &mode.key_place,
            problem,
            "write meanwhile = \"…\" with whom you let in today, or remove the mode",
        );
        return None;
    };
    let before = book.count();
    let meanwhile = read_allow(&entry.node, terms, book)?;
    if rule.wants_just(&meanwhile) {
        book.note(
            &entry.node.place,
            "`meanwhile` is the same as `allow`, so nothing is reported",
            "remove the mode",
        );
    }
    (book.count() == before).then(|| rule.reporting(meanwhile))
}

/// A text, or an array of texts.
fn texts(node: &Node) -> Option<Vec<String>> {
    match &node.value {
        Value::Text(text) => Some(vec![text.clone()]),
        Value::List(list) => list
            .iter()
            .map(|node| match &node.value {
                Value::Text(text) => Some(text.clone()),
                Value::Count(_)
                | Value::Flag(_)
                | Value::List(_)
                | Value::Table(_)
                | Value::Fraction(_)
                | Value::Odd(_) => None,
            })
            .collect(),
        Value::Count(_) | Value::Flag(_) | Value::Table(_) | Value::Fraction(_) | Value::Odd(_) => None,
    }
}

/// Seconds within which a person can come back from the provider, however little they type.
const SHORTEST_AGE: u64 = 30;
const QUERY_FIX: &str = "write such as { action = \"edit\" } or { action = [\"edit\", \"delete\"] }";
const WORDS_FIX: &str = "write such as \"mfa\" or [\"otp\", \"hwk\"]";
