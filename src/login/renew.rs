//! Renewing the tokens of a session, and with them what is known of the person. Knows no requests.

use std::sync::Arc;

use serde_json::Value;

use super::{Login, LoginError, Named, expect, profile, profile_of, userinfo};
use crate::identity::{Field, Profile};
use crate::jwt::{KeyRing, Kind, TokenError};
use crate::oidc::{ProviderError, Step, Tokens, session_of};
use crate::session::{Due, Lease, Renewed, Session};

/// Why a session that was to be renewed has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    /// The provider does not take the refresh token any more.
    Grant,
    /// The provider would have to ask the person, or takes them for somebody who may not sign in here.
    Denied,
    /// It tells nothing of them any more, although it has just given a new token to ask with.
    Userinfo,
    /// Its own session has ended: the new ID token names none, or another.
    Session,
    /// It speaks of somebody else.
    Person,
    /// What it says of them cannot be used: they could not sign in today.
    Profile,
    /// Its token is not good.
    Token,
    /// What was kept are no tokens.
    Tokens,
    /// It does not know us any more.
    Client,
    /// It is none of ours any more.
    Provider,
}

impl Over {
    fn word(self) -> &'static str {
        match self {
            Self::Grant => "refresh-token-refused",
            Self::Denied => "access-denied",
            Self::Userinfo => "userinfo-refused",
            Self::Session => "session-ended-at-provider",
            Self::Person => "another-person",
            Self::Profile => "unusable-profile",
            Self::Token => "bad-token",
            Self::Tokens => "no-tokens",
            Self::Client => "client-refused",
            Self::Provider => "provider-removed",
        }
    }

    /// What an error means for the session; nothing if the provider is not well and can be asked again.
    fn of(error: &LoginError) -> Option<Self> {
        match error {
            LoginError::Provider(ProviderError::InvalidGrant { .. }) => Some(Self::Grant),
            LoginError::Provider(ProviderError::InvalidClient { .. }) => Some(Self::Client),
            LoginError::Provider(ProviderError::Refused { step: Step::Token, code, .. })
                if ABOUT_THE_PERSON.contains(&code.as_str()) =>
            {
                Some(Self::Denied)
            }
            LoginError::Provider(ProviderError::TokenRejected { .. }) => Some(Self::Userinfo),
            LoginError::Provider(ProviderError::Subject) => Some(Self::Person),
            // Whoever can make their own claims unusable must not keep by that what they have lost.
            LoginError::Provider(ProviderError::Answer { step: Step::Token | Step::Userinfo, .. })
            | LoginError::Profile(_)
            | LoginError::Unkept(_) => Some(Self::Profile),
            LoginError::Token(error) if !matches!(error, TokenError::NoKeys(_)) => Some(Self::Token),
            LoginError::Tokens => Some(Self::Tokens),
            LoginError::Provider(_)
            | LoginError::Token(_)
            | LoginError::State
            | LoginError::Circle(_)
            | LoginError::Limited(_)
            | LoginError::Denied(_)
            | LoginError::Issuer
            | LoginError::Store(_)
            | LoginError::Disabled
            | LoginError::Silent
            | LoginError::Random => None,
        }
    }
}

impl Login {
    /// Renews the tokens of a session that is due. A provider that is not well puts it off; one that says no ends it, and
    /// then a word for why is what comes back.
    /// Says why, if it did.
    pub async fn renew(&self, due: Due, now: u64) -> Option<&'static str> {
        let session = Arc::clone(&due.session);
        let lease = match self.sessions.lease(&session, now).await {
            Ok(Some(lease)) => lease,
            Ok(None) => return None,
            Err(error) => {
                self.put_off(&session, None, &error.into(), now).await;
                return None;
            }
        };
        let Some(at) = self.providers.of_issuer(session.person.identity().issuer()) else {
            return self.end_renewed(&session, &lease, Over::Provider, now).await;
        };
        let (old, new) = match refresh(at, &lease, now).await {
            Ok(both) => both,
            Err(error) => match Over::of(&error) {
                Some(why) => return self.end_renewed(&session, &lease, why, now).await,
                None => {
                    self.put_off(&session, Some(&lease), &error, now).await;
                    return None;
                }
            },
        };
        let wanted = self.sessions.wanted_claims();
        let who = who_now(at, (&session, &lease), (&old, &new), (wanted, now)).await;
        match who.map_err(|error| (Over::of(&error), error)) {
            Ok(Ok(who)) => self.keep(&session, &lease, renewed(who, &new, new.renew_at(now)), now).await,
            Ok(Err(why)) | Err((Some(why), _)) => self.end_renewed(&session, &lease, why, now).await,
            Err((None, error)) => {
                // The old refresh token may be used up, so the new one is kept; not so an ID token nobody has checked.
                self.tell_failure(&error);
                let (profile, sid) = lease.as_before();
                let who = Who { profile, sid, told_at: None };
                let again = new.renew_at(now).map(|_| now.saturating_add(TRY_AGAIN_SECONDS));
                let kept = Tokens { id_token: old.id_token, ..new };
                self.keep(&session, &lease, renewed(who, &kept, again), now).await
            }
        }
    }

    /// Keeps what a renewal brought. What the store can never hold ends the session, and then a word for why comes back.
    async fn keep(
        &self,
        session: &Session,
        lease: &Lease,
        renewed: Result<Renewed, LoginError>,
        now: u64,
    ) -> Option<&'static str> {
        let kept = match renewed {
            Ok(renewed) => {
                let kept = self.sessions.keep_renewed(session, lease, renewed, now).await;
                kept.map_err(LoginError::of_keeping)
            }
            Err(error) => Err(error),
        };
        let error = kept.err()?;
        tracing::error!(%error, "new tokens could not be kept");
        self.end_renewed(session, lease, Over::of(&error)?, now).await
    }

    /// Ends a session, unless another replica renewed it after all while this one took too long.
    async fn end_renewed(
        &self,
        session: &Session,
        lease: &Lease,
        why: Over,
        now: u64,
    ) -> Option<&'static str> {
        if let Ok(false) = self.sessions.is_as_leased(lease, now).await {
            return None;
        }
        let user = session.person.identity().field(Field::Username);
        tracing::info!(user, ?why, "a session ends, as the provider does not go on with it");
        match self.sessions.end(session.handle(), now).await {
            Ok(ended) => ended.map(|_| why.word()),
            Err(error) => {
                tracing::error!(%error, "a session that is over could not be ended");
                None
            }
        }
    }

    async fn put_off(&self, session: &Session, lease: Option<&Lease>, error: &LoginError, now: u64) {
        self.tell_failure(error);
        let until = now.saturating_add(TRY_AGAIN_SECONDS);
        if let Err(error) = self.sessions.put_off(session, lease, until, now).await {
            tracing::debug!(%error, "the store could not be told of a renewal that was put off");
        }
    }

    fn tell_failure(&self, error: &LoginError) {
        self.metrics.renewal_failures.inc();
        tracing::warn!(%error, "a session could not be renewed, which is tried again");
    }
}

async fn refresh(at: &Named, lease: &Lease, now: u64) -> Result<(Tokens, Tokens), LoginError> {
    let old = Tokens::from_json(&lease.tokens).map_err(|_| LoginError::Tokens)?;
    let new = at.provider.refresh(&old, now).await?;
    Ok((old, new))
}

/// Who a session is of after a renewal.
struct Who {
    profile: Profile,
    /// The provider's own session.
    sid: Option<String>,
    /// When it told all of that, by the store's own clock; nothing if some of it was told before.
    told_at: Option<u64>,
}

/// Who the new tokens are about, and the provider's own session; or why the session is over.
async fn who_now(
    at: &Named,
    (session, lease): (&Session, &Lease),
    (old, new): (&Tokens, &Tokens),
    (wanted, now): (&[String], u64),
) -> Result<Result<Who, Over>, LoginError> {
    let rules = at.provider.keys_and_rules(now).await?;
    let (before, _) = lease.as_before();
    // Some providers send no ID token with a renewal: what the last one said still holds, and userinfo is newer.
    let subject = session.person.identity().field(Field::Subject);
    if new.id_token == old.id_token {
        let claims = KeyRing::verified_before(old.id_token.expose())?;
        if claims.get("sub").and_then(Value::as_str) != Some(subject) {
            return Ok(Err(Over::Person));
        }
        let more = userinfo(at, &claims, new, &rules, now).await?;
        let told_at = at.provider.tells_anew(&claims, &more, wanted).then_some(lease.at);
        let profile = profile_of(at, &claims, more)?.with_proof_of(&before);
        return Ok(Ok(Who { profile, sid: lease.sid().map(str::to_owned), told_at }));
    }
    let access_token = Some(new.access_token.expose());
    let expected = expect(&rules, Kind::Id { nonce: None, access_token, code: None });
    let claims = at.keys.verify(new.id_token.expose(), &expected, now).await?;
    if claims.get("sub").and_then(Value::as_str) != Some(subject) {
        return Ok(Err(Over::Person));
    }
    let sid = session_of(&claims)?;
    if lease.sid().is_some() && sid.as_deref() != lease.sid() {
        return Ok(Err(Over::Session));
    }
    let profile = profile(at, &claims, new, &rules, now).await?.with_proof_of(&before);
    Ok(Ok(Who { profile, sid, told_at: Some(lease.at) }))
}

fn renewed(who: Who, tokens: &Tokens, renew_at: Option<u64>) -> Result<Renewed, LoginError> {
    let tokens = tokens.to_json().map_err(|_| LoginError::Tokens)?;
    let Who { profile, sid, told_at } = who;
    Ok(Renewed { profile, sid, tokens, renew_at, told_at })
}

/// What a token endpoint says where it will not go on with a person (RFC 6749 4.1.2.1, OpenID Connect Core 3.1.2.6). Other words
/// are about the request.
const ABOUT_THE_PERSON: [&str; 5] = [
    "access_denied",
    "interaction_required",
    "login_required",
    "consent_required",
    "account_selection_required",
];
/// After how many seconds a renewal that did not succeed is tried again.
const TRY_AGAIN_SECONDS: u64 = 30;
