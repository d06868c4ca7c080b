//! Signing in and out by the OIDC code flow, without a word of HTTP. Nothing of a sign-in is stored before it
//! succeeds: the browser carries it, sealed. Knows no rules.

mod attempt;
mod error;
mod heard;
mod logout;
mod providers;
mod renew;
mod tokens;

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::rand;
use serde_json::{Map, Value};
use url::Url;

use crate::browser::{NONCE_BYTES, Origins, Purpose, ReturnTo, Sealer};
use crate::identity::{Asked, Profile, Proof};
use crate::journal::Somebody;
use crate::jwt::{Expect, KeyRing, Kind};
use crate::limits::{self, Limiter};
use crate::metrics::Metrics;
use crate::oidc::{Ask, Prompt, Provider, ProviderError, Rules, Step, Tokens, Userinfo, session_of};
use crate::session::store::StoreError;
use crate::session::{Created, NewSession, Session, Sessions};
use crate::visit::SessionHandle;
pub use attempt::BINDING_LIFETIME;
#[cfg(any(test, fuzzing))]
pub(crate) use attempt::look_at_halves;
use attempt::{Binding, State, Turn};
pub use error::{Cause, Failed, LoginError};
use heard::Heard;
pub use logout::NotEnded;
pub use providers::{Named, Providers, Registration};
use tokens::Opened;

/// The code flow (OpenID Connect Core 3.1) with each of the providers.
pub struct Login {
    providers: Providers,
    sessions: Arc<Sessions>,
    sealer: Arc<Sealer>,
    metrics: Arc<Metrics>,
    limiter: Arc<Limiter>,
    /// Logout tokens that were obeyed.
    heard: Arc<Mutex<Heard>>,
    opened: Arc<Opened>,
}

/// What somebody wants to sign in for.
#[derive(Debug)]
pub struct Wish<'p> {
    /// Where they sign in.
    pub at: &'p Named,
    /// Where they want to be afterwards.
    pub to: ReturnTo,
    /// As whom.
    pub account: Account,
    /// What the sign-in is to prove.
    pub proof: Option<Proof>,
}

/// Which account a sign-in is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    /// Whichever the provider knows.
    Any,
    /// Another one than now: the provider asks again.
    Another,
    /// Whichever, after a person has asked for another try.
    Retry,
}

/// A sign-in on its way: send the browser there, with the cookie if there is one.
#[derive(Debug)]
pub struct Begun {
    /// The provider's own address.
    pub location: Url,
    /// The value of the login cookie, if the browser has none yet.
    pub binding: Option<String>,
}

/// What came back with the browser.
#[derive(Debug, Default)]
pub struct Callback<'a> {
    /// The sealed attempt.
    pub state: &'a str,
    /// What to redeem for tokens.
    pub code: Option<&'a str>,
    /// Why there is none.
    pub error: Option<&'a str>,
    /// Who says so (RFC 9207).
    pub issuer: Option<&'a str>,
}

/// The browser that came back.
#[derive(Debug)]
pub struct Caller<'a> {
    /// Its login cookies.
    pub bindings: Vec<&'a str>,
    /// Its session, if it has a live one.
    pub live: Option<Arc<Session>>,
    /// Its address.
    pub client: String,
    /// The same, if somebody vouches for it.
    pub address: Option<IpAddr>,
    /// Its own name.
    pub user_agent: String,
}

/// How a callback ended well.
#[derive(Debug)]
pub enum Finished {
    /// Signed in: keep both cookies, go on.
    Welcome {
        /// The page that was asked for.
        to: ReturnTo,
        /// For the session cookie.
        handle: SessionHandle,
        /// For the login cookie.
        binding: String,
        /// Who it is.
        who: Somebody,
    },
    /// Another tab was faster, go on.
    Onward(ReturnTo),
    /// Stale or not this browser's: once more.
    Again(Begun),
}

/// What a sign-out leaves behind.
#[derive(Debug)]
pub struct Farewell {
    /// Who it was.
    pub who: Somebody,
    tokens: Option<Tokens>,
}

impl Farewell {
    /// The same for a browser that must not have what is in the tokens.
    #[must_use]
    pub fn without_tokens(self) -> Self {
        Self { tokens: None, ..self }
    }
}

impl Login {
    /// Code flows with these providers.
    pub fn new(
        providers: Providers,
        sessions: Arc<Sessions>,
        sealer: Arc<Sealer>,
        metrics: Arc<Metrics>,
        limiter: Arc<Limiter>,
    ) -> Self {
        let heard = Arc::new(Mutex::new(Heard::new(MOST_HEARD)));
        Self { providers, sessions, sealer, metrics, limiter, heard, opened: Arc::default() }
    }

    /// The same, which remembers what another one has heard.
    #[must_use]
    pub fn after(self, before: &Self) -> Self {
        Self { heard: Arc::clone(&before.heard), opened: Arc::clone(&before.opened), ..self }
    }

    /// Where people can sign in.
    pub fn providers(&self) -> &Providers {
        &self.providers
    }

    /// Whom to ask about the sessions of an issuer; nobody if it is no provider of ours, or not any more.
    pub fn provider_of(&self, issuer: &str) -> Option<(&Provider, &KeyRing)> {
        self.providers.of_issuer(issuer).map(|named| (&named.provider, &*named.keys))
    }

    /// Begins a sign-in in a browser with these login cookies.
    ///
    /// # Errors
    /// [`LoginError::Circle`] if this browser has just signed in twice without coming back with a session, and
    /// [`LoginError::Provider`] if the provider's metadata cannot be had.
    pub async fn begin(&self, wish: Wish<'_>, bindings: &[&str], now: u64) -> Result<Begun, LoginError> {
        let known = self.binding_of(bindings, |_| true);
        let turn = match (&known, wish.account) {
            // A person asked, so it is no circle.
            (_, Account::Retry | Account::Another) | (None, Account::Any) => 1,
            // Nobody is asked twice for one proof.
            (Some(_), Account::Any) if wish.proof.is_some() => 1,
            (Some(binding), Account::Any) => binding.next_turn(wish.at.name(), now),
        };
        self.set_out(wish, known, Turn { number: turn, missed: 0, cause: Cause::SessionCookie }, now).await
    }

    async fn set_out(
        &self,
        wish: Wish<'_>,
        known: Option<Binding>,
        turn: Turn,
        now: u64,
    ) -> Result<Begun, LoginError> {
        if turn.is_too_much() {
            self.metrics.sign_in_loops.inc();
            return Err(LoginError::Circle(turn.cause));
        }
        let fresh = known.is_none();
        let binding = match known {
            Some(binding) => binding,
            None => Binding::new(random()?),
        };
        let state = State::new(&wish, &binding, (&turn, random()?), now);
        let sealed = self.sealer.seal_text(Purpose::State, &state.to_bytes(), random::<NONCE_BYTES>()?);
        let prompt = (wish.account == Account::Another).then_some(Prompt::AnotherAccount);
        let ask = Ask {
            state: &sealed,
            nonce: &binding.nonce(&state),
            verifier: &binding.verifier(&state),
            prompt,
            proof: wish.proof.as_ref(),
        };
        let location = wish.at.provider.authorize_url(ask, now).await?;
        let binding = if fresh { Some(self.seal_binding(&binding)?) } else { None };
        Ok(Begun { location, binding })
    }

    /// Ends what [`Login::begin`] began, on any replica.
    ///
    /// # Errors
    /// [`Failed`]: nobody is signed in then.
    pub async fn finish(
        &self,
        callback: Callback<'_>,
        caller: Caller<'_>,
        origins: &Origins<'_>,
        now: u64,
    ) -> Result<Finished, Failed> {
        let opened = self.sealer.open_text(Purpose::State, callback.state);
        let Some(state) = opened.and_then(|bytes| State::from_bytes(&bytes)) else {
            return Err(Failed { error: LoginError::State, to: None });
        };
        let to = ReturnTo::parse(&state.to, origins).unwrap_or_else(|| ReturnTo::home(origins));
        let Some(at) = self.providers.named(&state.provider) else {
            return Err(Failed { error: LoginError::State, to: Some(to) });
        };
        let newer = |session: &Arc<Session>| {
            let identity = session.person.identity();
            let same = identity.issuer() == at.issuer();
            let proven = state.proof.as_ref().is_none_or(|proof| proof.is_given_by(identity, now));
            same && proven && session.created_at >= state.at && !state.another
        };
        if caller.live.as_ref().is_some_and(newer) {
            return Ok(Finished::Onward(to));
        }
        let attempt = Attempt { at, state: &state, to: to.clone() };
        let finished = self.finish_attempt(&callback, caller, attempt, now).await;
        finished.map_err(|error| Failed { error, to: Some(to) })
    }

    async fn finish_attempt(
        &self,
        callback: &Callback<'_>,
        caller: Caller<'_>,
        Attempt { at, state, to }: Attempt<'_>,
        now: u64,
    ) -> Result<Finished, LoginError> {
        check_issuer(at, callback.issuer, now).await?;
        let (cause, known) = match self.check(callback, &caller, state, now)? {
            Check::Redeem(code, binding) => match self
                .redeem(at, code, (&binding, state), (caller.address, now))
                .await
            {
                Ok(Redeemed { profile, sid, tokens }) => {
                    let who = Somebody::from(&profile);
                    let asked = state.proof.clone().map(|wanted| Asked { wanted, at: now });
                    let new = NewSession {
                        profile: Profile { asked, ..profile },
                        sid,
                        renew_at: tokens.renew_at(now),
                        tokens: tokens.to_json().map_err(|_| LoginError::Tokens)?,
                        client: caller.client,
                        user_agent: caller.user_agent,
                    };
                    let handle = self.replace(new, caller.live, now).await?;
                    let binding = self.seal_binding(&binding.finished(at.name(), state.turn, now))?;
                    return Ok(Finished::Welcome { to, handle, binding, who });
                }
                Err(LoginError::Provider(ProviderError::InvalidGrant { .. })) => (Cause::Code, Some(binding)),
                Err(error) => return Err(error),
            },
            Check::Again(cause, known) => (cause, known),
        };
        let account = if state.another { Account::Another } else { Account::Any };
        let turn = state.next_turn(cause, known.is_some());
        let wish = Wish { at, to, account, proof: state.proof.clone() };
        Ok(Finished::Again(self.set_out(wish, known, turn, now).await?))
    }

    /// Turns a code into a person (OpenID Connect Core 3.1.3 and 5.3), by the word of one provider alone.
    async fn redeem(
        &self,
        at: &Named,
        code: &str,
        (binding, state): (&Binding, &State),
        (client, now): (Option<IpAddr>, u64),
    ) -> Result<Redeemed, LoginError> {
        let Named { provider, keys, .. } = at;
        let tokens = self.tokens_for(provider, (code, &binding.verifier(state)), client, now).await?;
        let rules = provider.keys_and_rules(now).await?;
        let nonce = binding.nonce(state);
        let access_token = Some(tokens.access_token.expose());
        let expected = expect(&rules, Kind::Id { nonce: Some(&nonce), access_token, code: Some(code) });
        let claims = keys.verify(tokens.id_token.expose(), &expected, now).await?;
        let profile = profile(at, &claims, &tokens, &rules, now).await?;
        Ok(Redeemed { profile, sid: session_of(&claims)?, tokens })
    }

    /// What the provider gives for a code. One sign-in that was begun is good for any number of codes, and most providers bound how often
    /// they are asked, by all of us: so what it refuses is counted, and nobody asks it who had too much refused.
    async fn tokens_for(
        &self,
        provider: &Provider,
        (code, verifier): (&str, &str),
        client: Option<IpAddr>,
        now: u64,
    ) -> Result<Tokens, LoginError> {
        self.limiter.take(limits::Kind::Code, client, now).map_err(LoginError::Limited)?;
        let tokens = provider.redeem(code, verifier, now).await;
        let is_refused = matches!(
            tokens,
            Err(ProviderError::InvalidGrant { .. } | ProviderError::Refused { step: Step::Token, .. })
        );
        if !is_refused {
            self.limiter.give_back(limits::Kind::Code, client);
        }
        Ok(tokens?)
    }

    /// What to do with a callback whose state is ours.
    fn check<'a>(
        &self,
        callback: &Callback<'a>,
        caller: &Caller<'_>,
        state: &State,
        now: u64,
    ) -> Result<Check<'a>, LoginError> {
        let Some(binding) = self.binding_of(&caller.bindings, |binding| binding.holds(state)) else {
            return Ok(Check::Again(Cause::LoginCookie, self.binding_of(&caller.bindings, |_| true)));
        };
        if state.is_late(now) {
            return Ok(Check::Again(Cause::Late, Some(binding)));
        }
        match (callback.error, callback.code) {
            (None, Some(code)) => Ok(Check::Redeem(code, binding)),
            // An answer is one or the other (RFC 6749 4.1.2), so that a code beside an error counts for nothing.
            (error, _) => {
                let error = error.unwrap_or("no code and no error");
                Err(LoginError::Denied(error.chars().filter(char::is_ascii_graphic).take(64).collect()))
            }
        }
    }

    /// Keeps the new session, then ends the one this browser had: a sign-in always gives a new handle.
    async fn replace(
        &self,
        new: NewSession,
        old: Option<Arc<Session>>,
        now: u64,
    ) -> Result<SessionHandle, LoginError> {
        let handle = match self.sessions.create(new, now).await.map_err(LoginError::of_keeping)? {
            Created::Kept(handle) => handle,
            Created::Disabled => return Err(LoginError::Disabled),
        };
        if let Some(old) = old
            && let Err(error) = self.sessions.end(old.handle(), now).await
        {
            tracing::warn!(%error, "the session that a new sign-in replaced could not be ended");
        }
        Ok(handle)
    }

    /// Ends the session behind a handle.
    ///
    /// # Errors
    /// [`StoreError`] if the session could not be ended.
    pub async fn end(&self, handle: &SessionHandle, now: u64) -> Result<Option<Farewell>, StoreError> {
        let Some(ended) = self.sessions.end(handle, now).await? else { return Ok(None) };
        let tokens = ended.tokens.and_then(|bytes| Tokens::from_json(&bytes).ok());
        Ok(Some(Farewell { who: Somebody::from(&ended.profile), tokens }))
    }

    /// Takes the tokens of a session that has ended back at the provider they are from, as far as it answers.
    pub async fn revoke(&self, farewell: &Farewell, now: u64) {
        let Some(tokens) = &farewell.tokens else { return };
        let Some((provider, _)) = self.provider_of(&farewell.who.issuer) else { return };
        let revoked = tokio::time::timeout(REVOKE_TIME, provider.revoke(tokens, now)).await;
        if let Err(error) = revoked.unwrap_or(Err(ProviderError::Interrupted)) {
            tracing::warn!(%error, "the tokens of a session that ended could not be revoked at the provider");
        }
    }

    /// The own sign-out of the provider a session was from, to send the browser to (OpenID Connect RP-Initiated
    /// Logout 1.0).
    ///
    /// # Errors
    /// [`ProviderError`] if its metadata cannot be had.
    pub async fn end_at_provider(
        &self,
        farewell: &Farewell,
        afterwards: &Url,
        now: u64,
    ) -> Result<Option<Url>, ProviderError> {
        let Some((provider, _)) = self.provider_of(&farewell.who.issuer) else { return Ok(None) };
        let hint = farewell.tokens.as_ref().map(|tokens| tokens.id_token.expose());
        provider.end_session_url(hint, afterwards, None, now).await
    }

    /// The first of a browser's halves that opens and is the one looked for.
    fn binding_of(&self, bindings: &[&str], wanted: impl Fn(&Binding) -> bool) -> Option<Binding> {
        let opened = bindings.iter().filter_map(|text| self.sealer.open_text(Purpose::Binding, text));
        opened.filter_map(|bytes| Binding::from_bytes(&bytes)).find(wanted)
    }

    fn seal_binding(&self, binding: &Binding) -> Result<String, LoginError> {
        Ok(self.sealer.seal_text(Purpose::Binding, &binding.to_bytes(), random::<NONCE_BYTES>()?))
    }
}

/// A sign-in that has come back, and where it was begun: nobody else may finish it.
struct Attempt<'a> {
    at: &'a Named,
    state: &'a State,
    to: ReturnTo,
}

/// Refuses the answer of another provider than the one that was asked (RFC 9207 2.4).
async fn check_issuer(at: &Named, issuer: Option<&str>, now: u64) -> Result<(), LoginError> {
    let rules = at.provider.keys_and_rules(now).await?;
    match issuer {
        Some(issuer) if rules.issuers.iter().any(|known| known == issuer) => Ok(()),
        None if !rules.callback_names_issuer => Ok(()),
        Some(_) | None => Err(LoginError::Issuer),
    }
}

/// Who the claims of an ID token and of userinfo are about (OpenID Connect Core 5.3), by the word of one provider.
async fn profile(
    at: &Named,
    claims: &Map<String, Value>,
    tokens: &Tokens,
    rules: &Rules,
    now: u64,
) -> Result<Profile, LoginError> {
    let more = userinfo(at, claims, tokens, rules, now).await?;
    profile_of(at, claims, more)
}

/// The claims of userinfo, which has to be about the one of the ID token; none if the provider has none.
async fn userinfo(
    at: &Named,
    claims: &Map<String, Value>,
    tokens: &Tokens,
    rules: &Rules,
    now: u64,
) -> Result<Map<String, Value>, LoginError> {
    let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
    Ok(match at.provider.userinfo(&tokens.access_token, subject, now).await? {
        None => Map::new(),
        Some(Userinfo::Claims(more)) => more,
        Some(Userinfo::Signed(token)) => {
            at.keys.verify(&token, &expect(rules, Kind::Userinfo { subject }), now).await?
        }
    })
}

/// Who both are about.
fn profile_of(
    at: &Named,
    claims: &Map<String, Value>,
    more: Map<String, Value>,
) -> Result<Profile, LoginError> {
    let claims = at.provider.merged(claims.clone(), more);
    let mapped = at.provider.profile(&claims)?;
    for warning in mapped.warnings {
        tracing::warn!(
            user = mapped.profile.username,
            ?warning,
            "not all that the provider says could be kept"
        );
    }
    Ok(mapped.profile)
}

/// What a token of this kind must be like.
fn expect<'a>(rules: &'a Rules, kind: Kind<'a>) -> Expect<'a> {
    let algorithms = match kind {
        Kind::Id { .. } | Kind::Logout | Kind::Access { .. } => &rules.algorithms,
        Kind::Userinfo { .. } => &rules.userinfo_algorithms,
    };
    Expect {
        jwks_uri: &rules.jwks_uri,
        issuers: &rules.issuers,
        audience: &rules.client_id,
        algorithms,
        secret: rules.secret.as_ref(),
        kind,
    }
}

/// What a code was worth.
struct Redeemed {
    profile: Profile,
    sid: Option<String>,
    tokens: Tokens,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login")
    }
}

enum Check<'a> {
    Redeem(&'a str, Binding),
    Again(Cause, Option<Binding>),
}

fn random<const N: usize>() -> Result<[u8; N], LoginError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| LoginError::Random)?;
    Ok(bytes)
}

/// How many logout tokens are remembered.
const MOST_HEARD: usize = 10_000;
/// How long a person who signs out waits for the provider to take tokens back.
const REVOKE_TIME: Duration = Duration::from_secs(3);
