//! Signing out by a link, also by one on a host outside the cookie domain. Knows no forms.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{Response, StatusCode};

use super::query::Query;
use super::{SIGN_OUT, Scope, choices, depart, end_sessions, is_at_home, return_to, signed_out};
use crate::browser::Purpose;
use crate::http::body::Body;
use crate::http::denial::trouble;
use crate::http::{Site, answer, unix_now};
use crate::journal::Place;
use crate::login::LoginError;
use crate::visit::{Credential, SessionHandle};

/// A sign-out by a link. `foreign` is whether another site may be behind it.
pub(super) async fn leave(site: &Arc<Site>, parts: &Parts, foreign: bool, place: Place) -> Response<Body> {
    let query = Query::of(parts);
    let rd = query.rd();
    let scope = if rd.is_some() { Scope::Browser } else { Scope::Provider };
    let credential = site.cookies.credential(&parts.headers);
    match (left_elsewhere(site, &query), &credential) {
        // A link that somebody else may have made: it ends what it names, and nothing of this browser.
        (Some(left), Credential::None) if foreign => {
            let left = (Credential::Session(left, Vec::new()), Scope::Browser);
            return match end_sessions(Arc::clone(site), left, place, unix_now()).await {
                Ok(_) => signed_out(site),
                Err(error) => trouble(site, &LoginError::Store(error), None),
            };
        }
        (Some(left), Credential::None) => {
            // Whoever brings the proof may have no more than that host's cookie, which is no right to the tokens.
            let scope = if scope == Scope::Provider { Scope::ProviderUnnamed } else { scope };
            let credential = Credential::Session(left, Vec::new());
            return depart(site, (credential, scope), rd.as_deref(), place).await;
        }
        (Some(left), Credential::Session(first, others)) if *first == left || others.contains(&left) => {
            return depart(site, (credential, scope), rd.as_deref(), place).await;
        }
        // A session apart from those of this browser here, which may belong to somebody else.
        (Some(left), Credential::Session(..)) => {
            let left = (Credential::Session(left, Vec::new()), Scope::Browser);
            if let Err(error) = end_sessions(Arc::clone(site), left, place.clone(), unix_now()).await {
                return trouble(site, &LoginError::Store(error), None);
            }
        }
        (None, _) => {}
    }
    if foreign && !is_at_home(site, parts) {
        return to_home(site, &query, rd.as_deref());
    }
    if foreign {
        return choices(site, &parts.headers, rd.as_deref()).await;
    }
    depart(site, (credential, scope), rd.as_deref(), place).await
}

/// To the choice at home, as what is shown at an app's host can be read by its scripts. A front proxy that changes Host
/// would lead back here for ever.
fn to_home(site: &Site, query: &Query, rd: Option<&str>) -> Response<Body> {
    let to = return_to(site, rd);
    let home = site.own_url(SIGN_OUT, rd.map(|_| &to), &[(HOME, "1")]);
    if query.one(HOME).is_ok_and(|home| home.is_none()) {
        return answer::redirect(StatusCode::SEE_OTHER, home.as_str());
    }
    answer::text(StatusCode::NOT_FOUND, format!("Sign out at {home}\n"))
}

/// The session that a person on a host outside the cookie domain has just asked to end.
fn left_elsewhere(site: &Site, query: &Query) -> Option<SessionHandle> {
    let plain = site.sealer.open_text(Purpose::Leave, &query.one(LEAVE).ok()??)?;
    let (handle, at) = plain.split_last_chunk::<8>()?;
    let fresh = unix_now().abs_diff(u64::from_be_bytes(*at)) <= LEAVE_TIME.as_secs();
    fresh.then_some(SessionHandle(handle.try_into().ok()?))
}

/// The parameter that says that home is where this should be.
const HOME: &str = "home";
/// The parameter that names, sealed, the session to end.
pub(super) const LEAVE: &str = "leave";
/// How long it counts.
const LEAVE_TIME: Duration = Duration::from_secs(30);
