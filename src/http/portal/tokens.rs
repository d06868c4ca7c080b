//! App tokens on the account page: a person's own, and new ones where people may make some. Knows no sessions but the one it
//! is asked by.

use std::time::Duration;

use http::{Response, StatusCode};

use super::super::body::Body;
use super::super::denial::trouble;
use super::super::pages::{CSS, OwnToken, Page, TokenMade};
use super::super::{Site, answer};
use super::query::Query;
use crate::identity::Field;
use crate::journal::{By, Event, Place, Record};
use crate::login::LoginError;
use crate::session::store::{ListedToken, PersonKey, Selection, StoreError};
use crate::session::{MOST_OWN_TOKENS, Made, NewToken, Session, name_of};
use crate::wording::{ago, day_and_time, timestamp};

/// The token that somebody wants to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    app: String,
    name: String,
    lasts: u64,
}

impl Wish {
    /// What a form says; nothing if it is not all there.
    pub(super) fn of(form: &Query) -> Option<Self> {
        let field = |name: &str| form.one(name).ok().flatten();
        let name = field("name").map(|name| name.trim().to_owned()).filter(|name| is_name(name))?;
        Some(Self { app: field("app")?, name, lasts: field("lasts")?.parse().ok()? })
    }
}

/// The tokens of whoever this session is.
///
/// # Errors
/// [`StoreError`] if the store cannot be asked.
pub(super) async fn of(site: &Site, session: &Session, now: u64) -> Result<Vec<OwnToken>, StoreError> {
    let person = PersonKey::of(session.person.identity());
    let mut listed = site.sessions.list_tokens(&Selection::Person(&person), MOST_SHOWN, now).await?;
    listed.sort_by_key(|one| std::cmp::Reverse(one.row.created_at));
    Ok(listed.iter().map(|one| told(one, now)).collect())
}

fn told(one: &ListedToken, now: u64) -> OwnToken {
    let row = &one.row;
    let moment = |time: u64| [ago(time, now), timestamp(time), day_and_time(time)];
    let networks: Vec<String> = row.networks.iter().map(ToString::to_string).collect();
    OwnToken {
        id: name_of(&row.key.id),
        name: if row.name.is_empty() { "A token".to_owned() } else { row.name.clone() },
        app: row.app.clone(),
        networks: networks.join(", "),
        used: (row.last_used > 0).then(|| moment(row.last_used)),
        ends: row.expires_at.map(moment),
        is_over: row.expires_at.is_some_and(|end| end <= now),
    }
}

/// For which apps somebody may make tokens; for none where nobody may.
pub(super) fn offered<'s>(site: &'s Site, session: &Session) -> Vec<&'s str> {
    site.self_service.map_or_else(Vec::new, |_| site.gate.policy.apps_for(&session.person))
}

/// How long a new token may last, in seconds and in words: the usual times up to the longest, and that.
pub(super) fn choices(site: &Site) -> Vec<(u64, String)> {
    let longest = site.self_service.unwrap_or_default().as_secs();
    let usual = [7, 30, 90, 365].map(|days| days * DAY).into_iter().filter(|time| *time < longest);
    usual.chain([longest]).map(|time| (time, in_words(time))).collect()
}

/// How long a token may last at most, in words.
pub(super) fn longest(site: &Site) -> String {
    in_words(site.self_service.unwrap_or_default().as_secs())
}

fn in_words(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..7200 => (seconds / 60, "minute"),
        7200..DAY => (seconds / 3600, "hour"),
        DAY.. => (seconds / DAY, "day"),
    };
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}

/// Makes the token and shows it, this once.
pub(super) async fn make(
    site: &Site,
    session: &Session,
    wish: Wish,
    (place, now): (&Place, u64),
) -> Response<Body> {
    let longest = site.self_service.as_ref().map_or(0, Duration::as_secs);
    if !offered(site, session).contains(&wish.app.as_str()) {
        return answer::empty(StatusCode::FORBIDDEN);
    }
    if !(SHORTEST..=longest).contains(&wish.lasts) {
        return answer::empty(StatusCode::BAD_REQUEST);
    }
    match kept(site, session, wish, (place, now)).await {
        Ok(response) => response,
        Err(error) => trouble(site, &LoginError::Store(error), None),
    }
}

async fn kept(
    site: &Site,
    session: &Session,
    wish: Wish,
    (place, now): (&Place, u64),
) -> Result<Response<Body>, StoreError> {
    let identity = session.person.identity();
    let person = PersonKey::of(identity);
    if let Some(full) = full(site, &person, now).await? {
        return Ok(full);
    }
    let Wish { app, name, lasts } = wish;
    let ends = now.saturating_add(lasts);
    let new = NewToken { person, app: app.clone(), name, networks: Vec::new(), expires_at: Some(ends) };
    let token = match site.sessions.make_token(new, now).await? {
        Made::Token(token) => token,
        // Of many wishes at once, each found room a moment ago.
        Made::Full => return Ok(too_many()),
        Made::Nobody => return Ok(answer::empty(StatusCode::FORBIDDEN)),
    };
    let username = identity.field(Field::Username);
    tracing::info!(user = username, app, "somebody made an app token");
    note_token(site, session, &app, place);
    let account = site.own_url(super::account::PATH, None, &[]);
    let page = TokenMade {
        css: CSS,
        token: token.expose(),
        app: &app,
        ends: &day_and_time(ends),
        username,
        account: account.as_str(),
    };
    Ok(answer::page(StatusCode::OK, Page::new(&page, "")))
}

/// Tells the audit log of an app token that somebody made for themselves.
pub(super) fn note_token(site: &Site, session: &Session, app: &str, place: &Place) {
    site.note(|| Record {
        by: Some(By::Person),
        who: session.person.identity().into(),
        app: Some(app.to_owned()),
        place: place.clone(),
        ..Record::of(Event::TokenCreated)
    });
}

/// The answer to whoever has as many as there may be.
pub(super) async fn full(
    site: &Site,
    person: &PersonKey,
    now: u64,
) -> Result<Option<Response<Body>>, StoreError> {
    let there = site.sessions.list_tokens(&Selection::Person(person), MOST_OWN_TOKENS, now).await?;
    Ok((there.len() >= MOST_OWN_TOKENS as usize).then(too_many))
}

fn too_many() -> Response<Body> {
    let text = format!("You have {MOST_OWN_TOKENS} app tokens. Revoke one of them first.\n");
    answer::text(StatusCode::CONFLICT, text)
}

/// Whether a token can be called this.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= LONGEST_NAME && !text.contains(char::is_control)
}

const DAY: u64 = 24 * 60 * 60;
/// Seconds that the briefest token lasts.
const SHORTEST: u64 = 60;
/// Tokens on one page; an operator can make more.
const MOST_SHOWN: u32 = 200;
/// Letters of the longest name.
const LONGEST_NAME: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_one_unit() {
        for (seconds, words) in
            [(60, "1 minute"), (5400, "90 minutes"), (7200, "2 hours"), (DAY, "1 day"), (90 * DAY, "90 days")]
        {
            assert_eq!(in_words(seconds), words);
        }
    }

    #[test]
    fn a_wish_is_whole_or_none() {
        for (form, is_whole) in [
            ("app=a&name=phone&lasts=60", true),
            ("app=a&name=%20phone%20&lasts=60", true),
            ("app=a&name=%20&lasts=60", false),
            ("app=a&name=a%0Ab&lasts=60", false),
            ("app=a&name=phone&lasts=-1", false),
            ("app=a&name=phone", false),
            ("name=phone&lasts=60", false),
            ("app=a&app=b&name=phone&lasts=60", false),
        ] {
            assert_eq!(Wish::of(&Query::from_bytes(form.as_bytes())).is_some(), is_whole, "{form}");
        }
    }
}
