//! The audit log as operators have it: each event from the real thing that happened, every field documented, no secret in any
//! line, and no line that goes missing in silence.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use url::Url;

use crate::support::foregate::{Foregate, free_port, run};
use crate::support::house::House;
use crate::support::http::{Reply, Wire, raw, request};

const AUDITED: &str = "store = \"sqlite:DIR/foregate.db\"\n[bearer]\naudiences = [\"api\"]\n[audit]\noutput = \"DIR/audit.log\"";

fn log(house: &House) -> PathBuf {
    house.foregate.dir().join("audit.log")
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// The one line of this event that says all of this, waited for.
fn told(house: &House, event: &str, says: &Value) -> Value {
    let fits = |line: &&Value| {
        line["event"] == event
            && says.as_object().expect("an object").iter().all(|(name, value)| line[name] == *value)
    };
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let text = std::fs::read_to_string(log(house)).unwrap_or_default();
        let all = lines(&text[..text.rfind('\n').map_or(0, |at| at + 1)]);
        let found: Vec<&Value> = all.iter().filter(fits).collect();
        assert!(found.len() < 2, "{event} is there twice: {text}");
        if let [one] = found[..] {
            return one.clone();
        }
        assert!(Instant::now() < end, "no {event} with {says} in\n{text}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn api(foregate: &Foregate, method: &str, path: &str, body: &str) -> Reply {
    let lines = ["Host: localhost", "Content-Type: application/json", "Connection: close"];
    raw(foregate.admin, request(method, path, &lines, body).as_bytes())
}

fn reference(reply: &Reply, line: &Value) {
    let name = line["ref"].as_str().expect("a reference");
    assert!(name.len() == 8 && reply.body.contains(name), "{name}: {reply:?}");
}

#[test]
fn each_event_is_a_line_that_says_who_where_and_why() {
    let house = House::with(AUDITED, Value::Null);
    let mut alice = house.sign_in("alice");
    let mut bob = house.sign_in("bob");
    let signed_in = told(&house, "sign-in", &json!({ "user": "alice", "path": "/.foregate/callback" }));
    assert_eq!(
        (signed_in["host"].as_str(), signed_in["client"].as_str(), signed_in["issuer"].as_str()),
        (Some("auth.foregate.localhost"), Some("127.0.0.1"), Some(house.provider.issuer.as_str()))
    );
    assert_eq!(signed_in["session"].as_str().map(str::len), Some(32));
    assert!(
        signed_in["subject"].is_string() && signed_in["time"].as_str().is_some_and(|time| time.len() == 24)
    );

    let page = Url::parse(&house.url("admins", "/x/y?token=hunter2")).expect("a URL");
    let refused = bob.open(page.as_str());
    let denied = told(&house, "denied", &json!({ "user": "bob", "reason": "not-allowed", "method": "GET" }));
    assert_eq!(
        (&denied["host"], &denied["path"], &denied["app"], &denied["missing"]),
        (
            &json!("admins.foregate.localhost"),
            &json!("/x/y"),
            &json!("admins.foregate.localhost"),
            &json!(["membership in the group Home Server Admins"])
        )
    );
    assert!(
        denied["rule"].as_str().is_some_and(|rule| rule.contains("admins.foregate.localhost")),
        "{denied}"
    );
    reference(&refused, &denied);

    let unknown = house.foregate.check("http://nobody.example.com/a?token=hunter2", &["User-Agent: x"]);
    let denied =
        told(&house, "denied", &json!({ "reason": "unknown-host", "client": "203.0.113.7", "path": "/a" }));
    reference(&unknown, &denied);
    let url = house.url("app", "/api");
    let token = house.foregate.check(&url, &["Authorization: Bearer hunter2.hunter2.hunter2"]);
    let denied = told(&house, "denied", &json!({ "reason": "invalid-token", "path": "/api" }));
    assert!(denied["detail"].is_string() && denied["app"] == "app.foregate.localhost", "{denied}");
    reference(&token, &denied);
    let callback =
        Url::parse(&house.url("auth", "/.foregate/callback?state=hunter2&code=hunter2")).expect("a URL");
    let failed = bob.step("GET", &callback, "");
    reference(&failed, &told(&house, "denied", &json!({ "reason": "sign-in-failed" })));

    let sign_out = Url::parse(&house.url("auth", "/.foregate/sign-out?rd=/")).expect("a URL");
    assert_eq!(alice.step("GET", &sign_out, "").status, 303);
    told(
        &house,
        "signed-out",
        &json!({ "user": "alice", "by": "person", "sessions": 1, "client": "127.0.0.1" }),
    );

    assert_eq!(api(&house.foregate, "DELETE", "/api/v1/sessions?user=bob", "").json()["ended"], 1);
    told(
        &house,
        "revoked",
        &json!({ "user": "bob", "by": "api", "sessions": 1, "path": "/api/v1/sessions" }),
    );
    let bob = "{\"user\":\"bob\"}";
    assert_eq!(api(&house.foregate, "POST", "/api/v1/users/disable", bob).status, 200);
    told(&house, "disabled", &json!({ "user": "bob", "by": "api", "client": "127.0.0.1" }));
    assert_eq!(api(&house.foregate, "POST", "/api/v1/users/enable", bob).status, 200);
    told(&house, "enabled", &json!({ "user": "bob", "by": "api" }));
    assert_keeps_secrets(&house);
}

/// No cookie, code, token or query of what went on is in the log, and each field is in the documentation.
fn assert_keeps_secrets(house: &House) {
    let text = std::fs::read_to_string(log(house)).expect("a log");
    for secret in ["hunter2", "foregate=", "?", "code=", "eyJ"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    let docs = include_str!("../../docs/logs.md");
    for line in lines(&text) {
        assert!(docs.contains(&format!("| `{}` |", line["event"].as_str().expect("an event"))), "{line}");
        for field in line.as_object().expect("an object").keys() {
            assert!(docs.contains(&format!("| `{field}` |")), "{field} is not in docs/logs.md: {line}");
        }
    }
}

#[test]
fn what_commands_and_reloads_change_is_there_too() {
    let house = House::with(AUDITED, Value::Null);
    let _alice = house.sign_in("alice");
    let file = house.foregate.dir().join("foregate.toml");
    let command = |args: &[&str]| {
        let args = [args, &["--config", file.to_str().expect("a path")]].concat();
        let (code, _, err) = run(&args, house.foregate.dir());
        assert_eq!(code, Some(0), "{err}");
        assert!(!err.contains("warning"), "{err}");
    };
    let app = "app.foregate.localhost";
    command(&["token", "create", "--user", "alice", "--app", app]);
    let made = told(&house, "token-created", &json!({ "user": "alice", "by": "command", "app": app }));
    assert!(made["uid"].is_u64(), "{made}");
    command(&["token", "revoke", "--user", "alice"]);
    told(&house, "revoked", &json!({ "user": "alice", "by": "command", "tokens": 1 }));
    command(&["session", "revoke", "--user", "alice"]);
    told(&house, "revoked", &json!({ "user": "alice", "by": "command", "sessions": 1 }));
    command(&["user", "disable", "alice"]);
    told(&house, "disabled", &json!({ "user": "alice", "by": "command", "sessions": 0 }));
    command(&["user", "enable", "alice"]);
    told(&house, "enabled", &json!({ "user": "alice", "by": "command" }));
    house.foregate.rewrite(&format!("allow = \"signed-in\"\n{}", house.config));
    house.foregate.hang_up();
    let changed = told(&house, "config-changed", &json!({ "changed": ["allow"] }));
    assert!(["signal", "file"].contains(&changed["by"].as_str().expect("somebody")), "{changed}");
    assert_keeps_secrets(&house);
}

#[test]
fn a_sign_out_at_the_provider_is_one_of_its_person() {
    let house = House::with(AUDITED, Value::Null);
    let mut alice = house.sign_in("alice");
    let issuer = house.provider.issuer.clone();
    let sid = house.provider.control("sessions", &Value::Null)[0]["sid"].as_str().expect("a name").to_owned();
    let query = [("iss", issuer.as_str()), ("sid", sid.as_str())];
    let frame = house.url("auth", "/.foregate/frontchannel-logout");
    let frame = Url::parse_with_params(&frame, query).expect("a URL");
    assert_eq!(alice.step("GET", &frame, "").status, 200);
    told(
        &house,
        "signed-out",
        &json!({ "user": "alice", "by": "provider", "issuer": issuer, "sessions": 1 }),
    );
    assert_keeps_secrets(&house);
}

#[test]
fn a_file_that_is_moved_away_is_opened_anew_at_the_signal() {
    let house = House::with(AUDITED, Value::Null);
    let deny = |path: &str| house.foregate.check(&format!("http://nobody.example.com{path}"), &[]).status;
    assert_eq!(deny("/before"), 403);
    told(&house, "denied", &json!({ "path": "/before" }));
    let old = house.foregate.dir().join("audit.log.1");
    std::fs::rename(log(&house), &old).expect("a rotation");
    house.foregate.hang_up();
    house.foregate.wait_for_log("says the same");
    assert_eq!(deny("/after"), 403);
    told(&house, "denied", &json!({ "path": "/after" }));
    let kept = std::fs::read_to_string(&old).expect("the old log");
    assert!(kept.contains("/before") && !kept.contains("/after"), "{kept}");
}

#[test]
fn lines_that_find_no_place_are_counted_and_told_and_nobody_waits() {
    let house = House::with(&AUDITED.replace("DIR/audit.log", "/dev/full"), Value::Null);
    let lost = "foregate_journal_lines_lost_total{journal=\"audit\"}";
    let path = "x".repeat(1024);
    let host = "X-Forwarded-Host: nobody.example.com";
    let uri = format!("X-Forwarded-Uri: /{path}");
    let about = ["Host: foregate", "X-Forwarded-Method: GET", "X-Forwarded-Proto: http", host, &uri];
    let mut front = Wire::open(house.foregate.public);
    for _ in 0..1200 {
        front.write(request("GET", "/.foregate/auth/traefik", &about, "").as_bytes());
        assert_eq!(front.read(false).expect("an answer").status, 403);
    }
    house.foregate.wait_for_log("a journal cannot be written: its lines wait as long as there is room");
    house.foregate.wait_for_log("the queue of a journal is full, and lines are lost");
    assert!(house.foregate.metric(lost) >= 1.0);
    assert_eq!(house.foregate.metric("foregate_journal_lines_total{journal=\"audit\"}"), 0.0);
}

#[test]
fn a_log_that_cannot_be_opened_stops_the_start_and_an_odd_place_is_a_finding() {
    let config = |output: &str| {
        format!(
            "public_url = \"http://auth.foregate.localhost:{}\"\nallow = \"signed-in\"\n[server]\nlisten = \"LISTEN\"\n\
             admin_listen = \"ADMIN\"\n[session]\nstore = \"sqlite:DIR/f.db\"\n[provider]\nissuer = \"http://localhost:1\"\n\
             client_id = \"x\"\nclient_secret = \"y\"\n[audit]\noutput = \"{output}\"\n",
            free_port()
        )
    };
    let (code, err) = Foregate::refuses(&config("DIR/nowhere/audit.log"));
    assert!(code == Some(1) && err.contains("the audit log cannot be opened (audit.output)"), "{err}");
    let dir = tempfile::tempdir().expect("a directory");
    let pipe = dir.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let (code, err) = Foregate::refuses(&config(pipe.to_str().expect("a path")));
    assert!(code == Some(1) && err.contains("it is a pipe; name a file"), "{err}");
    let (code, err) = Foregate::refuses(&config("sdtout"));
    let told = "`audit.output`: `sdtout` is neither stdout, stderr, off nor the path of a file";
    assert!(code == Some(1) && err.contains(told), "{err}");
}
