//! The thread that writes the lines of a journal. What cannot be written is tried again, as long as the program runs.

use std::sync::Arc;
use std::time::Duration;

use super::Kind;
use super::output::{Sink, Stuck};
use super::queue::{Queue, count};

/// Writes what waits in a queue.
#[derive(Debug)]
pub(super) struct Writer {
    kind: Kind,
    sink: Sink,
    queue: Arc<Queue>,
    /// What was taken out of the queue and is not written yet.
    lines: Vec<u8>,
    /// Whether the last try did not succeed, which is told once.
    is_stuck: bool,
}

impl Writer {
    pub(super) fn new(kind: Kind, sink: Sink, queue: Arc<Queue>) -> Self {
        Self { kind, sink, queue, lines: Vec::new(), is_stuck: false }
    }

    /// Writes until the queue is closed and empty, or closed and nothing can be written.
    pub(super) fn run(mut self) {
        loop {
            let orders = self.queue.take(&mut self.lines, self.is_stuck.then_some(TRY_AGAIN));
            if orders.reopen
                && let Err(error) = self.sink.reopen()
            {
                tracing::warn!(journal = self.kind.name(), %error, "the file of a journal cannot be opened anew");
            }
            self.write();
            if orders.closed && (self.is_stuck || self.queue.is_empty()) {
                break;
            }
        }
        let lost = self.queue.end(&self.lines);
        if lost > 0 {
            tracing::error!(
                journal = self.kind.name(),
                lost,
                "lines of a journal could not be written before the end"
            );
        }
    }

    fn write(&mut self) {
        let (written, error) = match self.sink.write(&self.lines) {
            Ok(()) => (self.lines.len(), None),
            Err(Stuck { written, error }) => (written, Some(error)),
        };
        let lines = count(&self.lines[..written]);
        self.lines.drain(..written);
        self.lines.shrink_to(KEPT_BYTES);
        self.queue.wrote(lines);
        let journal = self.kind.name();
        match (&error, self.is_stuck) {
            (Some(error), false) => {
                tracing::error!(journal, %error, "a journal cannot be written: its lines wait as long as there is room");
            }
            (None, true) => tracing::warn!(journal, "a journal is written again"),
            (Some(_), true) | (None, false) => {}
        }
        self.is_stuck = error.is_some();
        let lost = if self.is_stuck { 0 } else { self.queue.lost_so_far() };
        if lost > 0 {
            tracing::error!(journal, lost, "lines of a journal were lost, as there was no room for them");
        }
    }
}

/// After how long a write that did not succeed is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// Bytes of memory that are kept for the next lines.
const KEPT_BYTES: usize = 64 * 1024;
