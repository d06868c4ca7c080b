//! Hosts outside the cookie domain: asking the host of `public_url` for a ticket, redeeming it, and foregate's own
//! pages there. Answers checks and requests alike, never lets anybody in, and knows no rules.

use std::sync::Arc;

use http::header::SET_COOKIE;
use http::request::Parts;
use http::{Method, Response, StatusCode};
use url::Url;
use zeroize::Zeroizing;

use super::is_foreign;
use super::leave::LEAVE;
use super::query::Query;
use super::session;
use crate::browser::{Ask, HostBinding, HostCookies, Purpose, ReturnTo, Ticket};
use crate::http::body::Body;
use crate::http::chooser::Wanted;
use crate::http::denial::{self, Denied};
use crate::http::dialect::direct;
use crate::http::intent::intent;
use crate::http::{Site, answer, unix_now};
use crate::login::BINDING_LIFETIME;
use crate::metrics::Outcome;
use crate::policy::Refusal;
use crate::session::store::StoreError;
use crate::session::{Session, random};
use crate::visit::{Intent, SessionHandle, Visit};

/// A visit to an app on a host outside the cookie domain.
pub(in crate::http) struct Here<'a> {
    site: &'a Site,
    parts: &'a Parts,
    visit: &'a Visit<'a>,
    cookies: HostCookies<'a>,
    bare: bool,
}

/// foregate's own pages on such a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum OwnPage {
    Ticket,
    SignIn,
    SignOut,
}

/// Why a ticket is worth nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Worthless {
    /// It was not sealed for this host.
    Broken,
    /// It has expired.
    Late,
    /// It was asked for by another browser.
    Stranger,
    /// Its session has ended.
    Ended,
    /// It has been used.
    Spent,
}

/// The answer to a request for one of foregate's own pages on such a host; `None` on all other hosts.
pub(in crate::http) async fn answer_direct(site: &Site, parts: &Parts) -> Option<Response<Body>> {
    let visit = direct(parts, &site.cookies, site.scheme()).ok()?;
    let here = Here::of(site, parts, &visit, false)?;
    Some(match OwnPage::of(&visit) {
        Some(page) => here.own_page(page).await.1,
        None if parts.uri.path() == session::PATH => session::answer(site, parts).await,
        None if parts.uri.path() == session::SCRIPT_PATH => session::script(parts),
        None => answer::empty(StatusCode::NOT_FOUND),
    })
}

/// Where to sign in as somebody else for a page on such a host; `None` on all other hosts.
pub(in crate::http) fn other_account(site: &Site, page: &ReturnTo) -> Option<Url> {
    sign_in_at(site, page, &[("account", "other")])
}

/// Where to sign in for a page on such a host; `None` on all other hosts.
pub(in crate::http) fn sign_in_at(site: &Site, page: &ReturnTo, more: &[(&str, &str)]) -> Option<Url> {
    site.cookies.at(page.host())?;
    let mut url = Url::parse(page.as_str()).ok()?;
    url.set_path("/.foregate/sign-in");
    url.query_pairs_mut().clear().append_pair("rd", page.as_str()).extend_pairs(more);
    Some(url)
}

impl OwnPage {
    pub(in crate::http) fn of(visit: &Visit<'_>) -> Option<Self> {
        match visit.target.path.canonical()?.strip_prefix("/.foregate/")? {
            "ticket" => Some(Self::Ticket),
            "sign-in" => Some(Self::SignIn),
            "sign-out" => Some(Self::SignOut),
            _ => None,
        }
    }
}

impl<'a> Here<'a> {
    /// `None` if no line names the host, or it lies within the cookie domain. With `bare` redirects are 401, as for
    /// denials.
    pub(in crate::http) fn of(
        site: &'a Site,
        parts: &'a Parts,
        visit: &'a Visit<'a>,
        bare: bool,
    ) -> Option<Self> {
        let cookies = site.cookies.at(&visit.target.host)?;
        site.gate.policy.names(&visit.target.host).then_some(Self { site, parts, visit, cookies, bare })
    }

    /// Leads a person to the host of `public_url`, to come back to `page` with a ticket for this browser.
    pub(in crate::http) fn ask(&self, page: &ReturnTo, turn: u8) -> (Outcome, Response<Body>) {
        self.ask_as(page, turn, &[])
    }

    /// The same, with more to be said at the sign-in.
    pub(in crate::http) fn ask_as(
        &self,
        page: &ReturnTo,
        turn: u8,
        more: &[(&str, &str)],
    ) -> (Outcome, Response<Body>) {
        match self.asked(page, turn, more) {
            Ok(response) => (Outcome::SignIn, response),
            Err(_) => (Outcome::Unavailable, denial::unavailable(self.site, Intent::Navigation)),
        }
    }

    fn asked(&self, page: &ReturnTo, turn: u8, more: &[(&str, &str)]) -> Result<Response<Body>, StoreError> {
        let now = unix_now();
        let mut binding = match self.cookies.binding(&self.parts.headers) {
            Some(binding) => binding,
            None => HostBinding::new(random()?),
        };
        let turn = if binding.note_ask(page.as_str(), now) { u8::MAX } else { turn };
        let ask = Ask { bound_to: binding.name(), turn, at: now };
        let ask = ask.seal(&self.site.sealer, self.host(), random()?);
        let more = [&[("ask", ask.as_str())], more].concat();
        let url = self.site.own_url("/.foregate/sign-in", Some(page), &more);
        let mut response = self.redirect(url.as_str());
        let kept = self.cookies.keep_binding(&binding, BINDING_LIFETIME, random()?);
        response.headers_mut().append(SET_COOKIE, kept);
        Ok(response)
    }

    pub(in crate::http) async fn own_page(&self, page: OwnPage) -> (Outcome, Response<Body>) {
        let person_waits = intent(&self.parts.headers, &self.visit.target.method) == Intent::Navigation;
        if page == OwnPage::Ticket && !(person_waits && self.visit.target.method == Method::GET) {
            // Whatever shows a ticket uses it up, also an image or a script.
            let ticket = self.ticket();
            let _ = self.worth(ticket.as_ref()).await;
        }
        match page {
            OwnPage::SignOut => self.sign_out().await,
            OwnPage::Ticket if person_waits && self.visit.target.method == Method::GET => self.redeem().await,
            OwnPage::Ticket if person_waits => self.go_on(None, 1).await,
            OwnPage::SignIn if person_waits => self.sign_in().await,
            OwnPage::Ticket | OwnPage::SignIn => self.denied(Denied::SignIn).await,
        }
    }

    async fn sign_in(&self) -> (Outcome, Response<Body>) {
        let query = self.query();
        let page = query.rd().and_then(|rd| self.page(&rd)).or_else(|| self.start());
        let another = query.one("account").is_ok_and(|account| account.as_deref() == Some("other"));
        match page {
            // The ticket then takes the place of the session there is.
            Some(page) if another => self.ask_as(&page, 1, &[("account", "other")]),
            page => self.go_on(page, 1).await,
        }
    }

    /// Makes a session of this host from a ticket, once; without one that is worth it the sign-in begins again.
    async fn redeem(&self) -> (Outcome, Response<Body>) {
        let ticket = self.ticket();
        let page = ticket.as_ref().and_then(|ticket| self.page(&ticket.page));
        let turn = ticket.as_ref().map_or(1, |ticket| ticket.ask.turn.saturating_add(1));
        let welcome = match (self.worth(ticket.as_ref()).await, &page) {
            (Ok(Ok(handle)), Some(page)) => self.welcome(page, handle),
            (Ok(Ok(_)), None) => return self.go_on(page, turn).await,
            (Ok(Err(why)), _) => {
                tracing::info!(host = self.host(), ?why, "a ticket is worth nothing");
                return self.go_on(page, turn).await;
            }
            (Err(error), _) => Err(error),
        };
        match welcome {
            Ok(response) => (Outcome::SignIn, response),
            Err(_) => self.denied(Denied::Unavailable).await,
        }
    }

    fn ticket(&self) -> Option<Ticket> {
        let text = self.query().one("t").ok().flatten().unwrap_or_default();
        Ticket::open(&self.site.sealer, self.host(), &text)
    }

    /// The session a ticket is good for. Whoever shows a ticket uses it up: one that was sent to a browser it is not
    /// for can then not be brought to the browser it is for.
    async fn worth<'t>(
        &self,
        ticket: Option<&'t Ticket>,
    ) -> Result<Result<&'t SessionHandle, Worthless>, StoreError> {
        let now = unix_now();
        let Some(ticket) = ticket else { return Ok(Err(Worthless::Broken)) };
        if ticket.is_late(now) {
            return Ok(Err(Worthless::Late));
        }
        let sessions = &self.site.sessions;
        if !sessions.spend(&ticket.id, ticket.until(), now).await? {
            return Ok(Err(Worthless::Spent));
        }
        let binding = self.cookies.binding(&self.parts.headers);
        if !binding.is_some_and(|binding| ticket.is_for(&binding)) {
            return Ok(Err(Worthless::Stranger));
        }
        let lives = sessions.find(&ticket.handle, now).await?.is_some();
        Ok(if lives { Ok(&ticket.handle) } else { Err(Worthless::Ended) })
    }

    fn welcome(&self, page: &ReturnTo, handle: &SessionHandle) -> Result<Response<Body>, StoreError> {
        let mut response = self.redirect(page.as_str());
        let kept = self.cookies.keep_session(handle, self.site.sessions.lifetime(), random()?);
        response.headers_mut().append(SET_COOKIE, kept);
        Ok(response)
    }

    /// To `page`, or else the start, for those whose session here counts for it; for others by way of a sign-in.
    async fn go_on(&self, page: Option<ReturnTo>, turn: u8) -> (Outcome, Response<Body>) {
        let Some(page) = page.or_else(|| self.start()) else {
            let refusal = Refusal::UnknownHost;
            let response = denial::forbidden(self.site, self.visit, &refusal, Intent::Navigation);
            return (Outcome::Forbidden, response);
        };
        match self.live().await {
            Ok(Some(session)) if Wanted::on(self.site, &page).takes(&session, unix_now()) => {
                (Outcome::SignIn, self.redirect(page.as_str()))
            }
            Ok(_) => self.ask(&page, turn),
            Err(_) => self.denied(Denied::Unavailable).await,
        }
    }

    /// Leads to the sign-out on the host of `public_url`, with a proof of which session a person on this host wants to
    /// end.
    async fn sign_out(&self) -> (Outcome, Response<Body>) {
        let rd = self.query().rd().and_then(|rd| self.address(&rd));
        let proof = if is_foreign(&self.parts.headers) { None } else { self.proof().await };
        let more: Vec<(&str, &str)> = proof.iter().map(|proof| (LEAVE, proof.as_str())).collect();
        let url = self.site.own_url("/.foregate/sign-out", rd.as_ref(), &more);
        (Outcome::SignIn, self.redirect(url.as_str()))
    }

    async fn proof(&self) -> Option<String> {
        let session = self.live().await.ok()??;
        let plain = Zeroizing::new([session.handle().0.as_slice(), &unix_now().to_be_bytes()].concat());
        Some(self.site.sealer.seal_text(Purpose::Leave, &plain, random().ok()?))
    }

    /// The session that this host's cookies show, if it lives.
    async fn live(&self) -> Result<Option<Arc<Session>>, StoreError> {
        self.site.sessions.find_any(&self.visit.credential, unix_now()).await
    }

    async fn denied(&self, denied: Denied) -> (Outcome, Response<Body>) {
        denial::answer(self.site, self.parts, self.visit, denied, self.bare).await
    }

    fn redirect(&self, location: &str) -> Response<Body> {
        let status = if self.bare { StatusCode::UNAUTHORIZED } else { StatusCode::FOUND };
        answer::redirect(status, location)
    }

    /// The query of the visitor's own request.
    fn query(&self) -> Query {
        Query::from_bytes(self.visit.target.query.unwrap_or_default())
    }

    fn start(&self) -> Option<ReturnTo> {
        self.site.with_origins(|origins| ReturnTo::start_of(&self.visit.target, origins))
    }

    /// A page of this very host.
    fn page(&self, text: &str) -> Option<ReturnTo> {
        self.address(text).filter(|page| page.host() == self.host())
    }

    /// An address of ours; a path is one of this host.
    fn address(&self, text: &str) -> Option<ReturnTo> {
        self.site.with_origins(|origins| {
            if !text.starts_with('/') {
                return ReturnTo::parse(text, origins);
            }
            let start = ReturnTo::start_of(&self.visit.target, origins)?;
            ReturnTo::parse(&format!("{}{text}", start.origin()), origins)
        })
    }

    fn host(&self) -> &str {
        &self.visit.target.host
    }
}
