//! Bytes on the wire: requests that two servers could take apart differently, bytes that no header has, and work without bounds.

use std::path::Path;

use super::world::{APP, ENTRANCES, Entrance, OPEN, World, assert_closed, world};
use crate::escapes::{ALONE, only_websockets_leave_http};
use crate::support::backend::Backend;
use crate::support::foregate::Foregate;
use crate::support::http::{Wire, get, raw, request};
use crate::support::proxies::PROXIES;
use crate::support::stage::Stage;
use crate::support::tls::Authority;

/// Sends these bytes behind a request line of each entrance: the statuses of all answers.
fn answers(world: &World, entrance: Entrance, lines: &str, body: &str) -> Vec<u16> {
    let text = String::from_utf8(entrance.bytes("POST", ("http", OPEN, "/one"), &[])).expect("text");
    let text = text.replace("Connection: close\r\n\r\n", "");
    let next = "GET /.foregate/next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut wire = Wire::open(world.foregate.public);
    wire.write(format!("{text}{lines}\r\n{body}{next}").as_bytes());
    let all = String::from_utf8_lossy(&wire.until_the_end()).into_owned();
    all.match_indices("HTTP/1.1 ").filter_map(|(at, _)| all[at + 9..at + 12].parse().ok()).collect()
}

/// `RUSTSEC-2021-0078, -0020, -0079, 2020-0008; hyper#4124` hyper (Rust): a length that two servers read differently.
///
/// Tried: all entrances, with a request hidden in the body: one 400 and the end of the connection. The backend's bytes are
/// compared in `tests/it/smuggling.rs`.
#[test]
fn rustsec_2021_0078_a_length_has_one_meaning() {
    let world = World::new();
    let hidden = "0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: open.foregate.localhost\r\n\r\n";
    for lines in [
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5 \t6\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length : 5\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: \u{b}chunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "Transfer-Encoding: chunked\0\r\n",
        " Transfer-Encoding: chunked\r\n",
    ] {
        for entrance in ENTRANCES {
            assert_eq!(answers(&world, entrance, lines, hidden), [400], "{entrance:?} {lines:?}");
        }
    }
    for chunks in [
        "ffffffffffffffff1\r\nx\r\n0\r\n\r\n",
        "\r\nx\r\n0\r\n\r\n",
        "g\r\nx\r\n0\r\n\r\n",
        "+1\r\nx\r\n0\r\n\r\n",
        "-1\r\nx\r\n0\r\n\r\n",
        "1 1\r\nx\r\n0\r\n\r\n",
    ] {
        let told = answers(&world, Entrance::Proxy, "Transfer-Encoding: chunked\r\n", chunks);
        assert!(told.len() <= 1 && told.iter().all(|status| *status != 200), "{chunks:?}: {told:?}");
    }
    assert!(
        !world.backend.seen().iter().any(|request| request.contains("/hidden") || request.contains("/next"))
    );
    // A GET may have a body: it is part of that one request.
    let stage = Stage::new();
    let mut visitor = stage.ask("GET /one", &["Content-Length: 5", "Connection: close"]);
    visitor.write(b"hello");
    let mut backend = stage.accept();
    let head = backend.head();
    assert!(head.contains("content-length: 5\r\n") && backend.bytes(5) == b"hello", "{head}");
}

/// `RUSTSEC-2026-0034` pingora-core (Rust, adjacent): HTTP/1.0 with a coding, or with a body of no length.
///
/// Tried: all entrances, kept open and not.
#[test]
fn rustsec_2026_0034_an_old_request_has_no_coding() {
    let world = World::new();
    for entrance in ENTRANCES {
        for keep in ["", "Connection: keep-alive\r\n"] {
            let text = String::from_utf8(entrance.bytes("POST", ("http", OPEN, "/one"), &[])).expect("text");
            let old = text.replacen("HTTP/1.1", "HTTP/1.0", 1).replace("Connection: close\r\n\r\n", keep);
            let mut wire = Wire::open(world.foregate.public);
            wire.write(format!("{old}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
            let all = String::from_utf8_lossy(&wire.until_the_end()).into_owned();
            assert_eq!(all.matches("HTTP/1.").count(), 1, "{entrance:?}: {all}");
            assert!(all.contains(" 400 "), "{entrance:?}: {all}");
        }
    }
    // Without a length there is no body: what comes behind is no part of it.
    let mut wire = Wire::open(world.foregate.public);
    wire.write(b"POST /bare HTTP/1.0\r\nHost: open.foregate.localhost\r\n\r\nGET /hidden HTTP/1.1\r\nHost: open.foregate.localhost\r\n\r\n");
    wire.until_the_end();
    let seen = world.backend.seen();
    assert!(!seen.iter().any(|request| request.contains("/hidden")), "{seen:?}");
}

/// `CVE-2026-71324 / GHSA-3ccp-42pg-hgv6` Traefik: `CONNECT`, `TRACE` and methods that nobody knows, and what the next one on that
/// connection to the backend gets.
///
/// Tried: all entrances; bodies with them; the next visitor's answer.
#[test]
fn cve_2026_71324_nothing_is_tunnelled_by_a_method() {
    let world = World::new();
    for (line, host) in [
        ("CONNECT open.foregate.localhost:443", OPEN),
        ("CONNECT app.foregate.localhost:443", APP),
        ("CONNECT 127.0.0.1:22", OPEN),
        ("CONNECT /", OPEN),
        ("TRACE /", OPEN),
        ("TRACK /", OPEN),
        ("trace /", OPEN),
    ] {
        for lines in [
            "",
            "Transfer-Encoding: chunked\r\n",
            "Content-Length: 4\r\n",
            "Upgrade: websocket\r\nConnection: Upgrade\r\n",
        ] {
            let mut wire = Wire::open(world.foregate.public);
            wire.write(
                format!("{line} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n4\r\nabcd\r\n0\r\n\r\n").as_bytes(),
            );
            let reply = wire.read(false).expect("an answer");
            // TRACK is a method of the app's own; nothing of it is special.
            let is_own = line.starts_with("TRACK") && reply.status / 100 != 5;
            assert!(is_own || matches!(reply.status, 400 | 405 | 501), "{line} {lines:?}: {reply:?}");
            let next = world.ask(Entrance::Proxy, OPEN, "/next", &[]);
            assert!(next.body.starts_with("GET /next HTTP/1.1\r\n"), "{line} {lines:?}: {next:?}");
        }
    }
    // The outpost's address for nginx is told no method.
    let told = |entrance: &Entrance| entrance.is_check() && *entrance != Entrance::OutpostNginx;
    for entrance in ENTRANCES.into_iter().filter(told) {
        for method in ["CONNECT", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "get", "G\u{e9}T", "GET,POST", "G T"] {
            assert_closed(&world.ask_by(entrance, method, ("http", OPEN, "/"), &[]), entrance, method);
        }
    }
    let seen = world.backend.seen();
    assert!(
        !seen.iter().any(
            |request| request.starts_with("CONNECT") || request.to_ascii_uppercase().starts_with("TRACE")
        ),
        "{seen:?}"
    );
}

/// `CVE-2026-88008 / GHSA-w4v4-9rw7-5326` Traefik: `Upgrade: h2c` goes on to the backend, which opens a tunnel past all checks.
///
/// Tried: the five real front proxies with the configurations that foregate prints, and foregate as the proxy itself; h2c, TLS and
/// other protocols in lists and in several lines, with a request for a closed page behind them; WebSockets open as before.
#[test]
fn cve_2026_88008_only_websockets_leave_http() {
    for name in PROXIES.into_iter().chain([ALONE]) {
        only_websockets_leave_http(name);
    }
}

/// `hyper#4019; mod_auth_openidc 2026-08-20, 2026-05-22; RUSTSEC-2023-0065` hyper, mod_auth_openidc, tungstenite: bytes above 0x7f
/// in headers, queries of separators alone, heads without end.
///
/// Tried: all entrances, own addresses, WebSocket handshakes; the process is the same afterwards.
#[test]
fn hyper_4019_no_byte_ends_the_process() {
    let world = World::new();
    for name in [
        "Connection",
        "Cookie",
        "Host",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Uri",
        "X-Forwarded-Proto",
        "X-Forwarded-Method",
        "X-Original-URL",
        "Authorization",
        "Accept",
        "Origin",
        "Referer",
        "Upgrade",
        "Sec-WebSocket-Key",
        "X-Tenant-ID",
        "X-Foregate-Token",
        "Range",
        "Content-Type",
    ] {
        for value in
            [&b"\x80"[..], b"\xff\xff", b"foregate=\x80", b"close, \xe9", b"\xf0\x9f\x98\x80", b"a\tb"]
        {
            for entrance in ENTRANCES {
                let mut bytes = entrance.bytes("GET", ("http", APP, "/"), &["Connection: close"]);
                let line = [name.as_bytes(), b": ", value, b"\r\n"].concat();
                let at = bytes.windows(2).position(|part| part == b"\r\n").expect("a line") + 2;
                bytes.splice(at..at, line);
                let reply = raw(world.foregate.public, &bytes);
                assert!((300..500).contains(&reply.status), "{entrance:?} {name} {value:?}: {reply:?}");
            }
        }
    }
    for page in [
        "sign-in",
        "callback",
        "sign-out",
        "signed-out",
        "account",
        "session",
        "frontchannel-logout",
        "jwks.json",
        "auth/traefik",
        "auth/envoy",
    ] {
        for query in [
            "&",
            "=",
            "?",
            "&&&=",
            "iss=",
            "rd=%",
            "state=&state=&code",
            "%",
            "%zz=%zz",
            "a=b&a=b&=",
            "rd",
            "\u{7f}",
        ] {
            let reply = world.own("GET", &format!("/.foregate/{page}?{query}"), &[], "");
            assert!((200..500).contains(&reply.status), "{page}?{query}: {reply:?}");
        }
        for body in ["&", "=", "%", "csrf", "csrf=%ff&&", "\u{0}"] {
            let form = ["Content-Type: application/x-www-form-urlencoded"];
            let reply = world.own("POST", &format!("/.foregate/{page}"), &form, body);
            assert!((200..500).contains(&reply.status), "{page} {body}: {reply:?}");
        }
    }
    let huge = format!("Sec-WebSocket-Protocol: {}", "a,".repeat(60_000));
    let socket = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: x", &huge];
    let reply = world.ask(Entrance::Proxy, OPEN, "/", &socket);
    assert_eq!(reply.status, 431);
    assert_eq!(get(world.foregate.admin, "/livez", &[]).status, 200);
    assert!(!world.foregate.log_lines().iter().any(|line| line.contains("panicked")));
}

/// `RUSTSEC-2022-0055; RUSTSEC-2026-0009; RUSTSEC-2017-0005` axum-core, time, cookie (Rust): bodies without end, absurd dates, and
/// cookies with absurd ages.
///
/// Tried: every own address that takes a body, by length and in chunks; dates in headers; the reverse proxy's answers with
/// absurd cookies.
#[test]
fn rustsec_2022_0055_bodies_have_their_size() {
    let world = World::new();
    let alice = world.cookie("alice");
    let form = "Content-Type: application/x-www-form-urlencoded";
    let before = world.foregate.peak_kib();
    for page in ["callback", "backchannel-logout", "sign-out", "account", "device", "device/token", "session"]
    {
        let mut wire = Wire::open(world.foregate.public);
        let head = [form, &alice, "Content-Length: 4000000000", "Connection: close"];
        wire.write(request("POST", &format!("/.foregate/{page}"), &head, "").as_bytes());
        let part = vec![b'a'; 64 * 1024];
        let taken = (0..1000).take_while(|_| wire.try_write(&part)).count();
        assert!(taken < 1000, "{page} takes everything");
        let mut wire = Wire::open(world.foregate.public);
        let head = [form, &alice, "Transfer-Encoding: chunked", "Connection: close"];
        wire.write(request("POST", &format!("/.foregate/{page}"), &head, "").as_bytes());
        let chunk = [b"10000\r\n".as_slice(), &part, b"\r\n"].concat();
        assert!((0..1000).take_while(|_| wire.try_write(&chunk)).count() < 1000, "{page} takes all chunks");
    }
    assert!(world.foregate.peak_kib() < before + 40_000, "{} KiB", world.foregate.peak_kib());
    for date in
        ["Thu, 99 Jan 99999 99:99:99 GMT", "-1", "9".repeat(5000).as_str(), "Mon, 01 Jan 0000 00:00:00 +9999"]
    {
        let lines =
            [format!("If-Modified-Since: {date}"), format!("If-Range: {date}"), format!("Date: {date}")];
        let lines: Vec<&str> = lines.iter().map(String::as_str).chain([&*alice]).collect();
        for entrance in ENTRANCES {
            assert_eq!(world.ask(entrance, APP, "/", &lines).status / 100, 2, "{entrance:?} {date}");
        }
    }
    let stage = Stage::new();
    let mut visitor = stage.ask("GET /", &["Connection: close"]);
    let mut backend = stage.accept();
    backend.head();
    backend.write(
        format!("HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Max-Age={}\r\nSet-Cookie: b; Expires=Thu, 99 Foo 9999999\r\nSet-Cookie: \x01;;;=\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "9".repeat(400)).replace('\x01', "x").as_bytes(),
    );
    assert_eq!(visitor.read(false).expect("an answer").all("set-cookie").len(), 3);
}

/// `RUSTSEC-2024-0363; RUSTSEC-2026-0178, -0179` sqlx, tokio-postgres, postgres-protocol (Rust): texts of 4 GiB on their way to a
/// database, and a database that is hostile.
///
/// Tried: nothing that a stranger sends is longer than a head of 64 KiB or a body of its own limit; the versions in use are
/// those without the faults; `sslmode=require` does not talk to a server that offers no TLS.
#[test]
fn rustsec_2024_0363_nothing_long_reaches_the_store() {
    let lock =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock")).expect("a file");
    let version = |name: &str| {
        let rest = lock.split(&format!("name = \"{name}\"\nversion = \"")).nth(1)?;
        let mut numbers = rest.split('"').next()?.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        Some((numbers.next()?, numbers.next()?, numbers.next()?))
    };
    assert!(version("tokio-postgres").is_none_or(|version| version >= (0, 7, 18)));
    assert!(version("postgres-protocol").is_none_or(|version| version >= (0, 6, 12)));
    assert!(version("sqlx").is_none_or(|version| version >= (0, 8, 1)));
    let world = world();
    for name in [
        "Cookie: foregate",
        "User-Agent: x",
        "Authorization: Bearer x",
        "X-Foregate-Token: x",
        "X-Forwarded-For: 1",
    ] {
        for entrance in ENTRANCES {
            let line = format!("{name}={}", "a".repeat(70_000));
            assert_eq!(world.ask(entrance, APP, "/", &[&line]).status, 431, "{entrance:?} {name}");
        }
    }
    let plain = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = plain.local_addr().expect("an address").port();
    let heard = std::thread::spawn(move || {
        let (mut stream, _) = plain.accept().expect("a connection");
        let mut asked = [0; 8];
        std::io::Read::read_exact(&mut stream, &mut asked).expect("a question");
        std::io::Write::write_all(&mut stream, b"N").expect("no");
        let mut rest = Vec::new();
        let _ = std::io::Read::read_to_end(&mut stream, &mut rest);
        rest
    });
    let config = world.config.replace(
        "store = \"sqlite:DIR/foregate.db\"",
        &format!(
            "store = \"postgres://user:secret@127.0.0.1:{port}/x?sslmode=require\"\nkeys = [\"{}\"]",
            crate::support::foregate::KEY
        ),
    );
    let foregate = Foregate::start(&config);
    let bytes = Entrance::Traefik.bytes(
        "GET",
        ("http", APP, "/"),
        &["Cookie: foregate=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8AAECAwQFBgcICQoLDA0A"],
    );
    raw(foregate.public, &bytes);
    assert_eq!(heard.join().expect("a thread"), b"", "no word without TLS");
}

/// `CVE-2024-39321` Traefik: early data, judged before the client's address is known to be its own.
///
/// Tried: TLS sessions that are resumed carry no early data; no answer offers HTTP/3.
#[test]
fn cve_2024_39321_nothing_is_judged_early() {
    let (authority, backend) = (Authority::new(), Backend::start());
    authority.write("a", &["*.foregate.localhost"]);
    let server = format!(
        "listen = \"LISTEN\"\n[server.tls]\ncert_file = \"{}\"\nkey_file = \"{}\"\n",
        authority.file("a.crt"),
        authority.file("a.key")
    );
    let foregate = Foregate::start(&crate::tls::config(&server, &backend));
    for _ in 0..3 {
        let (status, _, body) =
            authority.curl(foregate.public.port(), &["-D-", "--http1.1", "https://open.foregate.localhost/"]);
        assert_eq!(status, 200);
        assert!(!body.to_ascii_lowercase().contains("alt-svc"), "{body}");
    }
    let mut secure =
        authority.connect(foregate.public, "open.foregate.localhost", &["http/1.1"]).expect("a handshake");
    assert!(secure.0.conn.early_data().is_none(), "no early data is offered");
    secure.write(b"GET / HTTP/1.1\r\nHost: open.foregate.localhost\r\nConnection: close\r\n\r\n");
    let mut answer = Vec::new();
    let _ = std::io::Read::read_to_end(&mut secure.0, &mut answer);
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
    let told = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server/tls.rs"))
        .expect("a file");
    assert!(!told.contains("max_early_data"), "rustls gives none unless it is asked for");
}

/// `CVE-2024-23326` Envoy: a tunnel that opens although the backend did not change protocols, or into another one.
///
/// Tried: the reverse proxy; `101` without a protocol, with another or with two, or without an accept key is 502; every other status
/// with the lines of a change is an answer. What the visitor sends behind the handshake is judged as a request of its own.
#[test]
fn cve_2024_23326_only_the_right_change_of_protocol_opens_a_tunnel() {
    let stage = Stage::new();
    let accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    let change = |lines: &str| format!("HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n");
    let hidden = "GET /hidden HTTP/1.1\r\nHost: app.foregate.localhost\r\n\r\n";
    let ask = || {
        let handshake = [
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
        ];
        let mut visitor = stage.ask("GET /socket", &handshake);
        let mut backend = stage.accept();
        backend.head();
        visitor.write(hidden.as_bytes());
        (visitor, backend)
    };
    // What came behind the handshake is a request like any other: on a connection of its own.
    let is_judged = |mut visitor: Wire, mut backend: Wire, what: &str| {
        let rest = backend.until_the_end();
        assert!(rest.is_empty(), "{what}: the backend got {:?}", String::from_utf8_lossy(&rest));
        let mut other = stage.accept();
        let head = other.head();
        assert!(head.starts_with("GET /hidden ") && head.contains("\r\nremote-user: "), "{what}: {head}");
        other.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6\r\n\r\njudged");
        assert_eq!(visitor.read(false).expect("an answer").body, "judged", "{what}");
    };
    for lines in [
        String::new(),
        accept.to_owned(),
        format!("Connection: Upgrade\r\n{accept}"),
        format!("Connection: Upgrade\r\nUpgrade:\r\n{accept}"),
        format!("Connection: Upgrade\r\nUpgrade: h2c\r\n{accept}"),
        format!("Connection: Upgrade\r\nUpgrade: websocket2\r\n{accept}"),
        format!("Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n{accept}"),
        "Connection: Upgrade\r\nUpgrade: websocket\r\n".to_owned(),
        format!("Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n{accept}"),
        format!("Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n{accept}"),
        "Connection: Upgrade\r\nUpgrade: websocket\r\nX-Sec-WebSocket-Accept: x\r\n".to_owned(),
    ] {
        let (mut visitor, mut backend) = ask();
        backend.write(change(&lines).as_bytes());
        let reply = visitor.read(false).expect("an answer");
        assert_eq!(reply.status, 502, "{lines:?}: {reply:?}");
        assert_eq!(reply.header("upgrade"), None, "{lines:?}: {reply:?}");
        is_judged(visitor, backend, &lines);
    }
    for status in [
        "200 OK",
        "201 Created",
        "202 Accepted",
        "302 Found",
        "400 Bad",
        "401 No",
        "404 Not",
        "426 Upgrade",
        "500 Oh",
    ] {
        let (mut visitor, mut backend) = ask();
        let lines =
            format!("Connection: Upgrade, close\r\nUpgrade: websocket\r\n{accept}Content-Length: 2\r\n");
        backend.write(format!("HTTP/1.1 {status}\r\n{lines}\r\nno").as_bytes());
        let reply = visitor.read(false).expect("an answer");
        assert_eq!((reply.status.to_string().as_str(), &*reply.body), (&status[..3], "no"), "{reply:?}");
        is_judged(visitor, backend, status);
    }
    let (mut visitor, mut backend) = ask();
    backend.write(change(&format!("Connection: Upgrade\r\nUpgrade: websocket\r\n{accept}")).as_bytes());
    assert_eq!(visitor.read(true).expect("an answer").status, 101);
    assert_eq!(backend.bytes(hidden.len()), hidden.as_bytes(), "an open tunnel carries everything");
}

/// `PortSwigger HTTP/1.1 must die 2025; TERM.EXT` Many servers: `Expect` that one server waits for and another one does not, and
/// extensions of chunks that end for one server where they go on for another.
///
/// Tried: the reverse proxy byte by byte; `Expect` in every form, with and without a body, doubled, on `GET` and `HEAD`, beside a
/// coding, and answered before the body came; line ends of every kind in the size of a chunk.
#[test]
fn portswigger_http_1_1_must_die_2025_an_expectation_ends_no_body() {
    crate::smuggling::an_expectation_ends_no_body();
    crate::smuggling::an_extension_ends_no_chunk();
    // A backend that answers early and keeps its connection open: what it has not read is nobody's next request.
    let stage = Stage::new();
    let hidden = "GET /hidden HTTP/1.1\r\nHost: app.foregate.localhost\r\n\r\n";
    for status in ["417 Expectation Failed", "401 Unauthorized", "200 OK"] {
        for length in ["Content-Length: 100000", "Transfer-Encoding: chunked"] {
            let mut visitor = stage.ask("POST /one", &[length, "Expect: 100-continue"]);
            assert!(visitor.head().starts_with("HTTP/1.1 100 "));
            visitor.write(if length.contains("chunked") { b"4\r\nsome\r\n" } else { b"some" });
            let mut backend = stage.accept();
            assert!(backend.head().starts_with("POST /one "));
            backend.write(format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nno").as_bytes());
            let reply = visitor.read(false).expect("an answer");
            assert_eq!((reply.status.to_string().as_str(), &*reply.body), (&status[..3], "no"), "{reply:?}");
            visitor.write(hidden.as_bytes());
            let mut other = stage.ask("GET /second", &["Connection: close"]);
            let mut fresh = stage.accept();
            assert!(fresh.head().starts_with("GET /second "), "{status} {length}");
            fresh.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6\r\n\r\nsecond");
            assert_eq!(other.read(false).expect("an answer").body, "second", "{status} {length}");
            drop(visitor);
            let got = String::from_utf8_lossy(&backend.until_the_end()).into_owned();
            assert!(!got.contains("/second") && !got.ends_with("0\r\n\r\n"), "{status} {length}: {got}");
            assert!(stage.accepted().is_none(), "{status} {length}: no request came of it");
        }
    }
}
