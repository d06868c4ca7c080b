//! What people and operators see and end: the account page, the commands, the API.

use std::thread;
use std::time::{Duration, Instant};

use foregate::identity::Profile;
use foregate::session::store::{Location, Row, SessionKey, SessionStore};
use serde_json::{Value, json};
use url::Url;

use crate::support::foregate::{Foregate, KEY, run};
use crate::support::house::House;
use crate::support::http::{Browser, Reply, raw, request};
use crate::support::postgres;

const FIREFOX: &str =
    "User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0";
const IPHONE: &str = "User-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 \
    (KHTML, like Gecko) CriOS/124.0.6367.88 Mobile/15E148 Safari/604.1";

/// A browser of this name that is signed in.
fn sign_in(house: &House, user: &str, user_agent: &str) -> Browser {
    let mut browser = Browser { lines: vec![user_agent.to_owned()], ..Browser::default() };
    let reply = browser.sign_in(&house.url("app", "/"), user);
    assert_eq!(reply.status, 200, "{reply:?}");
    browser
}

fn account(house: &House) -> Url {
    Url::parse(&house.url("auth", "/.foregate/account")).expect("a URL")
}

fn page(house: &House, browser: &mut Browser) -> String {
    let reply = browser.step("GET", &account(house), "");
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body
}

fn proof(page: &str) -> String {
    page.split("name=\"csrf\" value=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("a proof")
        .to_owned()
}

/// The ids of the other sessions that a page offers to end.
fn others(page: &str) -> Vec<String> {
    page.split("name=\"session\" value=\"").skip(1).map(|rest| rest[..32].to_owned()).collect()
}

fn is_in(house: &House, browser: &Browser) -> bool {
    browser.clone().step("GET", &Url::parse(&house.url("app", "/")).expect("a URL"), "").status == 200
}

fn cookie(browser: &Browser) -> String {
    format!("Cookie: foregate={}", browser.cookie("foregate").expect("a session").value)
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < end, "{what}: never");
        thread::sleep(Duration::from_millis(10));
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

fn unix_now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time").as_secs()
}

/// A session that nobody holds the cookie of.
fn row(number: u32, person: (&str, &str, &str), last_seen: u64) -> Row {
    let (issuer, subject, username) = person;
    let mut id = [0xab; 16];
    id[12..].copy_from_slice(&number.to_be_bytes());
    Row {
        key: SessionKey { id, proof: [7; 32] },
        profile: Profile {
            issuer: issuer.into(),
            subject: subject.into(),
            username: username.into(),
            ..Profile::default()
        },
        sid: None,
        created_at: last_seen,
        last_seen,
        expires_at: unix_now() + 3_600,
        renew_at: None,
        version: 0,
        tokens: vec![],
        client: "203.0.113.9".into(),
        user_agent: "Something/1.0".into(),
    }
}

fn keep(location: &Location, rows: impl IntoIterator<Item = Row>) {
    let store = SessionStore::open(location).expect("the store");
    block_on(async {
        for row in rows {
            store.insert(&row).await.expect("an answer");
        }
    });
}

fn file_of(house: &House) -> Location {
    Location::Sqlite(house.foregate.dir().join("foregate.db"))
}

/// Runs a command beside a running foregate, with its configuration.
fn command(foregate: &Foregate, args: &[&str]) -> (Option<i32>, String, String) {
    let config = foregate.dir().join("foregate.toml");
    run(&[args, &["--config", config.to_str().expect("a path")]].concat(), foregate.dir())
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect()
}

#[test]
fn people_see_where_they_are_signed_in_and_nothing_of_others() {
    let house = House::new();
    let (mut here, _phone, _other) =
        (sign_in(&house, "alice", FIREFOX), sign_in(&house, "alice", IPHONE), sign_in(&house, "bob", IPHONE));
    let page = page(&house, &mut here);
    for part in [
        "Alice",
        "alice@example.com",
        "Home Server Admins",
        "Firefox on Windows",
        "Chrome on iPhone",
        "127.0.0.1",
    ] {
        assert!(page.contains(part), "{part}:\n{page}");
    }
    assert!(!page.contains("bob") && !page.contains("<script"), "{page}");
    assert_eq!((others(&page).len(), page.matches("This browser").count()), (1, 1), "{page}");
    let time =
        page.split("<time datetime=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a time");
    assert!(time.len() == 20 && time.ends_with('Z') && page.contains("just now"), "{time}");
    let reply = here.step("GET", &account(&house), "");
    let policy = reply.header("content-security-policy").expect("a policy");
    assert!(
        policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    for (host, start) in [("auth", "/"), ("admins", "/")] {
        let mut bob = sign_in(&house, "bob", FIREFOX);
        let start = bob.step("GET", &Url::parse(&house.url(host, start)).expect("a URL"), "");
        assert!(start.body.contains(account(&house).as_str()), "a way to the page: {start:?}");
    }
}

#[test]
fn whoever_is_not_signed_in_comes_back_to_the_page() {
    let house = House::new();
    let mut browser = Browser::default();
    let reply = browser.sign_in(account(&house).as_str(), "alice");
    assert!(reply.status == 200 && reply.body.contains("Your account"), "{reply:?}");
    assert_eq!(browser.visited.last(), Some(&account(&house)));
}

#[test]
fn a_person_ends_one_session_or_all_others() {
    let house = House::new();
    let mut here = sign_in(&house, "alice", FIREFOX);
    let phone = sign_in(&house, "alice", IPHONE);
    let shown = page(&house, &mut here);
    let (csrf, ids) = (proof(&shown), others(&shown));
    let reply = here.step("POST", &account(&house), &format!("csrf={csrf}&session={}", ids[0]));
    assert_eq!((reply.status, reply.location()), (303, account(&house)));
    assert!(is_in(&house, &here) && !is_in(&house, &phone));
    assert!(others(&page(&house, &mut here)).is_empty());

    let more = [sign_in(&house, "alice", IPHONE), sign_in(&house, "alice", FIREFOX)];
    let bob = sign_in(&house, "bob", FIREFOX);
    let reply = here.step("POST", &account(&house), &format!("csrf={csrf}&others=all"));
    assert_eq!((reply.status, reply.location()), (303, account(&house)));
    assert!(is_in(&house, &here) && is_in(&house, &bob) && more.iter().all(|one| !is_in(&house, one)));

    // Its own id is a sign-out: the cookies go too.
    let own = json_lines(&command(&house.foregate, &["session", "list", "--user", "alice", "--json"]).1);
    let own = own[0]["id"].as_str().expect("an id").to_owned();
    let reply = here.step("POST", &account(&house), &format!("csrf={csrf}&session={own}"));
    assert_eq!((reply.status, reply.location().path()), (303, "/.foregate/signed-out"));
    assert!(here.cookie("foregate").is_none() && here.cookie("foregate-login").is_none());
    assert_eq!(here.step("POST", &account(&house), &format!("csrf={csrf}&others=all")).status, 302);
}

#[test]
fn nobody_ends_sessions_by_somebody_elses_page() {
    let house = House::new();
    let (mut alice, phone) = (sign_in(&house, "alice", FIREFOX), sign_in(&house, "alice", IPHONE));
    let mut bob = sign_in(&house, "bob", FIREFOX);
    let (shown, bobs) = (page(&house, &mut alice), page(&house, &mut bob));
    let (csrf, id) = (proof(&shown), others(&shown)[0].clone());
    let good = format!("csrf={csrf}&others=all");
    for line in ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Dest: empty", "Sec-Purpose: prefetch"] {
        let mut foreign = alice.clone();
        foreign.lines.push(line.to_owned());
        assert_eq!(foreign.step("POST", &account(&house), &good).status, 403, "{line}");
    }
    for (form, status) in [
        ("others=all".to_owned(), 403),
        ("csrf=&others=all".to_owned(), 403),
        ("csrf=AAAA&others=all".to_owned(), 403),
        (format!("csrf={}&others=all", proof(&bobs)), 403),
        (format!("csrf={csrf}&csrf={csrf}&others=all"), 403),
        (format!("csrf={csrf}"), 400),
        (format!("csrf={csrf}&session={id}&others=all"), 400),
        (format!("csrf={csrf}&session={}", &id[1..]), 400),
        (format!("csrf={csrf}&session="), 400),
        (format!("csrf={csrf}&x={}", "x".repeat(20_000)), 413),
    ] {
        assert_eq!(alice.step("POST", &account(&house), &form).status, status, "{form}");
    }
    // Bob's own proof with the id of a session of hers: the page comes back, and nothing has ended.
    let reply = bob.step("POST", &account(&house), &format!("csrf={}&session={id}", proof(&bobs)));
    assert_eq!(reply.status, 303);
    // Her cookie beside his, and his proof.
    let mut both = bob.clone();
    both.lines.push(cookie(&alice));
    both.step("POST", &account(&house), &format!("csrf={}&others=all", proof(&bobs)));
    assert!(is_in(&house, &alice) && is_in(&house, &phone) && is_in(&house, &bob));
    // An app's own host shows no page: a script there could read the proof.
    let there = Url::parse(&house.url("app", "/.foregate/account")).expect("a URL");
    let reply = alice.step("GET", &there, "");
    assert!(reply.status == 404 && reply.body.contains(account(&house).as_str()), "{reply:?}");
    assert_eq!(alice.step("POST", &there, &good).status, 404);
    assert_eq!(alice.step("DELETE", &account(&house), "").status, 405);
    assert!(is_in(&house, &phone));
}

#[test]
fn no_app_gets_at_the_proofs_of_our_forms() {
    let house = House::new();
    let (alice, phone) = (sign_in(&house, "alice", FIREFOX), sign_in(&house, "alice", IPHONE));
    let as_a_script = |from: &str| {
        let mut browser = alice.clone();
        browser.lines.extend([format!("Sec-Fetch-Site: {from}"), "Sec-Fetch-Dest: empty".to_owned()]);
        browser
    };
    let sign_out = |host: &str, query: &str| {
        Url::parse(&house.url(host, &format!("/.foregate/sign-out{query}"))).expect("a URL")
    };
    // A script on an app's page, whose host leads here too, is sent home, where it can read nothing.
    for host in ["app", "admins", "unknown"] {
        let reply = as_a_script("same-origin").step("GET", &sign_out(host, ""), "");
        let to = reply.location();
        assert!(reply.status == 303 && to.host_str() == sign_out("auth", "").host_str(), "{host} {reply:?}");
        let again = as_a_script("same-origin").step("GET", &sign_out(host, "?home=1"), "");
        assert!(again.status == 404 && !again.body.contains("csrf"), "{again:?}");
    }
    // And there it gets none: an app may be on that host as well.
    for (url, from) in [
        (sign_out("auth", ""), "cross-site"),
        (sign_out("auth", ""), "same-origin"),
        (account(&house), "same-origin"),
    ] {
        let reply = as_a_script(from).step("GET", &url, "");
        assert!(reply.status == 403 && !reply.body.contains("csrf"), "{url} {from} {reply:?}");
    }
    for lines in [
        ["Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"],
        ["Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: document"],
    ] {
        let mut frame = alice.clone();
        frame.lines.extend(lines.map(str::to_owned));
        assert_eq!(frame.step("GET", &account(&house), "").status, 403, "{lines:?}");
    }
    let mut by_link = alice.clone();
    by_link.lines.push("Sec-Fetch-Site: cross-site".to_owned());
    let shown = by_link.step("GET", &sign_out("auth", ""), "");
    let good = format!("csrf={}&scope=everywhere", proof(&shown.body));
    let account_proof = proof(&page(&house, &mut alice.clone()));
    for (lines, url, form) in [
        (&[][..], sign_out("app", ""), &good),
        (&["Origin: http://app.foregate.localhost"], sign_out("auth", ""), &good),
        (&["Origin: null"], sign_out("auth", ""), &good),
        (&["Sec-Fetch-Site: same-site"], sign_out("auth", ""), &good),
        (&["Origin: http://evil.test"], account(&house), &format!("csrf={account_proof}&others=all")),
        // The proof of one form is none for another.
        (&[], account(&house), &format!("csrf={}&others=all", proof(&shown.body))),
        (&[], sign_out("auth", ""), &format!("csrf={account_proof}&scope=everywhere")),
    ] {
        let mut browser = alice.clone();
        browser.lines.extend(lines.iter().map(ToString::to_string));
        assert_eq!(browser.step("POST", &url, form).status, 403, "{lines:?} {url} {form}");
    }
    assert!(is_in(&house, &alice) && is_in(&house, &phone));
    let mut own = alice.clone();
    let origin = format!("Origin: http://auth.foregate.localhost:{}", house.port);
    own.lines.extend([origin, "Sec-Fetch-Site: same-origin".to_owned()]);
    assert_eq!(own.step("POST", &sign_out("auth", ""), &good).status, 303);
    assert!(!is_in(&house, &alice) && !is_in(&house, &phone));
}

#[test]
fn a_long_list_shows_the_hundred_used_last_and_says_so() {
    let house = House::new();
    let mut here = sign_in(&house, "alice", FIREFOX);
    let own = json_lines(&command(&house.foregate, &["session", "list", "--json"]).1).remove(0);
    let [issuer, subject] = ["issuer", "subject"].map(|part| own[part].as_str().expect("text").to_owned());
    let now = unix_now();
    let rows = |count: u32| {
        (0..count).map(|number| row(number, (&issuer, &subject, "alice"), now - 5 + u64::from(number)))
    };
    keep(&file_of(&house), rows(99));
    let shown = page(&house, &mut here);
    assert_eq!((others(&shown).len(), shown.contains("used last")), (99, false));
    keep(&file_of(&house), rows(120));
    let shown = page(&house, &mut here);
    let ids = others(&shown);
    assert!(shown.contains("used last") && shown.contains("This browser"), "{shown}");
    // Of 120 the first 21 are the oldest, and this very browser has a place too.
    assert_eq!(
        (ids.len(), ids[0].ends_with("00000077"), ids[98].ends_with("00000015")),
        (99, true, true),
        "{ids:?}"
    );
    assert!(shown.contains("Something/1.0"), "what an unknown browser calls itself");
}

#[test]
fn operators_list_and_end_sessions_beside_a_running_foregate() {
    let house = House::new();
    let (alice, phone) = (sign_in(&house, "alice", FIREFOX), sign_in(&house, "alice", IPHONE));
    let bob = sign_in(&house, "bob", FIREFOX);
    let (code, table, err) = command(&house.foregate, &["session", "list"]);
    assert_eq!((code, err.as_str(), table.lines().count()), (Some(0), "", 4), "{table}");
    let column = table.find("USER").expect("a title");
    assert!(
        table
            .lines()
            .skip(1)
            .all(|line| ["alice", "bob"].iter().any(|name| line[column..].starts_with(name))),
        "{table}"
    );
    assert!(table.contains("Firefox on Windows") && table.contains("Chrome on iPhone"), "{table}");
    let listed = json_lines(&command(&house.foregate, &["session", "list", "--user", "alice", "--json"]).1);
    assert_eq!(listed.len(), 2);
    for part in
        ["id", "user", "issuer", "subject", "created_at", "last_seen", "expires_at", "client", "user_agent"]
    {
        assert!(!listed[0][part].is_null(), "{part}");
    }
    let of_phone =
        listed.iter().find(|one| one["user_agent"].to_string().contains("iPhone")).expect("the phone");
    let id = of_phone["id"].as_str().expect("an id").to_owned();
    let (code, out, _) = command(&house.foregate, &["session", "revoke", "--id", &id[..8]]);
    assert!(code == Some(0) && out.contains(&id), "{out}");
    eventually("the phone is signed out", || !is_in(&house, &phone));
    assert!(is_in(&house, &alice) && is_in(&house, &bob));
    let (code, out, _) = command(&house.foregate, &["session", "revoke", "--user", "alice"]);
    assert!(code == Some(0) && out.contains("1 session"), "{out}");
    eventually("alice is signed out", || !is_in(&house, &alice));
    for (args, told) in [
        (vec!["session", "revoke", "--user", "alice"], "no sessions"),
        (vec!["session", "revoke", "--user", "nobody"], "ever seen"),
        (vec!["session", "revoke", "--id", &id], "no session"),
        (vec!["session", "revoke", "--id", "00000000"], "no session"),
        (vec!["session", "list", "--user", "nobody"], "ever seen"),
        (vec!["user", "disable", "nobody"], "ever seen"),
    ] {
        let (code, out, err) = command(&house.foregate, &args);
        assert!(code == Some(1) && err.contains(told) && out.is_empty(), "{args:?}: {code:?} {out} {err}");
    }
    assert!(is_in(&house, &bob));
    let (code, out, _) = command(&house.foregate, &["session", "revoke", "--all"]);
    assert!(code == Some(0) && out.contains("1 session"), "{out}");
    eventually("everybody is signed out", || !is_in(&house, &bob));
    let (code, out, err) = command(&house.foregate, &["session", "list"]);
    assert!(code == Some(0) && out.is_empty() && err.contains("no sessions"), "{out}{err}");
}

#[test]
fn the_disabled_are_out_until_they_are_enabled() {
    let house = House::new();
    let (alice, bob) = (sign_in(&house, "alice", FIREFOX), sign_in(&house, "bob", FIREFOX));
    let (code, out, _) = command(&house.foregate, &["user", "disable", "alice"]);
    assert!(code == Some(0) && out.contains("1 session"), "{out}");
    eventually("alice is out", || !is_in(&house, &alice));
    assert!(is_in(&house, &bob));
    let reply = Browser::default().sign_in(&house.url("app", "/"), "alice");
    assert!(
        reply.status == 403 && reply.body.contains("disabled") && reply.body.contains("Reference"),
        "{reply:?}"
    );
    let (_, table, _) = command(&house.foregate, &["user", "list"]);
    let line = |name: &str| table.lines().find(|line| line.starts_with(name)).expect("a line").to_owned();
    assert!(line("alice").contains("disabled") && line("bob").contains("enabled"), "{table}");
    let people = json_lines(&command(&house.foregate, &["user", "list", "--json"]).1);
    let of = |name: &str| people.iter().find(|one| one["user"] == name).expect("a person").clone();
    assert!(of("alice")["disabled_at"].is_u64() && of("bob")["disabled_at"].is_null());
    assert_eq!((&of("alice")["sessions"], &of("bob")["sessions"]), (&json!(0), &json!(1)));
    assert_eq!(command(&house.foregate, &["user", "enable", "alice"]).0, Some(0));
    assert!(is_in(&house, &sign_in(&house, "alice", FIREFOX)));
}

#[test]
fn a_name_that_several_people_have_is_no_answer() {
    let house = House::new();
    let alice = sign_in(&house, "alice", FIREFOX);
    keep(&file_of(&house), [row(1, ("https://other.test/", "s-9", "alice"), unix_now())]);
    for args in [["session", "revoke", "--user", "alice"].as_slice(), &["user", "disable", "alice"]] {
        let (code, _, err) = command(&house.foregate, args);
        assert!(code == Some(1) && err.contains("--issuer https://other.test/ --subject s-9"), "{err}");
        assert!(err.contains(&house.provider.issuer), "{err}");
    }
    assert_eq!(
        json_lines(&command(&house.foregate, &["session", "list", "--json"]).1).len(),
        2,
        "nothing has ended"
    );
    let other = ["--issuer", "https://other.test/"];
    let revoke = [["session", "revoke", "--user", "alice"].as_slice(), &other].concat();
    assert_eq!(command(&house.foregate, &revoke).0, Some(0));
    assert_eq!(command(&house.foregate, &["user", "disable", "alice", "--subject", "s-9"]).0, Some(0));
    assert!(is_in(&house, &alice));
    let reply = api(&house, "DELETE", "/api/v1/sessions?user=alice", &[], "");
    assert_eq!((reply.status, reply.json()["users"].as_array().map(Vec::len)), (409, Some(2)), "{reply:?}");
    let reply = api(&house, "DELETE", "/api/v1/sessions?user=alice&subject=s-9", &[], "");
    assert_eq!((reply.status, reply.json()), (200, json!({ "ended": 0 })));
}

#[test]
fn commands_need_a_store_that_is_there_and_a_way_of_saying_which() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = "public_url = \"http://localhost:1\"\nallow = \"signed-in\"\n[provider]\nissuer = \"http://localhost:2\"\nclient_id = \"f\"\n\
        client_secret = \"s\"\n";
    std::fs::write(dir.path().join("foregate.toml"), config).expect("a file");
    for args in [
        vec!["session", "list"],
        vec!["session", "revoke", "--all"],
        vec!["user", "list"],
        vec!["user", "enable", "a"],
    ] {
        let (code, _, err) = run(&args, dir.path());
        assert!(code == Some(1) && err.contains("foregate.db"), "{args:?}: {err}");
    }
    assert!(!dir.path().join("foregate.db").exists(), "none is made");
    for args in [
        vec!["session", "revoke"],
        vec!["session", "revoke", "--all", "--user", "a"],
        vec!["session", "revoke", "--user", ""],
        vec!["session", "revoke", "--id", "1234567"],
        vec!["session", "revoke", "--id", "1234567x"],
        vec!["session", "revoke", "--all", "--issuer", "x"],
        vec!["user", "disable"],
        vec!["user", "disable", ""],
        vec!["user"],
    ] {
        assert_eq!(run(&args, dir.path()).0, Some(2), "{args:?}");
    }
}

#[test]
fn lists_longer_than_a_page_are_whole() {
    let house = House::new();
    let now = unix_now();
    keep(
        &file_of(&house),
        (0..1_203).map(|n| row(n, ("https://other.test/", &format!("s-{n}"), "carol"), now)),
    );
    let ids = |text: &str| {
        let mut ids: Vec<String> = text.lines().skip(1).map(|line| line[..32].to_owned()).collect();
        ids.dedup();
        ids
    };
    let (code, table, _) = command(&house.foregate, &["session", "list"]);
    assert_eq!((code, ids(&table).len()), (Some(0), 1_203));
    assert_eq!(json_lines(&command(&house.foregate, &["user", "list", "--json"]).1).len(), 1_203);
    for (path, list, name) in [("sessions", "sessions", "id"), ("users", "users", "subject")] {
        let mut next = String::new();
        let mut seen = Vec::new();
        loop {
            let reply =
                api(&house, "GET", &format!("/api/v1/{path}?user=carol&limit=500&after={next}"), &[], "");
            assert_eq!(reply.status, 200, "{reply:?}");
            let page = reply.json();
            seen.extend(page[list].as_array().expect("a list").iter().map(|one| one[name].to_string()));
            match page["next"].as_str() {
                Some(more) => next = more.to_owned(),
                None => break,
            }
        }
        let count = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!((count, seen.len()), (1_203, 1_203), "{path}");
    }
    assert_eq!(
        api(&house, "GET", "/api/v1/sessions", &[], "").json()["sessions"].as_array().map(Vec::len),
        Some(100)
    );
}

#[test]
fn ended_everywhere_a_store_can_begin_anew_with_other_keys() {
    let session = format!("store = \"{}\"\nkeys = [\"{KEY}\"]", postgres::fresh_url());
    let mut house = House::with(&session, Value::Null);
    sign_in(&house, "alice", FIREFOX);
    house.foregate.stop();
    let changed = house.config.replace(KEY, "ISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0-P0A=");
    let dir = tempfile::tempdir().expect("a directory");
    let file = changed.replace("LISTEN", "127.0.0.1:1").replace("ADMIN", "127.0.0.1:2");
    std::fs::write(dir.path().join("foregate.toml"), file).expect("a file");
    let listed = run(&["session", "list"], dir.path());
    assert!(listed.0 == Some(0) && listed.1.contains("alice"), "lists need no keys: {listed:?}");
    let (code, out, err) = run(&["session", "revoke", "--all"], dir.path());
    assert!(code == Some(0) && out.contains("1 session"), "{out}{err}");
    let foregate = Foregate::start(&changed);
    let ready = api_at(&foregate, "GET", "/readyz", &[], "");
    assert_eq!((ready.status, &ready.json()["store"]["ok"]), (200, &json!(true)), "{ready:?}");
}

#[test]
fn what_an_operator_does_reaches_every_replica() {
    let session = format!("store = \"{}\"\nkeys = [\"{KEY}\"]\npoll = \"1h\"", postgres::fresh_url());
    let house = House::with(&session, Value::Null);
    let other = Foregate::start(&house.config);
    let url = house.url("app", "/");
    let status = |foregate: &Foregate, browser: &Browser| foregate.check(&url, &[&cookie(browser)]).status;
    let (alice, bob) = (sign_in(&house, "alice", FIREFOX), sign_in(&house, "bob", FIREFOX));
    for foregate in [&house.foregate, &other] {
        assert_eq!((status(foregate, &alice), status(foregate, &bob)), (200, 200));
    }
    assert_eq!(command(&house.foregate, &["session", "revoke", "--user", "alice"]).0, Some(0));
    for foregate in [&house.foregate, &other] {
        eventually("the end is heard of", || status(foregate, &alice) == 401);
        assert_eq!(status(foregate, &bob), 200);
    }
    // By the API of one, to the other.
    let reply = api(
        &house,
        "POST",
        "/api/v1/users/disable",
        &["Content-Type: application/json"],
        r#"{"user":"bob"}"#,
    );
    assert_eq!((reply.status, &reply.json()["ended"]), (200, &json!(1)), "{reply:?}");
    for foregate in [&house.foregate, &other] {
        eventually("the end is heard of", || status(foregate, &bob) == 401);
    }
    let reply = Browser::default().sign_in(&house.url("app", "/"), "bob");
    assert!(reply.status == 403 && reply.body.contains("disabled"), "{reply:?}");
    assert_eq!(command(&other, &["user", "enable", "bob"]).0, Some(0));
    let bob = sign_in(&house, "bob", FIREFOX);
    for foregate in [&house.foregate, &other] {
        assert_eq!(status(foregate, &bob), 200);
    }
}

/// Asks the API as a program on this machine does.
fn api(house: &House, method: &str, target: &str, lines: &[&str], body: &str) -> Reply {
    api_at(&house.foregate, method, target, lines, body)
}

fn api_at(foregate: &Foregate, method: &str, target: &str, lines: &[&str], body: &str) -> Reply {
    let host = format!("Host: {}", foregate.admin);
    let mut all = lines.to_vec();
    if !lines.iter().any(|line| line.starts_with("Host:")) {
        all.push(&host);
    }
    all.push("Connection: close");
    raw(foregate.admin, request(method, target, &all, body).as_bytes())
}

#[test]
fn the_api_lists_and_ends_sessions_and_people() {
    let house = House::new();
    let (alice, phone) = (sign_in(&house, "alice", FIREFOX), sign_in(&house, "alice", IPHONE));
    let bob = sign_in(&house, "bob", FIREFOX);
    let reply = api(&house, "GET", "/api/v1/sessions?user=alice", &[], "");
    assert_eq!(
        (reply.header("content-type"), reply.header("cache-control")),
        (Some("application/json"), Some("no-store"))
    );
    let listed = reply.json();
    assert_eq!((listed["sessions"].as_array().map(Vec::len), &listed["next"]), (Some(2), &Value::Null));
    let first = api(&house, "GET", "/api/v1/sessions?limit=1", &[], "").json();
    let next = first["next"].as_str().expect("more").to_owned();
    assert_eq!(first["sessions"][0]["id"], next);
    let of_phone = listed["sessions"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|one| one["user_agent"].to_string().contains("iPhone"));
    let id = of_phone.expect("the phone")["id"].as_str().expect("an id").to_owned();
    let path = format!("/api/v1/sessions/{id}");
    assert_eq!(api(&house, "DELETE", &path, &[], "").json(), json!({ "ended": 1 }));
    assert!(!is_in(&house, &phone) && is_in(&house, &alice), "at once where it was asked for");
    assert_eq!(api(&house, "DELETE", &path, &[], "").status, 404);
    assert_eq!(api(&house, "DELETE", "/api/v1/sessions?user=alice", &[], "").json(), json!({ "ended": 1 }));
    assert_eq!(api(&house, "DELETE", "/api/v1/sessions?user=alice", &[], "").json(), json!({ "ended": 0 }));
    let form = ["X-Requested-With: curl", "Content-Type: application/x-www-form-urlencoded"];
    let reply = api(&house, "POST", "/api/v1/users/disable", &form, "user=bob");
    assert_eq!(reply.json(), json!({ "user": "bob", "disabled": true, "ended": 1 }));
    assert!(!is_in(&house, &bob));
    let people = api(&house, "GET", "/api/v1/users", &[], "").json();
    let of_bob = people["users"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|one| one["user"] == "bob")
        .expect("bob")
        .clone();
    assert!(of_bob["disabled_at"].is_u64() && of_bob["email"] == "bob@example.com", "{of_bob}");
    let reply = api(&house, "POST", "/api/v1/users/enable", &form, "user=bob");
    assert_eq!(reply.json(), json!({ "user": "bob", "disabled": false }));
    let bob = sign_in(&house, "bob", FIREFOX);
    assert_eq!(api(&house, "DELETE", "/api/v1/sessions?all=true", &[], "").json(), json!({ "ended": 1 }));
    assert!(!is_in(&house, &bob));
}

#[test]
fn a_wrong_request_to_the_api_ends_nothing_and_says_why() {
    let house = House::new();
    let alice = sign_in(&house, "alice", FIREFOX);
    let json = "Content-Type: application/json";
    for (method, target, lines, body, (status, reason)) in [
        ("DELETE", "/api/v1/sessions", vec![], "", (400, "malformed")),
        ("DELETE", "/api/v1/sessions?user=", vec![], "", (400, "malformed")),
        ("DELETE", "/api/v1/sessions?all=yes", vec![], "", (400, "malformed")),
        ("DELETE", "/api/v1/sessions?all=true&user=alice", vec![], "", (400, "malformed")),
        ("DELETE", "/api/v1/sessions?all=true&usr=alice", vec![], "", (400, "malformed")),
        ("DELETE", "/api/v1/sessions?user=alice&user=alice", vec![], "", (400, "malformed")),
        ("DELETE", "/api/v1/sessions?user=nobody", vec![], "", (404, "no-such-user")),
        ("DELETE", "/api/v1/sessions/", vec![], "", (400, "malformed")),
        ("DELETE", "/api/v1/sessions/abc", vec![], "", (400, "malformed")),
        ("DELETE", "/api/v1/sessions/zz000000000000000000000000000000", vec![], "", (400, "malformed")),
        ("DELETE", "/api/v1/sessions/00000000000000000000000000000000", vec![], "", (404, "no-such-session")),
        ("GET", "/api/v1/sessions?limit=0", vec![], "", (400, "malformed")),
        ("GET", "/api/v1/sessions?limit=1001", vec![], "", (400, "malformed")),
        ("GET", "/api/v1/sessions?after=abc", vec![], "", (400, "malformed")),
        ("GET", "/api/v1/users?after=abc", vec![], "", (400, "malformed")),
        ("GET", "/api/v1/other", vec![], "", (404, "no-such-path")),
        ("GET", "/api/", vec![], "", (404, "no-such-path")),
        ("POST", "/api/v1/users/disable", vec![json], "", (400, "malformed")),
        ("POST", "/api/v1/users/disable", vec![json], "{}", (400, "malformed")),
        ("POST", "/api/v1/users/disable", vec![json], r#"{"user":5}"#, (400, "malformed")),
        ("POST", "/api/v1/users/disable", vec![json], r#"{"user":"alice","x":"y"}"#, (400, "malformed")),
        ("POST", "/api/v1/users/disable", vec![json], r#"{"user":"nobody"}"#, (404, "no-such-user")),
        ("POST", "/api/v1/users/disable", vec!["X-Requested-With: x"], "user=alice", (415, "malformed")),
        (
            "POST",
            "/api/v1/users/disable",
            vec![json, "Sec-Fetch-Site: cross-site"],
            r#"{"user":"alice"}"#,
            (403, "from-a-page"),
        ),
        (
            "POST",
            "/api/v1/users/disable",
            vec![json, "Sec-Fetch-Site: same-site"],
            r#"{"user":"alice"}"#,
            (403, "from-a-page"),
        ),
        (
            "POST",
            "/api/v1/users/disable",
            vec![json, "Origin: http://localhost:3000"],
            r#"{"user":"alice"}"#,
            (403, "from-a-page"),
        ),
        (
            "POST",
            "/api/v1/users/disable",
            vec!["Content-Type: text/plain"],
            r#"{"user":"alice"}"#,
            (403, "not-json"),
        ),
        (
            "POST",
            "/api/v1/users/disable",
            vec!["Content-Type: application/x-www-form-urlencoded"],
            "user=alice",
            (403, "not-json"),
        ),
        ("DELETE", "/api/v1/sessions?all=true", vec!["Host: evil.test:4181"], "", (403, "not-this-machine")),
        ("GET", "/api/v1/sessions", vec!["Host: evil.test"], "", (403, "not-this-machine")),
        ("GET", "/api/v1/sessions", vec!["Host: localhost.evil.test"], "", (403, "not-this-machine")),
    ] {
        let reply = api(&house, method, target, &lines, body);
        assert_eq!(
            (reply.status, reply.json()["reason"].as_str()),
            (status, Some(reason)),
            "{method} {target} {lines:?} {body}"
        );
        assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    }
    for (method, target) in [
        ("PUT", "/api/v1/sessions"),
        ("POST", "/api/v1/users"),
        ("GET", "/api/v1/users/disable"),
        ("GET", "/api/v1/sessions/00000000000000000000000000000000"),
    ] {
        let reply = api(&house, method, target, &[json], "");
        assert!(reply.status == 405 && reply.header("allow").is_some(), "{method} {target}: {reply:?}");
    }
    assert!(is_in(&house, &alice));
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(api(&house, "GET", path, &["Host: evil.test"], "").status, 200, "{path} is for everybody");
    }
}

#[test]
fn with_a_token_the_api_is_for_those_who_have_it() {
    let config = "public_url = \"http://localhost:1\"\nallow = \"signed-in\"\n[server]\nlisten = \"LISTEN\"\nadmin_listen = \"ADMIN\"\n\
        admin_token = \"s3cret-token\"\n[session]\nstore = \"sqlite:DIR/f.db\"\n[provider]\nissuer = \"http://localhost:2\"\n\
        client_id = \"f\"\nclient_secret = \"s\"\n";
    let foregate = Foregate::start(config);
    for lines in [
        vec![],
        vec!["Authorization: Bearer wrong"],
        vec!["Authorization: Basic s3cret-token"],
        vec!["Authorization: Bearer s3cret-token", "Authorization: Bearer s3cret-token"],
    ] {
        for target in ["/api/v1/sessions", "/api/v1/other", "/api/"] {
            let reply = api_at(&foregate, "GET", target, &lines, "");
            assert_eq!(
                (reply.status, reply.json()["reason"].as_str()),
                (401, Some("token-required")),
                "{lines:?}"
            );
            assert!(
                reply.header("www-authenticate").is_some_and(|line| line.starts_with("Bearer")),
                "{reply:?}"
            );
        }
    }
    let token = "Authorization: Bearer s3cret-token";
    for lines in
        [vec![token], vec![token, "Host: admin.example.com"], vec![token, "Sec-Fetch-Site: cross-site"]]
    {
        assert_eq!(api_at(&foregate, "GET", "/api/v1/sessions", &lines, "").status, 200, "{lines:?}");
    }
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(api_at(&foregate, "GET", path, &[], "").status, 200, "{path} stays open");
    }
    assert!(!foregate.log_lines().iter().any(|line| line.contains("s3cret-token")));
    let dir = tempfile::tempdir().expect("a directory");
    let open = config.replace("LISTEN", "127.0.0.1:0").replace("ADMIN", "0.0.0.0:4181").replace("DIR", ".");
    std::fs::write(dir.path().join("foregate.toml"), open.replace("admin_token", "# admin_token"))
        .expect("a file");
    let (code, _, err) = run(&["serve"], dir.path());
    assert!(code == Some(1) && err.contains("server.admin_token_file"), "{err}");
}
