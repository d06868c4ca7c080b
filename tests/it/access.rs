//! The access log: a line for each request, whoever made it and however it ended, with documented fields and no secret; and
//! nobody who waits for it.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::foregate::traefik;
use crate::support::house::House;
use crate::support::http::{Wire, get, request};

const LOGGED: &str = "store = \"sqlite:DIR/foregate.db\"\n[access_log]\noutput = \"DIR/access.log\"";

/// Waits for as many lines that say all of this.
fn told(log: &Path, says: &Value, count: usize) -> Vec<Value> {
    let fits =
        |line: &Value| says.as_object().expect("an object").iter().all(|(name, value)| line[name] == *value);
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let whole = &text[..text.rfind('\n').map_or(0, |at| at + 1)];
        let lines = whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")));
        let found: Vec<Value> = lines.filter(fits).collect();
        assert!(found.len() <= count, "{says}: {found:?}");
        if found.len() == count {
            return found;
        }
        assert!(Instant::now() < end, "{count} of {says} in\n{text}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn each_request_is_one_line_that_says_what_became_of_it() {
    let house = House::with(LOGGED, Value::Null);
    let log = house.foregate.dir().join("access.log");
    let cookie = house.cookie("bob");
    let app = "app.foregate.localhost";
    let url = |host: &str, page: &str| house.url(host, page);
    assert_eq!(house.foregate.check(&url("app", "/a/b?token=hunter2"), &[&cookie]).status, 200);
    let line = &told(&log, &json!({ "kind": "check", "path": "/a/b" }), 1)[0];
    for (field, value) in [
        ("dialect", json!("traefik")),
        ("method", json!("GET")),
        ("host", json!(app)),
        ("client", json!("203.0.113.7")),
        ("outcome", json!("allowed")),
        ("user", json!("bob")),
        ("app", json!(app)),
        ("status", json!(200)),
    ] {
        assert_eq!(line[field], value, "{field}: {line}");
    }
    assert!(
        line["rule"].is_string() && line["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0),
        "{line}"
    );
    assert_eq!(house.foregate.check(&url("admins", "/c?token=hunter2"), &[&cookie]).status, 403);
    told(&log, &json!({ "path": "/c", "outcome": "forbidden", "user": "bob", "status": 403 }), 1);
    assert_eq!(house.foregate.check(&url("app", "/d"), &["Cookie: foregate=hunter2"]).status, 401);
    told(&log, &json!({ "path": "/d", "outcome": "sign_in", "status": 401 }), 1);
    // A check that cannot be read is known by its own address alone.
    let twice = [&traefik("GET", "http://app.foregate.localhost/e")[..], &["X-Forwarded-Uri: /f"]].concat();
    assert_eq!(get(house.foregate.public, "/.foregate/auth/traefik?token=hunter2", &twice).status, 400);
    told(&log, &json!({ "kind": "check", "path": "/.foregate/auth/traefik", "status": 400 }), 1);
    let host = format!("Host: app.foregate.localhost:{}", house.port);
    assert_eq!(get(house.foregate.public, "/g?token=hunter2", &[&host, &cookie]).status, 200);
    told(
        &log,
        &json!({ "kind": "proxy", "path": "/g", "outcome": "allowed", "user": "bob", "status": 200 }),
        1,
    );
    assert_eq!(get(house.foregate.public, "/h", &[&host]).status, 401);
    told(&log, &json!({ "kind": "proxy", "path": "/h", "outcome": "sign_in", "status": 401 }), 1);
    told(&log, &json!({ "kind": "page", "path": "/.foregate/callback", "status": 303 }), 1);

    let text = std::fs::read_to_string(&log).expect("a log");
    let secret = cookie.rsplit('=').next().expect("a value");
    for secret in ["hunter2", "?", "foregate=", secret, "code"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    let docs = include_str!("../../docs/logs.md").split("## The access log").nth(1).expect("a chapter");
    for line in text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")) {
        for field in line.as_object().expect("an object").keys() {
            assert!(docs.contains(&format!("| `{field}` |")), "{field} is not in docs/logs.md: {line}");
        }
    }
}

#[test]
fn requests_that_wait_for_no_disk_are_answered_and_their_lines_counted() {
    let house = House::with(&LOGGED.replace("DIR/access.log", "/dev/full"), Value::Null);
    let uri = format!("X-Forwarded-Uri: /{}", "x".repeat(1024));
    let about = [
        "Host: foregate",
        "X-Forwarded-Method: GET",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: nobody.example.com",
        &uri,
    ];
    let mut front = Wire::open(house.foregate.public);
    let lost = || house.foregate.metric("foregate_journal_lines_lost_total{journal=\"access\"}");
    let asked = request("GET", "/.foregate/auth/traefik", &about, "");
    for _ in 0..5000 {
        front.write(asked.as_bytes());
        assert_eq!(front.read(false).expect("an answer").status, 403);
    }
    house.foregate.wait_for_log("the queue of a journal is full, and lines are lost");
    assert!(lost() >= 1.0);
    assert_eq!(house.foregate.metric("foregate_journal_lines_total{journal=\"access\"}"), 0.0);
}
