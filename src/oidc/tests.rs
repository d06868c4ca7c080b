//! Each step against a scripted provider: what is asked, how often, and what the answers mean.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::outbound::testing::{Reply, Server, answer, json as reply};
use crate::outbound::{DialMap, OutboundError};

const NOW: u64 = 1_700_000_000;
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

type Plain = fn(&str) -> Reply;
type Script = Arc<Mutex<Box<dyn Fn(&str) -> Reply + Send + Sync>>>;

/// A provider whose discovery document is right unless `over` changes it, and whose other answers are scripted.
struct Setup {
    server: Server,
    discovery: Arc<Mutex<Option<Value>>>,
    other: Script,
}

impl Setup {
    async fn new(over: Value) -> Self {
        let discovery = Arc::new(Mutex::new(Some(over)));
        let refuse = |_: &str| answer(404, "text/plain", "");
        let other: Script = Arc::new(Mutex::new(Box::new(refuse)));
        let (told, script) = (Arc::clone(&discovery), Arc::clone(&other));
        let server = Server::start(move |request| {
            if !request.contains("/.well-known/openid-configuration ") {
                return (script.lock().unwrap())(request);
            }
            match &*told.lock().unwrap() {
                Some(over) => reply(200, &document(&base(request), over)),
                None => answer(503, "text/html", "<h1>down</h1>"),
            }
        })
        .await;
        Self { server, discovery, other }
    }

    fn settings(&self) -> Settings {
        let issuer = self.server.at("/app/");
        Settings {
            issuer_text: issuer.to_string(),
            issuer,
            client_id: "me".into(),
            client_secret: Some(Secret::new("s:e c%r+t")),
            client_auth: None,
            scopes: None,
            prompt: None,
            internal_url: None,
            claims: ClaimNames::default(),
            redirect_uri: Url::parse("https://auth.test/.foregate/callback").unwrap(),
            require_verified_email: false,
        }
    }

    fn provider(&self, change: impl FnOnce(&mut Settings)) -> Provider {
        let mut settings = self.settings();
        change(&mut settings);
        let outbound =
            Outbound::with_deadline(settings.dial_map(), Duration::from_millis(400), Arc::default());
        Provider::new(settings, outbound)
    }

    fn answers(&self, script: impl Fn(&str) -> Reply + Send + Sync + 'static) {
        *self.other.lock().unwrap() = Box::new(script);
    }

    fn discoveries(&self) -> usize {
        self.server.count("GET /app/.well-known/openid-configuration ")
    }

    fn last(&self) -> String {
        self.server.seen().pop().unwrap()
    }
}

/// The address by which a request reached the server.
fn base(request: &str) -> String {
    let host = request.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    format!("http://{host}")
}

fn document(base: &str, over: &Value) -> Value {
    let mut document = json!({
        "issuer": format!("{base}/app/"),
        "authorization_endpoint": format!("{base}/authorize"),
        "token_endpoint": format!("{base}/token"),
        "userinfo_endpoint": format!("{base}/userinfo"),
        "revocation_endpoint": format!("{base}/revoke"),
        "end_session_endpoint": format!("{base}/end?x=1"),
        "jwks_uri": format!("{base}/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    });
    for (name, value) in over.as_object().unwrap().clone() {
        if value.is_null() {
            document.as_object_mut().unwrap().remove(&name);
        } else {
            document[name] = value;
        }
    }
    document
}

fn ask() -> Ask<'static> {
    Ask { state: "st&te", nonce: "n-1", verifier: VERIFIER, prompt: None, proof: None }
}

fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    request.lines().find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}

fn form(request: &str) -> Vec<(String, String)> {
    let body = request.split_once("\r\n\r\n").unwrap().1;
    url::form_urlencoded::parse(body.as_bytes()).into_owned().collect()
}

#[tokio::test]
async fn the_authorization_address_carries_all_it_must_once() {
    for (over, change, extra) in [
        (json!({}), (None, None, None), json!({"scope": "openid profile email"})),
        (
            json!({"scopes_supported": ["openid", "offline_access"]}),
            (None, None, None),
            json!({"scope": "openid profile email offline_access"}),
        ),
        (
            json!({"scopes_supported": ["offline_access"]}),
            (Some(vec!["groups".to_owned(), "openid".to_owned()]), Some("consent"), None),
            json!({"scope": "openid groups", "prompt": "consent"}),
        ),
        (
            json!({}),
            (None, Some("consent"), Some(Prompt::AnotherAccount)),
            json!({"scope": "openid profile email", "prompt": "consent login"}),
        ),
        (
            json!({"prompt_values_supported": ["none", "select_account"]}),
            (None, Some("none"), Some(Prompt::AnotherAccount)),
            json!({"scope": "openid profile email", "prompt": "select_account"}),
        ),
    ] {
        let setup = Setup::new(over).await;
        let provider = setup.provider(|settings| {
            settings.scopes = change.0.clone();
            settings.prompt = change.1.map(str::to_owned);
        });
        let url = provider.authorize_url(Ask { prompt: change.2, ..ask() }, NOW).await.unwrap();
        assert_eq!(&url[..url::Position::AfterPath], setup.server.at("/authorize").as_str());
        let mut expected = json!({
            "response_type": "code", "client_id": "me", "state": "st&te", "nonce": "n-1",
            "redirect_uri": "https://auth.test/.foregate/callback", "code_challenge_method": "S256",
            "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        });
        expected.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let found: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        assert_eq!(found.len(), expected.as_object().unwrap().len(), "each once: {url}");
        for (name, value) in found {
            assert_eq!(expected[&name], value, "{url}");
        }
    }
    let setup = Setup::new(json!({})).await;
    for verifier in ["short", &"x".repeat(129), &"x".repeat(42), &format!("{VERIFIER} ")] {
        let error = setup.provider(|_| ()).authorize_url(Ask { verifier, ..ask() }, NOW).await.unwrap_err();
        assert_eq!(error, ProviderError::Verifier);
    }
}

#[tokio::test]
async fn discovery_lies_at_the_issuer_without_its_slash() {
    for (issuer, address) in [("/app/", "/app/"), ("/app", "/app/"), ("/", "/"), ("/a/b//", "/a/b//")] {
        let server = Server::start(move |request| {
            let base = base(request);
            reply(200, &document(&base, &json!({"issuer": format!("{base}{issuer}")})))
        })
        .await;
        let setup = Setup { server, ..Setup::new(json!({})).await };
        let text = format!("{}{issuer}", setup.server.url.as_str().trim_end_matches('/'));
        let provider = setup.provider(|settings| {
            settings.issuer = Url::parse(&text).unwrap();
            settings.issuer_text = text.clone();
        });
        provider.probe(NOW).await.unwrap();
        let start = format!("GET {address}.well-known/openid-configuration HTTP/1.1");
        assert!(setup.last().starts_with(&start), "{}", setup.last());
        assert_eq!(provider.keys_and_rules(NOW).await.unwrap().issuers, [text]);
    }
}

#[tokio::test]
async fn discovery_is_kept_renewed_and_outlived() {
    let setup = Setup::new(json!({})).await;
    let provider = setup.provider(|_| ());
    let scopes = async |now| {
        let url = provider.authorize_url(ask(), now).await.unwrap();
        url.query_pairs().find(|(name, _)| name == "scope").unwrap().1.into_owned()
    };
    assert_eq!(scopes(NOW).await, "openid profile email");
    *setup.discovery.lock().unwrap() = Some(json!({"scopes_supported": ["offline_access"]}));
    assert_eq!(scopes(NOW + 599).await, "openid profile email");
    assert_eq!(setup.discoveries(), 1);
    assert_eq!(scopes(NOW + 600).await, "openid profile email", "the old one serves meanwhile");
    for _ in 0..200 {
        if scopes(NOW + 600).await.ends_with("offline_access") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(scopes(NOW + 600).await.ends_with("offline_access"));
    assert_eq!(setup.discoveries(), 2);
    *setup.discovery.lock().unwrap() = None;
    assert!(scopes(NOW + 1200).await.ends_with("offline_access"));
    let unwell = ProviderError::Unwell { step: Step::Discovery, status: 503 };
    while provider.probe(NOW + 1200).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(provider.probe(NOW + 1200).await, Err(unwell), "served, but told");
    assert!(scopes(NOW + 1200).await.ends_with("offline_access"));
    assert_eq!(setup.discoveries(), 3, "and not asked again within the back-off");
}

#[tokio::test]
async fn failed_discovery_backs_off_and_fails_at_once_meanwhile() {
    let setup = Setup::new(json!({})).await;
    *setup.discovery.lock().unwrap() = None;
    let provider = setup.provider(|_| ());
    let unwell = ProviderError::Unwell { step: Step::Discovery, status: 503 };
    let mut asked = 0;
    let mut now = NOW;
    for pause in [1, 2, 4, 8, 16, 30, 30] {
        assert_eq!(provider.probe(now).await, Err(unwell.clone()));
        asked += 1;
        assert_eq!(setup.discoveries(), asked, "asked at {}", now - NOW);
        assert_eq!(provider.probe(now + pause - 1).await, Err(unwell.clone()));
        assert_eq!(setup.discoveries(), asked, "rests until {}", now + pause - NOW);
        now += pause;
    }
    *setup.discovery.lock().unwrap() = Some(json!({}));
    assert_eq!(provider.probe(now).await, Ok(()));
    *setup.discovery.lock().unwrap() = None;
    let again = setup.provider(|_| ());
    assert_eq!(again.probe(now).await, Err(unwell.clone()));
    assert_eq!(again.probe(now + 1).await, Err(unwell), "a success begins the count anew");
}

#[tokio::test]
async fn many_at_once_share_one_discovery_and_leaving_harms_nobody() {
    let setup = Setup::new(json!({})).await;
    let provider = setup.provider(|_| ());
    {
        let mut left = Box::pin(provider.probe(NOW));
        let polled =
            std::future::poll_fn(|context| std::task::Poll::Ready(left.as_mut().poll(context))).await;
        assert!(polled.is_pending());
    }
    let other = provider.clone();
    let (a, b, c) = tokio::join!(provider.probe(NOW), provider.probe(NOW), other.probe(NOW));
    assert_eq!((a, b, c), (Ok(()), Ok(()), Ok(())));
    assert_eq!(setup.discoveries(), 1);
}

#[tokio::test]
async fn unusable_discovery_answers_are_told_apart() {
    let setup = Setup::new(json!({"issuer": "https://evil.test/"})).await;
    let configured = setup.server.at("/app/").to_string();
    let error = setup.provider(|_| ()).probe(NOW).await.unwrap_err();
    assert!(error.to_string().contains(&configured) && error.to_string().contains("https://evil.test/"));
    assert_eq!(error, ProviderError::Issuer { configured, found: "https://evil.test/".into() });
    let moved = || {
        Reply::Raw(b"HTTP/1.1 302 X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n".to_vec())
    };
    let table: [(Plain, &str); 6] = [
        (|_| answer(404, "text/html", "no"), "Status { step: Discovery, status: 404 }"),
        (|_| answer(429, "text/html", "no"), "Unwell { step: Discovery, status: 429 }"),
        (|_| answer(200, "text/html", "<html>"), "Document("),
        (|_| answer(200, "application/json", "{}"), "Document("),
        (|_| Reply::Hang, "Unreachable { step: Discovery, error: Timeout }"),
        (|_| Reply::Raw(Vec::new()), "Unreachable { step: Discovery, error: Broken"),
    ];
    for (script, expected) in table {
        let setup = Setup { server: Server::start(script).await, ..Setup::new(json!({})).await };
        let error = setup.provider(|_| ()).probe(NOW).await.unwrap_err();
        assert!(format!("{error:?}").starts_with(expected), "{expected}: {error:?}");
    }
    let setup = Setup { server: Server::start(move |_| moved()).await, ..setup };
    let error = setup.provider(|_| ()).probe(NOW).await.unwrap_err();
    assert_eq!(error, ProviderError::Status { step: Step::Discovery, status: 302 });
}

#[tokio::test]
async fn a_code_is_redeemed_in_each_way_to_authenticate() {
    let encoded = "Basic bWU6cyUzQWUrYyUyNXIlMkJ0"; // me:s%3Ae+c%25r%2Bt
    let raw = "Basic bWU6czplIGMlcit0"; // me:s:e c%r+t
    for (methods, configured, has_secret, expected, in_form) in [
        (json!(null), None, true, Some(encoded), false),
        (json!(["client_secret_post", "client_secret_basic"]), None, true, Some(encoded), false),
        (json!(["client_secret_post"]), None, true, None, true),
        (json!(["private_key_jwt"]), None, true, None, true),
        (json!(["client_secret_post"]), Some(ClientAuth::Basic), true, Some(encoded), false),
        (json!(null), Some(ClientAuth::BasicRaw), true, Some(raw), false),
        (json!(null), Some(ClientAuth::Post), true, None, true),
        (json!(null), Some(ClientAuth::None), true, None, false),
        (json!(["client_secret_basic"]), None, false, None, false),
    ] {
        let setup = Setup::new(json!({"token_endpoint_auth_methods_supported": methods})).await;
        setup.answers(|_| {
            reply(
                200,
                &json!({"access_token": "a", "token_type": "bearer", "id_token": "i", "expires_in": 60}),
            )
        });
        let provider = setup.provider(|settings| {
            settings.client_auth = configured;
            settings.client_secret = settings.client_secret.take().filter(|_| has_secret);
        });
        let tokens = provider.redeem("c&1", VERIFIER, NOW).await.unwrap();
        assert_eq!(tokens.id_token.expose(), "i");
        assert_eq!((tokens.refresh_token, tokens.expires_at), (None, Some(NOW + 60)));
        let request = setup.last();
        assert!(request.starts_with("POST /token HTTP/1.1\r\n"));
        assert_eq!(header(&request, "authorization"), expected, "{methods} {configured:?}");
        assert_eq!(header(&request, "content-type"), Some("application/x-www-form-urlencoded"));
        let mut wanted = vec![
            ("grant_type", "authorization_code"),
            ("code", "c&1"),
            ("redirect_uri", "https://auth.test/.foregate/callback"),
            ("code_verifier", VERIFIER),
        ];
        wanted.extend(expected.is_none().then_some(("client_id", "me")));
        wanted.extend(in_form.then_some(("client_secret", "s:e c%r+t")));
        let form = form(&request);
        let found: Vec<(&str, &str)> =
            form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, wanted, "{methods} {configured:?}");
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table")]
async fn token_answers_are_told_apart() {
    let step = Step::Token;
    let tried = ClientAuth::Basic;
    let client = |detail: &str| ProviderError::InvalidClient { step, tried, detail: detail.into() };
    let grant = |detail: &str| ProviderError::InvalidGrant { step, detail: detail.into() };
    let refused =
        |code: &str, detail: &str| ProviderError::Refused { step, code: code.into(), detail: detail.into() };
    let unwell = |status| ProviderError::Unwell { step, status };
    let not_oauth = |status| ProviderError::NotOAuth { step, status };
    for (status, body, expected) in [
        (
            400,
            r#"{"error":"invalid_grant","error_description":"used\nup","request_id":"x"}"#,
            grant("used up"),
        ),
        (403, r#"{"error":"invalid_grant"}"#, grant("")),
        (401, r#"{"error":"invalid_grant"}"#, grant("")),
        (400, r#"{"error":"invalid_client"}"#, client("")),
        (401, r#"{"error":"invalid_client","error_description":"no"}"#, client("no")),
        (400, r#"{"error":"unauthorized_client"}"#, client("")),
        (401, r#"{"error":"nonsense"}"#, client("")),
        (401, "<h1>Unauthorized</h1>", client("")),
        (403, "<h1>Forbidden</h1>", not_oauth(403)),
        (400, "", not_oauth(400)),
        (400, r#"{"message":"no"}"#, not_oauth(400)),
        (400, r#"{"error":{"code":1}}"#, not_oauth(400)),
        (302, "", not_oauth(302)),
        (
            403,
            r#"{"error":"access_denied","error_description":"invalid_grant"}"#,
            refused("access_denied", "invalid_grant"),
        ),
        (200, r#"{"error":"invalid_grant"}"#, grant("")),
        (400, r#"{"error":"temporarily_unavailable"}"#, unwell(400)),
        (500, "<h1>Oops</h1>", unwell(500)),
        (503, r#"{"error":"invalid_grant"}"#, unwell(503)),
        (429, r#"{"error":"slow_down"}"#, unwell(429)),
    ] {
        let setup = Setup::new(json!({})).await;
        setup.answers(move |_| answer(status, "text/plain", body));
        let error = setup.provider(|_| ()).redeem("c", VERIFIER, NOW).await.unwrap_err();
        assert_eq!(error, expected, "{status} {body}");
    }
    for body in [
        "",
        "[]",
        "null",
        r#"{"access_token":"a","token_type":"Bearer"}"#,
        r#"{"access_token":"a","id_token":"i"}"#,
        r#"{"access_token":"a","token_type":"DPoP","id_token":"i"}"#,
        r#"{"token_type":"Bearer","id_token":"i"}"#,
        r#"{"access_token":"a","token_type":"Bearer","id_token":{}}"#,
        r#"{"access_token":"a","token_type":"Bearer","id_token":"i","id_token":"i"}"#,
        r#"{"access_token":"a","token_type":"Bearer","id_token":"i","more":{"a":1,"a":2}}"#,
    ] {
        let setup = Setup::new(json!({})).await;
        setup.answers(move |_| answer(200, "application/json", body));
        let error = setup.provider(|_| ()).redeem("c", VERIFIER, NOW).await.unwrap_err();
        assert!(matches!(error, ProviderError::Answer { step: Step::Token, .. }), "{body}: {error:?}");
    }
    let setup = Setup::new(json!({})).await;
    setup.answers(|_| Reply::Hang);
    let error = setup.provider(|_| ()).redeem("c", VERIFIER, NOW).await.unwrap_err();
    assert_eq!(error, ProviderError::Unreachable { step, error: OutboundError::Timeout });
    let invalid = client("");
    assert!(invalid.to_string().contains("client_auth = \"basic\""), "{invalid}");
}

#[tokio::test]
async fn tokens_rest_as_json_and_print_nothing() {
    for (expires_in, expected) in [
        (json!(60), Some(NOW + 60)),
        (json!("60"), Some(NOW + 60)),
        (json!(60.9), Some(NOW + 60)),
        (json!(1e300), Some(u64::MAX)),
        (json!(-1), None),
        (json!("soon"), None),
        (json!(null), None),
    ] {
        let body = json!({
            "access_token": "at\"1", "token_type": "BEARER", "id_token": "it", "refresh_token": "rt", "expires_in": expires_in,
        });
        let tokens = Tokens::read(body.to_string().as_bytes(), NOW).unwrap();
        assert_eq!(tokens.expires_at, expected, "{expires_in}");
        let restored = Tokens::from_json(&tokens.to_json().unwrap()).unwrap();
        assert_eq!(restored, tokens);
        assert_eq!(restored.access_token.expose(), "at\"1");
        let printed = format!("{tokens:?}");
        assert!(!printed.contains("at\"1") && !printed.contains("rt\"") && printed.contains("***"));
    }
    assert!(Tokens::from_json(b"{}").is_err());
}

#[tokio::test]
async fn userinfo_must_be_about_the_subject() {
    let token = Secret::new("at-1");
    let about = |body: Value| Ok(Some(Userinfo::Claims(body.as_object().unwrap().clone())));
    let unusable = |reason| Err(ProviderError::Answer { step: Step::Userinfo, reason });
    let (object, subject) = ("it is no JSON object", "it has no sub");
    let twice = "a member of its JSON stands there twice";
    for (status, kind, body, expected) in [
        (200, "application/json", r#"{"sub":"s-1","a":1}"#, about(json!({"sub": "s-1", "a": 1}))),
        (200, "application/json; charset=utf-8", r#"{"sub":"s-1"}"#, about(json!({"sub": "s-1"}))),
        (200, "text/plain", r#"{"sub":"s-1"}"#, about(json!({"sub": "s-1"}))),
        (200, "application/json", r#"{"sub":"s-2"}"#, Err(ProviderError::Subject)),
        (200, "application/json", r#"{"sub":["s-1"]}"#, Err(ProviderError::Subject)),
        (200, "application/json", r#"{"email":"x"}"#, unusable(subject)),
        (200, "application/json", r#"[{"sub":"s-1"}]"#, unusable(object)),
        (200, "application/json", r#"{"sub":"s-2","sub":"s-1"}"#, unusable(twice)),
        (200, "application/json", r#"{"sub":"s-1","groups":["a"],"groups":["b"]}"#, unusable(twice)),
        (200, "application/json", r#"{"sub":"s-1","org":{"a":1,"a":2}}"#, unusable(twice)),
        (200, "application/json", r#""s-1""#, unusable(object)),
        (200, "text/html", "<html>", Err(ProviderError::Page { step: Step::Userinfo, status: 200 })),
        (200, "application/json", "<html>", unusable(object)),
        (431, "text/html", "", Err(ProviderError::TokenRejected { status: 431 })),
        (200, "application/jwt", "a.b.c\n", Ok(Some(Userinfo::Signed("a.b.c".into())))),
        (200, "Application/JWT;x=y", "a.b.c", Ok(Some(Userinfo::Signed("a.b.c".into())))),
        (401, "text/plain", "", Err(ProviderError::TokenRejected { status: 401 })),
        (400, "text/plain", "", Err(ProviderError::TokenRejected { status: 400 })),
        (500, "text/html", "", Err(ProviderError::Unwell { step: Step::Userinfo, status: 500 })),
        (302, "text/html", "", Err(ProviderError::Status { step: Step::Userinfo, status: 302 })),
    ] {
        let setup = Setup::new(json!({})).await;
        setup.answers(move |_| answer(status, kind, body));
        let found = setup.provider(|_| ()).userinfo(&token, "s-1", NOW).await;
        assert_eq!(found, expected, "{status} {kind} {body}");
        assert!(setup.last().starts_with("GET /userinfo HTTP/1.1\r\n"));
        assert_eq!(header(&setup.last(), "authorization"), Some("Bearer at-1"));
    }
    let setup = Setup::new(json!({"userinfo_endpoint": null})).await;
    assert_eq!(setup.provider(|_| ()).userinfo(&token, "s-1", NOW).await, Ok(None));
    let setup = Setup::new(json!({})).await;
    let split = Secret::new("a\r\nX: y");
    let error = setup.provider(|_| ()).userinfo(&split, "s-1", NOW).await.unwrap_err();
    assert!(matches!(error, ProviderError::Answer { .. }));
    assert_eq!(setup.server.count("GET /userinfo"), 0);
}

#[tokio::test]
async fn a_token_is_active_by_one_word_alone() {
    for (body, active) in [
        (r#"{"active":true,"sub":"s-1"}"#, Some(true)),
        (r#"{"active":false}"#, Some(false)),
        (r#"{"active":false,"active":true,"sub":"s-1"}"#, None),
        (r#"{"active":true,"sub":"s-2","sub":"s-1"}"#, None),
        (r#"{"active":"true"}"#, None),
    ] {
        let setup = Setup::new(json!({"introspection_endpoint": "http://127.0.0.1:1/"})).await;
        let at = setup.server.at("/introspect").to_string();
        *setup.discovery.lock().unwrap() = Some(json!({ "introspection_endpoint": at }));
        setup.answers(move |_| answer(200, "application/json", body));
        let found = setup.provider(|_| ()).introspect("t", NOW).await;
        match active {
            Some(active) => assert_eq!(found.map(|claims| claims.is_some()), Ok(active), "{body}"),
            None => assert!(
                matches!(found, Err(ProviderError::Answer { step: Step::Introspection, .. })),
                "{body}: {found:?}"
            ),
        }
    }
}

#[tokio::test]
async fn both_tokens_are_revoked_even_if_one_fails() {
    let tokens = Tokens {
        id_token: Secret::new("i"),
        access_token: Secret::new("a"),
        refresh_token: Some(Secret::new("r")),
        expires_at: None,
    };
    let setup = Setup::new(json!({})).await;
    setup.answers(|_| answer(200, "text/plain", ""));
    let provider = setup.provider(|_| ());
    assert_eq!(provider.revoke(&tokens, NOW).await, Ok(Revocation::Done));
    setup.answers(|request| {
        if request.contains("token=r&") { answer(500, "text/html", "") } else { answer(200, "", "") }
    });
    let error = ProviderError::Unwell { step: Step::Revocation, status: 500 };
    assert_eq!(provider.revoke(&tokens, NOW).await, Err(error));
    let sent: Vec<_> = setup
        .server
        .seen()
        .iter()
        .filter(|one| one.starts_with("POST /revoke"))
        .map(|one| form(one))
        .collect();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let refresh = vec![pair("token", "r"), pair("token_type_hint", "refresh_token")];
    let access = vec![pair("token", "a"), pair("token_type_hint", "access_token")];
    assert_eq!(sent, [refresh.clone(), access.clone(), refresh, access]);
    assert!(header(&setup.last(), "authorization").unwrap().starts_with("Basic "));
    let setup = Setup::new(json!({"revocation_endpoint": ""})).await;
    assert_eq!(setup.provider(|_| ()).revoke(&tokens, NOW).await, Ok(Revocation::NotOffered));
}

#[tokio::test]
async fn the_end_of_the_session_names_us_and_the_way_back() {
    let back = Url::parse("https://auth.test/.foregate/signed-out").unwrap();
    let setup = Setup::new(json!({})).await;
    let provider = setup.provider(|_| ());
    let at = setup.server.at("/end?x=1").to_string();
    let whole = provider.end_session_url(Some("i.d.t"), &back, Some("s&1"), NOW).await.unwrap().unwrap();
    let tail = "client_id=me&post_logout_redirect_uri=https%3A%2F%2Fauth.test%2F.foregate%2Fsigned-out";
    assert_eq!(whole.as_str(), format!("{at}&id_token_hint=i.d.t&{tail}&state=s%261"));
    let bare = provider.end_session_url(None, &back, None, NOW).await.unwrap().unwrap();
    assert_eq!(bare.as_str(), format!("{at}&{tail}"));
    let setup = Setup::new(json!({"end_session_endpoint": null})).await;
    assert_eq!(setup.provider(|_| ()).end_session_url(None, &back, None, NOW).await, Ok(None));
}

#[tokio::test]
async fn an_internal_address_is_dialled_and_browsers_get_the_public_one() {
    // A provider that builds everything from the request's host, as authentik does, and one that knows only its
    // internal name.
    for knows_public in [true, false] {
        let internal = Arc::new(Mutex::new(String::new()));
        let name = Arc::clone(&internal);
        let server = Server::start(move |request| {
            assert_eq!(header(request, "host"), Some("id.test:8443"));
            assert_eq!(header(request, "x-forwarded-proto"), Some("https"));
            let inside = name.lock().unwrap().clone();
            let base = if knows_public { "https://id.test:8443" } else { &inside };
            match request.split(' ').nth(1).unwrap() {
                "/token" => {
                    reply(200, &json!({"access_token": "a", "token_type": "Bearer", "id_token": "i"}))
                }
                _ => reply(200, &document(base, &json!({}))),
            }
        })
        .await;
        let inside = server.url.as_str().trim_end_matches('/').to_owned();
        *internal.lock().unwrap() = inside.clone();
        let setup = Setup { server, ..Setup::new(json!({})).await };
        let text = "https://id.test:8443/app/";
        let provider = setup.provider(|settings| {
            settings.issuer = Url::parse(text).unwrap();
            settings.issuer_text = text.into();
            settings.internal_url = Some(setup.server.url.clone());
        });
        let url = provider.authorize_url(ask(), NOW).await.unwrap();
        assert!(url.as_str().starts_with("https://id.test:8443/authorize?"), "{url}");
        let rules = provider.keys_and_rules(NOW).await.unwrap();
        assert_eq!(rules.jwks_uri.as_str(), "https://id.test:8443/jwks");
        let inner = format!("{inside}/app/");
        let issuers = if knows_public { vec![text.to_owned()] } else { vec![text.to_owned(), inner] };
        assert_eq!(rules.issuers, issuers);
        assert_eq!(provider.redeem("c", VERIFIER, NOW).await.unwrap().id_token.expose(), "i");
        assert_eq!(setup.server.seen().len(), 2);
    }
}

#[tokio::test]
async fn only_named_origins_are_asked() {
    let elsewhere = Server::start(|_| answer(200, "application/json", r#"{"sub":"s-1"}"#)).await;
    let setup = Setup::new(json!({"userinfo_endpoint": elsewhere.at("/me").as_str()})).await;
    let provider = setup.provider(|_| ());
    let found = provider.userinfo(&Secret::new("a"), "s-1", NOW).await.unwrap();
    assert!(matches!(found, Some(Userinfo::Claims(_))), "an endpoint elsewhere, named by the document");
    let port = setup.server.url.port().unwrap();
    for location in ["http://169.254.169.254/".to_owned(), format!("http://127.0.0.1:{port}/elsewhere")] {
        setup.answers(move |_| {
            let head = format!(
                "HTTP/1.1 307 X\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            Reply::Raw(head.into_bytes())
        });
        let error = provider.redeem("c", VERIFIER, NOW).await.unwrap_err();
        assert_eq!(error, ProviderError::NotOAuth { step: Step::Token, status: 307 });
    }
    assert_eq!(setup.server.count("POST /elsewhere"), 0);
    let map: Option<DialMap> = setup.settings().dial_map();
    assert!(map.is_none());
}
