//! How often each person tried codes that name nothing, so that nobody tries many. Knows no codes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::store::PersonKey;

/// Who tried codes that name nothing, and when.
#[derive(Debug, Default)]
pub(super) struct Guesses(Mutex<HashMap<PersonKey, Vec<u64>>>);

impl Guesses {
    /// Counts a guess, if the person has one left.
    pub(super) fn begin(&self, person: &PersonKey, now: u64) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = |time: &u64| now.saturating_sub(*time) < REMEMBERED;
        if all.len() >= MOST_GUESSERS {
            all.retain(|_, times| times.iter().any(recent));
        }
        if all.len() >= MOST_GUESSERS && !all.contains_key(person) {
            return false;
        }
        let times = all.entry(person.clone()).or_default();
        times.retain(recent);
        let is_left = times.len() < MOST_GUESSES;
        if is_left {
            times.push(now);
        }
        is_left
    }

    /// It was no guess.
    pub(super) fn take_back(&self, person: &PersonKey, now: u64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(times) = all.get_mut(person) else { return };
        if let Some(place) = times.iter().rposition(|time| *time == now) {
            times.swap_remove(place);
        }
        if times.is_empty() {
            all.remove(person);
        }
    }
}

/// Seconds that a guess counts for.
const REMEMBERED: u64 = 600;
/// Codes that name nothing, of one person.
const MOST_GUESSES: usize = 10;
/// People who guess at the same time; beyond them nobody else may try.
const MOST_GUESSERS: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_are_counted_for_each_person_and_forgotten_in_time() {
        let guesses = Guesses::default();
        let [alice, bob] =
            ["alice", "bob"].map(|name| PersonKey { issuer: String::new(), subject: name.to_owned() });
        assert!((0..10).all(|second| guesses.begin(&alice, 1000 + second)));
        assert!(!guesses.begin(&alice, 1599) && guesses.begin(&bob, 1599));
        assert!(guesses.begin(&alice, 1600) && !guesses.begin(&alice, 1600));
        guesses.take_back(&alice, 1600);
        assert!(guesses.begin(&alice, 1600) && !guesses.begin(&alice, 1600));
    }
}
