//! What the canary has seen of each app, and when it asks again. Outlives a configuration. Asks nobody.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use url::Url;

use super::Place;
use super::look::Kind;
use crate::metrics::{Canaries, Metrics};

/// What is wrong with an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind of fault it is.
    pub kind: Kind,
    /// What was seen.
    pub seen: String,
    /// Since when, in Unix seconds.
    pub since: u64,
}

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The app, as it is named.
    pub app: String,
    /// What was asked for.
    pub url: Url,
    /// What is wrong.
    pub finding: Finding,
}

/// What is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Something is wrong that was not, or not in this way.
    Found(Finding),
    /// This is over.
    Mended(Finding),
}

/// What is known of all apps.
#[derive(Debug)]
pub(super) struct Board {
    apps: Mutex<HashMap<Key, Seen>>,
    metrics: Arc<Metrics>,
}

/// An app on a host.
type Key = (String, String);

#[derive(Debug)]
struct Seen {
    due: Instant,
    /// Whether it was asked at all.
    asked: bool,
    /// How often in a row nobody knew.
    unclear: u32,
    finding: Option<Finding>,
}

impl Board {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self { apps: Mutex::default(), metrics }
    }

    /// Forgets all apps but these. The first round is soon, and spread out.
    pub(super) fn keep(&self, places: &[Place], interval: Duration) {
        let mut apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *apps);
        let (now, spread) = (Instant::now(), interval.min(FIRST_ROUND));
        let count = u32::try_from(places.len()).unwrap_or(u32::MAX).max(1);
        for (number, place) in (0_u32..).zip(places) {
            let soon = now + spread.mul_f64(f64::from(number) / f64::from(count));
            let fresh = Seen { due: soon, asked: false, unclear: 0, finding: None };
            let mut seen = before.remove(&key(place)).unwrap_or(fresh);
            // A shorter interval counts at once.
            seen.due = seen.due.min(now + interval);
            apps.insert(key(place), seen);
        }
        self.count(&apps);
    }

    /// Which of these is to be asked next, and when.
    pub(super) fn next<'p>(&self, places: &[&'p Place]) -> Option<(&'p Place, Instant)> {
        let apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        let due = |place: &&'p Place| Some((*place, apps.get(&key(place))?.due));
        places.iter().filter_map(due).min_by_key(|(_, due)| *due)
    }

    /// Notes what was seen, and what is to be told of it.
    pub(super) fn note(
        &self,
        place: &Place,
        seen: Result<(), (Kind, String)>,
        at: u64,
        interval: Duration,
    ) -> Option<News> {
        let mut apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        let app = apps.get_mut(&key(place))?;
        // So that replicas do not ask in step.
        app.due = Instant::now() + interval.mul_f64(0.9 + 0.2 * fraction());
        app.asked = true;
        let news = app.hear(seen, at);
        self.count(&apps);
        news
    }

    /// What is wrong with any of these, the worst first.
    pub(super) fn standing(&self, places: &[Place]) -> Vec<Found> {
        let apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        let found = |place: &Place| {
            let finding = apps.get(&key(place))?.finding.clone()?;
            Some(Found { app: place.app.clone(), url: place.url.clone(), finding })
        };
        let mut standing: Vec<Found> = places.iter().filter_map(found).collect();
        standing.sort_by_key(|one| one.finding.kind);
        standing
    }

    fn count(&self, apps: &HashMap<Key, Seen>) {
        let of = |kind: Option<Kind>| {
            let is = |seen: &&Seen| seen.asked && seen.finding.as_ref().map(|one| one.kind) == kind;
            i64::try_from(apps.values().filter(is).count()).unwrap_or(i64::MAX)
        };
        self.metrics.canary.set(&Canaries {
            refused: of(None),
            open: of(Some(Kind::Open)),
            forged: of(Some(Kind::Forged)),
            strange: of(Some(Kind::Strange)),
            unreachable: of(Some(Kind::Unreachable)),
        });
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        // Nobody asks any more.
        self.metrics.canary.set(&Canaries::default());
    }
}

impl Seen {
    /// What is open is told at once; of what nobody knows it takes two in a row, as a front proxy is away for a moment when
    /// it is restarted, and that does not mend what was open.
    fn hear(&mut self, seen: Result<(), (Kind, String)>, at: u64) -> Option<News> {
        let (kind, seen) = match seen {
            Ok(()) => {
                self.unclear = 0;
                return self.finding.take().map(News::Mended);
            }
            Err(fault) => fault,
        };
        if kind.is_open() {
            self.unclear = 0;
        } else {
            self.unclear = self.unclear.saturating_add(1);
            if self.unclear < FEWEST || self.finding.as_ref().is_some_and(|one| one.kind.is_open()) {
                return None;
            }
        }
        let since = self.finding.as_ref().filter(|one| one.kind == kind).map(|one| one.since);
        let finding = Finding { kind, seen, since: since.unwrap_or(at) };
        self.finding = Some(finding.clone());
        since.is_none().then_some(News::Found(finding))
    }
}

fn key(place: &Place) -> Key {
    (place.app.clone(), place.url.host_str().unwrap_or_default().to_owned())
}

/// A number from 0 to 1 that nobody foresees; one half where there is no randomness.
fn fraction() -> f64 {
    let mut byte = [128];
    let _ = aws_lc_rs::rand::fill(&mut byte);
    f64::from(byte[0]) / 255.0
}

/// Over how long the first questions are spread, if the interval is not shorter.
const FIRST_ROUND: Duration = Duration::from_secs(60);
/// Questions in a row of which nobody knows what they mean, before that is told.
const FEWEST: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_is_told_at_once_and_what_nobody_knows_the_second_time() {
        use Kind::{Forged, Open, Strange, Unreachable};
        let found = |kind| Some((true, kind));
        let mended = |kind| Some((false, kind));
        for row in [
            &[(Some(Open), found(Open)), (Some(Open), None), (None, mended(Open)), (None, None)][..],
            &[(Some(Open), found(Open)), (Some(Forged), found(Forged)), (None, mended(Forged))],
            &[(Some(Strange), None), (None, None), (Some(Strange), None)],
            &[
                (Some(Strange), None),
                (Some(Strange), found(Strange)),
                (Some(Strange), None),
                (None, mended(Strange)),
            ],
            &[
                (Some(Unreachable), None),
                (Some(Strange), found(Strange)),
                (Some(Unreachable), found(Unreachable)),
            ],
            // That nobody answers does not mend it.
            &[
                (Some(Open), found(Open)),
                (Some(Unreachable), None),
                (Some(Unreachable), None),
                (Some(Open), None),
            ],
        ] {
            let mut seen = Seen { due: Instant::now(), asked: true, unclear: 0, finding: None };
            for (at, (fault, news)) in row.iter().enumerate() {
                let told = seen.hear(fault.map_or(Ok(()), |kind| Err((kind, "x".to_owned()))), at as u64);
                let told = told.map(|news| match news {
                    News::Found(finding) => (true, finding.kind),
                    News::Mended(finding) => (false, finding.kind),
                });
                assert_eq!(told, *news, "{row:?} {at}");
            }
        }
    }

    #[test]
    fn a_finding_keeps_its_beginning() {
        let mut seen = Seen { due: Instant::now(), asked: true, unclear: 0, finding: None };
        for at in [5, 6, 7] {
            seen.hear(Err((Kind::Open, format!("{at}"))), at);
        }
        assert_eq!(seen.finding, Some(Finding { kind: Kind::Open, seen: "7".to_owned(), since: 5 }));
    }
}
