//! Sessions and sign-ins over their life: cookies that are none, sign-ins that are late, sign-outs that somebody else asks
//! for, sessions that outlive what they rest on.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foregate::browser::{Origins, ReturnTo};
use foregate::login::{Account, Callback, Caller, Finished, Wish};
use serde_json::json;
use url::Url;

use super::world::{
    ADMINS, APP, ENTRANCES, Entrance, OPEN, RULES, World, assert_closed, assert_open, cookie_of, stranger,
    world,
};
use crate::support::foregate::{Foregate, KEY, free_port, run};
use crate::support::hostile_provider::{HostileProvider, Mind, SECRET, Says, says};
use crate::support::http::{Browser, NAVIGATES, Reply, raw, request};
use crate::support::issuer::now;
use crate::support::postgres;
use crate::support::upstream::until;

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

/// `CVE-2026-25748 / GHSA-fj56-5763-j8pp` authentik outpost: a session cookie that is broken, answered with 200 and without an
/// identity.
///
/// Tried: all entrances with cookies that are cut, changed, doubled, too long, of other keys, names and purposes; account and
/// session addresses.
#[test]
fn cve_2026_25748_a_broken_cookie_is_no_cookie() {
    let world = world();
    let alice = world.cookie("alice");
    let value = alice.trim_start_matches("Cookie: foregate=");
    let changed = |at: usize| {
        let mut bytes = value.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).expect("text")
    };
    let mut broken: Vec<String> = [
        "",
        "garbage",
        "!!!!",
        "%00",
        "AAAA",
        "null",
        "undefined",
        "true",
        "0",
        "{}",
        "[]",
        "*",
        "' OR 1=1 --",
        "..",
    ]
    .map(str::to_owned)
    .into();
    broken.extend((0..value.len()).step_by(7).map(changed));
    broken.extend([1, 20, 21, 22, 40, 63].map(|length| value[..length.min(value.len() - 1)].to_owned()));
    broken.extend([
        format!("{value}A"),
        format!("{value}="),
        format!(" {value} x"),
        format!("\"{value}\""),
        format!("{value}%"),
        value.to_ascii_uppercase(),
        value.chars().rev().collect(),
        "A".repeat(8192),
        URL_SAFE_NO_PAD.encode([0; 48]),
        URL_SAFE_NO_PAD.encode([255; 48]),
        value[..22].to_owned() + &"A".repeat(42),
    ]);
    for broken in broken.iter().filter(|broken| *broken != value) {
        let line = format!("Cookie: foregate={broken}");
        let twice = format!("Cookie: foregate={broken}; foregate={broken}");
        for line in [&line, &twice] {
            for entrance in ENTRANCES {
                let reply = world.ask(entrance, APP, "/", &[line]);
                assert!(matches!(reply.status, 400 | 401), "{entrance:?} {line}: {reply:?}");
                let reply = world.ask(entrance, APP, "/", &[line, NAVIGATES]);
                assert!(matches!(reply.status, 302 | 400 | 401), "{entrance:?} {line}: {reply:?}");
            }
        }
        assert_eq!(world.own("GET", "/.foregate/session", &[&line], "").status, 401, "{line}");
        assert_eq!(world.own("GET", "/.foregate/account", &[&line, NAVIGATES], "").status, 302, "{line}");
    }
    for bytes in [
        &b"Cookie: foregate=a\0b\r\n"[..],
        b"Cookie: foregate=\xff\xfe\r\n",
        b"Cookie: \x80=\x80; foregate=\x80\r\n",
    ] {
        for entrance in ENTRANCES {
            let mut all = entrance.bytes("GET", ("http", APP, "/"), &[]);
            let at = all.windows(2).position(|part| part == b"\r\n").expect("a line") + 2;
            all.splice(at..at, bytes.iter().copied());
            assert_closed(&raw(world.foregate.public, &all), entrance, bytes);
        }
    }
    for name in [
        "Foregate",
        "FOREGATE",
        "foregate-login",
        "xforegate",
        "__Host-foregate",
        "__Secure-foregate",
        "$foregate",
    ] {
        world.is_closed(APP, "/", &[&format!("Cookie: {name}={value}")]);
    }
}

/// `CVE-2026-34454 / GHSA-f24x-5g9q-753f` oauth2-proxy: a sign-in page is shown, and the session before it goes on.
///
/// Tried: another account is asked for and not finished: nothing ever said that somebody was signed out, and the session is as
/// it was; a finished one ends it everywhere; a page that says "signed out" is only shown to whoever is.
#[test]
fn cve_2026_34454_a_session_ends_when_the_page_says_so() {
    let world = World::new();
    let mut browser = world.sign_in("alice");
    let before = cookie_of(&browser);
    let other = world.url("auth", "/.foregate/sign-in?account=other");
    let start = browser.step("GET", &Url::parse(&other).expect("a URL"), "");
    assert!(start.status == 302 && !start.body.contains("signed out"), "{start:?}");
    for entrance in ENTRANCES {
        assert_open(&world.ask(entrance, APP, "/", &[&before]), entrance, "not finished");
    }
    browser.lines = vec!["X-User: bob".into()];
    let reply = browser.open(start.location().as_str());
    assert_ne!(cookie_of(&browser), before, "{reply:?}");
    for entrance in ENTRANCES {
        assert_closed(&world.ask(entrance, APP, "/", &[&before]), entrance, "replaced");
        assert_open(&world.ask(entrance, APP, "/", &[&cookie_of(&browser)]), entrance, "the new one");
    }
    let last = cookie_of(&browser);
    let reply =
        browser.step("GET", &Url::parse(&world.url("auth", "/.foregate/sign-out")).expect("a URL"), "");
    assert_eq!(reply.location().path(), "/.foregate/signed-out");
    for entrance in ENTRANCES {
        assert_closed(&world.ask(entrance, APP, "/", &[&last]), entrance, "signed out");
    }
}

/// `CVE-2025-55162; CVE-2024-21492` Envoy, caddy-security: a sign-out that takes away a cookie with other attributes than it was set
/// with, so that the browser keeps it; and a cookie that counts behind it.
///
/// Tried: every sign-out, ours and those of other products, by link, form, frame and account page, with cookies for a domain and for
/// one host, over https and without; the old cookie is nobody's at all entrances.
#[test]
fn cve_2025_55162_a_sign_out_takes_away_the_very_cookie_that_was_set() {
    let own = "[apps.\"auth.foregate.localhost/page\"]\nupstream = \"BACKEND\"\nallow = \"signed-in\"\n";
    for (scheme, name, alone) in [
        ("http", "foregate", false),
        ("https", "__Secure-foregate", false),
        ("https", "__Host-foregate", true),
    ] {
        let world = World::with("", |config| {
            let config = config.replace("public_url = \"http:", &format!("public_url = \"{scheme}:"));
            let apps = config.find("[apps.").expect("apps");
            let backend = config.split("upstream = \"").nth(1).and_then(|rest| rest.split('"').next());
            let own = own.replace("BACKEND", backend.expect("a backend"));
            if alone { config[..apps].to_owned() + &own } else { config }
        });
        world.provider.is_of(Mind { claims: json!({"sid": "the-sid"}), ..Mind::default() });
        let (host, page) = if alone { ("auth.foregate.localhost", "/page") } else { (APP, "/") };
        for out in [
            "GET /.foregate/sign-out",
            "GET /oauth2/sign_out",
            "GET /outpost.goauthentik.io/sign_out",
            "POST browser",
            "POST everywhere",
            "POST provider",
            "GET /.foregate/frontchannel-logout",
            "GET /.foregate/sign-in?account=other",
        ] {
            let mut browser = stranger("alice");
            browser.lines.push(format!("X-Forwarded-Proto: {scheme}"));
            let at = |page: &str| {
                let url = format!("{scheme}://auth.foregate.localhost:{}{page}", world.port);
                Url::parse(&url).expect("a URL")
            };
            let mut set = signed_in_setting(&mut browser, &at("/.foregate/sign-in"));
            let value = browser.cookie(name).unwrap_or_else(|| panic!("{name}: {set:?}")).value.clone();
            let cookie = format!("Cookie: {name}={value}");
            let ask = |entrance: Entrance| {
                let proto = format!("X-Forwarded-Proto: {scheme}");
                let lines: &[&str] =
                    if entrance == Entrance::Proxy { &[&cookie, &proto] } else { &[&cookie] };
                world.ask_by(entrance, "GET", (scheme, host, page), lines)
            };
            for entrance in ENTRANCES {
                assert_open(&ask(entrance), entrance, (name, out));
            }
            let reply = match out.split_once(' ').expect("two words") {
                ("POST", scope) => {
                    let mut elsewhere = browser.clone();
                    elsewhere.lines.push("Sec-Fetch-Site: cross-site".into());
                    let page = elsewhere.step("GET", &at("/.foregate/sign-out"), "");
                    let csrf = page
                        .body
                        .split("name=\"csrf\" value=\"")
                        .nth(1)
                        .and_then(|rest| rest.split('"').next());
                    let form = format!("scope={scope}&csrf={}", csrf.unwrap_or_else(|| panic!("{page:?}")));
                    browser.step("POST", &at("/.foregate/sign-out"), &form)
                }
                (_, "/.foregate/frontchannel-logout") => {
                    let target =
                        format!("/.foregate/frontchannel-logout?iss={}&sid=the-sid", world.provider.issuer());
                    browser.step("GET", &at(&target), "")
                }
                (_, "/.foregate/sign-in?account=other") => {
                    // Another account takes the place of this one: its cookies are the same ones.
                    browser.lines[0] = "X-User: bob".into();
                    set.extend(signed_in_setting(&mut browser, &at("/.foregate/sign-in?account=other")));
                    Reply::default()
                }
                (_, target) => browser.step("GET", &at(target), ""),
            };
            let gone: Vec<(String, Vec<String>)> =
                reply.all("set-cookie").into_iter().map(attributes).collect();
            let ends = |(other, _): &(String, Vec<String>)| other == name;
            assert!(out.contains("account") || gone.iter().any(ends), "{name} {out}: {reply:?}");
            for line in reply.all("set-cookie") {
                assert!(line.contains("Max-Age=0") && line.contains("=;"), "{name} {out}: {line}");
            }
            for (name, told) in &gone {
                let as_set: Vec<_> = set.iter().filter(|(other, _)| other == name).collect();
                assert!(!as_set.is_empty(), "{name} was set: {set:?}");
                assert!(as_set.iter().all(|(_, set)| set == told), "{name} {out}: {told:?} {as_set:?}");
            }
            let has = |wanted: &str| set.iter().all(|(_, told)| told.iter().any(|part| part == wanted));
            assert!(has("path=/") && has("httponly") && has("samesite=lax"), "{set:?}");
            assert_eq!(
                (has("secure"), has("domain=foregate.localhost")),
                (scheme == "https", !alone),
                "{set:?}"
            );
            for entrance in ENTRANCES {
                assert_closed(&ask(entrance), entrance, (name, out));
            }
        }
    }
}

/// Signs a browser in, and tells the attributes of every cookie that is set on the way.
fn signed_in_setting(browser: &mut Browser, at: &Url) -> Vec<(String, Vec<String>)> {
    let (mut url, mut set) = (at.clone(), Vec::new());
    for _ in 0..4 {
        let reply = browser.step("GET", &url, "");
        let kept = reply.all("set-cookie").into_iter().filter(|line| !line.contains("Max-Age=0"));
        set.extend(kept.map(attributes));
        let Some(to) = reply.header("location") else { break };
        url = Url::parse(to).expect("an absolute address");
    }
    set
}

/// The name of a cookie, and what tells a browser which one is meant.
fn attributes(line: &str) -> (String, Vec<String>) {
    let mut parts = line.split(';').map(str::trim);
    let name = parts.next().and_then(|pair| pair.split('=').next()).unwrap_or_default().to_owned();
    let mut told: Vec<String> = parts.map(str::to_ascii_lowercase).collect();
    told.retain(|part| !part.starts_with("max-age=") && !part.starts_with("expires="));
    told.sort();
    (name, told)
}

/// `CVE-2024-39315` Pomerium: the page about oneself, and the tokens of the provider in it.
///
/// Tried: every page and answer of foregate's own, those of other products' addresses, of the operator's listener, of all entrances and
/// what the backend gets, for somebody who has just signed in: no token, code, cookie or secret of anybody.
#[test]
fn cve_2024_39315_no_answer_tells_a_token() {
    let world =
        World::with("", |config| config.replace("[session]", &format!("[session]\nkeys = [\"{KEY}\"]")));
    let mut alice = stranger("alice");
    let first = Url::parse(&world.url("app", "/")).expect("a URL");
    let start = alice.step("GET", &first, "").location();
    let login = alice.cookie("foregate-login").expect("a login cookie").value.clone();
    let back = alice.step("GET", &start, "").location();
    alice.step("GET", &back, "");
    let session = alice.cookie("foregate").expect("a session").value.clone();
    let mut secrets: Vec<String> =
        ["access-alice", "refresh-alice", SECRET, KEY, "eyJ"].map(str::to_owned).to_vec();
    secrets.extend([login, session[22..].to_owned(), session.clone()]);
    let pairs = start.query_pairs().chain(back.query_pairs());
    let sealed = ["code", "state", "nonce", "code_challenge"];
    secrets.extend(pairs.filter(|(name, _)| sealed.contains(&&**name)).map(|(_, value)| value.into_owned()));
    assert!(secrets.iter().all(|secret| secret.len() > 2) && secrets.len() >= 13, "{secrets:?}");
    let clean = |reply: &Reply, what: &str| {
        let text = format!("{reply:?}");
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{what} tells {secret}: {text}");
        }
    };
    let cookie = cookie_of(&alice);
    for page in [
        "/",
        "/.foregate/account",
        "/.foregate/session",
        "/.foregate/session.js",
        "/.foregate/sign-in",
        "/.foregate/sign-out?x",
        "/.foregate/signed-out",
        "/.foregate/jwks.json",
        "/.foregate/other",
        "/oauth2/userinfo",
        "/oauth2/auth",
        "/oauth2/start",
        "/oauth2/sign_in",
        "/outpost.goauthentik.io/start",
        "/outpost.goauthentik.io/ping",
        &format!("{}?{}", back.path(), back.query().unwrap_or_default()),
    ] {
        for accept in [NAVIGATES, "Accept: application/json"] {
            for method in ["GET", "HEAD", "POST", "OPTIONS"] {
                let lines = [cookie.as_str(), accept, "Sec-Fetch-Site: cross-site"];
                clean(&world.own(method, page, &lines, ""), &format!("{method} {page}"));
            }
        }
    }
    for page in [
        "/api/v1/sessions",
        "/api/v1/users",
        "/api/v1/explain?url=http://app.foregate.localhost/",
        "/metrics",
        "/readyz",
    ] {
        let lines = [&*format!("Host: {}", world.foregate.admin), "Connection: close"];
        clean(&raw(world.foregate.admin, request("GET", page, &lines, "").as_bytes()), page);
    }
    for entrance in ENTRANCES {
        for host in [
            APP,
            ADMINS,
            OPEN,
            RULES,
            "nobody.foregate.localhost",
            "fresh.foregate.localhost",
            "unknown.test",
        ] {
            for accept in [NAVIGATES, "Accept: application/json"] {
                let reply = world.ask(entrance, host, "/admin/x", &[&cookie, accept]);
                // A sign-in that begins has a state of its own.
                clean(&reply, host);
            }
        }
    }
    let (got, about) =
        (world.backend.seen().join(""), world.own("GET", "/.foregate/session", &[&cookie], ""));
    let found = secrets.iter().find(|secret| got.contains(secret.as_str()));
    assert!(found.is_none() && got.contains("remote-user: alice"), "the backend got {found:?}: {got}");
    assert_eq!(about.json()["user"], "alice", "{about:?}");
}

/// `CVE-2024-38371; CVE-2025-53942` authentik: a device of somebody who may not, and one whose account was closed meanwhile.
///
/// Tried: approved and not yet fetched, fetched and in use, and yet to be approved, while the person is disabled and when they are
/// enabled again; an app that the person may not use.
#[cfg(feature = "sqlite")]
#[test]
fn cve_2024_38371_a_device_has_no_more_than_its_person() {
    crate::pairing::a_device_has_no_more_than_its_person();
}

/// `oauth2-proxy#3369` oauth2-proxy: a sign-in that was begun long ago, as its cookie is kept.
///
/// Tried: a sign-in that ends an hour and a second after it was begun, with its cookie and the right code: it is begun anew. One
/// that ends within the hour counts.
#[test]
fn oauth2_proxy_3369_a_sign_in_ends_by_its_own_clock() {
    let provider = HostileProvider::start();
    let text = format!(
        "public_url = \"http://auth.foregate.localhost:1\"\nallow = \"signed-in\"\n{}",
        provider.config()
    );
    let environment = foregate::config::Environment::default();
    let loaded = foregate::config::Config::from_text(Some(("test.toml", &text)), &environment);
    let mut config = loaded.expect("a configuration").config;
    config.session.location = foregate::session::store::Location::Memory;
    config.session.keys = vec![foregate::secret::Secret::new(KEY)];
    block_on(async {
        let site = foregate::app::site(config).expect("a site");
        let origins = Origins { public_url: &site.public_url, port_of: &|_: &str| None, theirs: &[] };
        for (age, counts) in [(3601, false), (86_400, false), (3500, true), (0, true)] {
            let at = site.login.providers().iter().next().expect("a provider");
            let wish = Wish { at, to: ReturnTo::home(&origins), account: Account::Any, proof: None };
            let begun = site.login.begin(wish, &[], now() - age).await.expect("a beginning");
            let binding = begun.binding.expect("a login cookie");
            let back = Browser::default().step("GET", &begun.location, "").location();
            let one = |name: &str| {
                back.query_pairs().find(|(key, _)| key == name).expect("a parameter").1.into_owned()
            };
            let (state, code, issuer) = (one("state"), one("code"), one("iss"));
            let callback = Callback { state: &state, code: Some(&code), error: None, issuer: Some(&issuer) };
            let caller = Caller {
                bindings: vec![&binding],
                live: None,
                client: String::new(),
                address: None,
                user_agent: String::new(),
            };
            let finished = site.login.finish(callback, caller, &origins, now()).await.expect("an end");
            assert_eq!(matches!(finished, Finished::Welcome { .. }), counts, "{age}: {finished:?}");
            assert_eq!(matches!(finished, Finished::Again(_)), !counts, "{age}: {finished:?}");
        }
        assert_eq!(provider.asked("/token"), 2, "a code that comes late is not redeemed");
    });
}

/// `mod_auth_openidc 2026-08-07 (front-channel logout)` mod_auth_openidc: a front-channel logout by whoever knows or guesses a
/// session's name.
///
/// Tried: without cookies, with somebody else's, with every mixture of issuer and name; the right one in the right browser is the
/// only one that ends anything.
#[test]
fn mod_auth_openidc_2026_08_07_a_frame_ends_nobody_elses_session() {
    let world = World::new();
    world.provider.is_of(Mind { claims: json!({"sid": "the-sid"}), ..Mind::default() });
    let (alice, bob) = (world.cookie("alice"), world.cookie("bob"));
    let issuer = world.provider.issuer();
    for query in [
        format!("?iss={issuer}&sid=the-sid"),
        "?sid=the-sid".to_owned(),
        format!("?iss={issuer}"),
        format!("?iss={issuer}&sid=%"),
        format!("?iss={issuer}&sid="),
        format!("?iss={issuer}&sid=the-sid&sid=x"),
        "?iss=https://elsewhere.test/&sid=the-sid".to_owned(),
        String::new(),
    ] {
        for line in ["X: y", "Cookie: foregate=the-sid", "Cookie: foregate=AAAA"] {
            let reply = world.own("GET", &format!("/.foregate/frontchannel-logout{query}"), &[line], "");
            assert!(reply.status < 500, "{query}: {reply:?}");
        }
        for cookie in [&alice, &bob] {
            assert_open(&world.ask(Entrance::Traefik, APP, "/", &[cookie]), Entrance::Traefik, &query);
        }
    }
    let target = format!("/.foregate/frontchannel-logout?iss={issuer}&sid=the-sid");
    assert_eq!(world.own("GET", &target, &[&alice], "").status, 200);
    for entrance in ENTRANCES {
        assert_closed(&world.ask(entrance, APP, "/", &[&alice]), entrance, "hers has ended");
        assert_open(&world.ask(entrance, APP, "/", &[&bob]), entrance, "his has not");
    }
}

/// `authentik ATH-01-009, ATH-01-011` authentik: an image, a frame or a link on another site that signs somebody out.
///
/// Tried: every own address and those of other products by GET, HEAD, OPTIONS and POST, as each kind of request that another
/// site can make, with what the forms would say in the query; the operator's API by GET.
#[test]
fn authentik_ath_01_009_another_site_changes_nothing() {
    let world = World::new();
    let alice = world.sign_in("alice");
    let cookie = cookie_of(&alice);
    let kinds: [&[&str]; 6] = [
        &["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"],
        &["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"],
        &["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"],
        &[
            "Sec-Fetch-Site: cross-site",
            "Sec-Fetch-Mode: cors",
            "Sec-Fetch-Dest: empty",
            "Origin: http://evil.test",
        ],
        &["Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"],
        &[
            "Sec-Fetch-Site: none",
            "Sec-Fetch-Mode: navigate",
            "Sec-Fetch-Dest: document",
            "Sec-Purpose: prefetch",
        ],
    ];
    let form = ["Content-Type: application/x-www-form-urlencoded"];
    for path in [
        "/.foregate/sign-out",
        "/.foregate/sign-out?scope=everywhere",
        "/.foregate/sign-out?scope=browser&csrf=x&rd=http://evil.test/",
        "/.foregate/account?others=all",
        "/.foregate/account?session=00000000000000000000000000000000",
        "/.foregate/account?make=x&app=app.foregate.localhost",
        "/.foregate/signed-out",
        "/.foregate/backchannel-logout?logout_token=x",
        "/.foregate/session?end=1",
        "/oauth2/sign_out",
        "/outpost.goauthentik.io/sign_out",
    ] {
        for kind in kinds {
            for (method, body) in [
                ("GET", ""),
                ("HEAD", ""),
                ("OPTIONS", ""),
                ("POST", "scope=everywhere&others=all&csrf=x"),
                ("POST", ""),
            ] {
                let lines = [kind, &[&*cookie], if body.is_empty() { &[] } else { &form }].concat();
                let reply = world.own(method, path, &lines, body);
                assert!(reply.status < 500, "{method} {path}: {reply:?}");
                let gone = reply.all("set-cookie").iter().any(|line| line.starts_with("foregate=;"));
                assert!(!gone, "{method} {path} {kind:?}: {reply:?}");
            }
        }
        assert_open(&world.ask(Entrance::Traefik, APP, "/", &[&cookie]), Entrance::Traefik, path);
    }
    for path in ["/api/v1/sessions?all=true", "/api/v1/users/disable?user=alice", "/api/v1/reload"] {
        let host = format!("Host: {}", world.foregate.admin);
        for method in ["GET", "HEAD", "OPTIONS"] {
            raw(world.foregate.admin, request(method, path, &[&host, "Connection: close"], "").as_bytes());
        }
    }
    for entrance in ENTRANCES {
        assert_open(&world.ask(entrance, APP, "/", &[&cookie]), entrance, "still signed in");
    }
}

/// `CVE-2025-29928` authentik: a session that was deleted goes on.
///
/// Tried: the row removed from PostgreSQL, the session ended by the operator's command, the person disabled; on two replicas
/// through all entrances, with the memory warm.
#[test]
fn cve_2025_29928_a_session_without_its_row_is_over() {
    let url = postgres::fresh_url();
    let world = World::with("", |config| {
        config.replace(
            "store = \"sqlite:DIR/foregate.db\"",
            &format!("store = \"{url}\"\nkeys = [\"{KEY}\"]\npoll = \"1s\""),
        )
    });
    let other = Foregate::start(&world.config);
    let file = world.foregate.dir().join("foregate.toml");
    for how in ["row", "command", "disabled"] {
        let cookie = cookie_of(&world.sign_in("carol"));
        for foregate in [&world.foregate, &other] {
            let bytes = Entrance::Traefik.bytes("GET", ("http", APP, "/"), &[&cookie]);
            assert_eq!(raw(foregate.public, &bytes).status, 200, "{how}");
        }
        let words: &[&str] = match how {
            "row" => &[],
            "command" => &["session", "revoke", "--user", "carol"],
            _ => &["user", "disable", "carol"],
        };
        if words.is_empty() {
            block_on(postgres::run_sql(&url, "DELETE FROM foregate_session"));
        } else {
            let args = [words, &["--config", file.to_str().expect("a path")]].concat();
            assert_eq!(run(&args, world.foregate.dir()).0, Some(0), "{how}");
        }
        for foregate in [&world.foregate, &other] {
            for entrance in ENTRANCES {
                let bytes = entrance.bytes("GET", ("http", APP, "/"), &[&cookie]);
                until("it is over", || raw(foregate.public, &bytes).status / 100 == 4);
            }
        }
    }
    let mut browser = stranger("carol");
    let reply = browser.open(&world.url("app", "/"));
    assert!(reply.status == 403 && browser.cookie("foregate").is_none(), "disabled: {reply:?}");
}

/// The SQLite store of a world.
#[cfg(feature = "sqlite")]
fn database(foregate: &Foregate) -> rusqlite::Connection {
    rusqlite::Connection::open(foregate.dir().join("foregate.db")).expect("a file")
}

/// A world whose sessions are due to be renewed, at a provider of this mind.
#[cfg(feature = "sqlite")]
fn with_sessions_due(world: World, mind: Mind) -> World {
    let World { provider, backend, foregate, config, port, .. } = world;
    provider.is_of(mind);
    let file = foregate.dir().join("foregate.db");
    let foregate = foregate.restart_after(&config, || {
        let database = rusqlite::Connection::open(file).expect("a file");
        assert!(database.execute("UPDATE foregate_session SET renew_at = 1", []).expect("an update") > 0);
    });
    World::of(provider, backend, (foregate, config, port))
}

/// `authentik#25826, #24718, #2023, #4999` authentik: the account is closed at the provider, and no message tells.
///
/// Tried: a provider that never sends a logout token and refuses the refresh; all entrances. Without any renewal the session
/// ends by its own time.
#[cfg(feature = "sqlite")]
#[test]
fn authentik_25826_a_session_rests_on_no_message_alone() {
    let world = World::new();
    let cookie = world.cookie("alice");
    let refuse =
        says("400 Bad Request", "Content-Type: application/json\r\n", r#"{"error":"invalid_grant"}"#);
    let world = with_sessions_due(world, Mind { instead: [("/token", refuse)].into(), ..Mind::default() });
    for entrance in ENTRANCES {
        assert_closed(&world.ask(entrance, APP, "/", &[&cookie]), entrance, "not renewed");
    }
    // Nobody can be renewed: time alone ends it.
    let short =
        World::with("", |config| config.replace("[session]", "[session]\nlifetime = \"1h\"\nidle = \"1h\""));
    let cookie = short.cookie("alice");
    let World { provider: _provider, foregate, config, port, .. } = short;
    let file = foregate.dir().join("foregate.db");
    let foregate = foregate.restart_after(&config, || {
        let database = rusqlite::Connection::open(file).expect("a file");
        let sql = "UPDATE foregate_session SET created_at = created_at - 3700, last_seen = last_seen - 3700";
        assert_eq!(database.execute(sql, []).expect("an update"), 1);
    });
    for entrance in ENTRANCES {
        let reply = raw(foregate.public, &entrance.bytes("GET", ("http", APP, "/"), &[&cookie]));
        assert_closed(&reply, entrance, ("too old", port));
    }
}

/// `oauth2-proxy#3333` oauth2-proxy: a renewal that the provider refuses, and one that it cannot answer.
///
/// Tried: `invalid_grant`, `invalid_client`, words that the person must be asked, and a userinfo that does not take the new
/// token end a session; 500, silence, a page of somebody in between and a cut answer keep it; an answer about somebody else ends
/// it, and so does one that cannot be used, as whom it is about may have made it so.
#[cfg(feature = "sqlite")]
#[test]
fn oauth2_proxy_3333_a_refusal_ends_a_session_and_an_outage_does_not() {
    let json = "Content-Type: application/json\r\n";
    let said = |status: &str, body: &str| Mind {
        instead: [("/token", says(status, json, body))].into(),
        ..Mind::default()
    };
    let userinfo =
        |status: &str| Mind { instead: [("/userinfo", says(status, json, "{}"))].into(), ..Mind::default() };
    let half = Says::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{".to_vec());
    let at = |path: &'static str, status: &str, lines: &str, body: &str| Mind {
        instead: [(path, says(status, lines, body))].into(),
        ..Mind::default()
    };
    let (page, endless) = ("Content-Type: text/html; charset=utf-8\r\n", "x".repeat(1024 * 1024 + 1));
    let zipped = "Content-Type: application/json\r\nContent-Encoding: gzip\r\n";
    let twice = r#"{"sub":"sub-alice","groups":["a"],"groups":["b"]}"#;
    for (what, mind, goes_on) in [
        ("invalid_grant", said("400 Bad Request", r#"{"error":"invalid_grant"}"#), false),
        ("invalid_client", said("401 Unauthorized", r#"{"error":"invalid_client"}"#), false),
        ("access_denied", said("403 Forbidden", r#"{"error":"access_denied"}"#), false),
        ("interaction_required", said("400 Bad Request", r#"{"error":"interaction_required"}"#), false),
        ("login_required", said("400 Bad Request", r#"{"error":"login_required"}"#), false),
        ("consent_required", said("400 Bad Request", r#"{"error":"consent_required"}"#), false),
        (
            "account_selection_required",
            said("400 Bad Request", r#"{"error":"account_selection_required"}"#),
            false,
        ),
        ("invalid_request", said("400 Bad Request", r#"{"error":"invalid_request"}"#), true),
        ("a page of somebody in between", said("403 Forbidden", "<h1>no</h1>"), true),
        ("userinfo 401", userinfo("401 Unauthorized"), false),
        ("userinfo 403", userinfo("403 Forbidden"), false),
        ("userinfo 503", userinfo("503 Service Unavailable"), true),
        ("500", said("500 Internal Server Error", ""), true),
        ("429", said("429 Too Many Requests", ""), true),
        ("silence", Mind { instead: [("/token", Says::Nothing)].into(), ..Mind::default() }, true),
        ("half", Mind { instead: [("/token", half)].into(), ..Mind::default() }, true),
        ("a page in the place of tokens", at("/token", "200 OK", page, "<h1>soon</h1>"), true),
        ("a page in the place of claims", at("/userinfo", "200 OK", page, "<h1>soon</h1>"), true),
        ("an endless 502", at("/token", "502 Bad Gateway", page, &endless), true),
        ("userinfo: an endless 502", at("/userinfo", "502 Bad Gateway", page, &endless), true),
        ("endless tokens", at("/token", "200 OK", json, &endless), false),
        ("endless claims", at("/userinfo", "200 OK", json, &endless), false),
        ("zipped claims", at("/userinfo", "200 OK", zipped, "?"), false),
        ("no tokens", at("/token", "200 OK", json, "{}"), false),
        ("claims that stand there twice", at("/userinfo", "200 OK", json, twice), false),
        ("claims of nobody", at("/userinfo", "200 OK", json, "{}"), false),
        ("a token too long for a header", at("/userinfo", "431 Too Large", page, "<h1>no</h1>"), false),
        (
            "a session name too long",
            Mind { claims: json!({"sid": "s".repeat(2000)}), ..Mind::default() },
            false,
        ),
        (
            "somebody else",
            Mind {
                claims: json!({"sub": "sub-bob"}),
                userinfo: json!({"sub": "sub-bob"}),
                ..Mind::default()
            },
            false,
        ),
        (
            "another issuer",
            Mind { claims: json!({"iss": "https://elsewhere.test/"}), ..Mind::default() },
            false,
        ),
    ] {
        let world = World::new();
        let cookie = world.cookie("alice");
        let world = with_sessions_due(world, mind);
        for entrance in [Entrance::Traefik, Entrance::Nginx, Entrance::Proxy] {
            let reply = world.ask(entrance, APP, "/", &[&cookie]);
            assert_eq!((200..300).contains(&reply.status), goes_on, "{what} {entrance:?}: {reply:?}");
        }
    }
}

/// `goauthentik/authentik#19860` authentik outpost: requests without end while somebody signs out.
///
/// Tried: eight clients that never stop, through three entrances, by the sign-out of a browser and by the operator's command:
/// nothing that is asked behind its answer is let in, and no row comes back.
#[cfg(feature = "sqlite")]
#[test]
fn goauthentik_authentik_19860_nothing_brings_a_session_back() {
    let world = World::new();
    for round in 0..6 {
        let mut browser = world.sign_in("alice");
        let cookie = cookie_of(&browser);
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for client in 0..8 {
                let (world, cookie, over) = (&world, &cookie, &over);
                scope.spawn(move || {
                    let entrance = [Entrance::Traefik, Entrance::Proxy, Entrance::Nginx][client % 3];
                    for _ in 0..2000 {
                        let was_over = over.load(Ordering::SeqCst);
                        let reply = world.ask(entrance, APP, "/", &[cookie]);
                        assert!(!was_over || reply.status / 100 == 4, "{entrance:?}: {reply:?}");
                        if was_over {
                            break;
                        }
                    }
                });
            }
            if round % 2 == 0 {
                let url = Url::parse(&world.url("auth", "/.foregate/sign-out")).expect("a URL");
                assert_eq!(browser.step("GET", &url, "").status, 303);
            } else {
                let host = format!("Host: {}", world.foregate.admin);
                let asked = request("DELETE", "/api/v1/sessions?all=true", &[&host, "Connection: close"], "");
                assert_eq!(raw(world.foregate.admin, asked.as_bytes()).status, 200);
            }
            over.store(true, Ordering::SeqCst);
        });
        let count: i64 = database(&world.foregate)
            .query_row("SELECT count(*) FROM foregate_session", [], |row| row.get(0))
            .expect("a count");
        assert_eq!(count, 0, "{round}");
    }
}

/// `CVE-2022-23469; mod_auth_openidc 2026-08-07, 2026-07-28, 2026-05-23` Traefik, mod_auth_openidc: cookies, codes and tokens in
/// the log.
///
/// Tried: everything logged that any part can log, over sign-ins that succeed and fail, tokens, passwords, forms, reloads, an
/// operator's token and a store that is named with its password.
#[test]
fn cve_2022_23469_no_log_has_a_secret() {
    let base = world();
    let (provider, port) = (HostileProvider::start(), free_port());
    let config = base
        .config
        .replace(&base.provider.issuer(), &provider.issuer())
        .replace(
            &format!("auth.foregate.localhost:{}", base.port),
            &format!("auth.foregate.localhost:{port}"),
        )
        .replace("[session]", "admin_token = \"the-operators-token\"\n[session]");
    let database = postgres::fresh_url();
    let password = Url::parse(&database).expect("a URL").password().map(str::to_owned);
    let config = config.replace(
        "store = \"sqlite:DIR/foregate.db\"",
        &format!("store = \"{database}\"\nkeys = [\"{KEY}\"]"),
    );
    let foregate = Foregate::start_logging(&config, port, "trace");
    let page = format!("http://app.foregate.localhost:{port}/");
    let mut browser = stranger("alice");
    assert_eq!(browser.open(&page).status, 200);
    let session = browser.cookie("foregate").expect("a session").value.clone();
    let mut secrets: Vec<String> = vec![
        session,
        SECRET.into(),
        KEY.into(),
        "the-operators-token".into(),
        "refresh-alice".into(),
        "access-alice".into(),
    ];
    secrets.extend(password.filter(|password| password.len() > 5));
    for url in &browser.visited {
        let wanted =
            |(name, _): &(_, _)| ["code", "state", "nonce"].contains(&std::borrow::Cow::as_ref(name));
        secrets.extend(url.query_pairs().filter(wanted).map(|(_, value)| value.into_owned()));
    }
    provider.is_of(Mind { claims: json!({"nonce": "wrong"}), ..Mind::default() });
    let mut failing = stranger("bob");
    failing.open(&page);
    secrets.extend(failing.visited.iter().flat_map(|url| {
        url.query_pairs()
            .filter(|(name, _)| name == "code")
            .map(|(_, value)| value.into_owned())
            .collect::<Vec<_>>()
    }));
    let token = provider.access_token("alice", json!({}));
    let basic = super::world::basic("alice", "app-alice");
    for line in [
        super::world::bearer(&token),
        super::world::bearer(&format!("{token}x")),
        basic.clone(),
        super::world::basic("bob", "a-wrong-password"),
    ] {
        for entrance in ENTRANCES {
            raw(
                foregate.public,
                &entrance.bytes("GET", ("http", APP, "/?code=a-code-of-the-apps"), &[&line]),
            );
        }
    }
    secrets.extend([
        token,
        basic.split(' ').nth(2).expect("a pair").to_owned(),
        "app-alice".into(),
        "a-wrong-password".into(),
    ]);
    let host = format!("Host: {}", foregate.admin);
    raw(
        foregate.admin,
        request(
            "GET",
            "/api/v1/sessions",
            &[&host, "Authorization: Bearer the-operators-token", "Connection: close"],
            "",
        )
        .as_bytes(),
    );
    foregate.hang_up();
    let signed_out =
        Url::parse(&format!("http://auth.foregate.localhost:{port}/.foregate/sign-out")).expect("a URL");
    browser.step("GET", &signed_out, "");
    foregate.wait_for_log("somebody signed out");
    let log = foregate.log_lines();
    assert!(log.iter().any(|line| line.contains("TRACE")), "the log says all it can");
    for secret in &secrets {
        let found = log.iter().find(|line| line.contains(secret.as_str()));
        assert_eq!(found, None, "{secret}");
    }
}

/// `mod_auth_openidc 2021-06-10` mod_auth_openidc: a sealed value in the place of another one, or of another person; a nonce
/// that comes twice.
///
/// Tried: states, login cookies, session cookies, form proofs and cookies of other hosts, each in the place of each; 300
/// states, none of which begins as another one.
#[test]
fn mod_auth_openidc_2021_06_10_a_sealed_value_has_one_place() {
    let world = World::new();
    let mut browser = stranger("alice");
    let page = Url::parse(&world.url("app", "/")).expect("a URL");
    let mut seen = HashSet::new();
    for _ in 0..300 {
        let start = Browser::default().step("GET", &page, "");
        let of = start.location();
        let state = of.query_pairs().find(|(name, _)| name == "state").expect("a state").1.into_owned();
        assert!(seen.insert(state[..16].to_owned()), "a nonce twice");
        let cookie = start.header("set-cookie").expect("a login cookie").to_owned();
        assert!(seen.insert(cookie.split('=').nth(1).expect("a value")[..16].to_owned()), "a nonce twice");
    }
    let start = browser.step("GET", &page, "").location();
    let state = start.query_pairs().find(|(name, _)| name == "state").expect("a state").1.into_owned();
    let login = browser.cookie("foregate-login").expect("a login cookie").value.clone();
    let session = cookie_of(&world.sign_in("alice")).trim_start_matches("Cookie: foregate=").to_owned();
    let callback = browser.step("GET", &start, "").location();
    let with_state = |state: &str| {
        let mut url = callback.clone();
        let pairs: Vec<(String, String)> = callback.query_pairs().into_owned().collect();
        url.query_pairs_mut().clear().extend_pairs(
            pairs.iter().map(|(name, value)| (name.as_str(), if name == "state" { state } else { value })),
        );
        url
    };
    for wrong in [&login, &session] {
        let reply = browser.step("GET", &with_state(wrong), "");
        assert_eq!((reply.status, reply.all("set-cookie").len()), (400, 0), "{reply:?}");
    }
    for wrong in [&state, &session, &login] {
        let mut other = stranger("alice");
        other.lines.push(format!("Cookie: foregate-login={wrong}"));
        let reply = other.step("GET", &callback, "");
        let signed_in = reply.all("set-cookie").iter().any(|line| line.starts_with("foregate="));
        assert_eq!(signed_in, *wrong == login, "{wrong}: {reply:?}");
    }
    for wrong in [&state, &login] {
        world.is_closed(APP, "/", &[&format!("Cookie: foregate={wrong}")]);
    }
}

/// `mod_auth_openidc 2026-08-12 (verify fail-open)` mod_auth_openidc: something that was never sealed, where a sealed value
/// belongs.
///
/// Tried: plain JSON, JWS, JWE and texts as state, login cookie, session cookie, ticket, kept form and proof of a form.
#[test]
fn mod_auth_openidc_2026_08_12_what_was_not_sealed_does_not_open() {
    let world = World::new();
    let alice = world.cookie("alice");
    let state = json!({"to": world.url("app", "/"), "provider": "default", "at": now(), "turn": 1, "r": "https://evil.test/"}).to_string();
    let jws = world.provider.access_token("alice", json!({}));
    let jwe = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA";
    let digest = digest(&SHA256, state.as_bytes());
    for text in [
        &*state,
        &URL_SAFE_NO_PAD.encode(&state),
        &jws,
        jwe,
        "",
        "null",
        "AAAA",
        &"A".repeat(200),
        &URL_SAFE_NO_PAD.encode(digest),
    ] {
        let escaped: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let reply = world.own(
            "GET",
            &format!("/.foregate/callback?code=x&state={escaped}&iss={}", world.provider.issuer()),
            &[],
            "",
        );
        assert_eq!((reply.status, reply.all("set-cookie").len()), (400, 0), "{text}: {reply:?}");
        world.is_closed(APP, "/", &[&format!("Cookie: foregate={}", escaped.trim())]);
        world.is_closed(APP, "/", &[&format!("Cookie: foregate-login={escaped}")]);
        let form = ["Content-Type: application/x-www-form-urlencoded", &*alice];
        for (path, body) in [
            ("/.foregate/account", format!("csrf={escaped}&others=all")),
            ("/.foregate/sign-out", format!("csrf={escaped}&scope=everywhere")),
            ("/.foregate/backchannel-logout", format!("logout_token={escaped}")),
        ] {
            let reply = world.own("POST", path, &form, &body);
            assert!(matches!(reply.status, 400 | 403), "{path} {text}: {reply:?}");
        }
    }
    assert_eq!(world.provider.asked("/token"), 1, "only alice's own sign-in");
    assert_open(&world.ask(Entrance::Traefik, APP, "/", &[&alice]), Entrance::Traefik, "still signed in");
}

/// `goauthentik/authentik#26076, #6883` authentik outpost (Rust rewrite and Go): the first request behind a sign-in, which finds
/// no session and starts another one.
///
/// Tried: 60 sign-ins on two replicas of one PostgreSQL, each followed at once by requests on both, through all entrances.
#[test]
fn goauthentik_authentik_26076_a_session_is_there_when_the_browser_goes_on() {
    let url = postgres::fresh_url();
    let world = World::with("", |config| {
        config
            .replace("store = \"sqlite:DIR/foregate.db\"", &format!("store = \"{url}\"\nkeys = [\"{KEY}\"]"))
    });
    let other = Foregate::start(&world.config);
    for round in 0..60 {
        let mut browser = stranger("alice");
        let start = browser.step("GET", &Url::parse(&world.url("app", "/")).expect("a URL"), "").location();
        let callback = browser.step("GET", &start, "").location();
        let reply = browser.step("GET", &callback, "");
        assert_eq!(reply.status, 303, "{round}: {reply:?}");
        let cookie = cookie_of(&browser);
        let entrance = ENTRANCES[round % ENTRANCES.len()];
        let bytes = entrance.bytes("GET", ("http", APP, "/"), &[&cookie, NAVIGATES]);
        for foregate in [&other, &world.foregate, &other] {
            assert_open(&raw(foregate.public, &bytes), entrance, round);
        }
    }
}

/// `CVE-2026-77561 / GHSA-9xhm-w3wj-xhqh` Tinyauth: a flood of sign-ins that nobody finishes.
///
/// Tried: 5000 of them through all entrances and the sign-in address: nothing is stored, memory stays small, and others
/// sign in meanwhile.
#[cfg(feature = "sqlite")]
#[test]
fn cve_2026_77561_a_sign_in_that_is_begun_leaves_nothing_behind() {
    let world = World::new();
    world.sign_in("alice");
    let before = world.foregate.peak_kib();
    std::thread::scope(|scope| {
        for client in 0..4 {
            let world = &world;
            scope.spawn(move || {
                for round in 0..1250 {
                    let reply = if round % 12 == 11 {
                        world.own("GET", "/.foregate/sign-in", &[NAVIGATES], "")
                    } else {
                        world.ask(
                            ENTRANCES[round % ENTRANCES.len()],
                            APP,
                            &format!("/{client}/{round}"),
                            &[NAVIGATES],
                        )
                    };
                    assert!(matches!(reply.status, 302 | 401), "{reply:?}");
                }
            });
        }
        for _ in 0..20 {
            world.sign_in("bob");
        }
    });
    for table in ["foregate_session", "foregate_spent", "foregate_pairing", "foregate_token"] {
        let count: i64 = database(&world.foregate)
            .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))
            .expect("a count");
        assert_eq!(count, if table == "foregate_session" { 21 } else { 0 }, "{table}");
    }
    assert!(world.foregate.peak_kib() < before + 40_000, "{} KiB", world.foregate.peak_kib());
}

/// `pomerium#2264, #2314, #6289; oauth2-proxy --api-route` Pomerium, oauth2-proxy: a program that is sent to a sign-in page.
///
/// Tried: all entrances as fetch, JSON, gRPC, WebSocket, POST, and with a token or password that does not count.
#[test]
fn pomerium_2264_a_program_is_told_and_not_sent_away() {
    let world = world();
    for lines in [
        &["Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty", NAVIGATES][..],
        &["Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"],
        &["Accept: application/json"],
        &["Accept: application/grpc", "Content-Type: application/grpc"],
        &["Accept: text/event-stream"],
        &["X-Requested-With: XMLHttpRequest", NAVIGATES],
        &["Authorization: Bearer bad", NAVIGATES],
        &["Authorization: Bearer a.b.c", "Sec-Fetch-Mode: navigate", NAVIGATES],
        &["Authorization: Basic !", NAVIGATES],
        &["Authorization: bearer bad", NAVIGATES],
        &[],
    ] {
        for entrance in ENTRANCES {
            let reply = world.ask(entrance, APP, "/", lines);
            assert_eq!(
                (reply.status, reply.header("location")),
                (401, None),
                "{entrance:?} {lines:?}: {reply:?}"
            );
            assert!(reply.header("www-authenticate").is_some(), "{entrance:?} {lines:?}: {reply:?}");
        }
    }
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
        for entrance in ENTRANCES.into_iter().filter(|entrance| !matches!(entrance, Entrance::OutpostNginx)) {
            let reply = world.ask_by(entrance, method, ("http", APP, "/"), &[NAVIGATES]);
            assert_eq!(
                (reply.status, reply.header("location")),
                (401, None),
                "{entrance:?} {method}: {reply:?}"
            );
        }
    }
    let socket = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ];
    for entrance in [Entrance::Caddy, Entrance::Proxy, Entrance::Traefik] {
        let bytes = String::from_utf8(entrance.bytes("GET", ("http", APP, "/"), &socket)).expect("text");
        let reply: Reply = raw(world.foregate.public, bytes.replace("Connection: close\r\n", "").as_bytes());
        assert_eq!((reply.status, reply.header("location")), (401, None), "{entrance:?}: {reply:?}");
    }
    for host in [APP, ADMINS, RULES] {
        assert_eq!(world.ask(Entrance::Traefik, host, "/", &[NAVIGATES]).status, 302, "a person is sent on");
    }
    assert_eq!(world.ask(Entrance::Traefik, OPEN, "/", &[]).status, 200);
}
