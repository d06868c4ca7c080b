//! What front proxies really send and need, each trap one test: raw bytes in, raw bytes out.

use crate::support::foregate::Foregate;
use crate::support::http::{NAVIGATES, Reply, Wire, get, raw, request};
use crate::support::scene::{DIALECTS, ask, ask_raw, scene};

const APP: &str = "http://app.foregate.localhost/";
const RULES: &str = "http://rules.foregate.localhost";

/// The dialects whose answers reach the visitor whole.
const WHOLE: [&str; 4] = ["traefik", "caddy", "haproxy", "envoy"];

fn status(dialect: &str, method: &str, (scheme, host, uri): (&str, &str, &str), lines: &[&str]) -> u16 {
    raw(scene().foregate.public, &ask_raw(dialect, method, (scheme, host, uri), lines)).status
}

/// Whether somebody nobody knows gets in.
fn is_open(dialect: &str, host: &str, uri: &str) -> u16 {
    status(dialect, "GET", ("http", host, uri), &[])
}

#[test]
fn trap_01_each_address_reads_one_header_family() {
    let scene = scene();
    let original = ["X-Original-URL: http://open.foregate.localhost/", "X-Original-Method: GET"];
    let forwarded = [
        "X-Forwarded-Method: GET",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: open.foregate.localhost",
        "X-Forwarded-Uri: /",
    ];
    for dialect in ["traefik", "caddy", "haproxy"] {
        let address = format!("/.foregate/auth/{dialect}");
        assert_eq!(
            get(scene.foregate.public, &address, &original).status,
            400,
            "{dialect} reads X-Original-*"
        );
        assert_eq!(get(scene.foregate.public, &address, &forwarded).status, 200, "{dialect}");
        assert_eq!(scene.ask(dialect, "GET", APP, &original).status, 401, "{dialect} is talked over");
    }
    assert_eq!(get(scene.foregate.public, "/.foregate/auth/nginx", &forwarded).status, 400);
    assert_eq!(scene.ask("nginx", "GET", APP, &forwarded).status, 401);
    let envoy = ["X-Forwarded-Host: open.foregate.localhost", "X-Forwarded-Uri: /", original[0], original[1]];
    assert_eq!(scene.ask("envoy", "GET", APP, &envoy).status, 401);
    let others = [
        "Forwarded: host=open.foregate.localhost;proto=http",
        "X-Forwarded-Prefix: /public",
        "X-Replaced-Path: /public",
        "X-Auth-Request-Redirect: /public",
        "X-Forwarded-Scheme: https",
        "X-Scheme: https",
        "X-Rewrite-URL: /public",
    ];
    for dialect in DIALECTS {
        assert_eq!(scene.ask(dialect, "GET", APP, &others).status, 401, "{dialect}");
    }
}

#[test]
fn trap_01_missing_context_is_never_a_laxer_rule() {
    let scene = scene();
    let names = [
        "X-Forwarded-Method: GET",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: open.foregate.localhost",
        "X-Forwarded-Uri: /",
    ];
    for dialect in ["traefik", "caddy", "haproxy"] {
        for missing in 0..names.len() {
            let name = names[missing].split(':').next().expect("a name");
            let mut lines: Vec<String> = names.iter().map(ToString::to_string).collect();
            for value in ["", "   "] {
                lines[missing] = format!("{name}:{value}");
                let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
                let reply = get(scene.foregate.public, &format!("/.foregate/auth/{dialect}"), &lines);
                assert_eq!(reply.status, 400, "{dialect} without {name}");
                assert!(reply.body.contains(name), "names what is missing: {}", reply.body);
            }
            lines.remove(missing);
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            assert_eq!(get(scene.foregate.public, &format!("/.foregate/auth/{dialect}"), &lines).status, 400);
        }
    }
    for url in [
        "",
        "://",
        "/x",
        "http:///x",
        "http://",
        "https://open.foregate.localhost",
        "http://open.foregate.localhost/%zz",
    ] {
        let line = format!("X-Original-URL: {url}");
        assert_eq!(
            get(scene.foregate.public, "/.foregate/auth/nginx", &[&line, "X-Original-Method: GET"]).status,
            400,
            "{url}"
        );
    }
    let only = "X-Original-URL: http://open.foregate.localhost/";
    assert_eq!(get(scene.foregate.public, "/.foregate/auth/nginx", &[only]).status, 400, "no method");
}

#[test]
fn trap_02_a_source_that_comes_twice_is_refused() {
    let scene = scene();
    for dialect in ["traefik", "caddy", "haproxy"] {
        for line in [
            "X-Forwarded-Uri: /public/x",
            "X-Forwarded-Host: open.foregate.localhost",
            "X-Forwarded-Method: GET",
            "X-Forwarded-Proto: http",
        ] {
            assert_eq!(
                scene.ask(dialect, "GET", &format!("{RULES}/public/x"), &[line]).status,
                400,
                "{dialect} {line}"
            );
        }
    }
    let again = "X-Original-URL: http://open.foregate.localhost/";
    assert_eq!(scene.ask("nginx", "GET", APP, &[again]).status, 400);
    for host in
        ["app.foregate.localhost,open.foregate.localhost", "open.foregate.localhost app.foregate.localhost"]
    {
        for dialect in DIALECTS {
            assert_eq!(is_open(dialect, host, "/"), 400, "{dialect} {host}");
        }
    }
    assert_ne!(is_open("traefik", "rules.foregate.localhost", "/public,/public2"), 200);
}

#[test]
fn trap_02_look_alikes_of_the_source_are_refused() {
    for line in [
        "X_Forwarded_Uri: /public/x",
        "X-Forwarded_Host: open.foregate.localhost",
        "x_forwarded_proto: https",
        "X.Forwarded.Method: GET",
        "X_Original_URL: http://open.foregate.localhost/",
    ] {
        for dialect in DIALECTS {
            assert_eq!(
                scene().ask(dialect, "GET", &format!("{RULES}/public/x"), &[line]).status,
                400,
                "{dialect} {line}"
            );
        }
    }
}

#[test]
fn trap_03_and_04_allow_is_200_with_nothing_in_it() {
    let cookie = scene().cookie("alice");
    for dialect in DIALECTS {
        for (url, lines) in [(APP, vec![cookie.as_str()]), ("http://open.foregate.localhost/", vec![])] {
            let reply = scene().ask(dialect, "GET", url, &lines);
            assert_eq!(
                (reply.status, reply.header("content-length"), reply.body.as_str()),
                (200, Some("0"), ""),
                "{dialect}"
            );
        }
    }
    for (url, lines) in [
        (APP, vec![]),
        (APP, vec![NAVIGATES]),
        ("http://bob.foregate.localhost/", vec![cookie.as_str(), NAVIGATES]),
    ] {
        let reply = scene().ask("nginx", "GET", url, &lines);
        assert_eq!(
            (reply.header("content-length"), reply.body.as_str()),
            (Some("0"), ""),
            "{}",
            reply.status
        );
    }
}

#[test]
fn trap_05_nginx_hears_200_401_or_403() {
    let cookie = scene().cookie("alice");
    for (url, lines, status) in [
        (APP, vec![cookie.as_str()], 200),
        (APP, vec![], 401),
        (APP, vec![NAVIGATES], 401),
        ("http://bob.foregate.localhost/", vec![cookie.as_str()], 403),
        ("http://bob.foregate.localhost/", vec![cookie.as_str(), NAVIGATES], 403),
        ("http://nobody.foregate.localhost/", vec![NAVIGATES], 403),
    ] {
        assert_eq!(scene().ask("nginx", "GET", url, &lines).status, status, "{url} {lines:?}");
    }
    let reply = scene().ask("nginx", "GET", APP, &[NAVIGATES]);
    assert!(
        reply.location().as_str().starts_with(&scene().provider.issuer.replace("foregate/", "authorize/")),
        "{reply:?}"
    );
    let reply = scene().ask("nginx", "GET", APP, &[]);
    assert!(reply.header("location").is_none() && reply.header("www-authenticate").is_some(), "{reply:?}");
}

#[test]
fn trap_06_the_identity_is_complete_on_every_200() {
    let names = ["remote-user", "remote-name", "remote-email", "remote-groups"];
    let values = |reply: &Reply| names.map(|name| reply.header(name).map(str::to_owned));
    let some = |values: [&str; 4]| values.map(|value| Some(value.to_owned()));
    for dialect in DIALECTS {
        let open = scene().ask(dialect, "GET", "http://open.foregate.localhost/", &[]);
        assert_eq!(values(&open), some(["", "", "", ""]), "{dialect}");
        let alice = scene().ask(dialect, "GET", APP, &[&scene().cookie("alice")]);
        let groups = "Home Server Admins,a|b,family";
        assert_eq!(
            values(&alice),
            some(["alice", "Alice Example", "alice@example.com", groups]),
            "{dialect}"
        );
        let carol = scene().ask(dialect, "GET", APP, &[&scene().cookie("carol")]);
        assert_eq!(values(&carol)[1..], some(["", "Çağla Ünlü", "carol@example.com", ""])[1..], "{dialect}");
        let removed = alice.header("x-envoy-auth-headers-to-remove");
        assert_eq!(removed.is_some(), dialect == "envoy");
        for taken_off in ["remote_user", "x-foregate-emergency", "x-original-url", "x_http_method_override"] {
            let is_there = removed.is_none_or(|names| names.split(',').any(|name| name == taken_off));
            assert!(is_there, "{taken_off}: {removed:?}");
        }
    }
    let grafana =
        scene().ask("traefik", "GET", "http://grafana.foregate.localhost/", &[&scene().cookie("alice")]);
    assert_eq!(
        (grafana.header("x-webauth-user"), grafana.header("x-mail")),
        (Some("alice"), Some("alice@example.com"))
    );
    assert_eq!(grafana.header("remote-user"), None, "only the app's own set");
    let authentik =
        scene().ask("traefik", "GET", "http://authentik.foregate.localhost/", &[&scene().cookie("alice")]);
    assert_eq!(authentik.header("x-authentik-groups"), Some("Home Server Admins|a%7Cb|family"));
    assert_eq!(authentik.header("x-authentik-uid").map(str::len), Some(64));
}

#[test]
fn trap_07_identity_headers_of_clients_count_for_nothing() {
    let forged = [
        "Remote-User: root",
        "Remote_User: root",
        "Remote-Groups: Home Server Admins",
        "X-authentik-username: root",
    ];
    for dialect in DIALECTS {
        assert_eq!(scene().ask(dialect, "GET", APP, &forged).status, 401, "{dialect}");
        let open = scene().ask(dialect, "GET", "http://open.foregate.localhost/", &forged);
        assert_eq!(
            (open.header("remote-user"), open.header("remote-groups")),
            (Some(""), Some("")),
            "{dialect}"
        );
        let cookie = scene().cookie("bob");
        let lines = [&forged[..], &[cookie.as_str()]].concat();
        assert_eq!(
            scene().ask(dialect, "GET", APP, &lines).header("remote-groups"),
            Some("family"),
            "{dialect}"
        );
        assert_eq!(
            scene().ask(dialect, "GET", "http://admins.foregate.localhost/", &lines).status,
            403,
            "{dialect}"
        );
    }
}

#[test]
fn trap_08_and_09_cookies_are_few_and_none_on_200() {
    let cookie = scene().cookie("alice");
    for dialect in DIALECTS {
        for (url, lines, cookies) in [
            (APP, vec![cookie.as_str()], 0),
            (APP, vec![NAVIGATES], 1),
            (APP, vec![], 0),
            ("http://bob.foregate.localhost/", vec![cookie.as_str(), NAVIGATES], 0),
        ] {
            let reply = scene().ask(dialect, "GET", url, &lines);
            assert_eq!(reply.all("set-cookie").len(), cookies, "{dialect} {url} {lines:?}");
        }
    }
    let mut browser = crate::support::http::Browser::default();
    let first = scene().ask("traefik", "GET", APP, &[NAVIGATES]);
    browser.keep(first.header("set-cookie").expect("a login cookie"), "app.foregate.localhost");
    let kept = browser.cookie("foregate-login").expect("a login cookie");
    assert_eq!(kept.domain, "foregate.localhost");
    let line = format!("Cookie: foregate-login={}", kept.value);
    let second = scene().ask("traefik", "GET", APP, &[NAVIGATES, &line]);
    assert!(second.all("set-cookie").is_empty(), "one login cookie serves every tab");
}

#[test]
fn trap_10_and_19_denials_carry_no_identity_and_are_never_kept() {
    let cookie = scene().cookie("alice");
    for dialect in DIALECTS {
        for (url, lines) in [
            (APP, vec![]),
            (APP, vec![NAVIGATES]),
            ("http://bob.foregate.localhost/", vec![cookie.as_str(), NAVIGATES]),
            ("http://bob.foregate.localhost/", vec![cookie.as_str()]),
            ("http://unknown.localhost/", vec![cookie.as_str(), NAVIGATES]),
        ] {
            let reply = scene().ask(dialect, "GET", url, &lines);
            assert_ne!(reply.status, 200);
            assert_eq!(reply.header("cache-control"), Some("no-store"), "{dialect} {url}");
            let identity =
                reply.headers.iter().find(|(name, _)| name.to_ascii_lowercase().starts_with("remote"));
            assert_eq!(identity, None, "{dialect} {url}");
        }
        let conditional = [
            "Range: bytes=0-1",
            "If-None-Match: *",
            "If-Modified-Since: Wed, 25 Nov 2026 00:00:00 GMT",
            &cookie,
        ];
        assert_eq!(scene().ask(dialect, "GET", APP, &conditional).status, 200, "{dialect}");
    }
}

#[test]
fn trap_11_locations_are_absolute() {
    for dialect in DIALECTS {
        let reply = scene().ask(dialect, "GET", APP, &[NAVIGATES]);
        assert_eq!(reply.status, if dialect == "nginx" { 401 } else { 302 }, "{dialect}");
        let location = reply.location();
        assert_eq!(location.host_str(), Some("127.0.0.1"), "straight to the provider");
        let query: std::collections::HashMap<_, _> = location.query_pairs().into_owned().collect();
        assert_eq!(query["redirect_uri"], format!("{}/.foregate/callback", scene().public_url));
        assert_eq!(
            (query["response_type"].as_str(), query["code_challenge_method"].as_str()),
            ("code", "S256")
        );
        assert!(
            query["nonce"].len() >= 32 && query["state"].len() > 100 && query["code_challenge"].len() == 43
        );
    }
}

#[test]
fn trap_12_schemes_are_http_or_https() {
    for (scheme, code) in [
        ("ws", 200),
        ("wss", 200),
        ("HTTPS", 200),
        ("javascript", 400),
        ("https, http", 400),
        ("evil_protocol", 400),
    ] {
        for dialect in DIALECTS {
            assert_eq!(
                status(dialect, "GET", (scheme, "open.foregate.localhost", "/"), &[]),
                code,
                "{dialect} {scheme}"
            );
        }
    }
    let bare = request("GET", "/.foregate/auth/envoy/", &["Host: open.foregate.localhost"], "");
    assert_eq!(raw(scene().foregate.public, bare.as_bytes()).status, 200, "Envoy may send no scheme");
}

#[test]
fn trap_13_every_spelling_of_a_host_is_one_host() {
    for host in [
        "APP.foregate.localhost",
        "app.foregate.localhost.",
        "app.foregate.localhost:443",
        "App.Foregate.Localhost.:80",
    ] {
        for dialect in DIALECTS {
            assert_eq!(is_open(dialect, host, "/"), 401, "{dialect} {host}");
            assert_eq!(
                is_open(dialect, &host.to_ascii_lowercase().replacen("app", "open", 1), "/"),
                200,
                "{dialect} {host}"
            );
        }
    }
    for host in [
        "unknown.test",
        "foregate.localhost",
        "evil-open.foregate.localhost",
        "x.open.foregate.localhost",
        "open.foregate.localhost.evil.test",
        "a.b.wild.foregate.localhost",
        "[::1]",
        "127.0.0.1",
    ] {
        for dialect in DIALECTS {
            let cookie = scene().cookie("alice");
            assert_eq!(status(dialect, "GET", ("http", host, "/"), &[&cookie]), 403, "{dialect} {host}");
        }
    }
    for host in [
        "",
        "%6fpen.foregate.localhost",
        "open.foregate.localhost@app.foregate.localhost",
        "open.foregate.localhost/x",
    ] {
        for dialect in ["traefik", "caddy", "haproxy", "envoy"] {
            assert_eq!(is_open(dialect, host, "/"), 400, "{dialect} {host}");
        }
    }
    let page = scene().ask("traefik", "GET", "http://new.example.com/", &[NAVIGATES]);
    assert!(
        page.status == 403 && page.body.contains("&#34;new.example.com&#34; = &#34;signed-in&#34;"),
        "{}",
        page.body
    );
}

#[test]
fn trap_14_a_path_is_judged_only_where_all_servers_agree_on_it() {
    for dialect in DIALECTS {
        for open in ["/public", "/public/", "/public/a.js", "/public/%61", "/publi%63/x", "/public/caf%C3%A9"]
        {
            assert_eq!(is_open(dialect, "rules.foregate.localhost", open), 200, "{dialect} {open}");
        }
        for closed in ["/", "/publicity", "/Public/x", "/xpublic/x"] {
            assert_eq!(is_open(dialect, "rules.foregate.localhost", closed), 401, "{dialect} {closed}");
        }
        for unclear in [
            "/public/..%2fadmin/x",
            "/public/..%2Fadmin/x",
            "/public/%2e%2e/admin/x",
            "/public//../admin/x",
            "/public/..;/admin/x",
            "/public/../admin",
            "/public/%252e%252e/admin",
            "/public/a%2fb",
            "/public/a%5cb",
            "/public/a%00",
            "/public/a%3bb",
            "/public/a%25b",
            "/public/a%3fb",
            "/public/a%23b",
            "/public//x",
            "/public/a;b",
            "/public/%zz",
            "/public/./x",
        ] {
            assert_eq!(is_open(dialect, "rules.foregate.localhost", unclear), 400, "{dialect} {unclear}");
        }
    }
    for raw_only in [
        "/foo/secret#/bar",
        "/public/x#y",
        "/public\\..\\admin",
        "admin",
        "*",
        "http://rules.foregate.localhost/public/x",
    ] {
        for dialect in ["traefik", "caddy", "haproxy"] {
            assert_eq!(is_open(dialect, "rules.foregate.localhost", raw_only), 400, "{dialect} {raw_only}");
        }
    }
    let cookie = scene().cookie("alice");
    for passed in ["/a%2fb", "/a//b", "/a;v=1", "/a%252fb"] {
        assert_eq!(
            status("traefik", "GET", ("http", "app.foregate.localhost", passed), &[&cookie]),
            200,
            "no rule looks at {passed}"
        );
    }
    assert_eq!(
        is_open("traefik", "open.foregate.localhost", "/a%2fb"),
        400,
        "an ambiguous path is never public"
    );
}

#[test]
fn trap_14_a_prefix_is_whole_segments_and_the_rest_is_closed() {
    let cookie = scene().cookie("alice");
    for (path, code) in
        [("/a", 200), ("/a/", 200), ("/a/b", 200), ("/ab", 403), ("/", 403), ("/b/a", 403), ("/a%2fb", 400)]
    {
        assert_eq!(
            status("traefik", "GET", ("http", "shared.foregate.localhost", path), &[&cookie]),
            code,
            "{path}"
        );
    }
}

#[test]
fn trap_15_raw_bytes_are_bytes() {
    for dialect in ["traefik", "nginx", "caddy"] {
        let reply = raw(
            scene().foregate.public,
            &ask_raw(dialect, "GET", ("http", "app.foregate.localhost", "/ä?q=ü"), &[NAVIGATES]),
        );
        assert!(reply.header("location").is_some(), "{dialect} {reply:?}");
        assert_eq!(is_open(dialect, "rules.foregate.localhost", "/public/ä"), 200, "{dialect}");
    }
    let mut bytes = ask_raw("traefik", "GET", ("http", "rules.foregate.localhost", "/public/?"), &[]);
    let mark = bytes.windows(9).position(|part| part == b"/public/?").expect("the path") + 8;
    bytes[mark] = 0xff;
    assert_eq!(raw(scene().foregate.public, &bytes).status, 400, "no UTF-8, so no public rule");
    for line in ["Cookie: foregate=\u{80}ÿ", "Accept: ÿ", "X-Forwarded-For: ÿ", "User-Agent: ÿ"] {
        assert_eq!(scene().ask("traefik", "GET", APP, &[line]).status, 401, "{line}");
    }
}

#[test]
fn trap_16_the_auth_address_can_only_ask_for_more() {
    let cookie = scene().cookie("bob");
    let with = |query: &str, url: &str, lines: &[&str]| {
        let text = String::from_utf8(ask("traefik", "GET", url, lines)).expect("text");
        raw(
            scene().foregate.public,
            text.replacen("/auth/traefik", &format!("/auth/traefik?{query}"), 1).as_bytes(),
        )
        .status
    };
    for (query, code) in [
        ("allow=group:family", 200),
        ("allow=group:Home%20Server%20Admins", 403),
        ("allow=group:family&allow=user:alice", 403),
        ("allow=public", 200),
        ("allow=", 403),
        ("allow=nonsense", 403),
        ("allowed_groups=&allowed_users=evil&client_id=x&token_url=http://evil.test", 200),
        ("rd=https://evil.test/", 200),
    ] {
        assert_eq!(with(query, APP, &[&cookie]), code, "{query}");
    }
    assert_eq!(with("allow=public", APP, &[]), 401, "never wider");
    assert_eq!(with("allow=public", "http://admins.foregate.localhost/", &[&cookie]), 403, "never wider");
    assert_eq!(with("allow=signed-in", "http://open.foregate.localhost/", &[]), 401, "narrower");
    assert_eq!(
        with("Allow=signed-in", "http://open.foregate.localhost/", &[]),
        401,
        "in another letter case"
    );
    assert_eq!(with("allow[]=signed-in", "http://open.foregate.localhost/", &[]), 401, "as a list");
    let appended = scene().ask("envoy", "GET", "http://open.foregate.localhost/?allow=user:nobody", &[]);
    assert_eq!(appended.status, 200, "behind Envoy the query is the visitor's");
}

#[test]
fn trap_17_the_visitors_own_method_counts() {
    for dialect in DIALECTS {
        for (method, code) in [
            ("GET", 200),
            ("HEAD", 200),
            ("POST", 401),
            ("DELETE", 401),
            ("OPTIONS", 401),
            ("QUERY", 401),
            ("PROPFIND", 401),
        ] {
            assert_eq!(
                scene().ask(dialect, method, &format!("{RULES}/health"), &[]).status,
                code,
                "{dialect} {method}"
            );
        }
    }
    let cookie = scene().cookie("alice");
    for dialect in DIALECTS {
        assert_eq!(
            scene().ask(dialect, "POST", &format!("{RULES}/kb/7/edit"), &[&cookie]).status,
            403,
            "{dialect}"
        );
        assert_eq!(
            scene().ask(dialect, "GET", &format!("{RULES}/kb/7/edit"), &[&cookie]).status,
            200,
            "{dialect}"
        );
    }
    for method in ["get", "GE T", "G,T", "", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        assert_eq!(status("traefik", method, ("http", "open.foregate.localhost", "/"), &[]), 400, "{method}");
    }
    for method in ["POST", "PUT", "OPTIONS", "HEAD"] {
        let text =
            String::from_utf8(ask("traefik", "GET", "http://open.foregate.localhost/", &[])).expect("text");
        let reply = raw(scene().foregate.public, text.replacen("GET ", &format!("{method} "), 1).as_bytes());
        assert_eq!(reply.status, 200, "the auth address takes every method: {method}");
    }
}

#[test]
fn trap_18_nobody_waits_for_a_body() {
    for line in ["Content-Length: 100", "Expect: 100-continue", "Transfer-Encoding: chunked"] {
        for dialect in DIALECTS {
            let reply = scene().ask(dialect, "GET", "http://open.foregate.localhost/", &[line]);
            assert_eq!(reply.status, 200, "{dialect} {line}");
        }
    }
}

#[test]
fn trap_20_only_page_navigations_are_redirected() {
    for dialect in WHOLE {
        for (method, lines, redirected) in [
            ("GET", vec![NAVIGATES], true),
            ("GET", vec!["Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"], true),
            ("HEAD", vec![NAVIGATES], true),
            ("POST", vec![NAVIGATES], false),
            ("OPTIONS", vec!["Origin: https://x.test", "Access-Control-Request-Method: POST"], false),
            ("GET", vec!["Sec-Fetch-Mode: cors", NAVIGATES], false),
            ("GET", vec!["X-Requested-With: XMLHttpRequest", NAVIGATES], false),
            ("GET", vec!["Accept: application/json"], false),
            ("GET", vec!["Sec-WebSocket-Key: x", NAVIGATES], false),
            ("GET", vec!["Upgrade: websocket", "Connection: Upgrade", NAVIGATES], false),
            ("GET", vec!["Authorization: Bearer x", NAVIGATES], false),
            ("GET", vec![], false),
        ] {
            let reply = scene().ask(dialect, method, APP, &lines);
            assert_eq!(reply.status, if redirected { 302 } else { 401 }, "{dialect} {method} {lines:?}");
        }
    }
    let referer =
        format!("Referer: http://app.foregate.localhost:{}/board?id=7", scene().foregate.public.port());
    let reply = scene().ask("traefik", "POST", "http://app.foregate.localhost/api/x.json", &[&referer]);
    let problem = reply.json();
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    assert_eq!(
        (problem["status"].as_u64(), problem["reason"].as_str()),
        (Some(401), Some("sign-in-required"))
    );
    assert!(
        problem["ref"].as_str().is_some_and(|text| text.len() == 8)
            && problem["title"].is_string()
            && problem["type"].is_string()
    );
    assert_eq!(problem["sign_in_url"].as_str(), reply.header("foregate-sign-in"));
    assert!(
        problem["sign_in_url"].as_str().is_some_and(|url| url.contains("board%3Fid%3D7")),
        "back to the page, not the API: {problem}"
    );
    assert!(reply.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer")));
    let refused =
        scene().ask("traefik", "POST", "http://bob.foregate.localhost/", &[&scene().cookie("alice")]);
    assert_eq!((refused.status, refused.json()["reason"].as_str()), (403, Some("not-allowed")));
}

#[test]
fn trap_22_our_own_pages_pass_by_their_exact_names_only() {
    for dialect in DIALECTS {
        let host = "auth.foregate.localhost";
        assert_eq!(is_open(dialect, host, "/.foregate/callback?code=x&state=y"), 200, "{dialect}");
        assert_eq!(is_open(dialect, host, "/.foregate/sign-in"), 200, "{dialect}");
        assert_eq!(is_open(dialect, host, "/.foregate/frontchannel-logout?iss=x&sid=y"), 200, "{dialect}");
        let told = ("http", host, "/.foregate/backchannel-logout");
        assert_eq!(status(dialect, "POST", told, &[]), 200, "{dialect}");
        for path in ["/.foregate/../secret", "/.foregate/sign-in/../../secret", "/.foregate/%2e%2e/secret"] {
            assert_eq!(is_open(dialect, host, path), 400, "{dialect} {path}");
        }
        for path in [
            "/.foregate/other",
            "/.foregate/sign-in/x",
            "/.foregate/backchannel-logout/",
            "/secret",
            "/.foregate//sign-in",
        ] {
            assert_eq!(is_open(dialect, host, path), 403, "{dialect} {path}");
        }
        for path in ["/.foregate/sign-in", "/.foregate/backchannel-logout"] {
            assert_eq!(is_open(dialect, "app.foregate.localhost", path), 401, "{dialect} {path}");
        }
    }
}

#[test]
fn trap_23_large_requests_are_answered() {
    let public = scene().foregate.public;
    let long = "a".repeat(100_000);
    for bytes in [
        ask_raw("traefik", "GET", ("http", "app.foregate.localhost", &format!("/{long}")), &[]),
        ask("traefik", "GET", APP, &[&format!("Cookie: junk={long}")]),
        request("GET", &format!("/.foregate/auth/envoy/{long}"), &["Host: app.foregate.localhost"], "")
            .into_bytes(),
    ] {
        let reply = raw(public, &bytes);
        assert!(matches!(reply.status, 431 | 414), "{reply:?}");
    }
    let cookie = scene().cookie("dave");
    let fits = format!("{cookie}; junk={}", "a".repeat(30_000));
    let reply = scene().ask("traefik", "GET", APP, &[&fits]);
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("remote-groups").map(|groups| groups.split(',').count()), Some(50));
    let deep = ask_raw(
        "traefik",
        "GET",
        ("http", "app.foregate.localhost", &format!("/p?q={}", "x".repeat(20_000))),
        &[NAVIGATES],
    );
    let reply = raw(public, &deep);
    assert!(
        reply.status == 302 && reply.header("location").is_some_and(|url| url.len() < 8_000),
        "{}",
        reply.status
    );
}

#[test]
fn trap_24_connections_are_kept_and_checks_can_be_repeated() {
    let cookie = scene().cookie("alice");
    let mut wire = Wire::open(scene().foregate.public);
    for _ in 0..200 {
        wire.write(&ask("traefik", "GET", APP, &[&cookie]));
        assert_eq!(wire.read(false).expect("an answer").status, 200);
        wire.write(&ask("nginx", "GET", APP, &[]));
        assert_eq!(wire.read(false).expect("an answer").status, 401);
    }
    let mut pipelined = Wire::open(scene().foregate.public);
    pipelined.write(&[ask("traefik", "GET", APP, &[&cookie]), ask("traefik", "GET", APP, &[])].concat());
    assert_eq!(pipelined.read(false).expect("an answer").status, 200);
    assert_eq!(pipelined.read(false).expect("an answer").status, 401);
}

#[test]
fn trap_24_a_crowd_of_connections_is_served() {
    let cookie = scene().cookie("alice");
    let mut wires: Vec<Wire> = (0..1000).map(|_| Wire::open(scene().foregate.public)).collect();
    for wire in &mut wires {
        wire.write(&ask("traefik", "GET", APP, &[&cookie]));
    }
    for wire in wires.iter_mut().rev() {
        assert_eq!(wire.read(false).expect("an answer").status, 200);
    }
}

#[test]
fn a_thousand_hosts_are_each_decided_by_their_own_line() {
    let mut config = format!(
        "public_url = \"http://auth.foregate.localhost:1\"\n[server]\nlisten = \"LISTEN\"\nadmin_listen = \"ADMIN\"\n\
         [session]\nstore = \"sqlite:DIR/f.db\"\n{}[apps]\n",
        scene().provider.config()
    );
    for host in 0..1000 {
        let allow = if host % 2 == 0 { "public" } else { "signed-in" };
        config.push_str(&format!("\"app-{host}.foregate.localhost\" = \"{allow}\"\n"));
    }
    let foregate = Foregate::start(&config);
    let mut wire = Wire::open(foregate.public);
    for host in 0..1000 {
        wire.write(&ask("traefik", "GET", &format!("http://app-{host}.foregate.localhost/"), &[]));
        let status = wire.read(false).expect("an answer").status;
        assert_eq!(status, if host % 2 == 0 { 200 } else { 401 }, "{host}");
    }
}

#[test]
fn trap_25_cookies_are_read_however_they_come() {
    let cookie = scene().cookie("alice");
    let pair = cookie.strip_prefix("Cookie: ").expect("a cookie");
    let junk = format!("foregate={}", "A".repeat(64));
    let lines: Vec<Vec<String>> = vec![
        vec![format!("Cookie: a=1; {pair}; b=2")],
        vec!["Cookie: a=1".into(), cookie.clone()],
        vec![format!("Cookie: a=1,{pair}")],
        vec![format!("Cookie: a=1, {pair}")],
        vec![format!("Cookie: {junk}; {pair}")],
        vec![format!("Cookie: foregate=; foregate=garbage; {junk}; {pair}")],
        vec![format!("Cookie: {pair}; {junk}")],
    ];
    for lines in lines {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        for dialect in DIALECTS {
            assert_eq!(scene().ask(dialect, "GET", APP, &lines).status, 200, "{dialect} {lines:?}");
        }
    }
}

#[test]
fn a_cookie_that_is_none_lets_nobody_in() {
    let cookie = scene().cookie("alice");
    let value = cookie.strip_prefix("Cookie: foregate=").expect("a value");
    let mut flipped = value.as_bytes().to_vec();
    let last = flipped.len() - 2;
    flipped[last] = if flipped[last] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).expect("text");
    let big = "x".repeat(8192);
    for broken in [
        "garbage",
        "",
        &value[..40],
        &format!("{value}A"),
        &flipped,
        &big,
        "!!!!",
        "%00",
        &value.to_ascii_uppercase(),
        &format!("\"{value}\""),
    ] {
        for dialect in DIALECTS {
            let line = format!("Cookie: foregate={broken}");
            assert_eq!(scene().ask(dialect, "GET", APP, &[&line]).status, 401, "{dialect} {broken}");
        }
    }
    for name in ["Foregate", "foregate-login", "xforegate", "__Host-foregate"] {
        assert_eq!(
            scene().ask("traefik", "GET", APP, &[&format!("Cookie: {name}={value}")]).status,
            401,
            "{name}"
        );
    }
}

#[test]
fn rules_decide_by_group_user_and_address() {
    for (user, host, code) in [
        ("alice", "admins", 200),
        ("bob", "admins", 403),
        ("alice", "pipe", 200),
        ("bob", "pipe", 403),
        ("bob", "bob", 200),
        ("alice", "bob", 403),
        ("alice", "mail", 200),
        ("alice", "any.wild", 200),
        ("carol", "any.wild", 403),
    ] {
        let url = format!("http://{host}.foregate.localhost/");
        for dialect in DIALECTS {
            assert_eq!(
                scene().ask(dialect, "GET", &url, &[&scene().cookie(user)]).status,
                code,
                "{dialect} {user} {host}"
            );
        }
    }
    let page = scene().ask(
        "traefik",
        "GET",
        "http://admins.foregate.localhost/x?y=1",
        &[&scene().cookie("bob"), NAVIGATES],
    );
    assert_eq!(page.status, 403);
    for part in [
        "bob",
        "bob@example.com",
        "Home Server Admins",
        "admins.foregate.localhost",
        "account=other",
        "/.foregate/sign-out",
    ] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(
        policy.contains("default-src 'none'")
            && policy.contains("frame-ancestors 'none'")
            && !policy.contains("unsafe")
    );
}

#[test]
fn strangers_are_refused_and_told_of_once() {
    let foregate = Foregate::start(&format!(
        "public_url = \"http://auth.foregate.localhost:1\"\nallow = \"public\"\n[server]\nlisten = \"LISTEN\"\nadmin_listen = \"ADMIN\"\n\
         trusted_proxies = [\"10.0.0.0/8\"]\n[session]\nstore = \"sqlite:DIR/f.db\"\n{}",
        scene().provider.config()
    ));
    for dialect in DIALECTS {
        for _ in 0..2 {
            let reply = raw(foregate.public, &ask(dialect, "GET", "http://app.foregate.localhost/", &[]));
            assert_eq!(reply.status, 403, "{dialect}");
        }
    }
    foregate.wait_for_log("trusted_proxies = [");
    assert_eq!(foregate.logged("trusted_proxies = ["), 1);
    assert_eq!(foregate.metric("foregate_decisions_total{outcome=\"untrusted\"}"), 10.0);
}

#[test]
fn a_slow_head_is_cut_off_and_an_idle_connection_is_not() {
    let foregate = Foregate::start(&format!(
        "public_url = \"http://auth.foregate.localhost:1\"\nallow = \"public\"\n[server]\nlisten = \"LISTEN\"\nadmin_listen = \"ADMIN\"\n\
         [server.limits]\nhead_timeout = \"1s\"\n[session]\nstore = \"sqlite:DIR/f.db\"\n{}",
        scene().provider.config()
    ));
    let mut idle = Wire::open(foregate.public);
    idle.write(&ask("traefik", "GET", "http://app.foregate.localhost/", &[]));
    assert_eq!(idle.read(false).expect("an answer").status, 200);
    let mut silent = Wire::open(foregate.public);
    assert!(silent.ends(), "who connects has something to ask");
    let mut slow = Wire::open(foregate.public);
    slow.write(b"GET / HTTP/1.1\r\nHost: x");
    assert!(slow.ends(), "the head never came");
    idle.write(&ask("traefik", "GET", "http://app.foregate.localhost/", &[]));
    assert_eq!(idle.read(false).expect("an answer on the kept connection").status, 200);
}

#[test]
fn there_are_never_more_connections_than_allowed() {
    let foregate = Foregate::start(&format!(
        "public_url = \"http://auth.foregate.localhost:1\"\nallow = \"public\"\n[server]\nlisten = \"LISTEN\"\nadmin_listen = \"ADMIN\"\n\
         [server.limits]\nconnections = 2\n[session]\nstore = \"sqlite:DIR/f.db\"\n{}",
        scene().provider.config()
    ));
    let asked = ask("traefik", "GET", "http://app.foregate.localhost/", &[]);
    let mut first = Wire::open(foregate.public);
    let mut second = Wire::open(foregate.public);
    for wire in [&mut first, &mut second] {
        wire.write(&asked);
        assert_eq!(wire.read(false).expect("an answer").status, 200);
    }
    let mut third = Wire::open(foregate.public);
    third.write(&asked);
    first.write(&asked);
    assert_eq!(first.read(false).expect("an answer").status, 200);
    assert_eq!(foregate.metric("foregate_decisions_total{outcome=\"allowed\"}"), 3.0, "the third one waits");
    drop(second);
    assert_eq!(third.read(false).expect("an answer, now that there is room").status, 200);
}

#[test]
fn the_end_waits_for_requests_in_flight_and_for_nobody_else() {
    let mut foregate = Foregate::start(&format!(
        "public_url = \"http://auth.foregate.localhost:1\"\nallow = \"public\"\n[server]\nlisten = \"LISTEN\"\nadmin_listen = \"ADMIN\"\n\
         [session]\nstore = \"sqlite:DIR/f.db\"\n{}",
        scene().provider.config()
    ));
    let mut kept = Wire::open(foregate.public);
    kept.write(&ask("traefik", "GET", "http://app.foregate.localhost/", &[]));
    assert_eq!(kept.read(false).expect("an answer").status, 200);
    // A sign-out form whose body is still on its way is a request in flight.
    let mut flying = Wire::open(foregate.public);
    flying.write(b"POST /.foregate/sign-out HTTP/1.1\r\nHost: auth.foregate.localhost\r\nContent-Length: 13\r\n\r\nscope=");
    let mut half = Wire::open(foregate.public);
    half.write(b"GET /.foregate/auth/traefik HTTP/1.1\r\nHost:");
    foregate.wait_for_connections(3);
    foregate.terminate();
    assert!(kept.ends(), "an idle connection is closed at once");
    assert!(half.ends(), "half a head is not waited for");
    assert!(foregate.is_running(), "the request in flight is waited for");
    flying.write(b"browser");
    assert_eq!(flying.read(false).expect("an answer").status, 303);
    assert_eq!(foregate.wait(), Some(0));
}

#[test]
fn the_operators_listener_tells_how_it_is() {
    let admin = scene().foregate.admin;
    assert_eq!(get(admin, "/livez", &[]).status, 200);
    let ready = get(admin, "/readyz", &[]);
    assert_eq!(ready.status, 200, "{}", ready.body);
    assert_eq!(
        (ready.json()["store"]["ok"].as_bool(), ready.json()["provider"]["ok"].as_bool()),
        (Some(true), Some(true))
    );
    scene().ask("traefik", "GET", "http://open.foregate.localhost/", &[]);
    assert!(scene().foregate.metric("foregate_decisions_total{outcome=\"allowed\"}") >= 1.0);
    assert!(get(admin, "/metrics", &[]).body.contains("foregate_decision_seconds_bucket"));
    assert_eq!(get(scene().foregate.public, "/metrics", &[]).status, 404, "not on the public listener");
}

#[test]
fn a_check_does_not_pay_for_the_size_of_what_is_rare() {
    let text = "public_url = \"https://auth.example.com\"\nallow = \"signed-in\"\n[provider]\n\
                issuer = \"https://id.example.com/\"\nclient_id = \"foregate\"\nclient_auth = \"none\"\n";
    let environment = foregate::config::Environment::default();
    let loaded = foregate::config::Config::from_text(Some(("test.toml", text)), &environment);
    let mut config = loaded.expect("a configuration").config;
    config.session.location = foregate::session::store::Location::Memory;
    config.session.keys = vec![foregate::secret::Secret::new(crate::support::foregate::KEY)];
    let site = foregate::app::site(config).expect("a site");
    let mut request = http::Request::builder();
    for (name, value) in [
        ("x-forwarded-method", "GET"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "app.example.com"),
        ("x-forwarded-uri", "/"),
    ] {
        request = request.header(name, value);
    }
    let parts = request.body(()).expect("a request").into_parts().0;
    let dialect = foregate::http::dialect::Dialect::Traefik;
    let visit = dialect.read(&parts, &site.cookies, foregate::visit::Scheme::Https).expect("a visit");
    // A future is moved in one piece: what asks the store, several kilobytes, is boxed.
    assert!(size_of_val(&site.gate.judge(&visit, 1)) < 1024);
}
