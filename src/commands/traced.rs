//! Lines of the log with the trace of the request that they are about, and with nothing in them that acts on a screen. Knows not what
//! they say.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::trace;
use crate::wording::escaped;

/// A format of lines, of which nothing acts on a screen, and to which the trace is added where there is one.
pub(super) struct Traced<F> {
    format: F,
    as_json: bool,
}

impl<F> Traced<F> {
    /// Behind a format of words.
    pub(super) fn in_words(format: F) -> Self {
        Self { format, as_json: false }
    }

    /// Behind one that writes objects of JSON.
    pub(super) fn as_json(format: F) -> Self {
        Self { format, as_json: true }
    }
}

impl<S, N, F> FormatEvent<S, N> for Traced<F>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.format.format_event(context, Writer::new(&mut line), event)?;
        let line = escaped(&line);
        let Some(id) = trace::id() else { return writer.write_str(&line) };
        match line.trim_end().strip_suffix('}').filter(|_| self.as_json) {
            Some(open) => writeln!(writer, "{open},\"trace_id\":\"{id}\"}}"),
            None => writeln!(writer, "{} trace_id={id}", line.trim_end()),
        }
    }
}
