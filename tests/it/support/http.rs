//! A client that shows the wire: raw bytes in, raw bytes out, and a small browser on top of it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use url::Url;

/// An answer as it came.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    /// The one value of a header; panics if it came twice, so that no test overlooks that.
    pub fn header(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() <= 1, "{name} came {} times: {self:?}", all.len());
        all.first().copied()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        let fits = |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
        self.headers.iter().filter(fits).map(|(_, value)| value.as_str()).collect()
    }

    pub fn location(&self) -> Url {
        Url::parse(self.header("location").expect("a Location")).expect("an absolute Location")
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }
}

/// A kept connection.
pub struct Wire {
    stream: TcpStream,
    /// What came behind the answer read last.
    left: Vec<u8>,
}

impl Wire {
    pub fn open(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).expect("a connection"))
    }

    /// Either end of a connection that is there.
    pub fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, left: Vec::new() }
    }

    pub fn write(&mut self, bytes: &[u8]) {
        // A server that has said its word may have closed already.
        let _ = self.stream.write_all(bytes);
    }

    /// The same, telling whether anybody still takes it.
    pub fn try_write(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Reads one answer; `None` if the connection ends without one.
    pub fn read(&mut self, head_only: bool) -> Option<Reply> {
        let mut bytes = std::mem::take(&mut self.left);
        let head = loop {
            if let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
                break end + 4;
            }
            let mut piece = [0; 16 * 1024];
            match self.stream.read(&mut piece) {
                Ok(0) | Err(_) => return None,
                Ok(length) => bytes.extend_from_slice(&piece[..length]),
            }
        };
        let mut body = bytes.split_off(head);
        let mut reply = parse_head(&bytes);
        if head_only || matches!(reply.status, 101 | 204 | 304) {
            self.left = body;
            return Some(reply);
        }
        self.read_body(&reply, &mut body);
        reply.body = String::from_utf8_lossy(&body).into_owned();
        Some(reply)
    }

    /// Reads until this has come, and returns all that came up to there.
    pub fn read_until(&mut self, part: &str) -> String {
        loop {
            let text = String::from_utf8_lossy(&self.left).into_owned();
            if let Some(at) = text.find(part) {
                self.left.drain(..at + part.len());
                return text[..at + part.len()].to_owned();
            }
            let mut piece = [0; 16 * 1024];
            match self.stream.read(&mut piece) {
                Ok(0) | Err(_) => panic!("no {part} in {text}"),
                Ok(length) => self.left.extend_from_slice(&piece[..length]),
            }
        }
    }

    fn read_body(&mut self, reply: &Reply, body: &mut Vec<u8>) {
        let length = reply.header("content-length").map(|length| length.parse::<usize>().expect("a length"));
        let chunked = reply.header("transfer-encoding") == Some("chunked");
        let mut piece = [0; 16 * 1024];
        loop {
            let done = match length {
                Some(length) => body.len() >= length,
                None => chunked && body.ends_with(b"0\r\n\r\n"),
            };
            if done {
                break;
            }
            match self.stream.read(&mut piece) {
                Ok(0) | Err(_) => break,
                Ok(length) => body.extend_from_slice(&piece[..length]),
            }
        }
        if chunked {
            *body = unchunk(body);
        } else if let Some(length) = length {
            self.left = body.split_off(length.min(body.len()));
        }
    }

    /// The bytes of a head as they came, up to the empty line.
    pub fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.left.windows(4).position(|part| part == b"\r\n\r\n") {
                let rest = self.left.split_off(end + 4);
                let head = std::mem::replace(&mut self.left, rest);
                return String::from_utf8(head).expect("text");
            }
            assert!(self.more(), "no head: {:?}", String::from_utf8_lossy(&self.left));
        }
    }

    /// The next bytes, so many of them.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.left.len() < count {
            assert!(self.more(), "only {:?}", String::from_utf8_lossy(&self.left));
        }
        let rest = self.left.split_off(count);
        std::mem::replace(&mut self.left, rest)
    }

    /// Writes up to so many times; how often it was all taken before nobody took any more.
    pub fn write_until_stuck(&mut self, bytes: &[u8], times: usize) -> usize {
        self.stream.set_write_timeout(Some(Duration::from_secs(1))).expect("a time");
        (0..times).take_while(|_| self.stream.write_all(bytes).is_ok()).count()
    }

    /// Reads so many bytes and forgets them.
    pub fn skip(&mut self, count: usize) {
        let mut left = count - self.left.drain(..self.left.len().min(count)).count();
        let mut piece = vec![0; 256 * 1024];
        while left > 0 {
            let most = left.min(piece.len());
            let length = self.stream.read(&mut piece[..most]).expect("bytes");
            assert!(length > 0, "{left} bytes are missing");
            left -= length;
        }
    }

    /// Whether something has come, after a short wait.
    pub fn peek(&mut self) -> bool {
        self.stream.set_read_timeout(Some(Duration::from_millis(5))).expect("a time");
        let here = matches!(self.stream.peek(&mut [0]), Ok(1));
        self.wait_up_to(20);
        here
    }

    /// Everything up to the end, which must come; whether it came by a reset does not count.
    pub fn until_the_end(&mut self) -> Vec<u8> {
        while self.more() {}
        std::mem::take(&mut self.left)
    }

    /// Reads some more; `false` at the end. A wait that is too long is no end.
    fn more(&mut self) -> bool {
        let mut piece = [0; 64 * 1024];
        match self.stream.read(&mut piece) {
            Ok(length) => {
                self.left.extend_from_slice(&piece[..length]);
                length > 0
            }
            Err(error) => {
                let late = [std::io::ErrorKind::WouldBlock, std::io::ErrorKind::TimedOut];
                assert!(!late.contains(&error.kind()), "nothing came: {:?}", self.left);
                false
            }
        }
    }

    /// How many seconds to wait for bytes, where that takes longer than usual.
    pub fn wait_up_to(&self, seconds: u64) {
        self.stream.set_read_timeout(Some(Duration::from_secs(seconds))).expect("a time");
    }

    /// Ends it with a reset (RST) instead of a farewell.
    pub fn reset(self) {
        let socket = socket2::SockRef::from(&self.stream);
        socket.set_linger(Some(Duration::ZERO)).expect("a socket");
    }

    /// Says that nothing more will be written.
    pub fn finish(&self) {
        self.stream.shutdown(std::net::Shutdown::Write).expect("an end");
    }

    /// Whether the other side has closed, waiting for it.
    pub fn ends(&mut self) -> bool {
        matches!(self.stream.read(&mut [0; 16]), Ok(0))
    }
}

fn parse_head(bytes: &[u8]) -> Reply {
    let text = String::from_utf8_lossy(bytes);
    // Other blanks than those of HTTP are a part of the value.
    let mut lines = text.trim_ascii_end().split("\r\n");
    let status =
        lines.next().unwrap_or_default().split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    let header = |line: &str| {
        line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim_ascii().to_owned()))
    };
    Reply { status, headers: lines.filter_map(header).collect(), body: String::new() }
}

fn unchunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = bytes.windows(2).position(|part| part == b"\r\n") {
        let size = usize::from_str_radix(String::from_utf8_lossy(&bytes[..end]).trim(), 16).unwrap_or(0);
        if size == 0 || bytes.len() < end + 2 + size {
            break;
        }
        body.extend_from_slice(&bytes[end + 2..end + 2 + size]);
        bytes = bytes.get(end + 4 + size..).unwrap_or_default();
    }
    body
}

/// Sends one request on a connection of its own.
pub fn raw(address: SocketAddr, request: &[u8]) -> Reply {
    let mut wire = Wire::open(address);
    wire.write(request);
    wire.read(request.starts_with(b"HEAD ")).unwrap_or_default()
}

/// A GET with these header lines.
pub fn get(address: SocketAddr, target: &str, lines: &[&str]) -> Reply {
    raw(address, request("GET", target, lines, "").as_bytes())
}

/// The bytes of a request; `Host` is added where no line gives one.
pub fn request(method: &str, target: &str, lines: &[&str], body: &str) -> String {
    let mut text = format!("{method} {target} HTTP/1.1\r\n");
    if !lines.iter().any(|line| line.to_ascii_lowercase().starts_with("host:")) {
        text.push_str("Host: foregate.internal\r\n");
    }
    for line in lines {
        text.push_str(line);
        text.push_str("\r\n");
    }
    if !body.is_empty() {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text + "\r\n" + body
}

/// A cookie as a browser keeps it.
#[derive(Clone, Debug)]
pub struct Cookie {
    pub name: String,
    pub value: String,
    /// The host that set it, or the domain it was set for.
    pub domain: String,
    pub host_only: bool,
}

/// A person's browser: keeps cookies, follows redirects, and finds every `*.localhost` on loopback.
#[derive(Clone, Debug, Default)]
pub struct Browser {
    pub jar: Vec<Cookie>,
    /// Every address visited, in order.
    pub visited: Vec<Url>,
    /// Header lines sent with each request.
    pub lines: Vec<String>,
}

/// What an `Accept` of a page navigation looks like.
pub const NAVIGATES: &str = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

impl Browser {
    /// Opens a page and follows redirects to where they end.
    pub fn open(&mut self, url: &str) -> Reply {
        let mut url = Url::parse(url).expect("a URL");
        let mut reply = self.step("GET", &url, "");
        for _ in 0..12 {
            if !(300..400).contains(&reply.status) {
                return reply;
            }
            url = url.join(reply.header("location").expect("a Location")).expect("a URL");
            reply = self.step("GET", &url, "");
        }
        panic!("too many redirects: {:#?}", self.visited.iter().map(Url::as_str).collect::<Vec<_>>());
    }

    /// Opens a page, signs in at the provider as `user` where it asks, and follows to the end.
    pub fn sign_in(&mut self, url: &str, user: &str) -> Reply {
        let reply = self.open(url);
        let here = self.visited.last().expect("a page").clone();
        assert!(here.path().starts_with("/if/flow/login/"), "no sign-in page at {here}: {reply:?}");
        self.submit(&here, &format!("login={user}"))
    }

    /// Posts a form and follows redirects.
    pub fn submit(&mut self, url: &Url, form: &str) -> Reply {
        let reply = self.step("POST", url, form);
        if !(300..400).contains(&reply.status) {
            return reply;
        }
        let next = url.join(reply.header("location").expect("a Location")).expect("a URL");
        self.open(next.as_str())
    }

    /// One request, without following anything.
    pub fn step(&mut self, method: &str, url: &Url, form: &str) -> Reply {
        self.visited.push(url.clone());
        let host = url.host_str().expect("a host").to_owned();
        let port = url.port_or_known_default().expect("a port");
        let mut lines =
            vec![format!("Host: {host}:{port}"), NAVIGATES.to_owned(), "Connection: close".to_owned()];
        lines.extend(self.lines.iter().cloned());
        let cookies: Vec<String> = self
            .jar
            .iter()
            .filter(|cookie| cookie.is_for(&host))
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        if !cookies.is_empty() {
            lines.push(format!("Cookie: {}", cookies.join("; ")));
        }
        if !form.is_empty() {
            lines.push("Content-Type: application/x-www-form-urlencoded".to_owned());
        }
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let target =
            url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let reply =
            raw(SocketAddr::from(([127, 0, 0, 1], port)), request(method, &target, &lines, form).as_bytes());
        for line in reply.all("set-cookie") {
            self.keep(line, &host);
        }
        reply
    }

    /// Keeps what a `Set-Cookie` line says.
    pub fn keep(&mut self, line: &str, host: &str) {
        let mut parts = line.split(';').map(str::trim);
        let (name, value) = parts.next().unwrap_or_default().split_once('=').expect("a cookie");
        let (mut domain, mut host_only, mut gone) = (host.to_owned(), true, false);
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            match key.to_ascii_lowercase().as_str() {
                "domain" => (domain, host_only) = (value.trim_start_matches('.').to_owned(), false),
                "max-age" => gone = value == "0",
                "expires" => gone |= value.contains("1970"),
                _ => {}
            }
        }
        self.jar.retain(|cookie| !(cookie.name == name && cookie.domain == domain));
        if !gone {
            self.jar.push(Cookie { name: name.to_owned(), value: value.to_owned(), domain, host_only });
        }
    }

    pub fn cookie(&self, name: &str) -> Option<&Cookie> {
        self.jar.iter().find(|cookie| cookie.name == name)
    }

    /// How many of the pages visited were at `host`.
    pub fn visits_to(&self, host: &str) -> usize {
        self.visited.iter().filter(|url| url.host_str() == Some(host)).count()
    }
}

impl Cookie {
    fn is_for(&self, host: &str) -> bool {
        let below =
            host.strip_suffix(&self.domain).is_some_and(|front| front.is_empty() || front.ends_with('.'));
        if self.host_only { host == self.domain } else { below }
    }
}
