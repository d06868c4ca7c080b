//! Spans: what takes how long, within which trace. The request that a task answers is known to the task itself, so that nobody hands a
//! trace on through all that a decision asks. Knows no exporter.

use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;
use opentelemetry::trace::{
    FutureExt as _, Link, SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _,
    TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, SpanLimits};
use prometheus_client::metrics::counter::Counter;

use super::queue::{Queue, Spans};
use super::{About, Came, Part, Settings, context};

/// What records traces, by one configuration.
#[derive(Clone, Debug)]
pub struct Tracer {
    settings: Arc<Settings>,
    resource: Resource,
    spans: SdkTracer,
    waiting: Arc<Mutex<Option<Spans>>>,
}

impl Tracer {
    /// One by these settings, with a queue that counts in `lost` what finds no room.
    pub fn new(settings: Settings, lost: Counter) -> Self {
        let (queue, waiting) = Queue::new(lost);
        let resource = Resource::builder_empty()
            .with_attributes([
                KeyValue::new("service.name", settings.service_name.clone()),
                KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            ])
            .build();
        // What whoever asks has decided counts; whatever is said here is not read from variables of the library.
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.ratio)));
        let provider = SdkTracerProvider::builder()
            .with_sampler(sampler)
            .with_span_limits(SpanLimits::default())
            .with_resource(resource.clone())
            .with_span_processor(queue)
            .build();
        let spans = provider.tracer("foregate");
        Self { settings: Arc::new(settings), resource, spans, waiting: Arc::new(Mutex::new(Some(waiting))) }
    }

    /// By which settings it was made.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Who all its spans are of.
    pub fn resource(&self) -> &Resource {
        &self.resource
    }

    /// The other end of the queue, for the first who asks.
    pub fn spans(&self) -> Option<Spans> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Does `work`, with all that it asks for as its parts, and tells of it under this name. The trace that the headers name goes on
    /// if whoever sent them is trusted; from anybody else they are merely told.
    pub async fn within<T>(
        &self,
        (headers, trusted): (&HeaderMap, bool),
        (name, about): (String, impl FnOnce() -> About),
        work: impl Future<Output = T>,
        status: impl FnOnce(&T) -> u16,
    ) -> T {
        let context = self.begin((headers, trusted), name);
        if context.span().is_recording() {
            context.span().set_attributes(about().into_iter().map(attribute));
        }
        let running = Running(Some(context.clone()));
        let done = work.with_context(context).await;
        running.end(Came::Status(status(&done)));
        done
    }

    fn begin(&self, (headers, trusted): (&HeaderMap, bool), name: String) -> Context {
        let own = Context::new().with_value(self.clone());
        let mut builder = SpanBuilder::from_name(name).with_kind(SpanKind::Server);
        let parent = match context::read(headers) {
            Some(theirs) if trusted => own.with_remote_span_context(theirs),
            Some(theirs) => {
                builder = builder.with_links(vec![Link::with_context(theirs)]);
                own
            }
            None => own,
        };
        let span = self.spans.build_with_context(builder, &parent);
        parent.with_span(span)
    }
}

/// A part of a request that goes on. One that is given up came to nothing.
#[derive(Debug)]
pub struct Running(Option<Context>);

/// Begins a part of the request that this task answers, if it is within a trace.
pub fn start(part: Part) -> Running {
    Running(Context::map_current(|context| {
        let tracer = context.get::<Tracer>()?;
        if !context.span().span_context().is_sampled() {
            // Nobody records it, but whoever is asked is told so.
            return Some(context.clone());
        }
        let builder = SpanBuilder::from_name(part.name()).with_kind(SpanKind::Client);
        Some(context.with_span(tracer.spans.build_with_context(builder, context)))
    }))
}

impl Running {
    /// Tells something of it.
    #[must_use]
    pub fn of(self, name: &'static str, value: impl FnOnce() -> String) -> Self {
        if let Some(context) = self.0.as_ref().filter(|context| context.span().is_recording()) {
            context.span().set_attribute(KeyValue::new(name, value()));
        }
        self
    }

    /// Tells whom it asks which trace this is, in the place of what others said.
    pub fn tell(&self, headers: &mut HeaderMap) {
        if let Some(context) = &self.0 {
            context::write(context, headers);
        }
    }

    /// It is over.
    pub fn end(mut self, came: Came) {
        self.close(came);
    }

    fn close(&mut self, came: Came) {
        let Some(context) = self.0.take() else { return };
        let span = context.span();
        match came {
            Came::Status(status) => {
                span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
                if status >= 500 {
                    span.set_status(Status::error(""));
                }
            }
            Came::Well => {}
            Came::ToNothing => span.set_status(Status::error("no answer")),
        }
        span.end();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.close(Came::ToNothing);
    }
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Store => "store",
            Self::Upstream => "upstream",
        }
    }
}

/// The trace of the request that this task answers, whether or not it is recorded here.
pub fn id() -> Option<String> {
    Context::map_current(|context| {
        let span = context.span();
        let told = span.span_context();
        told.is_valid().then(|| told.trace_id().to_string())
    })
}

/// Tells something of the request that this task answers, where that is recorded.
pub fn note(about: impl FnOnce() -> About) {
    Context::map_current(|context| {
        if context.span().is_recording() {
            context.span().set_attributes(about().into_iter().map(attribute));
        }
    });
}

/// Takes the request that this task answers along into a task of its own.
pub fn carry<F: Future>(work: F) -> impl Future<Output = F::Output> {
    work.with_current_context()
}

fn attribute((name, value): (&'static str, String)) -> KeyValue {
    KeyValue::new(name, value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::SpanId;
    use opentelemetry_sdk::trace::SpanData;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const PARENT: &str = "b7ad6b7169203331";

    fn tracer(ratio: f64) -> (Tracer, Spans, Counter) {
        let lost = Counter::default();
        let endpoint = "http://localhost/v1/traces".parse().unwrap();
        let settings =
            Settings { endpoint, headers: HeaderMap::new(), ratio, service_name: "foregate".to_owned() };
        let tracer = Tracer::new(settings, lost.clone());
        let spans = tracer.spans().unwrap();
        (tracer, spans, lost)
    }

    fn sent(flags: &str) -> HeaderMap {
        let line = format!("00-{TRACE}-{PARENT}-{flags}");
        [("traceparent".parse().unwrap(), line.parse().unwrap())].into_iter().collect()
    }

    /// A request that asks a backend: what the backend is sent, and which trace it was.
    async fn asked(tracer: &Tracer, headers: &HeaderMap, trusted: bool) -> (HeaderMap, Option<String>) {
        let work = async {
            let mut onward = HeaderMap::new();
            let running = start(Part::Upstream).of("foregate.app", || "wiki".to_owned());
            running.tell(&mut onward);
            running.end(Came::Status(200));
            (onward, id())
        };
        let name = ("GET".to_owned(), || vec![("url.path", "/a".to_owned())]);
        tracer.within((headers, trusted), name, work, |_| 502).await
    }

    fn all(spans: &mut Spans) -> Vec<SpanData> {
        std::iter::from_fn(|| spans.try_recv().ok()).collect()
    }

    #[tokio::test]
    async fn a_trusted_trace_goes_on_and_its_decision_counts() {
        let (tracer, mut spans, _) = tracer(0.0);
        let (onward, id) = asked(&tracer, &sent("01"), true).await;
        let told = all(&mut spans);
        let [upstream, request] = &told[..] else { panic!("{told:?}") };
        assert_eq!(
            (id.as_deref(), request.span_context.trace_id().to_string().as_str()),
            (Some(TRACE), TRACE)
        );
        assert_eq!(request.parent_span_id.to_string(), PARENT);
        assert_eq!(upstream.parent_span_id, request.span_context.span_id());
        let line = format!("00-{TRACE}-{}-01", upstream.span_context.span_id());
        assert_eq!(onward["traceparent"], line.as_str());
        assert_eq!((&*request.name, &*upstream.name), ("GET", "upstream"));
        assert!(matches!(request.status, Status::Error { .. }) && upstream.status == Status::Unset);

        let (onward, id) = asked(&tracer, &sent("00"), true).await;
        assert_eq!(id.as_deref(), Some(TRACE));
        let line = onward["traceparent"].to_str().unwrap();
        assert!(line.starts_with(&format!("00-{TRACE}-")) && line.ends_with("-00"), "{line}");
        assert!(all(&mut spans).is_empty(), "nobody wants it");
    }

    #[tokio::test]
    async fn a_trace_that_begins_here_is_recorded_by_the_ratio() {
        for (ratio, recorded, flags) in [(1.0, 2, "-01"), (0.0, 0, "-00")] {
            let (tracer, mut spans, _) = tracer(ratio);
            let (onward, id) = asked(&tracer, &HeaderMap::new(), true).await;
            assert_eq!(all(&mut spans).len(), recorded, "{ratio}");
            let line = onward["traceparent"].to_str().unwrap();
            assert!(line.contains(&id.unwrap()) && line.ends_with(flags), "{line}");
        }
    }

    #[tokio::test]
    async fn a_stranger_decides_nothing_and_is_linked() {
        let (tracer, mut spans, _) = tracer(1.0);
        let (_, id) = asked(&tracer, &sent("00"), false).await;
        assert_ne!(id.unwrap(), TRACE);
        let told = all(&mut spans);
        let request = &told[1];
        assert_eq!(request.parent_span_id, SpanId::INVALID);
        assert_eq!(request.links.links[0].span_context.trace_id().to_string(), TRACE);
    }

    #[tokio::test]
    async fn what_is_given_up_is_told_and_what_finds_no_room_is_counted() {
        let (tracer, mut spans, lost) = tracer(1.0);
        let given_up = async {
            let _running = start(Part::Store);
            std::future::pending::<()>().await;
        };
        let none = HeaderMap::new();
        let request = tracer.within((&none, true), ("GET".to_owned(), About::new), given_up, |()| 200);
        tokio::select! { biased; () = request => {}, () = std::future::ready(()) => {} }
        let told = all(&mut spans);
        assert!(
            told.len() == 2 && told.iter().all(|span| span.status == Status::error("no answer")),
            "{told:?}"
        );
        for _ in 0..10_000 {
            tracer.within((&none, true), ("GET".to_owned(), About::new), async {}, |()| 200).await;
        }
        assert_eq!(all(&mut spans).len() as u64 + lost.get(), 10_000);
        assert!(lost.get() > 0);
    }

    #[tokio::test]
    async fn outside_of_a_request_there_is_nothing() {
        let running = start(Part::Provider);
        let mut headers = sent("01");
        running.tell(&mut headers);
        assert_eq!((headers, id()), (sent("01"), None));
        running.end(Came::Well);
        note(|| panic!("nobody wants to know"));
    }
}
