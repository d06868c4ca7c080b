//! `/.foregate/session`: what the scripts of a page learn of its sign-in, and whose scripts may.

use serde_json::json;
use url::Url;

use crate::browser::browse;
use crate::support::foregate::{Foregate, KEY};
use crate::support::house::House;
use crate::support::http::{Reply, raw, request};

/// A house where the scripts of these origins may ask.
fn house(origins: impl Fn(&House) -> Vec<String>) -> House {
    let mut house = House::new();
    let named = format!("[session]\ncors_origins = {:?}\n", origins(&house));
    house.config = house.config.replace("[session]\n", &named);
    house.foregate = house.foregate.restart(&house.config);
    house
}

fn ask(foregate: &Foregate, method: &str, host: &str, lines: &[String]) -> Reply {
    let host = format!("Host: {host}");
    let lines: Vec<&str> = std::iter::once(&host).chain(lines).map(String::as_str).collect();
    raw(foregate.public, request(method, "/.foregate/session", &lines, "").as_bytes())
}

fn escape(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn origin(url: &str) -> String {
    Url::parse(url).expect("a URL").origin().ascii_serialization()
}

#[test]
fn a_script_is_told_who_is_signed_in_and_for_how_long() {
    let house = House::new();
    let mut alice = house.sign_in("alice");
    for host in ["auth", "app"] {
        let url = Url::parse(&house.url(host, "/.foregate/session")).expect("a URL");
        let reply = alice.step("GET", &url, "");
        assert_eq!((reply.status, reply.header("cache-control")), (200, Some("no-store")), "{reply:?}");
        assert_eq!(reply.header("content-type"), Some("application/json"));
        let mut told = reply.json();
        let left = told["expires_in"].as_u64().expect("seconds");
        assert!((604_790..=604_800).contains(&left), "a use makes it the whole idle time: {left}");
        told["expires_in"] = json!(null);
        assert_eq!(
            told,
            json!({ "user": "alice", "name": "Alice Example", "email": "alice@example.com",
                "groups": told["groups"], "roles": [], "permissions": [], "tenant": null, "expires_in": null }),
        );
        assert!(told["groups"].as_array().is_some_and(|groups| groups.contains(&json!("family"))), "{told}");
    }
    let asked = house.backend.seen().iter().filter(|request| request.contains("/.foregate/")).count();
    assert_eq!(asked, 0, "it is foregate's own at every host");
    let end = house.url("auth", "/.foregate/sign-out");
    alice.step("GET", &Url::parse(&end).expect("a URL"), "");
    let reply = alice.step("GET", &Url::parse(&house.url("app", "/.foregate/session")).expect("a URL"), "");
    assert_eq!((reply.status, reply.json()["reason"].as_str()), (401, Some("sign-in-required")), "{reply:?}");
}

#[test]
fn whoever_is_not_signed_in_learns_where_to_and_comes_back_only_to_pages_of_ours() {
    let house = House::new();
    let page = house.url("app", "/list?page=2");
    let host = format!("auth.foregate.localhost:{}", house.port);
    for (lines, target, back) in [
        (vec![format!("Referer: {page}")], "/.foregate/session".to_owned(), Some(page.as_str())),
        (vec![], format!("/.foregate/session?rd={}", escape(&page)), Some(page.as_str())),
        (vec!["Referer: http://evil.test/".to_owned()], "/.foregate/session".to_owned(), None),
        (vec![], "/.foregate/session?rd=https://evil.test/".to_owned(), None),
        (vec![], "/.foregate/session".to_owned(), None),
    ] {
        let mut all = vec![format!("Host: {host}")];
        all.extend(lines.clone());
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let reply = raw(house.foregate.public, request("GET", &target, &all, "").as_bytes());
        assert_eq!(reply.status, 401, "{reply:?}");
        let url = Url::parse(reply.header("foregate-sign-in").expect("an address")).expect("a URL");
        assert_eq!(reply.json()["sign_in_url"].as_str(), Some(url.as_str()));
        assert_eq!(url.path(), "/.foregate/sign-in");
        let rd = url.query_pairs().find(|(name, _)| name == "rd").map(|(_, rd)| rd.into_owned());
        assert_eq!(rd.as_deref(), back, "{lines:?} {target}");
        assert!(reply.header("location").is_none() && reply.all("set-cookie").is_empty(), "{reply:?}");
    }
}

#[test]
fn only_declared_origins_may_read_it_and_each_is_told_its_own_name() {
    let house = house(|house| vec![origin(&house.url("app", "/")), "https://spa.example.com".to_owned()]);
    let cookie =
        format!("Cookie: foregate={}", house.sign_in("alice").cookie("foregate").expect("one").value);
    let host = format!("auth.foregate.localhost:{}", house.port);
    let app = origin(&house.url("app", "/"));
    for (origins, allowed) in [
        (vec![app.as_str()], Some(app.as_str())),
        (vec!["https://spa.example.com"], Some("https://spa.example.com")),
        (vec!["https://SPA.example.com"], None),
        (vec!["https://spa.example.com."], None),
        (vec!["http://spa.example.com"], None),
        (vec!["https://spa.example.com:8443"], None),
        (vec!["https://evil.test"], None),
        (vec!["null"], None),
        (vec![app.as_str(), "https://evil.test"], None),
        (vec![], None),
    ] {
        for method in ["GET", "OPTIONS"] {
            let mut lines: Vec<String> = origins.iter().map(|origin| format!("Origin: {origin}")).collect();
            lines.push(cookie.clone());
            let reply = ask(&house.foregate, method, &host, &lines);
            assert_eq!(reply.status, if method == "GET" { 200 } else { 204 }, "{reply:?}");
            assert_eq!(reply.header("access-control-allow-origin"), allowed, "{method} {origins:?}");
            assert_eq!(
                reply.header("access-control-allow-credentials"),
                allowed.map(|_| "true"),
                "{method} {origins:?}"
            );
            assert_eq!(reply.header("vary"), Some("Origin, Cookie"));
        }
    }
    let reply = ask(&house.foregate, "POST", &host, &[]);
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD, OPTIONS")));
}

#[test]
fn a_silent_store_is_neither_signed_in_nor_signed_out() {
    let store = format!("store = \"postgres://nobody@127.0.0.1:9/none\"\nkeys = [\"{KEY}\"]");
    let house = House::with(&store, serde_json::Value::Null);
    let host = format!("auth.foregate.localhost:{}", house.port);
    assert_eq!(ask(&house.foregate, "GET", &host, &[]).status, 401, "without a cookie nothing is asked");
    let cookie = format!("Cookie: foregate={}", "A".repeat(64));
    let reply = ask(&house.foregate, "GET", &host, &[cookie]);
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("5")), "{reply:?}");
}

#[test]
fn the_script_tells_a_page_and_shows_one_bar_that_leads_back() {
    let house = house(|house| vec![origin(&house.url("app", "/"))]);
    let script = house.url("auth", "/.foregate/session.js");
    let page = house.url("app", "/page?x=1");
    let listen = format!(
        "new Promise((done) => {{ window.told = []; document.addEventListener('foregate-session', (event) => \
         {{ window.told.push(event.detail); done(event.detail); }}); const script = document.createElement('script'); \
         script.src = '{script}'; document.head.append(script); }})"
    );
    let look_twice = "(async () => { for (let turn = 0; turn < 2; turn++) { const next = new Promise((done) => \
        document.addEventListener('foregate-session', done, { once: true })); \
        document.dispatchEvent(new Event('visibilitychange')); await next; } \
        return [window.told.at(-1), document.querySelectorAll('[role=alert]').length]; })()";
    let seen = browse(&json!([
        { "open": page }, { "fill": { "[name=login]": "alice" } }, { "click": "[type=submit]" },
        { "eval": listen },
        { "clearCookies": "foregate" },
        { "eval": look_twice },
        { "click": "text=Sign in again" },
    ]));
    assert_eq!(seen[3]["value"]["user"], "alice", "{}", seen[3]);
    assert_eq!(seen[5]["value"], json!([null, 1]), "{}", seen[5]);
    let landed = seen.last().expect("a step");
    assert_eq!(landed["url"].as_str(), Some(page.as_str()), "{landed}");
    assert_eq!(landed["status"].as_u64(), Some(200), "{landed}");
}

#[test]
fn an_origin_is_written_as_browsers_name_it() {
    let house = House::new();
    for (written, fix) in [
        ("https://app.example.com/", "https://app.example.com"),
        ("https://App.example.com", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("*", "https://app.example.com"),
        ("app.example.com", "https://app.example.com"),
    ] {
        let named = format!("[session]\ncors_origins = [\"{written}\"]\n");
        let (code, text) = Foregate::refuses(&house.config.replace("[session]\n", &named));
        assert_eq!(code, Some(1), "{written}");
        let wanted =
            format!("`session.cors_origins`: `{written}` is not an origin; fix: write such as {fix}");
        assert!(text.contains(&wanted), "{text}");
    }
}
