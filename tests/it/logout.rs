//! Sign-outs that come from the provider: real ones of a certified provider, and every token and frame that must end
//! nothing.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use crate::support::foregate::{Foregate, KEY, free_port};
use crate::support::http::{Browser, Reply, raw, request};
use crate::support::postgres;
use crate::support::provider::Provider;
use crate::support::scene;

const BACK: &str = "/.foregate/backchannel-logout";
const FRONT: &str = "/.foregate/frontchannel-logout";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded";
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
const SQLITE: &str = "store = \"sqlite:DIR/foregate.db\"";

/// A provider that tells foregate of sign-outs, and signs whatever a test wants it to say.
struct House {
    provider: Provider,
    foregate: Foregate,
    config: String,
    public_url: String,
}

/// A person in a browser of their own, and what the provider calls them.
struct Guest {
    browser: Browser,
    cookie: String,
    subject: String,
    sid: String,
}

impl House {
    fn new(session: &str) -> Self {
        Self::beside(session, "http://127.0.0.1:PORT")
    }

    /// With a provider that browsers find at this origin.
    fn beside(session: &str, origin: &str) -> Self {
        let port = free_port();
        let public_url = format!("http://auth.foregate.localhost:{port}");
        let told = format!("http://127.0.0.1:{port}{BACK}");
        let more = json!({"backchannelLogoutUri": told, "publicOrigin": origin});
        let provider = Provider::for_foregate(&public_url, more);
        let inside = format!("[provider]\ninternal_url = \"http://127.0.0.1:{}\"\n", provider.port);
        let config = scene::config(&public_url, &provider, session).replacen("[provider]\n", &inside, 1);
        Self { foregate: Foregate::start_at(&config, port), provider, config, public_url }
    }

    fn sign_in(&self, user: &str) -> Guest {
        let known = self.sessions();
        let mut browser = Browser::default();
        browser.sign_in(&format!("{}/.foregate/sign-in", self.public_url), user);
        let new = self.sessions().into_iter().find(|one| !known.contains(one)).expect("a new session");
        let cookie = cookie_of(&browser);
        let text = |name: &str| new[name].as_str().expect("a name").to_owned();
        let guest = Guest { browser, cookie, subject: text("sub"), sid: text("sid") };
        assert!(self.lets_in(&guest), "{user} is signed in");
        guest
    }

    fn sessions(&self) -> Vec<Value> {
        self.provider.control("sessions", &Value::Null).as_array().expect("a list").clone()
    }

    fn frame_url(&self, sid: &str) -> Url {
        let query = [("iss", self.provider.issuer.as_str()), ("sid", sid)];
        Url::parse_with_params(&format!("{}{FRONT}", self.public_url), query).expect("a URL")
    }

    fn lets_in(&self, guest: &Guest) -> bool {
        is_in(&self.foregate, &guest.cookie)
    }

    /// A logout token as authentik sends it, with other members where `over` has them; null takes one away.
    fn token(&self, over: Value) -> String {
        self.token_of(&json!({"typ": "logout+jwt"}), over)
    }

    fn token_of(&self, header: &Value, over: Value) -> String {
        let mut claims = json!({
            "iss": self.provider.issuer, "aud": "foregate", "iat": now(), "jti": format!("jti-{}", free_port()),
            "events": {EVENT: {}},
        });
        let (Some(all), Value::Object(over)) = (claims.as_object_mut(), over) else { panic!("no objects") };
        all.extend(over);
        all.retain(|_, value| !value.is_null());
        let signed = self.provider.control("sign", &json!({"header": header, "claims": claims}));
        signed["token"].as_str().expect("a token").to_owned()
    }

    fn tell(&self, token: &str) -> Reply {
        self.post(&format!("logout_token={token}"))
    }

    fn post(&self, body: &str) -> Reply {
        let lines = [FORM, "Connection: close"];
        raw(self.foregate.public, request("POST", BACK, &lines, body).as_bytes())
    }

    /// What the provider's frame asks in a browser with these cookies.
    fn frame(&self, query: &[(&str, &str)], cookies: &str) -> Reply {
        let query: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        let mut lines = vec!["Sec-Fetch-Dest: iframe", "Sec-Fetch-Site: same-site", "Connection: close"];
        lines.extend((!cookies.is_empty()).then_some(cookies));
        raw(self.foregate.public, request("GET", &format!("{FRONT}?{query}"), &lines, "").as_bytes())
    }
}

fn is_in(foregate: &Foregate, cookie: &str) -> bool {
    let reply = foregate.check("http://app.foregate.localhost/", &[cookie]);
    assert!(matches!(reply.status, 200 | 401), "{reply:?}");
    reply.status == 200
}

fn cookie_of(browser: &Browser) -> String {
    format!("Cookie: foregate={}", browser.cookie("foregate").expect("a session").value)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs()
}

#[track_caller]
fn assert_done(reply: &Reply) {
    assert!(reply.status == 200 && reply.body.is_empty(), "{reply:?}");
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert!(reply.all("set-cookie").is_empty(), "{reply:?}");
}

/// A refusal that says why in OAuth's form.
#[track_caller]
fn assert_refused(reply: &Reply, status: u16, reason: &str) {
    assert_eq!(reply.status, status, "{reply:?}");
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let told = reply.json();
    assert_eq!(told["error"], "invalid_request");
    assert!(told["error_description"].as_str().is_some_and(|why| why.contains(reason)), "{reason}: {told}");
}

#[test]
fn signing_out_at_the_provider_signs_out_here_too() {
    let house = House::new(SQLITE);
    let (mut here, there, bob) = (house.sign_in("alice"), house.sign_in("alice"), house.sign_in("bob"));
    // One browser opens the provider's own sign-out and presses its button.
    let end = format!("{}end-session/", house.provider.issuer);
    let page = here.browser.open(&end);
    let part = |start: &str| {
        let rest = page.body.split(start).nth(1).unwrap_or_else(|| panic!("no {start}: {page:?}"));
        rest.split('"').next().expect("a value").to_owned()
    };
    let confirm = Url::parse(&part("action=\"")).expect("a URL");
    let form = format!("logout=yes&xsrf={}", part("name=\"xsrf\" value=\""));
    here.browser.submit(&confirm, &form);
    assert!(!house.lets_in(&here), "the cookie is worth nothing");
    assert!(house.lets_in(&there) && house.lets_in(&bob), "the same person elsewhere, and others");
    // An administrator ends what alice has left.
    let told = house.provider.control("logout", &json!({"login": "alice"}));
    assert_eq!(told["told"], json!(["ok"]));
    assert!(!house.lets_in(&there) && house.lets_in(&bob));
    let line = house.foregate.wait_for_log("the provider signed somebody out");
    for part in [here.sid.as_str(), "\"sessions\":1", &house.provider.issuer] {
        assert!(line.contains(part), "{part}: {line}");
    }
    // Our own sign-out at the provider comes back as a message about a session that is gone.
    let mut bob = bob;
    bob.browser.open(&format!("{}/.foregate/sign-out", house.public_url));
    assert!(!house.lets_in(&bob));
    assert_eq!(house.foregate.logged("a logout token was refused"), 0);
}

#[test]
fn a_bad_logout_token_ends_nothing_and_is_told_why() {
    let house = House::new(SQLITE);
    let alice = house.sign_in("alice");
    let named = |over: Value| {
        let mut claims = json!({"sub": alice.subject, "sid": alice.sid});
        claims.as_object_mut().expect("an object").extend(over.as_object().expect("an object").clone());
        claims
    };
    for (over, reason) in [
        (json!({"iss": "https://elsewhere.test/"}), "issuer"),
        (json!({"iss": null}), "'iss'"),
        (json!({"aud": "another-client"}), "audience"),
        (json!({"aud": ["a", "b"]}), "audience"),
        (json!({"events": null}), "lacks the claim 'events'"),
        (
            json!({"events": {"http://schemas.openid.net/event/other": {}}}),
            "another kind, as its claim 'events'",
        ),
        (json!({"events": {EVENT: "yes"}}), "backchannel-logout' has the wrong type"),
        (json!({"events": [EVENT]}), "'events' has the wrong type"),
        (json!({"nonce": "n"}), "'nonce'"),
        (json!({"iat": null}), "'iat'"),
        (json!({"iat": now() - 400}), "too long ago"),
        (json!({"iat": now() + 120}), "in the future"),
        (json!({"exp": now() - 120}), "expired"),
        (json!({"jti": null}), "'jti'"),
        (json!({"jti": 7}), "'jti'"),
        (json!({"jti": "j".repeat(2000)}), "'jti' is too long"),
        (json!({"sub": null, "sid": null}), "neither"),
        (json!({"sub": ""}), "'sub'"),
        (json!({"sid": 1}), "'sid'"),
        (json!({"typ": "Bearer"}), "'typ'"),
    ] {
        let token = house.token(named(over.clone()));
        let reply = house.tell(&token);
        assert_refused(&reply, 400, reason);
        assert!(!reply.body.contains(&token) && !reply.body.contains("elsewhere.test"), "{reply:?}");
        assert!(house.lets_in(&alice), "{over}");
    }
    for (header, reason) in [
        (json!({"typ": "at+jwt"}), "type"),
        (json!({"alg": "none"}), "algorithm"),
        (json!({"alg": "HS256"}), "algorithm"),
        (json!({"alg": "PS256"}), "algorithm"),
        (json!({"kid": "unknown"}), "key id"),
    ] {
        assert_refused(&house.tell(&house.token_of(&header, named(json!({})))), 400, reason);
    }
    // Another provider's key over our provider's words.
    let forger = House::new(SQLITE);
    let header = json!({"kid": null, "typ": "logout+jwt"});
    let claims = named(json!({"iss": house.provider.issuer}));
    assert_refused(&house.tell(&forger.token_of(&header, claims)), 400, "signature");
    let good = house.token(named(json!({})));
    for (bad, reason) in [
        (good[..good.len() - 4].to_owned(), "signature"),
        (good.rsplit_once('.').expect("a signature").0.to_owned() + ".", "signature"),
        (format!("{good}.x.y"), "encrypted"),
        ("x".to_owned(), "malformed"),
        (String::new(), "malformed"),
    ] {
        assert_refused(&house.tell(&bad), 400, reason);
    }
    assert!(house.lets_in(&alice), "after all of it");
    assert_done(&house.tell(&good));
    assert!(!house.lets_in(&alice), "and the good one ends it");
    let signature = good.rsplit_once('.').expect("a signature").1;
    assert_eq!(
        house.foregate.logged(signature) + house.foregate.logged(&good[..60]),
        0,
        "no token in the log"
    );
}

#[test]
fn an_id_token_is_no_logout_token() {
    let house = House::new(SQLITE);
    let alice = house.sign_in("alice");
    let more =
        json!({"sub": alice.subject, "sid": alice.sid, "exp": now() + 300, "events": null, "nonce": "n"});
    assert_refused(&house.tell(&house.token_of(&json!({}), more)), 400, "'events'");
    // The real one, from the address of the sign-out at the provider.
    let mut leaving = house.sign_in("bob").browser;
    leaving.open(&format!("{}/.foregate/sign-out", house.public_url));
    let hint = leaving.visited.iter().flat_map(|url| url.query_pairs().into_owned().collect::<Vec<_>>());
    let (_, id_token) = hint.into_iter().find(|(name, _)| name == "id_token_hint").expect("an ID token");
    assert_refused(&house.tell(&id_token), 400, "'events'");
    assert!(house.lets_in(&alice));
}

#[test]
fn a_logout_token_names_a_session_or_a_person() {
    let house = House::new(SQLITE);
    let (first, second, bob) = (house.sign_in("alice"), house.sign_in("alice"), house.sign_in("bob"));
    for nobody in [
        json!({"sid": "unknown"}),
        json!({"sub": "unknown"}),
        json!({"sid": first.sid, "sub": bob.subject}),
        json!({"sid": first.sid.to_uppercase()}),
        json!({"sid": first.subject}),
        json!({"sub": format!("{}%", &bob.subject[..4])}),
    ] {
        assert_done(&house.tell(&house.token(nobody)));
    }
    assert!(house.lets_in(&first) && house.lets_in(&second) && house.lets_in(&bob), "nobody was meant");
    let one =
        json!({"sid": first.sid, "sub": first.subject, "exp": now() + 120, "aud": ["other", "foregate"]});
    assert_done(&house.tell(&house.token_of(&json!({"typ": "JWT"}), one)));
    assert!(!house.lets_in(&first) && house.lets_in(&second) && house.lets_in(&bob), "by session and person");
    let third = house.sign_in("alice");
    assert_done(&house.tell(&house.token_of(&json!({}), json!({"sid": third.sid}))));
    assert!(!house.lets_in(&third) && house.lets_in(&second), "by session");
    let fourth = house.sign_in("alice");
    assert_done(&house.tell(&house.token(json!({"sub": fourth.subject}))));
    assert!(!house.lets_in(&fourth) && !house.lets_in(&second) && house.lets_in(&bob), "by person");
}

#[test]
fn a_logout_token_counts_once_and_never_for_newer_sessions() {
    let house = House::new(SQLITE);
    let mut alice = house.sign_in("alice");
    let again = |alice: &mut Guest| {
        // By a person's own wish, so that three times in a row is no circle.
        alice.browser.open(&format!("{}/.foregate/sign-in?account=retry", house.public_url));
        alice.cookie = cookie_of(&alice.browser);
        assert!(house.lets_in(alice), "the provider still knows the browser: the same sid");
    };
    for named in [json!({"sid": alice.sid}), json!({"sub": alice.subject})] {
        let token = house.token(named.clone());
        assert_done(&house.tell(&token));
        assert_done(&house.tell(&token));
        assert!(!house.lets_in(&alice));
        again(&mut alice);
        assert_done(&house.tell(&token));
        assert!(house.lets_in(&alice), "the same token once more");
        let mut old = named.clone();
        old["iat"] = json!(now() - 120);
        assert_done(&house.tell(&house.token(old)));
        assert!(house.lets_in(&alice), "one that was held back");
        assert_done(&house.tell(&house.token(named)));
        assert!(!house.lets_in(&alice), "another one about the new session");
        again(&mut alice);
    }
}

#[cfg(feature = "sqlite")]
#[test]
fn the_same_name_at_another_issuer_is_somebody_else() {
    let house = House::new(SQLITE);
    let alice = house.sign_in("alice");
    let file = house.foregate.dir().join("foregate.db");
    let sql = "UPDATE foregate_session SET issuer = 'https://other.test/', \
               profile = json_set(profile, '$.issuer', 'https://other.test/')";
    let database = rusqlite::Connection::open(file).expect("a file");
    assert_eq!(database.execute(sql, []).expect("an update"), 1);
    let House { provider, foregate, config, public_url } = house;
    let house = House { foregate: foregate.restart(&config), provider, config, public_url };
    for named in [json!({"sid": alice.sid}), json!({"sub": alice.subject})] {
        assert_done(&house.tell(&house.token(named)));
    }
    let ours = [("iss", house.provider.issuer.as_str()), ("sid", &alice.sid)];
    assert_done(&house.frame(&ours, &alice.cookie));
    // As that issuer is none of ours, the session lets nobody in; it has not ended all the same.
    assert!(!house.lets_in(&alice));
    let count = "SELECT count(*) FROM foregate_session";
    assert_eq!(database.query_row(count, [], |row| row.get::<_, i64>(0)).expect("a count"), 1);
}

#[test]
fn what_is_no_logout_request_is_refused() {
    let house = House::new(SQLITE);
    let alice = house.sign_in("alice");
    let token = house.token(json!({"sid": alice.sid}));
    for method in ["GET", "HEAD", "PUT", "DELETE"] {
        let target = format!("{BACK}?logout_token={token}");
        let reply = raw(house.foregate.public, request(method, &target, &[], "").as_bytes());
        assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")), "{method}");
    }
    let body = format!("logout_token={token}");
    for lines in [&[][..], &["Content-Type: application/json"], &["Content-Type: multipart/form-data"]] {
        let reply = raw(house.foregate.public, request("POST", BACK, lines, &body).as_bytes());
        assert_refused(&reply, 400, "x-www-form-urlencoded");
    }
    for body in ["", "token=x", &format!("{body}&{body}")] {
        assert_refused(&house.post(body), 400, "one logout_token");
    }
    assert_refused(&house.post(&format!("{body}&pad={}", "x".repeat(64 * 1024))), 413, "64 KiB");
    let mut slow = crate::support::http::Wire::open(house.foregate.public);
    slow.write(request("POST", BACK, &[FORM, "Content-Length: 9000"], "").as_bytes());
    assert!(house.lets_in(&alice), "nobody else waits for a body that does not come");
    assert_refused(&slow.read(false).expect("an answer"), 408, "too long");
    let lines = ["Content-Type: Application/X-WWW-Form-Urlencoded; charset=UTF-8"];
    let target = format!("{BACK}?logout_token=ignored");
    assert_done(&raw(house.foregate.public, request("POST", &target, &lines, &body).as_bytes()));
    assert!(!house.lets_in(&alice));
}

#[test]
fn without_the_store_the_provider_is_asked_to_come_again_and_replicas_hear_of_it() {
    let mut server = postgres::Postgres::start();
    let house = House::new(&format!("store = \"{}\"\nkeys = [\"{KEY}\"]", server.url()));
    let other = Foregate::start(&house.config);
    let alice = house.sign_in("alice");
    assert!(is_in(&other, &alice.cookie));
    let token = house.token(json!({"sub": alice.subject}));
    server.kill_hard();
    let reply = house.tell(&token);
    assert!(reply.status == 503 && reply.header("retry-after").is_some(), "{reply:?}");
    let ours = [("iss", house.provider.issuer.as_str()), ("sid", &alice.sid)];
    let reply = house.frame(&ours, &alice.cookie);
    assert!(reply.status == 503 && reply.all("set-cookie").is_empty(), "{reply:?}");
    server.restart();
    wait("the same token counts", || house.tell(&token).status == 200);
    assert!(!house.lets_in(&alice), "at once where it was told");
    wait("the other one hears of it", || !is_in(&other, &alice.cookie));
}

#[test]
fn without_the_providers_keys_it_is_asked_to_come_again() {
    let house = House::new(SQLITE);
    let alice = house.sign_in("alice");
    let token = house.token(json!({"sid": alice.sid}));
    let House { provider, foregate, config, public_url } = house;
    for path in ["jwks", "openid-configuration"] {
        provider.control("pause", &json!({"mode": "503", "path": path}));
    }
    let house = House { foregate: foregate.restart(&config), provider, config, public_url };
    let reply = house.tell(&token);
    assert!(reply.status == 503 && reply.header("retry-after").is_some(), "{reply:?}");
    house.provider.control("resume", &Value::Null);
    house.provider.control("pause", &json!({"mode": "503", "path": "jwks"}));
    wait("its metadata are there, its keys are not", || {
        assert_eq!(house.tell(&token).status, 503);
        house.provider.asked("jwks/") > 0
    });
    assert!(house.lets_in(&alice));
    house.provider.control("resume", &Value::Null);
    wait("the same token counts", || house.tell(&token).status == 200);
    assert!(!house.lets_in(&alice));
}

fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(40);
    while !done() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_frame_ends_only_the_browsers_own_session_by_its_name() {
    let house = House::new(SQLITE);
    let (alice, bob) = (house.sign_in("alice"), house.sign_in("bob"));
    let issuer = house.provider.issuer.as_str();
    let ours = |guest: &Guest| [("iss", issuer.to_owned()), ("sid", guest.sid.clone())];
    let origin = format!("http://127.0.0.1:{}", house.provider.port);
    let policy = format!("default-src 'none'; frame-ancestors {origin}");
    for (query, cookies, what) in [
        (&[("iss", issuer), ("sid", alice.sid.as_str())][..], "", "no cookies"),
        (&[("iss", issuer), ("sid", &alice.sid)], "Cookie: foregate=broken", "a broken cookie"),
        (&[("iss", issuer), ("sid", &alice.sid)], &bob.cookie, "somebody else's browser"),
        (&[("iss", issuer), ("sid", "unknown")], &alice.cookie, "another session"),
        (&[("iss", issuer), ("sid", "")], &alice.cookie, "no session"),
        (&[("iss", "https://elsewhere.test/"), ("sid", &alice.sid)], &alice.cookie, "another issuer"),
        (&[("iss", issuer.trim_end_matches('/')), ("sid", &alice.sid)], &alice.cookie, "nearly the issuer"),
        (&[("sid", &alice.sid)], &alice.cookie, "no issuer"),
        (&[("iss", issuer)], &alice.cookie, "no name"),
        (&[("iss", issuer), ("sid", &alice.sid), ("sid", &alice.sid)], &alice.cookie, "a name twice"),
        (&[], &alice.cookie, "nothing"),
    ] {
        let reply = house.frame(query, cookies);
        assert_done(&reply);
        assert_eq!(reply.header("content-security-policy"), Some(policy.as_str()), "{what}");
        assert_eq!(reply.header("x-frame-options"), None);
        assert!(house.lets_in(&alice) && house.lets_in(&bob), "{what}");
    }
    let target = format!("{FRONT}?iss={issuer}&sid={}", alice.sid);
    for method in ["POST", "HEAD"] {
        let reply = raw(house.foregate.public, request(method, &target, &[&alice.cookie], "").as_bytes());
        assert_eq!((reply.status, reply.header("allow")), (405, Some("GET")), "{method}");
    }
    // A neighbour adds their own session to a person's cookies, and frames its end.
    let both = format!("{}; {}", bob.cookie, alice.cookie.trim_start_matches("Cookie: "));
    let [issuer, sid] = ours(&bob);
    let reply = house.frame(&[("iss", &issuer.1), ("sid", &sid.1)], &both);
    assert_done(&reply);
    assert!(!house.lets_in(&bob) && house.lets_in(&alice), "the neighbour's alone");
    let url = house.frame_url(&alice.sid);
    let mut leaving = alice.browser.clone();
    let reply = leaving.step("GET", &url, "");
    assert_eq!((reply.status, reply.body.as_str(), reply.all("set-cookie").len()), (200, "", 2));
    assert_eq!(reply.header("content-security-policy"), Some(policy.as_str()));
    assert!(leaving.cookie("foregate").is_none() && leaving.cookie("foregate-login").is_none());
    assert!(!house.lets_in(&alice), "the session itself has ended");
    house.foregate.wait_for_log("by a frame in the browser");
}

#[test]
fn a_real_browser_signs_out_by_the_frame() {
    // Two names of one site, as `id.example.com` and `auth.example.com` are; only browsers know the provider's.
    let house = House::beside(SQLITE, "http://id.foregate.localhost:PORT");
    let alice = house.sign_in("alice");
    let cookie = alice.cookie.trim_start_matches("Cookie: ");
    let keep = format!("document.cookie = '{cookie}; Path=/; Domain=foregate.localhost; SameSite=Lax'");
    let frame = |sid: &str| {
        let url = house.frame_url(sid);
        let script = format!(
            "new Promise((done) => {{ const frame = document.createElement('iframe'); \
             frame.onload = () => done(true); frame.src = '{url}'; document.body.append(frame); }})"
        );
        json!({ "eval": script })
    };
    let seen = crate::browser::browse(&json!([
        { "open": format!("{}/.foregate/signed-out", house.public_url) }, { "eval": keep },
        { "open": format!("{}end-session/", house.provider.issuer) },
        frame("unknown"), { "cookies": true },
        frame(&alice.sid), { "cookies": true },
    ]));
    let has = |step: usize| seen[step]["cookies"].to_string().contains("\"foregate\"");
    assert!(has(4), "another name ends nothing: {}", seen[4]);
    assert!(!has(6) && !house.lets_in(&alice), "{}", seen[6]);
}
