//! foregate, a forward-auth reverse proxy, floor by floor: each module uses only those below it.
//!
//! `docs/architecture.md` has the plan of the house, and a test holds the code to it.

// Floor 9, hands: what can be typed. Only these print.
pub mod commands;
#[cfg(feature = "sqlite")]
pub mod demo;
#[cfg(any(test, fuzzing))]
#[allow(
    clippy::expect_used,
    missing_docs,
    reason = "what does not hold is told by a panic, to tests and fuzzers"
)]
pub mod entrances;
pub mod import;
pub mod snippet;

// Floor 8, the house: wiring, start and end; and the doctor who looks after it.
pub mod app;
pub mod doctor;

// Floor 7, the book: knows everyone's settings; nobody below may name it.
pub mod config;

// Floor 6, faces: bytes to values, values to bytes.
pub mod http;

// Floor 5, judgement: who may do what, and who is who.
pub mod bearer;
pub mod canary;
pub mod emergency;
pub mod gate;
pub mod login;

// Floor 4, doors: one outside thing each.
pub mod journal;
pub mod jwt;
pub mod oidc;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod outside;
pub mod server;
pub mod session;
pub mod upstream;

// Floor 3, the way out: to providers, and whose certificates are good.
pub mod outbound;
pub mod trust;

// Floor 2, rules: pure.
pub mod browser;
pub mod headers;
pub mod limits;
pub mod policy;

// Floor 1, words: plain data.
pub mod identity;
pub mod metrics;
pub mod secret;
pub mod trace;
pub mod visit;
pub mod wording;
