//! foregate as the reverse proxy, byte by byte: what a backend gets, and what comes back of its answer.

use crate::support::stage::Stage;

/// The header lines of a head, sorted, without those that every request of these tests has.
fn lines(head: &str, usual: &[&str]) -> Vec<String> {
    let mut lines: Vec<String> = head
        .trim_end()
        .split("\r\n")
        .skip(1)
        .filter(|line| !usual.iter().any(|name| line.starts_with(&format!("{name}: "))))
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines
}

const IDENTITY: [&str; 4] = ["remote-user", "remote-name", "remote-email", "remote-groups"];
const WAY: [&str; 7] = [
    "host",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
];

#[test]
fn a_backend_gets_what_was_asked_and_how_it_came() {
    let stage = Stage::new();
    let (host, port) = (stage.host(), stage.port);
    let mut visitor = stage.ask("GET /a%20b/?x=1&y=%2f", &["X-Own: 1", "x-own: 2", "Accept: */*"]);
    let mut backend = stage.accept();
    let head = backend.head();
    assert!(head.starts_with("GET /a%20b/?x=1&y=%2f HTTP/1.1\r\n"), "{head}");
    let mut wanted: Vec<String> = vec![
        "accept: */*".into(),
        "x-own: 1".into(),
        "x-own: 2".into(),
        format!("host: {host}"),
        format!("forwarded: for=127.0.0.1;host=\"{host}\";proto=http"),
        "x-forwarded-for: 127.0.0.1".into(),
        format!("x-forwarded-host: {host}"),
        format!("x-forwarded-port: {port}"),
        "x-forwarded-proto: http".into(),
        "x-real-ip: 127.0.0.1".into(),
        "remote-user: ".into(),
        "remote-name: ".into(),
        "remote-email: ".into(),
        "remote-groups: ".into(),
    ];
    wanted.sort();
    assert_eq!(lines(&head, &[]), wanted);
    backend.write(b"HTTP/1.1 299 Own Words\r\nContent-Length: 2\r\nX-A: 1\r\nX-A: 2\r\n\r\nok");
    let reply = visitor.read(false).expect("an answer");
    assert_eq!((reply.status, reply.body.as_str(), reply.all("x-a")), (299, "ok", vec!["1", "2"]));
}

#[test]
fn what_concerns_one_connection_stays_on_it() {
    let stage = Stage::new();
    let mut visitor = stage.ask(
        "GET /",
        &[
            "Connection: keep-alive, X-Hop, Remote-User, X-Forwarded-For, X-Real-IP, TE",
            "Keep-Alive: timeout=5",
            "X-Hop: 1",
            "X-End: 1",
            "TE: gzip, trailers",
            "Proxy: http://evil.test",
            "Proxy-Authorization: Basic eA==",
            "Proxy-Connection: keep-alive",
            "Upgrade: h2c, foo/2",
            "HTTP2-Settings: AAMAAABkAAQAAP__",
        ],
    );
    let mut backend = stage.accept();
    let head = backend.head();
    assert_eq!(lines(&head, &[&WAY[..], &IDENTITY[..]].concat()), ["te: trailers", "x-end: 1"], "{head}");
    for name in WAY.iter().chain(&IDENTITY) {
        assert_eq!(head.matches(&format!("\r\n{name}: ")).count(), 1, "{name}: {head}");
    }
    backend.write(
        b"HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nX-End: 1\r\nKeep-Alive: timeout=5\r\n\
          Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\nStrict-Transport-Security: max-age=1\r\n\
          Location: /elsewhere?x=1#y\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2; Path=/\r\nContent-Length: 0\r\n\r\n",
    );
    let reply = visitor.read(false).expect("an answer");
    for name in ["x-hop", "keep-alive", "proxy-authenticate", "upgrade", "connection"] {
        assert_eq!(reply.header(name), None, "{reply:?}");
    }
    assert_eq!(
        [reply.header("x-end"), reply.header("strict-transport-security"), reply.header("location")],
        [Some("1"), Some("max-age=1"), Some("/elsewhere?x=1#y")]
    );
    assert_eq!(reply.all("set-cookie"), ["a=1", "b=2; Path=/"]);
    visitor.write(stage.request("GET /next", &[]).as_bytes());
    assert!(stage.accept().head().starts_with("GET /next "), "the visitor's connection is kept");
}

#[test]
fn what_was_judged_cannot_be_taken_away_on_the_way() {
    let stage = Stage::new();
    for named in ["Host", "close, Cookie", "AUTHORIZATION", "content-length"] {
        let mut visitor =
            stage.ask("GET /", &[&format!("Connection: {named}"), "Cookie: a=1", "Authorization: Basic x"]);
        let reply = visitor.read(false).expect("an answer");
        assert_eq!(reply.status, 400, "{named}: {reply:?}");
    }
    let mut twice = stage.visit();
    twice.write(format!("GET / HTTP/1.1\r\nHost: {0}\r\nHost: {0}\r\n\r\n", stage.host()).as_bytes());
    assert_eq!(twice.read(false).expect("an answer").status, 400);
    assert!(stage.accepted().is_none(), "none of them reached the backend");
}

#[test]
fn a_whole_address_is_sent_as_a_path_to_one_host() {
    let stage = Stage::new();
    let _visitor = stage.ask(&format!("GET http://{}/x?y", stage.host()), &[]);
    let head = stage.accept().head();
    assert!(head.starts_with("GET /x?y HTTP/1.1\r\n"), "{head}");
    assert_eq!(head.matches(&format!("\r\nhost: {}\r\n", stage.host())).count(), 1, "{head}");
}

#[test]
fn only_a_trusted_peer_knows_who_came_before_it() {
    for (server, chain, client) in [
        ("", "198.51.100.9, 203.0.113.7, 127.0.0.1", "203.0.113.7"),
        ("trusted_proxies = []", "127.0.0.1", "127.0.0.1"),
    ] {
        let stage = Stage::with(server, "allow = \"public\"");
        let _visitor = stage.ask(
            "GET /",
            &[
                "X-Forwarded-For: 198.51.100.9",
                "X-Forwarded-For: 203.0.113.7",
                "X_Forwarded_For: 6.6.6.6",
                "Forwarded: for=6.6.6.6;host=evil.test",
                "X-Real-IP: 6.6.6.6",
                "X-Forwarded-Host: evil.test",
                "X-Forwarded-Proto: https",
                "X-Forwarded-Port: 1",
                "X-Forwarded-Prefix: /evil",
            ],
        );
        let head = stage.accept().head();
        let host = stage.host();
        let elements: Vec<String> = chain.split(", ").map(|hop| format!("for={hop}")).collect();
        let mut wanted = vec![
            format!("host: {host}"),
            format!("forwarded: {};host=\"{host}\";proto=http", elements.join(", ")),
            format!("x-forwarded-for: {chain}"),
            format!("x-forwarded-host: {host}"),
            format!("x-forwarded-port: {}", stage.port),
            "x-forwarded-proto: http".into(),
            format!("x-real-ip: {client}"),
        ];
        wanted.sort();
        assert_eq!(lines(&head, &IDENTITY), wanted, "{server}");
    }
}

#[test]
fn a_backend_cannot_set_cookies_of_ours() {
    let stage = Stage::new();
    for _ in 0..2 {
        let mut visitor = stage.ask("GET /", &["Cookie: foregate=x; theme=dark; foregate-login=y"]);
        let mut backend = stage.accept();
        assert!(backend.head().contains("\r\ncookie: theme=dark\r\n"));
        backend.write(
            b"HTTP/1.1 200 OK\r\nSet-Cookie: foregate=evil; Path=/\r\nSet-Cookie: foregate2=own\r\n\
              Set-Cookie: =foregate=evil\r\nSet-Cookie: foregate-login=; Max-Age=0\r\nContent-Length: 0\r\n\
              Connection: close\r\n\r\n",
        );
        let reply = visitor.read(false).expect("an answer");
        assert_eq!(reply.all("set-cookie"), ["foregate2=own"]);
    }
    assert_eq!(stage.foregate.logged("foregate's own"), 1);
}
