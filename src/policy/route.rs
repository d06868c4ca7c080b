//! How a request that was let in reaches its backend, where foregate is the proxy. Knows no connections.

/// A backend of the configuration, by its place among all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Backend(pub usize);

/// Where an app's requests go, and in which form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where to.
    pub backend: Backend,
    /// Whether the backend is told the host that was asked for, rather than its own.
    pub preserve_host: bool,
    /// What stands before every path that the backend gets, such as `/base`; without a `/` at its end.
    pub base: Option<String>,
    /// Whether the app's own prefix is taken off the paths first.
    pub strip_prefix: bool,
}
