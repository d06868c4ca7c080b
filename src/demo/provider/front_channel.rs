//! What browsers ask of the demo's provider: signing in and out. Knows no tokens but the one that says whose
//! sign-out it is.

use askama::Template;
use http::header::{HeaderValue, SET_COOKIE};
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::authorize::{Ask, Way};
use super::form::{Form, cookie};
use super::grants::{Consent, Terms};
use super::people::{PEOPLE, Person};
use super::refused::{Notice, Refused, notice};
use super::shelf::fresh_name;
use super::{Office, SignedIn, with_query};
use crate::demo::answer::{self, Answer};
use crate::http::pages::CSS;

/// A page that waits for its button. It belongs to one browser.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    browser: String,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    SignIn(Ask),
    SignOut { then: Option<String> },
}

#[derive(Debug, Template)]
#[template(path = "http/pages/demo_sign_in.html")]
struct SignIn<'a> {
    css: &'static str,
    action: &'a str,
    interaction: &'a str,
    users: Vec<(&'a str, &'a str, &'a str)>,
}

impl Office {
    /// The authorization endpoint.
    pub(super) fn authorize(&self, headers: &HeaderMap, form: &Form, now: u64) -> Result<Answer, Refused> {
        let ask = Ask::read(form, &self.settings)?;
        let session = self.session(headers, now);
        match (ask.way(session.as_ref(), now), session) {
            (Way::On, Some(session)) => self.send_back(ask, session, now),
            (Way::SignIn | Way::On, _) => self.ask_who(ask, headers, now),
            (Way::Nowhere, _) => {
                let why = "nobody is signed in, and nobody may be asked";
                Err(Refused::There { code: "login_required", why, state: ask.state })
            }
        }
    }

    fn ask_who(&self, ask: Ask, headers: &HeaderMap, now: u64) -> Result<Answer, Refused> {
        let (interaction, browser) = self.wait(What::SignIn(ask), headers, now)?;
        let groups: Vec<String> = PEOPLE.iter().map(Person::group_list).collect();
        let users = PEOPLE.iter().zip(&groups);
        let page = SignIn {
            css: CSS,
            action: "/sign-in",
            interaction: &interaction,
            users: users.map(|(person, groups)| (person.username, person.name, groups.as_str())).collect(),
        };
        let answer = answer::page(StatusCode::OK, &page, &self.settings.form_targets);
        Ok(with_cookie(answer, BROWSER_COOKIE, &browser))
    }

    /// The form of the sign-in page.
    pub(super) fn sign_in(&self, headers: &HeaderMap, form: &Form, now: u64) -> Result<Answer, Refused> {
        let interaction = self.own_page(headers, form, now)?;
        let person = form.one("user")?.and_then(Person::find);
        let person =
            person.ok_or(Refused::Here(StatusCode::BAD_REQUEST, "There is nobody of that name here."))?;
        let Some(Waiting { what: What::SignIn(ask), .. }) = self.memory().waiting.take(&interaction, now)
        else {
            return Err(Refused::Here(StatusCode::BAD_REQUEST, OLD_PAGE));
        };
        let (name, session) = (fresh_name()?, SignedIn { person, sid: fresh_name()?, auth_time: now });
        {
            let mut memory = self.memory();
            if let Some(old) = cookie(headers, SESSION_COOKIE) {
                memory.sessions.take(old, now);
            }
            memory.sessions.put(name.clone(), session.clone(), now + SESSION_SECONDS, now);
        }
        Ok(with_cookie(self.send_back(ask, session, now)?, SESSION_COOKIE, &name))
    }

    fn send_back(&self, ask: Ask, session: SignedIn, now: u64) -> Result<Answer, Refused> {
        let SignedIn { person, sid, auth_time } = session;
        let consent = Consent { person, sid, auth_time, scope: ask.scope };
        let terms = Terms { challenge: ask.challenge, nonce: ask.nonce };
        let code = self.memory().grants.begin(consent, terms, now)?;
        let mut pairs = vec![("code", code.as_str())];
        pairs.extend(ask.state.as_deref().map(|state| ("state", state)));
        pairs.push(("iss", self.settings.issuer.as_str()));
        Ok(answer::see_other(&with_query(&self.settings.redirect_uri, &pairs)))
    }

    /// The end session endpoint (OpenID Connect RP-Initiated Logout 1.0): at once for who is named by a token of
    /// ours, else only after a person has said so.
    pub(super) fn end_session(&self, headers: &HeaderMap, form: &Form, now: u64) -> Result<Answer, Refused> {
        let then = self.afterwards(form)?;
        let hint = form.one("id_token_hint")?.map(|token| self.hinted(token)).transpose()?;
        let Some(session) = self.session(headers, now) else {
            // The browser has no sign-in left, so it may be led on by whoever holds one of our tokens.
            return Ok(departed(then.filter(|_| hint.is_some()).as_deref()));
        };
        let Some((_, sid)) = hint.filter(|(subject, _)| *subject == session.person.subject()) else {
            let (interaction, browser) = self.wait(What::SignOut { then }, headers, now)?;
            let text = format!("You are signed in as {} ({}).", session.person.name, session.person.username);
            let title = "Sign out of the demo provider?";
            let page =
                Notice { css: CSS, title, text: &text, interaction: &interaction, action: "/sign-out" };
            let answer = answer::page(StatusCode::OK, &page, &self.settings.form_targets);
            return Ok(with_cookie(answer, BROWSER_COOKIE, &browser));
        };
        self.memory().grants.end(&sid);
        Ok(self.end(headers, then.as_deref(), now))
    }

    /// The form of the sign-out page.
    pub(super) fn sign_out(&self, headers: &HeaderMap, form: &Form, now: u64) -> Result<Answer, Refused> {
        let interaction = self.own_page(headers, form, now)?;
        let Some(Waiting { what: What::SignOut { then }, .. }) =
            self.memory().waiting.take(&interaction, now)
        else {
            return Err(Refused::Here(StatusCode::BAD_REQUEST, OLD_PAGE));
        };
        Ok(self.end(headers, then.as_deref(), now))
    }

    fn end(&self, headers: &HeaderMap, then: Option<&str>, now: u64) -> Answer {
        let mut memory = self.memory();
        if let Some(session) =
            cookie(headers, SESSION_COOKIE).and_then(|name| memory.sessions.take(name, now))
        {
            memory.grants.end(&session.sid);
        }
        drop(memory);
        let mut answer = departed(then);
        answer.headers_mut().append(SET_COOKIE, DROP_SESSION);
        answer
    }

    /// Where a sign-out leads, if anywhere: to the one address of the client, letter by letter.
    fn afterwards(&self, form: &Form) -> Result<Option<String>, Refused> {
        let own = self.settings.post_logout_redirect_uri.as_str();
        match form.one("post_logout_redirect_uri")? {
            None => Ok(None),
            Some(address) if address == own => {
                let state = form.one("state")?.map(|state| ("state", state));
                Ok(Some(with_query(&self.settings.post_logout_redirect_uri, state.as_slice())))
            }
            Some(_) => Err(Refused::Here(
                StatusCode::BAD_REQUEST,
                "The app wants to have you sent to an address that is not its own (post_logout_redirect_uri).",
            )),
        }
    }

    /// Whom a token of ours names, and their sign-in. It may be of any age.
    fn hinted(&self, token: &str) -> Result<(String, String), Refused> {
        let claims = self.signer.recognise(token);
        let named = claims.as_ref().and_then(|claims| {
            let text = |name: &str| claims.get(name).and_then(Value::as_str);
            let ours =
                text("iss")? == self.settings.issuer.as_str() && text("aud")? == self.settings.client_id;
            ours.then_some((text("sub")?.to_owned(), text("sid")?.to_owned()))
        });
        named.ok_or(Refused::Here(
            StatusCode::BAD_REQUEST,
            "This sign-out is not by a token of this provider.",
        ))
    }

    /// Who is signed in in this browser.
    fn session(&self, headers: &HeaderMap, now: u64) -> Option<SignedIn> {
        self.memory().sessions.find(cookie(headers, SESSION_COOKIE)?, now).cloned()
    }

    /// Remembers a page that is about to be shown; yields its name and the browser's.
    fn wait(&self, what: What, headers: &HeaderMap, now: u64) -> Result<(String, String), Refused> {
        let known = cookie(headers, BROWSER_COOKIE).filter(|name| name.len() == NAME_LETTERS);
        let browser = known.map_or_else(fresh_name, |name| Ok(name.to_owned()))?;
        let interaction = fresh_name()?;
        let waiting = Waiting { browser: browser.clone(), what };
        self.memory().waiting.put(interaction.clone(), waiting, now + PAGE_SECONDS, now);
        Ok((interaction, browser))
    }

    /// The name of the page a form comes from, which was shown to this very browser.
    fn own_page(&self, headers: &HeaderMap, form: &Form, now: u64) -> Result<String, Refused> {
        if headers.get("sec-fetch-site").is_some_and(|from| from != "same-origin" && from != "none") {
            return Err(Refused::Here(StatusCode::FORBIDDEN, "This form was sent by another site."));
        }
        let interaction = form.one("interaction")?.unwrap_or_default();
        let memory = self.memory();
        let shown_to = memory.waiting.find(interaction, now).map(|waiting| waiting.browser.as_str());
        match (shown_to, cookie(headers, BROWSER_COOKIE)) {
            (Some(shown_to), Some(browser)) if shown_to == browser => Ok(interaction.to_owned()),
            (Some(_), Some(_) | None) | (None, _) => Err(Refused::Here(StatusCode::BAD_REQUEST, OLD_PAGE)),
        }
    }
}

fn departed(then: Option<&str>) -> Answer {
    let text = "Nobody is signed in to the demo provider in this browser.";
    then.map_or_else(|| notice(StatusCode::OK, "Signed out", text), answer::see_other)
}

/// Host-only, and gone with the browser. Not `Secure`, as loopback has no https.
fn with_cookie(mut answer: Answer, name: &str, value: &str) -> Answer {
    // Names and values are letters of ours, or came in a header themselves.
    if let Ok(line) = HeaderValue::from_str(&format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax")) {
        answer.headers_mut().append(SET_COOKIE, line);
    }
    answer
}

/// Who is signed in.
const SESSION_COOKIE: &str = "demo-provider-session";
/// Which browser a page was shown to.
const BROWSER_COOKIE: &str = "demo-provider-browser";
const DROP_SESSION: HeaderValue =
    HeaderValue::from_static("demo-provider-session=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
/// Seconds a sign-in lasts.
const SESSION_SECONDS: u64 = 8 * 3600;
/// Seconds a page waits for its button.
const PAGE_SECONDS: u64 = 600;
/// Letters of a [`fresh_name`].
const NAME_LETTERS: usize = 43;
const OLD_PAGE: &str = "This page has been used, or is too old. Open the app again. To become somebody else, sign out there first.";
