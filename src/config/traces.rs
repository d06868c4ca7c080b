//! `[traces]`: where traces go, and which. Knows no spans.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::secrets::key_lines;
use super::values::{Http, Read, Reader};
use crate::secret::Secret;
use crate::trace::Settings;

impl Reader {
    /// Where traces go, if anywhere.
    pub(crate) fn traces(&mut self) -> Option<Option<Settings>> {
        let ratio = self.ratio("traces.ratio");
        let service_name = self.text("traces.service_name");
        if !self.is_written(ENDPOINT) {
            self.used(ENDPOINT);
            self.used(HEADERS);
            return self.note_without_endpoint().then_some(None);
        }
        let headers = self.trace_headers();
        let mut url = self.url(ENDPOINT, Http::Anywhere)?;
        if !cfg!(feature = "otlp") {
            let problem = format!("`{ENDPOINT}` has no effect, as this build of foregate sends no traces");
            self.book.note(&url.place, problem, "take a build with the feature otlp, or remove [traces]");
            return None;
        }
        if url.value.path() == "/" {
            url.value.set_path("/v1/traces");
        }
        Some(Some(Settings {
            endpoint: url.value,
            headers: headers?,
            ratio: ratio?,
            service_name: service_name?.value,
        }))
    }

    /// Notes what has no effect without a collector; whether all is well.
    fn note_without_endpoint(&mut self) -> bool {
        let before = self.book.count();
        for path in [HEADERS, "traces.ratio", "traces.service_name"] {
            if let Some(place) = self.place_of(path) {
                let problem = format!("`{path}` has no effect without `{ENDPOINT}`");
                self.book.note(&place, problem, "name the collector in traces.endpoint, or remove it");
            }
        }
        self.book.count() == before
    }

    fn trace_headers(&mut self) -> Option<HeaderMap> {
        let lines: Vec<Read<Secret>> = match self.secret_file(HEADERS)? {
            Some(file) => key_lines(&file.value)
                .map(|(_, line)| Read { value: Secret::new(line), place: file.place.clone() })
                .collect(),
            None if self.written(HEADERS).is_none() => {
                self.node(HEADERS);
                return Some(HeaderMap::new());
            }
            None => {
                let secret = |text: Read<String>| Read { value: Secret::new(text.value), place: text.place };
                self.texts(HEADERS)?.into_iter().map(secret).collect()
            }
        };
        let before = self.book.count();
        let headers = lines.iter().filter_map(|line| self.trace_header(line)).collect();
        (self.book.count() == before).then_some(headers)
    }

    fn trace_header(&mut self, line: &Read<Secret>) -> Option<(HeaderName, HeaderValue)> {
        let header = parse(line.value.expose());
        if header.is_none() {
            let problem = format!("`{HEADERS}`: a line is no header that can be sent to a collector");
            self.book.hide(&line.place);
            self.book.note(
                &line.place,
                problem,
                "write each as \"Name: value\", such as \"Authorization: Bearer TOKEN\"",
            );
        }
        header
    }
}

/// A header as it is written in HTTP, but for those that each message has of its own.
fn parse(line: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = line.split_once(':')?;
    let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
    let mut value = HeaderValue::from_str(value.trim()).ok()?;
    value.set_sensitive(true);
    (!OWN.contains(&name.as_str())).then_some((name, value))
}

const ENDPOINT: &str = "traces.endpoint";
const HEADERS: &str = "traces.headers";
/// What says how a message is to be read, which is nobody's wish.
const OWN: [&str; 9] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "te",
    "transfer-encoding",
];
