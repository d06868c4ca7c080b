//! Several targets of one app: who gets which request, and what happens to those that fail.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::foregate::{Foregate, free_port};
use crate::support::http::{Browser, Wire};
use crate::support::provider::Provider;
use crate::support::upstream::{Act, NodeApp, Recorder, ask, before, ok, until};

fn both(one: u16, other: u16) -> String {
    format!("[\"http://127.0.0.1:{one}\", \"http://127.0.0.1:{other}\"]")
}

#[test]
fn requests_are_spread_and_a_slow_target_holds_up_nobody_else() {
    let (one, other) = (NodeApp::kind("http"), NodeApp::kind("http"));
    let foregate = before(&both(one.port, other.port), "");
    for _ in 0..40 {
        assert_eq!(ask(&foregate, "GET", "/spread", &[], "").status, 200);
    }
    for app in [&one, &other] {
        let own = app.ask("/seen").body.matches("/spread").count();
        assert!((5..=35).contains(&own), "{own} of 40");
    }
    let slow = Recorder::start(|_, _| Act::Nothing);
    let foregate = before(&both(slow.port, other.port), "");
    // Until one of them has met it; nobody reads the answers.
    let mut stuck = Vec::new();
    while slow.seen().is_empty() {
        stuck.push(Wire::open(foregate.public));
        stuck.last_mut().unwrap().write(b"GET /start HTTP/1.1\r\nHost: app.localhost\r\n\r\n");
        let arrived = || slow.seen().len() + other.ask("/seen").body.matches("/start").count();
        until("it has arrived", || arrived() == stuck.len());
    }
    for _ in 0..50 {
        assert_eq!(ask(&foregate, "GET", "/", &[], "").status, 200);
    }
    assert_eq!(slow.seen().len(), 1, "it has enough to do");
}

#[test]
fn a_target_that_cannot_be_reached_costs_no_request_and_is_left_alone() {
    let port = free_port();
    let well = NodeApp::kind("http");
    let foregate = before(&both(port, well.port), "");
    for number in 0..30 {
        let reply = ask(&foregate, "POST", "/", &[], "once");
        assert_eq!(reply.status, 200, "{number}: {reply:?} {:?}", foregate.log_lines());
    }
    assert_eq!(foregate.metric("foregate_upstream_ejections_total") as usize, 1);
    foregate.wait_for_log("is left alone for a while");
    let failures = foregate.metric("foregate_upstream_failures_total") as usize;
    assert_eq!(failures, 3, "left alone after the third");
    let back = Recorder::on(TcpListener::bind(("127.0.0.1", port)).unwrap(), |_, _| Act::Say(ok("back")));
    until("it is asked again", || {
        assert_eq!(ask(&foregate, "GET", "/", &[], "").status, 200);
        !back.seen().is_empty()
    });
}

#[test]
fn answers_of_a_gateway_without_an_app_count_as_failures_and_all_failing_are_still_asked() {
    let sick = Arc::new(AtomicBool::new(true));
    let is_sick = Arc::clone(&sick);
    let bad = Recorder::start(move |_, _| match is_sick.load(Ordering::SeqCst) {
        true => Act::Say("HTTP/1.1 503 Gone Away\r\nContent-Length: 0\r\n\r\n".to_owned()),
        false => Act::Say(ok("well")),
    });
    let well = NodeApp::kind("http");
    let foregate = before(&both(bad.port, well.port), "");
    let statuses: Vec<u16> = (0..40).map(|_| ask(&foregate, "GET", "/", &[], "").status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 503).count(), 3, "{statuses:?}");
    assert_eq!(bad.seen().len(), 3);
    drop(well);
    // Both fail now; whoever comes is still served by one that may be well again.
    for _ in 0..6 {
        ask(&foregate, "GET", "/", &[], "");
    }
    sick.store(false, Ordering::SeqCst);
    until("served again", || ask(&foregate, "GET", "/", &[], "").body == "well");
}

#[test]
fn checks_take_a_target_out_and_bring_it_back() {
    let well = Arc::new(AtomicBool::new(false));
    let is_well = Arc::clone(&well);
    let app = Recorder::start(move |_, request| {
        if request.starts_with("GET /health?deep=1 ") && !is_well.load(Ordering::SeqCst) {
            return Act::Say("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_owned());
        }
        Act::Say(ok("fine"))
    });
    let keys = "health_path = \"/health?deep=1\"\nhealth_interval = \"1s\"\nhealth_timeout = \"2s\"";
    let foregate = before(&app.url(), keys);
    foregate.wait_for_log("an upstream is not healthy");
    let asked = app.count(" /page ");
    let reply = ask(&foregate, "GET", "/page", &[], "");
    assert!(reply.status == 503 && reply.header("retry-after").is_some(), "{reply:?}");
    assert_eq!(app.count(" /page "), asked, "nobody is sent there");
    assert!(app.count(&format!("host: 127.0.0.1:{}", app.port)) >= 2, "{:?}", app.seen());
    well.store(true, Ordering::SeqCst);
    foregate.wait_for_log("an upstream is healthy again");
    assert_eq!(ask(&foregate, "GET", "/page", &[], "").status, 200);
}

#[test]
fn a_person_stays_where_asked_to_and_nobody_in_particular_does_not() {
    let port = free_port();
    let provider =
        Provider::for_foregate(&format!("http://auth.foregate.localhost:{port}"), serde_json::Value::Null);
    let apps: Vec<NodeApp> = (0..3).map(|_| NodeApp::kind("http")).collect();
    let list: Vec<String> = apps.iter().map(NodeApp::url).collect();
    let config = format!(
        r#"
public_url = "http://auth.foregate.localhost:{port}"
[server]
listen = "LISTEN"
admin_listen = "ADMIN"
[session]
store = "sqlite:DIR/foregate.db"
{}
[apps."app.foregate.localhost"]
upstream = [{}]
sticky = true
allow = "signed-in"
rules = [{{ path = "/open", allow = "public" }}]
"#,
        provider.config(),
        list.join(", ")
    );
    let _foregate = Foregate::start_at(&config, port);
    let url = |page: &str| format!("http://app.foregate.localhost:{port}{page}");
    let homes = |page: &str| -> Vec<usize> {
        let seen = |app: &NodeApp| app.ask("/seen").body.contains(&format!("\"{page}\""));
        apps.iter().enumerate().filter(|(_, app)| seen(app)).map(|(index, _)| index).collect()
    };
    for person in ["alice", "bob"] {
        let page = format!("/of-{person}");
        // Two browsers of one person.
        for _ in 0..2 {
            let mut browser = Browser::default();
            browser.sign_in(&url(&page), person);
            for _ in 0..6 {
                assert_eq!(browser.open(&url(&page)).status, 200);
            }
        }
        assert_eq!(homes(&page).len(), 1, "{person}: {:?}", homes(&page));
    }
    for _ in 0..40 {
        assert_eq!(Browser::default().open(&url("/open")).status, 200);
    }
    assert!(homes("/open").len() > 1, "{:?}", homes("/open"));
}
