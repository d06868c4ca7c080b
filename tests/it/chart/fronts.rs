//! Real front proxies with what the chart writes for them: Traefik with its Middlewares, and Envoy as Envoy Gateway makes it
//! of a SecurityPolicy, by exact names and with nothing removed before the check.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::headers::{CHECKS, EMERGENCY, TENANTS, part};
use super::{configuration, find, objects, render};
use crate::support::backend::Backend;
use crate::support::foregate::{Foregate, free_port};
use crate::support::http::{Reply, raw, request};
use crate::support::proxies::FrontProxy;
use foregate::visit::{ELSEWHERE, METHOD_HEADERS};

const HOST: &str = "app.foregate.localhost";
const APPS: &str = r#"config.apps={
    "app.foregate.localhost":{"allow":"group:admins","emergency":true,"rules":[
        {"path":"/api/**","methods":["GET","POST"],"allow":"public"},{"path":"/open/**","allow":"public"}]},
    "app.foregate.localhost/other":"public"}"#;

/// A front proxy with the chart's check, before an app.
struct Front {
    name: &'static str,
    port: u16,
    backend: Backend,
    _foregate: Foregate,
    _proxy: FrontProxy,
    _files: tempfile::TempDir,
}

impl Front {
    fn new(name: &'static str, config: &[&str]) -> Self {
        let port = free_port();
        let address = format!("config.public_url=\"http://auth.foregate.localhost:{port}\"");
        let trusted = "config.server={\"trusted_proxies\":[\"127.0.0.1\"]}";
        let text = render("sqlite", &[], &[config, &CHECKS, &[address.as_str(), trusted]].concat());
        let objects = objects(&[&text.expect("a rendering")]).remove(0);
        let (files, _, config) = configuration(&objects, "foregate");
        let here = |line: &str| match line.split(" = ").next() {
            Some("listen") => "listen = \"LISTEN\"\n".to_owned(),
            Some("admin_listen") => "admin_listen = \"ADMIN\"\n".to_owned(),
            _ => format!("{line}\n"),
        };
        let foregate = Foregate::start(&config.lines().map(here).collect::<String>());
        let backend = Backend::start();
        let proxy = FrontProxy::by_snippet(name, port, HOST, (&foregate, &backend), |text| match name {
            "envoy" => as_envoy_gateway_has_it(text, part(&objects, "/spec/extAuth")),
            _ => as_traefik_has_it(text, &objects, &foregate),
        });
        proxy.wait_for(&format!("http://{HOST}:{port}/open/ready"), |reply| reply.status == 200);
        Self { name, port, backend, _foregate: foregate, _proxy: proxy, _files: files }
    }

    fn ask(&self, method: &str, page: &str, lines: &[&str]) -> Reply {
        let host = format!("Host: {HOST}:{}", self.port);
        let lines = [&[host.as_str(), "Connection: close"], lines].concat();
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], self.port));
        raw(address, request(method, page, &lines, "").as_bytes())
    }

    /// What the app gets of a request that is let in, without its first line.
    fn told(&self, page: &str, lines: &[&str]) -> String {
        let before = self.backend.seen().len();
        let reply = self.ask("GET", page, lines);
        assert_eq!(reply.status, 200, "{} {page}: {reply:?}", self.name);
        let seen = self.backend.seen_after(before).remove(0);
        seen.split_once("\r\n").expect("lines").1.to_owned()
    }
}

/// The snippet for Envoy with the lists of a SecurityPolicy, without what a policy cannot say.
fn as_envoy_gateway_has_it(text: &str, check: &Value) -> String {
    let list = |names: &Value| {
        let names = names.as_array().expect("a list").iter().map(|name| format!("{{ exact: {name} }}"));
        format!(" {{ patterns: [{}] }}\n", names.collect::<Vec<_>>().join(", "))
    };
    let text = replaced(text, "early_header_mutation_extensions:", "# Envoy gives no", "");
    let text = text.replace("headers_with_underscores_action: DROP_HEADER", "");
    let shown = format!("allowed_headers:{}{}", list(&check["headersToExtAuth"]), " ".repeat(22));
    let text = replaced(&text, "allowed_headers:", "http_service:", &shown);
    let handed = list(&check["http"]["headersToBackend"]);
    let handed = format!("allowed_upstream_headers:{handed}{}", " ".repeat(18));
    replaced(&text, "allowed_upstream_headers:", "- name: envoy.filters.http.router", &handed)
}

/// The snippet for Traefik with the Middlewares of the chart, which reach foregate here.
fn as_traefik_has_it(text: &str, objects: &[Value], foregate: &Foregate) -> String {
    let mut check = find(objects, "Middleware", "foregate-check")["spec"].clone();
    let address = &mut check["forwardAuth"]["address"];
    *address = format!("http://{}/.foregate/auth/traefik", foregate.public).into();
    let overrides = &find(objects, "Middleware", "foregate-overrides")["spec"];
    let both = format!("\n  middlewares:\n    foregate: {check}\n    overrides: {overrides}\n");
    replaced(text, "\n  middlewares:", "\n  services:", &both)
}

fn replaced(text: &str, from: &str, to: &str, new: &str) -> String {
    let (before, rest) = text.split_once(from).expect(from);
    let (_, after) = rest.split_once(to).expect(to);
    format!("{before}{new}{to}{after}")
}

fn apps_get_what_was_checked(name: &'static str) {
    let front = Front::new(name, &[APPS, TENANTS, EMERGENCY]);
    assert_eq!(front.ask("POST", "/api/x", &[]).status, 200);
    for method in METHOD_HEADERS {
        for spelled in [method.to_owned(), method.replace('-', "_")] {
            let reply = front.ask("POST", "/api/x", &[&format!("{spelled}: DELETE")]);
            let is_taken_off = name == "traefik" && reply.status == 200 && !reply.body.contains("DELETE");
            assert!(reply.status == 400 || is_taken_off, "{name} {spelled}: {reply:?}");
        }
    }
    let elsewhere = ELSEWHERE.iter().map(|name| (*name, "GET"));
    let ours = ["x-org", "x-tenant-role", "x-foregate-emergency", "remote-user"].map(|name| (name, "forged"));
    let lines = elsewhere.chain(ours).flat_map(|(name, value)| {
        [format!("{name}: {value}"), format!("{}: {value}", name.replace('-', "_"))]
    });
    let lines: Vec<String> = lines.collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    for page in ["/open/x", "/api/x", "/other/x"] {
        let told = front.told(page, &lines);
        assert!(!told.contains("GET") && !told.contains("forged"), "{name} {page}: {told}");
    }
    // A password for emergencies is foregate's where it counts, and every other line the app's.
    let basic = |user: &str| format!("Basic {}", STANDARD.encode(format!("{user}:secret")));
    for (page, user, arrives) in [
        ("/open/x", "carol", true),
        ("/open/x", "ops", false),
        ("/other/x", "carol", true),
        ("/other/x", "ops", true),
    ] {
        let told = front.told(page, &[&format!("Authorization: {}", basic(user))]);
        assert_eq!(told.contains(&basic(user)), arrives, "{name} {page} {user}: {told}");
    }
}

#[test]
fn apps_behind_envoy_gateway_get_what_was_checked() {
    apps_get_what_was_checked("envoy");
}

#[test]
fn apps_behind_traefik_get_what_was_checked() {
    apps_get_what_was_checked("traefik");
}
