//! An app that knows nothing of signing in: says what it got, and remembers it. A WebSocket is accepted for the
//! example key of RFC 6455 1.3, and whatever comes through it is looked at as further requests.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A backend on loopback. It answers every request with the request itself.
pub struct Backend {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

/// The protocols that a backend changes to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaks {
    WebSocket,
    Everything,
}

impl Backend {
    pub fn start() -> Self {
        Self::that(Speaks::WebSocket)
    }

    /// One that changes to whatever protocol it is asked for.
    pub fn that_speaks_everything() -> Self {
        Self::that(Speaks::Everything)
    }

    fn that(speaks: Speaks) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || serve(stream, &kept, speaks));
            }
        });
        Self { address, seen }
    }

    /// The requests it got, as they came.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("the requests").clone()
    }

    /// The requests behind the first so many of them.
    pub fn seen_after(&self, count: usize) -> Vec<String> {
        self.seen.lock().expect("the requests")[count..].to_vec()
    }

    /// Waits until it was asked for a path.
    pub fn wait_for(&self, path: &str) {
        let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !has_asked(&self.seen, path) {
            assert!(std::time::Instant::now() < end, "nobody asked for {path}: {:?}", self.seen());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn serve(mut stream: TcpStream, seen: &Mutex<Vec<String>>, speaks: Speaks) {
    let mut bytes = Vec::new();
    let mut piece = [0; 64 * 1024];
    loop {
        while let Some(end) = whole_request(&bytes) {
            let rest = bytes.split_off(end);
            let request = String::from_utf8_lossy(&bytes).into_owned();
            bytes = rest;
            seen.lock().expect("the requests").push(request.clone());
            let asked = request.to_ascii_lowercase();
            let asked =
                asked.split_once("\r\nupgrade: ").and_then(|(_, rest)| rest.split([',', '\r']).next());
            let changed = asked
                .filter(|asked| *asked == "websocket" || !asked.is_empty() && speaks == Speaks::Everything);
            let answer = if let Some(protocol) = changed {
                format!(
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello"
                )
            } else if request.starts_with("GET /form ") {
                ok("text/html; charset=utf-8", FORM)
            } else if request.starts_with("POST /away?") {
                let to = request.split(['?', ' ']).nth(2).unwrap_or_default();
                format!("HTTP/1.1 303 See Other\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
            } else {
                ok("text/plain", &request)
            };
            // One half at once, the other only when somebody asks to finish.
            let (first, rest) = answer.split_at(if request.starts_with("GET /half ") {
                answer.len() - 5
            } else {
                answer.len()
            });
            let mut written = stream.write_all(first.as_bytes()).is_ok();
            while written && !rest.is_empty() && !has_asked(seen, "/finish") {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            written &= stream.write_all(rest.as_bytes()).is_ok();
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

fn ok(kind: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A form with whatever could get lost on a detour.
pub const FORM: &str = r#"<!doctype html><meta charset="utf-8"><title>A form</title>
<form method="post" action="/save?x=1&amp;y=%20z">
<textarea name="text">first line
"quoted" &amp;amp; &lt;b&gt;bold&lt;/b&gt; 'single' %41 + ~
</textarea>
<input name="tag" value="b"><input name="tag" value="a"><input name="tag" value="b">
<input name="submit" value="a name that hides form.submit"><input name="kept" value="ours">
<input name="action" value="/elsewhere"><input name="empty">
<input type="hidden" name="na&quot;me[]&#9;ü" value="&#1;&#11;&#12;&#31;&#127;&#x85;&#xa0;&#x2028;&#xfeff;€😀 &amp;#0; `${x}` {{ x }} </form><script>">
<input type="hidden" name="_charset_">
<button name="go" value="save">Save</button>
</form>"#;

fn has_asked(seen: &Mutex<Vec<String>>, path: &str) -> bool {
    seen.lock().expect("the requests").iter().any(|request| request.contains(path))
}

pub(super) fn whole_request(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|part| part == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    if text.contains("transfer-encoding: chunked") {
        let is_last = |at: &usize| *at == head || bytes[..*at].ends_with(b"\r\n");
        let last = (head..bytes.len()).filter(is_last).find(|at| bytes[*at..].starts_with(b"0\r\n"))?;
        // Headers may stand behind the last chunk.
        let end = bytes[last..].windows(4).position(|part| part == b"\r\n\r\n")?;
        return Some(last + end + 4);
    }
    let length =
        text.split("content-length:").nth(1).and_then(|rest| rest.split("\r\n").next()?.trim().parse().ok());
    let end = head + length.unwrap_or(0);
    (bytes.len() >= end).then_some(end)
}
