//! All integration tests in one program, as linking is most of their cost: real sockets, real stores, a real
//! provider, real front proxies, a real browser.

#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    reason = "tests are read, not documented; what they cannot do ends them; they wait by the clock"
)]

mod support;

mod access;
mod app_tokens;
mod assertions;
mod audit;
mod book;
mod browser;
mod canary;
mod chart;
mod commands;
mod compat;
mod demo;
mod deploy;
mod differential;
mod doctor;
mod domains;
mod emergency;
mod escapes;
mod examples;
mod explain;
mod floors;
mod flow;
mod forms;
mod fronts;
mod hostile;
mod http2;
mod image;
mod import;
mod invariants;
mod limits;
mod listeners;
mod live;
mod log;
mod logout;
mod metrics;
mod operator;
mod pairing;
mod people;
mod providers;
mod proxies;
mod proxying;
mod references;
mod reload;
mod roles;
mod scripts;
#[path = "../security/mod.rs"]
mod security;
mod sessions;
mod shared_host;
mod smuggling;
mod soak;
mod step_up;
mod stores;
mod supply;
mod tenants;
mod terminal;
mod tls;
mod tokens;
mod traces;
mod tunnels;
mod upstreams;
mod wire;
