//! A sign-in under way: the half that travels through the provider, and the half that stays in the browser.
//! Knows no provider and no session.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::{constant_time, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Account, Cause, Wish};
use crate::identity::Proof;

/// The browser's half, in the login cookie: one for all attempts of a browser.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    key: Zeroizing<[u8; KEY_BYTES]>,
    /// How many sign-ins in a row have succeeded without the browser using the session.
    turns: u8,
    /// When the last one did, in Unix seconds.
    finished_at: u64,
    /// And at which provider, by its name.
    finished_by: String,
}

/// The other half, sealed in the `state` parameter.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// When it was made, in Unix seconds.
    #[serde(rename = "t")]
    pub(super) at: u64,
    /// The name of the provider that was asked, who alone may answer.
    #[serde(rename = "p")]
    pub(super) provider: String,
    /// Where to go afterwards.
    #[serde(rename = "r")]
    pub(super) to: String,
    /// Which turn of a possible circle this is, from 1.
    #[serde(rename = "n")]
    pub(super) turn: u8,
    /// How often another tab's half came back with it.
    #[serde(rename = "m", default, skip_serializing_if = "is_none")]
    missed: u8,
    /// Whether another account was asked for.
    #[serde(rename = "o")]
    pub(super) another: bool,
    /// What it is to prove.
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    pub(super) proof: Option<Proof>,
    /// What nonce and verifier come from, together with the browser's half.
    #[serde(rename = "s")]
    seed: String,
    /// Names the browser's half.
    #[serde(rename = "b")]
    bound_to: String,
}

/// How often a sign-in has been tried.
#[derive(Debug)]
pub(super) struct Turn {
    /// Which turn of a possible circle it is, from 1.
    pub(super) number: u8,
    /// How often the browser came back with the half of another tab.
    pub(super) missed: u8,
    /// Why there is another one.
    pub(super) cause: Cause,
}

impl Turn {
    /// Whether it is not begun any more.
    pub(super) fn is_too_much(&self) -> bool {
        self.number >= LAST_TURN || self.missed > MOST_MISSED
    }
}

impl Binding {
    pub(super) fn new(key: [u8; KEY_BYTES]) -> Self {
        Self { key: Zeroizing::new(key), turns: 0, finished_at: 0, finished_by: String::new() }
    }

    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let time = self.finished_at.to_be_bytes();
        Zeroizing::new([self.key.as_slice(), &[self.turns], &time, self.finished_by.as_bytes()].concat())
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (key, rest) = bytes.split_first_chunk::<KEY_BYTES>()?;
        let (turns, rest) = rest.split_first()?;
        let (time, name) = rest.split_first_chunk()?;
        Some(Self {
            key: Zeroizing::new(*key),
            turns: *turns,
            finished_at: u64::from_be_bytes(*time),
            finished_by: String::from_utf8(name.to_vec()).ok()?,
        })
    }

    /// The same half after a sign-in at `provider` that succeeded on this turn.
    pub(super) fn finished(mut self, provider: &str, turn: u8, now: u64) -> Self {
        self.turns = turn;
        self.finished_at = now;
        self.finished_by = provider.to_owned();
        self
    }

    /// Which turn a new attempt would be: the first, unless the browser has only just signed in at this very provider.
    /// Somebody who goes from an app of one provider to an app of another signs in often, and not in a circle.
    pub(super) fn next_turn(&self, provider: &str, now: u64) -> u8 {
        let recent = self.finished_by == provider && now.abs_diff(self.finished_at) <= CIRCLE_TIME.as_secs();
        if recent { self.turns.saturating_add(1) } else { 1 }
    }

    /// Whether this is the half that `state` was made with.
    pub(super) fn holds(&self, state: &State) -> bool {
        constant_time::verify_slices_are_equal(self.name().as_bytes(), state.bound_to.as_bytes()).is_ok()
    }

    /// The PKCE verifier of an attempt: 43 letters (RFC 7636 4.1).
    pub(super) fn verifier(&self, state: &State) -> String {
        self.derive(b"verifier", state)
    }

    /// The OIDC nonce of an attempt.
    pub(super) fn nonce(&self, state: &State) -> String {
        self.derive(b"nonce", state)
    }

    fn derive(&self, purpose: &[u8], state: &State) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.key.as_slice());
        let mut context = hmac::Context::with_key(&key);
        context.update(purpose);
        context.update(state.seed.as_bytes());
        URL_SAFE_NO_PAD.encode(context.sign())
    }

    fn name(&self) -> String {
        URL_SAFE_NO_PAD.encode(&digest(&SHA256, self.key.as_slice()).as_ref()[..SEED_BYTES])
    }
}

impl State {
    pub(super) fn new(
        wish: &Wish<'_>,
        binding: &Binding,
        (turn, seed): (&Turn, [u8; SEED_BYTES]),
        now: u64,
    ) -> Self {
        Self {
            at: now,
            provider: wish.at.name().to_owned(),
            to: wish.to.as_str().to_owned(),
            turn: turn.number,
            missed: turn.missed,
            another: wish.account == Account::Another,
            proof: wish.proof.clone(),
            seed: URL_SAFE_NO_PAD.encode(seed),
            bound_to: binding.name(),
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// The turn after this one came back to no avail.
    ///
    /// Tabs that are opened at once each begin with a half of their own, and the browser keeps one of them: they find
    /// together while the answers arrive. That is no circle, as the browser does keep cookies.
    pub(super) fn next_turn(&self, cause: Cause, keeps_cookies: bool) -> Turn {
        match cause {
            Cause::LoginCookie if keeps_cookies => {
                Turn { number: self.turn, missed: self.missed.saturating_add(1), cause }
            }
            Cause::LoginCookie | Cause::SessionCookie | Cause::HostCookie | Cause::Code | Cause::Late => {
                Turn { number: self.turn.saturating_add(1), missed: self.missed, cause }
            }
        }
    }

    /// Whether it is older than a sign-in may take, or from the future.
    pub(super) fn is_late(&self, now: u64) -> bool {
        now.abs_diff(self.at) > STATE_LIFETIME.as_secs()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_none(count: &u8) -> bool {
    *count == 0
}

/// Reads anything as either half, for [`crate::entrances`].
#[cfg(any(test, fuzzing))]
pub(crate) fn look_at_halves(bytes: &[u8]) {
    let (state, binding) = (State::from_bytes(bytes), Binding::from_bytes(bytes));
    if let Some(binding) = &binding {
        assert_eq!(binding.to_bytes().as_slice(), bytes, "a half has one spelling");
    }
    if let (Some(state), Some(binding)) = (state, binding) {
        assert!(!binding.holds(&state), "the bytes of one half are not the other");
    }
}

/// How long a browser keeps its half.
pub const BINDING_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a sign-in may take; a later one begins again by itself.
const STATE_LIFETIME: Duration = Duration::from_secs(60 * 60);
/// The turn that is not begun any more.
const LAST_TURN: u8 = 3;
/// For how many tabs more that are opened at once there is patience.
const MOST_MISSED: u8 = 20;
/// How soon after a success the next attempt counts as a turn of a circle.
const CIRCLE_TIME: Duration = Duration::from_secs(30);
const KEY_BYTES: usize = 32;
/// Bytes of a seed, and of a binding's name.
const SEED_BYTES: usize = 16;
