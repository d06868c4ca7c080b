//! oauth2-proxy. Knows no rules but those an address asks for.

use std::sync::Arc;

use http::header::{HOST, HeaderMap, HeaderValue, LOCATION, REFRESH, SET_COOKIE};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::{ORIGINAL_METHOD, ORIGINAL_URL, Tells, check, method_untold, page, sign_in};
use crate::http::body::Body;
use crate::http::dialect::Dialect;
use crate::http::pages::{CSS, Page, SignIn};
use crate::http::portal::query::Query;
use crate::http::{Site, answer, unix_now};
use crate::identity::{Field, Identity};
use crate::policy::Requirement;
use crate::server::Peer;
use crate::visit::{Scheme, parse_host};

pub(super) const PREFIX: &str = "/oauth2/";
pub(super) const PROBES: [&str; 2] = ["/ping", "/ready"];

/// Answers what is asked behind [`PREFIX`].
pub(super) async fn answer(
    site: &Arc<Site>,
    (rest, tells): (&str, Tells),
    request: Request<Incoming>,
    peer: Peer,
) -> Response<Body> {
    let query = Query::of_uri(request.uri());
    match rest {
        "auth" => auth(site, (&query, tells), request.into_parts().0, peer).await,
        "start" => sign_in(site, wish(&query, request.headers()), request, peer).await,
        "sign_in" => in_a_page(sign_in(site, wish(&query, request.headers()), request, peer).await),
        "callback" => {
            let query = request.uri().query().map(str::to_owned);
            page(site, "/.foregate/callback", query.as_deref(), request, peer).await
        }
        "sign_out" => {
            let rd = wish(&query, request.headers());
            let query = rd.map(|rd| format!("rd={}", escaped(&rd)));
            page(site, "/.foregate/sign-out", query.as_deref(), request, peer).await
        }
        "userinfo" => userinfo(site, request.headers()).await,
        _ => answer::text(StatusCode::NOT_FOUND, "foregate has no such address of oauth2-proxy.\n"),
    }
}

/// The page from which a sign-in begins at once: nginx shows it with a status of its own, `error_page 401 =403`, under which no
/// redirect is followed.
fn in_a_page(response: Response<Body>) -> Response<Body> {
    let headers = response.headers();
    let Some(onward) = headers.get(LOCATION).and_then(|onward| onward.to_str().ok()) else { return response };
    let mut page = answer::page(StatusCode::OK, Page::new(&SignIn { css: CSS, onward }, ""));
    if let Ok(refresh) = HeaderValue::from_str(&format!("0; url={onward}")) {
        page.headers_mut().insert(REFRESH, refresh);
    }
    for cookie in headers.get_all(SET_COOKIE) {
        page.headers_mut().append(SET_COOKIE, cookie.clone());
    }
    page
}

/// 202 for whoever is let in, 401 for whoever may sign in, and else as any check.
async fn auth(site: &Site, (query, tells): (&Query, Tells), mut parts: Parts, peer: Peer) -> Response<Body> {
    parts.headers.remove(ORIGINAL_METHOD);
    parts.headers.remove(ORIGINAL_URL);
    let told = match tells {
        Tells::Forwarded => forwarded(&parts.headers),
        Tells::Nginx => by_nginx(site, &parts.headers),
    };
    if let Some((url, method)) = told {
        parts.headers.insert(ORIGINAL_URL, url);
        parts.headers.insert(ORIGINAL_METHOD, method);
    }
    let wanted = narrowing(site, query);
    let mut response = check(site, Dialect::Nginx, parts, (peer, wanted.as_ref())).await;
    match response.status() {
        StatusCode::OK => *response.status_mut() = StatusCode::ACCEPTED,
        StatusCode::UNAUTHORIZED => {
            response.headers_mut().remove(LOCATION);
        }
        _ => {}
    }
    response
}

/// Where Traefik and Caddy say what it is about; nothing where one is missing or there twice.
fn forwarded(headers: &HeaderMap) -> Option<(HeaderValue, HeaderValue)> {
    let [proto, host, uri] =
        ["x-forwarded-proto", "x-forwarded-host", "x-forwarded-uri"].map(|name| one(headers, name));
    Some((
        url(proto?.as_bytes(), host?.as_bytes(), uri?.as_bytes())?,
        one(headers, "x-forwarded-method")?.clone(),
    ))
}

/// Where nginx says it. The scheme is that of all our addresses, as nobody tells it.
fn by_nginx(site: &Site, headers: &HeaderMap) -> Option<(HeaderValue, HeaderValue)> {
    let host = one(headers, HOST.as_str())?.as_bytes();
    let scheme = site.public_url.scheme().as_bytes();
    Some((
        url(scheme, host, one(headers, "x-forwarded-uri")?.as_bytes())?,
        method_untold(site, host, headers)?,
    ))
}

fn one<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// The address of these parts. Each must be whole by itself: a slash in the scheme or the host would make it another.
fn url(scheme: &[u8], host: &[u8], uri: &[u8]) -> Option<HeaderValue> {
    if Scheme::parse(scheme).is_err() || parse_host(host).is_err() || !uri.starts_with(b"/") {
        return None;
    }
    HeaderValue::from_bytes(&[scheme, b"://", host, uri].concat()).ok()
}

/// Who else must be let in, by the parameters of the address: one of each list.
fn narrowing(site: &Site, query: &Query) -> Option<Requirement> {
    let terms = site.gate.policy.terms();
    let mut all = Vec::new();
    for (name, term) in
        [("allowed_groups", "group:"), ("allowed_emails", "email:"), ("allowed_email_domains", "email:*@")]
    {
        let texts: Vec<String> =
            query.all(name).flat_map(|list| list.split(',')).map(|one| format!("{term}{one}")).collect();
        if !texts.is_empty() {
            // What cannot be a group or an address is nobody's.
            let any = texts.iter().map(|text| terms.parse(text).unwrap_or(Requirement::Nobody));
            all.push(Requirement::Any(any.collect()));
        }
    }
    (!all.is_empty()).then_some(Requirement::All(all))
}

/// Where to go: what the address says, else the front proxy's header.
fn wish(query: &Query, headers: &HeaderMap) -> Option<String> {
    let header = || one(headers, "x-auth-request-redirect")?.to_str().ok().map(str::to_owned);
    query.rd().or_else(header)
}

fn escaped(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

async fn userinfo(site: &Site, headers: &HeaderMap) -> Response<Body> {
    match site.sessions.find_any(&site.cookies.credential(headers), unix_now()).await {
        Ok(Some(session)) => answer::json(StatusCode::OK, &who(session.person.identity())),
        Ok(None) => answer::text(StatusCode::UNAUTHORIZED, "Unauthorized\n"),
        Err(_) => answer::retry(answer::empty(StatusCode::SERVICE_UNAVAILABLE)),
    }
}

fn who(identity: &Identity) -> Value {
    json!({
        "user": identity.field(Field::Username),
        "email": identity.field(Field::Email),
        "groups": identity.groups().collect::<Vec<_>>(),
        "preferredUsername": identity.field(Field::Username),
    })
}

/// `/ping` and `/ready`.
pub(super) async fn probe(site: &Site, path: &str) -> Response<Body> {
    if path == "/ready" && site.sessions.probe(unix_now()).await.is_err() {
        return answer::text(StatusCode::INTERNAL_SERVER_ERROR, "error: the session store does not answer");
    }
    answer::text(StatusCode::OK, "OK")
}
