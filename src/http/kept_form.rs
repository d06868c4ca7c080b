//! Forms that were sent without a session, where foregate is the proxy: kept in the browser, sealed, and sent on by it
//! after the sign-in. Knows no rules; asks the judge before it shows anything of a form.

mod turns;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use url::{Url, form_urlencoded};

use super::body::{Body, read_form};
use super::dialect::direct;
use super::intent::{client, is_same_origin, navigates};
use super::pages::{CSS, FormKept, FormResumed, FormWanted, KEEP, PICK_UP, Page, SEND, Trouble};
use super::portal::{elsewhere, step_up};
use super::refs::Mark;
use super::{Site, answer, unix_now};
use crate::browser::{KeptForm, LONGEST_KEPT_FORM, ReturnTo};
use crate::headers::Person;
use crate::identity::{Field, Proof};
use crate::policy::{Decision, Grant, Refusal};
use crate::server::Peer;
use crate::session::random;
use crate::visit::{
    AskedTenant, Authorization, Client, Credential, Destination, Overrides, Path, Scheme, Target, Visit,
};
use turns::Turns;

/// How many forms may be read at a time. Whoever is one too many is answered as if forms were not kept. Those that are brought back have turns
/// of their own, so that nobody who only sends forms keeps them from being sent on.
#[derive(Clone, Debug, Default)]
pub struct FormsAtOnce(Arc<Both>);

#[derive(Debug, Default)]
struct Both {
    kept: Turns,
    brought: Turns,
}

/// The answer to a form that was sent without a session: a page that keeps it. `None` for whatever is not kept: what is no
/// form of a page of this very host, as it may be a stranger's who must not have it sent with a session; what is too large
/// or of unknown length; and what a browser cannot send again byte for byte.
pub(super) async fn keep(
    site: &Site,
    parts: &Parts,
    visit: &Visit<'_>,
    body: Incoming,
) -> Option<Response<Body>> {
    let window = Window::of(site, &visit.target)?;
    let known = body.size_hint().exact().is_some_and(|length| length <= LARGEST as u64);
    if parts.method != Method::POST || !known || !is_form(&parts.headers) || !window.sent(&parts.headers) {
        return None;
    }
    let _turn = site.kept_forms.0.kept.take(visit.address())?;
    let body = read_form(body, LARGEST).await?;
    let address = parts.uri.path_and_query()?.as_str();
    let form = KeptForm::new(random().ok()?, unix_now(), (&window.origin, address), &body)?;
    let kept = form.seal(&site.sealer, window.host, random().ok()?);
    window.ask_to_sign_in(&form, &kept, &Waits::FromNow)
}

/// Whether an address is where kept forms are sent on.
pub(super) fn is_resume(path: &str) -> bool {
    path == RESUME || page_of(path) != path
}

/// The page that a sign-in for `path` is for: where forms are sent on it stands behind, so that the sign-in is one that
/// counts for the page's own app.
pub(super) fn page_of(path: &str) -> &str {
    path.strip_prefix(RESUME).filter(|page| page.starts_with('/')).unwrap_or(path)
}

/// `/.foregate/resume` of a host that foregate is the proxy of. A GET, back from the sign-in, takes the form out of the
/// browser; a POST brings it, and gets it back as a page that sends it.
pub(super) async fn resume(site: &Site, request: Request<Incoming>, peer: Peer) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let nothing = || answer::text(StatusCode::NOT_FOUND, super::NO_SUCH_PAGE);
    let Ok(visit) = direct(&parts, &site.cookies, site.scheme()) else { return nothing() };
    if !site.gate.policy.is_proxied(&visit.target.host) {
        return nothing();
    }
    let Visit { target, credential, .. } = visit;
    let Some(window) = Window::of(site, &target) else { return nothing() };
    match parts.method {
        Method::GET | Method::HEAD => return window.pick_up(),
        Method::POST => {}
        _ => return answer::wrong_method("GET, POST"),
    }
    if !window.sent(&parts.headers) {
        return window.trouble(&FOREIGN);
    }
    let client = client(&parts.headers, peer, &site.trusted_proxies);
    match window.brought(body, client.address()).await {
        Ok((form, kept)) => window.judged(&form, &kept, (target.scheme, credential, client)).await,
        Err(why) => window.trouble(why),
    }
}

/// What a kept form waits for.
enum Waits {
    /// A sign-in, and it has just been sent.
    FromNow,
    /// A sign-in still.
    SignIn,
    /// A sign-in that proves this.
    StepUp(Proof),
    /// Another account than this one.
    Account(Arc<Person>),
    /// The store.
    Store,
}

/// Why a form that was brought is not sent on.
struct Useless {
    status: StatusCode,
    happened: &'static str,
    advice: &'static str,
}

/// A host as a browser sees it.
struct Window<'a> {
    site: &'a Site,
    host: &'a str,
    origin: String,
}

impl<'a> Window<'a> {
    fn of(site: &'a Site, target: &'a Target<'_>) -> Option<Self> {
        let start = site.with_origins(|origins| ReturnTo::start_of(target, origins))?;
        Some(Self { site, host: &target.host, origin: start.origin() })
    }

    /// Whether a person sends this from a page of this host. `SameSite=Lax` lets a stranger's form arrive without our
    /// cookies; sent on from here it would have them.
    fn sent(&self, headers: &HeaderMap) -> bool {
        navigates(headers) && is_same_origin(headers, &self.origin)
    }

    /// The form in a body, opened and sealed.
    async fn brought(
        &self,
        body: Incoming,
        client: Option<IpAddr>,
    ) -> Result<(KeptForm, String), &'static Useless> {
        let most = "kept=".len() + LONGEST_KEPT_FORM;
        if body.size_hint().lower() > most as u64 {
            return Err(&TOO_LARGE);
        }
        let _turn = self.site.kept_forms.0.brought.take(client).ok_or(&BUSY)?;
        let body = read_form(body, most).await.ok_or(&TOO_LARGE)?;
        let kept = form_urlencoded::parse(&body).find(|(name, _)| name == "kept").ok_or(&BROKEN)?.1;
        let form = KeptForm::open(&self.site.sealer, self.host, &kept).ok_or(&BROKEN)?;
        if form.is_late(unix_now()) { Err(&LATE) } else { Ok((form, kept.into_owned())) }
    }

    /// What the judge says of a form as if it came now by itself: nothing of it is shown to whoever may not send it.
    async fn judged(
        &self,
        form: &KeptForm,
        kept: &str,
        by: (Scheme, Credential, Client<'_>),
    ) -> Response<Body> {
        let (path, query) = form.path_and_query();
        let Ok(path) = Path::parse(path.as_bytes()) else { return self.trouble(&BROKEN) };
        let (scheme, credential, client) = by;
        let (host, query) = (Cow::Borrowed(self.host), query.map(str::as_bytes));
        let target = Target {
            scheme,
            host,
            path,
            query,
            method: Method::POST,
            overrides: Overrides::Nowhere,
            destination: Destination::Nowhere,
        };
        // A person sends it, who has a session.
        let authorization = Authorization::default();
        // A page names no tenant.
        let tenant = AskedTenant::Nothing;
        let visit = Visit { target, credential, authorization, tenant, client: Some(client) };
        let now = unix_now();
        let waits = match self.site.gate.judge(&visit, now).await {
            Decision::Allow(grant) => return self.send(form, &grant, now).await,
            Decision::SignIn | Decision::BadToken(_) | Decision::Emergency => Waits::SignIn,
            Decision::StepUp(step) => Waits::StepUp(step.wanted.clone()),
            Decision::Unavailable | Decision::Limited { .. } => Waits::Store,
            Decision::Forbid(Refusal::NotAllowed { person: Some(person), .. }) => Waits::Account(person),
            Decision::Forbid(_) => return self.trouble(&BROKEN),
        };
        self.ask_to_sign_in(form, kept, &waits).unwrap_or_else(|| self.trouble(&BROKEN))
    }

    /// The page that takes a form out of the browser.
    fn pick_up(&self) -> Response<Body> {
        let page =
            FormWanted { css: CSS, script: PICK_UP, host: self.host, action: RESUME, start: &self.origin };
        answer::page(StatusCode::OK, Page::scripted(&page, "'self'", PICK_UP))
    }

    /// The page with all fields of a form. It is sent at once only the first time it is here, as a way back in the browser's
    /// history would send it twice, and only if it was sent lately: later somebody else may be there.
    async fn send(&self, form: &KeptForm, grant: &Grant<'_>, now: u64) -> Response<Body> {
        let first = self.site.sessions.spend(&form.id, form.until(), now).await.unwrap_or(false);
        let script = if first && form.is_fresh(now) && grant.person().is_some() { SEND } else { "" };
        let field = |field| grant.person().map_or("", |person| person.identity().field(field));
        let action = format!("{}{}", self.origin, form.address());
        let page = FormResumed {
            css: CSS,
            script,
            shown_before: !first,
            host: self.host,
            name: field(Field::Name),
            username: field(Field::Username),
            email: field(Field::Email),
            action: &action,
            fields: form.fields(),
            start: &self.origin,
        };
        answer::page(StatusCode::OK, Page::scripted(&page, ANYWHERE, script))
    }

    /// The page that keeps a form; `None` if its address is too long to be signed in for.
    fn ask_to_sign_in(&self, form: &KeptForm, kept: &str, waits: &Waits) -> Option<Response<Body>> {
        let (status, title, happened) = waits.story();
        let person = if let Waits::Account(person) = waits { Some(person) } else { None };
        let field = |field| person.map_or("", |person| person.identity().field(field));
        let sign_in = self.sign_in(form, waits)?;
        let script = if matches!(waits, Waits::FromNow) { KEEP } else { "" };
        let reference = self.site.references.issue();
        let page = FormKept {
            css: CSS,
            script,
            title,
            happened,
            host: self.host,
            name: field(Field::Name),
            username: field(Field::Username),
            email: field(Field::Email),
            sign_in: if matches!(waits, Waits::Store) { "" } else { sign_in.as_str() },
            label: if person.is_some() { "Use another account" } else { "Sign in" },
            action: RESUME,
            kept,
            reference: &reference,
        };
        let mark =
            Mark::new(&reference, format!("{title}: a form waits")).about(person.map(|person| &**person));
        let mut response = mark.on(answer::page(status, Page::scripted(&page, "'self'", script)));
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"foregate\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        Some(if status == StatusCode::SERVICE_UNAVAILABLE { answer::retry(response) } else { response })
    }

    /// The sign-in that leads back here.
    fn sign_in(&self, form: &KeptForm, waits: &Waits) -> Option<Url> {
        let back = format!("{}{RESUME}{}", self.origin, form.path_and_query().0);
        let back = self.site.with_origins(|origins| ReturnTo::parse(&back, origins))?;
        let said = match waits {
            Waits::Account(_) => vec![("account", "other".to_owned())],
            Waits::StepUp(proof) => step_up::in_address(proof),
            Waits::FromNow | Waits::SignIn | Waits::Store => Vec::new(),
        };
        let more = step_up::pairs(&said);
        let here = elsewhere::sign_in_at(self.site, &back, &more);
        Some(here.unwrap_or_else(|| self.site.own_url("/.foregate/sign-in", Some(&back), &more)))
    }

    fn trouble(&self, why: &Useless) -> Response<Body> {
        let label = format!("Go on to {}", self.host);
        let reference = self.site.references.issue();
        tracing::info!(ref = reference, host = self.host, status = why.status.as_u16(), "a kept form is not sent on");
        let page = Trouble {
            css: CSS,
            title: "This form cannot be sent on",
            happened: why.happened,
            advice: why.advice,
            causes: &[],
            again: &self.origin,
            label: &label,
            reference: &reference,
        };
        let story = format!("a kept form is not sent on: {}", why.happened);
        let response = Mark::new(&reference, story).on(answer::page(why.status, Page::new(&page, "")));
        if why.status == StatusCode::SERVICE_UNAVAILABLE { answer::retry(response) } else { response }
    }
}

impl Waits {
    fn story(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::FromNow => (StatusCode::UNAUTHORIZED, "Your sign-in has ended", "Please sign in again."),
            Self::SignIn => {
                (StatusCode::UNAUTHORIZED, "You are not signed in yet", "Nobody is signed in for this.")
            }
            Self::StepUp(_) => {
                (StatusCode::UNAUTHORIZED, "This needs a stronger or newer sign-in", "Please sign in again.")
            }
            Self::Account(_) => {
                (StatusCode::FORBIDDEN, "This account may not send it", "Somebody else may have to sign in.")
            }
            Self::Store => {
                (StatusCode::SERVICE_UNAVAILABLE, "Please try again in a moment", "It could not be sent now.")
            }
        }
    }
}

/// Whether a body is what forms post without further parameters, as a page can make a browser send it.
fn is_form(headers: &HeaderMap) -> bool {
    let kinds: Vec<&[u8]> = headers.get_all(CONTENT_TYPE).iter().map(HeaderValue::as_bytes).collect();
    let plain = |kind: &[u8]| kind.eq_ignore_ascii_case(b"application/x-www-form-urlencoded");
    matches!(kinds.as_slice(), [kind] if plain(kind)) && !headers.contains_key(CONTENT_ENCODING)
}

/// Where an app may lead on to when it has got its form: Chromium holds redirects to the policy as well, and would stop
/// at a page with a button that sends the form once more.
const ANYWHERE: &str = "https: http:";
const RESUME: &str = "/.foregate/resume";
/// Bytes of the largest form that is kept.
const LARGEST: usize = 64 * 1024;
const FOREIGN: Useless = Useless {
    status: StatusCode::FORBIDDEN,
    happened: "It was brought here by another site, or your browser does not tell by whom.",
    advice: "Go back to the tab where you sent it, or fill it in once more.",
};
const BROKEN: Useless = Useless {
    status: StatusCode::BAD_REQUEST,
    happened: "It was not kept for this site, or it was changed on the way.",
    advice: "Open the page you wanted, and fill it in once more.",
};
const LATE: Useless = Useless {
    status: StatusCode::GONE,
    happened: "It was kept for an hour, and that is over.",
    advice: "Open the page you wanted, and fill it in once more.",
};
const TOO_LARGE: Useless = Useless {
    status: StatusCode::PAYLOAD_TOO_LARGE,
    happened: "It is larger than what is kept, or it did not arrive as a whole.",
    advice: "Open the page you wanted, and fill it in once more.",
};
const BUSY: Useless = Useless {
    status: StatusCode::SERVICE_UNAVAILABLE,
    happened: "Too many forms are on their way just now.",
    advice: "Wait a moment, then load this page again.",
};
