//! Conditions on the query of a request. Knows no paths and no people.
//!
//! Servers disagree about queries: which of two values counts, whether `;` separates, whether letter case or `[]` in a
//! name matter. A query that some server may read as another answer to a condition is neither a yes nor a no to it, so
//! that nobody gets past a rule, or into one, by how a query is written.

use std::borrow::Cow;
use std::fmt;

use super::loose::{folded, is_same};
use crate::headers::fold;

/// Parameters that must be there, each with one of its values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryPattern(Box<[Condition]>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    name: Box<str>,
    /// The name as the laxest server reads it.
    folded: Box<str>,
    values: Box<[Box<str>]>,
}

/// How a query answers conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// All of them are met, for every server.
    Yes,
    /// That depends on the server.
    Unclear,
    /// One of them is not met, for no server.
    No,
}

impl QueryPattern {
    /// Parameters with the values of which each may have any one. `None` if a name has no letter or digit of ASCII, or
    /// one that means something in queries, as no condition could be sure of it.
    pub fn new(conditions: &[(String, Vec<String>)]) -> Option<Self> {
        let condition = |(name, values): &(String, Vec<String>)| {
            let folded = fold(name);
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            (!folded.is_empty() && name.chars().all(plain)).then(|| Condition {
                name: name.as_str().into(),
                folded: folded.into(),
                values: values.iter().map(|value| value.as_str().into()).collect(),
            })
        };
        conditions.iter().map(condition).collect::<Option<_>>().map(Self)
    }

    /// How a query, without its `?` and as sent, answers all conditions.
    pub fn fit(&self, query: Option<&[u8]>) -> Fit {
        let query = query.unwrap_or_default();
        let of_all = self.0.iter().map(|condition| condition.fit(query)).max().unwrap_or(Fit::Yes);
        // To some servers there are more parameters then than to others.
        if !self.0.is_empty() && query.contains(&b';') { Fit::Unclear } else { of_all }
    }

    /// Whether every query that fits the other one fits this one too.
    pub fn covers(&self, other: &Self) -> bool {
        let is_wider = |wide: &Condition, narrow: &Condition| {
            wide.name == narrow.name && narrow.values.iter().all(|value| wide.values.contains(value))
        };
        self.0.iter().all(|wide| other.0.iter().any(|narrow| is_wider(wide, narrow)))
    }

    /// Whether there is no condition.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for QueryPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let condition = |one: &Condition| format!("{}={}", one.name, one.values.join("|"));
        f.write_str(&self.0.iter().map(condition).collect::<Vec<_>>().join("&"))
    }
}

impl Condition {
    fn fit(&self, query: &[u8]) -> Fit {
        let mut found = None;
        for pair in query.split(|&byte| byte == b'&') {
            let mut halves = pair.splitn(2, |&byte| byte == b'=');
            let (name, value) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
            let name = decoded(name);
            // Some servers read no further than a NUL, and some decode once more.
            if name.iter().any(|byte| *byte == b'%' || byte.is_ascii_control()) {
                return Fit::Unclear;
            }
            if !self.may_be(&name) {
                continue;
            }
            if *name != *self.name.as_bytes() || found.is_some() {
                return Fit::Unclear;
            }
            found = Some(value);
        }
        found.map_or(Fit::No, |value| self.fit_of(value))
    }

    /// Whether some server takes a name for this one: in another letter case, with other punctuation, or as the start of
    /// an array.
    fn may_be(&self, name: &[u8]) -> bool {
        let base = name.split(|&byte| byte == b'[').next().unwrap_or_default();
        let base = String::from_utf8_lossy(base);
        let read = folded(&base);
        is_same(&read, &self.name) || fold(&read) == *self.folded
    }

    fn fit_of(&self, value: &[u8]) -> Fit {
        let is_plus = value.contains(&b'+');
        let value = decoded(value);
        let Ok(value) = std::str::from_utf8(&value) else { return Fit::Unclear };
        if is_plus || value.contains(|c: char| c == '%' || c.is_control()) {
            return Fit::Unclear;
        }
        if self.values.iter().any(|wanted| **wanted == *value) {
            return Fit::Yes;
        }
        let read = folded(value.trim());
        let alike = |wanted: &str| is_same(&folded(wanted), &read);
        if self.values.iter().any(|wanted| alike(wanted)) { Fit::Unclear } else { Fit::No }
    }
}

/// Percent-decoded once; what is no encoding stays as it is.
fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    let digit = |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16));
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let pair = (digit(text.get(at + 1)), digit(text.get(at + 2)));
        if let (b'%', (Some(high), Some(low))) = (byte, pair) {
            bytes.push(u8::try_from(high << 4 | low).unwrap_or_default());
            at += 3;
        } else {
            bytes.push(byte);
            at += 1;
        }
    }
    Cow::Owned(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(conditions: &[(&str, &[&str])]) -> QueryPattern {
        let conditions: Vec<_> = conditions
            .iter()
            .map(|(name, values)| ((*name).to_owned(), values.iter().map(ToString::to_string).collect()))
            .collect();
        QueryPattern::new(&conditions).unwrap()
    }

    #[test]
    fn a_condition_is_met_only_if_every_server_agrees() {
        let edit = pattern(&[("action", &["edit", "re name"])]);
        for (query, fit) in [
            ("action=edit", Fit::Yes),
            ("a=1&action=edit&b=2", Fit::Yes),
            ("action=%65dit", Fit::Yes),
            ("%61ction=edit", Fit::Yes),
            ("action=re%20name", Fit::Yes),
            ("", Fit::No),
            ("action", Fit::No),
            ("action=", Fit::No),
            ("action=delete", Fit::No),
            ("faction=edit", Fit::No),
            ("actions=edit", Fit::No),
            ("x=action=edit", Fit::No),
            ("edit", Fit::No),
            ("action=edit&action=delete", Fit::Unclear),
            ("action=delete&action=edit", Fit::Unclear),
            ("action=edit&action=edit", Fit::Unclear),
            ("action=delete&%61ction=edit", Fit::Unclear),
            ("action=delete&Action=edit", Fit::Unclear),
            ("Action=edit", Fit::Unclear),
            ("action[]=edit", Fit::Unclear),
            ("action%5B0%5D=edit", Fit::Unclear),
            ("action%00=edit", Fit::Unclear),
            ("action%00x=edit", Fit::Unclear),
            ("action=edit&action%00x=delete", Fit::Unclear),
            ("x%0a=edit", Fit::Unclear),
            ("%u0061ction=edit", Fit::Unclear),
            ("%2561ction=edit", Fit::Unclear),
            ("+action=edit", Fit::Unclear),
            ("%20action=edit", Fit::Unclear),
            ("act.ion=edit", Fit::Unclear),
            ("action%=edit", Fit::Unclear),
            ("acti%ffon=edit", Fit::Unclear),
            ("action=EDIT", Fit::Unclear),
            ("action=%EF%BD%85dit", Fit::Unclear),
            ("action=e%CC%81dit", Fit::No),
            ("%EF%BD%81ction=delete", Fit::Unclear),
            ("action=edit%20", Fit::Unclear),
            ("action=edit%00", Fit::Unclear),
            ("action=%2565dit", Fit::Unclear),
            ("action=%zz", Fit::Unclear),
            ("action=%ff", Fit::Unclear),
            ("action=re+name", Fit::Unclear),
            ("x=1;action=edit", Fit::Unclear),
            ("action=edit;x", Fit::Unclear),
            ("x=;", Fit::Unclear),
        ] {
            assert_eq!(edit.fit(Some(query.as_bytes())), fit, "{query}");
        }
        assert_eq!(edit.fit(None), Fit::No);
    }

    #[test]
    fn all_conditions_count_and_none_is_always_met() {
        let both = pattern(&[("a", &["1"]), ("b", &["2", ""])]);
        for (query, fit) in [
            ("a=1&b=2", Fit::Yes),
            ("b&a=1", Fit::Yes),
            ("a=1", Fit::No),
            ("a=1&a=2", Fit::No),
            ("a=1&a=2&b=2", Fit::Unclear),
            ("b=2&b=2&a=3", Fit::No),
        ] {
            assert_eq!(both.fit(Some(query.as_bytes())), fit, "{query}");
        }
        for query in ["", ";", "a=1&a=1"] {
            assert_eq!(QueryPattern::default().fit(Some(query.as_bytes())), Fit::Yes, "{query}");
        }
    }

    #[test]
    fn a_wider_pattern_asks_for_less() {
        for (wide, narrow, covers) in [
            (pattern(&[]), pattern(&[("a", &["1"])]), true),
            (pattern(&[("a", &["1", "2"])]), pattern(&[("a", &["1"])]), true),
            (pattern(&[("a", &["1"])]), pattern(&[("a", &["1", "2"])]), false),
            (pattern(&[("a", &["1"])]), pattern(&[("b", &["1"])]), false),
            (pattern(&[("a", &["1"])]), pattern(&[("a", &["1"]), ("b", &["2"])]), true),
            (pattern(&[("a", &["1"])]), pattern(&[]), false),
        ] {
            assert_eq!(wide.covers(&narrow), covers, "{wide:?} {narrow:?}");
        }
        for name in ["", "-", "a[]", "ä", "a b", "a%62"] {
            assert!(QueryPattern::new(&[(name.to_owned(), vec![String::new()])]).is_none(), "{name}");
        }
    }
}
