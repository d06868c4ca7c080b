//! The discovery document, fetched when needed and kept. Knows when to ask, not what the document says.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{Request, StatusCode};

use super::document::{self, Document};
use super::error::{ProviderError, Step};
use super::settings::Settings;
use crate::outbound::Outbound;
use crate::outbound::flight::{Flight, Landing};

type Outcome = Result<Arc<Document>, ProviderError>;

/// Keeps one issuer's document.
pub(super) struct Discovery {
    settings: Arc<Settings>,
    outbound: Outbound,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    known: Option<(Arc<Document>, u64)>,
    failure: Option<Failure>,
    flight: Flight<Outcome>,
}

/// The last failure since a success.
struct Failure {
    error: ProviderError,
    at: u64,
    times: u32,
}

/// What to do next for somebody who wants the document.
enum Turn {
    Have(Arc<Document>),
    Wait(Landing<Outcome>),
    Fail(ProviderError),
}

impl Discovery {
    pub(super) fn new(settings: Arc<Settings>, outbound: Outbound) -> Self {
        Self { settings, outbound, state: Arc::default() }
    }

    /// The document: the one we have, else fetched. An old one is also renewed, behind the scenes.
    pub(super) async fn document(&self, now: u64) -> Outcome {
        match self.turn(now) {
            Turn::Have(document) => Ok(document),
            Turn::Wait(landing) => landing.outcome().await.unwrap_or(Err(ProviderError::Interrupted)),
            Turn::Fail(error) => Err(error),
        }
    }

    /// Fetches it and keeps nothing.
    pub(super) async fn call(&self) -> Result<(), ProviderError> {
        fetch(&self.settings, &self.outbound).await.map(drop)
    }

    /// Why the last fetch failed, if it did.
    pub(super) fn last_failure(&self) -> Option<ProviderError> {
        self.lock().failure.as_ref().map(|failure| failure.error.clone())
    }

    fn turn(&self, now: u64) -> Turn {
        let mut state = self.lock();
        let rests = state.failure.as_ref().is_some_and(|failure| failure.rests(now));
        if let Some((document, fetched)) = state.known.clone() {
            let is_old = now.abs_diff(fetched) >= FRESH_SECONDS;
            if is_old && !rests && state.flight.current().is_none() {
                self.begin(&mut state, now);
            }
            return Turn::Have(document);
        }
        if let Some(landing) = state.flight.current() {
            return Turn::Wait(landing);
        }
        match &state.failure {
            Some(failure) if rests => Turn::Fail(failure.error.clone()),
            Some(_) | None => Turn::Wait(self.begin(&mut state, now)),
        }
    }

    fn begin(&self, state: &mut State, now: u64) -> Landing<Outcome> {
        let (settings, outbound) = (Arc::clone(&self.settings), self.outbound.clone());
        let shared = Arc::downgrade(&self.state);
        state.flight.start(async move {
            let outcome = fetch(&settings, &outbound).await.map(Arc::new);
            if let Some(state) = shared.upgrade() {
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                if let Ok(document) = &outcome {
                    outbound.permit(document.asked().chain([&settings.issuer]));
                }
                state.land(&outcome, now);
            }
            outcome
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn land(&mut self, outcome: &Outcome, now: u64) {
        match outcome {
            Ok(document) => {
                self.known = Some((Arc::clone(document), now));
                self.failure = None;
            }
            Err(error) => {
                let times = self.failure.as_ref().map_or(0, |failure| failure.times).saturating_add(1);
                self.failure = Some(Failure { error: error.clone(), at: now, times });
            }
        }
    }
}

impl Failure {
    /// Whether it is too early to ask again: 1, 2, 4 … 30 seconds after the failed attempt began.
    fn rests(&self, now: u64) -> bool {
        let pause = 1_u64.checked_shl(self.times.saturating_sub(1)).unwrap_or(LONGEST_PAUSE_SECONDS);
        now.abs_diff(self.at) < pause.min(LONGEST_PAUSE_SECONDS)
    }
}

async fn fetch(settings: &Settings, outbound: &Outbound) -> Result<Document, ProviderError> {
    let address = document::address(settings)?;
    let request = Request::get(address.as_str())
        .body(Vec::new())
        .map_err(|error| ProviderError::Document(error.to_string()))?;
    let step = Step::Discovery;
    let answer = outbound.fetch(request).await.map_err(|error| ProviderError::Unreachable { step, error })?;
    match answer.status() {
        StatusCode::OK => Document::read(answer.body(), settings),
        status => Err(ProviderError::of_status(step, status)),
    }
}

const FRESH_SECONDS: u64 = 600;
const LONGEST_PAUSE_SECONDS: u64 = 30;
