//! `/.foregate/session`: who is signed in, for scripts, and the script that asks for pages that have none. Knows no
//! rules.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL,
    CONTENT_TYPE, HeaderValue, ORIGIN, REFERER, VARY,
};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::query::Query;
use crate::browser::ReturnTo;
use crate::headers::Person;
use crate::http::body::Body;
use crate::http::denial::{forbidden, sign_in_problem, unavailable};
use crate::http::dialect::direct;
use crate::http::{Site, answer, unix_now};
use crate::identity::Field;
use crate::visit::Intent;

/// Tells who is signed in and for how long, which is a use of the session; 401 with the way to sign in where nobody is.
/// A script of another origin reads the answer only if `session.cors_origins` names that.
pub(in crate::http) async fn answer(site: &Site, parts: &Parts) -> Response<Body> {
    let mut response = match parts.method {
        Method::GET | Method::HEAD => told(site, parts).await,
        Method::OPTIONS => preflight(site),
        _ => answer::wrong_method("GET, HEAD, OPTIONS"),
    };
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Origin, Cookie"));
    let mut origins = parts.headers.get_all(ORIGIN).iter();
    if let (Some(origin), None) = (origins.next(), origins.next())
        && site.cors_origins.iter().any(|known| known.as_bytes() == origin.as_bytes())
    {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("foregate-sign-in"));
    }
    response
}

/// The script for pages that want to be told when the sign-in has ended.
pub(in crate::http) fn script(parts: &Parts) -> Response<Body> {
    if !(parts.method == Method::GET || parts.method == Method::HEAD) {
        return answer::wrong_method("GET, HEAD");
    }
    let mut response = answer::text(StatusCode::OK, SCRIPT);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}

async fn told(site: &Site, parts: &Parts) -> Response<Body> {
    let Ok(visit) = direct(parts, &site.cookies, site.scheme()) else {
        return answer::empty(StatusCode::BAD_REQUEST);
    };
    let now = unix_now();
    match site.sessions.find_any(&visit.credential, now).await {
        Ok(Some(session)) => {
            site.sessions.note_use(&session, now);
            let left = site.sessions.left(&session, now);
            match site.gate.policy.in_tenant(&session.person, &visit) {
                Ok(person) => answer::json(StatusCode::OK, &who(site, &session.person, &person, left)),
                Err(refusal) => forbidden(site, &visit, &refusal, Intent::Call),
            }
        }
        Ok(None) => sign_in_problem(site, page(site, parts).as_ref()),
        Err(_) => unavailable(site, Intent::Call),
    }
}

/// What is told of `person`, who is `inside` one of their tenants if they have any.
fn who(site: &Site, person: &Person, inside: &Person, expires_in: u64) -> Value {
    let (policy, identity) = (&site.gate.policy, inside.identity());
    let (roles, tenant) = (policy.roles(), identity.tenant());
    let mut told = json!({
        "user": identity.field(Field::Username),
        "name": identity.field(Field::Name),
        "email": identity.field(Field::Email),
        "groups": identity.groups().collect::<Vec<_>>(),
        "roles": roles.roles_of(identity).collect::<Vec<_>>(),
        "permissions": roles.permissions_of(identity).collect::<Vec<_>>(),
        "tenant": tenant.map(|inside| &*inside.tenant),
        "expires_in": expires_in,
    });
    if let Some(tenants) = policy.tenants() {
        told["tenants"] = person.places(tenants).tenants().collect();
        told["tenant_roles"] =
            tenant.into_iter().flat_map(|inside| &inside.roles).map(|role| &**role).collect();
    }
    told
}

/// The page to come back to: the one the script names, else the one it runs on as far as the browser tells.
fn page(site: &Site, parts: &Parts) -> Option<ReturnTo> {
    let referrer = || Some(parts.headers.get(REFERER)?.to_str().ok()?.to_owned());
    let named = Query::of(parts).rd().or_else(referrer)?;
    site.with_origins(|origins| ReturnTo::parse(&named, origins))
}

/// Browsers ask before a script of another origin sends headers of its own.
fn preflight(site: &Site) -> Response<Body> {
    let mut response = answer::empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD"));
    let named = site.gate.policy.tenants().map(|tenants| format!("{ALLOWED}, {}", tenants.header.as_str()));
    let allowed = named.and_then(|names| HeaderValue::from_str(&names).ok());
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed.unwrap_or(HeaderValue::from_static(ALLOWED)));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}

/// What a script may send.
const ALLOWED: &str = "accept, x-requested-with";
/// Where it is.
pub(in crate::http) const PATH: &str = "/.foregate/session";
/// Where the script is.
pub(in crate::http) const SCRIPT_PATH: &str = "/.foregate/session.js";
const SCRIPT: &str = include_str!("session.js");
