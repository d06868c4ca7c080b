//! Rules that want a stronger or newer sign-in, and rules for some queries, with a provider that knows such sign-ins and
//! with one that does not.

use serde_json::{Value, json};

use crate::support::backend::Backend;
use crate::support::foregate::{Foregate, free_port};
use crate::support::http::{Browser, NAVIGATES, Reply, raw, request};
use crate::support::provider::Provider;
use crate::support::scene::{DIALECTS, ask};

struct House {
    provider: Provider,
    backend: Backend,
    foregate: Foregate,
    port: u16,
}

impl House {
    fn with(options: Value) -> Self {
        let port = free_port();
        let provider = Provider::for_foregate(&format!("http://auth.foregate.localhost:{port}"), options);
        let backend = Backend::start();
        let config = format!(
            r#"
public_url = "http://auth.foregate.localhost:{port}"
[server]
listen = "LISTEN"
admin_listen = "ADMIN"
[session]
store = "sqlite:DIR/foregate.db"
{provider}
[apps."app.foregate.localhost"]
upstream = "{upstream}"
allow = "signed-in"
rules = [
  {{ path = "/mfa/**", allow = "signed-in", acr = ["mfa", "hw"] }},
  {{ path = "/otp/**", allow = "signed-in", amr = "otp" }},
  {{ path = "/new/**", allow = "group:family", max_auth_age = "45s" }},
  {{ path = "/old/**", allow = "signed-in", max_auth_age = "1h" }},
  {{ path = "/doc", query = {{ do = ["edit", "delete"] }}, allow = "user:bob" }},
]
[apps."photos.family.localhost"]
upstream = "{upstream}"
allow = "signed-in"
rules = [{{ path = "/mfa/**", allow = "signed-in", acr = "mfa" }}]
"#,
            provider = provider.config(),
            upstream = backend.url(),
        );
        Self { foregate: Foregate::start_at(&config, port), provider, backend, port }
    }

    fn url(&self, page: &str) -> String {
        format!("http://app.foregate.localhost:{}{page}", self.port)
    }

    /// How often the provider was asked to sign somebody in, and the last time with what.
    fn asked(&self) -> (usize, String) {
        let log = self.provider.log();
        let asked = |entry: &&Value| entry["path"].as_str().is_some_and(|path| path.ends_with("/authorize/"));
        let last = log.iter().rfind(asked).map(|entry| entry["query"].to_string());
        (log.iter().filter(asked).count(), last.unwrap_or_default())
    }

    /// A check in a dialect, as a browser that has this session.
    fn check(&self, dialect: &str, page: &str, browser: &Browser, lines: &[&str]) -> Reply {
        let cookie = browser.cookie("foregate").map(|cookie| format!("Cookie: foregate={}", cookie.value));
        let lines = [&[cookie.as_deref().unwrap_or("X-Nobody: here")], lines].concat();
        raw(self.foregate.public, &ask(dialect, "GET", &self.url(page), &lines))
    }
}

fn came_to(reply: &Reply, page: &str) -> bool {
    reply.status == 200 && reply.body.starts_with(&format!("GET {page} HTTP/1.1\r\n"))
}

#[test]
fn a_page_that_wants_more_sends_people_back_to_the_provider_once() {
    let house = House::with(json!({ "stepsUp": true }));
    let mut browser = Browser::default();
    assert!(came_to(&browser.sign_in(&house.url("/"), "alice"), "/"));
    let before = browser.cookie("foregate").expect("a session").value.clone();
    let reply = browser.sign_in(&house.url("/mfa/x?y=%20z"), "alice");
    assert!(came_to(&reply, "/mfa/x?y=%20z"), "{reply:?} {:#?}", browser.visited);
    let (count, last) = house.asked();
    assert!(count == 2 && last.contains("mfa hw") && !last.contains("max_age"), "{last}");
    assert_ne!(browser.cookie("foregate").expect("a session").value, before, "a sign-in gives a new handle");
    assert!(came_to(&browser.open(&house.url("/mfa/again")), "/mfa/again"));
    assert!(came_to(&browser.open(&house.url("/otp/x")), "/otp/x"), "the same sign-in proved that too");
    assert_eq!(house.asked().0, 2, "nobody is asked again for what is proved");
    let old = Browser { jar: Vec::new(), ..Browser::default() };
    let line = format!("Cookie: foregate={before}");
    assert_eq!(house.check("traefik", "/", &old, &[&line]).status, 401, "the session before has ended");
    for dialect in DIALECTS {
        assert_eq!(house.check(dialect, "/mfa/x", &browser, &[]).status, 200, "{dialect}");
    }
}

#[test]
fn a_provider_that_does_not_know_such_sign_ins_ends_in_a_page_and_not_in_a_circle() {
    let house = House::with(Value::Null);
    let mut browser = Browser::default();
    browser.sign_in(&house.url("/"), "alice");
    let reply = browser.open(&house.url("/mfa/x"));
    assert_eq!(reply.status, 403, "{reply:?} {:#?}", browser.visited);
    assert!(reply.body.contains("a sign-in of the kind mfa or hw"), "{}", reply.body);
    assert_eq!(house.asked().0, 2, "asked once more and no further");
    assert_eq!(browser.open(&house.url("/mfa/x")).status, 403);
    assert_eq!(house.asked().0, 2, "nor on the next visit");
    let (_, again) = reply.body.split_once("class=\"button first\" href=\"").expect("a way to try again");
    let again = again.split('"').next().expect("a link").replace("&#38;", "&").replace("&amp;", "&");
    assert_eq!(browser.open(&again).status, 403, "{again}");
    assert_eq!(house.asked().0, 3, "but when a person asks for it");
    let reply = browser.sign_in(&house.url("/otp/x"), "alice");
    assert!(reply.status == 403 && reply.body.contains("a sign-in by otp"), "{reply:?}");
    let (count, last) = house.asked();
    assert!(count == 4 && last.contains("login"), "{last}");
    assert!(came_to(&browser.open(&house.url("/")), "/"), "all else stays open");
    assert!(house.backend.seen().iter().all(|request| !request.starts_with("GET /mfa")));
}

#[test]
fn a_sign_in_that_is_too_old_is_done_anew() {
    // The provider's clock is behind, so that each sign-in looks 50 seconds old.
    let house = House::with(json!({ "clockSkewSeconds": -50 }));
    let mut browser = Browser::default();
    assert!(came_to(&browser.sign_in(&house.url("/old/x"), "alice"), "/old/x"));
    let reply = browser.sign_in(&house.url("/new/x"), "alice");
    assert!(reply.status == 403 && reply.body.contains("a sign-in within the last 45 seconds"), "{reply:?}");
    let (count, last) = house.asked();
    assert!(count == 2 && last.contains("login") && last.contains("45"), "{last}");
    assert!(came_to(&browser.open(&house.url("/old/x")), "/old/x"));
    let sound = House::with(Value::Null);
    let mut browser = Browser::default();
    assert!(came_to(&browser.sign_in(&sound.url("/new/x"), "alice"), "/new/x"));
    assert_eq!(sound.asked().0, 1, "whoever has just signed in is not asked again");
    let mut carol = Browser::default();
    assert_eq!(carol.sign_in(&sound.url("/new/x"), "carol").status, 403, "no sign-in helps the wrong person");
    assert_eq!(sound.asked().0, 2);
}

#[test]
fn programs_are_told_what_sign_in_it_takes() {
    let house = House::with(json!({ "clockSkewSeconds": -50 }));
    let mut browser = Browser::default();
    browser.sign_in(&house.url("/"), "alice");
    for dialect in DIALECTS {
        let reply = house.check(dialect, "/mfa/x", &browser, &[]);
        let challenge =
            "Bearer realm=\"foregate\", error=\"insufficient_user_authentication\", acr_values=\"mfa hw\"";
        assert_eq!((reply.status, reply.header("www-authenticate")), (401, Some(challenge)), "{dialect}");
        let url = reply.header("foregate-sign-in").expect("an address");
        assert!(url.contains("acr_values=mfa+hw"), "{url}");
        let reply = house.check(dialect, "/new/x", &browser, &[]);
        assert!(reply.header("www-authenticate").unwrap().ends_with(", max_age=\"45\""), "{dialect}");
        let reply = house.check(dialect, "/mfa/x", &browser, &[NAVIGATES]);
        let status = if dialect == "nginx" { 401 } else { 302 };
        let location = reply.location();
        assert_eq!((reply.status, location.path()), (status, "/.foregate/sign-in"), "{dialect}");
        assert!(location.query().unwrap().contains("acr_values=mfa+hw"), "{location}");
        let nobody = Browser::default();
        assert_eq!(house.check(dialect, "/new/x", &nobody, &[]).status, 401, "{dialect}");
    }
    let problem = house.check("traefik", "/new/x", &browser, &[]).json();
    assert_eq!(problem["reason"], "insufficient-user-authentication");
    assert_eq!(
        (&problem["max_age"], &problem["missing"][0]),
        (&json!("45"), &json!("a sign-in within the last 45 seconds"))
    );
}

#[test]
fn a_stronger_sign_in_reaches_hosts_of_other_domains() {
    let house = House::with(json!({ "stepsUp": true }));
    let mut browser = Browser::default();
    let page = |page: &str| format!("http://photos.family.localhost:{}{page}", house.port);
    assert!(came_to(&browser.sign_in(&page("/"), "alice"), "/"));
    let reply = browser.sign_in(&page("/mfa/x"), "alice");
    assert!(came_to(&reply, "/mfa/x"), "{reply:?} {:#?}", browser.visited);
    assert_eq!(house.asked().0, 2);
}

#[test]
fn a_rule_for_a_query_is_not_talked_around() {
    let house = House::with(Value::Null);
    let mut alice = Browser::default();
    alice.sign_in(&house.url("/"), "alice");
    for (query, wanted) in [
        ("", 200),
        ("?do=show", 200),
        ("?do=edit", 403),
        ("?do=delete&x=1", 403),
        ("?%64o=edit", 403),
        ("?do=%65dit", 403),
        ("?do=show&do=edit", 400),
        ("?do=show&%64o=edit", 400),
        ("?DO=edit", 400),
        ("?do[]=edit", 400),
        ("?do=EDIT", 400),
        ("?x=1;do=edit", 400),
        ("?do=%2565dit", 400),
    ] {
        for dialect in DIALECTS {
            let page = format!("/doc{query}");
            assert_eq!(house.check(dialect, &page, &alice, &[]).status, wanted, "{dialect} {query}");
        }
        let cookie = format!("Cookie: foregate={}", alice.cookie("foregate").expect("a session").value);
        let lines = ["Host: app.foregate.localhost", &cookie];
        let reply =
            raw(house.foregate.public, request("GET", &format!("/doc{query}"), &lines, "").as_bytes());
        assert_eq!(reply.status, wanted, "as the proxy: {query}");
    }
    assert_eq!(house.check("traefik", "/other?do=edit&do=show", &alice, &[]).status, 200);
}
