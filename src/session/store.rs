//! Where sessions are kept: rows by key, in PostgreSQL or SQLite. Knows no requests, cookies or rules.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use crate::identity::Profile;
#[cfg(feature = "postgres")]
use crate::secret::Secret;

#[cfg(feature = "postgres")]
pub use super::postgres::PostgresStore;
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

/// The name of a session row: the SHA-256 of its handle, so that a dump of the store opens nothing.
pub type SessionKey = [u8; 32];

/// One session as it is kept. Times are Unix seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The hash of the handle.
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
    /// Tokens, sealed with the handle's secret half.
    pub tokens: Vec<u8>,
    /// The address the sign-in came from.
    pub client: String,
    /// The browser that signed in, as it names itself, at most 256 bytes.
    pub user_agent: String,
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
    /// A row that cannot be read.
    #[error("a session row is damaged: {0}")]
    Damaged(String),
}

/// How long any single answer of a store may take.
pub const ANSWER_TIME: Duration = Duration::from_secs(2);

/// The sessions, wherever they are kept. Every answer takes at most [`ANSWER_TIME`]; every change is one statement, so
/// a dropped future leaves it made or not made, never half.
pub enum SessionStore {
    /// In PostgreSQL, shared by any number of replicas.
    #[cfg(feature = "postgres")]
    Postgres(PostgresStore),
    /// In an SQLite database, for one process.
    #[cfg(feature = "sqlite")]
    Sqlite(SqliteStore),
}

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

    /// Keeps a new session. A key that is there already stays as it is: keys are hashes of random handles, so it is
    /// this very row, sent again.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] for a row the store cannot hold (PostgreSQL keeps no NUL in texts), else as for
    /// [`Self::probe`].
    pub async fn insert(&self, row: &Row) -> Result<(), StoreError> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.insert(row).await,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(store) => store.insert(row).await,
        }
    }

    /// The session of `key`, if it has not ended: `now` is before `expires_at`, and before `last_seen` and `idle`.
    /// `now` is in Unix seconds, `idle` in seconds.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] when the row cannot be read, else as for [`Self::probe`].
    pub async fn find(&self, key: &SessionKey, now: u64, idle: u64) -> Result<Option<Row>, StoreError> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.find(key, now, idle).await,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(store) => store.find(key, now, idle).await,
        }
    }

    /// Ends a session and hands out what it was, dead or alive; `None` when it was gone already.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] when the row could not be read (it is gone all the same), else as for [`Self::probe`].
    pub async fn remove(&self, key: &SessionKey) -> Result<Option<Row>, StoreError> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.remove(key).await,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(store) => store.remove(key).await,
        }
    }

    /// Ends every session of one person and hands out what they were.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] when a row could not be read (all are gone all the same), else as for [`Self::probe`].
    pub async fn remove_all_of(&self, issuer: &str, subject: &str) -> Result<Vec<Row>, StoreError> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.remove_all_of(issuer, subject).await,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(store) => store.remove_all_of(issuer, subject).await,
        }
    }

    /// Those of `keys` that the store still has, each once and in any order: one statement for thousands.
    ///
    /// # Errors
    ///
    /// As for [`Self::probe`].
    pub async fn alive(&self, keys: &[SessionKey]) -> Result<Vec<SessionKey>, StoreError> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.alive(keys).await,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(store) => store.alive(keys).await,
        }
    }

    /// Writes down when sessions were last seen: one statement for thousands. A session that is gone stays gone, and
    /// `last_seen` never goes back.
    ///
    /// # Errors
    ///
    /// As for [`Self::probe`].
    pub async fn touch(&self, seen: &[(SessionKey, u64)]) -> Result<(), StoreError> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.touch(seen).await,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(store) => store.touch(seen).await,
        }
    }

    /// Deletes at most `limit` sessions that [`Self::find`] would not show, and says how many it deleted. Replicas may
    /// sweep at once.
    ///
    /// # Errors
    ///
    /// As for [`Self::probe`].
    pub async fn sweep(&self, now: u64, idle: u64, limit: u32) -> Result<u64, StoreError> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.sweep(now, idle, limit).await,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(store) => store.sweep(now, idle, limit).await,
        }
    }

    /// Whether the store answers, and with tables that this program knows.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when the store cannot be reached within [`ANSWER_TIME`], [`StoreError::TooNew`] when
    /// a newer foregate made its tables.
    pub async fn probe(&self) -> Result<(), StoreError> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.probe().await,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(store) => store.probe().await,
        }
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
    use super::{SessionKey, StoreError};

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

    /// A key out of a row.
    pub(in crate::session) fn key(stored: &[u8]) -> Result<SessionKey, StoreError> {
        stored.try_into().map_err(|_| StoreError::Damaged("a key has not 32 bytes".to_owned()))
    }

    /// What is told of the row of `key` whose `part` cannot be read: enough to find it, nothing of what it says.
    pub(in crate::session) fn damaged(key: &SessionKey, part: &str) -> StoreError {
        let [first, second, third, fourth, ..] = key;
        StoreError::Damaged(format!(
            "the {part} of the row of key {first:02x}{second:02x}{third:02x}{fourth:02x}…"
        ))
    }
}
