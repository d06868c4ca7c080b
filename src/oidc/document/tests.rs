//! What a discovery document may and may not say.

use serde_json::{Value, json};

use super::super::settings::ClaimNames;
use super::*;
use crate::secret::Secret;

fn settings(issuer: &str, internal: Option<&str>) -> Settings {
    Settings {
        issuer: Url::parse(issuer).unwrap(),
        issuer_text: issuer.into(),
        client_id: "me".into(),
        client_secret: Some(Secret::new("s")),
        client_auth: None,
        scopes: None,
        prompt: None,
        internal_url: internal.map(|url| Url::parse(url).unwrap()),
        claims: ClaimNames::default(),
        redirect_uri: Url::parse("https://auth.test/cb").unwrap(),
        require_verified_email: false,
    }
}

fn read(over: &Value, settings: &Settings) -> Result<Document, ProviderError> {
    let mut document = json!({
        "issuer": settings.issuer_text,
        "authorization_endpoint": "https://id.test/authorize",
        "token_endpoint": "https://id.test/token",
        "jwks_uri": "https://keys.test/jwks",
        "response_types_supported": ["code", "code id_token token", "strange"],
        "subject_types_supported": ["public", "strange"],
        "id_token_signing_alg_values_supported": ["RS256", "strange"],
        "token_endpoint_auth_methods_supported": ["strange", "client_secret_basic"],
        "response_modes_supported": ["query", "strange"],
        "grant_types_supported": ["authorization_code", "urn:x"],
        "scopes_supported": ["openid"],
        "strange": {"strange": [1]},
    });
    document.as_object_mut().unwrap().extend(over.as_object().unwrap().clone());
    Document::read(document.to_string().as_bytes(), settings)
}

fn reason(over: &Value, settings: &Settings) -> String {
    read(over, settings).map(drop).unwrap_err().to_string()
}

#[test]
fn issuers_compare_letter_by_letter() {
    for (configured, found, internal, accepted) in [
        ("https://id.test/", "https://id.test/", None, true),
        ("https://id.test", "https://id.test", None, true),
        ("https://id.test", "https://id.test/", None, false),
        ("https://id.test/", "https://id.test", None, false),
        ("https://id.test/a/", "https://id.test/a", None, false),
        ("https://id.test/", "https://ID.test/", None, false),
        ("https://id.test/", "https://id.test:443/", None, false),
        ("https://id.test/", "http://id.test/", None, false),
        ("https://id.test/a/", "http://authentik:9000/a/", Some("http://authentik:9000"), true),
        ("https://id.test/a/", "http://authentik:9000/a", Some("http://authentik:9000"), false),
        ("https://id.test/a/", "http://authentik:9000/b/", Some("http://authentik:9000"), false),
        ("https://id.test/a/", "http://authentik:9001/a/", Some("http://authentik:9000"), false),
        ("https://id.test/a/", "http://authentik:9000/a/", None, false),
        ("https://id.test", "http://authentik:9000", Some("http://authentik:9000/"), true),
    ] {
        let outcome = read(&json!({"issuer": found}), &settings(configured, internal));
        match outcome {
            Ok(document) => {
                assert!(accepted, "{configured} {found}");
                assert_eq!(document.issuers[0], configured);
                assert!(document.issuers.contains(&found.to_owned()));
            }
            Err(error) => {
                assert!(!accepted, "{configured} {found}");
                let expected = ProviderError::Issuer { configured: configured.into(), found: found.into() };
                assert_eq!(error, expected);
            }
        }
    }
}

#[test]
fn addresses_are_https_or_at_home() {
    let public = settings("https://id.test/", None);
    let local = settings("http://127.0.0.1:9000/", None);
    let inside = settings("https://id.test/", Some("http://authentik:9000"));
    for name in [
        "authorization_endpoint",
        "token_endpoint",
        "jwks_uri",
        "userinfo_endpoint",
        "revocation_endpoint",
        "introspection_endpoint",
        "end_session_endpoint",
    ] {
        for (settings, address, expected) in [
            (&public, "https://other.test/x?y=z", "ok"),
            (&public, "http://id.test/x", "is not https"),
            (&public, "http://other.test/x", "is not https"),
            (&public, "ftp://id.test/x", "is not https"),
            (&public, "javascript:alert(1)", "is not https"),
            (&public, "http://127.0.0.1:5432/", "is on loopback"),
            (&public, "https://localhost/", "is on loopback"),
            (&public, "https://user@id.test/", "has a user name"),
            (&public, "https://id.test/#x", "has a user name or a fragment"),
            (&local, "http://127.0.0.1:9000/x", "ok"),
            (&local, "http://localhost:7/x", "ok"),
            (&local, "http://other.test/x", "is not https"),
            (&inside, "http://authentik:9000/x", "ok"),
            (&inside, "http://authentik:9001/x", "is not https"),
        ] {
            match read(&json!({ (name): address }), settings) {
                Ok(_) => assert_eq!(expected, "ok", "{name} {address}"),
                Err(error) => {
                    let text = error.to_string();
                    assert!(text.contains(expected) && text.contains(name), "{name} {address}: {text}");
                }
            }
        }
        assert!(read(&json!({ (name): 1 }), &public).is_err());
        assert!(read(&json!({ (name): "/relative" }), &public).is_err());
    }
    for name in ["authorization_endpoint", "token_endpoint", "jwks_uri", "issuer"] {
        assert!(read(&json!({ (name): null }), &public).is_err(), "{name}");
    }
    for name in ["revocation_endpoint", "introspection_endpoint", "end_session_endpoint"] {
        for absent in [json!(null), json!("")] {
            let document = read(&json!({ (name): absent }), &public).unwrap();
            let offered = [&document.revocation, &document.introspection, &document.end_session];
            assert!(offered.iter().all(|offered| offered.is_none()));
        }
    }
}

#[test]
fn the_internal_origin_becomes_the_public_one() {
    let settings = settings("https://id.test:8443/a/", Some("http://authentik:9000"));
    let document = read(
        &json!({
            "token_endpoint": "http://authentik:9000/token/?x=1",
            "end_session_endpoint": "http://authentik:9000/end",
            "userinfo_endpoint": "https://id.test:8443/me",
        }),
        &settings,
    )
    .unwrap();
    assert_eq!(document.token.as_str(), "https://id.test:8443/token/?x=1");
    assert_eq!(document.end_session.as_ref().unwrap().as_str(), "https://id.test:8443/end");
    assert_eq!(document.userinfo.as_ref().unwrap().as_str(), "https://id.test:8443/me");
    let asked: Vec<&str> = document.asked().map(Url::as_str).collect();
    assert_eq!(
        asked,
        ["https://id.test:8443/token/?x=1", "https://keys.test/jwks", "https://id.test:8443/me"]
    );
}

#[test]
fn algorithms_are_those_announced_and_allowed() {
    use Algorithm::{ES384, EdDSA, HS256, PS512, RS256};
    let with = settings("https://id.test/", None);
    let without = Settings { client_secret: None, ..with.clone() };
    for (settings, listed, expected) in [
        (&with, json!(["RS256", "none", "HS256", "ES512"]), vec![RS256]),
        (&with, json!(["EdDSA", "PS512", "Ed25519", "ES384"]), vec![EdDSA, PS512, ES384]),
        (&with, json!(["HS256"]), vec![HS256]),
        (&without, json!(["HS256"]), vec![]),
        (&with, json!(["HS256", "HS512"]), vec![]),
        (&with, json!(["none"]), vec![]),
        (&with, json!([]), vec![]),
    ] {
        let outcome = read(&json!({"id_token_signing_alg_values_supported": listed}), settings);
        match outcome {
            Ok(document) => assert_eq!(document.algorithms, expected, "{listed}"),
            Err(error) => {
                assert!(expected.is_empty(), "{listed}: {error}");
                assert!(matches!(error, ProviderError::Algorithms { .. }));
            }
        }
    }
    let document = read(&json!({"userinfo_signing_alg_values_supported": ["ES384", "none"]}), &with).unwrap();
    assert_eq!((document.algorithms, document.userinfo_algorithms), (vec![RS256], vec![ES384]));
    assert_eq!(read(&json!({}), &with).unwrap().userinfo_algorithms, [RS256]);
    assert!(
        reason(&json!({"id_token_signing_alg_values_supported": "RS256"}), &with).contains("cannot be used")
    );
}

#[test]
fn the_callback_names_the_issuer_only_if_announced() {
    let settings = settings("https://id.test/", None);
    for (over, expected) in [
        (json!({}), false),
        (json!({"authorization_response_iss_parameter_supported": true}), true),
        (json!({"authorization_response_iss_parameter_supported": false}), false),
    ] {
        assert_eq!(read(&over, &settings).unwrap().callback_names_issuer, expected);
    }
}

#[test]
fn no_parameter_of_ours_stands_in_an_address_already() {
    let settings = settings("https://id.test/", None);
    let (sign_in, sign_out) = ("authorization_endpoint", "end_session_endpoint");
    for (name, query, taken) in [
        (sign_in, "redirect_uri=https%3A%2F%2Fevil.test", Some("redirect_uri")),
        (sign_in, "p=policy&client_id=evil", Some("client_id")),
        (sign_in, "%73tate=x", Some("state")),
        (sign_in, "response_type=token", Some("response_type")),
        (sign_in, "response_mode=fragment", Some("response_mode")),
        (sign_in, "nonce", Some("nonce")),
        (sign_in, "code_challenge=x", Some("code_challenge")),
        (sign_in, "code_challenge_method=plain", Some("code_challenge_method")),
        (sign_in, "request_uri=https://evil.test", Some("request_uri")),
        (sign_in, "p=policy&kc_idp_hint=x&State=x&stat=e", None),
        (sign_out, "post_logout_redirect_uri=https://evil.test", Some("post_logout_redirect_uri")),
        (sign_out, "x=1&client_id=evil", Some("client_id")),
        (sign_out, "x=1&redirect_uri=y", None),
    ] {
        let found = read(&json!({ (name): format!("https://id.test/at?{query}") }), &settings).map(drop);
        match (found, taken) {
            (Ok(()), None) => {}
            (Err(error), Some(taken)) => {
                let text = error.to_string();
                assert!(text.contains(name) && text.contains(&format!("has {taken} in")), "{query}: {text}");
            }
            (found, _) => panic!("{name} {query}: {found:?}"),
        }
    }
}

#[test]
fn a_document_that_says_two_things_says_nothing() {
    let settings = settings("https://id.test/", None);
    let whole = |over: &str| {
        format!(
            r#"{{"issuer":"https://id.test/","authorization_endpoint":"https://id.test/authorize",
            "token_endpoint":"https://id.test/token","jwks_uri":"https://id.test/jwks","response_types_supported":["code"],
            "subject_types_supported":["public"],"id_token_signing_alg_values_supported":["RS256"]{over}}}"#
        )
    };
    assert!(Document::read(whole("").as_bytes(), &settings).is_ok());
    for over in [
        r#","token_endpoint":"https://evil.test/token""#,
        r#","issuer":"https://id.test/""#,
        r#","authorization_response_iss_parameter_supported":true,"authorization_response_iss_parameter_supported":false"#,
        r#","mtls_endpoint_aliases":{"a":1,"a":2}"#,
    ] {
        let error = Document::read(whole(over).as_bytes(), &settings).map(drop).unwrap_err();
        assert!(error.to_string().contains("a member stands there twice"), "{over}: {error}");
    }
}
