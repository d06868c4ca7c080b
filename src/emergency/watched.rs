//! One provider, asked again and again whether it is there. Knows nobody who waits for that.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::pulse::{Pulse, Sign, Turn};
use super::{Event, tell};
use crate::journal::{self, Audit, By, Record, Somebody};
use crate::metrics::Metrics;
use crate::oidc::{Provider, ProviderError, Step};
use crate::outbound::OutboundError;
use crate::outbound::flight::Flight;

/// A provider and what is known of it.
pub(super) struct Watched {
    provider: Provider,
    after: Duration,
    pulse: Arc<Mutex<Pulse>>,
    asking: Mutex<Flight<Sign>>,
    metrics: Arc<Metrics>,
    diary: Arc<Diary>,
}

/// Where it is written down when a provider falls silent and answers again. A provider outlives configurations, and the
/// audit log may be another one in each.
pub(super) struct Diary {
    audit: Mutex<Audit>,
    clock: fn() -> u64,
}

impl Diary {
    pub(super) fn new(audit: Audit, clock: fn() -> u64) -> Self {
        Self { audit: Mutex::new(audit), clock }
    }

    /// From now on in this one.
    fn go_on_in(&self, audit: Audit) {
        *self.audit.lock().unwrap_or_else(PoisonError::into_inner) = audit;
    }

    fn note(&self, reason: &'static str, provider: &str) {
        let audit = self.audit.lock().unwrap_or_else(PoisonError::into_inner).clone();
        audit.note((self.clock)(), || Record {
            by: Some(By::Provider),
            who: Somebody { issuer: provider.to_owned(), ..Somebody::default() },
            reason: Some(reason),
            ..Record::of(journal::Event::Emergency)
        });
    }
}

impl Watched {
    pub(super) fn new(provider: Provider, after: Duration, metrics: Arc<Metrics>, diary: Diary) -> Self {
        let (pulse, asking, diary) = (Arc::default(), Mutex::default(), Arc::new(diary));
        Self { provider, after, pulse, asking, metrics, diary }
    }

    /// Has what comes written down in this audit log.
    pub(super) fn tell_in(&self, audit: &Audit) {
        self.diary.go_on_in(audit.clone());
    }

    /// Whether it is this very provider, asked in the same way.
    pub(super) fn is_of(&self, provider: &Provider) -> bool {
        self.provider.is_same(provider)
    }

    pub(super) fn after(&self) -> Duration {
        self.after
    }

    /// What identities of its people carry.
    pub(super) fn issuer(&self) -> &str {
        self.provider.issuer_text()
    }

    pub(super) fn is_silent(&self) -> bool {
        self.pulse.lock().unwrap_or_else(PoisonError::into_inner).is_silent
    }

    /// Asks again and again.
    pub(super) async fn watch(self: Arc<Self>) {
        let mut tick = interval(ASK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.ask().await;
        }
    }

    /// Asks once more, and tells whether it still counts as silent: any answer, and whatever is not clear, is a no.
    pub(super) async fn asked_now(&self) -> bool {
        self.ask().await == Some(Sign::Silence) && self.is_silent()
    }

    /// One question at a time, whose outcome all who wait share.
    async fn ask(&self) -> Option<Sign> {
        let landing = {
            let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
            match asking.current() {
                Some(landing) => landing,
                None => asking.start(question(
                    self.provider.clone(),
                    (Arc::clone(&self.pulse), self.after),
                    (Arc::clone(&self.metrics), Arc::clone(&self.diary)),
                )),
            }
        };
        landing.outcome().await
    }
}

/// Asks, and notes what follows.
async fn question(
    provider: Provider,
    (pulse, after): (Arc<Mutex<Pulse>>, Duration),
    (metrics, diary): (Arc<Metrics>, Arc<Diary>),
) -> Sign {
    let asked = Instant::now();
    let silence = ProviderError::Unreachable { step: Step::Discovery, error: OutboundError::Timeout };
    let told = timeout(ASK_TIME, provider.call()).await.unwrap_or(Err(silence));
    let now = Instant::now();
    let sign = Sign::of(&told, now.duration_since(asked));
    let turn = pulse.lock().unwrap_or_else(PoisonError::into_inner).hear(sign, (asked, now), after);
    match turn {
        Some(Turn::Silent) => {
            metrics.emergency_open.inc();
            tell(Event::Opened { provider: provider.issuer_text() });
            diary.note("opened", provider.issuer_text());
        }
        Some(Turn::Back) => {
            metrics.emergency_open.dec();
            tell(Event::Shut { provider: provider.issuer_text() });
            diary.note("shut", provider.issuer_text());
        }
        None => {}
    }
    sign
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.is_silent() {
            self.metrics.emergency_open.dec();
        }
    }
}

/// How often each provider is asked.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// How long an answer may take.
const ASK_TIME: Duration = Duration::from_secs(2);
