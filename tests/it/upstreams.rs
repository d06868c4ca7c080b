//! foregate before real apps: every protocol, kept connections, several targets, bodies, and what goes wrong.

mod bodies;
mod connections;
mod protocols;
mod targets;
