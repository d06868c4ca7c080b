//! Who is signed in, and who was ever seen, page by page. Changes nothing.

use http::{Response, StatusCode};
use url::form_urlencoded;

use super::super::api::{parse_place, place_of};
use super::act::NOBODY;
use super::door::Operator;
use super::{PATH, told};
use crate::http::body::Body;
use crate::http::pages::{CSS, OperatorPeople, OperatorPerson, OperatorSession, OperatorSessions, Page};
use crate::http::portal::query::Query;
use crate::http::{Site, answer, unix_now};
use crate::session::store::{Listed, Person, Selection};
use crate::session::{name_of, parse_name};
use crate::wording::{ago, day_and_time, device, timestamp};

/// The sessions of everybody, or of those who sign in by a name.
pub(super) async fn sessions(site: &Site, operator: &Operator, query: &Query) -> Response<Body> {
    let (user, now) = (one(query, "user"), unix_now());
    let which = if user.is_empty() { Selection::All } else { Selection::Username(&user) };
    let after = parse_name(&one(query, "after"));
    let Ok(mut listed) = site.sessions.list(&which, after, SHOWN, now).await else {
        return silent(site, operator);
    };
    let whole = listed.len() == SHOWN as usize;
    let next = listed.last().filter(|_| whole).map(|last| next("sessions", &user, &name_of(&last.id)));
    listed.retain(|session| site.sessions.is_live(session, now));
    let sessions: Vec<OperatorSession<'_>> = listed.iter().map(|session| shown(session, now)).collect();
    let (csrf, done) = (operator.csrf(site), done(query));
    let page = OperatorSessions {
        css: CSS,
        who: operator.name(),
        leaves: operator.leaves(),
        csrf: &csrf,
        user: &user,
        done: &done,
        sessions: &sessions,
        next: next.as_deref().unwrap_or_default(),
    };
    answer::page(StatusCode::OK, Page::new(&page, "'self'"))
}

/// Everybody who was ever seen, or those who sign in by a name.
pub(super) async fn people(site: &Site, operator: &Operator, query: &Query) -> Response<Body> {
    let (user, now) = (one(query, "user"), unix_now());
    let after = parse_place(&one(query, "after")).unwrap_or_default();
    let named = Some(user.as_str()).filter(|user| !user.is_empty());
    let Ok(listed) = site.sessions.people(named, &after, SHOWN, now).await else {
        return silent(site, operator);
    };
    let whole = listed.len() == SHOWN as usize;
    let next = listed.last().filter(|_| whole).map(|last| next("people", &user, &place_of(&last.key)));
    let people: Vec<OperatorPerson<'_>> = listed.iter().map(|person| known(person, now)).collect();
    let (csrf, done) = (operator.csrf(site), done(query));
    let page = OperatorPeople {
        css: CSS,
        who: operator.name(),
        leaves: operator.leaves(),
        csrf: &csrf,
        user: &user,
        done: &done,
        people: &people,
        next: next.as_deref().unwrap_or_default(),
    };
    answer::page(StatusCode::OK, Page::new(&page, "'self'"))
}

fn shown(session: &Listed, now: u64) -> OperatorSession<'_> {
    OperatorSession {
        id: name_of(&session.id),
        username: &session.username,
        device: device(&session.user_agent).unwrap_or_else(|| "An unknown browser".to_owned()),
        client: &session.client,
        since: moment(session.created_at, now),
        seen: moment(session.last_seen, now),
    }
}

fn known(person: &Person, now: u64) -> OperatorPerson<'_> {
    OperatorPerson {
        issuer: &person.key.issuer,
        subject: &person.key.subject,
        username: &person.username,
        name: &person.name,
        email: &person.email,
        sessions: person.sessions,
        seen: moment(person.last_seen, now),
        is_disabled: person.disabled_at.is_some(),
    }
}

/// A moment in words, for programs, and exact.
pub(super) fn moment(then: u64, now: u64) -> [String; 3] {
    [ago(then, now), timestamp(then), day_and_time(then)]
}

fn one(query: &Query, name: &str) -> String {
    query.one(name).ok().flatten().unwrap_or_default()
}

/// What was done before this page, in words.
fn done(query: &Query) -> String {
    match one(query, "done").as_str() {
        "disabled" => "They are disabled, and signed out everywhere.".to_owned(),
        "enabled" => "They may sign in again.".to_owned(),
        NOBODY => "Nothing was done: nobody of that name was ever here.".to_owned(),
        "1" => "One session has ended.".to_owned(),
        other => {
            other.parse::<u32>().map(|ended| format!("{ended} sessions have ended.")).unwrap_or_default()
        }
    }
}

fn next(list: &str, user: &str, after: &str) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("user", user)
        .append_pair("after", after)
        .finish();
    format!("{PATH}/{list}?{query}")
}

fn silent(site: &Site, operator: &Operator) -> Response<Body> {
    let text = "The session store does not answer. Try again in a moment.";
    answer::retry(told(site, operator, StatusCode::SERVICE_UNAVAILABLE, &[text.to_owned()]))
}

/// Entries of a page.
const SHOWN: u32 = 50;
