//! Every known mistake of this field as a test of its own, with its variants, through every way in that it can reach.
//!
//! A test of a published case is named after its id and says in its first line what it was. `docs/security-cases.md` is written
//! from these lines: `WRITE_SNAPSHOTS=1 cargo test --test it security::cases` refreshes it.

mod cases;
mod claims;
mod headers;
mod neighbours;
mod paths;
mod policy;
mod provider;
mod redirects;
mod sessions;
mod wire;
pub mod world;
