//! Sessions whose tokens want renewing: noticed at a use, done by whoever knows the provider, once for all requests
//! here and, by a lease, for all replicas. Knows no provider.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use zeroize::Zeroizing;

use super::store::{Claim, Row, SessionId, StoreError};
use super::{Session, Sessions, key_of, random};
use crate::browser::{NONCE_BYTES, Purpose};
use crate::identity::Profile;

/// A session whose tokens want renewing. Those who wait for it go on when this is dropped.
#[derive(Debug)]
pub struct Due {
    /// The session.
    pub session: Arc<Session>,
    under_way: UnderWay,
    _done: watch::Sender<()>,
}

/// The right to renew the tokens of one session, and what they are.
#[derive(Debug)]
pub struct Lease {
    row: Box<Row>,
    /// When it was given, by the store's own clock: the provider is asked after that.
    pub at: u64,
    /// The tokens, as the sign-in kept them.
    pub tokens: Zeroizing<Vec<u8>>,
}

impl Lease {
    /// The provider's own session, as the sign-in or the last renewal named it.
    pub fn sid(&self) -> Option<&str> {
        self.row.sid.as_deref()
    }

    /// Who it was until now, with the provider's own session.
    pub fn as_before(&self) -> (Profile, Option<String>) {
        (self.row.profile.clone(), self.row.sid.clone())
    }
}

/// What a renewal brought.
#[derive(Debug)]
pub struct Renewed {
    /// Who it is now.
    pub profile: Profile,
    /// The provider's own session.
    pub sid: Option<String>,
    /// The new tokens.
    pub tokens: Zeroizing<Vec<u8>>,
    /// When they want renewing, in Unix seconds, if they can be.
    pub renew_at: Option<u64>,
    /// When the provider told who it is, by the store's own clock; nothing if this is who it was.
    pub told_at: Option<u64>,
}

/// The renewals that wait or are under way.
#[derive(Debug)]
pub(super) struct Renewals {
    under_way: UnderWay,
    queue: mpsc::Sender<Due>,
    waiting: Mutex<Option<mpsc::Receiver<Due>>>,
}

type UnderWay = Arc<Mutex<HashMap<SessionId, watch::Receiver<()>>>>;

impl Default for Renewals {
    fn default() -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        Self { under_way: UnderWay::default(), queue, waiting: Mutex::new(Some(waiting)) }
    }
}

impl Renewals {
    /// Sees to it that a session is renewed, and hands out what ends when it is; `None` if nobody can see to it now.
    fn begin(&self, session: &Arc<Session>) -> Option<watch::Receiver<()>> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let id = session.handle.id();
        if let Some(done) = under_way.get(&id) {
            return Some(done.clone());
        }
        let place = self.queue.try_reserve().ok()?;
        let (sender, done) = watch::channel(());
        under_way.insert(id, done.clone());
        drop(under_way);
        let under_way = Arc::clone(&self.under_way);
        place.send(Due { session: Arc::clone(session), under_way, _done: sender });
        Some(done)
    }
}

impl Drop for Due {
    fn drop(&mut self) {
        let id = self.session.handle.id();
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

impl Sessions {
    /// The sessions to renew, for the one who does it. Handed out once.
    pub fn due(&self) -> Option<mpsc::Receiver<Due>> {
        self.renewals.waiting.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The session with new tokens. One that is only just due goes on as it is while they are fetched; one that is
    /// long overdue waits, as its groups may be long out of date.
    pub(super) async fn renewed(
        &self,
        session: Arc<Session>,
        now: u64,
    ) -> Result<Option<Arc<Session>>, StoreError> {
        let Some(mut done) = self.renewals.begin(&session) else { return Ok(Some(session)) };
        let overdue = now.saturating_sub(session.renew_at.load(Ordering::Relaxed));
        if overdue < PATIENCE_SECONDS {
            return Ok(Some(session));
        }
        // Nothing is ever sent: it ends, or takes too long for a visitor.
        if tokio::time::timeout(LONGEST_WAIT, done.changed()).await.is_err() {
            return Ok(Some(session));
        }
        let handle = &session.handle;
        match self.cache.get(&handle.id()) {
            Some(session) if session.is(handle) && session.lives(now, &self.settings) => Ok(Some(session)),
            Some(_) | None => self.find_anew(handle, now).await,
        }
    }

    /// Asks to be the only one who renews a session, on any replica; `None` if nobody needs to any more, another one
    /// does it, or it has been put off.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be asked.
    pub async fn lease(&self, session: &Session, now: u64) -> Result<Option<Lease>, StoreError> {
        let key = key_of(&session.handle);
        for pause in PAUSES {
            match self.ask(self.store.claim(&key, session.version, LEASE), now).await? {
                Claim::Ours(row, at) => return self.opened(session, (row, at), now).await,
                // Another replica is at it: what it brings is wanted here too.
                Claim::Taken => tokio::time::sleep(pause).await,
                Claim::Done | Claim::Gone => break,
            }
        }
        // The next use finds in the store what came of it.
        self.cache.forget(&session.handle.id());
        Ok(None)
    }

    async fn opened(
        &self,
        session: &Session,
        (row, at): (Box<Row>, u64),
        now: u64,
    ) -> Result<Option<Lease>, StoreError> {
        let secret = session.handle.secret();
        let Some(tokens) = self.sealer.open(Purpose::Tokens, secret, &row.tokens) else {
            // Another replica may have the key, as long as keys are being changed.
            let due = row.renew_at.unwrap_or(now);
            if now.saturating_sub(due) < KEYS_CHANGE_SECONDS {
                return Err(StoreError::Damaged("the tokens of a session do not open".to_owned()));
            }
            tracing::warn!("a session ends, as its tokens do not open with session.keys");
            self.end(&session.handle, now).await?;
            return Ok(None);
        };
        let lease = Lease { row, at, tokens };
        if let Some(later) = lease.row.renew_at.filter(|renew_at| *renew_at > now) {
            // Another replica has put it off.
            self.put_off(session, Some(&lease), later, now).await?;
            return Ok(None);
        }
        Ok(Some(lease))
    }

    /// Keeps what a renewal brought, here and for all replicas, which find it by themselves. A session that has ended meanwhile stays so.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be kept; [`StoreError::Damaged`] if it never can.
    pub async fn keep_renewed(
        &self,
        session: &Session,
        lease: &Lease,
        renewed: Renewed,
        now: u64,
    ) -> Result<(), StoreError> {
        let id = session.handle.id();
        let secret = session.handle.secret();
        let tokens = self.sealer.seal(Purpose::Tokens, secret, &renewed.tokens, random::<NONCE_BYTES>()?);
        let row = Row {
            profile: renewed.profile,
            sid: renewed.sid,
            tokens,
            renew_at: renewed.renew_at,
            version: lease.row.version + 1,
            // A renewal is no use of the session.
            last_seen: lease.row.last_seen.max(session.last_seen()),
            ..Row::clone(&lease.row)
        };
        let epoch = self.cache.epoch(&id);
        if self.insist(&row, renewed.told_at, now).await? {
            self.metrics.sessions_renewed.inc();
            self.cache.put_unless_forgotten(&Arc::new(self.unpack(&session.handle, &row)), epoch);
            self.cache.watchers.wake(&id);
        } else {
            self.cache.forget(&id);
        }
        Ok(())
    }

    /// Keeps a renewed row, also if the store is silent for a while: what it holds is nowhere else, and the old refresh
    /// token may be used up. A row that was kept although the answer was lost is left as it is.
    async fn insist(&self, row: &Row, told_at: Option<u64>, now: u64) -> Result<bool, StoreError> {
        let mut outcome = self.ask(self.store.renew(row, told_at), now).await;
        for _ in 0..INSISTENCE {
            let Err(StoreError::Unavailable(_)) = outcome else { break };
            tokio::time::sleep(Duration::from_secs(1)).await;
            outcome = self.ask(self.store.renew(row, told_at), now).await;
        }
        outcome
    }

    /// Whether a session is still as it was leased: nobody has renewed or ended it since.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be asked.
    pub async fn is_as_leased(&self, lease: &Lease, now: u64) -> Result<bool, StoreError> {
        let found = self.ask(self.store.find(&lease.row.key, now, u64::MAX), now).await?;
        Ok(found.is_some_and(|row| row.version == lease.row.version))
    }

    /// Puts a renewal off that did not succeed, for this process and, if there is a lease, for all.
    ///
    /// # Errors
    /// [`StoreError`] if the store could not be told; the lease then ends by itself.
    pub async fn put_off(
        &self,
        session: &Session,
        lease: Option<&Lease>,
        until: u64,
        now: u64,
    ) -> Result<(), StoreError> {
        session.renew_at.store(until, Ordering::Relaxed);
        let Some(lease) = lease else { return Ok(()) };
        self.ask(self.store.postpone(&lease.row.key, lease.row.version, until), now).await
    }
}

/// Renewals that may wait at a time; beyond them sessions go on as they are.
const QUEUE: usize = 1024;
/// A session overdue for less than this goes on as it is while its tokens are fetched.
const PATIENCE_SECONDS: u64 = 5;
/// How long a request waits for new tokens at most.
pub(super) const LONGEST_WAIT: Duration = Duration::from_millis(2500);
/// How long one replica may take; longer than all that it has to ask the provider.
const LEASE: Duration = Duration::from_secs(30);
/// How long it may take until all replicas have the same keys.
const KEYS_CHANGE_SECONDS: u64 = 600;
/// Between looks at what another replica does; after the last one a use may ask again.
const PAUSES: [Duration; 6] = [
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
    Duration::from_millis(1600),
];
/// How often to try to keep what a renewal brought, a second apart: longer than a failover takes.
const INSISTENCE: u32 = 60;
