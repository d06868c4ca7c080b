//! Devices on the account page: a code is typed, a page says what it stands for, and the person approves or refuses. Knows no
//! devices; those ask at addresses of their own.

use http::{Response, StatusCode};

use super::super::body::Body;
use super::super::denial::trouble;
use super::super::pages::{CSS, Page, Pairing, PairingDone};
use super::super::{Site, answer};
use super::query::Query;
use super::{account, tokens};
use crate::identity::Field;
use crate::journal::Place;
use crate::login::LoginError;
use crate::session::store::{PersonKey, StoreError, WaitingPairing};
use crate::session::{Session, Tried, UserCode};
use crate::wording::{ago, day_and_time, timestamp};

/// What stands in the field for a code, and what is wrong with it.
#[derive(Debug)]
pub(super) struct Entry {
    code: Option<UserCode>,
    pub(super) note: &'static str,
    pub(super) status: StatusCode,
}

/// What a form says of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    code: Option<UserCode>,
    wanted: Wanted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Look,
    Decide(bool),
}

impl Entry {
    /// The code that an address has, as devices show it as a link or a picture.
    pub(super) fn of(query: &Query) -> Self {
        let code = query.one("code").ok().flatten().and_then(|code| UserCode::parse(&code));
        Self { code, note: "", status: StatusCode::OK }
    }

    fn wrong(code: Option<UserCode>, status: StatusCode, note: &'static str) -> Self {
        Self { code, note, status }
    }

    pub(super) fn code(&self) -> String {
        self.code.map_or_else(String::new, |code| code.to_string())
    }

    /// The page with this code in its field.
    pub(super) fn address(&self) -> String {
        self.code.map_or_else(|| account::PATH.to_owned(), |code| format!("{}?code={code}", account::PATH))
    }
}

impl Step {
    pub(super) fn of(step: &str, form: &Query) -> Option<Self> {
        let wanted = match step {
            "ask" => Wanted::Look,
            "approve" => Wanted::Decide(true),
            "refuse" => Wanted::Decide(false),
            _ => return None,
        };
        Some(Self { code: UserCode::parse(&form.one("code").ok().flatten()?), wanted })
    }
}

/// Shows what a code stands for, or does what the person decided.
pub(super) async fn go_on(
    site: &Site,
    session: &Session,
    step: Step,
    (place, now): (&Place, u64),
) -> Response<Body> {
    if site.self_service.is_none() {
        return answer::empty(StatusCode::FORBIDDEN);
    }
    let Some(code) = step.code else {
        let entry =
            Entry::wrong(None, StatusCode::BAD_REQUEST, "A code has eight letters, such as BCDF-GHJK.");
        return account::show_to(site, session, &entry, now).await;
    };
    match tried(site, session, (code, step.wanted), (place, now)).await {
        Ok(Ok(response)) => response,
        Ok(Err(entry)) => account::show_to(site, session, &entry, now).await,
        Err(error) => trouble(site, &LoginError::Store(error), None),
    }
}

async fn tried(
    site: &Site,
    session: &Session,
    (code, wanted): (UserCode, Wanted),
    (place, now): (&Place, u64),
) -> Result<Result<Response<Body>, Entry>, StoreError> {
    let person = PersonKey::of(session.person.identity());
    let waiting = match site.sessions.waiting_pairing(code, &person, now).await? {
        Tried::Waiting(waiting) => waiting,
        Tried::Nothing => return Ok(Err(Entry::wrong(Some(code), StatusCode::NOT_FOUND, UNKNOWN))),
        Tried::TooOften => return Ok(Err(Entry::wrong(None, StatusCode::TOO_MANY_REQUESTS, TOO_OFTEN))),
    };
    // Whoever may not use the app may still refuse.
    if wanted != Wanted::Decide(false) && !tokens::offered(site, session).contains(&waiting.app.as_str()) {
        return Ok(Err(Entry::wrong(None, StatusCode::FORBIDDEN, NOT_YOURS)));
    }
    match wanted {
        Wanted::Look => Ok(Ok(question(site, session, code, (&waiting, now)))),
        Wanted::Decide(approved) => decide(site, session, (code, approved), (&waiting, place, now)).await,
    }
}

async fn decide(
    site: &Site,
    session: &Session,
    (code, approved): (UserCode, bool),
    (waiting, place, now): (&WaitingPairing, &Place, u64),
) -> Result<Result<Response<Body>, Entry>, StoreError> {
    let person = PersonKey::of(session.person.identity());
    if approved && let Some(full) = tokens::full(site, &person, now).await? {
        return Ok(Ok(full));
    }
    if !site.sessions.decide_pairing(code, (&person, approved), now).await? {
        return Ok(Err(Entry::wrong(Some(code), StatusCode::NOT_FOUND, UNKNOWN)));
    }
    let user = session.person.identity().field(Field::Username);
    tracing::info!(
        user,
        app = waiting.app,
        client = waiting.client,
        approved,
        "somebody decided on a device"
    );
    if approved {
        tokens::note_token(site, session, &waiting.app, place);
    }
    Ok(Ok(done(site, waiting, approved)))
}

fn question(
    site: &Site,
    session: &Session,
    code: UserCode,
    (waiting, now): (&WaitingPairing, u64),
) -> Response<Body> {
    let asked = waiting.created_at;
    let account = site.own_url(account::PATH, None, &[]);
    let page = Pairing {
        css: CSS,
        username: session.person.identity().field(Field::Username),
        device: &waiting.name,
        app: &waiting.app,
        client: &waiting.client,
        asked: [ago(asked, now), timestamp(asked), day_and_time(asked)],
        code: &code.to_string(),
        lasts: &tokens::longest(site),
        action: account.as_str(),
        csrf: &account::csrf(site, session),
        account: account.as_str(),
    };
    answer::page(StatusCode::OK, Page::new(&page, &account::form_targets(site)))
}

fn done(site: &Site, waiting: &WaitingPairing, approved: bool) -> Response<Body> {
    let account = site.own_url(account::PATH, None, &[]);
    let page = PairingDone {
        css: CSS,
        approved,
        device: &waiting.name,
        app: &waiting.app,
        account: account.as_str(),
    };
    answer::page(StatusCode::OK, Page::new(&page, ""))
}

const UNKNOWN: &str = "No device waits with this code. Codes count for ten minutes.";
const TOO_OFTEN: &str = "Too many wrong codes. Try again in ten minutes.";
const NOT_YOURS: &str = "This device is for an app that you may not use.";
