//! Backends, where foregate itself is the proxy: kept connections, and requests that carry a grant. Knows no
//! rules.

mod dial;
mod exchange;
mod link;
mod outgoing;
mod pool;
mod reply;
mod settings;
pub mod tls;

use std::sync::Arc;
use std::time::Duration;

use http::header::{HOST, HeaderValue};
use http::{Request, Response};
use thiserror::Error;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::metrics::Metrics;
use crate::policy::Grant;
use exchange::exchange;
pub use outgoing::{Outgoing, RequestFault, Until, Upload, Whole};
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
    /// The client did not send what it announced.
    #[error("{0}")]
    Request(RequestFault),
}

/// Connections to all backends of the configuration.
#[derive(Debug)]
pub struct Upstreams {
    backends: Vec<Backend>,
    streams: Streams,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Backend {
    pools: Vec<Arc<Pool>>,
    stream_idle: Duration,
    body_bytes: Option<u64>,
}

impl Upstreams {
    /// No connection to any of these backends yet.
    ///
    /// # Errors
    /// [`TlsError`] if one that speaks TLS could never be reached.
    pub fn new(backends: &[Settings], metrics: &Arc<Metrics>) -> Result<Self, TlsError> {
        let backends =
            backends.iter().map(|settings| Backend::new(settings, metrics)).collect::<Result<_, _>>()?;
        Ok(Self { backends, streams: Streams::default(), metrics: Arc::clone(metrics) })
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
            let bounded = Box::pin(body.bounded(backend.stream_idle, backend.body_bytes)).await;
            request = Request::from_parts(parts, bounded.map_err(UpstreamError::Request)?);
        }
        self.deliver(backend, request, host.as_ref()).await
    }

    async fn deliver(
        &self,
        backend: &Backend,
        request: Request<Outgoing>,
        host: Option<&HeaderValue>,
    ) -> Result<Response<ReplyBody>, UpstreamError> {
        let (mut request, mut last) = (request, UpstreamError::None);
        for pool in &backend.pools {
            let failed = match exchange(pool, request, host, &self.streams).await {
                Ok(response) => return Ok(response),
                Err(failed) => *failed,
            };
            last = failed.error;
            // Another target gets only what was surely not sent.
            let Some(unsent) = failed.unsent else { break };
            request = unsent;
        }
        Err(last)
    }

    /// Sees to connections and answers that nobody uses, until it is dropped. To be run once beside everything else.
    pub async fn watch(&self) {
        let mut tick = interval(SWEEP_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let now = Instant::now();
            self.streams.cut_idle(now);
            let pools = self.backends.iter().flat_map(|backend| &backend.pools);
            let kept: usize = pools.map(|pool| pool.sweep(now)).sum();
            self.metrics.upstream_kept.set(i64::try_from(kept).unwrap_or(i64::MAX));
        }
    }
}

impl Backend {
    fn new(settings: &Settings, metrics: &Arc<Metrics>) -> Result<Self, TlsError> {
        let speaks_tls = settings.targets.iter().any(|target| target.protocol == Protocol::Https);
        let tls = if speaks_tls { Some(settings.tls.connectors()?) } else { None };
        let pool = |target| Arc::new(Pool::new(target, settings, tls.clone(), Arc::clone(metrics)));
        Ok(Self {
            pools: settings.targets.iter().map(pool).collect(),
            stream_idle: settings.times.stream_idle,
            body_bytes: settings.bounds.body_bytes,
        })
    }
}

const SWEEP_EVERY: Duration = Duration::from_secs(1);
