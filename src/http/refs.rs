//! References: every answer that says no or tells of an error has one, and what is known of the last ones is kept for
//! whoever runs this site. Knows no rules, and keeps nothing secret.

mod entry;
mod received;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use http::{Response, StatusCode};
use serde_json::{Map, Value};

use super::body::Body;
use super::{Site, unix_now};
use crate::headers::Person;
use crate::identity::Field;
pub(super) use entry::Entry;
pub(super) use received::{Asked, Came, Received};

/// Issues references, and keeps what the last ones are about: so many of each kind, so that a flood of one kind pushes out
/// none of another.
#[derive(Debug)]
pub struct References {
    /// How all references of this process begin, so that they name the replica to ask.
    replica: String,
    shelves: [Mutex<VecDeque<Arc<Entry>>>; KINDS],
}

/// What an answer says no for, with the reference that it tells. Travels with the answer to where it is known what was
/// received.
#[derive(Clone, Debug, Default)]
pub(super) struct Mark {
    reference: String,
    why: String,
    user: String,
    issuer: String,
    missing: Vec<String>,
}

/// Why references are told apart: each kind has a shelf of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Somebody is to sign in.
    SignIn,
    /// Somebody, or something, is refused.
    Refused,
    /// It could not be read, or nobody is asked here by such a peer.
    Unread,
    /// Something did not answer, or not as it should.
    Failed,
}

impl Default for References {
    fn default() -> Self {
        Self { replica: letters(REPLICA_LETTERS), shelves: Default::default() }
    }
}

impl References {
    /// How all references of this process begin.
    pub fn replica(&self) -> &str {
        &self.replica
    }

    /// A name for one answer that page and log share: eight letters that are hard to misread.
    pub(super) fn issue(&self) -> String {
        format!("{}{}", self.replica, letters(LETTERS - REPLICA_LETTERS))
    }

    /// What is known of a reference, however it was typed.
    pub(super) fn find(&self, reference: &str) -> Option<Arc<Entry>> {
        let all = self.shelves.iter().filter_map(|shelf| shelf.lock().ok());
        let mut found = all.filter_map(|shelf| {
            shelf.iter().rev().find(|one| one.reference.eq_ignore_ascii_case(reference)).cloned()
        });
        found.next()
    }

    /// The last ones of all kinds, the newest first.
    pub(super) fn latest(&self, most: usize) -> Vec<Arc<Entry>> {
        let mut latest: Vec<Arc<Entry>> = Vec::new();
        for shelf in self.shelves.iter().filter_map(|shelf| shelf.lock().ok()) {
            latest.extend(shelf.iter().rev().take(most).cloned());
        }
        latest.sort_by_key(|one| std::cmp::Reverse(one.at));
        latest.truncate(most);
        latest
    }

    fn keep(&self, kind: Kind, entry: Entry) {
        let Ok(mut shelf) = self.shelves[kind as usize].lock() else { return };
        if shelf.len() >= KEPT {
            shelf.pop_front();
        }
        shelf.push_back(Arc::new(entry));
    }
}

impl Mark {
    /// Of an answer that tells this reference, and why it says no.
    pub(super) fn new(reference: &str, why: impl Into<String>) -> Self {
        Self { reference: reference.to_owned(), why: why.into(), ..Self::default() }
    }

    /// The same, about somebody.
    pub(super) fn about(self, person: Option<&Person>) -> Self {
        let Some(identity) = person.map(Person::identity) else { return self };
        let user = identity.field(Field::Username).to_owned();
        Self { user, issuer: identity.issuer().to_owned(), ..self }
    }

    /// The same, where this would have been needed.
    pub(super) fn missing(self, missing: &[String]) -> Self {
        Self { missing: missing.to_vec(), ..self }
    }

    /// Puts it on its answer.
    pub(super) fn on(self, mut response: Response<Body>) -> Response<Body> {
        response.extensions_mut().insert(self);
        response
    }
}

/// Keeps what was received for an answer that has a reference, and tells that in a header, too: some front proxies pass on
/// nothing else. An answer of an error that nobody gave one gets one here. A redirect has none: there is nothing wrong.
pub(super) fn note(site: &Site, response: &mut Response<Body>, received: impl FnOnce() -> Received) {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let mark = match response.extensions_mut().remove::<Mark>() {
        Some(mark) => mark,
        None if is_error && !response.headers().contains_key(LOCATION) => named(site, response),
        None => return,
    };
    if let Ok(value) = HeaderValue::from_str(&mark.reference) {
        response.headers_mut().insert(REFERENCE, value);
    }
    site.trace(|| vec![("foregate.ref", mark.reference.clone())]);
    let received = received();
    // The canary would push out all others.
    if received.own {
        return;
    }
    let kind = if received.is_read() { Kind::of(status) } else { Kind::Unread };
    site.references.keep(kind, Entry::new(mark, received, status, unix_now()));
}

/// Gives an answer a reference, which a text and an object of JSON also tell in their bodies.
fn named(site: &Site, response: &mut Response<Body>) -> Mark {
    let reference = site.references.issue();
    let status = response.status();
    let mut why = status.canonical_reason().unwrap_or("an error").to_owned();
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if let Body::Full(bytes) = response.body() {
        let text = String::from_utf8_lossy(bytes).into_owned();
        if kind.starts_with("text/plain") {
            *response.body_mut() = Body::from(with_reference(&text, &reference));
            why = text.trim().to_owned();
        } else if kind.contains("json")
            && let Ok(mut object) = serde_json::from_str::<Map<String, Value>>(&text)
        {
            let said =
                ["detail", "error_description", "error"].iter().find_map(|name| object.get(*name)?.as_str());
            why = said.unwrap_or(&why).to_owned();
            object.insert("ref".to_owned(), reference.as_str().into());
            *response.body_mut() = Body::from(Value::Object(object).to_string());
        }
    }
    Mark::new(&reference, why)
}

/// A text for whoever set something up wrong, and its reference.
pub(super) fn with_reference(text: &str, reference: &str) -> String {
    format!("{}\nReference: {reference}\n", text.trim_end())
}

impl Kind {
    fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self::SignIn,
            StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED | StatusCode::PAYLOAD_TOO_LARGE => {
                Self::Unread
            }
            status if status.is_server_error() => Self::Failed,
            _ => Self::Refused,
        }
    }
}

fn letters(count: usize) -> String {
    let mut bytes = [0_u8; LETTERS];
    // Without randomness the name is merely less telling.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    bytes[..count].iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect()
}

/// Tells the reference of an answer.
const REFERENCE: HeaderName = HeaderName::from_static("foregate-ref");
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Letters of a reference.
const LETTERS: usize = 8;
/// Of these, the letters that all references of a process begin with.
const REPLICA_LETTERS: usize = 2;
const KINDS: usize = 4;
/// References kept of each kind; what is kept of one takes up to about 4 KiB.
const KEPT: usize = 250;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_one_kind_pushes_out_none_of_another() {
        let references = References::default();
        let kept = |kind| {
            let reference = references.issue();
            let entry = Entry::new(Mark::new(&reference, ""), Received::nothing(), StatusCode::FORBIDDEN, 7);
            references.keep(kind, entry);
            reference
        };
        let (refused, first) = (kept(Kind::Refused), kept(Kind::Unread));
        for _ in 0..KEPT {
            kept(Kind::Unread);
        }
        assert!(references.find(&refused).is_some() && references.find(&refused.to_uppercase()).is_some());
        assert!(references.find(&first).is_none());
        assert_eq!(references.latest(10).len(), 10);
        assert!(refused.len() == 8 && refused.starts_with(references.replica()), "{refused}");
    }
}
