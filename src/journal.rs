//! Lines for programs that go out beside the log: what happened, for whoever audits, and each request. They wait in a bounded queue and one thread
//! writes them, so that nobody who answers a request waits for a disk. A line that is lost is counted and told of. Knows
//! neither requests nor rules.

mod access;
mod audit;
mod output;
mod queue;
mod writer;

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::metrics::{Lines, Metrics};
use crate::wording::escaped;
pub use access::{Access, Asked, Draft, Request};
pub use audit::{Audit, By, Event, Place, Record, Somebody, write_once};
pub use output::Output;
use output::Sink;
use queue::Queue;
use writer::Writer;

/// Which of the journals it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What happened to people and their sessions.
    Audit,
    /// Each request.
    Access,
}

/// Where the journals of a configuration go; nowhere by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The audit log.
    pub audit: Option<Output>,
    /// The access log.
    pub access: Option<Output>,
}

/// One journal: the queue, and the thread behind it, which ends when this is dropped and all is written.
#[derive(Debug)]
pub struct Journal {
    output: Output,
    queue: Arc<Queue>,
}

impl Journal {
    /// Opens the output and begins to write.
    ///
    /// # Errors
    /// If it cannot be opened, or no thread can be had.
    pub fn open(kind: Kind, output: &Output, metrics: &Metrics) -> io::Result<Self> {
        let sink = Sink::open(output)?;
        let queue = Arc::new(Queue::new(kind, metrics));
        let writer = Writer::new(kind, sink, Arc::clone(&queue));
        thread::Builder::new().name(format!("foregate-{}", kind.name())).spawn(|| writer.run())?;
        Ok(Self { output: output.clone(), queue })
    }

    /// The journal for `output` behind another configuration: the same one if that wrote to the same place.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn after(
        before: Option<&Arc<Self>>,
        kind: Kind,
        output: Option<&Output>,
        metrics: &Metrics,
    ) -> io::Result<Option<Arc<Self>>> {
        let Some(output) = output else { return Ok(None) };
        match before.filter(|journal| journal.output == *output) {
            Some(same) => Ok(Some(Arc::clone(same))),
            None => Ok(Some(Arc::new(Self::open(kind, output, metrics)?))),
        }
    }

    /// Puts a line, with its line feed, into the queue. Never waits for the output.
    pub fn put(&self, line: &[u8]) {
        self.queue.put(&plain(line));
    }

    /// Has the file opened anew, as it may have been moved away.
    pub fn reopen(&self) {
        self.queue.reopen();
    }

    /// Takes no more, and waits until all is written, but not for longer than `time`.
    pub fn close(&self, time: Duration) {
        self.queue.close(time);
    }
}

/// A line as it is written: nothing in it acts on the screen of whoever reads it (CVE-2024-45808).
fn plain(line: &[u8]) -> Cow<'_, [u8]> {
    if line.iter().all(|byte| *byte < 0x7f) {
        return Cow::Borrowed(line);
    }
    Cow::Owned(escaped(&String::from_utf8_lossy(line)).into_owned().into_bytes())
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.queue.close(Duration::ZERO);
    }
}

impl Kind {
    /// Its name, in lines and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Access => "access",
        }
    }

    fn lines(self, metrics: &Metrics) -> &Lines {
        match self {
            Self::Audit => &metrics.audit_lines,
            Self::Access => &metrics.access_lines,
        }
    }

    /// Bytes of lines that may wait: some thousands of lines.
    fn room_bytes(self) -> usize {
        match self {
            Self::Audit => 1 << 20,
            Self::Access => 4 << 20,
        }
    }

    /// How long the writer lets lines gather, so that it is not woken for each.
    fn breath(self) -> Duration {
        match self {
            Self::Audit => Duration::ZERO,
            Self::Access => Duration::from_millis(20),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn counted(metrics: &Metrics, name: &str) -> u64 {
        let text = metrics.text();
        let line =
            text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {text}"));
        line.rsplit(' ').next().and_then(|value| value.parse().ok()).unwrap()
    }

    const WRITTEN: &str = "foregate_journal_lines_total{journal=\"audit\"}";
    const LOST: &str = "foregate_journal_lines_lost_total{journal=\"audit\"}";

    #[test]
    fn each_line_is_written_once_also_over_a_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let (path, old) = (dir.path().join("audit.log"), dir.path().join("audit.log.1"));
        let metrics = Metrics::default();
        let journal = Journal::open(Kind::Audit, &Output::File(path.clone()), &metrics).unwrap();
        journal.put(b"one\n");
        while counted(&metrics, WRITTEN) < 1 {
            thread::yield_now();
        }
        fs::rename(&path, &old).unwrap();
        journal.reopen();
        journal.put(b"two\n");
        journal.close(Duration::from_secs(60));
        assert_eq!(
            (fs::read(&old).unwrap(), fs::read(&path).unwrap()),
            (b"one\n".to_vec(), b"two\n".to_vec())
        );
        journal.put(b"three\n");
        assert_eq!((counted(&metrics, WRITTEN), counted(&metrics, LOST)), (2, 1), "one came too late");
    }

    #[test]
    fn what_cannot_be_written_yet_waits_and_what_finds_no_room_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let (inner, path) = (dir.path().join("logs"), dir.path().join("logs/audit.log"));
        fs::create_dir(&inner).unwrap();
        let metrics = Metrics::default();
        let journal = Journal::open(Kind::Audit, &Output::File(path.clone()), &metrics).unwrap();
        fs::remove_dir_all(&inner).unwrap();
        let line = [vec![b'x'; 65_535], vec![b'\n']].concat();
        // The queue holds 16 of them, and the thread 16 more at most.
        (0..40).for_each(|_| journal.put(&line));
        assert!(counted(&metrics, LOST) >= 8, "{}", counted(&metrics, LOST));
        fs::create_dir(&inner).unwrap();
        journal.reopen();
        journal.close(Duration::from_secs(60));
        let (written, lost) = (counted(&metrics, WRITTEN), counted(&metrics, LOST));
        assert_eq!((written + lost, fs::read(&path).unwrap().len() as u64), (40, written * 65_536));
        assert!(written >= 16, "{written}");
    }

    #[test]
    fn an_output_that_cannot_be_opened_is_an_error_at_once() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path().to_owned(), dir.path().join("nowhere/audit.log")] {
            assert!(Journal::open(Kind::Audit, &Output::File(path), &Metrics::default()).is_err());
        }
    }
}
