//! Every protocol, and whom it is spoken with.

use serde_json::json;

use crate::support::foregate::{Foregate, run};
use crate::support::upstream::{Authority, NodeApp, ask, before, config};

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

#[test]
fn whom_the_certificates_speak_for_decides() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, pem: &str| {
        std::fs::write(dir.path().join(name), pem).unwrap();
        dir.path().join(name).display().to_string()
    };
    let (ca, other) = (file("ca.pem", &authority.pem()), file("other.pem", &stranger.pem()));
    let (cert, key) = authority.issue("foregate.test");
    let (foreign_cert, foreign_key) = stranger.issue("foregate.test");
    let ours =
        format!("client_cert_file = \"{}\"\nclient_key_file = \"{}\"", file("c", &cert), file("k", &key));
    let foreign = format!(
        "client_cert_file = \"{}\"\nclient_key_file = \"{}\"",
        file("fc", &foreign_cert),
        file("fk", &foreign_key)
    );
    let app = NodeApp::tls("h2", &authority, json!({ "ca": authority.pem() }));
    let upstream = format!("\"https://127.0.0.1:{}\"", app.port);
    let name = "server_name = \"app.test\"";
    for (keys, status) in [
        (format!("ca_file = \"{ca}\"\n{name}\n{ours}"), 200),
        (format!("ca_file = \"{ca}\"\n{name}"), 502),
        (format!("ca_file = \"{ca}\"\n{name}\n{foreign}"), 502),
        (format!("ca_file = \"{other}\"\n{name}\n{ours}"), 502),
        (format!("ca_file = \"{ca}\"\nserver_name = \"other.test\"\n{ours}"), 502),
        (format!("ca_file = \"{ca}\"\n{ours}"), 502),
        (format!("insecure = true\n{ours}"), 200),
    ] {
        let foregate = before(&upstream, &keys);
        let reply = ask(&foregate, "GET", "/", &[], "");
        assert_eq!(reply.status, status, "{keys}: {reply:?}\n{}", foregate.log_lines().join("\n"));
        let warned = foregate.logged("insecure: the certificate");
        assert_eq!(warned, usize::from(keys.contains("insecure")), "{keys}");
        if status == 200 {
            assert_eq!(reply.json()["client"], "foregate.test", "{keys}");
        }
        if warned == 1 {
            assert!(foregate.wait_for_log("insecure: the certificate").contains("app.localhost"));
            let config = foregate.dir().join("foregate.toml");
            let (code, shown, _) = run(&["config", "show", "--config", config.to_str().unwrap()], dir.path());
            assert!(code == Some(0) && shown.contains("insecure = true"), "{shown}");
        }
    }
}

#[test]
fn certificates_that_do_not_fit_stop_the_start() {
    let authority = Authority::new();
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, pem: &str| {
        std::fs::write(dir.path().join(name), pem).unwrap();
        dir.path().join(name).display().to_string()
    };
    let (cert, _) = authority.issue("foregate.test");
    let (_, key) = authority.issue("foregate.test");
    let (cert, key) = (file("c", &cert), file("k", &key));
    for (keys, wanted) in [
        (format!("client_cert_file = \"{cert}\"\nclient_key_file = \"{key}\""), "fits its key"),
        (format!("client_cert_file = \"{cert}\""), "nothing without `client_key_file`"),
        (
            format!("client_key_file = \"{cert}\"\nclient_cert_file = \"{cert}\""),
            "which holds no private key",
        ),
        (format!("ca_file = \"{cert}\"\ninsecure = true"), "no effect beside `insecure`"),
    ] {
        let app = format!("[apps.\"a.localhost\"]\nallow = \"public\"\nupstream = \"https://a\"\n{keys}\n");
        let (code, said) = Foregate::refuses(&config(&app));
        assert!(code == Some(1) && said.contains(wanted), "{keys}: {code:?} {said}");
    }
}
