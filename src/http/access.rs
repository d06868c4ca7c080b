//! What the faces tell the access log: what a request was, how it was decided and what it was answered. Where there is no such log
//! nothing here is asked for. Knows neither lines nor files.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;

use super::body::Body;
use super::dialect::{Dialect, addressed};
use super::intent::client_address;
use super::{Site, forward, own_route, unix_millis};
use crate::identity::Field;
use crate::journal::{Asked, Draft, Request as Told};
use crate::metrics::Outcome;
use crate::policy::Grant;
use crate::server::Peer;
use crate::trace::About;
use crate::visit::Visit;

/// Answers a check, and writes it down.
#[expect(clippy::disallowed_methods, reason = "the faces are where time enters")]
pub(super) async fn check(site: &Site, dialect: Dialect, parts: &Parts, peer: Peer) -> Response<Body> {
    let started = Instant::now();
    let mut response = forward::answer(site, dialect, parts, peer).await;
    let draft = response.extensions_mut().remove::<Draft>();
    let draft = draft.unwrap_or_else(|| Bare::of(site, parts, peer).draft(Asked::Check, Some(dialect)));
    site.access.note(draft, response.status().as_u16(), started.elapsed());
    response
}

/// Answers any other request, and writes it down.
#[expect(clippy::disallowed_methods, reason = "the faces are where time enters")]
pub(super) async fn other(
    house: &Arc<ArcSwap<Site>>,
    site: &Arc<Site>,
    request: Request<Incoming>,
    peer: Peer,
) -> Response<Body> {
    let started = Instant::now();
    let (parts, body) = request.into_parts();
    let bare = Bare::of(site, &parts, peer);
    let request = Request::from_parts(parts, body);
    let mut response = own_route(house, site, request, peer).await;
    let draft = response.extensions_mut().remove::<Draft>().unwrap_or_else(|| bare.draft(Asked::Page, None));
    site.access.note(draft, response.status().as_u16(), started.elapsed());
    response
}

/// A visit that has been decided, for the access log if there is one.
pub(super) struct Decided<'d> {
    /// By whom it came.
    pub kind: Asked,
    /// In which dialect, if it was a check.
    pub dialect: Option<Dialect>,
    /// What it was about.
    pub visit: &'d Visit<'d>,
}

impl Decided<'_> {
    /// The line of a visit that was let in.
    pub(super) fn allowed(&self, site: &Site, grant: &Grant<'_>) -> Option<Draft> {
        site.trace(|| self.told(Outcome::Allowed, (&grant.app().name, &grant.rule().name)));
        let user = || grant.person().map_or("", |person| person.identity().field(Field::Username));
        site.access
            .is_on()
            .then(|| self.draft(Outcome::Allowed, (user(), &grant.app().name, &grant.rule().name)))
    }

    /// The line of one that was not, which `user` made as far as that is known.
    pub(super) fn denied(&self, site: &Site, outcome: Outcome, user: &str) -> Option<Draft> {
        site.trace(|| self.told(outcome, ("", "")));
        site.access.is_on().then(|| self.draft(outcome, (user, "", "")))
    }

    /// What a trace is told of it: nobody, and no query.
    fn told(&self, outcome: Outcome, (app, rule): (&str, &str)) -> About {
        let target = &self.visit.target;
        let path = String::from_utf8_lossy(target.path.raw());
        let mut about = vec![
            ("foregate.outcome", outcome.name().to_owned()),
            ("foregate.host", target.host.to_string()),
            ("foregate.path", cut(&path).to_owned()),
        ];
        about.extend(
            [("foregate.app", app), ("foregate.rule", rule)].map(|(name, value)| (name, value.to_owned())),
        );
        about.retain(|(_, value)| !value.is_empty());
        about
    }

    fn draft(&self, outcome: Outcome, (user, app, rule): (&str, &str, &str)) -> Draft {
        let target = &self.visit.target;
        let path = String::from_utf8_lossy(target.path.raw());
        let told = Told {
            kind: self.kind,
            dialect: self.dialect.map(Dialect::name),
            method: target.method.as_str(),
            host: &target.host,
            path: cut(&path),
            client: self.visit.client.map(|client| client.nearest_known()),
            outcome: Some(outcome.name()),
            user,
            app,
            rule,
        };
        Draft::of(unix_millis(), &told)
    }
}

/// An answer with the line about it, which travels with it as far as it is written down.
pub(super) fn with(draft: Option<Draft>, mut response: Response<Body>) -> Response<Body> {
    if let Some(draft) = draft {
        response.extensions_mut().insert(draft);
    }
    response
}

/// A request of which nothing is known but itself.
struct Bare {
    method: String,
    host: String,
    path: String,
    client: IpAddr,
}

impl Bare {
    fn of(site: &Site, parts: &Parts, peer: Peer) -> Self {
        Self {
            method: parts.method.as_str().to_owned(),
            host: addressed(&parts.headers).map(Cow::into_owned).unwrap_or_default(),
            path: cut(parts.uri.path()).to_owned(),
            client: client_address(&parts.headers, peer, &site.trusted_proxies),
        }
    }

    fn draft(&self, kind: Asked, dialect: Option<Dialect>) -> Draft {
        let told = Told {
            kind,
            dialect: dialect.map(Dialect::name),
            method: &self.method,
            host: &self.host,
            path: &self.path,
            client: Some(self.client),
            outcome: None,
            user: "",
            app: "",
            rule: "",
        };
        Draft::of(unix_millis(), &told)
    }
}

/// The beginning of a text that a visitor chose, as its length is nobody's but theirs.
pub(super) fn cut(text: &str) -> &str {
    text.char_indices().nth(LONGEST_PATH).map_or(text, |(at, _)| &text[..at])
}

/// Letters of a path that a line has room for.
const LONGEST_PATH: usize = 1024;
