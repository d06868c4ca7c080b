//! foregate at the addresses of authentik's outpost and of oauth2-proxy, also behind a real nginx and a real Traefik that
//! have been set up for those.

use serde_json::Value;
use url::Url;

use crate::support::backend::Backend;
use crate::support::foregate::{Foregate, free_port, run};
use crate::support::house::House;
use crate::support::http::{Browser, Reply, get, raw};
use crate::support::provider::Provider;
use crate::support::proxies::FrontProxy;

const HTML: &str = "Accept: text/html";
const APP: &str = "app.foregate.localhost";
const ADMINS: &str = "admins.foregate.localhost";

/// A house that stands in for these products.
fn house(compat: &str) -> House {
    let mut house = House::new();
    house.config = format!("compat = {compat}\n{}", house.config)
        .replace("[apps.\"photos", "[apps.\"m.foregate.localhost\"]\nallow = \"signed-in\"\nrules = [{ path = \"/**\", methods = [\"POST\"], allow = \"nobody\" }]\n[apps.\"photos");
    house.foregate = house.foregate.restart(&house.config);
    house
}

fn ask(house: &House, target: &str, host: &str, lines: &[&str]) -> Reply {
    let host = format!("Host: {host}");
    get(house.foregate.public, target, &[&[host.as_str()], lines].concat())
}

/// What Traefik tells.
fn forwarded(method: &str, host: &str, uri: &str) -> [String; 4] {
    [
        format!("X-Forwarded-Method: {method}"),
        "X-Forwarded-Proto: http".to_owned(),
        format!("X-Forwarded-Host: {host}"),
        format!("X-Forwarded-Uri: {uri}"),
    ]
}

#[test]
fn checks_at_the_outposts_addresses_are_answered_as_there() {
    let house = house("[\"authentik\"]");
    let (alice, bob) = (house.cookie("alice"), house.cookie("bob"));
    assert_eq!(ask(&house, "/outpost.goauthentik.io/ping", "any.test", &[]).status, 204);
    assert_eq!(ask(&house, "/outpost.goauthentik.io/nothing", APP, &[]).status, 404);
    for (host, cookie, status) in
        [(APP, "", 302), (APP, &*bob, 200), (ADMINS, &bob, 403), (ADMINS, &alice, 200)]
    {
        let told = forwarded("GET", host, "/page");
        let lines: Vec<&str> =
            told.iter().map(String::as_str).chain([HTML, cookie]).filter(|line| !line.is_empty()).collect();
        for name in ["traefik", "caddy"] {
            let reply = ask(&house, &format!("/outpost.goauthentik.io/auth/{name}"), "foregate:4180", &lines);
            assert_eq!(reply.status, status, "{name} {host} {reply:?}");
        }
        let reply = ask(&house, "/outpost.goauthentik.io/auth/envoy/page?a=b", host, &lines[4..]);
        assert_eq!(reply.status, status, "envoy {host} {reply:?}");
        let url = format!("X-Original-URL: http://{host}/page");
        let lines = [&[url.as_str()], &lines[4..]].concat();
        let reply = ask(&house, "/outpost.goauthentik.io/auth/nginx", "foregate:4180", &lines);
        assert_eq!(reply.status, if status == 302 { 401 } else { status }, "nginx {host} {reply:?}");
        assert_eq!(reply.body, "", "nginx closes the connection over a body");
    }
    let reply = ask(&house, "/outpost.goauthentik.io/auth/nginx", APP, &[&alice]);
    assert_eq!(reply.status, 400, "no address is no check: {reply:?}");
}

#[test]
fn a_method_that_only_its_visitor_tells_opens_nothing() {
    let house = house("[\"authentik\", \"oauth2-proxy-nginx\"]");
    let bob = house.cookie("bob");
    let url = "X-Original-URL: http://m.foregate.localhost/page";
    for forged in ["X-Original-Method: GET", "X-Forwarded-Method: GET", "Accept: */*"] {
        let reply =
            ask(&house, "/outpost.goauthentik.io/auth/nginx", "m.foregate.localhost", &[url, forged, &bob]);
        assert_eq!(reply.status, 400, "{forged} {reply:?}");
        let reply =
            ask(&house, "/oauth2/auth", "m.foregate.localhost", &["X-Forwarded-Uri: /page", forged, &bob]);
        assert_eq!(reply.status, 400, "{forged} {reply:?}");
    }
    house.foregate.wait_for_log("rules of this app ask for methods");
}

#[test]
fn the_address_of_a_check_narrows_and_what_is_moved_stays_there_as_well() {
    let house = house("[\"authentik\", \"oauth2-proxy-nginx\"]");
    let bob = house.cookie("bob");
    let told = forwarded("GET", APP, "/page");
    let traefik: Vec<&str> = told.iter().map(String::as_str).chain([&*bob]).collect();
    let url = "X-Original-URL: http://app.foregate.localhost/page";
    let there = "Destination: http://app.foregate.localhost/other";
    let elsewhere = "Destination: http://admins.foregate.localhost/x";
    for (address, lines, open) in [
        ("/outpost.goauthentik.io/auth/traefik", &traefik[..], 200),
        ("/outpost.goauthentik.io/auth/caddy", &traefik, 200),
        ("/outpost.goauthentik.io/auth/nginx", &[url, &bob], 200),
        ("/oauth2/auth", &["X-Forwarded-Uri: /page", &bob], 202),
    ] {
        let asked = |query: &str, more: &[&str]| {
            ask(&house, &format!("{address}{query}"), APP, &[lines, more].concat()).status
        };
        let narrows = [("?allow=group:family", open), ("?allow=group:other", 403), ("?Allow[]=nobody", 403)];
        for (query, status) in [&[("", open)][..], &narrows].concat() {
            assert_eq!(asked(query, &[]), status, "{address}{query}");
        }
        if lines.len() == 2 {
            assert_eq!((asked("", &[there]), asked("", &[elsewhere])), (open, 400), "{address}");
        }
    }
}

#[test]
fn checks_at_oauth2_proxys_address_are_answered_as_there() {
    let house = house("[\"oauth2-proxy\"]");
    let (alice, bob) = (house.cookie("alice"), house.cookie("bob"));
    for (query, host, cookie, status) in [
        ("", APP, "", 401),
        ("", APP, &*bob, 202),
        ("", ADMINS, &bob, 403),
        ("", ADMINS, &alice, 202),
        ("?allowed_groups=family", APP, &bob, 202),
        ("?allowed_groups=other,family", APP, &bob, 202),
        ("?allowed_groups=other", APP, &bob, 403),
        ("?allowed_groups=", APP, &bob, 403),
        ("?allowed_groups=family&allowed_groups=other", APP, &bob, 202),
        ("?allowed_groups=family", ADMINS, &bob, 403),
        ("?allowed_groups[]=other", APP, &bob, 403),
        ("?Allowed-Groups=other", APP, &bob, 403),
        ("?allow=group:family", APP, &bob, 202),
        ("?allow=group:other", APP, &bob, 403),
        ("?allowed_groups=family&allow[]=nobody", APP, &bob, 403),
        ("?allowed_emails=bob@example.com", APP, &bob, 202),
        ("?allowed_emails=alice@example.com", APP, &bob, 403),
        ("?allowed_email_domains=example.com", APP, &bob, 202),
        ("?allowed_email_domains=ample.com", APP, &bob, 403),
        ("?allowed_groups=family&allowed_email_domains=other.org", APP, &bob, 403),
    ] {
        let told = forwarded("GET", host, "/page");
        // What the front proxy does not set is its visitor's and counts for nothing.
        let forged = ["X-Original-URL: http://app.foregate.localhost/open/x", "X-Original-Method: GET"];
        let lines = told.iter().map(String::as_str).chain(forged).chain([HTML, cookie]);
        let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
        let reply = ask(&house, &format!("/oauth2/auth{query}"), "foregate:4180", &lines);
        assert_eq!((reply.status, reply.header("location")), (status, None), "{query} {host} {reply:?}");
    }
    let told = forwarded("GET", APP, "/page");
    for left_out in 0..4 {
        let lines = told.iter().enumerate().filter(|(index, _)| *index != left_out);
        let lines: Vec<&str> = lines.map(|(_, line)| line.as_str()).chain([&*bob]).collect();
        assert_eq!(ask(&house, "/oauth2/auth", APP, &lines).status, 400, "{lines:?}");
        let twice: Vec<&str> = told.iter().map(String::as_str).chain([&*told[left_out], &bob]).collect();
        assert_eq!(ask(&house, "/oauth2/auth", APP, &twice).status, 400, "{twice:?}");
    }
    // A part that holds more than itself would make the address another one.
    for (place, line) in [
        (2, "X-Forwarded-Host: app.foregate.localhost/open/x?"),
        (2, "X-Forwarded-Host: app.foregate.localhost/open"),
        (2, "X-Forwarded-Host: app.foregate.localhost#"),
        (2, "X-Forwarded-Host: x@app.foregate.localhost"),
        (1, "X-Forwarded-Proto: http://app.foregate.localhost/open/x?"),
        (1, "X-Forwarded-Proto: ftp"),
        (3, "X-Forwarded-Uri: x.test/open/x"),
    ] {
        let mut told = forwarded("GET", APP, "/page");
        told[place] = line.to_owned();
        let lines: Vec<&str> = told.iter().map(String::as_str).collect();
        assert_eq!(ask(&house, "/oauth2/auth", "foregate:4180", &lines).status, 400, "{line}");
    }
    let known = ask(&house, "/oauth2/userinfo", APP, &[&bob]);
    let said: Value = known.json();
    assert_eq!((&said["user"], &said["email"]), (&"bob".into(), &"bob@example.com".into()), "{known:?}");
    assert_eq!(ask(&house, "/oauth2/userinfo", APP, &[]).status, 401);
    for probe in ["/ping", "/ready"] {
        let reply = ask(&house, probe, "10.1.2.3:4180", &[]);
        assert_eq!((reply.status, &*reply.body), (200, "OK"), "{probe}");
        assert!(
            ask(&house, probe, APP, &[&bob]).body.starts_with(&format!("GET {probe} ")),
            "a proxied app's own"
        );
    }
}

#[test]
fn behind_nginx_only_what_oauth2_proxys_configuration_sets_counts() {
    let house = house("[\"oauth2-proxy-nginx\"]");
    let bob = house.cookie("bob");
    let forged =
        ["X-Forwarded-Host: app.foregate.localhost", "X-Forwarded-Proto: https", "X-Forwarded-Method: GET"];
    let more = ["X-Original-URL: http://app.foregate.localhost/open/x", "X-Original-Method: GET"];
    for (host, uri, cookie, status) in [
        (APP, "/page", "", 401),
        (APP, "/open/x", "", 202),
        (APP, "/page?x=1", &*bob, 202),
        (ADMINS, "/page", &bob, 403),
        (ADMINS, "/open/x", "", 401),
    ] {
        let uri = format!("X-Forwarded-Uri: {uri}");
        let lines = [&forged[..], &more, &[&uri, HTML, cookie]].concat();
        let lines: Vec<&str> = lines.into_iter().filter(|line| !line.is_empty()).collect();
        let reply = ask(&house, "/oauth2/auth", host, &lines);
        assert_eq!(reply.status, status, "{host} {uri} {reply:?}");
    }
}

#[test]
fn sign_ins_and_sign_outs_at_their_addresses_are_ours() {
    let house = house("[\"authentik\", \"oauth2-proxy\"]");
    for (start, leave) in [
        ("/outpost.goauthentik.io/start", "/outpost.goauthentik.io/sign_out"),
        ("/oauth2/start", "/oauth2/sign_out"),
    ] {
        for (rd, arrives) in [
            ("?rd=/board?id=7&x=1", "GET /board?id=7&x=1 "),
            ("?rd=%2Fboard%3Fid%3D7", "GET /board?id=7 "),
            ("", "GET / "),
        ] {
            let mut browser = Browser::default();
            let reply = browser.sign_in(&house.url("app", &format!("{start}{rd}")), "bob");
            assert!(reply.body.starts_with(arrives), "{start}{rd} {reply:?} {:#?}", browser.visited);
            let left = browser.step("GET", &Url::parse(&house.url("app", leave)).expect("a URL"), "");
            assert!((300..400).contains(&left.status), "{left:?}");
            let page = Url::parse(&house.url("app", "/board")).expect("a URL");
            assert_eq!(browser.step("GET", &page, "").status, 302, "signed out");
        }
        let mut browser = Browser::default();
        let foreign = house.url("app", &format!("{start}?rd=https://evil.test/"));
        browser.sign_in(&foreign, "bob");
        assert!(
            browser.visited.iter().all(|url| url.host_str() != Some("evil.test")),
            "{:#?}",
            browser.visited
        );
    }
}

#[test]
fn their_pages_take_the_methods_that_ours_take() {
    let house = house("[\"authentik\", \"oauth2-proxy\"]");
    let bob = house.cookie("bob");
    let asked = |method: &str, path: &str, more: &str| {
        let text = format!(
            "{method} {path} HTTP/1.1\r\nHost: {APP}:{}\r\n{bob}\r\n{more}Connection: close\r\n\r\n",
            house.port
        );
        raw(house.foregate.public, text.as_bytes()).status
    };
    for leave in ["/oauth2/sign_out", "/outpost.goauthentik.io/sign_out"] {
        for method in ["HEAD", "DELETE", "PUT"] {
            assert_eq!(asked(method, leave, ""), 405, "{method} {leave}");
        }
        assert_eq!(asked("POST", leave, "Origin: http://evil.test\r\nContent-Length: 0\r\n"), 403, "{leave}");
    }
    for start in ["/oauth2/start", "/outpost.goauthentik.io/start", "/oauth2/callback"] {
        assert_eq!(asked("DELETE", start, ""), 405, "{start}");
    }
    assert_eq!(asked("GET", "http://evil.test/outpost.goauthentik.io/auth/envoy/page", ""), 400);
    assert_eq!(asked("GET", "/", ""), 200, "still signed in");
}

#[test]
fn no_page_of_an_app_is_given_the_assertion_for_another() {
    let mut house = House::new();
    house.config = format!("compat = [\"authentik\", \"oauth2-proxy\"]\nassertion = true\n{}", house.config);
    house.foregate = house.foregate.restart(&house.config);
    let alice = house.cookie("alice");
    let told = forwarded("GET", ADMINS, "/page");
    let lines: Vec<&str> = told.iter().map(String::as_str).chain([&*alice]).collect();
    let assertion = |path: &str, host: &str| {
        let reply = ask(&house, path, host, &lines);
        assert!((200..300).contains(&reply.status), "{path} {host} {reply:?}");
        // Empty where there is none, so that no visitor's own takes its place.
        !reply.header("foregate-assertion").expect("a line").is_empty()
    };
    assert!(assertion("/.foregate/auth/traefik", "foregate:4180"));
    for path in ["/.foregate/auth/traefik", "/outpost.goauthentik.io/auth/traefik", "/oauth2/auth"] {
        assert!(!assertion(path, APP), "{path}");
    }
}

#[test]
fn without_a_word_in_the_configuration_their_addresses_are_the_apps() {
    let house = House::new();
    let bob = house.cookie("bob");
    for path in ["/outpost.goauthentik.io/ping", "/oauth2/auth", "/oauth2/userinfo", "/ping"] {
        assert_eq!(ask(&house, path, APP, &[HTML]).status, 302, "{path}");
        assert!(ask(&house, path, APP, &[&bob]).body.starts_with(&format!("GET {path} ")), "{path}");
    }
    for (compat, told) in [
        ("[\"authelia\"]", "write authentik, oauth2-proxy or oauth2-proxy-nginx"),
        ("[\"oauth2-proxy\", \"oauth2-proxy-nginx\"]", "both for nginx and for others"),
    ] {
        let (code, text) = Foregate::refuses(&format!("compat = {compat}\n{}", house.config));
        assert!(code == Some(1) && text.contains(told), "{text}");
    }
    let (code, schema, _) = run(&["config", "schema"], house.foregate.dir());
    assert!(code == Some(0) && schema.contains("\"compat\""));
}

/// nginx as the documentation of each product sets it up, with foregate where that was.
#[test]
fn nginx_as_it_was_set_up_for_them_goes_on() {
    let (port, behind) = (free_port(), free_port());
    let provider = Provider::for_foregate(&format!("http://auth.foregate.localhost:{port}"), Value::Null);
    let backend = Backend::start();
    let config = format!(
        "public_url = \"http://auth.foregate.localhost:{port}\"\ncompat = [\"authentik\", \"oauth2-proxy-nginx\"]\n\
         headers = \"authentik\"\n[server]\nlisten = \"LISTEN\"\nadmin_listen = \"ADMIN\"\n\
         [session]\nstore = \"sqlite:DIR/f.db\"\n{}\n[apps]\n\"a.foregate.localhost\" = \"signed-in\"\n\
         \"o.foregate.localhost\" = \"group:Home Server Admins\"\n",
        provider.config()
    );
    let _foregate = Foregate::start_at(&config, behind);
    let text = NGINX.replace("PORT", &port.to_string()).replace("FOREGATE", &format!("127.0.0.1:{behind}"));
    let text = text.replace("BACKEND", &backend.url());
    let nginx = FrontProxy::start("nginx", port, &text, tempfile::tempdir().expect("a directory"));
    let at = |host: &str| format!("http://{host}.foregate.localhost:{port}/page?x=1");
    let mut browser = Browser::default();
    let reply = browser.sign_in(&at("a"), "bob");
    assert!(
        reply.status == 200
            && reply.body.contains("GET /page?x=1 ")
            && reply.body.contains("X-authentik-username: bob\r\n"),
        "{reply:?} {:#?} {}",
        browser.visited,
        nginx.log()
    );
    assert_eq!(browser.open(&at("o")).status, 403, "{:#?}", browser.visited);
    // Under this status nobody follows a redirect: there is a page that leads on.
    let mut browser = Browser::default();
    let shown = browser.open(&at("o"));
    let onward =
        shown.header("refresh").and_then(|refresh| refresh.strip_prefix("0; url=")).expect("a way on");
    assert!(shown.status == 403 && shown.body.contains("href=\"http"), "{shown:?}");
    let reply = browser.sign_in(onward, "alice");
    assert!(
        reply.status == 200
            && reply.body.contains("GET /page?x=1 ")
            && reply.body.contains("X-User: alice\r\n"),
        "{reply:?} {:#?} {}",
        browser.visited,
        nginx.log()
    );
}

/// Traefik as the documentation of each product sets it up, with foregate where that was, and another app that nobody changed.
#[test]
fn traefik_as_it_was_set_up_for_them_goes_on() {
    let (port, behind) = (free_port(), free_port());
    let provider = Provider::for_foregate(&format!("http://auth.foregate.localhost:{port}"), Value::Null);
    let backend = Backend::start();
    let config = format!(
        "public_url = \"http://auth.foregate.localhost:{port}\"\ncompat = [\"authentik\", \"oauth2-proxy\"]\n\
         [server]\nlisten = \"LISTEN\"\nadmin_listen = \"ADMIN\"\n[session]\nstore = \"sqlite:DIR/f.db\"\n{}\n\
         [apps]\n\"a.foregate.localhost\" = {{ allow = \"signed-in\", headers = \"authentik\" }}\n\
         \"o.foregate.localhost\" = {{ allow = \"group:Home Server Admins\", headers = \"oauth2-proxy\" }}\n",
        provider.config()
    );
    let _foregate = Foregate::start_at(&config, behind);
    let text = TRAEFIK.replace("FOREGATE", &format!("127.0.0.1:{behind}")).replace("BACKEND", &backend.url());
    let traefik = FrontProxy::start("traefik", port, &text, tempfile::tempdir().expect("a directory"));
    let at = |host: &str| format!("http://{host}.foregate.localhost:{port}/page?x=1");
    traefik.wait_for(&at("a"), |reply| reply.status == 302);
    let mut browser = Browser::default();
    let reply = browser.sign_in(&at("a"), "bob");
    let seen = reply.body.to_ascii_lowercase();
    assert!(
        reply.status == 200
            && seen.starts_with("get /page?x=1 ")
            && seen.contains("x-authentik-username: bob\r\n"),
        "{reply:?} {:#?} {}",
        browser.visited,
        traefik.log()
    );
    assert_eq!(browser.open(&at("o")).status, 403, "{:#?}", browser.visited);
    // Traefik shows the page of the sign-in under the check's own status: it leads on by itself.
    let mut browser = Browser::default();
    let shown = browser.open(&at("o"));
    let onward = shown.header("refresh").and_then(|refresh| refresh.strip_prefix("0; url="));
    let onward = onward.unwrap_or_else(|| panic!("a way on: {shown:?} {}", traefik.log())).to_owned();
    assert_eq!(shown.status, 401, "{shown:?}");
    let reply = browser.sign_in(&onward, "alice");
    let seen = reply.body.to_ascii_lowercase();
    assert!(
        reply.status == 200
            && seen.starts_with("get /page?x=1 ")
            && seen.contains("x-auth-request-preferred-username: alice\r\n"),
        "{reply:?} {:#?} {}",
        browser.visited,
        traefik.log()
    );
}

const TRAEFIK: &str = r#"
http:
  routers:
    auth:
      rule: Host(`auth.foregate.localhost`)
      service: foregate
    a:
      rule: Host(`a.foregate.localhost`)
      priority: 10
      middlewares: [authentik]
      service: app
    a-outpost:
      rule: Host(`a.foregate.localhost`) && PathPrefix(`/outpost.goauthentik.io/`)
      priority: 15
      service: foregate
    o:
      rule: Host(`o.foregate.localhost`)
      priority: 10
      middlewares: [oauth-errors, oauth-auth]
      service: app
    o-oauth2:
      rule: Host(`o.foregate.localhost`) && PathPrefix(`/oauth2/`)
      priority: 15
      service: foregate
  middlewares:
    authentik:
      forwardAuth:
        address: http://FOREGATE/outpost.goauthentik.io/auth/traefik
        trustForwardHeader: true
        authResponseHeaders:
          - X-authentik-username
          - X-authentik-groups
          - X-authentik-email
          - X-authentik-name
          - X-authentik-uid
          - X-authentik-jwt
    oauth-auth:
      forwardAuth:
        address: http://FOREGATE/oauth2/auth
        trustForwardHeader: true
        authResponseHeaders:
          - X-Auth-Request-User
          - X-Auth-Request-Email
          - X-Auth-Request-Preferred-Username
    oauth-errors:
      errors:
        status: ["401-403"]
        service: foregate
        query: "/oauth2/sign_in?rd={url}"
  services:
    foregate:
      loadBalancer:
        servers:
          - url: http://FOREGATE
    app:
      loadBalancer:
        servers:
          - url: BACKEND
"#;

const NGINX: &str = r#"
worker_processes 1;
pid nginx.pid;
events { worker_connections 256; }
http {
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
  server {
    listen 127.0.0.1:PORT;
    server_name auth.foregate.localhost;
    location / { proxy_pass http://FOREGATE; proxy_set_header Host $http_host; }
  }
  server {
    listen 127.0.0.1:PORT;
    server_name a.foregate.localhost;
    location / {
      proxy_pass BACKEND;
      proxy_set_header Host $http_host;
      auth_request /outpost.goauthentik.io/auth/nginx;
      error_page 401 = @goauthentik_proxy_signin;
      auth_request_set $auth_cookie $upstream_http_set_cookie;
      add_header Set-Cookie $auth_cookie;
      auth_request_set $authentik_username $upstream_http_x_authentik_username;
      proxy_set_header X-authentik-username $authentik_username;
    }
    location /outpost.goauthentik.io {
      proxy_pass http://FOREGATE/outpost.goauthentik.io;
      proxy_set_header Host $http_host;
      proxy_set_header X-Original-URL $scheme://$http_host$request_uri;
      add_header Set-Cookie $auth_cookie;
      auth_request_set $auth_cookie $upstream_http_set_cookie;
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
    }
    location @goauthentik_proxy_signin {
      internal;
      add_header Set-Cookie $auth_cookie;
      return 302 /outpost.goauthentik.io/start?rd=$scheme://$http_host$request_uri;
    }
  }
  server {
    listen 127.0.0.1:PORT;
    server_name o.foregate.localhost;
    location /oauth2/ {
      proxy_pass http://FOREGATE;
      proxy_set_header Host $http_host;
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Auth-Request-Redirect $request_uri;
    }
    location = /oauth2/auth {
      proxy_pass http://FOREGATE;
      proxy_set_header Host $http_host;
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-Uri $request_uri;
      proxy_set_header Content-Length "";
      proxy_pass_request_body off;
    }
    location / {
      auth_request /oauth2/auth;
      error_page 401 =403 /oauth2/sign_in;
      auth_request_set $user $upstream_http_x_authentik_username;
      proxy_set_header X-User $user;
      auth_request_set $auth_cookie $upstream_http_set_cookie;
      add_header Set-Cookie $auth_cookie;
      proxy_set_header Host $http_host;
      proxy_pass BACKEND;
    }
  }
}
"#;
