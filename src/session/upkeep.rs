//! What is done for sessions without a request: telling the store of uses, and clearing away what is over.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::outage::Voucher;
use super::store::{SessionId, StoreError};
use super::{Session, Sessions, follow};

impl Sessions {
    /// Tells the store what was used since the last call, and learns of rows that somebody removed by hand: two
    /// statements for thousands of sessions. Called every [`SYNC_EVERY`].
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be asked; the next call makes up for it.
    pub async fn sync(&self, now: u64) -> Result<(), StoreError> {
        let sessions = self.sync_sessions(now).await;
        // Whatever becomes of either, the other is told.
        let tokens = self.sync_tokens(now).await;
        sessions.and(tokens)
    }

    async fn sync_sessions(&self, now: u64) -> Result<(), StoreError> {
        let used = self.cache.take_used();
        self.metrics.sessions_cached.set(i64::try_from(self.cache.len()).unwrap_or(i64::MAX));
        let living = self.living(&used, now).await;
        self.outage.note(Voucher::Rows, &living, now);
        let told = match living {
            Ok(living) => self.tell(&living, now).await,
            Err(error) => Err(error),
        };
        if told.is_err() {
            used.iter().for_each(|session| self.cache.note_use(session, 0));
            return told;
        }
        // A socket on which only the app talks is no use of its session.
        let watched = self.cache.watched();
        if watched.is_empty() { Ok(()) } else { self.living(&watched, now).await.map(drop) }
    }

    /// Those of `used` whose rows the store still has; the others are forgotten. Without any it is asked for any answer.
    async fn living<'s>(&self, used: &'s [Arc<Session>], now: u64) -> Result<Vec<&'s Session>, StoreError> {
        if used.is_empty() {
            self.probe(now).await?;
        }
        let mut living = Vec::with_capacity(used.len());
        for batch in used.chunks(SYNC_BATCH) {
            let ids: Vec<SessionId> = batch.iter().map(|session| session.handle.id()).collect();
            let alive: HashSet<SessionId> =
                self.ask(self.store.alive(&ids), now).await?.into_iter().collect();
            for (id, session) in ids.iter().zip(batch) {
                if alive.contains(id) {
                    living.push(&**session);
                } else {
                    self.cache.forget(id);
                }
            }
        }
        Ok(living)
    }

    /// Tells the store when sessions were last used.
    async fn tell(&self, living: &[&Session], now: u64) -> Result<(), StoreError> {
        for batch in living.chunks(SYNC_BATCH) {
            let seen: Vec<(SessionId, u64)> =
                batch.iter().map(|session| (session.handle.id(), session.last_seen())).collect();
            self.ask(self.store.touch(&seen), now).await?;
        }
        Ok(())
    }

    /// Removes rows that have ended, in small batches with pauses, and drops them from memory; then forgets old
    /// changes, used tickets, app tokens and pairings.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be asked.
    pub async fn sweep(&self, now: u64) -> Result<u64, StoreError> {
        self.cache.keep_only(|session| session.lives(now, &self.settings));
        let mut swept = 0;
        loop {
            let batch = self.store.sweep(now, self.settings.idle.as_secs(), SWEEP_BATCH);
            let gone = self.ask(batch, now).await?;
            swept += gone;
            if gone < u64::from(SWEEP_BATCH) {
                break;
            }
            tokio::time::sleep(SWEEP_PAUSE).await;
        }
        self.ask(self.store.trim_changes(follow::RETENTION), now).await?;
        self.ask(self.store.trim_spent(now.saturating_sub(SPENT_MARGIN.as_secs())), now).await?;
        self.ask(self.store.trim_tokens(now.saturating_sub(TOKENS_SHOWN.as_secs())), now).await?;
        self.ask(self.store.trim_pairings(now.saturating_sub(PAIRINGS_KNOWN.as_secs())), now).await?;
        Ok(swept)
    }
}

/// How often [`Sessions::sync`] is called.
pub const SYNC_EVERY: Duration = Duration::from_secs(5);
/// Sessions told of in one statement.
const SYNC_BATCH: usize = 5000;
/// Rows removed by one statement of [`Sessions::sweep`], few enough to be no burden.
const SWEEP_BATCH: u32 = 500;
/// What others have for themselves between two of those.
const SWEEP_PAUSE: Duration = Duration::from_millis(50);
/// How much longer than it counts a used ticket is remembered: by so much the clocks of replicas may differ.
const SPENT_MARGIN: Duration = Duration::from_secs(60 * 60);
/// How long lists show an app token that has ended.
const TOKENS_SHOWN: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long a device is told that its pairing has expired; behind that its code is unknown.
const PAIRINGS_KNOWN: Duration = Duration::from_secs(60 * 60);
