//! The same scenarios through the five real front proxies, with the configurations that users are given, and through
//! foregate as the proxy itself.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use url::Url;

use crate::support::backend::Backend;
use crate::support::foregate::{Foregate, free_port, run};
use crate::support::http::{Browser, Reply, get, raw, request};
use crate::support::provider::Provider;
use crate::support::proxies::{FrontProxy, PROXIES};

/// A front proxy before an app and foregate beside it, or foregate alone before the app.
struct Street {
    name: &'static str,
    port: u16,
    host: &'static str,
    provider: Provider,
    foregate: Foregate,
    backend: Backend,
    proxy: Option<FrontProxy>,
}

impl Street {
    fn with(name: &'static str) -> Self {
        Self::before(name, "app.foregate.localhost")
    }

    fn before(name: &'static str, host: &'static str) -> Self {
        let alone = name == ALONE;
        let port = free_port();
        let behind = if alone { port } else { free_port() };
        let app = |backend: &Backend| {
            if alone { format!("upstream = \"{}\"\n", backend.url()) } else { String::new() }
        };
        let public_url = format!("http://auth.foregate.localhost:{port}");
        let provider = Provider::for_foregate(&public_url, Value::Null);
        let backend = Backend::start();
        let config = format!(
            "public_url = \"{public_url}\"\n[server]\nlisten = \"LISTEN\"\nadmin_listen = \"ADMIN\"\n[session]\n\
             store = \"sqlite:DIR/f.db\"\n{}[bearer]\naudiences = [\"https://api.example.com\"]\n[apps.\"{host}\"]\n{}allow = \"group:family\"\n\
             rules = [{{ path = \"/open/**\", allow = \"public\" }}, {{ path = \"/admin/**\", allow = \"group:Home Server Admins\" }}]\n",
            provider.config(),
            app(&backend),
        );
        let foregate = Foregate::start_at(&config, behind);
        if alone {
            return Self { name, port, host, provider, foregate, backend, proxy: None };
        }
        let proxy = FrontProxy::by_snippet(name, port, host, (&foregate, &backend), str::to_owned);
        proxy.wait_for(&format!("http://{host}:{port}/open/ready"), |reply| reply.status == 200);
        Self { name, port, host, provider, foregate, backend, proxy: Some(proxy) }
    }

    fn log(&self) -> String {
        self.proxy.as_ref().map_or_else(|| self.foregate.log_lines().join("\n"), FrontProxy::log)
    }

    fn url(&self, page: &str) -> String {
        format!("http://{}:{}{page}", self.host, self.port)
    }

    fn own(&self, page: &str) -> String {
        format!("http://auth.foregate.localhost:{}{page}", self.port)
    }

    fn ask(&self, method: &str, target: &str, lines: &[&str], body: &str) -> Reply {
        let host = format!("Host: {}:{}", self.host, self.port);
        let lines = [&[host.as_str(), "Connection: close"], lines].concat();
        raw(
            std::net::SocketAddr::from(([127, 0, 0, 1], self.port)),
            request(method, target, &lines, body).as_bytes(),
        )
    }

    fn signed_in(&self, user: &str) -> Browser {
        let mut browser = Browser::default();
        let reply = browser.sign_in(&self.url("/first"), user);
        assert_eq!(reply.status, 200, "{}: {reply:?}\n{:#?}", self.name, browser.visited);
        browser
    }
}

fn cookie_line(browser: &Browser) -> String {
    format!("Cookie: foregate={}", browser.cookie("foregate").expect("a session").value)
}

/// The values of a header in what the backend got, in any spelling that a backend may read.
fn got<'a>(body: &'a str, folded: &str) -> Vec<&'a str> {
    let fold = |name: &str| {
        name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
    };
    let lines = body.split("\r\n").filter_map(|line| line.split_once(':'));
    lines.filter(|(name, _)| fold(name) == folded).map(|(_, value)| value.trim()).collect()
}

fn the_whole_flow(name: &'static str) {
    let street = Street::with(name);
    let mut browser = Browser::default();
    let page = street.url("/deep/page?x=1&y=%20z");
    let reply = browser.sign_in(&page, "alice");
    assert!(
        reply.status == 200 && reply.body.contains("GET /deep/page?x=1&y=%20z HTTP/1.1"),
        "{name}: {reply:?}\n{}",
        street.log()
    );
    assert_eq!(browser.visited.last().map(Url::as_str), Some(page.as_str()), "{name}");
    assert_eq!(got(&reply.body, "remoteuser"), ["alice"], "{name}: {}", reply.body);
    assert_eq!(got(&reply.body, "remotegroups"), ["Home Server Admins,a|b,family"], "{name}");
    assert_eq!(got(&reply.body, "remoteemail"), ["alice@example.com"], "{name}");
    // Known at the provider: three redirects in all.
    browser.jar.retain(|cookie| !cookie.name.starts_with("foregate"));
    browser.visited.clear();
    assert_eq!(browser.open(&street.url("/again")).status, 200, "{name}");
    let paths: Vec<&str> = browser.visited.iter().map(Url::path).collect();
    assert_eq!(paths, ["/again", "/application/o/authorize/", "/.foregate/callback", "/again"], "{name}");
    let out = browser.open(&street.own("/.foregate/sign-out"));
    assert!(out.status == 200 && out.body.contains("signed out"), "{name}: {out:?}");
    assert!(browser.step("GET", &Url::parse(&page).expect("a URL"), "").status == 302, "{name}: signed out");
    the_provider_signs_somebody_out(&street);
    drop(street.provider);
}

/// A logout token comes in by the public address as everything else does.
fn the_provider_signs_somebody_out(street: &Street) {
    let name = street.name;
    let browser = street.signed_in("bob");
    let bob = street.provider.control("user", &json!({"login": "bob"}));
    let claims = json!({
        "iss": street.provider.issuer, "aud": "foregate", "sub": bob["sub"], "jti": "j-1",
        "iat": SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs(),
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    });
    let token = street.provider.control("sign", &json!({ "claims": claims }));
    let url = Url::parse(&street.own("/.foregate/backchannel-logout")).expect("a URL");
    let form = format!("logout_token={}", token["token"].as_str().expect("a token"));
    let told = Browser::default().step("POST", &url, &form);
    assert_eq!((told.status, told.body.as_str()), (200, ""), "{name}: {told:?}");
    let page = Url::parse(&street.url("/first")).expect("a URL");
    assert_eq!(browser.clone().step("GET", &page, "").status, 302, "{name}: signed out");
}

fn another_domain_needs_no_route_of_its_own(name: &'static str) {
    let street = Street::before(name, "photos.family.localhost");
    let mut browser = Browser::default();
    let page = street.url("/deep/page?x=1&y=%20z");
    let reply = browser.sign_in(&page, "alice");
    assert!(
        reply.status == 200 && reply.body.contains("GET /deep/page?x=1&y=%20z HTTP/1.1"),
        "{name}: {reply:?}\n{}",
        street.log()
    );
    assert_eq!(browser.visited.last().map(Url::as_str), Some(page.as_str()), "{name}");
    assert_eq!(got(&reply.body, "remoteuser"), ["alice"], "{name}: {}", reply.body);
    let kept: Vec<&str> =
        browser.jar.iter().filter(|kept| kept.name == "foregate").map(|kept| kept.domain.as_str()).collect();
    assert_eq!(kept, ["auth.foregate.localhost", "photos.family.localhost"], "{name}");
    // Its cookie lost, the session is brought once more, without the provider.
    browser.jar.retain(|cookie| cookie.domain != "photos.family.localhost");
    browser.visited.clear();
    assert_eq!(browser.open(&street.url("/again")).status, 200, "{name}");
    let paths: Vec<&str> = browser.visited.iter().map(Url::path).collect();
    assert_eq!(paths, ["/again", "/.foregate/sign-in", "/.foregate/ticket", "/again"], "{name}");
    let ticket = browser.visited[2].clone();
    let mut stranger = Browser::default();
    let reply = stranger.step("GET", &ticket, "");
    assert!(reply.status == 302 && stranger.cookie("foregate").is_none(), "{name}: {reply:?}");
    let out = browser.open(&street.url("/.foregate/sign-out"));
    assert!(out.status == 200 && out.body.contains("signed out"), "{name}: {out:?}");
    assert!(browser.step("GET", &Url::parse(&page).expect("a URL"), "").status == 302, "{name}: signed out");
    let seen = street.backend.seen().concat();
    assert!(!seen.contains(".foregate/ticket") && !seen.contains(".foregate/sign"), "{name}: {seen}");
}

fn refusals_arrive_in_the_proxys_own_form(name: &'static str) {
    let street = Street::with(name);
    let call = street.ask("GET", "/api", &["Accept: application/json"], "");
    assert_eq!((call.status, call.header("location")), (401, None), "{name}: {call:?}");
    assert!(
        call.header("www-authenticate").is_some() && call.header("foregate-sign-in").is_some(),
        "{name}: {call:?}"
    );
    assert!(name == "nginx" || call.json()["sign_in_url"].is_string(), "{name}: {call:?}");
    let post = street.ask("POST", "/form", &["Accept: text/html", "Content-Type: text/plain"], "field=1");
    assert_eq!(post.status, 401, "{name}: a form is not redirected");
    let browser = street.signed_in("bob");
    let refused = browser.clone().open(&street.url("/admin/panel"));
    assert_eq!(refused.status, 403, "{name}: {refused:?}");
    assert!(name == "nginx" || refused.body.contains("Home Server Admins"), "{name}: {refused:?}");
    for reply in [&call, &refused] {
        let reference = reply.header("foregate-ref").unwrap_or_else(|| panic!("{name}: {reply:?}"));
        let (target, lines) = (format!("/api/v1/refs/{reference}"), ["Host: localhost", "Connection: close"]);
        let told = get(street.foregate.admin, &target, &lines).json();
        assert_eq!(
            (&told["status"], &told["ref"]),
            (&reply.status.into(), &reference.into()),
            "{name}: {told}"
        );
    }
    let unclear = street.ask("GET", "/open//../x%2f", &[], "");
    assert_ne!(unclear.status, 200, "{name}");
    assert!(
        !street.backend.seen().iter().any(|request| request.contains("/api")
            || request.contains("/admin")
            || request.contains("/form")),
        "{name}"
    );
}

fn what_clients_forge_reaches_nobody(name: &'static str) {
    let street = Street::with(name);
    let forged = [
        "Remote-User: root",
        "Remote_User: root",
        "Remote.User: root",
        "REMOTE-GROUPS: Home Server Admins",
        "Remote_Groups: Home Server Admins",
        "X-Forwarded-Uri: /open/x",
        "X-Forwarded-Method: GET",
        "X-Forwarded-Host: other.localhost",
        "X-Original-URL: http://app.foregate.localhost/open/x",
        "X-Original-Method: GET",
        "X_Forwarded_Uri: /open/x",
        "Forwarded: for=1.2.3.4;host=x",
    ];
    let closed = street.ask("GET", "/closed", &forged, "");
    assert_ne!(closed.status, 200, "{name}: {closed:?}");
    let open = street.ask("GET", "/open/page", &forged, "");
    assert_eq!(open.status, 200, "{name}: {open:?}");
    backends_get_the_address_and_method_that_were_checked(&street);
    for folded in ["remoteuser", "remotegroups"] {
        assert!(got(&open.body, folded).iter().all(|value| value.is_empty()), "{name}: {}", open.body);
    }
    let cookie = cookie_line(&street.signed_in("bob"));
    let lines = [&forged[..], &[cookie.as_str(), "Connection: close, Remote-User, Remote-Groups"]].concat();
    let reply = street.ask("GET", "/mine", &lines[..], "");
    assert_eq!(reply.status, 200, "{name}: {reply:?}");
    assert_eq!(got(&reply.body, "remotegroups"), ["family"], "{name}: {}", reply.body);
    assert_eq!(got(&reply.body, "remoteuser"), ["bob"], "{name}: {}", reply.body);
    assert_ne!(street.ask("GET", "/admin/x", &lines, "").status, 200, "{name}");
}

fn backends_get_the_address_and_method_that_were_checked(street: &Street) {
    let name = street.name;
    let other = ["X-HTTP-Method-Override: DELETE", "X-HTTP-Method: DELETE", "X-Method-Override: DELETE"];
    let reply = street.ask("GET", "/open/page", &other, "");
    assert!(reply.status == 200 && !reply.body.contains("DELETE"), "{name}: {reply:?}");
    // What some servers take off the path before they serve it.
    let roots =
        ["X-Script-Name: /rooted", "SCRIPT_NAME: /rooted", "Daphne-Root-Path: /rooted", "Path-Info: /rooted"];
    for root in roots {
        let reply = street.ask("GET", "/open/page", &[root], "");
        // nginx shows it to foregate.
        let refused = name == "nginx" && reply.status == 400;
        assert!(refused || reply.status == 200 && !reply.body.contains("rooted"), "{name}: {reply:?}");
    }
    // Whole addresses in request lines, of which the second is one for browsers and for servers in JavaScript alone.
    let whole = format!("http://{}:{}/open/whole", street.host, street.port);
    let reply = street.ask("GET", &whole, &[], "");
    assert!(reply.status == 200 && reply.body.starts_with("GET /open/whole HTTP/1.1"), "{name}: {reply:?}");
    street.ask("GET", &format!("http:///{}/admin/x", street.host), &[], "");
    let seen = street.backend.seen();
    assert!(!seen.iter().any(|request| request.starts_with("GET http")), "{name}: {seen:?}");
}

fn a_programs_token_is_checked(name: &'static str) {
    let street = Street::with(name);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs();
    let line = |over: Value| {
        let mut claims = json!({
            "iss": street.provider.issuer, "aud": "https://api.example.com", "sub": "s-1", "exp": now + 300,
            "preferred_username": "robot", "groups": ["family"],
        });
        claims.as_object_mut().expect("an object").extend(over.as_object().expect("an object").clone());
        let wanted = json!({"header": {"typ": "at+jwt"}, "claims": claims});
        let token = street.provider.control("sign", &wanted)["token"].as_str().expect("a token").to_owned();
        format!("Authorization: Bearer {token}")
    };
    let sound = line(json!({}));
    for accept in ["Accept: application/json", "Accept: text/html"] {
        let reply = street.ask("GET", "/api", &[&sound, accept], "");
        assert_eq!(reply.status, 200, "{name}: {reply:?}");
        assert_eq!(got(&reply.body, "remoteuser"), ["robot"], "{name}: {}", reply.body);
        let refused = street.ask("GET", "/api", &[&line(json!({"aud": "other"})), accept], "");
        assert_eq!((refused.status, refused.header("location")), (401, None), "{name}: {refused:?}");
        let challenge = refused.header("www-authenticate").unwrap_or_default();
        assert!(challenge.contains("error=\"invalid_token\""), "{name}: {refused:?}");
        assert!(name == "nginx" || refused.json()["reason"] == "invalid-token", "{name}: {refused:?}");
        let forbidden = street.ask("GET", "/admin/x", &[&sound, accept], "");
        assert_eq!((forbidden.status, forbidden.header("location")), (403, None), "{name}: {forbidden:?}");
    }
    let forged = street.ask("GET", "/api", &[&sound, "Remote-Groups: Home Server Admins"], "");
    assert_eq!(got(&forged.body, "remotegroups"), ["family"], "{name}: {}", forged.body);
    assert!(!street.backend.seen().iter().any(|request| request.contains("/admin")), "{name}");
    an_app_token_counts_and_stays_here(&street);
}

fn an_app_token_counts_and_stays_here(street: &Street) {
    let name = street.name;
    street.signed_in("alice");
    let config = street.foregate.dir().join("foregate.toml");
    let config = config.to_str().expect("a path");
    let args = ["token", "create", "--user", "alice", "--app", street.host, "--config", config];
    let (code, out, err) = run(&args, street.foregate.dir());
    assert_eq!(code, Some(0), "{name}: {err}");
    let line = format!("X-Foregate-Token: {}", out.trim());
    let reply = street.ask("GET", "/api", &[&line, "Authorization: Bearer of-the-app"], "");
    assert_eq!(reply.status, 200, "{name}: {reply:?}");
    assert_eq!(got(&reply.body, "remoteuser"), ["alice"], "{name}: {}", reply.body);
    assert_eq!(got(&reply.body, "authorization"), ["Bearer of-the-app"], "{name}: {}", reply.body);
    assert!(
        got(&reply.body, "xforegatetoken").iter().all(|value| value.is_empty()),
        "{name}: {}",
        reply.body
    );
    let refused = street.ask("GET", "/api", &["X-Foregate-Token: rubbish"], "");
    assert_eq!((refused.status, refused.header("location")), (401, None), "{name}: {refused:?}");
}

fn bodies_sockets_and_big_requests_pass(name: &'static str) {
    let street = Street::with(name);
    let cookie = cookie_line(&street.signed_in("alice"));
    let big = "x".repeat(100_000);
    let reply = street.ask("POST", "/upload?a=1", &[&cookie, "Content-Type: text/plain"], &big);
    assert!(
        reply.status == 200 && reply.body.ends_with(&big[..1000]) && reply.body.contains("POST /upload?a=1 "),
        "{name}: {}",
        reply.status
    );
    let socket = street.ask(
        "GET",
        "/socket",
        &[
            &cookie,
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
        ],
        "",
    );
    assert_eq!(socket.status, 101, "{name}: {socket:?}");
    let junk = format!("{cookie}; junk={}", "y".repeat(5_000));
    assert_eq!(street.ask("GET", "/big", &[&junk], "").status, 200, "{name}");
    let mut dave = Browser::default();
    dave.sign_in(&street.own("/.foregate/sign-in"), "dave");
    let many = cookie_line(&dave);
    let reply = street.ask("GET", "/open/dave", &[&many], "");
    assert_eq!(
        got(&reply.body, "remotegroups").first().map(|groups| groups.split(',').count()),
        Some(50),
        "{name}"
    );
}

fn without_foregate_nobody_gets_in(name: &'static str) {
    let mut street = Street::with(name);
    let cookie = cookie_line(&street.signed_in("alice"));
    assert_eq!(street.ask("GET", "/before", &[&cookie], "").status, 200, "{name}");
    street.foregate.stop();
    for target in ["/after", "/open/after"] {
        let reply = street.ask("GET", target, &[&cookie], "");
        assert!(reply.status >= 500, "{name}: {reply:?}");
    }
    assert!(!street.backend.seen().iter().any(|request| request.contains("/after")), "{name}");
}

/// No front proxy at all.
const ALONE: &str = "foregate";

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
    the_whole_flow: flow_traefik = "traefik", flow_nginx = "nginx", flow_caddy = "caddy", flow_envoy = "envoy", flow_haproxy = "haproxy", flow_alone = "foregate";
    another_domain_needs_no_route_of_its_own: domain_traefik = "traefik", domain_nginx = "nginx", domain_caddy = "caddy", domain_envoy = "envoy", domain_haproxy = "haproxy", domain_alone = "foregate";
    refusals_arrive_in_the_proxys_own_form: refusals_traefik = "traefik", refusals_nginx = "nginx", refusals_caddy = "caddy", refusals_envoy = "envoy", refusals_haproxy = "haproxy", refusals_alone = "foregate";
    what_clients_forge_reaches_nobody: forged_traefik = "traefik", forged_nginx = "nginx", forged_caddy = "caddy", forged_envoy = "envoy", forged_haproxy = "haproxy", forged_alone = "foregate";
    bodies_sockets_and_big_requests_pass: bodies_traefik = "traefik", bodies_nginx = "nginx", bodies_caddy = "caddy", bodies_envoy = "envoy", bodies_haproxy = "haproxy", bodies_alone = "foregate";
    a_programs_token_is_checked: token_traefik = "traefik", token_nginx = "nginx", token_caddy = "caddy", token_envoy = "envoy", token_haproxy = "haproxy", token_alone = "foregate";
    without_foregate_nobody_gets_in: closed_traefik = "traefik", closed_nginx = "nginx", closed_caddy = "caddy", closed_envoy = "envoy", closed_haproxy = "haproxy";
}
