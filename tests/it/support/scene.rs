//! A provider and a foregate that many tests look at without changing them.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};

use serde_json::Value;
use url::Url;

use super::foregate::{Foregate, free_port};
use super::http::{Browser, Reply, raw, request};
use super::provider::Provider;

/// A foregate with a rule of every kind, and the people who may or may not pass.
pub struct Scene {
    pub provider: Provider,
    pub foregate: Foregate,
    pub public_url: String,
    cookies: Mutex<HashMap<String, String>>,
}

/// The five ways front proxies ask.
pub const DIALECTS: [&str; 5] = ["traefik", "nginx", "caddy", "haproxy", "envoy"];

/// The scene of this test program.
pub fn scene() -> &'static Scene {
    static SCENE: OnceLock<Scene> = OnceLock::new();
    SCENE.get_or_init(|| Scene::set("store = \"sqlite:DIR/foregate.db\""))
}

impl Scene {
    /// Sets one up with this `[session]` table.
    pub fn set(session: &str) -> Self {
        Self::with(Value::Null, |public_url, provider| config(public_url, provider, session))
    }

    /// Sets one up with these options of the provider and another configuration.
    pub fn with(options: Value, config: impl FnOnce(&str, &Provider) -> String) -> Self {
        let port = free_port();
        let public_url = format!("http://auth.foregate.localhost:{port}");
        let provider = Provider::for_foregate(&public_url, options);
        let config = config(&public_url, &provider);
        let foregate = Foregate::start_at(&config, port);
        Self { provider, foregate, public_url, cookies: Mutex::default() }
    }

    /// A browser that is signed in as `user`.
    pub fn signed_in(&self, user: &str) -> Browser {
        let mut browser = Browser::default();
        browser.sign_in(&format!("{}/.foregate/sign-in", self.public_url), user);
        assert!(browser.cookie("foregate").is_some(), "{user} is not signed in: {:?}", browser.visited);
        browser
    }

    /// The Cookie line of such a browser; the same one each time, so not for tests that sign out.
    pub fn cookie(&self, user: &str) -> String {
        let mut cookies = self.cookies.lock().expect("the cookies");
        let sign_in = || {
            format!("Cookie: foregate={}", self.signed_in(user).cookie("foregate").expect("a session").value)
        };
        cookies.entry(user.to_owned()).or_insert_with(sign_in).clone()
    }

    /// Asks about `url` in a dialect.
    pub fn ask(&self, dialect: &str, method: &str, url: &str, lines: &[&str]) -> Reply {
        let bytes = ask(dialect, method, url, lines);
        raw(self.foregate.public, &bytes)
    }
}

/// A configuration with a rule of every kind.
pub fn config(public_url: &str, provider: &Provider, session: &str) -> String {
    format!(
        r#"
public_url = "{public_url}"

[server]
listen = "LISTEN"
admin_listen = "ADMIN"

[session]
{session}

{provider}

[apps]
"app.foregate.localhost" = "signed-in"
"open.foregate.localhost" = "public"
"admins.foregate.localhost" = "group:Home Server Admins"
"pipe.foregate.localhost" = "group:a|b"
"bob.foregate.localhost" = "user:bob"
"mail.foregate.localhost" = "email:*@example.com"
"*.wild.foregate.localhost" = "group:family"
"shared.foregate.localhost/a" = "signed-in"

[apps."rules.foregate.localhost"]
allow = "signed-in"
rules = [
  {{ path = "/public/**", allow = "public" }},
  {{ path = "/health", methods = ["GET"], allow = "public" }},
  {{ path = "/admin/**", allow = "group:Home Server Admins" }},
  {{ path = "/kb/*/edit", methods = ["POST"], allow = "user:bob" }},
]

[apps."grafana.foregate.localhost"]
allow = "signed-in"
headers = {{ "X-WEBAUTH-USER" = "{{username}}", "X-Mail" = "{{email}}" }}

[apps."authentik.foregate.localhost"]
allow = "signed-in"
headers = "authentik"
"#,
        provider = provider.config(),
    )
}

/// The bytes of a check.
pub fn ask(dialect: &str, method: &str, url: &str, lines: &[&str]) -> Vec<u8> {
    let url = Url::parse(url).expect("a URL");
    let uri = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let host = url.host_str().expect("a host");
    ask_raw(dialect, method, (url.scheme(), host, &uri), lines)
}

/// The bytes of a check about what no URL parser would let through.
pub fn ask_raw(
    dialect: &str,
    method: &str,
    (scheme, host, uri): (&str, &str, &str),
    lines: &[&str],
) -> Vec<u8> {
    let mut all: Vec<String> = lines.iter().map(ToString::to_string).collect();
    let (asked, target) = match dialect {
        "envoy" => {
            all.push(format!("Host: {host}"));
            all.push(format!("X-Forwarded-Proto: {scheme}"));
            (method, format!("/.foregate/auth/envoy{uri}"))
        }
        "nginx" => {
            all.push(format!("X-Original-URL: {scheme}://{host}{uri}"));
            all.push(format!("X-Original-Method: {method}"));
            ("GET", "/.foregate/auth/nginx".to_owned())
        }
        _ => {
            all.push(format!("X-Forwarded-Method: {method}"));
            all.push(format!("X-Forwarded-Proto: {scheme}"));
            all.push(format!("X-Forwarded-Host: {host}"));
            all.push(format!("X-Forwarded-Uri: {uri}"));
            (if dialect == "haproxy" { "HEAD" } else { "GET" }, format!("/.foregate/auth/{dialect}"))
        }
    };
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    request(asked, &target, &all, "").into_bytes()
}
