//! How far a backend's certificate is trusted, and who we are to it. Knows no addresses.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tokio_rustls::TlsConnector;

use crate::trust::{AnyServer, SystemRoots, cryptography};

/// The TLS facts of one backend.
#[derive(Debug, PartialEq, Eq)]
pub struct Tls {
    /// Whose certificates are good.
    pub roots: Roots,
    /// What we show when asked who we are.
    pub client: Option<ClientCertificate>,
    /// The name its certificate must have, and that is asked for (SNI); `None` is the target's host.
    pub server_name: Option<ServerName<'static>>,
    /// Whether HTTP/2 is offered.
    pub http2: bool,
}

/// Whose certificates are good.
#[derive(Debug, PartialEq, Eq)]
pub enum Roots {
    /// Whom the system trusts.
    System,
    /// These alone.
    Own(Vec<CertificateDer<'static>>),
    /// Anybody's: who stands in between reads and changes everything.
    Anybody,
}

/// A certificate with those it hangs on, and its key.
#[derive(Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Our own first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key; prints as nothing.
    pub key: PrivateKeyDer<'static>,
}

/// Why TLS cannot be spoken.
#[derive(Debug, Error)]
pub enum TlsError {
    /// Nobody is trusted.
    #[error("this system trusts no certificates: name a file of them in ca_file or SSL_CERT_FILE")]
    NoRoots,
    /// One that should be trusted, or our own, cannot be used.
    #[error("{0}: name PEM files with a certificate that fits its key")]
    Unusable(rustls::Error),
}

impl Default for Tls {
    fn default() -> Self {
        Self { roots: Roots::System, client: None, server_name: None, http2: true }
    }
}

/// What opens connections, with and without an offer of HTTP/2.
#[derive(Clone)]
pub(super) struct Connectors {
    pub any: TlsConnector,
    pub http1: TlsConnector,
}

impl Tls {
    /// Sees whether certificates and keys can be used at all.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn check(&self) -> Result<(), TlsError> {
        self.config(&SystemRoots::default()).map(drop)
    }

    pub(super) fn connectors(&self, system: &SystemRoots) -> Result<Connectors, TlsError> {
        let mut http1 = self.config(system)?;
        let mut any = http1.clone();
        http1.alpn_protocols = vec![HTTP_1.to_vec()];
        any.alpn_protocols =
            if self.http2 { vec![HTTP_2.to_vec(), HTTP_1.to_vec()] } else { vec![HTTP_1.to_vec()] };
        let connector = |config| TlsConnector::from(Arc::new(config));
        Ok(Connectors { any: connector(any), http1: connector(http1) })
    }

    fn config(&self, system: &SystemRoots) -> Result<ClientConfig, TlsError> {
        let cryptography = cryptography();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&cryptography))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unusable)?;
        let builder = match &self.roots {
            Roots::System => builder.with_root_certificates(
                Some(system.get()).filter(|roots| !roots.is_empty()).ok_or(TlsError::NoRoots)?,
            ),
            Roots::Own(certificates) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates {
                    roots.add(certificate.clone()).map_err(TlsError::Unusable)?;
                }
                builder.with_root_certificates(roots)
            }
            Roots::Anybody => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer::new(cryptography)))
            }
        };
        match &self.client {
            None => Ok(builder.with_no_client_auth()),
            Some(client) => builder
                .with_client_auth_cert(client.chain.clone(), client.key.clone_key())
                .map_err(TlsError::Unusable),
        }
    }
}

/// Names of protocols as they are agreed on (RFC 7301 6).
pub(super) const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";
