//! API clients: who the token of a request stands for. Knows no HTTP messages, sessions or rules.

mod settings;
mod sources;
mod verified;

use std::sync::Arc;

pub use self::settings::{ExtraIssuer, Settings};
use self::sources::{Source, Sources};
use self::verified::{Known, Mark, Verified};
use crate::headers::Person;
use crate::identity::Identity;
use crate::jwt::{Expect, KeyRing, TokenError, UnverifiedAccess, good_until};
use crate::metrics::Metrics;
use crate::oidc::{Mapped, ProfileError, Provider, ProviderError};
use crate::visit::Shown;

/// Everybody who comes with a token instead of a session.
pub struct Clients {
    sources: Sources,
    verified: Verified,
    wanted_claims: Vec<String>,
    metrics: Arc<Metrics>,
}

/// Why a token stands for nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoPerson {
    /// There is none, or it is an affair of the app's.
    NotShown,
    /// It counts for nothing; why, in our own words.
    Refused(String),
    /// What is needed to tell cannot be had.
    Unavailable,
}

impl Clients {
    /// Takes tokens of `providers`, whose keys are shared with sign-ins, and of the further issuers that `settings` name.
    /// Of a person's further claims only `wanted_claims` are kept at hand.
    pub fn new(
        settings: Settings,
        providers: impl IntoIterator<Item = (Provider, Arc<KeyRing>)>,
        wanted_claims: Vec<String>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let verified = Verified::new(settings.cache_tokens);
        let sources = Sources::new(settings, providers, &metrics);
        Self { sources, verified, wanted_claims, metrics }
    }

    /// Who a token stands for that was verified a moment ago, with the same keys; nothing is waited for.
    pub fn known(&self, shown: Shown<'_>, now: u64) -> Option<Arc<Person>> {
        let Shown::Bearer(token) = shown else { return None };
        let known = self.verified.find(&Mark::of(token))?;
        let person = known.person(self.sources.version(known.source), now)?;
        self.metrics.token_cache_hits.inc();
        Some(person)
    }

    /// Who a token stands for, found out anew.
    ///
    /// # Errors
    /// [`NoPerson`] if it is nobody, or if nobody can tell.
    pub async fn find(&self, shown: Shown<'_>, now: u64) -> Result<Arc<Person>, NoPerson> {
        match shown {
            Shown::Nothing | Shown::Basic(_) => Err(NoPerson::NotShown),
            Shown::Unclear => Err(NoPerson::Refused(UNCLEAR.to_owned())),
            Shown::Bearer(token) => {
                self.metrics.token_checks.inc();
                self.verify(token, now).await
            }
        }
    }

    /// Checks a signed token and remembers who it stands for.
    async fn verify(&self, token: &str, now: u64) -> Result<Arc<Person>, NoPerson> {
        let unverified = UnverifiedAccess::read(token)?;
        let (index, source) = self.sources.of_issuer(unverified.issuer(), now).await?;
        // Taken before, so that what a fetch in between changes is noticed.
        let version = source.keys.version();
        let rules = source.rules(now).await?;
        let expect = Expect {
            jwks_uri: &rules.jwks_uri,
            issuers: &rules.issuers,
            audience: "",
            algorithms: crate::jwt::ASYMMETRIC,
            secret: None,
            kind: source.kind(),
        };
        let claims = source.keys.verify_access(unverified, &expect, now).await?;
        let person = self.person(source, source.profile(&claims)?);
        let known = Known {
            person: Arc::clone(&person),
            source: index,
            version,
            checked_at: now,
            good_until: good_until(&claims),
        };
        self.verified.keep(Mark::of(token), known);
        Ok(person)
    }

    fn person(&self, source: &Source, mapped: Mapped) -> Arc<Person> {
        let Mapped { profile, warnings } = mapped;
        for warning in warnings {
            tracing::debug!(user = profile.username, ?warning, "not all that a token says could be kept");
        }
        Arc::new(Person::new(Identity::pack(&profile, Arc::clone(&source.issuer), &self.wanted_claims)))
    }
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clients")
    }
}

impl From<TokenError> for NoPerson {
    fn from(error: TokenError) -> Self {
        if let TokenError::NoKeys(error) = &error {
            tracing::warn!(%error, "a token cannot be checked");
            return Self::Unavailable;
        }
        Self::Refused(error.reason())
    }
}

impl From<ProviderError> for NoPerson {
    fn from(error: ProviderError) -> Self {
        tracing::warn!(%error, "a token cannot be checked");
        Self::Unavailable
    }
}

impl From<ProfileError> for NoPerson {
    fn from(error: ProfileError) -> Self {
        Self::Refused(error.to_string())
    }
}

const UNCLEAR: &str = "the Authorization header is not one clear credential";

#[cfg(test)]
mod tests;
