//! Ways out of the requests that are checked one by one: other protocols, tunnels, headers behind a body, and the checks' own
//! addresses asked from outside. Through the five real front proxies with the configurations that users are given, and
//! through foregate as the proxy itself.

use std::path::Path;
use std::process::Command;

use crate::book::page;
use crate::support::backend::Backend;
use crate::support::foregate::{Foregate, free_port};
use crate::support::http::{Reply, Wire, raw, request};
use crate::support::proxies::{FrontProxy, PROXIES};

const HOST: &str = "app.foregate.localhost";
const OWN: &str = "auth.foregate.localhost";
const SETTINGS: &str = "HTTP2-Settings: AAMAAABkAAQAAP__";
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
const VERSION: &str = "Sec-WebSocket-Version: 13";

/// A front proxy before an app and foregate beside it, or foregate alone before the app, which changes to every protocol.
struct Street {
    name: &'static str,
    port: u16,
    _foregate: Foregate,
    backend: Backend,
    _proxy: Option<FrontProxy>,
}

impl Street {
    fn with(name: &'static str) -> Self {
        Self::of(name, OWN)
    }

    /// foregate's own pages are at `own`.
    fn of(name: &'static str, own: &str) -> Self {
        Self::changed(name, own, str::to_owned)
    }

    /// The front proxy's configuration is not quite as it was printed.
    fn changed(name: &'static str, own: &str, change: fn(&str) -> String) -> Self {
        let (port, backend) = (free_port(), Backend::that_speaks_everything());
        let (behind, upstream) = if name == ALONE {
            (port, format!("upstream = \"{}\"\n", backend.url()))
        } else {
            (free_port(), String::new())
        };
        let config = format!(
            "public_url = \"http://{own}:{port}\"\n[server]\nlisten = \"LISTEN\"\nadmin_listen = \"ADMIN\"\n\
             [session]\nstore = \"sqlite:DIR/f.db\"\n\
             [provider]\nissuer = \"http://127.0.0.1:9/\"\nclient_id = \"f\"\nclient_auth = \"none\"\n\
             [apps.\"{HOST}\"]\n{upstream}allow = \"group:ops\"\nrules = [{{ path = \"/open/**\", allow = \"public\" }}]\n"
        );
        let foregate = Foregate::start_at(&config, behind);
        let proxy = (name != ALONE).then(|| before(name, port, (&foregate, &backend), change));
        Self { name, port, _foregate: foregate, backend, _proxy: proxy }
    }

    fn visit(&self) -> Wire {
        Wire::open(([127, 0, 0, 1], self.port).into())
    }

    fn request(&self, method: &str, target: &str, lines: &[&str]) -> String {
        let host = format!("Host: {HOST}:{}", self.port);
        request(method, target, &[&[host.as_str()], lines].concat(), "")
    }

    /// The requests that reached the backend with this in their first line.
    fn seen(&self, part: &str) -> Vec<String> {
        let first = |request: &String| request.lines().next().is_some_and(|line| line.contains(part));
        self.backend.seen().into_iter().filter(first).collect()
    }
}

/// The front proxy with the configuration that foregate prints for it.
fn before(
    name: &'static str,
    port: u16,
    (foregate, backend): (&Foregate, &Backend),
    change: fn(&str) -> String,
) -> FrontProxy {
    let proxy = FrontProxy::by_snippet(name, port, HOST, (foregate, backend), change);
    proxy.wait_for(&format!("http://{HOST}:{port}/open/ready"), |reply| reply.status == 200);
    proxy
}

/// The values of a header, in lines and lists.
fn values(request: &str, name: &str) -> Vec<String> {
    let lines = request.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
    let lines = lines.filter(|(other, _)| other.eq_ignore_ascii_case(name));
    lines.flat_map(|(_, value)| value.split(',')).map(|value| value.trim().to_ascii_lowercase()).collect()
}

/// What asks for a protocol other than WebSocket: HTTP in another version or within TLS, others' own, look-alikes.
const STRANGE: [&[&str]; 10] = [
    &["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", SETTINGS],
    &["Connection: HTTP2-Settings, upgrade", "Upgrade: H2C", SETTINGS],
    &["Upgrade: h2c", SETTINGS],
    &["Connection: Upgrade", "Upgrade: foo, h2c", SETTINGS],
    &["Connection: Upgrade", "Upgrade: foo", "Upgrade: h2c", SETTINGS],
    &["Connection: Upgrade", "Upgrade:\th2c", SETTINGS],
    &["Connection: Upgrade", "Upgrade: HTTP/2.0"],
    &["Connection: Upgrade", "Upgrade: TLS/1.0"],
    &["Connection: Upgrade", "Upgrade: tailscale-control-protocol"],
    &["Connection: Upgrade", "Upgrade: websocket/13", KEY, VERSION],
];

/// What asks for a WebSocket and something else.
const MIXED: [&[&str]; 5] = [
    &["Connection: Upgrade, HTTP2-Settings", "Upgrade: websocket, h2c", SETTINGS, KEY, VERSION],
    &["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c, websocket", SETTINGS, KEY, VERSION],
    &["Connection: Upgrade, HTTP2-Settings", "Upgrade: websocket", "Upgrade: h2c", SETTINGS, KEY, VERSION],
    &["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "Upgrade: websocket", SETTINGS, KEY, VERSION],
    &["Connection: Upgrade", "Upgrade: ", "Upgrade: h2c", KEY, VERSION],
];

/// For [`crate::security`], too: the case is a published one.
pub fn only_websockets_leave_http(name: &'static str) {
    let street = Street::with(name);
    for (at, lines) in STRANGE.iter().enumerate() {
        let page = format!("/open/strange-{at}");
        let mut visitor = street.visit();
        // Behind it what the backend would take for a request if the tunnel were open.
        let next = street.request("GET", "/closed", &["Connection: close", "Remote-User: root"]);
        visitor.write((street.request("GET", &page, lines) + &next).as_bytes());
        let reply = visitor.read(false).expect("an answer");
        assert_ne!(reply.status, 101, "{name} {lines:?}: {reply:?}");
        visitor.until_the_end();
        for request in street.seen(&page) {
            for header in ["upgrade", "http2-settings"] {
                assert_eq!(values(&request, header), [""; 0], "{name} {lines:?}: {request}");
            }
        }
    }
    for (at, lines) in MIXED.iter().enumerate() {
        let page = format!("/open/mixed-{at}");
        let reply = raw(([127, 0, 0, 1], street.port).into(), street.request("GET", &page, lines).as_bytes());
        let seen = street.seen(&page);
        let asked = seen.iter().flat_map(|request| values(request, "upgrade")).collect::<Vec<_>>();
        assert!(asked.is_empty() || asked == ["websocket"], "{name} {lines:?}: {seen:?}");
        assert_eq!(reply.status == 101, !asked.is_empty(), "{name} {lines:?}: {reply:?}");
        assert!(seen.iter().all(|request| values(request, "http2-settings").is_empty()), "{name}: {seen:?}");
    }
    assert_eq!(street.seen("/closed"), [""; 0], "{name}");
    for protocol in ["websocket", "WebSocket"] {
        let upgrade = format!("Upgrade: {protocol}");
        let lines = ["Connection: Upgrade", &upgrade, KEY, VERSION];
        let mut visitor = street.visit();
        visitor.write(street.request("GET", "/open/socket", &lines).as_bytes());
        let reply = visitor.read(true).expect("an answer");
        assert_eq!(reply.status, 101, "{name} {protocol}: {reply:?}");
        assert_eq!(visitor.bytes(5), b"hello", "{name} {protocol}");
        let within = format!("/within-{protocol}");
        visitor.write(format!("GET {within} HTTP/1.1\r\n\r\n").as_bytes());
        street.backend.wait_for(&within);
        assert_eq!(visitor.bytes(15), b"HTTP/1.1 200 OK", "{name} {protocol}");
    }
}

/// What docs/recipes.md says for Headscale: a piece of what is printed, and what takes its place.
const NAMED: [(&str, &str); 6] = [
    // Traefik, and Caddy's line for what is none of both.
    ("(?i)^websocket$`)", "(?i)^(websocket|tailscale-control-protocol)$`)"),
    (
        "@plain not header_regexp Upgrade (?i)^websocket$",
        "@plain not header_regexp Upgrade (?i)^(websocket|tailscale-control-protocol)$",
    ),
    (
        "request_header @plain -Upgrade",
        "@tailscale header_regexp Upgrade (?i)^tailscale-control-protocol$\nrequest_header @tailscale Upgrade tailscale-control-protocol\nrequest_header @tailscale Connection Upgrade\nrequest_header @plain -Upgrade",
    ),
    (
        "websocket websocket;",
        "websocket websocket;\n    tailscale-control-protocol tailscale-control-protocol;",
    ),
    (
        "http-request del-header Upgrade unless { req.hdr(upgrade) -m str -i websocket }",
        "http-request set-header Upgrade tailscale-control-protocol if { req.hdr(upgrade) -m str -i tailscale-control-protocol }\n    http-request del-header Upgrade unless { req.hdr(upgrade) -m str -i websocket tailscale-control-protocol }",
    ),
    (
        "upgrade_configs: [{ upgrade_type: websocket }]",
        "upgrade_configs: [{ upgrade_type: websocket }, { upgrade_type: tailscale-control-protocol }]",
    ),
];

fn a_protocol_with_a_line_of_its_own_passes(name: &'static str) {
    let page = page("recipes.md");
    for line in NAMED.iter().flat_map(|(_, new)| new.lines()).filter(|line| line.contains("tailscale")) {
        assert!(page.contains(line.trim()), "the recipe lacks {line}");
    }
    let change = |text: &str| NAMED.iter().fold(text.to_owned(), |text, (old, new)| text.replace(old, new));
    let street = Street::changed(name, OWN, change);
    let post = |page: &str, lines: &[&str]| {
        let mut visitor = street.visit();
        let lines = [&["Connection: Upgrade", "Content-Length: 0"], lines].concat();
        visitor.write(street.request("POST", page, &lines).as_bytes());
        visitor.read(true).expect("an answer").status
    };
    assert_eq!(post("/open/ts2021", &["Upgrade: tailscale-control-protocol"]), 101, "{name}");
    for (at, lines) in [
        &["Upgrade: h2c", SETTINGS][..],
        &["Upgrade: h2c", "Upgrade: tailscale-control-protocol", SETTINGS],
        &["Upgrade: h2c, tailscale-control-protocol", SETTINGS],
        &["Upgrade: tailscale-control-protocol", "Upgrade: h2c", SETTINGS],
    ]
    .into_iter()
    .enumerate()
    {
        let page = format!("/open/mixed-{at}");
        post(&page, lines);
        for request in street.seen(&page) {
            let asked = values(&request, "upgrade");
            assert!(
                asked.is_empty() || asked == ["tailscale-control-protocol"],
                "{name} {lines:?}: {request}"
            );
        }
    }
}

fn nobody_gets_a_tunnel_by_connect(name: &'static str) {
    let street = Street::with(name);
    let whole = format!("{HOST}:{}", street.port);
    for target in [&whole, "/open/page", &format!("http://{whole}/open/page"), "127.0.0.1:22"] {
        for lines in [&["Connection: close"][..], &["Connection: close", "Transfer-Encoding: chunked"]] {
            let mut visitor = street.visit();
            let next = street.request("GET", "/closed", &["Connection: close", "Remote-User: root"]);
            let body =
                if lines.len() == 2 { format!("{:x}\r\n{next}\r\n0\r\n\r\n", next.len()) } else { next };
            visitor.write((street.request("CONNECT", target, lines) + &body).as_bytes());
            let reply = visitor.read(false).unwrap_or_default();
            assert!(reply.status == 0 || reply.status >= 400, "{name} {target} {lines:?}: {reply:?}");
        }
    }
    // Whatever may have gone on to the backend has reached it before this has.
    let reply =
        raw(([127, 0, 0, 1], street.port).into(), street.request("GET", "/open/last", &[]).as_bytes());
    assert_eq!(reply.status, 200, "{name}: {reply:?}");
    let seen = street.backend.seen();
    assert!(
        !seen.iter().any(|seen| seen.starts_with("CONNECT") || seen.contains("/closed")),
        "{name}: {seen:?}"
    );
}

fn nothing_follows_a_body(name: &'static str) {
    let street = Street::with(name);
    let mut visitor = street.visit();
    let head = street.request("POST", "/open/body", &["Transfer-Encoding: chunked", "Trailer: Remote-User"]);
    visitor.write(format!("{head}4\r\nbody\r\n0\r\nRemote-User: root\r\n\r\n").as_bytes());
    let reply = visitor.read(false).expect("an answer");
    assert_eq!(reply.status, 200, "{name}: {reply:?}");
    let [seen] = &street.seen("/open/body")[..] else { panic!("{name}: {:?}", street.backend.seen()) };
    // HAProxy can be told so from 3.2 on. Where this fails for another one, docs/front-proxies.md and SECURITY.md change, too.
    let cannot = name == "haproxy" && haproxy() < (3, 2);
    assert_eq!((seen.contains("body"), seen.contains("root")), (true, cannot), "{name}: {seen}");
}

/// Which HAProxy this is.
fn haproxy() -> (u32, u32) {
    let told =
        Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/bin/haproxy")).arg("-v").output();
    let text = String::from_utf8(told.expect("haproxy, which tests/setup.sh installs").stdout).expect("text");
    let version = text.split_whitespace().nth(2).expect("a version");
    let mut parts = version.split(['.', '-']).map_while(|part| part.parse().ok());
    (parts.next().expect("a number"), parts.next().expect("a number"))
}

/// What would be a check of every kind, let in, where a client may ask for one.
const CHECK: [&str; 7] = [
    "X-Original-URL: http://app.foregate.localhost/open/page",
    "X-Original-Method: GET",
    "X-Forwarded-Method: GET",
    "X-Forwarded-Proto: http",
    "X-Forwarded-Host: app.foregate.localhost",
    "X-Forwarded-Uri: /open/page",
    "Connection: close",
];

fn checks_are_the_front_proxys_to_ask_for(name: &'static str) {
    for own in [OWN, HOST] {
        let street = Street::of(name, own);
        let ask = |host: &str, path: &str, lines: &[&str]| {
            let host = format!("Host: {host}:{}", street.port);
            let lines = [&[host.as_str()], lines].concat();
            raw(([127, 0, 0, 1], street.port).into(), request("GET", path, &lines, "").as_bytes())
        };
        for host in [own, HOST, "unknown.foregate.localhost"] {
            for kind in ["traefik", "nginx", "caddy", "haproxy", "envoy", "envoy/open/page"] {
                let path = format!("/.foregate/auth/{kind}");
                let spellings = [
                    path.clone(),
                    path.replace("auth", "%61uth"),
                    path.replace("/auth", "//auth"),
                    path.replace("auth", "./auth"),
                    path.replace("auth", "x/../auth"),
                    path.replace(".f", "%2ef"),
                    path.replace("h/", "h%2f"),
                    path.to_ascii_uppercase(),
                    format!("http://{host}{path}"),
                    format!("{path}?allow=public"),
                ];
                // What a client may say differs, so each family of headers is tried alone, too.
                for (spelling, lines) in spellings
                    .iter()
                    .flat_map(|path| [&CHECK[..], &CHECK[..2], &CHECK[2..]].map(|lines| (path, lines)))
                {
                    let reply = ask(host, spelling, lines);
                    let told = format!("{name} {own} {host} {spelling} {lines:?}: {reply:?}");
                    assert!(is_no_check(&reply), "{told}");
                }
            }
        }
        // foregate's own pages are where they were.
        let page = ask(own, "/.foregate/signed-out", &["Connection: close"]);
        assert!(page.status == 200 && page.body.contains("signed out"), "{name} {own}: {page:?}");
        assert_eq!(street.seen(".foregate"), [""; 0], "{name}");
    }
}

/// Whether nothing is there, or the app's own rule was asked about the page.
fn is_no_check(reply: &Reply) -> bool {
    matches!(reply.status, 400 | 401 | 403 | 404) && reply.header("remote-user").is_none()
}

/// No front proxy at all.
pub const ALONE: &str = "foregate";

macro_rules! through_every_proxy {
    ($($scenario:ident: $($test:ident = $proxy:literal),+;)+) => { $($(
        #[test]
        fn $test() {
            assert!(PROXIES.contains(&$proxy) || $proxy == ALONE);
            $scenario($proxy);
        }
    )+)+ };
}

through_every_proxy! {
    a_protocol_with_a_line_of_its_own_passes: named_traefik = "traefik", named_nginx = "nginx", named_caddy = "caddy", named_envoy = "envoy", named_haproxy = "haproxy";
    nobody_gets_a_tunnel_by_connect: connect_traefik = "traefik", connect_nginx = "nginx", connect_caddy = "caddy", connect_envoy = "envoy", connect_haproxy = "haproxy", connect_alone = "foregate";
    nothing_follows_a_body: trailers_traefik = "traefik", trailers_nginx = "nginx", trailers_caddy = "caddy", trailers_envoy = "envoy", trailers_haproxy = "haproxy", trailers_alone = "foregate";
    checks_are_the_front_proxys_to_ask_for: checks_traefik = "traefik", checks_nginx = "nginx", checks_caddy = "caddy", checks_envoy = "envoy", checks_haproxy = "haproxy";
}
