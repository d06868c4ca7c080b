//! Traces on their way out: what records them, which a configuration that says the same takes over, and the tasks that hand them over.
//! Decides nothing.

#[cfg(feature = "otlp")]
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::Site;
use crate::metrics::Metrics;
#[cfg(feature = "otlp")]
use crate::otlp::Exporter;
#[cfg(feature = "otlp")]
use crate::trace::Spans;
use crate::trace::{Settings, Tracer};

/// The tasks that hand spans over, one for each collector that is or was named.
#[derive(Clone, Debug, Default)]
pub(super) struct Exports {
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// What records traces by these settings: the one from before, if it does.
pub(super) fn tracer(settings: Option<Settings>, before: Option<&Site>, metrics: &Metrics) -> Option<Tracer> {
    let settings = settings?;
    made(settings, before.and_then(|site| site.tracer.as_ref()), metrics)
}

#[cfg(feature = "otlp")]
fn made(settings: Settings, before: Option<&Tracer>, metrics: &Metrics) -> Option<Tracer> {
    let same = before.filter(|tracer| *tracer.settings() == settings).cloned();
    Some(same.unwrap_or_else(|| Tracer::new(settings, metrics.spans_lost.clone())))
}

/// No configuration of such a build has any.
#[cfg(not(feature = "otlp"))]
fn made(_: Settings, _: Option<&Tracer>, _: &Metrics) -> Option<Tracer> {
    None
}

impl Exports {
    /// Hands over what a site records, unless that is done already. It ends when nobody uses the tracer any more, and all is sent.
    #[cfg(feature = "otlp")]
    pub(super) fn begin(&self, site: &Site) {
        if let Some(tracer) = &site.tracer
            && let Some(spans) = tracer.spans()
        {
            self.spawn(Exporter::new(tracer, &site.metrics), spans);
        }
    }

    #[cfg(feature = "otlp")]
    fn spawn(&self, exporter: Exporter, spans: Spans) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let ended = stop.clone();
            let too_long = async {
                ended.cancelled().await;
                tokio::time::sleep(LAST_TIME).await;
            };
            tokio::select! { () = exporter.run(spans, stop) => {}, () = too_long => {} }
        });
    }

    /// There is nothing to hand over.
    #[cfg(not(feature = "otlp"))]
    pub(super) fn begin(&self, _: &Site) {}

    /// Waits until all is handed over, which takes a moment at most.
    pub(super) async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// How long the last spans may take.
#[cfg(feature = "otlp")]
const LAST_TIME: Duration = Duration::from_secs(3);
