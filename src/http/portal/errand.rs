//! What somebody signs in for: a page, and on a host outside the cookie domain a ticket that takes the session there.
//! Knows no cookies and no provider.

use url::Url;

use super::query::Query;
use super::return_to;
use crate::browser::{Ask, ReturnTo, Ticket};
use crate::http::Site;
use crate::login::{Cause, LoginError};
use crate::session::random;
use crate::visit::SessionHandle;

/// Where to go after a sign-in, with what the host there asks for.
pub(in crate::http) struct Errand {
    /// The page.
    pub(in crate::http) to: ReturnTo,
    /// The host's sealed wish, as it came.
    ask: Option<String>,
}

impl Errand {
    /// What the address of a sign-in says.
    pub(super) fn of(site: &Site, query: &Query) -> Self {
        let to = return_to(site, query.rd().as_deref());
        let ask = query.one("ask").ok().flatten();
        // An errand tried again has another around it.
        Self::within(site, &to).unwrap_or(Self { to, ask })
    }

    /// The page alone: nothing but a person who opens a page gets a ticket.
    pub(super) fn without_ticket(self) -> Self {
        Self { ask: None, ..self }
    }

    /// What [`Errand::carried`] wrote.
    pub(super) fn carried_in(site: &Site, to: &ReturnTo) -> Self {
        Self::within(site, to).unwrap_or_else(|| Self { to: to.clone(), ask: None })
    }

    fn within(site: &Site, to: &ReturnTo) -> Option<Self> {
        let url = sign_in_at_home(site, to)?;
        let query = Query::from_bytes(url.query().unwrap_or_default().as_bytes());
        // Whoever has signed in needs no sign-in to be sent to.
        let page =
            Some(return_to(site, query.rd().as_deref())).filter(|to| sign_in_at_home(site, to).is_none());
        let to = page.unwrap_or_else(|| return_to(site, None));
        Some(Self { to, ask: query.one("ask").ok().flatten() })
    }

    /// The address that a sign-in carries through the provider: the page, or the sign-in itself with page and wish. One
    /// too long for that is the page, which then asks once more.
    pub(in crate::http) fn carried(&self, site: &Site) -> ReturnTo {
        let around = |ask: &String| {
            let url = site.own_url(SIGN_IN, Some(&self.to), &[("ask", ask)]);
            site.with_origins(|origins| ReturnTo::parse(url.as_str(), origins))
        };
        self.ask.as_ref().and_then(around).unwrap_or_else(|| self.to.clone())
    }

    /// The address for somebody with this session: the page, or its host with a ticket for it.
    ///
    /// A page outside the cookie domain whose host asked for nothing is told so by itself: it knows the browser.
    ///
    /// # Errors
    /// [`LoginError::Circle`] if the tickets before this one were worth nothing.
    pub(super) fn onward(&self, site: &Site, handle: &SessionHandle, now: u64) -> Result<String, LoginError> {
        let host = self.to.host();
        let ask = site.cookies.at(host).and(self.ask.as_ref());
        let ask = ask.and_then(|text| Ask::open(&site.sealer, host, text)).filter(|ask| !ask.is_late(now));
        let Some(ask) = ask else { return Ok(self.to.to_string()) };
        if ask.turn >= LAST_TURN {
            site.metrics.sign_in_loops.inc();
            return Err(LoginError::Circle(Cause::HostCookie));
        }
        let ticket = Ticket {
            id: random()?,
            ask: Ask { at: now, ..ask },
            handle: handle.clone(),
            page: self.to.to_string(),
        };
        let text = ticket.seal(&site.sealer, host, random()?);
        Ok(format!("{}/.foregate/ticket?t={text}", self.to.origin()))
    }
}

/// The address, if it is that of a sign-in on foregate's own host.
fn sign_in_at_home(site: &Site, to: &ReturnTo) -> Option<Url> {
    let url = Url::parse(to.as_str()).ok()?;
    (url.origin() == site.public_url.origin() && url.path() == SIGN_IN).then_some(url)
}

const SIGN_IN: &str = "/.foregate/sign-in";
/// The turn for which no ticket is made any more.
const LAST_TURN: u8 = 3;
