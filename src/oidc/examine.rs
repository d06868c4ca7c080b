//! A look at a provider, step by step, for whoever wants to know what is wrong with it. Signs nobody in.

use std::sync::Arc;

use http::header::{ACCEPT, DATE, LOCATION};
use http::{HeaderMap, Request, StatusCode};
use jsonwebtoken::Algorithm;
use url::Url;

use super::document::{self, Document};
use super::error::{ProviderError, Step};
use super::{Ask, Provider};
use crate::metrics::Metrics;
use crate::outbound::{Outbound, OutboundError};
use crate::secret::Secret;

/// What a provider announces, as far as it is of use.
#[derive(Clone, Debug)]
pub struct Announced {
    /// Where browsers sign in.
    pub authorization: Url,
    /// Where codes are redeemed.
    pub token: Url,
    /// Where its keys are.
    pub jwks: Url,
    /// Where it tells of people, if it does.
    pub userinfo: Option<Url>,
    /// Where browsers sign out of it, if they can.
    pub end_session: Option<Url>,
    /// What it may sign ID tokens with.
    pub algorithms: Vec<Algorithm>,
}

/// How the provider takes a request to sign somebody in who is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reception {
    /// The browser would come back to us, with this error.
    Back(String),
    /// It would be sent elsewhere, as to a form.
    Elsewhere(Url),
    /// It would stay on a page of this status.
    Page(u16),
}

impl Provider {
    /// Where the discovery document lies.
    ///
    /// # Errors
    /// If the issuer is no address.
    pub fn discovery_address(&self) -> Result<Url, ProviderError> {
        document::address(&self.settings)
    }

    /// Where requests of our own go in place of the issuer's address.
    pub fn internal_url(&self) -> Option<&Url> {
        self.settings.internal_url.as_ref()
    }

    /// Where sign-ins are to come back to.
    pub fn redirect_uri(&self) -> &Url {
        &self.settings.redirect_uri
    }

    /// Our client id there.
    pub fn client_id(&self) -> &str {
        &self.settings.client_id
    }

    /// The provider's own time, as any of its answers tells it (RFC 9110 6.6.1).
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn date(&self) -> Result<Option<String>, ProviderError> {
        let answer =
            fetch(Step::Discovery, Request::get(self.discovery_address()?.as_str()), &self.outbound).await?;
        Ok(answer.1.get(DATE).and_then(|date| date.to_str().ok()).map(str::to_owned))
    }

    /// What the provider announces.
    ///
    /// # Errors
    /// Those of discovery.
    pub async fn announced(&self, now: u64) -> Result<Announced, ProviderError> {
        let document = self.discovery.document(now).await?;
        let Document { authorization, token, jwks, userinfo, end_session, algorithms, .. } = &*document;
        Ok(Announced {
            authorization: authorization.clone(),
            token: token.clone(),
            jwks: jwks.clone(),
            userinfo: userinfo.clone(),
            end_session: end_session.clone(),
            algorithms: algorithms.clone(),
        })
    }

    /// How it takes a code that nobody was given: [`ProviderError::InvalidGrant`] if it knows us.
    ///
    /// # Errors
    /// As [`Provider::redeem`].
    pub async fn try_credentials(&self, now: u64) -> Result<(), ProviderError> {
        self.redeem(MADE_UP, VERIFIER, now).await.map(drop)
    }

    /// How it takes an access token that nobody was given: [`ProviderError::TokenRejected`] if all is well.
    ///
    /// # Errors
    /// As [`Provider::userinfo`].
    pub async fn try_userinfo(&self, now: u64) -> Result<(), ProviderError> {
        self.userinfo(&Secret::new(MADE_UP), MADE_UP, now).await.map(drop)
    }

    /// Asks to sign somebody in as a browser would whom the provider does not know, without any page being shown
    /// (`prompt=none`, Core 3.1.2.1), and follows nothing.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn try_sign_in(&self, now: u64) -> Result<Reception, ProviderError> {
        let ask = Ask { state: MADE_UP, nonce: MADE_UP, verifier: VERIFIER, prompt: None, proof: None };
        let mut url = self.authorize_url(ask, now).await?;
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let kept = pairs.iter().filter(|(name, _)| name != "prompt");
        url.query_pairs_mut().clear().extend_pairs(kept).append_pair("prompt", "none");
        // A way of its own, as the usual one never leads to where only browsers go.
        let outbound = Outbound::new(self.settings.dial_map(), Arc::new(Metrics::default()));
        outbound.permit([&url]);
        let request = Request::get(url.as_str()).header(ACCEPT, "text/html");
        let (status, headers) = fetch(Step::Authorization, request, &outbound).await?;
        Ok(self.reception(&url, status, &headers))
    }

    fn reception(&self, asked: &Url, status: StatusCode, headers: &HeaderMap) -> Reception {
        let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
        let location = location.filter(|_| status.is_redirection());
        let Some(to) = location.and_then(|text| asked.join(text).ok()) else {
            return Reception::Page(status.as_u16());
        };
        let ours = &self.settings.redirect_uri;
        if to.origin() != ours.origin() || to.path() != ours.path() {
            return Reception::Elsewhere(to);
        }
        let error = to.query_pairs().find(|(name, _)| name == "error");
        Reception::Back(error.map(|(_, code)| code.into_owned()).unwrap_or_default())
    }
}

async fn fetch(
    step: Step,
    request: http::request::Builder,
    outbound: &Outbound,
) -> Result<(StatusCode, HeaderMap), ProviderError> {
    let failed = |error: OutboundError| ProviderError::Unreachable { step, error };
    let request = request.body(Vec::new()).map_err(|error| ProviderError::Document(error.to_string()))?;
    let (parts, _) = outbound.fetch(request).await.map_err(failed)?.into_parts();
    Ok((parts.status, parts.headers))
}

/// What no provider has given to anybody.
const MADE_UP: &str = "foregate-check";
const VERIFIER: &str = "foregate-check-foregate-check-foregate-check";
