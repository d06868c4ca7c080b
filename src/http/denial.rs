//! Saying no in the form that helps: a way to sign in, a page that explains, or a problem a program can read.
//! Knows no dialect but that nginx wants 401 where others take a redirect.

mod story;

use std::time::Duration;

use http::header::{HeaderName, HeaderValue, REFERER, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{Response, StatusCode};
use serde_json::{Value, json};
use url::Url;

use super::answer;
use super::audit;
use super::body::Body;
use super::chooser::{self, Wanted};
use super::intent::intent;
use super::pages::{CSS, Forbidden, Page, Trouble, UnknownHost};
use super::portal::elsewhere::{self, Here};
use super::portal::step_up;
use super::refs::{Mark, with_reference};
use super::{Site, unix_now};
use crate::browser::ReturnTo;
use crate::headers::Person;
use crate::identity::{Field, Proof};
use crate::journal::Record;
use crate::limits::{Kind, Limited};
use crate::login::{Account, BINDING_LIFETIME, Begun, LoginError, Wish};
use crate::metrics::Outcome;
use crate::policy::{Decision, Grant, Refusal, StepUp};
use crate::visit::{Intent, Shown, Visit};
use story::{SILENT, Story, TOO_MANY};

/// Why somebody is not let in.
#[derive(Debug)]
pub(super) enum Denied {
    /// They may be after a sign-in.
    SignIn,
    /// They may be after a sign-in that proves more.
    StepUp {
        /// What it must prove.
        wanted: Proof,
        /// Whether the provider was asked for that already.
        was_refused: bool,
        /// Whether it is a program with a token, which is never sent anywhere.
        by_token: bool,
    },
    /// They may not.
    Forbidden(Refusal),
    /// Their token counts for nothing, for this reason.
    BadToken(String),
    /// Nobody can sign in; a password for emergency access would help.
    Emergency,
    /// They tried too often.
    Limited(Limited),
    /// Nobody can tell.
    Unavailable,
}

impl Denied {
    /// The name of whoever is known to be refused, else empty.
    pub(super) fn username(&self) -> String {
        match self {
            Self::Forbidden(Refusal::NotAllowed { person, .. }) => username(person.as_deref()),
            Self::SignIn
            | Self::StepUp { .. }
            | Self::Forbidden(_)
            | Self::BadToken(_)
            | Self::Emergency
            | Self::Limited(_)
            | Self::Unavailable => String::new(),
        }
    }
}

/// The name somebody signs in with; empty for nobody in particular.
pub(super) fn username(person: Option<&Person>) -> String {
    person.map_or_else(String::new, |person| person.identity().field(Field::Username).to_owned())
}

impl Denied {
    /// Tells a yes, with its proof, from all that is none.
    pub(super) fn unless_allowed(decision: Decision<'_>) -> Result<Grant<'_>, Self> {
        Err(match decision {
            Decision::Allow(grant) => return Ok(grant),
            Decision::SignIn => Self::SignIn,
            Decision::StepUp(step) => step.into(),
            Decision::Forbid(refusal) => Self::Forbidden(refusal),
            Decision::BadToken(reason) => Self::BadToken(reason),
            Decision::Emergency => Self::Emergency,
            Decision::Limited { seconds } => Self::Limited(Limited { seconds }),
            Decision::Unavailable => Self::Unavailable,
        })
    }
}

impl From<StepUp<'_>> for Denied {
    fn from(step: StepUp<'_>) -> Self {
        let (was_refused, by_token) = (step.was_refused(), step.by_token);
        Self::StepUp { wanted: step.wanted.clone(), was_refused, by_token }
    }
}

/// The answer to a visitor who is not let in. With `bare` a sign-in is a 401 with its `Location`, which nginx
/// turns into the redirect.
pub(super) async fn answer(
    site: &Site,
    parts: &Parts,
    visit: &Visit<'_>,
    denied: Denied,
    bare: bool,
) -> (Outcome, Response<Body>) {
    let intent = intent(&parts.headers, &visit.target.method);
    match denied {
        Denied::SignIn if intent == Intent::Navigation => sign_in(site, parts, visit, bare).await,
        Denied::SignIn => (Outcome::SignIn, sign_in_problem(site, page_of(site, parts, visit).as_ref())),
        Denied::BadToken(reason) => (Outcome::SignIn, token_problem(site, parts, visit, &reason)),
        Denied::StepUp { wanted, was_refused, by_token } => {
            let intent = if by_token { Intent::Call } else { intent };
            step_up::answer(site, (parts, visit), (&wanted, was_refused), (intent, bare))
        }
        Denied::Forbidden(refusal) => (Outcome::Forbidden, forbidden(site, visit, &refusal, intent)),
        Denied::Emergency => (Outcome::SignIn, emergency(site, intent)),
        Denied::Limited(limited) => (Outcome::Limited, too_many(site, limited, intent)),
        Denied::Unavailable => (Outcome::Unavailable, unavailable(site, intent)),
    }
}

/// Sends a person straight to the provider, without a stop at foregate's own address; to the choice if there is one, and
/// from hosts outside the cookie domain to where the session is to come from.
async fn sign_in(site: &Site, parts: &Parts, visit: &Visit<'_>, bare: bool) -> (Outcome, Response<Body>) {
    let Some(to) = site.with_origins(|origins| ReturnTo::of_target(&visit.target, origins)) else {
        return (Outcome::Forbidden, forbidden(site, visit, &Refusal::UnknownHost, Intent::Navigation));
    };
    if let Some(here) = Here::of(site, parts, visit, bare) {
        return here.ask(&to, 1);
    }
    let bindings: Vec<&str> = site.cookies.bindings(&parts.headers).collect();
    let status = if bare { StatusCode::UNAUTHORIZED } else { StatusCode::FOUND };
    let wanted = Wanted::on(site, &to);
    let [at] = wanted.providers.as_slice() else {
        return (Outcome::SignIn, answer::redirect(status, &chooser::address(site, &to)));
    };
    if let Err(limited) = site.limiter.take(Kind::SignIn, visit.address(), unix_now()) {
        // nginx shows no page of ours: the one at our own address says the same.
        let response = if bare {
            answer::redirect(status, site.own_url("/.foregate/sign-in", Some(&to), &[]).as_str())
        } else {
            too_many(site, limited, Intent::Navigation)
        };
        return (Outcome::Limited, response);
    }
    let wish = Wish { at, to: to.clone(), account: Account::Any, proof: None };
    let begun = tokio::time::timeout(BEGIN_TIME, site.login.begin(wish, &bindings, unix_now())).await;
    match begun.unwrap_or(Err(LoginError::Silent)) {
        Ok(begun) => (Outcome::SignIn, to_provider(site, status, begun)),
        Err(LoginError::Circle(_)) if bare => {
            (Outcome::SignIn, answer::redirect(status, &chooser::address(site, &to)))
        }
        Err(error) => {
            let outcome =
                if matches!(error, LoginError::Circle(_)) { Outcome::SignIn } else { Outcome::Unavailable };
            (outcome, trouble(site, &error, Some(&to)))
        }
    }
}

/// A redirect to the provider, with the login cookie if the browser has none.
pub(super) fn to_provider(site: &Site, status: StatusCode, begun: Begun) -> Response<Body> {
    let mut response = answer::redirect(status, begun.location.as_str());
    if let Some(binding) = begun.binding {
        response.headers_mut().append(SET_COOKIE, site.cookies.keep_login(&binding, BINDING_LIFETIME));
    }
    response
}

/// 401 for a program, with the address that a person can be sent to, to come back to `page`.
pub(super) fn sign_in_problem(site: &Site, page: Option<&ReturnTo>) -> Response<Body> {
    let url = site.own_url("/.foregate/sign-in", page, &[]);
    let challenge = HeaderValue::from_static("Bearer realm=\"foregate\"");
    let reference = site.references.issue();
    let more = json!({ "ref": reference });
    let response = unsigned(&url, ("sign-in-required", "Sign-in required"), more, challenge);
    Mark::new(&reference, "nobody is signed in").on(response)
}

/// 401 for a program whose token counts for nothing, and why (RFC 6750 3).
fn token_problem(site: &Site, parts: &Parts, visit: &Visit<'_>, wrong: &str) -> Response<Body> {
    let reference = site.references.issue();
    tracing::info!(ref = reference, host = &*visit.target.host, reason = wrong, "a token was refused");
    site.note(|| Record {
        detail: Some(wrong.to_owned()),
        ..audit::denied(site, visit, "invalid-token", &reference)
    });
    let more = json!({ "detail": wrong, "ref": reference });
    let challenge = challenge(visit.authorization.shown(), wrong);
    let url = site.own_url("/.foregate/sign-in", page_of(site, parts, visit).as_ref(), &[]);
    let response = unsigned(&url, ("invalid-token", "Invalid token"), more, challenge);
    Mark::new(&reference, format!("a token was refused: {wrong}")).on(response)
}

/// 401 for a program, with what is missing in the words of the challenge, and the address that a person can be sent to.
pub(super) fn unsigned(
    url: &Url,
    (reason, title): (&str, &str),
    mut more: Value,
    challenge: HeaderValue,
) -> Response<Body> {
    more["sign_in_url"] = url.as_str().into();
    let mut response = answer::problem(StatusCode::UNAUTHORIZED, reason, title, more);
    let headers = response.headers_mut();
    headers.insert(WWW_AUTHENTICATE, challenge);
    if let Ok(url) = HeaderValue::from_str(url.as_str()) {
        headers.insert(FOREGATE_SIGN_IN, url);
    }
    response
}

/// What is wrong with what was shown, in the words of its scheme.
fn challenge(shown: Shown<'_>, wrong: &str) -> HeaderValue {
    match shown {
        Shown::Basic(_) => HeaderValue::from_static("Basic realm=\"foregate\", charset=\"UTF-8\""),
        Shown::Bearer(_) | Shown::Unclear | Shown::Nothing => {
            let text =
                format!("Bearer realm=\"foregate\", error=\"invalid_token\", error_description=\"{wrong}\"");
            HeaderValue::from_str(&text)
                .unwrap_or(HeaderValue::from_static("Bearer realm=\"foregate\", error=\"invalid_token\""))
        }
    }
}

/// The page a script runs on, as what it asks for is nothing to land on: its referrer if that is the same host,
/// else the host's start.
pub(super) fn page_of(site: &Site, parts: &Parts, visit: &Visit<'_>) -> Option<ReturnTo> {
    site.with_origins(|origins| {
        let referrer = parts.headers.get(REFERER).and_then(|value| value.to_str().ok());
        let page = referrer.and_then(|text| ReturnTo::parse(text, origins));
        page.filter(|page| page.host() == visit.target.host)
            .or_else(|| ReturnTo::start_of(&visit.target, origins))
    })
}

pub(super) fn forbidden(site: &Site, visit: &Visit<'_>, refusal: &Refusal, intent: Intent) -> Response<Body> {
    let host = &*visit.target.host;
    let reference = site.references.issue();
    audit::note_refusal(site, visit, refusal, &reference);
    let (missing, person, by_token) = match refusal {
        Refusal::UnknownHost => return unknown_host(host, intent, &reference),
        Refusal::AmbiguousPath => return unclear(host, UNCLEAR_PATH, &reference),
        Refusal::AmbiguousQuery => return unclear(host, UNCLEAR_QUERY, &reference),
        Refusal::AmbiguousMethod => return unclear(host, UNCLEAR_METHOD, &reference),
        Refusal::OtherDestination => return unclear(host, OTHER_DESTINATION, &reference),
        Refusal::AmbiguousTenant => return unclear(host, UNCLEAR_TENANT, &reference),
        Refusal::NotAllowed { missing, person, by_token } => (missing, person, *by_token),
    };
    let mark = Mark::new(&reference, NOT_ALLOWED).about(person.as_deref()).missing(missing);
    let field = |field| person.as_ref().map_or("", |person| person.identity().field(field));
    tracing::info!(ref = reference, host, user = field(Field::Username), "somebody was refused");
    if by_token || intent == Intent::Call {
        let more = json!({ "missing": missing, "ref": reference });
        let mut response = answer::problem(StatusCode::FORBIDDEN, "not-allowed", "Not allowed", more);
        if by_token {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(INSUFFICIENT));
        }
        return mark.on(response);
    }
    let to = site.with_origins(|origins| ReturnTo::of_target(&visit.target, origins));
    let other_account = to
        .as_ref()
        .and_then(|to| elsewhere::other_account(site, to))
        .unwrap_or_else(|| site.own_url("/.foregate/sign-in", to.as_ref(), &[("account", "other")]));
    let account = site.own_url("/.foregate/account", None, &[]);
    let sign_out = site.own_url("/.foregate/sign-out", None, &[]);
    let page = Forbidden {
        css: CSS,
        name: field(Field::Name),
        username: field(Field::Username),
        email: field(Field::Email),
        host,
        missing,
        other_account: other_account.as_str(),
        account: account.as_str(),
        sign_out: sign_out.as_str(),
        reference: &reference,
    };
    mark.on(answer::page(StatusCode::FORBIDDEN, Page::new(&page, "")))
}

/// A text for whoever set something up wrong, or sends what nobody can be sure of.
pub(super) fn refused(site: &Site, status: StatusCode, text: &str) -> Response<Body> {
    let reference = site.references.issue();
    Mark::new(&reference, text).on(answer::text(status, with_reference(text, &reference)))
}

/// A request that means different things to different servers.
fn unclear(host: &str, why: &str, reference: &str) -> Response<Body> {
    tracing::info!(ref = reference, host, why, "a request is ambiguous");
    let text = with_reference(&format!("foregate: {why}."), reference);
    Mark::new(reference, why).on(answer::text(StatusCode::BAD_REQUEST, text))
}

/// A host nobody has configured: says which line is missing.
fn unknown_host(host: &str, intent: Intent, reference: &str) -> Response<Body> {
    let mark = Mark::new(reference, "no line of [apps] names this host");
    tracing::info!(ref = reference, host, "no line of [apps] names this host");
    let config = format!("[apps]\n\"{host}\" = \"signed-in\"");
    if intent == Intent::Call {
        let more = json!({ "detail": format!("no app is configured for {host}; add: \"{host}\" = \"signed-in\" to [apps]"), "ref": reference });
        return mark.on(answer::problem(StatusCode::FORBIDDEN, "unknown-host", "Unknown host", more));
    }
    let note =
        "\"signed-in\" lets in everybody who can sign in. Name a group instead to let in fewer people.";
    let page = UnknownHost { css: CSS, host, config: &config, note, reference };
    mark.on(answer::page(StatusCode::FORBIDDEN, Page::new(&page, "")))
}

pub(super) fn unavailable(site: &Site, intent: Intent) -> Response<Body> {
    let reference = site.references.issue();
    tracing::warn!(ref = reference, "a request could not be decided: the session store or the provider does not answer");
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let response = answer::retry(if intent == Intent::Call {
        answer::problem(status, "unavailable", "Try again in a moment", json!({ "ref": reference }))
    } else {
        answer::page(status, Page::new(&busy("Sign-ins cannot be checked at the moment.", &reference), ""))
    });
    Mark::new(&reference, "the session store or the provider does not answer").on(response)
}

/// 401 for anybody while nobody can sign in, in the words of Basic (RFC 7617). A script gets them too, as the browser then answers
/// with what its person has typed already.
fn emergency(site: &Site, intent: Intent) -> Response<Body> {
    let reference = site.references.issue();
    tracing::info!(ref = reference, "a password for emergency access is asked for");
    let status = StatusCode::UNAUTHORIZED;
    let mut response = if intent == Intent::Call {
        let title = "Sign-ins are impossible at the moment; emergency access is open";
        answer::problem(status, "emergency-access", title, json!({ "ref": reference }))
    } else {
        let page =
            Trouble { title: "Emergency access", advice: EMERGENCY_ADVICE, ..busy(SILENT, &reference) };
        answer::page(status, Page::new(&page, ""))
    };
    response.headers_mut().insert(WWW_AUTHENTICATE, EMERGENCY_CHALLENGE);
    Mark::new(&reference, "nobody can sign in; a password for emergency access is asked for").on(response)
}

/// 429 for somebody who tried too often, and when to come again (RFC 6585 4).
pub(super) fn too_many(site: &Site, limited: Limited, intent: Intent) -> Response<Body> {
    let reference = site.references.issue();
    tracing::debug!(ref = reference, "somebody tried too often");
    let status = StatusCode::TOO_MANY_REQUESTS;
    let mut response = if intent == Intent::Call {
        answer::problem(status, "too-many-requests", "Too many tries", json!({ "ref": reference }))
    } else {
        answer::page(status, Page::new(&busy(TOO_MANY, &reference), ""))
    };
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(limited.seconds));
    Mark::new(&reference, "too many tries").on(response)
}

fn busy<'a>(happened: &'a str, reference: &'a str) -> Trouble<'a> {
    let advice = "Wait a moment, then load this page again.";
    Trouble {
        css: CSS,
        title: "Please try again in a moment",
        happened,
        advice,
        causes: &[],
        again: "",
        label: "",
        reference,
    }
}

/// The page for a sign-in that did not happen; `to` is where the person wanted to go.
pub(super) fn trouble(site: &Site, error: &LoginError, to: Option<&ReturnTo>) -> Response<Body> {
    trouble_as(site, error, to, &site.references.issue())
}

/// The same under a reference that is known elsewhere, too.
pub(super) fn trouble_as(
    site: &Site,
    error: &LoginError,
    to: Option<&ReturnTo>,
    reference: &str,
) -> Response<Body> {
    let story = Story::of(error);
    // Another try as somebody who is disabled would only lead back here.
    let other = matches!(error, LoginError::Disabled);
    let (account, label) = if other { ("other", "Use another account") } else { ("retry", "Try again") };
    let again = site.own_url("/.foregate/sign-in", to, &[("account", account)]);
    tracing::warn!(ref = reference, %error, status = story.status.as_u16(), "a sign-in did not succeed");
    let page = Trouble {
        css: CSS,
        title: story.title,
        happened: story.happened,
        advice: story.advice,
        causes: story.causes,
        again: again.as_str(),
        label,
        reference,
    };
    let why = format!("a sign-in did not succeed: {error}");
    let response = Mark::new(reference, why).on(answer::page(story.status, Page::new(&page, "")));
    if story.status == StatusCode::SERVICE_UNAVAILABLE { answer::retry(response) } else { response }
}

/// How long a check waits for the provider: together with the store less than the 5 s in which it must be answered.
const BEGIN_TIME: Duration = Duration::from_millis(2500);
const UNCLEAR_PATH: &str = "this path, or a header that names its root, means different things to different servers, so no rule can be sure of it";
const UNCLEAR_QUERY: &str =
    "this query means different things to different servers, and a rule depends on it";
const UNCLEAR_METHOD: &str =
    "a header or the query names another method than the request has, and a rule depends on the method";
const OTHER_DESTINATION: &str =
    "it would be copied or moved to another host, where another rule decides, or nobody knows where";
const UNCLEAR_TENANT: &str =
    "the request does not name one tenant: the header is there twice, or holds a list";
/// RFC 6750 3.1, for a token that is good and not good enough.
const INSUFFICIENT: &str = "Bearer realm=\"foregate\", error=\"insufficient_scope\"";
const NOT_ALLOWED: &str = "signed in or not, the rule lets in others only";
const FOREGATE_SIGN_IN: HeaderName = HeaderName::from_static("foregate-sign-in");
const EMERGENCY_CHALLENGE: HeaderValue =
    HeaderValue::from_static("Basic realm=\"Emergency Access\", charset=\"UTF-8\"");
const EMERGENCY_ADVICE: &str = "Whoever has a name and a password for emergency access can load this page again and type them. All others wait a moment.";
