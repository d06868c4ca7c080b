//! Turns to have a form read: so many at a time, and few for one client, as whoever sends theirs slowly holds it for long. Knows no forms.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::limits::{Network, network_of};

/// The turns that are taken.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// Those who have some, and how many.
    by: HashMap<Network, usize>,
}

/// A turn, until this is dropped.
#[derive(Debug)]
pub(super) struct Turn<'t> {
    turns: &'t Turns,
    network: Option<Network>,
}

impl Turns {
    /// A turn for a client, if there is one. Where nobody vouches for its address it is one of all together only.
    pub(super) fn take(&self, client: Option<IpAddr>) -> Option<Turn<'_>> {
        let network = client.map(network_of);
        let mut taken = self.taken();
        let own = network.and_then(|network| taken.by.get(&network)).copied().unwrap_or_default();
        if taken.all >= MOST || own >= MOST_OF_ONE {
            return None;
        }
        taken.all += 1;
        if let Some(network) = network {
            taken.by.insert(network, own + 1);
        }
        Some(Turn { turns: self, network })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut taken = self.turns.taken();
        taken.all -= 1;
        let Some(network) = self.network else { return };
        match taken.by.get_mut(&network) {
            Some(own) if *own > 1 => *own -= 1,
            Some(_) | None => drop(taken.by.remove(&network)),
        }
    }
}

/// Each takes less than half a MiB with all its copies.
const MOST: usize = 100;
/// As many as people behind one address may need within a moment.
const MOST_OF_ONE: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_few_turns_all_have_many_and_each_comes_back() {
        let turns = Turns::default();
        let of = |client: &str| turns.take(Some(client.parse().unwrap()));
        let one: Vec<_> = std::iter::from_fn(|| of("2001:db8::1")).collect();
        assert_eq!(one.len(), MOST_OF_ONE);
        assert!(of("2001:db8::2").is_none(), "the same network");
        let other = of("2001:db8:0:1::1");
        assert!(other.is_some(), "another one");
        let rest: Vec<_> = std::iter::from_fn(|| turns.take(None)).collect();
        assert_eq!(rest.len(), MOST - MOST_OF_ONE - 1);
        assert!(of("203.0.113.7").is_none(), "all are taken");
        drop((one, other, rest));
        assert_eq!(std::iter::from_fn(|| of("2001:db8::3")).collect::<Vec<_>>().len(), MOST_OF_ONE);
        let taken = turns.taken();
        assert!(taken.all == 0 && taken.by.is_empty(), "{taken:?}");
    }
}
