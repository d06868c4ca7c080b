//! The door to a collector of traces: spans as OTLP over HTTP, many at a time. Knows no requests; nobody waits for it, and what it cannot
//! hand over is counted and told.

use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Request, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::trace::SpanData;
use prometheus_client::metrics::counter::Counter;
use prost::Message as _;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::outbound::{Outbound, OutboundError};
use crate::trace::{Settings, Spans, Tracer};

/// Hands the spans of one tracer over to one collector.
pub struct Exporter {
    outbound: Outbound,
    settings: Settings,
    resource: ResourceAttributesWithSchema,
    exported: Counter,
    lost: Counter,
    is_stuck: bool,
}

/// Why a collector did not take spans.
enum Refused {
    /// It may take them a little later.
    Later(String),
    /// It never will.
    ForGood(String),
}

impl Exporter {
    /// An exporter to the collector that the tracer's settings name.
    pub fn new(tracer: &Tracer, metrics: &Metrics) -> Self {
        let settings = tracer.settings().clone();
        Self {
            outbound: Outbound::inside(&settings.endpoint, HAND_OVER_TIME),
            resource: tracer.resource().into(),
            settings,
            exported: metrics.spans_exported.clone(),
            lost: metrics.spans_lost.clone(),
            is_stuck: false,
        }
    }

    /// Hands over what comes until nobody is left to bring anything, or until `stop`, and then what is left.
    pub async fn run(mut self, mut spans: Spans, stop: CancellationToken) {
        let mut batch = Vec::new();
        loop {
            let ends = tokio::select! {
                () = stop.cancelled() => true,
                more = spans.recv_many(&mut batch, MOST_AT_ONCE) => more == 0,
            };
            if !ends && batch.len() < MOST_AT_ONCE {
                // Those that belong together come together.
                tokio::select! { () = stop.cancelled() => {}, () = sleep(BREATH) => {} }
            }
            while batch.len() < MOST_AT_ONCE
                && let Ok(span) = spans.try_recv()
            {
                batch.push(span);
            }
            if !batch.is_empty() {
                self.hand_over(std::mem::take(&mut batch), &stop).await;
            }
            if ends && spans.is_empty() {
                return;
            }
        }
    }

    /// Hands over some, and once more if that may help. Meanwhile others wait in the queue as long as there is room.
    async fn hand_over(&mut self, batch: Vec<SpanData>, stop: &CancellationToken) {
        let count = batch.len() as u64;
        let message = ExportTraceServiceRequest {
            resource_spans: group_spans_by_resource_and_scope(batch, &self.resource),
        };
        let message = message.encode_to_vec();
        let mut pauses = PAUSES.iter();
        let sent = loop {
            match (self.send(message.clone()).await, pauses.next()) {
                (Err(Refused::Later(_)), Some(pause)) if !stop.is_cancelled() => {
                    tokio::select! { () = stop.cancelled() => {}, () = sleep(*pause) => {} }
                }
                (sent, _) => break sent,
            }
        };
        self.note(count, sent);
    }

    /// How many of them it refused.
    async fn send(&self, message: Vec<u8>) -> Result<u64, Refused> {
        let mut request = Request::post(self.settings.endpoint.as_str())
            .header(CONTENT_TYPE, PROTOBUF)
            .header(ACCEPT, PROTOBUF)
            .body(message)
            .map_err(|error| Refused::ForGood(error.to_string()))?;
        request.headers_mut().extend(self.settings.headers.clone());
        let answer = self.outbound.fetch(request).await.map_err(|error| match error {
            OutboundError::Connect(_) | OutboundError::Exhausted(_) => Refused::Later(error.to_string()),
            // It may have taken them.
            OutboundError::Timeout
            | OutboundError::TooLarge { .. }
            | OutboundError::Compressed { .. }
            | OutboundError::Refused(_)
            | OutboundError::Broken(_) => Refused::ForGood(error.to_string()),
        })?;
        match answer.status() {
            status if status.is_success() => {
                let read = ExportTraceServiceResponse::decode(answer.body().as_slice()).unwrap_or_default();
                let refused = read.partial_success.map_or(0, |partial| partial.rejected_spans);
                Ok(u64::try_from(refused).unwrap_or_default())
            }
            status if LATER.contains(&status) => Err(Refused::Later(format!("it answers {status}"))),
            status => Err(Refused::ForGood(format!("it answers {status}"))),
        }
    }

    fn note(&mut self, count: u64, sent: Result<u64, Refused>) {
        let (refused, error) = match sent {
            Ok(refused) => (refused.min(count), (refused > 0).then(|| format!("it refused {refused} spans"))),
            Err(Refused::Later(error) | Refused::ForGood(error)) => (count, Some(error)),
        };
        self.exported.inc_by(count - refused);
        self.lost.inc_by(refused);
        let collector = self.settings.endpoint.host_str().unwrap_or_default();
        match (&error, self.is_stuck) {
            (Some(error), false) => tracing::warn!(collector, error, "{LOST}"),
            (None, true) => tracing::info!(collector, "the collector takes traces again"),
            (Some(_), true) | (None, false) => {}
        }
        self.is_stuck = error.is_some();
    }
}

const PROTOBUF: &str = "application/x-protobuf";
/// Spans in one request.
const MOST_AT_ONCE: usize = 512;
/// How long spans gather.
const BREATH: Duration = Duration::from_millis(500);
/// How long one request may take.
const HAND_OVER_TIME: Duration = Duration::from_secs(5);
/// How long a collector is left alone before each further try.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];
/// Answers that ask for another try (OTLP 1, OTLP/HTTP response).
const LATER: [StatusCode; 4] = [
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::BAD_GATEWAY,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::GATEWAY_TIMEOUT,
];
const LOST: &str = "the collector takes no traces: they are lost as long as it does not";
