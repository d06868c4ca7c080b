//! What operators and people see of sessions, and how sessions are selected. Plain data: knows no store.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::names::name_of;
use super::store::SessionId;
use crate::identity::{Field, Identity};

/// A session as lists show it. Times are Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its public name.
    pub id: SessionId,
    /// Whose it is.
    pub person: PersonKey,
    /// The name they sign in with.
    pub username: String,
    /// When the sign-in finished.
    pub created_at: u64,
    /// When it was last used, some seconds behind.
    pub last_seen: u64,
    /// When it ends whatever happens.
    pub expires_at: u64,
    /// The address the sign-in came from.
    pub client: String,
    /// The browser that signed in, as it names itself.
    pub user_agent: String,
}

impl Listed {
    /// Whether it has not ended at `now`, in Unix seconds, where sessions end that are not used for `idle`.
    pub fn lives(&self, now: u64, idle: Duration) -> bool {
        now < self.expires_at && now.saturating_sub(self.last_seen) < idle.as_secs()
    }

    /// What programs are told of it.
    pub fn to_json(&self) -> Json {
        json!({
            "id": name_of(&self.id),
            "user": self.username,
            "issuer": self.person.issuer,
            "subject": self.person.subject,
            "created_at": self.created_at,
            "last_seen": self.last_seen,
            "expires_at": self.expires_at,
            "client": self.client,
            "user_agent": self.user_agent,
        })
    }
}

/// The only lasting name of a person.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonKey {
    /// The provider that knows them.
    pub issuer: String,
    /// Its name for them.
    pub subject: String,
}

impl PersonKey {
    /// The name of whoever this is.
    pub fn of(identity: &Identity) -> Self {
        Self { issuer: identity.issuer().to_owned(), subject: identity.field(Field::Subject).to_owned() }
    }
}

/// Somebody who has signed in at least once. Times are Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Who it is.
    pub key: PersonKey,
    /// The name they sign in with.
    pub username: String,
    /// The name to show.
    pub name: String,
    /// The e-mail address, empty if none is known.
    pub email: String,
    /// When they first signed in.
    pub first_seen: u64,
    /// When they were last seen, at most an hour behind.
    pub last_seen: u64,
    /// Since when they may not sign in.
    pub disabled_at: Option<u64>,
    /// How many sessions they have.
    pub sessions: u64,
}

impl Person {
    /// What programs are told of them.
    pub fn to_json(&self) -> Json {
        json!({
            "user": self.username,
            "name": self.name,
            "email": self.email,
            "issuer": self.key.issuer,
            "subject": self.key.subject,
            "first_seen": self.first_seen,
            "last_seen": self.last_seen,
            "disabled_at": self.disabled_at,
            "sessions": self.sessions,
        })
    }
}

/// Which sessions are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection<'a> {
    /// All there are.
    All,
    /// The one of this name.
    Id(SessionId),
    /// Those of one person.
    Person(&'a PersonKey),
    /// The one of this name, if it is this person's.
    Own(&'a PersonKey, SessionId),
    /// Those of one person but this one.
    Others(&'a PersonKey, SessionId),
    /// Those of everybody who signs in by this name.
    Username(&'a str),
    /// Those that a provider says have ended.
    Told(Told<'a>),
}

/// What a provider says of sessions that have ended there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told<'a> {
    /// Who says so.
    pub issuer: &'a str,
    /// Its own name for the session.
    pub sid: Option<&'a str>,
    /// Its name for the person.
    pub subject: Option<&'a str>,
    /// Sessions that began later are not meant; in Unix seconds.
    pub begun_until: u64,
}

/// A value of a condition.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Bytes(&'a [u8]),
    Text(&'a str),
    Number(i64),
}

impl<'a> Selection<'a> {
    /// The condition in the SQL that both stores understand, with its values from `$1` on in order.
    pub(super) fn condition(&'a self) -> (&'static str, Vec<Value<'a>>) {
        use Value::{Bytes, Number, Text};
        match self {
            Self::All => ("true", Vec::new()),
            Self::Id(id) => ("id = $1", vec![Bytes(id)]),
            Self::Person(person) => {
                ("issuer = $1 AND subject = $2", vec![Text(&person.issuer), Text(&person.subject)])
            }
            Self::Own(person, id) => (
                "issuer = $1 AND subject = $2 AND id = $3",
                vec![Text(&person.issuer), Text(&person.subject), Bytes(id)],
            ),
            Self::Others(person, id) => (
                "issuer = $1 AND subject = $2 AND id <> $3",
                vec![Text(&person.issuer), Text(&person.subject), Bytes(id)],
            ),
            Self::Username(name) => (
                "(issuer, subject) IN (SELECT issuer, subject FROM foregate_person WHERE username = $1)",
                vec![Text(name)],
            ),
            Self::Told(told) => {
                let until = i64::try_from(told.begun_until).unwrap_or(i64::MAX);
                let mut values = vec![Text(told.issuer), Number(until)];
                values.extend(told.sid.into_iter().chain(told.subject).map(Text));
                let condition = match (told.sid, told.subject) {
                    (Some(_), Some(_)) => {
                        // A session whose ID token named none can only be told by the person.
                        "issuer = $1 AND created_at <= $2 AND (sid = $3 OR sid IS NULL) AND subject = $4"
                    }
                    (Some(_), None) => "issuer = $1 AND created_at <= $2 AND sid = $3",
                    (None, Some(_)) => "issuer = $1 AND created_at <= $2 AND subject = $3",
                    (None, None) => "false AND issuer = $1 AND created_at <= $2",
                };
                (condition, values)
            }
        }
    }
}
