//! Key sets by address: fetched one at a time, seldom, and outside any lock. Knows no tokens.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Request;
use url::Url;

use super::error::KeysError;
use super::keys::KeySet;
use crate::outbound::Outbound;
use crate::outbound::flight::{Flight, Landing};

type Fetched = Result<Arc<KeySet>, KeysError>;

/// The key sets we have, and when we last tried to get them.
pub(super) struct Ring {
    outbound: Outbound,
    slots: Arc<Mutex<Vec<Slot>>>,
    /// Goes up whenever a fetch yields other keys than before.
    version: Arc<AtomicU64>,
}

/// One address's key set.
struct Slot {
    uri: Url,
    keys: Option<(Arc<KeySet>, u64)>,
    /// When the last fetch began, and what came of it if it failed.
    tried: Option<u64>,
    failure: Option<KeysError>,
    flight: Flight<Fetched>,
}

/// What to do next for somebody who wants keys.
enum Step {
    Have(Arc<KeySet>),
    Wait(Landing<Fetched>),
    Fail(KeysError),
}

impl Ring {
    pub(super) fn new(outbound: Outbound) -> Self {
        Self { outbound, slots: Arc::default(), version: Arc::default() }
    }

    /// Another number than before whenever any key set has changed since.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The key set at `uri`: the one we have, else fetched. An old one is also fetched anew, behind the scenes.
    pub(super) async fn keys(&self, uri: &Url, now: u64) -> Fetched {
        match self.step(uri, now) {
            Step::Have(keys) => Ok(keys),
            Step::Wait(landing) => landing.outcome().await.unwrap_or(Err(KeysError::Interrupted)),
            Step::Fail(error) => Err(error),
        }
    }

    /// A newer key set than `than`, if there is one or the cool-down allows to ask for it.
    pub(super) async fn newer(&self, uri: &Url, than: &Arc<KeySet>, now: u64) -> Option<Arc<KeySet>> {
        let landing = {
            let mut slots = self.lock();
            let slot = slot(&mut slots, uri);
            match &slot.keys {
                Some((keys, _)) if !Arc::ptr_eq(keys, than) => return Some(Arc::clone(keys)),
                Some(_) | None => {}
            }
            match slot.flight.current() {
                Some(landing) => landing,
                None if slot.is_cooling(now) => return None,
                None => self.begin(slot, now),
            }
        };
        landing.outcome().await?.ok()
    }

    fn step(&self, uri: &Url, now: u64) -> Step {
        let mut slots = self.lock();
        let slot = slot(&mut slots, uri);
        if let Some((keys, fetched)) = slot.keys.clone() {
            let is_old = now.abs_diff(fetched) >= FRESH_SECONDS;
            if is_old && !slot.is_cooling(now) && slot.flight.current().is_none() {
                self.begin(slot, now);
            }
            return Step::Have(keys);
        }
        if let Some(landing) = slot.flight.current() {
            return Step::Wait(landing);
        }
        if slot.is_cooling(now) {
            return Step::Fail(slot.failure.clone().unwrap_or(KeysError::Interrupted));
        }
        Step::Wait(self.begin(slot, now))
    }

    fn begin(&self, slot: &mut Slot, now: u64) -> Landing<Fetched> {
        slot.tried = Some(now);
        let (outbound, uri, slots) = (self.outbound.clone(), slot.uri.clone(), Arc::downgrade(&self.slots));
        let version = Arc::clone(&self.version);
        slot.flight.start(async move {
            let fetched = fetch(&outbound, &uri).await.map(Arc::new);
            if let Some(slots) = slots.upgrade() {
                let mut slots = slots.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(slot) = slots.iter_mut().find(|slot| slot.uri == uri) {
                    slot.land(&fetched, &version, now);
                }
            }
            fetched
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    fn land(&mut self, fetched: &Fetched, version: &AtomicU64, now: u64) {
        match fetched {
            Ok(keys) => {
                if self.keys.as_ref().is_none_or(|(known, _)| !known.is_same(keys)) {
                    version.fetch_add(1, Ordering::AcqRel);
                }
                self.keys = Some((Arc::clone(keys), now));
                self.failure = None;
            }
            Err(error) => self.failure = Some(error.clone()),
        }
    }

    /// Attempts count, not successes, so that a provider that is down is not asked at will.
    fn is_cooling(&self, now: u64) -> bool {
        self.tried.is_some_and(|tried| now.abs_diff(tried) < COOL_DOWN_SECONDS)
    }
}

fn slot<'a>(slots: &'a mut Vec<Slot>, uri: &Url) -> &'a mut Slot {
    let index = slots.iter().position(|slot| slot.uri == *uri).unwrap_or_else(|| {
        if slots.len() >= LIMIT {
            slots.remove(0);
        }
        let flight = Flight::default();
        slots.push(Slot { uri: uri.clone(), keys: None, tried: None, failure: None, flight });
        slots.len() - 1
    });
    &mut slots[index]
}

async fn fetch(outbound: &Outbound, uri: &Url) -> Result<KeySet, KeysError> {
    let request = Request::get(uri.as_str())
        .body(Vec::new())
        .map_err(|error| KeysError::Unreadable(error.to_string()))?;
    let answer = outbound.fetch(request).await?;
    if answer.status() != http::StatusCode::OK {
        return Err(KeysError::Status(answer.status().as_u16()));
    }
    KeySet::parse(answer.body())
}

/// The least time between two fetches of one key set.
const COOL_DOWN_SECONDS: u64 = 10;
/// After this a key the provider has withdrawn is forgotten at the next use but one.
const FRESH_SECONDS: u64 = 600;
/// Addresses we keep; there is one per provider unless its discovery document moves it.
const LIMIT: usize = 16;
