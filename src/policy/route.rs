//! How a request that was let in reaches its backend, where foregate is the proxy. Knows no connections.

use crate::secret::Secret;

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
    /// What the backend is shown as `Authorization`.
    pub authorization: Authorization,
}

/// What a backend is shown as `Authorization` (RFC 9110 11.6.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Authorization {
    /// What the visitor sent.
    #[default]
    Keep,
    /// Nothing, whatever the visitor sent.
    Remove,
    /// A token of the person's own, as a bearer token, in place of what the visitor sent; nothing for nobody.
    Token(Token),
    /// These words, for everybody alike.
    Fixed(Secret),
}

/// Which of the tokens that a sign-in brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// The one that opens what the provider guards.
    Access,
    /// The one that says who it is.
    Id,
}
