//! The real parts that tests put together.

pub mod backend;
pub mod collector;
pub mod foregate;
pub mod hostile_provider;
pub mod house;
pub mod http;
pub mod issuer;
pub mod pgbouncer;
pub mod postgres;
pub mod provider;
pub mod proxies;
pub mod readings;
pub mod scene;
pub mod stage;
pub mod tls;
pub mod upstream;
pub mod watch;
