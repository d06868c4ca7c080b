//! Sets of paths as foregate's patterns can say them, and how they lie to one another. Knows no rules and no regular
//! expressions.

use std::fmt;

/// One segment of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Segment {
    Just(String),
    /// Any that is not empty.
    Any,
}

/// How far a set reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// This path alone.
    Exact,
    /// The path and all below it, as `/**` says.
    Open,
    /// All below it, not the path itself. No pattern says that: it takes a rule for the path itself before.
    Below,
}

/// A set of paths.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Paths {
    pub(super) segments: Vec<Segment>,
    pub(super) reach: Reach,
}

impl Paths {
    /// Every path.
    pub(super) const fn all() -> Self {
        Self { segments: Vec::new(), reach: Reach::Open }
    }

    /// The path as it stands, if a pattern can say it; `/a/` is another one than `/a`.
    pub(super) fn literal(path: &str, reach: Reach) -> Option<Self> {
        let inner = path.strip_prefix('/')?;
        let inner = if reach == Reach::Exact { inner } else { inner.strip_suffix('/').unwrap_or(inner) };
        if inner.is_empty() && reach != Reach::Exact {
            return Some(Self::all());
        }
        let last = inner.split('/').count() - 1;
        let segments = inner.split('/').enumerate().map(|(at, segment)| {
            let fits =
                if segment.is_empty() { at == last && reach == Reach::Exact } else { is_sayable(segment) };
            fits.then(|| Segment::Just(segment.to_owned()))
        });
        Some(Self { segments: segments.collect::<Option<_>>()?, reach })
    }

    /// The same as a set that a pattern can say: wider by the path itself if it was all below.
    pub(super) fn sayable(&self) -> Self {
        let reach = if self.reach == Reach::Below { Reach::Open } else { self.reach };
        Self { segments: self.segments.clone(), reach }
    }

    /// Whether all of `other` lies in this set, where what [`Self::edge`] tells has been taken out of `other`.
    pub(super) fn holds(&self, other: &Self) -> bool {
        let fits = |(own, other): (&Segment, &Segment)| match (own, other) {
            (Segment::Just(own), Segment::Just(other)) => own == other,
            (Segment::Any, Segment::Just(other)) => !other.is_empty(),
            (Segment::Any, Segment::Any) => true,
            (Segment::Just(_), Segment::Any) => false,
        };
        let deeper = other.segments.len() > self.segments.len();
        let same = other.segments.len() == self.segments.len();
        let reaches = match self.reach {
            Reach::Exact => same && other.reach == Reach::Exact,
            Reach::Open => same || deeper,
            Reach::Below => deeper || (same && other.reach != Reach::Exact),
        };
        reaches && self.segments.iter().zip(&other.segments).all(fits)
    }

    /// What both have in common.
    pub(super) fn common(&self, other: &Self) -> Option<Self> {
        let (long, short) =
            if self.segments.len() >= other.segments.len() { (self, other) } else { (other, self) };
        if short.segments.len() < long.segments.len() && short.reach == Reach::Exact {
            return None;
        }
        let mut segments = long.segments.clone();
        for (own, other) in segments.iter_mut().zip(&short.segments) {
            match (&*own, other) {
                (Segment::Just(one), Segment::Just(two)) if one != two => return None,
                (Segment::Just(one), Segment::Any) if one.is_empty() => return None,
                (Segment::Any, Segment::Just(two)) if two.is_empty() => return None,
                (Segment::Any, Segment::Just(_)) => *own = other.clone(),
                (Segment::Just(_) | Segment::Any, _) => {}
            }
        }
        let reach = if short.segments.len() == long.segments.len() && short.reach == Reach::Exact {
            Reach::Exact
        } else {
            long.reach
        };
        let nothing = reach == Reach::Exact
            && [long, short]
                .iter()
                .any(|one| one.reach == Reach::Below && one.segments.len() == segments.len());
        (!nothing).then_some(Self { segments, reach })
    }

    /// The path itself, where this is all below it.
    pub(super) fn edge(&self) -> Option<Self> {
        let edge = || Self { segments: self.segments.clone(), reach: Reach::Exact };
        // No request asks for the empty path.
        (self.reach == Reach::Below && !self.segments.is_empty()).then(edge)
    }

    /// What comes first where sets that lie in others come before them.
    pub(super) fn rank(&self) -> (std::cmp::Reverse<usize>, Reach, std::cmp::Reverse<usize>) {
        let just = self.segments.iter().filter(|segment| **segment != Segment::Any).count();
        (std::cmp::Reverse(self.segments.len()), self.reach, std::cmp::Reverse(just))
    }
}

impl fmt::Display for Paths {
    /// As foregate's pattern; all below a path shows as that.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Just(text) => write!(f, "/{text}")?,
                Segment::Any => f.write_str("/*")?,
            }
        }
        f.write_str(if self.reach == Reach::Exact { "" } else { "/**" })
    }
}

/// Whether a pattern can have this as a segment.
pub(super) fn is_sayable(segment: &str) -> bool {
    let bad = |c: char| c.is_control() || "*{}%?#;\\/".contains(c);
    !segment.is_empty() && segment != "." && segment != ".." && !segment.contains(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Paths {
        let (path, reach) = match (text.strip_suffix("/**"), text.strip_suffix("/++")) {
            (Some(path), _) => (path, Reach::Open),
            (None, Some(path)) => (path, Reach::Below),
            (None, None) => (text, Reach::Exact),
        };
        let segments = path.split('/').skip(1).map(|segment| match segment {
            "*" => Segment::Any,
            text => Segment::Just(text.to_owned()),
        });
        Paths { segments: segments.collect(), reach }
    }

    #[test]
    fn sets_hold_what_lies_in_them() {
        for (one, two, holds) in [
            ("/a/**", "/a", true),
            ("/a/**", "/a/b/**", true),
            ("/a/++", "/a", false),
            ("/a/++", "/a/**", true),
            ("/a/++", "/a/", true),
            ("/a", "/a/**", false),
            ("/*", "/a", true),
            ("/*", "/", false),
            ("/a", "/*", false),
            ("/*/b", "/a/b", true),
            ("/**", "/", true),
        ] {
            assert_eq!(paths(one).holds(&paths(two)), holds, "{one} {two}");
        }
    }

    #[test]
    fn what_two_sets_have_in_common() {
        for (one, two, common) in [
            ("/a/*", "/*/b", Some("/a/b")),
            ("/a/**", "/a/b/**", Some("/a/b/**")),
            ("/a/**", "/a", Some("/a")),
            ("/a/++", "/a", None),
            ("/a", "/b", None),
            ("/a", "/a/b", None),
            ("/*/**", "/a", Some("/a")),
            ("/*", "/", None),
        ] {
            let common = common.map(paths);
            assert_eq!(paths(one).common(&paths(two)), common, "{one} {two}");
            assert_eq!(paths(two).common(&paths(one)), common, "{two} {one}");
        }
    }

    #[test]
    fn a_path_is_taken_letter_by_letter_or_not_at_all() {
        assert_eq!(
            Paths::literal("/a/b", Reach::Open).map(|paths| paths.to_string()).as_deref(),
            Some("/a/b/**")
        );
        assert_eq!(
            Paths::literal("/a/", Reach::Exact).map(|paths| paths.to_string()).as_deref(),
            Some("/a/")
        );
        for path in ["a", "/a//b", "/a*", "/%61", "/..", "/a?b"] {
            assert_eq!(Paths::literal(path, Reach::Exact), None, "{path}");
        }
    }
}
