//! A discovery document, checked. Knows what it says, not how it is fetched.

use jsonwebtoken::Algorithm;
use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreResponseMode, CoreResponseType,
    CoreSubjectIdentifierType,
};
use openidconnect::{AdditionalProviderMetadata, ProviderMetadata};
use serde::{Deserialize, Serialize};
use url::{Position, Url};

use super::error::ProviderError;
use super::settings::{ClientAuth, Settings};
use crate::outbound::is_loopback;
use crate::outbound::json::{self, Fault};

/// What we use of a discovery document. All addresses are public ones, https unless the issuer is on loopback.
pub(super) struct Document {
    pub(super) authorization: Url,
    pub(super) token: Url,
    pub(super) jwks: Url,
    pub(super) userinfo: Option<Url>,
    pub(super) revocation: Option<Url>,
    pub(super) introspection: Option<Url>,
    pub(super) end_session: Option<Url>,
    /// What tokens may name as issuer; the configured one first.
    pub(super) issuers: Vec<String>,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) userinfo_algorithms: Vec<Algorithm>,
    /// How to authenticate unless the configuration says.
    pub(super) client_auth: ClientAuth,
    pub(super) callback_names_issuer: bool,
    scopes: Vec<String>,
    prompts: Vec<String>,
}

/// What the crate's metadata lacks.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Extra {
    end_session_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    introspection_endpoint: Option<String>,
    prompt_values_supported: Option<Vec<String>>,
    authorization_response_iss_parameter_supported: Option<bool>,
}

impl AdditionalProviderMetadata for Extra {}

type Metadata = ProviderMetadata<
    Extra,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// The algorithms by name: the crate's metadata leaves out those it does not know.
#[derive(Deserialize)]
struct Listed {
    id_token_signing_alg_values_supported: Vec<String>,
    userinfo_signing_alg_values_supported: Option<Vec<String>>,
}

impl Document {
    /// Reads and checks a document (Discovery 3 and 4.3).
    pub(super) fn read(bytes: &[u8], settings: &Settings) -> Result<Self, ProviderError> {
        let unreadable = |fault: Fault| ProviderError::Document(fault.to_string());
        let metadata: Metadata = json::read(bytes).map_err(unreadable)?;
        let listed: Listed = json::read(bytes).map_err(unreadable)?;
        let issuers = issuers(metadata.issuer(), settings)?;
        let extra = metadata.additional_metadata();
        let needed = |name, text: &str| endpoint(name, text, settings);
        let offered = |name, text: Option<&String>| {
            text.filter(|text| !text.is_empty()).map(|text| endpoint(name, text, settings)).transpose()
        };
        let no_token = || ProviderError::Document("it has no token_endpoint".into());
        let names = listed.id_token_signing_alg_values_supported;
        let algorithms = allowed(&names, settings);
        if algorithms.is_empty() {
            return Err(ProviderError::Algorithms { listed: names.join(" ") });
        }
        let userinfo_algorithms = listed.userinfo_signing_alg_values_supported;
        Ok(Self {
            authorization: without(
                needed(AUTHORIZATION, metadata.authorization_endpoint())?,
                AUTHORIZATION,
                SET_AT_SIGN_IN,
            )?,
            token: needed("token_endpoint", metadata.token_endpoint().ok_or_else(no_token)?)?,
            jwks: needed("jwks_uri", metadata.jwks_uri())?,
            userinfo: offered("userinfo_endpoint", metadata.userinfo_endpoint().map(|url| &**url))?,
            revocation: offered("revocation_endpoint", extra.revocation_endpoint.as_ref())?,
            introspection: offered("introspection_endpoint", extra.introspection_endpoint.as_ref())?,
            end_session: offered(END_SESSION, extra.end_session_endpoint.as_ref())?
                .map(|url| without(url, END_SESSION, SET_AT_SIGN_OUT))
                .transpose()?,
            issuers,
            userinfo_algorithms: userinfo_algorithms
                .map_or_else(|| algorithms.clone(), |names| allowed(&names, settings)),
            algorithms,
            client_auth: client_auth(&metadata, settings),
            callback_names_issuer: extra.authorization_response_iss_parameter_supported.unwrap_or(false),
            scopes: metadata
                .scopes_supported()
                .into_iter()
                .flatten()
                .map(|scope| scope.to_string())
                .collect(),
            prompts: extra.prompt_values_supported.clone().unwrap_or_default(),
        })
    }

    /// Whether the provider lists this scope.
    pub(super) fn offers_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|offered| offered == scope)
    }

    /// Whether the provider lists this prompt (Initiating User Registration 1.0, 4.1).
    pub(super) fn offers_prompt(&self, prompt: &str) -> bool {
        self.prompts.iter().any(|offered| offered == prompt)
    }

    /// The addresses that our own requests go to.
    pub(super) fn asked(&self) -> impl Iterator<Item = &Url> {
        [&self.token, &self.jwks]
            .into_iter()
            .chain(&self.userinfo)
            .chain(&self.revocation)
            .chain(&self.introspection)
    }
}

/// Where the document of an issuer lies (Discovery 4).
pub(super) fn address(settings: &Settings) -> Result<Url, ProviderError> {
    let text = &settings.issuer_text;
    let base = text.strip_suffix('/').unwrap_or(text);
    Url::parse(&format!("{base}/.well-known/openid-configuration"))
        .map_err(|error| ProviderError::Document(format!("the issuer is no address: {error}")))
}

/// The issuers to accept in tokens, if the document's own is right: the configured one letter by letter, or the
/// same at the internal origin, as providers that build it from the request call themselves there.
fn issuers(found: &str, settings: &Settings) -> Result<Vec<String>, ProviderError> {
    let configured = &settings.issuer_text;
    if found == configured {
        return Ok(vec![configured.clone()]);
    }
    let path = configured.split_once("://").and_then(|(_, rest)| rest.find('/').map(|start| &rest[start..]));
    let inside = |url: &Url| url.origin().ascii_serialization() + path.unwrap_or_default();
    match settings.internal_url.as_ref().map(inside) {
        Some(internal) if found == internal => Ok(vec![configured.clone(), found.to_owned()]),
        Some(_) | None => {
            let found = found.chars().take(300).collect();
            Err(ProviderError::Issuer { configured: configured.clone(), found })
        }
    }
}

/// An address of the document: the internal origin becomes the public one, so that browsers can follow it and
/// our own requests are dialled inside; the rest must be https, or on loopback if the issuer itself is.
fn endpoint(name: &str, text: &str, settings: &Settings) -> Result<Url, ProviderError> {
    let fault = |what: &str| ProviderError::Document(format!("its {name} {text:?} {what}"));
    let mut url = Url::parse(text).map_err(|_| fault("is no address"))?;
    if settings.internal_url.as_ref().is_some_and(|internal| internal.origin() == url.origin()) {
        let public = settings.issuer.origin().ascii_serialization();
        url = Url::parse(&(public + &url[Position::BeforePath..])).map_err(|_| fault("is no address"))?;
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(fault("has a user name or a fragment"));
    }
    let is_home = url.origin() == settings.issuer.origin();
    match (url.scheme(), is_loopback(&url)) {
        ("http" | "https", _) if is_home => Ok(url),
        ("http" | "https", true) if is_loopback(&settings.issuer) => Ok(url),
        // A provider elsewhere has no business with this machine's own services.
        ("http" | "https", true) => Err(fault("is on loopback, and the issuer is not")),
        ("https", false) => Ok(url),
        _ => Err(fault("is not https")),
    }
}

/// An address to which browsers come with parameters of ours. One that stands there already would be there twice, which none
/// may (RFC 6749 3.1): servers take the one or the other.
fn without(url: Url, name: &str, ours: &[&str]) -> Result<Url, ProviderError> {
    let twice = url.query_pairs().find(|(parameter, _)| ours.contains(&&**parameter));
    if let Some((parameter, _)) = twice {
        let fault =
            format!("its {name} {:?} has {parameter} in its query, which is for us to say", url.as_str());
        return Err(ProviderError::Document(fault));
    }
    Ok(url)
}

/// The algorithms we allow among those named. A shared secret only if there is no choice, as with an authentik
/// provider without a signing key.
fn allowed(names: &[String], settings: &Settings) -> Vec<Algorithm> {
    if names == ["HS256"] && settings.client_secret.is_some() {
        return vec![Algorithm::HS256];
    }
    let mut found = Vec::new();
    for name in names {
        let known = ASYMMETRIC.iter().find(|(own, _)| own == name).map(|&(_, algorithm)| algorithm);
        found.extend(known.filter(|algorithm| !found.contains(algorithm)));
    }
    found
}

/// Core 9; Discovery 3: basic where nothing is said.
fn client_auth(metadata: &Metadata, settings: &Settings) -> ClientAuth {
    if settings.client_secret.is_none() {
        return ClientAuth::None;
    }
    match metadata.token_endpoint_auth_methods_supported() {
        Some(methods) if !methods.contains(&CoreClientAuthMethod::ClientSecretBasic) => ClientAuth::Post,
        Some(_) | None => ClientAuth::Basic,
    }
}

const AUTHORIZATION: &str = "authorization_endpoint";
const END_SESSION: &str = "end_session_endpoint";
/// What a sign-in says (RFC 6749 4.1.1, RFC 7636 4.3, OpenID Connect Core 3.1.2.1), and what would say it in its place
/// (Core 6) or have the answer come elsewhere.
const SET_AT_SIGN_IN: &[&str] = &[
    "response_type",
    "response_mode",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "prompt",
    "max_age",
    "acr_values",
    "request",
    "request_uri",
];
/// What a sign-out says (RP-Initiated Logout 1.0, 2).
const SET_AT_SIGN_OUT: &[&str] = &["id_token_hint", "client_id", "post_logout_redirect_uri", "state"];
const ASYMMETRIC: &[(&str, Algorithm)] = &[
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
    ("Ed25519", Algorithm::EdDSA),
];

#[cfg(test)]
mod tests;
