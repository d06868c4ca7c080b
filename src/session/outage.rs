//! Asking the store: how fast it answers, whether it does at all, and whether it is one for this foregate.

use std::sync::atomic::Ordering;

use tokio::time::{Instant, timeout};

use super::Sessions;
use super::store::{ANSWER_TIME, StoreError};
use crate::trace::{self, Came, Part};

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
                if self
                    .down_since
                    .compare_exchange(0, now.max(1), Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok()
                {
                    tracing::error!(
                        "the session store does not answer: cached sessions keep working for a while"
                    );
                }
            }
            Ok(_) | Err(StoreError::Damaged(_)) => {
                if self.down_since.load(Ordering::Relaxed) != 0 {
                    self.down_since.store(0, Ordering::Relaxed);
                    tracing::info!("the session store answers again");
                }
            }
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
        let down_since = self.down_since.load(Ordering::Relaxed);
        if down_since != 0 && now.saturating_sub(down_since) > self.settings.outage_grace.as_secs() {
            return Err(StoreError::Unavailable("silent for longer than session.outage_grace".to_owned()));
        }
        Ok(())
    }
}

/// Under which name the store says whose keys it is sealed with.
pub const KEYS_FACT: &str = "keys";
