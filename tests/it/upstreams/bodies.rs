//! Bodies in both directions: as they come, within their limits, and never at the cost of others.

use serde_json::json;

use crate::support::http::{Wire, request};
use crate::support::upstream::{Act, NodeApp, Recorder, ask, before, until};

fn head(method: &str, path: &str, lines: &[&str]) -> String {
    request(method, path, &[&["Host: app.localhost"], lines].concat(), "")
}

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

#[test]
fn messages_go_both_ways_as_they_come_and_trailers_follow() {
    let (http, h2c) = (NodeApp::kind("http"), NodeApp::kind("h2c"));
    for upstream in [http.url(), format!("\"h2c://127.0.0.1:{}\"", h2c.port)] {
        let foregate = before(&upstream, "");
        let mut wire = Wire::open(foregate.public);
        let lines = ["Transfer-Encoding: chunked", "TE: trailers", "Trailer: x-sum"];
        wire.write(head("POST", "/stream", &lines).as_bytes());
        for message in ["one", "two", "three"] {
            wire.write(chunk(message).as_bytes());
            wire.read_until(&format!("got {message}"));
        }
        wire.write(b"0\r\nx-sum: 3\r\n\r\n");
        let rest = wire.read_until("\r\n\r\n");
        assert!(rest.contains("grpc-status: 0") && rest.contains("x-messages: 3"), "{upstream}: {rest}");
        // The trailers of a request arrive, too.
        let mut wire = Wire::open(foregate.public);
        wire.write((head("POST", "/", &lines) + &chunk("body") + "0\r\nx-sum: 3\r\n\r\n").as_bytes());
        let said = wire.read(false).unwrap().json();
        assert_eq!((&said["body"], &said["trailers"]["x-sum"]), (&"body".into(), &"3".into()), "{said}");
    }
}

#[test]
fn trailers_bring_nothing_to_the_app_that_heads_may_not() {
    let (http, h2c) = (NodeApp::kind("http"), NodeApp::kind("h2c"));
    let names = [
        "Remote-User",
        "Remote_User",
        "Cookie",
        "Authorization",
        "X-Forwarded-For",
        "X-Original-URL",
        "Host",
    ];
    for upstream in [http.url(), format!("\"h2c://127.0.0.1:{}\"", h2c.port)] {
        let foregate = before(&upstream, "");
        for body in [chunk("body"), chunk(&"x".repeat(100_000))] {
            for kept in ["", "x-sum: 3\r\n"] {
                let announced = format!("Trailer: x-sum, {}", names.join(", "));
                let forged: String = names.iter().map(|name| format!("{name}: mallory\r\n")).collect();
                let mut wire = Wire::open(foregate.public);
                let head = head("POST", "/", &["Transfer-Encoding: chunked", "TE: trailers", &announced]);
                wire.write(format!("{head}{body}0\r\n{forged}{kept}\r\n").as_bytes());
                let said = wire.read(false).unwrap().json();
                let wanted = if kept.is_empty() { json!({}) } else { json!({ "x-sum": "3" }) };
                assert_eq!(said["trailers"], wanted, "{upstream}: {said}");
            }
        }
    }
}

#[test]
fn events_arrive_while_the_answer_goes_on() {
    let app = NodeApp::kind("http");
    let foregate = before(&app.url(), "");
    let mut wire = Wire::open(foregate.public);
    wire.write(head("GET", "/events", &[]).as_bytes());
    wire.read_until("data: one");
    app.ask("/finish");
    wire.read_until("data: two");
}

#[test]
fn an_answer_comes_while_the_upload_still_runs() {
    let app = NodeApp::kind("http");
    let foregate = before(&app.url(), "");
    let mut wire = Wire::open(foregate.public);
    wire.write(head("POST", "/early", &["Content-Length: 10000000"]).as_bytes());
    wire.write(&[b'x'; 100_000]);
    let reply = wire.read(false).expect("an answer");
    assert_eq!((reply.status, reply.body.as_str()), (413, "too long"));
}

#[test]
fn slow_clients_hold_no_connection() {
    let app = NodeApp::kind("http");
    let keys = "max_connections = 1\nqueue_timeout = \"20s\"\nstream_idle_timeout = \"2s\"";
    let foregate = before(&app.url(), keys);
    // Half of a short body.
    let mut writer = Wire::open(foregate.public);
    writer.write((head("POST", "/slow", &["Content-Length: 10"]) + "12345").as_bytes());
    assert_eq!(ask(&foregate, "GET", "/one", &[], "").status, 200);
    assert!(!app.ask("/seen").body.contains("/slow"));
    // One in many pieces arrives whole.
    let mut pieces = Wire::open(foregate.public);
    pieces.write(head("POST", "/pieces", &["Content-Length: 100"]).as_bytes());
    (0..100).for_each(|_| pieces.write(b"x"));
    assert_eq!(pieces.read(false).unwrap().json()["body"], "x".repeat(100));
    // An answer that nobody reads, but that fits into what is read ahead.
    let mut reader = Wire::open(foregate.public);
    reader.write(head("GET", "/bytes/50000", &[]).as_bytes());
    until("asked", || app.ask("/seen").body.contains("/bytes/50000"));
    assert_eq!(ask(&foregate, "GET", "/two", &[], "").status, 200);
    assert_eq!(reader.read(false).unwrap().body.len(), 50_000);
    // One that does not fit: cut off when nothing of it was taken for too long.
    let mut reader = Wire::open(foregate.public);
    reader.write(head("GET", "/bytes/100000000", &[]).as_bytes());
    until("asked", || app.ask("/seen").body.contains("/bytes/100000000"));
    assert_eq!(ask(&foregate, "GET", "/three", &[], "").status, 200);
    assert!(reader.read(false).unwrap().body.len() < 100_000_000);
    // The writer has been told.
    assert_eq!(writer.read(false).unwrap().status, 408);
}

#[test]
fn a_client_that_stops_within_a_long_body_is_told_and_the_request_is_broken_off() {
    let app = NodeApp::kind("http");
    let foregate = before(&app.url(), "stream_idle_timeout = \"1s\"");
    for framing in ["Content-Length: 200000", "Transfer-Encoding: chunked"] {
        let mut wire = Wire::open(foregate.public);
        wire.write((head("POST", "/", &[framing]) + &chunk("some")).as_bytes());
        assert_eq!(wire.read(false).unwrap().status, 408, "{framing}");
    }
    until("no connection is left", || foregate.metric("foregate_upstream_connections ") as usize == 0);
}

#[test]
fn an_app_that_says_nothing_is_not_waited_for_for_ever() {
    let app = Recorder::start(|_, request| match request.contains("/half") {
        true => Act::Say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345".to_owned()),
        false => Act::Nothing,
    });
    let foregate = before(&app.url(), "response_header_timeout = \"1s\"\nstream_idle_timeout = \"1s\"");
    for (method, body) in [("GET", ""), ("POST", "once")] {
        assert_eq!(ask(&foregate, method, "/nothing", &[], body).status, 504, "{method}");
    }
    assert_eq!(app.count("/nothing"), 2, "never sent again");
    let reply = ask(&foregate, "GET", "/half", &[], "");
    assert_eq!((reply.status, reply.body.as_str()), (200, "12345"), "cut off");
}

#[test]
fn a_body_beyond_the_limit_is_refused() {
    let app = NodeApp::kind("http");
    let foregate = before(&app.url(), "max_body_size = \"100K\"");
    let (fits, long) = ("x".repeat(102_400), "x".repeat(102_401));
    assert_eq!(ask(&foregate, "POST", "/fits", &[], &fits).json()["length"], 102_400);
    assert_eq!(ask(&foregate, "POST", "/long", &[], &long).status, 413);
    assert!(!app.ask("/seen").body.contains("/long"));
    let mut wire = Wire::open(foregate.public);
    wire.write(head("POST", "/chunks", &["Transfer-Encoding: chunked"]).as_bytes());
    wire.write(chunk(&fits).as_bytes());
    wire.write(chunk("x").as_bytes());
    assert_eq!(wire.read(false).unwrap().status, 413);
}

#[test]
fn lengths_and_heads_arrive_as_they_are() {
    let app = NodeApp::kind("http");
    let foregate = before(&app.url(), "");
    let reply = ask(&foregate, "GET", "/bytes/300000", &[], "");
    assert_eq!((reply.header("content-length"), reply.body.len()), (Some("300000"), 300_000));
    let reply = ask(&foregate, "HEAD", "/bytes/300000", &[], "");
    assert_eq!((reply.header("content-length"), reply.body.len()), (Some("300000"), 0));
    for status in [204, 304] {
        let reply = ask(&foregate, "GET", &format!("/status/{status}"), &[], "");
        assert_eq!((reply.status, reply.header("content-length")), (status, None), "{reply:?}");
    }
    let long = Recorder::start(|_, request| {
        let length: usize =
            request.split('/').nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap();
        Act::Say(format!("HTTP/1.1 200 OK\r\nX-Long: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(length)))
    });
    let foregate = before(&long.url(), "");
    assert_eq!(ask(&foregate, "GET", "/60000", &[], "").header("x-long").map(str::len), Some(60_000));
    assert_eq!(ask(&foregate, "GET", "/70000", &[], "").status, 502);
}
