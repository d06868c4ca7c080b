//! foregate as the reverse proxy, byte by byte: what a backend gets, and what comes back of its answer.

use std::net::{TcpListener, TcpStream};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::support::foregate::{Foregate, free_port};
use crate::support::http::{Browser, NAVIGATES, get};
use crate::support::provider::Provider;
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
const WAY: [&str; 8] = [
    "cdn-loop",
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
    assert_eq!(lines(&head, &["cdn-loop"]), wanted);
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
fn a_backend_is_told_the_host_in_one_spelling_however_it_was_written() {
    let stage = Stage::new();
    let (bare, own) = ("app.foregate.localhost".to_owned(), stage.host());
    let wrong_port = format!("app.foregate.localhost:{}", stage.port ^ 1);
    for (host, told) in [
        (bare.as_str(), &bare),
        ("APP.Foregate.localhost", &bare),
        ("app.foregate.localhost.", &bare),
        (&wrong_port, &bare),
        (&own, &own),
        (&own.to_uppercase(), &own),
    ] {
        let mut visitor = stage.visit();
        visitor.write(format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes());
        let head = stage.accept().head();
        for line in [
            format!("host: {told}"),
            format!("x-forwarded-host: {told}"),
            format!("x-forwarded-port: {}", stage.port),
            format!("forwarded: for=127.0.0.1;host=\"{told}\";proto=http"),
        ] {
            assert!(head.contains(&format!("\r\n{line}\r\n")), "{host}: no {line} in {head}");
        }
    }
}

#[test]
fn what_is_a_name_of_its_own_only_to_some_backends_stays_behind() {
    let stage = Stage::new();
    let strange = [
        "Transfer_Encoding: chunked",
        "Content_Length: 50",
        "Content.Length: 50",
        "X-Host: evil.test",
        "X-Envoy-Original-Path: /other",
        "X-Remote-IP: 10.0.0.1",
        "Fly-Client-IP: 10.0.0.1",
        "CF-Connecting-IPv6: ::1",
        "X-Middleware-Subrequest: middleware",
        "X-Authentik-Meta-Outpost: x",
        "X-Authentik-Username: admin",
        "X-Auth-Request-User: admin",
        "X-WEBAUTH-USER: admin",
        "X-Method-Override: DELETE",
        "_method: DELETE",
    ];
    let _visitor = stage.ask("GET /", &strange);
    let head = stage.accept().head();
    let usual = [&WAY[..], &IDENTITY[..]].concat();
    assert_eq!(lines(&head, &usual), Vec::<String>::new(), "{head}");
}

#[test]
fn a_request_that_comes_back_goes_no_further() {
    // What lies between is a way that no configuration tells of.
    let (port, between) = (free_port(), TcpListener::bind("127.0.0.1:0").expect("a port"));
    let upstream =
        format!("allow = \"public\"\nupstream = \"http://{}\"", between.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for visitor in between.incoming().map_while(Result::ok) {
            let backend = TcpStream::connect(("127.0.0.1", port)).expect("foregate");
            for (mut from, mut to) in [(visitor.try_clone(), backend.try_clone()), (Ok(backend), Ok(visitor))]
                .map(|(from, to)| (from.expect("a socket"), to.expect("a socket")))
            {
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            }
        }
    });
    let config = format!(
        "public_url = \"http://auth.foregate.localhost:{port}\"\n[server]\nlisten = \"LISTEN\"\nadmin_listen = \"ADMIN\"\n\
         [session]\nstore = \"sqlite:DIR/f.db\"\n[provider]\nissuer = \"http://127.0.0.1:1/\"\nclient_id = \"f\"\n\
         client_auth = \"none\"\n[apps.\"app.foregate.localhost\"]\n{upstream}\n"
    );
    let foregate = Foregate::start_at(&config, port);
    let reply = get(foregate.public, "/", &["Host: app.foregate.localhost", "Connection: close"]);
    assert!(reply.status == 508 && reply.body.contains("came back"), "{reply:?}");
    assert!(reply.header("foregate-ref").is_some(), "{reply:?}");
}

#[test]
fn what_somebody_was_let_in_for_is_kept_by_no_shared_cache() {
    let port = free_port();
    let provider = Provider::for_foregate(&format!("http://auth.foregate.localhost:{port}"), Value::Null);
    let rules = "allow = \"signed-in\"\nrules = [{ path = \"/open\", allow = \"public\" }]";
    let stage = Stage::at(port, &provider.config(), rules);
    let mut browser = Browser::default();
    browser.sign_in(&format!("http://auth.foregate.localhost:{port}/.foregate/sign-in"), "alice");
    let cookie = format!("Cookie: foregate={}", browser.cookie("foregate").expect("a session").value);
    for (path, lines, told, cdn) in [
        ("/mine", &[cookie.as_str()][..], "private, max-age=3600", None),
        ("/open", &[], "public, max-age=3600, s-maxage=9", Some("max-age=9")),
    ] {
        let mut visitor = stage.ask(&format!("GET {path}"), lines);
        let mut backend = stage.accept();
        backend.head();
        backend.write(
            b"HTTP/1.1 200 OK\r\nCache-Control: public, max-age=3600, s-maxage=9\r\nCDN-Cache-Control: max-age=9\r\n\
              Content-Length: 0\r\n\r\n",
        );
        let reply = visitor.read(false).expect("an answer");
        assert_eq!(
            (reply.header("cache-control"), reply.header("cdn-cache-control")),
            (Some(told), cdn),
            "{reply:?}"
        );
    }
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
                "Client-IP: 6.6.6.6",
                "Client_Ip: 6.6.6.6",
                "X-Cluster-Client-IP: 6.6.6.6",
                "CF-Connecting-IP: 6.6.6.6",
                "Fastly-Client-IP: 6.6.6.6",
                "Forwarded-For: 6.6.6.6",
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
        assert_eq!(lines(&head, &[&IDENTITY[..], &["cdn-loop"]].concat()), wanted, "{server}");
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
    stage.foregate.wait_for_log("foregate's own");
    assert_eq!(stage.foregate.logged("foregate's own"), 1);
}

/// The path that the backend is asked for, or the status of the visitor's answer without it.
fn asked_for(stage: &Stage, host: &str, target: &str) -> Result<String, u16> {
    let mut visitor = stage.ask_of(host, &format!("GET {target}"), &["Connection: close"]);
    let mut given_up = visitor.peek();
    loop {
        if let Some(mut backend) = stage.accepted() {
            let head = backend.head();
            let path = head.split(' ').nth(1).expect("a path").to_owned();
            let prefix = head.split("x-forwarded-prefix: ").nth(1).and_then(|rest| rest.split("\r\n").next());
            return Ok(prefix.map_or_else(|| path.clone(), |prefix| format!("{path} behind {prefix}")));
        }
        if given_up {
            return Err(visitor.read(false).expect("an answer").status);
        }
        given_up = visitor.peek();
    }
}

#[test]
fn a_path_that_is_changed_on_the_way_opens_nothing_that_is_closed() {
    let tables = r#"
[apps."shared.foregate.localhost/a"]
upstream = "BACKEND"
strip_prefix = true
allow = "nobody"
rules = [{ path = "/a/open/**", allow = "public" }, { path = "/a/x/**", allow = "public" }, { path = "/x/admin/**", allow = "signed-in" }]
[apps."based.foregate.localhost"]
upstream = "BACKEND/base/path"
allow = "public"
rules = [{ path = "/base/path/admin/**", allow = "signed-in" }]
"#;
    let stage = Stage::with(
        &format!(
            "{tables}[provider]\n{}",
            "issuer = \"http://127.0.0.1:9/\"\nclient_id = \"foregate\"\nclient_auth = \"none\"\n"
        ),
        "allow = \"public\"",
    );
    for (host, target, wanted) in [
        ("shared", "/a/open/x?y=/../z", Ok("/open/x?y=/../z behind /a")),
        ("shared", "/%61/%6fpen/%20", Ok("/%6fpen/%20 behind /a")),
        ("shared", "/a/x/y", Ok("/x/y behind /a")),
        ("shared", "/a/x/admin/y", Err(401)),
        ("shared", "/a/x/%61dmin", Err(401)),
        ("shared", "/a/x//admin/y", Err(400)),
        ("shared", "/a/x/..%2fadmin", Err(400)),
        ("shared", "/a/other", Err(403)),
        ("based", "/", Ok("/base/path/")),
        ("based", "/x/?y", Ok("/base/path/x/?y")),
        ("based", "/admin", Err(401)),
        ("based", "/%61dmin/x", Err(401)),
        ("based", "/base/path/admin/x", Err(401)),
        ("based", "/a%2fb", Err(400)),
    ] {
        let found = asked_for(&stage, host, target);
        assert_eq!(found.as_deref().map_err(|status| *status), wanted, "{host}{target}");
    }
}

#[test]
fn an_app_says_what_its_backend_is_shown_as_authorization() {
    let port = free_port();
    let provider = Provider::for_foregate(&format!("http://auth.foregate.localhost:{port}"), Value::Null);
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("basic");
    std::fs::write(&file, "app:s3cret\n").expect("a file");
    let app = |host: &str, shown: &str| {
        format!(
            "[apps.\"{host}.foregate.localhost\"]\nupstream = \"BACKEND\"\nauthorization = {shown}\nallow = \"signed-in\"\n\
             rules = [{{ path = \"/open\", allow = \"public\" }}]\n"
        )
    };
    let apps = [
        app("removed", "\"remove\""),
        app("access", "\"access-token\""),
        app("id", "\"id-token\""),
        app("basic", &format!("{{ basic_file = \"{}\" }}", file.display())),
    ];
    let tables = format!("[session]\nstore = \"sqlite:DIR/f.db\"\n{}{}", provider.config(), apps.concat());
    let stage =
        Stage::at(port, &tables, "allow = \"signed-in\"\nrules = [{ path = \"/open\", allow = \"public\" }]");
    let mut alice = Browser::default();
    alice.sign_in(&format!("http://auth.foregate.localhost:{port}/.foregate/sign-in"), "alice");
    let cookie = format!("Cookie: foregate={}", alice.cookie("foregate").expect("a session").value);
    let shown = |host: &str, target: &str, lines: &[&str]| {
        let _visitor = stage.ask_of(host, target, lines);
        let head = stage.accept().head();
        let mut lines = head.split("\r\n").filter_map(|line| line.strip_prefix("authorization: "));
        let value = lines.next().map(str::to_owned);
        assert_eq!(lines.next(), None, "{head}");
        value
    };
    let own = "Authorization: Basic b3duOm93bg==";
    let signed_in = [cookie.as_str(), own];
    assert_eq!(shown("app", "GET /", &signed_in).as_deref(), Some("Basic b3duOm93bg=="));
    assert_eq!(shown("removed", "GET /", &signed_in), None);
    assert_eq!(shown("basic", "GET /", &signed_in).as_deref(), Some("Basic YXBwOnMzY3JldA=="));
    assert_eq!(shown("basic", "GET /open", &[own]).as_deref(), Some("Basic YXBwOnMzY3JldA=="));
    let id = shown("id", "GET /", &signed_in).expect("an ID token");
    let claims = id.strip_prefix("Bearer ").and_then(|token| token.split('.').nth(1)).expect("claims");
    let claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).expect("base64")).expect("JSON");
    assert_eq!(claims["iss"].as_str(), Some(provider.issuer.as_str()));
    let access = shown("access", "GET /", &signed_in).expect("an access token");
    assert!(access.starts_with("Bearer ") && access != id, "{access}");
    assert_eq!(shown("access", "GET /", &signed_in).as_ref(), Some(&access), "the same once more");
    for host in ["access", "id"] {
        assert_eq!(
            shown(host, "GET /open", &[own]),
            None,
            "nobody has a token, and nobody's own passes for one"
        );
    }
    for token in [&access[7..], &id[7..]] {
        assert_eq!(stage.foregate.logged(token), 0, "no log shows a token");
    }
}

#[test]
fn people_see_a_page_and_programs_a_problem_where_an_app_gives_no_answer() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let tables = format!(
        "[apps.\"closed.foregate.localhost\"]\nupstream = \"http://{closed}\"\nallow = \"public\"\n\
         [apps.\"small.foregate.localhost\"]\nupstream = \"BACKEND\"\nmax_body_size = \"1K\"\nallow = \"public\"\n"
    );
    let stage = Stage::with(&tables, "allow = \"public\"\nresponse_header_timeout = \"1s\"");
    let kept = std::cell::RefCell::new(Vec::new());
    for (host, line, status, reason) in [
        ("closed", "GET /", 502, "app-unreachable"),
        ("app", "GET /", 504, "app-late"),
        ("small", "POST /", 413, "request-too-large"),
    ] {
        let length = if line.starts_with("POST") { "Content-Length: 2000" } else { "X-None: 1" };
        let mut program = stage.ask_of(host, line, &["Accept: application/json", length]);
        if host == "app" {
            kept.borrow_mut().push(stage.accept());
        }
        let reply = program.read(false).expect("an answer");
        assert_eq!((reply.status, reply.json()["reason"].as_str()), (status, Some(reason)), "{reply:?}");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        if line.starts_with("GET") {
            let mut person = stage.ask_of(host, line, &[NAVIGATES]);
            if host == "app" {
                kept.borrow_mut().push(stage.accept());
            }
            let page = person.read(false).expect("an answer");
            assert_eq!(page.status, status, "{page:?}");
            assert!(
                page.body.contains("Reference") && page.header("content-security-policy").is_some(),
                "{page:?}"
            );
        }
        let told = reply.json()["ref"].as_str().expect("a reference").to_owned();
        stage.foregate.wait_for_log(&format!("\"ref\":\"{told}\""));
    }
}

#[test]
fn answers_pass_in_every_form_they_have() {
    let stage = Stage::new();
    let mut visitor = stage.ask("HEAD /", &[]);
    let mut backend = stage.accept();
    backend.head();
    backend.write(b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nETag: \"x\"\r\n\r\n");
    let head = visitor.head().to_ascii_lowercase();
    assert!(head.contains("\r\ncontent-length: 12345\r\n") && head.contains("\r\netag: \"x\"\r\n"), "{head}");
    visitor.write(stage.request("GET /", &["If-None-Match: \"x\""]).as_bytes());
    backend.head();
    backend.write(b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n");
    assert!(visitor.head().starts_with("HTTP/1.1 304 "));
    visitor.write(stage.request("GET /events", &["Accept: text/event-stream", "TE: trailers"]).as_bytes());
    backend.head();
    backend.write(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
          Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    // The head comes before any of the body, and each event before the next one is sent.
    assert!(visitor.head().starts_with("HTTP/1.1 200 OK\r\n"), "an interim answer stays behind");
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        let chunk = format!("{:x}\r\n{event}\r\n", event.len());
        backend.write(chunk.as_bytes());
        assert_eq!(visitor.bytes(chunk.len()), chunk.as_bytes());
    }
    backend.write(b"0\r\nX-Sum: 7\r\n\r\n");
    assert_eq!(visitor.bytes(15), b"0\r\nx-sum: 7\r\n\r\n");
}

#[test]
fn a_length_beside_a_coding_stays_behind() {
    let stage = Stage::new();
    let mut visitor = stage.ask("GET /", &[]);
    let mut backend = stage.accept();
    backend.head();
    backend.write(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
          5\r\nwhole\r\n0\r\n\r\n",
    );
    let head = visitor.head().to_ascii_lowercase();
    assert!(!head.contains("content-length") && head.contains("transfer-encoding: chunked"), "{head}");
    assert_eq!(visitor.bytes(15), b"5\r\nwhole\r\n0\r\n\r\n");
}

#[test]
fn a_coding_that_a_visitor_could_not_be_told_of_is_no_answer() {
    for coding in ["gzip, chunked", "chunked, gzip", "identity"] {
        let stage = Stage::new();
        let mut visitor = stage.ask("GET /", &[]);
        let mut backend = stage.accept();
        backend.head();
        backend.write(
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
                .as_bytes(),
        );
        let reply = visitor.read(false).expect("an answer");
        assert_eq!((reply.status, reply.body.contains("abc")), (502, false), "{coding}: {reply:?}");
    }
}

#[test]
fn a_get_keeps_its_body_whoever_knows_its_length() {
    let stage = Stage::new();
    let mut visitor = stage.ask("GET /search", &["Transfer-Encoding: chunked"]);
    visitor.write(b"5\r\nquery\r\n0\r\n\r\n");
    let mut backend = stage.accept();
    assert!(backend.head().contains("\r\ntransfer-encoding: chunked\r\n"));
    assert_eq!(backend.bytes(15), b"5\r\nquery\r\n0\r\n\r\n");
    backend.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(visitor.read(false).expect("an answer").status, 200);
}

#[test]
fn an_early_answer_is_not_held_back_by_the_body_it_does_not_wait_for() {
    let stage = Stage::new();
    let mut visitor = stage.ask("POST /", &["Content-Length: 1000000", "Expect: 100-continue"]);
    assert!(visitor.head().starts_with("HTTP/1.1 100 "));
    visitor.write(b"some");
    let mut backend = stage.accept();
    assert!(backend.head().contains("\r\nexpect: 100-continue\r\n"));
    assert_eq!(backend.bytes(4), b"some");
    backend.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmuch");
    let reply = visitor.read(false).expect("an answer");
    assert_eq!((reply.status, reply.body.as_str()), (413, "much"));
}

#[test]
fn large_bodies_pass_in_little_memory() {
    const PIECES: usize = 200;
    let stage = Stage::new();
    let piece = vec![b'x'; 1 << 20];
    let length = format!("Content-Length: {}", PIECES << 20);
    let before = stage.foregate.peak_kib();
    let mut visitor = stage.ask("POST /", &[&length]);
    let mut backend = stage.accept();
    std::thread::scope(|scope| {
        scope.spawn(|| (0..PIECES).for_each(|_| visitor.write(&piece)));
        backend.head();
        backend.skip(PIECES << 20);
    });
    std::thread::scope(|scope| {
        scope.spawn(|| {
            backend.write(format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{length}\r\n\r\n").as_bytes());
            (0..PIECES).for_each(|_| backend.write(&piece));
        });
        visitor.head();
        visitor.skip(PIECES << 20);
    });
    // A reader that stops has its backend stopped too, before much of the answer lies in memory.
    let mut slow = stage.ask("GET /", &[]);
    let mut backend = stage.accept();
    backend.head();
    backend.write(format!("HTTP/1.1 200 OK\r\n{length}\r\n\r\n").as_bytes());
    let taken = backend.write_until_stuck(&piece, PIECES);
    assert!(taken < PIECES, "the backend was never stopped");
    slow.head();
    let grown = stage.foregate.peak_kib() - before;
    assert!(grown < 64 * 1024, "{grown} KiB");
}
