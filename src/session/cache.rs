//! The sessions in memory: bounded, found by the public half of their handles. Knows no store.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache as QuickCache, DefaultLifecycle};

use super::Session;
use super::app_tokens::{KnownToken, TokenMemory};
use super::watch::Watchers;
use crate::identity::GroupLists;
use crate::visit::HANDLE_ID_BYTES;

type Id = [u8; HANDLE_ID_BYTES];

/// Sessions by id. When it is full, those least used go; the store still has them.
#[derive(Debug)]
pub(super) struct Cache {
    sessions: QuickCache<Id, Arc<Session>, UnitWeighter, RandomIds>,
    /// Count what was forgotten, each for a part of the ids, so that a row read before that is not put back after it.
    epochs: Box<[AtomicU64; EPOCHS]>,
    /// Sessions used since the store was last told, each once.
    used: Mutex<Vec<Arc<Session>>>,
    /// The issuers seen, each kept once.
    issuers: RwLock<HashSet<Arc<str>>>,
    /// The lists of groups that sessions in memory share.
    pub(super) groups: GroupLists,
    /// App tokens, forgotten as sessions are.
    pub(super) tokens: TokenMemory,
    /// Who is told when one is forgotten or put in the place of another.
    pub(super) watchers: Arc<Watchers>,
}

impl Cache {
    pub(super) fn new(capacity: usize) -> Self {
        let (weighter, lifecycle) = (UnitWeighter, DefaultLifecycle::default());
        let sessions = QuickCache::with(capacity, capacity as u64, weighter, RandomIds, lifecycle);
        let epochs = Box::new([const { AtomicU64::new(0) }; EPOCHS]);
        let (groups, tokens, watchers) = (GroupLists::default(), TokenMemory::new(), Arc::default());
        let (used, issuers) = (Mutex::default(), RwLock::default());
        Self { sessions, epochs, used, issuers, groups, tokens, watchers }
    }

    pub(super) fn get(&self, id: &Id) -> Option<Arc<Session>> {
        self.sessions.get(id)
    }

    fn put(&self, session: &Arc<Session>) {
        self.sessions.insert(session.handle.id(), Arc::clone(session));
    }

    /// What to hand to [`Cache::put_unless_forgotten`] after the row of `id` was read.
    pub(super) fn epoch(&self, id: &Id) -> u64 {
        self.epoch_of(id).load(Ordering::Acquire)
    }

    /// Keeps a session whose row was read after `epoch` was taken, unless a session with an id like its own was
    /// forgotten meanwhile: it might have been this one, and the store can be asked again.
    pub(super) fn put_unless_forgotten(&self, session: &Arc<Session>, epoch: u64) {
        let id = session.handle.id();
        if self.epoch(&id) != epoch {
            return;
        }
        self.put(session);
        if self.epoch(&id) != epoch {
            self.sessions.remove(&id);
        }
    }

    /// The same for an app token.
    pub(super) fn put_token_unless_forgotten(&self, id: Id, token: &Arc<KnownToken>, epoch: u64) {
        if self.epoch(&id) != epoch {
            return;
        }
        self.tokens.put(id, token);
        if self.epoch(&id) != epoch {
            self.tokens.forget(&id);
        }
    }

    /// Forgets a session, or an app token.
    pub(super) fn forget(&self, id: &Id) {
        self.epoch_of(id).fetch_add(1, Ordering::AcqRel);
        self.sessions.remove(id);
        self.tokens.forget(id);
        self.watchers.wake(id);
    }

    pub(super) fn forget_all(&self) {
        for epoch in self.epochs.iter() {
            epoch.fetch_add(1, Ordering::AcqRel);
        }
        self.sessions.clear();
        self.tokens.forget_all();
        self.watchers.wake_all();
    }

    fn epoch_of(&self, id: &Id) -> &AtomicU64 {
        &self.epochs[usize::from(id[0])]
    }

    pub(super) fn keep_only(&self, lives: impl Fn(&Session) -> bool) {
        self.sessions.retain(|_, session| lives(session));
    }

    /// Remembers that a session was used; cheap after the first time since [`Cache::take_used`].
    pub(super) fn note_use(&self, session: &Arc<Session>, now: u64) {
        if session.last_seen.load(Ordering::Relaxed) < now {
            session.last_seen.store(now, Ordering::Relaxed);
        }
        if !session.noted.load(Ordering::Relaxed) && !session.noted.swap(true, Ordering::AcqRel) {
            self.used.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(session));
        }
    }

    /// The sessions used since the last call, each once.
    pub(super) fn take_used(&self) -> Vec<Arc<Session>> {
        let used = std::mem::take(&mut *self.used.lock().unwrap_or_else(PoisonError::into_inner));
        for session in &used {
            session.noted.store(false, Ordering::Release);
        }
        used
    }

    /// The sessions that are known and watched, whether or not they are used.
    pub(super) fn watched(&self) -> Vec<Arc<Session>> {
        self.watchers.ids().iter().filter_map(|id| self.sessions.get(id)).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// The one copy of an issuer's name.
    pub(super) fn issuer(&self, issuer: &str) -> Arc<str> {
        let known = self.issuers.read().ok().and_then(|issuers| issuers.get(issuer).cloned());
        known.unwrap_or_else(|| {
            let issuer: Arc<str> = issuer.into();
            if let Ok(mut issuers) = self.issuers.write() {
                issuers.insert(Arc::clone(&issuer));
            }
            issuer
        })
    }
}

/// One for each first byte of an id.
const EPOCHS: usize = 256;

/// Ids are random, so their first bytes are hash enough. Somebody who sends chosen ids finds nothing by them and
/// stores nothing.
#[derive(Clone, Copy, Debug, Default)]
struct RandomIds;

#[derive(Debug, Default)]
struct FirstBytes(u64);

impl BuildHasher for RandomIds {
    type Hasher = FirstBytes;

    fn build_hasher(&self) -> FirstBytes {
        FirstBytes::default()
    }
}

impl Hasher for FirstBytes {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 ^= u64::from_le_bytes(*first);
        }
    }

    /// The length of an array, which says nothing.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
