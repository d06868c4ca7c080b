//! Where sessions are kept: rows by key, in PostgreSQL or SQLite. Knows no requests, cookies or rules.

use std::fmt;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::Notify;

use crate::identity::Profile;
#[cfg(feature = "postgres")]
use crate::secret::Secret;
use crate::visit::HANDLE_ID_BYTES;

#[cfg(feature = "postgres")]
pub use super::postgres::PostgresStore;
pub use super::records::{Listed, Person, PersonKey, Selection, Told};
#[cfg(feature = "sqlite")]
pub use super::sqlite::SqliteStore;

/// Where sessions are kept, as configured.
#[derive(Clone, Debug)]
pub enum Location {
    /// An SQLite file, made when it is not there.
    #[cfg(feature = "sqlite")]
    Sqlite(std::path::PathBuf),
    /// An SQLite database that ends with the process, for the demo.
    #[cfg(feature = "sqlite")]
    Memory,
    /// A PostgreSQL connection URL; it may hold a password. `sslmode` is as libpq has it (`disable`, `prefer`,
    /// `require`), but `require` also checks the server's certificate, as `verify-full` does.
    #[cfg(feature = "postgres")]
    Postgres(Secret),
}

/// The public name of a session: the half of its handle that proves nothing.
pub type SessionId = [u8; HANDLE_ID_BYTES];

/// The random name of a ticket to a host outside the cookie domain.
pub type TicketId = [u8; 16];

/// What finds a session row: its name, and the SHA-256 of the whole handle, so that a dump of the store opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey {
    /// The public half of the handle.
    pub id: SessionId,
    /// The hash of all of it.
    pub proof: [u8; 32],
}

/// One session as it is kept. Times are Unix seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What finds it.
    pub key: SessionKey,
    /// Who signed in.
    pub profile: Profile,
    /// The provider's own session, if it names one.
    pub sid: Option<String>,
    /// When the sign-in finished.
    pub created_at: u64,
    /// When the session was last used, some seconds behind.
    pub last_seen: u64,
    /// When it ends whatever happens.
    pub expires_at: u64,
    /// When its tokens want renewing, if they can be renewed.
    pub renew_at: Option<u64>,
    /// How often they have been.
    pub version: u64,
    /// Tokens, sealed with the handle's secret half.
    pub tokens: Vec<u8>,
    /// The address the sign-in came from.
    pub client: String,
    /// The browser that signed in, as it names itself, at most 256 bytes.
    pub user_agent: String,
}

/// What came of a new session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is kept.
    Kept,
    /// The person is disabled, so nothing is kept.
    Disabled,
}

/// Who may renew the tokens of a session.
#[derive(Debug)]
pub enum Claim {
    /// Whoever asked, and nobody else until the lease ends; with the row as it is, and when that was by the store's own clock, in Unix
    /// seconds.
    Ours(Box<Row>, u64),
    /// Another process, at this moment.
    Taken,
    /// Nobody needs to: it has been done.
    Done,
    /// Nobody: the session has ended.
    Gone,
}

/// Sessions that other processes ended or changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The store's own time, in microseconds.
    pub now: i64,
    /// When, by that time, and which; `None` means any of them.
    pub changed: Vec<(i64, Option<SessionId>)>,
}

/// What keeps a store from answering. Never a reason to let anybody in.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The store cannot be reached, or not in time; trying again later may help.
    #[error("the session store is not available: {0}")]
    Unavailable(String),
    /// The tables were made by a newer foregate.
    #[error(
        "the session store has schema version {found}, this foregate knows {known}: run the newer foregate, or restore the database of before the upgrade"
    )]
    TooNew {
        /// The version found.
        found: i64,
        /// The newest version this program knows.
        known: i64,
    },
    /// The sealing keys of this process are not those of the others on this store.
    #[error(
        "the session store is sealed with other keys than session.keys: give every foregate on this store the same keys, or give up its sessions with `foregate session revoke --all`"
    )]
    OtherKeys,
    /// A row that cannot be read.
    #[error("a session row is damaged: {0}")]
    Damaged(String),
}

/// How long any single answer of a store may take.
pub const ANSWER_TIME: Duration = Duration::from_secs(2);

/// Changes that one call of [`SessionStore::changes`] tells of at most; with as many as that there are more.
pub const MOST_CHANGES: i64 = 10_000;

/// Rows that one call of [`SessionStore::remove_some`] removes at most.
pub const REMOVED_AT_ONCE: usize = 2000;

/// The sessions, wherever they are kept. Every answer takes at most [`ANSWER_TIME`]; every change is one transaction, so
/// a dropped future leaves it made or not made, never half. What ends or changes a session also writes down which one,
/// for the other processes on the same store: [`Self::changes`].
pub enum SessionStore {
    /// In PostgreSQL, shared by any number of replicas.
    #[cfg(feature = "postgres")]
    Postgres(PostgresStore),
    /// In an SQLite database, for one process and its commands.
    #[cfg(feature = "sqlite")]
    Sqlite(SqliteStore),
}

/// Tells that the tables are about to be brought up to date, which takes a while where they are large. New ones are nothing to tell of.
pub(super) fn tell_of_update(found: i64, known: i64) {
    if (1..known).contains(&found) {
        tracing::info!(from = found, to = known, "the tables of the session store are brought up to date");
    }
}

/// Hands a question to whichever store there is.
macro_rules! ask {
    ($self:ident, $store:ident => $question:expr) => {
        match $self {
            #[cfg(feature = "postgres")]
            Self::Postgres($store) => $question.await,
            #[cfg(feature = "sqlite")]
            Self::Sqlite($store) => $question.await,
        }
    };
}

mod pairings;
pub use pairings::{PairingRow, PairingState, Room, WaitingPairing};
pub(in crate::session) mod tokens;
pub use tokens::{FoundToken, ListedToken, TokenId, TokenKept, TokenRow};

impl SessionStore {
    /// Readies the store of `location` without waiting for a server: PostgreSQL is connected, and the tables are made,
    /// at the first use, again and again until it works.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] for a PostgreSQL URL that cannot be read, certificates that cannot be found, or a
    /// file that cannot be opened.
    pub fn open(location: &Location) -> Result<Self, StoreError> {
        match location {
            #[cfg(feature = "sqlite")]
            Location::Sqlite(path) => SqliteStore::open(path).map(Self::Sqlite),
            #[cfg(feature = "sqlite")]
            Location::Memory => SqliteStore::in_memory().map(Self::Sqlite),
            #[cfg(feature = "postgres")]
            Location::Postgres(url) => PostgresStore::open(url).map(Self::Postgres),
        }
    }

    /// What kind of store it is, by the name that the conventions of OpenTelemetry have for it.
    pub fn engine(&self) -> &'static str {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => "postgresql",
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => "sqlite",
        }
    }

    /// Keeps a new session, and who it is among the people seen, unless they are disabled. An id that is there already
    /// stays as it is: ids are random, so it is this very row, sent again.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] for a row the store cannot hold (PostgreSQL keeps no NUL in texts), else as for
    /// [`Self::probe`].
    pub async fn insert(&self, row: &Row) -> Result<Admission, StoreError> {
        ask!(self, store => store.insert(row))
    }

    /// The session of `key`, if it has not ended: `now` is before `expires_at`, and before `last_seen` and `idle`, and
    /// the person is not disabled. `now` is in Unix seconds, `idle` in seconds.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] when the row cannot be read, else as for [`Self::probe`].
    pub async fn find(&self, key: &SessionKey, now: u64, idle: u64) -> Result<Option<Row>, StoreError> {
        ask!(self, store => store.find(key, now, idle))
    }

    /// Ends a session and hands out what it was, dead or alive; `None` when it was gone already.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] when the row could not be read (it is gone all the same), else as for [`Self::probe`].
    pub async fn remove(&self, key: &SessionKey) -> Result<Option<Row>, StoreError> {
        ask!(self, store => store.remove(key))
    }

    /// Ends up to [`REMOVED_AT_ONCE`] of the sessions selected, and says which. To be called again while it ends as
    /// many as that.
    ///
    /// # Errors
    ///
    /// As for [`Self::probe`].
    pub async fn remove_some(&self, which: &Selection<'_>) -> Result<Vec<SessionId>, StoreError> {
        ask!(self, store => store.remove_some(which))
    }

    /// Those of `ids` that the store still has, and not of the disabled, each once and in any order: one statement for thousands.
    ///
    /// # Errors
    ///
    /// As for [`Self::probe`].
    pub async fn alive(&self, ids: &[SessionId]) -> Result<Vec<SessionId>, StoreError> {
        ask!(self, store => store.alive(ids))
    }

    /// Writes down when sessions were last seen, and once an hour when their people were: one statement for thousands.
    /// A session that is gone stays gone, and `last_seen` never goes back.
    ///
    /// # Errors
    ///
    /// As for [`Self::probe`].
    pub async fn touch(&self, seen: &[(SessionId, u64)]) -> Result<(), StoreError> {
        ask!(self, store => store.touch(seen))
    }

    /// Deletes at most `limit` sessions that [`Self::find`] would not show as they are too old or idle, and says how
    /// many it deleted. Of several replicas that sweep at once one does the work.
    ///
    /// # Errors
    ///
    /// As for [`Self::probe`].
    pub async fn sweep(&self, now: u64, idle: u64, limit: u32) -> Result<u64, StoreError> {
        ask!(self, store => store.sweep(now, idle, limit))
    }

    /// Asks to be the only one who renews the tokens of a session that has been renewed `version` times, for `lease`.
    ///
    /// # Errors
    ///
    /// As for [`Self::find`].
    pub async fn claim(&self, key: &SessionKey, version: u64, lease: Duration) -> Result<Claim, StoreError> {
        if let Some((row, at)) = ask!(self, store => store.lease(key, version, lease))? {
            return Ok(Claim::Ours(Box::new(row), at));
        }
        let found = ask!(self, store => store.find(key, 0, u64::MAX))?;
        Ok(match found {
            None => Claim::Gone,
            Some(row) if row.version == version => Claim::Taken,
            Some(_) => Claim::Done,
        })
    }

    /// Keeps what a renewal brought: profile, provider's session, tokens and the next time, as version `row.version`,
    /// and ends the lease. Nothing is kept, and the answer is `false`, if the session has ended, its person is
    /// disabled, or it was renewed by somebody else.
    ///
    /// What is kept of the person beside their sessions changes with it only if the provider told this profile at `told_at`, by the
    /// store's own clock in Unix seconds, and nothing of them later.
    ///
    /// # Errors
    ///
    /// As for [`Self::insert`].
    pub async fn renew(&self, row: &Row, told_at: Option<u64>) -> Result<bool, StoreError> {
        ask!(self, store => store.renew(row, told_at))
    }

    /// Ends a lease without a renewal; the next one is wanted at `renew_at`, in Unix seconds.
    ///
    /// # Errors
    ///
    /// As for [`Self::probe`].
    pub async fn postpone(&self, key: &SessionKey, version: u64, renew_at: u64) -> Result<(), StoreError> {
        ask!(self, store => store.postpone(key, version, renew_at))
    }

    /// The sessions that anybody ended, or that other processes changed, since `since`, by the store's own time in
    /// microseconds; [`MOST_CHANGES`] at most, in any order.
    ///
    /// # Errors
    ///
    /// As for [`Self::probe`].
    pub async fn changes(&self, since: i64) -> Result<Changes, StoreError> {
        ask!(self, store => store.changes(since))
    }

    /// Forgets changes older than `age`.
    ///
    /// # Errors
    ///
    /// As for [`Self::probe`].
    pub async fn trim_changes(&self, age: Duration) -> Result<(), StoreError> {
        ask!(self, store => store.trim_changes(age))
    }

    /// Uses a ticket up, which counts until `until`, in Unix seconds; `false` if it has been used before, by whichever
    /// process.
    ///
    /// # Errors
    ///
    /// As for [`Self::probe`].
    pub async fn spend(&self, ticket: &TicketId, until: u64) -> Result<bool, StoreError> {
        ask!(self, store => store.spend(ticket, until))
    }

    /// Forgets the tickets that counted until before `now`.
    ///
    /// # Errors
    ///
    /// As for [`Self::probe`].
    pub async fn trim_spent(&self, now: u64) -> Result<(), StoreError> {
        ask!(self, store => store.trim_spent(now))
    }

    /// Wakes the other processes that listen, so that they look for changes now. Best effort: who misses it looks
    /// some seconds later.
    pub async fn announce(&self) {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.announce().await,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => {}
        }
    }

    /// Listens for what others announce and wakes `heard` each time, and whenever listening begins anew. Never ends by
    /// itself.
    pub async fn listen(&self, heard: &Notify) {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.listen(heard).await,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => {
                let _ = heard;
                std::future::pending().await
            }
        }
    }

    /// Up to `limit` of the sessions selected, by id, those behind `after` only.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] when one cannot be read, else as for [`Self::probe`].
    pub async fn sessions(
        &self,
        which: &Selection<'_>,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<Listed>, StoreError> {
        ask!(self, store => store.sessions(which, after, limit))
    }

    /// Up to `limit` of a person's sessions that have not ended, those used last first. `now` is in Unix seconds, `idle`
    /// in seconds.
    ///
    /// # Errors
    ///
    /// As for [`Self::sessions`].
    pub async fn recent(
        &self,
        person: &PersonKey,
        (now, idle): (u64, u64),
        limit: u32,
    ) -> Result<Vec<Listed>, StoreError> {
        ask!(self, store => store.recent(person, (now, idle), limit))
    }

    /// Whom up to `limit` of the sessions are of that have not ended. `now` is in Unix seconds, `idle` in seconds.
    ///
    /// # Errors
    ///
    /// As for [`Self::sessions`].
    pub async fn profiles(&self, (now, idle): (u64, u64), limit: u32) -> Result<Vec<Profile>, StoreError> {
        ask!(self, store => store.profiles((now, idle), limit))
    }

    /// Up to `limit` of the people seen so far, by issuer and subject, those behind `after` only; all, or those who
    /// sign in by the name `username`.
    ///
    /// # Errors
    ///
    /// As for [`Self::sessions`].
    pub async fn people(
        &self,
        username: Option<&str>,
        after: &PersonKey,
        limit: u32,
    ) -> Result<Vec<Person>, StoreError> {
        ask!(self, store => store.people(username, after, limit))
    }

    /// Disables a person from `since` on, in Unix seconds, or enables them; `false` if nobody of this name was ever
    /// seen. Their sessions are not ended here, but [`Self::find`] shows none of a disabled person, and none that is left when they are
    /// enabled comes back. That their app tokens count for nothing is written down for the other processes.
    ///
    /// # Errors
    ///
    /// As for [`Self::probe`].
    pub async fn disable(&self, person: &PersonKey, since: Option<u64>) -> Result<bool, StoreError> {
        ask!(self, store => store.disable(person, since))
    }

    /// Whether a person is disabled; nobody is who was never seen.
    ///
    /// # Errors
    ///
    /// As for [`Self::probe`].
    pub async fn is_disabled(&self, person: &PersonKey) -> Result<bool, StoreError> {
        ask!(self, store => store.is_disabled(person))
    }

    /// What the store has on record under `name`; `value` from now on, if it has nothing.
    ///
    /// # Errors
    ///
    /// As for [`Self::probe`].
    pub async fn fact(&self, name: &str, value: &str) -> Result<String, StoreError> {
        ask!(self, store => store.fact(name, value))
    }

    /// Replaces what the store has on record under `name`; with nothing if there is no `value`.
    ///
    /// # Errors
    ///
    /// As for [`Self::probe`].
    pub async fn set_fact(&self, name: &str, value: Option<&str>) -> Result<(), StoreError> {
        ask!(self, store => store.set_fact(name, value))
    }

    /// Whether the store answers, and with tables that this program knows.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when the store cannot be reached within [`ANSWER_TIME`], [`StoreError::TooNew`] when
    /// a newer foregate made its tables.
    pub async fn probe(&self) -> Result<(), StoreError> {
        ask!(self, store => store.probe())
    }
}

impl fmt::Debug for SessionStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => "SessionStore::Postgres",
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => "SessionStore::Sqlite",
        })
    }
}

/// What both stores make of the parts of a row: databases count in `i64`, and hold whatever somebody wrote into them.
pub(super) mod parts {
    use std::time::Duration;

    use super::{SessionId, StoreError};
    use crate::session::names::name_of;

    /// Seconds as databases count them.
    pub(in crate::session) fn stored(seconds: u64) -> i64 {
        i64::try_from(seconds).unwrap_or(i64::MAX)
    }

    /// The `last_seen` at and below which a session is idle too long: it may lie before 1970.
    pub(in crate::session) fn idle_since(now: u64, idle: u64) -> i64 {
        stored(now).saturating_sub(stored(idle))
    }

    /// Seconds out of a row.
    pub(in crate::session) fn seconds(stored: i64) -> Result<u64, StoreError> {
        u64::try_from(stored).map_err(|_| StoreError::Damaged("a time lies before 1970".to_owned()))
    }

    /// A length of time as the store's own clock counts it.
    pub(in crate::session) fn micros(time: Duration) -> i64 {
        i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
    }

    /// The name of a session out of a row.
    pub(in crate::session) fn id(stored: &[u8]) -> Result<SessionId, StoreError> {
        stored.try_into().map_err(|_| StoreError::Damaged("an id has not 16 bytes".to_owned()))
    }

    /// Which session a change is about; all of them where it names none.
    pub(in crate::session) fn changed(stored: &[u8]) -> Option<SessionId> {
        stored.try_into().ok()
    }

    /// What is told of the row of `id` whose `part` cannot be read: enough to find and end it, nothing of what it says.
    pub(in crate::session) fn damaged(id: &SessionId, part: &str) -> StoreError {
        StoreError::Damaged(format!("the {part} of the session {}", name_of(id)))
    }
}
