//! Sessions: opaque handles in browsers, hashed rows in a store, a bounded cache in front. Knows no requests,
//! rules or providers.

mod app_tokens;
mod cache;
pub mod examine;
mod follow;
mod guesses;
mod names;
mod operate;
mod outage;
mod pairing;
#[cfg(feature = "postgres")]
mod postgres;
mod records;
mod renewal;
#[cfg(feature = "sqlite")]
mod sqlite;
pub mod store;
mod tokens;
mod told;
mod upkeep;
mod watch;
mod who;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::{constant_time, rand};
use tokio::sync::{Notify, OnceCell};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::browser::{NONCE_BYTES, Purpose, Sealer};
use crate::headers::Person;
use crate::identity::{Identity, Profile};
use crate::metrics::Metrics;
use crate::secret::Secret;
use crate::visit::{Credential, HANDLE_BYTES, SessionHandle};
pub use app_tokens::{KnownToken, MOST_OWN_TOKENS, Made, NewToken, TOKEN_SECONDS, token_id};
use cache::Cache;
use guesses::Guesses;
pub use names::{IdPrefix, NoName, name_of, parse_name};
pub use outage::KEYS_FACT;
use outage::Outage;
pub use pairing::{Codes, NewPairing, PAIRING_TIME, POLL_EVERY, Polled, Tried, UserCode};
use renewal::Renewals;
pub use renewal::{Due, Lease, Renewed};
use store::{ANSWER_TIME, Admission, Location, Row, SessionKey, SessionStore, StoreError, TicketId, TokenId};
pub use upkeep::SYNC_EVERY;
pub use watch::Watch;
pub use who::{Meant, Who};

/// How sessions are kept and for how long.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the rows are.
    pub location: Location,
    /// The issuers whose people count; sessions of others are left over from another configuration.
    pub issuers: Vec<String>,
    /// The keys that seal tokens and sign-ins, newest first.
    pub keys: Vec<Secret>,
    /// A session not used for this long ends.
    pub idle: Duration,
    /// A session this old ends.
    pub lifetime: Duration,
    /// How long cached sessions count while the store cannot be reached.
    pub outage_grace: Duration,
    /// How often to look for what other replicas ended, where nobody tells.
    pub poll: Duration,
    /// How many sessions are kept in memory.
    pub cache_sessions: usize,
    /// How long an app token counts whose owner is not heard of from the provider.
    pub owner_absence: Duration,
}

/// A live session as the decision sees it.
#[derive(Debug)]
pub struct Session {
    handle: SessionHandle,
    /// Who it is.
    pub person: Arc<Person>,
    /// When the sign-in finished, in Unix seconds.
    pub created_at: u64,
    expires_at: u64,
    last_seen: AtomicU64,
    /// When the tokens want renewing; the end of time if they cannot be.
    renew_at: AtomicU64,
    /// How often they have been.
    version: u64,
    /// Whether the store is still to be told of a use.
    noted: AtomicBool,
    /// By which settings its row was read.
    era: u64,
}

/// What a sign-in hands over to be kept.
#[derive(Debug)]
pub struct NewSession {
    /// Who signed in.
    pub profile: Profile,
    /// The provider's own session, if it names one.
    pub sid: Option<String>,
    /// The tokens, as bytes that only their owner reads.
    pub tokens: Zeroizing<Vec<u8>>,
    /// When they want renewing, in Unix seconds, if they can be renewed.
    pub renew_at: Option<u64>,
    /// The address the sign-in came from.
    pub client: String,
    /// The browser, as it names itself.
    pub user_agent: String,
}

/// What came of a sign-in.
#[derive(Debug)]
pub enum Created {
    /// A session, with the handle for the browser.
    Kept(SessionHandle),
    /// None: this person may not sign in here.
    Disabled,
}

/// A session that has ended, with what it held.
#[derive(Debug)]
pub struct Ended {
    /// Who it was.
    pub profile: Profile,
    /// The tokens, if the handle that ended it opens them.
    pub tokens: Option<Zeroizing<Vec<u8>>>,
}

/// All sessions of this foregate, by the settings of one configuration.
#[derive(Debug)]
pub struct Sessions {
    store: Arc<SessionStore>,
    cache: Arc<Cache>,
    sealer: Arc<Sealer>,
    settings: Settings,
    wanted_claims: Vec<String>,
    metrics: Arc<Metrics>,
    /// Whether the store goes on vouching for what is in memory.
    outage: Arc<Outage>,
    /// Whether all on this store have the same keys, once that is known.
    agreed: Arc<OnceCell<()>>,
    /// Something changed that others are to be told of.
    untold: Arc<Notify>,
    renewals: Arc<Renewals>,
    guesses: Arc<Guesses>,
    /// Counts the settings by which a row may be no session, or another person. A session in memory that was read by others
    /// is read anew.
    era: u64,
}

impl Sessions {
    /// Opens the store, which need not be there yet. Of a person's further claims only `wanted_claims` are kept
    /// at hand.
    ///
    /// # Errors
    /// [`StoreError`] if the location can never work.
    pub fn open(
        settings: Settings,
        sealer: Arc<Sealer>,
        wanted_claims: Vec<String>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            store: Arc::new(SessionStore::open(&settings.location)?),
            cache: Arc::new(Cache::new(settings.cache_sessions)),
            sealer,
            settings,
            wanted_claims,
            metrics,
            outage: Arc::default(),
            agreed: Arc::default(),
            untold: Arc::default(),
            renewals: Arc::default(),
            guesses: Arc::default(),
            era: 0,
        })
    }

    /// The same sessions by other settings, of which the store, its keys and the size of the memory stay as they are.
    #[must_use]
    pub fn anew(&self, settings: Settings, wanted_claims: Vec<String>) -> Self {
        let same = settings.issuers == self.settings.issuers && wanted_claims == self.wanted_claims;
        Self {
            store: Arc::clone(&self.store),
            cache: Arc::clone(&self.cache),
            sealer: Arc::clone(&self.sealer),
            settings,
            wanted_claims,
            metrics: Arc::clone(&self.metrics),
            outage: Arc::clone(&self.outage),
            agreed: Arc::clone(&self.agreed),
            untold: Arc::clone(&self.untold),
            renewals: Arc::clone(&self.renewals),
            guesses: Arc::clone(&self.guesses),
            era: self.era + u64::from(!same),
        }
    }

    /// The session behind a handle, if it lives; finding it is no use of it. A cached one costs no I/O, unless its tokens are overdue.
    ///
    /// # Errors
    /// [`StoreError`] if only the store could tell and it cannot be asked, or has been silent for longer than
    /// `outage_grace`.
    pub async fn find(&self, handle: &SessionHandle, now: u64) -> Result<Option<Arc<Session>>, StoreError> {
        match self.cache.get(&handle.id()) {
            Some(session) if !session.is(handle) => Ok(None),
            Some(session) if session.era == self.era && session.lives(now, &self.settings) => {
                self.check_grace(now)?;
                self.metrics.cache_hits.inc();
                if now < session.renew_at.load(Ordering::Relaxed) {
                    return Ok(Some(session));
                }
                Box::pin(self.renewed(session, now)).await
            }
            // One that has been idle here may have been in use on another replica, and other settings may know more of it.
            // Boxed, so that a hit does not pay
            // for the size of a store's answer.
            Some(_) | None => Box::pin(self.load(handle, now)).await,
        }
    }

    /// The first session that lives of those a credential shows, as a neighbour may have set a cookie of the same name:
    /// those in memory first, then the others, all together in the time that one may take.
    ///
    /// # Errors
    /// As [`Sessions::find`], if none is found to live.
    pub async fn find_any(
        &self,
        credential: &Credential,
        now: u64,
    ) -> Result<Option<Arc<Session>>, StoreError> {
        let Credential::Session(first, others) = credential else { return Ok(None) };
        if others.is_empty() {
            return self.find(first, now).await;
        }
        // Boxed, as hardly anybody has two: the one handle of all others does not pay for it.
        Box::pin(self.find_among(first, others, now)).await
    }

    async fn find_among(
        &self,
        first: &SessionHandle,
        others: &[SessionHandle],
        now: u64,
    ) -> Result<Option<Arc<Session>>, StoreError> {
        let mut handles: Vec<&SessionHandle> = std::iter::once(first).chain(others).collect();
        handles.sort_by_key(|handle| self.cache.get(&handle.id()).is_none());
        let search = async {
            let mut silent = None;
            for handle in handles {
                match self.find(handle, now).await {
                    Ok(Some(session)) => return Ok(Some(session)),
                    Ok(None) => {}
                    Err(error) => silent = Some(error),
                }
            }
            silent.map_or(Ok(None), Err)
        };
        let found = timeout(ANSWER_TIME + renewal::LONGEST_WAIT, search).await;
        found.unwrap_or_else(|_| Err(StoreError::Unavailable("no answer in time".to_owned())))
    }

    async fn load(&self, handle: &SessionHandle, now: u64) -> Result<Option<Arc<Session>>, StoreError> {
        self.metrics.cache_misses.inc();
        match self.find_anew(handle, now).await? {
            Some(session) if now >= session.renew_at.load(Ordering::Relaxed) => {
                Box::pin(self.renewed(session, now)).await
            }
            found => Ok(found),
        }
    }

    /// The session behind a handle as the store has it, if it lives.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be asked.
    pub async fn find_anew(
        &self,
        handle: &SessionHandle,
        now: u64,
    ) -> Result<Option<Arc<Session>>, StoreError> {
        let epoch = self.cache.epoch(&handle.id());
        let key = key_of(handle);
        let row = match self.ask(self.store.find(&key, now, self.settings.idle.as_secs()), now).await {
            Ok(row) => row,
            Err(StoreError::Damaged(what)) => {
                tracing::error!(error = what, "a session row cannot be read and counts as no session");
                None
            }
            Err(error @ (StoreError::Unavailable(_) | StoreError::TooNew { .. } | StoreError::OtherKeys)) => {
                return Err(error);
            }
        };
        let Some(row) = row.filter(|row| self.settings.issuers.contains(&row.profile.issuer)) else {
            return Ok(None);
        };
        let session = Arc::new(self.unpack(handle, &row));
        self.cache.put_unless_forgotten(&session, epoch);
        Ok(Some(session))
    }

    /// Remembers that a session was used; the store learns of it within [`SYNC_EVERY`].
    pub fn note_use(&self, session: &Arc<Session>, now: u64) {
        self.cache.note_use(session, now);
    }

    /// An eye on the sessions that a credential shows, and on an app token: it has news when one of them may have ended or
    /// changed.
    pub fn watch(&self, credential: &Credential, token: Option<TokenId>) -> Watch {
        self.cache.watchers.watch(credential, token)
    }

    /// Has everybody look again who watches, whatever they watch: when the rules have changed.
    pub fn have_all_look(&self) {
        self.cache.watchers.wake_all();
    }

    /// Keeps a new session, unless the person is disabled. The row is committed when this returns.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be kept.
    pub async fn create(&self, new: NewSession, now: u64) -> Result<Created, StoreError> {
        let handle = SessionHandle(random()?);
        let tokens =
            self.sealer.seal(Purpose::Tokens, handle.secret(), &new.tokens, random::<NONCE_BYTES>()?);
        let row = Row {
            key: key_of(&handle),
            profile: new.profile,
            sid: new.sid,
            created_at: now,
            last_seen: now,
            expires_at: now.saturating_add(self.settings.lifetime.as_secs()),
            renew_at: new.renew_at,
            version: 0,
            tokens,
            client: new.client,
            user_agent: new.user_agent,
        };
        let epoch = self.cache.epoch(&row.key.id);
        match self.ask(self.store.insert(&row), now).await? {
            Admission::Kept => {}
            Admission::Disabled => return Ok(Created::Disabled),
        }
        self.metrics.sessions_created.inc();
        self.cache.put_unless_forgotten(&Arc::new(self.unpack(&handle, &row)), epoch);
        Ok(Created::Kept(handle))
    }

    /// Ends one session, here at once and on other replicas as soon as they hear of it, at the latest after
    /// `settings.poll`.
    ///
    /// # Errors
    /// [`StoreError`] if the store did not say that it ended; should it have all the same, that is found in the log.
    pub async fn end(&self, handle: &SessionHandle, now: u64) -> Result<Option<Ended>, StoreError> {
        let removed = self.ask(self.store.remove(&key_of(handle)), now).await;
        let row = match removed {
            Err(StoreError::Damaged(_)) => None,
            removed => removed?,
        };
        self.cache.forget(&handle.id());
        self.untold.notify_one();
        let Some(row) = row else { return Ok(None) };
        self.metrics.sessions_ended.inc();
        let tokens = self.sealer.open(Purpose::Tokens, handle.secret(), &row.tokens);
        Ok(Some(Ended { profile: row.profile, tokens }))
    }

    /// Uses a ticket up that counts until `until`; `false` if that has been done before, here or elsewhere.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be asked; the ticket then counts for nothing.
    pub async fn spend(&self, ticket: &TicketId, until: u64, now: u64) -> Result<bool, StoreError> {
        self.ask(self.store.spend(ticket, until), now).await
    }

    /// For how many seconds a session will go on if nobody uses it any more.
    pub fn left(&self, session: &Session, now: u64) -> u64 {
        let idle = session.last_seen().saturating_add(self.settings.idle.as_secs());
        session.expires_at.min(idle).saturating_sub(now)
    }

    /// The claims that rules and headers read beside the usual ones.
    pub fn wanted_claims(&self) -> &[String] {
        &self.wanted_claims
    }

    /// How long an app token counts whose owner is not heard of from the provider.
    pub fn owner_absence(&self) -> Duration {
        self.settings.owner_absence
    }

    /// How long a new session's cookie lives.
    pub fn lifetime(&self) -> Duration {
        self.settings.lifetime
    }

    fn unpack(&self, handle: &SessionHandle, row: &Row) -> Session {
        let issuer = self.cache.issuer(&row.profile.issuer);
        let identity = Identity::pack(&row.profile, issuer, &self.wanted_claims);
        Session {
            handle: handle.clone(),
            person: Arc::new(Person::new(identity.sharing(&self.cache.groups))),
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_seen: AtomicU64::new(row.last_seen),
            renew_at: AtomicU64::new(row.renew_at.unwrap_or(u64::MAX)),
            version: row.version,
            noted: AtomicBool::new(false),
            era: self.era,
        }
    }
}

impl Session {
    /// The value of its cookie.
    pub fn handle(&self) -> &SessionHandle {
        &self.handle
    }

    /// When it was last used, in Unix seconds.
    pub fn last_seen(&self) -> u64 {
        self.last_seen.load(Ordering::Relaxed)
    }

    /// Whether `handle` is this session's, compared in constant time.
    fn is(&self, handle: &SessionHandle) -> bool {
        constant_time::verify_slices_are_equal(&self.handle.0, &handle.0).is_ok()
    }

    fn lives(&self, now: u64, settings: &Settings) -> bool {
        now < self.expires_at
            && now.saturating_sub(self.last_seen.load(Ordering::Relaxed)) < settings.idle.as_secs()
    }
}

/// Random bytes from the system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes)
        .map_err(|_| StoreError::Unavailable("the system gives no random bytes".to_owned()))?;
    Ok(bytes)
}

fn key_of(handle: &SessionHandle) -> SessionKey {
    let mut proof = [0; 32];
    proof.copy_from_slice(digest(&SHA256, &handle.0[..HANDLE_BYTES]).as_ref());
    SessionKey { id: handle.id(), proof }
}
