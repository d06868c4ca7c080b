//! foregate before real apps: every protocol, kept connections, and what goes wrong with them.

use serde_json::json;

use crate::support::upstream::{Authority, NodeApp, ask, before};

#[test]
fn every_protocol_reaches_its_app_with_the_host_that_was_asked_for() {
    let authority = Authority::new();
    let dir = tempfile::tempdir().unwrap();
    let (ca, socket) = (dir.path().join("ca.pem"), dir.path().join("app.sock"));
    std::fs::write(&ca, authority.pem()).unwrap();
    let trusted = format!("ca_file = \"{}\"\nserver_name = \"app.test\"", ca.display());
    let unix = NodeApp::start(&json!({ "kind": "http", "path": socket.to_str().unwrap() }));
    let (http, h2c) = (NodeApp::kind("http"), NodeApp::kind("h2c"));
    let (https, h2) =
        (NodeApp::tls("https", &authority, json!({})), NodeApp::tls("h2", &authority, json!({})));
    for (upstream, keys, version) in [
        (format!("\"http://127.0.0.1:{}\"", http.port), "", "1.1"),
        (format!("\"unix:{}\"", socket.display()), "", "1.1"),
        (format!("\"h2c://127.0.0.1:{}\"", h2c.port), "", "2.0"),
        (format!("\"https://127.0.0.1:{}\"", https.port), trusted.as_str(), "1.1"),
        (format!("\"https://127.0.0.1:{}\"", h2.port), trusted.as_str(), "2.0"),
    ] {
        for preserve in [true, false] {
            let foregate = before(&upstream, &format!("{keys}\npreserve_host = {preserve}"));
            let reply = ask(&foregate, "GET", "/page?q=1", &[], "");
            assert_eq!(reply.status, 200, "{upstream}: {reply:?} {:#?}", foregate.log_lines());
            let said = reply.json();
            assert_eq!(
                (said["version"].as_str(), said["url"].as_str()),
                (Some(version), Some("/page?q=1")),
                "{said}"
            );
            let own = upstream.trim_matches('"').rsplit("//").next().unwrap();
            let own = if upstream.contains("unix:") { "localhost" } else { own };
            let wanted = if preserve { "app.localhost" } else { own };
            if version == "2.0" {
                assert_eq!(said["authority"], wanted, "{said}");
                assert!(said["host"].is_null(), "{said}");
            } else {
                assert_eq!(said["host"], wanted, "{said}");
            }
            if upstream.contains("https") {
                assert_eq!(said["sni"], "app.test");
            }
            let long = "x".repeat(200_000);
            for body in ["", "short", &long] {
                let said = ask(&foregate, "POST", "/", &[], body).json();
                assert_eq!(said["length"], body.len(), "{said}");
            }
        }
    }
    drop(unix);
}
