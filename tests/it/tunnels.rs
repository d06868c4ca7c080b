//! WebSockets through foregate as the reverse proxy: which of them open, and that every byte passes.

use crate::support::stage::Stage;

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

#[test]
fn each_side_may_have_the_last_word() {
    let stage = Stage::new();
    for visitor_first in [true, false] {
        let mut visitor = stage.visit();
        visitor.write(upgrade(&stage).as_bytes());
        let mut backend = stage.accept();
        backend.head();
        backend.write(OPENED);
        assert_eq!(visitor.read(true).expect("an answer").status, 101);
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
        let mut visitor = stage.visit();
        visitor.write(upgrade(&stage).as_bytes());
        let mut backend = stage.accept();
        backend.head();
        backend.write(OPENED);
        assert_eq!(visitor.read(true).expect("an answer").status, 101);
        let (leaving, mut staying) = if visitor_leaves { (visitor, backend) } else { (backend, visitor) };
        drop(leaving);
        assert!(staying.until_the_end().is_empty());
        // The side that is gone takes no word any more, so neither does the tunnel.
        while staying.try_write(&[b'x'; 4096]) {}
    }
    stage.foregate.wait_for_log("a tunnel ended");
}
