//! What the faces tell the audit log: where something happened, and which rule decided. Knows neither lines nor files.

use http::request::Parts;

use super::access::cut;
use super::dialect::addressed;
use super::intent::client_address;
use super::{Site, unix_millis, unix_now};
use crate::journal::{Event, Place, Record, Somebody};
use crate::policy::{Refusal, Ruling};
use crate::server::Peer;
use crate::session::store::{Listed, PersonKey, Selection, SessionId};
use crate::visit::Visit;

impl Site {
    /// Tells the audit log, if there is one.
    pub fn note(&self, record: impl FnOnce() -> Record) {
        self.audit.note(unix_millis(), record);
    }

    /// Whose a session is, as long as it is in the store; asked before it is ended.
    pub(super) async fn owner_of(&self, session: SessionId) -> Somebody {
        let listed = self.sessions.list(&Selection::Id(session), None, 1, unix_now()).await;
        // What is to be done does not wait for a name.
        let Some(one) = listed.ok().and_then(|mut listed| listed.pop()) else { return Somebody::default() };
        let Listed { username, person: PersonKey { issuer, subject }, .. } = one;
        Somebody { user: username, issuer, subject }
    }
}

/// Where a visit is.
pub(super) fn place_of_visit(visit: &Visit<'_>) -> Place {
    let path = String::from_utf8_lossy(visit.target.path.raw());
    Place {
        method: visit.target.method.as_str().to_owned(),
        host: visit.target.host.to_string(),
        path: cut(&path).to_owned(),
        client: visit.client.map(|client| client.nearest_known()),
    }
}

/// Where a request to one of our own pages is, which carries its [`Peer`].
pub(super) fn place_of(site: &Site, parts: &Parts) -> Place {
    let peer = parts.extensions.get::<Peer>();
    Place {
        method: parts.method.as_str().to_owned(),
        host: addressed(&parts.headers).map(|host| host.to_string()).unwrap_or_default(),
        path: cut(parts.uri.path()).to_owned(),
        client: peer.map(|peer| client_address(&parts.headers, *peer, &site.trusted_proxies)),
    }
}

/// A record about a visit that is not let in, with the rule that its address falls under.
pub(super) fn denied(site: &Site, visit: &Visit<'_>, reason: &'static str, reference: &str) -> Record {
    let (app, rule) = match site.gate.policy.rule_for(&visit.target) {
        Ruling::Rule(app, rule) => (Some(app.name.clone()), Some(rule.name.clone())),
        Ruling::UnknownHost
        | Ruling::AmbiguousPath
        | Ruling::AmbiguousQuery
        | Ruling::AmbiguousMethod
        | Ruling::OtherDestination => (None, None),
    };
    Record {
        place: place_of_visit(visit),
        app,
        rule,
        reason: Some(reason),
        reference: Some(reference.to_owned()),
        ..Record::of(Event::Denied)
    }
}

/// Tells of somebody who was refused by the rules.
pub(super) fn note_refusal(site: &Site, visit: &Visit<'_>, refusal: &Refusal, reference: &str) {
    site.note(|| match refusal {
        Refusal::UnknownHost => denied(site, visit, "unknown-host", reference),
        Refusal::AmbiguousPath => denied(site, visit, "ambiguous-path", reference),
        Refusal::AmbiguousQuery => denied(site, visit, "ambiguous-query", reference),
        Refusal::AmbiguousMethod => denied(site, visit, "ambiguous-method", reference),
        Refusal::OtherDestination => denied(site, visit, "other-destination", reference),
        Refusal::AmbiguousTenant => denied(site, visit, "ambiguous-tenant", reference),
        Refusal::NotAllowed { missing, person, by_token: _ } => Record {
            who: person.as_ref().map(|person| Somebody::from(person.identity())).unwrap_or_default(),
            missing: missing.clone(),
            ..denied(site, visit, "not-allowed", reference)
        },
    });
}
