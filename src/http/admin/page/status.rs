//! The first page: what is down, and what is decided. Changes nothing.

use std::sync::Arc;

use http::{Response, StatusCode};

use super::super::{probe_providers, trouble_of};
use super::again;
use super::door::Operator;
use super::people::moment;
use crate::http::body::Body;
use crate::http::pages::{CSS, OperatorStatus, Page, ShownDecision, ShownPart, ShownReference};
use crate::http::portal::query::Query;
use crate::http::recent::Seen;
use crate::http::refs::Entry;
use crate::http::{Site, answer, unix_now};

/// What is down, the last decisions and the last references.
pub(super) async fn page(site: &Site, operator: &Operator, query: &Query) -> Response<Body> {
    let now = unix_now();
    let live = query.one("live").is_ok_and(|live| live.as_deref() == Some("1"));
    let parts = parts(site, now).await;
    let decisions: Vec<ShownDecision> =
        site.recent.look(now).into_iter().map(|seen| shown(&seen, now)).collect();
    let references: Vec<ShownReference> =
        site.references.latest(REFERENCES).iter().map(|entry| told(entry, now)).collect();
    let csrf = operator.csrf(site);
    let page = OperatorStatus {
        css: CSS,
        who: operator.name(),
        leaves: operator.leaves(),
        csrf: &csrf,
        down: parts.iter().filter(|part| !part.is_well).count(),
        parts: &parts,
        live,
        decisions: &decisions,
        references: &references,
    };
    let response = answer::page(StatusCode::OK, Page::new(&page, "'self'"));
    if live { again(response, EVERY_SECONDS) } else { response }
}

/// Each part and how it is: the store, every provider, every upstream, and the configuration.
async fn parts(site: &Site, now: u64) -> Vec<ShownPart> {
    let (store, providers) = tokio::join!(site.sessions.probe(now), probe_providers(site, now));
    let mut parts = vec![part("Session store", store.err().map(|error| error.to_string()))];
    parts.extend(
        providers.into_iter().map(|(name, told)| part(&format!("Provider {name}"), trouble_of(&told))),
    );
    parts.extend(
        site.upstreams
            .states()
            .into_iter()
            .map(|(name, trouble)| part(&format!("Upstream {name}"), trouble.map(str::to_owned))),
    );
    parts.extend(site.canary.iter().map(|canary| {
        let told = canary.standing().into_iter().take(FINDINGS);
        let told: Vec<String> = told
            .map(|one| format!("{}: {}, {}", one.app, one.finding.kind.as_str(), one.finding.seen))
            .collect();
        part("Apps, asked from outside", (!told.is_empty()).then(|| told.join("; ")))
    }));
    let refused = site.last_reload.lock().ok().and_then(|last| last.clone());
    parts.push(match refused {
        None => part("Configuration", None),
        Some((at, findings)) => {
            let [when, ..] = moment(at, now);
            part(
                "Configuration",
                Some(format!("what is written was refused {when}: {}", findings.join("; "))),
            )
        }
    });
    parts
}

fn part(name: &str, trouble: Option<String>) -> ShownPart {
    let is_well = trouble.is_none();
    ShownPart { name: name.to_owned(), is_well, trouble: trouble.unwrap_or_default() }
}

fn shown(seen: &Seen, now: u64) -> ShownDecision {
    ShownDecision {
        outcome: seen.outcome.replace('_', " "),
        is_yes: seen.outcome == "allowed",
        request: seen.received.request(),
        rule: seen.received.rule().to_owned(),
        user: seen.user.clone(),
        client: seen.received.client().map(|client| client.to_string()).unwrap_or_default(),
        at: moment(seen.at, now),
    }
}

fn told(entry: &Arc<Entry>, now: u64) -> ShownReference {
    ShownReference {
        reference: entry.reference.clone(),
        status: entry.status,
        request: entry.received().request(),
        why: entry.why.clone(),
        user: entry.user.clone(),
        at: moment(entry.at, now),
    }
}

/// How often a page loads anew that is looked at.
const EVERY_SECONDS: u8 = 5;
/// Findings of the canary shown.
const FINDINGS: usize = 10;
/// References shown.
const REFERENCES: usize = 20;
