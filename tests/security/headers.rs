//! Identity headers and cookies: whose they are, and who gets to see them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use url::Url;

use super::world::{
    ADMINS, APP, ENTRANCES, EVIDENCE, Entrance, OPEN, RULES, World, assert_closed, assert_open, bearer,
    cookie_of, lines, stranger, told, world,
};
use crate::support::hostile_provider::Mind;
use crate::support::http::{Browser, NAVIGATES, get, request};
use crate::support::stage::Stage;

const NAMES: [&str; 4] = ["remote-user", "remote-name", "remote-email", "remote-groups"];

/// Spellings of a header's name that software takes for the same.
fn spellings(name: &str) -> Vec<String> {
    let capitals: Vec<String> =
        name.split('-').map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect();
    vec![
        name.to_owned(),
        name.to_ascii_uppercase(),
        capitals.join("-"),
        name.replace('-', "_"),
        name.replace('-', "."),
        name.replace('-', ""),
        name.replace('-', "--"),
        name.replace('-', "~"),
        name.replace('-', "!"),
        name.replace('-', "_").to_ascii_uppercase(),
        format!("{name}_"),
        format!("_{name}"),
    ]
}

/// Holds that the backend gets each identity header once and with this value.
#[track_caller]
fn assert_whole(got: &str, user: &str, what: &str) {
    let got = got.to_ascii_lowercase();
    for name in NAMES {
        assert_eq!(got.matches(&format!("\r\n{name}: ")).count(), 1, "{what} {name}: {got}");
    }
    assert!(got.contains(&format!("\r\nremote-user: {user}\r\n")), "{what}: {got}");
    assert!(!got.contains("root"), "{what}: {got}");
}

/// `caddyserver/caddy#7545 (comment, Apr 2026)` Caddy forward_auth: identity headers of a client on a page that is open to
/// everybody.
///
/// Tried: the reverse proxy on public and closed pages, by every method; every check's answer is complete and empty.
#[test]
fn caddyserver_caddy_7545_nobody_brings_an_identity_along() {
    let forged: Vec<String> =
        NAMES.iter().flat_map(|name| spellings(name)).map(|name| format!("{name}: root")).collect();
    let forged = lines(&forged);
    for method in ["GET", "HEAD", "OPTIONS", "DELETE", "PROPFIND"] {
        let seen = world().backend.seen().len();
        let host = ("http", OPEN, "/marked");
        assert_eq!(world().ask_by(Entrance::Proxy, method, host, &forged).status, 200, "{method}");
        let got = world().backend.seen().into_iter().skip(seen);
        let got = got
            .into_iter()
            .find(|request| request.starts_with(&format!("{method} /marked")))
            .expect("a request");
        assert_whole(&got, "", method);
    }
    for entrance in ENTRANCES.into_iter().filter(|entrance| entrance.is_check()) {
        let reply = world().ask(entrance, OPEN, "/", &forged);
        assert_open(&reply, entrance, "public");
        for name in NAMES {
            assert_eq!(told(entrance, &reply, name), [""], "{entrance:?} {name}: {reply:?}");
        }
        world().is_closed(APP, "/", &forged);
    }
}

/// `oauth2-proxy#877` oauth2-proxy: a person adds groups of their own to those that the provider tells.
///
/// Tried: all entrances with each kind of evidence; headers of all presets.
#[test]
fn oauth2_proxy_877_groups_are_replaced_and_never_joined() {
    let more = [
        "Remote-Groups: Home Server Admins",
        "remote-groups: Home Server Admins",
        "X-Forwarded-Groups: Home Server Admins",
        "X-Auth-Request-Groups: Home Server Admins",
        "X-authentik-groups: Home Server Admins",
    ];
    for evidence in EVIDENCE {
        let shown = world().shows(evidence, "bob");
        let all: Vec<&str> = lines(&shown).into_iter().chain(more).collect();
        for entrance in ENTRANCES {
            let reply = world().ask(entrance, APP, "/", &all);
            assert_open(&reply, entrance, evidence);
            assert_eq!(told(entrance, &reply, "remote-groups"), ["family"], "{entrance:?} {evidence:?}");
            assert_eq!(world().ask(entrance, ADMINS, "/", &all).status, 403, "{entrance:?}");
        }
    }
}

/// `CVE-2026-88011 / GHSA-rf44-j88r-hh8c; CVE-2026-54763 / GHSA-x677-9fxg-v5c5` Traefik: `X.Remote.User` beside `Remote-User`,
/// which PHP and others read as one.
///
/// Tried: the reverse proxy with a dozen spellings of each name, as somebody and as nobody; the shipped snippets for front
/// proxies are tried against real ones in `tests/it/proxies.rs`.
#[test]
fn cve_2026_88011_no_spelling_of_our_names_arrives() {
    let alice = world().cookie("alice");
    for name in NAMES {
        for spelling in spellings(name) {
            let line = format!("{spelling}: root");
            for (uri, cookie, user) in
                [("/public/x", "X: y", ""), ("/public/x", &*alice, "alice"), ("/x", &alice, "alice")]
            {
                let reply = world().ask(Entrance::Proxy, RULES, uri, &[&line, cookie]);
                assert_eq!(reply.status, 200, "{line} {uri}: {reply:?}");
                assert_whole(&reply.body, user, &line);
            }
        }
    }
    let got = world().ask(Entrance::Proxy, OPEN, "/", &["Remote-Users: kept", "YRemote-User: kept"]).body;
    assert_eq!(got.matches(": kept").count(), 2, "other names are the client's own: {got}");
}

/// `CVE-2024-45410; CVE-2026-29054; CVE-2021-32813` Traefik: `Connection` names the headers that were set, so that the next
/// hop takes them away.
///
/// Tried: the reverse proxy, every header that foregate sets, in one line and in several, in any case.
#[test]
fn cve_2024_45410_connection_takes_nothing_of_ours_away() {
    let ours = [
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded-port",
        "x-real-ip",
        "forwarded",
        "remote-user",
        "remote-name",
        "remote-email",
        "remote-groups",
    ];
    let stage = Stage::new();
    for named in [
        ours.join(", "),
        ours.join(",").to_ascii_uppercase(),
        format!("close, {}", ours.join(" , ")),
        format!("keep-alive,,{}", ours.join(",\t")),
    ] {
        let mut visitor = stage.ask("GET /", &[&format!("Connection: {named}"), "Remote-User: root"]);
        let mut backend = stage.accept();
        let head = backend.head();
        for name in ours {
            assert_eq!(head.matches(&format!("\r\n{name}: ")).count(), 1, "{named} {name}: {head}");
        }
        let sent = head.split("\r\n").find(|line| line.starts_with("connection: ")).unwrap_or_default();
        assert!(!sent.contains("remote") && !sent.contains("forwarded"), "{head}");
        backend.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        assert_eq!(visitor.read(false).expect("an answer").status, 200);
    }
    let several: Vec<String> = ours.iter().map(|name| format!("Connection: {name}")).collect();
    let _visitor = stage.ask("GET /several", &lines(&several));
    let head = stage.accept().head();
    assert!(ours.iter().all(|name| head.contains(&format!("\r\n{name}: "))), "{head}");
    // What the decision rests on cannot be named at all.
    for named in ["Cookie", "Authorization", "Host"] {
        let stage = &stage;
        let mut visitor =
            stage.ask("GET /", &[&format!("Connection: {named}"), "Cookie: a=b", "Authorization: Basic x"]);
        let reply = visitor.read(false).expect("an answer");
        assert_eq!(reply.status, 400, "{named}: {reply:?}");
    }
}

/// `CVE-2026-33495 / GHSA-vhr5-ggp3-qq85; oathkeeper@36a676e4` Oathkeeper: a stranger tells how they came.
///
/// Tried: the reverse proxy from a peer that is not trusted: every header of the kind is removed and has no effect on rules.
#[test]
fn cve_2026_33495_how_a_stranger_came_is_not_theirs_to_tell() {
    let world = World::with("", |config| config.replace("[session]", "trusted_proxies = []\n[session]"));
    let lied = [
        "X-Forwarded-For: 10.0.0.1",
        "X-Forwarded-Host: evil.test",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Port: 1",
        "X-Forwarded-Prefix: /evil",
        "X-Forwarded-Server: evil.test",
        "X-Forwarded-Uri: /evil",
        "X-Forwarded-Method: EVIL",
        "X_Forwarded_For: 10.0.0.1",
        "X.Forwarded.Host: evil.test",
        "Forwarded: for=10.0.0.1;host=evil.test;proto=https",
        "X-Real-IP: 10.0.0.1",
        "X_Real_IP: 10.0.0.1",
        "Client-IP: 10.0.0.1",
        "True-Client-IP: 10.0.0.1",
        "CF-Connecting-IP: 10.0.0.1",
        "X-Original-URL: /evil",
        "X-Rewrite-URL: /evil",
    ];
    let reply = world.ask(Entrance::Proxy, OPEN, "/", &lied);
    assert_eq!(reply.status, 200, "{reply:?}");
    let got = reply.body.to_ascii_lowercase();
    for part in ["evil", "10.0.0.1", "https"] {
        assert!(!got.contains(part), "{part}: {got}");
    }
    assert_eq!(got.matches("forwarded-for").count(), 1, "{got}");
    let reply = world.ask(Entrance::Proxy, "lan.foregate.localhost", "/", &lied);
    assert_eq!(reply.status / 100, 4, "a network rule goes by the peer: {reply:?}");
}

/// `Authelia threat model; rauthy forward_auth book page` Authelia, Rauthy: whoever reaches the backend past the proxy writes
/// its headers by hand.
///
/// Tried: what foregate offers against it, a signed assertion: for this app alone, short, and never the client's own, behind
/// every entrance.
#[test]
fn authelia_threat_model_a_backend_can_ask_for_a_signature() {
    let world = World::with("", |config| {
        ["app", "admins"].iter().fold(config, |config, host| {
            let line = format!("[apps.\"{host}.foregate.localhost\"]");
            config.replace(&line, &format!("{line}\nassertion = true"))
        })
    });
    let alice = world.cookie("alice");
    for entrance in ENTRANCES {
        for host in ["app", "admins"] {
            let name = format!("{host}.foregate.localhost");
            let forged = ["Foregate-Assertion: e30.e30.x", "foregate_assertion: e30.e30.x", &*alice];
            let reply = world.ask(entrance, &name, "/", &forged);
            let [token] = <[String; 1]>::try_from(told(entrance, &reply, "foregate-assertion")).expect("one");
            if matches!(
                entrance,
                Entrance::OutpostTraefik
                    | Entrance::OutpostNginx
                    | Entrance::OutpostCaddy
                    | Entrance::OutpostEnvoy
                    | Entrance::Oauth2Proxy
            ) {
                // Scripts of an app may ask there: what proves somebody to a backend is not told.
                assert_eq!(token, "", "{entrance:?}");
                continue;
            }
            let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).expect("claims")).expect("base64url");
            let claims: Value = serde_json::from_slice(&claims).expect("JSON");
            assert_eq!(claims["aud"], format!("http://{name}:{}", world.port), "{entrance:?}: {claims}");
            let life = claims["exp"].as_u64().zip(claims["iat"].as_u64()).map(|(end, from)| end - from);
            assert!(life.is_some_and(|life| life <= 300), "{claims}");
            if !entrance.is_check() {
                assert!(!reply.body.contains("e30.e30.x"), "{reply:?}");
            }
        }
    }
}

/// `oauth2-proxy#1993, #1388; traefik-oidc-auth#49` oauth2-proxy, adjacent: the backend gets the session cookie, and uses it at
/// another app.
///
/// Tried: the reverse proxy with cookies in every order and form; the others arrive byte for byte.
#[test]
fn oauth2_proxy_1993_our_cookies_stay_with_us() {
    let alice = world().cookie("alice");
    let pair = alice.trim_start_matches("Cookie: ");
    let login = "foregate-login=AAAA";
    for (cookies, kept) in [
        (vec![format!("Cookie: {pair}")], ""),
        (vec![format!("Cookie: a=1; {pair}; b=\"x y\"")], "a=1; b=\"x y\""),
        (vec![format!("Cookie: {pair}; a=1")], "a=1"),
        (vec![format!("Cookie: a=1; {pair}; {login}; foregate=; {pair}")], "a=1"),
        (vec!["Cookie: a=1".to_owned(), format!("Cookie: {pair}; b=2; c")], "a=1; b=2; c"),
        (vec![format!("Cookie: a=1;{pair};b=%00=;=x;")], "a=1"),
        (
            vec![format!("Cookie: xforegate=1; foregate2=2; {pair}; FOREGATE=3")],
            "xforegate=1; foregate2=2; FOREGATE=3",
        ),
    ] {
        let reply = world().ask(Entrance::Proxy, APP, "/", &lines(&cookies));
        assert_eq!(reply.status, 200, "{cookies:?}: {reply:?}");
        let got = told(Entrance::Proxy, &reply, "cookie").join("; ");
        assert!(got.starts_with(kept) && (kept.is_empty() == got.is_empty()), "{cookies:?}: {got}");
        let value = pair.trim_start_matches("foregate=");
        assert!(
            !reply.body.contains(value) && !got.contains("foregate-login"),
            "{cookies:?}: {}",
            reply.body
        );
    }
}

/// `CVE-2026-41181 / GHSA-p6hg-qh38-555r` Traefik: cookies and tokens in answers, or at somebody else's.
///
/// Tried: every answer of every entrance, and pages of trouble; what the provider is sent on behalf of a visitor.
#[test]
fn cve_2026_41181_no_answer_repeats_what_was_shown() {
    let world = World::new();
    let secret = "c0ffee-of-the-visitor";
    let shown = [
        format!("Cookie: foregate={secret}; app={secret}"),
        format!("Authorization: Bearer {secret}"),
        format!("X-Api-Key: {secret}"),
        format!("X-Foregate-Token: {secret}"),
        NAVIGATES.to_owned(),
    ];
    for entrance in ENTRANCES.into_iter().filter(|entrance| entrance.is_check()) {
        for host in [APP, OPEN, "unknown.test", "admins.foregate.localhost"] {
            for uri in ["/", "/%zz"] {
                let reply = world.ask(entrance, host, uri, &lines(&shown));
                assert!(!format!("{reply:?}").contains(secret), "{entrance:?} {host}{uri}: {reply:?}");
            }
        }
    }
    for page in ["sign-in", "callback?state=x", "sign-out", "account", "session", "other"] {
        let reply = world.own("GET", &format!("/.foregate/{page}"), &lines(&shown), "");
        assert!(!format!("{reply:?}").contains(secret), "{page}: {reply:?}");
    }
    assert!(!world.provider.log().join(" ").contains(secret));
    assert!(!world.foregate.log_lines().join("\n").contains(secret));
}

/// `GHSA-59jp-rwph-878r` mod_auth_openidc: a page that asks to sign in, and the protected page behind it.
///
/// Tried: the reverse proxy without a session, as page, as form, as program, by HEAD and over a kept connection: the answer is
/// whole and the backend is never asked.
#[test]
fn ghsa_59jp_rwph_878r_a_no_is_all_there_is() {
    let world = World::new();
    let host = format!("Host: {APP}:{}", world.port);
    let form = [
        "Sec-Fetch-Site: same-origin",
        "Sec-Fetch-Mode: navigate",
        "Sec-Fetch-Dest: document",
        "Content-Type: application/x-www-form-urlencoded",
        NAVIGATES,
    ];
    for (method, more, body) in [
        ("GET", &[NAVIGATES][..], ""),
        ("GET", &["Accept: */*"], ""),
        ("HEAD", &[NAVIGATES], ""),
        ("POST", &form, "a=b"),
        ("POST", &["Content-Type: application/json"], "{}"),
        ("PUT", &[], "x"),
    ] {
        let mut wire = crate::support::http::Wire::open(world.foregate.public);
        let all = [&[host.as_str(), "Connection: close"], more].concat();
        wire.write(request(method, "/secret", &all, body).as_bytes());
        let reply = wire.read(method == "HEAD").expect("an answer");
        assert_ne!(reply.status / 100, 5, "{method} {more:?}: {reply:?}");
        assert!(
            !reply.body.contains("GET /secret HTTP") && wire.until_the_end().is_empty(),
            "{method}: {reply:?}"
        );
    }
    assert_eq!(world.backend.seen(), Vec::<String>::new());
}

/// `oauth2-proxy#2606` oauth2-proxy: two cookies of one name, the first of which is somebody else's rubbish.
///
/// Tried: all entrances; a dozen of them before and behind the true one; sign-in and callback with such a jar.
#[test]
fn oauth2_proxy_2606_a_bad_cookie_hides_no_good_one() {
    let world = World::new();
    let alice = world.cookie("alice");
    let value = alice.trim_start_matches("Cookie: ");
    let dead = format!("foregate={}", URL_SAFE_NO_PAD.encode([9; 48]));
    let junk = ["foregate=", "foregate=x", "foregate=\"\"", &dead, "foregate"].join("; ");
    for line in [
        format!("Cookie: {junk}; {value}"),
        format!("Cookie: {value}; {junk}"),
        format!("Cookie: {dead}; {dead}; {dead}; {value}; {dead}"),
    ] {
        for entrance in ENTRANCES {
            assert_open(&world.ask(entrance, APP, "/", &[&line]), entrance, &line);
        }
    }
    let mut browser: Browser = stranger("bob");
    let logins: Vec<String> =
        (0..12).map(|number| format!("foregate-login=junk{number}; foregate=x")).collect();
    browser.lines.push(format!("Cookie: {}", logins.join("; ")));
    let reply = browser.open(&world.url("app", "/"));
    assert!(reply.status == 200 && reply.body.contains("remote-user: bob"), "{reply:?}");
    assert_eq!(get(world.foregate.admin, "/livez", &[]).status, 200);
}

/// `PortSwigger Cookie Chaos 2025; arxenix, Cookie Bugs` Many servers: a cookie that begins within the value of another one,
/// where a neighbour can write it although its name begins with `__Host-`.
///
/// Tried: all entrances; values with a space, a tab, commas, quotes and a backslash before a live session's cookie, before and behind
/// the true one, and twenty of them; the same with the login cookie at the callback.
#[test]
fn portswigger_cookie_chaos_2025_no_cookie_begins_within_another() {
    let world = world();
    let (alice, bob) = (world.cookie("alice"), world.cookie("bob"));
    let (alice, bob) = (alice.trim_start_matches("Cookie: "), bob.trim_start_matches("Cookie: "));
    let made_up: Vec<String> =
        (0..20).map(|number| format!("foregate={}", URL_SAFE_NO_PAD.encode([number; 48]))).collect();
    let tossed = [" ", "\t", "\"", "\\\" ", "=", "= ", " $Path=/ ", "\u{a0}", "&"]
        .map(|before| format!("x=1{before}{bob}"));
    for tossed in tossed.iter().chain([&format!("x={}", made_up.join(" "))]) {
        for entrance in ENTRANCES {
            let reply = world.ask(entrance, APP, "/", &[&format!("Cookie: {tossed}")]);
            assert_closed(&reply, entrance, tossed);
            for line in [format!("Cookie: {tossed}; {alice}"), format!("Cookie: {alice}; {tossed}")] {
                let reply = world.ask(entrance, APP, "/", &[&line]);
                assert_open(&reply, entrance, &line);
                assert_eq!(told(entrance, &reply, "remote-user"), ["alice"], "{entrance:?} {line}");
            }
        }
    }
    // Front proxies that ask may join lines with commas, so there it is one; but whose own cookie is there is themselves.
    for comma in [",", ", ", ",\t"] {
        let tossed = format!("x=1{comma}{bob}");
        for entrance in ENTRANCES {
            if !entrance.is_check() {
                assert_closed(
                    &world.ask(entrance, APP, "/", &[&format!("Cookie: {tossed}")]),
                    entrance,
                    &tossed,
                );
            }
            for line in [format!("Cookie: {tossed}; {alice}"), format!("Cookie: {alice}; {tossed}")] {
                let reply = world.ask(entrance, APP, "/", &[&line]);
                assert_open(&reply, entrance, &line);
                assert_eq!(told(entrance, &reply, "remote-user"), ["alice"], "{entrance:?} {line}");
            }
        }
    }
    let mut begun = stranger("bob");
    let start = begun.step("GET", &Url::parse(&world.url("app", "/")).expect("a URL"), "").location();
    let back = begun.step("GET", &start, "").location();
    let login = begun.cookie("foregate-login").expect("a sign-in under way").value.clone();
    let mut victim = Browser::default();
    victim.lines.push(format!("Cookie: x=1 foregate-login={login}"));
    let reply = victim.step("GET", &back, "");
    assert!(victim.cookie("foregate").is_none(), "somebody else's sign-in: {reply:?}");
}

/// `CVE-2026-34457 / GHSA-5hvv-m4w4-gf6v; oauth2-proxy#657` oauth2-proxy: the name of a health check, or no name at all, lets
/// anybody in.
///
/// Tried: all entrances as nobody and as somebody who may not; the names that health checks of clouds, clusters and foregate's own
/// have, an empty one and none, on pages and on addresses of health checks; a preflight, and every method that nobody reads.
#[test]
fn cve_2026_34457_no_name_and_no_method_is_let_in() {
    let (world, bob) = (world(), world().cookie("bob"));
    let preflight = [
        "Origin: http://evil.test",
        "Access-Control-Request-Method: GET",
        "Access-Control-Request-Headers: x",
    ];
    for agent in [
        "kube-probe/1.30",
        "kube-probe/1.x",
        "GoogleHC/1.0",
        "ELB-HealthChecker/2.0",
        "Amazon-Route53-Health-Check-Service (ref 0)",
        "Edge Health Probe",
        "Consul Health Check",
        "Blackbox Exporter/0.25",
        "Prometheus/2.53",
        "HAProxy",
        "Envoy/HC",
        "Traefik",
        "foregate",
        "",
    ] {
        let line = format!("User-Agent: {agent}");
        for uri in ["/", "/ping", "/healthz", "/livez", "/ready"] {
            for entrance in ENTRANCES {
                assert_closed(&world.ask(entrance, APP, uri, &[&line]), entrance, (agent, uri));
                let reply = world.ask(entrance, ADMINS, uri, &[&line, &bob]);
                assert_eq!(reply.status, 403, "{entrance:?} {agent} {uri}: {reply:?}");
            }
        }
    }
    for method in ["OPTIONS", "HEAD", "PROPFIND", "REPORT", "PURGE", "QUERY", "X", "options", "Options"] {
        for lines in [&[][..], &preflight, &["Origin: null"], &["X-HTTP-Method-Override: OPTIONS"]] {
            for entrance in ENTRANCES {
                for (host, uri) in [(APP, "/"), (RULES, "/admin/x")] {
                    let reply = world.ask_by(entrance, method, ("http", host, uri), lines);
                    assert_closed(&reply, entrance, (method, lines));
                    assert!(reply.header("access-control-allow-origin").is_none(), "{entrance:?}: {reply:?}");
                }
                let all = [lines, &[&*bob]].concat();
                let reply = world.ask_by(entrance, method, ("http", ADMINS, "/"), &all);
                assert_closed(&reply, entrance, (method, all));
            }
        }
    }
}

/// `CVE-2025-29927; CVE-2024-45806, CVE-2023-27487` Next.js, Envoy: a header that the product sends to itself, by somebody else.
///
/// Tried: all entrances as nobody and as somebody who may not, with headers by which a dozen products tell themselves and their
/// neighbours what was decided, who it is and which page is meant; nobody is let in, and who is stays who they are.
#[test]
fn cve_2025_29927_no_header_of_an_insider_counts() {
    let (world, alice, bob) = (world(), world().cookie("alice"), world().cookie("bob"));
    let five = ["middleware"; 5].join(":");
    let inside = [
        format!("x-middleware-subrequest: {five}"),
        format!("x-middleware-subrequest: {}", ["src/middleware"; 5].join(":")),
        "x-middleware-subrequest: pages/_middleware".to_owned(),
        "x-middleware-next: 1".to_owned(),
        "x-middleware-rewrite: /public/x".to_owned(),
        "x-nextjs-data: 1".to_owned(),
        "x-envoy-original-path: /public/x".to_owned(),
        "x-envoy-original-host: open.foregate.localhost".to_owned(),
        "x-envoy-original-url: http://open.foregate.localhost/".to_owned(),
        "x-envoy-internal: true".to_owned(),
        "x-envoy-external-address: 10.0.0.1".to_owned(),
        "x-envoy-decorator-operation: public".to_owned(),
        "x-envoy-auth-partial-body: false".to_owned(),
        "x-envoy-auth-headers-to-remove: cookie".to_owned(),
        "x-envoy-upstream-alt-stat-name: x".to_owned(),
        "x-ext-authz: allow".to_owned(),
        "x-forwarded-client-cert: By=x;Hash=y;Subject=\"CN=alice\";URI=spiffe://x/alice".to_owned(),
        "x-ssl-client-verify: SUCCESS".to_owned(),
        "x-client-verified: SUCCESS".to_owned(),
        "x-ssl-client-s-dn: CN=alice".to_owned(),
        "x-rewrite-url: /public/x".to_owned(),
        "x-original-path: /public/x".to_owned(),
        "x-original-host: open.foregate.localhost".to_owned(),
        "x-forwarded-user: alice".to_owned(),
        "x-auth-request-user: alice".to_owned(),
        "x-authenticated-user: alice".to_owned(),
        "x-webauth-user: alice".to_owned(),
        "x-remote-user: alice".to_owned(),
        "remote-user: alice".to_owned(),
        "x-authentik-username: alice".to_owned(),
        "x-goog-authenticated-user-email: alice@example.com".to_owned(),
        "x-ms-client-principal-name: alice".to_owned(),
        "cf-access-authenticated-user-email: alice@example.com".to_owned(),
        "tailscale-user-login: alice".to_owned(),
        "x-pomerium-claim-email: alice@example.com".to_owned(),
        "x-nginx-internal: 1".to_owned(),
        "x-accel-redirect: /public/x".to_owned(),
        "x-sendfile: /public/x".to_owned(),
        "x-foregate: allow".to_owned(),
        "foregate-decision: allow".to_owned(),
        "foregate-canary: 1".to_owned(),
    ];
    for line in &inside {
        for entrance in ENTRANCES {
            for (host, uri) in [(APP, "/"), (RULES, "/admin/x"), ("lan.foregate.localhost", "/")] {
                assert_closed(&world.ask(entrance, host, uri, &[line]), entrance, (line, host, uri));
            }
            for (host, uri) in [(ADMINS, "/"), (RULES, "/admin/x"), ("user.foregate.localhost", "/")] {
                let reply = world.ask(entrance, host, uri, &[line, &bob]);
                assert_eq!(reply.status, 403, "{entrance:?} {line} {host}{uri}: {reply:?}");
            }
            let reply = world.ask(entrance, ADMINS, "/", &[line, &alice]);
            assert_open(&reply, entrance, line);
            assert_eq!(told(entrance, &reply, "remote-user"), ["alice"], "{entrance:?} {line}");
            let reply = world.ask(entrance, APP, "/", &[line, &bob]);
            assert_eq!(told(entrance, &reply, "remote-user"), ["bob"], "{entrance:?} {line}");
        }
    }
    let all = lines(&inside);
    world.is_closed(APP, "/", &all);
    world.is_closed(ADMINS, "/", &[&all[..], &[&*bob]].concat());
}

/// `gitea reverse-proxy auth (TrimSpace); unicode blanks` Gitea, and whatever trims as Unicode does: a name with a blank at its end
/// that is none to HTTP, and that the backend takes off, so that it is somebody else's.
///
/// Tried: all entrances with a session and with a token; every blank of Unicode, controls of C1, breaks of line and letters that
/// show nothing, at both ends of a name, an address and a group; each preset, and templates with blanks of their own; one list of
/// groups in a text.
#[test]
fn gitea_reverse_proxy_auth_trimming_makes_nobody_somebody_else() {
    let world = World::with("", |config| {
        let upstream = config.lines().find(|line| line.starts_with("upstream")).expect("an app").to_owned();
        let app = |name: &str, headers: &str| {
            let host = format!("{name}.foregate.localhost");
            format!("[apps.\"{host}\"]\n{upstream}\nallow = \"signed-in\"\nheaders = {headers}\n")
        };
        let own = "{ X-User = \"\u{a0}{username}\", X-Line = \"{name} <{email}>\u{2003}\", X-Groups = \"{groups:|}\" }";
        config + &app("outpost", "\"authentik\"") + &app("oauth2", "\"oauth2-proxy\"") + &app("own", own)
    });
    for blank in BLANKS {
        for name in [format!("alice{blank}"), format!("{blank}alice")] {
            let claims = json!({
                "preferred_username": name, "name": name, "email": name, "sub": name,
                "groups": format!("x,{name},{blank}Home Server Admins"),
            });
            world.provider.is_of(Mind {
                claims: claims.clone(),
                userinfo: claims.clone(),
                ..Mind::default()
            });
            let mut browser = stranger("mallory");
            browser.open(&world.url("auth", "/.foregate/sign-in"));
            let shown = [cookie_of(&browser), bearer(&world.provider.access_token("mallory", claims))];
            for (entrance, shown) in
                ENTRANCES.iter().flat_map(|one| shown.iter().map(move |shown| (*one, shown)))
            {
                assert_closed(&world.ask(entrance, ADMINS, "/", &[shown]), entrance, &name);
                assert_closed(
                    &world.ask(entrance, "user.foregate.localhost", "/", &[shown]),
                    entrance,
                    &name,
                );
                for (app, told_in) in TOLD {
                    let reply = world.ask(entrance, &format!("{app}.foregate.localhost"), "/", &[shown]);
                    assert_open(&reply, entrance, &name);
                    for header in told_in {
                        let [value] = <[String; 1]>::try_from(told(entrance, &reply, header)).expect("one");
                        assert_plain(&value, (entrance, header, &name));
                    }
                }
            }
        }
    }
}

/// What some software takes off the ends of a text, reads as a control, or does not show.
const BLANKS: [char; 14] = [
    '\u{85}', '\u{9b}', '\u{a0}', '\u{ad}', '\u{1680}', '\u{180e}', '\u{2003}', '\u{200b}', '\u{200f}',
    '\u{2028}', '\u{2029}', '\u{202f}', '\u{3000}', '\u{feff}',
];
/// Where each app is told of people.
const TOLD: [(&str, &[&str]); 4] = [
    ("app", &NAMES),
    (
        "outpost",
        &[
            "x-authentik-username",
            "x-authentik-name",
            "x-authentik-email",
            "x-authentik-groups",
            "x-authentik-uid",
        ],
    ),
    (
        "oauth2",
        &[
            "x-auth-request-user",
            "x-auth-request-email",
            "x-auth-request-groups",
            "x-auth-request-preferred-username",
        ],
    ),
    ("own", &["x-user", "x-line", "x-groups"]),
];

/// Holds that a value is somebody's own, and that nothing is taken off it or off an entry of it.
#[track_caller]
fn assert_plain(value: &str, what: impl std::fmt::Debug) {
    assert!(
        !value.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')),
        "{what:?}: {value:?}"
    );
    for entry in value.split([',', '|']).chain([value]) {
        assert!(entry.trim_matches(BLANKS) == entry && entry.trim() == entry, "{what:?}: {value:?}");
        assert!(entry != "alice" && entry != "Home Server Admins", "{what:?}: {value:?}");
    }
    assert!(value.contains("alice") && value.contains('%'), "{what:?}: {value:?}");
}
