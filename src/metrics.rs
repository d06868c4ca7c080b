//! What foregate counts. Plain numbers: knows nothing of what they are counted for.

mod canary;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

pub use canary::{Canaries, CanaryGauges};

/// How a decision came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Let in.
    Allowed,
    /// Asked to sign in.
    SignIn,
    /// Signed in, or not, and refused.
    Forbidden,
    /// A dependency did not answer.
    Unavailable,
    /// Tried too often.
    Limited,
    /// Not one clear request.
    Malformed,
    /// A peer that may not ask.
    Untrusted,
}

impl Outcome {
    /// Its name, in metrics and lines.
    pub fn name(self) -> &'static str {
        OUTCOMES[self as usize].1
    }
}

const OUTCOMES: [(Outcome, &str); 7] = [
    (Outcome::Allowed, "allowed"),
    (Outcome::SignIn, "sign_in"),
    (Outcome::Forbidden, "forbidden"),
    (Outcome::Unavailable, "unavailable"),
    (Outcome::Limited, "limited"),
    (Outcome::Malformed, "malformed"),
    (Outcome::Untrusted, "untrusted"),
];

/// The lines of one journal.
#[derive(Clone, Debug)]
pub struct Lines {
    /// Those that were written.
    pub written: Counter,
    /// Those that never will be.
    pub lost: Counter,
}

/// Every counter, gauge and histogram, with the registry that prints them.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    decisions: [Counter; OUTCOMES.len()],
    decision_seconds: Arc<Fast>,
    /// Sessions found in memory.
    pub cache_hits: Counter,
    /// Sessions asked of the store.
    pub cache_misses: Counter,
    /// Sessions in memory now.
    pub sessions_cached: Gauge,
    /// Sign-ins that made a session.
    pub sessions_created: Counter,
    /// Sessions ended by somebody, not by time.
    pub sessions_ended: Counter,
    /// Sessions that ended or changed on another replica.
    pub sessions_forgotten: Counter,
    /// Sessions whose tokens were renewed.
    pub sessions_renewed: Counter,
    /// Renewals that did not succeed.
    pub renewal_failures: Counter,
    /// Seconds a question to the store took.
    pub store_seconds: Histogram,
    /// Questions the store did not answer.
    pub store_errors: Counter,
    /// Seconds a question to the provider took.
    pub provider_seconds: Histogram,
    /// Questions the provider did not answer as it should.
    pub provider_errors: Counter,
    /// Tokens of API clients that were verified a moment ago.
    pub token_cache_hits: Counter,
    /// Tokens of API clients that were looked at in full.
    pub token_checks: Counter,
    /// Sign-ins that failed at the callback.
    pub sign_in_failures: Counter,
    /// Sign-ins stopped because they went in a circle.
    pub sign_in_loops: Counter,
    /// Tries that were one too many: of which kind, and of a client or of all together.
    pub limited: Family<[(&'static str, &'static str); 2], Counter>,
    /// Providers that have been silent for so long that it is an emergency.
    pub emergency_open: Gauge,
    /// Passwords for emergency access that were right.
    pub emergency_accepted: Counter,
    /// Names and passwords that were not.
    pub emergency_refused: Counter,
    /// Requests by such people.
    pub emergency_requests: Counter,
    /// How many apps the canary found how.
    pub canary: CanaryGauges,
    /// Tasks of the runtime that are alive, set by whoever shows it.
    pub tasks: Gauge,
    /// Connections open now.
    pub connections: Gauge,
    /// Connections to backends open now.
    pub upstream_connections: Gauge,
    /// Connections to backends that are kept for their next request.
    pub upstream_kept: Gauge,
    /// Requests that wait for a connection to a backend.
    pub upstream_waiting: Gauge,
    /// Requests sent to a backend once more.
    pub upstream_retries: Counter,
    /// Answers with more identity headers than there is room for.
    pub heavy_answers: Counter,
    /// Requests let in that a rule in report mode would have refused.
    pub would_deny: Counter,
    /// Requests that a backend did not answer.
    pub upstream_failures: Counter,
    /// Times that one of several targets was left alone for a while.
    pub upstream_ejections: Counter,
    /// Configurations that were read anew and are in force.
    pub reloads_done: Counter,
    /// Configurations that were read anew and refused.
    pub reloads_refused: Counter,
    /// Since when the configuration is in force, in Unix seconds.
    pub config_reloaded: Gauge,
    /// Lines of the audit log.
    pub audit_lines: Lines,
    /// Lines of the access log.
    pub access_lines: Lines,
    /// Spans that a collector of traces took.
    pub spans_exported: Counter,
    /// Spans that none did.
    pub spans_lost: Counter,
}

impl Default for Metrics {
    #[expect(clippy::too_many_lines, reason = "a list")]
    fn default() -> Self {
        let mut registry = Registry::with_prefix("foregate");
        let mut register = Register(&mut registry);
        let decisions =
            register.by(("decisions", "outcome"), "Requests decided", OUTCOMES.map(|(_, name)| name));
        let reloads = ("reloads", "outcome");
        let [reloads_done, reloads_refused] =
            register.by(reloads, "Configurations that were read anew", ["done", "refused"]);
        let [audit_lines, access_lines] = register.lines(["audit", "access"]);
        let passwords = ("emergency_passwords", "outcome");
        let [emergency_accepted, emergency_refused] = register.by(
            passwords,
            "Passwords for emergency access that were looked at",
            ["accepted", "refused"],
        );
        let canary = CanaryGauges::register(register.0);
        let decision_seconds = register.fast("decision_seconds", "Time to decide a request");
        Self {
            decisions,
            decision_seconds,
            cache_hits: register.counter("session_cache_hits", "Sessions found in memory"),
            cache_misses: register.counter("session_cache_misses", "Sessions asked of the store"),
            sessions_cached: register.gauge("sessions_cached", "Sessions in memory"),
            sessions_created: register.counter("sessions_created", "Sign-ins that made a session"),
            sessions_ended: register.counter("sessions_ended", "Sessions ended by somebody, not by time"),
            sessions_forgotten: register
                .counter("sessions_forgotten", "Sessions that ended or changed on another replica"),
            sessions_renewed: register
                .counter("sessions_renewed", "Sessions whose tokens were renewed at the provider"),
            renewal_failures: register.counter("renewal_failures", "Renewals of tokens that did not succeed"),
            store_seconds: register.seconds("store_seconds", "Time the session store takes to answer"),
            store_errors: register.counter("store_errors", "Questions the session store did not answer"),
            provider_seconds: register.seconds("provider_seconds", "Time the provider takes to answer"),
            provider_errors: register
                .counter("provider_errors", "Questions the provider did not answer as it should"),
            token_cache_hits: register
                .counter("token_cache_hits", "Tokens of API clients that were verified a moment ago"),
            token_checks: register
                .counter("token_checks", "Tokens of API clients that were looked at in full"),
            sign_in_failures: register.counter("sign_in_failures", "Sign-ins that failed at the callback"),
            sign_in_loops: register
                .counter("sign_in_loops", "Sign-ins stopped because they went in a circle"),
            heavy_answers: register
                .counter("heavy_answers", "Answers with more identity headers than there is room for"),
            would_deny: register
                .counter("would_deny", "Requests let in that a rule in report mode would have refused"),
            limited: register.family(
                "limited",
                "Tries that were one too many, by kind and by whether a client or all together had too many",
            ),
            emergency_open: register.gauge(
                "emergency_providers_silent",
                "Providers that have been silent for so long that it is an emergency",
            ),
            emergency_accepted,
            emergency_refused,
            canary,
            emergency_requests: register
                .counter("emergency_requests", "Requests by people who got in by emergency access"),
            tasks: register.gauge("tasks", "Tasks of the runtime that are alive"),
            connections: register.gauge("connections", "Connections open"),
            upstream_connections: register.gauge("upstream_connections", "Connections to backends open"),
            upstream_kept: register
                .gauge("upstream_connections_kept", "Connections to backends kept for their next request"),
            upstream_waiting: register
                .gauge("upstream_waiting", "Requests that wait for a connection to a backend"),
            upstream_failures: register
                .counter("upstream_failures", "Requests that a backend did not answer"),
            upstream_ejections: register
                .counter("upstream_ejections", "Times that one of several upstreams was left alone"),
            reloads_done,
            reloads_refused,
            config_reloaded: register
                .gauge("config_reloaded_timestamp_seconds", "Since when the configuration is in force"),
            upstream_retries: register.counter("upstream_retries", "Requests sent to a backend once more"),
            audit_lines,
            access_lines,
            spans_exported: register.counter("spans_exported", "Spans that the collector of traces took"),
            spans_lost: register.counter("spans_lost", "Spans that it did not take, or that found no room"),
            registry,
        }
    }
}

impl Metrics {
    /// Counts one decision and the time it took.
    pub fn decided(&self, outcome: Outcome, seconds: f64) {
        self.decisions[outcome as usize].inc();
        self.decision_seconds.observe(seconds);
    }

    /// Everything in the OpenMetrics text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

struct Register<'r>(&'r mut Registry);

impl Register<'_> {
    /// A counter for each value of the one label, all of which are shown from the start.
    fn by<const N: usize>(
        &mut self,
        (name, label): (&str, &'static str),
        help: &str,
        values: [&'static str; N],
    ) -> [Counter; N] {
        let family = Family::<[(&'static str, &'static str); 1], Counter>::default();
        let counters = values.map(|value| family.get_or_create(&[(label, value)]).clone());
        self.0.register(name, help, family);
        counters
    }

    fn lines<const N: usize>(&mut self, journals: [&'static str; N]) -> [Lines; N] {
        let written = self.by(("journal_lines", "journal"), "Lines of journals that were written", journals);
        let lost = self.by(("journal_lines_lost", "journal"), "Lines of journals that were lost", journals);
        std::array::from_fn(|at| Lines { written: written[at].clone(), lost: lost[at].clone() })
    }

    fn family<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
    ) -> Family<[(&'static str, &'static str); N], Counter> {
        let family = Family::default();
        self.0.register(name, help, Family::clone(&family));
        family
    }

    fn counter(&mut self, name: &str, help: &str) -> Counter {
        let counter = Counter::default();
        self.0.register(name, help, counter.clone());
        counter
    }

    fn gauge(&mut self, name: &str, help: &str) -> Gauge {
        let gauge = Gauge::default();
        self.0.register(name, help, gauge.clone());
        gauge
    }

    fn fast(&mut self, name: &str, help: &str) -> Arc<Fast> {
        let histogram = Arc::new(Fast::default());
        self.0.register(name, help, Shared(Arc::clone(&histogram)));
        histogram
    }

    fn seconds(&mut self, name: &str, help: &str) -> Histogram {
        let histogram = Histogram::new(SLOW);
        self.0.register(name, help, histogram.clone());
        histogram
    }
}

/// A histogram without a lock, as every check on every core observes it.
#[derive(Debug, Default)]
struct Fast {
    buckets: [AtomicU64; FAST.len() + 1],
    nanos: AtomicU64,
}

impl Fast {
    fn observe(&self, seconds: f64) {
        let bucket = FAST.iter().position(|bound| seconds <= *bound).unwrap_or(FAST.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add((seconds * 1e9) as u64, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Shared(Arc<Fast>);

impl EncodeMetric for Shared {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let counts = self.0.buckets.each_ref().map(|count| count.load(Ordering::Relaxed));
        let bounds = FAST.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let seconds = self.0.nanos.load(Ordering::Relaxed) as f64 / 1e9;
        encoder.encode_histogram::<NoLabelSet>(seconds, counts.iter().sum(), &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

/// Bounds in seconds for what needs no I/O.
const FAST: [f64; 10] = [2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0];
/// Bounds in seconds for what does.
const SLOW: [f64; 10] = [5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 5e-2, 0.1, 0.5, 1.0, 2.5];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_counts_under_its_own_name() {
        let metrics = Metrics::default();
        for (outcome, name) in OUTCOMES {
            metrics.decided(outcome, 1e-6);
            let line = format!("foregate_decisions_total{{outcome=\"{name}\"}} 1");
            assert!(metrics.text().contains(&line), "{line}\n{}", metrics.text());
        }
        metrics.decided(Outcome::Allowed, 5.0);
        let text = metrics.text();
        for line in
            ["_bucket{le=\"0.000002\"} 7", "_bucket{le=\"1.0\"} 7", "_bucket{le=\"+Inf\"} 8", "_count 8"]
        {
            assert!(text.contains(&format!("foregate_decision_seconds{line}")), "{line}\n{text}");
        }
    }
}
