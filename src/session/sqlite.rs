//! Sessions in an SQLite database, for one process. Knows rows, not what a session opens or who asks.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{
    Connection, ErrorCode, OpenFlags, Params, Row as SqlRow, TransactionBehavior, named_params, params,
};
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::store::parts::{damaged, idle_since, key, seconds, stored};
use super::store::{ANSWER_TIME, Row, SessionKey, StoreError};

/// The sessions of one SQLite database.
pub struct SqliteStore {
    writer: Lane,
    /// Reads beside the writer; the writer itself where there is no file to share.
    reader: Lane,
    migrated: OnceCell<()>,
}

impl SqliteStore {
    /// Opens the database in the file at `path`. A new file is for its owner alone; SQLite gives the files that it
    /// keeps beside it the same mode.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let unavailable =
            |error: std::io::Error| StoreError::Unavailable(format!("{}: {error}", path.display()));
        // Absolute, as SQLite gives names like `:memory:` a meaning.
        let path = std::path::absolute(path).map_err(unavailable)?;
        if !path.exists() {
            create(&path).map_err(unavailable)?;
        }
        let (writer, reader) = (connect(&path)?, connect(&path)?);
        reader.pragma_update(None, "query_only", true).map_err(|error| told(&error))?;
        Ok(Self { writer: Lane::new(writer), reader: Lane::new(reader), migrated: OnceCell::new() })
    }

    /// Makes a database that ends with this value.
    pub(super) fn in_memory() -> Result<Self, StoreError> {
        let lane = Lane::new(Connection::open_in_memory().map_err(|error| told(&error))?);
        Ok(Self { writer: lane.clone(), reader: lane, migrated: OnceCell::new() })
    }

    pub(super) async fn insert(&self, row: &Row) -> Result<(), StoreError> {
        let row = row.clone();
        let profile = serde_json::to_string(&row.profile).map_err(|_| damaged(&row.key, "profile"))?;
        self.answer(&self.writer, move |connection| {
            let values = named_params! {
                ":key": row.key, ":issuer": row.profile.issuer, ":subject": row.profile.subject, ":profile": profile,
                ":sid": row.sid, ":created_at": stored(row.created_at), ":last_seen": stored(row.last_seen),
                ":expires_at": stored(row.expires_at), ":tokens": row.tokens, ":client": row.client,
                ":user_agent": row.user_agent,
            };
            connection.execute(INSERT, values).map(drop).map_err(|error| told(&error))
        })
        .await
    }

    pub(super) async fn find(
        &self,
        key: &SessionKey,
        now: u64,
        idle: u64,
    ) -> Result<Option<Row>, StoreError> {
        let key = *key;
        let times = (stored(now), idle_since(now, idle));
        self.answer(&self.reader, move |connection| {
            Ok(rows(connection, FIND, params![key, times.0, times.1], read)?.pop())
        })
        .await
    }

    pub(super) async fn remove(&self, key: &SessionKey) -> Result<Option<Row>, StoreError> {
        let key = *key;
        self.answer(&self.writer, move |connection| Ok(rows(connection, REMOVE, params![key], read)?.pop()))
            .await
    }

    pub(super) async fn remove_all_of(&self, issuer: &str, subject: &str) -> Result<Vec<Row>, StoreError> {
        let person = (issuer.to_owned(), subject.to_owned());
        self.answer(&self.writer, move |connection| rows(connection, REMOVE_ALL_OF, person, read)).await
    }

    pub(super) async fn alive(&self, keys: &[SessionKey]) -> Result<Vec<SessionKey>, StoreError> {
        let keys: serde_json::Value = keys.iter().map(hex).collect();
        self.answer(&self.reader, move |connection| {
            rows(connection, ALIVE, params![keys.to_string()], read_key)
        })
        .await
    }

    pub(super) async fn touch(&self, seen: &[(SessionKey, u64)]) -> Result<(), StoreError> {
        let seen: serde_json::Value =
            seen.iter().map(|(key, time)| (hex(key), stored(*time))).map(pair).collect();
        self.answer(&self.writer, move |connection| {
            connection.execute(TOUCH, params![seen.to_string()]).map(drop).map_err(|error| told(&error))
        })
        .await
    }

    pub(super) async fn sweep(&self, now: u64, idle: u64, limit: u32) -> Result<u64, StoreError> {
        let times = (stored(now), idle_since(now, idle));
        self.answer(&self.writer, move |connection| {
            let count =
                connection.execute(SWEEP, params![times.0, times.1, limit]).map_err(|error| told(&error))?;
            Ok(count as u64)
        })
        .await
    }

    pub(super) async fn probe(&self) -> Result<(), StoreError> {
        // A file that can only be read would let nobody sign in or out.
        let writable = |connection: &mut Connection| {
            connection.execute_batch("BEGIN IMMEDIATE; COMMIT").map_err(|error| told(&error))
        };
        self.answer(&self.writer, writable).await
    }

    /// Does one piece of work on a lane, after the tables are made.
    async fn answer<T: Send + 'static>(
        &self,
        lane: &Lane,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let whole = async {
            self.migrated.get_or_try_init(|| self.writer.run(migrate)).await?;
            lane.run(work).await
        };
        timeout(ANSWER_TIME, whole)
            .await
            .unwrap_or_else(|_| Err(StoreError::Unavailable("SQLite did not answer in time".to_owned())))
    }
}

/// One connection and the queue before it: who waits, waits without a thread, and may leave.
#[derive(Clone)]
struct Lane {
    turn: Arc<Semaphore>,
    connection: Arc<Mutex<Connection>>,
}

impl Lane {
    fn new(connection: Connection) -> Self {
        Self { turn: Arc::new(Semaphore::new(1)), connection: Arc::new(Mutex::new(connection)) }
    }

    /// Does `work` on the pool for blocking work. Once begun it goes on to its end, even if nobody waits any more.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let ended = || StoreError::Unavailable("SQLite: the work was cut short".to_owned());
        let turn = Arc::clone(&self.turn).acquire_owned().await.map_err(|_| ended())?;
        let connection = Arc::clone(&self.connection);
        let work = spawn_blocking(move || {
            let _turn = turn;
            // A panic leaves the connection usable: what was not committed is rolled back.
            work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner))
        });
        work.await.map_err(|_| ended())?
    }
}

/// Makes an empty file for its owner alone.
fn create(path: &Path) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        outcome => outcome.map(drop),
    }
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| told(&error))?;
    connection.busy_timeout(BUSY_TIME).map_err(|error| told(&error))?;
    Ok(connection)
}

/// Turns to a write-ahead log, which lets readers read on while the writer writes.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", "full")?;
    let turn = || connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()));
    for _ in 0..TURNS {
        match turn() {
            // Others turn a new file too, and for this SQLite does not wait; for a transaction it does.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                connection.execute_batch("BEGIN IMMEDIATE; COMMIT")?;
            }
            outcome => return outcome,
        }
    }
    turn()
}

/// Brings the tables up to date, or leaves them as they are.
fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    write_ahead(connection).map_err(|error| told(&error))?;
    let change =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(|error| told(&error))?;
    let version = || {
        let is_new: bool = change.query_row(IS_NEW, (), |row| row.get(0))?;
        if is_new { Ok(0) } else { change.query_row(VERSION, (), |row| row.get::<_, i64>(0)) }
    };
    let (found, known) = (version().map_err(|error| told(&error))?, stored(MIGRATIONS.len() as u64));
    if found > known {
        return Err(StoreError::TooNew { found, known });
    }
    for (version, script) in (1_i64..).zip(MIGRATIONS).filter(|(version, _)| *version > found) {
        change.execute_batch(script).map_err(|error| told(&error))?;
        change.execute(MIGRATED, params![version]).map_err(|error| told(&error))?;
    }
    change.commit().map_err(|error| told(&error))
}

/// All rows of a statement. It is run to its end before the first row that cannot be read is told of.
fn rows<T>(
    connection: &Connection,
    sql: &'static str,
    values: impl Params,
    read: fn(&SqlRow<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let gather = || {
        let mut statement = connection.prepare(sql)?;
        statement.query_map(values, |row| Ok(read(row)))?.collect::<Result<Vec<_>, _>>()
    };
    gather().map_err(|error| told(&error))?.into_iter().collect()
}

fn read_key(row: &SqlRow<'_>) -> Result<SessionKey, StoreError> {
    let stored: Vec<u8> = row.get(0).map_err(|_| StoreError::Damaged("a key is not bytes".to_owned()))?;
    key(&stored)
}

/// Reads a row of [`FIND`], [`REMOVE`] or [`REMOVE_ALL_OF`].
fn read(row: &SqlRow<'_>) -> Result<Row, StoreError> {
    let key = read_key(row)?;
    let time = |index: usize, part: &str| match row.get(index) {
        Ok(stored) => seconds(stored),
        Err(_) => Err(damaged(&key, part)),
    };
    let profile: String = row.get(1).map_err(|_| damaged(&key, "profile"))?;
    Ok(Row {
        key,
        profile: serde_json::from_str(&profile).map_err(|_| damaged(&key, "profile"))?,
        sid: row.get(2).map_err(|_| damaged(&key, "sid"))?,
        created_at: time(3, "created_at")?,
        last_seen: time(4, "last_seen")?,
        expires_at: time(5, "expires_at")?,
        tokens: row.get(6).map_err(|_| damaged(&key, "tokens"))?,
        client: row.get(7).map_err(|_| damaged(&key, "client"))?,
        user_agent: row.get(8).map_err(|_| damaged(&key, "user_agent"))?,
    })
}

fn told(error: &rusqlite::Error) -> StoreError {
    StoreError::Unavailable(format!("SQLite: {error}"))
}

/// A key as JSON can carry it.
fn hex(key: &SessionKey) -> String {
    key.iter().fold(String::with_capacity(2 * key.len()), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn pair((key, time): (String, i64)) -> serde_json::Value {
    serde_json::Value::Array(vec![key.into(), time.into()])
}

/// How long SQLite waits for another process to let go of the file.
const BUSY_TIME: Duration = Duration::from_millis(1500);

/// How often to wait for others that open the same new file.
const TURNS: usize = 20;

/// Every schema change, oldest first; the version of each is its place, counted from 1.
const MIGRATIONS: [&str; 1] = [include_str!("migrations/sqlite/0001_sessions.sql")];
const IS_NEW: &str = "SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'foregate_migration')";
const VERSION: &str = "SELECT coalesce(max(version), 0) FROM foregate_migration";
const MIGRATED: &str = "INSERT INTO foregate_migration (version) VALUES (?1)";

const INSERT: &str = "INSERT INTO foregate_session (key, issuer, subject, profile, sid, created_at, last_seen, \
    expires_at, tokens, client, user_agent) VALUES (:key, :issuer, :subject, :profile, :sid, :created_at, :last_seen, \
    :expires_at, :tokens, :client, :user_agent) ON CONFLICT (key) DO NOTHING";
const FIND: &str = "SELECT key, profile, sid, created_at, last_seen, expires_at, tokens, client, user_agent \
    FROM foregate_session WHERE key = ?1 AND expires_at > ?2 AND last_seen > ?3";
const REMOVE: &str = "DELETE FROM foregate_session WHERE key = ?1 \
    RETURNING key, profile, sid, created_at, last_seen, expires_at, tokens, client, user_agent";
const REMOVE_ALL_OF: &str = "DELETE FROM foregate_session WHERE issuer = ?1 AND subject = ?2 \
    RETURNING key, profile, sid, created_at, last_seen, expires_at, tokens, client, user_agent";
const ALIVE: &str = "SELECT key FROM foregate_session WHERE key IN (SELECT unhex(value) FROM json_each(?1))";
const TOUCH: &str = "UPDATE foregate_session SET last_seen = seen.time FROM \
    (SELECT unhex(value ->> 0) AS key, max(value ->> 1) AS time FROM json_each(?1) GROUP BY 1) AS seen \
    WHERE foregate_session.key = seen.key AND foregate_session.last_seen < seen.time";
const SWEEP: &str = "DELETE FROM foregate_session WHERE key IN \
    (SELECT key FROM foregate_session WHERE expires_at <= ?1 OR last_seen <= ?2 LIMIT ?3)";
