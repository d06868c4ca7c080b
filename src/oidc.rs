//! One OpenID Provider as a handle, each method one step of the protocol. Knows no sessions, cookies or rules.

use std::sync::Arc;

use jsonwebtoken::Algorithm;
use openidconnect::core::{CoreAuthenticationFlow, CoreClient};
use openidconnect::{
    AuthUrl, ClientId, CsrfToken, IssuerUrl, JsonWebKeySet, Nonce, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, Scope,
};
use serde_json::{Map, Value};
use url::Url;

use self::back_channel::BackChannel;
use self::discovery::Discovery;
use self::document::Document;
pub use self::error::{ProfileError, ProviderError, Step};
pub use self::examine::{Announced, Reception};
pub use self::profile::{Mapped, Warning, profile_of, session_of};
pub use self::settings::{ClaimNames, ClientAuth, Settings};
pub use self::tokens::Tokens;
pub use self::userinfo::Userinfo;
use crate::identity::Proof;
use crate::outbound::Outbound;
use crate::secret::Secret;

mod back_channel;
mod discovery;
mod document;
mod error;
mod examine;
mod machine;
mod profile;
mod settings;
mod tokens;
mod userinfo;

/// A handle for one issuer; cheap to clone.
///
/// Its discovery document is fetched at the first use, one fetch at a time, and kept for 10 minutes; the next
/// use then renews it behind the scenes, and the old one serves on if that fails. After a failure nobody asks
/// for 1, 2, 4 … 30 seconds, and who needs the document meanwhile gets the last error at once.
#[derive(Clone)]
pub struct Provider {
    settings: Arc<Settings>,
    outbound: Outbound,
    discovery: Arc<Discovery>,
}

/// What a sign-in asks for. All three texts belong to this one attempt.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// Comes back with the callback.
    pub state: &'a str,
    /// Comes back inside the ID token.
    pub nonce: &'a str,
    /// The PKCE verifier (RFC 7636 4.1): 43 to 128 unreserved characters. Only its S256 hash is sent here.
    pub verifier: &'a str,
    /// What the provider should show although it knows the person.
    pub prompt: Option<Prompt>,
    /// What it must ask the person to prove.
    pub proof: Option<&'a Proof>,
}

/// What a provider should show although it knows the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// A choice of accounts, or the sign-in form where the provider does not announce such a choice.
    AnotherAccount,
}

/// What tokens of this provider must be like, and what its callbacks must carry.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Where its keys are.
    pub jwks_uri: Url,
    /// What it may call itself, the configured name first. With `internal_url`, also what it calls itself there
    /// if its document says so.
    pub issuers: Vec<String>,
    /// Our client id: the audience.
    pub client_id: String,
    /// What it may sign ID tokens with. Holds HS256 only if the provider announces nothing else.
    pub algorithms: Vec<Algorithm>,
    /// What it may sign userinfo answers with.
    pub userinfo_algorithms: Vec<Algorithm>,
    /// The client secret: the key for HS256.
    pub secret: Option<Secret>,
    /// Whether each callback carries `iss` (RFC 9207 2.4), so that one without it must be refused.
    pub callback_names_issuer: bool,
}

/// What came of a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// The provider took all tokens back.
    Done,
    /// The provider does not offer it.
    NotOffered,
}

impl Provider {
    /// A handle that asks through `outbound`, which must be this provider's alone and made with
    /// [`Settings::dial_map`]. Asks nothing yet.
    pub fn new(settings: Settings, outbound: Outbound) -> Self {
        outbound.permit([&settings.issuer]);
        let settings = Arc::new(settings);
        let discovery = Arc::new(Discovery::new(Arc::clone(&settings), outbound.clone()));
        Self { settings, outbound, discovery }
    }

    /// The provider's name for itself, which is also an address of its.
    pub fn issuer(&self) -> &Url {
        &self.settings.issuer
    }

    /// The same letter by letter as configured: what identities of its people carry.
    pub fn issuer_text(&self) -> &str {
        &self.settings.issuer_text
    }

    /// Whether its tokens may call it something else than its issuer.
    pub fn may_have_other_names(&self) -> bool {
        self.settings.internal_url.is_some()
    }

    /// Where to send a browser to sign in (OpenID Connect Core 3.1.2.1).
    ///
    /// # Errors
    /// Those of discovery, and [`ProviderError::Verifier`].
    pub async fn authorize_url(&self, ask: Ask<'_>, now: u64) -> Result<Url, ProviderError> {
        let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if !(43..=128).contains(&ask.verifier.len()) || !ask.verifier.bytes().all(is_unreserved) {
            return Err(ProviderError::Verifier);
        }
        let document = self.discovery.document(now).await?;
        let client = self.client(&document);
        let (state, nonce) = (CsrfToken::new(ask.state.to_owned()), Nonce::new(ask.nonce.to_owned()));
        let verifier = PkceCodeVerifier::new(ask.verifier.to_owned());
        let mut request = client
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, move || state, move || nonce)
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .add_scopes(self.scopes(&document));
        if let Some(prompt) = self.prompt(&ask, &document) {
            request = request.add_extra_param("prompt", prompt);
        }
        if let Some(max_age) = ask.proof.and_then(|proof| proof.max_age) {
            request = request.add_extra_param("max_age", max_age.to_string());
        }
        if let Some(acr) = ask.proof.map(|proof| &proof.acr).filter(|acr| !acr.is_empty()) {
            request = request.add_extra_param("acr_values", acr.join(" "));
        }
        Ok(request.url().0)
    }

    /// Exchanges a code for tokens (Core 3.1.3). They are not verified here.
    ///
    /// # Errors
    /// [`ProviderError::InvalidGrant`] if the code is used, old or not ours; [`ProviderError::InvalidClient`]
    /// tells how we authenticated; the others are the provider's or the network's.
    pub async fn redeem(&self, code: &str, verifier: &str, now: u64) -> Result<Tokens, ProviderError> {
        let document = self.discovery.document(now).await?;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", self.settings.redirect_uri.as_str()),
            ("code_verifier", verifier),
        ];
        let body = self.back_channel(&document).post(Step::Token, &document.token, &form).await?;
        Tokens::read(&body, now)
    }

    /// Exchanges a refresh token for new tokens (Core 12). They are not verified here; an ID token that is the same as
    /// before was not sent anew.
    ///
    /// # Errors
    /// As for [`Provider::redeem`]; [`ProviderError::InvalidGrant`] also if there is no refresh token.
    pub async fn refresh(&self, tokens: &Tokens, now: u64) -> Result<Tokens, ProviderError> {
        let Some(refresh_token) = &tokens.refresh_token else {
            return Err(ProviderError::InvalidGrant {
                step: Step::Token,
                detail: "none was given".to_owned(),
            });
        };
        let document = self.discovery.document(now).await?;
        // Without a scope the answer has those of the first tokens (RFC 6749 6).
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose())];
        let body = self.back_channel(&document).post(Step::Token, &document.token, &form).await?;
        Tokens::read_after(&body, Some(tokens), now)
    }

    /// What the provider tells of the person; none if it has no such endpoint (Core 5.3).
    ///
    /// # Errors
    /// [`ProviderError::TokenRejected`] if the access token is not accepted, [`ProviderError::Subject`] if the
    /// answer is not about `subject`.
    pub async fn userinfo(
        &self,
        access_token: &Secret,
        subject: &str,
        now: u64,
    ) -> Result<Option<Userinfo>, ProviderError> {
        let document = self.discovery.document(now).await?;
        let Some(endpoint) = &document.userinfo else { return Ok(None) };
        userinfo::ask(&self.outbound, endpoint, access_token, subject).await.map(Some)
    }

    /// Takes refresh and access token back at the provider (RFC 7009). Best effort: both are tried.
    ///
    /// # Errors
    /// The first that happened.
    pub async fn revoke(&self, tokens: &Tokens, now: u64) -> Result<Revocation, ProviderError> {
        let document = self.discovery.document(now).await?;
        let Some(endpoint) = &document.revocation else { return Ok(Revocation::NotOffered) };
        let channel = self.back_channel(&document);
        let refresh = tokens.refresh_token.as_ref().map(|token| (token, "refresh_token"));
        let mut outcome = Ok(Revocation::Done);
        for (token, hint) in refresh.into_iter().chain([(&tokens.access_token, "access_token")]) {
            let form = [("token", token.expose()), ("token_type_hint", hint)];
            let answer = channel.post(Step::Revocation, endpoint, &form).await;
            outcome = outcome.and_then(|done| answer.map(|_| done));
        }
        outcome
    }

    /// Where to send a browser to end the provider's own session too; none if the provider has no such page
    /// (RP-Initiated Logout 1.0, 2).
    ///
    /// # Errors
    /// Those of discovery.
    pub async fn end_session_url(
        &self,
        id_token: Option<&str>,
        post_logout: &Url,
        state: Option<&str>,
        now: u64,
    ) -> Result<Option<Url>, ProviderError> {
        let document = self.discovery.document(now).await?;
        let Some(mut url) = document.end_session.clone() else { return Ok(None) };
        let pairs = [
            ("id_token_hint", id_token),
            ("client_id", Some(self.settings.client_id.as_str())),
            ("post_logout_redirect_uri", Some(post_logout.as_str())),
            ("state", state),
        ];
        let said = pairs.into_iter().filter_map(|(name, value)| Some((name, value?)));
        url.query_pairs_mut().extend_pairs(said);
        Ok(Some(url))
    }

    /// What tokens of this provider must be like.
    ///
    /// # Errors
    /// Those of discovery.
    pub async fn keys_and_rules(&self, now: u64) -> Result<Rules, ProviderError> {
        let document = self.discovery.document(now).await?;
        Ok(Rules {
            jwks_uri: document.jwks.clone(),
            issuers: document.issuers.clone(),
            client_id: self.settings.client_id.clone(),
            algorithms: document.algorithms.clone(),
            userinfo_algorithms: document.userinfo_algorithms.clone(),
            secret: self.settings.client_secret.clone(),
            callback_names_issuer: document.callback_names_issuer,
        })
    }

    /// The verified claims of an ID token, with those of userinfo over them, but for those that only the token can know, and
    /// such as vouch for a value of the other.
    pub fn merged(&self, id_token: Map<String, Value>, userinfo: Map<String, Value>) -> Map<String, Value> {
        profile::merge(id_token, userinfo, &self.settings.claims)
    }

    /// Whether userinfo tells all that people are judged by, beside an ID token of an earlier time: groups, username, address, and the
    /// claims `wanted`. What only the token has may not be so any more.
    pub fn tells_anew(
        &self,
        id_token: &Map<String, Value>,
        userinfo: &Map<String, Value>,
        wanted: &[String],
    ) -> bool {
        profile::tells_anew(id_token, userinfo, (&self.settings.claims, wanted))
    }

    /// Maps verified claims, see [`Provider::merged`], to a profile, with what had to be left out.
    ///
    /// # Errors
    /// See [`ProfileError`].
    pub fn profile(&self, claims: &Map<String, Value>) -> Result<Mapped, ProfileError> {
        profile::map(claims, &self.settings)
    }

    /// The same for the claims of an access token. One without an e-mail address has none that would need to be verified.
    ///
    /// # Errors
    /// See [`ProfileError`].
    pub fn client_profile(&self, claims: &Map<String, Value>) -> Result<Mapped, ProfileError> {
        let mapped = profile_of(claims, &self.settings.issuer_text, &self.settings.claims)?;
        let has_address = !mapped.profile.email.is_empty() || profile::has_address(claims);
        if has_address { self.profile(claims) } else { Ok(mapped) }
    }

    /// Whether the provider answers: asks if the document is missing or old, and tells the last failure if a
    /// renewal failed.
    ///
    /// # Errors
    /// Those of discovery.
    pub async fn probe(&self, now: u64) -> Result<(), ProviderError> {
        self.discovery.document(now).await?;
        self.discovery.last_failure().map_or(Ok(()), Err)
    }

    /// Asks for the document anew, whatever is known, and keeps nothing of it: whether the provider is there.
    ///
    /// # Errors
    /// Those of discovery.
    pub async fn call(&self) -> Result<(), ProviderError> {
        self.discovery.call().await
    }

    /// Whether both are handles of the very same provider.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.discovery, &other.discovery)
    }

    fn back_channel<'a>(&'a self, document: &'a Document) -> BackChannel<'a> {
        BackChannel { settings: &self.settings, outbound: &self.outbound, document }
    }

    fn scopes(&self, document: &Document) -> Vec<Scope> {
        let usual = ["openid", "profile", "email"].map(String::from);
        let offline = document.offers_scope("offline_access").then(|| "offline_access".to_owned());
        let scopes =
            self.settings.scopes.clone().unwrap_or_else(|| usual.into_iter().chain(offline).collect());
        // The client adds this one itself.
        scopes.into_iter().filter(|scope| scope != "openid").map(Scope::new).collect()
    }

    /// The configured words, and what this sign-in needs: `none` beside another is an error (Core 3.1.2.1).
    fn prompt(&self, ask: &Ask<'_>, document: &Document) -> Option<String> {
        let configured = self.settings.prompt.as_deref();
        // A higher context is reached without another password where the provider knows such; age and methods are not.
        let again = ask.proof.is_some_and(|proof| proof.max_age.is_some() || !proof.amr.is_empty());
        let needed = match ask.prompt {
            Some(Prompt::AnotherAccount) if document.offers_prompt("select_account") => "select_account",
            Some(Prompt::AnotherAccount) => "login",
            None if again => "login",
            None => return configured.map(str::to_owned),
        };
        let words = configured.unwrap_or_default().split_whitespace();
        let kept: Vec<&str> =
            words.filter(|&word| word != "none" && word != needed).chain([needed]).collect();
        Some(kept.join(" "))
    }

    fn client(&self, document: &Document) -> AuthorizingClient {
        let issuer = IssuerUrl::from_url(self.settings.issuer.clone());
        CoreClient::new(ClientId::new(self.settings.client_id.clone()), issuer, JsonWebKeySet::default())
            .set_auth_uri(AuthUrl::from_url(document.authorization.clone()))
            .set_redirect_uri(RedirectUrl::from_url(self.settings.redirect_uri.clone()))
    }
}

/// A client that can make authorization addresses, and nothing else.
type AuthorizingClient = CoreClient<openidconnect::EndpointSet>;

/// Reads anything as the metadata of a provider, for [`crate::entrances`].
#[cfg(any(test, fuzzing))]
#[allow(clippy::expect_used, reason = "a test")]
pub(crate) fn look_at_document(bytes: &[u8]) {
    let url = |text: &str| Url::parse(text).expect("a URL");
    let named = |name: &str| name.to_owned();
    let settings = Settings {
        issuer: url("https://id.test/o/"),
        issuer_text: named("https://id.test/o/"),
        client_id: named("foregate"),
        client_secret: Some(Secret::new("secret")),
        client_auth: None,
        scopes: None,
        prompt: None,
        internal_url: None,
        claims: ClaimNames { username: named("a"), name: named("b"), email: named("c"), groups: named("d") },
        redirect_uri: url("https://auth.test/.foregate/callback"),
        require_verified_email: false,
    };
    let Ok(document) = Document::read(bytes, &settings) else { return };
    assert!(
        document.issuers.iter().any(|issuer| issuer == "https://id.test/o/"),
        "it is the one that was asked for"
    );
    for asked in document.asked() {
        let (scheme, host) = (asked.scheme(), asked.host_str().unwrap_or_default());
        let loopback = ["localhost", "127.0.0.1", "[::1]"].contains(&host) || host.ends_with(".localhost");
        assert!(scheme == "https" || (scheme == "http" && loopback), "{asked}");
    }
    assert!(!document.algorithms.is_empty());
}

#[cfg(test)]
mod tests;
