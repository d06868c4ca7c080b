//! Who wants to know at once that a session may have ended or changed. Sessions that nobody watches cost nothing. Knows
//! neither sessions nor what is done with the news.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use crate::visit::{Credential, HANDLE_ID_BYTES, SessionHandle};

type Id = [u8; HANDLE_ID_BYTES];

/// All who watch.
#[derive(Debug)]
pub(super) struct Watchers {
    watched: Mutex<Watched>,
    turns: Semaphore,
}

#[derive(Debug, Default)]
struct Watched {
    next: u64,
    all: HashMap<u64, Arc<Notify>>,
    of: HashMap<Id, Vec<u64>>,
}

impl Default for Watchers {
    fn default() -> Self {
        Self { watched: Mutex::default(), turns: Semaphore::new(TURNS) }
    }
}

impl Watchers {
    /// Begins to watch the sessions that a credential may show, and an app token, or none of them but the whole.
    pub(super) fn watch(self: &Arc<Self>, credential: &Credential, token: Option<Id>) -> Watch {
        let ids: Box<[Id]> = match credential {
            Credential::None => token.into_iter().collect(),
            Credential::Session(first, others) => {
                std::iter::once(first).chain(others).map(SessionHandle::id).chain(token).collect()
            }
        };
        let news = Arc::new(Notify::new());
        let mut watched = self.lock();
        let number = watched.next;
        watched.next += 1;
        watched.all.insert(number, Arc::clone(&news));
        for id in &ids {
            watched.of.entry(*id).or_default().push(number);
        }
        drop(watched);
        Watch { number, ids, news, watchers: Arc::clone(self) }
    }

    /// All that somebody watches.
    pub(super) fn ids(&self) -> Vec<Id> {
        self.lock().of.keys().copied().collect()
    }

    /// Tells those who watch one session.
    pub(super) fn wake(&self, id: &Id) {
        let watched = self.lock();
        let numbers = watched.of.get(id).into_iter().flatten();
        numbers.filter_map(|number| watched.all.get(number)).for_each(|news| news.notify_one());
    }

    /// Tells everybody.
    pub(super) fn wake_all(&self) {
        self.lock().all.values().for_each(|news| news.notify_one());
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An eye on the sessions of one credential, until it is dropped.
#[derive(Debug)]
pub struct Watch {
    number: u64,
    ids: Box<[Id]>,
    news: Arc<Notify>,
    watchers: Arc<Watchers>,
}

impl Watch {
    /// Waits for the next news; those that came since the last time are there at once.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// Waits for a turn to look, so that news for everybody does not make everybody ask the store together. `None` is
    /// never said.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.watchers.turns.acquire().await.ok()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watched = self.watchers.lock();
        watched.all.remove(&self.number);
        for id in &self.ids {
            if let Some(numbers) = watched.of.get_mut(id) {
                numbers.retain(|number| *number != self.number);
                if numbers.is_empty() {
                    watched.of.remove(id);
                }
            }
        }
    }
}

/// Who may look at a time.
const TURNS: usize = 64;

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::visit::HANDLE_BYTES;

    fn of(ids: &[u8]) -> Credential {
        let handle = |id: &u8| SessionHandle([*id; HANDLE_BYTES]);
        let mut handles: Vec<_> = ids.iter().map(handle).collect();
        if handles.is_empty() { Credential::None } else { Credential::Session(handles.remove(0), handles) }
    }

    async fn has_news(watch: &Watch) -> bool {
        timeout(std::time::Duration::ZERO, watch.news()).await.is_ok()
    }

    #[tokio::test]
    async fn news_reaches_whom_it_is_about_also_if_it_comes_first() {
        let watchers = Arc::new(Watchers::default());
        let watches =
            [of(&[1]), of(&[2, 3]), of(&[3, 3]), of(&[])].map(|credential| watchers.watch(&credential, None));
        for (news, told) in [
            (Some(1), [true, false, false, false]),
            (Some(3), [false, true, true, false]),
            (Some(9), [false, false, false, false]),
            (None, [true, true, true, true]),
        ] {
            match news {
                Some(id) => watchers.wake(&[id; HANDLE_ID_BYTES]),
                None => watchers.wake_all(),
            }
            for (watch, told) in watches.iter().zip(told) {
                assert_eq!(has_news(watch).await, told, "{news:?}");
                assert!(!has_news(watch).await, "{news:?} is told once");
            }
        }
        drop(watches);
        assert!(watchers.lock().all.is_empty() && watchers.lock().of.is_empty(), "nothing is left behind");
    }
}
