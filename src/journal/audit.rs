//! The audit log: which events there are, and what each line says of one. No field holds a secret: there is none for tokens,
//! cookies, codes or queries. Knows not where events come from.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::output::{Sink, Stuck};
use super::{Journal, Kind, Output, plain};
use crate::identity::{Field, Identity, Profile};
use crate::metrics::Metrics;
use crate::trace;
use crate::wording::timestamp_millis;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// Somebody signed in, and has a session.
    SignIn,
    /// Somebody was refused: at an app, or at a sign-in.
    Denied,
    /// Somebody ended sessions of their own by signing out, here or at the provider.
    SignedOut,
    /// Sessions or app tokens were ended by other means.
    Revoked,
    /// Somebody may not sign in any more.
    Disabled,
    /// Somebody may sign in again.
    Enabled,
    /// An app token was made, or a device was promised one.
    TokenCreated,
    /// A password for emergency access was looked at, or emergency access has opened or ended.
    Emergency,
    /// The canary was let in where nobody should be without a session, or is refused there again.
    Canary,
    /// Another configuration is in force.
    ConfigChanged,
}

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// The person it is about.
    Person,
    /// The provider.
    Provider,
    /// Whoever used the API of the admin listener.
    Api,
    /// Whoever used the operator's page.
    Operator,
    /// Whoever ran a command of foregate.
    Command,
    /// Whoever sent a signal.
    Signal,
    /// Whoever changed a file of the configuration.
    File,
}

/// A person, as the provider names them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Somebody {
    /// The name they sign in with.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Who vouches for them.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub issuer: String,
    /// The issuer's name for them.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subject: String,
}

/// Where it happened: what was asked for, without its query, and by whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The method.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub method: String,
    /// The host, without its port.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// The path, as it was sent.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The visitor's address, as far as trusted proxies tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
}

/// One line. What is not known or makes no sense for an event is left out.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// What happened.
    pub event: Event,
    /// Who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
    /// The user of the system who ran the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Whom it is about.
    #[serde(flatten)]
    pub who: Somebody,
    /// Where it happened.
    #[serde(flatten)]
    pub place: Place,
    /// The app that was asked for, by its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The rule that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Why, in a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// More of why, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What would have been enough, any one of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// The session, by its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// How many sessions ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sessions: Option<u64>,
    /// How many app tokens ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// The settings that changed, by their names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
    /// The reference that the answer carries, too.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// The audit log of a configuration; nothing where none is wanted.
#[derive(Clone, Debug, Default)]
pub struct Audit(Option<Arc<Journal>>);

impl Audit {
    /// The audit log for `output` behind another configuration's.
    ///
    /// # Errors
    /// If the output cannot be opened.
    pub fn after(before: Option<&Self>, output: Option<&Output>, metrics: &Metrics) -> io::Result<Self> {
        let before = before.and_then(|audit| audit.0.as_ref());
        Journal::after(before, Kind::Audit, output, metrics).map(Self)
    }

    /// Writes down what happened at `at`, in Unix milliseconds. Where nobody wants to know, nobody finds out what to say.
    pub fn note(&self, at: u64, record: impl FnOnce() -> Record) {
        if let Some(journal) = &self.0 {
            journal.put(&line(at, &record()));
        }
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

/// Writes down one event of a process that has no journal, as a command is over before a queue would be of use.
///
/// # Errors
/// If the output cannot be opened or written; a file that is not there is not made.
pub fn write_once(output: &Output, at: u64, record: &Record) -> io::Result<()> {
    // A command's own output is what was asked for, which nothing may stand in.
    let output = if *output == Output::Stdout { &Output::Stderr } else { output };
    // A new file would be this user's, which the foregate that runs may not be.
    Sink::open_if_there(output)?.write(&plain(&line(at, record))).map_err(|Stuck { error, .. }| error)
}

fn line(at: u64, record: &Record) -> Vec<u8> {
    let told =
        Line { time: timestamp_millis(at), journal: Kind::Audit.name(), record, trace_id: trace::id() };
    // There is nothing in a record that JSON cannot say.
    let mut line = serde_json::to_vec(&told).unwrap_or_default();
    line.push(b'\n');
    line
}

#[derive(Serialize)]
struct Line<'r> {
    time: String,
    journal: &'static str,
    #[serde(flatten)]
    record: &'r Record,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
}

impl Record {
    /// A line of which nothing is known but what happened.
    pub fn of(event: Event) -> Self {
        Self {
            event,
            by: None,
            uid: None,
            who: Somebody::default(),
            place: Place::default(),
            app: None,
            rule: None,
            reason: None,
            detail: None,
            missing: Vec::new(),
            session: None,
            sessions: None,
            tokens: None,
            changed: Vec::new(),
            reference: None,
        }
    }
}

impl From<&Identity> for Somebody {
    fn from(identity: &Identity) -> Self {
        Self {
            user: identity.field(Field::Username).to_owned(),
            issuer: identity.issuer().to_owned(),
            subject: identity.field(Field::Subject).to_owned(),
        }
    }
}

impl From<&Profile> for Somebody {
    fn from(profile: &Profile) -> Self {
        let Profile { username, issuer, subject, .. } = profile;
        Self { user: username.clone(), issuer: issuer.clone(), subject: subject.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_is_known_and_nothing_else() {
        let mut record = Record::of(Event::ConfigChanged);
        record.by = Some(By::Signal);
        record.changed = vec!["allow".to_owned()];
        let text = String::from_utf8(line(1_735_689_599_007, &record)).unwrap();
        assert_eq!(
            text,
            "{\"time\":\"2024-12-31T23:59:59.007Z\",\"journal\":\"audit\",\"event\":\"config-changed\",\"by\":\"signal\",\
             \"changed\":[\"allow\"]}\n"
        );
    }

    #[test]
    fn whatever_a_visitor_sends_stays_one_line() {
        let place = Place { path: "/a\n{\"event\":\"sign-in\"}\u{2028}".to_owned(), ..Place::default() };
        let record = Record { place, ..Record::of(Event::Denied) };
        let bytes = line(0, &record);
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1);
        let read: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(
            (read["event"].as_str(), read["path"].as_str()),
            (Some("denied"), Some(record.place.path.as_str()))
        );
    }
}
