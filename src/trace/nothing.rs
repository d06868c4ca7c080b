//! What stands for traces in a build without them: nothing, at no cost.

use http::HeaderMap;

use super::{About, Came, Part};

/// What records traces; there is none.
#[derive(Clone, Debug)]
pub enum Tracer {}

impl Tracer {
    /// Never happens.
    pub async fn within<T>(
        &self,
        _: (&HeaderMap, bool),
        _: (String, impl FnOnce() -> About),
        _: impl Future<Output = T>,
        _: impl FnOnce(&T) -> u16,
    ) -> T {
        match *self {}
    }
}

/// A part of a request that goes on.
#[derive(Debug)]
pub struct Running(());

/// Begins a part of the request that is under way.
pub fn start(_: Part) -> Running {
    Running(())
}

impl Running {
    /// Tells something of it.
    #[must_use]
    pub fn of(self, _: &'static str, _: impl FnOnce() -> String) -> Self {
        self
    }

    /// Tells whom it asks which trace this is.
    pub fn tell(&self, _: &mut HeaderMap) {}

    /// It is over.
    pub fn end(self, _: Came) {}
}

/// The trace that is under way; none.
pub fn id() -> Option<String> {
    None
}

/// Tells something of the request that is under way.
pub fn note(_: impl FnOnce() -> About) {}

/// Takes what is under way along into a task of its own.
pub fn carry<F: Future>(work: F) -> F {
    work
}
