//! How far a PostgreSQL connection is encrypted, and who may be at its other end. Knows no statements.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::secret::Secret;
use crate::session::store::StoreError;

/// Whose certificate is good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// Anybody's. For `sslmode=prefer`, where who stands in between could as well say "no TLS here".
    Anyone,
    /// One that the system trusts, for the host of the URL.
    Verified,
}

/// Reads a connection URL. What is wrong with it is told without quoting it, as it may hold a password.
pub(super) fn read(url: &Secret) -> Result<(Config, Trust), StoreError> {
    let url = url.expose();
    let refuse =
        |why: &str| Err(StoreError::Unavailable(format!("the PostgreSQL URL cannot be used: {why}")));
    if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
        return refuse("it must start with postgres:// or postgresql://");
    }
    let (place, options) = url.split_once('?').unwrap_or((url, ""));
    if options.contains("sslrootcert=") {
        return refuse("sslrootcert is not known here; name the file in the variable SSL_CERT_FILE");
    }
    // We verify in full wherever we verify, so these two are `require`.
    let options = options
        .split('&')
        .map(|option| match option {
            "sslmode=verify-full" | "sslmode=verify-ca" => "sslmode=require",
            other => other,
        })
        .collect::<Vec<_>>()
        .join("&");
    let Ok(config) = format!("{place}?{options}").trim_end_matches('?').parse::<Config>() else {
        return refuse(FORM);
    };
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return refuse("it names no host");
    }
    let trust = if config.get_ssl_mode() == SslMode::Require { Trust::Verified } else { Trust::Anyone };
    Ok((config, trust))
}

/// What encrypts connections.
pub(super) fn connector(trust: Trust) -> Result<MakeRustlsConnect, StoreError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Unavailable(format!("TLS for PostgreSQL: {error}")))?;
    let config = match trust {
        Trust::Anyone => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer { provider }))
        }
        Trust::Verified => builder.with_root_certificates(system_roots()?),
    };
    Ok(MakeRustlsConnect::new(config.with_no_client_auth()))
}

fn system_roots() -> Result<RootCertStore, StoreError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let why = "TLS for PostgreSQL: no trusted certificates on this system; name a file of them in SSL_CERT_FILE";
        return Err(StoreError::Unavailable(why.to_owned()));
    }
    Ok(roots)
}

/// Accepts every certificate, and still checks that the server holds its key.
#[derive(Debug)]
struct AnyServer {
    provider: Arc<CryptoProvider>,
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
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// How a URL looks.
const FORM: &str = "it must look like postgresql://user:password@host:port/database?sslmode=require, with special \
    characters in the password percent-encoded; sslmode is disable, prefer, require or verify-full";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sslmode_says_how_far_to_trust() {
        for (url, mode, trust) in [
            ("postgresql://u:p@db.test/f", SslMode::Prefer, Trust::Anyone),
            ("postgres://u:p@db.test/f?sslmode=disable", SslMode::Disable, Trust::Anyone),
            ("postgresql://u:p@db.test/f?sslmode=prefer", SslMode::Prefer, Trust::Anyone),
            ("postgresql://u:p@db.test/f?sslmode=require", SslMode::Require, Trust::Verified),
            (
                "postgresql://u@db.test/f?connect_timeout=1&sslmode=verify-full",
                SslMode::Require,
                Trust::Verified,
            ),
            (
                "postgresql://u@db.test/f?sslmode=verify-ca&connect_timeout=1",
                SslMode::Require,
                Trust::Verified,
            ),
        ] {
            let (config, found) = read(&Secret::new(url)).unwrap();
            assert_eq!((config.get_ssl_mode(), found), (mode, trust), "{url}");
            assert!(connector(found).is_ok() || found == Trust::Verified, "{url}");
        }
    }

    #[test]
    fn a_bad_url_is_refused_and_never_quoted() {
        for url in [
            "",
            "hunter2",
            "host=db user=u password=hunter2",
            "mysql://u:hunter2@db.test/f",
            "postgresql://",
            "postgresql:///f?user=hunter2",
            "postgresql://u:hunter2@db.test/f?sslmode=hunter2",
            "postgresql://u:hunter2@db.test/f?hunter2=1",
            "postgresql://u:hunter2@db.test/f?sslrootcert=/hunter2",
            "postgresql://u:hunter2@db.test:hunter2/f",
        ] {
            let error = read(&Secret::new(url)).unwrap_err();
            assert!(matches!(&error, StoreError::Unavailable(_)), "{url}: {error}");
            assert!(!error.to_string().contains("hunter2"), "{url}: {error}");
        }
    }
}
