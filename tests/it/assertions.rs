//! `Foregate-Assertion`: proof for a backend that foregate let somebody in, checked as a backend would.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::Value;

use crate::support::foregate::Foregate;
use crate::support::house::House;
use crate::support::http::{get, raw};
use crate::support::scene::{DIALECTS, ask};

fn house() -> House {
    let mut house = House::new();
    house.config = house
        .config
        .replace("[apps.\"app.foregate.localhost\"]", "[apps.\"app.foregate.localhost\"]\nassertion = true")
        .replace(
            "[apps.\"photos.family.localhost\"]",
            "[apps.\"photos.family.localhost/x\"]\nassertion = true",
        );
    house.foregate = house.foregate.restart(&house.config);
    house
}

/// What a backend reads that knows the address of the keys and its own name.
fn read(house: &House, token: &str, audience: &str) -> Result<Value, String> {
    let reply = get(house.foregate.public, "/.foregate/jwks.json", &["Host: auth.foregate.localhost"]);
    assert_eq!(reply.header("content-type"), Some("application/jwk-set+json"));
    assert_eq!(reply.header("cache-control"), Some("public, max-age=300"));
    let keys: JwkSet = serde_json::from_str(&reply.body).expect("keys");
    let head = decode_header(token).map_err(|error| error.to_string())?;
    let key = keys.find(&head.kid.expect("a key id")).expect("a published key");
    let mut rules = Validation::new(Algorithm::EdDSA);
    rules.set_audience(&[audience]);
    rules.set_issuer(&[format!("http://auth.foregate.localhost:{}", house.port)]);
    let key = DecodingKey::from_jwk(key).expect("a key");
    decode::<Value>(token, &key, &rules).map(|token| token.claims).map_err(|error| error.to_string())
}

#[test]
fn every_front_proxy_is_handed_a_token_that_a_backend_can_check() {
    let house = house();
    let cookie =
        format!("Cookie: foregate={}", house.sign_in("alice").cookie("foregate").expect("one").value);
    let app = house.url("app", "");
    let mut tokens = Vec::new();
    for dialect in DIALECTS {
        let forged = ["Foregate-Assertion: e30.e30.e30", &cookie];
        let reply =
            raw(house.foregate.public, &ask(dialect, "GET", "http://app.foregate.localhost/", &forged));
        let token = reply.header("foregate-assertion").expect("a token").to_owned();
        let claims = read(&house, &token, &app).expect("a sound token");
        assert_eq!(claims["preferred_username"], "alice", "{dialect}");
        assert!(claims["groups"].as_array().is_some_and(|groups| groups.contains(&"family".into())));
        assert!(claims["exp"].as_u64() <= claims["iat"].as_u64().map(|at| at + 300));
        let error = read(&house, &token, &house.url("admins", "")).expect_err("another app's name");
        assert_eq!(error, "InvalidAudience");
        let mut changed = token.clone().into_bytes();
        let middle = changed.len() / 2;
        changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
        assert!(read(&house, &String::from_utf8(changed).expect("text"), &app).is_err());
        tokens.push(token);
    }
    tokens.dedup();
    assert_eq!(tokens.len(), 1, "one is signed for all requests of a while");
    for (url, what) in [
        ("http://app.foregate.localhost/open/x", "nobody in particular"),
        ("http://admins.foregate.localhost/", "an app that wants none"),
    ] {
        let is_open = url.contains("open");
        let lines: &[&str] = if is_open { &["Foregate-Assertion: x"] } else { &[&cookie] };
        let reply = raw(house.foregate.public, &ask("traefik", "GET", url, lines));
        assert_eq!(reply.status, 200, "{what}");
        assert_eq!(reply.header("foregate-assertion"), is_open.then_some(""), "{what}");
    }
}

#[test]
fn no_page_of_another_app_is_handed_one() {
    let mut house = house();
    let more = [
        // Checked by a front proxy only.
        "[apps.\"second.foregate.localhost\"]\nallow = \"signed-in\"\nassertion = true",
        // On the host of foregate's own pages, and below a wildcard that takes it in.
        "[apps.\"*.foregate.localhost\"]\nallow = \"signed-in\"\nassertion = true",
        "[apps.\"admins.foregate.localhost/b\"]\nupstream = \"http://127.0.0.1:9\"\nallow = \"signed-in\"\nassertion = true",
    ];
    house.config = format!("{}\n{}\n", house.config, more.join("\n"));
    house.foregate = house.foregate.restart(&house.config);
    let cookie = house.cookie("alice");
    let handed = |house: &House, host: &str, dialect: &str, url: &str| {
        let text = String::from_utf8(ask(dialect, "GET", url, &[&cookie])).expect("text");
        let mut lines: Vec<&str> = text.split("\r\n").filter(|line| !line.starts_with("Host:")).collect();
        let host = format!("Host: {host}");
        lines.insert(1, &host);
        let reply = raw(house.foregate.public, lines.join("\r\n").as_bytes());
        assert_eq!(reply.status, 200, "{host} {dialect} {url}: {reply:?}");
        reply.header("foregate-assertion").is_some_and(|token| !token.is_empty())
    };
    let second = "http://second.foregate.localhost/";
    for (host, is_handed) in [
        ("foregate.internal", true),
        ("second.foregate.localhost", true),
        ("auth.foregate.localhost", true),
        ("app.foregate.localhost", false),
        ("wild.foregate.localhost", false),
        ("admins.foregate.localhost", false),
    ] {
        for dialect in ["traefik", "nginx", "caddy", "haproxy"] {
            assert_eq!(handed(&house, host, dialect, second), is_handed, "{host} {dialect}");
        }
    }
    assert!(!handed(&house, "admins.foregate.localhost", "envoy", "http://admins.foregate.localhost/b/x"));
    assert!(handed(&house, "app.foregate.localhost", "envoy", "http://app.foregate.localhost/"));
    house.config += "[apps.\"auth.foregate.localhost\"]\nallow = \"signed-in\"\n";
    house.foregate = house.foregate.restart(&house.config);
    assert!(!handed(&house, "auth.foregate.localhost", "traefik", second), "an app is at that host, too");
}

#[test]
fn the_backend_behind_foregate_itself_gets_it_too_and_never_a_forged_one() {
    let house = house();
    let mut alice = house.sign_in("alice");
    alice.lines.push("Foregate_Assertion: forged".into());
    alice.lines.push("foregate.assertion: forged".into());
    let reply = alice.open(&house.url("app", "/"));
    let told: Vec<&str> =
        reply.body.lines().filter_map(|line| line.strip_prefix("foregate-assertion: ")).collect();
    assert_eq!(told.len(), 1, "{}", reply.body);
    assert!(read(&house, told[0], &house.url("app", "")).is_ok());
    assert!(!reply.body.contains("forged"), "{}", reply.body);
    let page = house.at("photos.family.localhost", "/x/y");
    let reply = alice.open(&page);
    let token = reply.body.lines().find_map(|line| line.strip_prefix("foregate-assertion: ")).expect("one");
    let audience = house.at("photos.family.localhost", "/x");
    assert!(read(&house, token, &audience).is_ok(), "the part of the host is in the name");
}

#[test]
fn assertions_are_a_flag_and_their_header_is_nobody_elses() {
    let house = House::new();
    for (line, problem) in [
        ("assertion = \"yes\"", "`assertion` is text; fix: write true or false"),
        ("headers = { \"Foregate-Assertion\" = \"{username}\" }", "cannot carry an identity"),
    ] {
        let app = "[apps.\"app.foregate.localhost\"]";
        let (code, text) = Foregate::refuses(&house.config.replace(app, &format!("{app}\n{line}")));
        assert!(code == Some(1) && text.contains(problem), "{text}");
    }
}
