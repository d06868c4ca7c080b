//! The judge: one visit in, one decision out. Knows no HTTP messages and not how anybody signed in.

mod app_token;

use std::sync::Arc;

use crate::bearer::{Clients, NoPerson, Reach};
use crate::emergency::{Emergency, NotLetIn};
use crate::headers::Person;
use crate::limits::{Kind, Limited, Limiter};
use crate::policy::{App, Decision, Limits, Policy, Refusal, Rule, Ruling};
use crate::session::store::StoreError;
use crate::session::{Session, Sessions};
use crate::visit::{Authorization, Credential, Scheme, Shown, ShownToken, Visit};

/// Decides about visits by one policy, the sessions of one store and the tokens of some issuers.
#[derive(Debug)]
pub struct Gate {
    /// The rules.
    pub policy: Policy,
    sessions: Arc<Sessions>,
    clients: Option<Arc<Clients>>,
    emergency: Option<Arc<Emergency>>,
    /// Whether passwords are taken over https alone.
    secure: bool,
    limiter: Arc<Limiter>,
}

/// Whether a decision counts as a use of the session it rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counts {
    AsUse,
    NotAtAll,
}

impl Gate {
    /// A judge with these rules. Without `clients` no token counts; `limiter` says how many bad ones may be shown.
    pub fn new(
        policy: Policy,
        sessions: Arc<Sessions>,
        clients: Option<Arc<Clients>>,
        limiter: Arc<Limiter>,
    ) -> Self {
        Self { policy, sessions, clients, emergency: None, secure: true, limiter }
    }

    /// The same judge, with a door for emergencies; `secure` says that it is one for visits over https alone.
    #[must_use]
    pub fn with_emergency(self, emergency: Option<Arc<Emergency>>, secure: bool) -> Self {
        Self { emergency, secure, ..self }
    }

    /// The door for emergencies, where there is one.
    pub fn emergency(&self) -> Option<&Arc<Emergency>> {
        self.emergency.as_ref()
    }

    /// Those whose tokens count.
    pub fn clients(&self) -> Option<&Arc<Clients>> {
        self.clients.as_ref()
    }

    /// Decides about a visit at `now`, in Unix seconds. Only a rule can let it in; whatever cannot be found out
    /// is a no.
    ///
    /// A live session comes first, and then nobody looks at tokens. Without one, the token alone says who it is.
    pub fn judge(&self, visit: &Visit<'_>, now: u64) -> impl Future<Output = Decision<'_>> {
        self.decide(visit, Counts::AsUse, now)
    }

    /// Decides once more about a visit that goes on, which is no use of its session by itself.
    pub fn look_again(&self, visit: &Visit<'_>, now: u64) -> impl Future<Output = Decision<'_>> {
        self.decide(visit, Counts::NotAtAll, now)
    }

    async fn decide(&self, visit: &Visit<'_>, counts: Counts, now: u64) -> Decision<'_> {
        let (app, rule) = match self.policy.rule_for(&visit.target) {
            Ruling::Rule(app, rule) => (app, rule),
            Ruling::UnknownHost => return Decision::Forbid(Refusal::UnknownHost),
            Ruling::AmbiguousPath => return Decision::Forbid(Refusal::AmbiguousPath),
            Ruling::AmbiguousQuery => return Decision::Forbid(Refusal::AmbiguousQuery),
            Ruling::AmbiguousMethod => return Decision::Forbid(Refusal::AmbiguousMethod),
            Ruling::OtherDestination => return Decision::Forbid(Refusal::OtherDestination),
        };
        let person = self.person(&visit.credential, app.limits, counts, now).await;
        if app.emergency
            && !matches!(person, Ok(Some(_)))
            && let Some(emergency) = self.emergency_at(visit, (app, rule), now)
        {
            return Box::pin(judge_in_emergency(emergency, visit, (app, rule), now)).await;
        }
        match person {
            Ok(None) => match (visit.authorization.app_token(), &self.clients) {
                (ShownToken::Nothing, Some(_)) if self.is_for_emergencies(app, visit) => {
                    rule.admits(app, None, visit, now)
                }
                (ShownToken::Nothing, Some(clients)) => {
                    self.judge_token(clients, visit, (app, rule), (counts, now)).await
                }
                (ShownToken::Nothing, None) => rule.admits(app, None, visit, now),
                // Boxed, so that all others do not pay for its size.
                (shown, _) => Box::pin(self.judge_app_token(shown, visit, (app, rule), (counts, now))).await,
            },
            Ok(person) => rule.admits(app, person, visit, now),
            // Whoever it is may help, so that nothing but a yes to everybody is an answer.
            Err(_) => {
                let decision = rule.admits(app, None, visit, now);
                if matches!(decision, Decision::Allow(_)) { decision } else { Decision::Unavailable }
            }
        }
    }

    /// The door for emergencies, where it is one for this visit: the provider would have to be asked who it is, and none of the
    /// app's answers.
    fn emergency_at(&self, visit: &Visit<'_>, (app, rule): (&App, &Rule), now: u64) -> Option<&Emergency> {
        let emergency = self.emergency.as_deref().filter(|emergency| emergency.is_open_for(app))?;
        let shows_token = !matches!(visit.authorization.app_token(), ShownToken::Nothing)
            || matches!(visit.authorization.shown(), Shown::Bearer(_) | Shown::Unclear);
        let would_ask = || matches!(rule.admits(app, None, visit, now), Decision::SignIn);
        let is_safe = !self.secure || visit.target.scheme == Scheme::Https;
        let is_asked_elsewhere = visit.authorization.is_shown_by_another_site(&visit.target);
        let may_show = is_safe && !is_asked_elsewhere && !shows_token;
        (may_show && emergency.takes_from(visit.address()) && would_ask()).then_some(emergency)
    }

    /// Whether a password is one for emergencies, which no provider gets to see.
    fn is_for_emergencies(&self, app: &App, visit: &Visit<'_>) -> bool {
        self.keeps_password(app, visit.authorization)
            && matches!(visit.authorization.shown(), Shown::Basic(_))
    }

    /// Whether what is shown as `Authorization` is for foregate and not for the app: the name of somebody with emergency access and
    /// a password, which browsers go on sending to an app that asked for it once.
    pub fn keeps_password(&self, app: &App, authorization: Authorization<'_>) -> bool {
        let emergency = self.emergency.as_deref().filter(|_| app.emergency);
        emergency.is_some_and(|emergency| match authorization.shown() {
            Shown::Basic(shown) => emergency.names(shown),
            Shown::Nothing | Shown::Bearer(_) => false,
            // A password may be among it.
            Shown::Unclear => true,
        })
    }

    /// Decides about somebody without a session, by an app token.
    async fn judge_app_token<'p>(
        &self,
        shown: ShownToken,
        visit: &Visit<'_>,
        (app, rule): (&'p App, &'p Rule),
        (counts, now): (Counts, u64),
    ) -> Decision<'p> {
        let is_try = match &shown {
            ShownToken::Token { token, .. } => !self.sessions.has_token_at_hand(token, now),
            ShownToken::Nothing | ShownToken::Unclear => true,
        };
        let tries = (counts == Counts::AsUse && is_try).then_some(now);
        let holder = app_token::holder(&self.sessions, shown, app, visit, now);
        let found = match self.limited(visit, holder, tries).await {
            Ok(found) => found,
            Err(Limited { seconds }) => return Decision::Limited { seconds },
        };
        let found = found.map(|(token, person)| {
            match counts {
                Counts::AsUse => self.sessions.note_token_use(&token, now),
                Counts::NotAtAll => {}
            }
            person
        });
        let without = rule.admits(app, None, visit, now);
        decide_for(found, without, visit, (app, rule), now)
    }

    /// Decides about somebody without a session, by their token if they show one.
    async fn judge_token<'p>(
        &self,
        clients: &Clients,
        visit: &Visit<'_>,
        (app, rule): (&'p App, &'p Rule),
        (counts, now): (Counts, u64),
    ) -> Decision<'p> {
        let without = rule.admits(app, None, visit, now);
        let shown = visit.authorization.shown();
        if shown == Shown::Nothing {
            return without;
        }
        let reach = if matches!(without, Decision::SignIn) { Reach::Provider } else { Reach::Here };
        // Where everybody is let in, or nobody, what is shown may be the app's own and is no try.
        let tries = (counts == Counts::AsUse && reach == Reach::Provider).then_some(now);
        let found = match clients.known(shown, reach, now) {
            Some(person) => Ok(person),
            // Boxed, so that sessions and known tokens do not pay for its size.
            None => match Box::pin(self.limited(visit, clients.find(shown, reach, now), tries)).await {
                Ok(found) => found,
                Err(Limited { seconds }) => return Decision::Limited { seconds },
            },
        };
        decide_for(found, without, visit, (app, rule), now)
    }

    /// What a token is found to be, if its visitor may show another one. With a time it is a try, which is taken back unless the
    /// token counts for nothing.
    async fn limited<T>(
        &self,
        visit: &Visit<'_>,
        found: impl Future<Output = Result<T, NoPerson>>,
        tries: Option<u64>,
    ) -> Result<Result<T, NoPerson>, Limited> {
        let Some(now) = tries else { return Ok(found.await) };
        let client = visit.address();
        self.limiter.take(Kind::Token, client, now)?;
        let found = found.await;
        if !matches!(found, Err(NoPerson::Refused(_))) {
            self.limiter.give_back(Kind::Token, client);
        }
        Ok(found)
    }

    /// Whoever the first credential that works belongs to. One that does not work is none, and neither is one that the
    /// app does not take any more: that is no use of the session.
    ///
    /// # Errors
    /// [`StoreError`] if no credential works and one of them could not be asked about.
    async fn person(
        &self,
        credential: &Credential,
        limits: Limits,
        counts: Counts,
        now: u64,
    ) -> Result<Option<Arc<Person>>, StoreError> {
        let Some(mut session) = self.sessions.find_any(credential, now).await? else { return Ok(None) };
        let good = |session: &Session| limits.admit(session.created_at, session.last_seen(), now);
        if !good(&session) {
            let by_age = Limits { idle: None, ..limits };
            if !by_age.admit(session.created_at, session.last_seen(), now) {
                return Ok(None);
            }
            // It may have been in use on another replica. Boxed, so that all others do not pay for its size.
            let anew = Box::pin(self.sessions.find_anew(session.handle(), now)).await?;
            let Some(newer) = anew.filter(|session| good(session)) else { return Ok(None) };
            session = newer;
        }
        match counts {
            Counts::AsUse => self.sessions.note_use(&session, now),
            Counts::NotAtAll => {}
        }
        Ok(Some(Arc::clone(&session.person)))
    }
}

/// Decides about somebody without a session while nobody can get one, by their password if they show one.
async fn judge_in_emergency<'p>(
    emergency: &Emergency,
    visit: &Visit<'_>,
    (app, rule): (&'p App, &'p Rule),
    now: u64,
) -> Decision<'p> {
    let Shown::Basic(shown) = visit.authorization.shown() else { return Decision::Emergency };
    match emergency.admit(shown, app, visit.address(), now).await {
        Ok(person) => rule.admits(app, Some(person), visit, now).in_emergency(),
        Err(NotLetIn::Wrong) => Decision::Emergency,
        Err(NotLetIn::Shut) => Decision::SignIn,
        Err(NotLetIn::Limited(Limited { seconds })) => Decision::Limited { seconds },
        Err(NotLetIn::Busy) => Decision::Unavailable,
    }
}

/// Decides about whoever a token stands for, or does not: then it is as it was `without`.
fn decide_for<'p>(
    found: Result<Arc<Person>, NoPerson>,
    without: Decision<'p>,
    visit: &Visit<'_>,
    (app, rule): (&'p App, &'p Rule),
    now: u64,
) -> Decision<'p> {
    match (found, without) {
        (Ok(person), _) => rule.admits(app, Some(person), visit, now).by_token(),
        (Err(NoPerson::Refused(reason)), Decision::SignIn) => Decision::BadToken(reason),
        (Err(NoPerson::Unavailable), Decision::SignIn) => Decision::Unavailable,
        // Where everybody is let in, or nobody, a token that is none is no reason for anything else.
        (Err(_), decision) => decision,
    }
}
