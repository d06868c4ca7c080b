//! Tokens whose signature was checked a moment ago, and who they stand for. Knows no keys and no rules.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use quick_cache::sync::Cache;

use crate::headers::Person;

/// A bounded memory of verdicts on signatures, good for a minute each. Those least used go first.
pub(super) struct Verified(Cache<Mark, Arc<Known>>);

/// What finds a token: the SHA-256 of all of it, so that no token is kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Mark([u8; 32]);

/// A verdict, with all that it depends on beside the token itself.
pub(super) struct Known {
    pub(super) person: Arc<Person>,
    /// Whose token it is, by its place among the sources.
    pub(super) source: usize,
    /// Which keys it was checked with.
    pub(super) version: u64,
    /// When, in Unix seconds.
    pub(super) checked_at: u64,
    /// When the token ends.
    pub(super) good_until: u64,
}

impl Verified {
    pub(super) fn new(capacity: usize) -> Self {
        Self(Cache::new(capacity))
    }

    pub(super) fn find(&self, mark: &Mark) -> Option<Arc<Known>> {
        self.0.get(mark)
    }

    pub(super) fn keep(&self, mark: Mark, known: Known) {
        self.0.insert(mark, Arc::new(known));
    }
}

impl Known {
    /// Who it is, if the verdict still counts with the keys of now.
    pub(super) fn person(&self, version: u64, now: u64) -> Option<Arc<Person>> {
        let counts = self.version == version
            && now < self.good_until
            && now.abs_diff(self.checked_at) < LONGEST_SECONDS;
        counts.then(|| Arc::clone(&self.person))
    }
}

impl Mark {
    pub(super) fn of(token: &str) -> Self {
        let mut mark = [0; 32];
        mark.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        Self(mark)
    }
}

/// How long a verdict counts: so often the keys are asked for, and are renewed when they are old.
const LONGEST_SECONDS: u64 = 60;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Identity, Profile};

    #[test]
    fn a_verdict_counts_for_a_minute_with_the_same_keys_and_never_beyond_the_token() {
        let person = Arc::new(Person::new(Identity::pack(&Profile::default(), "i".into(), &[])));
        let known = |good_until| Known {
            person: Arc::clone(&person),
            source: 0,
            version: 3,
            checked_at: 1000,
            good_until,
        };
        for (good_until, version, now, counts) in [
            (5000, 3, 1000, true),
            (5000, 3, 1059, true),
            (5000, 3, 1060, false),
            (5000, 3, 900, false),
            (5000, 4, 1000, false),
            (1030, 3, 1029, true),
            (1030, 3, 1030, false),
        ] {
            assert_eq!(
                known(good_until).person(version, now).is_some(),
                counts,
                "{good_until} {version} {now}"
            );
        }
    }

    #[test]
    fn a_token_is_found_by_all_of_it_only() {
        let verified = Verified::new(10);
        let person = Arc::new(Person::new(Identity::pack(&Profile::default(), "i".into(), &[])));
        let known = Known { person, source: 0, version: 0, checked_at: 0, good_until: 1 };
        verified.keep(Mark::of("a.b.c"), known);
        assert!(verified.find(&Mark::of("a.b.c")).is_some());
        for other in ["a.b.d", "a.b.", "a.b.c.", "A.b.c"] {
            assert!(verified.find(&Mark::of(other)).is_none(), "{other}");
        }
    }
}
