//! The certificates that TLS listeners show, by the name a client asks for, and anew when their files change. Knows
//! no connections.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig};
use thiserror::Error;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::stamp::Stamp;

/// The two files of a certificate, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The certificate, and behind it those between it and the authority.
    pub certificate: PathBuf,
    /// Its private key: PKCS #8, PKCS #1 or SEC 1, not encrypted.
    pub key: PathBuf,
}

/// Why a certificate cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// One of the files cannot be read.
    #[error("{} cannot be read ({error})", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The first file has no certificate in it.
    #[error("{} holds no certificate in PEM", .0.display())]
    NoCertificate(PathBuf),
    /// The second file has no key in it.
    #[error("{} holds no private key in PEM, or an encrypted one", .0.display())]
    NoKey(PathBuf),
    /// Both are there and belong to others.
    #[error("the key in {} is not that of the certificate in {}", key.display(), certificate.display())]
    Strangers {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// The certificate or its key are of a kind that TLS here does not know.
    #[error("the certificate in {} cannot be used ({error})", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: rustls::Error,
    },
}

/// Certificates with their keys, the ones in force at any time.
#[derive(Debug)]
pub struct Certificates {
    files: Vec<Files>,
    current: ArcSwap<Shelf>,
}

/// All certificates of one moment, by the names they are for.
#[derive(Debug)]
struct Shelf {
    all: Vec<Arc<CertifiedKey>>,
    /// Lower case; with `*` for the first label where any will do. Several for keys of several kinds.
    by_name: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
}

impl Certificates {
    /// Reads all of them; the first is shown to whoever asks for a name that none is for, or for no name.
    ///
    /// # Errors
    /// [`TlsError`] of the first that cannot be used.
    pub fn read(files: Vec<Files>) -> Result<Self, TlsError> {
        let all = files.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self { files, current: ArcSwap::from_pointee(Shelf::new(all)) })
    }

    /// What listeners speak: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.
    ///
    /// # Errors
    /// If the system gives no random bytes for the keys of session tickets.
    pub fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        config.alpn_protocols = vec![H2.to_vec(), HTTP_1_1.to_vec()];
        Ok(Arc::new(config))
    }

    /// Looks at the files again and again until `stop`, and takes each certificate whose files have changed, whole or
    /// not at all. By looking, as files are replaced by symbolic links of directories, on mounts that tell of nothing.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken) {
        let mut watched: Vec<Watched> = self.files.iter().map(|files| Watched::new(files.clone())).collect();
        let mut tick = tokio::time::interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            let certificates = Arc::clone(&self);
            let looked = tokio::task::spawn_blocking(move || {
                certificates.look(&mut watched);
                watched
            });
            let Ok(back) = looked.await else { return };
            watched = back;
        }
    }

    fn look(&self, watched: &mut [Watched]) {
        let news: Vec<_> = watched.iter_mut().map(Watched::news).collect();
        if news.iter().all(Option::is_none) {
            return;
        }
        let before = self.current.load();
        let all = before.all.iter().zip(news).map(|(old, new)| new.unwrap_or_else(|| Arc::clone(old)));
        self.current.store(Arc::new(Shelf::new(all.collect())));
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        let shelf = self.current.load();
        let named = hello.server_name().map_or(&[][..], |name| shelf.named(name));
        named.iter().find(fits).or_else(|| named.first()).or_else(|| shelf.all.first()).cloned()
    }
}

impl Shelf {
    fn new(all: Vec<Arc<CertifiedKey>>) -> Self {
        let mut by_name: HashMap<Box<str>, Vec<_>> = HashMap::new();
        for key in &all {
            for name in names(key) {
                by_name.entry(name).or_default().push(Arc::clone(key));
            }
        }
        Self { all, by_name }
    }

    /// The certificates for a name: its own, else those for any name beside it (RFC 9525 6.3).
    fn named(&self, name: &str) -> &[Arc<CertifiedKey>] {
        let name = name.to_ascii_lowercase();
        let beside = || name.split_once('.').map(|(_, above)| format!("*.{above}"));
        let found = self.by_name.get(&*name).or_else(|| self.by_name.get(&*beside()?));
        found.map_or(&[], Vec::as_slice)
    }
}

/// The names a certificate is for, in lower case; none where it cannot be read.
fn names(key: &CertifiedKey) -> Vec<Box<str>> {
    let Some(certificate) = key.cert.first() else { return Vec::new() };
    let parsed = webpki::EndEntityCert::try_from(certificate);
    parsed.iter().flat_map(|it| it.valid_dns_names()).map(|name| name.to_ascii_lowercase().into()).collect()
}

fn read(files: &Files) -> Result<Arc<CertifiedKey>, TlsError> {
    let text =
        |path: &Path| read_file(path).map_err(|error| TlsError::Unreadable { path: path.to_owned(), error });
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text(&files.certificate)?).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    let chain = chain.ok_or_else(|| TlsError::NoCertificate(files.certificate.clone()))?;
    let key_text = zeroize::Zeroizing::new(text(&files.key)?);
    let key = PrivateKeyDer::from_pem_slice(&key_text).map_err(|_| TlsError::NoKey(files.key.clone()))?;
    let provider: CryptoProvider = aws_lc_rs::default_provider();
    CertifiedKey::from_der(chain, key, &provider).map(Arc::new).map_err(|error| {
        let (certificate, key) = (files.certificate.clone(), files.key.clone());
        if matches!(error, rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) {
            TlsError::Strangers { certificate, key }
        } else {
            TlsError::Unusable { path: certificate, error }
        }
    })
}

/// The bytes of a plain file. Anything else could keep whoever opens it waiting for ever.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    fs::read(path)
}

/// A certificate's files as they were when last looked at.
#[derive(Debug)]
struct Watched {
    files: Files,
    seen: Option<[Option<Stamp>; 2]>,
    /// What was wrong then, told once.
    trouble: Option<String>,
}

impl Watched {
    /// Files that have just been read; what they were like then is not known, so that the first look reads them again.
    fn new(files: Files) -> Self {
        Self { files, seen: None, trouble: None }
    }

    /// The certificate, if its files have changed and it can be used. After an error it is tried again at each look,
    /// as a file may have been half written.
    fn news(&mut self) -> Option<Arc<CertifiedKey>> {
        let now = [Stamp::at(&self.files.certificate), Stamp::at(&self.files.key)];
        if self.seen == Some(now) && self.trouble.is_none() {
            return None;
        }
        let first = self.seen.replace(now).is_none();
        let certificate = self.files.certificate.display();
        match read(&self.files) {
            Ok(key) => {
                self.trouble = None;
                if !first {
                    tracing::info!(%certificate, "a certificate was read anew and is in use");
                }
                Some(key)
            }
            Err(error) => {
                let trouble = Some(error.to_string());
                if trouble != self.trouble {
                    tracing::error!(%certificate, %error, "a new certificate cannot be used: the one before stays in use");
                }
                self.trouble = trouble;
                None
            }
        }
    }
}

/// HTTP/2 by its name in ALPN (RFC 9113 3.2).
pub(super) const H2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";
/// How soon a new certificate is in use.
const LOOK_EVERY: Duration = Duration::from_secs(2);
