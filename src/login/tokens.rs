//! A person's own tokens for backends that ask for them: opened once, and kept for some seconds. Knows no backends.

use std::sync::{Arc, Weak};

use quick_cache::sync::Cache;

use super::Login;
use crate::oidc::Tokens;
use crate::policy::Token;
use crate::secret::Secret;
use crate::session::Session;
use crate::session::store::{SessionId, StoreError};

/// The tokens that were opened lately, by session.
pub(super) struct Opened(Cache<SessionId, Arc<Kept>>);

struct Kept {
    /// The session as it was then: renewed or read anew, it is another one.
    session: Weak<Session>,
    tokens: Tokens,
    at: u64,
}

impl Default for Opened {
    fn default() -> Self {
        Self(Cache::new(MOST_KEPT))
    }
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Login {
    /// A token of a session that lives; `None` if there is none that can be opened.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be asked.
    pub async fn token(
        &self,
        session: &Arc<Session>,
        token: Token,
        now: u64,
    ) -> Result<Option<Secret>, StoreError> {
        let id = session.handle().id();
        let fresh = |kept: &Arc<Kept>| {
            std::ptr::eq(kept.session.as_ptr(), Arc::as_ptr(session))
                && now.saturating_sub(kept.at) < KEEP_SECONDS
        };
        if let Some(kept) = self.opened.0.get(&id).filter(fresh) {
            return Ok(Some(kept.token(token)));
        }
        let Some(json) = self.sessions.tokens(session, now).await? else { return Ok(None) };
        let Ok(tokens) = Tokens::from_json(&json) else { return Ok(None) };
        let kept = Arc::new(Kept { session: Arc::downgrade(session), tokens, at: now });
        let found = kept.token(token);
        self.opened.0.insert(id, kept);
        Ok(Some(found))
    }
}

impl Kept {
    fn token(&self, token: Token) -> Secret {
        match token {
            Token::Access => self.tokens.access_token.clone(),
            Token::Id => self.tokens.id_token.clone(),
        }
    }
}

/// Sessions whose tokens are kept open at a time.
const MOST_KEPT: usize = 1000;
/// For how long, in seconds.
const KEEP_SECONDS: u64 = 30;
