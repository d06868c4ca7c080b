//! Things kept for a while, by a name nobody can guess, and never too many of them. Knows not what they are.

use std::collections::HashMap;

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Things with a name and an end. Where room runs out the one that would end first goes.
#[derive(Debug)]
pub(super) struct Shelf<T> {
    room: usize,
    things: HashMap<String, Kept<T>>,
}

#[derive(Debug)]
struct Kept<T> {
    until: u64,
    thing: T,
}

impl<T> Shelf<T> {
    /// An empty shelf for at most `room` things.
    pub(super) fn new(room: usize) -> Self {
        Self { room, things: HashMap::new() }
    }

    /// Keeps a thing until a time in Unix seconds.
    pub(super) fn put(&mut self, name: String, thing: T, until: u64, now: u64) {
        if self.things.len() >= self.room {
            self.things.retain(|_, kept| kept.until > now);
        }
        if self.things.len() >= self.room {
            let first = self.things.iter().min_by_key(|(_, kept)| kept.until).map(|(name, _)| name.clone());
            first.map(|name| self.things.remove(&name));
        }
        self.things.insert(name, Kept { until, thing });
    }

    /// Takes a thing away.
    pub(super) fn take(&mut self, name: &str, now: u64) -> Option<T> {
        self.things.remove(name).filter(|kept| kept.until > now).map(|kept| kept.thing)
    }

    /// Drops what is not worth keeping.
    pub(super) fn keep_only(&mut self, worth: impl Fn(&T) -> bool) {
        self.things.retain(|_, kept| worth(&kept.thing));
    }

    /// A thing that has not ended.
    pub(super) fn find(&self, name: &str, now: u64) -> Option<&T> {
        self.things.get(name).filter(|kept| kept.until > now).map(|kept| &kept.thing)
    }
}

/// A name that nobody can guess: 256 bits in base64url.
///
/// # Errors
/// [`Unspecified`] if the system gives no random bytes.
pub(super) fn fresh_name() -> Result<String, Unspecified> {
    let mut bytes = [0_u8; 32];
    rand::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_end() {
        let mut shelf = Shelf::new(2);
        shelf.put("a".into(), 1, 60, 0);
        assert_eq!((shelf.find("a", 59), shelf.find("a", 60), shelf.find("b", 0)), (Some(&1), None, None));
        assert_eq!(shelf.take("a", 60), None, "too late");
        shelf.put("a".into(), 1, 60, 0);
        assert_eq!((shelf.take("a", 59), shelf.take("a", 59)), (Some(1), None), "taken once");
    }

    #[test]
    fn a_full_shelf_drops_what_has_ended_and_then_what_ends_first() {
        let mut shelf = Shelf::new(2);
        for (name, until, now, left) in
            [("a", 10, 0, "a"), ("b", 20, 0, "ab"), ("c", 30, 10, "bc"), ("d", 40, 11, "cd")]
        {
            shelf.put(name.into(), (), until, now);
            let found: String =
                ["a", "b", "c", "d"].into_iter().filter(|name| shelf.find(name, now).is_some()).collect();
            assert_eq!(found, left, "after {name}");
            assert!(shelf.things.len() <= 2);
        }
    }
}
