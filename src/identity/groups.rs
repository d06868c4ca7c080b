//! A list of groups, packed, and the place where equal lists are one: many people have the same. Knows no people.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// The groups of one person or of many, sorted, each once.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Groups {
    /// Their names with [`super::GLUE`] between them.
    text: Bytes,
    /// Where each of them ends in `text`.
    ends: Box<[u32]>,
}

impl Groups {
    pub(super) fn pack(groups: &[String]) -> Self {
        let mut groups: Vec<&str> = groups.iter().map(String::as_str).collect();
        groups.sort_unstable();
        groups.dedup();
        let (text, ends) = super::join(groups.into_iter());
        Self { text, ends: ends.into_boxed_slice() }
    }

    pub(super) fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.ends.len()).map(|index| std::str::from_utf8(self.name(index)).unwrap_or_default())
    }

    pub(super) fn contains(&self, group: &str) -> bool {
        let (mut low, mut high) = (0, self.ends.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.name(middle).cmp(group.as_bytes()) {
                std::cmp::Ordering::Equal => return true,
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        false
    }

    pub(super) fn shared_text(&self) -> Bytes {
        self.text.clone()
    }

    fn name(&self, index: usize) -> &[u8] {
        super::piece(&self.text, &self.ends, index)
    }
}

/// Lists of groups that are in use, each kept once.
#[derive(Debug, Default)]
pub struct GroupLists(Mutex<Lists>);

#[derive(Debug, Default)]
struct Lists {
    known: HashSet<Arc<Groups>>,
    /// How many there may be before those that nobody uses any more are dropped.
    room: usize,
}

impl GroupLists {
    /// The list that equals this one, which becomes that list if there is none.
    pub(super) fn shared(&self, groups: Arc<Groups>) -> Arc<Groups> {
        let mut lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lists.known.get(&groups) {
            return Arc::clone(known);
        }
        if lists.known.len() >= lists.room {
            lists.known.retain(|list| Arc::strong_count(list) > 1);
            lists.room = (2 * lists.known.len()).max(LEAST_ROOM);
        }
        lists.known.insert(Arc::clone(&groups));
        groups
    }
}

const LEAST_ROOM: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn list(groups: &[&str]) -> Arc<Groups> {
        Arc::new(Groups::pack(&groups.iter().map(ToString::to_string).collect::<Vec<_>>()))
    }

    #[test]
    fn equal_lists_are_one_and_others_are_not() {
        let lists = GroupLists::default();
        let first = lists.shared(list(&["a", "b"]));
        assert!(Arc::ptr_eq(&first, &lists.shared(list(&["b", "a", "b"]))));
        for other in [&["a,b"][..], &["a"], &["a", "b", ""], &[]] {
            assert!(!Arc::ptr_eq(&first, &lists.shared(list(other))), "{other:?}");
        }
    }

    #[test]
    fn lists_that_nobody_uses_make_room() {
        let lists = GroupLists::default();
        let kept = lists.shared(list(&["kept"]));
        for number in 0..10 * LEAST_ROOM {
            lists.shared(list(&[&number.to_string()]));
        }
        assert!(lists.0.lock().unwrap().known.len() <= LEAST_ROOM);
        assert!(Arc::ptr_eq(&kept, &lists.shared(list(&["kept"]))));
    }
}
