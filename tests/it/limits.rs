//! How often anybody may try: sign-ins, callbacks and tokens, of one client and of all together, in every dialect; and who is
//! never counted.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::app_tokens::create;
use crate::support::house::{House, callback_for};
use crate::support::http::{Browser, NAVIGATES, Reply, raw, request};
use crate::support::scene::{DIALECTS, ask};

const APP: &str = "app.foregate.localhost";

/// A foregate with these limits, where devices can be paired.
fn house(limits: &str) -> House {
    let session = "store = \"sqlite:DIR/foregate.db\"\n[tokens]\nself_service = true";
    House::with(&format!("{session}\n[server.limits]\n{limits}\n"), Value::Null)
}

impl House {
    /// A check for the app in a dialect, of a visitor at this address.
    fn asked(&self, dialect: &str, from: &str, lines: &[&str]) -> Reply {
        let from = format!("X-Forwarded-For: {from}");
        let lines = [&[from.as_str()], lines].concat();
        raw(self.foregate.public, &ask(dialect, "GET", &self.url("app", "/page"), &lines))
    }

    /// A page of foregate's own, asked for from this address.
    fn own(&self, (method, page): (&str, &str), from: &str, lines: &[&str], form: &str) -> Reply {
        let host = format!("Host: auth.foregate.localhost:{}", self.port);
        let from = format!("X-Forwarded-For: {from}");
        let lines = [&[host.as_str(), &from, "Connection: close"], lines].concat();
        raw(self.foregate.public, request(method, page, &lines, form).as_bytes())
    }

    fn limited(&self, kind: &str, by: &str) -> f64 {
        self.foregate.metric(&format!("foregate_limited_total{{kind=\"{kind}\",by=\"{by}\"}}"))
    }
}

/// Tries until it is too often, and returns that answer: after so many tries, and a few more that come back with time.
#[track_caller]
fn until_limited(
    tries: usize,
    is_limited: impl Fn(&Reply) -> bool,
    mut try_once: impl FnMut() -> Reply,
) -> Reply {
    for tried in 0..tries + 5 {
        let reply = try_once();
        if is_limited(&reply) {
            assert!(tried >= tries, "only {tried} tries: {reply:?}");
            return reply;
        }
    }
    panic!("no limit after {tries} tries");
}

fn is_429(reply: &Reply) -> bool {
    reply.status == 429
}

/// Seconds until the next try, which must be told.
#[track_caller]
fn wait(reply: &Reply) -> u64 {
    assert_eq!(reply.header("cache-control"), Some("no-store"), "{reply:?}");
    reply.header("retry-after").and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{reply:?}"))
}

#[track_caller]
fn assert_page(reply: &Reply) {
    assert_eq!(reply.status, 429, "{reply:?}");
    assert!((1..=60).contains(&wait(reply)), "{reply:?}");
    assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(reply.body.is_empty() || reply.body.contains("There were too many tries"), "{reply:?}");
    assert_eq!(reply.header("set-cookie"), None);
}

#[test]
fn a_client_begins_so_many_sign_ins_and_its_session_is_never_counted() {
    let house = house("sign_ins_per_minute = 3\nsign_ins_per_minute_total = 1000");
    let cookie = house.cookie("alice");
    let begin = |dialect: &str, from: &str| house.asked(dialect, from, &[NAVIGATES]);
    let first = until_limited(3, is_429, || begin("traefik", "203.0.113.7"));
    assert_page(&first);
    assert!(!first.body.is_empty());
    for dialect in DIALECTS {
        let reply =
            until_limited(0, |reply| dialect == "nginx" || is_429(reply), || begin(dialect, "203.0.113.7"));
        if dialect == "nginx" {
            // It shows no page of ours, and so leads to one.
            let to = reply.header("location").expect("a Location").to_owned();
            assert_eq!((reply.status, to.contains("/.foregate/sign-in?rd=")), (401, true), "{reply:?}");
        } else {
            assert_page(&reply);
        }
        assert_eq!(house.asked(dialect, "203.0.113.7", &[]).status, 401, "{dialect}: a program begins none");
        for _ in 0..10 {
            assert_eq!(house.asked(dialect, "203.0.113.7", &[&cookie]).status, 200, "{dialect}");
        }
    }
    let own = |from: &str| house.own(("GET", "/.foregate/sign-in"), from, &[NAVIGATES], "");
    assert_page(&until_limited(0, is_429, || own("203.0.113.7")));
    assert_eq!(own("203.0.113.8").status, 302, "another client");
    // Whatever a client says of itself stands before what the proxy says of it.
    assert_page(&until_limited(0, is_429, || own("198.51.100.1, 203.0.113.7")));
    let six = |last: usize| own(&format!("2001:db8:1:2::{last:x}"));
    let mut last = 0;
    let next = || {
        last += 1;
        six(last)
    };
    assert_page(&until_limited(3, is_429, next));
    assert_eq!(own("2001:db8:1:3::1").status, 302, "another network");
    assert!(house.limited("sign_in", "client") >= 7.0 && house.limited("sign_in", "total") == 0.0);
    assert!(house.foregate.metric("foregate_decisions_total{outcome=\"limited\"}") >= 4.0);
    assert_eq!(
        house.foregate.logged("there are too many tries"),
        house.foregate.logged("\"kind\":\"sign_in\"")
    );
}

#[test]
fn all_clients_together_begin_so_many_and_whoever_has_a_session_does_not_notice() {
    let house = house("sign_ins_per_minute = 2\nsign_ins_per_minute_total = 6");
    let cookie = house.cookie("alice");
    let mut last = 0;
    let limited = until_limited(4, is_429, || {
        last += 1;
        house.asked("traefik", &format!("198.51.100.{last}"), &[NAVIGATES])
    });
    assert_page(&limited);
    for number in 0..50 {
        let from = format!("198.51.100.{number}");
        assert_eq!(house.asked("traefik", &from, &[&cookie]).status, 200);
    }
    assert!(house.limited("sign_in", "total") >= 1.0 && house.limited("sign_in", "client") == 0.0);
}

#[test]
fn callbacks_that_come_to_nothing_are_counted_and_sign_ins_are_not() {
    let house = house("callbacks_per_minute = 3\ncallbacks_per_minute_total = 3");
    for _ in 0..5 {
        house.sign_in("alice");
    }
    let back = |from: &str| house.own(("GET", "/.foregate/callback?state=x&code=y"), from, &[NAVIGATES], "");
    assert_eq!(back("203.0.113.7").status, 400);
    assert_page(&until_limited(2, is_429, || back("203.0.113.7")));
    assert_page(&until_limited(0, is_429, || back("203.0.113.8")));
    assert!(house.limited("callback", "client") + house.limited("callback", "total") >= 2.0);
}

#[test]
fn codes_that_a_provider_refuses_are_counted_before_it_is_asked_again() {
    let house = house("codes_per_minute = 3\ncodes_per_minute_total = 1000");
    for _ in 0..5 {
        house.sign_in("alice");
    }
    // One sign-in that was begun is good for any number of codes.
    let mut browser = Browser::default();
    let back = callback_for(&mut browser, &house.url("app", "/"), "bob");
    let state = back.query_pairs().find(|(name, _)| name == "state").expect("a state").1.into_owned();
    let login =
        format!("Cookie: foregate-login={}", browser.cookie("foregate-login").expect("a cookie").value);
    let mut tried = 0;
    let mut redeem = |from: &str| {
        tried += 1;
        let target =
            format!("/.foregate/callback?state={state}&code=made-up-{tried}&iss={}", house.provider.issuer);
        house.own(("GET", &target), from, &[NAVIGATES, &login], "")
    };
    let before = house.tokens_asked();
    assert_page(&until_limited(3, is_429, || redeem("203.0.113.7")));
    let asked = house.tokens_asked();
    assert!((3..=8).contains(&(asked - before)), "{before} {asked}");
    let until = (0..5).filter(|_| redeem("203.0.113.7").status != 429).count();
    assert!(house.tokens_asked() - asked <= until, "it is not asked");
    assert_eq!(redeem("203.0.113.8").status, 303, "another client begins anew");
    assert!(house.limited("code", "client") >= 1.0);
    house.sign_in("carol");
}

#[test]
fn all_clients_together_have_so_many_codes_refused() {
    let house = house("codes_per_minute = 2\ncodes_per_minute_total = 4");
    let mut browser = Browser::default();
    let back = callback_for(&mut browser, &house.url("app", "/"), "bob");
    let login =
        format!("Cookie: foregate-login={}", browser.cookie("foregate-login").expect("a cookie").value);
    let code = back.query_pairs().find(|(name, _)| name == "code").expect("a code").1.into_owned();
    let target = format!("{}?{}", back.path(), back.query().expect("a query"));
    let mut last = 0;
    let limited = until_limited(4, is_429, || {
        last += 1;
        let target = target.replace(&code, &format!("x{last}"));
        house.own(("GET", &target), &format!("198.51.100.{last}"), &[NAVIGATES, &login], "")
    });
    assert_page(&limited);
    assert!(house.limited("code", "total") >= 1.0 && house.limited("code", "client") == 0.0);
}

#[test]
fn tokens_that_count_for_nothing_are_counted_and_good_ones_are_not() {
    let house = house("tokens_per_minute = 3\ntokens_per_minute_total = 1000");
    let cookie = house.cookie("alice");
    let good = create(&house.foregate, "alice", APP, &[]);
    let unasked = create(&house.foregate, "alice", APP, &[]);
    let unknown = {
        let other = self::house("");
        other.cookie("alice");
        create(&other.foregate, "alice", APP, &[])
    };
    let shown = |dialect: &str, from: &str, token: &str| {
        house.asked(dialect, from, &[&format!("Authorization: Bearer {token}")])
    };
    for _ in 0..10 {
        assert_eq!(shown("traefik", "203.0.113.7", &good).status, 200);
    }
    let limited = until_limited(3, is_429, || shown("traefik", "203.0.113.7", &unknown));
    assert!((1..=60).contains(&wait(&limited)));
    assert_eq!(limited.json()["reason"], "too-many-requests", "{limited:?}");
    assert!(limited.header("www-authenticate").is_none());
    for (number, dialect) in DIALECTS.into_iter().enumerate() {
        until_limited(0, is_429, || shown(dialect, "203.0.113.7", &unknown));
        assert_eq!(shown(dialect, "203.0.113.7", &good).status, 200, "{dialect}: it is known");
        let other = format!("198.51.100.{number}");
        assert_eq!(shown(dialect, &other, &unknown).status, 401, "{dialect}: another client");
        assert_eq!(house.asked(dialect, "203.0.113.7", &[&cookie]).status, 200, "{dialect}");
    }
    assert_eq!(shown("traefik", "203.0.113.9", &unasked).status, 200, "a new one, of somebody else");
    assert!(house.limited("token", "client") >= 1.0);
}

#[test]
fn devices_that_ask_for_what_nobody_has_or_too_often_are_counted_with_tokens() {
    let house = house("tokens_per_minute = 3\ntokens_per_minute_total = 1000");
    let form =
        "device_code=nobody-has-this&grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code";
    let kind = ["Content-Type: application/x-www-form-urlencoded"];
    let poll = |form: &str| house.own(("POST", "/.foregate/device/token"), "203.0.113.7", &kind, form);
    let begun = house.own(("POST", "/.foregate/device"), "203.0.113.7", &kind, &format!("app={APP}"));
    assert_eq!(begun.status, 200, "{begun:?}");
    let code = begun.json()["device_code"].as_str().expect("a code").to_owned();
    let own = form.replace("nobody-has-this", &code);
    let connection = rusqlite::Connection::open(house.foregate.dir().join("foregate.db")).expect("the store");
    connection.busy_timeout(Duration::from_secs(5)).expect("a time");
    for _ in 0..10 {
        // As if it had waited for as long as it was told.
        connection.execute("UPDATE foregate_pairing SET asked_at = 0", ()).expect("a change");
        let waits = poll(&own);
        assert_eq!(
            (waits.status, &waits.json()["error"]),
            (400, &"authorization_pending".into()),
            "{waits:?}"
        );
    }
    // Whoever does not wait writes into the store each time, and is counted for it.
    let hasty = until_limited(2, is_429, || poll(&own));
    assert!(hasty.json()["error"] == "slow_down" && (1..=60).contains(&wait(&hasty)), "{hasty:?}");
    let limited = until_limited(0, is_429, || poll(form));
    assert_eq!(limited.json()["error"], "slow_down");
    assert!((1..=60).contains(&wait(&limited)));
}

#[test]
fn a_reload_changes_rates_and_forgets_no_try() {
    let house = house("sign_ins_per_minute = 2\nsign_ins_per_minute_total = 1000");
    let own = || house.own(("GET", "/.foregate/sign-in"), "203.0.113.7", &[NAVIGATES], "");
    assert_page(&until_limited(2, is_429, own));
    house.foregate.rewrite(&house.config.replace("sign_ins_per_minute = 2", "sign_ins_per_minute = 1"));
    house.foregate.hang_up();
    house.foregate.wait_for_log("a new configuration is in force");
    assert!(wait(&until_limited(0, is_429, own)) > 30, "a minute for each by now");
    house.foregate.rewrite(&house.config.replace("sign_ins_per_minute = 2", "sign_ins_per_minute = 500"));
    house.foregate.hang_up();
    house.foregate.wait_for_logs("a new configuration is in force", 2);
    // The minute that was full a moment ago has room for one of 500 by now, or with the next second.
    let end = Instant::now() + Duration::from_secs(20);
    while own().status != 302 {
        assert!(Instant::now() < end, "still limited");
    }
}
