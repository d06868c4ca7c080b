//! The judge: one visit in, one decision out. Knows no HTTP messages and not how anybody signed in.

use std::sync::Arc;

use crate::headers::Person;
use crate::policy::{Decision, Policy, Refusal, Ruling};
use crate::session::Sessions;
use crate::session::store::{ANSWER_TIME, StoreError};
use crate::visit::{Credential, Visit};

/// Decides about visits by one policy and the sessions of one store.
#[derive(Debug)]
pub struct Gate {
    /// The rules.
    pub policy: Policy,
    sessions: Arc<Sessions>,
}

impl Gate {
    /// A judge with these rules.
    pub fn new(policy: Policy, sessions: Arc<Sessions>) -> Self {
        Self { policy, sessions }
    }

    /// Decides about a visit at `now`, in Unix seconds. Only a rule can let it in; whatever cannot be found out
    /// is a no.
    pub async fn judge(&self, visit: &Visit<'_>, now: u64) -> Decision<'_> {
        let (app, rule) = match self.policy.rule_for(&visit.target) {
            Ruling::Rule(app, rule) => (app, rule),
            Ruling::UnknownHost => return Decision::Forbid(Refusal::UnknownHost),
            Ruling::AmbiguousPath => return Decision::Forbid(Refusal::AmbiguousPath),
        };
        match self.person(&visit.credential, now).await {
            Ok(person) => rule.admits(app, person.as_ref()),
            Err(_) if rule.is_public() => rule.admits(app, None),
            Err(_) => Decision::Unavailable,
        }
    }

    /// Whoever the first credential that works belongs to. One that does not work is none.
    ///
    /// # Errors
    /// [`StoreError`] if no credential works and one of them could not be asked about.
    pub async fn person(&self, credential: &Credential, now: u64) -> Result<Option<Arc<Person>>, StoreError> {
        let (first, others) = match credential {
            Credential::None | Credential::Bearer => return Ok(None),
            Credential::Session(first, others) => (first, others),
        };
        let mut silent = match self.sessions.find(first, now).await {
            Ok(Some(session)) => return Ok(Some(Arc::clone(&session.person))),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        // A neighbour's cookies may come along; together they get no more time than one.
        let rest = async {
            for handle in others {
                match self.sessions.find(handle, now).await {
                    Ok(Some(session)) => return Ok(Some(Arc::clone(&session.person))),
                    Ok(None) => {}
                    Err(error) => silent = Some(error),
                }
            }
            silent.map_or(Ok(None), Err)
        };
        if others.is_empty() {
            return rest.await;
        }
        let timely = tokio::time::timeout(ANSWER_TIME, rest).await;
        timely.unwrap_or_else(|_| Err(StoreError::Unavailable("no answer in time".to_owned())))
    }
}
