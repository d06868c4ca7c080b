//! foregate's own app tokens: made, found, remembered for a minute, revoked. Knows neither apps nor rules: whether one
//! counts for a request is decided elsewhere.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::constant_time;
use aws_lc_rs::digest::{SHA256, digest};
use ipnet::IpNet;
use quick_cache::sync::Cache as QuickCache;

use super::store::{
    FoundToken, ListedToken, PersonKey, Selection, SessionKey, StoreError, TokenId, TokenKept, TokenRow,
};
use super::{Sessions, random};
use crate::headers::Person;
use crate::identity::{ACR, AMR, Identity, Profile};
use crate::visit::{AppToken, RANDOM_BYTES};

/// An app token that the store has, with its owner.
#[derive(Debug)]
pub struct KnownToken {
    key: SessionKey,
    /// Who it stands for, as the provider last told of them; `None` if it stands for nobody any more.
    pub person: Option<Arc<Person>>,
    /// The app it is for, as the configuration names it.
    pub app: Box<str>,
    /// From where it counts; from everywhere if there are none.
    pub networks: Box<[IpNet]>,
    /// When it ends, if it does by itself.
    pub expires_at: Option<u64>,
    /// When the provider last told of its owner.
    pub vouched_at: u64,
    last_used: AtomicU64,
    asked_at: u64,
}

/// What a new app token is to be.
#[derive(Debug)]
pub struct NewToken {
    /// Whose it is.
    pub person: PersonKey,
    /// The app it is for, as the configuration names it.
    pub app: String,
    /// What its owner calls it.
    pub name: String,
    /// From where it counts; from everywhere if there are none.
    pub networks: Vec<IpNet>,
    /// When it ends, if it does by itself.
    pub expires_at: Option<u64>,
}

/// What came of a wish for a token.
#[derive(Debug)]
pub enum Made {
    /// It is kept: this is its text, here and nowhere else.
    Token(AppToken),
    /// Its owner has as many as they may have.
    Full,
    /// Its owner may not sign in any more.
    Nobody,
}

/// App tokens in memory, and their uses that the store does not know yet.
#[derive(Debug)]
pub(super) struct TokenMemory {
    known: QuickCache<TokenId, Arc<KnownToken>>,
    used: Mutex<Vec<(TokenId, u64)>>,
}

impl NewToken {
    /// Makes the token, and the row to keep: the text itself is nowhere but in what this returns.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the system gives no random bytes.
    pub fn mint(self, now: u64) -> Result<(AppToken, TokenRow), StoreError> {
        let token = AppToken::from_random(&random::<RANDOM_BYTES>()?).ok_or_else(|| {
            StoreError::Unavailable("the random bytes of the system are not random".to_owned())
        })?;
        let Self { person, app, name, networks, expires_at } = self;
        let key = token_key(&token);
        Ok((token, TokenRow { key, person, app, name, networks, created_at: now, expires_at, last_used: 0 }))
    }
}

impl Sessions {
    /// The token of this text as it was a moment ago, or as the store has it; a new one, or one with another owner, is
    /// known within [`TOKEN_SECONDS`], a revoked one forgotten as an ended session is.
    ///
    /// # Errors
    /// [`StoreError`] if only the store could tell and it cannot be asked.
    pub async fn token(&self, token: &AppToken, now: u64) -> Result<Option<Arc<KnownToken>>, StoreError> {
        let key = token_key(token);
        let known = self.cache.tokens.known.get(&key.id);
        if let Some(known) = known.filter(|known| now.abs_diff(known.asked_at) < TOKEN_SECONDS) {
            let same = constant_time::verify_slices_are_equal(&known.key.proof, &key.proof).is_ok();
            return Ok(same.then_some(known));
        }
        let epoch = self.cache.epoch(&key.id);
        let found = match self.ask(self.store.find_token(&key), now).await {
            Err(StoreError::Damaged(what)) => {
                tracing::error!(error = what, "an app token cannot be read and counts as none");
                None
            }
            found => found?,
        };
        let Some(found) = found else { return Ok(None) };
        let known = Arc::new(self.unpack_token(found, now));
        self.cache.put_token_unless_forgotten(key.id, &known, epoch);
        Ok(Some(known))
    }

    /// Whether [`Sessions::token`] asks nobody about this token.
    pub fn has_token_at_hand(&self, token: &AppToken, now: u64) -> bool {
        let known = self.cache.tokens.known.get(&token_key(token).id);
        known.is_some_and(|known| now.abs_diff(known.asked_at) < TOKEN_SECONDS)
    }

    /// Remembers that a token was used, at most once in 5 minutes; the store learns of it as of uses of sessions.
    pub fn note_token_use(&self, token: &KnownToken, now: u64) {
        let before = token.last_used.load(Ordering::Relaxed);
        if now.saturating_sub(before) < NOTED_SECONDS {
            return;
        }
        let ours = token.last_used.compare_exchange(before, now, Ordering::AcqRel, Ordering::Relaxed);
        if ours.is_ok() {
            self.cache.tokens.note(token.key.id, now);
        }
    }

    /// Tells the store which tokens were used since the last call.
    pub(super) async fn sync_tokens(&self, now: u64) -> Result<(), StoreError> {
        let used = self.cache.tokens.take_used();
        if used.is_empty() {
            return Ok(());
        }
        let told = self.ask(self.store.touch_tokens(&used), now).await;
        if told.is_err() {
            used.into_iter().for_each(|(id, time)| self.cache.tokens.note(id, time));
        }
        told
    }

    /// Makes a token for its owner and keeps its hash, as long as they have fewer than [`MOST_OWN_TOKENS`].
    ///
    /// # Errors
    /// [`StoreError`] if it could not be kept.
    pub async fn make_token(&self, new: NewToken, now: u64) -> Result<Made, StoreError> {
        let (token, row) = new.mint(now)?;
        Ok(match self.ask(self.store.keep_token(&row, MOST_OWN_TOKENS), now).await? {
            TokenKept::Kept => Made::Token(token),
            TokenKept::Full => Made::Full,
            TokenKept::Nobody => Made::Nobody,
        })
    }

    /// Up to `limit` of the app tokens selected, by id.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be asked.
    pub async fn list_tokens(
        &self,
        which: &Selection<'_>,
        limit: u32,
        now: u64,
    ) -> Result<Vec<ListedToken>, StoreError> {
        self.ask(self.store.tokens(which, None, limit), now).await
    }

    /// Revokes the app tokens selected, here at once and on other replicas as soon as they hear of it; says how many.
    ///
    /// # Errors
    /// [`StoreError`] if the store could not be told.
    pub async fn revoke_tokens(&self, which: &Selection<'_>, now: u64) -> Result<usize, StoreError> {
        let gone = self.ask(self.store.revoke_tokens(which), now).await?;
        gone.iter().for_each(|id| self.cache.forget(id));
        self.untold.notify_one();
        Ok(gone.len())
    }

    fn unpack_token(&self, found: FoundToken, now: u64) -> KnownToken {
        let FoundToken { row, profile, vouched_at, disabled } = found;
        let counts = |profile: &Profile| !disabled && self.settings.issuers.contains(&profile.issuer);
        let person = profile.filter(counts).map(|mut profile| {
            // Having a token proves no sign-in, neither how nor when.
            profile.claims.retain(|name, _| name != ACR && name != AMR);
            let profile = Profile { auth_time: 0, asked: None, ..profile };
            let issuer = self.cache.issuer(&profile.issuer);
            let identity = Identity::pack(&profile, issuer, &self.wanted_claims);
            Arc::new(Person::new(identity.sharing(&self.cache.groups)))
        });
        KnownToken {
            key: row.key,
            person,
            app: row.app.into(),
            networks: row.networks.into(),
            expires_at: row.expires_at,
            vouched_at,
            last_used: AtomicU64::new(row.last_used),
            asked_at: now,
        }
    }
}

impl TokenMemory {
    pub(super) fn new() -> Self {
        Self { known: QuickCache::new(MOST_TOKENS), used: Mutex::default() }
    }

    pub(super) fn put(&self, id: TokenId, token: &Arc<KnownToken>) {
        self.known.insert(id, Arc::clone(token));
    }

    pub(super) fn forget(&self, id: &TokenId) {
        self.known.remove(id);
    }

    pub(super) fn forget_all(&self) {
        self.known.clear();
    }

    /// What finds no room is forgotten: it is only when something was last used.
    fn note(&self, id: TokenId, time: u64) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() < MOST_TOKENS {
            used.push((id, time));
        }
    }

    fn take_used(&self) -> Vec<(TokenId, u64)> {
        std::mem::take(&mut *self.used.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The public name of a token, for whoever wants to hear of its end.
pub fn token_id(token: &AppToken) -> TokenId {
    token_key(token).id
}

/// 256 random bits need no slow hash.
fn token_key(token: &AppToken) -> SessionKey {
    let mut proof = [0; 32];
    proof.copy_from_slice(digest(&SHA256, token.expose().as_bytes()).as_ref());
    let mut id = TokenId::default();
    id.copy_from_slice(&proof[..TOKEN_ID_BYTES]);
    SessionKey { id, proof }
}

/// How long what the store said of a token counts, if nothing is heard of it.
pub const TOKEN_SECONDS: u64 = 60;
/// Tokens that one person may have to make another one. Whoever operates foregate may make more.
pub const MOST_OWN_TOKENS: u32 = 50;
/// How exactly it is known when a token was last used.
const NOTED_SECONDS: u64 = 300;
/// Bytes of a public name.
const TOKEN_ID_BYTES: usize = size_of::<TokenId>();
/// Tokens in memory.
const MOST_TOKENS: usize = 10_000;
