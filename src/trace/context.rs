//! The headers `traceparent` and `tracestate` (W3C Trace Context): read strictly, and written.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;

/// What a request says of the trace it belongs to. What is not valid is as good as not there (4.3); with it goes `tracestate`.
pub(super) fn read(headers: &HeaderMap) -> Option<SpanContext> {
    let mut lines = headers.get_all(&PARENT).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return None };
    let parent = line.to_str().ok().filter(|text| is_valid(text.as_bytes()))?;
    let told = Told { parent, state: state(headers) };
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &told);
    let found = context.span().span_context().clone();
    found.is_valid().then_some(found)
}

/// Tells of a trace in the place of what others said.
pub(super) fn write(context: &Context, headers: &mut HeaderMap) {
    if context.span().span_context().is_valid() {
        headers.remove(&STATE);
        TraceContextPropagator::new().inject_context(context, &mut Lines(headers));
    }
}

/// Whether a `traceparent` is one by the letter (3.2.2). The library takes more, such as capital letters in the version.
fn is_valid(text: &[u8]) -> bool {
    let Some((known, more)) = text.split_at_checked(LENGTH) else { return false };
    let fits = known.iter().enumerate().all(|(at, byte)| match at {
        2 | 35 | 52 => *byte == b'-',
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    });
    // Later versions may have more behind a dash, and are read as far as they are known.
    fits && match &known[..2] {
        b"00" => more.is_empty(),
        b"ff" => false,
        _ => more.first().is_none_or(|byte| *byte == b'-'),
    }
}

/// All lines of `tracestate` as one (3.3.1); nothing if that is longer than anybody has to pass on.
fn state(headers: &HeaderMap) -> Option<String> {
    let lines: Vec<&str> =
        headers.get_all(&STATE).iter().map(HeaderValue::to_str).collect::<Result<_, _>>().ok()?;
    Some(lines.join(",")).filter(|text| !text.is_empty() && text.len() <= LONGEST_STATE)
}

struct Told<'r> {
    parent: &'r str,
    state: Option<String>,
}

impl Extractor for Told<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => Some(self.parent),
            "tracestate" => self.state.as_deref(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

struct Lines<'r>(&'r mut HeaderMap);

impl Injector for Lines<'_> {
    fn set(&mut self, key: &str, value: String) {
        let name = HeaderName::from_bytes(key.as_bytes());
        if let (Ok(name), Ok(value), false) = (name, HeaderValue::from_str(&value), value.is_empty()) {
            self.0.insert(name, value);
        }
    }
}

const PARENT: HeaderName = HeaderName::from_static("traceparent");
const STATE: HeaderName = HeaderName::from_static("tracestate");
/// Bytes of `traceparent` in version 00.
const LENGTH: usize = 55;
/// Bytes of a `tracestate` that is passed on; the standard asks for 512.
const LONGEST_STATE: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_what_the_standard_calls_valid_is_read() {
        for (text, sampled) in [
            (format!("00-{TRACE}-{SPAN}-01"), Some(true)),
            (format!("00-{TRACE}-{SPAN}-00"), Some(false)),
            (format!("00-{TRACE}-{SPAN}-03"), Some(true)),
            (format!("cc-{TRACE}-{SPAN}-01"), Some(true)),
            (format!("01-{TRACE}-{SPAN}-01-later"), Some(true)),
            (format!("01-{TRACE}-{SPAN}-01later"), None),
            (format!("00-{TRACE}-{SPAN}-01-later"), None),
            (format!("00-{TRACE}-{SPAN}-01-"), None),
            (format!("ff-{TRACE}-{SPAN}-01"), None),
            (format!("+0-{TRACE}-{SPAN}-01"), None),
            (format!("000-{TRACE}-{SPAN}-01"), None),
            (format!("00-{}-{SPAN}-01", "0".repeat(32)), None),
            (format!("00-{TRACE}-{}-01", "0".repeat(16)), None),
            (format!("00-{}-{SPAN}-01", TRACE.to_uppercase()), None),
            (format!("00-{TRACE}-{SPAN}-0A"), None),
            (format!("00-{TRACE}-{SPAN}-1"), None),
            (format!("00-{TRACE}-{SPAN}_01"), None),
            (format!("00-{TRACE}-{SPAN}-0g"), None),
            (format!("00-{}-{SPAN}-01", &TRACE[1..]), None),
            (" ".to_owned(), None),
        ] {
            let read = read(&headers(&[("traceparent", &text)]));
            assert_eq!(read.as_ref().map(SpanContext::is_sampled), sampled, "{text}");
        }
        let line = format!("00-{TRACE}-{SPAN}-01");
        assert!(read(&headers(&[("traceparent", &line), ("traceparent", &line)])).is_none(), "two of them");
    }

    #[test]
    fn what_was_read_is_written_in_the_place_of_what_others_said() {
        let line = format!("00-{TRACE}-{SPAN}-01");
        let long = format!("a={}", "b".repeat(LONGEST_STATE));
        for (states, expected) in [
            (vec!["a=1,b=2"], Some("a=1,b=2")),
            (vec!["a=1", "b=2"], Some("a=1,b=2")),
            (vec!["no state"], None),
            (vec![&*long], None),
            (vec![], None),
        ] {
            let mut lines = vec![("traceparent", line.as_str())];
            lines.extend(states.iter().map(|state| ("tracestate", *state)));
            let found = read(&headers(&lines)).unwrap();
            let context = Context::new().with_remote_span_context(found);
            let mut sent = headers(&[("traceparent", "x"), ("tracestate", "c=3"), ("tracestate", "d=4")]);
            write(&context, &mut sent);
            let all = |name: &str| sent.get_all(name).iter().cloned().collect::<Vec<_>>();
            assert_eq!(all("traceparent"), [line.as_str()]);
            assert_eq!(all("tracestate"), expected.into_iter().collect::<Vec<_>>(), "{states:?}");
        }
    }
}
