//! WebSockets through foregate as the reverse proxy: which of them open, and that every byte passes.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::browser::browse;
use crate::support::foregate::free_port;
use crate::support::http::Wire;
use crate::support::provider::Provider;
use crate::support::stage::Stage;
use crate::support::tls::Authority;

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
const OPENED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat.v2\r\n\
    Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";

#[test]
fn a_socket_opens_in_every_spelling_and_its_lines_pass_untouched() {
    let stage = Stage::new();
    for (connection, upgrade) in [
        ("Upgrade", "websocket"),
        ("keep-alive, UPGRADE", "WebSocket"),
        ("upgrade", "h2c, WEBSOCKET"),
        ("x-other,upgrade", "websocket"),
    ] {
        let mut visitor = stage.ask(
            "GET /socket?a=1",
            &[
                &format!("Connection: {connection}"),
                &format!("Upgrade: {upgrade}"),
                KEY,
                "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Protocol: chat.v2, chat.v1",
                "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
                "Origin: http://other.test",
            ],
        );
        let mut backend = stage.accept();
        let head = backend.head();
        for line in [
            "connection: Upgrade",
            "upgrade: websocket",
            "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
            "sec-websocket-version: 13",
            "sec-websocket-protocol: chat.v2, chat.v1",
            "sec-websocket-extensions: permessage-deflate; client_max_window_bits",
            "origin: http://other.test",
            "remote-user: ",
        ] {
            assert_eq!(head.matches(&format!("\r\n{line}\r\n")).count(), 1, "{connection}: {line} in {head}");
        }
        backend.write(OPENED);
        let opened = visitor.read(true).expect("an answer");
        assert_eq!(opened.status, 101, "{opened:?}");
        assert_eq!(opened.header("upgrade"), Some("websocket"));
        assert_eq!(opened.header("sec-websocket-protocol"), Some("chat.v2"));
        assert_eq!(opened.header("sec-websocket-extensions"), Some("permessage-deflate"));
        assert_eq!(opened.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        visitor.write(b"from the visitor");
        assert_eq!(backend.bytes(16), b"from the visitor");
        backend.write(b"from the backend");
        assert_eq!(visitor.bytes(16), b"from the backend");
    }
}

fn upgrade(stage: &Stage) -> String {
    stage.request(
        "GET /socket",
        &["Connection: Upgrade", "Upgrade: websocket", KEY, "Sec-WebSocket-Version: 13"],
    )
}

/// Both ends of an open socket: the visitor's and the backend's.
fn opened(stage: &Stage) -> (Wire, Wire) {
    let mut visitor = stage.visit();
    visitor.write(upgrade(stage).as_bytes());
    let mut backend = stage.accept();
    backend.head();
    backend.write(OPENED);
    assert_eq!(visitor.read(true).expect("an answer").status, 101);
    (visitor, backend)
}

#[test]
fn a_socket_on_which_nobody_says_anything_ends() {
    let stage = Stage::with("[server.limits]\ntunnel_idle_timeout = \"1s\"", "allow = \"public\"");
    let (mut visitor, mut backend) = opened(&stage);
    assert!(visitor.ends() && backend.ends());
}

#[test]
fn what_either_side_says_too_early_is_not_lost() {
    let stage = Stage::new();
    let mut visitor = stage.visit();
    visitor.write(format!("{}early words", upgrade(&stage)).as_bytes());
    let mut backend = stage.accept();
    backend.head();
    backend.write(&[OPENED, b"hello"].concat());
    assert_eq!(backend.bytes(11), b"early words");
    assert_eq!(visitor.read(true).expect("an answer").status, 101);
    assert_eq!(visitor.bytes(5), b"hello");
}

#[test]
fn nothing_is_tunnelled_before_the_backend_agrees() {
    let stage = Stage::new();
    for answer in [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno",
        "HTTP/1.1 426 Upgrade Required\r\nConnection: close\r\nContent-Length: 2\r\nSec-WebSocket-Version: 13\r\n\r\nno",
        "HTTP/1.1 403 Forbidden\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nno",
    ] {
        let mut visitor = stage.visit();
        // What an attacker wants the backend to read as a request of its own, unjudged.
        let smuggled = "GET /.foregate/auth/traefik HTTP/1.1\r\nHost: evil.test\r\n\r\n";
        visitor.write(format!("{}{smuggled}", upgrade(&stage)).as_bytes());
        let mut backend = stage.accept();
        backend.head();
        backend.write(answer.as_bytes());
        let reply = visitor.read(false).expect("an answer");
        assert_eq!(reply.body, "no", "{reply:?}");
        // It is read as the next request here, and judged as one: without context it is none.
        let next = visitor.read(false).expect("an answer");
        assert_eq!(next.status, 400, "{next:?}");
        drop(visitor);
        let rest = backend.until_the_end();
        assert!(rest.is_empty(), "the backend got {:?}", String::from_utf8_lossy(&rest));
    }
}

#[test]
fn a_change_of_protocol_that_nobody_asked_for_is_no_answer() {
    let stage = Stage::new();
    let plain = stage.request("GET /", &[]);
    let post = stage.request("POST /socket", &["Connection: Upgrade", "Upgrade: websocket", KEY]);
    for (request, answer) in [
        (plain.as_str(), OPENED),
        (post.as_str(), OPENED),
        (
            &upgrade(&stage),
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        ),
        (
            &upgrade(&stage),
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        ),
    ] {
        let mut visitor = stage.visit();
        visitor.write(request.as_bytes());
        let mut backend = stage.accept();
        backend.head();
        backend.write(answer);
        let reply = visitor.read(false).expect("an answer");
        assert_eq!(reply.status, 502, "{request}: {reply:?}");
        assert!(backend.until_the_end().is_empty());
    }
}

#[test]
fn other_protocols_are_not_passed_on() {
    let stage = Stage::new();
    for lines in [
        &["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"][..],
        &["Connection: Upgrade", "Upgrade: TLS/1.0"],
        // Not the handshake of RFC 6455: no `Connection`, or a body.
        &["Upgrade: websocket", KEY],
        &["Connection: Upgrade", "Upgrade: websocket", KEY, "Transfer-Encoding: chunked"],
    ] {
        let mut visitor = stage.ask("GET /", lines);
        if lines.iter().any(|line| line.contains("chunked")) {
            visitor.write(b"0\r\n\r\n");
        }
        let mut backend = stage.accept();
        let head = backend.head();
        assert!(
            !head.contains("\r\nupgrade: ") && !head.contains("\r\nconnection: ") && !head.contains("http2-"),
            "{head}"
        );
        backend.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
        assert_eq!(visitor.read(false).expect("an answer").status, 204, "{lines:?}");
    }
    for line in ["CONNECT app.foregate.localhost:80", "TRACE /"] {
        let reply = stage.ask(line, &[]).read(false).expect("an answer");
        assert_eq!(reply.status, 405, "{line}: {reply:?}");
    }
    assert!(stage.accepted().is_none());
}

/// A frame as a browser masks it, with a mask that changes every byte (RFC 6455 5.2).
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len();
    let mut frame = vec![first];
    match length {
        0..=125 => frame.push(0x80 | u8::try_from(length).unwrap()),
        126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The kinds of cases that WebSocket test suites have: framing, pings and pongs, reserved bits, opcodes, fragmentation,
/// UTF-8, close codes, sizes. foregate reads none of it, so whatever goes in must come out, broken or not.
#[test]
fn every_kind_of_frame_passes_byte_for_byte_in_both_directions() {
    let stage = Stage::new();
    let (mut visitor, mut backend) = opened(&stage);
    let mut frames: Vec<(&str, Vec<u8>)> = [0, 125, 126, 127, 128, 65_535, 65_536, 1 << 20]
        .into_iter()
        .flat_map(|size| {
            [("text", masked(0x81, &vec![b'*'; size])), ("binary", masked(0x82, &vec![0xfe; size]))]
        })
        .collect();
    frames.extend([
        ("ping", masked(0x89, b"")),
        ("ping with words", masked(0x89, b"payload")),
        ("ping that is too long", masked(0x89, &[0xfe; 126])),
        ("pong nobody asked for", masked(0x8a, b"unsolicited")),
        ("reserved bits", masked(0xf1, b"small")),
        ("reserved opcodes", [masked(0x83, b""), masked(0x8b, b""), masked(0x8f, b"x")].concat()),
        ("fragments", [masked(0x01, b"frag"), masked(0x00, b"ment"), masked(0x80, b"")].concat()),
        ("ping within fragments", [masked(0x01, b"a"), masked(0x89, b"p"), masked(0x80, b"b")].concat()),
        ("continuation of nothing", masked(0x80, b"nothing")),
        ("text within fragments", [masked(0x01, b"a"), masked(0x81, b"b")].concat()),
        ("UTF-8", masked(0x81, "Hello-µ@ßöäüàá-UTF-8!!".as_bytes())),
        ("broken UTF-8", masked(0x81, b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80\xf4\x90\x80\x80")),
        ("UTF-8 cut between fragments", [masked(0x01, b"\xce"), masked(0x80, b"\xba")].concat()),
        ("unmasked", vec![0x81, 2, b'h', b'i']),
        ("a head in three pieces", vec![0x82, 0xfe, 0x00]),
        (
            "lines of HTTP",
            b"\r\n\r\nGET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
        ),
        ("close", masked(0x88, b"")),
        ("close with a code", masked(0x88, b"\x03\xe8bye")),
        ("close with a code that is none", masked(0x88, b"\x00\x00")),
        ("close that is too long", masked(0x88, &[b'x'; 126])),
        ("data behind a close", masked(0x81, b"late")),
    ]);
    for (what, frame) in &frames {
        std::thread::scope(|scope| {
            scope.spawn(|| visitor.write(frame));
            assert!(backend.bytes(frame.len()) == *frame, "{what}, {} bytes", frame.len());
        });
        std::thread::scope(|scope| {
            scope.spawn(|| backend.write(frame));
            assert!(visitor.bytes(frame.len()) == *frame, "{what}, {} bytes back", frame.len());
        });
    }
}

#[test]
fn each_side_may_have_the_last_word() {
    let stage = Stage::new();
    for visitor_first in [true, false] {
        let (mut visitor, mut backend) = opened(&stage);
        let (first, last) =
            if visitor_first { (&mut visitor, &mut backend) } else { (&mut backend, &mut visitor) };
        first.write(b"the end");
        first.finish();
        assert_eq!(last.until_the_end(), b"the end");
        last.write(b"one more word");
        last.finish();
        assert_eq!(first.until_the_end(), b"one more word");
    }
}

#[test]
fn who_leaves_takes_the_other_side_along() {
    let stage = Stage::new();
    for visitor_leaves in [true, false] {
        let (visitor, backend) = opened(&stage);
        let (leaving, mut staying) = if visitor_leaves { (visitor, backend) } else { (backend, visitor) };
        drop(leaving);
        assert!(staying.until_the_end().is_empty());
        // The side that is gone takes no word any more, so neither does the tunnel.
        while staying.try_write(&[b'x'; 4096]) {}
    }
    stage.foregate.wait_for_log("a tunnel ended");
}

/// `tests/parts/socket.mjs`, and the lines it prints.
struct Node(Child, BufReader<ChildStdout>);

impl Node {
    fn start(args: &[&str]) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new(root.join(".tools/bin/node"));
        command.arg(root.join("tests/parts/socket.mjs")).args(args);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node: run tests/setup.sh first");
        let lines = BufReader::new(child.stdout.take().expect("stdout"));
        Self(child, lines)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.1.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_stream_of_http_2_is_a_socket_of_http_1_to_the_backend() {
    let authority = Authority::new();
    authority.write("a", &["*.foregate.localhost"]);
    let port = free_port();
    let tls = format!(
        "[server.tls]\nlisten = [\"127.0.0.1:{port}\"]\ncert_file = \"{}\"\nkey_file = \"{}\"\n",
        authority.file("a.crt"),
        authority.file("a.key")
    );
    let stage = Stage::with(&tls, "allow = \"public\"");
    let mut visitor = Node::start(&["stream", &port.to_string()]);
    let mut backend = stage.accept();
    let head = backend.head();
    assert!(head.starts_with("GET /socket?a=1 HTTP/1.1\r\n"), "{head}");
    for line in [
        "connection: Upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        "sec-websocket-protocol: chat.v2",
    ] {
        assert_eq!(head.matches(&format!("\r\n{line}\r\n")).count(), 1, "{line} in {head}");
    }
    let key =
        head.split("sec-websocket-key: ").nth(1).and_then(|rest| rest.split("\r\n").next()).expect("a key");
    let guid = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, guid.as_bytes());
    let accept = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, digest);
    backend.write(
        format!(
            "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\
             Sec-WebSocket-Protocol: chat.v2\r\n\r\nhello"
        )
        .as_bytes(),
    );
    let told: Value = serde_json::from_str(&visitor.line()).expect("a head");
    assert_eq!(told[":status"].as_u64(), Some(200), "{told}");
    assert_eq!(told["sec-websocket-protocol"].as_str(), Some("chat.v2"));
    assert!(told["upgrade"].is_null() && told["sec-websocket-accept"].is_null(), "{told}");
    assert_eq!(visitor.line(), "hello");
    assert_eq!(backend.bytes(16), b"from the visitor");
    drop(visitor);
    backend.until_the_end();

    let mut other = Node::start(&["stream", &port.to_string(), "connect-udp"]);
    let told: Value = serde_json::from_str(&other.line()).expect("a head");
    assert_eq!(told[":status"].as_u64(), Some(405), "{told}");
    // A backend that does not show that it understood is none.
    let mut wrong = Node::start(&["stream", &port.to_string()]);
    let mut backend = stage.accept();
    backend.head();
    backend.write(OPENED);
    let told: Value = serde_json::from_str(&wrong.line()).expect("a head");
    assert_eq!(told[":status"].as_u64(), Some(502), "{told}");
}

#[test]
fn a_real_browser_speaks_to_an_app_until_its_session_ends() {
    let port = free_port();
    let provider = Provider::for_foregate(&format!("http://auth.foregate.localhost:{port}"), Value::Null);
    let mut app = Node::start(&["serve"]);
    let tables = format!(
        "[session]\nstore = \"sqlite:DIR/f.db\"\n{}[apps.\"chat.foregate.localhost\"]\n\
         upstream = \"http://127.0.0.1:{}\"\nallow = \"signed-in\"\n",
        provider.config(),
        app.line()
    );
    let stage = Stage::at(port, &tables, "allow = \"nobody\"");
    let url = format!("http://chat.foregate.localhost:{port}/");
    let open = format!(
        "new Promise((done) => {{ window.s = new WebSocket('ws://chat.foregate.localhost:{port}/s', 'chat'); s.onopen = () => done('open ' + s.protocol); s.onerror = () => done('error'); }})"
    );
    let echo = "new Promise(async (done) => { const big = 'ü'.repeat(200000); const bytes = new Uint8Array(70000).fill(7); s.binaryType = 'arraybuffer'; const heard = []; s.onmessage = (e) => { heard.push(e.data); if (heard.length === 3) done(heard[0] === 'hello' && heard[1] === big && heard[2].byteLength === 70000 && new Uint8Array(heard[2]).every((b) => b === 7)); }; s.send('hello'); s.send(big); s.send(bytes); })";
    let watch = "s.onclose = (e) => { window.ended = 'closed ' + e.code; }, 'watching'";
    let ended = "new Promise((done) => { const look = setInterval(() => { if (window.ended) { clearInterval(look); done(window.ended); } }, 10); })";
    let sign_out = format!("http://auth.foregate.localhost:{port}/.foregate/sign-out");
    let seen = browse(&json!([
        { "open": url }, { "fill": { "[name=login]": "alice" } }, { "click": "[type=submit]" },
        { "eval": open }, { "eval": echo }, { "eval": watch }, { "tab": "out", "open": sign_out },
        { "tab": "main", "eval": ended }, { "tab": "main", "eval": open },
    ]));
    let values: Vec<&Value> = [3, 4, 7, 8].iter().map(|step| &seen[*step]["value"]).collect();
    assert_eq!(
        values,
        [&json!("open chat"), &json!(true), &json!("closed 1006"), &json!("error")],
        "{seen:#?}"
    );
    assert_eq!(stage.foregate.logged("it would not be let in any more"), 1);
}
