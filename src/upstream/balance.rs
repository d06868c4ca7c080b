//! Which of several targets a request goes to. Knows no requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest::{Context, SHA256};
use tokio::time::Instant;

use super::pool::Pool;
use crate::identity::{Field, Identity};

/// The targets of one backend.
#[derive(Debug)]
pub(super) struct Targets {
    pub pools: Vec<Arc<Pool>>,
    /// Whether a person stays at one of them.
    sticky: bool,
    choices: AtomicU64,
}

impl Targets {
    pub(super) fn new(pools: Vec<Arc<Pool>>, sticky: bool) -> Self {
        Self { pools, sticky, choices: AtomicU64::new(0) }
    }

    /// A place in `pools` that is not among `tried`: of two taken at random the one with fewer requests under way, or
    /// where people stay, the same one as ever. Those that are left alone for a while come last; those that checks
    /// call sick, never.
    pub(super) fn choose(&self, tried: &[usize], person: Option<&Identity>) -> Option<usize> {
        if let [pool] = self.pools.as_slice() {
            return (tried.is_empty() && !pool.health.is_sick()).then_some(0);
        }
        let now = Instant::now();
        let usable = |place: &usize| !tried.contains(place) && !self.pools[*place].health.is_sick();
        let rested = |place: &usize| usable(place) && !self.pools[*place].health.is_paused(now);
        let places = 0..self.pools.len();
        let person = person.filter(|_| self.sticky);
        self.best(places.clone().filter(rested), person).or_else(|| self.best(places.filter(usable), person))
    }

    fn best(&self, places: impl Iterator<Item = usize> + Clone, person: Option<&Identity>) -> Option<usize> {
        if let Some(person) = person {
            return places.max_by_key(|place| rank(person, &self.pools[*place].name));
        }
        let count = places.clone().count();
        if count < 2 {
            return places.clone().next();
        }
        let (one, other) = two_of(count, self.choices.fetch_add(1, Ordering::Relaxed));
        let place = |index| places.clone().nth(index);
        let pending = |place: &usize| self.pools[*place].pending.load(Ordering::Relaxed);
        [place(one), place(other)].into_iter().flatten().min_by_key(pending)
    }
}

/// Two different numbers below `count`, evenly spread over many calls: the counter is mixed as in SplitMix64.
fn two_of(count: usize, counter: u64) -> (usize, usize) {
    let mut mixed = counter.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    let one = (mixed >> 32) as usize % count;
    let step = 1 + (mixed as u32 as usize) % (count - 1);
    (one, (one + step) % count)
}

/// How much a person belongs to a target (rendezvous hashing): the same on every replica, and when a target goes, only
/// its own people move.
fn rank(person: &Identity, target: &str) -> [u8; 32] {
    let mut hash = Context::new(&SHA256);
    for part in [person.issuer(), person.field(Field::Subject), target] {
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let mut rank = [0; 32];
    rank.copy_from_slice(hash.finish().as_ref());
    rank
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Profile;

    #[test]
    fn two_choices_differ_and_are_evenly_spread() {
        for count in 2..9 {
            let mut chosen = vec![0_usize; count];
            for counter in 0..10_000 {
                let (one, other) = two_of(count, counter);
                assert!(one != other && one < count && other < count, "{count}: {one} {other}");
                chosen[one] += 1;
                chosen[other] += 1;
            }
            let fair = 20_000 / count;
            assert!(chosen.iter().all(|times| times.abs_diff(fair) < fair / 5), "{count}: {chosen:?}");
        }
    }

    #[test]
    fn only_the_people_of_a_target_that_goes_move() {
        let people: Vec<Identity> = (0..300)
            .map(|number| {
                let profile = Profile { subject: number.to_string(), ..Profile::default() };
                Identity::pack(&profile, "https://id.test/".into(), &[])
            })
            .collect();
        let home = |person: &Identity, targets: &[&'static str]| {
            targets.iter().copied().max_by_key(|target| rank(person, target)).unwrap()
        };
        let all = ["a:1", "b:1", "c:1"];
        for target in all {
            let own = people.iter().filter(|person| home(person, &all) == target).count();
            assert!((60..140).contains(&own), "{target}: {own}");
        }
        for person in people.iter().filter(|person| home(person, &all) != "b:1") {
            assert_eq!(home(person, &all), home(person, &["a:1", "c:1"]));
        }
    }
}
