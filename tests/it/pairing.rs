//! Devices that are paired: a short code, a person's approval, and one token; at the wire, in a browser, and over replicas.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use url::Url;

use crate::browser::{browse, sign_in_as, text};
use crate::support::foregate::{Foregate, KEY, run};
use crate::support::house::House;
use crate::support::http::{Browser, Reply, raw, request};
use crate::support::postgres;

const APP: &str = "app.foregate.localhost";
const ADMINS: &str = "admins.foregate.localhost";
const SELF_SERVICE: &str =
    "store = \"sqlite:DIR/foregate.db\"\n[tokens]\nself_service = true\nmax_lifetime = \"30d\"";

/// A form posted to foregate's own host, as a device at this address posts it.
fn post(house: &House, at: SocketAddr, page: &str, form: &str, from: &str) -> Reply {
    let host = format!("Host: auth.foregate.localhost:{}", house.port);
    let from = format!("X-Forwarded-For: {from}");
    let kind = "Content-Type: application/x-www-form-urlencoded";
    raw(at, request("POST", page, &[&host, &from, kind, "Connection: close"], form).as_bytes())
}

fn device(house: &House, form: &str) -> Reply {
    post(house, house.foregate.public, "/.foregate/device", form, "203.0.113.7")
}

/// The device code and the user code of a new pairing.
fn begin(house: &House, app: &str) -> (String, String) {
    let reply = device(house, &format!("app={app}&name=%3CTV%3E+upstairs"));
    assert_eq!((reply.status, reply.header("cache-control")), (200, Some("no-store")), "{reply:?}");
    let told = reply.json();
    let text = |name: &str| told[name].as_str().expect("a text").to_owned();
    (text("device_code"), text("user_code"))
}

fn poll_at(house: &House, at: SocketAddr, code: &str) -> Reply {
    let grant = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code";
    let form = format!("grant_type={grant}&device_code={code}&client_id=tv");
    post(house, at, "/.foregate/device/token", &form, "203.0.113.7")
}

fn poll(house: &House, code: &str) -> Reply {
    poll_at(house, house.foregate.public, code)
}

#[track_caller]
fn assert_error(reply: &Reply, status: u16, error: &str) {
    assert_eq!((reply.status, reply.header("cache-control")), (status, Some("no-store")), "{reply:?}");
    let told = reply.json();
    assert_eq!(told["error"], error, "{told}");
    assert!(told["error_description"].as_str().is_some_and(|what| !what.is_empty()), "{told}");
}

fn account(house: &House) -> Url {
    Url::parse(&house.url("auth", "/.foregate/account")).expect("a URL")
}

/// The proof in the forms of a browser's account page.
fn csrf(house: &House, browser: &mut Browser) -> String {
    let page = browser.step("GET", &account(house), "").body;
    let rest = page.split("name=\"csrf\" value=\"").nth(1).unwrap_or_else(|| panic!("no proof: {page}"));
    rest.split('"').next().expect("a proof").to_owned()
}

fn decide(house: &House, browser: &mut Browser, step: &str, code: &str) -> Reply {
    let form = format!("csrf={}&pair={step}&code={code}", csrf(house, browser));
    browser.step("POST", &account(house), &form)
}

fn run_sql(house: &House, sql: &str) {
    let connection = rusqlite::Connection::open(house.foregate.dir().join("foregate.db")).expect("the store");
    connection.busy_timeout(Duration::from_secs(5)).expect("a time");
    assert_eq!(connection.execute(sql, ()).expect("a change"), 1, "{sql}");
}

fn check(house: &House, token: &str) -> Reply {
    house.foregate.check(&house.url("app", "/"), &[&format!("Authorization: Bearer {token}")])
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < end, "{what}: never");
    }
}

#[test]
fn a_device_that_is_approved_gets_one_token_once() {
    let house = House::with(SELF_SERVICE, Value::Null);
    let mut alice = house.sign_in("alice");
    let told = device(&house, &format!("app={APP}&name=%3CTV%3E+upstairs")).json();
    let (device_code, user_code) =
        (told["device_code"].as_str().unwrap(), told["user_code"].as_str().unwrap());
    let letters = |part: &str| part.len() == 4 && part.bytes().all(|b| b"BCDFGHJKLMNPQRSTVWXZ".contains(&b));
    assert!(user_code.split('-').all(letters) && user_code.len() == 9, "{told}");
    assert_eq!(told["verification_uri"], account(&house).as_str(), "{told}");
    assert_eq!(told["verification_uri_complete"], format!("{}?code={user_code}", account(&house)), "{told}");
    assert_eq!((&told["expires_in"], &told["interval"]), (&json!(600), &json!(5)), "{told}");

    assert_error(&poll(&house, device_code), 400, "authorization_pending");
    eventually("it asks too often", || poll(&house, device_code).json()["error"] == "slow_down");
    run_sql(&house, "UPDATE foregate_pairing SET asked_at = asked_at - 5000000");
    assert_error(&poll(&house, device_code), 400, "authorization_pending");

    let complete = Url::parse(told["verification_uri_complete"].as_str().unwrap()).unwrap();
    let shown = alice.step("GET", &complete, "");
    assert!(shown.body.contains(&format!("value=\"{user_code}\"")), "{shown:?}");
    let question = decide(&house, &mut alice, "ask", &user_code.to_lowercase().replace('-', ""));
    for part in ["&#60;TV&#62; upstairs", APP, "203.0.113.7", "alice", user_code, "30 days", "Refuse"] {
        assert!(question.status == 200 && question.body.contains(part), "{part}: {question:?}");
    }
    assert_error(&poll(&house, &device_code[1..]), 400, "invalid_grant");
    let done = decide(&house, &mut alice, "approve", user_code);
    assert!(done.status == 200 && done.body.contains("Device paired"), "{done:?}");
    assert_eq!(decide(&house, &mut alice, "approve", user_code).status, 404, "it waits no more");

    let reply = poll(&house, device_code);
    assert_eq!((reply.status, reply.header("cache-control")), (200, Some("no-store")), "{reply:?}");
    let made = reply.json();
    assert_eq!((&made["token_type"], &made["expires_in"]), (&json!("Bearer"), &json!(30 * 86_400)), "{made}");
    assert_error(&poll(&house, device_code), 400, "invalid_grant");
    let token = made["access_token"].as_str().unwrap();
    let answer = check(&house, token);
    assert_eq!((answer.status, answer.header("remote-user")), (200, Some("alice")), "{answer:?}");

    // Neither code is anywhere but with the device.
    let file = |name: &str| std::fs::read(house.foregate.dir().join(name)).unwrap_or_default();
    let kept = [file("foregate.db"), file("foregate.db-wal")].concat();
    for secret in [device_code, user_code, token] {
        assert!(!kept.windows(secret.len()).any(|part| part == secret.as_bytes()));
        assert_eq!(house.foregate.logged(secret), 0);
    }
    let page = alice.step("GET", &account(&house), "").body;
    let id = page.split("name=\"revoke\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    assert!(page.contains("&#60;TV&#62; upstairs"), "{page}");
    let revoke = format!("csrf={}&revoke={id}", csrf(&house, &mut alice));
    assert_eq!(alice.step("POST", &account(&house), &revoke).status, 303);
    assert_eq!(check(&house, token).status, 401);
}

#[test]
fn what_a_device_gets_wrong_is_told() {
    let house = House::with(SELF_SERVICE, Value::Null);
    for form in [
        "app=no+where",
        "app=",
        &format!("app={}", "x".repeat(301)),
        "name=tv",
        "",
        "app=a&app=b",
        &format!("app={APP}&name={}", "x".repeat(101)),
    ] {
        assert_error(&device(&house, form), 400, "invalid_request");
    }
    let token = |form: &str| post(&house, house.foregate.public, "/.foregate/device/token", form, "::1");
    assert_error(&token("grant_type=x"), 400, "invalid_request");
    assert_error(&token("device_code=x&grant_type=password"), 400, "unsupported_grant_type");
    assert_error(&token("device_code=x"), 400, "invalid_grant");
    for page in ["/.foregate/device", "/.foregate/device/token"] {
        let here = Url::parse(&house.url("auth", page)).unwrap();
        assert_eq!(Browser::default().step("GET", &here, "").status, 405, "{page}");
        let there = Url::parse(&house.url("app", page)).unwrap();
        assert_eq!(Browser::default().step("POST", &there, &format!("app={APP}")).status, 404, "{page}");
    }
    let plain = House::new();
    assert_error(&device(&plain, &format!("app={APP}")), 400, "unauthorized_client");
    let mut alice = plain.sign_in("alice");
    assert!(!alice.step("GET", &account(&plain), "").body.contains("Pair"));
    assert_eq!(decide(&plain, &mut alice, "ask", "BCDF-GHJK").status, 403);
}

#[test]
fn a_stranger_learns_of_no_app() {
    let house = House::with(SELF_SERVICE, Value::Null);
    let mut alice = house.sign_in("alice");
    let of = |app: &str| {
        let reply = device(&house, &format!("app={app}&name=TV"));
        let names: Vec<String> = reply.json().as_object().expect("an object").keys().cloned().collect();
        (reply.status, names)
    };
    assert_eq!(of("nowhere.foregate.localhost"), of(APP));
    // It waits as any other, and comes to nothing: nobody has such an app to let it in to.
    let (device_code, user_code) = begin(&house, "nowhere.foregate.localhost");
    assert_error(&poll(&house, &device_code), 400, "authorization_pending");
    for step in ["ask", "approve"] {
        let reply = decide(&house, &mut alice, step, &user_code);
        assert!(reply.status == 403 && reply.body.contains("may not use"), "{step}: {reply:?}");
    }
    assert_eq!(house.foregate.logged("for an app that is not there"), 2);
    assert_eq!(decide(&house, &mut alice, "refuse", &user_code).status, 200);
    assert_eq!(poll(&house, &device_code).json()["error"], "access_denied");
}

#[test]
fn devices_that_wait_are_bounded() {
    let house = House::with(SELF_SERVICE, Value::Null);
    let ask =
        |from: &str| post(&house, house.foregate.public, "/.foregate/device", &format!("app={APP}"), from);
    for number in 0..10 {
        assert_eq!(ask(&format!("2001:db8::{number}")).status, 200, "{number}");
    }
    assert_error(&ask("2001:db8::aaaa"), 429, "slow_down");
    assert_eq!(ask("2001:db8:0:1::1").status, 200);
    run_sql(&house, "UPDATE foregate_pairing SET expires_at = 0 WHERE client = '2001:db8::7'");
    assert_eq!(ask("2001:db8::aaaa").status, 200);
}

#[test]
fn a_device_that_is_refused_late_or_not_for_this_person_gets_nothing() {
    let house = House::with(SELF_SERVICE, Value::Null);
    let (mut alice, mut bob) = (house.sign_in("alice"), house.sign_in("bob"));
    let (refused, code) = begin(&house, APP);
    let reply = decide(&house, &mut bob, "refuse", &code);
    assert!(reply.status == 200 && reply.body.contains("Device refused"), "{reply:?}");
    assert_error(&poll(&house, &refused), 400, "access_denied");
    assert_eq!(decide(&house, &mut alice, "approve", &code).status, 404);

    let (late, code) = begin(&house, APP);
    run_sql(&house, "UPDATE foregate_pairing SET expires_at = 1 WHERE NOT refused");
    assert_eq!(decide(&house, &mut alice, "approve", &code).status, 404);
    assert_error(&poll(&house, &late), 400, "expired_token");

    // Only who may use the app, with a proof of their own, from the page itself.
    let (admins, code) = begin(&house, ADMINS);
    for step in ["ask", "approve"] {
        let reply = decide(&house, &mut bob, step, &code);
        assert!(reply.status == 403 && reply.body.contains("may not use"), "{step}: {reply:?}");
    }
    let (of_alice, of_bob) = (csrf(&house, &mut alice), csrf(&house, &mut bob));
    let form = |csrf: &str, step: &str| format!("csrf={csrf}&pair={step}&code={code}");
    for (form, status) in [
        (form(&of_bob, "approve"), 403),
        (form("", "approve"), 403),
        (form(&of_alice, "anything"), 400),
        (form(&of_alice, "approve") + "&others=all", 400),
        (form(&of_alice, "approve") + "&code=BCDFGHJK", 400),
    ] {
        assert_eq!(alice.step("POST", &account(&house), &form).status, status, "{form}");
    }
    for line in
        ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Origin: http://app.foregate.localhost"]
    {
        let mut foreign = alice.clone();
        foreign.lines.push(line.to_owned());
        assert_eq!(foreign.step("POST", &account(&house), &form(&of_alice, "approve")).status, 403, "{line}");
    }
    let mut nobody = Browser::default();
    assert_eq!(nobody.step("POST", &account(&house), &form(&of_alice, "approve")).status, 302);
    assert_error(&poll(&house, &admins), 400, "authorization_pending");

    // Whoever is disabled behind their approval gets nobody in.
    assert_eq!(decide(&house, &mut alice, "approve", &code).status, 200);
    let config = house.foregate.dir().join("foregate.toml");
    let disable = ["user", "disable", "alice", "--config", config.to_str().expect("a path")];
    assert_eq!(run(&disable, house.foregate.dir()).0, Some(0));
    assert_error(&poll(&house, &admins), 400, "access_denied");
    assert_error(&poll(&house, &admins), 400, "invalid_grant");
}

/// For [`crate::security`]: the case is a published one.
pub fn a_device_has_no_more_than_its_person() {
    let house = House::with(SELF_SERVICE, Value::Null);
    let config = house.foregate.dir().join("foregate.toml");
    let user = |word: &str| {
        let args = ["user", word, "alice", "--config", config.to_str().expect("a path")];
        assert_eq!(run(&args, house.foregate.dir()).0, Some(0), "{word}");
    };
    let (mut alice, mut bob) = (house.sign_in("alice"), house.sign_in("bob"));
    let (not_his, code) = begin(&house, ADMINS);
    assert_eq!(decide(&house, &mut bob, "approve", &code).status, 403);
    assert_error(&poll(&house, &not_his), 400, "authorization_pending");
    let (used, code) = begin(&house, APP);
    assert_eq!(decide(&house, &mut alice, "approve", &code).status, 200);
    let token = poll(&house, &used).json()["access_token"].as_str().expect("a token").to_owned();
    assert_eq!(check(&house, &token).status, 200);
    let (approved, code) = begin(&house, APP);
    assert_eq!(decide(&house, &mut alice, "approve", &code).status, 200);
    let (open, code) = begin(&house, APP);
    let form = format!("csrf={}&pair=approve&code={code}", csrf(&house, &mut alice));

    user("disable");
    eventually("the device's token is over", || check(&house, &token).status == 401);
    assert_ne!(alice.step("POST", &account(&house), &form).status, 200, "nobody approves any more");
    assert_error(&poll(&house, &open), 400, "authorization_pending");
    assert_error(&poll(&house, &approved), 400, "access_denied");

    user("enable");
    assert_error(&poll(&house, &approved), 400, "invalid_grant");
    assert_ne!(alice.step("POST", &account(&house), &form).status, 200, "the session before it is over");
    let reply = poll(&house, &open);
    assert!(reply.status == 400 && reply.json()["access_token"].is_null(), "{reply:?}");
    eventually("what she has in hand is hers again", || check(&house, &token).status == 200);
}

#[test]
fn whoever_guesses_is_held_up() {
    let house = House::with(SELF_SERVICE, Value::Null);
    let (mut alice, mut bob) = (house.sign_in("alice"), house.sign_in("bob"));
    let (_, code) = begin(&house, APP);
    let wrong = if code.starts_with('B') { "CCCC-CCCC" } else { "BBBB-BBBB" };
    for _ in 0..3 {
        assert_eq!(decide(&house, &mut bob, "ask", &code).status, 200, "good codes are no guesses");
        assert_eq!(decide(&house, &mut bob, "ask", "no-code").status, 400, "nor is what is none");
    }
    for number in 0..10 {
        let step = if number % 2 == 0 { "ask" } else { "approve" };
        let reply = decide(&house, &mut bob, step, wrong);
        assert!(reply.status == 404 && reply.body.contains("No device waits"), "{number}: {reply:?}");
    }
    for (step, code) in [("ask", wrong), ("ask", code.as_str()), ("approve", &code), ("refuse", &code)] {
        let reply = decide(&house, &mut bob, step, code);
        assert!(reply.status == 429 && reply.body.contains("Too many wrong codes"), "{step}: {reply:?}");
    }
    assert_eq!(decide(&house, &mut alice, "ask", &code).status, 200);
}

#[test]
fn replicas_share_a_pairing_and_hand_out_one_token() {
    let session =
        format!("store = \"{}\"\nkeys = [\"{KEY}\"]\n[tokens]\nself_service = true", postgres::fresh_url());
    let house = House::with(&session, Value::Null);
    let other = Foregate::start(&house.config);
    let mut alice = house.sign_in("alice");
    for _ in 0..3 {
        let reply = post(&house, other.public, "/.foregate/device", &format!("app={APP}"), "203.0.113.7");
        let told = reply.json();
        let code = told["device_code"].as_str().expect("a code").to_owned();
        assert_error(&poll(&house, &code), 400, "authorization_pending");
        eventually("both know of it", || poll_at(&house, other.public, &code).json()["error"] == "slow_down");
        let user_code = told["user_code"].as_str().expect("a code");
        assert_eq!(decide(&house, &mut alice, "approve", user_code).status, 200);
        let both = [house.foregate.public, other.public];
        let replies: Vec<Reply> = thread::scope(|scope| {
            let (house, code) = (&house, &code);
            let polls: Vec<_> =
                (0..6).map(|n| scope.spawn(move || poll_at(house, both[n % 2], code))).collect();
            polls.into_iter().map(|poll| poll.join().expect("a reply")).collect()
        });
        let mut tokens = replies.iter().filter(|reply| reply.status == 200);
        let token = tokens.next().unwrap_or_else(|| panic!("no token: {replies:?}")).json();
        assert!(tokens.next().is_none(), "{replies:?}");
        assert_eq!(check(&house, token["access_token"].as_str().expect("a token")).status, 200);
    }
    let page = alice.step("GET", &account(&house), "").body;
    assert_eq!(page.matches("name=\"revoke\"").count(), 3, "{page}");
}

#[test]
fn a_browser_pairs_a_device_without_scripts() {
    let house = House::with(SELF_SERVICE, Value::Null);
    let (device_code, user_code) = begin(&house, APP);
    let [fill, click] = sign_in_as("alice");
    let seen = browse(&json!([
        { "javaScript": false },
        { "open": format!("{}?code={user_code}", account(&house)) }, fill, click,
        { "click": "[value=ask]" },
        { "click": "[value=approve]" },
        { "click": "text=Done" },
    ]));
    let (question, done) = (&seen[seen.len() - 3], &seen[seen.len() - 2]);
    assert!(text(question).contains("TV> upstairs") && text(question).contains(&user_code), "{seen:?}");
    assert!(text(done).contains("Device paired"), "{seen:?}");
    let made = poll(&house, &device_code).json();
    assert_eq!(check(&house, made["access_token"].as_str().expect("a token")).status, 200);
}
