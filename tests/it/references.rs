//! Every answer that says no or tells of an error has a reference, and whoever runs the site is told what it is about.

use serde_json::Value;

use crate::support::foregate::{Foregate, free_port, run};
use crate::support::http::{Reply, get, raw, request};
use crate::support::scene::{DIALECTS, Scene, ask, ask_raw, scene};
use crate::support::stage::Stage;

const NAVIGATES: &str = "Accept: text/html";

/// What the API of this foregate says of a reference.
fn about(foregate: &Foregate, reference: &str) -> Value {
    let reply = api(foregate, &format!("/api/v1/refs/{reference}"));
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

fn api(foregate: &Foregate, target: &str) -> Reply {
    get(foregate.admin, target, &["Host: localhost", "Connection: close"])
}

/// The reference of an answer, which its body tells, too, if it has one.
fn reference(reply: &Reply) -> String {
    let told = reply.header("foregate-ref").unwrap_or_else(|| panic!("no reference: {reply:?}")).to_owned();
    assert!(told.len() == 8 && told.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{told}");
    assert!(reply.body.is_empty() || reply.body.contains(&told), "the body tells another: {reply:?}");
    told
}

#[test]
fn every_denial_in_every_dialect_can_be_asked_about() {
    let (alice, host) = (scene().cookie("alice"), "http://bob.foregate.localhost");
    for dialect in DIALECTS {
        for (url, lines, status, why, rule) in [
            (
                format!("{host}/a?x=1"),
                vec![alice.as_str(), NAVIGATES],
                403,
                "the rule lets in others",
                "bob.",
            ),
            (format!("{host}/a"), vec![alice.as_str()], 403, "the rule lets in others", "bob."),
            (format!("{host}/a"), vec![], 401, "nobody is signed in", "bob."),
            ("http://other.test/".to_owned(), vec![NAVIGATES], 403, "no line of [apps]", ""),
            ("http://other.test/".to_owned(), vec![], 403, "no line of [apps]", ""),
            (format!("{host}/a"), vec!["X_Forwarded_Uri: /"], 400, "a look-alike", ""),
        ] {
            let reply = scene().ask(dialect, "GET", &url, &lines);
            assert_eq!(reply.status, status, "{dialect} {url} {lines:?}: {reply:?}");
            let told = about(&scene().foregate, &reference(&reply));
            assert_eq!(told["status"], status, "{told}");
            assert_eq!(told["read_as"], dialect, "{told}");
            assert!(told["why"].as_str().expect("a text").contains(why), "{told}");
            assert!(told["rule"].as_str().unwrap_or_default().contains(rule), "{told}");
            if status != 400 {
                let asked = &told["request"];
                let path = if url.starts_with(host) { "/a" } else { "/" };
                assert_eq!((&asked["method"], &asked["path"]), (&"GET".into(), &path.into()), "{told}");
                assert_eq!(asked["client"], Value::Null, "the proxy names nobody");
            }
            let is_alice = status == 403 && url.starts_with(host);
            assert_eq!(told["user"].as_str(), is_alice.then_some("alice"), "{told}");
            assert_eq!(told["missing"].as_array().is_some_and(|list| !list.is_empty()), is_alice, "{told}");
        }
        let two_ways =
            ask_raw(dialect, "GET", ("http", "rules.foregate.localhost", "/public/%2e%2e/admin"), &[]);
        let reply = raw(scene().foregate.public, &two_ways);
        assert_eq!(reply.status, 400, "{dialect}: {reply:?}");
        about(&scene().foregate, &reference(&reply));
    }
}

#[test]
fn a_header_is_told_with_whether_it_was_believed() {
    let lines = ["X-Forwarded-For: 192.0.2.7", "X-Real-IP: 192.0.2.9", "Remote-User: admin"];
    let counted = |told: &Value, name: &str| {
        let headers = told["headers"].as_array().expect("a list").clone();
        let header = headers.into_iter().find(|header| header["name"] == name);
        header.unwrap_or_else(|| panic!("no {name}: {told}"))
    };
    let reply = scene().ask("traefik", "GET", "http://bob.foregate.localhost/", &lines);
    let told = about(&scene().foregate, &reference(&reply));
    assert_eq!(told["request"]["client"], "192.0.2.7");
    assert_eq!(counted(&told, "x-forwarded-for")["counted"], "believed");
    assert_eq!(counted(&told, "x-forwarded-host")["value"], "bob.foregate.localhost");
    assert_eq!(counted(&told, "x-real-ip")["counted"], "not-read");
    assert_eq!(counted(&told, "remote-user")["counted"], "identity");
    assert_eq!(counted(&told, "remote-user")["value"], Value::Null, "who somebody claims to be is not kept");

    let stage = Stage::with("trusted_proxies = [\"192.0.2.0/24\"]", "allow = \"signed-in\"");
    for dialect in DIALECTS {
        let bytes = ask(dialect, "GET", "http://app.foregate.localhost/", &lines);
        let reply = raw(stage.foregate.public, &bytes);
        assert_eq!(reply.status, 403, "{reply:?}");
        let told = about(&stage.foregate, &reference(&reply));
        assert_eq!(told["trusted"], false);
        assert!(told["why"].as_str().is_some_and(|why| why.contains("server.trusted_proxies")), "{told}");
        assert_eq!(counted(&told, "x-forwarded-for")["counted"], "untrusted-peer", "{told}");
        assert_eq!(told["request"]["client"], Value::Null, "{told}");
    }
}

#[test]
fn nothing_secret_is_kept() {
    let scene = Scene::set("store = \"sqlite:DIR/f.db\"");
    let session = scene.cookie("alice");
    let session = session.split_once('=').expect("a cookie").1;
    let cookie = format!("Cookie: foregate={session}; other=c00kie-secret");
    let lines = [
        cookie.as_str(),
        "Authorization: Bearer t0ken-secret",
        "X-Foregate-Token: t0ken-secret",
        "Foregate-Assertion: t0ken-secret",
        "X-Forwarded-Client-Cert: t0ken-secret",
        "Remote-Email: who-secret",
        "Referer: http://bob.foregate.localhost/?r=query-secret",
    ];
    for dialect in DIALECTS {
        scene.ask(dialect, "GET", "http://bob.foregate.localhost/a?code=query-secret", &lines);
        scene.ask(dialect, "GET", "http://bob.foregate.localhost/a?code=query-secret", &lines[1..]);
        let odd = ("http", "user:query-secret@bob.foregate.localhost", "/?q=query-secret");
        raw(scene.foregate.public, &ask_raw(dialect, "GET", odd, &lines));
    }
    for target in
        ["/.foregate/callback?code=query-secret&state=query-secret", "/.foregate/sign-out?x=query-secret"]
    {
        let host = format!("Host: auth.foregate.localhost:{}", scene.foregate.public.port());
        let reply = raw(scene.foregate.public, request("POST", target, &[&host, &cookie], "a=b").as_bytes());
        reference(&reply);
    }
    let kept = api(&scene.foregate, "/api/v1/refs").body;
    assert!(kept.matches("\"ref\"").count() >= 12, "{kept}");
    for secret in ["secret", session] {
        let at = kept.find(secret).map(|at| &kept[at.saturating_sub(200)..at]);
        assert_eq!(at, None, "{secret} is kept");
    }
}

#[test]
fn as_a_proxy_every_refusal_and_every_trouble_has_one() {
    let closed = free_port();
    let tables = "[session]\nstore = \"sqlite:DIR/f.db\"\n[apps.\"shut.foregate.localhost\"]\nallow = \"signed-in\"\nupstream = \"BACKEND\"\n";
    let port = free_port();
    let app = format!(
        "allow = \"public\"\n[apps.\"gone.foregate.localhost\"]\nupstream = \"http://127.0.0.1:{closed}\"\nallow = \"public\""
    );
    let stage = Stage::at(port, tables, &app);
    for (host, line, lines, status, why) in [
        ("shut", "GET /", vec![], 401, "nobody is signed in"),
        ("gone", "GET /x?q=1", vec![], 502, "cannot connect"),
        ("gone", "GET /x", vec![NAVIGATES], 502, "cannot connect"),
        ("app", "GET /", vec!["Connection: Cookie"], 400, "the header Connection"),
        ("app", "GET /%zz", vec![], 400, "the path"),
        ("app", "TRACE /", vec![], 405, "Method Not Allowed"),
        ("none", "GET /", vec![], 404, "no app of its own"),
        ("auth", "GET /.foregate/nothing", vec![], 404, "no page here"),
        ("auth", "PUT /.foregate/sign-in", vec![], 405, "Method Not Allowed"),
        ("auth", "GET /.foregate/callback", vec![], 400, "a sign-in did not succeed"),
        ("auth", "POST /.foregate/device", vec!["Content-Length: 0"], 400, ""),
        ("auth", "POST /.foregate/backchannel-logout", vec!["Content-Length: 0"], 400, ""),
        ("auth", "GET /.foregate/session", vec![], 401, "nobody is signed in"),
    ] {
        let reply = stage.ask_of(host, line, &lines).read(false).unwrap_or_else(|| panic!("{host} {line}"));
        assert_eq!(reply.status, status, "{host} {line}: {reply:?}");
        let told = about(&stage.foregate, &reference(&reply));
        assert!(told["why"].as_str().expect("a text").contains(why), "{line}: {told}");
        let path = line.split([' ', '?']).nth(1).expect("a path");
        assert_eq!(told["request"]["path"], path, "{told}");
    }
    let reply = stage.ask_of("gone", "GET /x", &[]).read(false).expect("an answer");
    let told = about(&stage.foregate, &reference(&reply));
    assert_eq!(
        (told["app"].as_str(), told["user"].as_str()),
        (Some("gone.foregate.localhost"), None),
        "{told}"
    );
    let mut fine = stage.ask("GET /", &[]);
    let mut backend = stage.accept();
    backend.head();
    backend.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let reply = fine.read(false).expect("an answer");
    assert_eq!((reply.status, reply.header("foregate-ref")), (404, None), "the app's own no is the app's");
}

#[test]
fn the_command_asks_the_foregate_that_runs() {
    let tables = "admin_token_file = \"DIR/token\"\n[session]\nstore = \"sqlite:DIR/f.db\"\n";
    let dir = tempfile::tempdir().expect("a directory");
    let token = dir.path().join("token");
    std::fs::write(&token, "s3cret-token\n").expect("a token");
    let tables = tables.replace("DIR/token", token.to_str().expect("a path"));
    let stage = Stage::with(&tables, "allow = \"signed-in\"");
    let reply = stage.ask("GET /board/7?q=1", &["Host-Other: x"]).read(false).expect("an answer");
    let told = reference(&reply);
    let explain = |words: &[&str]| run(&[&["explain"], words].concat(), stage.foregate.dir());
    for typed in [told.clone(), told.to_uppercase(), format!(" {told} ")] {
        let (code, out, err) = explain(&["--ref", &typed]);
        assert_eq!(code, Some(0), "{err}");
        let asked = "asked: GET http://app.foregate.localhost/board/7\n";
        assert!(out.contains(&told) && out.contains(asked) && out.contains("nobody is signed in"), "{out}");
        assert!(out.contains("foregate is the proxy itself") && out.contains("rule: "), "{out}");
    }
    let begin = &told[..2];
    stage.foregate.wait_for_log(&format!("\"begin_with\":\"{begin}\""));
    let (code, _, err) = explain(&["--ref", &format!("{begin}uuuuuu")]);
    assert!(code == Some(1) && err.contains("any more"), "{err}");
    let (code, _, err) = explain(&["--ref", "uuuuuuuu"]);
    assert!(code == Some(1) && err.contains("another replica") && err.contains(begin), "{err}");
    for words in
        [&["--ref", "short"][..], &["--ref", &told, "https://app.test/"], &["--ref", "../sessions"], &[]]
    {
        assert_eq!(explain(words).0, Some(2), "{words:?}");
    }
    std::fs::write(&token, "another-token\n").expect("a token");
    let (code, _, err) = explain(&["--ref", &told]);
    assert!(code == Some(1) && err.contains("server.admin_token"), "{err}");
    let open =
        get(stage.foregate.admin, &format!("/api/v1/refs/{told}"), &["Host: localhost", "Connection: close"]);
    assert_eq!(open.status, 401, "not without the token");
}

#[test]
fn what_is_kept_is_bounded() {
    let stage = Stage::with("", "allow = \"signed-in\"");
    let refused = |line: &str| {
        let mut wire = stage.ask(line, &[]);
        reference(&wire.read(false).expect("an answer"))
    };
    let (first, long) = (refused("GET /first"), refused(&format!("GET /{}", "x".repeat(4000))));
    let other = refused("GET /%zz");
    assert!(about(&stage.foregate, &long)["request"]["path"].as_str().expect("a path").len() < 300);
    let mut wire = stage.visit();
    for _ in 0..260 {
        wire.write(stage.request("GET /", &[]).as_bytes());
        reference(&wire.read(false).expect("an answer"));
    }
    assert_eq!(api(&stage.foregate, &format!("/api/v1/refs/{first}")).status, 404, "the oldest is gone");
    about(&stage.foregate, &other);
    let listed = api(&stage.foregate, "/api/v1/refs?limit=1000").json();
    assert_eq!(listed["refs"].as_array().map(Vec::len), Some(251), "250 of one kind, one of another");
    for (target, status) in [("/api/v1/refs?limit=0", 400), ("/api/v1/refs?x=1", 400)] {
        assert_eq!(api(&stage.foregate, target).status, status, "{target}");
    }
}
