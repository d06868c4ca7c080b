//! Signing out by a link, also by one on a host outside the cookie domain. Knows no forms.

use std::sync::Arc;
use std::time::Duration;

use http::Response;
use http::request::Parts;

use super::query::Query;
use super::{Scope, choices, depart, end_sessions};
use crate::browser::Purpose;
use crate::http::body::Body;
use crate::http::denial::trouble;
use crate::http::{Site, unix_now};
use crate::login::LoginError;
use crate::visit::{Credential, SessionHandle};

/// A sign-out by a link. `foreign` is whether another site may be behind it.
pub(super) async fn leave(site: &Arc<Site>, parts: &Parts, foreign: bool) -> Response<Body> {
    let query = Query::of(parts);
    let rd = query.rd();
    let scope = if rd.is_some() { Scope::Browser } else { Scope::Provider };
    let credential = site.cookies.credential(&parts.headers);
    match (left_elsewhere(site, &query), &credential) {
        (Some(left), Credential::None | Credential::Bearer) => {
            let credential = Credential::Session(left, Vec::new());
            return depart(site, credential, scope, rd.as_deref()).await;
        }
        (Some(left), Credential::Session(first, others)) if *first == left || others.contains(&left) => {
            return depart(site, credential, scope, rd.as_deref()).await;
        }
        // A session apart from those of this browser here, which may belong to somebody else.
        (Some(left), Credential::Session(..)) => {
            let credential = Credential::Session(left, Vec::new());
            if let Err(error) = end_sessions(Arc::clone(site), credential, Scope::Browser, unix_now()).await {
                return trouble(site, &LoginError::Store(error), None);
            }
        }
        (None, _) => {}
    }
    if foreign {
        return choices(site, &parts.headers, rd.as_deref()).await;
    }
    depart(site, credential, scope, rd.as_deref()).await
}

/// The session that a person on a host outside the cookie domain has just asked to end.
fn left_elsewhere(site: &Site, query: &Query) -> Option<SessionHandle> {
    let plain = site.sealer.open_text(Purpose::Leave, &query.one(LEAVE).ok()??)?;
    let (handle, at) = plain.split_last_chunk::<8>()?;
    let fresh = unix_now().abs_diff(u64::from_be_bytes(*at)) <= LEAVE_TIME.as_secs();
    fresh.then_some(SessionHandle(handle.try_into().ok()?))
}

/// The parameter that names, sealed, the session to end.
pub(super) const LEAVE: &str = "leave";
/// How long it counts.
const LEAVE_TIME: Duration = Duration::from_secs(30);
