//! Where spans wait that have ended: in a bounded queue, so that nobody waits with them. Knows not who takes them out.

use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;

/// The end of the queue where spans come out.
pub type Spans = mpsc::Receiver<SpanData>;

/// The end where they go in; what finds no room is counted.
#[derive(Debug)]
pub(super) struct Queue {
    spans: mpsc::Sender<SpanData>,
    lost: Counter,
}

impl Queue {
    pub(super) fn new(lost: Counter) -> (Self, Spans) {
        let (spans, waiting) = mpsc::channel(ROOM);
        (Self { spans, lost }, waiting)
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.spans.try_send(span).is_err() {
            self.lost.inc();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Spans that may wait, each of which takes about 1 KiB.
const ROOM: usize = 8192;
