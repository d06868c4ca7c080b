//! Apps behind foregate in every form that one can have, and a foregate before them whose provider nobody needs.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::backend::whole_request;
use super::foregate::Foregate;
use super::http::{Reply, get, raw, request};
use super::tls::Authority;
use super::watch::watched;

/// A Node server, ended when dropped.
pub struct NodeApp {
    child: Child,
    _stdin: Option<ChildStdin>,
    pub port: u16,
}

impl NodeApp {
    /// One with these options of `tests/parts/upstream.mjs`.
    pub fn start(options: &Value) -> Self {
        watched();
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

    pub fn url(&self) -> String {
        format!("\"http://127.0.0.1:{}\"", self.port)
    }

    /// Asks it past foregate; HTTP/1.1 only.
    pub fn ask(&self, path: &str) -> Reply {
        get(([127, 0, 0, 1], self.port).into(), path, &["Connection: close"])
    }

    pub fn tls(kind: &str, authority: &Authority, more: Value) -> Self {
        let own = authority.issue(&["app.test"]);
        let mut options = json!({ "kind": kind, "cert": own.certificate, "key": own.key });
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

/// What a [`Recorder`] does about a request.
pub enum Act {
    /// Sends these bytes and waits for the next request.
    Say(String),
    /// Sends these bytes and closes.
    Last(String),
    /// Says nothing, and keeps the connection.
    Nothing,
}

/// A whole answer.
pub fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// An app that plays a part in bytes and remembers every request with the number of its connection.
pub struct Recorder {
    pub port: u16,
    seen: Arc<Mutex<Vec<(usize, String)>>>,
}

impl Recorder {
    /// Each request is acted on by its number on its connection and its bytes.
    pub fn start(act: impl Fn(usize, &str) -> Act + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").expect("a port"), act)
    }

    pub fn on(listener: TcpListener, act: impl Fn(usize, &str) -> Act + Send + Sync + 'static) -> Self {
        let port = listener.local_addr().expect("an address").port();
        let (seen, act) = (Arc::new(Mutex::new(Vec::new())), Arc::new(act));
        let kept = Arc::clone(&seen);
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().map_while(Result::ok).enumerate() {
                let (kept, act) = (Arc::clone(&kept), Arc::clone(&act));
                std::thread::spawn(move || play(stream, number, &kept, &*act));
            }
        });
        Self { port, seen }
    }

    pub fn seen(&self) -> Vec<(usize, String)> {
        self.seen.lock().expect("the requests").clone()
    }

    /// How often it was asked with this in the request's head.
    pub fn count(&self, part: &str) -> usize {
        self.seen().iter().filter(|(_, request)| request.contains(part)).count()
    }

    pub fn url(&self) -> String {
        format!("\"http://127.0.0.1:{}\"", self.port)
    }
}

fn play(
    mut stream: TcpStream,
    number: usize,
    seen: &Mutex<Vec<(usize, String)>>,
    act: &(impl Fn(usize, &str) -> Act + ?Sized),
) {
    let (mut bytes, mut piece, mut count) = (Vec::new(), [0; 64 * 1024], 0);
    loop {
        while let Some(end) = whole_request(&bytes) {
            let rest = bytes.split_off(end);
            let request = String::from_utf8_lossy(&bytes).into_owned();
            bytes = rest;
            seen.lock().expect("the requests").push((number, request.clone()));
            let written = match act(count, &request) {
                Act::Say(answer) => stream.write_all(answer.as_bytes()).is_ok(),
                Act::Last(answer) => {
                    let _ = stream.write_all(answer.as_bytes());
                    false
                }
                Act::Nothing => true,
            };
            count += 1;
            if !written {
                return;
            }
        }
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(length) => bytes.extend_from_slice(&piece[..length]),
        }
    }
}

/// Waits until something is so, or fails.
pub fn until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
