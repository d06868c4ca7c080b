//! Each reason to refuse a token, and how keys are fetched.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::digest;
use serde_json::json;

use super::testing::{ED, OTHER_RSA, P256, P384, RSA, TestKey, encode, merged};
use super::*;
use crate::outbound::testing::{Reply, Server, answer, json as reply};

const NOW: u64 = 1_700_000_000;
const ALL: &[Algorithm] = ASYMMETRIC;
const ID: Kind<'static> = Kind::Id { nonce: Some("n-1"), access_token: Some("at-1"), code: Some("c-1") };

const LOGOUT: Kind<'static> = Kind::Logout;

/// A provider with a key set, and a ring that asks it.
struct Setup {
    server: Server,
    keys: Arc<Mutex<Value>>,
    ring: KeyRing,
    uri: Url,
    issuers: Vec<String>,
}

impl Setup {
    async fn new(keys: &[Value]) -> Self {
        let keys = Arc::new(Mutex::new(json!({ "keys": keys })));
        let told = Arc::clone(&keys);
        let server = Server::start(move |_| {
            let keys = told.lock().unwrap();
            if keys.is_null() { answer(500, "text/html", "<h1>down</h1>") } else { reply(200, &keys) }
        })
        .await;
        let outbound = Outbound::with_deadline(None, Duration::from_millis(500), Arc::default());
        outbound.permit([&server.url]);
        let uri = server.at("/jwks");
        Self { server, keys, ring: KeyRing::new(outbound), uri, issuers: vec!["https://id.test/".into()] }
    }

    fn expect(&self) -> Expect<'_> {
        let (jwks_uri, issuers) = (&self.uri, &self.issuers[..]);
        Expect { jwks_uri, issuers, audience: "me", algorithms: ALL, secret: None, kind: ID }
    }

    async fn verify(&self, token: &str) -> Result<Map<String, Value>, TokenError> {
        self.ring.verify(token, &self.expect(), NOW).await
    }

    fn set(&self, keys: &[Value]) {
        *self.keys.lock().unwrap() = json!({ "keys": keys });
    }

    fn fetches(&self) -> usize {
        self.server.seen().len()
    }
}

fn claims(over: Value) -> Value {
    let usual = json!({
        "iss": "https://id.test/", "sub": "s-1", "aud": "me", "exp": NOW + 300, "iat": NOW, "nonce": "n-1",
    });
    merged(usual, over)
}

fn half(hash: &'static digest::Algorithm, text: &str) -> String {
    encode(&digest::digest(hash, text.as_bytes()).as_ref()[..hash.output_len / 2])
}

#[tokio::test]
async fn every_allowed_algorithm_verifies_with_and_without_key_id() {
    let table: [(&TestKey, &[&str]); 4] = [
        (&RSA, &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]),
        (&P256, &["ES256"]),
        (&P384, &["ES384"]),
        (&ED, &["EdDSA", "Ed25519"]),
    ];
    let all = [RSA.bare_jwk(), P256.bare_jwk(), P384.bare_jwk(), ED.bare_jwk()];
    for (key, algorithms) in table {
        for &algorithm in algorithms {
            let named = Setup::new(&[key.jwk(json!({"kid": "k", "use": "sig", "alg": algorithm}))]).await;
            let bare = Setup::new(&all).await;
            for (setup, header) in [
                (&named, json!({"alg": algorithm, "kid": "k", "typ": "JWT"})),
                (&named, json!({ "alg": algorithm })),
                (&bare, json!({ "alg": algorithm })),
            ] {
                let token = key.token(&header, &claims(json!({"groups": ["a"]})));
                let found = setup.verify(&token).await;
                assert_eq!(found.unwrap()["groups"], json!(["a"]), "{header}");
            }
        }
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table")]
async fn claims_are_refused_each_for_its_reason() {
    use TokenError::*;
    let setup = Setup::new(&[RSA.bare_jwk()]).await;
    let issuer = |found: &str| Issuer { expected: "https://id.test/".into(), found: found.into() };
    let at = |hash| half(hash, "at-1");
    let (right, wide) = (at(&digest::SHA256), at(&digest::SHA384));
    let code = half(&digest::SHA256, "c-1");
    for (over, expected) in [
        (json!({}), Ok(())),
        (json!({"exp": NOW as f64 + 0.5, "iat": NOW as f64 - 0.5}), Ok(())),
        (json!({"exp": 4_102_444_800_u64}), Ok(())), // the year 2100, past 2038
        (json!({"exp": NOW - 59}), Ok(())),
        (json!({"exp": NOW - 60}), Err(Expired)),
        (json!({"exp": 0}), Err(Expired)),
        (json!({"exp": null}), Err(Missing("exp"))),
        (json!({"exp": "1800000000"}), Err(Mistyped("exp"))),
        (json!({"exp": [1]}), Err(Mistyped("exp"))),
        (json!({"exp": true}), Err(Mistyped("exp"))),
        (json!({"exp": 1e300}), Err(Absurd("exp"))),
        (json!({"exp": u64::MAX}), Err(Absurd("exp"))),
        (json!({"exp": -1}), Err(Absurd("exp"))),
        (json!({"exp": -0.5}), Err(Absurd("exp"))),
        (json!({"iat": null}), Err(Missing("iat"))),
        (json!({"iat": {}}), Err(Mistyped("iat"))),
        (json!({"iat": 1e300}), Err(Absurd("iat"))),
        (json!({"iat": NOW + 300}), Ok(())),
        (json!({"iat": NOW + 301}), Err(IssuedAhead)),
        (json!({"iat": NOW - 86_400}), Ok(())),
        (json!({"iat": NOW - 86_401}), Err(Stale)),
        (json!({"iat": NOW - 365 * 86_400}), Err(Stale)),
        (json!({"nbf": NOW + 60}), Ok(())),
        (json!({"nbf": NOW + 61}), Err(NotYet)),
        (json!({"nbf": "x"}), Err(Mistyped("nbf"))),
        (json!({"iss": null}), Err(Missing("iss"))),
        (json!({"iss": 1}), Err(Mistyped("iss"))),
        (json!({"iss": "https://id.test"}), Err(issuer("https://id.test"))),
        (json!({"iss": "https://ID.test/"}), Err(issuer("https://ID.test/"))),
        (json!({"sub": null}), Err(Missing("sub"))),
        (json!({"sub": ""}), Err(Missing("sub"))),
        (json!({"sub": 7}), Err(Mistyped("sub"))),
        (json!({"aud": null}), Err(Missing("aud"))),
        (json!({"aud": []}), Err(Audience)),
        (json!({"aud": "you"}), Err(Audience)),
        (json!({"aud": "ME"}), Err(Audience)),
        (json!({"aud": ["me"]}), Ok(())),
        (json!({"aud": ["me", 1]}), Err(Mistyped("aud"))),
        (json!({"aud": {"me": 1}}), Err(Mistyped("aud"))),
        (json!({"aud": ["you", "me"]}), Err(AuthorizedParty)),
        (json!({"aud": ["you", "me"], "azp": "me"}), Ok(())),
        (json!({"aud": ["you", "me"], "azp": "you"}), Err(AuthorizedParty)),
        (json!({"azp": "you"}), Err(AuthorizedParty)),
        (json!({"azp": 1}), Err(Mistyped("azp"))),
        (json!({"nonce": null}), Err(Nonce)),
        (json!({"nonce": "n-2"}), Err(Nonce)),
        (json!({"nonce": 1}), Err(Mistyped("nonce"))),
        (json!({"at_hash": right.clone()}), Ok(())),
        (json!({"at_hash": wide.clone()}), Err(AccessTokenHash)),
        (json!({"at_hash": ""}), Err(AccessTokenHash)),
        (json!({"at_hash": 1}), Err(Mistyped("at_hash"))),
        (json!({"c_hash": code}), Ok(())),
        (json!({"c_hash": right}), Err(CodeHash)),
        (json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}), Err(Kind("events"))),
        (json!({"typ": "Bearer"}), Err(Kind("typ"))),
        (json!({"typ": "ID"}), Ok(())),
        (json!({"token_use": "access"}), Err(Kind("token_use"))),
    ] {
        let token = RSA.token(&json!({"alg": "RS256"}), &claims(over.clone()));
        assert_eq!(setup.verify(&token).await.map(drop), expected, "{over}");
    }
    assert_eq!(setup.fetches(), 1, "no claim makes us fetch");
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table")]
async fn headers_and_forms_are_refused_each_for_its_reason() {
    use TokenError::*;
    let setup = Setup::new(&[RSA.jwk(json!({"kid": "k"}))]).await;
    let algorithm = |name: &str| Err(Algorithm(name.to_owned()));
    for (header, expected) in [
        (json!({"alg": "RS256"}), Ok(())),
        (json!({"alg": "none"}), algorithm("none")),
        (json!({"alg": "None"}), algorithm("None")),
        (json!({"alg": "nOnE"}), algorithm("nOnE")),
        (json!({"alg": ""}), algorithm("")),
        (json!({"alg": "rs256"}), algorithm("rs256")),
        (json!({"alg": "ES512"}), algorithm("ES512")),
        (json!({"alg": "HS256"}), algorithm("HS256")),
        (json!({}), Err(Malformed("alg is not a text"))),
        (json!({"alg": 1}), Err(Malformed("alg is not a text"))),
        (json!({"alg": "RS256", "kid": 1}), Err(Malformed("kid is not a text"))),
        (json!({"alg": "RS256", "kid": "K"}), Err(UnknownKey)),
        (json!({"alg": "ES256", "kid": "k"}), Err(KeyMismatch)),
        (json!({"alg": "RS256", "crit": ["b64"], "b64": false}), Err(Critical)),
        (json!({"alg": "RS256", "b64": false}), Err(Critical)),
        (json!({"alg": "RS256", "b64": true}), Err(Critical)),
        (json!({"alg": "RS256", "typ": "jwt"}), Ok(())),
        (json!({"alg": "RS256", "typ": "JOSE"}), Ok(())),
        (json!({"alg": "RS256", "typ": 1}), Err(Malformed("typ is not a text"))),
        (json!({"alg": "RS256", "typ": "at+jwt"}), Err(Type("at+jwt".into()))),
        (json!({"alg": "RS256", "typ": "application/at+JWT"}), Err(Type("application/at+JWT".into()))),
        (json!({"alg": "RS256", "typ": "logout+jwt"}), Err(Type("logout+jwt".into()))),
        (json!({"alg": "RSA-OAEP-256", "enc": "A256GCM"}), Err(Encrypted)),
        (json!({"alg": "RS256", "jwk": OTHER_RSA.bare_jwk(), "jku": "http://evil.test/"}), Ok(())),
    ] {
        let token = RSA.token(&header, &claims(json!({})));
        assert_eq!(setup.verify(&token).await.map(drop), expected, "{header}");
    }
    let good = RSA.token(&json!({"alg": "RS256"}), &claims(json!({})));
    let parts: Vec<&str> = good.split('.').collect();
    let text = |header: &str, claims: &str| RSA.token_of(header, claims);
    let plain = r#"{"alg":"RS256"}"#;
    let long = claims(json!({"x": "y".repeat(64 * 1024)}));
    for (token, expected) in [
        (String::new(), "Malformed"),
        ("a.b".into(), "Malformed"),
        (format!("{good}.x"), "Malformed"),
        (format!("{good}.x.y"), "Encrypted"),
        (format!("{good}.x.y.z"), "Malformed"),
        (format!("{good} "), "Signature"),
        (format!(" {good}"), "Malformed"),
        (format!("{good}="), "Signature"),
        (format!("{}.{}.", parts[0], parts[1]), "Signature"),
        (
            format!("{}.{}.{}", parts[0], encode(claims(json!({"sub": "s-2"})).to_string()), parts[2]),
            "Signature",
        ),
        (RSA.token(&json!({"alg": "RS256"}), &long), "TooLong"),
        (text("[]", "{}"), "Malformed"),
        (text("not json", "{}"), "Malformed"),
        (text(plain, "[]"), "Malformed"),
        (text(plain, "null"), "Malformed"),
        (text(plain, r#"{"exp":1e400}"#), "Malformed"),
        (text(plain, &"[".repeat(1000)), "Malformed"),
        (text(r#"{"alg":"none","alg":"RS256"}"#, "{}"), "Duplicate"),
        (text(plain, r#"{"sub":"a","sub":"b"}"#), "Duplicate"),
        (text(plain, r#"{"sub":"a","x":[{"y":{"z":1,"\u007a":2}}]}"#), "Duplicate"),
        (OTHER_RSA.token(&json!({"alg": "RS256"}), &claims(json!({}))), "Signature"),
    ] {
        let error = setup.verify(&token).await.unwrap_err();
        assert!(format!("{error:?}").starts_with(expected), "{expected}: {error:?} {token}");
    }
}

#[tokio::test]
async fn keys_that_are_not_for_this_do_not_check() {
    use TokenError::*;
    let sign = json!({"alg": "RS256", "kid": "k"});
    let key = |members: Value| RSA.jwk(merged(json!({"kid": "k"}), members));
    let weak = json!({"kty": "RSA", "kid": "k", "e": "AQAB", "n": encode([255_u8; 128])});
    for (name, keys, expected) in [
        ("plain", vec![key(json!({}))], Ok(())),
        (
            "its own algorithm",
            vec![key(json!({"alg": "RS256", "use": "sig", "key_ops": ["verify"]}))],
            Ok(()),
        ),
        ("padded", vec![key(json!({"e": "AQAB="}))], Err(UnknownKey)),
        ("leading zero", vec![key(json!({"e": "AAEAAQ=="}))], Ok(())),
        ("another algorithm", vec![key(json!({"alg": "PS256"}))], Err(KeyMismatch)),
        ("an encryption algorithm", vec![key(json!({"alg": "RSA-OAEP"}))], Err(UnknownKey)),
        ("for encryption", vec![key(json!({"use": "enc"}))], Err(UnknownKey)),
        ("of unknown use", vec![key(json!({"use": ["sig"]}))], Err(UnknownKey)),
        ("not to verify with", vec![key(json!({"key_ops": ["encrypt"]}))], Err(UnknownKey)),
        ("without key id", vec![RSA.bare_jwk()], Err(UnknownKey)),
        ("another type, same key id", vec![P256.jwk(json!({"kid": "k"}))], Err(KeyMismatch)),
        ("both types, same key id", vec![P256.jwk(json!({"kid": "k"})), key(json!({}))], Ok(())),
        ("a wrong twin first", vec![OTHER_RSA.jwk(json!({"kid": "k"})), key(json!({}))], Ok(())),
        (
            "the twin for encryption",
            vec![OTHER_RSA.jwk(json!({"kid": "k"})), key(json!({"use": "enc"}))],
            Err(Signature),
        ),
        ("symmetric", vec![TestKey::Secret("s").jwk(json!({"kid": "k", "alg": "HS256"}))], Err(UnknownKey)),
        ("1024 bits", vec![weak], Err(UnknownKey)),
        ("junk beside it", vec![json!(1), json!({}), json!({"kty": "RSA"}), key(json!({}))], Ok(())),
        ("none", vec![], Err(UnknownKey)),
    ] {
        let setup = Setup::new(&keys).await;
        let token = RSA.token(&sign, &claims(json!({})));
        assert_eq!(setup.verify(&token).await.map(drop), expected, "{name}");
    }
    // Among three RSA keys without key ids, the key's own algorithm picks.
    let setup = Setup::new(&[
        OTHER_RSA.jwk(json!({"alg": "PS256"})),
        OTHER_RSA.jwk(json!({"alg": "RS512"})),
        RSA.jwk(json!({"alg": "RS256"})),
    ])
    .await;
    assert!(setup.verify(&RSA.token(&json!({"alg": "RS256"}), &claims(json!({})))).await.is_ok());
}

#[tokio::test]
async fn hs256_is_for_the_client_secret_and_nothing_else() {
    let setup = Setup::new(&[RSA.jwk(json!({"kid": "k"}))]).await;
    let shared = Secret::new("the client secret");
    let key = TestKey::Secret("the client secret");
    let header = json!({"alg": "HS256", "kid": "k"});
    let at_hash = half(&digest::SHA256, "at-1");
    let token = key.token(&header, &claims(json!({"at_hash": at_hash})));
    let usual = setup.expect();
    let symmetric = Expect { algorithms: &[Algorithm::HS256], secret: Some(&shared), ..usual };
    assert!(setup.ring.verify(&token, &symmetric, NOW).await.is_ok());
    assert_eq!(setup.fetches(), 0);
    let forged = TestKey::Secret("another").token(&header, &claims(json!({})));
    assert_eq!(setup.ring.verify(&forged, &symmetric, NOW).await.unwrap_err(), TokenError::Signature);
    let refused = TokenError::Algorithm("HS256".into());
    let without = Expect { secret: None, ..symmetric };
    assert_eq!(setup.ring.verify(&token, &without, NOW).await.unwrap_err(), refused);
    let asymmetric = Expect { secret: Some(&shared), ..usual };
    assert_eq!(setup.ring.verify(&token, &asymmetric, NOW).await.unwrap_err(), refused);
    // The public key as an HMAC secret, the oldest trick.
    let modulus = RSA.bare_jwk()["n"].as_str().unwrap().to_owned();
    let trick = TestKey::Secret(modulus.leak()).token(&header, &claims(json!({})));
    assert_eq!(setup.ring.verify(&trick, &asymmetric, NOW).await.unwrap_err(), refused);
    let nothing = Expect { algorithms: &[], ..usual };
    let token = RSA.token(&json!({"alg": "RS256", "kid": "k"}), &claims(json!({})));
    assert!(matches!(setup.ring.verify(&token, &nothing, NOW).await, Err(TokenError::Algorithm(_))));
    assert_eq!(format!("{symmetric:?}").matches("client secret").count(), 0, "secrets do not print");
}

#[tokio::test]
async fn at_hash_goes_by_the_algorithm() {
    let table: [(&TestKey, &str, &[&'static digest::Algorithm], &'static digest::Algorithm); 6] = [
        (&RSA, "RS256", &[&digest::SHA256], &digest::SHA512),
        (&RSA, "RS512", &[&digest::SHA512], &digest::SHA256),
        (&RSA, "PS384", &[&digest::SHA384], &digest::SHA256),
        (&P256, "ES256", &[&digest::SHA256], &digest::SHA512),
        (&P384, "ES384", &[&digest::SHA384], &digest::SHA256),
        (&ED, "EdDSA", &[&digest::SHA512, &digest::SHA256], &digest::SHA384),
    ];
    for (key, algorithm, right, wrong) in table {
        let setup = Setup::new(&[key.bare_jwk()]).await;
        let token = |hash: String| key.token(&json!({"alg": algorithm}), &claims(json!({"at_hash": hash})));
        for hash in right {
            assert!(setup.verify(&token(half(hash, "at-1"))).await.is_ok(), "{algorithm}");
            let other = setup.verify(&token(half(hash, "at-2"))).await;
            assert_eq!(other.unwrap_err(), TokenError::AccessTokenHash);
            let none = Kind::Id { nonce: None, access_token: None, code: None };
            let alone = Expect { kind: none, ..setup.expect() };
            assert!(setup.ring.verify(&token(half(hash, "at-2")), &alone, NOW).await.is_ok());
        }
        assert_eq!(setup.verify(&token(half(wrong, "at-1"))).await.unwrap_err(), TokenError::AccessTokenHash);
    }
}

#[tokio::test]
async fn signed_userinfo_needs_its_subject_and_may_lack_the_rest() {
    let setup = Setup::new(&[RSA.bare_jwk()]).await;
    let expect = Expect { kind: Kind::Userinfo { subject: "s-1" }, ..setup.expect() };
    for (claims, expected) in [
        (json!({"sub": "s-1", "email": "a@b.test"}), Ok(())),
        (json!({"sub": "s-2"}), Err(TokenError::Subject)),
        (json!({"email": "a@b.test"}), Err(TokenError::Missing("sub"))),
        (json!({"sub": "s-1", "aud": "you"}), Err(TokenError::Audience)),
        (json!({"sub": "s-1", "exp": NOW - 100}), Err(TokenError::Expired)),
        (json!({"sub": "s-1", "events": {}}), Err(TokenError::Kind("events"))),
    ] {
        let token = RSA.token(&json!({"alg": "RS256"}), &claims);
        assert_eq!(setup.ring.verify(&token, &expect, NOW).await.map(drop), expected, "{claims}");
    }
    let forged = OTHER_RSA.token(&json!({"alg": "RS256"}), &json!({"sub": "s-1"}));
    assert_eq!(setup.ring.verify(&forged, &expect, NOW).await.unwrap_err(), TokenError::Signature);
    let bare = RSA.token(&json!({"alg": "RS256"}), &json!({"sub": "s-1"}));
    assert_eq!(setup.verify(&bare).await.unwrap_err(), TokenError::Missing("iss"), "is no ID token");
}

/// A logout token as authentik sends it.
fn logout_claims(over: Value) -> Value {
    let usual = json!({
        "iss": "https://id.test/", "aud": "me", "iat": NOW, "jti": "j-1", "sub": "s-1", "sid": "x-1",
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    });
    merged(usual, over)
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table")]
async fn logout_tokens_are_refused_each_for_its_reason() {
    use TokenError::*;
    const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
    let setup = Setup::new(&[RSA.bare_jwk()]).await;
    let expect = Expect { kind: LOGOUT, ..setup.expect() };
    let issuer = |found: &str| Issuer { expected: "https://id.test/".into(), found: found.into() };
    let (longest, longer) = ("x".repeat(1024), "x".repeat(1025));
    for (over, expected) in [
        (json!({}), Ok(())),
        (json!({"exp": NOW + 120}), Ok(())),
        (json!({"exp": NOW - 59}), Ok(())),
        (json!({"exp": NOW - 60}), Err(Expired)),
        (json!({"exp": "1"}), Err(Mistyped("exp"))),
        (json!({"nbf": NOW + 61}), Err(NotYet)),
        (json!({"iat": null}), Err(Missing("iat"))),
        (json!({"iat": "1"}), Err(Mistyped("iat"))),
        (json!({"iat": -1}), Err(Absurd("iat"))),
        (json!({"iat": NOW - 359}), Ok(())),
        (json!({"iat": NOW - 360}), Err(Stale)),
        (json!({"iat": NOW - 360, "exp": NOW + 900}), Err(Stale)),
        (json!({"iat": 0}), Err(Stale)),
        (json!({"iat": NOW + 60}), Ok(())),
        (json!({"iat": NOW + 61}), Err(IssuedAhead)),
        (json!({"iss": null}), Err(Missing("iss"))),
        (json!({"iss": "https://id.test"}), Err(issuer("https://id.test"))),
        (json!({"iss": ["https://id.test/"]}), Err(Mistyped("iss"))),
        (json!({"aud": null}), Err(Missing("aud"))),
        (json!({"aud": "you"}), Err(Audience)),
        (json!({"aud": []}), Err(Audience)),
        (json!({"aud": ["me"]}), Ok(())),
        (json!({"aud": ["you", "me"]}), Ok(())),
        (json!({"aud": ["you", 1, "me"]}), Err(Mistyped("aud"))),
        (json!({"aud": ["you", "me"], "azp": "you"}), Err(AuthorizedParty)),
        (json!({"events": null}), Err(Missing("events"))),
        (json!({"events": [EVENT]}), Err(Mistyped("events"))),
        (json!({"events": EVENT}), Err(Mistyped("events"))),
        (json!({"events": {}}), Err(Kind("events"))),
        (
            json!({"events": {"https://schemas.openid.net/secevent/risc/event-type/account-disabled": {}}}),
            Err(Kind("events")),
        ),
        (json!({"events": {EVENT: null, "other": {}}}), Err(Mistyped(EVENT))),
        (json!({"events": {EVENT: true}}), Err(Mistyped(EVENT))),
        (json!({"events": {EVENT: []}}), Err(Mistyped(EVENT))),
        (json!({"events": {EVENT: {"more": 1}, "other": 1}}), Ok(())),
        (json!({"nonce": "n-1"}), Err(Kind("nonce"))),
        (json!({"nonce": ""}), Err(Kind("nonce"))),
        (json!({"jti": null}), Err(Missing("jti"))),
        (json!({"jti": ""}), Err(Missing("jti"))),
        (json!({"jti": 1}), Err(Mistyped("jti"))),
        (json!({"jti": longest.clone()}), Ok(())),
        (json!({"jti": longer.clone()}), Err(LongName("jti"))),
        (json!({"sub": null}), Ok(())),
        (json!({"sid": null}), Ok(())),
        (json!({"sub": null, "sid": null}), Err(Nobody)),
        (json!({"sub": ""}), Err(Missing("sub"))),
        (json!({"sub": 1}), Err(Mistyped("sub"))),
        (json!({"sub": longer.clone()}), Err(LongName("sub"))),
        (json!({"sid": ""}), Err(Missing("sid"))),
        (json!({"sid": ["x-1"]}), Err(Mistyped("sid"))),
        (json!({"sid": longest}), Ok(())),
        (json!({"sid": longer}), Err(LongName("sid"))),
        (json!({"typ": "Logout"}), Ok(())), // Keycloak's mark
        (json!({"typ": "Bearer"}), Err(Kind("typ"))),
        (json!({"typ": "ID"}), Err(Kind("typ"))),
        (json!({"token_use": "id"}), Err(Kind("token_use"))),
    ] {
        let token = RSA.token(&json!({"alg": "RS256", "typ": "logout+jwt"}), &logout_claims(over.clone()));
        assert_eq!(setup.ring.verify(&token, &expect, NOW).await.map(drop), expected, "{over}");
    }
    for (header, expected) in [
        (json!({"alg": "RS256"}), Ok(())),
        (json!({"alg": "RS256", "typ": "JWT"}), Ok(())),
        (json!({"alg": "RS256", "typ": "application/Logout+JWT"}), Ok(())),
        (json!({"alg": "RS256", "typ": "at+jwt"}), Err(Type("at+jwt".into()))),
        (json!({"alg": "RS256", "typ": "secevent+jwt"}), Err(Type("secevent+jwt".into()))),
        (json!({"alg": "RS256", "typ": "logout"}), Err(Type("logout".into()))),
        (json!({"alg": "RS256", "typ": ""}), Err(Type(String::new()))),
        (json!({"alg": "none"}), Err(Algorithm("none".into()))),
        (json!({"alg": "HS256"}), Err(Algorithm("HS256".into()))),
        (json!({"alg": "RS256", "crit": ["x"]}), Err(Critical)),
        (json!({"alg": "RS256", "b64": false}), Err(Critical)),
    ] {
        let token = RSA.token(&header, &logout_claims(json!({})));
        assert_eq!(setup.ring.verify(&token, &expect, NOW).await.map(drop), expected, "{header}");
    }
    let forged = OTHER_RSA.token(&json!({"alg": "RS256"}), &logout_claims(json!({})));
    assert_eq!(setup.ring.verify(&forged, &expect, NOW).await.unwrap_err(), Signature);
}

#[tokio::test]
async fn no_kind_of_token_passes_for_another() {
    let setup = Setup::new(&[RSA.bare_jwk()]).await;
    let userinfo = Kind::Userinfo { subject: "s-1" };
    let refreshed = Kind::Id { nonce: None, access_token: None, code: None };
    let access = json!({"iss": "https://id.test/", "sub": "s-1", "aud": "me", "exp": NOW + 300, "iat": NOW, "jti": "j-1"});
    let tokens = [
        (
            "ID",
            RSA.token(&json!({"alg": "RS256", "typ": "JWT"}), &claims(json!({"sid": "x-1", "jti": "j-1"}))),
        ),
        (
            "logout",
            RSA.token(&json!({"alg": "RS256", "typ": "JWT"}), &logout_claims(json!({"exp": NOW + 120}))),
        ),
        (
            "logout, of its own type",
            RSA.token(&json!({"alg": "RS256", "typ": "logout+jwt"}), &logout_claims(json!({}))),
        ),
        ("access", RSA.token(&json!({"alg": "RS256", "typ": "at+jwt"}), &access)),
    ];
    let audiences = ["me".to_owned()];
    let (needed, waived) =
        [Mark::Needed, Mark::Waived].map(|mark| Kind::Access { audiences: &audiences, mark }).into();
    for (kind, passes) in [
        (needed, [false, false, false, true]),
        (waived, [false, false, false, true]),
        (ID, [true, false, false, false]),
        (refreshed, [true, false, false, false]),
        (userinfo, [true, false, false, false]),
        (LOGOUT, [false, true, true, false]),
    ] {
        for ((name, token), passes) in tokens.iter().zip(passes) {
            let verified = setup.ring.verify(token, &Expect { kind, ..setup.expect() }, NOW).await;
            assert_eq!(verified.is_ok(), passes, "{name} as {kind:?}: {verified:?}");
        }
    }
    // The widest access token there is: no type, and everything an ID token has but the nonce.
    let bare = RSA.token(&json!({"alg": "RS256"}), &access);
    let as_access = Expect { kind: needed, ..setup.expect() };
    assert_eq!(setup.ring.verify(&bare, &as_access, NOW).await.unwrap_err(), TokenError::Unmarked);
    let nobody = Expect { kind: Kind::Access { audiences: &[], mark: Mark::Waived }, ..setup.expect() };
    assert_eq!(setup.ring.verify(&bare, &nobody, NOW).await.unwrap_err(), TokenError::Audience);
    let as_logout = Expect { kind: LOGOUT, ..setup.expect() };
    assert_eq!(setup.ring.verify(&bare, &as_logout, NOW).await.unwrap_err(), TokenError::Missing("events"));
}

#[test]
fn reasons_quote_nothing_of_the_token() {
    let mark = "3f1c";
    for error in [
        TokenError::Algorithm(mark.into()),
        TokenError::Type(mark.into()),
        TokenError::Issuer { expected: "https://id.test/".into(), found: mark.into() },
        TokenError::Missing("jti"),
        TokenError::Nobody,
    ] {
        let reason = error.reason();
        assert!(!reason.contains(mark) && !reason.contains(['"', '\\']) && reason.len() > 20, "{reason}");
    }
}

#[test]
fn a_logout_token_is_read_as_it_says() {
    let Value::Object(both) = logout_claims(json!({"iat": NOW as f64 + 0.7})) else { panic!("an object") };
    let token = LogoutToken::read(&both).unwrap();
    let named = (token.id.as_str(), token.subject.as_deref(), token.sid.as_deref(), token.issued_at);
    assert_eq!(named, ("j-1", Some("s-1"), Some("x-1"), NOW));
    let token = OTHER_RSA.token(&json!({"alg": "RS256"}), &json!({"iss": "anybody"}));
    assert_eq!(UnverifiedIssuer::read(&token).unwrap().as_str(), "anybody");
    for (claims, expected) in
        [(json!({}), TokenError::Missing("iss")), (json!({"iss": 1}), TokenError::Mistyped("iss"))]
    {
        let token = RSA.token(&json!({"alg": "RS256"}), &claims);
        assert_eq!(UnverifiedIssuer::read(&token).unwrap_err(), expected);
    }
    assert!(matches!(UnverifiedIssuer::read("a.b"), Err(TokenError::Malformed(_))));
}

#[tokio::test]
async fn rotation_is_noticed_and_unknown_key_ids_are_throttled() {
    let old = RSA.jwk(json!({"kid": "old"}));
    let new = OTHER_RSA.jwk(json!({"kid": "new"}));
    let setup = Setup::new(std::slice::from_ref(&old)).await;
    let old_token = RSA.token(&json!({"alg": "RS256", "kid": "old"}), &claims(json!({})));
    let new_token = OTHER_RSA.token(&json!({"alg": "RS256", "kid": "new"}), &claims(json!({})));
    let verify = async |token: &str, now: u64| setup.ring.verify(token, &setup.expect(), now).await.map(drop);
    assert_eq!(verify(&old_token, NOW).await, Ok(()));
    setup.set(&[old.clone(), new]);
    assert_eq!(verify(&new_token, NOW + 9).await, Err(TokenError::UnknownKey), "cooling down");
    assert_eq!(setup.fetches(), 1);
    assert_eq!(verify(&new_token, NOW + 10).await, Ok(()));
    assert_eq!(setup.fetches(), 2);
    for index in 0..200 {
        let header = json!({"alg": "RS256", "kid": format!("random-{index}")});
        let stray = RSA.token(&header, &claims(json!({})));
        assert_eq!(verify(&stray, NOW + 11 + index / 25).await, Err(TokenError::UnknownKey));
    }
    assert_eq!(setup.fetches(), 2, "random key ids within the cool-down");
    *setup.keys.lock().unwrap() = Value::Null;
    let stray = RSA.token(&json!({"alg": "RS256", "kid": "stray"}), &claims(json!({})));
    assert_eq!(verify(&stray, NOW + 20).await, Err(TokenError::UnknownKey));
    assert_eq!(setup.fetches(), 3);
    assert_eq!(verify(&stray, NOW + 29).await, Err(TokenError::UnknownKey), "a failed attempt counts");
    assert_eq!(setup.fetches(), 3);
    assert_eq!((verify(&old_token, NOW + 40).await, verify(&new_token, NOW + 40).await), (Ok(()), Ok(())));
    assert_eq!(setup.fetches(), 3, "the last good set stays");
}

#[tokio::test]
async fn without_key_ids_rotation_is_noticed_too() {
    let setup = Setup::new(&[RSA.bare_jwk()]).await;
    let token = |key: &TestKey| key.token(&json!({"alg": "RS256"}), &claims(json!({})));
    assert!(setup.verify(&token(&RSA)).await.is_ok());
    setup.set(&[OTHER_RSA.bare_jwk()]);
    assert_eq!(setup.verify(&token(&OTHER_RSA)).await.unwrap_err(), TokenError::Signature);
    let later = setup.ring.verify(&token(&OTHER_RSA), &setup.expect(), NOW + 10).await;
    assert!(later.is_ok());
    assert_eq!(setup.fetches(), 2);
}

#[tokio::test]
async fn many_at_once_share_one_fetch() {
    let setup = Setup::new(&[RSA.jwk(json!({"kid": "k"}))]).await;
    let token = RSA.token(&json!({"alg": "RS256", "kid": "k"}), &claims(json!({})));
    let expect = setup.expect();
    let (a, b, c, d) = tokio::join!(
        setup.ring.verify(&token, &expect, NOW),
        setup.ring.verify(&token, &expect, NOW),
        setup.ring.verify(&token, &expect, NOW + 1),
        setup.ring.verify(&token, &expect, NOW),
    );
    assert!(a.is_ok() && b.is_ok() && c.is_ok() && d.is_ok());
    assert_eq!(setup.fetches(), 1);
    // A visitor who leaves does not stop the fetch.
    let fresh = Setup::new(&[RSA.jwk(json!({"kid": "k"}))]).await;
    let expect = fresh.expect();
    {
        let mut left = Box::pin(fresh.ring.verify(&token, &expect, NOW));
        let polled =
            std::future::poll_fn(|context| std::task::Poll::Ready(left.as_mut().poll(context))).await;
        assert!(polled.is_pending());
    }
    assert!(fresh.ring.verify(&token, &expect, NOW).await.is_ok());
    assert_eq!(fresh.fetches(), 1);
}

#[tokio::test]
async fn a_provider_without_usable_keys_is_asked_seldom() {
    let down = Arc::new(AtomicBool::new(true));
    let asked = Arc::new(AtomicUsize::new(0));
    for (body, expected) in [
        ("", "Unreadable"),
        ("<html>", "Unreadable"),
        ("[]", "Unreadable"),
        (r#"{"keys":{}}"#, "Unreadable"),
        (r#"{}"#, "Unreadable"),
        ("hang", "Outbound(Timeout"),
        ("status", "Status(503)"),
        ("many", "TooMany(101)"),
    ] {
        let (down, asked) = (Arc::clone(&down), Arc::clone(&asked));
        down.store(true, Ordering::SeqCst);
        asked.store(0, Ordering::SeqCst);
        let (is_down, count) = (Arc::clone(&down), Arc::clone(&asked));
        let server = Server::start(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            if !is_down.load(Ordering::SeqCst) {
                return reply(200, &json!({"keys": [RSA.bare_jwk()]}));
            }
            match body {
                "hang" => Reply::Hang,
                "status" => answer(503, "text/plain", "busy"),
                "many" => reply(200, &json!({"keys": vec![json!({}); 101]})),
                _ => answer(200, "application/json", body),
            }
        })
        .await;
        let outbound = Outbound::with_deadline(None, Duration::from_millis(200), Arc::default());
        outbound.permit([&server.url]);
        let (ring, uri) = (KeyRing::new(outbound), server.at("/jwks"));
        let issuers = ["https://id.test/".to_owned()];
        let expect = Expect {
            jwks_uri: &uri,
            issuers: &issuers,
            audience: "me",
            algorithms: ALL,
            secret: None,
            kind: ID,
        };
        let token = RSA.token(&json!({"alg": "RS256"}), &claims(json!({})));
        for now in [NOW, NOW + 9] {
            let TokenError::NoKeys(error) = ring.verify(&token, &expect, now).await.unwrap_err() else {
                panic!("{body}")
            };
            assert!(format!("{error:?}").starts_with(expected), "{body}: {error:?}");
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1, "{body}");
        down.store(false, Ordering::SeqCst);
        assert!(ring.verify(&token, &expect, NOW + 10).await.is_ok(), "{body}");
    }
}

#[tokio::test]
async fn an_old_set_is_renewed_behind_the_scenes() {
    let setup = Setup::new(&[RSA.jwk(json!({"kid": "k"}))]).await;
    let token = RSA.token(&json!({"alg": "RS256", "kid": "k"}), &claims(json!({"exp": NOW + 9000})));
    let verify = async |now: u64| setup.ring.verify(&token, &setup.expect(), now).await.map(drop);
    assert_eq!(verify(NOW).await, Ok(()));
    setup.set(&[OTHER_RSA.jwk(json!({"kid": "k2"}))]);
    assert_eq!(verify(NOW + 599).await, Ok(()));
    assert_eq!(setup.fetches(), 1);
    assert_eq!(verify(NOW + 600).await, Ok(()), "the old set still serves");
    for _ in 0..100 {
        if verify(NOW + 601).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(verify(NOW + 601).await, Err(TokenError::UnknownKey), "the withdrawn key is gone");
    assert_eq!(setup.fetches(), 2);
}

#[tokio::test]
async fn one_address_never_answers_for_another() {
    let setup = Setup::new(&[RSA.bare_jwk()]).await;
    let other = Setup::new(&[OTHER_RSA.bare_jwk()]).await;
    let outbound = Outbound::new(None, Arc::default());
    outbound.permit([&setup.server.url, &other.server.url]);
    let ring = KeyRing::new(outbound);
    let token = RSA.token(&json!({"alg": "RS256"}), &claims(json!({})));
    let expect = setup.expect();
    assert!(ring.verify(&token, &expect, NOW).await.is_ok());
    let there = Expect { jwks_uri: &other.uri, ..expect };
    assert_eq!(ring.verify(&token, &there, NOW).await.unwrap_err(), TokenError::Signature);
    let evil = Url::parse("http://169.254.169.254/jwks").unwrap();
    let nowhere = Expect { jwks_uri: &evil, ..expect };
    assert!(matches!(
        ring.verify(&token, &nowhere, NOW).await,
        Err(TokenError::NoKeys(KeysError::Outbound(_)))
    ));
}

#[tokio::test]
async fn who_comes_with_an_old_set_gets_the_newer_one_although_it_cools_down() {
    let setup = Setup::new(&[RSA.bare_jwk()]).await;
    let outbound = Outbound::new(None, Arc::default());
    outbound.permit([&setup.server.url]);
    let ring = Ring::new(outbound);
    let old = ring.keys(&setup.uri, NOW).await.unwrap();
    assert!(ring.newer(&setup.uri, &old, NOW + 9).await.is_none());
    let new = ring.newer(&setup.uri, &old, NOW + 10).await.unwrap();
    let again = ring.newer(&setup.uri, &old, NOW + 11).await.unwrap();
    assert!(Arc::ptr_eq(&new, &again));
    assert_eq!(setup.fetches(), 2);
}
