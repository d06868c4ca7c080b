//! Ending and listing sessions by other means than their handle: for people, operators and providers.

use std::collections::HashSet;

use super::Sessions;
use super::store::{Listed, Person, PersonKey, REMOVED_AT_ONCE, Selection, SessionId, StoreError};
use crate::identity::Profile;

impl Sessions {
    /// Ends every session selected, here at once and on other replicas as soon as they hear of it; says how many.
    ///
    /// # Errors
    /// [`StoreError`] if the store could not be told; some of the sessions may then still live.
    pub async fn end_selected(&self, which: &Selection<'_>, now: u64) -> Result<u64, StoreError> {
        let mut ended = 0;
        loop {
            // What ended although the answer was lost is found in the log, as what others end.
            let gone = self.ask(self.store.remove_some(which), now).await?;
            gone.iter().for_each(|id| self.cache.forget(id));
            self.untold.notify_one();
            self.metrics.sessions_ended.inc_by(gone.len() as u64);
            ended += gone.len() as u64;
            if gone.len() < REMOVED_AT_ONCE {
                return Ok(ended);
            }
        }
    }

    /// Up to `limit` of the sessions selected, those behind `after` only.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be asked.
    pub async fn list(
        &self,
        which: &Selection<'_>,
        after: Option<SessionId>,
        limit: u32,
        now: u64,
    ) -> Result<Vec<Listed>, StoreError> {
        self.ask(self.store.sessions(which, after, limit), now).await
    }

    /// Up to `limit` of a person's sessions that live, those used last first.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be asked.
    pub async fn recent(&self, person: &PersonKey, limit: u32, now: u64) -> Result<Vec<Listed>, StoreError> {
        let idle = self.settings.idle.as_secs();
        self.ask(self.store.recent(person, (now, idle), limit), now).await
    }

    /// Up to `limit` of the people who have sessions that live, each once, as their last sign-in or renewal told.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be asked.
    pub async fn present(&self, limit: u32, now: u64) -> Result<Vec<Profile>, StoreError> {
        let idle = self.settings.idle.as_secs();
        let mut profiles = self.ask(self.store.profiles((now, idle), limit), now).await?;
        let mut seen = HashSet::new();
        profiles.retain(|profile| seen.insert((profile.issuer.clone(), profile.subject.clone())));
        Ok(profiles)
    }

    /// Up to `limit` of the people seen so far, those behind `after` only; all, or those who sign in by a name.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be asked.
    pub async fn people(
        &self,
        username: Option<&str>,
        after: &PersonKey,
        limit: u32,
        now: u64,
    ) -> Result<Vec<Person>, StoreError> {
        self.ask(self.store.people(username, after, limit), now).await
    }

    /// Keeps a person from signing in, and ends the sessions they have; says how many, or `None` if nobody of this
    /// name was ever seen.
    ///
    /// # Errors
    /// [`StoreError`] if the store could not be told. They may be disabled already, but not signed out everywhere.
    pub async fn disable(&self, person: &PersonKey, now: u64) -> Result<Option<u64>, StoreError> {
        if !self.ask(self.store.disable(person, Some(now)), now).await? {
            return Ok(None);
        }
        self.end_selected(&Selection::Person(person), now).await.map(Some)
    }

    /// Lets a person sign in again; `false` if nobody of this name was ever seen.
    ///
    /// # Errors
    /// [`StoreError`] if the store could not be told.
    pub async fn enable(&self, person: &PersonKey, now: u64) -> Result<bool, StoreError> {
        let known = self.ask(self.store.disable(person, None), now).await;
        self.untold.notify_one();
        known
    }

    /// Whether a person is kept out; nobody is who was never seen.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be asked.
    pub async fn is_disabled(&self, person: &PersonKey, now: u64) -> Result<bool, StoreError> {
        self.ask(self.store.is_disabled(person), now).await
    }

    /// Whether a session of a list has not ended.
    pub fn is_live(&self, listed: &Listed, now: u64) -> bool {
        listed.lives(now, self.settings.idle)
    }
}
