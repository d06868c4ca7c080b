//! Asking the store: how fast it answers, whether it does at all, and whether it is one for this foregate.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::time::{Instant, timeout};

use super::Sessions;
use super::store::{ANSWER_TIME, StoreError};
use crate::trace::{self, Came, Part};

/// Since when sessions in memory are not vouched for, in Unix seconds: by each of the two by itself; 0 while they are.
#[derive(Debug, Default)]
pub(super) struct Outage {
    changes: AtomicU64,
    rows: AtomicU64,
    /// Whether the log says so.
    is_told: AtomicBool,
}

/// What vouches for sessions in memory, each read again and again.
#[derive(Clone, Copy, Debug)]
pub(super) enum Voucher {
    /// The log of what others end and change.
    Changes,
    /// The rows of those that are in use.
    Rows,
}

impl Outage {
    /// Counts from `now` on, when some question came to nothing, until the rows have been read again.
    fn suspect(&self, now: u64) {
        let _ = self.rows.compare_exchange(0, now.max(1), Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Takes note of whether one of the two could be read, when asked at `now`. No other answer vouches for anything: another
    /// table may be readable when these are not.
    pub(super) fn note<T>(&self, voucher: Voucher, read: &Result<T, StoreError>, now: u64) {
        let (this, other) = match voucher {
            Voucher::Changes => (&self.changes, &self.rows),
            Voucher::Rows => (&self.rows, &self.changes),
        };
        let since = this.load(Ordering::Relaxed);
        if read.is_ok() && since != 0 {
            this.store(0, Ordering::Relaxed);
            if other.load(Ordering::Relaxed) == 0 && self.is_told.swap(false, Ordering::Relaxed) {
                tracing::info!("the session store answers again");
            }
        }
        let Err(error) = read else { return };
        if since == 0 {
            this.store(now.max(1), Ordering::Relaxed);
        }
        if !self.is_told.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "the session store does not answer: cached sessions keep working for a while");
        }
    }

    /// Whether one of the two has not been read for longer than `grace`, in seconds.
    fn is_over(&self, grace: u64, now: u64) -> bool {
        [&self.changes, &self.rows].into_iter().any(|since| {
            let since = since.load(Ordering::Relaxed);
            since != 0 && now.saturating_sub(since) > grace
        })
    }
}

impl Sessions {
    /// Asks the store for any answer.
    ///
    /// # Errors
    /// [`StoreError`] if there is none.
    pub async fn probe(&self, now: u64) -> Result<(), StoreError> {
        self.ask(self.store.probe(), now).await
    }

    /// Asks the store, and remembers whether and how fast it answered.
    pub(super) async fn ask<T>(
        &self,
        question: impl Future<Output = Result<T, StoreError>>,
        now: u64,
    ) -> Result<T, StoreError> {
        let running = trace::start(Part::Store).of("db.system.name", || self.store.engine().to_owned());
        let asked = Instant::now();
        // Many who wait for the same first answer wait together, and no longer than for any other.
        let agreed = timeout(ANSWER_TIME, self.agreed.get_or_try_init(|| self.agree())).await;
        let answer = match agreed {
            Ok(Ok(())) => question.await,
            Ok(Err(error)) => Err(error),
            Err(_) => Err(StoreError::Unavailable("no answer in time".to_owned())),
        };
        self.metrics.store_seconds.observe(asked.elapsed().as_secs_f64());
        running.end(if answer.is_ok() { Came::Well } else { Came::ToNothing });
        match &answer {
            Err(StoreError::Unavailable(_) | StoreError::TooNew { .. } | StoreError::OtherKeys) => {
                self.metrics.store_errors.inc();
                self.outage.suspect(now);
            }
            Ok(_) | Err(StoreError::Damaged(_)) => {}
        }
        answer
    }

    /// Makes sure that what is sealed in this store opens with our keys, and what we seal with those of others.
    async fn agree(&self) -> Result<(), StoreError> {
        let ours = self.sealer.key_names();
        let newest = ours.first().map_or("", String::as_str);
        let known = self.store.fact(KEYS_FACT, newest).await?;
        if !ours.contains(&known) {
            return Err(StoreError::OtherKeys);
        }
        if known != newest {
            self.store.set_fact(KEYS_FACT, Some(newest)).await?;
        }
        Ok(())
    }

    pub(super) fn check_grace(&self, now: u64) -> Result<(), StoreError> {
        if self.outage.is_over(self.settings.outage_grace.as_secs(), now) {
            return Err(StoreError::Unavailable("silent for longer than session.outage_grace".to_owned()));
        }
        Ok(())
    }
}

/// Under which name the store says whose keys it is sealed with.
pub const KEYS_FACT: &str = "keys";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grace_is_over_unless_both_are_read_each_by_itself() {
        let silent = || Err::<(), _>(StoreError::Unavailable(String::new()));
        for (one, other) in [(Voucher::Changes, Voucher::Rows), (Voucher::Rows, Voucher::Changes)] {
            let outage = Outage::default();
            assert!(!outage.is_over(0, 1_000));
            outage.note(one, &silent(), 100);
            outage.note(other, &Ok(()), 101);
            outage.note(one, &silent(), 102);
            assert!(!outage.is_over(5, 105), "{one:?}");
            assert!(outage.is_over(5, 106), "{one:?}: it is counted from the first failure");
            outage.note(other, &silent(), 107);
            outage.note(one, &Ok(()), 108);
            assert!(
                !outage.is_over(5, 112) && outage.is_over(5, 113),
                "{one:?}: the other one still is silent"
            );
            outage.note(other, &Ok(()), 114);
            assert!(!outage.is_over(0, 1_000), "{one:?}");
        }
        let outage = Outage::default();
        outage.suspect(100);
        outage.note(Voucher::Changes, &Ok(()), 101);
        assert!(outage.is_over(5, 106), "the changes say nothing of the rows");
        outage.note(Voucher::Rows, &Ok(()), 106);
        assert!(!outage.is_over(0, 1_000));
        outage.note(Voucher::Rows, &Err::<(), _>(StoreError::Damaged(String::new())), 0);
        assert!(outage.is_over(5, 7), "what cannot be read vouches for nothing, at any time");
    }
}
