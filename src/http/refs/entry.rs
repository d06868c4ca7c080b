//! What is kept of a reference, and how it is told: as JSON, and in words. Decides nothing.

use http::StatusCode;
use serde_json::{Value, json};

use super::Mark;
use super::received::{Asked, Line, Received, Weight, cut};
use crate::trace;
use crate::wording::timestamp;

/// What is known of a reference.
#[derive(Clone, Debug)]
pub(in crate::http) struct Entry {
    pub(in crate::http) reference: String,
    /// When it was issued, in Unix seconds.
    pub(in crate::http) at: u64,
    pub(in crate::http) status: u16,
    pub(in crate::http) why: String,
    pub(in crate::http) user: String,
    issuer: String,
    missing: Vec<String>,
    trace: Option<String>,
    received: Received,
}

impl Entry {
    pub(super) fn new(mark: Mark, received: Received, status: StatusCode, at: u64) -> Self {
        let missing = mark.missing.iter().take(MOST_MISSING).map(|one| cut(one, LONGEST_WORD)).collect();
        Self {
            reference: mark.reference,
            at,
            status: status.as_u16(),
            why: cut(&mark.why, LONGEST_WHY),
            user: cut(&mark.user, LONGEST_WORD),
            issuer: cut(&mark.issuer, LONGEST_WORD),
            missing,
            trace: trace::id(),
            received,
        }
    }

    /// What was received.
    pub(in crate::http) fn received(&self) -> &Received {
        &self.received
    }

    /// All of it.
    pub(in crate::http) fn to_json(&self) -> Value {
        let Received { asked, peer, trusted, client, method, scheme, host, path, lines, app, rule, .. } =
            &self.received;
        let known = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let lines: Vec<Value> = lines
            .iter()
            .map(|line| json!({ "name": line.name, "value": known(&line.value), "counted": line.weight.as_str() }))
            .collect();
        json!({
            "ref": self.reference,
            "trace_id": self.trace,
            "time": timestamp(self.at),
            "status": self.status,
            "why": self.why,
            "missing": self.missing,
            "user": known(&self.user),
            "issuer": known(&self.issuer),
            "app": known(app),
            "rule": known(rule),
            "request": {
                "method": method, "scheme": Some(scheme).filter(|scheme| !scheme.is_empty()), "host": host, "path": path,
                "client": client,
            },
            "read_as": asked.as_str(),
            "peer": peer,
            "trusted": trusted,
            "headers": lines,
            "told": self.in_words(),
        })
    }

    /// The same, line by line.
    pub(in crate::http) fn in_words(&self) -> Vec<String> {
        let Received { app, rule, lines, .. } = &self.received;
        let mut told = vec![
            format!("reference {} of {}: answered {}", self.reference, timestamp(self.at), self.status),
            format!("why: {}", self.why),
        ];
        if !self.missing.is_empty() {
            told.push(format!("missing: {}", self.missing.join(", or ")));
        }
        told.push(format!("asked: {}", self.received.request()));
        told.push(self.way());
        told.extend(lines.iter().map(Line::in_words));
        if !self.user.is_empty() {
            told.push(format!("who: {} of {}", self.user, self.issuer));
        }
        if !rule.is_empty() {
            told.push(format!("rule: {rule}, of the app {app}"));
        }
        told.extend(self.trace.iter().map(|trace| format!("trace: {trace}")));
        told
    }

    fn way(&self) -> String {
        let Received { asked, peer, trusted, client, .. } = &self.received;
        let trust = if *trusted { "a trusted proxy" } else { "none of server.trusted_proxies" };
        let read = match asked {
            Asked::By(dialect) => format!("a check in the words of {}", dialect.name()),
            Asked::Proxy => "foregate is the proxy itself".to_owned(),
            Asked::Own => "a page of foregate's own".to_owned(),
        };
        match client {
            Some(client) => format!("by: {peer}, {trust}; {read}; the visitor is at {client}"),
            None => format!("by: {peer}, {trust}; {read}; nobody knows where the visitor is"),
        }
    }
}

impl Line {
    fn in_words(&self) -> String {
        let Self { name, value, weight } = self;
        let value = if value.is_empty() { String::new() } else { format!(" {value}") };
        let counted = match weight {
            Weight::Believed => "believed",
            Weight::Stranger => "not believed, as the peer is no trusted proxy",
            Weight::Unread => "not looked at",
            Weight::Identity => "without effect, as foregate sets it itself",
        };
        format!("header {name}:{value} ({counted})")
    }
}

impl Weight {
    fn as_str(self) -> &'static str {
        match self {
            Self::Believed => "believed",
            Self::Stranger => "untrusted-peer",
            Self::Unread => "not-read",
            Self::Identity => "identity",
        }
    }
}

const MOST_MISSING: usize = 8;
const LONGEST_WORD: usize = 128;
const LONGEST_WHY: usize = 320;
