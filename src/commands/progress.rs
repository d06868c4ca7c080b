//! A line that says how far long work is: on a terminal only, and gone when the work is done. Knows not what is done.

use std::io::{self, IsTerminal as _, Write as _};
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The line, if there is somebody to see it: whoever reads standard output gets nothing of it.
#[derive(Debug)]
pub(super) struct Progress {
    seen: bool,
    shown: bool,
}

impl Progress {
    /// Nothing is shown before there is something to tell.
    pub(super) fn new() -> Self {
        Self { seen: io::stderr().is_terminal(), shown: false }
    }

    /// Puts this in the place of what was told before.
    pub(super) fn tell(&mut self, text: &str) {
        if self.seen {
            self.shown = true;
            write(&format!("{CLEAR}{text}"));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            write(CLEAR);
        }
    }
}

/// Does something whose end nobody can tell, and says how long it goes on already.
pub(super) async fn during<T>(what: &str, work: impl Future<Output = T>) -> T {
    let (mut work, begun, mut progress) = (pin!(work), Instant::now(), Progress::new());
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = sleep(PATIENCE) => {
                progress.tell(&format!("{what}: {} s", begun.elapsed().as_secs()));
            }
        }
    }
}

/// Whoever does not look any more misses nothing.
fn write(text: &str) {
    let mut out = io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Back to the beginning of the line, and nothing on it (ECMA-48, EL).
const CLEAR: &str = "\r\u{1b}[2K";
/// How long work may take before anything is told of it.
const PATIENCE: Duration = Duration::from_millis(500);
