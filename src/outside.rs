//! The way from outside: an address is asked as a stranger asks it, and what the answer means. Follows nothing, and knows
//! neither rules nor sessions.

mod answers;
mod saw;
mod wire;

pub use answers::{Meaning, SignIns};
pub use saw::{PROBE, Request, SAW, Saw, read, seal};
pub use wire::{Answer, Way, Wire};

/// As a program asks.
pub const PROGRAM: (&str, &str) = ("accept", "application/json");
