//! Which trace a request belongs to (W3C Trace Context), and how long its parts take. Knows nobody who is told. In a build without the
//! feature `otlp` all of this is nothing.

#[cfg(feature = "otlp")]
mod context;
#[cfg(not(feature = "otlp"))]
mod nothing;
#[cfg(feature = "otlp")]
mod queue;
#[cfg(feature = "otlp")]
mod span;

use http::HeaderMap;
use url::Url;

#[cfg(not(feature = "otlp"))]
pub use nothing::{Running, Tracer, carry, id, note, start};
#[cfg(feature = "otlp")]
pub use queue::Spans;
#[cfg(feature = "otlp")]
pub use span::{Running, Tracer, carry, id, note, start};

/// Where traces go, and which.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where a collector takes OTLP over HTTP.
    pub endpoint: Url,
    /// What it is sent beside the spans, such as a token: sensitive values, which do not print.
    pub headers: HeaderMap,
    /// The part of the traces that begin here which is recorded, from 0 to 1.
    pub ratio: f64,
    /// How foregate is called in traces.
    pub service_name: String,
}

/// A part of a request in which somebody else is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The provider.
    Provider,
    /// The session store.
    Store,
    /// The backend of an app.
    Upstream,
}

/// How it came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// With an answer of this status.
    Status(u16),
    /// With an answer.
    Well,
    /// With none.
    ToNothing,
}

/// What is told of something, by names that the conventions of OpenTelemetry have or that begin with `foregate.`.
pub type About = Vec<(&'static str, String)>;
