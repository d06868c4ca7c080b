//! What an operator does on the page: ending sessions, keeping people out, letting them in again. Knows not who may.

use http::{Response, StatusCode};
use url::form_urlencoded;

use super::door::Operator;
use super::{PATH, to, told};
use crate::http::body::Body;
use crate::http::portal::query::Query;
use crate::http::{Site, answer, unix_now};
use crate::journal::{By, Event, Record, Somebody};
use crate::session::store::{PersonKey, Selection, StoreError};
use crate::session::{name_of, parse_name};

/// Does what a form asks for, and goes back to the list it is in.
pub(super) async fn answer(site: &Site, operator: &Operator, path: &str, form: &Query) -> Response<Body> {
    let one = |name: &str| form.one(name).ok().flatten().unwrap_or_default();
    let person = PersonKey { issuer: one("issuer"), subject: one("subject") };
    let outcome = match (path, one("act").as_str()) {
        ("/sessions", "end") => match parse_name(&one("session")) {
            Some(id) => {
                let what = || Record { session: Some(name_of(&id)), ..by(operator, Event::Revoked) };
                end(site, operator, &Selection::Id(id), what).await
            }
            None => return unclear(site, operator),
        },
        ("/people", "end") => {
            let what = || Record { who: somebody(&person), ..by(operator, Event::Revoked) };
            end(site, operator, &Selection::Person(&person), what).await
        }
        ("/people", "disable") => disable(site, operator, &person).await,
        ("/people", "enable") => enable(site, operator, &person).await,
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

async fn disable(site: &Site, operator: &Operator, person: &PersonKey) -> Result<String, StoreError> {
    let ended = site.sessions.disable(person, unix_now()).await?;
    tracing::info!(subject = person.subject, ended, by = operator.name(), "an operator disabled somebody");
    site.note(|| Record { who: somebody(person), sessions: ended, ..by(operator, Event::Disabled) });
    Ok("disabled".to_owned())
}

async fn enable(site: &Site, operator: &Operator, person: &PersonKey) -> Result<String, StoreError> {
    site.sessions.enable(person, unix_now()).await?;
    tracing::info!(subject = person.subject, by = operator.name(), "an operator enabled somebody");
    site.note(|| Record { who: somebody(person), ..by(operator, Event::Enabled) });
    Ok("enabled".to_owned())
}

/// What somebody did on this page, for the audit log.
fn by(operator: &Operator, event: Event) -> Record {
    Record { by: Some(By::Operator), detail: Some(operator.name().to_owned()), ..Record::of(event) }
}

fn somebody(person: &PersonKey) -> Somebody {
    let PersonKey { issuer, subject } = person.clone();
    Somebody { user: String::new(), issuer, subject }
}

fn unclear(site: &Site, operator: &Operator) -> Response<Body> {
    told(site, operator, StatusCode::BAD_REQUEST, &["It is not clear what is to be done.".to_owned()])
}
