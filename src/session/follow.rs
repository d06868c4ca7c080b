//! Following what other processes on the same store end and change. Listening only says when to look: whoever misses
//! a word looks a little later and finds everything.

use std::collections::HashSet;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::Sessions;
use super::outage::Voucher;
use super::store::parts::micros;
use super::store::{Changes, Location, MOST_CHANGES, SessionId, StoreError};

impl Sessions {
    /// Forgets what others end or change, and tells them of what ended here. Never ends by itself.
    ///
    /// `clock` gives the time in Unix seconds.
    pub async fn follow(&self, clock: impl Fn() -> u64) {
        let heard = Notify::new();
        tokio::join!(self.store.listen(&heard), self.look(&heard, clock));
    }

    async fn look(&self, heard: &Notify, clock: impl Fn() -> u64) {
        let mut place = Place::default();
        let mut timer = interval(self.every());
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let reach = tokio::select! {
                () = self.untold.notified() => {
                    self.store.announce().await;
                    continue;
                }
                () = heard.notified() => SHORT,
                _ = timer.tick() => LONG,
            };
            let now = clock();
            let seen = self.catch_up(&mut place, reach, now).await;
            self.outage.note(Voucher::Changes, &seen, now);
            if let Err(error) = seen {
                tracing::debug!(%error, "it cannot be seen what ended elsewhere");
                // An outage is not to last for as long as nobody would have looked anyway.
                timer.reset_after(self.every().min(AGAIN));
            }
            if reach == SHORT {
                // Many words close together are one look.
                sleep(BREATH).await;
            }
        }
    }

    async fn catch_up(&self, place: &mut Place, reach: Duration, now: u64) -> Result<(), StoreError> {
        let changes = self.ask(self.store.changes(place.since(reach)), now).await?;
        match place.move_to(changes) {
            News::Everything => self.cache.forget_all(),
            News::Of(ids) => {
                ids.iter().for_each(|id| self.cache.forget(id));
                self.metrics.sessions_forgotten.inc_by(ids.len() as u64);
            }
        }
        Ok(())
    }

    /// How often to look when nothing is heard: of a file nothing ever is.
    fn every(&self) -> Duration {
        match self.settings.location {
            #[cfg(feature = "sqlite")]
            Location::Sqlite(_) | Location::Memory => self.settings.poll.min(FILE_POLL),
            #[cfg(feature = "postgres")]
            Location::Postgres(_) => self.settings.poll,
        }
    }
}

/// How far the changes have been read, by the store's own time in microseconds.
#[derive(Debug, Default)]
struct Place {
    now: Option<i64>,
    /// What was read within the last [`LONG`], and need not be forgotten again.
    known: HashSet<(i64, Option<SessionId>)>,
}

/// What there is to forget.
#[derive(Debug, PartialEq, Eq)]
enum News {
    Everything,
    Of(Vec<SessionId>),
}

impl Place {
    /// From where to read: further back than the last time, as a change is seen only when it is committed, which may
    /// be later than others with a later time.
    fn since(&self, reach: Duration) -> i64 {
        self.now.map_or(i64::MAX, |now| now.saturating_sub(micros(reach)))
    }

    /// Takes note of what was read.
    fn move_to(&mut self, changes: Changes) -> News {
        // Older changes may be gone, and a clock that went back may have put new ones before those that are known. The
        // servers of one store may differ by a little.
        let lost = |before: i64| {
            changes.now < before.saturating_sub(micros(APART))
                || changes.now.saturating_sub(before) > micros(RETENTION - LONG)
        };
        let too_many = changes.changed.len() as u64 >= MOST_CHANGES.unsigned_abs();
        let everything = too_many || self.now.is_some_and(lost);
        self.now = Some(changes.now);
        let oldest = changes.now.saturating_sub(micros(LONG));
        self.known.retain(|(at, _)| *at > oldest);
        let mut ids = Vec::new();
        let mut all = everything;
        for change in changes.changed {
            if self.known.insert(change) {
                match change.1 {
                    Some(id) => ids.push(id),
                    None => all = true,
                }
            }
        }
        if all { News::Everything } else { News::Of(ids) }
    }
}

/// How long changes are kept.
pub(super) const RETENTION: Duration = Duration::from_secs(15 * 60);
/// How far a look by the timer reaches back: longer than any change takes to be committed.
const LONG: Duration = Duration::from_secs(60);
/// How far a look after a word reaches back.
const SHORT: Duration = Duration::from_secs(3);
/// How far the clocks of the servers of one store may lie apart.
const APART: Duration = Duration::from_secs(1);
const BREATH: Duration = Duration::from_millis(40);
/// How soon to look again after a look that failed.
const AGAIN: Duration = Duration::from_secs(5);
#[cfg(feature = "sqlite")]
const FILE_POLL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn read(place: &mut Place, now: i64, changed: &[(i64, Option<u8>)]) -> News {
        let changed = changed.iter().map(|(at, id)| (*at, id.map(|id| [id; 16]))).collect();
        place.move_to(Changes { now, changed })
    }

    #[test]
    fn each_change_is_told_once_however_late_it_shows() {
        let mut place = Place::default();
        let start = 1_000 * SECOND;
        assert_eq!(place.since(LONG), i64::MAX, "at first only the time is wanted");
        assert_eq!(read(&mut place, start, &[]), News::Of(vec![]));
        assert_eq!(place.since(SHORT), start - 3 * SECOND);
        assert_eq!(read(&mut place, start + 5, &[(start + 1, Some(1))]), News::Of(vec![[1; 16]]));
        let again = [(start + 1, Some(1)), (start - 7, Some(2))];
        assert_eq!(read(&mut place, start + 9, &again), News::Of(vec![[2; 16]]), "it was committed later");
        assert_eq!(read(&mut place, start + 9, &again), News::Of(vec![]));
        assert_eq!(read(&mut place, start + 61 * SECOND, &[]), News::Of(vec![]));
        assert!(place.known.is_empty(), "nothing is remembered for longer than it is read");
    }

    #[test]
    fn whoever_cannot_know_forgets_everything() {
        let start = 10_000 * SECOND;
        for (now, changed, everything) in [
            (start + 60 * SECOND, vec![], false),
            (start + 14 * 60 * SECOND, vec![], false),
            (start + 14 * 60 * SECOND + 1, vec![], true),
            (start - SECOND, vec![], false),
            (start - SECOND - 1, vec![], true),
            (start + 1, vec![(start, Some(1)); 10_000], true),
            (start + 1, vec![(start, None)], true),
        ] {
            let mut place = Place::default();
            read(&mut place, start, &[]);
            let news = read(&mut place, now, &changed);
            assert_eq!(news == News::Everything, everything, "{now} {changed:?}");
        }
    }
}
