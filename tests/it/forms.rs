//! Forms that are sent without a session, where foregate is the proxy: kept in the browser, sent on after the sign-in,
//! and never those of a stranger.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime};

use foregate::browser::{KeptForm, Sealer};
use foregate::secret::Secret;
use serde_json::{Value, json};

use crate::browser::{browse, sign_in_as, text};
use crate::support::foregate::KEY;
use crate::support::house::House;
use crate::support::http::{NAVIGATES, Reply, raw, request};
use crate::support::scene::{DIALECTS, scene};

const PHOTOS: &str = "photos.family.localhost";

fn house() -> House {
    House::with(&format!("store = \"sqlite:DIR/foregate.db\"\nkeys = [\"{KEY}\"]"), Value::Null)
}

/// What an operator does who ends everybody's sessions.
fn end_all(house: &House) -> Value {
    let url = format!("http://{}/api/v1/sessions?all=true", house.foregate.admin);
    json!({ "request": { "method": "DELETE", "url": url } })
}

/// The bodies that the app got at an address.
fn posted(house: &House, address: &str) -> Vec<String> {
    let start = format!("POST {address} ");
    let body = |request: &String| request.split_once("\r\n\r\n").expect("a body").1.to_owned();
    house.backend.seen().iter().filter(|request| request.starts_with(&start)).map(body).collect()
}

/// Sends the form of the app twice in one browser: with a session, and after an operator has ended it.
fn sent_twice(house: &House, origin: &str, resuming: &[Value], settings: Value) -> Vec<Value> {
    let page = format!("{origin}/form");
    let [fill, click] = sign_in_as("alice");
    let mut steps = vec![settings, json!({ "open": page }), fill, click, json!({ "click": "button" })];
    steps.extend([json!({ "open": page }), end_all(house), json!({ "click": "button" })]);
    steps.extend_from_slice(resuming);
    let seen = browse(&Value::from(steps));
    assert_eq!(seen[5]["answered"].as_u64(), Some(200), "{}", seen[5]);
    seen
}

/// The app got the same twice: as the browser sends it, and once more after the sign-in.
fn arrived_as_it_was(house: &House, landed: &Value, origin: &str) {
    assert_eq!(landed["url"].as_str(), Some(format!("{origin}/save?x=1&y=%20z").as_str()), "{landed}");
    assert!(text(landed).contains("remote-user: alice"), "{landed}");
    let bodies = posted(house, "/save?x=1&y=%20z");
    assert_eq!(bodies.len(), 2, "{bodies:#?}");
    assert!(
        bodies[0].contains("tag=b&tag=a&tag=b&submit=") && bodies[0].ends_with("&go=save"),
        "{bodies:#?}"
    );
    assert_eq!(bodies[0], bodies[1]);
}

#[test]
fn a_form_that_is_sent_after_the_session_ended_arrives_once_and_unchanged() {
    let house = house();
    let origin = house.url("app", "");
    let seen = sent_twice(&house, &origin, &[json!({ "wait": 1 })], json!({}));
    arrived_as_it_was(&house, seen.last().expect("a step"), &origin);
}

#[test]
fn it_does_so_at_a_host_in_another_domain() {
    let house = house();
    let origin = house.at(PHOTOS, "");
    let seen = sent_twice(&house, &origin, &[json!({ "wait": 1 })], json!({}));
    arrived_as_it_was(&house, seen.last().expect("a step"), &origin);
}

#[test]
fn it_does_so_without_scripts_by_a_second_tab() {
    for host in ["app.foregate.localhost", PHOTOS] {
        let house = house();
        let origin = house.at(host, "");
        let resuming = [
            json!({ "click": "main a" }),
            json!({ "tab": "popup", "text": "h1:has-text('Go back')" }),
            json!({ "tab": "main", "click": "main button" }),
            json!({ "click": "main button" }),
        ];
        let seen = sent_twice(&house, &origin, &resuming, json!({ "javaScript": false }));
        let [.., kept, _, back, shown, landed] = seen.as_slice() else { panic!("{seen:#?}") };
        assert_eq!(
            (kept["status"].as_u64(), kept["title"].as_str()),
            (Some(401), Some("Your sign-in has ended · foregate")),
            "{kept}"
        );
        assert!(text(back).contains("Go back to your form"), "{back}");
        assert!(
            text(shown).contains("Send what you filled in") && text(shown).contains("alice@example.com"),
            "{shown}"
        );
        arrived_as_it_was(&house, landed, &origin);
    }
}

#[test]
fn the_app_may_answer_with_a_redirect_to_another_host() {
    let house = house();
    let [fill, click] = sign_in_as("alice");
    let away = house.at(PHOTOS, "/landed");
    let action = format!("document.forms[0].setAttribute('action', '/away?{away}')");
    let seen = browse(&json!([
        { "open": house.at(PHOTOS, "/form") }, fill, click,
        { "open": house.url("app", "/form") }, end_all(&house),
        { "eval": action }, { "click": "button" },
    ]));
    let landed = seen.last().expect("a step");
    assert_eq!(landed["url"].as_str(), Some(away.as_str()), "{landed}");
    assert_eq!(posted(&house, &format!("/away?{away}")).len(), 1);
}

#[test]
fn a_way_back_in_the_history_sends_nothing_twice() {
    let house = house();
    let kept = kept_at(&house, "app", "/save", "a=1");
    let page = resume(&house, "app", Some("alice"), &kept);
    assert!(page.status == 200 && page.body.contains("<script>"), "{page:?}");
    assert!(!page.body.contains("already"), "{page:?}");
    let again = resume(&house, "app", Some("alice"), &kept);
    assert!(again.status == 200 && again.body.contains("You may have sent it already"), "{again:?}");
    assert!(!again.body.contains("<script>") && again.body.contains("Send it now"), "{again:?}");
    assert!(!again.header("content-security-policy").expect("a policy").contains("script-src"), "{again:?}");
}

#[test]
fn nothing_of_a_strangers_making_is_kept() {
    let house = house();
    let own = format!("Origin: {}", house.url("app", ""));
    let sound = |lines: &[&str]| send(&house, "app", "/save", &[&[KIND, NAVIGATES], lines].concat(), "a=1");
    let browser = ["Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"];
    for lines in [&[own.as_str()] as &[&str], &browser, &[&browser, [own.as_str()].as_slice()].concat()] {
        let reply = sound(lines);
        assert!(reply.status == 401 && reply.body.contains("name=\"kept\""), "{lines:?}: {reply:?}");
    }
    let site = |value: &'static str| [value, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", &own];
    for lines in [
        &[] as &[&str],
        &["Origin: null"],
        &["Origin: http://evil.localhost"],
        &[&format!("Origin: {}", house.at(PHOTOS, ""))],
        &["Origin: http://app.foregate.localhost"],
        &[&own, "Origin: http://evil.localhost"],
        &[&format!("Referer: {}", house.url("app", "/form"))],
        &site("Sec-Fetch-Site: cross-site"),
        &site("Sec-Fetch-Site: same-site"),
        &site("Sec-Fetch-Site: none"),
        &["Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty", &own],
        &["Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe", &own],
        &[&own, "X-Requested-With: XMLHttpRequest"],
        &[&own, "Authorization: Bearer x"],
    ] {
        is_refused_as_ever(&sound(lines), &format!("{lines:?}"));
    }
}

#[test]
fn only_what_a_browser_sends_again_byte_for_byte_is_kept() {
    let house = house();
    let own = format!("Origin: {}", house.url("app", ""));
    let big = format!("a={}", "x".repeat(64 * 1024 - 2));
    let sent = |kind: &str, body: &str| send(&house, "app", "/save", &[kind, NAVIGATES, &own], body);
    assert!(sent(KIND, &big).body.contains("name=\"kept\""));
    for (kind, body) in [
        (KIND, format!("{big}x").as_str()),
        (KIND, "a=%FF"),
        (KIND, "a=one%0Atwo"),
        (KIND, "=1"),
        ("Content-Type: application/x-www-form-urlencoded; charset=latin1", "a=1"),
        ("Content-Type: multipart/form-data; boundary=x", "--x--"),
        ("Content-Type: text/plain", "a=1"),
        ("Content-Type: application/json", "{}"),
        ("Accept-Language: en", "a=1"),
        ("Content-Type: application/x-www-form-urlencoded\r\nContent-Encoding: gzip", "a=1"),
    ] {
        is_refused_as_ever(&sent(kind, body), &format!("{kind} {:.20}", body));
    }
    let chunked = ["Transfer-Encoding: chunked", KIND, NAVIGATES, &own];
    let host = format!("Host: app.foregate.localhost:{}", house.port);
    let bytes = request("POST", "/save", &[&chunked, [host.as_str()].as_slice()].concat(), "");
    is_refused_as_ever(&raw(house.foregate.public, (bytes + "3\r\na=1\r\n0\r\n\r\n").as_bytes()), "chunked");
    for method in ["PUT", "PATCH", "DELETE"] {
        let lines = [KIND, NAVIGATES, &own, &host];
        let reply = raw(house.foregate.public, request(method, "/save", &lines, "a=1").as_bytes());
        is_refused_as_ever(&reply, method);
    }
    assert!(house.backend.seen().is_empty(), "nothing of it reached the app");
}

#[test]
fn what_a_page_shows_of_a_form_is_text() {
    let house = house();
    let body = "a=%22%3E%3Cscript%3Ealert%281%29%3C%2Fscript%3E&%3Cb%3E%27=%26amp%3B&a=2";
    let kept = kept_at(&house, "admins", "//evil.test/x?%22onclick=1&a=%27", body);
    let page = resume(&house, "admins", Some("alice"), &kept);
    for part in [
        "name=\"a\" value=\"&#34;&#62;&#60;script&#62;alert(1)&#60;/script&#62;\">\n<input type=\"hidden\" name=\"&#60;b&#62;&#39;\" value=\"&#38;amp;\">",
        &format!("action=\"{}//evil.test/x?%22onclick=1&#38;a=%27\"", house.url("admins", "")),
    ] {
        assert!(page.body.contains(part), "{part}: {page:?}");
    }
    is_kept_by_nobody(&page);
}

#[test]
fn a_form_is_taken_from_its_own_host_alone_and_shown_to_nobody_else() {
    let house = house();
    let kept = kept_at(&house, "app", "/save", "secret=of-the-form");
    let own = format!("Origin: {}", house.url("app", ""));
    let brought = |lines: &[&str], kept: &str| {
        let cookie = house.cookie("alice");
        let lines = [&[KIND, NAVIGATES, cookie.as_str()], lines].concat();
        send(&house, "app", RESUME, &lines, &format!("kept={kept}"))
    };
    assert!(brought(&[&own], &kept).body.contains("of-the-form"));
    for lines in [
        &[] as &[&str],
        &["Origin: null"],
        &["Origin: http://evil.localhost"],
        &["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", &own],
        &["Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"],
        &["Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty", &own],
    ] {
        says(&brought(lines, &kept), 403, "another site");
    }
    let other = kept_at(&house, "admins", "/save", "secret=of-the-form");
    let sealed = |at: u64| {
        let form = KeptForm::new([1; 16], at, ("http://x", "/save"), b"secret=of-the-form").expect("a form");
        form.seal(&Sealer::new(&[Secret::new(KEY)]).expect("a key"), "app.foregate.localhost", [7; 12])
    };
    let tampered = format!("{}A", &kept[..kept.len() - 1]);
    for text in ["", "x", "%FF", other.as_str(), &tampered, &kept[1..]] {
        says(&brought(&[&own], text), 400, "not kept for this site");
    }
    says(&brought(&[&own], &sealed(now() - 3700)), 410, "an hour");
    says(&brought(&[&own], &sealed(now() + 3700)), 410, "an hour");
    says(&brought(&[&own], &"A".repeat(200_000)), 413, "larger");
    let patient = brought(&[&own], &sealed(now() - 900));
    assert!(patient.status == 200 && patient.body.contains("of-the-form"), "{patient:?}");
    assert!(!patient.body.contains("<script>"), "an old one waits for a click: {patient:?}");
}

#[test]
fn a_form_is_shown_only_to_whoever_may_send_it() {
    let house = house();
    let kept = kept_at(&house, "admins", "/save", "secret=of-the-form");
    let nobody = resume(&house, "admins", None, &kept);
    assert!(nobody.status == 401 && nobody.body.contains("You are not signed in yet"), "{nobody:?}");
    let bob = resume(&house, "admins", Some("bob"), &kept);
    assert!(bob.status == 403 && bob.body.contains("This account may not send it"), "{bob:?}");
    assert!(bob.body.contains("bob@example.com") && bob.body.contains("account=other"), "{bob:?}");
    for page in [&nobody, &bob] {
        assert!(!page.body.contains("of-the-form") && !page.body.contains("<script>"), "{page:?}");
        assert!(page.body.contains(&format!("name=\"kept\" value=\"{kept}\"")), "it is still kept: {page:?}");
        is_kept_by_nobody(page);
    }
    assert!(resume(&house, "admins", Some("alice"), &kept).body.contains("of-the-form"));
    assert_eq!(house.foregate.logged("of-the-form") + house.foregate.logged(&kept[..40]), 0);
    assert!(house.backend.seen().iter().all(|request| !request.contains("/.foregate")), "no app is asked");
}

/// Whoever begins to send forms and does not go on takes no more turns than a few, and none of those who come back with theirs.
#[test]
fn forms_that_are_sent_slowly_hold_up_nobody_else() {
    let house = house();
    let kept = kept_at(&house, "app", "/save", "a=1");
    let own = format!("Origin: {}", house.url("app", ""));
    let host = format!("Host: app.foregate.localhost:{}", house.port);
    let slow = |from: &str| {
        let from = format!("X-Forwarded-For: {from}");
        let lines = [KIND, NAVIGATES, &own, &host, &from, "Content-Length: 10"];
        let mut stream = TcpStream::connect(house.foregate.public).expect("a connection");
        stream.write_all((request("POST", "/save", &lines, "") + "a=").as_bytes()).expect("a beginning");
        stream
    };
    let send_from = |from: &str, address: &str, body: &str| {
        let from = format!("X-Forwarded-For: {from}");
        send(&house, "app", address, &[KIND, NAVIGATES, &own, &from], body)
    };
    let is_kept = |from: &str| send_from(from, "/save", "a=1").body.contains("name=\"kept\"");
    // They are being read as soon as there is no turn left for whoever sends them.
    let eventually_not = |from: &str| {
        let end = Instant::now() + Duration::from_secs(8);
        while is_kept(from) {
            assert!(Instant::now() < end, "still kept from {from}");
        }
    };
    let one: Vec<TcpStream> = (0..100).map(|_| slow("203.0.113.7")).collect();
    eventually_not("203.0.113.7");
    assert!(is_kept("203.0.113.8"), "another client");
    drop(one);
    let many: Vec<TcpStream> = (0..130).map(|number| slow(&format!("198.51.100.{}", number / 8))).collect();
    eventually_not("203.0.113.9");
    let page = send_from("198.51.100.1", RESUME, &format!("kept={kept}"));
    assert!(page.status == 401 && page.body.contains("You are not signed in yet"), "{page:?}");
    drop(many);
}

#[test]
fn where_foregate_is_not_the_proxy_nothing_is_kept() {
    let scene = scene();
    let own = "Origin: http://app.foregate.localhost";
    for dialect in DIALECTS {
        for lines in [
            &[NAVIGATES, KIND, own] as &[&str],
            &["Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", KIND],
        ] {
            let reply = scene.ask(dialect, "POST", "http://app.foregate.localhost/save", lines);
            is_refused_as_ever(&reply, dialect);
        }
    }
    let host = ["Host: app.foregate.localhost"];
    for method in ["GET", "POST"] {
        let reply = raw(scene.foregate.public, request(method, RESUME, &host, "").as_bytes());
        assert_eq!((reply.status, reply.header("content-type")), (404, Some("text/plain; charset=utf-8")));
    }
}

#[test]
fn a_program_without_a_session_hears_401_and_never_a_redirect() {
    let (house, scene) = (house(), scene());
    let calls: [(&str, &[&str]); 6] = [
        ("GET", &["Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty", "Sec-Fetch-Site: same-origin", NAVIGATES]),
        ("GET", &["X-Requested-With: XMLHttpRequest", NAVIGATES]),
        ("GET", &["Accept: application/json"]),
        ("GET", &["Sec-Fetch-Mode: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", NAVIGATES]),
        ("GET", &["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", NAVIGATES]),
        ("POST", &["Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty", "Sec-Fetch-Site: same-origin", KIND]),
    ];
    for (method, lines) in calls {
        for host in ["app.foregate.localhost", PHOTOS] {
            let name = format!("Host: {host}:{}", house.port);
            let all = [&[name.as_str()], lines].concat();
            let reply = raw(house.foregate.public, request(method, "/api?x=1", &all, "").as_bytes());
            is_refused_as_ever(&reply, &format!("{host} {lines:?}"));
        }
        for dialect in DIALECTS {
            let reply = scene.ask(dialect, method, "http://app.foregate.localhost/api?x=1", lines);
            is_refused_as_ever(&reply, &format!("{dialect} {lines:?}"));
        }
    }
    assert!(house.backend.seen().is_empty());
}

/// What is not kept is refused as ever: a problem that names the sign-in, on foregate's own host. nginx hears no body, and
/// HAProxy asks for none.
fn is_refused_as_ever(reply: &Reply, what: &str) {
    assert_eq!((reply.status, reply.header("location")), (401, None), "{what}: {reply:?}");
    let sign_in = reply.header("foregate-sign-in").expect("a sign-in");
    assert!(
        sign_in.contains("//auth.foregate.localhost:") && sign_in.contains("/.foregate/sign-in?rd="),
        "{what}"
    );
    assert!(reply.header("set-cookie").is_none(), "{what}: {reply:?}");
    if what.starts_with("nginx") {
        assert_eq!(reply.body, "", "{what}");
    } else {
        assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{what}: {reply:?}");
        let told = what.starts_with("haproxy") || reply.json()["reason"] == "sign-in-required";
        assert!(told, "{what}: {reply:?}");
    }
}

fn says(reply: &Reply, status: u16, part: &str) {
    assert!(reply.status == status && reply.body.contains(part), "{status} {part}: {reply:?}");
    assert!(!reply.body.contains("of-the-form") && !reply.body.contains("<script>"), "{reply:?}");
    is_kept_by_nobody(reply);
}

fn is_kept_by_nobody(page: &Reply) {
    assert_eq!(page.header("cache-control"), Some("no-store"), "{page:?}");
    assert_eq!(page.header("referrer-policy"), Some("same-origin"), "{page:?}");
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
}

/// Posts to a host of the house.
fn send(house: &House, host: &str, address: &str, lines: &[&str], body: &str) -> Reply {
    let host = format!("Host: {host}.foregate.localhost:{}", house.port);
    let lines = [lines, &[host.as_str()]].concat();
    raw(house.foregate.public, request("POST", address, &lines, body).as_bytes())
}

/// The sealed form in the page that answers a form without a session.
fn kept_at(house: &House, host: &str, address: &str, body: &str) -> String {
    let own = format!("Origin: {}", house.url(host, ""));
    let reply = send(house, host, address, &[KIND, NAVIGATES, &own], body);
    assert_eq!(reply.status, 401, "{reply:?}");
    is_kept_by_nobody(&reply);
    let policy = reply.header("content-security-policy").expect("a policy");
    assert!(policy.contains("script-src 'sha256-") && policy.contains("form-action 'self'"), "{policy}");
    let start = reply.body.split("name=\"kept\" value=\"").nth(1).expect("a form");
    start.split('"').next().expect("an end").to_owned()
}

/// Brings it, as the pages do.
fn resume(house: &House, host: &str, user: Option<&str>, kept: &str) -> Reply {
    let own = format!("Origin: {}", house.url(host, ""));
    let cookie = user.map(|user| house.cookie(user));
    let lines: Vec<&str> = [KIND, NAVIGATES, &own].into_iter().chain(cookie.as_deref()).collect();
    send(house, host, RESUME, &lines, &format!("kept={kept}"))
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time").as_secs()
}

const KIND: &str = "Content-Type: application/x-www-form-urlencoded";
const RESUME: &str = "/.foregate/resume";
