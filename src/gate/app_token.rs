//! Whether an app token counts for a visit, and who it then stands for. Knows no rules and no messages.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::bearer::NoPerson;
use crate::headers::Person;
use crate::identity::Field;
use crate::policy::App;
use crate::session::{KnownToken, Sessions};
use crate::visit::{ShownToken, Visit};

/// Who the token stands for that a visit to this app shows; with the token, to note its use.
///
/// # Errors
/// [`NoPerson`] if it shows none or that does not count here, or if nobody can tell.
pub(super) async fn holder(
    sessions: &Sessions,
    shown: ShownToken,
    app: &App,
    visit: &Visit<'_>,
    now: u64,
) -> Result<(Arc<KnownToken>, Arc<Person>), NoPerson> {
    let (token, user) = match shown {
        ShownToken::Nothing => return Err(NoPerson::NotShown),
        ShownToken::Unclear => return refuse(MALFORMED),
        ShownToken::Token { token, user } => (token, user),
    };
    let known = sessions.token(&token, now).await.map_err(|error| {
        tracing::warn!(%error, "nobody can tell whether an app token counts");
        NoPerson::Unavailable
    })?;
    let Some(known) = known else { return refuse(UNKNOWN) };
    let here = Here { app, address: visit.address(), now, absence: sessions.owner_absence() };
    match here.accept(&known, user.as_deref()) {
        Ok(person) => Ok((known, person)),
        Err(reason) => refuse(reason),
    }
}

fn refuse<T>(reason: &str) -> Result<T, NoPerson> {
    Err(NoPerson::Refused(reason.to_owned()))
}

/// Where and when a token is shown.
struct Here<'a> {
    app: &'a App,
    address: Option<IpAddr>,
    now: u64,
    absence: Duration,
}

impl Here<'_> {
    /// Who a token stands for here.
    fn accept(&self, token: &KnownToken, user: Option<&str>) -> Result<Arc<Person>, &'static str> {
        let is_near = |address: &IpAddr| token.networks.iter().any(|network| network.contains(address));
        if *token.app != *self.app.name || !self.app.is_named() {
            return Err(OTHER_APP);
        }
        if token.expires_at.is_some_and(|end| end <= self.now) {
            return Err(EXPIRED);
        }
        // An address that nobody vouches for is in no network.
        if !token.networks.is_empty() && !self.address.as_ref().is_some_and(is_near) {
            return Err(OTHER_NETWORK);
        }
        let Some(person) = &token.person else { return Err(NO_OWNER) };
        if self.now.saturating_sub(token.vouched_at) >= self.absence.as_secs() {
            return Err(ABSENT);
        }
        if user.is_some_and(|user| user != person.identity().field(Field::Username)) {
            return Err(OTHER_USER);
        }
        Ok(Arc::clone(person))
    }
}

const MALFORMED: &str = "what was shown is no app token, or not one alone";
const UNKNOWN: &str = "the app token is not known, or was revoked";
const OTHER_APP: &str = "the app token is for another app";
const EXPIRED: &str = "the app token has expired";
const OTHER_NETWORK: &str = "the app token does not count from this network";
const NO_OWNER: &str = "the owner of the app token may not sign in";
const ABSENT: &str = "the owner of the app token has not signed in for too long";
const OTHER_USER: &str = "the app token is not of the user it was sent with";
