//! foregate's own addresses for browsers: sign-in, callback, sign-out. Knows no rules.

mod account;
pub(super) mod device;
pub(super) mod elsewhere;
pub(super) mod errand;
mod leave;
pub(super) mod logout;
mod pairing;
pub(super) mod query;
pub(super) mod session;
pub(super) mod step_up;
mod tokens;

use std::sync::Arc;

use http::header::{HeaderMap, HeaderValue, SET_COOKIE};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use super::audit::place_of;
use super::body::{self, Body};
use super::chooser::{self, Wanted};
use super::denial::{to_provider, too_many, trouble, trouble_as};
use super::dialect::direct;
use super::intent::{client, intent, is_for_a_window, user_agent};
use super::pages::{CSS, Page, SignOut, SignedIn, SignedOut};
use super::{Site, answer, unix_now};
use crate::browser::{Origins, Purpose, ReturnTo};
use crate::identity::{Field, Proof};
use crate::journal::{By, Event, Place, Record, Somebody};
use crate::limits::Kind;
use crate::login::{
    Account, BINDING_LIFETIME, Callback, Caller, Failed, Farewell, Finished, LoginError, Named, Wish,
};
use crate::server::Peer;
use crate::session::store::{PersonKey, Selection, StoreError};
use crate::session::{Session, name_of};
use crate::trace;
use crate::visit::{Credential, Intent, SessionHandle};
pub(super) use account::account;
use errand::Errand;
use query::Query;

/// `/.foregate/sign-in?rd=&provider=`: to the provider, to the choice if there are several and none is named, or
/// straight on for those who are signed in where it counts.
pub(super) async fn sign_in(site: &Site, parts: &Parts, peer: Peer) -> Response<Body> {
    if !(parts.method == Method::GET || parts.method == Method::HEAD) {
        return answer::wrong_method("GET");
    }
    let query = Query::of(parts);
    let errand = Errand::of(site, &query);
    let person_waits = intent(&parts.headers, &parts.method) == Intent::Navigation;
    let errand = if person_waits { errand } else { errand.without_ticket() };
    let account = match query.one("account").ok().flatten().as_deref() {
        Some("other") => Account::Another,
        Some("retry") => Account::Retry,
        Some(_) | None => Account::Any,
    };
    let now = unix_now();
    let live = match live_session(site, &parts.headers, now).await {
        Ok(live) => live,
        Err(error) => return trouble(site, &LoginError::Store(error), Some(&errand.to)),
    };
    let wanted = Wanted::on(site, &errand.to);
    let proof = step_up::wanted(&query);
    let chosen = wanted.named(query.one("provider").ok().flatten().as_deref());
    // Whoever is to prove more does so where they are signed in.
    let own = live.as_ref().filter(|live| proof.is_some() && wanted.knows(live));
    let own = own.and_then(|live| site.login.providers().of_issuer(live.person.identity().issuer()));
    let chosen = chosen.or(own);
    let counts = |session: &&Arc<Session>| {
        let is_chosen = |named: &Named| named.issuer() == session.person.identity().issuer();
        let is_proven = |proof: &Proof| proof.is_given_by(session.person.identity(), now);
        wanted.takes(session, now) && chosen.is_none_or(is_chosen) && proof.as_ref().is_none_or(is_proven)
    };
    if let Some(live) = live.as_ref().filter(|_| account != Account::Another).filter(counts) {
        return match errand.onward(site, live.handle(), now) {
            Ok(location) => answer::redirect(StatusCode::SEE_OTHER, &location),
            Err(error) => trouble(site, &error, Some(&errand.to)),
        };
    }
    let ((Some(at), _) | (None, &[at])) = (chosen, wanted.providers.as_slice()) else {
        return chooser::page(site, (&errand, account), &wanted, live.as_deref());
    };
    let client = client(&parts.headers, peer, &site.trusted_proxies).address();
    if let Err(limited) = site.limiter.take(Kind::SignIn, client, now) {
        return too_many(site, limited, intent(&parts.headers, &parts.method));
    }
    let bindings: Vec<&str> = site.cookies.bindings(&parts.headers).collect();
    match site.login.begin(Wish { at, to: errand.carried(site), account, proof }, &bindings, now).await {
        Ok(begun) => to_provider(site, StatusCode::FOUND, begun),
        Err(error) => trouble(site, &error, Some(&errand.to)),
    }
}

/// `/.foregate/callback`: back from the provider.
pub(super) async fn callback(site: &Site, parts: &Parts, peer: Peer) -> Response<Body> {
    if parts.method != Method::GET {
        return answer::wrong_method("GET");
    }
    let query = Query::of(parts);
    let (Ok(state), Ok(code), Ok(error), Ok(issuer)) =
        (query.one("state"), query.one("code"), query.one("error"), query.one("iss"))
    else {
        return trouble(site, &LoginError::State, None);
    };
    let callback = Callback {
        state: state.as_deref().unwrap_or_default(),
        code: code.as_deref(),
        error: error.as_deref(),
        issuer: issuer.as_deref(),
    };
    let now = unix_now();
    let client = client(&parts.headers, peer, &site.trusted_proxies);
    if let Err(limited) = site.limiter.take(Kind::Callback, client.address(), now) {
        return too_many(site, limited, intent(&parts.headers, &parts.method));
    }
    let caller = Caller {
        bindings: site.cookies.bindings(&parts.headers).collect(),
        // A store that cannot be asked will refuse the new session too, in its own words.
        live: live_session(site, &parts.headers, now).await.ok().flatten(),
        client: client.nearest_known().to_string(),
        address: client.address(),
        user_agent: user_agent(&parts.headers),
    };
    let port_of = |host: &str| site.port_of(host);
    let origins = Origins { public_url: &site.public_url, port_of: &port_of, theirs: site.compat.paths() };
    let finished = site.login.finish(callback, caller, &origins, now).await;
    if matches!(finished, Ok(Finished::Welcome { .. } | Finished::Onward(_))) {
        site.limiter.give_back(Kind::Callback, client.address());
    }
    match finished {
        Ok(Finished::Welcome { to, handle, binding, who }) => {
            let session = Some(name_of(&handle.id()));
            let place = || place_of(site, parts);
            site.note(|| Record { who, session, place: place(), ..Record::of(Event::SignIn) });
            let onward = Errand::carried_in(site, &to).onward(site, &handle, now);
            let location = onward.unwrap_or_else(|_| to.to_string());
            let mut response = answer::redirect(StatusCode::SEE_OTHER, &location);
            let headers = response.headers_mut();
            headers.append(SET_COOKIE, site.cookies.keep_session(&handle, site.sessions.lifetime()));
            headers.append(SET_COOKIE, site.cookies.keep_login(&binding, BINDING_LIFETIME));
            response
        }
        Ok(Finished::Onward(to)) => answer::redirect(StatusCode::SEE_OTHER, to.as_str()),
        Ok(Finished::Again(begun)) => to_provider(site, StatusCode::SEE_OTHER, begun),
        Err(Failed { error: LoginError::Limited(limited), .. }) => {
            too_many(site, limited, intent(&parts.headers, &parts.method))
        }
        Err(failed) => not_signed_in(site, parts, &failed),
    }
}

fn not_signed_in(site: &Site, parts: &Parts, failed: &Failed) -> Response<Body> {
    site.metrics.sign_in_failures.inc();
    let reference = site.references.issue();
    site.note(|| Record {
        place: place_of(site, parts),
        reason: Some("sign-in-failed"),
        detail: Some(failed.error.to_string()),
        reference: Some(reference.clone()),
        ..Record::of(Event::Denied)
    });
    trouble_as(site, &failed.error, failed.to.as_ref(), &reference)
}

/// `/.foregate/sign-out`: at once where the person came from one of our own pages, by a choice where another site
/// sent them.
pub(super) async fn sign_out(site: &Arc<Site>, request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let place = place_of(site, &parts);
    let foreign = is_foreign(&parts.headers);
    if parts.method == Method::GET {
        return leave::leave(site, &parts, foreign, place).await;
    }
    if parts.method != Method::POST {
        return answer::wrong_method("GET, POST");
    }
    if !is_own_form(site, &parts) {
        return answer::empty(StatusCode::FORBIDDEN);
    }
    let Some(form) = read_form(body).await else { return answer::empty(StatusCode::PAYLOAD_TOO_LARGE) };
    let scope = match form.one("scope").ok().flatten().as_deref() {
        Some("everywhere") => Scope::Everywhere,
        Some("provider") => Scope::Provider,
        Some(_) | None => Scope::Browser,
    };
    let proof = form.one("csrf").ok().flatten().unwrap_or_default();
    let proven =
        |handle: &SessionHandle| site.sealer.signed(Purpose::Form, &proof_message(handle, SIGN_OUT), &proof);
    let credential = match site.cookies.credential(&parts.headers) {
        // A neighbour's session, whose proof a neighbour has, ends nobody else's.
        Credential::Session(first, others) => {
            let mut proven = std::iter::once(first).chain(others).filter(proven);
            let Some(first) = proven.next() else { return answer::empty(StatusCode::FORBIDDEN) };
            Credential::Session(first, proven.collect())
        }
        Credential::None => Credential::None,
    };
    depart(site, (credential, scope), form.rd().filter(|rd| !rd.is_empty()).as_deref(), place).await
}

/// Whether something but a person on one of our own pages is behind a request: another site, an image or script, or
/// a browser that guesses what will be wanted.
fn is_foreign(headers: &HeaderMap) -> bool {
    let any = |name: &str, test: fn(&HeaderValue) -> bool| headers.get_all(name).iter().any(test);
    any("sec-fetch-site", |from| from == "cross-site")
        || !is_for_a_window(headers)
        || headers.get_all("sec-fetch-site").iter().count() > 1
        || headers.contains_key("sec-purpose")
}

/// Whether a request is to foregate's own host. An app whose host leads here too could read what it shows.
fn is_at_home(site: &Site, parts: &Parts) -> bool {
    let visit = direct(parts, &site.cookies, site.scheme());
    visit.is_ok_and(|visit| site.public_url.host_str() == Some(&*visit.target.host))
}

/// Whether a form can be one of our own pages': sent at home, and from there as far as the browser tells.
fn is_own_form(site: &Site, parts: &Parts) -> bool {
    let own = site.public_url.origin().ascii_serialization();
    let all = |name: &str, test: &dyn Fn(&HeaderValue) -> bool| parts.headers.get_all(name).iter().all(test);
    is_at_home(site, parts)
        && !is_foreign(&parts.headers)
        && all("sec-fetch-site", &|from| from == "same-origin" || from == "none")
        && all("origin", &|origin| origin == own.as_str())
}

/// The answer where a page with a proof is asked for, and not to be shown to anybody.
fn not_for_scripts() -> Response<Body> {
    answer::text(StatusCode::FORBIDDEN, "This page is for people, in a window of its own.\n")
}

/// What the proof in a form of a page is about: the session, and which form.
fn proof_message(handle: &SessionHandle, form: &str) -> Vec<u8> {
    [handle.0.as_slice(), form.as_bytes()].concat()
}

/// `/.foregate/signed-out`: where the provider sends people back to.
pub(super) fn signed_out(site: &Site) -> Response<Body> {
    let again = site.own_url("/.foregate/sign-in", None, &[]);
    answer::page(StatusCode::OK, Page::new(&SignedOut { css: CSS, again: again.as_str(), detail: "" }, ""))
}

/// The start of foregate's own host, where nothing else is: who is signed in, or a sign-in.
pub(super) async fn home(site: &Site, parts: &Parts, peer: Peer) -> Response<Body> {
    let session = match live_session(site, &parts.headers, unix_now()).await {
        Ok(Some(session)) => session,
        Ok(None) => return sign_in(site, parts, peer).await,
        Err(error) => return trouble(site, &LoginError::Store(error), None),
    };
    let identity = session.person.identity();
    let account = site.own_url("/.foregate/account", None, &[]);
    let sign_out = site.own_url("/.foregate/sign-out", None, &[]);
    let page = SignedIn {
        css: CSS,
        name: identity.field(Field::Name),
        username: identity.field(Field::Username),
        email: identity.field(Field::Email),
        account: account.as_str(),
        sign_out: sign_out.as_str(),
    };
    answer::page(StatusCode::OK, Page::new(&page, ""))
}

/// How much of a person's sign-ins ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Browser,
    Everywhere,
    Provider,
    /// The same, but that the provider is not told whose session it is: nothing but the right to end it was shown.
    ProviderUnnamed,
}

async fn choices(site: &Site, headers: &HeaderMap, rd: Option<&str>) -> Response<Body> {
    if !is_for_a_window(headers) {
        return not_for_scripts();
    }
    let session = match live_session(site, headers, unix_now()).await {
        Ok(Some(session)) => session,
        Ok(None) => return signed_out(site),
        Err(error) => return trouble(site, &LoginError::Store(error), None),
    };
    let to = return_to(site, rd);
    let identity = session.person.identity();
    let named = site.login.providers().of_issuer(identity.issuer());
    let action = site.own_url("/.foregate/sign-out", None, &[]);
    let csrf = site.sealer.sign(Purpose::Form, &proof_message(session.handle(), SIGN_OUT));
    let page = SignOut {
        css: CSS,
        name: identity.field(Field::Name),
        username: identity.field(Field::Username),
        email: identity.field(Field::Email),
        action: action.as_str(),
        csrf: &csrf,
        rd: rd.map_or("", |_| to.as_str()),
        provider: named.map_or("", Named::title),
        stay: to.as_str(),
    };
    let own = site.public_url.origin().ascii_serialization();
    let provider =
        named.map_or_else(String::new, |named| named.provider().issuer().origin().ascii_serialization());
    let targets = format!("'self' {own} {provider} {}", to.origin());
    answer::page(StatusCode::OK, Page::new(&page, &targets))
}

/// Ends sessions, then leads on: to `rd`, to the provider's own sign-out, or to our page. The local session ends
/// first, as some providers never send anybody back.
async fn depart(
    site: &Arc<Site>,
    (credential, scope): (Credential, Scope),
    rd: Option<&str>,
    place: Place,
) -> Response<Body> {
    let now = unix_now();
    // A task of its own: it goes on when the browser does not wait for it.
    let ending =
        site.farewells.spawn(trace::carry(end_sessions(Arc::clone(site), (credential, scope), place, now)));
    let farewell = match ending.await {
        Ok(Ok(farewell)) => farewell,
        Ok(Err(error)) => return trouble(site, &LoginError::Store(error), None),
        Err(_) => return answer::empty(StatusCode::INTERNAL_SERVER_ERROR),
    };
    let afterwards = site.own_url("/.foregate/signed-out", None, &[]);
    let to = rd.and_then(|rd| site.with_origins(|origins| ReturnTo::parse(rd, origins)));
    let mut location = to.map_or_else(|| afterwards.to_string(), |to| to.to_string());
    let told = match scope {
        Scope::Browser | Scope::Everywhere => None,
        Scope::Provider => farewell,
        Scope::ProviderUnnamed => farewell.map(Farewell::without_tokens),
    };
    if let Some(farewell) = &told {
        match site.login.end_at_provider(farewell, &afterwards, now).await {
            Ok(Some(url)) => location = url.to_string(),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the provider could not be told of a sign-out"),
        }
    }
    let mut response = answer::redirect(StatusCode::SEE_OTHER, &location);
    response.headers_mut().append(SET_COOKIE, site.cookies.drop_session());
    response.headers_mut().append(SET_COOKIE, site.cookies.drop_login());
    response
}

/// Ends every session a browser shows, and all of the person's where that was asked; then tells the provider, which
/// may take its time.
async fn end_sessions(
    site: Arc<Site>,
    (credential, scope): (Credential, Scope),
    place: Place,
    now: u64,
) -> Result<Option<Farewell>, StoreError> {
    let Credential::Session(first, others) = &credential else { return Ok(None) };
    let live = site.sessions.find_any(&credential, now).await?;
    // The others first: should they not end, this one still can try again.
    if let (Scope::Everywhere, Some(live)) = (scope, live) {
        let person = PersonKey::of(live.person.identity());
        let others = Selection::Others(&person, live.handle().id());
        let ended = site.sessions.end_selected(&others, now).await?;
        note_sign_out(&site, (live.person.identity().into(), By::Person), ended, &place);
    }
    let mut farewell = None;
    for handle in std::iter::once(first).chain(others) {
        if let Some(ended) = site.login.end(handle, now).await? {
            note_sign_out(&site, (ended.who.clone(), By::Person), 1, &place);
            farewell = Some(ended);
        }
    }
    if let Some(farewell) = &farewell {
        tracing::info!(user = farewell.who.user, "somebody signed out");
        site.login.revoke(farewell, now).await;
    }
    Ok(farewell)
}

/// Tells the audit log of somebody who signed out, or was signed out by the provider.
fn note_sign_out(site: &Site, (who, by): (Somebody, By), sessions: u64, place: &Place) {
    if sessions > 0 {
        let (by, sessions) = (Some(by), Some(sessions));
        site.note(|| Record { by, who, sessions, place: place.clone(), ..Record::of(Event::SignedOut) });
    }
}

/// The first of a browser's session cookies that is live.
async fn live_session(
    site: &Site,
    headers: &HeaderMap,
    now: u64,
) -> Result<Option<Arc<Session>>, StoreError> {
    site.sessions.find_any(&site.cookies.credential(headers), now).await
}

/// Where to go: `rd` if it is ours, else home; never an error.
fn return_to(site: &Site, rd: Option<&str>) -> ReturnTo {
    site.with_origins(|origins| {
        rd.and_then(|rd| ReturnTo::parse(rd, origins)).unwrap_or_else(|| ReturnTo::home(origins))
    })
}

async fn read_form(body: Incoming) -> Option<Query> {
    Some(Query::from_bytes(&body::read_form(body, LARGEST_FORM).await?))
}

const SIGN_OUT: &str = "/.foregate/sign-out";
/// Bytes of the largest form.
const LARGEST_FORM: usize = 16 * 1024;
