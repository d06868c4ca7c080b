//! The head of an answer on its way from the backend to the visitor. Knows no requests.

use std::collections::HashSet;
use std::sync::Mutex;

use http::header::{CONTENT_LENGTH, HeaderMap, SET_COOKIE, TRANSFER_ENCODING};
use http::{Version, response};

use super::super::Site;
use super::hop::Hop;
use crate::policy::App;

/// Takes off what concerns the connection to the backend alone, and cookies that are ours to set. Everything else stays
/// as it came.
pub(super) fn prepare(site: &Site, app: &App, parts: &mut response::Parts) {
    // The version is that of the connection to the backend, not of this one (RFC 9110 2.5).
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    // The body was read by its coding, whatever else the length was said to be (RFC 9112 6.3).
    if parts.headers.contains_key(TRANSFER_ENCODING) {
        parts.headers.remove(CONTENT_LENGTH);
    }
    Hop::of_response(&parts.headers).remove_from(&mut parts.headers);
    if parts.headers.contains_key(SET_COOKIE) {
        drop_own_cookies(site, app, &mut parts.headers);
    }
}

/// A backend that could set our cookies could sign its visitors in as somebody else, or out.
fn drop_own_cookies(site: &Site, app: &App, headers: &mut HeaderMap) {
    let ours = |line: &&_| site.cookies.sets_ours(http::HeaderValue::as_bytes(line));
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
