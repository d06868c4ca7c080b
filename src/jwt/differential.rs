//! Our check and the openidconnect crate's must agree, but for the differences listed here.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use openidconnect::core::{
    CoreIdToken, CoreIdTokenVerifier, CoreJsonWebKeySet, CoreJwsSigningAlgorithm as Signing,
};
use openidconnect::{AccessToken, AccessTokenHash, ClientId, IssuerUrl, Nonce};
use serde_json::json;

use super::testing::{ED, OTHER_RSA, P256, RSA, TestKey, encode, merged};
use super::*;
use crate::outbound::testing::{Server, json as reply};

const NOW: u64 = 1_700_000_000;

/// Whether the oracle takes the token for a sign-in with nonce "n-1" and access token "at-1".
fn oracle(token: &str, keys: &CoreJsonWebKeySet) -> Result<(), String> {
    let token: CoreIdToken = token.parse().map_err(|error| format!("{error}"))?;
    let ahead = UNIX_EPOCH + Duration::from_secs(NOW + 300);
    let issuer = IssuerUrl::new("https://id.test/".into()).unwrap();
    let verifier = CoreIdTokenVerifier::new_public_client(ClientId::new("me".into()), issuer, keys.clone())
        .set_allowed_algs([
            Signing::RsaSsaPkcs1V15Sha256,
            Signing::RsaSsaPssSha256,
            Signing::EcdsaP256Sha256,
            Signing::EdDsa,
        ])
        .set_time_fn(|| (UNIX_EPOCH + Duration::from_secs(NOW)).into())
        .set_issue_time_verifier_fn(move |issued| {
            if SystemTime::from(issued) <= ahead { Ok(()) } else { Err("ahead".into()) }
        })
        .set_other_audience_verifier_fn(|_| true);
    let claims = token.claims(&verifier, &Nonce::new("n-1".into())).map_err(|error| format!("{error}"))?;
    if let Some(expected) = claims.access_token_hash() {
        let algorithm = token.signing_alg().map_err(|error| format!("{error}"))?;
        let key = token.signing_key(&verifier).map_err(|error| format!("{error}"))?;
        let access = AccessToken::new("at-1".into());
        let found =
            AccessTokenHash::from_token(&access, algorithm, key).map_err(|error| format!("{error}"))?;
        if found != *expected {
            return Err("at_hash".into());
        }
    }
    Ok(())
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table")]
async fn ours_and_the_oracle_agree_but_for_the_listed() {
    let named = |key: &TestKey, id: &str, algorithm: &str| {
        key.jwk(json!({"kid": id, "use": "sig", "alg": algorithm}))
    };
    let set = json!({"keys": [
        named(&RSA, "rs", "RS256"), named(&RSA, "ps", "PS256"), named(&P256, "es", "ES256"), named(&ED, "ed", "EdDSA"),
        named(&P256, "twin", "ES256"), named(&OTHER_RSA, "twin", "RS256"),
        OTHER_RSA.jwk(json!({"kid": "enc", "use": "enc", "alg": "RSA-OAEP"})),
    ]});
    let keys: CoreJsonWebKeySet = serde_json::from_value(set.clone()).unwrap();
    let server = Server::start(move |_| reply(200, &set)).await;
    let outbound = Outbound::new(None, std::sync::Arc::default());
    outbound.permit([&server.url]);
    let (ring, uri, issuers) = (KeyRing::new(outbound), server.at("/jwks"), ["https://id.test/".to_owned()]);
    let kind = Kind::Id { nonce: Some("n-1"), access_token: Some("at-1"), code: None };
    let algorithms = &[Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA];
    let expect = Expect { jwks_uri: &uri, issuers: &issuers, audience: "me", algorithms, secret: None, kind };

    let claims = |over: Value| {
        let usual = json!({
            "iss": "https://id.test/", "sub": "s-1", "aud": "me", "exp": NOW + 300, "iat": NOW, "nonce": "n-1",
        });
        merged(usual, over)
    };
    let signed = |key: &TestKey, id: &str, algorithm: &str, over: Value| {
        key.token(&json!({"alg": algorithm, "kid": id}), &claims(over))
    };
    let rs = |over: Value| signed(&RSA, "rs", "RS256", over);
    let typed =
        |kind: &str| RSA.token(&json!({"alg": "RS256", "kid": "rs", "typ": kind}), &claims(json!({})));
    let good = rs(json!({}));
    let cut = &good[..good.rfind('.').unwrap()];
    let hash = |hash: &'static aws_lc_rs::digest::Algorithm, length: usize| json!({"at_hash": encode(&aws_lc_rs::digest::digest(hash, b"at-1").as_ref()[..length])});
    let (sha256, sha512) = (&aws_lc_rs::digest::SHA256, &aws_lc_rs::digest::SHA512);

    // What it is, the token, whether ours takes it, whether the oracle does.
    let table = [
        ("RS256", good.clone(), true, true),
        ("PS256", signed(&RSA, "ps", "PS256", json!({})), true, true),
        ("ES256", signed(&P256, "es", "ES256", json!({})), true, true),
        ("EdDSA", signed(&ED, "ed", "EdDSA", json!({})), true, true),
        ("twin key ids, RSA", signed(&OTHER_RSA, "twin", "RS256", json!({})), true, true),
        ("twin key ids, EC", signed(&P256, "twin", "ES256", json!({})), true, true),
        ("the encryption key", signed(&OTHER_RSA, "enc", "RS256", json!({})), false, false),
        ("a key of another algorithm", signed(&RSA, "ps", "RS256", json!({})), false, false),
        ("another's key", signed(&OTHER_RSA, "rs", "RS256", json!({})), false, false),
        ("unknown key id", signed(&RSA, "zz", "RS256", json!({})), false, false),
        ("no signature", format!("{cut}."), false, false),
        ("alg none", signed(&RSA, "rs", "none", json!({})), false, false),
        ("typ JWT", typed("JWT"), true, true),
        ("typ at+jwt", typed("at+jwt"), false, false),
        ("another issuer", rs(json!({"iss": "https://id.test"})), false, false),
        ("another audience", rs(json!({"aud": "you"})), false, false),
        ("no audience", rs(json!({"aud": null})), false, false),
        ("an array", rs(json!({"aud": ["me"]})), true, true),
        ("two audiences and party", rs(json!({"aud": ["me", "you"], "azp": "me"})), true, true),
        ("expired by an hour", rs(json!({"exp": NOW - 3600})), false, false),
        ("no exp", rs(json!({"exp": null})), false, false),
        ("exp as text", rs(json!({"exp": "soon"})), false, false),
        ("issued far ahead", rs(json!({"iat": NOW + 301})), false, false),
        ("a fraction", rs(json!({"exp": NOW as f64 + 0.5})), true, true),
        ("another nonce", rs(json!({"nonce": "n-2"})), false, false),
        ("no nonce", rs(json!({"nonce": null})), false, false),
        ("no subject", rs(json!({"sub": null})), false, false),
        ("at_hash", rs(hash(sha256, 16)), true, true),
        ("wrong at_hash", rs(json!({"at_hash": "AAAA"})), false, false),
        ("EdDSA at_hash by SHA-512", signed(&ED, "ed", "EdDSA", hash(sha512, 32)), true, true),
        // Known differences.
        ("expired within a clock's minute", rs(json!({"exp": NOW - 30})), true, false),
        (
            "EdDSA at_hash by SHA-256, as seen in the wild",
            signed(&ED, "ed", "EdDSA", hash(sha256, 16)),
            true,
            false,
        ),
        ("another party", rs(json!({"azp": "you"})), false, true),
        ("an empty subject", rs(json!({"sub": ""})), false, true),
        ("not valid yet", rs(json!({"nbf": NOW + 3600})), false, true),
        ("a logout token's events", rs(json!({"events": {}})), false, true),
        ("two audiences, no party", rs(json!({"aud": ["me", "you"]})), false, true),
        (
            "a member twice",
            RSA.token_of(
                r#"{"alg":"RS256","kid":"rs"}"#,
                &claims(json!({})).to_string().replacen('{', r#"{"x":1,"x":2,"#, 1),
            ),
            false,
            true,
        ),
        ("Keycloak's access token", rs(json!({"typ": "Bearer"})), false, true),
    ];
    for (name, token, ours, theirs) in table {
        let found = ring.verify(&token, &expect, NOW).await.map(drop);
        assert_eq!(found.is_ok(), ours, "{name}: ours said {found:?}");
        let found = oracle(&token, &keys);
        assert_eq!(found.is_ok(), theirs, "{name}: the oracle said {found:?}");
    }
}
