//! HTTP/2 as browsers speak it, and as nobody should: frames by hand, one law each.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::process::Command;

use serde_json::Value;

use crate::support::backend::Backend;
use crate::support::foregate::Foregate;
use crate::support::tls::{Authority, Secure};
use crate::tls::config;

const HOST: &str = "open.foregate.localhost";

struct Scene {
    authority: Authority,
    backend: Backend,
    foregate: Foregate,
}

impl Scene {
    /// With these lines of `[server.limits]`.
    fn new(limits: &str) -> Self {
        let (authority, backend) = (Authority::new(), Backend::start());
        authority.write("a", &["*.foregate.localhost"]);
        let server = format!(
            "listen = \"LISTEN\"\n[server.tls]\ncert_file = \"{}\"\nkey_file = \"{}\"\n[server.limits]\n{limits}",
            authority.file("a.crt"),
            authority.file("a.key")
        );
        let foregate = Foregate::start(&config(&server, &backend));
        Self { authority, backend, foregate }
    }

    /// A connection on which both have said hello.
    fn open(&self) -> Frames {
        Frames::open(&self.authority, self.foregate.public, HOST)
    }
}

/// A connection, frame by frame.
pub struct Frames(pub Secure);

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A list of headers, each spelled out (RFC 7541 6.2.2).
pub fn list(headers: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    assert!(headers.iter().all(|(name, value)| name.len() < 127 && value.len() < 127));
    headers.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

/// The headers of a GET.
fn get(path: &str) -> Vec<u8> {
    list(&[(":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", path)])
}

impl Frames {
    /// One on which both have said hello.
    pub fn open(authority: &Authority, address: SocketAddr, host: &str) -> Self {
        let mut frames = Self(authority.connect(address, host, &["h2"]).expect("a handshake"));
        frames.0.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        frames.write(SETTINGS, 0, 0, b"");
        let (kind, ..) = frames.read().expect("a frame");
        assert_eq!(kind, SETTINGS);
        frames
    }

    pub fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.0.write(&frame(kind, flags, stream, payload));
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Option<()> {
        let read = self.0.0.read_exact(bytes);
        let silent = read.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!silent, "neither a frame nor the end");
        read.ok()
    }

    /// The next frame: kind, flags, stream, payload; `None` at the end.
    pub fn read(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.fill(&mut head)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.fill(&mut payload)?;
        Some((head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
    }

    /// The status of the answer on a stream; 0 if it is reset, or the connection ends.
    pub fn status(&mut self, wanted: u32) -> u16 {
        while let Some((kind, _, stream, payload)) = self.read() {
            match kind {
                HEADERS if stream == wanted => return status(&payload),
                RST_STREAM if stream == wanted => return 0,
                _ => {}
            }
        }
        0
    }

    /// Asks on a stream for what these headers say.
    pub fn ask(&mut self, stream: u32, headers: &[(&str, &str)]) -> u16 {
        self.write(HEADERS, END_HEADERS | END_STREAM, stream, &list(headers));
        self.status(stream)
    }

    /// Reads to the end; the reason that was given with it, if there was one.
    pub fn end(&mut self) -> Option<u32> {
        let mut reason = None;
        while let Some((kind, _, _, payload)) = self.read() {
            if kind == GOAWAY {
                reason = payload[4..8].try_into().ok().map(u32::from_be_bytes);
            }
        }
        reason
    }
}

/// `:status` stands first, from the table or spelled out in Huffman's code (RFC 7541 6.1, 6.2.1 and B).
fn status(list: &[u8]) -> u16 {
    match list[0] {
        index @ 0x88..=0x8e => [200, 204, 206, 304, 400, 404, 500][usize::from(index - 0x88)],
        0x48 | 0x08 => {
            let (coded, length) = (list[1] & 0x80 != 0, usize::from(list[1] & 0x7f));
            let text = &list[2..2 + length];
            if !coded {
                return std::str::from_utf8(text).unwrap().parse().unwrap();
            }
            let bits: String = text.iter().map(|byte| format!("{byte:08b}")).collect();
            let (mut at, mut number) = (0, 0);
            for _ in 0..3 {
                let five = u16::from_str_radix(&bits[at..at + 5], 2).unwrap();
                let (digit, length) = if five < 3 {
                    (five, 5)
                } else {
                    (u16::from_str_radix(&bits[at..at + 6], 2).unwrap() - 0b01_1001 + 3, 6)
                };
                (number, at) = (number * 10 + digit, at + length);
            }
            number
        }
        other => panic!("no status: {other:#x}"),
    }
}

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// Runs a piece of JavaScript with `client`, an HTTP/2 session of node's own, and `ask(headers, body)`; what it
/// returns.
fn node(scene: &Scene, script: &str) -> Value {
    let port = scene.foregate.public.port();
    let whole = format!(
        r#"
const http2 = require('node:http2');
const client = http2.connect('https://{HOST}:{port}', {{ lookup: (name, options, done) => done(null, [{{ address: '127.0.0.1', family: 4 }}]) }});
const ask = (headers, body) => new Promise((done, failed) => {{
  const stream = client.request({{ ':authority': '{HOST}', ...headers }}, {{ endStream: body === undefined }});
  let status = 0, text = '';
  stream.on('response', (headers) => {{ status = headers[':status']; }});
  stream.setEncoding('utf8').on('data', (part) => {{ text += part; }});
  stream.on('end', () => done({{ status, text }})).on('error', failed);
  if (body !== undefined) stream.end(body);
}});
const main = async () => {{ {script} }};
client.on('connect', () => main().then((value) => {{ console.log(JSON.stringify(value)); process.exit(0); }}));
"#
    );
    let output = Command::new("node")
        .args(["-e", &whole])
        .env("NODE_EXTRA_CA_CERTS", scene.authority.path("ca.pem"))
        .output()
        .expect("node");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"))
}

#[test]
fn many_requests_share_one_connection() {
    let scene = Scene::new("");
    let found = node(
        &scene,
        "const pages = [...Array(60).keys()].map((number) => ask({ ':path': `/${number}`, cookie: ['a=1', 'b=2'] }));
         const posted = ask({ ':path': '/form', ':method': 'POST', 'content-length': 300000 }, 'x'.repeat(300000));
         const closed = ask({ ':authority': 'closed.foregate.localhost', ':path': '/' });
         return { pages: await Promise.all(pages), posted: { status: (await posted).status, length: (await posted).text.match(/x{9,}/)[0].length }, closed: await closed,
                  connect: client.remoteSettings.enableConnectProtocol, streams: client.remoteSettings.maxConcurrentStreams };",
    );
    for (number, page) in found["pages"].as_array().expect("pages").iter().enumerate() {
        assert_eq!(page["status"], 200, "{page}");
        let text = page["text"].as_str().expect("text");
        assert!(text.starts_with(&format!("GET /{number} HTTP/1.1\r\n")), "{text}");
        assert!(text.contains("cookie: a=1; b=2\r\n"), "{text}");
        assert!(text.to_ascii_lowercase().contains(&format!("host: {HOST}\r\n")), "{text}");
    }
    assert_eq!(found["posted"]["status"], 200);
    assert_eq!(found["posted"]["length"], 300_000);
    assert_eq!(
        (&found["closed"]["status"], &found["connect"], &found["streams"]),
        (&401.into(), &true.into(), &100.into())
    );
    scene.foregate.wait_for_connections(0);
}

#[test]
fn a_request_has_one_host_and_one_path() {
    let scene = Scene::new("");
    let mut frames = scene.open();
    let asked = [(":method", "GET"), (":scheme", "https")];
    let (authority, host, path) = ((":authority", HOST), ("host", HOST), (":path", "/"));
    let closed = "closed.foregate.localhost";
    let mut stream = 1;
    for (more, wanted) in [
        (&[authority, path][..], 200),
        (&[path, host], 200),
        (&[authority, path, host], 200),
        (&[authority, path, ("host", "OPEN.foregate.localhost")], 200),
        (&[(":authority", closed), path], 401),
        (&[authority, path, ("host", closed)], 400),
        (&[(":authority", closed), path, host], 400),
        (&[authority, path, host, host], 400),
        (&[path], 400),
        (&[authority, (":path", "admin")], 400),
        (&[authority, (":path", "http://open.foregate.localhost/")], 400),
        (&[authority, (":path", "")], 400),
        (&[authority, (":path", "*")], 400),
        (&[authority, (":path", "/../x")], 400),
        (&[(":authority", "x@open.foregate.localhost"), path], 400),
        (&[authority, path, ("transfer-encoding", "chunked")], 0),
        (&[authority, path, ("connection", "close")], 0),
        (&[authority, path, ("Upper", "case")], 0),
        (&[authority, path, ("x", "a\r\nb: c")], 0),
        (&[authority, path, ("content-length", "5")], 0),
        (&[authority, path, ("content-length", "")], 0),
        (&[authority, path, ("content-length", "0"), ("content-length", "5")], 0),
        (&[authority, path, ("content-length", "0"), ("content-length", "00")], 200),
        (&[authority, path, ("x", " padded\t")], 200),
        (&[authority, path, (":path", "/x")], 0),
        (&[authority, path, authority], 0),
        (&[authority, path, ("x", "y"), (":x", "y")], 0),
    ] {
        let found = frames.ask(stream, &[&asked[..], more].concat());
        stream += 2;
        if found == 0 && frames.ask(stream, &[asked[0], asked[1], authority, path]) == 0 {
            (frames, stream) = (scene.open(), 1);
        } else {
            stream += 2;
        }
        // Whether it is answered or its stream is reset, it is no.
        let refused = [0, 400];
        assert!(
            found == wanted || refused.contains(&wanted) && refused.contains(&found),
            "{more:?}: {found}"
        );
    }
    let seen = scene.backend.seen();
    assert!(seen.iter().all(|request| request.starts_with("GET / HTTP/1.1\r\n")), "{seen:?}");
    let lines = |start: &str| {
        seen.iter().flat_map(|request| request.lines()).filter(|line| line.starts_with(start)).count()
    };
    assert_eq!(
        (lines("x: padded"), lines("x:"), lines("content-length: 0"), lines("content-length:")),
        (1, 1, 1, 1)
    );
    let connect = [(":method", "CONNECT"), (":authority", HOST)];
    assert_eq!(scene.open().ask(1, &connect), 405);
}

#[test]
fn an_answer_to_head_ends_with_its_head() {
    let scene = Scene::new("");
    let mut frames = scene.open();
    for (stream, path) in [(1, "/.foregate/session.js"), (3, "/.foregate/nothing"), (5, "/page")] {
        let head = [(":method", "HEAD"), (":scheme", "https"), (":authority", HOST), (":path", path)];
        frames.write(HEADERS, 5, stream, &list(&head));
        loop {
            let (kind, flags, of, _) = frames.read().expect("a frame");
            if of == stream {
                assert_eq!((kind, flags & 1), (HEADERS, 1), "{path}");
                break;
            }
        }
    }
}

#[test]
fn a_head_has_its_time_and_its_size() {
    let scene = Scene::new("head_timeout = \"1s\"");
    let head = get("/");
    let half = frame(HEADERS, END_HEADERS | END_STREAM, 1, &head);
    // Nothing at all; a frame that breaks off; a list that never ends, alone and beside an answer on its way.
    let mut nothing = scene.open();
    let mut broken = scene.open();
    broken.0.write(&half[..half.len() - 3]);
    let mut open = scene.open();
    open.write(HEADERS, END_STREAM, 1, &head);
    let mut beside = scene.open();
    beside.write(HEADERS, END_HEADERS | END_STREAM, 1, &get("/half"));
    assert_eq!(beside.status(1), 200);
    beside.write(HEADERS, END_STREAM, 3, &head);
    for frames in [&mut nothing, &mut broken, &mut open, &mut beside] {
        frames.end();
    }
    // Drops of a list do not stretch its time.
    let mut drops = scene.open();
    drops.write(HEADERS, END_STREAM, 1, &head);
    let written = drops.0.0.sock.try_clone().expect("a socket");
    written.set_nonblocking(false).unwrap();
    let dropped = std::thread::spawn(move || {
        let mut frames = drops;
        frames.0.0.sock.set_read_timeout(Some(std::time::Duration::from_millis(100))).unwrap();
        // Until the server has closed.
        loop {
            frames.write(CONTINUATION, 0, 1, b"");
            match frames.0.0.read(&mut [0; 1024]) {
                Ok(0) => return,
                Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return,
                _ => {}
            }
        }
    });
    dropped.join().expect("the end of the connection");
    let mut large = scene.open();
    let line = list(&[("x", &"y".repeat(120))]);
    large.write(HEADERS, END_STREAM, 1, &head);
    for _ in 0..40 {
        large.write(CONTINUATION, 0, 1, &line.repeat(16));
    }
    large.write(CONTINUATION, END_HEADERS, 1, b"");
    let found = large.status(1);
    assert!([0, 431].contains(&found), "{found}");
}

#[test]
fn what_only_makes_work_ends_the_connection() {
    let scene = Scene::new("");
    let reset = 8_u32.to_be_bytes();
    let ask_and_reset = |number: u32| {
        let stream = number * 2 + 1;
        [frame(HEADERS, END_HEADERS | END_STREAM, stream, &get("/")), frame(RST_STREAM, 0, stream, &reset)]
            .concat()
    };
    let opened = frame(HEADERS, END_HEADERS, 1, &get("/half"));
    let floods: [(&str, Vec<u8>); 6] = [
        ("resets", (0..2000).flat_map(ask_and_reset).collect()),
        ("pings", frame(PING, 0, 0, &[0; 8]).repeat(2000)),
        ("settings", frame(SETTINGS, 0, 0, &[]).repeat(2000)),
        ("priorities", frame(PRIORITY, 0, 3, &[0, 0, 0, 0, 1]).repeat(2000)),
        ("unknown frames", frame(99, 0, 0, &[]).repeat(2000)),
        ("empty data", [opened, frame(DATA, 0, 1, &[]).repeat(2000)].concat()),
    ];
    for (name, bytes) in floods {
        let mut frames = scene.open();
        frames.0.write(&bytes);
        // It ends by itself, whatever reason it gives.
        frames.end();
        assert_eq!(
            scene
                .open()
                .ask(1, &[(":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", "/")]),
            200,
            "{name}"
        );
    }
    // What a browser does that leaves a page is none of it.
    let mut browser = scene.open();
    for number in 0..15 {
        browser.0.write(&ask_and_reset(number));
        browser.write(PING, 0, 0, &[0; 8]);
    }
    browser.write(HEADERS, END_HEADERS | END_STREAM, 101, &get("/"));
    assert_eq!(browser.status(101), 200);
}

#[test]
fn a_stream_whose_client_takes_nothing_is_reset_and_the_others_go_on() {
    let scene = Scene::new("send_timeout = \"1s\"");
    let mut frames = scene.open();
    // No room for bodies (SETTINGS_INITIAL_WINDOW_SIZE), so that the answer lies.
    frames.write(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    frames.write(HEADERS, END_HEADERS | END_STREAM, 1, &get("/half"));
    assert_eq!(frames.status(1), 200);
    let reset = loop {
        let (kind, _, stream, payload) = frames.read().expect("the connection goes on");
        if kind == RST_STREAM && stream == 1 {
            break payload;
        }
    };
    assert_eq!(reset, 8_u32.to_be_bytes(), "CANCEL");
    frames.write(HEADERS, END_HEADERS | END_STREAM, 3, &get("/other"));
    assert_eq!(frames.status(3), 200);
}

#[test]
fn pings_keep_no_idle_connection() {
    let scene = Scene::new("idle_timeout = \"2s\"");
    let mut frames = scene.open();
    frames.write(HEADERS, END_HEADERS | END_STREAM, 1, &get("/"));
    assert_eq!(frames.status(1), 200);
    frames.0.0.sock.set_read_timeout(Some(std::time::Duration::from_millis(100))).unwrap();
    let mut bytes = Vec::new();
    // GOAWAY, then the end although nobody agrees to it.
    loop {
        let mut piece = [0; 1024];
        match frames.0.0.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => bytes.extend_from_slice(&piece[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => frames.write(PING, 0, 0, &[0; 8]),
            Err(_) => break,
        }
    }
    assert!(bytes.windows(4).any(|part| part == [8, GOAWAY, 0, 0]), "{bytes:?}");
}

#[test]
fn the_end_says_goaway_and_waits_for_requests_in_flight() {
    let mut scene = Scene::new("");
    let mut idle = scene.open();
    idle.write(HEADERS, END_HEADERS | END_STREAM, 1, &get("/"));
    assert_eq!(idle.status(1), 200);
    let mut flying = scene.open();
    flying.write(HEADERS, END_HEADERS | END_STREAM, 1, &get("/half"));
    assert_eq!(flying.status(1), 200);
    scene.foregate.terminate();
    let mut seen = Vec::new();
    while let Some((kind, flags, stream, payload)) = flying.read() {
        if kind == PING && flags == 0 {
            flying.write(PING, 1, 0, &payload);
        }
        if kind == GOAWAY && !seen.contains(&GOAWAY) {
            assert!(scene.foregate.is_running(), "the request in flight is waited for");
            let finish = std::net::TcpStream::connect(scene.backend.address).expect("the backend");
            (&finish).write_all(b"GET /finish HTTP/1.1\r\n\r\n").unwrap();
        }
        seen.push(kind);
        if kind == DATA && stream == 1 && flags & END_STREAM != 0 {
            break;
        }
    }
    let (goaway, data) =
        (seen.iter().position(|&kind| kind == GOAWAY), seen.iter().rposition(|&kind| kind == DATA));
    assert!(goaway.is_some() && goaway < data, "{seen:?}");
    assert_eq!(idle.end(), Some(0), "an idle one is told so and ends");
    drop(flying);
    assert_eq!(scene.foregate.wait(), Some(0));
}
