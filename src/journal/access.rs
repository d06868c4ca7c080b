//! The access log: one line for each request, in two strokes, as what was decided is known before what is answered. No field holds a
//! secret: there is none for headers or queries. Knows not how anything was decided.

use std::io::{self, Write as _};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::{Journal, Kind, Output};
use crate::metrics::Metrics;
use crate::trace;
use crate::wording::timestamp_millis;

/// What a request was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asked {
    /// A front proxy's question about somebody else's request.
    Check,
    /// One to an app that foregate is the proxy of.
    Proxy,
    /// One to a page of foregate's own.
    Page,
}

/// What is known of a request when it has been decided.
#[derive(Debug, Serialize)]
pub struct Request<'r> {
    /// What it was.
    pub kind: Asked,
    /// The dialect of the front proxy that asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dialect: Option<&'static str>,
    /// The method.
    pub method: &'r str,
    /// The host, without its port.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub host: &'r str,
    /// The path, without its query.
    pub path: &'r str,
    /// The visitor's address, as far as trusted proxies tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// How it was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<&'static str>,
    /// Who was let in, by the name they sign in with.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub user: &'r str,
    /// The app that let them in.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub app: &'r str,
    /// The rule that did.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub rule: &'r str,
}

/// A line that lacks what is known of the answer alone.
#[derive(Clone, Debug)]
pub struct Draft(Vec<u8>);

/// The access log of a configuration; nothing where none is wanted.
#[derive(Clone, Debug, Default)]
pub struct Access(Option<Arc<Journal>>);

impl Access {
    /// The access log for `output` behind another configuration's.
    ///
    /// # Errors
    /// If the output cannot be opened.
    pub fn after(before: Option<&Self>, output: Option<&Output>, metrics: &Metrics) -> io::Result<Self> {
        let before = before.and_then(|access| access.0.as_ref());
        Journal::after(before, Kind::Access, output, metrics).map(Self)
    }

    /// Whether there is one: whoever draws up lines asks first.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Writes down a request that was answered with this status, after this time.
    pub fn note(&self, draft: Draft, status: u16, time: Duration) {
        let (Some(journal), Draft(mut line)) = (&self.0, draft) else { return };
        // Writing to a vector cannot fail.
        let _ = write!(line, ",\"status\":{status},\"seconds\":{:.6}", time.as_secs_f64());
        if let Some(id) = trace::id() {
            let _ = write!(line, ",\"trace_id\":\"{id}\"");
        }
        line.extend_from_slice(b"}\n");
        journal.put(&line);
    }

    /// Has the file opened anew, as it may have been moved away.
    pub fn reopen(&self) {
        self.0.iter().for_each(|journal| journal.reopen());
    }

    /// Takes no more, and waits until all is written, but not for longer than `time`.
    pub fn close(&self, time: Duration) {
        self.0.iter().for_each(|journal| journal.close(time));
    }
}

impl Draft {
    /// The beginning of the line for a request that was decided at `at`, in Unix milliseconds.
    pub fn of(at: u64, request: &Request<'_>) -> Self {
        let told = Told { time: timestamp_millis(at), journal: Kind::Access.name(), request };
        let mut line = Vec::with_capacity(USUAL_BYTES);
        // There is nothing in a request that JSON cannot say.
        let _ = serde_json::to_writer(&mut line, &told);
        // The object goes on.
        line.pop();
        Self(line)
    }
}

#[derive(Serialize)]
struct Told<'r> {
    time: String,
    journal: &'static str,
    #[serde(flatten)]
    request: &'r Request<'r>,
}

/// Bytes of memory for a line, which seldom takes more.
const USUAL_BYTES: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_object_of_what_was_asked_and_what_was_answered() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.log");
        let output = Output::File(path.clone());
        let access = Access::after(None, Some(&output), &Metrics::default()).unwrap();
        let request = Request {
            kind: Asked::Check,
            dialect: Some("traefik"),
            method: "GET",
            host: "wiki.example.com",
            path: "/a\"\nb",
            client: Some("203.0.113.7".parse().unwrap()),
            outcome: Some("allowed"),
            user: "alice",
            app: "",
            rule: "",
        };
        access.note(Draft::of(1_735_689_599_007, &request), 200, Duration::from_micros(1_234));
        access.close(Duration::from_secs(60));
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "{\"time\":\"2024-12-31T23:59:59.007Z\",\"journal\":\"access\",\"kind\":\"check\",\"dialect\":\"traefik\",\
             \"method\":\"GET\",\"host\":\"wiki.example.com\",\"path\":\"/a\\\"\\nb\",\"client\":\"203.0.113.7\",\
             \"outcome\":\"allowed\",\"user\":\"alice\",\"status\":200,\"seconds\":0.001234}\n"
        );
    }
}
