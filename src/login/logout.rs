//! Sign-outs that come from the provider: a logout token, or a frame in a browser. Knows no HTTP and no rules.

use std::sync::PoisonError;

use super::{Farewell, Login, Named, expect};
use crate::journal::Somebody;
use crate::jwt::{KeysError, Kind, LOGOUT_LIFETIME, LogoutToken, TokenError, UnverifiedIssuer};
use crate::oidc::{ProviderError, Rules};
use crate::session::store::{Selection, StoreError, Told};
use crate::visit::SessionHandle;

/// Why a logout token ended nothing.
#[derive(Debug, thiserror::Error)]
pub enum NotEnded {
    /// The token is not the provider's, not for us, or not of this kind.
    #[error(transparent)]
    Token(TokenError),
    /// The provider's metadata cannot be had, so that nobody can tell.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// Nor its keys.
    #[error("no keys to check the token with: {0}")]
    Keys(KeysError),
    /// The sessions could not be ended.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Login {
    /// Ends every session that a logout token names (OpenID Connect Back-Channel Logout 1.0), and says whose and how many: the
    /// one of its `sid`, or else all of its `sub`. A token heard before ends nothing more, and none ends a session that
    /// began later than a minute after it was issued.
    ///
    /// # Errors
    /// [`NotEnded`]; only after [`NotEnded::Token`] there is no use in another try.
    pub async fn end_told(&self, token: &str, now: u64) -> Result<(Somebody, u64), NotEnded> {
        let (at, rules) = self.sender(&UnverifiedIssuer::read(token)?, now).await?;
        let claims = at.keys.verify(token, &expect(&rules, Kind::Logout), now).await?;
        let told = LogoutToken::read(&claims)?;
        // Sessions have this one of its names, whichever the token has.
        let issuer = at.issuer();
        let is_known = self.heard.lock().unwrap_or_else(PoisonError::into_inner).holds(issuer, &told.id, now);
        if is_known {
            tracing::debug!(issuer, "a logout token came once more");
            return Ok((Somebody::default(), 0));
        }
        let until = told.issued_at.saturating_add(BEGUN_AFTER);
        let (sid, subject) = (told.sid.as_deref(), told.subject.as_deref());
        let named = Selection::Told(Told { issuer, sid, subject, begun_until: until });
        let sessions = self.sessions.end_selected(&named, now).await?;
        // Only now: one that could not be obeyed will be sent again.
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.keep(issuer, &told.id, told.issued_at.saturating_add(LOGOUT_LIFETIME), now);
        tracing::info!(issuer, subject, sid, sessions, "the provider signed somebody out, by a logout token");
        let subject = told.subject.unwrap_or_default();
        Ok((Somebody { user: String::new(), issuer: issuer.to_owned(), subject }, sessions))
    }

    /// The provider that a token says it is from, and what its tokens must be like. Refuses the token of a stranger before
    /// anybody is asked for keys.
    async fn sender(&self, issuer: &UnverifiedIssuer, now: u64) -> Result<(&Named, Rules), NotEnded> {
        let found = issuer.as_str();
        if let Some(at) = self.providers.of_issuer(found) {
            return Ok((at, at.provider.keys_and_rules(now).await?));
        }
        // Another name, which only its own document tells.
        for at in self.providers.iter().filter(|at| at.may_have_other_names()) {
            let rules = at.provider.keys_and_rules(now).await?;
            if rules.issuers.iter().any(|issuer| issuer == found) {
                return Ok((at, rules));
            }
        }
        let known: Vec<&str> = self.providers.iter().map(Named::issuer).collect();
        let found = found.chars().take(200).collect();
        Err(NotEnded::Token(TokenError::Issuer { expected: known.join(" or "), found }))
    }

    /// Ends the session behind a handle if it is the one that the provider calls so (Front-Channel Logout 1.0, 3).
    ///
    /// # Errors
    /// [`StoreError`] if the store could not tell or be told.
    pub async fn end_if_of(
        &self,
        handle: &SessionHandle,
        (issuer, sid): (&str, &str),
        now: u64,
    ) -> Result<Option<Farewell>, StoreError> {
        if !self.sessions.is_of(handle, issuer, sid, now).await? {
            return Ok(None);
        }
        let farewell = self.end(handle, now).await?;
        if let Some(farewell) = &farewell {
            let user = &farewell.who.user;
            tracing::info!(issuer, user, sid, "the provider signed somebody out, by a frame in the browser");
        }
        Ok(farewell)
    }
}

impl From<TokenError> for NotEnded {
    fn from(error: TokenError) -> Self {
        if let TokenError::NoKeys(error) = error { Self::Keys(error) } else { Self::Token(error) }
    }
}

/// How many seconds after a token was issued a session may have begun that it ends, as clocks differ.
const BEGUN_AFTER: u64 = 60;
