//! Apps behind foregate in every form that one can have, and a foregate before them whose provider nobody needs.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::{Value, json};

use super::foregate::Foregate;
use super::http::{Reply, raw, request};

/// A Node server, ended when dropped.
pub struct NodeApp {
    child: Child,
    _stdin: Option<ChildStdin>,
    pub port: u16,
}

impl NodeApp {
    /// One with these options of `tests/parts/upstream.mjs`.
    pub fn start(options: &Value) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut child = Command::new(root.join(".tools/bin/node"))
            .arg(root.join("tests/parts/upstream.mjs"))
            .arg(options.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts: run tests/setup.sh first");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("stdout")).read_line(&mut line).expect("a line");
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not ready: {line}"));
        let port = u16::try_from(ready["port"].as_u64().unwrap_or(0)).expect("a port");
        Self { _stdin: child.stdin.take(), child, port }
    }

    pub fn kind(kind: &str) -> Self {
        Self::start(&json!({ "kind": kind }))
    }

    pub fn tls(kind: &str, authority: &Authority, more: Value) -> Self {
        let (cert, key) = authority.issue("app.test");
        let mut options = json!({ "kind": kind, "cert": cert, "key": key });
        if let (Value::Object(options), Value::Object(more)) = (&mut options, more) {
            options.extend(more);
        }
        Self::start(&options)
    }
}

impl Drop for NodeApp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Somebody who vouches for certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "somebody's own");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a name, and its key.
    pub fn issue(&self, name: &str) -> (String, String) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

/// A foregate before one app on the host `app.localhost`, which is open to everybody.
pub fn before(upstream: &str, keys: &str) -> Foregate {
    Foregate::start(&config(&format!(
        "[apps.\"app.localhost\"]\nallow = \"public\"\nupstream = {upstream}\n{keys}\n"
    )))
}

pub fn config(apps: &str) -> String {
    format!(
        r#"
public_url = "http://auth.localhost"
[server]
listen = "LISTEN"
admin_listen = "ADMIN"
[session]
store = "sqlite:DIR/foregate.db"
[provider]
issuer = "http://127.0.0.1:1/"
client_id = "foregate"
client_secret = "hunter2"
{apps}"#
    )
}

/// Asks the app, on a connection of its own.
pub fn ask(foregate: &Foregate, method: &str, path: &str, lines: &[&str], body: &str) -> Reply {
    let lines = [&["Host: app.localhost", "Connection: close"], lines].concat();
    raw(foregate.public, request(method, path, &lines, body).as_bytes())
}
