//! Sessions in PostgreSQL: fixed statements over a small pool. Knows rows, not what a session opens or who asks.
//!
//! Every statement goes out unnamed and in one round trip, outside of any transaction, so a pooler that hands its
//! servers from transaction to transaction (PgBouncer) may stand in between.

mod tls;

use std::error::Error as _;
use std::io;
use std::time::Duration;

use deadpool_postgres::{
    ClientWrapper, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, Timeouts,
};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{Json, ToSql, Type};
use tokio_postgres::{Config, Row as PgRow};

use super::store::parts::{damaged, idle_since, key, seconds, stored};
use super::store::{ANSWER_TIME, Row, SessionKey, StoreError};
use crate::identity::Profile;
use crate::secret::Secret;

/// The sessions of one PostgreSQL database.
pub struct PostgresStore {
    pool: Pool,
    migrated: OnceCell<()>,
}

impl PostgresStore {
    /// Readies a pool for `url` without connecting.
    pub(super) fn open(url: &Secret) -> Result<Self, StoreError> {
        let (mut config, trust) = tls::read(url)?;
        fill_in(&mut config);
        let manager = Manager::from_config(
            config,
            tls::connector(trust)?,
            // A connection that died in silence is found by the deadline, and its statement sent once more.
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let limit = Some(ANSWER_TIME);
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS)
            .timeouts(Timeouts { wait: limit, create: limit, recycle: limit })
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self { pool, migrated: OnceCell::new() })
    }

    pub(super) async fn insert(&self, row: &Row) -> Result<(), StoreError> {
        let profile = Json(&row.profile);
        let times = [row.created_at, row.last_seen, row.expires_at].map(stored);
        let parameters: [Parameter<'_>; 11] = [
            (&row.key.as_slice(), Type::BYTEA),
            (&row.profile.issuer, Type::TEXT),
            (&row.profile.subject, Type::TEXT),
            (&profile, Type::JSONB),
            (&row.sid, Type::TEXT),
            (&times[0], Type::INT8),
            (&times[1], Type::INT8),
            (&times[2], Type::INT8),
            (&row.tokens, Type::BYTEA),
            (&row.client, Type::TEXT),
            (&row.user_agent, Type::TEXT),
        ];
        self.ask(INSERT, &parameters).await.map(drop)
    }

    pub(super) async fn find(
        &self,
        key: &SessionKey,
        now: u64,
        idle: u64,
    ) -> Result<Option<Row>, StoreError> {
        let (now, idle_since) = (stored(now), idle_since(now, idle));
        let parameters: [Parameter<'_>; 3] =
            [(&key.as_slice(), Type::BYTEA), (&now, Type::INT8), (&idle_since, Type::INT8)];
        self.ask(FIND, &parameters).await?.first().map(read).transpose()
    }

    pub(super) async fn remove(&self, key: &SessionKey) -> Result<Option<Row>, StoreError> {
        self.ask(REMOVE, &[(&key.as_slice(), Type::BYTEA)]).await?.first().map(read).transpose()
    }

    pub(super) async fn remove_all_of(&self, issuer: &str, subject: &str) -> Result<Vec<Row>, StoreError> {
        let parameters: [Parameter<'_>; 2] = [(&issuer, Type::TEXT), (&subject, Type::TEXT)];
        self.ask(REMOVE_ALL_OF, &parameters).await?.iter().map(read).collect()
    }

    pub(super) async fn alive(&self, keys: &[SessionKey]) -> Result<Vec<SessionKey>, StoreError> {
        let keys: Vec<&[u8]> = keys.iter().map(SessionKey::as_slice).collect();
        let rows = self.ask(ALIVE, &[(&keys, Type::BYTEA_ARRAY)]).await?;
        rows.iter().map(read_key).collect()
    }

    pub(super) async fn touch(&self, seen: &[(SessionKey, u64)]) -> Result<(), StoreError> {
        let (keys, times): (Vec<&[u8]>, Vec<i64>) =
            seen.iter().map(|(key, time)| (key.as_slice(), stored(*time))).unzip();
        let parameters: [Parameter<'_>; 2] = [(&keys, Type::BYTEA_ARRAY), (&times, Type::INT8_ARRAY)];
        self.ask(TOUCH, &parameters).await.map(drop)
    }

    pub(super) async fn sweep(&self, now: u64, idle: u64, limit: u32) -> Result<u64, StoreError> {
        let (now, idle_since, limit) = (stored(now), idle_since(now, idle), i64::from(limit));
        let parameters: [Parameter<'_>; 3] =
            [(&now, Type::INT8), (&idle_since, Type::INT8), (&limit, Type::INT8)];
        let rows = self.ask(SWEEP, &parameters).await?;
        let count = rows.first().and_then(|row| row.try_get(0).ok()).unwrap_or(0);
        seconds(count)
    }

    pub(super) async fn probe(&self) -> Result<(), StoreError> {
        self.ask(PROBE, &[]).await.map(drop)
    }

    /// Sends one statement that may be sent twice, and waits for its rows.
    async fn ask(&self, sql: &'static str, parameters: &[Parameter<'_>]) -> Result<Vec<PgRow>, StoreError> {
        let deadline = sleep(ANSWER_TIME).deadline();
        timeout_at(deadline, self.migrated.get_or_try_init(|| self.migrate(deadline)))
            .await
            .unwrap_or_else(|_| Err(late()))?;
        match self.attempt(sql, parameters, deadline).await {
            Err(Failure::Passing(_)) => self.attempt(sql, parameters, deadline).await,
            outcome => outcome,
        }
        .map_err(|failure| match failure {
            Failure::Passing(error) | Failure::Lasting(error) => error,
        })
    }

    async fn attempt(
        &self,
        sql: &'static str,
        parameters: &[Parameter<'_>],
        deadline: Instant,
    ) -> Result<Vec<PgRow>, Failure> {
        let client = self.connection(deadline).await.map_err(Failure::Lasting)?;
        match timeout_at(deadline, client.query_typed(sql, parameters)).await {
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(error)) if is_dead(&error) || client.is_closed() => {
                self.give_up(client);
                Err(Failure::Passing(told(&error)))
            }
            Ok(Err(error)) if lost_a_race(&error) => Err(Failure::Passing(told(&error))),
            Ok(Err(error)) => Err(Failure::Lasting(told(&error))),
            Err(_) => {
                self.give_up(client);
                Err(Failure::Lasting(late()))
            }
        }
    }

    async fn connection(&self, deadline: Instant) -> Result<Object, StoreError> {
        match timeout_at(deadline, self.pool.get()).await {
            Ok(Ok(client)) => Ok(client),
            Ok(Err(PoolError::Backend(error))) => Err(told(&error)),
            Ok(Err(PoolError::Timeout(_))) | Err(_) => Err(late()),
            Ok(Err(PoolError::Closed | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_))) => {
                Err(StoreError::Unavailable("the connection pool is closed".to_owned()))
            }
        }
    }

    /// Closes a connection that failed, and the idle ones with it: what ended one has most likely ended all.
    fn give_up(&self, client: Object) {
        drop(Object::take(client));
        self.pool.retain(|_, _| false);
    }

    /// Brings the tables up to date. A dropped or failed migration is rolled back, and tried again at the next use.
    async fn migrate(&self, deadline: Instant) -> Result<(), StoreError> {
        let mut client = self.connection(deadline).await?;
        let outcome = timeout_at(deadline, migrate(&mut client)).await.unwrap_or_else(|_| Err(late()));
        if outcome.is_err() {
            self.give_up(client);
        }
        outcome
    }
}

/// Why an attempt failed.
enum Failure {
    /// A connection found dead, or a lost race with another replica: worth one more try.
    Passing(StoreError),
    /// Anything that one more try would not cure.
    Lasting(StoreError),
}

/// A value to bind, and its type, so that the server need not be asked for it.
type Parameter<'p> = (&'p (dyn ToSql + Sync), Type);

/// Fills in what the URL leaves open, so that a silent network is noticed.
fn fill_in(config: &mut Config) {
    let plain = Config::new();
    if config.get_application_name().is_none() {
        config.application_name("foregate");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIME);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(SILENCE);
    }
    if config.get_keepalives_idle() == plain.get_keepalives_idle() {
        config.keepalives_idle(IDLE_TIME).keepalives_interval(SILENCE).keepalives_retries(3);
    }
}

/// Makes the tables, one replica at a time; all others find them made.
async fn migrate(client: &mut ClientWrapper) -> Result<(), StoreError> {
    let change = client.transaction().await.map_err(|error| told(&error))?;
    let steps = async {
        change.batch_execute(WAIT_BRIEFLY).await?;
        change.query_typed(LOCK, &[(&LOCK_NAME, Type::INT8)]).await?;
        let is_new: bool = change.query_typed_one(IS_NEW, &[]).await?.try_get(0)?;
        if is_new { Ok(0) } else { change.query_typed_one(VERSION, &[]).await?.try_get::<_, i64>(0) }
    };
    let found = steps.await.map_err(|error| told(&error))?;
    let known = stored(MIGRATIONS.len() as u64);
    if found > known {
        return Err(StoreError::TooNew { found, known });
    }
    let rest = async {
        for (version, script) in (1_i64..).zip(MIGRATIONS).filter(|(version, _)| *version > found) {
            change.batch_execute(script).await?;
            change.execute_typed(MIGRATED, &[(&version, Type::INT8)]).await?;
        }
        change.commit().await
    };
    rest.await.map_err(|error| told(&error))
}

fn read_key(row: &PgRow) -> Result<SessionKey, StoreError> {
    let stored: &[u8] = row.try_get(0).map_err(|_| StoreError::Damaged("a key is not bytes".to_owned()))?;
    key(stored)
}

/// Reads a row of [`FIND`], [`REMOVE`] or [`REMOVE_ALL_OF`].
fn read(row: &PgRow) -> Result<Row, StoreError> {
    let key = read_key(row)?;
    let time = |index: usize, part: &str| match row.try_get(index) {
        Ok(stored) => seconds(stored),
        Err(_) => Err(damaged(&key, part)),
    };
    let Json(profile) = row.try_get::<_, Json<Profile>>(1).map_err(|_| damaged(&key, "profile"))?;
    Ok(Row {
        key,
        profile,
        sid: row.try_get(2).map_err(|_| damaged(&key, "sid"))?,
        created_at: time(3, "created_at")?,
        last_seen: time(4, "last_seen")?,
        expires_at: time(5, "expires_at")?,
        tokens: row.try_get(6).map_err(|_| damaged(&key, "tokens"))?,
        client: row.try_get(7).map_err(|_| damaged(&key, "client"))?,
        user_agent: row.try_get(8).map_err(|_| damaged(&key, "user_agent"))?,
    })
}

/// Whether the connection is of no more use: it broke, its server goes, or a failover left it with a standby.
fn is_dead(error: &tokio_postgres::Error) -> bool {
    let gone = [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN, SqlState::READ_ONLY_SQL_TRANSACTION];
    error.is_closed()
        || error.source().is_some_and(<dyn std::error::Error>::is::<io::Error>)
        || error.code().is_some_and(|code| gone.contains(code))
}

/// Whether the server took another's side, as it must when two wait for each other.
fn lost_a_race(error: &tokio_postgres::Error) -> bool {
    let races = [SqlState::T_R_DEADLOCK_DETECTED, SqlState::T_R_SERIALIZATION_FAILURE];
    error.code().is_some_and(|code| races.contains(code))
}

/// What to tell of an error: message and code, never the detail, which quotes rows.
fn told(error: &tokio_postgres::Error) -> StoreError {
    if let Some(answer) = error.as_db_error() {
        let text = format!("PostgreSQL says: {} ({})", answer.message(), answer.code().code());
        // Class 22: the server is well, and cannot hold this value.
        return if answer.code().code().starts_with("22") {
            StoreError::Damaged(text)
        } else {
            StoreError::Unavailable(text)
        };
    }
    StoreError::Unavailable(match error.source() {
        Some(cause) => format!("PostgreSQL: {error}: {cause}"),
        None => format!("PostgreSQL: {error}"),
    })
}

fn late() -> StoreError {
    StoreError::Unavailable("PostgreSQL did not answer in time".to_owned())
}

/// Connections per process; a statement holds one for a round trip.
const CONNECTIONS: usize = 8;
/// How long one address may take to connect: short enough to leave time for a second.
const CONNECT_TIME: Duration = Duration::from_millis(900);
/// How long sent data may stay unacknowledged before the connection counts as cut.
const SILENCE: Duration = Duration::from_secs(5);
/// How long a connection may lie idle before the network is asked whether it still stands.
const IDLE_TIME: Duration = Duration::from_secs(30);

/// Every schema change, oldest first; the version of each is its place, counted from 1.
const MIGRATIONS: [&str; 1] = [include_str!("migrations/postgres/0001_sessions.sql")];
/// The name of the advisory lock: `foregate` in ASCII.
const LOCK_NAME: i64 = i64::from_be_bytes(*b"foregate");
/// Keeps a replica that gave up from waiting on in the server.
const WAIT_BRIEFLY: &str = "SET LOCAL lock_timeout = '2s'";
const LOCK: &str = "SELECT pg_advisory_xact_lock($1)";
const IS_NEW: &str = "SELECT to_regclass('foregate_migration') IS NULL";
const VERSION: &str = "SELECT coalesce(max(version), 0) FROM foregate_migration";
const MIGRATED: &str = "INSERT INTO foregate_migration (version) VALUES ($1)";

const INSERT: &str = "INSERT INTO foregate_session (key, issuer, subject, profile, sid, created_at, last_seen, \
    expires_at, tokens, client, user_agent) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
    ON CONFLICT (key) DO NOTHING";
const FIND: &str = "SELECT key, profile, sid, created_at, last_seen, expires_at, tokens, client, user_agent \
    FROM foregate_session WHERE key = $1 AND expires_at > $2 AND last_seen > $3";
const REMOVE: &str = "DELETE FROM foregate_session WHERE key = $1 \
    RETURNING key, profile, sid, created_at, last_seen, expires_at, tokens, client, user_agent";
const REMOVE_ALL_OF: &str = "DELETE FROM foregate_session WHERE issuer = $1 AND subject = $2 \
    RETURNING key, profile, sid, created_at, last_seen, expires_at, tokens, client, user_agent";
const ALIVE: &str = "SELECT key FROM foregate_session WHERE key = ANY($1)";
/// Locks in the order of the keys, so that two replicas with the same sessions do not wait for each other.
const TOUCH: &str = "WITH seen AS (SELECT key, max(time) AS time FROM unnest($1, $2) AS given (key, time) GROUP BY key), \
    late AS (SELECT session.key, seen.time FROM foregate_session AS session JOIN seen USING (key) \
    WHERE session.last_seen < seen.time ORDER BY session.key FOR NO KEY UPDATE OF session) \
    UPDATE foregate_session AS session SET last_seen = late.time FROM late \
    WHERE session.key = late.key AND session.last_seen < late.time";
const SWEEP: &str = "WITH dead AS (SELECT key FROM foregate_session WHERE expires_at <= $1 OR last_seen <= $2 \
    LIMIT $3 FOR UPDATE SKIP LOCKED), \
    gone AS (DELETE FROM foregate_session AS session USING dead WHERE session.key = dead.key RETURNING 1) \
    SELECT count(*) FROM gone";
const PROBE: &str = "SELECT 1 FROM foregate_session LIMIT 1";
