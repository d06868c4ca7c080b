//! The lines that wait to be written: as many as there is room for. Whoever puts one in never waits longer than a copy takes.
//! Knows no output.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Kind;
use crate::metrics::{Lines, Metrics};

/// Between those who tell and the one who writes.
#[derive(Debug)]
pub(super) struct Queue {
    kind: Kind,
    state: Mutex<State>,
    /// There is something for the writer.
    work: Condvar,
    /// The writer has ended.
    done: Condvar,
    lines: Lines,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    /// Lines lost since the last time somebody was told.
    lost: u64,
    reopen: bool,
    closed: bool,
    ended: bool,
}

/// What there is to do for the writer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Orders {
    pub(super) reopen: bool,
    pub(super) closed: bool,
}

impl Queue {
    pub(super) fn new(kind: Kind, metrics: &Metrics) -> Self {
        Self {
            kind,
            state: Mutex::default(),
            work: Condvar::new(),
            done: Condvar::new(),
            lines: kind.lines(metrics).clone(),
        }
    }

    pub(super) fn put(&self, line: &[u8]) {
        let mut state = self.state();
        if state.closed || state.lines.len() + line.len() > self.kind.room_bytes() {
            state.lost += 1;
            let is_first = state.lost == 1;
            drop(state);
            self.lines.lost.inc();
            if is_first {
                tracing::error!(
                    journal = self.kind.name(),
                    "the queue of a journal is full, and lines are lost"
                );
            }
            return;
        }
        let was_empty = state.lines.is_empty();
        state.lines.extend_from_slice(line);
        drop(state);
        if was_empty {
            self.work.notify_one();
        }
    }

    pub(super) fn reopen(&self) {
        self.state().reopen = true;
        self.work.notify_one();
    }

    pub(super) fn close(&self, time: Duration) {
        let mut state = self.state();
        state.closed = true;
        self.work.notify_one();
        if !time.is_zero() {
            let waited = self.done.wait_timeout_while(state, time, |state| !state.ended);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Waits for something to do and moves all lines into `lines`, which is empty; for `at_most` this long if it is given.
    pub(super) fn take(&self, lines: &mut Vec<u8>, at_most: Option<Duration>) -> Orders {
        let mut state = self.wait(at_most);
        if lines.is_empty() {
            std::mem::swap(&mut state.lines, lines);
        }
        Orders { reopen: std::mem::take(&mut state.reopen), closed: state.closed }
    }

    fn wait(&self, at_most: Option<Duration>) -> MutexGuard<'_, State> {
        let state = self.state();
        match at_most {
            None => {
                let idle = |state: &mut State| state.lines.is_empty() && !state.reopen && !state.closed;
                let state = self.work.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
                let gathers = |state: &mut State| !state.reopen && !state.closed;
                let waited = self.work.wait_timeout_while(state, self.kind.breath(), gathers);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            Some(time) => {
                let idle = |state: &mut State| !state.reopen && !state.closed;
                let waited = self.work.wait_timeout_while(state, time, idle);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }

    /// Whether nothing waits any more.
    pub(super) fn is_empty(&self) -> bool {
        self.state().lines.is_empty()
    }

    /// Counts lines that are written.
    pub(super) fn wrote(&self, lines: u64) {
        self.lines.written.inc_by(lines);
    }

    /// How many lines were lost since this was last asked.
    pub(super) fn lost_so_far(&self) -> u64 {
        std::mem::take(&mut self.state().lost)
    }

    /// The writer ends, and these lines of its own are lost with all that still waits.
    pub(super) fn end(&self, unwritten: &[u8]) -> u64 {
        let mut state = self.state();
        let lost = count(unwritten) + count(&std::mem::take(&mut state.lines));
        state.ended = true;
        drop(state);
        self.lines.lost.inc_by(lost);
        self.done.notify_all();
        lost
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lines in these bytes.
pub(super) fn count(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}
