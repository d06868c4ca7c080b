//! The head of an answer on its way from the backend to the visitor. Knows no requests.

use std::collections::HashSet;
use std::sync::Mutex;

use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, SET_COOKIE, TRANSFER_ENCODING,
};
use http::{Version, response};

use super::super::Site;
use super::hop::Hop;
use crate::policy::{App, Grant};

/// Takes off what concerns the connection to the backend alone, and cookies that are ours to set; keeps what somebody was let in
/// for out of caches that others share. Everything else stays as it came.
pub(super) fn prepare(site: &Site, grant: &Grant<'_>, parts: &mut response::Parts) {
    // The version is that of the connection to the backend, not of this one (RFC 9110 2.5).
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    // The body was read by its coding, whatever else the length was said to be (RFC 9112 6.3).
    if parts.headers.contains_key(TRANSFER_ENCODING) {
        parts.headers.remove(CONTENT_LENGTH);
    }
    Hop::of_response(&parts.headers).remove_from(&mut parts.headers);
    if parts.headers.contains_key(SET_COOKIE) {
        drop_own_cookies(site, grant.app(), &mut parts.headers);
    }
    if grant.person().is_some() || !grant.rule().is_public() {
        keep_private(&mut parts.headers);
    }
}

/// A cache in front of foregate asks nobody who may see what it keeps (RFC 9111 5.2.2.7): an answer that is not for everybody is for
/// the browser that asked, whatever the backend says of it, which knows of no rules.
fn keep_private(headers: &mut HeaderMap) {
    let is_theirs = |name: &&HeaderName| {
        name.as_str().ends_with("cdn-cache-control") || OF_SHARED_CACHES.contains(&name.as_str())
    };
    let theirs: Vec<HeaderName> = headers.keys().filter(is_theirs).cloned().collect();
    for name in theirs {
        headers.remove(name);
    }
    let mut lines = headers.get_all(CACHE_CONTROL).iter();
    match (lines.next(), lines.next()) {
        (None, _) => {
            headers.insert(CACHE_CONTROL, PRIVATE);
        }
        (Some(line), None) if line == PRIVATE || line == NO_STORE => {}
        (Some(_), _) => {
            if let Some(value) = as_private(directives(headers)) {
                headers.insert(CACHE_CONTROL, value);
            }
        }
    }
}

/// The directives of `Cache-Control`, over all its lines. What is in quotes may hold commas.
fn directives(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(CACHE_CONTROL).iter().filter_map(|line| line.to_str().ok());
    let parts = lines.flat_map(|line| {
        let mut quoted = false;
        line.split(move |letter| {
            quoted ^= letter == '"';
            letter == ',' && !quoted
        })
    });
    parts.map(str::trim).filter(|part| !part.is_empty())
}

/// The directives, of which none lets a shared cache keep anything; `None` if that is so already.
fn as_private<'h>(directives: impl Iterator<Item = &'h str>) -> Option<HeaderValue> {
    let mut kept = vec!["private"];
    let mut is_so = false;
    for directive in directives {
        let name = directive.split('=').next().unwrap_or_default().trim_end();
        is_so |= ["private", "no-store"].iter().any(|word| directive.eq_ignore_ascii_case(word));
        if !["public", "s-maxage", "private"].iter().any(|word| name.eq_ignore_ascii_case(word)) {
            kept.push(directive);
        }
    }
    if is_so { None } else { Some(HeaderValue::from_str(&kept.join(", ")).unwrap_or(PRIVATE)) }
}

const PRIVATE: HeaderValue = HeaderValue::from_static("private");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// What shared caches obey in place of `Cache-Control`, beside those of RFC 9213: nginx, Edge Architecture 2.2, Akamai, LiteSpeed.
const OF_SHARED_CACHES: [&str; 4] =
    ["x-accel-expires", "surrogate-control", "edge-control", "x-litespeed-cache-control"];

/// A backend that could set our cookies could sign its visitors in as somebody else, or out.
fn drop_own_cookies(site: &Site, app: &App, headers: &mut HeaderMap) {
    let ours = |line: &&_| site.cookies.sets_ours(HeaderValue::as_bytes(line));
    if !headers.get_all(SET_COOKIE).iter().any(|line| ours(&line)) {
        return;
    }
    if site.meddlers.is_new(&app.name) {
        tracing::warn!(
            app = app.name,
            "the app sets a cookie with a name of foregate's own: it is dropped, now and from here on"
        );
    }
    let kept: Vec<_> = headers.get_all(SET_COOKIE).iter().filter(|line| !ours(line)).cloned().collect();
    headers.remove(SET_COOKIE);
    for line in kept {
        headers.append(SET_COOKIE, line);
    }
}

/// Apps that have set cookies of ours, so that each is logged once. As many at most as there are apps.
#[derive(Debug, Default)]
pub struct Meddlers(Mutex<HashSet<String>>);

impl Meddlers {
    fn is_new(&self, app: &str) -> bool {
        self.0.lock().is_ok_and(|mut known| !known.contains(app) && known.insert(app.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_shared_cache_keeps_what_somebody_was_let_in_for() {
        for (written, told) in [
            (&[][..], "private"),
            (&["private, max-age=60"], "private, max-age=60"),
            (&["no-store"], "no-store"),
            (&["public, max-age=3600"], "private, max-age=3600"),
            (&["max-age=3600, s-maxage=9", "Public"], "private, max-age=3600"),
            (&["no-cache"], "private, no-cache"),
            (&["PRIVATE"], "PRIVATE"),
            (&["private=\"set-cookie, x\", max-age=5"], "private, max-age=5"),
            (&["no-store, ext=\"a, b\""], "no-store, ext=\"a, b\""),
        ] {
            let mut headers: HeaderMap = written
                .iter()
                .map(|line| (CACHE_CONTROL, HeaderValue::from_static(line)))
                .chain(
                    OF_SHARED_CACHES
                        .into_iter()
                        .chain(["cdn-cache-control", "vercel-cdn-cache-control"])
                        .map(|name| (HeaderName::from_static(name), HeaderValue::from_static("max-age=9"))),
                )
                .collect();
            keep_private(&mut headers);
            assert_eq!((headers.len(), headers[CACHE_CONTROL].to_str().unwrap()), (1, told), "{written:?}");
        }
    }
}
