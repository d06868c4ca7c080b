//! How far a PostgreSQL connection is encrypted, and who may be at its other end. Knows no statements.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::secret::Secret;
use crate::session::store::StoreError;
use crate::trust::{self, AnyServer};

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
    let provider = trust::cryptography();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Unavailable(format!("TLS for PostgreSQL: {error}")))?;
    let config = match trust {
        Trust::Anyone => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer::new(provider)))
        }
        Trust::Verified => builder.with_root_certificates(system_roots()?),
    };
    Ok(MakeRustlsConnect::new(config.with_no_client_auth()))
}

fn system_roots() -> Result<RootCertStore, StoreError> {
    let roots = trust::system_roots();
    if roots.is_empty() {
        let why = "TLS for PostgreSQL: no trusted certificates on this system; name a file of them in SSL_CERT_FILE";
        return Err(StoreError::Unavailable(why.to_owned()));
    }
    Ok(roots)
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
