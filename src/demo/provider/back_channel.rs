//! What the client itself asks of the demo's provider: tokens, claims, revocation. Knows no browsers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::form::Form;
use super::grants::{ACCESS_SECONDS, Issued, same};
use super::refused::Refused;
use super::signer::half_hash;
use super::{Office, Settings};
use crate::demo::answer::{self, Answer};

impl Office {
    /// The token endpoint (RFC 6749 3.2).
    pub(super) fn tokens(&self, headers: &HeaderMap, form: &Form, now: u64) -> Result<Answer, Refused> {
        authenticate(headers, &self.settings)?;
        let issued = match form.one("grant_type")? {
            Some("authorization_code") => {
                if form.one("redirect_uri")? != Some(self.settings.redirect_uri.as_str()) {
                    return Err(Refused::Direct {
                        code: "invalid_grant",
                        why: "redirect_uri is another one",
                    });
                }
                let (code, verifier) = (needed(form, "code")?, needed(form, "code_verifier")?);
                self.memory().grants.redeem(code, verifier, now)?
            }
            Some("refresh_token") => {
                let token = needed(form, "refresh_token")?;
                self.memory().grants.refresh(token, now)?
            }
            Some(_) => return Err(Refused::Direct { code: "unsupported_grant_type", why: "not known here" }),
            None => return Err(missing()),
        };
        let mut told = json!({
            "access_token": issued.access,
            "token_type": "Bearer",
            "expires_in": ACCESS_SECONDS,
            "scope": issued.consent.scope.text(),
            "id_token": self.signer.sign(&self.claims(&issued, now))?,
        });
        if let Some(refresh) = &issued.refresh {
            told["refresh_token"] = refresh.as_str().into();
        }
        Ok(answer::json(StatusCode::OK, &told))
    }

    /// What the ID token says (OpenID Connect Core 2).
    fn claims(&self, issued: &Issued, now: u64) -> Map<String, Value> {
        let consent = &issued.consent;
        let mut claims = consent.person.claims(&consent.scope);
        claims.extend([
            ("iss".to_owned(), self.settings.issuer.as_str().into()),
            ("aud".to_owned(), self.settings.client_id.as_str().into()),
            ("iat".to_owned(), now.into()),
            ("exp".to_owned(), (now + ACCESS_SECONDS).into()),
            ("auth_time".to_owned(), consent.auth_time.into()),
            ("sid".to_owned(), consent.sid.as_str().into()),
            ("at_hash".to_owned(), half_hash(&issued.access).into()),
        ]);
        if let Some(nonce) = &issued.nonce {
            claims.insert("nonce".to_owned(), nonce.as_str().into());
        }
        claims
    }

    /// The userinfo endpoint (OpenID Connect Core 5.3).
    pub(super) fn userinfo(&self, headers: &HeaderMap, now: u64) -> Result<Answer, Refused> {
        let token = credentials(headers, "Bearer").ok_or(Refused::Bearer)?;
        let memory = self.memory();
        let consent = memory.grants.bearer(token, now).ok_or(Refused::Bearer)?;
        Ok(answer::json(StatusCode::OK, &Value::Object(consent.person.claims(&consent.scope))))
    }

    /// The revocation endpoint (RFC 7009): a token nobody knows is as good as revoked.
    pub(super) fn revoke(&self, headers: &HeaderMap, form: &Form, now: u64) -> Result<Answer, Refused> {
        authenticate(headers, &self.settings)?;
        let token = needed(form, "token")?;
        self.memory().grants.revoke(token, now);
        Ok(answer::text(StatusCode::OK, ""))
    }
}

/// `client_secret_basic`, both parts form-encoded (RFC 6749 2.3.1).
fn authenticate(headers: &HeaderMap, settings: &Settings) -> Result<(), Refused> {
    let sent = credentials(headers, "Basic").and_then(|text| STANDARD.decode(text).ok());
    let sent = sent.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(Refused::Client)?;
    let (id, secret) = sent.split_once(':').ok_or(Refused::Client)?;
    let is_client = same(&decoded(id), &settings.client_id);
    let is_secret = same(&decoded(secret), settings.client_secret.expose());
    if is_client && is_secret { Ok(()) } else { Err(Refused::Client) }
}

fn decoded(text: &str) -> String {
    form_urlencoded::parse(text.as_bytes()).next().map(|(name, _)| name.into_owned()).unwrap_or_default()
}

/// What stands behind the scheme in the one `Authorization` header.
fn credentials<'h>(headers: &'h HeaderMap, scheme: &str) -> Option<&'h str> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let (line, None) = (lines.next()?, lines.next()) else { return None };
    let (found, text) = line.to_str().ok()?.split_once(' ')?;
    found.eq_ignore_ascii_case(scheme).then_some(text.trim())
}

fn needed<'f>(form: &'f Form, name: &str) -> Result<&'f str, Refused> {
    form.one(name)?.ok_or_else(missing)
}

fn missing() -> Refused {
    Refused::Direct { code: "invalid_request", why: "a parameter is missing" }
}
