//! A provider that misbehaves on command: nobody is signed in, a page has a reference, and the log has the reason under it.

use serde_json::{Value, json};
use url::Url;

use super::claims::{introspecting, knowing};
use super::world::{
    APP, ENTRANCES, EVIDENCE, World, assert_closed, assert_open, basic, bearer, lines, stranger, world,
};
use crate::support::foregate::Foregate;
use crate::support::hostile_provider::{API, HostileProvider, Mind, SECRET, Says, Signs, half_hash, says};
use crate::support::http::{Browser, NAVIGATES, Reply, Wire, raw, request};
use crate::support::issuer::{By, Issuer, key, now};

/// An honest provider but for this.
fn mind(change: impl FnOnce(&mut Mind)) -> Mind {
    let mut mind = Mind::default();
    change(&mut mind);
    mind
}

/// Whoever signs in at it with a provider of this mind is nobody.
#[track_caller]
fn refused(world: &World, what: &str, mind: Mind, reason: &str) {
    world.provider.is_of(mind);
    let mut browser = stranger("alice");
    let reply = browser.open(&world.url("app", "/"));
    assert_refused(world, (what, reason), &browser, &reply);
}

#[track_caller]
fn assert_refused(world: &World, (what, reason): (&str, &str), browser: &Browser, reply: &Reply) {
    assert!(browser.cookie("foregate").is_none(), "{what}: somebody is signed in");
    assert!(matches!(reply.status, 403 | 502 | 503), "{what}: {reply:?}");
    assert_eq!(reply.header("cache-control"), Some("no-store"), "{what}");
    let reference = reply.body.split("Reference <code>").nth(1).and_then(|rest| rest.split('<').next());
    let reference = reference.unwrap_or_else(|| panic!("{what}: no reference in {reply:?}")).to_owned();
    world.foregate.wait_for_log(&reference);
    let lines = world.foregate.log_lines();
    let told: Vec<&String> = lines.iter().filter(|line| line.contains(&reference)).collect();
    assert_eq!(told.len(), 1, "{what}: {told:?}");
    assert!(told[0].contains(reason), "{what}: {}", told[0]);
    // Nothing of the cause, and no secret, is shown to the person.
    assert!(!reply.body.contains("<b>x"), "{what}: {reply:?}");
    for secret in [SECRET, "access-alice", "eyJ"] {
        assert!(!reply.body.contains(secret) && !told[0].contains(secret), "{what}: {secret} {}", told[0]);
    }
}

/// Each of them in turn at one foregate.
#[track_caller]
fn all_refused(minds: Vec<(&str, Mind, &str)>) {
    let world = World::new();
    for (what, mind, reason) in minds {
        refused(&world, what, mind, reason);
    }
    world.provider.is_of(Mind::default());
    let reply = stranger("alice").open(&world.url("app", "/"));
    assert!(reply.status == 200 && reply.body.contains("remote-user: alice"), "honest again: {reply:?}");
}

fn claims(over: Value) -> Mind {
    mind(|mind| mind.claims = over)
}

fn signed(signs: Signs, header: Value) -> Mind {
    mind(|mind| (mind.signs, mind.header) = (signs, header))
}

fn instead(path: &'static str, says: Says) -> Mind {
    mind(|mind| drop(mind.instead.insert(path, says)))
}

const JSON: &str = "Content-Type: application/json\r\n";

#[test]
fn an_id_token_for_others_of_others_or_of_another_time_signs_nobody_in() {
    let hour = 3600;
    all_refused(vec![
        ("another issuer", claims(json!({"iss": "https://elsewhere.test/"})), "issuer"),
        (
            "nearly the issuer",
            claims(json!({"iss": world().provider.issuer().trim_end_matches('/')})),
            "issuer",
        ),
        ("no issuer", claims(json!({"iss": null})), "lacks the claim"),
        ("two issuers", claims(json!({"iss": ["a", "b"]})), "wrong type"),
        ("another audience", claims(json!({"aud": "other"})), "audience"),
        ("no audience", claims(json!({"aud": null})), "lacks the claim"),
        ("an empty audience", claims(json!({"aud": []})), "audience"),
        ("an audience of numbers", claims(json!({"aud": [7]})), "wrong type"),
        ("several audiences, no party", claims(json!({"aud": ["foregate", "other"]})), "authorized party"),
        ("another party", claims(json!({"azp": "other"})), "authorized party"),
        (
            "another party of two",
            claims(json!({"aud": ["foregate", "other"], "azp": "other"})),
            "authorized party",
        ),
        ("a party of another type", claims(json!({"azp": 7})), "wrong type"),
        ("another nonce", claims(json!({"nonce": "other"})), "nonce"),
        ("no nonce", claims(json!({"nonce": null})), "nonce"),
        ("a nonce of another type", claims(json!({"nonce": 7})), "nonce"),
        ("no subject", claims(json!({"sub": null})), "sub"),
        ("an empty subject", claims(json!({"sub": ""})), "sub"),
        ("a subject of another type", claims(json!({"sub": 7})), "wrong type"),
        ("expired", claims(json!({"exp": now() - 61})), "expired"),
        ("no end", claims(json!({"exp": null})), "lacks the claim"),
        ("an end of letters", claims(json!({"exp": "tomorrow"})), "wrong type"),
        ("an absurd end", claims(json!({"exp": 1e300})), "absurd"),
        ("an end before time", claims(json!({"exp": -1})), "absurd"),
        ("issued in the future", claims(json!({"iat": now() + hour})), "future"),
        ("issued at no time", claims(json!({"iat": null})), "lacks the claim"),
        ("not valid yet", claims(json!({"nbf": now() + hour})), "not valid yet"),
        ("of another access token", claims(json!({"at_hash": half_hash(&json!({}), "other")})), "at_hash"),
        ("a hash of another type", claims(json!({"at_hash": 7})), "at_hash"),
        ("of another code", claims(json!({"c_hash": half_hash(&json!({}), "other")})), "c_hash"),
        (
            "a logout token",
            claims(json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}})),
            "another kind",
        ),
    ]);
}

#[test]
fn an_id_token_by_another_key_or_in_another_shape_signs_nobody_in() {
    let rs = |over: Value| Issuer::merged(json!({"alg": "RS256", "kid": "rs"}), over);
    let touched = |touch: fn(String) -> String| mind(|mind| mind.touch = touch);
    all_refused(vec![
        ("another key of the same name", signed(Signs::With(By::OtherRsa), rs(json!({}))), "signature"),
        ("an unknown key", signed(Signs::With(By::OtherRsa), rs(json!({"kid": "unknown"}))), "key id"),
        ("a key for encryption", signed(Signs::With(By::OtherRsa), rs(json!({"kid": "enc"}))), "key id"),
        ("a key of another type", signed(Signs::With(By::Rsa), rs(json!({"kid": "es"}))), "does not go with"),
        (
            "an algorithm of another type",
            signed(Signs::With(By::P256), json!({"alg": "ES256", "kid": "rs"})),
            "does not go with",
        ),
        (
            "an algorithm that was not announced",
            signed(Signs::With(By::Rsa), rs(json!({"alg": "PS256"}))),
            "not allowed",
        ),
        ("an algorithm of no kind", signed(Signs::With(By::Rsa), rs(json!({"alg": "XX999"}))), "not allowed"),
        ("none", signed(Signs::With(By::Rsa), rs(json!({"alg": "none"}))), "not allowed"),
        ("None", signed(Signs::With(By::Rsa), rs(json!({"alg": "None"}))), "not allowed"),
        ("nOnE", signed(Signs::With(By::Rsa), rs(json!({"alg": "nOnE"}))), "not allowed"),
        ("no algorithm", signed(Signs::With(By::Rsa), rs(json!({"alg": null}))), "alg"),
        ("HS256 by our secret", signed(Signs::Secret(SECRET), json!({"alg": "HS256"})), "not allowed"),
        (
            "HS256 by the public key",
            signed(Signs::Secret(Issuer::public_text()), rs(json!({"alg": "HS256"}))),
            "not allowed",
        ),
        (
            "HS256 by a key of the key set",
            signed(Signs::Secret("secret"), json!({"alg": "HS256", "kid": "oct"})),
            "not allowed",
        ),
        (
            "critical words",
            signed(Signs::With(By::Rsa), rs(json!({"crit": ["b64"], "b64": false}))),
            "critical",
        ),
        ("another kind", signed(Signs::With(By::Rsa), rs(json!({"typ": "at+jwt"}))), "another kind"),
        (
            "its own key in its head",
            signed(Signs::With(By::OtherRsa), rs(json!({"kid": "own", "jwk": key(By::OtherRsa).bare_jwk()}))),
            "key id",
        ),
        (
            "no signature",
            touched(|token| format!("{}.", token.rsplit_once('.').expect("a signature").0)),
            "signature",
        ),
        (
            "no third part",
            touched(|token| token.rsplit_once('.').expect("a signature").0.to_owned()),
            "malformed",
        ),
        ("half a signature", touched(|token| token[..token.len() - 40].to_owned()), "signature"),
        ("another signature", touched(|token| token[..token.len() - 8].to_owned() + "AAAAAAAA"), "signature"),
        ("four parts", touched(|token| token + ".x"), "malformed"),
        ("encrypted", touched(|_| "a.b.c.d.e".to_owned()), "encrypted"),
        ("plain JSON", touched(|_| r#"{"sub":"root"}"#.to_owned()), "malformed"),
        ("nothing", touched(|_| String::new()), "malformed"),
        ("a member twice", touched(|_| twice()), "twice"),
        ("a megabyte", touched(|token| token + &"A".repeat(900_000)), "too long"),
    ]);
}

/// A token by the right key that names two people.
fn twice() -> String {
    key(By::Rsa).token_of(r#"{"alg":"RS256","kid":"rs"}"#, r#"{"sub":"alice","sub":"root","aud":"foregate"}"#)
}

#[test]
fn an_answer_that_is_none_signs_nobody_in() {
    let answer = |over: Value| mind(|mind| mind.answer = over);
    let about = |over: Value| mind(|mind| mind.userinfo = over);
    let bomb = gzip(&vec![b' '; 64 << 20]);
    let said = |path, status: &str, lines: &str, body: &str| instead(path, says(status, lines, body));
    let there = "Location: http://169.254.169.254/latest/\r\n";
    all_refused(vec![
        ("no ID token", answer(json!({"id_token": null})), "token endpoint"),
        ("an ID token of another type", answer(json!({"id_token": 7})), "token endpoint"),
        ("no access token", answer(json!({"access_token": null})), "token endpoint"),
        ("another type of token", answer(json!({"token_type": "mac"})), "token endpoint"),
        ("no JSON", said("/token", "200 OK", JSON, "<html>"), "token endpoint"),
        ("a list", said("/token", "200 OK", JSON, "[]"), "token endpoint"),
        ("nothing", said("/token", "200 OK", JSON, ""), "token endpoint"),
        ("half an answer", instead("/token", half("{\"access_token\": \"x")), "token endpoint"),
        (
            "a member twice",
            said(
                "/token",
                "200 OK",
                JSON,
                r#"{"access_token":"a","access_token":"b","token_type":"Bearer","id_token":"x.y.z"}"#,
            ),
            "",
        ),
        ("a redirect", said("/token", "302 Found", there, ""), "302"),
        ("a redirect that keeps the method", said("/token", "307 Temporary Redirect", there, ""), "307"),
        (
            "an error",
            said(
                "/token",
                "400 Bad Request",
                JSON,
                r#"{"error":"invalid_request","error_description":"<b>x</b>"}"#,
            ),
            "invalid_request",
        ),
        (
            "a client that is none",
            said("/token", "401 Unauthorized", JSON, r#"{"error":"invalid_client"}"#),
            "client id and secret",
        ),
        (
            "a page of somebody in between",
            said("/token", "403 Forbidden", "Content-Type: text/html\r\n", "<h1>no</h1>"),
            "no OAuth error",
        ),
        ("not well", said("/token", "503 Service Unavailable", "", ""), "503"),
        (
            "a code that does not count, each time",
            said("/token", "400 Bad Request", JSON, r#"{"error":"invalid_grant"}"#),
            "circle",
        ),
        (
            "4 MiB",
            said("/token", "200 OK", JSON, &format!("{{\"x\":\"{}\"}}", "y".repeat(4 << 20))),
            "token endpoint",
        ),
        (
            "a bomb",
            instead(
                "/token",
                says("200 OK", "Content-Type: application/json\r\nContent-Encoding: gzip\r\n", &bomb),
            ),
            "token endpoint",
        ),
        ("silence", instead("/token", Says::Nothing), "token endpoint"),
        (
            "drops",
            instead("/token", Says::Drops("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")),
            "token endpoint",
        ),
        ("no HTTP", instead("/token", Says::Bytes(b"SSH-2.0-x\r\n".to_vec())), "token endpoint"),
        (
            "a head without end",
            instead(
                "/token",
                Says::Bytes([b"HTTP/1.1 200 OK\r\nX: ".as_slice(), &vec![b'y'; 1 << 20]].concat()),
            ),
            "token endpoint",
        ),
        ("userinfo about another", about(json!({"sub": "sub-bob"})), "another subject"),
        ("userinfo about nobody", about(json!({"sub": null})), "userinfo"),
        ("userinfo about a number", about(json!({"sub": 7})), "userinfo"),
        ("userinfo as a list", said("/userinfo", "200 OK", JSON, "[{\"sub\":\"sub-alice\"}]"), "userinfo"),
        ("userinfo as a text", said("/userinfo", "200 OK", JSON, "\"sub-alice\""), "userinfo"),
        (
            "userinfo of two people",
            said(
                "/userinfo",
                "200 OK",
                JSON,
                r#"{"sub":"sub-alice","preferred_username":"alice","sub":"sub-bob"}"#,
            ),
            "",
        ),
        (
            "userinfo by another key",
            said("/userinfo", "200 OK", "Content-Type: application/jwt\r\n", &forged_userinfo()),
            "signature",
        ),
        (
            "userinfo without a signature",
            said("/userinfo", "200 OK", "Content-Type: application/jwt\r\n", "e30.e30."),
            "",
        ),
        ("userinfo elsewhere", said("/userinfo", "302 Found", there, ""), "302"),
        ("userinfo refused", said("/userinfo", "401 Unauthorized", "", ""), "not accepted"),
        ("userinfo of half", instead("/userinfo", half("{\"sub\":\"sub-alice\"")), "userinfo"),
        (
            "userinfo as a bomb",
            instead(
                "/userinfo",
                says("200 OK", "Content-Type: application/json\r\nContent-Encoding: gzip\r\n", &bomb),
            ),
            "userinfo",
        ),
        ("userinfo of silence", instead("/userinfo", Says::Nothing), "userinfo"),
    ]);
}

/// An answer that ends before its time.
fn half(body: &str) -> Says {
    Says::Bytes(
        format!("HTTP/1.1 200 OK\r\n{JSON}Content-Length: 5000\r\nConnection: close\r\n\r\n{body}")
            .into_bytes(),
    )
}

fn forged_userinfo() -> String {
    key(By::OtherRsa).token(
        &json!({"alg": "RS256", "kid": "rs"}),
        &json!({"sub": "sub-alice", "preferred_username": "root"}),
    )
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut child = std::process::Command::new("gzip")
        .args(["-9", "-c"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("gzip");
    let (mut stdin, bytes) = (child.stdin.take().expect("stdin"), bytes.to_vec());
    let writer = std::thread::spawn(move || stdin.write_all(&bytes));
    let output = child.wait_with_output().expect("an end");
    writer.join().expect("a writer").expect("all of it");
    output.stdout
}

#[test]
fn a_document_or_a_key_set_that_is_none_signs_nobody_in() {
    let trap = HostileProvider::start();
    let there = trap.issuer();
    let document = |over: Value| mind(|mind| mind.discovery = over);
    let keys = |keys: Value| mind(|mind| mind.keys = keys);
    let config = "/.well-known/openid-configuration";
    let redirect = says("302 Found", &format!("Location: {there}\r\n"), "");
    let rsa = |over: Value| key(By::Rsa).jwk(over);
    let cases = vec![
        ("another issuer", document(json!({"issuer": there})), "calls itself"),
        ("no issuer", document(json!({"issuer": null})), "discovery"),
        ("no token endpoint", document(json!({"token_endpoint": null})), "discovery"),
        ("keys by file", document(json!({"jwks_uri": "file:///etc/passwd"})), ""),
        ("a token endpoint of another scheme", document(json!({"token_endpoint": "gopher://x/"})), ""),
        (
            "only algorithms that nobody takes",
            document(json!({"id_token_signing_alg_values_supported": ["none"]})),
            "algorithms",
        ),
        ("a list", instead(config, says("200 OK", JSON, "[]")), "discovery"),
        (
            "a member twice",
            instead(config, says("200 OK", JSON, format!("{{\"issuer\":\"{there}\",\"issuer\":\"x\"}}"))),
            "discovery",
        ),
        ("half", instead(config, half("{\"issuer\"")), "discovery"),
        ("elsewhere", instead(config, redirect.clone()), "302"),
        ("4 MiB", instead(config, says("200 OK", JSON, " ".repeat(4 << 20))), "discovery"),
        ("silence", instead(config, Says::Nothing), "discovery"),
        ("not there", instead(config, says("404 Not Found", "", "")), "404"),
        ("keys elsewhere", instead("/jwks", redirect), "keys"),
        ("no keys", keys(json!([])), "key"),
        ("keys as a text", keys(json!("x")), "keys"),
        ("keys of half", instead("/jwks", half("{\"keys\":[")), "keys"),
        ("keys of 4 MiB", instead("/jwks", says("200 OK", JSON, " ".repeat(4 << 20))), "keys"),
        ("a key for encryption", keys(json!([rsa(json!({"kid": "rs", "use": "enc"}))])), "key"),
        ("a key for another algorithm", keys(json!([rsa(json!({"kid": "rs", "alg": "RS512"}))])), "go with"),
        (
            "a key that may not verify",
            keys(json!([rsa(json!({"kid": "rs", "key_ops": ["encrypt"]}))])),
            "key",
        ),
        (
            "a secret for a key",
            keys(json!([{"kty": "oct", "kid": "rs", "k": "c2VjcmV0", "alg": "RS256"}])),
            "key",
        ),
        ("another key of that name", keys(json!([key(By::OtherRsa).jwk(json!({"kid": "rs"}))])), "signature"),
    ];
    std::thread::scope(|scope| {
        for part in cases.chunks(8) {
            scope.spawn(move || {
                for (what, mind, reason) in part {
                    let world = World::new();
                    refused(&world, what, mind.clone(), reason);
                }
            });
        }
    });
    assert_eq!(trap.log(), Vec::<String>::new(), "nobody followed");
}

#[test]
fn endpoints_that_are_elsewhere_are_the_documents_word_and_no_answers() {
    // A document may name endpoints on other origins. No answer may: none is followed.
    let (world, other) = (World::new(), HostileProvider::start());
    let there = other.issuer();
    world
        .provider
        .is_of(mind(|mind| mind.discovery = json!({"userinfo_endpoint": format!("{there}userinfo")})));
    let reply = stranger("alice").open(&world.url("app", "/"));
    assert!(reply.status == 200 && other.asked("/userinfo") == 1, "{reply:?}");
    for (path, redirected) in [("/token", "token endpoint"), ("/jwks", "keys")] {
        let world = World::new();
        let target = format!("Location: {there}caught\r\n");
        refused(&world, path, instead(path, says("307 Temporary Redirect", &target, "")), redirected);
    }
    assert_eq!(other.asked("/caught"), 0);
}

#[test]
fn keys_may_be_many_nameless_and_new_while_a_sign_in_is_under_way() {
    let let_in = |world: &World, what: &str| {
        let reply = stranger("alice").open(&world.url("app", "/"));
        assert!(reply.status == 200 && reply.body.contains("remote-user: alice"), "{what}: {reply:?}");
    };
    for (what, change) in [
        ("no key id, one key of its type", mind(|mind| mind.header = json!({"alg": "ES256"}))),
        ("several keys", Mind::default()),
        (
            "several keys, none of them named",
            mind(|mind| {
                mind.header = json!({"alg": "RS256"});
                mind.keys =
                    json!([key(By::OtherRsa).bare_jwk(), key(By::Rsa).bare_jwk(), key(By::P256).bare_jwk()]);
            }),
        ),
        (
            "RS512 and its own hash",
            mind(|mind| {
                mind.header = json!({"alg": "RS512"});
                mind.keys = json!([key(By::Rsa).bare_jwk()]);
            }),
        ),
        (
            "ES384 and its own hash",
            mind(|mind| {
                (mind.signs, mind.header) = (Signs::With(By::P384), json!({"alg": "ES384"}));
                mind.keys = json!([key(By::P384).bare_jwk()]);
            }),
        ),
        (
            "EdDSA",
            mind(|mind| {
                (mind.signs, mind.header) = (Signs::With(By::Ed), json!({"alg": "EdDSA", "kid": "ed"}))
            }),
        ),
        ("no hash of the access token", claims(json!({"at_hash": null}))),
        ("two audiences and our party", claims(json!({"aud": ["foregate", "other"], "azp": "foregate"}))),
    ] {
        let world = World::new();
        let signs = if what.starts_with("no key id") { Signs::With(By::P256) } else { change.signs };
        world.provider.is_of(Mind { signs, ..change });
        let_in(&world, what);
    }
    // The keys change between the beginning of a sign-in and its end; whoever is signed in stays so.
    let world = World::new();
    let cookie = world.cookie("bob");
    let mut browser = stranger("alice");
    let start = browser.step("GET", &Url::parse(&world.url("app", "/")).expect("a URL"), "").location();
    let callback = browser.step("GET", &start, "").location();
    world.provider.is_of(mind(|mind| {
        (mind.signs, mind.header) = (Signs::With(By::OtherRsa), json!({"alg": "RS256", "kid": "new"}));
        mind.keys = json!([key(By::OtherRsa).jwk(json!({"kid": "new", "use": "sig"}))]);
    }));
    let reply = browser.open(callback.as_str());
    // The first try may fall into the pause that protects the provider; another one counts.
    crate::support::upstream::until("the new keys count", || {
        reply.status == 200 || stranger("alice").open(&world.url("app", "/")).status == 200
    });
    assert_eq!(world.ask(super::world::Entrance::Proxy, APP, "/", &[&cookie]).status, 200);
}

/// `mod_auth_openidc 2020-11-19, 2026-08-12` mod_auth_openidc: userinfo about somebody else, about nobody, or by nobody.
///
/// Tried: the callback, with userinfo as JSON and as a token; more in the same file.
#[test]
fn mod_auth_openidc_2020_11_19_userinfo_is_about_the_same_person() {
    let jwt = |token: &str| instead("/userinfo", says("200 OK", "Content-Type: application/jwt\r\n", token));
    let by_another_for = |sub: &str, by: By| {
        key(by)
            .token(&json!({"alg": "RS256", "kid": "rs"}), &json!({"sub": sub, "iss": "x", "aud": "foregate"}))
    };
    all_refused(vec![
        ("another", mind(|mind| mind.userinfo = json!({"sub": "sub-root"})), "another subject"),
        ("nobody", mind(|mind| mind.userinfo = json!({"sub": null})), "userinfo"),
        ("an empty name", mind(|mind| mind.userinfo = json!({"sub": ""})), "userinfo"),
        ("a list of names", mind(|mind| mind.userinfo = json!({"sub": ["sub-alice"]})), "userinfo"),
        ("another case", mind(|mind| mind.userinfo = json!({"sub": "SUB-ALICE"})), "another subject"),
        ("a list", instead("/userinfo", says("200 OK", JSON, "[{\"sub\":\"sub-alice\"}]")), "userinfo"),
        ("by another key", jwt(&by_another_for("sub-alice", By::OtherRsa)), "signature"),
        ("a token about another", jwt(&by_another_for("sub-bob", By::Rsa)), ""),
        ("no signature", jwt("eyJhbGciOiJub25lIn0.eyJzdWIiOiJzdWItYWxpY2UifQ."), "not allowed"),
    ]);
}

/// `openidconnect-rs#209` openidconnect (Rust): `at_hash` of an algorithm whose hash is not SHA-256.
///
/// Tried: the callback with RS256, RS512, ES384 and EdDSA: the right one counts, one by another hash does not, none does.
#[test]
fn openidconnect_rs_209_a_hash_is_that_of_the_algorithm() {
    for (by, alg) in [(By::Rsa, "RS256"), (By::Rsa, "RS512"), (By::P384, "ES384"), (By::Ed, "EdDSA")] {
        let world = World::new();
        let of = |hash: Value| {
            mind(|mind| {
                (mind.signs, mind.header) = (Signs::With(by), json!({"alg": alg}));
                mind.keys = json!([key(by).bare_jwk()]);
                if hash != "right" {
                    mind.claims = json!({ "at_hash": hash });
                }
            })
        };
        let sha256 = half_hash(&json!({"alg": "RS256"}), "access-alice");
        let sha512 = half_hash(&json!({"alg": "RS512"}), "access-alice");
        // EdDSA has no hash of its own: both are seen, and both are of the very token.
        let others = if alg == "EdDSA" { vec![] } else { vec![sha256, sha512] };
        let made_up = [half_hash(&json!({"alg": alg}), "access-bob"), String::new()];
        for wrong in others.into_iter().chain(made_up) {
            if wrong != half_hash(&json!({"alg": alg}), "access-alice") {
                refused(&world, alg, of(json!(wrong)), "at_hash");
            }
        }
        for right in [json!("right"), Value::Null] {
            world.provider.is_of(of(right));
            let reply = stranger("alice").open(&world.url("app", "/"));
            assert_eq!(reply.status, 200, "{alg}: {reply:?}");
        }
    }
}

/// `openidconnect crate docs` openidconnect (Rust): an endpoint of the provider that redirects into the house.
///
/// Tried: discovery, keys, token and userinfo endpoint, each with every redirect, to a listener that must hear nothing;
/// answers without end have their time and size.
#[test]
fn openidconnect_crate_docs_no_redirect_of_a_provider_is_followed() {
    let trap = HostileProvider::start();
    let targets = [
        format!("{}caught", trap.issuer()),
        "http://169.254.169.254/".to_owned(),
        "file:///etc/passwd".to_owned(),
    ];
    for path in ["/.well-known/openid-configuration", "/jwks", "/token", "/userinfo"] {
        for status in [
            "301 Moved Permanently",
            "302 Found",
            "303 See Other",
            "307 Temporary Redirect",
            "308 Permanent Redirect",
        ] {
            let world = World::new();
            let target = &targets[status.len() % targets.len()];
            let says = says(status, &format!("Location: {target}\r\n"), "");
            refused(&world, path, instead(path, says.clone()), "");
            let caught = Says::Bytes(match says {
                Says::Bytes(bytes) => {
                    String::from_utf8_lossy(&bytes).replace(target.as_str(), &targets[0]).into_bytes()
                }
                Says::Nothing | Says::Drops(_) => unreachable!("bytes"),
            });
            let world = World::new();
            refused(&world, path, instead(path, caught), "");
        }
    }
    assert_eq!(trap.log(), Vec::<String>::new());
}

/// `mod_auth_openidc 2026-08-12, 2026-07-27 (timestamps)` mod_auth_openidc: times that are absurd, broken or in fractions.
///
/// Tried: the callback, and bearer tokens through all entrances; a session that has a far end goes on.
#[test]
fn mod_auth_openidc_2026_08_12_times_have_one_meaning() {
    let world = World::new();
    for (over, is_in) in [
        (json!({"exp": 1e300}), false),
        (json!({"exp": -1}), false),
        (json!({"exp": 0}), false),
        (json!({"exp": 1_700_000_000.5}), false),
        (json!({"exp": u64::MAX}), false),
        (json!({"exp": i64::MIN}), false),
        (json!({"exp": "9999999999"}), false),
        (json!({"exp": null}), false),
        (json!({"iat": now() + 4000}), false),
        (json!({"iat": -1e300}), false),
        (json!({"nbf": now() + 4000}), false),
        (json!({"nbf": 1e300}), false),
        (json!({"exp": now() as f64 + 100.5}), true),
        (json!({"exp": 4_102_444_800_u64}), true),
        (json!({"exp": now() + 100, "iat": now() as f64 - 0.5}), true),
    ] {
        let token = bearer(&world.provider.access_token("alice", over.clone()));
        for entrance in ENTRANCES {
            let reply = world.ask(entrance, APP, "/", &[&token]);
            assert_eq!((200..300).contains(&reply.status), is_in, "{entrance:?} {over}: {reply:?}");
            assert!(reply.status < 500, "{over}: {reply:?}");
        }
        world.provider.is_of(claims(over.clone()));
        let mut browser = stranger("alice");
        let reply = browser.open(&world.url("app", "/"));
        assert_eq!(reply.status, if is_in { 200 } else { 502 }, "{over}: {reply:?}");
        assert_eq!(browser.visited.len(), if is_in { 4 } else { 3 }, "no circle: {:?}", browser.visited);
    }
}

/// `lua-resty-openidc 1.5.2 and 1.4.1 to 1.5.3` lua-resty-openidc: no signature, in every case of the word, and algorithms
/// that nobody knows.
///
/// Tried: as ID token at the callback, as bearer token through all entrances, as logout token.
#[test]
fn lua_resty_openidc_1_5_2_an_unknown_algorithm_is_a_no() {
    let world = World::new();
    for alg in [
        json!("none"),
        json!("None"),
        json!("nOnE"),
        json!("NONE"),
        json!(""),
        json!(null),
        json!("XX256"),
        json!(["RS256"]),
        json!("RS256 "),
        json!("rs256"),
        json!("HS256"),
    ] {
        let header = json!({"alg": alg, "kid": "rs", "typ": "at+jwt"});
        for strip in [true, false] {
            let whole = key(By::Rsa).token(&header, &json!({
                "iss": world.provider.issuer(), "sub": "sub-alice", "aud": [API, "foregate"], "exp": now() + 300, "iat": now(), "jti": "x",
                "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
            }));
            let token =
                if strip { format!("{}.", whole.rsplit_once('.').expect("a signature").0) } else { whole };
            for entrance in ENTRANCES {
                let reply = world.ask(entrance, APP, "/", &[&bearer(&token)]);
                assert_eq!(reply.status, 401, "{entrance:?} {alg} {strip}: {reply:?}");
            }
            let form = ["Content-Type: application/x-www-form-urlencoded"];
            let reply =
                world.own("POST", "/.foregate/backchannel-logout", &form, &format!("logout_token={token}"));
            assert_eq!(reply.status, 400, "{alg}: {reply:?}");
            let touch: fn(String) -> String = if strip {
                |token| format!("{}.", token.rsplit_once('.').expect("a signature").0)
            } else {
                |token| token
            };
            let mind = Mind { touch, ..signed(Signs::With(By::Rsa), json!({"alg": alg, "kid": "rs"})) };
            refused(&world, &alg.to_string(), mind, "");
        }
    }
}

/// `CVE-2023-48228, CVE-2024-23647` authentik OAuth2 provider: the code of one browser in the callback of another, at a
/// provider that does not check PKCE.
///
/// Tried: the attacker's code with the victim's state, without a login cookie and with a neighbour's; each start asks for S256.
#[test]
fn cve_2023_48228_a_code_counts_in_its_own_browser_only() {
    let world = World::new();
    let begin = |browser: &mut Browser| {
        let start = browser.step("GET", &Url::parse(&world.url("app", "/")).expect("a URL"), "").location();
        let query: std::collections::HashMap<_, _> = start.query_pairs().into_owned().collect();
        assert_eq!(query["code_challenge_method"], "S256", "{start}");
        assert!(query["code_challenge"].len() == 43 && query["nonce"].len() >= 22, "{start}");
        browser.step("GET", &start, "").location()
    };
    let one = |url: &Url, name: &str| {
        url.query_pairs().find(|(key, _)| key == name).expect("a parameter").1.into_owned()
    };
    let (mut attacker, mut victim) = (stranger("bob"), stranger("alice"));
    let (theirs, own) = (begin(&mut attacker), begin(&mut victim));
    let mut mixed = own.clone();
    mixed.query_pairs_mut().clear().extend_pairs([
        ("code", one(&theirs, "code")),
        ("state", one(&own, "state")),
        ("iss", one(&own, "iss")),
    ]);
    let reply = victim.clone().step("GET", &mixed, "");
    assert!(reply.all("set-cookie").iter().all(|cookie| !cookie.starts_with("foregate=")), "{reply:?}");
    // The same at a provider that takes any verifier: the nonce is another one.
    let other_nonce = claims(json!({"nonce": "that-of-the-attacker"}));
    world.provider.is_of(other_nonce);
    let reply = victim.clone().step("GET", &own, "");
    assert_eq!(reply.status, 502, "{reply:?}");
    world.provider.is_of(Mind::default());
    // The whole callback of somebody else, in a browser without their cookie or with one of its own.
    for mut browser in [Browser::default(), victim.clone()] {
        let reply = browser.step("GET", &theirs, "");
        assert!(reply.all("set-cookie").iter().all(|cookie| !cookie.starts_with("foregate=")), "{reply:?}");
    }
}

/// `mod_auth_openidc 2026-06-03; openidconnect-rs#131` mod_auth_openidc, openidconnect (Rust): keys of one name, of the wrong
/// use, for another algorithm, or secret.
///
/// Tried: bearer tokens through all entrances, ID tokens at the callback.
#[test]
fn mod_auth_openidc_2026_06_03_a_key_is_used_for_what_it_is() {
    let world = World::new();
    let claims = json!({"iss": world.provider.issuer(), "sub": "sub-alice", "aud": API, "exp": now() + 300, "preferred_username": "alice"});
    let token = |by: By, kid: &str, alg: &str| {
        key(by).token(&json!({"alg": alg, "kid": kid, "typ": "at+jwt"}), &claims)
    };
    let oct = crate::support::issuer::signing::TestKey::Secret("secret");
    for (token, is_in) in [
        (token(By::P256, "twin", "ES256"), true),
        (token(By::OtherRsa, "twin", "RS256"), true),
        (token(By::Rsa, "twin", "RS256"), false),
        (token(By::OtherRsa, "twin", "RS512"), false),
        (token(By::P256, "rs", "ES256"), false),
        (token(By::Rsa, "es", "RS256"), false),
        (token(By::Rsa, "rs", "RS512"), false),
        (token(By::OtherRsa, "enc", "RS256"), false),
        (oct.token(&json!({"alg": "HS256", "kid": "oct", "typ": "at+jwt"}), &claims), false),
    ] {
        for entrance in ENTRANCES {
            let reply = world.ask(entrance, APP, "/", &[&bearer(&token)]);
            assert_eq!((200..300).contains(&reply.status), is_in, "{entrance:?}: {reply:?}");
        }
    }
    for (what, mind) in [
        ("for encryption", signed(Signs::With(By::OtherRsa), json!({"alg": "RS256", "kid": "enc"}))),
        ("another type", signed(Signs::With(By::P256), json!({"alg": "ES256", "kid": "rs"}))),
        ("another algorithm", signed(Signs::With(By::Rsa), json!({"alg": "RS512", "kid": "rs"}))),
        ("a secret", signed(Signs::Secret("secret"), json!({"alg": "HS256", "kid": "oct"}))),
    ] {
        refused(&world, what, mind, "");
    }
}

/// `mod_auth_openidc 2026-08-12 (JWKS refresh)` mod_auth_openidc: tokens with key ids that are made up, by the thousand.
///
/// Tried: a thousand through all entrances, with a provider that answers and with one that is silent.
#[test]
fn mod_auth_openidc_2026_08_12_made_up_keys_fetch_nothing() {
    let world = World::new();
    let token = |number: usize| {
        let header = json!({"alg": "RS256", "kid": format!("k{number}"), "typ": "at+jwt"});
        bearer(&key(By::Rsa).token(
            &header,
            &json!({"iss": world.provider.issuer(), "sub": "s", "aud": API, "exp": now() + 300}),
        ))
    };
    assert_eq!(world.ask(super::world::Entrance::Traefik, APP, "/", &[&token(0)]).status, 401);
    let (fetched, begun) = (world.provider.asked("/jwks"), std::time::Instant::now());
    world.provider.is_of(instead("/jwks", Says::Nothing));
    let mut wire = Wire::open(world.foregate.public);
    for number in 1..1000 {
        let entrance = [super::world::Entrance::Traefik, super::world::Entrance::Nginx][number % 2];
        let bytes =
            String::from_utf8(entrance.bytes("GET", ("http", APP, "/"), &[&token(number)])).expect("text");
        wire.write(bytes.replace("Connection: close\r\n", "").as_bytes());
        // Whoever comes just as it is tried once more hears that the provider is silent: a no as well.
        let status = wire.read(false).expect("an answer").status;
        assert!(matches!(status, 401 | 503), "{number}: {status}");
    }
    // Between two of them lies a pause of ten seconds, however many tokens come in it.
    let most = fetched + 2 + usize::try_from(begun.elapsed().as_secs() / 9).expect("a number");
    assert!(world.provider.asked("/jwks") <= most, "{} fetches", world.provider.asked("/jwks"));
    let good = bearer(&world.provider.access_token("alice", json!({})));
    for entrance in ENTRANCES {
        assert_eq!(world.ask(entrance, APP, "/", &[&good]).status / 100, 2, "{entrance:?}: known keys count");
    }
}

/// `GHSA-wcvh-g65p-v576` mod_auth_openidc: a bearer token by the right key for another audience, by another issuer, or
/// without an end.
///
/// Tried: all entrances; `[bearer]` without audiences stops the start.
#[test]
fn ghsa_wcvh_g65p_v576_a_token_is_for_us_by_them_and_ends() {
    let world = world();
    for over in [
        json!({"aud": "https://other.example.com"}),
        json!({"aud": null}),
        json!({"aud": ["a", "b"]}),
        json!({"aud": format!("{API}/")}),
        json!({"aud": API.to_ascii_uppercase()}),
        json!({"aud": {"0": API}}),
        json!({"iss": "https://elsewhere.test/"}),
        json!({"iss": null}),
        json!({"iss": format!("{}x", world.provider.issuer())}),
        json!({"exp": null}),
        json!({"exp": now() - 61}),
        json!({"sub": null}),
    ] {
        let token = bearer(&world.provider.access_token("alice", over.clone()));
        for entrance in ENTRANCES {
            let reply = world.ask(entrance, APP, "/", &[&token]);
            assert_eq!(reply.status, 401, "{entrance:?} {over}: {reply:?}");
            assert!(reply.header("location").is_none(), "{reply:?}");
        }
    }
    let without = world.config.replace(&format!("audiences = [\"{API}\"]"), "");
    let (code, told) = Foregate::refuses(&without);
    assert!(code == Some(1) && told.contains("bearer.audiences"), "{told}");
    let (code, told) =
        Foregate::refuses(&world.config.replace(&format!("audiences = [\"{API}\"]"), "audiences = []"));
    assert!(code == Some(1) && told.contains("bearer.audiences"), "{told}");
}

/// `jsonwebtoken 9.0.0 / 8.0.0 change notes` jsonwebtoken (Rust): an audience that nobody asked for, an empty list of
/// algorithms, and a token that has just expired.
///
/// Tried: all entrances; the leeway is one minute, and no more.
#[test]
fn jsonwebtoken_9_0_0_defaults_of_a_library_are_none_of_ours() {
    let world = world();
    for (over, is_in) in [
        (json!({"exp": now() - 30}), true),
        (json!({"exp": now() - 90}), false),
        (json!({"nbf": now() + 30}), true),
        (json!({"nbf": now() + 90}), false),
        (json!({"aud": "anything"}), false),
        (json!({"aud": ""}), false),
    ] {
        let token = bearer(&world.provider.access_token("alice", over.clone()));
        for entrance in ENTRANCES {
            let reply = world.ask(entrance, APP, "/", &[&token]);
            assert_eq!((200..300).contains(&reply.status), is_in, "{entrance:?} {over}: {reply:?}");
        }
    }
    // Without `[bearer]` no token counts, whatever it says.
    let start = world.config.find("[bearer]").expect("a table");
    let end = start + world.config[start..].find("[roles").expect("the next");
    let none = World::with("", |config| {
        let (from, to) =
            (config.find("[bearer]").expect("a table"), config.find("[roles").expect("the next"));
        config[..from].to_owned() + &config[to..]
    });
    assert!(end > start);
    let token = bearer(&none.provider.access_token("alice", json!({})));
    for entrance in ENTRANCES {
        assert_closed(&none.ask(entrance, APP, "/", &[&token]), entrance, "no [bearer]");
    }
    let (code, _) = Foregate::refuses(
        &world
            .config
            .replace("client_id = \"foregate\"", "client_id = \"foregate\"\nid_token_algorithms = []"),
    );
    assert_eq!(code, Some(1));
}

/// `oauth2-proxy#1204 (skip-aud-check-when-missing)` oauth2-proxy: a token for a program, which has no audience.
///
/// Tried: all entrances; no other claim takes its place.
#[test]
fn oauth2_proxy_1204_no_audience_is_not_every_audience() {
    let world = world();
    for over in [
        json!({"aud": null}),
        json!({"aud": null, "azp": API}),
        json!({"aud": null, "client_id": API}),
        json!({"aud": null, "azp": "foregate", "cid": "foregate"}),
        json!({"aud": []}),
        json!({"aud": [""]}),
    ] {
        let token = bearer(&world.provider.access_token("alice", over.clone()));
        for entrance in ENTRANCES {
            let reply = world.ask(entrance, APP, "/", &[&token]);
            assert_eq!(reply.status, 401, "{entrance:?} {over}: {reply:?}");
        }
    }
}

/// `CVE-2020-26160; CVE-2025-30144, CVE-2024-53861, CVE-2025-59420` jwt-go, fast-jwt, PyJWT, Authlib: an audience or an issuer of
/// another type or in part, and words that a token calls critical and nobody knows.
///
/// Tried: bearer tokens through all entrances, ID tokens at the callback, logout tokens; each claim as an array, an object, a
/// number, nothing, and as the beginning, the middle and the end of the right one.
#[test]
fn cve_2020_26160_a_claim_has_its_type_and_is_compared_whole() {
    let world = World::new();
    let issuer = world.provider.issuer();
    let cookie = world.cookie("alice");
    let for_us = |audience: &str, over: &Value| {
        let text = over.to_string().replace("OURS", audience).replace("HALF", &audience[..4]);
        serde_json::from_str::<Value>(&text).expect("JSON")
    };
    let wrong_claims = [
        json!({"aud": []}),
        json!({"aud": [[]]}),
        json!({"aud": {}}),
        json!({"aud": [["OURS"]]}),
        json!({"aud": {"0": "OURS"}}),
        json!({"aud": {"OURS": true}}),
        json!({"aud": [null]}),
        json!({"aud": 0}),
        json!({"aud": true}),
        json!({"aud": ""}),
        json!({"aud": [""]}),
        json!({"aud": "HALF"}),
        json!({"aud": "OURS "}),
        json!({"aud": "OURS,other"}),
        json!({"aud": "other OURS"}),
        json!({"aud": "[\"OURS\"]"}),
        json!({"iss": [issuer]}),
        json!({"iss": [issuer, "https://evil.test/"]}),
        json!({"iss": {"0": issuer}}),
        json!({"iss": []}),
        json!({"iss": ""}),
        json!({"iss": 0}),
        json!({"iss": "h"}),
        json!({"iss": "http:"}),
        json!({"iss": issuer[..issuer.len() - 1]}),
        json!({"iss": issuer[7..]}),
        json!({"iss": issuer[2..12]}),
        json!({"iss": format!("{issuer}x")}),
        json!({"iss": format!("{issuer}.evil.test/")}),
        json!({"iss": format!("{issuer} ")}),
        json!({"iss": issuer.to_ascii_uppercase()}),
    ];
    let wrong_headers = [
        json!({"crit": ["x-unknown"], "x-unknown": true}),
        json!({"crit": ["x-unknown"]}),
        json!({"crit": ["exp"], "exp": 1}),
        json!({"crit": ["b64"], "b64": true}),
        json!({"crit": ["cnf"], "cnf": {}}),
        json!({"crit": ["alg"]}),
        json!({"crit": []}),
        json!({"crit": "x-unknown"}),
        json!({"crit": [7]}),
        json!({"crit": {}}),
    ];
    let nothing = json!({});
    let rows = wrong_claims.iter().map(|claims| (claims, &nothing));
    let rows = rows.chain(wrong_headers.iter().map(|header| (&nothing, header)));
    let header = |kind: &str, over: &Value| {
        Issuer::merged(json!({"alg": "RS256", "kid": "rs", "typ": kind}), over.clone())
    };
    let bearing = |claims: &Value, over: &Value| {
        let usual = json!({
            "iss": issuer, "aud": API, "exp": now() + 300, "iat": now(), "sub": "sub-alice", "preferred_username": "alice",
        });
        bearer(&key(By::Rsa).token(&header("at+jwt", over), &Issuer::merged(usual, for_us(API, claims))))
    };
    let leaving = |claims: &Value, over: &Value, jti: &str| {
        let usual = json!({
            "iss": issuer, "aud": "foregate", "exp": now() + 300, "iat": now(), "jti": jti, "sub": "sub-alice",
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        });
        let token = key(By::Rsa)
            .token(&header("logout+jwt", over), &Issuer::merged(usual, for_us("foregate", claims)));
        let form = ["Content-Type: application/x-www-form-urlencoded"];
        world.own("POST", "/.foregate/backchannel-logout", &form, &format!("logout_token={token}")).status
    };
    for (number, (claims, over)) in rows.enumerate() {
        let what = format!("{claims} {over}");
        let token = bearing(claims, over);
        for entrance in ENTRANCES {
            let reply = world.ask(entrance, APP, "/", &[&token]);
            assert_eq!(reply.status, 401, "{entrance:?} {what}: {reply:?}");
        }
        assert_eq!(leaving(claims, over, &number.to_string()), 400, "{what}");
        let header = Issuer::merged(json!({"alg": "RS256", "kid": "rs"}), over.clone());
        let mind = mind(|mind| (mind.claims, mind.header) = (for_us("foregate", claims), header));
        refused(&world, &what, mind, "");
        world.provider.is_of(Mind::default());
    }
    let sound = bearing(&nothing, &nothing);
    for entrance in ENTRANCES {
        assert_open(&world.ask(entrance, APP, "/", &[&cookie]), entrance, "nobody was signed out");
        assert_open(&world.ask(entrance, APP, "/", &[&sound]), entrance, "a sound one counts");
    }
    assert_eq!(leaving(&nothing, &nothing, "sound"), 200);
    for entrance in ENTRANCES {
        assert_closed(&world.ask(entrance, APP, "/", &[&cookie]), entrance, "signed out");
    }
}

/// `CVE-2024-21498` caddy-security: an address that is put together from the headers of a request, and asked.
///
/// Tried: all entrances and every own address that begins or ends a sign-in, with each header that names a host, a port or a scheme,
/// of a listener that must hear nothing; with each kind of evidence, and over whole sign-ins. Every way back is the one that is
/// configured.
#[test]
fn cve_2024_21498_no_header_names_an_address_that_is_asked() {
    let world = World::new();
    let trap = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    trap.set_nonblocking(true).expect("a listener");
    let there = trap.local_addr().expect("an address");
    let back = format!("http://auth.foregate.localhost:{}/.foregate/callback", world.port);
    let leads_back = |reply: &Reply, what: &str| {
        for name in ["location", "foregate-sign-in", "refresh"] {
            let Some(told) = reply.header(name) else { continue };
            assert!(!told.contains(&there.to_string()) && !told.contains("evil"), "{what}: {reply:?}");
            let Ok(to) = Url::parse(told.trim_start_matches("0; url=")) else { continue };
            let named = to.query_pairs().find(|(name, _)| name == "redirect_uri");
            assert!(named.is_none_or(|(_, named)| named == back), "{what}: {to}");
        }
        // The backend repeats all that it is sent.
        let is_ours = !reply.body.starts_with("GET / HTTP/1.1\r\n");
        assert!(!is_ours || !reply.body.contains(&there.to_string()), "{what}: {reply:?}");
    };
    let hosts = [there.to_string(), format!("localhost:{}", there.port()), "evil.test".to_owned()];
    let shown: Vec<Vec<String>> =
        EVIDENCE.iter().map(|evidence| world.shows(*evidence, "alice")).chain([vec![]]).collect();
    for host in &hosts {
        let headers = [
            format!("X-Forwarded-Host: {host}"),
            format!("X-Forwarded-Server: {host}"),
            format!("X-Forwarded-Port: {}", there.port()),
            "X-Forwarded-Proto: https".to_owned(),
            format!("X-Original-Host: {host}"),
            format!("X-Host: {host}"),
            format!("Forwarded: host={host};proto=https"),
            format!("Origin: http://{host}"),
            format!("Referer: http://{host}/"),
            format!("X-Forwarded-Prefix: //{host}"),
            format!("X-Issuer: http://{host}/"),
        ];
        for shown in &shown {
            for entrance in ENTRANCES {
                let all = [&lines(shown)[..], &[NAVIGATES]].concat();
                let reply = world.ask_by(entrance, "GET", ("http", host, "/"), &all);
                assert_closed(&reply, entrance, host);
                leads_back(&reply, host);
                for header in &headers {
                    let reply = world.ask(entrance, APP, "/", &[&all[..], &[header]].concat());
                    assert!(reply.status < 500, "{entrance:?} {header}: {reply:?}");
                    leads_back(&reply, header);
                }
            }
            for page in [
                "/.foregate/sign-in",
                "/.foregate/sign-in?account=other",
                "/.foregate/session",
                "/.foregate/account",
                "/.foregate/sign-out?x",
                "/oauth2/start",
                "/oauth2/sign_in",
                "/outpost.goauthentik.io/start",
            ] {
                let base = [&lines(shown)[..], &[NAVIGATES, "Sec-Fetch-Site: cross-site"]].concat();
                for header in &headers {
                    leads_back(&world.own("GET", page, &[&base[..], &[header]].concat(), ""), header);
                }
                let host_line = format!("Host: {host}");
                let own = [&base[..], &[&*host_line, "Connection: close"]].concat();
                leads_back(&raw(world.foregate.public, request("GET", page, &own, "").as_bytes()), host);
            }
        }
        for header in &headers {
            let mut browser = stranger("bob");
            browser.lines.push(header.clone());
            browser.open(&world.url("auth", "/.foregate/sign-in"));
            assert!(browser.cookie("foregate").is_some(), "{header}: {:?}", browser.visited);
            let begun = browser.visited.iter().find(|url| url.path() == "/authorize").expect("a sign-in");
            assert!(
                begun.query_pairs().any(|(name, value)| name == "redirect_uri" && value == back),
                "{begun}"
            );
        }
    }
    assert!(trap.accept().is_err(), "nobody asked there");
}

/// `CVE-2022-29226; CVE-2026-33496` Envoy, Oathkeeper: any bearer token at all; and one kind of evidence that counted, remembered for
/// another kind.
///
/// Tried: all entrances; opaque tokens that nobody is asked about, and ones that the provider calls active for nobody in particular;
/// a token, a password, a signed token and a session that have just counted, each in the place of each.
#[test]
fn cve_2022_29226_a_token_counts_for_us_alone_and_as_what_it_is() {
    let plain = World::new();
    for text in ["opaque", "access-alice", "refresh-alice", "null", "e30", "a.b", "a.b.c", SECRET] {
        plain.is_closed(APP, "/", &[&bearer(text)]);
    }
    assert_eq!((plain.provider.asked("/userinfo"), plain.provider.asked("/introspect")), (0, 0));
    let usual = json!({
        "active": true, "sub": "sub-alice", "username": "alice", "preferred_username": "alice", "aud": API, "token_type": "Bearer",
    });
    let said = |over: Value| Issuer::merged(usual.clone(), over).to_string();
    let world = introspecting(&said(json!({})), "preferred_username");
    for (number, over) in [
        json!({"aud": null}),
        json!({"aud": []}),
        json!({"aud": ""}),
        json!({"aud": "foregate"}),
        json!({"aud": ["other"]}),
        json!({"aud": {"0": API}}),
        json!({"aud": format!("{API}/")}),
        json!({"aud": null, "client_id": API, "azp": API}),
        json!({"active": "true"}),
        json!({"active": 1}),
        json!({"active": null}),
        json!({"active": false}),
        json!({"exp": now() - 61}),
        json!({"nbf": now() + 3600}),
        json!({"iss": "https://elsewhere.test/"}),
        json!({"iss": [world.provider.issuer()]}),
        json!({"sub": null, "username": null}),
    ]
    .into_iter()
    .enumerate()
    {
        world.provider.is_of(knowing(&world.provider, &said(over.clone())));
        for entrance in ENTRANCES {
            let reply = world.ask(entrance, APP, "/", &[&bearer(&format!("opaque-{number}"))]);
            assert!(reply.status >= 400, "{entrance:?} {over}: {reply:?}");
        }
    }
    world.provider.is_of(knowing(&world.provider, &said(json!({}))));
    let session = world.cookie("alice").trim_start_matches("Cookie: foregate=").to_owned();
    let signed = world.provider.access_token("alice", json!({}));
    let pair = basic("alice", "app-alice").trim_start_matches("Authorization: Basic ").to_owned();
    let sound = [
        bearer("opaque"),
        bearer(&signed),
        basic("alice", "app-alice"),
        format!("Cookie: foregate={session}"),
    ];
    let all_open = |when: &str| {
        for (entrance, line) in
            ENTRANCES.into_iter().flat_map(|entrance| sound.iter().map(move |line| (entrance, line)))
        {
            assert_open(&world.ask(entrance, APP, "/", &[line]), entrance, (when, line));
        }
    };
    all_open("each as what it is");
    // From here on the provider knows of nothing any more, so that only what is remembered can count.
    world.provider.is_of(knowing(&world.provider, r#"{"active":false}"#));
    for text in ["opaque", &signed, "app-alice", "alice:app-alice", &pair, &session] {
        let kinds = [
            (bearer(text), ["opaque", &*signed].contains(&text)),
            (format!("Authorization: Basic {text}"), text == pair),
            (format!("Cookie: foregate={text}"), text == session),
            (basic("alice", text), text == "app-alice"),
            (basic("bob", text), false),
            (basic(text, text), false),
            (basic(text, "x"), false),
            (basic("opaque", text), false),
            (format!("X-Foregate-Token: {text}"), false),
            (format!("Authorization: Token {text}"), false),
            (format!("Authorization: {text}"), false),
        ];
        for (line, _) in kinds.iter().filter(|(_, counts)| !counts) {
            for entrance in ENTRANCES {
                let reply = world.ask(entrance, APP, "/", &[line]);
                assert_closed(&reply, entrance, line);
            }
        }
    }
    all_open("remembered");
}
