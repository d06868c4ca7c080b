//! Where a connection really goes. Knows addresses and TLS, no requests.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use tower_service::Service;
use url::{Origin, Url};

use super::DialMap;

/// Connects to an address, or for the public origin to the internal one instead.
#[derive(Clone)]
pub(super) struct Dial {
    carrier: Carrier,
    map: Option<(Origin, Url)>,
}

#[derive(Clone)]
enum Carrier {
    /// With TLS where the address says https.
    Full(HttpsConnector<HttpConnector>),
    /// No root certificates here: http only, and https is an error.
    Plain(HttpConnector),
}

impl Dial {
    /// A connector, and why https cannot work if it cannot.
    pub(super) fn new(map: Option<&DialMap>, deadline: Duration) -> (Self, Option<String>) {
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.set_connect_timeout(Some(deadline));
        let (carrier, fault) = match system_tls() {
            Ok(tls) => {
                http.enforce_http(false);
                let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
                (Carrier::Full(https.enable_http1().wrap_connector(http)), None)
            }
            Err(error) => (Carrier::Plain(http), Some(error.to_string())),
        };
        let map = map.map(|map| (map.public_origin.origin(), map.internal.clone()));
        (Self { carrier, map }, fault)
    }

    fn target(&self, uri: Uri) -> Uri {
        let Some((public, internal)) = &self.map else { return uri };
        let is_public = Url::parse(&uri.to_string()).is_ok_and(|url| url.origin() == *public);
        // Only scheme and authority are dialled; the path here is always "/".
        if is_public { internal.as_str().parse().unwrap_or(uri) } else { uri }
    }
}

impl Service<Uri> for Dial {
    type Response = <HttpsConnector<HttpConnector> as Service<Uri>>::Response;
    type Error = <HttpsConnector<HttpConnector> as Service<Uri>>::Error;
    type Future = <HttpsConnector<HttpConnector> as Service<Uri>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        match &mut self.carrier {
            Carrier::Full(https) => https.poll_ready(context),
            Carrier::Plain(http) => http.poll_ready(context).map_err(Into::into),
        }
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let target = self.target(uri);
        match &mut self.carrier {
            Carrier::Full(https) => https.call(target),
            Carrier::Plain(http) => {
                let connecting = http.call(target);
                Box::pin(async move { Ok(MaybeHttpsStream::Http(connecting.await?)) })
            }
        }
    }
}

/// TLS with the system's root certificates and the one cryptography library, never the process default.
fn system_tls() -> io::Result<ClientConfig> {
    Ok(ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_native_roots()?
        .with_no_client_auth())
}
