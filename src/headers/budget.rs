//! How much of somebody's groups a backend is told, as front proxies have room for headers of a few kilobytes. Knows no
//! rules.

use crate::identity::Identity;

/// Which groups go into the headers of an app, and how many bytes these may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The groups that are told; `None` is all.
    pub shown: Option<Box<[GroupPattern]>>,
    /// Those that the app's rules speak of: the last to be left out.
    pub ruled: Box<[GroupPattern]>,
    /// Bytes that all identity headers may take, names and all.
    pub limit_bytes: usize,
    /// Whether groups are left out where there is no room, or only told of.
    pub leaves_out: bool,
}

impl Default for Budget {
    fn default() -> Self {
        Self { shown: None, ruled: Box::default(), limit_bytes: USUAL_LIMIT_BYTES, leaves_out: false }
    }
}

/// Names of groups, with any text where `*` stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupPattern(Box<[Box<str>]>);

impl GroupPattern {
    /// The pieces that names have in this order, with any text between them: one is a whole name.
    pub fn of(pieces: impl IntoIterator<Item = String>) -> Self {
        Self(pieces.into_iter().map(String::into_boxed_str).collect())
    }

    /// Reads a name in which `*` stands for any text.
    pub fn parse(text: &str) -> Self {
        Self::of(text.split('*').map(str::to_owned))
    }

    /// Whether a group is one of those meant, letter by letter.
    pub fn matches(&self, group: &str) -> bool {
        let [first, middle @ .., last] = &*self.0 else {
            return self.0.first().is_some_and(|name| **name == *group);
        };
        let Some(mut rest) = group.strip_prefix(&**first) else { return false };
        for piece in middle {
            let Some(at) = rest.find(&**piece) else { return false };
            rest = &rest[at + piece.len()..];
        }
        rest.ends_with(&**last)
    }
}

/// That somebody's headers take more room than an app has for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heavy {
    /// Bytes they would take.
    pub bytes: usize,
    /// Bytes there are.
    pub limit_bytes: usize,
    /// How many groups are left out for it.
    pub left_out: usize,
}

impl Budget {
    /// Whether all groups are told, as long as there is room.
    pub(super) fn tells_all(&self) -> bool {
        self.shown.is_none()
    }

    /// The groups to tell, sorted.
    pub(super) fn told<'a>(&self, identity: &'a Identity) -> Vec<&'a str> {
        let is_shown = |group: &&str| self.shown.as_ref().is_none_or(|shown| any(shown, group));
        identity.groups().filter(is_shown).collect()
    }

    /// As many of these groups as there is room for, sorted: those of rules first. A group takes `each` bytes.
    pub(super) fn fitting<'a>(
        &self,
        told: &[&'a str],
        room: usize,
        each: impl Fn(&str) -> usize,
    ) -> Vec<&'a str> {
        let (ruled, others): (Vec<&str>, Vec<&str>) = told.iter().partition(|group| any(&self.ruled, group));
        let mut used = 0;
        let mut kept: Vec<&str> = ruled
            .into_iter()
            .chain(others)
            .take_while(|group| {
                used += each(group);
                used <= room
            })
            .collect();
        kept.sort_unstable();
        kept
    }
}

fn any(patterns: &[GroupPattern], group: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(group))
}

/// What the identity may take of the 4 KiB that nginx has by default for the head of an answer.
const USUAL_LIMIT_BYTES: usize = 3500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text_and_all_else_counts() {
        for (pattern, group, meant) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("", "", true),
            ("*", "", true),
            ("*", "x", true),
            ("kb-*", "kb-", true),
            ("kb-*", "kb-x", true),
            ("kb-*", "Kb-x", false),
            ("*-kb", "x-kb", true),
            ("*-kb", "x-kbs", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "acb", false),
            ("ab*ba", "aba", false),
            ("ab*ba", "abba", true),
        ] {
            assert_eq!(GroupPattern::parse(pattern).matches(group), meant, "{pattern} {group}");
        }
        assert!(!GroupPattern::of(["a*".to_owned()]).matches("ab"), "a name of a rule is no pattern");
    }
}
