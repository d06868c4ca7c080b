//! All open connections of a listener and the one task that ends those that take too long: a timer for each
//! request would cost more than the decision. Knows no requests.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::Settings;
use super::phase::{Phase, State, Verdict};
use crate::metrics::Metrics;

/// The connections of one listener.
#[derive(Debug)]
pub(super) struct Connections {
    open: Mutex<Open>,
    room: Arc<Semaphore>,
    ticks: Arc<AtomicU32>,
    head_ticks: u32,
    idle_ticks: u32,
    send_ticks: u32,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    phases: HashMap<u64, Arc<Phase>>,
}

impl Connections {
    pub(super) fn new(settings: &Settings, metrics: Arc<Metrics>) -> Self {
        let ticks =
            |time: Duration| u32::try_from(time.as_millis() / TICK.as_millis()).unwrap_or(u32::MAX).max(1);
        Self {
            open: Mutex::default(),
            room: Arc::new(Semaphore::new(settings.connections.min(Semaphore::MAX_PERMITS))),
            ticks: Arc::default(),
            head_ticks: ticks(settings.head_timeout),
            idle_ticks: ticks(settings.idle_timeout),
            send_ticks: ticks(settings.send_timeout),
            metrics,
        }
    }

    /// A place for one more connection; waits while there are as many as there may be. Nothing is timed in it yet, as
    /// nobody is there: only [`Self::enter`] makes it one that is judged.
    pub(super) async fn place(&self) -> Place {
        // The semaphore is never closed.
        Place { _permit: Arc::clone(&self.room).acquire_owned().await.ok() }
    }

    /// Adds a connection that has just been accepted, until the entry is dropped.
    pub(super) fn enter(self: Arc<Self>, place: Place) -> Entry {
        let phase = Arc::new(Phase::new(Arc::clone(&self.ticks)));
        phase.accepted();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let id = open.next;
        open.next += 1;
        open.phases.insert(id, Arc::clone(&phase));
        drop(open);
        self.metrics.connections.inc();
        Entry { id, phase, connections: self, _place: place }
    }

    /// Moves the clock on and ends what lasts too long; after `stop` everything, and heads that are still on their
    /// way with the next tick.
    pub(super) async fn reap(self: Arc<Self>, stop: CancellationToken) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut stopping = None;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled(), if stopping.is_none() => {
                    stopping = Some(0);
                    self.judge(|_, _| Some(Verdict::Finish));
                }
                _ = tick.tick() => {
                    self.ticks.fetch_add(1, Ordering::Relaxed);
                    stopping = stopping.map(|ticks: u32| ticks.saturating_add(1));
                    self.judge(|state, ticks| self.verdict(state, ticks, stopping));
                }
            }
        }
    }

    fn judge(&self, verdict: impl Fn(State, u32) -> Option<Verdict>) {
        for phase in self.open.lock().unwrap_or_else(PoisonError::into_inner).phases.values() {
            let (state, ticks) = phase.lasts();
            verdict(state, ticks).into_iter().for_each(|verdict| phase.judge(verdict));
        }
    }

    /// What becomes of a connection that has been in one state for so many ticks; and everything ends for so many.
    fn verdict(&self, state: State, ticks: u32, stopping: Option<u32>) -> Option<Verdict> {
        match state {
            State::Head if ticks > self.head_ticks || stopping.is_some() => Some(Verdict::Close),
            State::Stuck if ticks > self.send_ticks => Some(Verdict::Close),
            // It was asked to end, and does not take its leave.
            State::Idle if ticks > self.idle_ticks.saturating_add(LEAVE_TICKS) => Some(Verdict::Close),
            State::Idle if stopping.is_some_and(|stopping| stopping.min(ticks) > LEAVE_TICKS) => {
                Some(Verdict::Close)
            }
            State::Idle if ticks > self.idle_ticks => Some(Verdict::Finish),
            // Also one that was accepted while all others were told.
            State::Idle | State::Head | State::Busy | State::Stuck => stopping.map(|_| Verdict::Finish),
        }
    }
}

/// Room for one connection.
#[derive(Debug)]
pub(super) struct Place {
    _permit: Option<OwnedSemaphorePermit>,
}

/// A connection among the others.
#[derive(Debug)]
pub(super) struct Entry {
    id: u64,
    phase: Arc<Phase>,
    connections: Arc<Connections>,
    _place: Place,
}

impl Entry {
    pub(super) fn phase(&self) -> &Arc<Phase> {
        &self.phase
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.connections.open.lock().unwrap_or_else(PoisonError::into_inner).phases.remove(&self.id);
        self.connections.metrics.connections.dec();
    }
}

/// How long a connection that has nothing to do may take to end when it is asked to.
const LEAVE_TICKS: u32 = 10;
/// How exactly times are kept.
const TICK: Duration = Duration::from_millis(500);
