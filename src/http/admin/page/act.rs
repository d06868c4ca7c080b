//! What an operator does on the page: ending sessions, keeping people out, letting them in again. Knows not who may.

use http::{Response, StatusCode};
use url::form_urlencoded;

use super::door::Operator;
use super::{PATH, to, told};
use crate::http::body::Body;
use crate::http::portal::query::Query;
use crate::http::{Site, answer, unix_now};
use crate::journal::{By, Event, Place, Record, Somebody};
use crate::session::store::{PersonKey, Selection, SessionId, StoreError};
use crate::session::{Meant, Who, name_of, parse_name};

/// Whoever does something, and where.
pub(super) struct Act<'a> {
    /// Who it is.
    pub operator: &'a Operator,
    /// Where the form was sent to, and from which address.
    pub place: Place,
}

/// Does what a form asks for, and goes back to the list it is in.
pub(super) async fn answer(site: &Site, act: Act<'_>, path: &str, form: &Query) -> Response<Body> {
    let operator = act.operator;
    let one = |name: &str| form.one(name).ok().flatten().unwrap_or_default();
    let person = PersonKey { issuer: one("issuer"), subject: one("subject") };
    let outcome = match (path, one("act").as_str()) {
        ("/sessions", "end") => match parse_name(&one("session")) {
            Some(id) => end_session(site, act, id).await,
            None => return unclear(site, operator),
        },
        ("/people", "end") => end_all(site, act, &person, &one("name")).await,
        ("/people", "disable") => disable(site, act, &person, &one("name")).await,
        ("/people", "enable") => enable(site, act, &person, &one("name")).await,
        _ => return unclear(site, operator),
    };
    match outcome {
        Ok(done) => {
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("user", &one("user"))
                .append_pair("done", &done)
                .finish();
            to(&format!("{PATH}{path}?{query}"))
        }
        Err(error) => {
            tracing::warn!(%error, "the store could not be told what an operator wants");
            let text = "The session store does not answer, so that it may not be done, or not everywhere. Try again.";
            answer::retry(told(site, operator, StatusCode::SERVICE_UNAVAILABLE, &[text.to_owned()]))
        }
    }
}

async fn end_session(site: &Site, act: Act<'_>, id: SessionId) -> Result<String, StoreError> {
    let who = site.owner_of(id).await;
    let operator = act.operator;
    let what = || Record { who, session: Some(name_of(&id)), ..act.record(Event::Revoked) };
    end(site, operator, &Selection::Id(id), what).await
}

async fn end_all(site: &Site, act: Act<'_>, person: &PersonKey, name: &str) -> Result<String, StoreError> {
    let who = somebody(site, person, name).await;
    let operator = act.operator;
    let what = || Record { who, ..act.record(Event::Revoked) };
    end(site, operator, &Selection::Person(person), what).await
}

async fn end(
    site: &Site,
    operator: &Operator,
    which: &Selection<'_>,
    what: impl FnOnce() -> Record,
) -> Result<String, StoreError> {
    let ended = site.sessions.end_selected(which, unix_now()).await?;
    tracing::info!(ended, by = operator.name(), "an operator ended sessions");
    if ended > 0 {
        site.note(|| Record { sessions: Some(ended), ..what() });
    }
    Ok(ended.to_string())
}

async fn disable(site: &Site, act: Act<'_>, person: &PersonKey, name: &str) -> Result<String, StoreError> {
    let who = somebody(site, person, name).await;
    let Some(ended) = site.sessions.disable(person, unix_now()).await? else { return Ok(NOBODY.to_owned()) };
    tracing::info!(user = who.user, ended, by = act.operator.name(), "an operator disabled somebody");
    site.note(|| Record { who, sessions: Some(ended), ..act.record(Event::Disabled) });
    Ok("disabled".to_owned())
}

async fn enable(site: &Site, act: Act<'_>, person: &PersonKey, name: &str) -> Result<String, StoreError> {
    let who = somebody(site, person, name).await;
    if !site.sessions.enable(person, unix_now()).await? {
        return Ok(NOBODY.to_owned());
    }
    tracing::info!(user = who.user, by = act.operator.name(), "an operator enabled somebody");
    site.note(|| Record { who, ..act.record(Event::Enabled) });
    Ok("enabled".to_owned())
}

impl Act<'_> {
    /// What was done, for the audit log.
    fn record(self, event: Event) -> Record {
        let detail = Some(self.operator.name().to_owned());
        Record { by: Some(By::Operator), detail, place: self.place, ..Record::of(event) }
    }
}

/// Whom a form is about. The name in it only finds the person: the store says whether it is theirs.
async fn somebody(site: &Site, person: &PersonKey, name: &str) -> Somebody {
    let meant = Meant { username: name, issuer: Some(&person.issuer), subject: Some(&person.subject) };
    let user = match site.sessions.who(meant, unix_now()).await {
        Ok(Who::One(known)) => known.username,
        // What is to be done does not wait for a name.
        Ok(Who::Nobody | Who::Several(_)) | Err(_) => String::new(),
    };
    let PersonKey { issuer, subject } = person.clone();
    Somebody { user, issuer, subject }
}

/// What came of a form about a person whom nobody has ever seen.
pub(super) const NOBODY: &str = "nobody";

fn unclear(site: &Site, operator: &Operator) -> Response<Body> {
    told(site, operator, StatusCode::BAD_REQUEST, &["It is not clear what is to be done.".to_owned()])
}
