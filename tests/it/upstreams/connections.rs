//! Kept connections, their bounds, and requests that meet one that is just being closed.

use std::path::Path;
use std::process::{Child, Command};

use serde_json::json;

use crate::support::foregate::{Guard, end_with_us, free_port};
use crate::support::upstream::{Act, NodeApp, Recorder, ask, before, ok, until};
use crate::support::watch::end;

#[test]
fn what_a_dying_connection_took_is_repeated_only_where_that_is_safe() {
    for (method, body, status, times) in [
        ("GET", "", 200, 2),
        ("HEAD", "", 200, 2),
        ("PUT", "", 200, 2),
        ("DELETE", "", 200, 2),
        ("POST", "", 502, 1),
        ("PATCH", "", 502, 1),
        ("POST", "once", 502, 1),
        ("PUT", "once", 502, 1),
        ("GET", "once", 502, 1),
    ] {
        // The second request on each connection meets its end.
        let app = Recorder::start(|number, _| match number {
            0 => Act::Say(ok("fine")),
            _ => Act::Last(String::new()),
        });
        let foregate = before(&app.url(), "");
        assert_eq!(ask(&foregate, "GET", "/first", &[], "").status, 200);
        until("kept", || foregate.metric("foregate_upstream_connections_kept") as usize == 1);
        let reply = ask(&foregate, method, "/second", &[], body);
        assert_eq!(
            (reply.status, app.count("/second")),
            (status, times),
            "{method} {body}: {:?}",
            app.seen()
        );
        let retries = foregate.metric("foregate_upstream_retries_total") as usize;
        assert_eq!(retries, times - 1, "{method}");
        if times == 2 {
            let connections: Vec<usize> = app.seen().iter().map(|(connection, _)| *connection).collect();
            assert_eq!(connections, [0, 0, 1], "{method}");
        }
    }
}

#[test]
fn a_request_is_repeated_once_and_only_on_a_kept_connection() {
    // Every connection ends before it answers.
    let app = Recorder::start(|_, _| Act::Last(String::new()));
    let foregate = before(&app.url(), "");
    assert_eq!(ask(&foregate, "GET", "/", &[], "").status, 502);
    assert_eq!(app.seen().len(), 1);
    assert_eq!(foregate.metric("foregate_upstream_failures_total") as usize, 1);
}

#[test]
fn what_was_never_sent_is_sent_on_another_connection_whatever_it_is() {
    // Each connection ends behind its first answer, without saying so.
    let app = Recorder::start(|_, _| Act::Last(ok("fine")));
    let foregate = before(&app.url(), "");
    for number in 0..10 {
        let path = format!("/{number}");
        let reply = ask(&foregate, "POST", &path, &[], "once");
        assert_eq!((reply.status, app.count(&format!("POST {path} "))), (200, 1), "{:?}", app.seen());
        until("closed", || foregate.metric("foregate_upstream_connections ") as usize == 0);
    }
}

#[test]
fn one_connection_serves_many_requests_and_none_is_kept_for_long() {
    let app = Recorder::start(|_, _| Act::Say(ok("fine")));
    let foregate = before(&app.url(), "keepalive_timeout = \"1s\"");
    for _ in 0..20 {
        assert_eq!(ask(&foregate, "GET", "/", &[], "").status, 200);
    }
    assert!(app.seen().iter().all(|(connection, _)| *connection == 0), "{:?}", app.seen());
    until("closed", || foregate.metric("foregate_upstream_connections ") as usize == 0);
    assert_eq!(ask(&foregate, "GET", "/", &[], "").status, 200);
    assert_eq!(app.seen().last().unwrap().0, 1);
}

#[test]
fn a_connection_that_somebody_proved_themselves_on_is_nobody_elses() {
    for proof in [
        "Negotiate YII=",
        "NTLM TlRMTVNTUAAD",
        "ntlm x",
        "  NEGOTIATE",
        "Negotiate\tx",
        "Kerberos x",
        "CredSSP x",
    ] {
        let app = Recorder::start(|_, _| Act::Say(ok("fine")));
        let foregate = before(&app.url(), "");
        let proved = format!("Authorization: {proof}");
        for line in ["X: before", "Authorization: Basic eDp5", &proved, "X: after", &proved, "X: after"] {
            assert_eq!(ask(&foregate, "GET", "/", &[line], "").status, 200, "{line}");
        }
        let connections: Vec<usize> = app.seen().iter().map(|(connection, _)| *connection).collect();
        assert_eq!(connections, [0, 0, 0, 1, 1, 2], "{proof}");
        until("closed", || foregate.metric("foregate_upstream_connections ") as usize == 1);
    }
}

#[test]
fn a_connection_is_not_used_beyond_its_age() {
    let app = Recorder::start(|_, _| Act::Say(ok("fine")));
    let foregate = before(&app.url(), "max_connection_age = \"1s\"");
    until("a second connection", || {
        assert_eq!(ask(&foregate, "GET", "/", &[], "").status, 200);
        app.seen().last().unwrap().0 > 0
    });
}

#[test]
fn whoever_finds_the_queue_full_or_waits_too_long_is_told_to_come_again() {
    let app = NodeApp::kind("http");
    let keys = "max_connections = 1\nmax_pending_requests = 1\nqueue_timeout = \"1s\"";
    let foregate = before(&app.url(), keys);
    let waiting = || foregate.metric("foregate_upstream_waiting") as usize;
    std::thread::scope(|scope| {
        let held = scope.spawn(|| ask(&foregate, "GET", "/wait", &[], ""));
        until("asked", || app.ask("/seen").body.contains("/wait"));
        let late = scope.spawn(|| ask(&foregate, "GET", "/late", &[], ""));
        until("waits", || waiting() == 1);
        let reply = ask(&foregate, "GET", "/full", &[], "");
        assert!(reply.status == 503 && reply.header("retry-after").is_some(), "{reply:?}");
        let reply = late.join().unwrap();
        assert!(reply.status == 503 && reply.header("retry-after").is_some(), "{reply:?}");
        let next = scope.spawn(|| ask(&foregate, "GET", "/next", &[], ""));
        until("waits", || waiting() == 1);
        app.ask("/finish");
        assert_eq!((held.join().unwrap().status, next.join().unwrap().status), (200, 200));
    });
    let seen = app.ask("/seen").body;
    assert!(seen.contains("/next") && !seen.contains("/late") && !seen.contains("/full"), "{seen}");
    assert!(foregate.logged("too many requests wait") == 1, "{:?}", foregate.log_lines());
}

#[test]
fn streams_that_run_out_take_another_connection_and_refused_ones_are_sent_again() {
    let app = NodeApp::start(&json!({ "kind": "h2c", "streams": 2 }));
    let foregate = before(&format!("\"h2c://127.0.0.1:{}\"", app.port), "");
    let seen = || ask(&foregate, "GET", "/seen", &[], "").json().as_array().unwrap().clone();
    let of = |path: &str| seen().iter().filter(|said| said["url"] == path).cloned().collect::<Vec<_>>();
    std::thread::scope(|scope| {
        let held: Vec<_> = (0..5).map(|_| scope.spawn(|| ask(&foregate, "GET", "/wait", &[], ""))).collect();
        until("all at once", || of("/wait").len() == 5);
        let mut connections: Vec<_> = of("/wait").iter().map(|said| said["connection"].to_string()).collect();
        connections.sort();
        connections.dedup();
        assert!(connections.len() >= 3, "{connections:?}");
        ask(&foregate, "GET", "/finish", &[], "");
        assert!(held.into_iter().all(|held| held.join().unwrap().status == 200));
    });
    for (method, body) in [("GET", ""), ("POST", "all of it")] {
        let path = format!("/refuse-once?{method}");
        let reply = ask(&foregate, method, &path, &[], body);
        assert_eq!(reply.status, 200, "{reply:?} {:?}", foregate.log_lines());
        assert_eq!((of(&path).len(), reply.json()["length"].as_u64()), (2, Some(body.len() as u64)));
    }
    for _ in 0..3 {
        assert_eq!(ask(&foregate, "POST", "/leave", &[], "x").body, "left");
        assert_eq!(ask(&foregate, "POST", "/", &[], "x").status, 200, "{:?}", foregate.log_lines());
    }
}

/// nginx with this in its server block, serving `ok` everywhere.
struct Nginx {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
    _guard: Guard,
}

impl Nginx {
    fn start(settings: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let file = dir.path().join("nginx.conf");
        let text = format!(
            "worker_processes 1;\npid nginx.pid;\nevents {{}}\nhttp {{\naccess_log off;\nclient_body_temp_path b;\nproxy_temp_path p;\nfastcgi_temp_path f;\nuwsgi_temp_path u;\nscgi_temp_path s;\nserver {{ listen 127.0.0.1:{port};\n{settings}\nlocation / {{ return 200 ok; }} }} }}\n"
        );
        std::fs::write(&file, text).unwrap();
        let child = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/bin/nginx"))
            .arg("-p")
            .arg(dir.path())
            .args(["-e", "stderr", "-c", file.to_str().unwrap(), "-g", "daemon off;"])
            .spawn()
            .expect("nginx starts: run tests/setup.sh first");
        let guard = end_with_us(child.id());
        until("nginx listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { child, port, _dir: dir, _guard: guard }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Not killed: it would leave its workers behind.
        end(&mut self.child, "nginx");
    }
}

#[test]
fn nginx_may_close_its_connections_whenever_it_likes() {
    for (settings, methods) in [
        ("keepalive_requests 1;", ["GET", "POST"]),
        ("keepalive_requests 2;", ["GET", "POST"]),
        ("keepalive_requests 3;", ["GET", "POST"]),
        ("keepalive_timeout 0;", ["GET", "POST"]),
        // Closed right behind each answer and unannounced, so that requests meet it.
        ("keepalive_timeout 1ms;", ["GET", "DELETE"]),
    ] {
        let nginx = Nginx::start(settings);
        let foregate = before(&format!("\"http://127.0.0.1:{}\"", nginx.port), "");
        std::thread::scope(|scope| {
            for method in methods {
                let foregate = &foregate;
                scope.spawn(move || {
                    for _ in 0..100 {
                        let reply = ask(foregate, method, "/", &[], "");
                        assert_eq!(
                            reply.status,
                            200,
                            "{settings} {method}: {reply:?} {:?}",
                            foregate.log_lines()
                        );
                    }
                });
            }
        });
    }
}
