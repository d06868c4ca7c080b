//! Whose tokens count, as configured. Knows not where it is written.

use url::Url;

use crate::oidc::ClaimNames;

/// Which tokens are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whom tokens of the providers must be for; at least one.
    pub audiences: Vec<String>,
    /// Further issuers, where nobody signs in.
    pub issuers: Vec<ExtraIssuer>,
    /// The issuer of the provider that is asked about tokens which are no JWTs (RFC 7662).
    pub introspection: Option<String>,
    /// The issuer of the provider that is asked about names and app passwords.
    pub app_passwords: Option<String>,
    /// How many verified tokens are remembered.
    pub cache_tokens: usize,
}

/// An issuer of tokens where nobody signs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraIssuer {
    /// What apps call it.
    pub name: String,
    /// What its tokens call it, letter by letter.
    pub issuer: String,
    /// Where its keys are; https, or http on loopback.
    pub jwks_url: Url,
    /// Whom its tokens must be for; at least one.
    pub audiences: Vec<String>,
    /// Where in the claims things are.
    pub claims: ClaimNames,
}
