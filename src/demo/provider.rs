//! A small OpenID Provider for trying out: no passwords, one client, nothing kept, loopback only. Knows nothing of
//! foregate, which is a client like any other.

mod authorize;
mod back_channel;
mod form;
mod front_channel;
mod grants;
pub(crate) mod people;
mod refused;
mod shelf;
mod signer;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::error::Unspecified;
use http::request::Parts;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::answer::{self, Answer};
use super::loopback::Loopback;
use crate::secret::Secret;
use crate::server::{Peer, Serve};
use form::Form;
use front_channel::Waiting;
use grants::Grants;
use people::{Person, SCOPES};
use refused::Refused;
use shelf::Shelf;
use signer::Signer;

/// The provider's own name, and the one client it has.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Where browsers find the provider: scheme, host and port, as all addresses are made from its root.
    pub(crate) issuer: Url,
    /// The client's name.
    pub(crate) client_id: String,
    /// What the client proves itself with at the token endpoint.
    pub(crate) client_secret: Secret,
    /// The one address that codes are sent to, letter by letter.
    pub(crate) redirect_uri: Url,
    /// The one address that a sign-out leads to.
    pub(crate) post_logout_redirect_uri: Url,
    /// Where the provider's forms may lead in the end, for the page policy: `'self'` and the client's origins, as
    /// browsers hold redirects after a form to it too.
    pub(crate) form_targets: String,
}

/// An OpenID Provider for trying out, **never for real people**: it asks for no password. It can be served on a
/// [`Loopback`] listener only, and keeps everything in memory, bounded.
#[derive(Clone, Debug)]
pub(crate) struct Provider(Arc<Office>);

/// What answering takes.
#[derive(Debug)]
struct Office {
    settings: Settings,
    signer: Signer,
    memory: Mutex<Memory>,
}

/// All that is remembered, each bounded in number and time.
#[derive(Debug)]
struct Memory {
    waiting: Shelf<Waiting>,
    sessions: Shelf<SignedIn>,
    grants: Grants,
}

/// Somebody who is signed in at the provider itself.
#[derive(Clone, Debug)]
struct SignedIn {
    person: &'static Person,
    /// A name for this sign-in that clients may know.
    sid: String,
    auth_time: u64,
}

impl Provider {
    /// A provider with a fresh key.
    ///
    /// # Errors
    /// [`Unspecified`] if the system gives no random bytes.
    pub(crate) fn new(settings: Settings) -> Result<Self, Unspecified> {
        let memory = Memory { waiting: Shelf::new(ROOM), sessions: Shelf::new(ROOM), grants: Grants::new() };
        Ok(Self(Arc::new(Office { settings, signer: Signer::new()?, memory: Mutex::new(memory) })))
    }

    /// Serves until `stop`, to this machine alone.
    pub(crate) async fn run(self, listener: Loopback, stop: CancellationToken) {
        listener.run(self, stop).await;
    }
}

impl Serve for Provider {
    type Body = http_body_util::Full<bytes::Bytes>;

    async fn serve(&self, request: Request<Incoming>, _: Peer) -> Answer {
        let (parts, body) = request.into_parts();
        let form = if parts.method == Method::POST && parts.uri.path() != USERINFO {
            Form::of_body(&parts, body).await
        } else {
            Ok(Form::of_address(&parts))
        };
        let answered = form.and_then(|form| self.0.answer(&parts, &form, unix_now()));
        answered.unwrap_or_else(|refused| refused.answer(&self.0.settings))
    }
}

impl Office {
    fn answer(&self, parts: &Parts, form: &Form, now: u64) -> Result<Answer, Refused> {
        let headers = &parts.headers;
        match (parts.method.as_str(), parts.uri.path()) {
            ("GET" | "HEAD", DISCOVERY) => Ok(answer::json(StatusCode::OK, &self.document())),
            ("GET" | "HEAD", JWKS) => Ok(answer::json(StatusCode::OK, &self.signer.key_set())),
            ("GET", AUTHORIZE) => self.authorize(headers, form, now),
            ("POST", "/sign-in") => self.sign_in(headers, form, now),
            ("POST", TOKEN) => self.tokens(headers, form, now),
            ("GET" | "POST", USERINFO) => self.userinfo(headers, now),
            ("POST", REVOKE) => self.revoke(headers, form, now),
            ("GET" | "POST", END_SESSION) => self.end_session(headers, form, now),
            ("POST", "/sign-out") => self.sign_out(headers, form, now),
            _ => Err(Refused::Here(StatusCode::NOT_FOUND, "The demo provider has no such page.")),
        }
    }

    /// OpenID Connect Discovery 1.0, 3.
    fn document(&self) -> Value {
        let at = |path: &str| with_path(&self.settings.issuer, path);
        json!({
            "issuer": self.settings.issuer,
            "authorization_endpoint": at(AUTHORIZE),
            "token_endpoint": at(TOKEN),
            "userinfo_endpoint": at(USERINFO),
            "revocation_endpoint": at(REVOKE),
            "end_session_endpoint": at(END_SESSION),
            "jwks_uri": at(JWKS),
            "scopes_supported": SCOPES,
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "revocation_endpoint_auth_methods_supported": ["client_secret_basic"],
            "code_challenge_methods_supported": ["S256"],
            "prompt_values_supported": ["none", "login", "consent", "select_account"],
            "claims_supported": [
                "sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "sid", "at_hash",
                "name", "preferred_username", "groups", "email", "email_verified",
            ],
            "authorization_response_iss_parameter_supported": true,
            "claims_parameter_supported": false,
            "request_parameter_supported": false,
            "request_uri_parameter_supported": false,
        })
    }

    /// Held for single questions only, never over an await.
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn with_path(url: &Url, path: &str) -> Url {
    let mut url = url.clone();
    url.set_path(path);
    url
}

/// An address with more parameters behind those it may have.
fn with_query(url: &Url, pairs: &[(&str, &str)]) -> String {
    let mut url = url.clone();
    if !pairs.is_empty() {
        url.query_pairs_mut().extend_pairs(pairs);
    }
    url.into()
}

#[expect(clippy::disallowed_methods, reason = "the provider's face is where time enters")]
fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

const DISCOVERY: &str = "/.well-known/openid-configuration";
const JWKS: &str = "/jwks.json";
const AUTHORIZE: &str = "/authorize";
const TOKEN: &str = "/token";
const USERINFO: &str = "/userinfo";
const REVOKE: &str = "/revoke";
const END_SESSION: &str = "/end-session";
/// Things of one kind that are remembered.
const ROOM: usize = 1000;
