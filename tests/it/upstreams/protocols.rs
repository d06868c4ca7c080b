//! Every protocol, and whom it is spoken with.

use serde_json::json;

use crate::support::foregate::{Foregate, run};
use crate::support::tls::Authority;
use crate::support::upstream::{NodeApp, ask, before, config};

#[test]
fn every_protocol_reaches_its_app_with_the_host_that_was_asked_for() {
    let authority = Authority::new();
    let socket = authority.path("app.sock");
    let trusted = format!("ca_file = \"{}\"\nserver_name = \"app.test\"", authority.file("ca.pem"));
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
    let (ca, other) = (authority.file("ca.pem"), stranger.file("ca.pem"));
    let client = |authority: &Authority| {
        authority.write("client", &["foregate.test"]);
        let (cert, key) = (authority.file("client.crt"), authority.file("client.key"));
        format!("client_cert_file = \"{cert}\"\nclient_key_file = \"{key}\"")
    };
    let (ours, foreign) = (client(&authority), client(&stranger));
    let vouched = std::fs::read_to_string(&ca).unwrap();
    let app = NodeApp::tls("h2", &authority, json!({ "ca": vouched }));
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
            assert_eq!(reply.json()["client"], "DNS:foregate.test", "{keys}");
        }
        if warned == 1 {
            assert!(foregate.wait_for_log("insecure: the certificate").contains("app.localhost"));
            let config = foregate.dir().join("foregate.toml");
            let (code, shown, _) =
                run(&["config", "show", "--config", config.to_str().unwrap()], foregate.dir());
            assert!(code == Some(0) && shown.contains("insecure = true"), "{shown}");
        }
    }
}

#[test]
fn certificates_that_do_not_fit_stop_the_start() {
    let authority = Authority::new();
    authority.write("one", &["foregate.test"]);
    authority.write("other", &["foregate.test"]);
    let (cert, key) = (authority.file("one.crt"), authority.file("other.key"));
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

#[test]
fn calls_as_those_of_grpc_go_through_by_http2_alone() {
    let authority = Authority::new();
    authority.write("front", &["app.localhost"]);
    let app = NodeApp::kind("h2c");
    let tls = ["cert_file", "key_file"].map(|key| {
        let file = authority.file(if key == "cert_file" { "front.crt" } else { "front.key" });
        format!("{key} = \"{file}\"\n")
    });
    let text = config(&format!(
        "[apps.\"app.localhost\"]\nallow = \"public\"\nupstream = \"h2c://127.0.0.1:{}\"\n",
        app.port
    ));
    let text = text.replace("http://auth.localhost", "https://auth.localhost").replace(
        "admin_listen = \"ADMIN\"\n",
        &format!("admin_listen = \"ADMIN\"\n[server.tls]\n{}", tls.concat()),
    );
    let foregate = Foregate::start(&text);
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = std::process::Command::new(root.join(".tools/bin/node"))
        .arg(root.join("tests/parts/grpc.mjs"))
        .arg(json!({ "port": foregate.public.port(), "ca": authority.file("ca.pem") }).to_string())
        .output()
        .expect("node starts: run tests/setup.sh first");
    let said: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{} {:?}", String::from_utf8_lossy(&output.stderr), foregate.log_lines()));
    let answered = json!({ "status": 200, "got": ["got one", "got two", "got three"], "trailers": { "grpc-status": "0", "x-messages": "3" } });
    assert_eq!(
        (&said["streaming"], &said["unary"]["trailers"]["grpc-status"]),
        (&answered, &"0".into()),
        "{said}"
    );
    assert_eq!(said["unary"]["got"], json!(["got all at once"]), "{said}");
    assert_eq!(said["long"]["length"], 5_000_000, "{said}");
}
