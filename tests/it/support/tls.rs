//! Certificates made on the spot, and clients that speak TLS.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Who signs certificates for tests, in a directory of its own.
pub struct Authority {
    dir: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM.
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, "An authority for tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let dir = tempfile::tempdir().expect("a directory");
        let own = params.self_signed(&key).expect("a certificate");
        std::fs::write(dir.path().join("ca.pem"), own.pem()).expect("a file");
        Self { dir, issuer: Issuer::new(params, key) }
    }

    /// A new certificate for these names.
    pub fn issue(&self, names: &[&str]) -> Pair {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(names).expect("names");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// The same as two files `NAME.crt` and `NAME.key`.
    pub fn write(&self, name: &str, names: &[&str]) -> Pair {
        let pair = self.issue(names);
        pair.write(&self.path(&format!("{name}.crt")), &self.path(&format!("{name}.key")));
        pair
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    /// The path of one of its files, as text for a configuration.
    pub fn file(&self, file: &str) -> String {
        self.path(file).to_str().expect("a path").to_owned()
    }

    /// Connects and asks for a host, offering these protocols.
    pub fn connect(&self, address: SocketAddr, host: &str, alpn: &[&str]) -> std::io::Result<Secure> {
        let mut roots = RootCertStore::empty();
        let own = CertificateDer::from_pem_file(self.path("ca.pem")).expect("a certificate");
        roots.add(own).expect("a root");
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = ServerName::try_from(host.to_owned()).expect("a name");
        let mut client = ClientConnection::new(Arc::new(config), name).expect("a client");
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        client.complete_io(&mut stream)?;
        Ok(Secure(StreamOwned::new(client, stream)))
    }

    /// Runs curl, which trusts this authority and finds every host at this port of 127.0.0.1: status, HTTP version, body.
    pub fn curl(&self, port: u16, args: &[&str]) -> (u16, String, String) {
        let output = Command::new("curl")
            .args(["-sS", "--max-time", "20", "--cacert", &self.file("ca.pem")])
            .args(["--connect-to", &format!("::127.0.0.1:{port}"), "-w", "\n%{http_code} %{http_version}"])
            .args(args)
            .output()
            .expect("curl");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, last) = text.rsplit_once('\n').expect("a last line");
        let (code, version) = last.split_once(' ').expect("code and version");
        assert_ne!(code, "000", "{}", String::from_utf8_lossy(&output.stderr));
        (code.parse().expect("a code"), version.to_owned(), body.to_owned())
    }
}

impl Pair {
    pub fn write(&self, certificate: &Path, key: &Path) {
        std::fs::write(certificate, &self.certificate).expect("a file");
        std::fs::write(key, &self.key).expect("a file");
    }

    /// The certificate as it goes over the wire.
    pub fn der(&self) -> Vec<u8> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("a certificate").to_vec()
    }
}

/// A client's TLS connection.
pub struct Secure(pub StreamOwned<ClientConnection, TcpStream>);

impl Secure {
    /// What the server showed.
    pub fn certificate(&self) -> Vec<u8> {
        self.0.conn.peer_certificates().expect("certificates")[0].to_vec()
    }

    /// Whether the other side has closed, in whatever way, waiting for it.
    pub fn ends(&mut self) -> bool {
        let mut piece = [0; 16 * 1024];
        loop {
            match self.0.read(&mut piece) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return !matches!(error.kind(), std::io::ErrorKind::WouldBlock),
            }
        }
    }

    pub fn write(&mut self, bytes: &[u8]) {
        // A server that has said its word may have closed already.
        let _ = self.0.write_all(bytes).and_then(|()| self.0.flush());
    }
}
