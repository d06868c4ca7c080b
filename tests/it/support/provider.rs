//! A certified OpenID Provider (npm `oidc-provider`) in Authentik's shape, with a lever for every mishap.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use super::http::{raw, request};
use super::watch::{tell, watched};

const START_TIME: Duration = Duration::from_secs(60);

/// A running provider. It ends when its standard input does, so it never outlives the test.
pub struct Provider {
    child: Child,
    _stdin: Option<ChildStdin>,
    pub issuer: String,
    pub port: u16,
    pub secret: String,
    control: SocketAddr,
}

impl Provider {
    /// Starts one with these options of `tests/parts/provider.mjs`. One that says nothing is started once more, and that is told.
    pub fn start(options: &Value) -> Self {
        watched();
        let started = Self::try_start(options).or_else(|| {
            tell(format_args!("a provider said nothing in {START_TIME:?}"));
            Self::try_start(options)
        });
        started.expect("a provider that is ready in time")
    }

    fn try_start(options: &Value) -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut child = Command::new(root.join(".tools/bin/node"))
            .arg(root.join("tests/parts/provider.mjs"))
            .arg(options.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the provider starts: run tests/setup.sh first");
        let out = child.stdout.take().expect("stdout");
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(out).read_line(&mut line);
            let _ = tell.send(line);
        });
        let Ok(line) = told.recv_timeout(START_TIME) else {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        };
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not ready: {line}"));
        let control = Url::parse(ready["control"].as_str().expect("control")).expect("a URL");
        Some(Self {
            _stdin: child.stdin.take(),
            child,
            issuer: ready["issuer"].as_str().expect("issuer").to_owned(),
            port: u16::try_from(ready["port"].as_u64().expect("port")).expect("a port"),
            secret: ready["clientSecret"].as_str().expect("secret").to_owned(),
            control: SocketAddr::from(([127, 0, 0, 1], control.port().expect("a port"))),
        })
    }

    /// One that knows a foregate at this public address.
    pub fn for_foregate(public_url: &str, more: Value) -> Self {
        let mut options = json!({
            "redirectUris": [format!("{public_url}/.foregate/callback")],
            "postLogoutRedirectUris": [format!("{public_url}/.foregate/signed-out")],
        });
        if let (Value::Object(options), Value::Object(more)) = (&mut options, more) {
            options.extend(more);
        }
        Self::start(&options)
    }

    /// Pulls a lever: `rotate-keys`, `pause?mode=hang`, `resume`, `user`, …
    pub fn control(&self, what: &str, body: &Value) -> Value {
        let body = if body.is_null() { "{}".to_owned() } else { body.to_string() };
        let lines = ["Content-Type: application/json", "Connection: close"];
        let reply = raw(self.control, request("POST", &format!("/{what}"), &lines, &body).as_bytes());
        assert!((200..300).contains(&reply.status), "{what}: {reply:?}");
        serde_json::from_str(&reply.body).unwrap_or(Value::Null)
    }

    /// The address of a lever, for others to pull with a POST of JSON.
    pub fn lever(&self, what: &str) -> String {
        format!("http://{}/{what}", self.control)
    }

    /// Every request the provider has received.
    pub fn log(&self) -> Vec<Value> {
        let reply = raw(self.control, request("GET", "/log", &["Connection: close"], "").as_bytes());
        reply.json().as_array().cloned().unwrap_or_default()
    }

    /// How many of them asked for a path that ends like this.
    pub fn asked(&self, path: &str) -> usize {
        self.log()
            .iter()
            .filter(|entry| entry["path"].as_str().is_some_and(|asked| asked.ends_with(path)))
            .count()
    }

    /// The `[provider]` table for it.
    pub fn config(&self) -> String {
        self.table("provider")
    }

    /// Such a table under this name.
    pub fn table(&self, name: &str) -> String {
        format!(
            "[{name}]\nissuer = \"{}\"\nclient_id = \"foregate\"\nclient_secret = \"{}\"\n",
            self.issuer, self.secret
        )
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.kill();
    }
}
