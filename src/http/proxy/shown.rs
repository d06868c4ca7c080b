//! What the backend is shown as `Authorization`. Knows no other headers.

use std::sync::Arc;

use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};

use super::super::{Site, unix_now};
use crate::headers::Person;
use crate::identity::Field;
use crate::policy::{Authorization, Grant, Token};
use crate::secret::Secret;
use crate::session::Session;
use crate::session::store::StoreError;
use crate::visit::Credential;

/// What becomes of the visitor's own line.
#[derive(Debug)]
pub(super) enum Shown {
    /// It travels on.
    AsSent,
    /// This stands in its place, or nothing.
    Instead(Option<HeaderValue>),
}

impl Shown {
    /// What the app wants its backend to see of this visitor.
    ///
    /// # Errors
    /// [`StoreError`] if it is a token that cannot be asked for.
    pub(super) async fn to(
        site: &Site,
        grant: &Grant<'_>,
        credential: &Credential,
    ) -> Result<Self, StoreError> {
        match grant.app().route.as_ref().map(|route| &route.authorization) {
            None | Some(Authorization::Keep) => Ok(Self::AsSent),
            Some(Authorization::Remove) => Ok(Self::Instead(None)),
            Some(Authorization::Fixed(words)) => Ok(Self::Instead(secret(words.expose()))),
            // Boxed, so that all others do not pay for the size of a store's answer.
            Some(Authorization::Token(token)) => Box::pin(Self::token(site, grant, credential, *token)).await,
        }
    }

    /// The token of the session that the visitor was let in by; nothing for nobody in particular, or for a program, whose
    /// own token let it in.
    async fn token(
        site: &Site,
        grant: &Grant<'_>,
        credential: &Credential,
        token: Token,
    ) -> Result<Self, StoreError> {
        if grant.person().is_none() || grant.by_token() {
            return Ok(Self::Instead(None));
        }
        let now = unix_now();
        let found = site.sessions.find_any(credential, now).await?;
        let theirs = |session: &Arc<Session>| grant.person().is_some_and(|who| is_same(who, &session.person));
        let Some(session) = found.filter(theirs) else {
            return Ok(Self::Instead(None));
        };
        let token: Option<Secret> = site.login.token(&session, token, now).await?;
        Ok(Self::Instead(token.and_then(|token| secret(&format!("Bearer {}", token.expose())))))
    }

    pub(super) fn set_in(self, headers: &mut HeaderMap) {
        let Self::Instead(value) = self else { return };
        headers.remove(AUTHORIZATION);
        if let Some(value) = value {
            headers.insert(AUTHORIZATION, value);
        }
    }
}

/// Whether two are one person. Whoever was let in is in a tenant, as the request asked; a session is in none, and its tokens are
/// the person's in all of them.
fn is_same(one: &Person, other: &Person) -> bool {
    fn who(person: &Person) -> (&str, &str) {
        (person.identity().issuer(), person.identity().field(Field::Subject))
    }
    who(one) == who(other)
}

/// A value that no log shows.
fn secret(words: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(words).ok()?;
    value.set_sensitive(true);
    Some(value)
}
