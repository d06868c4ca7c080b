//! What must be known of a provider beforehand. Knows not where it is written.

use url::Url;

use crate::outbound::DialMap;
use crate::secret::Secret;

/// One provider and our registration there, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The issuer; https, or http on loopback.
    pub issuer: Url,
    /// The issuer letter by letter as written: what the provider's own words are compared with.
    pub issuer_text: String,
    /// Our client id.
    pub client_id: String,
    /// Our client secret; none for a public client.
    pub client_secret: Option<Secret>,
    /// How to authenticate at the token endpoint; by default as the discovery document says.
    pub client_auth: Option<ClientAuth>,
    /// The scopes to ask for; by default openid, profile and email, and offline_access where offered.
    pub scopes: Option<Vec<String>>,
    /// The `prompt` of each sign-in, as it is.
    pub prompt: Option<String>,
    /// Where to dial instead of the issuer's origin: scheme, host and port.
    pub internal_url: Option<Url>,
    /// Where in the claims things are.
    pub claims: ClaimNames,
    /// Where sign-ins come back to.
    pub redirect_uri: Url,
    /// Whether a sign-in without a verified e-mail address is refused.
    pub require_verified_email: bool,
}

/// How a client authenticates at the token endpoint (Core 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// In the Authorization header, id and secret form-encoded first (RFC 6749 2.3.1).
    Basic,
    /// In the Authorization header as they are, which some providers expect.
    BasicRaw,
    /// In the form.
    Post,
    /// Not at all: a public client.
    None,
}

/// Where in the claims things are: a claim's name, or names with dots between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimNames {
    /// The name the person signs in with.
    pub username: String,
    /// The name to show.
    pub name: String,
    /// The e-mail address.
    pub email: String,
    /// The groups: an array, a text with commas, or an object whose keys they are.
    pub groups: String,
}

impl Settings {
    /// What [`crate::outbound::Outbound`] needs to dial the internal address.
    pub fn dial_map(&self) -> Option<DialMap> {
        let internal = self.internal_url.clone()?;
        Some(DialMap { public_origin: self.issuer.clone(), internal })
    }
}

impl ClientAuth {
    /// The method's name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::BasicRaw => "basic-raw",
            Self::Post => "post",
            Self::None => "none",
        }
    }
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            username: "preferred_username".into(),
            name: "name".into(),
            email: "email".into(),
            groups: "groups".into(),
        }
    }
}
