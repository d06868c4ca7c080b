//! Which logout tokens were heard already: bounded in number and time. Knows neither tokens nor providers.

use std::collections::{HashMap, VecDeque};

use aws_lc_rs::digest::{Context, SHA256};

/// A token's name, told by its issuer: a hash, so that all are of one size.
type Mark = [u8; 32];

/// The tokens heard, each for as long as it could pass. Times are Unix seconds.
#[derive(Debug)]
pub(super) struct Heard {
    most: usize,
    until: HashMap<Mark, u64>,
    /// Oldest first.
    order: VecDeque<Mark>,
}

impl Heard {
    /// A memory for at most `most` tokens; when it is full, the oldest goes.
    pub(super) fn new(most: usize) -> Self {
        Self { most, until: HashMap::new(), order: VecDeque::new() }
    }

    /// Remembers a token until it could not pass any more.
    pub(super) fn keep(&mut self, issuer: &str, id: &str, until: u64, now: u64) {
        let is_over = |mark: &Mark| self.until.get(mark).is_none_or(|until| *until <= now);
        let over = self.order.iter().take_while(|mark| is_over(mark)).count();
        self.forget_oldest(over);
        if self.until.insert(mark(issuer, id), until).is_none() {
            self.order.push_back(mark(issuer, id));
        }
        self.forget_oldest(self.order.len().saturating_sub(self.most));
    }

    /// Whether this token was heard, and could still pass.
    pub(super) fn holds(&self, issuer: &str, id: &str, now: u64) -> bool {
        self.until.get(&mark(issuer, id)).is_some_and(|until| *until > now)
    }

    fn forget_oldest(&mut self, count: usize) {
        for mark in self.order.drain(..count) {
            self.until.remove(&mark);
        }
    }
}

fn mark(issuer: &str, id: &str) -> Mark {
    let mut hash = Context::new(&SHA256);
    // With its length before it, an issuer never runs into the name.
    hash.update(&(issuer.len() as u64).to_le_bytes());
    hash.update(issuer.as_bytes());
    hash.update(id.as_bytes());
    let mut mark = [0; 32];
    mark.copy_from_slice(hash.finish().as_ref());
    mark
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_issuer_and_name_until_its_end() {
        let mut heard = Heard::new(10);
        assert!(!heard.holds("a", "1", 100));
        heard.keep("a", "1", 200, 100);
        for (issuer, id, now, known) in [
            ("a", "1", 100, true),
            ("a", "1", 199, true),
            ("a", "1", 200, false),
            ("a", "2", 100, false),
            ("b", "1", 100, false),
            ("a1", "", 100, false),
            ("", "a1", 100, false),
        ] {
            assert_eq!(heard.holds(issuer, id, now), known, "{issuer} {id} {now}");
        }
        heard.keep("a", "1", 300, 210);
        assert!(heard.holds("a", "1", 299), "heard again");
    }

    #[test]
    fn when_it_is_full_the_oldest_goes() {
        let mut heard = Heard::new(3);
        for id in ["1", "2", "3", "1", "4"] {
            heard.keep("a", id, 200, 100);
        }
        let known = ["1", "2", "3", "4"].map(|id| heard.holds("a", id, 100));
        assert_eq!(known, [false, true, true, true]);
        assert_eq!((heard.order.len(), heard.until.len()), (3, 3));
    }

    #[test]
    fn what_is_over_takes_no_room() {
        let mut heard = Heard::new(1000);
        for now in 0..5000 {
            heard.keep("a", &now.to_string(), now + 5, now);
        }
        assert_eq!((heard.order.len(), heard.until.len()), (5, 5));
        // One that ends early waits behind one that ends late, and counts no more all the same.
        heard.keep("a", "late", 6000, 5000);
        heard.keep("a", "early", 5001, 5000);
        assert!(!heard.holds("a", "early", 5001) && heard.holds("a", "late", 5001));
        heard.keep("a", "next", 9000, 6000);
        assert_eq!(heard.order.len(), 1);
    }
}
