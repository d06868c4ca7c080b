//! When something last happened, noted and read by several tasks without a lock. Knows not what.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// A time that only moves on, in steps of a millisecond.
#[derive(Debug)]
pub struct Moment {
    start: Instant,
    millis: AtomicU64,
}

impl Default for Moment {
    /// Now.
    fn default() -> Self {
        Self { start: Instant::now(), millis: AtomicU64::new(0) }
    }
}

impl Moment {
    /// Notes that it happens now.
    pub fn note(&self) {
        let millis = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.millis.store(millis, Ordering::Relaxed);
    }

    /// When that was last noted, or else when this was made.
    pub fn last(&self) -> Instant {
        self.start + Duration::from_millis(self.millis.load(Ordering::Relaxed))
    }
}
