//! Backends, where foregate itself is the proxy: kept connections, and requests that carry a grant. Knows no
//! rules.

mod balance;
mod dial;
mod exchange;
mod health;
mod link;
mod moment;
mod names;
mod outgoing;
mod patience;
mod pool;
mod reply;
mod settings;
mod tasks;
pub mod tls;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::{HOST, HeaderValue};
use http::{Request, Response, StatusCode};
use thiserror::Error;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::headers::Person;
use crate::identity::Identity;
use crate::metrics::Metrics;
use crate::policy::Grant;
use crate::trace::{self, Came, Part};
use crate::trust::SystemRoots;
use balance::Targets;
use exchange::exchange;
pub use health::Check;
use health::keep_checking;
pub use moment::Moment;
pub use outgoing::{Outgoing, RequestFault, Strainer, Until, Upload, Whole};
use pool::Pool;
pub use pool::Tunnel;
use reply::Streams;
pub use reply::{ReplyBody, ReplyError};
pub use settings::{Bounds, Place, Protocol, Settings, Target, Times};
use tls::TlsError;

/// Why a backend did not answer. Where it has a name, that is the one of the target.
#[derive(Debug, Error)]
pub enum UpstreamError {
    /// The app names none: 404.
    #[error("the app has no upstream")]
    None,
    /// Checks say that none of its targets is well: 503 with `Retry-After`.
    #[error("no upstream of the app is healthy")]
    Down,
    /// As many requests wait for a connection as may: 503 with `Retry-After`.
    #[error("too many requests wait for {0}")]
    Full(Arc<str>),
    /// No connection became free in time: 503 with `Retry-After`.
    #[error("no connection to {0} became free in time")]
    Crowded(Arc<str>),
    /// No connection could be made, or not in time: 502.
    #[error("cannot connect to {0}: {1}")]
    Connect(Arc<str>, String),
    /// The head of the answer did not come in time: 504.
    #[error("no answer from {0} in time")]
    Late(Arc<str>),
    /// The connection broke before an answer came: 502.
    #[error("no answer from {0}: {1}")]
    Broken(Arc<str>, hyper::Error),
    /// The answer is in a transfer coding that the visitor could not be told of (RFC 9112 6.1): 502.
    #[error("{0} answers in a transfer coding other than chunked")]
    Coded(Arc<str>),
    /// The client did not send what it announced.
    #[error("{0}")]
    Request(RequestFault),
}

impl UpstreamError {
    /// Whether it speaks against the target, rather than against the client or the rush.
    fn is_of_target(&self) -> bool {
        match self {
            Self::Connect(..) | Self::Late(_) | Self::Broken(..) | Self::Coded(_) => true,
            Self::None | Self::Down | Self::Full(_) | Self::Crowded(_) | Self::Request(_) => false,
        }
    }
}

/// Connections to all backends of the configuration.
#[derive(Debug)]
pub struct Upstreams {
    backends: Vec<Arc<Backend>>,
    /// Backends of configurations before, whose connections end as they become free.
    leaving: Mutex<Vec<Arc<Backend>>>,
    streams: Arc<Streams>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Backend {
    settings: Settings,
    targets: Targets,
}

impl Upstreams {
    /// No connection yet to any of these backends but those that are as they were `before`: they keep theirs, and how they
    /// are is known. Those that are not among them end their connections as they become free.
    ///
    /// # Errors
    /// [`TlsError`] if one that speaks TLS could never be reached.
    pub fn new(
        backends: &[Settings],
        before: Option<&Self>,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, TlsError> {
        let system = SystemRoots::default();
        let backend = |settings: &Settings| {
            let mut known = before.iter().flat_map(|before| &before.backends);
            let same = known.find(|backend| backend.settings == *settings).cloned();
            same.map_or_else(|| Backend::new(settings, &system, metrics).map(Arc::new), Ok)
        };
        let backends: Vec<_> = backends.iter().map(backend).collect::<Result<_, _>>()?;
        let streams = before.map(|before| Arc::clone(&before.streams)).unwrap_or_default();
        let stays = |one: &Arc<Backend>| backends.iter().any(|backend| Arc::ptr_eq(backend, one));
        let leaving = before.into_iter().flat_map(Self::all).filter(|one| !stays(one)).collect();
        Ok(Self { backends, leaving: Mutex::new(leaving), streams, metrics: Arc::clone(metrics) })
    }

    /// Its backends, and those that are leaving.
    fn all(&self) -> Vec<Arc<Backend>> {
        let leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        self.backends.iter().chain(&*leaving).cloned().collect()
    }

    /// Closes the connections that nobody uses to backends of configurations before. Whoever still has such a configuration may
    /// open others.
    fn take_leave(&self) {
        let mut leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        leaving.retain(|backend| {
            let open = backend.targets.pools.iter().filter(|pool| pool.close_unused()).count();
            open > 0 || Arc::strong_count(backend) > 1
        });
    }

    /// Sends a request that was let in to the app it was let in to. Its headers are final but for `Host`, which counts
    /// only if the app's route keeps it; the target's own name takes its place otherwise.
    ///
    /// # Errors
    /// [`UpstreamError`]. The request may have reached the backend if it is `Late`, `Broken` or `Request`.
    pub async fn send(
        &self,
        grant: &Grant<'_>,
        mut request: Request<Outgoing>,
    ) -> Result<Response<ReplyBody>, UpstreamError> {
        let route = grant.app().route.as_ref().ok_or(UpstreamError::None)?;
        let backend = self.backends.get(route.backend.0).ok_or(UpstreamError::None)?;
        let host = request.headers_mut().remove(HOST).filter(|_| route.preserve_host);
        if matches!(request.body(), Outgoing::Stream(_)) {
            let (parts, body) = request.into_parts();
            // Boxed, as most requests have no body.
            let bounded = Box::pin(
                body.bounded(backend.settings.times.stream_idle, backend.settings.bounds.body_bytes),
            )
            .await;
            request = Request::from_parts(parts, bounded.map_err(UpstreamError::Request)?);
        }
        let running = trace::start(Part::Upstream).of("foregate.app", || grant.app().name.clone());
        running.tell(request.headers_mut());
        let person = grant.person().map(Person::identity);
        let sent = self.deliver(backend, request, host.as_ref(), person).await;
        running.end(match &sent {
            Ok(response) => Came::Status(response.status().as_u16()),
            Err(_) => Came::ToNothing,
        });
        sent
    }

    /// Another target gets only what was surely not sent.
    async fn deliver(
        &self,
        backend: &Backend,
        mut request: Request<Outgoing>,
        host: Option<&HeaderValue>,
        person: Option<&Identity>,
    ) -> Result<Response<ReplyBody>, UpstreamError> {
        let mut tried = Vec::new();
        let mut last = UpstreamError::Down;
        while let Some(place) = backend.targets.choose(&tried, person) {
            let pool = &backend.targets.pools[place];
            let failed = match exchange(pool, request, host, &self.streams).await {
                Ok(response) => {
                    self.note(backend, pool, !AT_THE_GATE.contains(&response.status()));
                    return Ok(response);
                }
                Err(failed) => *failed,
            };
            if failed.error.is_of_target() {
                self.metrics.upstream_failures.inc();
                self.note(backend, pool, false);
            }
            last = failed.error;
            let Some(unsent) = failed.unsent else { break };
            request = unsent;
            tried.push(place);
        }
        Err(last)
    }

    /// Remembers what came of a request, for whoever looks, and for the next time where there is a choice.
    fn note(&self, backend: &Backend, pool: &Pool, answered: bool) {
        pool.health.heard(answered);
        if backend.targets.pools.len() == 1 {
            return;
        }
        if answered {
            pool.health.succeeded();
        } else if let Some(pause) = pool.health.failed(Instant::now()) {
            self.metrics.upstream_ejections.inc();
            let (upstream, seconds) = (&*pool.name, pause.as_secs());
            tracing::warn!(
                upstream,
                seconds,
                "an upstream fails again and again, and is left alone for a while"
            );
        }
    }

    /// Every target by its name, with what is wrong with it, if something is known to be.
    pub fn states(&self) -> Vec<(String, Option<&'static str>)> {
        let now = Instant::now();
        let pools = self.backends.iter().flat_map(|backend| &backend.targets.pools);
        let state = |pool: &Arc<Pool>| match &pool.health {
            health if health.is_sick() => Some("it does not pass its health checks, and gets no requests"),
            health if health.is_paused(now) => {
                Some("requests to it failed again and again, and it is left alone for a while")
            }
            health if health.is_silent() => Some("it did not answer the last request"),
            _ => None,
        };
        let mut states: Vec<_> = pools.map(|pool| (pool.name.to_string(), state(pool))).collect();
        states.sort_unstable();
        states.dedup();
        states
    }

    /// Sees to connections and answers that nobody uses, until it is dropped. To be run once beside everything else.
    pub async fn watch(&self) {
        // Dropped with this future, which ends them.
        let mut checks = JoinSet::new();
        for backend in &self.backends {
            for pool in &backend.targets.pools {
                if let Some(check) = backend.settings.check.clone() {
                    checks.spawn(keep_checking(Arc::clone(pool), check));
                }
            }
        }
        let mut tick = interval(SWEEP_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let now = Instant::now();
            self.streams.cut_idle(now);
            self.take_leave();
            let pools = self.backends.iter().flat_map(|backend| &backend.targets.pools);
            let kept: usize = pools.map(|pool| pool.sweep(now)).sum();
            self.metrics.upstream_kept.set(i64::try_from(kept).unwrap_or(i64::MAX));
        }
    }
}

impl Backend {
    fn new(settings: &Settings, system: &SystemRoots, metrics: &Arc<Metrics>) -> Result<Self, TlsError> {
        let speaks_tls = settings.targets.iter().any(|target| target.protocol == Protocol::Https);
        let tls = if speaks_tls { Some(settings.tls.connectors(system)?) } else { None };
        let pool = |target| Arc::new(Pool::new(target, settings, tls.clone(), Arc::clone(metrics)));
        Ok(Self {
            targets: Targets::new(settings.targets.iter().map(pool).collect(), settings.sticky),
            settings: settings.clone(),
        })
    }
}

/// Answers by which a proxy before the app says that there is none.
const AT_THE_GATE: [StatusCode; 3] =
    [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT];
const SWEEP_EVERY: Duration = Duration::from_secs(1);
