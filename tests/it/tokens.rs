//! API clients: tokens of a certified provider and hand-made ones, right and wrong, through every dialect and in
//! reverse-proxy mode.

use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use crate::support::backend::Backend;
use crate::support::foregate::{Foregate, free_port, run};
use crate::support::http::{Browser, NAVIGATES, Reply, raw, request};
use crate::support::issuer::{By, Issuer, now};
use crate::support::provider::Provider;
use crate::support::scene::{DIALECTS, ask};

const API: &str = "https://api.example.com";
const APP: &str = "http://app.foregate.localhost/";
const FAMILY: &str = "http://family.foregate.localhost/";
const CI: &str = "http://ci.foregate.localhost/";

/// A provider that issues tokens, another issuer, a backend, and a foregate that takes both issuers' tokens.
struct House {
    provider: Provider,
    issuer: Issuer,
    backend: Backend,
    foregate: Foregate,
    port: u16,
}

impl House {
    fn new() -> Self {
        Self::with("", &json!({}))
    }

    /// With more lines in `[bearer]`, and more options of the provider.
    fn with(bearer: &str, more: &Value) -> Self {
        let port = free_port();
        let robots = json!({
            "robot": {"secret": "robot-secret", "claims": {"preferred_username": "robot", "groups": ["family"]}},
        });
        let public_url = format!("http://auth.foregate.localhost:{port}");
        let mut options = json!({ "robots": robots, "redirectUris": [] });
        options.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let provider = Provider::for_foregate(&public_url, options);
        let (issuer, backend) = (Issuer::start(), Backend::start());
        let config = config(port, &provider, &issuer, &backend, bearer);
        Self { foregate: Foregate::start_at(&config, port), provider, issuer, backend, port }
    }

    /// A token that the provider itself gives a program.
    fn robot(&self) -> String {
        self.robot_for(API)
    }

    fn robot_for(&self, resource: &str) -> String {
        let form = [("grant_type", "client_credentials"), ("resource", resource), ("scope", "api")];
        let told = self.token_endpoint(("robot", "robot-secret"), &form);
        told["access_token"].as_str().unwrap_or_else(|| panic!("no token: {told}")).to_owned()
    }

    /// The tokens of a person who signs in with another program than foregate, by the code flow.
    fn person(&self, user: &str) -> Value {
        let verifier = "a-verifier-of-the-forty-three-letters-it-must-have";
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        let back = "http://127.0.0.1:9/back";
        let query = [
            ("client_id", "foregate"),
            ("response_type", "code"),
            ("redirect_uri", back),
            ("scope", "openid api offline_access"),
            ("resource", API),
            ("nonce", "n-1"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        let origin = Url::parse(&self.provider.issuer).expect("a URL");
        let mut url = origin.join("/application/o/authorize/").expect("a URL");
        url.query_pairs_mut().extend_pairs(query);
        let mut browser = Browser::default();
        let code = loop {
            let reply = if url.path().starts_with("/if/flow/login/") {
                browser.step("POST", &url, &format!("login={user}"))
            } else {
                browser.step("GET", &url, "")
            };
            url = url.join(reply.header("location").unwrap_or_else(|| panic!("{reply:?}"))).expect("a URL");
            if url.as_str().starts_with(back) {
                break url.query_pairs().find(|(name, _)| name == "code").expect("a code").1.into_owned();
            }
        };
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", back),
            ("code_verifier", verifier),
            ("resource", API),
        ];
        self.token_endpoint(("foregate", &self.provider.secret), &form)
    }

    fn token_endpoint(&self, (id, secret): (&str, &str), form: &[(&str, &str)]) -> Value {
        let body: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let basic = format!("Authorization: Basic {}", STANDARD.encode(format!("{id}:{secret}")));
        let lines = [basic.as_str(), "Content-Type: application/x-www-form-urlencoded", "Connection: close"];
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], self.provider.port));
        raw(address, request("POST", "/application/o/token/", &lines, &body).as_bytes()).json()
    }

    /// A token by the provider's own key, sound but for what `over` says.
    fn signed(&self, header: &Value, over: Value) -> String {
        let mut claims = json!({
            "iss": self.provider.issuer, "sub": "s-1", "aud": API, "exp": now() + 300, "iat": now(), "scope": "api",
            "preferred_username": "signed", "groups": ["family"],
        });
        let (Some(all), Value::Object(over)) = (claims.as_object_mut(), over) else { panic!("no objects") };
        all.extend(over);
        all.retain(|_, value| !value.is_null());
        let signed = self.provider.control("sign", &json!({"header": header, "claims": claims}));
        signed["token"].as_str().expect("a token").to_owned()
    }

    fn check(&self, url: &str, token: &str) -> Reply {
        self.foregate.check(url, &[&bearer(token)])
    }

    /// A request to foregate as the proxy.
    fn proxied(&self, page: &str, lines: &[&str]) -> Reply {
        let host = format!("Host: proxied.foregate.localhost:{}", self.port);
        let lines = [&[host.as_str(), "Connection: close"], lines].concat();
        raw(self.foregate.public, request("GET", page, &lines, "").as_bytes())
    }

    fn cookie(&self, user: &str) -> String {
        let mut browser = Browser::default();
        browser.sign_in(&format!("http://auth.foregate.localhost:{}/.foregate/sign-in", self.port), user);
        format!("Cookie: foregate={}", browser.cookie("foregate").expect("a session").value)
    }
}

fn config(port: u16, provider: &Provider, issuer: &Issuer, backend: &Backend, bearer: &str) -> String {
    format!(
        r#"
public_url = "http://auth.foregate.localhost:{port}"
[server]
listen = "LISTEN"
admin_listen = "ADMIN"
[session]
store = "sqlite:DIR/foregate.db"
{provider}
[bearer]
audiences = ["{API}", "foregate"]
{bearer}
[bearer.issuers.ci]
issuer = "{issuer}"
jwks_url = "{jwks}"
audiences = ["https://ci.example.com"]
claims = {{ username = "actor" }}
[apps]
"app.foregate.localhost" = "signed-in"
"family.foregate.localhost" = "group:family"
"admins.foregate.localhost" = "group:Home Server Admins"
"closed.foregate.localhost" = "nobody"
"open.foregate.localhost" = "public"
"ci.foregate.localhost" = {{ provider = ["default", "ci"], allow = "signed-in" }}
"only-ci.foregate.localhost" = {{ provider = "ci", allow = "signed-in" }}
[apps."fresh.foregate.localhost"]
allow = "nobody"
rules = [{{ path = "/x", allow = "group:family", max_auth_age = "10m", acr = "mfa" }}]
[apps."proxied.foregate.localhost"]
upstream = "{upstream}"
allow = "signed-in"
rules = [{{ path = "/open/**", allow = "public" }}]
"#,
        provider = provider.config(),
        issuer = issuer.name(),
        jwks = issuer.jwks_url(),
        upstream = backend.url(),
    )
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

/// A refusal of a token in the form of RFC 6750 and RFC 9457, that says why and leads nowhere.
#[track_caller]
fn assert_refused(reply: &Reply, why: &str) {
    assert_eq!(reply.status, 401, "{why}: {reply:?}");
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{why}");
    assert_eq!((reply.header("location"), reply.header("cache-control")), (None, Some("no-store")), "{why}");
    assert!(reply.all("set-cookie").is_empty(), "{why}: {reply:?}");
    let told = reply.json();
    assert_eq!(
        (told["status"].as_u64(), told["reason"].as_str()),
        (Some(401), Some("invalid-token")),
        "{why}"
    );
    let detail = told["detail"].as_str().expect("a detail");
    assert!(detail.contains(why), "{why}: {told}");
    let challenge =
        format!("Bearer realm=\"foregate\", error=\"invalid_token\", error_description=\"{detail}\"");
    assert_eq!(reply.header("www-authenticate"), Some(challenge.as_str()), "{why}");
}

#[test]
fn programs_and_people_with_real_tokens_get_in_through_every_dialect() {
    let house = House::new();
    let robot = house.robot();
    let person = house.person("alice");
    let alice = person["access_token"].as_str().expect("a token");
    for dialect in DIALECTS {
        let ask = |url: &str, token: &str| {
            raw(house.foregate.public, &ask(dialect, "GET", url, &[&bearer(token), NAVIGATES]))
        };
        for (token, user, groups) in
            [(&*robot, "robot", "family"), (alice, "alice", "Home Server Admins,a|b,family")]
        {
            for _ in 0..2 {
                let reply = ask(FAMILY, token);
                assert_eq!((reply.status, reply.body.as_str()), (200, ""), "{dialect}: {reply:?}");
                assert_eq!(reply.header("remote-user"), Some(user), "{dialect}");
                assert_eq!(reply.header("remote-groups"), Some(groups), "{dialect}");
            }
        }
        // The same token where a rule wants more: each request is judged, whatever is remembered.
        assert_eq!(ask("http://admins.foregate.localhost/", alice).status, 200, "{dialect}");
        let refused = ask("http://admins.foregate.localhost/", &robot);
        assert_eq!((refused.status, refused.header("location")), (403, None), "{dialect}: {refused:?}");
        let challenge = refused.header("www-authenticate").expect("a challenge");
        assert_eq!(challenge, "Bearer realm=\"foregate\", error=\"insufficient_scope\"", "{dialect}");
        let told = ["nginx", "haproxy"].contains(&dialect) || refused.json()["reason"] == "not-allowed";
        assert!(told, "{dialect}: {refused:?}");
        assert_eq!(ask("http://closed.foregate.localhost/", alice).status, 403, "{dialect}");
        assert_eq!(ask("http://open.foregate.localhost/", alice).header("remote-user"), Some("alice"));
        let reply = ask(APP, "not.a.token");
        assert_eq!((reply.status, reply.header("location")), (401, None), "{dialect}: {reply:?}");
        assert!(
            reply.header("www-authenticate").is_some_and(|line| line.contains("invalid_token")),
            "{dialect}"
        );
        let open = ask("http://open.foregate.localhost/", "not.a.token");
        assert_eq!((open.status, open.header("remote-user")), (200, Some("")), "{dialect}");
    }
    assert_eq!(house.provider.asked("/jwks/"), 1, "the key set is asked for once");
}

#[test]
fn without_a_token_the_challenge_has_no_error() {
    let house = House::new();
    for lines in [&[][..], &["Authorization: Digest username=\"x\""], &["Authorization: Basic YTpi"]] {
        let reply = house.foregate.check(APP, lines);
        assert_eq!(reply.status, 401, "{reply:?}");
        assert_eq!(reply.header("www-authenticate"), Some("Bearer realm=\"foregate\""));
        assert_eq!(reply.json()["reason"], "sign-in-required");
    }
}

#[test]
fn an_id_token_or_a_logout_token_is_no_access_token() {
    let house = House::new();
    let person = house.person("alice");
    assert_refused(&house.check(APP, person["id_token"].as_str().expect("an ID token")), "another kind");
    let event = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    for (header, over, why) in [
        // Its audience is our client id, which is one of the audiences.
        (
            json!({"typ": "JWT"}),
            json!({"aud": "foregate", "scope": null}),
            "does not say that it is an access token",
        ),
        (
            json!({"typ": null}),
            json!({"aud": "foregate", "scope": null}),
            "does not say that it is an access token",
        ),
        (json!({"typ": "JWT"}), json!({"aud": "foregate", "nonce": "n"}), "'nonce'"),
        (json!({"typ": "JWT"}), json!({"at_hash": "x"}), "'at_hash'"),
        (json!({"typ": "JWT"}), json!({"c_hash": "x"}), "'c_hash'"),
        (json!({"typ": "JWT"}), json!({"typ": "ID"}), "'typ'"),
        (json!({"typ": "JWT"}), json!({"typ": "Refresh"}), "'typ'"),
        (json!({"typ": "JWT"}), json!({"token_use": "id"}), "'token_use'"),
        (json!({"typ": "at+jwt"}), json!({"token_use": "id"}), "'token_use'"),
        (json!({"typ": "at+jwt"}), json!({"events": event}), "'events'"),
        (json!({"typ": "JWT"}), json!({"events": event}), "'events'"),
        (json!({"typ": "logout+jwt"}), json!({"events": event}), "type is that of another kind"),
        (json!({"typ": "dpop+jwt"}), json!({}), "type is that of another kind"),
        (json!({"typ": "secevent+jwt"}), json!({}), "type is that of another kind"),
        // Whoever shows it would have to prove that they hold a key.
        (json!({"typ": "at+jwt"}), json!({"cnf": {"jkt": "x"}}), "'cnf'"),
    ] {
        assert_refused(&house.check(APP, &house.signed(&header, over)), why);
    }
    for (header, over) in [
        (json!({"typ": "at+jwt"}), json!({"scope": null})),
        (json!({"typ": "application/AT+JWT"}), json!({"scope": null})),
        (json!({"typ": "at+jwt"}), json!({"nonce": "of a code flow"})),
        (json!({"typ": "JWT"}), json!({"aud": "foregate"})),
        (json!({"typ": null}), json!({})),
        (json!({"typ": "JWT"}), json!({"scope": null, "typ": "Bearer"})),
        (json!({"typ": "JWT"}), json!({"scope": null, "azp": "x", "uid": "y"})),
    ] {
        let reply = house.check(APP, &house.signed(&header, over.clone()));
        assert_eq!(reply.status, 200, "{header} {over}: {reply:?}");
    }
}

#[test]
fn claims_are_required_typed_and_in_time() {
    let house = House::new();
    for (over, why) in [
        (json!({"aud": "https://other.example.com"}), "another audience"),
        (json!({"aud": ["a", "b"]}), "another audience"),
        (json!({"aud": []}), "another audience"),
        (json!({"aud": null}), "lacks the claim 'aud'"),
        (json!({"aud": {"a": 1}}), "'aud' has the wrong type"),
        (json!({"aud": [API, 7]}), "'aud' has the wrong type"),
        (json!({"iss": "https://elsewhere.test/"}), "issuer"),
        (json!({"iss": house.provider.issuer.trim_end_matches('/')}), "issuer"),
        (json!({"iss": null}), "lacks the claim 'iss'"),
        (json!({"iss": [house.provider.issuer]}), "'iss' has the wrong type"),
        (json!({"sub": null}), "lacks the claim 'sub'"),
        (json!({"sub": ""}), "lacks the claim 'sub'"),
        (json!({"sub": 7}), "'sub' has the wrong type"),
        (json!({"exp": null}), "lacks the claim 'exp'"),
        (json!({"exp": "tomorrow"}), "'exp' has the wrong type"),
        (json!({"exp": now() - 61}), "expired"),
        (json!({"exp": -1}), "'exp' is absurd"),
        (json!({"exp": 1e300}), "'exp' is absurd"),
        (json!({"nbf": now() + 100}), "not valid yet"),
        (json!({"nbf": "x"}), "'nbf' has the wrong type"),
        (json!({"iat": now() + 400}), "in the future"),
        (json!({"iat": []}), "'iat' has the wrong type"),
    ] {
        let reply = house.check(APP, &house.signed(&json!({}), over));
        assert_refused(&reply, why);
        assert!(!reply.body.contains("elsewhere.test"), "{reply:?}");
    }
    for over in [
        json!({"aud": ["x", API]}),
        json!({"exp": now() - 30}),
        json!({"exp": now() as f64 + 100.5}),
        json!({"exp": 5_000_000_000_u64}),
        json!({"nbf": now()}),
        json!({"iat": null}),
    ] {
        assert_eq!(house.check(APP, &house.signed(&json!({}), over.clone())).status, 200, "{over}");
    }
}

#[test]
fn only_the_right_key_of_the_right_type_signs() {
    let house = House::new();
    let (issuer, named) =
        (&house.issuer, |kid: &str, alg: &str| json!({"kid": kid, "alg": alg, "typ": "at+jwt"}));
    let claims =
        json!({"iss": issuer.name(), "sub": "s", "aud": "https://ci.example.com", "exp": now() + 300});
    for (by, header) in [
        (By::Rsa, named("rs", "RS256")),
        (By::P256, named("es", "ES256")),
        (By::Ed, named("ed", "EdDSA")),
        (By::Rsa, json!({"alg": "RS256"})),
        (By::P256, named("twin", "ES256")),
        (By::OtherRsa, named("twin", "RS256")),
    ] {
        let reply = house.check(CI, &issuer.token_of(by, &header, &claims));
        assert_eq!(reply.status, 200, "{header}: {reply:?}");
    }
    let secret = Issuer::public_text();
    let hmac = |kid: &str, alg: &str| Issuer::hmac(secret, &named(kid, alg), &claims);
    let unsigned = |alg: &str| {
        let token = issuer.token_of(By::Rsa, &named("rs", alg), &claims);
        format!("{}.", token.rsplit_once('.').expect("a signature").0)
    };
    for (token, why) in [
        (issuer.token_of(By::OtherRsa, &named("rs", "RS256"), &claims), "signature is wrong"),
        (issuer.token_of(By::OtherRsa, &named("twin", "RS512"), &claims), "does not go with"),
        (issuer.token_of(By::Rsa, &named("es", "RS256"), &claims), "does not go with"),
        (issuer.token_of(By::Rsa, &named("rs", "PS256"), &claims), "does not go with"),
        (issuer.token_of(By::P256, &named("rs", "ES256"), &claims), "does not go with"),
        (issuer.token_of(By::OtherRsa, &named("enc", "RS256"), &claims), "no key with"),
        (issuer.token_of(By::Rsa, &named("nobody", "RS256"), &claims), "no key with"),
        (issuer.token_of(By::OtherRsa, &json!({"alg": "RS384"}), &claims), "does not go with"),
        (hmac("rs", "HS256"), "algorithm is not allowed"),
        (hmac("oct", "HS256"), "algorithm is not allowed"),
        (Issuer::hmac("secret", &named("oct", "HS256"), &claims), "algorithm is not allowed"),
        (unsigned("none"), "algorithm is not allowed"),
        (unsigned("None"), "algorithm is not allowed"),
        (unsigned("nOnE"), "algorithm is not allowed"),
        (unsigned("RS256"), "signature is wrong"),
        (unsigned("XX999"), "algorithm is not allowed"),
        (issuer.token_of(By::Rsa, &json!({"kid": "rs"}), &claims), "alg is not a text"),
        (issuer.token_of(By::Rsa, &json!({"alg": 7}), &claims), "alg is not a text"),
        (issuer.token_of(By::Rsa, &json!({"alg": "RS256", "kid": ["rs"]}), &claims), "kid is not a text"),
        (issuer.token_of(By::Rsa, &json!({"alg": "RS256", "crit": ["x"], "x": 1}), &claims), "critical"),
        (issuer.token_of(By::Rsa, &json!({"alg": "RS256", "enc": "A256GCM"}), &claims), "encrypted"),
        // The provider's own people are not this issuer's to vouch for.
        (
            issuer.token(By::Rsa, &named("rs", "RS256"), json!({"iss": house.provider.issuer, "aud": API})),
            "no key with",
        ),
    ] {
        assert_refused(&house.check(CI, &token), why);
    }
    let sound = issuer.token_of(By::Rsa, &named("rs", "RS256"), &claims);
    let (head, signature) = sound.rsplit_once('.').expect("a signature");
    let other =
        issuer.token_of(By::Rsa, &named("rs", "RS256"), &json!({"iss": issuer.name(), "sub": "other"}));
    let mixed = format!("{}.{signature}", other.rsplit_once('.').expect("a signature").0);
    assert_refused(&house.check(CI, &mixed), "signature is wrong");
    let flipped = format!("{head}.{}{}", if signature.starts_with('A') { 'B' } else { 'A' }, &signature[1..]);
    assert_refused(&house.check(CI, &flipped), "signature is wrong");
    assert_eq!(house.check(CI, &sound).status, 200);
}

#[test]
fn misshapen_tokens_are_refused_for_it() {
    let house = House::new();
    let issuer = &house.issuer;
    let sound =
        json!({"iss": issuer.name(), "sub": "s", "aud": "https://ci.example.com", "exp": now() + 300});
    let text = sound.to_string();
    let inner = &text[1..text.len() - 1];
    let of = |header: &str, claims: &str| issuer.token_of_texts(By::Rsa, header, claims);
    let usual = r#"{"alg":"RS256","kid":"rs"}"#;
    let deep = |depth: usize| format!("{{{inner},\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(house.check(CI, &of(usual, &deep(50))).status, 200);
    for (token, why) in [
        (of(usual, &format!("{{{inner},\"sub\":\"root\"}}")), "appears twice"),
        (of(usual, &format!("{{{inner},\"x\":{{\"a\":1,\"a\":2}}}}")), "appears twice"),
        (of(r#"{"alg":"RS256","alg":"none","kid":"rs"}"#, &text), "appears twice"),
        (of(usual, &deep(5_000)), "claims are not a JSON object"),
        (of(usual, "[]"), "claims are not a JSON object"),
        (of(usual, "\"text\""), "claims are not a JSON object"),
        (of(usual, &format!("{text}x")), "claims are not a JSON object"),
        (of("[]", &text), "header is not a JSON object"),
        (of("", &text), "header is not a JSON object"),
        (of(usual, &format!("{{{inner},\"x\":\"{}\"}}", "y".repeat(20_000))), "too long"),
        ("a.b.c.d.e".to_owned(), "encrypted"),
        ("a.b.c.d".to_owned(), "not three parts"),
        ("a.b".to_owned(), "not three parts"),
        ("opaque".to_owned(), "not three parts"),
        ("..".to_owned(), "header is not a JSON object"),
        (of(usual, &text).replace('.', "=."), "not one clear credential"),
        (of(usual, &text).replace('.', "+."), "header is not a JSON object"),
    ] {
        assert_refused(&house.check(CI, &token), why);
    }
    let token = of(usual, &text);
    for lines in [
        vec!["Authorization: Bearer".to_owned()],
        vec![format!("Authorization: Bearer {token} {token}")],
        vec![format!("Authorization: Bearer {token},Bearer {token}")],
        vec![bearer(&token), bearer(&token)],
        vec![bearer(&token), "Authorization: Basic YTpi".to_owned()],
    ] {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        assert_refused(&house.foregate.check(CI, &lines), "not one clear credential");
    }
    let huge = house.check(CI, &"x".repeat(70_000));
    assert_eq!(huge.status, 431, "more than a head may hold");
}

#[test]
fn no_address_in_a_token_is_ever_asked() {
    let house = House::new();
    let trap = Issuer::start();
    let claims =
        |iss: &str| json!({"iss": iss, "sub": "s", "aud": "https://ci.example.com", "exp": now() + 300});
    let (home, away) = (house.issuer.name(), trap.name());
    let jwk = Issuer::usual_keys()[0].clone();
    let sign = |header: Value, iss: &str| house.issuer.token_of(By::OtherRsa, &header, &claims(iss));
    for (header, iss) in [
        (json!({"alg": "RS256", "kid": "rs", "jku": trap.jwks_url()}), &home),
        (json!({"alg": "RS256", "kid": "unknown", "jku": trap.jwks_url(), "x5u": trap.jwks_url()}), &home),
        (json!({"alg": "RS256", "kid": "rs", "jwk": jwk, "x5c": ["MIIB"]}), &home),
        (json!({"alg": "RS256", "kid": trap.jwks_url()}), &home),
        (json!({"alg": "RS256", "kid": "rs"}), &away),
    ] {
        assert_eq!(house.check(CI, &sign(header.clone(), iss)).status, 401, "{header}");
    }
    assert_eq!(trap.asked(), Vec::<String>::new());
    assert!(house.issuer.asked().iter().all(|path| path == "/jwks"), "{:?}", house.issuer.asked());
}

#[test]
fn unknown_key_ids_make_nobody_ask_more_than_once() {
    let house = House::new();
    for number in 0..100 {
        let token =
            house.issuer.token(By::Rsa, &json!({"alg": "RS256", "kid": format!("k-{number}")}), json!({}));
        assert_refused(&house.check(CI, &token), "no key with");
    }
    assert!(house.issuer.asked().len() <= 2 + 1, "{:?}", house.issuer.asked());
}

#[test]
fn an_issuer_that_is_down_is_503_until_its_keys_are_known_and_no_matter_afterwards() {
    let house = House::new();
    house.issuer.set_keys(Value::Null);
    house.provider.control("pause", &json!({"mode": "503"}));
    let own = house.signed(&json!({}), json!({}));
    for dialect in DIALECTS {
        for (url, token) in [
            (CI, house.issuer.token(By::Rsa, &json!({"alg": "RS256", "kid": "rs"}), json!({}))),
            (APP, own.clone()),
        ] {
            let reply = raw(house.foregate.public, &ask(dialect, "GET", url, &[&bearer(&token)]));
            assert_eq!(reply.status, 503, "{dialect} {url}: {reply:?}");
            assert!(reply.header("retry-after").is_some(), "{dialect}");
        }
    }
    let stranger = house.issuer.token(By::Rsa, &json!({"alg": "RS256"}), json!({"iss": "https://x.test/"}));
    assert_refused(&house.check(CI, &stranger), "issuer");
    house.provider.control("resume", &Value::Null);
    // It asks again when its pause has passed.
    let end = Instant::now() + Duration::from_secs(30);
    while house.check(APP, &own).status != 200 {
        assert!(Instant::now() < end, "the provider is back");
        std::thread::sleep(Duration::from_millis(50));
    }
    let fresh = house.signed(&json!({}), json!({"sub": "another"}));
    house.provider.control("pause", &json!({"mode": "hang"}));
    assert_eq!(house.check(APP, &fresh).status, 200, "checked with the keys at hand");
}

#[test]
fn an_app_takes_tokens_of_the_issuers_it_names_only() {
    let house = House::new();
    let token = house.issuer.token(
        By::P256,
        &json!({"alg": "ES256", "kid": "es"}),
        json!({"actor": "deployer", "preferred_username": "alice", "groups": ["family"]}),
    );
    let reply = house.check(CI, &token);
    assert_eq!((reply.status, reply.header("remote-user")), (200, Some("deployer")), "{reply:?}");
    assert_eq!(house.check("http://only-ci.foregate.localhost/", &token).status, 200);
    for url in [APP, FAMILY] {
        assert_refused(&house.check(url, &token), "takes no tokens of this issuer");
    }
    assert_eq!(house.check("http://closed.foregate.localhost/", &token).status, 403);
    let open = house.check("http://open.foregate.localhost/", &token);
    assert_eq!((open.status, open.header("remote-user")), (200, Some("")), "nobody there");
    // The provider's audience is not the issuer's, and its people are not the app's.
    let wide = house.issuer.token(By::P256, &json!({"alg": "ES256", "kid": "es"}), json!({"aud": API}));
    assert_refused(&house.check(CI, &wide), "another audience");
    assert_refused(&house.check("http://only-ci.foregate.localhost/", &house.robot()), "takes no tokens");
    let cookie = house.cookie("alice");
    assert_eq!(house.foregate.check("http://only-ci.foregate.localhost/", &[&cookie]).status, 401);
}

#[test]
fn a_token_that_is_remembered_ends_when_it_says() {
    let house = House::new();
    // Clocks may differ by a minute.
    let token = house.signed(&json!({}), json!({"exp": now() - 57}));
    assert_eq!(house.check(APP, &token).status, 200);
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let reply = house.check(APP, &token);
        if reply.status == 401 {
            return assert_refused(&reply, "expired");
        }
        assert!(reply.status == 200 && Instant::now() < end, "{reply:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_live_session_comes_before_a_token_and_a_dead_one_is_none() {
    let house = House::new();
    let (alice, robot) = (house.cookie("alice"), bearer(&house.robot()));
    let dead = format!("Cookie: foregate={}", URL_SAFE_NO_PAD.encode([7; 48]));
    let bad = bearer("an.apps.own");
    let user = |lines: &[&str]| {
        let reply = house.foregate.check(APP, lines);
        (reply.status, reply.header("remote-user").unwrap_or_default().to_owned())
    };
    for (lines, status, who) in [
        (vec![alice.as_str()], 200, "alice"),
        (vec![&alice, &robot], 200, "alice"),
        (vec![&alice, &bad], 200, "alice"),
        (vec![&alice, "Authorization: Basic YTpi"], 200, "alice"),
        (vec![&alice, &robot, &robot], 200, "alice"),
        (vec![&dead, &robot], 200, "robot"),
        (vec!["Cookie: foregate=rubbish", &robot], 200, "robot"),
        (vec![&dead, &bad], 401, ""),
        (vec![&dead], 401, ""),
    ] {
        assert_eq!(user(&lines), (status, who.to_owned()), "{lines:?}");
    }
    // Never a mixture: what the robot may, alice may not for its sake, nor the other way round.
    let admins = |lines: &[&str]| house.foregate.check("http://admins.foregate.localhost/", lines).status;
    assert_eq!((admins(&[&alice, &robot]), admins(&[&robot])), (200, 403));
    let bob = house.cookie("bob");
    let alices = bearer(house.person("alice")["access_token"].as_str().expect("a token"));
    assert_eq!((admins(&[&bob, &alices]), admins(&[&alices])), (403, 200));
}

#[test]
fn what_is_not_foregates_reaches_the_app_as_it_came() {
    let house = House::new();
    let alice = house.cookie("alice");
    let got = |page: &str, lines: &[&str]| {
        let reply = house.proxied(page, lines);
        assert_eq!(reply.status, 200, "{reply:?}");
        let lines = reply.body.split("\r\n").filter_map(|line| line.split_once(": "));
        let of = |name: &str| {
            let mut found = lines.clone().filter(|(other, _)| other.eq_ignore_ascii_case(name));
            found.next().map(|(_, value)| value.to_owned())
        };
        (of("authorization"), of("remote-user").unwrap_or_default())
    };
    for scheme in ["Digest username=\"x\"", "Basic YTpi", "Negotiate abc=", "Bearer an.apps.own", "odd"] {
        let line = format!("Authorization: {scheme}");
        assert_eq!(got("/x", &[&alice, &line]), (Some(scheme.to_owned()), "alice".to_owned()));
        assert_eq!(got("/open/x", &[&line]), (Some(scheme.to_owned()), String::new()));
        if !scheme.starts_with("Bearer") {
            let refused = house.proxied("/x", &[&line]);
            assert_eq!((refused.status, refused.json()["reason"].as_str()), (401, Some("sign-in-required")));
        }
    }
    let robot = bearer(&house.robot());
    // A token that let somebody in is no affair of the app's, as it would open all others.
    assert_eq!(got("/x", &[&robot]), (None, "robot".to_owned()));
    assert_eq!(got("/open/x", &[&robot]), (None, "robot".to_owned()));
    let kept = robot.strip_prefix("Authorization: ").map(str::to_owned);
    assert_eq!(got("/x", &[&alice, &robot]), (kept, "alice".to_owned()), "not looked at");
    assert_refused(&house.proxied("/x", &[&bearer("an.apps.own")]), "header is not a JSON object");
    assert!(!house.backend.seen().iter().any(|request| request.contains("remote-user: root")));
}

#[test]
fn an_opaque_token_counts_by_the_providers_word_which_is_remembered_for_a_while() {
    let house = House::with("introspection = \"default\"", &json!({"apiTokens": "opaque"}));
    let asked = || house.provider.asked("/introspect/");
    let (robot, person) = (house.robot(), house.person("alice"));
    let alice = person["access_token"].as_str().expect("a token");
    assert!(!robot.contains('.') && !alice.contains('.'), "opaque: {robot} {alice}");
    for dialect in DIALECTS {
        let ask = |url: &str, token: &str| {
            raw(house.foregate.public, &ask(dialect, "GET", url, &[&bearer(token), NAVIGATES]))
        };
        for (token, user) in [(&*robot, "robot"), (alice, "alice")] {
            let reply = ask(FAMILY, token);
            assert_eq!(
                (reply.status, reply.header("remote-user")),
                (200, Some(user)),
                "{dialect}: {reply:?}"
            );
        }
        assert_eq!(ask("http://admins.foregate.localhost/", alice).status, 200, "{dialect}");
        assert_eq!(ask("http://admins.foregate.localhost/", &robot).status, 403, "{dialect}");
        assert_eq!(ask(APP, "no-such-token").status, 401, "{dialect}");
        // Where everybody is let in, it may be a token of the app's own, which is nobody else's affair.
        let open = ask("http://open.foregate.localhost/", "of-the-app");
        assert_eq!((open.status, open.header("remote-user")), (200, Some("")), "{dialect}");
        assert_eq!(ask("http://closed.foregate.localhost/", "of-the-app").status, 403, "{dialect}");
    }
    assert_eq!(asked(), 3, "each of the three tokens once");
    assert_refused(&house.check(APP, "no-such-token"), "not active");
    assert_refused(&house.check(APP, &house.robot_for("https://other.example.com")), "another audience");
    let refresh = person["refresh_token"].as_str().expect("a refresh token");
    assert_eq!(house.check(APP, refresh).status, 401, "no access token");
    house.provider.control("pause", &json!({"mode": "503", "path": "introspect"}));
    assert_eq!(house.check(APP, "another").status, 503);
    assert_eq!(house.check(APP, alice).status, 200, "remembered");
    house.provider.control("resume", &Value::Null);
    assert_refused(&house.check(APP, "another"), "not active");
    // Signed tokens are still checked here.
    let before = asked();
    assert_eq!(house.check(APP, &house.signed(&json!({}), json!({}))).status, 200);
    assert_refused(&house.check(APP, &house.signed(&json!({}), json!({"aud": "x"}))), "another audience");
    assert_eq!(asked(), before);
}

#[test]
fn a_name_and_an_app_password_count_by_the_providers_word() {
    let house = House::with(
        "app_passwords = \"default\"",
        &json!({"appPasswords": {"alice": "app:secret", "bob": "other"}}),
    );
    let asked = || house.provider.asked("/token/");
    let basic = |pair: &str| format!("Authorization: Basic {}", STANDARD.encode(pair));
    let alice = basic("alice:app:secret");
    for dialect in DIALECTS {
        let ask = |url: &str, line: &str| raw(house.foregate.public, &ask(dialect, "GET", url, &[line]));
        let reply = ask(FAMILY, &alice);
        assert_eq!((reply.status, reply.header("remote-user")), (200, Some("alice")), "{dialect}: {reply:?}");
        assert_eq!(reply.header("remote-groups"), Some("Home Server Admins,a|b,family"), "{dialect}");
        assert_eq!(ask("http://bob.foregate.localhost/", &alice).status, 403, "{dialect}: no such host");
        let wrong = ask(APP, &basic("alice:wrong"));
        assert_eq!(wrong.status, 401, "{dialect}");
        let challenge = "Basic realm=\"foregate\", charset=\"UTF-8\"";
        assert_eq!(wrong.header("www-authenticate"), Some(challenge), "{dialect}");
        let open = ask("http://open.foregate.localhost/", &basic("bob:other"));
        assert_eq!((open.status, open.header("remote-user")), (200, Some("")), "{dialect}: not looked at");
    }
    assert_eq!(asked(), 2, "the right one and the wrong one, once each");
    for line in
        ["Authorization: Basic !", "Authorization: Basic YWxpY2U=", "Authorization: Basic OnNlY3JldA=="]
    {
        assert_eq!(house.foregate.check(APP, &[line]).status, 401, "{line}");
    }
    let cookie = house.cookie("alice");
    let before = asked();
    let both = house.foregate.check(APP, &[&cookie, &basic("bob:other")]);
    assert_eq!((both.status, both.header("remote-user")), (200, Some("alice")));
    assert_eq!(asked(), before, "a live session comes first");
    // What let somebody in is no affair of the app's, and what did not is.
    let seen = house.proxied("/x", &[&alice]);
    assert!(seen.status == 200 && !seen.body.to_ascii_lowercase().contains("authorization"), "{seen:?}");
    let open = house.proxied("/open/x", &[&basic("of:the-app")]);
    assert!(open.status == 200 && open.body.contains(&STANDARD.encode("of:the-app")), "{open:?}");
    assert_eq!(asked(), before);
    // Guessing ends, while what is known goes on.
    let detail = |line: &str| house.foregate.check(APP, &[line]).json()["detail"].as_str().map(str::to_owned);
    let is_over = |number: usize| {
        detail(&basic(&format!("bob:guess-{number}"))).is_some_and(|why| why.contains("too many wrong"))
    };
    // A minute may begin while it guesses.
    let guesses = (0..30).position(is_over).expect("guessing has an end");
    assert!((10..=20).contains(&guesses) && asked() - before == guesses, "{guesses} guesses");
    assert_eq!(house.foregate.check(APP, &[&alice]).status, 200);
    house.provider.control("pause", &json!({"mode": "503", "path": "token"}));
    assert_eq!(house.foregate.check(APP, &[&basic("carol:x")]).status, 503);
    assert_eq!(house.foregate.check(APP, &[&alice]).status, 200, "remembered");
}

#[test]
fn whoever_is_disabled_has_no_tokens_either() {
    let house = House::new();
    house.cookie("alice");
    let token = || house.person("alice")["access_token"].as_str().expect("a token").to_owned();
    assert_eq!(house.check(APP, &token()).status, 200);
    let file = house.foregate.dir().join("foregate.toml");
    let command = |word: &str| {
        let args = ["user", word, "alice", "--config", file.to_str().expect("a path")];
        let (code, _, err) = run(&args, house.foregate.dir());
        assert_eq!(code, Some(0), "{word}: {err}");
    };
    command("disable");
    assert_refused(&house.check(APP, &token()), "disabled");
    assert_eq!(house.check(APP, &house.robot()).status, 200, "others go on");
    command("enable");
    assert_eq!(house.check(APP, &token()).status, 200);
}

#[test]
fn a_rule_that_wants_a_stronger_sign_in_tells_programs_and_sends_none_away() {
    let house = House::with("app_passwords = \"default\"", &json!({"appPasswords": {"alice": "app:secret"}}));
    let signed = |over: Value| bearer(&house.signed(&json!({"typ": "at+jwt"}), over));
    let fresh = "http://fresh.foregate.localhost/x";
    let password = format!("Authorization: Basic {}", STANDARD.encode("alice:app:secret"));
    for dialect in DIALECTS {
        let of = |line: &str| raw(house.foregate.public, &ask(dialect, "GET", fresh, &[line, NAVIGATES]));
        let proved = of(&signed(json!({"auth_time": now() - 5, "acr": "mfa"})));
        assert_eq!((proved.status, proved.header("remote-user")), (200, Some("signed")), "{dialect}");
        for line in [
            signed(json!({})),
            signed(json!({"auth_time": now() - 5})),
            signed(json!({"auth_time": now() - 5, "acr": "pwd"})),
            signed(json!({"auth_time": now() - 700, "acr": "mfa"})),
            password.clone(),
        ] {
            let told = of(&line);
            assert_eq!((told.status, told.header("location")), (401, None), "{dialect}: {told:?}");
            let challenge = "Bearer realm=\"foregate\", error=\"insufficient_user_authentication\", \
                             max_age=\"600\", acr_values=\"mfa\"";
            assert_eq!(told.header("www-authenticate"), Some(challenge), "{dialect}");
        }
        let other = of(&signed(json!({"groups": [], "auth_time": now() - 5, "acr": "mfa"})));
        assert_eq!(other.status, 403, "{dialect}: {other:?}");
    }
}
