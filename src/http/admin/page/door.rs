//! Who may use the operator's page: whoever has shown the token, people whom the rules of the app let in that leads to it, or,
//! where no token is set, somebody at this machine. Knows no pages.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use http::HeaderName;
use http::header::{COOKIE, HOST, HeaderMap, HeaderValue, ORIGIN};
use http::request::Parts;

use super::super::access::{self, Refused};
use super::PATH;
use crate::browser::Purpose;
use crate::headers::ASSERTION;
use crate::http::intent::is_for_a_window;
use crate::http::portal::query::Query;
use crate::http::{Site, unix_now};
use crate::secret::Secret;
use crate::session::random;

/// Somebody who may use the page.
#[derive(Debug)]
pub(super) enum Operator {
    /// Who has shown the token: the cookie that says so.
    Token(String),
    /// Somebody whom the rules of the app let in, with the app's origin.
    Person { name: String, key: String, origin: String },
    /// Somebody at this machine, where no token is set.
    Local,
}

/// Why somebody may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// The token is to be shown first.
    Token,
    /// Nothing will help from there.
    Refused(Refused),
}

/// Who asks. No script and no frame gets at the page, whoever it runs for.
pub(super) fn of(site: &Site, parts: &Parts) -> Result<Operator, Closed> {
    if !is_for_a_window(&parts.headers) {
        return Err(Closed::Refused(Refused::Script));
    }
    if let Some(person) = person(site, &parts.headers) {
        return Ok(person);
    }
    let Some(token) = &site.admin_token else { return local(parts) };
    let cookie = shown(&parts.headers).filter(|cookie| is_good(site, token, cookie, unix_now()));
    cookie.map(|cookie| Operator::Token(cookie.to_owned())).ok_or(Closed::Token)
}

/// Whoever foregate itself says was let in, for the one app that leads here.
fn person(site: &Site, headers: &HeaderMap) -> Option<Operator> {
    let app = site.admin_app.as_deref()?;
    let mut lines = headers.get_all(ASSERTION).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return None };
    let origin = site.with_origins(|origins| origins.origin_of(app))?;
    let asserted = site.signer.verify(line.to_str().ok()?, &origin, unix_now())?;
    let key = format!("{}\n{}", asserted.issuer, asserted.subject);
    Some(Operator::Person { name: asserted.username, key, origin })
}

/// As for the API, but for pages of our own; and whatever a proxy brings is not from this machine.
fn local(parts: &Parts) -> Result<Operator, Closed> {
    if access::is_brought(&parts.headers) || !access::is_local(parts) {
        return Err(Closed::Refused(Refused::Host));
    }
    let from_page = |site: &HeaderValue| !(site == "none" || site == "same-origin");
    if parts.headers.get_all(SEC_FETCH_SITE).iter().any(from_page) {
        return Err(Closed::Refused(Refused::Page));
    }
    Ok(Operator::Local)
}

impl Operator {
    /// Who it is, for the page and the log.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Token(_) => "the token",
            Self::Person { name, .. } => name,
            Self::Local => "this machine",
        }
    }

    /// Whether there is something to sign out of here.
    pub(super) fn leaves(&self) -> bool {
        matches!(self, Self::Token(_))
    }

    /// The proof that a form came from a page of this operator's.
    pub(super) fn csrf(&self, site: &Site) -> String {
        site.sealer.sign(Purpose::Form, &self.message())
    }

    /// Whether a form was sent from such a page.
    pub(super) fn sent(&self, site: &Site, parts: &Parts, form: &Query) -> bool {
        let own = match self {
            Self::Person { origin, .. } => Some(origin.as_str()),
            Self::Token(_) | Self::Local => None,
        };
        let proof = form.one("csrf").ok().flatten().unwrap_or_default();
        is_same_origin(&parts.headers, own) && site.sealer.signed(Purpose::Form, &self.message(), &proof)
    }

    fn message(&self) -> Vec<u8> {
        let (kind, who) = match self {
            Self::Token(cookie) => ("operator token\n", cookie.as_str()),
            Self::Person { key, .. } => ("operator person\n", key.as_str()),
            Self::Local => ("operator local\n", ""),
        };
        [kind, who].concat().into_bytes()
    }
}

/// Whether a browser sends this from a page of the same origin, as far as it tells: `own`, or else the host that is asked.
pub(super) fn is_same_origin(headers: &HeaderMap, own: Option<&str>) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let fits = |origin: &HeaderValue| match own {
        Some(own) => origin == own,
        None => ["http://", "https://"].iter().any(|scheme| *origin == format!("{scheme}{host}")),
    };
    let from_here = |site: &HeaderValue| site == "same-origin";
    headers.get_all(ORIGIN).iter().count() <= 1
        && headers.get_all(ORIGIN).iter().all(fits)
        && headers.get_all(SEC_FETCH_SITE).iter().all(from_here)
}

/// The cookie of whoever shows the token at `now`.
pub(super) fn cookie(site: &Site, shown: &str, headers: &HeaderMap, now: u64) -> Option<HeaderValue> {
    let token = site.admin_token.as_ref()?;
    verify_slices_are_equal(&hash(shown), &hash(token.expose())).ok()?;
    let plain = [now.saturating_add(LASTS_SECONDS).to_be_bytes().as_slice(), &hash(token.expose())].concat();
    let sealed = site.sealer.seal_text(Purpose::Operator, &plain, random().ok()?);
    // Whoever says that it came by TLS only makes the cookie stricter.
    let by_tls = headers.get(X_FORWARDED_PROTO).is_some_and(|proto| proto == "https");
    let secure = if by_tls { "; Secure" } else { "" };
    let text =
        format!("{NAME}={sealed}; Path={PATH}; Max-Age={LASTS_SECONDS}; HttpOnly; SameSite=Strict{secure}");
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// What removes it.
pub(super) fn no_cookie() -> HeaderValue {
    HeaderValue::from_static("foregate-operator=; Path=/operator; Max-Age=0; HttpOnly; SameSite=Strict")
}

fn shown(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == NAME).map(|(_, value)| value)
}

/// Whether a cookie is ours, in time, and was given for the token that is set now.
fn is_good(site: &Site, token: &Secret, cookie: &str, now: u64) -> bool {
    let Some(plain) = site.sealer.open_text(Purpose::Operator, cookie) else { return false };
    let Some((until, of)) = plain.split_first_chunk::<8>() else { return false };
    now < u64::from_be_bytes(*until) && verify_slices_are_equal(of, &hash(token.expose())).is_ok()
}

fn hash(text: &str) -> Vec<u8> {
    digest(&SHA256, text.as_bytes()).as_ref().to_vec()
}

const NAME: &str = "foregate-operator";
/// How long a cookie counts.
const LASTS_SECONDS: u64 = 8 * 60 * 60;
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
