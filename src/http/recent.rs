//! The last decisions, kept only while somebody looks at them: whoever is asked while nobody does pays for one look at a number.
//! Decides nothing.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::refs::Received;
use super::unix_now;

/// Decisions that were made while somebody looks.
#[derive(Debug, Default)]
pub struct Recent {
    /// Until when they are kept, in Unix seconds; 0 while nobody looks. Read by every decision and seldom written.
    until: AtomicU64,
    ring: Mutex<VecDeque<Seen>>,
}

/// One decision.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// When, in Unix seconds.
    pub(super) at: u64,
    /// What was decided, as metrics name it.
    pub(super) outcome: &'static str,
    /// Who it was, else empty.
    pub(super) user: String,
    /// What was received.
    pub(super) received: Received,
}

impl Recent {
    /// Keeps a decision if somebody looks.
    pub(super) fn see(&self, seen: impl FnOnce() -> (&'static str, String, Received)) {
        if self.until.load(Ordering::Relaxed) != 0 {
            self.keep(unix_now(), seen);
        }
    }

    #[cold]
    fn keep(&self, now: u64, seen: impl FnOnce() -> (&'static str, String, Received)) {
        // One of many decisions may be left out, and none waits.
        let Ok(mut ring) = self.ring.try_lock() else { return };
        if now > self.until.load(Ordering::Relaxed) {
            self.until.store(0, Ordering::Relaxed);
            ring.clear();
            return;
        }
        if ring.len() >= MOST {
            ring.pop_front();
        }
        let (outcome, user, received) = seen();
        ring.push_back(Seen { at: now, outcome, user, received });
    }

    /// Those kept so far, the newest first; they are kept for some time from `now` on.
    pub(super) fn look(&self, now: u64) -> Vec<Seen> {
        let Ok(mut ring) = self.ring.lock() else { return Vec::new() };
        if now > self.until.swap(now.saturating_add(LOOK_SECONDS), Ordering::Relaxed) {
            ring.clear();
        }
        ring.iter().rev().cloned().collect()
    }
}

/// Decisions kept.
const MOST: usize = 50;
/// For how long after somebody looked.
const LOOK_SECONDS: u64 = 120;

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> (&'static str, String, Received) {
        ("allowed", "alice".to_owned(), Received::nothing())
    }

    #[test]
    fn decisions_are_kept_only_while_somebody_looks() {
        let recent = Recent::default();
        recent.see(|| unreachable!("nobody looks"));
        assert!(recent.look(100).is_empty());
        for _ in 0..MOST + 5 {
            recent.keep(101, seen);
        }
        assert_eq!(recent.look(101).len(), MOST);
        recent.keep(101 + LOOK_SECONDS + 1, || unreachable!("nobody looks any more"));
        assert!(recent.look(500).is_empty(), "what was seen before is over");
    }
}
