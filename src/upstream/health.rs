//! What is known of a target's health, by what came of requests and by asking it. Knows no other targets.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use http::header::USER_AGENT;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Uri};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::dial::Offer;
use super::link::{ask_once, prepare};
use super::outgoing::Outgoing;
use super::pool::Pool;

/// How a target is asked whether it is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What is asked for, with GET; every answer from 200 to 399 will do.
    pub path: PathAndQuery,
    /// How often.
    pub interval: Duration,
    /// How long the answer may take, connecting included.
    pub timeout: Duration,
    /// Bad answers in a row after which it is sick.
    pub fails: u32,
    /// Good answers in a row after which it is well again.
    pub passes: u32,
}

/// What is known of one target.
#[derive(Debug)]
pub(super) struct Health {
    epoch: Instant,
    /// Failures of requests in a row.
    strikes: AtomicU32,
    /// Pauses since the last success.
    pauses: AtomicU32,
    /// Milliseconds after `epoch` when the pause ends.
    paused_until: AtomicU64,
    /// Whether it did not answer checks.
    sick: AtomicBool,
    /// Whether it did not answer the last request.
    silent: AtomicBool,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            epoch: Instant::now(),
            strikes: AtomicU32::new(0),
            pauses: AtomicU32::new(0),
            paused_until: AtomicU64::new(0),
            sick: AtomicBool::new(false),
            silent: AtomicBool::new(false),
        }
    }
}

impl Health {
    /// Whether checks say that it is down.
    pub(super) fn is_sick(&self) -> bool {
        self.sick.load(Ordering::Relaxed)
    }

    /// Whether it gets no requests for a while, if others can have them.
    pub(super) fn is_paused(&self, now: Instant) -> bool {
        self.paused_until.load(Ordering::Relaxed) > self.millis(now)
    }

    /// Whether it did not answer the last request.
    pub(super) fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    /// Notes whether a request was answered, which decides nothing.
    pub(super) fn heard(&self, answered: bool) {
        // Read first: most often there is nothing to write.
        if self.is_silent() == answered {
            self.silent.store(!answered, Ordering::Relaxed);
        }
    }

    /// Notes a request that was answered.
    pub(super) fn succeeded(&self) {
        // Read first: most often there is nothing to write.
        if self.strikes.load(Ordering::Relaxed) > 0 {
            self.strikes.store(0, Ordering::Relaxed);
            self.pauses.store(0, Ordering::Relaxed);
        }
    }

    /// Notes one that was not; how long it is left alone from now on, if it is.
    pub(super) fn failed(&self, now: Instant) -> Option<Duration> {
        let strikes = self.strikes.fetch_add(1, Ordering::Relaxed) + 1;
        if strikes < STRIKES || self.is_paused(now) {
            return None;
        }
        let pauses = self.pauses.fetch_add(1, Ordering::Relaxed).min(MOST_DOUBLINGS);
        let pause = SHORTEST_PAUSE * 2_u32.pow(pauses);
        self.paused_until.store(self.millis(now + pause), Ordering::Relaxed);
        Some(pause)
    }

    fn millis(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.epoch).as_millis();
        // Never 0, so that a pause that ended at once is over.
        u64::try_from(since).unwrap_or(u64::MAX).max(1)
    }
}

/// Asks a target again and again, until it is dropped.
pub(super) async fn keep_checking(pool: Arc<Pool>, check: Check) {
    let mut tick = interval(check.interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut in_a_row = 0;
    loop {
        tick.tick().await;
        let answer = timeout(check.timeout, ask(&pool, &check)).await;
        let answer = answer.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        let sick = pool.health.is_sick();
        if answer.is_err() == sick {
            in_a_row = 0;
            continue;
        }
        in_a_row += 1;
        if in_a_row < if sick { check.passes } else { check.fails } {
            continue;
        }
        in_a_row = 0;
        pool.health.sick.store(!sick, Ordering::Relaxed);
        let upstream = &*pool.name;
        match answer {
            Ok(()) => tracing::info!(upstream, "an upstream is healthy again"),
            Err(why) => tracing::warn!(upstream, why, "an upstream is not healthy: it gets no requests"),
        }
    }
}

async fn ask(pool: &Pool, check: &Check) -> Result<(), String> {
    let (socket, speaks) = pool.dial.connect(Offer::Any).await?;
    let mut request = Request::new(Outgoing::Nothing);
    *request.uri_mut() = Uri::from(check.path.clone());
    request.headers_mut().insert(USER_AGENT, HeaderValue::from_static("foregate (health)"));
    prepare(speaks, &mut request, &pool.host, &pool.scheme);
    match ask_once(socket, speaks, request).await {
        Ok(status) if status.is_success() || status.is_redirection() => Ok(()),
        Ok(status) => Err(format!("it answered {status}")),
        Err(error) => Err(error.to_string()),
    }
}

/// So many failures in a row are no accident.
const STRIKES: u32 = 3;
const SHORTEST_PAUSE: Duration = Duration::from_secs(2);
/// The longest pause is 64 seconds.
const MOST_DOUBLINGS: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_until_a_request_succeeds() {
        let health = Health::default();
        let mut now = Instant::now();
        let mut pauses = Vec::new();
        for _ in 0..8 {
            while health.is_paused(now) {
                now += Duration::from_secs(1);
            }
            let pause = (0..3).find_map(|_| health.failed(now)).unwrap();
            assert!(
                health.is_paused(now + pause - Duration::from_millis(1)) && !health.is_paused(now + pause)
            );
            assert_eq!(health.failed(now), None, "it is already left alone");
            pauses.push(pause.as_secs());
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 64, 64]);
        now += Duration::from_secs(64);
        health.succeeded();
        assert_eq!((health.failed(now), health.failed(now)), (None, None));
        assert_eq!(health.failed(now), Some(SHORTEST_PAUSE), "from the beginning");
        assert!(!health.is_sick());
    }

    #[test]
    fn failures_that_are_not_in_a_row_are_accidents() {
        let health = Health::default();
        let now = Instant::now();
        for _ in 0..10 {
            assert_eq!((health.failed(now), health.failed(now)), (None, None));
            health.succeeded();
        }
        assert!(!health.is_paused(now));
    }
}
