//! Checks: a front proxy asks whether to let a visitor through, and gets the answer in its own dialect. Knows no
//! rules.

use std::time::Instant;

use http::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};

use super::access::{self, Decided};
use super::body::Body;
use super::denial::{self, Denied, username};
use super::dialect::{Dialect, addressed};
use super::intent::client;
use super::portal::elsewhere::{Here, OwnPage};
use super::probe::{self, Saw};
use super::refs::{self, Asked, Received};
use super::{Site, unix_now};
use crate::headers::{EMERGENCY, fold};
use crate::journal;
use crate::metrics::Outcome;
use crate::policy::{Decision, Grant, Refusal, Requirement};
use crate::server::Peer;
use crate::visit::{Authorization, Visit};

/// Answers one check, and counts it.
pub(super) async fn answer(site: &Site, dialect: Dialect, parts: &Parts, peer: Peer) -> Response<Body> {
    answer_narrowed(site, dialect, parts, (peer, None)).await
}

/// The same where whoever is let in must be `wanted`, too.
#[expect(clippy::disallowed_methods, reason = "the faces are where time enters")]
pub(super) async fn answer_narrowed(
    site: &Site,
    dialect: Dialect,
    parts: &Parts,
    (peer, wanted): (Peer, Option<&Requirement>),
) -> Response<Body> {
    let started = Instant::now();
    let (outcome, response) = decide(site, dialect, parts, (peer, wanted)).await;
    site.metrics.decided(outcome, started.elapsed().as_secs_f64());
    response
}

async fn decide(
    site: &Site,
    dialect: Dialect,
    parts: &Parts,
    (peer, wanted): (Peer, Option<&Requirement>),
) -> (Outcome, Response<Body>) {
    if !peer.trusted {
        let mut response = refuse_stranger(site, dialect, peer);
        refs::note(site, &mut response, || Received::unread(site, Asked::By(dialect), peer, parts));
        probe::tell(site, parts, &mut response, || Saw::nothing(dialect.name(), peer, None));
        return (Outcome::Untrusted, response);
    }
    let visit = match dialect.read(parts, &site.cookies, site.scheme()) {
        Ok(visit) => visit.from(client(&parts.headers, peer, &site.trusted_proxies)),
        Err(malformed) => {
            tracing::info!(dialect = dialect.name(), peer = %peer.address, reason = %malformed, "a check is malformed");
            let text = format!("foregate: {malformed}.");
            let mut response = in_form(dialect, denial::refused(site, StatusCode::BAD_REQUEST, &text));
            refs::note(site, &mut response, || Received::unread(site, Asked::By(dialect), peer, parts));
            let why = || Some(malformed.to_string());
            probe::tell(site, parts, &mut response, || Saw::nothing(dialect.name(), peer, why()));
            return (Outcome::Malformed, response);
        }
    };
    let bare = dialect == Dialect::Nginx;
    if let Some(page) = OwnPage::of(&visit)
        && let Some(here) = Here::of(site, parts, &visit, bare)
    {
        let (outcome, response) = Box::pin(here.own_page(page)).await;
        let mut response = in_form(dialect, response);
        refs::note(site, &mut response, || Received::visit(site, Asked::By(dialect), peer, parts, &visit));
        return (outcome, response);
    }
    let decided = Decided { kind: journal::Asked::Check, dialect: Some(dialect), visit: &visit };
    let decision = site.gate.judge(&visit, unix_now()).await;
    let decision = match (decision, wanted) {
        (Decision::Allow(grant), Some(wanted)) => grant.narrowed(wanted, &visit),
        (decision, _) => decision,
    };
    let denied = match Denied::unless_allowed(narrowed(site, decision, dialect, (parts, &visit))) {
        Ok(grant) => {
            site.note_report(&grant, &visit);
            site.recent.see(|| {
                let received = Received::visit(site, Asked::By(dialect), peer, parts, &visit);
                (Outcome::Allowed.name(), username(grant.person()), received)
            });
            let mut response = allow(site, dialect, parts, &grant);
            if grant.app().assertion && !is_at_another_app(site, parts, &visit.target.host) {
                site.assert(&grant, &visit.target.host, response.headers_mut());
            }
            return (Outcome::Allowed, access::with(decided.allowed(site, &grant), response));
        }
        Err(denied) => denied,
    };
    let user = denied.username();
    let (outcome, response) = deny(site, dialect, parts, &visit, denied).await;
    let mut response = access::with(decided.denied(site, outcome, &user), response);
    let received = || Received::visit(site, Asked::By(dialect), peer, parts, &visit);
    site.recent.see(|| (outcome.name(), user, received()));
    refs::note(site, &mut response, received);
    probe::tell(site, parts, &mut response, || Saw::visit(dialect.name(), peer, parts, &visit));
    (outcome, response)
}

/// The auth address may ask for more than the rules do: `?allow=group:admins`, also as `Allow` or `allow[]`, so that no spelling of
/// it is without effect. It can never ask for less, so it does no harm where a front proxy appends the visitor's own query.
fn narrowed<'p>(
    site: &Site,
    decision: Decision<'p>,
    dialect: Dialect,
    (parts, visit): (&Parts, &Visit<'_>),
) -> Decision<'p> {
    let (Decision::Allow(_), Some(query)) = (&decision, parts.uri.query()) else { return decision };
    if dialect == Dialect::Envoy {
        return decision;
    }
    let mut decision = decision;
    for (_, term) in url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| fold(name) == "allow") {
        let Decision::Allow(grant) = decision else { return decision };
        decision = match site.gate.policy.terms().parse(&term) {
            Ok(wanted) => grant.narrowed(&wanted, visit),
            Err(error) => {
                tracing::warn!(%error, "the auth address narrows by a term that is none, so nobody is let in");
                Decision::Forbid(Refusal::NotAllowed { missing: Vec::new(), person: None, by_token: false })
            }
        };
    }
    decision
}

/// 200, no body, the complete set: whatever a client sent in its place is overwritten.
fn allow(site: &Site, dialect: Dialect, parts: &Parts, grant: &Grant<'_>) -> Response<Body> {
    let set = &grant.app().headers;
    let mut response = Response::new(Body::Empty);
    let headers = response.headers_mut();
    let (lines, heavy) = set.weighed_lines(grant.person());
    *headers = lines;
    if let Some(heavy) = heavy {
        site.note_heavy(grant, heavy);
    }
    if parts.method == Method::HEAD {
        // Said for every other method by itself; some clients wait for a body they are not told about.
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    if grant.in_emergency() {
        headers.insert(EMERGENCY, HeaderValue::from_static("true"));
    }
    let keeps =
        grant.in_emergency() || site.gate.keeps_password(grant.app(), Authorization::of(&parts.headers));
    if dialect == Dialect::Envoy {
        let mut remove = set.taken_off().clone();
        if keeps {
            let names = [remove.as_bytes(), b",authorization"].concat();
            remove = HeaderValue::from_bytes(&names).unwrap_or(remove);
        }
        headers.insert(ENVOY_REMOVE, remove);
    } else if !keeps && (grant.app().emergency || is_asked_for_all_apps(site, parts)) {
        // The app gets the line of this answer in place of the visitor's own, as our snippets have it. Without one it gets none.
        for line in parts.headers.get_all(AUTHORIZATION).iter().filter(|line| !line.is_empty()) {
            headers.append(AUTHORIZATION, line.clone());
        }
    }
    response
}

/// Whether a front proxy asks at an address of foregate's, as it does that has one list of names for all apps: where one of them
/// allows emergency access, `Authorization` is on it for the others, too.
fn is_asked_for_all_apps(site: &Site, parts: &Parts) -> bool {
    site.gate.emergency().is_some()
        && addressed(&parts.headers).is_some_and(|host| !site.gate.policy.is_app_host(&host))
}

/// Whether a check about `target` is asked for where a script of another app may ask: at another app's host, or at one that
/// foregate proxies and that several share. What proves somebody to the target's backend is not for it.
fn is_at_another_app(site: &Site, parts: &Parts, target: &str) -> bool {
    let policy = &site.gate.policy;
    addressed(&parts.headers).is_some_and(|host| {
        if host == target {
            policy.is_proxied(&host) && policy.apps_of(&host).nth(1).is_some()
        } else {
            policy.is_proxied(&host) || policy.is_app_host(&host)
        }
    })
}

async fn deny(
    site: &Site,
    dialect: Dialect,
    parts: &Parts,
    visit: &Visit<'_>,
    denied: Denied,
) -> (Outcome, Response<Body>) {
    let (outcome, response) =
        Box::pin(denial::answer(site, parts, visit, denied, dialect == Dialect::Nginx)).await;
    (outcome, in_form(dialect, response))
}

/// What nginx can carry: it replaces every body by its own page, and a body of ours costs it the connection.
fn in_form(dialect: Dialect, mut response: Response<Body>) -> Response<Body> {
    if dialect == Dialect::Nginx {
        *response.body_mut() = Body::Empty;
        response.headers_mut().remove(http::header::CONTENT_TYPE);
        response.headers_mut().remove(http::header::CONTENT_SECURITY_POLICY);
        response.headers_mut().remove(http::header::X_CONTENT_TYPE_OPTIONS);
    }
    response
}

fn refuse_stranger(site: &Site, dialect: Dialect, peer: Peer) -> Response<Body> {
    if site.strangers.is_new(peer.address) {
        // All peers on Unix sockets are one.
        let line = if peer.local { "unix".to_owned() } else { peer.address.to_string() };
        tracing::warn!(
            peer = %peer.address,
            dialect = dialect.name(),
            "a check came from a peer that is not trusted and was refused; if it is your front proxy, add to [server]: \
             trusted_proxies = [\"{line}\"]"
        );
    }
    let text = "foregate: this peer is not one of server.trusted_proxies; the log has the line to add.";
    in_form(dialect, denial::refused(site, StatusCode::FORBIDDEN, text))
}

const ENVOY_REMOVE: HeaderName = HeaderName::from_static("x-envoy-auth-headers-to-remove");
