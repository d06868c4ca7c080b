//! `/.foregate/account`: who a person is here, where they are signed in, their app tokens, and the end of any of it. Shows and
//! ends nothing of anybody else. Knows no rules.

use std::sync::Arc;

use http::header::HeaderMap;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use super::super::audit::place_of;
use super::super::body::Body;
use super::super::denial::trouble;
use super::super::intent::is_for_a_window;
use super::super::pages::{Account, CSS, OwnToken, Page, SignedInAt};
use super::super::{Site, answer, unix_now};
use super::pairing::{self, Entry};
use super::query::Query;
use super::tokens::{self, Wish};
use super::{
    Scope, depart, is_at_home, is_own_form, live_session, not_for_scripts, proof_message, read_form,
    return_to,
};
use crate::browser::Purpose;
use crate::identity::Field;
use crate::journal::{By, Event, Place, Record};
use crate::login::LoginError;
use crate::session::store::{Listed, PersonKey, Selection, SessionId, StoreError, TokenId};
use crate::session::{Session, name_of, parse_name};
use crate::trace;
use crate::visit::{Credential, SessionHandle};
use crate::wording::{ago, day_and_time, device, timestamp};

/// Shows the page, or ends what its form asks for.
pub(in crate::http) async fn account(site: &Arc<Site>, request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if !is_at_home(site, &parts) {
        let here = site.own_url(PATH, None, &[]);
        return answer::text(StatusCode::NOT_FOUND, format!("Your account is at {here}\n"));
    }
    if parts.method == Method::GET || parts.method == Method::HEAD {
        // An app may be on this host, too.
        if !is_for_a_window(&parts.headers) {
            return not_for_scripts();
        }
        return show(site, &parts.headers, Entry::of(&Query::of(&parts))).await;
    }
    if parts.method != Method::POST {
        return answer::wrong_method("GET, HEAD, POST");
    }
    if !is_own_form(site, &parts) {
        return answer::empty(StatusCode::FORBIDDEN);
    }
    let Some(form) = read_form(body).await else { return answer::empty(StatusCode::PAYLOAD_TOO_LARGE) };
    act(site, &parts, &form).await
}

async fn show(site: &Site, headers: &HeaderMap, entry: Entry) -> Response<Body> {
    let now = unix_now();
    match live_session(site, headers, now).await {
        Ok(Some(session)) => show_to(site, &session, &entry, now).await,
        Ok(None) => sign_in_for(site, &entry.address()),
        Err(error) => trouble(site, &LoginError::Store(error), None),
    }
}

/// The page of whoever this session is.
pub(super) async fn show_to(site: &Site, session: &Session, entry: &Entry, now: u64) -> Response<Body> {
    let own = async {
        let (listed, more) = sessions_of(site, session, now).await?;
        Ok::<_, StoreError>(Own { listed, more, tokens: tokens::of(site, session, now).await? })
    };
    match own.await {
        Ok(own) => page(site, session, &own, entry, now),
        Err(error) => trouble(site, &LoginError::Store(error), None),
    }
}

/// What there is of a person.
struct Own {
    listed: Vec<Listed>,
    more: bool,
    tokens: Vec<OwnToken>,
}

/// Whoever is not signed in signs in and comes back.
fn sign_in(site: &Site) -> Response<Body> {
    sign_in_for(site, PATH)
}

fn sign_in_for(site: &Site, address: &str) -> Response<Body> {
    let to = return_to(site, Some(address));
    answer::redirect(StatusCode::FOUND, site.own_url("/.foregate/sign-in", Some(&to), &[]).as_str())
}

/// The person's sessions, this one first and then those used last first, and whether there are more.
async fn sessions_of(site: &Site, session: &Session, now: u64) -> Result<(Vec<Listed>, bool), StoreError> {
    let (person, own) = (PersonKey::of(session.person.identity()), session.handle().id());
    let mut listed = site.sessions.recent(&person, SHOWN + 1, now).await?;
    let here = match listed.iter().position(|one| one.id == own) {
        Some(place) => Some(listed.remove(place)),
        // The store may not know yet that it has just been used.
        None => site.sessions.list(&Selection::Own(&person, own), None, 1, now).await?.pop(),
    };
    let room = SHOWN as usize - usize::from(here.is_some());
    let more = listed.len() > room;
    listed.truncate(room);
    listed.splice(0..0, here);
    Ok((listed, more))
}

fn page(site: &Site, session: &Session, own: &Own, entry: &Entry, now: u64) -> Response<Body> {
    let identity = session.person.identity();
    let here = session.handle().id();
    let groups: Vec<&str> = identity.groups().collect();
    let sessions: Vec<SignedInAt<'_>> = own.listed.iter().map(|one| told(one, here, now)).collect();
    let (action, sign_out) = (site.own_url(PATH, None, &[]), site.own_url("/.foregate/sign-out", None, &[]));
    let csrf = csrf(site, session);
    let page = Account {
        css: CSS,
        name: identity.field(Field::Name),
        username: identity.field(Field::Username),
        email: identity.field(Field::Email),
        groups: &groups,
        sessions: &sessions,
        shown: if own.more { SHOWN } else { 0 },
        tokens: &own.tokens,
        apps: &tokens::offered(site, session),
        choices: &tokens::choices(site),
        code: &entry.code(),
        note: entry.note,
        action: action.as_str(),
        csrf: &csrf,
        sign_out: sign_out.as_str(),
    };
    answer::page(entry.status, Page::new(&page, &form_targets(site)))
}

/// The proof in the forms of whoever this session is.
pub(super) fn csrf(site: &Site, session: &Session) -> String {
    site.sealer.sign(Purpose::Form, &proof_message(session.handle(), PATH))
}

/// Where those forms lead.
pub(super) fn form_targets(site: &Site) -> String {
    format!("'self' {}", site.public_url.origin().ascii_serialization())
}

/// A session as the page shows it.
fn told(one: &Listed, own: SessionId, now: u64) -> SignedInAt<'_> {
    let here = one.id == own;
    let last_seen = if here { now } else { one.last_seen };
    let device = device(&one.user_agent);
    SignedInAt {
        id: name_of(&one.id),
        here,
        user_agent: if device.is_none() { &one.user_agent } else { "" },
        device: device.unwrap_or_else(|| "An unknown browser".to_owned()),
        client: &one.client,
        since: [ago(one.created_at, now), timestamp(one.created_at), day_and_time(one.created_at)],
        seen: [ago(last_seen, now), timestamp(last_seen), day_and_time(last_seen)],
    }
}

/// What a form asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    One(SessionId),
    Others,
    Revoked(TokenId),
    New(Wish),
    Pairing(pairing::Step),
}

impl Wanted {
    /// The one thing that a form asks for.
    fn of(form: &Query) -> Option<Self> {
        let field = |name: &str| form.one(name).ok().flatten();
        match (field("session"), field("others"), field("revoke"), field("make"), field("pair")) {
            (Some(name), None, None, None, None) => parse_name(&name).map(Self::One),
            (None, Some(_), None, None, None) => Some(Self::Others),
            (None, None, Some(name), None, None) => parse_name(&name).map(Self::Revoked),
            (None, None, None, Some(_), None) => Wish::of(form).map(Self::New),
            (None, None, None, None, Some(step)) => pairing::Step::of(&step, form).map(Self::Pairing),
            (_, _, _, _, _) => None,
        }
    }
}

/// Ends what the form asks for, if it comes from the page of somebody who is signed in here.
async fn act(site: &Arc<Site>, parts: &Parts, form: &Query) -> Response<Body> {
    let Some(wanted) = Wanted::of(form) else { return answer::empty(StatusCode::BAD_REQUEST) };
    let proof = form.one("csrf").ok().flatten().unwrap_or_default();
    let proven =
        |handle: &SessionHandle| site.sealer.signed(Purpose::Form, &proof_message(handle, PATH), &proof);
    // A neighbour's session, whose proof a neighbour has, ends nobody else's.
    let handle = match site.cookies.credential(&parts.headers) {
        Credential::Session(first, others) => std::iter::once(first).chain(others).find(proven),
        Credential::None => return sign_in(site),
    };
    let Some(handle) = handle else { return answer::empty(StatusCode::FORBIDDEN) };
    let place = place_of(site, parts);
    if wanted == Wanted::One(handle.id()) {
        let own = (Credential::Session(handle, Vec::new()), Scope::Browser);
        return depart(site, own, None, place).await;
    }
    if matches!(wanted, Wanted::New(_) | Wanted::Pairing(_)) {
        return make(site, &handle, wanted, &place).await;
    }
    // A task of its own: it goes on when the browser does not wait for it.
    match site.farewells.spawn(trace::carry(end(Arc::clone(site), handle, wanted, place))).await {
        Ok(Ok(())) => answer::redirect(StatusCode::SEE_OTHER, site.own_url(PATH, None, &[]).as_str()),
        Ok(Err(error)) => trouble(site, &LoginError::Store(error), None),
        Err(_) => answer::empty(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// Makes an app token for the person who has this handle, or pairs a device.
async fn make(site: &Site, handle: &SessionHandle, wanted: Wanted, place: &Place) -> Response<Body> {
    let now = unix_now();
    let session = match site.sessions.find(handle, now).await {
        Ok(Some(session)) => session,
        Ok(None) => return sign_in(site),
        Err(error) => return trouble(site, &LoginError::Store(error), None),
    };
    match wanted {
        Wanted::New(wish) => tokens::make(site, &session, wish, (place, now)).await,
        Wanted::Pairing(step) => pairing::go_on(site, &session, step, (place, now)).await,
        Wanted::One(_) | Wanted::Others | Wanted::Revoked(_) => answer::empty(StatusCode::BAD_REQUEST),
    }
}

/// Ends sessions and app tokens of the person who has this handle, and of nobody else.
async fn end(site: Arc<Site>, handle: SessionHandle, wanted: Wanted, place: Place) -> Result<(), StoreError> {
    let now = unix_now();
    let Some(session) = site.sessions.find(&handle, now).await? else { return Ok(()) };
    let identity = session.person.identity();
    let person = PersonKey::of(identity);
    let revoked =
        || Record { by: Some(By::Person), who: identity.into(), place, ..Record::of(Event::Revoked) };
    let which = match wanted {
        Wanted::One(id) => Selection::Own(&person, id),
        Wanted::Others => Selection::Others(&person, handle.id()),
        Wanted::Revoked(id) => {
            let gone = site.sessions.revoke_tokens(&Selection::Own(&person, id), now).await?;
            tracing::info!(
                user = identity.field(Field::Username),
                revoked = gone,
                "somebody revoked an app token"
            );
            if gone > 0 {
                site.note(|| Record { tokens: Some(gone as u64), ..revoked() });
            }
            return Ok(());
        }
        Wanted::New(_) | Wanted::Pairing(_) => return Ok(()),
    };
    let ended = site.sessions.end_selected(&which, now).await?;
    tracing::info!(user = identity.field(Field::Username), ended, "somebody ended sessions of their own");
    if ended > 0 {
        site.note(|| Record { sessions: Some(ended), ..revoked() });
    }
    Ok(())
}

pub(super) const PATH: &str = "/.foregate/account";
/// Sessions on one page.
const SHOWN: u32 = 100;
