//! Whose certificates are good enough: those the system trusts, or anybody's. Knows no connections.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};

/// The one cryptography library, never the process default.
pub fn cryptography() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// The certificates that the system trusts, or that stand in the file `SSL_CERT_FILE` names; empty if there are none.
pub fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// The same, read when they are first needed, and once for all who share this.
#[derive(Debug, Default)]
pub struct SystemRoots(OnceLock<Arc<RootCertStore>>);

impl SystemRoots {
    /// The certificates; empty if there are none.
    pub fn get(&self) -> Arc<RootCertStore> {
        Arc::clone(self.0.get_or_init(|| Arc::new(system_roots())))
    }
}

/// Accepts every certificate, and still checks that the server holds its key.
#[derive(Debug)]
pub struct AnyServer {
    cryptography: Arc<CryptoProvider>,
}

impl AnyServer {
    /// Checks signatures with `cryptography`.
    pub fn new(cryptography: Arc<CryptoProvider>) -> Self {
        Self { cryptography }
    }
}

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.cryptography.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.cryptography.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.cryptography.signature_verification_algorithms.supported_schemes()
    }
}
