//! Sessions in PostgreSQL: fixed statements over a small pool. Knows rows, not what a session opens or who asks.
//!
//! But for migrations, every statement goes out unnamed and in one round trip, and is a transaction of its own but where an app token
//! is kept, so a pooler that hands its servers from transaction to transaction (PgBouncer) may stand in between.

mod examine;
mod listen;
mod pairings;
mod rows;
mod statements;
mod tls;
mod tokens;

use std::error::Error as _;
use std::io;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::{
    ClientWrapper, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, Timeouts,
};
use tokio::sync::{Notify, OnceCell};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{Json, ToSql, Type};
use tokio_postgres::{CancelToken, Config, Row as PgRow};
use tokio_postgres_rustls::MakeRustlsConnect;

pub(super) use self::examine::examine;
use self::listen::Listener;
use self::rows::{read, read_id, read_leased, read_listed, read_person, read_profile};
use self::statements as sql;
use super::records::Value;
use super::store::parts::{changed, idle_since, micros, seconds, stored};
use super::store::{
    ANSWER_TIME, Admission, Changes, Listed, MOST_CHANGES, Person, PersonKey, REMOVED_AT_ONCE, Row,
    Selection, SessionId, SessionKey, StoreError, TicketId,
};
use crate::identity::Profile;
use crate::secret::Secret;

/// The sessions of one PostgreSQL database.
pub struct PostgresStore {
    pool: Pool,
    connector: MakeRustlsConnect,
    /// The connections that are called off and have not ended yet, at most as many as the pool has places.
    ending: Mutex<JoinSet<()>>,
    listener: Box<Listener>,
    migrated: OnceCell<()>,
    /// Names this process in what it changes, so that it need not read that again.
    author: [u8; 8],
}

impl PostgresStore {
    /// Readies a pool for `url` without connecting.
    pub(super) fn open(url: &Secret) -> Result<Self, StoreError> {
        let (mut config, trust) = tls::read(url)?;
        fill_in(&mut config);
        let connector = tls::connector(trust)?;
        let listener = Box::new(Listener::new(config.clone(), connector.clone()));
        let manager = Manager::from_config(
            config,
            connector.clone(),
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
        Ok(Self {
            pool,
            connector,
            ending: Mutex::default(),
            listener,
            migrated: OnceCell::new(),
            author: super::random()?,
        })
    }

    pub(super) async fn insert(&self, row: &Row) -> Result<Admission, StoreError> {
        let profile = Json(&row.profile);
        let times = [row.created_at, row.last_seen, row.expires_at].map(stored);
        let renew_at = row.renew_at.map(stored);
        let (id, proof) = (row.key.id.as_slice(), row.key.proof.as_slice());
        let mut parameters = person(&row.profile, &times[0]).to_vec();
        parameters.extend::<[Parameter<'_>; 11]>([
            (&id, Type::BYTEA),
            (&proof, Type::BYTEA),
            (&profile, Type::JSONB),
            (&row.sid, Type::TEXT),
            (&times[0], Type::INT8),
            (&times[1], Type::INT8),
            (&times[2], Type::INT8),
            (&renew_at, Type::INT8),
            (&row.tokens, Type::BYTEA),
            (&row.client, Type::TEXT),
            (&row.user_agent, Type::TEXT),
        ]);
        let rows = self.ask(sql::INSERT, &parameters).await?;
        let welcome = rows.first().is_some_and(|row| row.try_get(0).unwrap_or(false));
        Ok(if welcome { Admission::Kept } else { Admission::Disabled })
    }

    pub(super) async fn find(
        &self,
        key: &SessionKey,
        now: u64,
        idle: u64,
    ) -> Result<Option<Row>, StoreError> {
        let (now, idle_since) = (stored(now), idle_since(now, idle));
        let parameters: [Parameter<'_>; 4] = [
            (&key.id.as_slice(), Type::BYTEA),
            (&key.proof.as_slice(), Type::BYTEA),
            (&now, Type::INT8),
            (&idle_since, Type::INT8),
        ];
        self.ask(sql::FIND, &parameters).await?.first().map(read).transpose()
    }

    pub(super) async fn remove(&self, key: &SessionKey) -> Result<Option<Row>, StoreError> {
        let parameters: [Parameter<'_>; 2] =
            [(&key.id.as_slice(), Type::BYTEA), (&key.proof.as_slice(), Type::BYTEA)];
        self.ask(sql::REMOVE, &parameters).await?.first().map(read).transpose()
    }

    pub(super) async fn remove_some(&self, which: &Selection<'_>) -> Result<Vec<SessionId>, StoreError> {
        let (condition, values) = which.condition();
        let parameters: Vec<Parameter<'_>> = values.iter().map(bound).collect();
        let remove = sql::remove_some(condition, REMOVED_AT_ONCE);
        self.ask(&remove, &parameters).await?.iter().map(read_id).collect()
    }

    pub(super) async fn alive(&self, ids: &[SessionId]) -> Result<Vec<SessionId>, StoreError> {
        let ids: Vec<&[u8]> = ids.iter().map(SessionId::as_slice).collect();
        let rows = self.ask(sql::ALIVE, &[(&ids, Type::BYTEA_ARRAY)]).await?;
        rows.iter().map(read_id).collect()
    }

    pub(super) async fn touch(&self, seen: &[(SessionId, u64)]) -> Result<(), StoreError> {
        let (ids, times): (Vec<&[u8]>, Vec<i64>) =
            seen.iter().map(|(id, time)| (id.as_slice(), stored(*time))).unzip();
        let parameters: [Parameter<'_>; 2] = [(&ids, Type::BYTEA_ARRAY), (&times, Type::INT8_ARRAY)];
        self.ask(sql::TOUCH, &parameters).await.map(drop)
    }

    pub(super) async fn sweep(&self, now: u64, idle: u64, limit: u32) -> Result<u64, StoreError> {
        let (now, idle_since, limit) = (stored(now), idle_since(now, idle), i64::from(limit));
        let parameters: [Parameter<'_>; 4] =
            [(&now, Type::INT8), (&idle_since, Type::INT8), (&limit, Type::INT8), (&SWEEP_LOCK, Type::INT8)];
        let rows = self.ask(sql::SWEEP, &parameters).await?;
        let count = rows.first().and_then(|row| row.try_get(0).ok()).unwrap_or(0);
        seconds(count)
    }

    pub(super) async fn lease(
        &self,
        key: &SessionKey,
        version: u64,
        lease: Duration,
    ) -> Result<Option<(Row, u64)>, StoreError> {
        let (version, lease) = (stored(version), micros(lease));
        let parameters: [Parameter<'_>; 4] = [
            (&key.id.as_slice(), Type::BYTEA),
            (&key.proof.as_slice(), Type::BYTEA),
            (&version, Type::INT8),
            (&lease, Type::INT8),
        ];
        self.ask(sql::LEASE, &parameters).await?.first().map(read_leased).transpose()
    }

    pub(super) async fn renew(&self, row: &Row, told_at: Option<u64>) -> Result<bool, StoreError> {
        let profile = Json(&row.profile);
        let (version, now) = (stored(row.version), stored(row.last_seen));
        let (renew_at, told_at) = (row.renew_at.map(stored), told_at.map(stored));
        let (id, proof) = (row.key.id.as_slice(), row.key.proof.as_slice());
        let author = self.author.as_slice();
        let mut parameters = person(&row.profile, &now).to_vec();
        parameters.extend::<[Parameter<'_>; 9]>([
            (&id, Type::BYTEA),
            (&proof, Type::BYTEA),
            (&profile, Type::JSONB),
            (&row.sid, Type::TEXT),
            (&renew_at, Type::INT8),
            (&version, Type::INT8),
            (&row.tokens, Type::BYTEA),
            (&author, Type::BYTEA),
            (&told_at, Type::INT8),
        ]);
        let rows = self.ask(sql::RENEW, &parameters).await?;
        Ok(!rows.is_empty())
    }

    pub(super) async fn postpone(
        &self,
        key: &SessionKey,
        version: u64,
        renew_at: u64,
    ) -> Result<(), StoreError> {
        let (version, renew_at) = (stored(version), stored(renew_at));
        let parameters: [Parameter<'_>; 4] = [
            (&key.id.as_slice(), Type::BYTEA),
            (&key.proof.as_slice(), Type::BYTEA),
            (&version, Type::INT8),
            (&renew_at, Type::INT8),
        ];
        self.ask(sql::POSTPONE, &parameters).await.map(drop)
    }

    pub(super) async fn changes(&self, since: i64) -> Result<Changes, StoreError> {
        let author = self.author.as_slice();
        let parameters: [Parameter<'_>; 3] =
            [(&since, Type::INT8), (&author, Type::BYTEA), (&MOST_CHANGES, Type::INT8)];
        let rows = self.ask(sql::CHANGES, &parameters).await?;
        let mut changes = Changes::default();
        for row in &rows {
            changes.now = row.try_get(0).map_err(|error| told(&error))?;
            if let Some(at) = row.try_get(1).map_err(|error| told(&error))? {
                let session: &[u8] = row.try_get(2).map_err(|error| told(&error))?;
                changes.changed.push((at, changed(session)));
            }
        }
        Ok(changes)
    }

    pub(super) async fn trim_changes(&self, age: Duration) -> Result<(), StoreError> {
        self.ask(sql::TRIM, &[(&micros(age), Type::INT8)]).await.map(drop)
    }

    pub(super) async fn spend(&self, ticket: &TicketId, until: u64) -> Result<bool, StoreError> {
        let until = stored(until);
        let parameters: [Parameter<'_>; 2] = [(&ticket.as_slice(), Type::BYTEA), (&until, Type::INT8)];
        Ok(!self.ask(sql::SPEND, &parameters).await?.is_empty())
    }

    pub(super) async fn trim_spent(&self, now: u64) -> Result<(), StoreError> {
        self.ask(sql::TRIM_SPENT, &[(&stored(now), Type::INT8)]).await.map(drop)
    }

    /// Some engines and poolers do not know NOTIFY; then there is nothing to wake anybody with.
    pub(super) async fn announce(&self) {
        if let Err(error) = self.ask(sql::ANNOUNCE, &[]).await {
            tracing::debug!(%error, "other replicas could not be woken and will look by themselves");
        }
    }

    pub(super) async fn listen(&self, heard: &Notify) {
        self.listener.run(heard).await;
    }

    pub(super) async fn sessions(
        &self,
        which: &Selection<'_>,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<Listed>, StoreError> {
        let (condition, values) = which.condition();
        let (after, limit) = (after.map_or(Vec::new(), |id| id.to_vec()), i64::from(limit));
        let mut parameters: Vec<Parameter<'_>> = values.iter().map(bound).collect();
        parameters.extend::<[Parameter<'_>; 2]>([(&after, Type::BYTEA), (&limit, Type::INT8)]);
        let list = sql::sessions(condition, parameters.len());
        self.ask(&list, &parameters).await?.iter().map(read_listed).collect()
    }

    pub(super) async fn recent(
        &self,
        person: &PersonKey,
        (now, idle): (u64, u64),
        limit: u32,
    ) -> Result<Vec<Listed>, StoreError> {
        let (now, idle, limit) = (stored(now), idle_since(now, idle), i64::from(limit));
        let parameters: [Parameter<'_>; 5] = [
            (&person.issuer, Type::TEXT),
            (&person.subject, Type::TEXT),
            (&now, Type::INT8),
            (&idle, Type::INT8),
            (&limit, Type::INT8),
        ];
        self.ask(sql::RECENT, &parameters).await?.iter().map(read_listed).collect()
    }

    pub(super) async fn profiles(
        &self,
        (now, idle): (u64, u64),
        limit: u32,
    ) -> Result<Vec<Profile>, StoreError> {
        let (now, idle, limit) = (stored(now), idle_since(now, idle), i64::from(limit));
        let parameters: [Parameter<'_>; 3] = [(&now, Type::INT8), (&idle, Type::INT8), (&limit, Type::INT8)];
        self.ask(sql::PROFILES, &parameters).await?.iter().map(read_profile).collect()
    }

    pub(super) async fn people(
        &self,
        username: Option<&str>,
        after: &PersonKey,
        limit: u32,
    ) -> Result<Vec<Person>, StoreError> {
        let limit = i64::from(limit);
        let mut parameters: Vec<Parameter<'_>> =
            vec![(&after.issuer, Type::TEXT), (&after.subject, Type::TEXT), (&limit, Type::INT8)];
        if let Some(name) = &username {
            parameters.push((name, Type::TEXT));
        }
        let people = sql::people(username.is_some());
        self.ask(&people, &parameters).await?.iter().map(read_person).collect()
    }

    pub(super) async fn disable(&self, person: &PersonKey, since: Option<u64>) -> Result<bool, StoreError> {
        let mut parameters: Vec<Parameter<'_>> =
            vec![(&person.issuer, Type::TEXT), (&person.subject, Type::TEXT)];
        let since = since.map(stored);
        let Some(since) = &since else { return Ok(!self.ask(sql::ENABLE, &parameters).await?.is_empty()) };
        parameters.push((since, Type::INT8));
        Ok(!self.ask(sql::DISABLE, &parameters).await?.is_empty())
    }

    pub(super) async fn is_disabled(&self, person: &PersonKey) -> Result<bool, StoreError> {
        let parameters: [Parameter<'_>; 2] = [(&person.issuer, Type::TEXT), (&person.subject, Type::TEXT)];
        Ok(!self.ask(sql::IS_DISABLED, &parameters).await?.is_empty())
    }

    pub(super) async fn fact(&self, name: &str, value: &str) -> Result<String, StoreError> {
        let rows = self.ask(sql::FACT, &[(&name, Type::TEXT), (&value, Type::TEXT)]).await?;
        let kept = rows.first().and_then(|row| row.try_get(0).ok());
        kept.ok_or_else(|| StoreError::Damaged(format!("the fact {name}")))
    }

    pub(super) async fn set_fact(&self, name: &str, value: Option<&str>) -> Result<(), StoreError> {
        match value {
            Some(value) => self.ask(sql::SET_FACT, &[(&name, Type::TEXT), (&value, Type::TEXT)]).await,
            None => self.ask(sql::DROP_FACT, &[(&name, Type::TEXT)]).await,
        }
        .map(drop)
    }

    pub(super) async fn probe(&self) -> Result<(), StoreError> {
        self.ask(sql::PROBE, &[]).await.map(drop)
    }

    /// Sends one statement that may be sent twice, and waits for its rows.
    async fn ask(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Vec<PgRow>, StoreError> {
        let [rows] = self.ask_all([(sql, parameters)]).await?;
        Ok(rows)
    }

    /// Sends statements that may be sent twice as one change, each when the one before is answered, and waits for the rows of
    /// all.
    async fn ask_all<const N: usize>(
        &self,
        questions: [Question<'_>; N],
    ) -> Result<[Vec<PgRow>; N], StoreError> {
        let deadline = sleep(ANSWER_TIME).deadline();
        timeout_at(deadline, self.migrated.get_or_try_init(|| self.migrate(deadline)))
            .await
            .unwrap_or_else(|_| Err(late()))?;
        match self.attempt(&questions, deadline).await {
            Err(Failure::Passing(_)) => self.attempt(&questions, deadline).await,
            outcome => outcome,
        }
        .map_err(|failure| match failure {
            Failure::Passing(error) | Failure::Lasting(error) => error,
        })
    }

    async fn attempt<const N: usize>(
        &self,
        questions: &[Question<'_>; N],
        deadline: Instant,
    ) -> Result<[Vec<PgRow>; N], Failure> {
        let mut client = self.connection(deadline).await.map_err(Failure::Lasting)?;
        match timeout_at(deadline, answers(&mut client, questions)).await {
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(error)) if is_dead(&error) || client.is_closed() => {
                self.give_up(client);
                Err(Failure::Passing(told(&error)))
            }
            Ok(Err(error)) if lost_a_race(&error) => Err(Failure::Passing(told(&error))),
            Ok(Err(error)) => Err(Failure::Lasting(told(&error))),
            Err(_) => {
                self.call_off(client);
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

    /// Gives up a connection that does not answer, and the idle ones with it. A server that waits for a lock takes no notice of a
    /// client that has gone, so it is asked to stop, and there is no new connection in the place of this one until it has.
    fn call_off(&self, client: Object) {
        // Whoever asked on an idle one may have gone before the answer.
        let idle = self.pool.retain(|_, _| false).removed;
        let others: Vec<CancelToken> = idle.iter().map(|other| other.cancel_token()).collect();
        let connector = self.connector.clone();
        let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        while ending.try_join_next().is_some() {}
        ending.spawn(async move {
            let end = async {
                // The answer to nothing comes when all before it has ended.
                let mut ended = pin!(client.simple_query(""));
                // A word that comes before the statement it is about is lost.
                while timeout(WORD_AGAIN, &mut ended).await.is_err() {
                    let _ = client.cancel_token().cancel_query(connector.clone()).await;
                }
            };
            let others = async {
                for other in others {
                    let _ = other.cancel_query(connector.clone()).await;
                }
            };
            let _ = timeout(PATIENCE, async { tokio::join!(end, others) }).await;
            drop(Object::take(client));
        });
    }

    /// Brings the tables up to date. A dropped or failed migration is rolled back, and tried again at the next use.
    async fn migrate(&self, deadline: Instant) -> Result<(), StoreError> {
        let mut client = self.connection(deadline).await?;
        let outcome = timeout_at(deadline, migrate(&mut client)).await.unwrap_or_else(|_| Err(late()));
        if outcome.is_err() {
            self.call_off(client);
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

/// A statement with its parameters.
type Question<'p> = (&'p str, &'p [Parameter<'p>]);

/// The rows that each statement yields. One alone is a transaction by itself.
async fn answers<const N: usize>(
    client: &mut ClientWrapper,
    questions: &[Question<'_>; N],
) -> Result<[Vec<PgRow>; N], tokio_postgres::Error> {
    let mut told = [const { Vec::new() }; N];
    if N == 1 {
        for (rows, (sql, parameters)) in told.iter_mut().zip(questions) {
            *rows = client.query_typed(sql, parameters).await?;
        }
        return Ok(told);
    }
    let change = client.transaction().await?;
    for (rows, (sql, parameters)) in told.iter_mut().zip(questions) {
        *rows = change.query_typed(sql, parameters).await?;
    }
    change.commit().await?;
    Ok(told)
}

/// What is kept of a person, as the first six parameters of a statement.
fn person<'p>(profile: &'p Profile, now: &'p i64) -> [Parameter<'p>; 6] {
    [
        (&profile.issuer, Type::TEXT),
        (&profile.subject, Type::TEXT),
        (&profile.username, Type::TEXT),
        (&profile.name, Type::TEXT),
        (&profile.email, Type::TEXT),
        (now, Type::INT8),
    ]
}

/// A value of a condition as a parameter.
fn bound<'p>(value: &'p Value<'p>) -> Parameter<'p> {
    match value {
        Value::Bytes(bytes) => (bytes, Type::BYTEA),
        Value::Text(text) => (text, Type::TEXT),
        Value::Number(number) => (number, Type::INT8),
    }
}

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
        change.batch_execute(sql::WAIT_BRIEFLY).await?;
        change.query_typed(sql::LOCK, &[(&LOCK_NAME, Type::INT8)]).await?;
        let is_new: bool = change.query_typed_one(sql::IS_NEW, &[]).await?.try_get(0)?;
        if is_new { Ok(0) } else { change.query_typed_one(sql::VERSION, &[]).await?.try_get::<_, i64>(0) }
    };
    let found = steps.await.map_err(|error| told(&error))?;
    let known = stored(MIGRATIONS.len() as u64);
    if found > known {
        return Err(StoreError::TooNew { found, known });
    }
    super::store::tell_of_update(found, known);
    let rest = async {
        for (version, script) in (1_i64..).zip(MIGRATIONS).filter(|(version, _)| *version > found) {
            change.batch_execute(script).await?;
            change.execute_typed(sql::MIGRATED, &[(&version, Type::INT8)]).await?;
        }
        change.commit().await
    };
    rest.await.map_err(|error| told(&error))
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
        // Classes 22 and 54: the server is well, and cannot hold this value, or not in an index.
        return if ["22", "54"].iter().any(|class| answer.code().code().starts_with(class)) {
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
/// How long a server may take to end what is called off, before its place is given to a new connection all the same.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two words to a server that something is called off.
const WORD_AGAIN: Duration = Duration::from_millis(100);
/// How long a connection may lie idle before the network is asked whether it still stands.
const IDLE_TIME: Duration = Duration::from_secs(30);

/// Every schema change, oldest first; the version of each is its place, counted from 1.
const MIGRATIONS: [&str; 5] = [
    include_str!("migrations/postgres/0001_sessions.sql"),
    include_str!("migrations/postgres/0002_changes_and_people.sql"),
    include_str!("migrations/postgres/0003_spent_tickets.sql"),
    include_str!("migrations/postgres/0004_app_tokens.sql"),
    include_str!("migrations/postgres/0005_pairings.sql"),
];
/// The name of the advisory lock of migrations: `foregate` in ASCII.
const LOCK_NAME: i64 = i64::from_be_bytes(*b"foregate");
/// The name of the advisory lock of sweeps.
const SWEEP_LOCK: i64 = LOCK_NAME + 1;
