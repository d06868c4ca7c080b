//! API clients: who the token of a request stands for. Knows no HTTP messages, sessions or rules.

mod asked;
mod provided;
mod settings;
mod sources;
mod verified;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use self::asked::{Asked, Seal, Verdict};
use self::provided::{Pair, Told};
pub use self::settings::{ExtraIssuer, Settings};
use self::sources::{Source, Sources};
use self::verified::{Known, Mark, Verified};
use crate::headers::Person;
use crate::identity::Identity;
use crate::jwt::{Expect, KeyRing, TokenError, UnverifiedAccess, good_until};
use crate::metrics::Metrics;
use crate::oidc::{Mapped, ProfileError, Provider, ProviderError};
use crate::session::Sessions;
use crate::session::store::PersonKey;
use crate::visit::Shown;

/// Everybody who comes with a token instead of a session.
pub struct Clients {
    settings: Settings,
    sources: Sources,
    verified: Verified,
    /// Verdicts of providers; `None` where none is ever asked.
    asked: Option<Asked>,
    /// How many questions about credentials there may be at a time.
    places: Semaphore,
    sessions: Arc<Sessions>,
    wanted_claims: Vec<String>,
    metrics: Arc<Metrics>,
}

/// Whom a credential may be shown to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Nobody: where everybody is let in, it may be the app's own.
    Here,
    /// The provider, where the configuration says so.
    Provider,
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
    /// Of a person's further claims only `wanted_claims` are kept at hand. People whom `sessions` knows as disabled are
    /// nobody.
    pub fn new(
        settings: Settings,
        providers: impl IntoIterator<Item = (Provider, Arc<KeyRing>)>,
        sessions: Arc<Sessions>,
        wanted_claims: Vec<String>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self::after(None, settings, providers, (sessions, wanted_claims, metrics))
    }

    /// The same, with the keys that others had `before` of the further issuers that stay, so that nobody is asked for them
    /// again. What others found out about tokens counts no more.
    pub fn after(
        before: Option<&Self>,
        settings: Settings,
        providers: impl IntoIterator<Item = (Provider, Arc<KeyRing>)>,
        (sessions, wanted_claims, metrics): (Arc<Sessions>, Vec<String>, Arc<Metrics>),
    ) -> Self {
        let verified = Verified::new(settings.cache_tokens);
        let asks = settings.introspection.is_some() || settings.app_passwords.is_some();
        let asked = asks.then(|| Asked::new(settings.cache_tokens)).flatten();
        let known = before.map(|before| &before.sources);
        let sources = Sources::new(settings.clone(), providers, known, &metrics);
        let places = Semaphore::new(MOST_QUESTIONS);
        Self { settings, sources, verified, asked, places, sessions, wanted_claims, metrics }
    }

    /// Whether they would find out the same by these settings, of the same providers.
    pub fn are_by(&self, settings: &Settings, wanted_claims: &[String]) -> bool {
        self.settings == *settings && self.wanted_claims == wanted_claims
    }

    /// Who a token stands for that was looked at a moment ago, with the same keys; nothing is waited for.
    pub fn known(&self, shown: Shown<'_>, reach: Reach, now: u64) -> Option<Arc<Person>> {
        let verified = || {
            let Shown::Bearer(token) = shown else { return None };
            let known = self.verified.find(&Mark::of(token))?;
            known.person(self.sources.version(known.source), now)
        };
        let said = || {
            let verdict = self.asked.as_ref()?.verdict(&self.seal(shown, reach)?, now)?;
            verdict.person.clone().ok()
        };
        let person = verified().or_else(said)?;
        self.metrics.token_cache_hits.inc();
        Some(person)
    }

    /// Who a token or a password stands for, found out anew. Takes 2.5 seconds at most.
    ///
    /// # Errors
    /// [`NoPerson`] if it is nobody, or if nobody can tell.
    pub async fn find(&self, shown: Shown<'_>, reach: Reach, now: u64) -> Result<Arc<Person>, NoPerson> {
        tokio::time::timeout(FIND_TIME, self.look(shown, reach, now))
            .await
            .unwrap_or(Err(NoPerson::Unavailable))
    }

    async fn look(&self, shown: Shown<'_>, reach: Reach, now: u64) -> Result<Arc<Person>, NoPerson> {
        match shown {
            Shown::Nothing => Err(NoPerson::NotShown),
            Shown::Unclear => Err(NoPerson::Refused(UNCLEAR.to_owned())),
            Shown::Basic(_) if self.sources.passwords().is_none() || reach == Reach::Here => {
                Err(NoPerson::NotShown)
            }
            Shown::Basic(pair) => {
                let pair = Pair::read(pair).ok_or_else(|| NoPerson::Refused(UNCLEAR.to_owned()))?;
                self.log_in(shown, &pair, now).await
            }
            Shown::Bearer(token) => {
                self.metrics.token_checks.inc();
                let unverified = match UnverifiedAccess::read(token) {
                    Err(TokenError::Malformed(_) | TokenError::Encrypted)
                        if self.sources.introspection().is_some() && reach == Reach::Provider =>
                    {
                        return self.introspect(shown, token, now).await;
                    }
                    read => read?,
                };
                self.verify(token, unverified, now).await
            }
        }
    }

    /// Checks a signed token and remembers who it stands for.
    async fn verify(
        &self,
        token: &str,
        unverified: UnverifiedAccess<'_>,
        now: u64,
    ) -> Result<Arc<Person>, NoPerson> {
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
        let person = self.person(source, source.profile(&claims)?, now).await?;
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

    async fn introspect(&self, shown: Shown<'_>, token: &str, now: u64) -> Result<Arc<Person>, NoPerson> {
        let (source, provider) = self.sources.introspection().ok_or(NoPerson::NotShown)?;
        self.ask(shown, source, provided::introspect(source, provider, token, now), now).await
    }

    /// Passwords can be guessed, so that a name is tried so often and no more.
    async fn log_in(&self, shown: Shown<'_>, pair: &Pair, now: u64) -> Result<Arc<Person>, NoPerson> {
        let (source, provider) = self.sources.passwords().ok_or(NoPerson::NotShown)?;
        let asked = self.asked.as_ref().ok_or(NoPerson::Unavailable)?;
        let name = asked.seal("name", &pair.name);
        let told = async {
            if !asked.may_try(&name, now) {
                return Err(NoPerson::Refused(TOO_MANY.to_owned()));
            }
            let told = provided::log_in(source, provider, pair, now).await;
            if matches!(told, Err(NoPerson::Refused(_))) {
                asked.note_wrong(name, now);
            }
            told
        };
        self.ask(shown, source, told, now).await
    }

    /// Asks a provider, unless it has said so a moment ago, and remembers what it says, yes or no.
    async fn ask(
        &self,
        shown: Shown<'_>,
        source: &Source,
        told: impl Future<Output = Result<Told, NoPerson>>,
        now: u64,
    ) -> Result<Arc<Person>, NoPerson> {
        let asked = self.asked.as_ref().ok_or(NoPerson::Unavailable)?;
        let seal = self.seal(shown, Reach::Provider).ok_or(NoPerson::NotShown)?;
        if let Some(verdict) = asked.verdict(&seal, now) {
            return verdict.person.clone().map_err(NoPerson::Refused);
        }
        let _place = self.places.acquire().await.map_err(|_| NoPerson::Unavailable)?;
        let (found, until) = match told.await {
            Ok(Told { mapped, until }) => (self.person(source, mapped, now).await, until),
            Err(error) => (Err(error), now.saturating_add(REFUSED_SECONDS)),
        };
        let person = match &found {
            Ok(person) => Ok(Arc::clone(person)),
            Err(NoPerson::Refused(reason)) => Err(reason.clone()),
            Err(NoPerson::NotShown | NoPerson::Unavailable) => return found,
        };
        asked.keep(seal, Verdict { person, until });
        found
    }

    /// What finds the provider's verdict on a credential that it may be asked about.
    fn seal(&self, shown: Shown<'_>, reach: Reach) -> Option<Seal> {
        let asked = self.asked.as_ref().filter(|_| reach == Reach::Provider)?;
        match shown {
            Shown::Bearer(token) if self.sources.introspection().is_some() => {
                Some(asked.seal("token", token))
            }
            Shown::Basic(pair) if self.sources.passwords().is_some() => Some(asked.seal("basic", pair)),
            Shown::Bearer(_) | Shown::Basic(_) | Shown::Nothing | Shown::Unclear => None,
        }
    }

    async fn person(&self, source: &Source, mapped: Mapped, now: u64) -> Result<Arc<Person>, NoPerson> {
        let Mapped { profile, warnings } = mapped;
        for warning in warnings {
            tracing::debug!(user = profile.username, ?warning, "not all that a token says could be kept");
        }
        let key = PersonKey { issuer: source.issuer.as_ref().to_owned(), subject: profile.subject.clone() };
        match self.sessions.is_disabled(&key, now).await {
            Ok(false) => {}
            Ok(true) => return Err(NoPerson::Refused(DISABLED.to_owned())),
            Err(error) => {
                tracing::warn!(%error, "nobody can tell whether the owner of a token is disabled");
                return Err(NoPerson::Unavailable);
            }
        }
        let identity = Identity::pack(&profile, Arc::clone(&source.issuer), &self.wanted_claims);
        Ok(Arc::new(Person::new(identity)))
    }
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clients")
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

/// How long a credential may take: with the store less than the 5 s in which a check must be answered.
const FIND_TIME: Duration = Duration::from_millis(2500);
/// Questions to providers at a time; others wait within their time.
const MOST_QUESTIONS: usize = 32;
/// How long a no of the provider counts.
const REFUSED_SECONDS: u64 = 30;
const DISABLED: &str = "the account is disabled";
const TOO_MANY: &str = "too many wrong passwords for this name, wait a minute";
const UNCLEAR: &str = "the Authorization header is not one clear credential";

#[cfg(test)]
mod tests;
