//! Sessions in an SQLite database, for one process and its commands. Knows rows, not what a session opens or who asks.

mod examine;
mod pairings;
mod rows;
mod statements;
mod tokens;

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension as _, Params, Row as SqlRow, Transaction,
    TransactionBehavior, named_params, params, params_from_iter,
};
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

pub(super) use self::examine::examine;
use self::rows::{read, read_id, read_leased, read_listed, read_person, read_profile};
use self::statements as sql;
use super::names::name_of;
use super::records::Value;
use super::store::parts::{changed, damaged, idle_since, micros, stored};
use super::store::{
    ANSWER_TIME, Admission, Changes, Listed, MOST_CHANGES, Person, PersonKey, REMOVED_AT_ONCE, Row,
    Selection, SessionId, SessionKey, StoreError, TicketId,
};
use crate::identity::Profile;

/// The sessions of one SQLite database.
pub struct SqliteStore {
    writer: Lane,
    /// Reads beside the writer; the writer itself where there is no file to share.
    reader: Lane,
    migrated: OnceCell<()>,
    /// Names this process in what it changes, so that it need not read that again.
    author: [u8; 8],
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
        Ok(Self::of(Lane::new(writer), Lane::new(reader), super::random()?))
    }

    /// Makes a database that ends with this value.
    pub(super) fn in_memory() -> Result<Self, StoreError> {
        let lane = Lane::new(Connection::open_in_memory().map_err(|error| told(&error))?);
        Ok(Self::of(lane.clone(), lane, super::random()?))
    }

    fn of(writer: Lane, reader: Lane, author: [u8; 8]) -> Self {
        Self { writer, reader, migrated: OnceCell::new(), author }
    }

    pub(super) async fn insert(&self, row: &Row) -> Result<Admission, StoreError> {
        let row = row.clone();
        let profile = serde_json::to_string(&row.profile).map_err(|_| damaged(&row.key.id, "profile"))?;
        self.change(move |change| {
            if !meet(change, &row, &profile, None)? {
                return Ok(Admission::Disabled);
            }
            let values = named_params! {
                ":id": row.key.id, ":proof": row.key.proof, ":issuer": row.profile.issuer,
                ":subject": row.profile.subject, ":profile": profile, ":sid": row.sid,
                ":created_at": stored(row.created_at), ":last_seen": stored(row.last_seen),
                ":expires_at": stored(row.expires_at), ":renew_at": row.renew_at.map(stored), ":tokens": row.tokens,
                ":client": row.client, ":user_agent": row.user_agent,
            };
            change.execute(sql::INSERT, values)?;
            Ok(Admission::Kept)
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
            Ok(rows(connection, sql::FIND, params![key.id, key.proof, times.0, times.1], read)?.pop())
        })
        .await
    }

    pub(super) async fn remove(&self, key: &SessionKey) -> Result<Option<Row>, StoreError> {
        let key = *key;
        let removed = self.change(move |change| {
            let mut gone = gathered(change, sql::REMOVE, params![key.id, key.proof], read)?;
            if !gone.is_empty() {
                change.execute(sql::TELL, params![key.id, NOBODY])?;
            }
            Ok(gone.pop())
        });
        removed.await?.transpose()
    }

    pub(super) async fn remove_some(&self, which: &Selection<'_>) -> Result<Vec<SessionId>, StoreError> {
        let (condition, values) = which.condition();
        let remove = sql::remove_some(condition, REMOVED_AT_ONCE);
        let values: Vec<rusqlite::types::Value> = values.iter().map(owned).collect();
        let removed = self.change(move |change| {
            let gone = gathered(change, &remove, params_from_iter(values), read_id)?;
            tell_of_ends(change, &gone)?;
            Ok(gone)
        });
        removed.await?.into_iter().collect()
    }

    pub(super) async fn alive(&self, ids: &[SessionId]) -> Result<Vec<SessionId>, StoreError> {
        let ids: serde_json::Value = ids.iter().map(name_of).collect();
        self.answer(&self.reader, move |connection| {
            rows(connection, sql::ALIVE, params![ids.to_string()], read_id)
        })
        .await
    }

    pub(super) async fn touch(&self, seen: &[(SessionId, u64)]) -> Result<(), StoreError> {
        let seen: serde_json::Value =
            seen.iter().map(|(id, time)| (name_of(id), stored(*time))).map(pair).collect();
        let seen = seen.to_string();
        self.change(move |change| {
            change.execute(sql::TOUCH, params![seen])?;
            change.execute(sql::MEET_AGAIN, params![seen]).map(drop)
        })
        .await
    }

    pub(super) async fn sweep(&self, now: u64, idle: u64, limit: u32) -> Result<u64, StoreError> {
        let times = (stored(now), idle_since(now, idle));
        self.change(move |change| Ok(change.execute(sql::SWEEP, params![times.0, times.1, limit])? as u64))
            .await
    }

    pub(super) async fn lease(
        &self,
        key: &SessionKey,
        version: u64,
        lease: Duration,
    ) -> Result<Option<(Row, u64)>, StoreError> {
        let (key, version, lease) = (*key, stored(version), micros(lease));
        let leased = self.change(move |change| {
            Ok(gathered(change, sql::LEASE, params![key.id, key.proof, version, lease], read_leased)?.pop())
        });
        leased.await?.transpose()
    }

    pub(super) async fn renew(&self, row: &Row, told_at: Option<u64>) -> Result<bool, StoreError> {
        let (row, author) = (row.clone(), self.author);
        let profile = serde_json::to_string(&row.profile).map_err(|_| damaged(&row.key.id, "profile"))?;
        self.change(move |change| {
            let values = named_params! {
                ":id": row.key.id, ":proof": row.key.proof, ":profile": profile, ":sid": row.sid,
                ":renew_at": row.renew_at.map(stored), ":version": stored(row.version), ":tokens": row.tokens,
                ":issuer": row.profile.issuer, ":subject": row.profile.subject,
            };
            if change.execute(sql::RENEW, values)? == 0 {
                return Ok(false);
            }
            if told_at.is_some() {
                meet(change, &row, &profile, told_at)?;
            }
            change.execute(sql::TELL, params![row.key.id, author])?;
            Ok(true)
        })
        .await
    }

    pub(super) async fn postpone(
        &self,
        key: &SessionKey,
        version: u64,
        renew_at: u64,
    ) -> Result<(), StoreError> {
        let key = *key;
        let times = (stored(version), stored(renew_at));
        self.change(move |change| {
            change.execute(sql::POSTPONE, params![key.id, key.proof, times.0, times.1]).map(drop)
        })
        .await
    }

    pub(super) async fn changes(&self, since: i64) -> Result<Changes, StoreError> {
        let author = self.author;
        self.answer(&self.reader, move |connection| {
            let now = connection.query_row(sql::NOW, (), |row| row.get(0)).map_err(|error| told(&error))?;
            let read = |row: &SqlRow<'_>| {
                let session: Vec<u8> = row.get(1)?;
                Ok((row.get(0)?, changed(&session)))
            };
            let mut statement = connection.prepare(sql::CHANGES).map_err(|error| told(&error))?;
            let changed = statement.query_map(params![since, author, MOST_CHANGES], read);
            let changed = changed.and_then(Iterator::collect).map_err(|error| told(&error))?;
            Ok(Changes { now, changed })
        })
        .await
    }

    pub(super) async fn trim_changes(&self, age: Duration) -> Result<(), StoreError> {
        let age = micros(age);
        self.change(move |change| change.execute(sql::TRIM, params![age]).map(drop)).await
    }

    pub(super) async fn spend(&self, ticket: &TicketId, until: u64) -> Result<bool, StoreError> {
        let (ticket, until) = (*ticket, stored(until));
        self.change(move |change| Ok(change.execute(sql::SPEND, params![ticket, until])? > 0)).await
    }

    pub(super) async fn trim_spent(&self, now: u64) -> Result<(), StoreError> {
        let now = stored(now);
        self.change(move |change| change.execute(sql::TRIM_SPENT, params![now]).map(drop)).await
    }

    pub(super) async fn sessions(
        &self,
        which: &Selection<'_>,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<Listed>, StoreError> {
        self.page(which, sql::sessions, (after, limit), read_listed).await
    }

    /// One page of a list of what is meant, behind the row of the id `after`.
    async fn page<T: Send + 'static, const N: usize>(
        &self,
        which: &Selection<'_>,
        list: fn(&str) -> String,
        (after, limit): (Option<[u8; N]>, u32),
        read: fn(&SqlRow<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let (condition, values) = which.condition();
        let list = list(condition);
        let mut values: Vec<rusqlite::types::Value> = values.iter().map(owned).collect();
        values.push(after.map_or(Vec::new(), |id| id.to_vec()).into());
        values.push(i64::from(limit).into());
        self.answer(&self.reader, move |connection| rows(connection, &list, params_from_iter(values), read))
            .await
    }

    pub(super) async fn recent(
        &self,
        person: &PersonKey,
        (now, idle): (u64, u64),
        limit: u32,
    ) -> Result<Vec<Listed>, StoreError> {
        let person = person.clone();
        let times = (stored(now), idle_since(now, idle));
        self.answer(&self.reader, move |connection| {
            let values = params![person.issuer, person.subject, times.0, times.1, limit];
            rows(connection, sql::RECENT, values, read_listed)
        })
        .await
    }

    pub(super) async fn profiles(
        &self,
        (now, idle): (u64, u64),
        limit: u32,
    ) -> Result<Vec<Profile>, StoreError> {
        let times = (stored(now), idle_since(now, idle));
        self.answer(&self.reader, move |connection| {
            rows(connection, sql::PROFILES, params![times.0, times.1, limit], read_profile)
        })
        .await
    }

    pub(super) async fn people(
        &self,
        username: Option<&str>,
        after: &PersonKey,
        limit: u32,
    ) -> Result<Vec<Person>, StoreError> {
        let people = sql::people(username.is_some());
        let mut values: Vec<rusqlite::types::Value> =
            vec![after.issuer.clone().into(), after.subject.clone().into(), i64::from(limit).into()];
        values.extend(username.map(|name| name.to_owned().into()));
        self.answer(&self.reader, move |connection| {
            rows(connection, &people, params_from_iter(values), read_person)
        })
        .await
    }

    pub(super) async fn disable(&self, person: &PersonKey, since: Option<u64>) -> Result<bool, StoreError> {
        let (person, since) = (person.clone(), since.map(stored));
        self.change(move |change| {
            if since.is_none() {
                let values = params![person.issuer, person.subject];
                let gone = gathered(change, sql::REMOVE_DISABLED, values, read_id)?;
                tell_of_ends(change, &gone)?;
            }
            let known = change.execute(sql::DISABLE, params![person.issuer, person.subject, since])? > 0;
            change.execute(sql::TELL_TOKENS, params![person.issuer, person.subject])?;
            Ok(known)
        })
        .await
    }

    pub(super) async fn is_disabled(&self, person: &PersonKey) -> Result<bool, StoreError> {
        let person = person.clone();
        self.answer(&self.reader, move |connection| {
            let found =
                connection
                    .query_row(sql::IS_DISABLED, params![person.issuer, person.subject], |row| row.get(0));
            found.map_err(|error| told(&error))
        })
        .await
    }

    pub(super) async fn fact(&self, name: &str, value: &str) -> Result<String, StoreError> {
        let (name, value) = (name.to_owned(), value.to_owned());
        self.change(move |change| {
            change.execute(sql::KEEP_FACT, params![name, value])?;
            change.query_row(sql::FACT, params![name], |row| row.get(0))
        })
        .await
    }

    pub(super) async fn set_fact(&self, name: &str, value: Option<&str>) -> Result<(), StoreError> {
        let (name, value) = (name.to_owned(), value.map(str::to_owned));
        self.change(move |change| {
            match value {
                Some(value) => change.execute(sql::SET_FACT, params![name, value]),
                None => change.execute(sql::DROP_FACT, params![name]),
            }
            .map(drop)
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

    /// Makes one change in a transaction of its own.
    async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.answer(&self.writer, move |connection| {
            let change = connection.transaction_with_behavior(TransactionBehavior::Immediate);
            let made = change.and_then(|change| {
                let outcome = work(&change)?;
                change.commit().map(|()| outcome)
            });
            made.map_err(|error| told(&error))
        })
        .await
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
        let is_new: bool = change.query_row(sql::IS_NEW, (), |row| row.get(0))?;
        if is_new { Ok(0) } else { change.query_row(sql::VERSION, (), |row| row.get::<_, i64>(0)) }
    };
    let (found, known) = (version().map_err(|error| told(&error))?, stored(MIGRATIONS.len() as u64));
    if found > known {
        return Err(StoreError::TooNew { found, known });
    }
    super::store::tell_of_update(found, known);
    for (version, script) in (1_i64..).zip(MIGRATIONS).filter(|(version, _)| *version > found) {
        change.execute_batch(script).map_err(|error| told(&error))?;
        change.execute(sql::MIGRATED, params![version]).map_err(|error| told(&error))?;
    }
    change.commit().map_err(|error| told(&error))
}

/// Writes down that sessions have ended.
fn tell_of_ends(change: &Transaction<'_>, gone: &[Result<SessionId, StoreError>]) -> rusqlite::Result<()> {
    let mut tell = change.prepare(sql::TELL)?;
    for id in gone.iter().flatten() {
        tell.execute(params![id, NOBODY])?;
    }
    Ok(())
}

/// Keeps who it is among the people seen; whether they are welcome. What was told at a time is kept if nothing was told later.
fn meet(change: &Transaction<'_>, row: &Row, profile: &str, told_at: Option<u64>) -> rusqlite::Result<bool> {
    let (who, seen, told_at) = (&row.profile, stored(row.last_seen), told_at.map(stored));
    let values = params![who.issuer, who.subject, who.username, who.name, who.email, seen, profile, told_at];
    let welcome: Option<bool> = change.query_row(sql::MEET, values, |row| row.get(0)).optional()?;
    Ok(welcome.unwrap_or(false))
}

/// All rows of a statement, which is run to its end before they are looked at.
fn gathered<T>(
    connection: &Connection,
    sql: &str,
    values: impl Params,
    read: fn(&SqlRow<'_>) -> Result<T, StoreError>,
) -> rusqlite::Result<Vec<Result<T, StoreError>>> {
    let mut statement = connection.prepare(sql)?;
    statement.query_map(values, |row| Ok(read(row)))?.collect()
}

/// All rows of a statement, or the first that cannot be read.
fn rows<T>(
    connection: &Connection,
    sql: &str,
    values: impl Params,
    read: fn(&SqlRow<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    gathered(connection, sql, values, read).map_err(|error| told(&error))?.into_iter().collect()
}

/// A value of a condition that outlives the question.
fn owned(value: &Value<'_>) -> rusqlite::types::Value {
    match value {
        Value::Bytes(bytes) => bytes.to_vec().into(),
        Value::Text(text) => (*text).to_owned().into(),
        Value::Number(number) => (*number).into(),
    }
}

fn told(error: &rusqlite::Error) -> StoreError {
    StoreError::Unavailable(format!("SQLite: {error}"))
}

fn pair((id, time): (String, i64)) -> serde_json::Value {
    serde_json::Value::Array(vec![id.into(), time.into()])
}

/// The author of ends: also the process it came from looks for them, which may have lost the answer.
const NOBODY: &[u8] = &[];

/// How long SQLite waits for another process to let go of the file.
const BUSY_TIME: Duration = Duration::from_millis(1500);

/// How often to wait for others that open the same new file.
const TURNS: usize = 20;

/// Every schema change, oldest first; the version of each is its place, counted from 1.
const MIGRATIONS: [&str; 5] = [
    include_str!("migrations/sqlite/0001_sessions.sql"),
    include_str!("migrations/sqlite/0002_changes_and_people.sql"),
    include_str!("migrations/sqlite/0003_spent_tickets.sql"),
    include_str!("migrations/sqlite/0004_app_tokens.sql"),
    include_str!("migrations/sqlite/0005_pairings.sql"),
];
