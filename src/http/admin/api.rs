//! The operator's API: sessions and people, listed page by page and ended by name; rules, explained. Knows not who may use it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::super::body::Body;
use super::super::{Site, answer, audit, unix_now};
use super::input::{self, Input, Malformed};
use crate::journal::{By, Event, Place, Record, Somebody};
use crate::session::store::{Listed, Person, PersonKey, Selection, SessionId, StoreError};
use crate::session::{Meant, Who, name_of, parse_name};

/// Answers a request below `/api/` of somebody who may.
pub(super) async fn answer(site: &Site, request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().strip_prefix("/api/v1/").unwrap_or_default();
    let place = audit::place_of(site, &parts);
    let reads = parts.method == Method::GET || parts.method == Method::HEAD;
    let outcome = match path {
        "sessions" if reads => sessions(site, &parts).await,
        "sessions" if parts.method == Method::DELETE => end_sessions(site, &parts, place).await,
        "sessions" => return answer::wrong_method("GET, HEAD, DELETE"),
        "users" if reads => users(site, &parts).await,
        "explain" if reads => super::explain::explain(site, &parts).map_err(Failed::from),
        "refs" if reads => references(site, &parts),
        "users" | "explain" | "refs" => return answer::wrong_method("GET, HEAD"),
        "users/disable" | "users/enable" if parts.method == Method::POST => {
            match input::read(&parts, body).await {
                Ok(input) if path == "users/disable" => disable(site, &input, place).await,
                Ok(input) => enable(site, &input, place).await,
                Err(malformed) => Err(malformed.into()),
            }
        }
        "users/disable" | "users/enable" => return answer::wrong_method("POST"),
        path => match (path.strip_prefix("sessions/"), path.strip_prefix("refs/")) {
            (Some(name), _) if parts.method == Method::DELETE => end_session(site, name, place).await,
            (Some(_), _) => return answer::wrong_method("DELETE"),
            (None, Some(name)) if reads => reference(site, name),
            (None, Some(_)) => return answer::wrong_method("GET, HEAD"),
            (None, None) => Err(Failed::NoSuchPath),
        },
    };
    match outcome {
        Ok(told) => answer::json(StatusCode::OK, &told),
        Err(failed) => failed.answer(),
    }
}

async fn sessions(site: &Site, parts: &Parts) -> Result<Value, Failed> {
    let input = Input::of_query(parts, &["user", "after", "limit"])?;
    let after = input.optional("after").map(|name| parse_name(name).ok_or(Malformed::Session)).transpose()?;
    let (limit, now) = (input.limit()?, unix_now());
    let which = input.optional("user").map_or(Selection::All, Selection::Username);
    let mut listed = site.sessions.list(&which, after, limit, now).await?;
    let next = (listed.len() == limit as usize).then(|| listed.last().map(|last| name_of(&last.id)));
    listed.retain(|one| site.sessions.is_live(one, now));
    let told: Vec<Value> = listed.iter().map(Listed::to_json).collect();
    Ok(json!({ "sessions": told, "next": next.flatten() }))
}

async fn users(site: &Site, parts: &Parts) -> Result<Value, Failed> {
    let input = Input::of_query(parts, &["user", "after", "limit"])?;
    let after = input.optional("after").map_or_else(|| Ok(PersonKey::default()), parse_place)?;
    let limit = input.limit()?;
    let people = site.sessions.people(input.optional("user"), &after, limit, unix_now()).await?;
    let next = (people.len() == limit as usize).then(|| people.last().map(|last| place_of(&last.key)));
    let told: Vec<Value> = people.iter().map(Person::to_json).collect();
    Ok(json!({ "users": told, "next": next.flatten() }))
}

/// The last references, and how all of this process begin.
fn references(site: &Site, parts: &Parts) -> Result<Value, Failed> {
    let limit = Input::of_query(parts, &["limit"])?.limit()?;
    let told: Vec<Value> =
        site.references.latest(limit as usize).iter().map(|entry| entry.to_json()).collect();
    Ok(json!({ "refs": told, "begin_with": site.references.replica() }))
}

fn reference(site: &Site, name: &str) -> Result<Value, Failed> {
    let known = site.references.find(name);
    known.map(|entry| entry.to_json()).ok_or_else(|| Failed::NoSuchReference {
        own: site.references.replica().to_owned(),
        is_own: name.get(..2).is_some_and(|begin| begin.eq_ignore_ascii_case(site.references.replica())),
    })
}

async fn end_session(site: &Site, name: &str, place: Place) -> Result<Value, Failed> {
    let id: SessionId = parse_name(name).ok_or(Malformed::Session)?;
    let who = site.owner_of(id).await;
    let record = || Record { who, session: Some(name_of(&id)), ..by_operator(Event::Revoked, place) };
    match end(site, &Selection::Id(id), record).await? {
        0 => Err(Failed::NoSuchSession),
        ended => Ok(json!({ "ended": ended })),
    }
}

async fn end_sessions(site: &Site, parts: &Parts, place: Place) -> Result<Value, Failed> {
    let input = Input::of_query(parts, &["user", "issuer", "subject", "all"])?;
    let ended = match (input.optional("user"), input.optional("all")) {
        (None, Some("true")) if input.len() == 1 => {
            end(site, &Selection::All, || by_operator(Event::Revoked, place)).await?
        }
        (Some(_), None) => {
            let person = person(site, &input).await?;
            let record = || Record { who: who(&person), ..by_operator(Event::Revoked, place) };
            end(site, &Selection::Person(&person.key), record).await?
        }
        (Some(_) | None, Some(_)) | (None, None) => return Err(Malformed::Which.into()),
    };
    Ok(json!({ "ended": ended }))
}

async fn end(site: &Site, which: &Selection<'_>, record: impl FnOnce() -> Record) -> Result<u64, Failed> {
    let ended = site.sessions.end_selected(which, unix_now()).await?;
    tracing::info!(ended, "an operator ended sessions");
    if ended > 0 {
        site.note(|| Record { sessions: Some(ended), ..record() });
    }
    Ok(ended)
}

async fn disable(site: &Site, input: &Input, place: Place) -> Result<Value, Failed> {
    let person = person(site, input).await?;
    let ended = site.sessions.disable(&person.key, unix_now()).await?.ok_or(Failed::NoSuchUser)?;
    tracing::info!(user = person.username, ended, "an operator disabled somebody");
    site.note(|| Record { who: who(&person), sessions: Some(ended), ..by_operator(Event::Disabled, place) });
    Ok(json!({ "user": person.username, "disabled": true, "ended": ended }))
}

async fn enable(site: &Site, input: &Input, place: Place) -> Result<Value, Failed> {
    let person = person(site, input).await?;
    if !site.sessions.enable(&person.key, unix_now()).await? {
        return Err(Failed::NoSuchUser);
    }
    tracing::info!(user = person.username, "an operator enabled somebody");
    site.note(|| Record { who: who(&person), ..by_operator(Event::Enabled, place) });
    Ok(json!({ "user": person.username, "disabled": false }))
}

/// What somebody did by this API, for the audit log.
fn by_operator(event: Event, place: Place) -> Record {
    Record { by: Some(By::Api), place, ..Record::of(event) }
}

fn who(person: &Person) -> Somebody {
    let PersonKey { issuer, subject } = person.key.clone();
    Somebody { user: person.username.clone(), issuer, subject }
}

/// The one person who is meant.
async fn person(site: &Site, input: &Input) -> Result<Box<Person>, Failed> {
    let username = input.optional("user").ok_or(Malformed::User)?;
    let meant = Meant { username, issuer: input.optional("issuer"), subject: input.optional("subject") };
    match site.sessions.who(meant, unix_now()).await? {
        Who::Nobody => Err(Failed::NoSuchUser),
        Who::One(person) => Ok(person),
        Who::Several(people) => Err(Failed::Several(people)),
    }
}

/// Where a list of people goes on: behind this one.
pub(super) fn place_of(key: &PersonKey) -> String {
    URL_SAFE_NO_PAD.encode(json!([key.issuer, key.subject]).to_string())
}

pub(super) fn parse_place(text: &str) -> Result<PersonKey, Malformed> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Malformed::Place)?;
    let (issuer, subject) = serde_json::from_slice(&bytes).map_err(|_| Malformed::Place)?;
    Ok(PersonKey { issuer, subject })
}

/// Why a request was not done.
#[derive(Debug)]
enum Failed {
    NoSuchPath,
    NoSuchSession,
    NoSuchUser,
    /// How the references of this process begin, and whether the one asked for begins so.
    NoSuchReference {
        own: String,
        is_own: bool,
    },
    Several(Vec<Person>),
    Malformed(Malformed),
    Store(StoreError),
}

impl From<Malformed> for Failed {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchPath => f.write_str(
                "there are sessions, sessions/ID, users, users/disable, users/enable, refs, refs/ID, reload and explain below /api/v1/",
            ),
            Self::NoSuchSession => f.write_str("there is no session of this id"),
            Self::NoSuchUser => f.write_str("nobody of this name was ever seen here"),
            Self::NoSuchReference { own, is_own: true } => {
                write!(
                    f,
                    "nothing is kept of this reference any more: it begins with {own} as those of this foregate do, which \
                     keeps the last ones of each kind"
                )
            }
            Self::NoSuchReference { own, is_own: false } => {
                write!(
                    f,
                    "this reference is of another replica, or from before the last start: those of this foregate begin \
                     with {own}, as its log says; ask each replica"
                )
            }
            Self::Several(_) => {
                f.write_str("several people have this name: add issuer, or issuer and subject")
            }
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl Failed {
    fn answer(&self) -> Response<Body> {
        let mut more = json!({ "detail": self.to_string() });
        let (status, reason, title) = match self {
            Self::NoSuchPath => (StatusCode::NOT_FOUND, "no-such-path", "No such path"),
            Self::NoSuchSession => (StatusCode::NOT_FOUND, "no-such-session", "No such session"),
            Self::NoSuchUser => (StatusCode::NOT_FOUND, "no-such-user", "No such user"),
            Self::NoSuchReference { own, .. } => {
                more["begin_with"] = own.as_str().into();
                (StatusCode::NOT_FOUND, "no-such-reference", "No such reference")
            }
            Self::Several(people) => {
                let key = |one: &Person| json!({ "issuer": one.key.issuer, "subject": one.key.subject });
                more["users"] = people.iter().map(key).collect();
                (StatusCode::CONFLICT, "several-users", "Several users have this name")
            }
            Self::Malformed(malformed) => (malformed.status(), "malformed", "The request cannot be read"),
            Self::Store(StoreError::Damaged(_)) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "damaged", "A session row is damaged")
            }
            Self::Store(StoreError::Unavailable(_) | StoreError::TooNew { .. } | StoreError::OtherKeys) => {
                let problem =
                    (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "The session store does not answer");
                return answer::retry(answer::problem(problem.0, problem.1, problem.2, more));
            }
        };
        answer::problem(status, reason, title, more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_the_list_of_people_comes_back_as_it_went() {
        let key = PersonKey { issuer: "https://id.test/ü".into(), subject: "a\"b,c".into() };
        assert_eq!(parse_place(&place_of(&key)), Ok(key));
        for text in ["", "e30", "W10", "////", "WyJhIl0", "WzEsMl0", "WyJhIiwiYiIsImMiXQ"] {
            assert_eq!(parse_place(text), Err(Malformed::Place), "{text}");
        }
    }
}
