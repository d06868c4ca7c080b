//! The issuers whose tokens count, each with its keys: the providers, and issuers where nobody signs in.

use std::sync::Arc;

use serde_json::{Map, Value};
use url::Url;

use super::NoPerson;
use super::settings::{ExtraIssuer, Settings};
use crate::jwt::{KeyRing, Kind, Mark, TokenError};
use crate::metrics::Metrics;
use crate::oidc::{self, ClaimNames, Mapped, ProfileError, Provider, ProviderError};
use crate::outbound::Outbound;

/// All issuers; no two of one name.
pub(super) struct Sources {
    all: Vec<Source>,
    /// Places of those that are asked about opaque tokens, and about passwords.
    introspection: Option<usize>,
    passwords: Option<usize>,
}

/// One issuer, with all that is its alone.
pub(super) struct Source {
    /// What identities of its people carry.
    pub(super) issuer: Arc<str>,
    pub(super) keys: Arc<KeyRing>,
    audiences: Vec<String>,
    shape: Shape,
}

enum Shape {
    Provider(Provider),
    Extra { jwks_url: Url, claims: ClaimNames },
}

/// Where an issuer's keys are, and what its tokens may call it.
pub(super) struct Rules {
    pub(super) jwks_uri: Url,
    pub(super) issuers: Vec<String>,
}

impl Sources {
    pub(super) fn new(
        settings: Settings,
        providers: impl IntoIterator<Item = (Provider, Arc<KeyRing>)>,
        before: Option<&Self>,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let Settings { audiences, issuers, introspection, app_passwords, .. } = settings;
        let provided = providers.into_iter().map(|(provider, keys)| Source {
            issuer: provider.issuer_text().into(),
            keys,
            audiences: audiences.clone(),
            shape: Shape::Provider(provider),
        });
        let extra = |ExtraIssuer { issuer, jwks_url, audiences, claims, .. }: ExtraIssuer| {
            let keys = before.and_then(|before| before.keys_of(&issuer, &jwks_url)).unwrap_or_else(|| {
                let outbound = Outbound::new(None, Arc::clone(metrics));
                outbound.permit([&jwks_url]);
                Arc::new(KeyRing::new(outbound))
            });
            Source { issuer: issuer.into(), keys, audiences, shape: Shape::Extra { jwks_url, claims } }
        };
        let all: Vec<Source> = provided.chain(issuers.into_iter().map(extra)).collect();
        let place =
            |name: Option<String>| all.iter().position(|source| Some(&*source.issuer) == name.as_deref());
        let (introspection, passwords) = (place(introspection), place(app_passwords));
        Self { all, introspection, passwords }
    }

    /// The keys of an issuer where nobody signs in, if they are at this address.
    fn keys_of(&self, issuer: &str, at: &Url) -> Option<Arc<KeyRing>> {
        let is_there = |source: &&Source| match &source.shape {
            Shape::Extra { jwks_url, .. } => *source.issuer == *issuer && jwks_url == at,
            Shape::Provider(_) => false,
        };
        self.all.iter().find(is_there).map(|source| Arc::clone(&source.keys))
    }

    /// Who is asked about tokens that are no JWTs.
    pub(super) fn introspection(&self) -> Option<(&Source, &Provider)> {
        self.provider(self.introspection)
    }

    /// Who is asked about names and app passwords.
    pub(super) fn passwords(&self) -> Option<(&Source, &Provider)> {
        self.provider(self.passwords)
    }

    fn provider(&self, place: Option<usize>) -> Option<(&Source, &Provider)> {
        let source = self.all.get(place?)?;
        match &source.shape {
            Shape::Provider(provider) => Some((source, provider)),
            Shape::Extra { .. } => None,
        }
    }

    /// Which keys the source at `index` has.
    pub(super) fn version(&self, index: usize) -> u64 {
        self.all.get(index).map_or(u64::MAX, |source| source.keys.version())
    }

    /// The one that a token says it is from, with its place. A stranger's token makes nobody ask for keys.
    ///
    /// # Errors
    /// [`NoPerson`] for a stranger, or if the other names of a provider cannot be had.
    pub(super) async fn of_issuer(&self, found: &str, now: u64) -> Result<(usize, &Source), NoPerson> {
        let all = || self.all.iter().enumerate();
        if let Some(known) = all().find(|(_, source)| *source.issuer == *found) {
            return Ok(known);
        }
        // Another name, which only its own document tells.
        for (index, source) in all() {
            let Shape::Provider(provider) = &source.shape else { continue };
            if provider.may_have_other_names()
                && source.rules(now).await?.issuers.iter().any(|issuer| issuer == found)
            {
                return Ok((index, source));
            }
        }
        let error = TokenError::Issuer { expected: String::new(), found: String::new() };
        Err(NoPerson::Refused(error.reason()))
    }
}

impl Source {
    /// What its tokens must be like.
    pub(super) async fn rules(&self, now: u64) -> Result<Rules, ProviderError> {
        match &self.shape {
            Shape::Provider(provider) => {
                let rules = provider.keys_and_rules(now).await?;
                Ok(Rules { jwks_uri: rules.jwks_uri, issuers: rules.issuers })
            }
            Shape::Extra { jwks_url, .. } => {
                Ok(Rules { jwks_uri: jwks_url.clone(), issuers: vec![self.issuer.as_ref().to_owned()] })
            }
        }
    }

    /// Whom its tokens must be for.
    pub(super) fn audiences(&self) -> &[String] {
        &self.audiences
    }

    pub(super) fn kind(&self) -> Kind<'_> {
        let mark = match self.shape {
            Shape::Provider(_) => Mark::Needed,
            Shape::Extra { .. } => Mark::Waived,
        };
        Kind::Access { audiences: &self.audiences, mark }
    }

    /// Who verified claims are about.
    pub(super) fn profile(&self, claims: &Map<String, Value>) -> Result<Mapped, ProfileError> {
        match &self.shape {
            Shape::Provider(provider) => provider.client_profile(claims),
            Shape::Extra { claims: names, .. } => oidc::profile_of(claims, &self.issuer, names),
        }
    }
}
