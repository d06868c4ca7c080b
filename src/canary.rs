//! The bypass canary: asks each protected app again and again as a stranger does, through the real front proxy, and tells
//! when somebody else than foregate answers. Signs nobody in, and decides about nobody.

mod board;
mod look;
mod places;

use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};

use crate::browser::Sealer;
use crate::journal::{Audit, Event, Place as Where, Record};
use crate::metrics::Metrics;
use crate::oidc::Provider;
use crate::outside::{SignIns, Way};
use board::{Board, News};
pub use board::{Finding, Found};
pub use look::Kind;
use look::Look;
pub use places::{Choice, Left, Place, choose};

/// How it asks.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How often each app is asked.
    pub interval: Duration,
    /// Hosts to ask that no line of `[apps]` names by its own name.
    pub hosts: Vec<String>,
    /// The apps, as they are named, that are not asked.
    pub except: Vec<String>,
    /// Who is connected to, as `host:port`, in place of each app's own host.
    pub address: Option<Box<str>>,
    /// Whose certificates are good; those of the system without.
    pub authorities: Option<Vec<CertificateDer<'static>>>,
}

/// Who asks, of one configuration.
pub struct Canary {
    interval: Duration,
    way: Way,
    choice: Choice,
    sign_ins: SignIns,
    providers: Vec<Provider>,
    /// What it has seen, which outlives a configuration.
    board: Arc<Board>,
    means: Means,
}

/// What it asks with, and where it tells what it saw.
#[derive(Clone)]
pub struct Means {
    /// What seals the word for foregate to tell what it received.
    pub sealer: Arc<Sealer>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where it is written down that an app is open.
    pub audit: Audit,
    /// The time, in Unix milliseconds.
    pub clock: fn() -> u64,
}

impl Settings {
    /// By which way it asks.
    fn into_way(self) -> Way {
        let way = Way::of_browsers(AGENT);
        let instead = self.address;
        let Some(authorities) = self.authorities else { return Way { instead, ..way } };
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(authorities);
        Way { instead, roots: Arc::new(roots), ..way }
    }
}

impl Canary {
    /// The canary for these places; what one `before` saw of them stays known.
    pub fn new(
        settings: Settings,
        choice: Choice,
        (sign_ins, providers): (SignIns, Vec<Provider>),
        means: Means,
        before: Option<&Self>,
    ) -> Self {
        let known = before.map(|before| Arc::clone(&before.board));
        let board = known.unwrap_or_else(|| Arc::new(Board::new(Arc::clone(&means.metrics))));
        let (interval, way) = (settings.interval, settings.into_way());
        let canary = Self { interval, way, choice, sign_ins, providers, board, means };
        canary.tell_of_left();
        canary
    }

    /// Asks again and again; never ends. A few apps at a time, each of them with pauses.
    pub async fn watch(&self) {
        self.board.keep(&self.choice.places, self.interval);
        tokio::join!(self.run(0), self.run(1), self.run(2), self.run(3));
        std::future::pending().await
    }

    /// Asks those apps that are this lane's, one after the other, whichever is due next.
    async fn run(&self, lane: usize) {
        let own: Vec<&Place> = self.choice.places.iter().skip(lane).step_by(LANES).collect();
        while let Some((place, due)) = self.board.next(&own) {
            tokio::time::sleep_until(due).await;
            let look = Look { place, way: &self.way, sign_ins: &self.sign_ins, providers: &self.providers };
            let seen = look.take(&self.means.sealer, (self.means.clock)() / 1000).await;
            let at = (self.means.clock)();
            if let Some(news) = self.board.note(place, seen, at / 1000, self.interval) {
                self.tell(place, &news, at);
            }
        }
    }

    /// Tells the log of what has changed, and the audit log where somebody is or was let in.
    fn tell(&self, place: &Place, news: &News, at: u64) {
        let (app, url) = (place.app.as_str(), place.url.as_str());
        let (News::Found(finding) | News::Mended(finding)) = news;
        let (kind, seen, fix) = (finding.kind.as_str(), finding.seen.as_str(), finding.kind.fix());
        match news {
            News::Mended(_) => {
                tracing::info!(target: "foregate::canary", event = "canary", app, url, kind, "the canary is refused again, as it should be");
            }
            News::Found(_) if finding.kind.is_open() => {
                tracing::error!(target: "foregate::canary", event = "canary", app, url, kind, seen, fix, "AN APP IS NOT PROTECTED: the canary was let in without a session");
            }
            News::Found(_) => {
                tracing::warn!(target: "foregate::canary", event = "canary", app, url, kind, seen, fix, "the canary does not know whether an app is protected");
            }
        }
        if finding.kind.is_open() {
            self.means.audit.note(at, || record(place, news));
        }
    }

    /// Tells the log once which apps are not asked, and why.
    fn tell_of_left(&self) {
        let asked = self.choice.places.len();
        tracing::info!(target: "foregate::canary", asked, every = ?self.interval, "the canary asks so many apps");
        for why in [Left::Wildcard, Left::Open] {
            let apps = self.choice.left.iter().filter(|(_, left)| *left == why).map(|(app, _)| app.as_str());
            let apps = apps.collect::<Vec<_>>().join(" ");
            if !apps.is_empty() {
                tracing::warn!(target: "foregate::canary", apps, why = why.in_words(), "the canary cannot ask about apps");
            }
        }
    }

    /// What stands, for whoever looks.
    pub fn standing(&self) -> Vec<Found> {
        self.board.standing(&self.choice.places)
    }

    /// The same for programs, the worst first and not more than a few.
    pub fn to_json(&self) -> Value {
        let standing = self.standing();
        let found = |one: &Found| {
            json!({
                "app": one.app,
                "url": one.url.as_str(),
                "kind": one.finding.kind.as_str(),
                "seen": one.finding.seen,
                "since": one.finding.since,
            })
        };
        json!({
            "ok": standing.is_empty(),
            "asked": self.choice.places.len(),
            "not_asked": self.choice.left.len(),
            "found": standing.len(),
            "findings": standing.iter().take(MOST_TOLD).map(found).collect::<Vec<_>>(),
        })
    }
}

impl std::fmt::Debug for Canary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Canary")
    }
}

/// What the audit log tells.
fn record(place: &Place, news: &News) -> Record {
    let (reason, detail) = match news {
        News::Found(finding) => (finding.kind.as_str(), Some(finding.seen.clone())),
        News::Mended(_) => ("mended", None),
    };
    let place_of = Where {
        method: "GET".to_owned(),
        host: place.url.host_str().unwrap_or_default().to_owned(),
        path: place.url.path().to_owned(),
        client: None,
    };
    let app = Some(place.app.clone());
    Record { place: place_of, app, reason: Some(reason), detail, ..Record::of(Event::Canary) }
}

/// Who it says that asks.
const AGENT: &str = concat!("foregate-canary/", env!("CARGO_PKG_VERSION"));
/// Apps that are asked at a time, as [`Canary::watch`] has it.
const LANES: usize = 4;
/// Findings that `/readyz` names.
const MOST_TOLD: usize = 20;
