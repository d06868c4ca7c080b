//! foregate's own app tokens: what they open, what they do not, and how they end, at the wire and on every replica.

use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use url::Url;

use crate::browser::{browse, sign_in_as, text};
use crate::support::foregate::{Foregate, KEY, free_port, run};
use crate::support::hostile_provider::{HostileProvider, Mind, says};
use crate::support::house::House;
use crate::support::http::{Browser, Reply, raw, request};
use crate::support::postgres;

const APP: &str = "app.foregate.localhost";

/// Runs a command beside a running foregate, with its configuration.
fn command(foregate: &Foregate, args: &[&str]) -> (Option<i32>, String, String) {
    let config = foregate.dir().join("foregate.toml");
    run(&[args, &["--config", config.to_str().expect("a path")]].concat(), foregate.dir())
}

/// A new token of this person for an app.
pub fn create(foregate: &Foregate, user: &str, app: &str, more: &[&str]) -> String {
    let args = [&["token", "create", "--user", user, "--app", app], more].concat();
    let (code, out, err) = command(foregate, &args);
    assert_eq!((code, out.lines().count()), (Some(0), 1), "{out}{err}");
    let token = out.trim().to_owned();
    assert!(token.starts_with("fgt_") && token.len() == 53 && !err.contains(&token), "{out}{err}");
    token
}

fn listed(foregate: &Foregate, user: &str) -> Vec<Value> {
    let (code, out, err) = command(foregate, &["token", "list", "--json", "--user", user]);
    assert_eq!(code, Some(0), "{err}");
    out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

fn basic(user: &str, password: &str) -> String {
    format!("Authorization: Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// A request to foregate as the proxy.
fn proxied(house: &House, host: &str, page: &str, lines: &[&str]) -> Reply {
    let host = format!("Host: {host}.foregate.localhost:{}", house.port);
    let lines = [&[host.as_str(), "Connection: close"], lines].concat();
    raw(house.foregate.public, request("GET", page, &lines, "").as_bytes())
}

/// A check for the app, as a front proxy sends it for a visitor at 203.0.113.7.
fn check(foregate: &Foregate, house: &House, token: &str) -> Reply {
    foregate.check(&house.url("app", "/"), &[&bearer(token)])
}

#[track_caller]
fn assert_refused(reply: &Reply, why: &str) {
    assert_eq!(reply.status, 401, "{why}: {reply:?}");
    let told = reply.json();
    assert_eq!(told["reason"], "invalid-token", "{told}");
    assert!(told["detail"].as_str().is_some_and(|detail| detail.contains(why)), "{why}: {told}");
    let challenge = reply.header("www-authenticate").expect("a challenge");
    assert!(challenge.starts_with("Basic ") || challenge.contains("error=\"invalid_token\""), "{challenge}");
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < end, "{what}: never");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_token_stands_for_its_owner_and_the_app_never_has_it() {
    let house = House::new();
    house.sign_in("alice");
    let token = create(&house.foregate, "alice", APP, &["--name", "phone"]);
    let (in_header, of_the_app) = (format!("X-Foregate-Token: {token}"), "Authorization: Bearer of-the-app");
    for (lines, kept) in [
        (vec![bearer(&token)], false),
        (vec![basic("alice", &token)], false),
        (vec![basic("", &token)], false),
        (vec![in_header.clone()], false),
        (vec![in_header.clone(), bearer(&token)], false),
        (vec![in_header, of_the_app.to_owned()], true),
        (vec![format!("Cookie: foregate={}", "x".repeat(64)), bearer(&token)], false),
    ] {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let reply = proxied(&house, "app", "/", &lines);
        assert_eq!(reply.status, 200, "{lines:?} {reply:?}");
        let seen = &reply.body;
        assert!(
            seen.contains("remote-user: alice") && seen.contains("Home Server Admins"),
            "{lines:?} {seen}"
        );
        assert!(
            !seen.contains(&token) && !seen.to_lowercase().contains("x-foregate-token"),
            "{lines:?} {seen}"
        );
        assert_eq!(seen.contains("authorization: Bearer of-the-app"), kept, "{lines:?} {seen}");
        assert_eq!(seen.to_lowercase().contains("authorization:"), kept, "{lines:?} {seen}");
    }
    let reply = check(&house.foregate, &house, &token);
    assert_eq!((reply.status, reply.header("remote-user")), (200, Some("alice")), "{reply:?}");

    // Neither the store nor the log has it.
    let file = |name: &str| std::fs::read(house.foregate.dir().join(name)).unwrap_or_default();
    let kept = [file("foregate.db"), file("foregate.db-wal")].concat();
    assert!(kept.windows(5).any(|part| part == b"phone"), "the row is there");
    assert!(!kept.windows(token.len()).any(|part| part == token.as_bytes()));
    assert_eq!(house.foregate.logged(&token), 0);
    eventually("its use is known", || listed(&house.foregate, "alice")[0]["last_used"].is_u64());
}

#[test]
fn a_token_counts_for_one_app_one_person_and_its_networks() {
    let house = House::new();
    house.sign_in("alice");
    house.sign_in("bob");
    let token = create(&house.foregate, "alice", APP, &[]);
    let admins = create(&house.foregate, "bob", "admins.foregate.localhost", &[]);
    let far = create(&house.foregate, "alice", APP, &["--network", "198.51.100.0/24"]);
    let near = ["--network", "198.51.100.0/24", "--network", "203.0.113.7"];
    let near = create(&house.foregate, "alice", APP, &near);
    let mut slip = token.clone();
    slip.replace_range(20..21, if &slip[20..21] == "x" { "y" } else { "x" });
    let unknown = "fgt_0000000000000000000000000000000000000000000";
    for (host, line, why) in [
        ("admins", bearer(&token), "another app"),
        ("app", bearer(&admins), "another app"),
        ("app", bearer(&far), "this network"),
        ("app", basic("bob", &token), "not of the user"),
        ("app", bearer(&slip), "no app token"),
        ("app", bearer(&token[..52]), "no app token"),
        ("app", bearer(unknown), "no app token"),
        ("app", basic("alice", "fgt_"), "no app token"),
        ("app", "X-Foregate-Token: rubbish".to_owned(), "no app token"),
        ("app", format!("X-Foregate-Token: {token}\r\n{}", bearer(&near)), "no app token"),
    ] {
        assert_refused(&house.foregate.check(&house.url(host, "/"), &[&line]), why);
    }
    assert_eq!(check(&house.foregate, &house, &near).status, 200);
    // Judged as its owner is.
    let reply = house.foregate.check(&house.url("admins", "/"), &[&bearer(&admins)]);
    assert_eq!(reply.status, 403, "{reply:?}");
    assert!(
        reply.header("www-authenticate").is_some_and(|why| why.contains("insufficient_scope")),
        "{reply:?}"
    );
    // A live session comes first, and what is ours does not reach the app even then.
    let cookie = house.cookie("bob");
    let reply = proxied(&house, "app", "/", &[&cookie, &bearer(&token)]);
    assert!(reply.status == 200 && reply.body.contains("remote-user: bob"), "{reply:?}");
    assert!(!reply.body.contains(&token), "{reply:?}");
    let twice = proxied(&house, "app", "/", &[&cookie, "Authorization: Bearer of-the-app", &bearer(&token)]);
    assert!(twice.status == 200 && !twice.body.contains(&token), "{twice:?}");
    // Where everybody is let in, a bad one is nobody's, and a good one still tells who it is.
    let reply = proxied(&house, "app", "/open/x", &[&bearer(&far)]);
    assert!(reply.status == 200 && !reply.body.contains("fgt_"), "{reply:?}");
    let reply = proxied(&house, "app", "/open/x", &[&bearer(&token)]);
    assert!(reply.status == 200 && reply.body.contains("remote-user: alice"), "{reply:?}");
}

#[test]
fn a_token_ends_by_time_by_hand_and_with_its_owner() {
    let house = House::new();
    house.sign_in("alice");
    let status = |token: &str| check(&house.foregate, &house, token).status;
    let brief = create(&house.foregate, "alice", APP, &["--expires", "1s"]);
    eventually("it expires", || status(&brief) == 401);
    assert_refused(&check(&house.foregate, &house, &brief), "expired");

    let (one, two) = (
        create(&house.foregate, "alice", APP, &["--name", "one", "--expires", "90d"]),
        create(&house.foregate, "alice", APP, &["--name", "two", "--network", "203.0.113.0/24"]),
    );
    assert_eq!((status(&one), status(&two)), (200, 200));
    let all = listed(&house.foregate, "alice");
    let named = |name: &str| all.iter().find(|token| token["name"] == name).expect("a token").clone();
    assert_eq!((all.len(), &named("one")["app"]), (3, &APP.into()));
    let (code, table, _) = command(&house.foregate, &["token", "list"]);
    assert!(code == Some(0) && table.lines().count() == 4, "{table}");
    for part in ["alice", APP, "203.0.113.0/24", "expired", "never", "good"] {
        assert!(table.contains(part), "{part}\n{table}");
    }

    let id = named("one")["id"].as_str().expect("an id").to_owned();
    let (code, out, err) = command(&house.foregate, &["token", "revoke", "--id", &id[..8]]);
    assert!(code == Some(0) && out.contains(&id), "{out}{err}");
    eventually("it is revoked", || status(&one) == 401);
    assert_refused(&check(&house.foregate, &house, &one), "revoked");
    assert_eq!(status(&two), 200);
    assert_eq!(command(&house.foregate, &["token", "revoke", "--id", &id]).0, Some(1));

    // With no session left, so that only the token can be what is heard of.
    assert_eq!(command(&house.foregate, &["session", "revoke", "--user", "alice"]).0, Some(0));
    assert_eq!(status(&two), 200);
    assert_eq!(command(&house.foregate, &["user", "disable", "alice"]).0, Some(0));
    eventually("it counts for nothing", || status(&two) == 401);
    assert_refused(&check(&house.foregate, &house, &two), "may not sign in");
    assert!(command(&house.foregate, &["token", "list"]).1.contains("owner disabled"));
    let (code, _, err) = command(&house.foregate, &["token", "create", "--user", "alice", "--app", APP]);
    assert!(code == Some(1) && err.contains("disabled"), "{err}");
    assert_eq!(command(&house.foregate, &["user", "enable", "alice"]).0, Some(0));
    eventually("it counts again", || status(&two) == 200);
    assert_eq!(command(&house.foregate, &["token", "revoke", "--user", "alice"]).0, Some(0));
    eventually("it is revoked", || status(&two) == 401);
    assert_eq!(command(&house.foregate, &["token", "revoke", "--user", "alice"]).0, Some(1));
}

#[test]
fn what_cannot_be_meant_is_told() {
    let house = House::new();
    house.sign_in("alice");
    for (args, code, told) in [
        (&["create", "--user", "alice", "--app", "nowhere"][..], 1, APP),
        (&["create", "--user", "nobody", "--app", APP], 1, "nobody of the name"),
        (&["create", "--user", "alice"], 2, "--app"),
        (&["create", "--user", "alice", "--app", APP, "--network", "10.0.0.1/8"], 2, "10.0.0.0/8"),
        (&["create", "--user", "alice", "--app", APP, "--expires", "soon"], 2, "90d"),
        (&["revoke"], 2, "--id"),
        (&["revoke", "--user", "alice", "--all"], 2, "--all"),
        (&["list", "--user", "nobody"], 1, "nobody of the name"),
    ] {
        let (found, out, err) = command(&house.foregate, &[&["token"], args].concat());
        assert!(
            found == Some(code) && out.is_empty() && err.contains(told),
            "{args:?}: {found:?} {out}{err}"
        );
    }
    let (code, _, err) = command(&house.foregate, &["token", "list"]);
    assert!(code == Some(0) && err.contains("no app tokens"), "{err}");
}

#[test]
fn an_owner_who_stays_away_too_long_takes_their_tokens_along() {
    let house = House::new();
    house.sign_in("alice");
    let token = create(&house.foregate, "alice", APP, &[]);
    let config = format!("{}[tokens]\nowner_absence = \"1m\"\n", house.config);
    let House { provider: _provider, backend: _backend, foregate, port, .. } = house;
    let url = format!("http://{APP}:{port}/");
    let ask = |foregate: &Foregate| foregate.check(&url, &[&bearer(&token)]);
    assert_eq!(ask(&foregate).status, 200);
    let file = foregate.dir().join("foregate.db");
    let foregate = foregate.restart_after(&config, || {
        let connection = rusqlite::Connection::open(file).expect("the store");
        let aged = "UPDATE foregate_person SET vouched_at = vouched_at - 61";
        assert_eq!(connection.execute(aged, ()).expect("a change"), 1);
    });
    assert_refused(&ask(&foregate), "has not signed in for too long");
}

/// Somebody with two sessions loses a group, of which the newer one hears. Then the older one is renewed, at a provider of this mind: the
/// status that their token has now at an app for that group.
fn after_a_renewal_of_the_older_session(mind: Mind) -> u16 {
    let (port, provider) = (free_port(), HostileProvider::start());
    let config = format!(
        "public_url = \"http://auth.foregate.localhost:{port}\"\n[server]\nlisten = \"LISTEN\"\nadmin_listen = \"ADMIN\"\n\
         [session]\nstore = \"sqlite:DIR/foregate.db\"\n{}[apps]\n\"app.foregate.localhost\" = \"group:Home Server Admins\"\n",
        provider.config()
    );
    let foregate = Foregate::start_at(&config, port);
    let sign_in = || {
        let mut browser = Browser { lines: vec!["X-User: alice".to_owned()], ..Browser::default() };
        browser.open(&format!("http://auth.foregate.localhost:{port}/.foregate/sign-in"));
        format!("Cookie: foregate={}", browser.cookie("foregate").expect("a session").value)
    };
    let older = sign_in();
    let lost = json!({ "groups": ["family"] });
    provider.is_of(Mind { claims: lost.clone(), userinfo: lost, ..Mind::default() });
    sign_in();
    let token = create(&foregate, "alice", APP, &[]);
    provider.is_of(mind);
    let file = foregate.dir().join("foregate.db");
    let foregate = foregate.restart_after(&config, || {
        let store = rusqlite::Connection::open(file).expect("the store");
        // The sign-ins lie a while back, the older one more.
        let aged = "UPDATE foregate_person SET vouched_at = vouched_at - 100; UPDATE foregate_session SET renew_at = 1 \
            WHERE rowid = (SELECT min(rowid) FROM foregate_session)";
        store.execute_batch(aged).expect("a change");
    });
    let url = format!("http://{APP}:{port}/");
    foregate.check(&url, &[&older]);
    let renewed = || {
        let failures = foregate.metric("foregate_renewal_failures_total");
        foregate.metric("foregate_sessions_renewed_total") + failures >= 1.0
    };
    eventually("it is renewed", renewed);
    foregate.check(&url, &[&bearer(&token)]).status
}

#[test]
fn a_group_that_was_lost_does_not_come_back_by_an_older_session() {
    let json = "Content-Type: application/json\r\n";
    let silent = || [("/userinfo", says("503 Service Unavailable", json, "{}"))].into();
    let untold = || json!({ "groups": null });
    let no_token = || json!({ "id_token": null });
    for (what, mind, status) in [
        ("userinfo is silent", Mind { instead: silent(), ..Mind::default() }, 403),
        (
            "no ID token, and userinfo is silent",
            Mind { instead: silent(), answer: no_token(), ..Mind::default() },
            403,
        ),
        (
            "no ID token, and userinfo tells no groups",
            Mind { answer: no_token(), userinfo: untold(), ..Mind::default() },
            403,
        ),
        (
            "no ID token, and userinfo tells that it is back",
            Mind { answer: no_token(), ..Mind::default() },
            200,
        ),
        ("the ID token tells that it is back", Mind { userinfo: untold(), ..Mind::default() }, 200),
    ] {
        assert_eq!(after_a_renewal_of_the_older_session(mind), status, "{what}");
    }
}

const SELF_SERVICE: &str =
    "store = \"sqlite:DIR/foregate.db\"\n[tokens]\nself_service = true\nmax_lifetime = \"30d\"";

fn account(house: &House) -> Url {
    Url::parse(&house.url("auth", "/.foregate/account")).expect("a URL")
}

/// What a page has between two texts, each time it has them.
fn between(page: &str, start: &str, end: &str) -> Vec<String> {
    page.split(start).skip(1).filter_map(|rest| rest.split(end).next()).map(str::to_owned).collect()
}

/// The account page of this browser and the proof in its forms.
fn page(house: &House, browser: &mut Browser) -> (String, String) {
    let reply = browser.step("GET", &account(house), "");
    assert_eq!(reply.status, 200, "{reply:?}");
    let proof = between(&reply.body, "name=\"csrf\" value=\"", "\"").remove(0);
    (reply.body, proof)
}

#[test]
fn people_make_and_revoke_their_own_where_they_may() {
    let house = House::with(SELF_SERVICE, Value::Null);
    let (mut alice, mut bob) = (house.sign_in("alice"), house.sign_in("bob"));
    let (shown, csrf) = page(&house, &mut alice);
    assert_eq!(between(&shown, "<option>", "<").len(), 4, "all apps: {shown}");
    let (bobs, bobs_csrf) = page(&house, &mut bob);
    let offered = between(&bobs, "<option>", "<");
    assert!(offered.len() == 3 && !offered.iter().any(|app| app.starts_with("admins")), "{offered:?}");

    let make = |csrf: &str, app: &str, lasts: u64| {
        format!("csrf={csrf}&make=token&app={app}&name=%20my+%3Cphone%3E&lasts={lasts}")
    };
    let reply = alice.step("POST", &account(&house), &make(&csrf, APP, 30 * 86_400));
    assert_eq!((reply.status, reply.header("cache-control")), (200, Some("no-store")), "{reply:?}");
    let token = between(&reply.body, "<code>", "<").remove(0);
    let answer = check(&house.foregate, &house, &token);
    assert_eq!((answer.status, answer.header("remote-user")), (200, Some("alice")), "{answer:?}");
    let (shown, _) = page(&house, &mut alice);
    assert!(
        shown.contains("my &#60;phone&#62;") && !shown.contains(&token) && !shown.contains("<phone"),
        "{shown}"
    );
    let ids = between(&shown, "name=\"revoke\" value=\"", "\"");
    assert_eq!((ids.len(), page(&house, &mut bob).0.contains("name=\"revoke\"")), (1, false));

    let admins = "admins.foregate.localhost";
    for (form, status) in [
        (make(&bobs_csrf, admins, 60), 403),
        (make(&bobs_csrf, "nowhere", 60), 403),
        (make(&csrf, APP, 60), 403),
        (make(&bobs_csrf, APP, 30 * 86_400 + 1), 400),
        (make(&bobs_csrf, APP, 59), 400),
        (format!("csrf={bobs_csrf}&make=token&app={APP}&lasts=60"), 400),
        (make(&bobs_csrf, APP, 60) + &format!("&revoke={}", ids[0]), 400),
        // Somebody else's: the page comes back, and nothing is revoked.
        (format!("csrf={bobs_csrf}&revoke={}", ids[0]), 303),
    ] {
        assert_eq!(bob.step("POST", &account(&house), &form).status, status, "{form}");
    }
    assert!(listed(&house.foregate, "bob").is_empty());
    assert_eq!(check(&house.foregate, &house, &token).status, 200);
    let mut foreign = alice.clone();
    foreign.lines.push("Sec-Fetch-Site: cross-site".to_owned());
    let revoke = format!("csrf={csrf}&revoke={}", ids[0]);
    assert_eq!(foreign.step("POST", &account(&house), &revoke).status, 403);
    assert_eq!(alice.step("POST", &account(&house), &revoke).status, 303);
    assert_refused(&check(&house.foregate, &house, &token), "revoked");
}

#[test]
fn nobody_makes_more_than_there_may_be_by_asking_for_many_at_once() {
    let tables = "keys = [\"KEY\"]\n[tokens]\nself_service = true".replace("KEY", KEY);
    for store in [postgres::fresh_url(), "sqlite:DIR/foregate.db".to_owned()] {
        let house = House::with(&format!("store = \"{store}\"\n{tables}"), Value::Null);
        let mut alice = house.sign_in("alice");
        let (_, csrf) = page(&house, &mut alice);
        let form = format!("csrf={csrf}&make=token&app={APP}&name=phone&lasts=60");
        let asked: Vec<u16> = thread::scope(|scope| {
            let ask = |_| {
                let (mut alice, house, form) = (alice.clone(), &house, &form);
                scope.spawn(move || alice.step("POST", &account(house), form).status)
            };
            let threads: Vec<_> = (0..80).map(ask).collect();
            threads.into_iter().map(|thread| thread.join().expect("an answer")).collect()
        });
        let count = |status: u16| asked.iter().filter(|found| **found == status).count();
        assert_eq!((count(200), count(409)), (50, 30), "{store}: {asked:?}");
        assert_eq!(listed(&house.foregate, "alice").len(), 50);
        // Whoever operates foregate may.
        create(&house.foregate, "alice", APP, &[]);
    }
}

#[test]
fn without_self_service_people_see_and_revoke_what_operators_made() {
    let house = House::new();
    let mut alice = house.sign_in("alice");
    let (shown, csrf) = page(&house, &mut alice);
    assert!(!shown.contains("token"), "{shown}");
    let form = format!("csrf={csrf}&make=token&app={APP}&name=phone&lasts=60");
    assert_eq!(alice.step("POST", &account(&house), &form).status, 403);
    let token = create(&house.foregate, "alice", APP, &["--name", "phone", "--network", "203.0.113.0/24"]);
    let (shown, csrf) = page(&house, &mut alice);
    assert!(
        shown.contains("phone") && shown.contains("203.0.113.0/24") && !shown.contains("make"),
        "{shown}"
    );
    let id = between(&shown, "name=\"revoke\" value=\"", "\"").remove(0);
    assert_eq!(alice.step("POST", &account(&house), &format!("csrf={csrf}&revoke={id}")).status, 303);
    assert_refused(&check(&house.foregate, &house, &token), "revoked");
}

#[test]
fn a_browser_makes_and_revokes_one_without_scripts() {
    let house = House::with(SELF_SERVICE, Value::Null);
    let [fill, click] = sign_in_as("alice");
    let seen = browse(&json!([
        { "javaScript": false },
        { "open": account(&house).as_str() }, fill, click,
        { "fill": { "[name=name]": "phone" } },
        { "click": "[name=make]" },
        { "text": ".copied" },
        { "click": "text=Done" },
        { "click": "[name=revoke]" },
    ]));
    let token = seen[5]["found"].as_str().expect("a token");
    assert!(token.starts_with("fgt_") && text(&seen[4]).contains("not shown again"), "{}", seen[4]);
    assert!(text(&seen[6]).contains("phone") && !text(&seen[6]).contains(token), "{}", seen[6]);
    assert!(!text(&seen[7]).contains("Revoke"), "{}", seen[7]);
    assert_refused(&check(&house.foregate, &house, token), "revoked");
}

#[test]
fn replicas_hear_of_the_end_of_tokens() {
    let session = format!("store = \"{}\"\nkeys = [\"{KEY}\"]\npoll = \"1h\"", postgres::fresh_url());
    let house = House::with(&session, Value::Null);
    let other = Foregate::start(&house.config);
    house.sign_in("alice");
    let both = [&house.foregate, &other];
    let is_everywhere =
        |token: &str, status: u16| both.iter().all(|one| check(one, &house, token).status == status);
    let (one, two) = (
        create(&house.foregate, "alice", APP, &["--name", "one"]),
        create(&other, "alice", APP, &["--name", "two"]),
    );
    assert!(is_everywhere(&one, 200) && is_everywhere(&two, 200));
    let all = listed(&other, "alice");
    let id = all.iter().find(|token| token["name"] == "one").expect("a token")["id"].as_str().expect("an id");
    assert_eq!(command(&house.foregate, &["token", "revoke", "--id", id]).0, Some(0));
    eventually("the end is heard of", || is_everywhere(&one, 401));
    assert!(is_everywhere(&two, 200));
    assert_eq!(command(&house.foregate, &["user", "disable", "alice"]).0, Some(0));
    eventually("it counts for nothing", || is_everywhere(&two, 401));
    eventually("its use is known", || listed(&other, "alice")[0]["last_used"].is_u64());
}

#[test]
fn a_slip_never_asks_the_store_and_a_silent_store_is_no_yes() {
    let mut server = postgres::Postgres::start();
    let url = tokio::runtime::Runtime::new().expect("a runtime").block_on(server.fresh());
    let house = House::with(&format!("store = \"{url}\"\nkeys = [\"{KEY}\"]"), Value::Null);
    house.sign_in("alice");
    let known = create(&house.foregate, "alice", APP, &[]);
    let fresh = create(&house.foregate, "alice", APP, &[]);
    assert_eq!(check(&house.foregate, &house, &known).status, 200);
    server.kill_hard();
    let mut slip = fresh.clone();
    slip.replace_range(52.., if slip.ends_with('x') { "y" } else { "x" });
    assert_refused(&check(&house.foregate, &house, &slip), "no app token");
    let reply = check(&house.foregate, &house, &fresh);
    assert_eq!((reply.status, reply.header("retry-after").is_some()), (503, true), "{reply:?}");
}
