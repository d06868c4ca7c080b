//! What the provider has said of opaque tokens and app passwords, good and bad, for a short time. Knows no provider.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::hmac;
use quick_cache::sync::Cache;

use crate::headers::Person;

/// A bounded memory of verdicts. What finds one is a hash under a key of this process alone, as passwords can be guessed.
pub(super) struct Asked {
    key: hmac::Key,
    verdicts: Cache<Seal, Arc<Verdict>>,
    wrong: Cache<Seal, Arc<Wrong>>,
}

/// The keyed hash of a credential, or of a name.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Seal([u8; 32]);

/// What the provider has said.
pub(super) struct Verdict {
    /// Who it is; or that it is nobody, and why.
    pub(super) person: Result<Arc<Person>, String>,
    /// How long that counts, in Unix seconds.
    pub(super) until: u64,
}

/// Wrong passwords of one name within one minute.
struct Wrong {
    minute: u64,
    count: AtomicU64,
}

impl Asked {
    /// `None` if the system gives no random bytes.
    pub(super) fn new(capacity: usize) -> Option<Self> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &aws_lc_rs::rand::SystemRandom::new()).ok()?;
        Some(Self { key, verdicts: Cache::new(capacity), wrong: Cache::new(capacity) })
    }

    /// What finds this text, which is of this sort.
    pub(super) fn seal(&self, sort: &str, text: &str) -> Seal {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [sort, "\0", text] {
            context.update(part.as_bytes());
        }
        let mut seal = [0; 32];
        seal.copy_from_slice(context.sign().as_ref());
        Seal(seal)
    }

    /// What was said, if that still counts.
    pub(super) fn verdict(&self, seal: &Seal, now: u64) -> Option<Arc<Verdict>> {
        self.verdicts.get(seal).filter(|verdict| now < verdict.until)
    }

    pub(super) fn keep(&self, seal: Seal, verdict: Verdict) {
        self.verdicts.insert(seal, Arc::new(verdict));
    }

    /// Whether a name may be tried once more in this minute.
    pub(super) fn may_try(&self, name: &Seal, now: u64) -> bool {
        let wrong = self.wrong.get(name).filter(|wrong| wrong.minute == now / 60);
        wrong.is_none_or(|wrong| wrong.count.load(Ordering::Relaxed) < MOST_WRONG)
    }

    /// Remembers that a name was tried with a wrong password.
    pub(super) fn note_wrong(&self, name: Seal, now: u64) {
        match self.wrong.get(&name).filter(|wrong| wrong.minute == now / 60) {
            Some(wrong) => drop(wrong.count.fetch_add(1, Ordering::Relaxed)),
            None => self.wrong.insert(name, Arc::new(Wrong { minute: now / 60, count: AtomicU64::new(1) })),
        }
    }
}

/// How often a name may be tried with wrong passwords in a minute.
const MOST_WRONG: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_counts_for_its_time_and_for_all_of_the_credential() {
        let asked = Asked::new(10).unwrap();
        asked.keep(asked.seal("token", "abc"), Verdict { person: Err("no".into()), until: 100 });
        for (sort, text, now, known) in [
            ("token", "abc", 99, true),
            ("token", "abc", 100, false),
            ("token", "abd", 99, false),
            ("basic", "abc", 99, false),
        ] {
            assert_eq!(asked.verdict(&asked.seal(sort, text), now).is_some(), known, "{sort} {text} {now}");
        }
        let other = Asked::new(10).unwrap();
        assert!(
            asked.seal("token", "abc") != other.seal("token", "abc"),
            "each process has a key of its own"
        );
    }

    #[test]
    fn a_name_is_tried_ten_times_a_minute_with_wrong_passwords() {
        let asked = Asked::new(10).unwrap();
        let (bob, alice) = (asked.seal("name", "bob"), asked.seal("name", "alice"));
        for _ in 0..10 {
            assert!(asked.may_try(&bob, 119));
            asked.note_wrong(bob, 119);
        }
        assert!(!asked.may_try(&bob, 119) && asked.may_try(&alice, 119));
        assert!(asked.may_try(&bob, 120), "a new minute");
    }
}
