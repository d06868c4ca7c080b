//! One foregate with an app of every kind, every way to ask it, and every kind of evidence to show it.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::support::backend::Backend;
use crate::support::foregate::{Foregate, free_port};
use crate::support::hostile_provider::{API, HostileProvider};
use crate::support::http::{Browser, Reply, raw, request};

/// A way by which a request for a page is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrance {
    Traefik,
    Nginx,
    Caddy,
    Haproxy,
    Envoy,
    /// foregate as the reverse proxy.
    Proxy,
    OutpostTraefik,
    OutpostNginx,
    OutpostCaddy,
    OutpostEnvoy,
    Oauth2Proxy,
}

pub const ENTRANCES: [Entrance; 11] = [
    Entrance::Traefik,
    Entrance::Nginx,
    Entrance::Caddy,
    Entrance::Haproxy,
    Entrance::Envoy,
    Entrance::Proxy,
    Entrance::OutpostTraefik,
    Entrance::OutpostNginx,
    Entrance::OutpostCaddy,
    Entrance::OutpostEnvoy,
    Entrance::Oauth2Proxy,
];

/// How an entrance learns what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// X-Forwarded-Method, -Proto, -Host, -Uri.
    Forwarded,
    /// X-Original-URL.
    Original,
    /// The request line itself.
    Line,
}

impl Entrance {
    pub fn told(self) -> Told {
        match self {
            Self::Traefik
            | Self::Caddy
            | Self::Haproxy
            | Self::OutpostTraefik
            | Self::OutpostCaddy
            | Self::Oauth2Proxy => Told::Forwarded,
            Self::Nginx | Self::OutpostNginx => Told::Original,
            Self::Envoy | Self::OutpostEnvoy | Self::Proxy => Told::Line,
        }
    }

    /// Whether a front proxy stands before it.
    pub fn is_check(self) -> bool {
        self != Self::Proxy
    }

    /// Whether its front proxy passes redirects on.
    pub fn redirects(self) -> bool {
        !matches!(self, Self::Nginx | Self::OutpostNginx | Self::Oauth2Proxy)
    }

    fn address(self) -> &'static str {
        match self {
            Self::Traefik => "/.foregate/auth/traefik",
            Self::Nginx => "/.foregate/auth/nginx",
            Self::Caddy => "/.foregate/auth/caddy",
            Self::Haproxy => "/.foregate/auth/haproxy",
            Self::Envoy => "/.foregate/auth/envoy",
            Self::Proxy => "",
            Self::OutpostTraefik => "/outpost.goauthentik.io/auth/traefik",
            Self::OutpostNginx => "/outpost.goauthentik.io/auth/nginx",
            Self::OutpostCaddy => "/outpost.goauthentik.io/auth/caddy",
            Self::OutpostEnvoy => "/outpost.goauthentik.io/auth/envoy",
            Self::Oauth2Proxy => "/oauth2/auth",
        }
    }

    /// The bytes of a request about what may be no address at all.
    pub fn bytes(self, method: &str, (scheme, host, uri): (&str, &str, &str), lines: &[&str]) -> Vec<u8> {
        let told = match self.told() {
            Told::Forwarded => vec![
                format!("X-Forwarded-Method: {method}"),
                format!("X-Forwarded-Proto: {scheme}"),
                format!("X-Forwarded-Host: {host}"),
                format!("X-Forwarded-Uri: {uri}"),
            ],
            Told::Original => vec![
                format!("X-Original-URL: {scheme}://{host}{uri}"),
                format!("X-Original-Method: {method}"),
            ],
            Told::Line if self.is_check() => {
                vec![format!("Host: {host}"), format!("X-Forwarded-Proto: {scheme}")]
            }
            Told::Line => vec![format!("Host: {host}")],
        };
        let target = if self.told() == Told::Line {
            format!("{}{uri}", self.address())
        } else {
            self.address().into()
        };
        let asked = match self {
            Self::Haproxy => "HEAD",
            Self::Envoy | Self::OutpostEnvoy | Self::Proxy => method,
            Self::Traefik
            | Self::Nginx
            | Self::Caddy
            | Self::OutpostTraefik
            | Self::OutpostNginx
            | Self::OutpostCaddy
            | Self::Oauth2Proxy => "GET",
        };
        let all: Vec<&str> = told
            .iter()
            .map(String::as_str)
            .chain(lines.iter().copied())
            .chain(["Connection: close"])
            .collect();
        request(asked, &target, &all, "").into_bytes()
    }
}

/// How somebody shows who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    Nothing,
    Cookie,
    Bearer,
    Basic,
}

pub const EVIDENCE: [Evidence; 3] = [Evidence::Cookie, Evidence::Bearer, Evidence::Basic];

/// A provider, a backend, and a foregate that has every setting on that opens a way.
pub struct World {
    pub provider: HostileProvider,
    pub backend: Backend,
    pub foregate: Foregate,
    pub config: String,
    pub port: u16,
    cookies: Mutex<HashMap<String, String>>,
}

/// The one that no test changes.
pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(World::new)
}

pub const RULES: &str = "rules.foregate.localhost";
pub const APP: &str = "app.foregate.localhost";
pub const OPEN: &str = "open.foregate.localhost";
pub const ADMINS: &str = "admins.foregate.localhost";

impl World {
    /// One of a test's own.
    pub fn new() -> Self {
        Self::with("", |config| config)
    }

    /// The same with further tables, and with its configuration changed.
    pub fn with(tables: &str, change: impl FnOnce(String) -> String) -> Self {
        let port = free_port();
        let (provider, backend) = (HostileProvider::start(), Backend::start());
        let config = change(config(port, &provider, &backend) + tables);
        let foregate = Foregate::start_at(&config, port);
        Self { provider, backend, foregate, config, port, cookies: Mutex::default() }
    }

    /// The same parts, one of which was made anew.
    pub fn of(
        provider: HostileProvider,
        backend: Backend,
        (foregate, config, port): (Foregate, String, u16),
    ) -> Self {
        Self { provider, backend, foregate, config, port, cookies: Mutex::default() }
    }

    pub fn url(&self, host: &str, page: &str) -> String {
        format!("http://{host}.foregate.localhost:{}{page}", self.port)
    }

    /// The browser of somebody who has just signed in.
    pub fn sign_in(&self, user: &str) -> Browser {
        let mut browser = stranger(user);
        browser.open(&self.url("auth", "/.foregate/sign-in"));
        assert!(browser.cookie("foregate").is_some(), "{user} is not signed in: {:?}", browser.visited);
        browser
    }

    /// The Cookie line of such a browser; the same one each time.
    pub fn cookie(&self, user: &str) -> String {
        let mut cookies = self.cookies.lock().expect("the cookies");
        let sign_in = || cookie_of(&self.sign_in(user));
        cookies.entry(user.to_owned()).or_insert_with(sign_in).clone()
    }

    /// The header lines that show who somebody is.
    pub fn shows(&self, evidence: Evidence, user: &str) -> Vec<String> {
        match evidence {
            Evidence::Nothing => vec![],
            Evidence::Cookie => vec![self.cookie(user)],
            Evidence::Bearer => vec![bearer(&self.provider.access_token(user, json!({})))],
            Evidence::Basic => vec![basic(user, &format!("app-{user}"))],
        }
    }

    /// Asks for a page.
    pub fn ask(&self, entrance: Entrance, host: &str, uri: &str, lines: &[&str]) -> Reply {
        self.ask_by(entrance, "GET", ("http", host, uri), lines)
    }

    pub fn ask_by(
        &self,
        entrance: Entrance,
        method: &str,
        target: (&str, &str, &str),
        lines: &[&str],
    ) -> Reply {
        raw(self.foregate.public, &entrance.bytes(method, target, lines))
    }

    /// Asks one of foregate's own addresses.
    pub fn own(&self, method: &str, target: &str, lines: &[&str], body: &str) -> Reply {
        let host = format!("Host: auth.foregate.localhost:{}", self.port);
        let lines = [&[host.as_str(), "Connection: close"], lines].concat();
        raw(self.foregate.public, request(method, target, &lines, body).as_bytes())
    }

    /// Holds that an address is closed to somebody, by whatever entrance and evidence.
    #[track_caller]
    pub fn is_closed(&self, host: &str, uri: &str, lines: &[&str]) {
        for entrance in ENTRANCES {
            assert_closed(&self.ask(entrance, host, uri, lines), entrance, (host, uri, lines));
        }
    }
}

/// The browser of somebody whom the provider knows already.
pub fn stranger(user: &str) -> Browser {
    Browser { lines: vec![format!("X-User: {user}")], ..Browser::default() }
}

pub fn cookie_of(browser: &Browser) -> String {
    format!("Cookie: foregate={}", browser.cookie("foregate").expect("a session").value)
}

pub fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

pub fn basic(user: &str, password: &str) -> String {
    format!("Authorization: Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// Lines as they are handed on.
pub fn lines(lines: &[String]) -> Vec<&str> {
    lines.iter().map(String::as_str).collect()
}

/// A refusal, which is nobody's fault but the visitor's.
#[track_caller]
pub fn assert_closed(reply: &Reply, entrance: Entrance, what: impl std::fmt::Debug) {
    assert!((300..500).contains(&reply.status), "{entrance:?} {what:?}: {reply:?}");
}

#[track_caller]
pub fn assert_open(reply: &Reply, entrance: Entrance, what: impl std::fmt::Debug) {
    assert!((200..300).contains(&reply.status), "{entrance:?} {what:?}: {reply:?}");
}

/// One of the two.
#[track_caller]
pub fn assert_is(open: bool, reply: &Reply, entrance: Entrance, what: impl std::fmt::Debug) {
    if open { assert_open(reply, entrance, what) } else { assert_closed(reply, entrance, what) }
}

/// What an entrance tells the app of who it is: the answer to a front proxy, or what the backend got.
pub fn told(entrance: Entrance, reply: &Reply, name: &str) -> Vec<String> {
    if entrance.is_check() {
        return reply.all(name).into_iter().map(str::to_owned).collect();
    }
    let lines = reply.body.split("\r\n").filter_map(|line| line.split_once(':'));
    let fits = |(other, value): (&str, &str)| {
        other.eq_ignore_ascii_case(name).then(|| value.trim_ascii().to_owned())
    };
    lines.filter_map(fits).collect()
}

fn config(port: u16, provider: &HostileProvider, backend: &Backend) -> String {
    let upstream = format!("upstream = \"{}\"", backend.url());
    let app = |host: &str, allow: &str| {
        format!("[apps.\"{host}.foregate.localhost\"]\n{upstream}\nallow = {allow}\n")
    };
    let apps: String = [
        ("app", "\"signed-in\""),
        ("open", "\"public\""),
        ("admins", "\"group:Home Server Admins\""),
        ("user", "\"user:alice\""),
        ("mail", "\"email:*@example.com\""),
        ("company", "\"email:*@company.test\""),
        ("claim", "\"claim:level=3\""),
        ("role", "\"role:keeper\""),
        ("permission", "\"permission:kb:write\""),
        ("lan", "\"network:10.0.0.0/8\""),
        ("both", "{ all = [\"group:family\", \"user:alice\"] }"),
        ("nobody", "\"nobody\""),
        ("*.wild", "\"signed-in\""),
        ("strict.wild", "\"group:Home Server Admins\""),
    ]
    .iter()
    .map(|(host, allow)| app(host, allow))
    .collect();
    format!(
        r#"
public_url = "http://auth.foregate.localhost:{port}"
compat = ["authentik", "oauth2-proxy"]
[server]
listen = "LISTEN"
admin_listen = "ADMIN"
[session]
store = "sqlite:DIR/foregate.db"
{provider}
[bearer]
audiences = ["{API}"]
app_passwords = "default"
[roles.keeper]
groups = ["Home Server Admins"]
permissions = ["kb:write"]
{apps}
[apps."fresh.foregate.localhost"]
{upstream}
rules = [{{ path = "/**", allow = "signed-in", max_auth_age = "10m", acr = "mfa" }}]
[apps."methods.foregate.localhost"]
{upstream}
allow = "signed-in"
rules = [{{ path = "/**", methods = ["POST"], allow = "group:Home Server Admins" }}]
[apps."{RULES}"]
{upstream}
allow = "signed-in"
rules = [
  {{ path = "/public/**", allow = "public" }},
  {{ path = "/foo/*/bar", allow = "public" }},
  {{ path = "/admin/**", allow = "group:Home Server Admins" }},
]
"#,
        provider = provider.config(),
    )
}
