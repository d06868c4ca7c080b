//! The providers that people can sign in at, by name and by issuer. Knows no sign-in.

use std::sync::Arc;

use crate::jwt::KeyRing;
use crate::metrics::Metrics;
use crate::oidc::{Provider, Settings};
use crate::outbound::Outbound;

/// One provider, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// What apps and addresses call it.
    pub name: Box<str>,
    /// What people read.
    pub title: String,
    /// Who it is, and who we are there.
    pub settings: Settings,
}

/// One provider, with all that is its alone: nothing of it may be reached or believed by way of another.
pub struct Named {
    registration: Registration,
    pub(super) provider: Provider,
    pub(super) keys: Arc<KeyRing>,
}

/// All providers, in the order of the configuration; no two of one name or one issuer.
#[derive(Debug)]
pub struct Providers(Vec<Arc<Named>>);

impl Providers {
    /// Asks nobody yet. Each provider gets a way out of its own; one that is as it was `before` stays the same, with all
    /// that it has told.
    pub fn new(registrations: Vec<Registration>, before: Option<&Self>, metrics: &Arc<Metrics>) -> Self {
        let named = |registration: Registration| {
            let mut known = before.iter().flat_map(|before| &before.0);
            let same = known.find(|one| one.registration == registration);
            same.cloned().unwrap_or_else(|| Arc::new(Named::new(registration, metrics)))
        };
        Self(registrations.into_iter().map(named).collect())
    }

    /// Each of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Named> {
        self.0.iter().map(|one| &**one)
    }

    /// The one that is called so.
    pub fn named(&self, name: &str) -> Option<&Named> {
        self.iter().find(|one| one.name() == name)
    }

    /// The one that vouches for identities of this issuer.
    pub fn of_issuer(&self, issuer: &str) -> Option<&Named> {
        self.iter().find(|one| one.issuer() == issuer)
    }

    /// Whether they are the very same, in the same order.
    pub fn are(&self, others: &Self) -> bool {
        self.0.len() == others.0.len()
            && self.0.iter().zip(&others.0).all(|(one, other)| Arc::ptr_eq(one, other))
    }
}

impl Named {
    fn new(registration: Registration, metrics: &Arc<Metrics>) -> Self {
        let settings = registration.settings.clone();
        let outbound = Outbound::new(settings.dial_map(), Arc::clone(metrics));
        Self {
            registration,
            provider: Provider::new(settings, outbound.clone()),
            keys: Arc::new(KeyRing::new(outbound)),
        }
    }

    /// What apps and addresses call it.
    pub fn name(&self) -> &str {
        &self.registration.name
    }

    /// What people read.
    pub fn title(&self) -> &str {
        &self.registration.title
    }

    /// What identities of its people carry.
    pub fn issuer(&self) -> &str {
        &self.registration.settings.issuer_text
    }

    /// Whether its tokens may call it something else than its issuer.
    pub(super) fn may_have_other_names(&self) -> bool {
        self.registration.settings.internal_url.is_some()
    }

    /// The provider itself.
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    /// Its keys, for whoever else checks tokens of its.
    pub fn keys(&self) -> &Arc<KeyRing> {
        &self.keys
    }
}

impl std::fmt::Debug for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Named").field(&self.name()).finish()
    }
}
