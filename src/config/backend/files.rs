//! Certificates and keys from PEM files, and passwords from files. Knows no settings.

use std::fs::File;
use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// All certificates of a file, in its order; the error says why not.
pub(in crate::config) fn read_certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = read(path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err("which holds no certificate".to_owned()),
        Err(_) => Err("which is not PEM".to_owned()),
    }
}

/// The first private key of a file; the error says why not.
pub(super) fn read_key(path: &str) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|_| "which holds no private key".to_owned())
}

/// A line `user:password` as `Authorization` has it (RFC 7617 2); the error says why not.
pub(super) fn read_basic(path: &str) -> Result<Secret, String> {
    let bytes = read(path)?;
    let line = std::str::from_utf8(&bytes).map_err(|_| "which is not UTF-8")?;
    let line = line.strip_suffix('\n').map_or(line, |line| line.strip_suffix('\r').unwrap_or(line));
    if !line.contains(':') || line.contains(char::is_control) {
        return Err("which is not one line, user:password".to_owned());
    }
    Ok(Secret::new(format!("Basic {}", STANDARD.encode(line))))
}

fn read(path: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let unreadable = |error: std::io::Error| format!("which cannot be read ({})", error.kind());
    let mut bytes = Zeroizing::new(Vec::new());
    let file = File::open(path).map_err(unreadable)?;
    file.take(LONGEST_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LONGEST_BYTES {
        return Err("which is longer than 1 MiB".to_owned());
    }
    Ok(bytes)
}

/// The certificates of a whole system are shorter.
const LONGEST_BYTES: u64 = 1 << 20;
