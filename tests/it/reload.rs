//! The configuration read anew while foregate runs: by a signal, by the API and because a file has changed; whole or not at
//! all. What is waited for comes long before foregate would look by itself, and nothing is asked of a store or a provider
//! twice.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::foregate::{Foregate, free_port};
use crate::support::http::{Browser, Reply, Wire, raw, request};
use crate::support::provider::Provider;
use crate::support::stage::Stage;
use crate::support::upstream::{Act, Recorder, ask, config, ok, until};

/// A stage with people.
struct House {
    stage: Stage,
    provider: Provider,
}

impl House {
    fn new(app: &str) -> Self {
        let port = free_port();
        let provider = Provider::for_foregate(&format!("http://auth.foregate.localhost:{port}"), Value::Null);
        let tables = format!("[session]\nstore = \"sqlite:DIR/f.db\"\n{}", provider.config());
        Self { stage: Stage::at(port, &tables, app), provider }
    }

    fn cookie(&self, user: &str) -> String {
        let mut browser = Browser::default();
        browser
            .sign_in(&format!("http://auth.foregate.localhost:{}/.foregate/sign-in", self.stage.port), user);
        format!("Cookie: foregate={}", browser.cookie("foregate").expect("a session").value)
    }

    /// An answer that has begun and does not end.
    fn stream(&self, cookie: &str) -> (Wire, Wire) {
        let mut visitor = self.stage.ask("GET /events", &[cookie]);
        let mut backend = self.stage.accept();
        backend.head();
        backend.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
        assert!(visitor.head().starts_with("HTTP/1.1 200 OK\r\n"));
        assert_eq!(visitor.bytes(10), b"5\r\nfirst\r\n");
        (visitor, backend)
    }

    fn status(&self, cookie: &str) -> u16 {
        let url = format!("http://app.foregate.localhost:{}/x", self.stage.port);
        self.stage.foregate.check(&url, &[cookie]).status
    }
}

/// The same text but for this part, which must be there.
fn with(text: &str, part: &str, other: &str) -> String {
    assert!(text.contains(part), "no {part} in {text}");
    text.replacen(part, other, 1)
}

/// `POST /api/v1/reload` by a program of this machine.
fn reload(foregate: &Foregate) -> Reply {
    let lines = ["Host: localhost", "Content-Type: application/json", "Connection: close"];
    raw(foregate.admin, request("POST", "/api/v1/reload", &lines, "").as_bytes())
}

fn reload_done(foregate: &Foregate) -> Vec<String> {
    let reply = reload(foregate);
    assert_eq!((reply.status, reply.json()["outcome"].as_str()), (200, Some("done")), "{reply:?}");
    serde_json::from_value(reply.json()["changed"].clone()).expect("names")
}

const IN_FORCE: &str = "a new configuration is in force";
const REFUSED: &str = "the new configuration is refused: the one before stays in force";

#[test]
fn a_signal_puts_a_new_configuration_in_force_and_connections_go_on() {
    let stage = Stage::new();
    let mut visitor = stage.visit();
    let mut status = |path: &str| {
        visitor.write(stage.request(&format!("GET {path}"), &[]).as_bytes());
        if path.starts_with("/open") {
            let mut backend = stage.accept();
            backend.head();
            backend.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
        visitor.read(false).expect("an answer on the same connection").status
    };
    assert_eq!(status("/open/1"), 200);
    let rules = "allow = \"nobody\"\nrules = [{ path = \"/open/**\", allow = \"public\" }]";
    stage.foregate.rewrite(&with(&stage.config, "allow = \"public\"", rules));
    stage.foregate.hang_up();
    let line = stage.foregate.wait_for_log(IN_FORCE);
    assert!(line.contains("SIGHUP") && line.contains("apps.\\\"app.foregate.localhost\\\""), "{line}");
    assert_eq!((status("/closed"), status("/open/2")), (403, 200));
    let text = stage.foregate.wait_for_log("also without a sign-in");
    assert!(text.contains("app app.foregate.localhost: loses everybody, also without a sign-in"), "{text}");
}

#[test]
fn what_is_wrong_changes_nothing_and_is_told() {
    let stage = Stage::with("watch = false", "allow = \"public\"");
    let status =
        || stage.foregate.check(&format!("http://app.foregate.localhost:{}/", stage.port), &[]).status;
    let other = free_port().to_string();
    let (port, allow) = (stage.foregate.public.port().to_string(), "allow = \"public\"");
    let filled = stage.foregate.filled(&stage.config);
    let test = |expect: &str| {
        format!(
            "allow = \"nobody\"\n[[tests]]\nurl = \"http://app.foregate.localhost/\"\nexpect = \"{expect}\""
        )
    };
    let listen = format!("listen = \"127.0.0.1:{port}\"");
    let cases = [
        (allow, "allow = \"nobody\"\nalow = \"nobody\"".to_owned(), "`alow`"),
        (allow, "allow = \"nobody".to_owned(), "foregate.toml:"),
        (allow, "allow = \"nobody\"\nca_file = \"/nowhere/ca.pem\"".to_owned(), "/nowhere/ca.pem"),
        (allow, test("allow"), "expect"),
        (&listen, format!("listen = \"127.0.0.1:{other}\""), "`server.listen` has changed"),
        ("sqlite:", "sqlite:/nowhere".to_owned(), "`session.store` has changed"),
    ];
    for (number, (part, new, told)) in cases.iter().enumerate() {
        let text = with(&filled, part, new);
        // Beside what needs a start, what does not is not taken either.
        stage.foregate.rewrite(&text.replace(allow, "allow = \"nobody\""));
        let reply = reload(&stage.foregate);
        let findings = reply.json()["findings"].to_string();
        assert_eq!((reply.status, reply.json()["reason"].as_str()), (422, Some("refused")), "{reply:?}");
        assert!(findings.contains(told), "{told}: {findings}");
        assert_eq!(status(), 200, "{told}");
        stage.foregate.wait_for_logs(REFUSED, number + 1);
        if told.ends_with("has changed") {
            assert!(findings.contains("restart to change it"), "{findings}");
        }
    }
    stage.foregate.hang_up();
    stage.foregate.wait_for_logs(REFUSED, cases.len() + 1);
    let refused = stage.foregate.metric("foregate_reloads_total{outcome=\"refused\"}");
    assert_eq!((refused as usize, status()), (cases.len() + 1, 200));
    stage.foregate.rewrite(&with(&filled, allow, &test("forbid")));
    assert_eq!(reload_done(&stage.foregate), ["apps.\"app.foregate.localhost\"", "tests"]);
    assert_eq!(status(), 403);
    assert_eq!(stage.foregate.metric("foregate_reloads_total{outcome=\"done\"}"), 1.0);
    assert!(stage.foregate.metric("foregate_config_reloaded_timestamp_seconds") > 1.7e9);
}

#[test]
fn the_api_reloads_for_whoever_may_use_it() {
    let stage = Stage::new();
    assert_eq!(reload_done(&stage.foregate), Vec::<String>::new(), "it says the same");
    let ask = |method: &str, lines: &[&str]| {
        let lines = [&["Host: localhost", "Connection: close"], lines].concat();
        raw(stage.foregate.admin, request(method, "/api/v1/reload", &lines, "").as_bytes()).status
    };
    let json = "Content-Type: application/json";
    assert_eq!(
        [ask("GET", &[]), ask("POST", &[]), ask("POST", &[json, "Origin: http://x"])],
        [405, 403, 403]
    );
    std::fs::write(stage.foregate.dir().join("token"), "hunter-one\n").expect("a file");
    let token = "watch = false\nadmin_token_file = \"DIR/token\"\n[session]";
    stage.foregate.rewrite(&with(&stage.config, "[session]", token));
    assert_eq!(reload_done(&stage.foregate), ["server.admin_token", "server.watch"]);
    // A new secret in the file is a change of the setting, and its value is nowhere.
    std::fs::write(stage.foregate.dir().join("token"), "hunter-two\n").expect("a file");
    assert_eq!(ask("POST", &[json]), 401);
    assert_eq!(ask("POST", &["Authorization: Bearer hunter-one"]), 200);
    assert_eq!(ask("POST", &["Authorization: Bearer hunter-one"]), 401);
    assert_eq!(ask("POST", &["Authorization: Bearer hunter-two"]), 200);
    let log = stage.foregate.log_lines().join("\n");
    assert!(!log.contains("hunter-"), "{log}");
}

/// Puts a link in the place of what is there, in one step.
fn link(to: &Path, at: &Path) {
    let draft = at.with_file_name("draft-link");
    std::os::unix::fs::symlink(to, &draft).expect("a link");
    std::fs::rename(&draft, at).expect("a link");
}

#[test]
fn a_change_of_the_file_is_noticed_however_it_comes() {
    let stage = Stage::new();
    let foregate = &stage.foregate;
    let still = Stage::with("watch = false", "allow = \"public\"");
    let status = || foregate.check(&format!("http://app.foregate.localhost:{}/", stage.port), &[]).status;
    let filled = foregate.filled(&stage.config);
    let (open, closed) = (&filled, with(&filled, "allow = \"public\"", "allow = \"nobody\""));
    let file = foregate.dir().join("foregate.toml");
    still.foregate.rewrite("nonsense");
    // Half of a file, and then all of it.
    std::fs::write(&file, &closed[..closed.len() - 3]).expect("half of a file");
    foregate.wait_for_log(REFUSED);
    assert_eq!(status(), 200);
    std::fs::write(&file, &closed).expect("a file");
    foregate.wait_for_logs(IN_FORCE, 1);
    assert_eq!((status(), foregate.logged(REFUSED)), (403, 1), "told once");
    // As Kubernetes does it: the file is a link by way of a directory that is one.
    let write = |version: &str, text: &str| {
        let dir = foregate.dir().join(version);
        std::fs::create_dir(&dir).expect("a directory");
        std::fs::write(dir.join("foregate.toml"), text).expect("a file");
        link(&dir, &foregate.dir().join("..data"));
    };
    write("..1", open);
    link(&foregate.dir().join("..data").join("foregate.toml"), &file);
    foregate.wait_for_logs(IN_FORCE, 2);
    assert_eq!(status(), 200);
    write("..2", &closed);
    foregate.wait_for_logs(IN_FORCE, 3);
    assert_eq!(status(), 403);
    // A file that the configuration names.
    std::fs::write(foregate.dir().join("token"), "first\n").expect("a file");
    write("..3", &with(open, "[session]", &foregate.filled("admin_token_file = \"DIR/token\"\n[session]")));
    foregate.wait_for_logs(IN_FORCE, 4);
    std::fs::write(foregate.dir().join("token"), "second\n").expect("a file");
    foregate.wait_for_logs(IN_FORCE, 5);
    // A file that was missing mends what is wrong by being there.
    let secret = "client_secret_file = \"DIR/secret\"\nclient_auth = \"post\"";
    write("..4", &with(open, "client_auth = \"none\"", &foregate.filled(secret)));
    foregate.wait_for_logs(REFUSED, 2);
    std::fs::write(foregate.dir().join("secret"), "secret").expect("a file");
    foregate.wait_for_logs(IN_FORCE, 6);
    assert_eq!(still.foregate.logged(REFUSED), 0, "it was told not to look");
}

#[test]
fn whoever_loses_access_is_cut_off_and_others_are_not() {
    let house = House::new("allow = [\"user:alice\", \"user:bob\"]");
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|user| house.cookie(user));
    let (mut theirs, _theirs) = house.stream(&alice);
    let (mut others, mut backend) = house.stream(&bob);
    let new = with(&house.stage.config, "\"user:alice\", \"user:bob\"", "\"user:bob\", \"user:carol\"");
    house.stage.foregate.rewrite(&new);
    reload_done(&house.stage.foregate);
    assert!(theirs.until_the_end().is_empty());
    backend.write(b"4\r\nmore\r\n");
    assert_eq!(others.bytes(9), b"4\r\nmore\r\n");
    assert_eq!([&alice, &bob, &carol].map(|cookie| house.status(cookie)), [403, 200, 200]);
    house.stage.foregate.wait_for_log("app app.foregate.localhost: loses alice; gains carol");
}

#[test]
fn sessions_and_what_providers_told_outlive_a_reload() {
    let house = House::new("allow = \"signed-in\"");
    let bob = house.cookie("bob");
    let asked = || [".well-known/openid-configuration", "/jwks"].map(|path| house.provider.asked(path));
    let before = asked();
    assert!(before[0] > 0, "{before:?}");
    // Claims that nobody wanted so far are read with the session, without the provider.
    let headers = "allow = \"claim:nickname=bob\"\nheaders = { X-Told = \"{claim:email}\" }";
    house.stage.foregate.rewrite(&with(&house.stage.config, "allow = \"signed-in\"", headers));
    reload_done(&house.stage.foregate);
    let url = format!("http://app.foregate.localhost:{}/x", house.stage.port);
    let reply = house.stage.foregate.check(&url, &[&bob]);
    assert_eq!((reply.status, reply.header("x-told")), (200, Some("bob@example.com")), "{reply:?}");
    house.cookie("alice");
    assert_eq!(asked(), before, "an unchanged provider is not asked again");
    // A provider that is gone takes its people with it, and is known anew when it is back.
    let other = with(&house.stage.config, "client_id = \"foregate\"", "client_id = \"other\"");
    let other = with(&other, &house.provider.issuer, "http://127.0.0.1:9/");
    house.stage.foregate.rewrite(&other);
    reload_done(&house.stage.foregate);
    assert_eq!(house.status(&bob), 401);
    house.stage.foregate.rewrite(&house.stage.config);
    reload_done(&house.stage.foregate);
    assert_eq!(house.status(&bob), 200);
    // Times of sessions are those of the new configuration.
    house.stage.foregate.rewrite(&with(&house.stage.config, "[session]", "[session]\nidle = \"1h\""));
    assert_eq!(reload_done(&house.stage.foregate), ["session.idle"]);
    let own = house.stage.request_to("auth", "GET /.foregate/session", &[&bob]);
    let told =
        raw(house.stage.foregate.public, own.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").as_bytes());
    assert!(told.json()["expires_in"].as_u64().is_some_and(|left| left <= 3600), "{told:?}");
}

#[test]
fn a_backend_that_stays_keeps_its_connections() {
    let app = || Recorder::start(|_, _| Act::Say(ok("here")));
    let (same, other) = (app(), app());
    let apps = |more: &str| {
        format!(
            "[apps.\"app.localhost\"]\nallow = \"public\"\nupstream = {}\nkeepalive_timeout = \"1h\"\n\
             [apps.\"other.localhost\"]\nallow = \"public\"\nupstream = {}\nkeepalive_timeout = \"1h\"\n{more}",
            same.url(),
            other.url()
        )
    };
    let foregate = Foregate::start(&config(&apps("")));
    let visit = || {
        assert_eq!(ask(&foregate, "GET", "/", &[], "").body, "here");
        let lines = ["Host: other.localhost", "Connection: close"];
        assert_eq!(raw(foregate.public, request("GET", "/", &lines, "").as_bytes()).body, "here");
        [&same, &other].map(|app| app.seen().iter().map(|(number, _)| *number).max())
    };
    assert_eq!(visit(), [Some(0), Some(0)]);
    until("both are kept", || foregate.metric("foregate_upstream_connections_kept") == 2.0);
    foregate.rewrite(&config(&apps("max_connections = 7")));
    assert_eq!(reload_done(&foregate), ["apps.\"other.localhost\""]);
    assert_eq!(visit(), [Some(0), Some(1)], "one that changed begins anew");
    until("the old one is closed", || foregate.metric("foregate_upstream_connections ") == 2.0);
}

#[test]
fn every_answer_is_of_one_configuration() {
    let stage = Stage::with("watch = false", "allow = \"public\"");
    let closed = with(&stage.config, "allow = \"public\"", "allow = \"nobody\"");
    let (done, answers) = (AtomicBool::new(false), [const { AtomicUsize::new(0) }; 2]);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut wire = stage.visit();
                let lines = [
                    "Host: foregate",
                    "X-Forwarded-Method: GET",
                    "X-Forwarded-Proto: http",
                    "X-Forwarded-Uri: /",
                    "X-Forwarded-For: 203.0.113.7",
                    &format!("X-Forwarded-Host: {}", stage.host()),
                ];
                let check = request("GET", "/.foregate/auth/traefik", &lines, "");
                while !done.load(Ordering::Relaxed) {
                    wire.write(check.as_bytes());
                    let reply = wire.read(false).expect("an answer on the same connection");
                    let (place, has) = match reply.status {
                        200 => (0, reply.header("remote-user")),
                        403 => (1, None),
                        other => panic!("{other}: {reply:?}"),
                    };
                    assert_eq!(has.is_some(), place == 0, "{reply:?}");
                    answers[place].fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
        }
        for number in 0..50 {
            stage.foregate.rewrite(if number % 2 == 0 { &closed } else { &stage.config });
            let seen = answers[1 - number % 2].load(Ordering::Relaxed);
            let reply = reload(&stage.foregate);
            if reply.status != 200 {
                done.store(true, Ordering::Relaxed);
            }
            assert_eq!(reply.json()["changed"], json!(["apps.\"app.foregate.localhost\""]), "{reply:?}");
            until("there is an answer", || {
                done.load(Ordering::Relaxed) || answers[1 - number % 2].load(Ordering::Relaxed) >= seen
            });
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(answers.iter().all(|count| count.load(Ordering::Relaxed) > 0), "{answers:?}");
}
