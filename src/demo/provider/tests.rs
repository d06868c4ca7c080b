//! The provider over real sockets: the whole code flow, and every refusal for its reason.

mod wire;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::Value;
use url::Url;

use super::signer::{half_hash, hash};
use wire::{Browser, CLIENT, Reply, SECRET, VERIFIER, World};

#[tokio::test]
async fn the_whole_code_flow_as_a_client_sees_it() {
    let world = World::new().await;
    let document = world.get("/.well-known/openid-configuration").await.json();
    assert_eq!(document["issuer"], world.issuer.as_str());
    let mut browser = Browser::default();
    let page = browser.get(&world, &world.authorize(&[])).await;
    assert_eq!(page.status, 200);
    for part in ["alice", "Alice Archer", "family, admins", "Bob Baker", "Carol Çelik", "action=\"/sign-in\""]
    {
        assert!(page.body.contains(part), "{part}");
    }
    assert!(page.header("content-security-policy").contains("form-action 'self' http://*.app.test"));
    let back = browser.choose(&world, &page, "alice").await;
    assert_eq!(back.status, 303);
    let answer = back.query();
    assert!(back.header("location").starts_with(&format!("{}?", world.redirect_uri)));
    assert_eq!((answer["state"].as_str(), answer["iss"].as_str()), ("s t&a=te", world.issuer.as_str()));

    let tokens = world.redeem(&answer["code"], VERIFIER).await;
    assert_eq!((tokens.status, tokens.header("cache-control")), (200, "no-store"));
    let tokens = tokens.json();
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&"Bearer".into(), &300.into()));
    let claims = verified(&world, &tokens["id_token"]).await;
    let access = tokens["access_token"].as_str().unwrap();
    assert_eq!(claims["nonce"], "n-1");
    assert_eq!(claims["at_hash"], half_hash(access));
    assert_eq!(claims["groups"], serde_json::json!(["family", "admins"]));
    assert!(
        claims["sid"].is_string() && claims["auth_time"].as_u64().unwrap() <= claims["iat"].as_u64().unwrap()
    );

    let info = world.userinfo(access).await.json();
    assert_eq!((&info["sub"], &info["email"]), (&claims["sub"], &"alice@example.com".into()));
    let next = world.refresh(tokens["refresh_token"].as_str().unwrap()).await.json();
    let again = verified(&world, &next["id_token"]).await;
    assert_eq!(
        (&again["sub"], &again["auth_time"], &again["sid"]),
        (&claims["sub"], &claims["auth_time"], &claims["sid"])
    );
    assert!(again.get("nonce").is_none(), "OpenID Connect Core 12.2");
    assert_eq!(world.userinfo(access).await.status, 401, "replaced by the new one");
    assert_eq!(
        world.refresh(tokens["refresh_token"].as_str().unwrap()).await.json()["error"],
        "invalid_grant"
    );
}

/// The claims of an ID token, by another library than the one that signed them.
async fn verified(world: &World, token: &Value) -> Value {
    let token = token.as_str().unwrap();
    let document = world.get("/.well-known/openid-configuration").await.json();
    let at: Url = document["jwks_uri"].as_str().unwrap().parse().unwrap();
    let keys: JwkSet = serde_json::from_str(&world.get(at.path()).await.body).unwrap();
    let id = decode_header(token).unwrap().kid.unwrap();
    let key = DecodingKey::from_jwk(keys.find(&id).unwrap()).unwrap();
    let mut rules = Validation::new(Algorithm::ES256);
    rules.set_audience(&[CLIENT]);
    rules.set_issuer(&[world.issuer.as_str()]);
    rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    decode::<Value>(token, &key, &rules).unwrap().claims
}

#[tokio::test]
async fn a_browser_is_never_sent_to_a_strange_address() {
    let world = World::new().await;
    let own = world.redirect_uri.to_string();
    for (name, value) in [
        ("redirect_uri", ""),
        ("redirect_uri", "http://evil.test/.foregate/callback"),
        ("redirect_uri", &format!("{own}/")),
        ("redirect_uri", &format!("{own}?x=1")),
        ("redirect_uri", &own.replace("auth.app.test", "AUTH.app.test")),
        ("client_id", ""),
        ("client_id", "another"),
    ] {
        let reply = world.get(&world.authorize(&[(name, value)])).await;
        assert_eq!((reply.status, reply.header("location")), (400, ""), "{name}={value}");
    }
    let twice = world.authorize(&[]) + "&redirect_uri=http%3A%2F%2Fevil.test%2F";
    assert_eq!(world.get(&twice).await.status, 400);
}

#[tokio::test]
async fn a_request_that_is_not_right_goes_back_with_its_reason() {
    let world = World::new().await;
    for (change, error) in [
        (&[("code_challenge", "")][..], "invalid_request"),
        (&[("code_challenge_method", "plain")], "invalid_request"),
        (&[("code_challenge_method", "")], "invalid_request"),
        (&[("code_challenge", "short")], "invalid_request"),
        (&[("code_challenge", &"=".repeat(43))], "invalid_request"),
        (&[("response_type", "")], "invalid_request"),
        (&[("response_type", "token")], "unsupported_response_type"),
        (&[("response_type", "code id_token")], "unsupported_response_type"),
        (&[("response_mode", "fragment")], "invalid_request"),
        (&[("scope", "profile")], "invalid_scope"),
        (&[("request", "x")], "request_not_supported"),
        (&[("request_uri", "http://x.test/")], "request_uri_not_supported"),
        (&[("prompt", "none")], "login_required"),
        (&[("prompt", "none login")], "invalid_request"),
        (&[("max_age", "soon")], "invalid_request"),
    ] {
        let reply = world.get(&world.authorize(change)).await;
        assert_eq!(reply.status, 303, "{change:?}");
        let answer = reply.query();
        assert!(reply.header("location").starts_with(world.redirect_uri.as_str()), "{change:?}");
        assert_eq!((answer["error"].as_str(), answer["state"].as_str()), (error, "s t&a=te"), "{change:?}");
        assert!(answer.contains_key("iss") && !answer.contains_key("code"));
    }
    let twice = world.get(&(world.authorize(&[]) + "&nonce=other")).await;
    assert_eq!(twice.query()["error"], "invalid_request");
}

#[tokio::test]
async fn a_code_is_redeemed_once_by_who_began_and_can_prove_it() {
    let world = World::new().await;
    let code = world.code("bob").await;
    for (client, secret) in [(CLIENT, "wrong"), ("another", SECRET), (CLIENT, "")] {
        let reply = world.post("/token", Some((client, secret)), &world.redemption(&code, VERIFIER)).await;
        assert_eq!((reply.status, reply.json()["error"].as_str()), (401, Some("invalid_client")));
        assert!(reply.header("www-authenticate").starts_with("Basic "));
    }
    let in_body = world.redemption(&code, VERIFIER) + &format!("&client_id={CLIENT}&client_secret={SECRET}");
    assert_eq!(world.post("/token", None, &in_body).await.status, 401, "only client_secret_basic is offered");
    let elsewhere = world.redemption(&code, VERIFIER).replace("auth.app.test", "evil.test");
    for (body, error) in [
        (elsewhere.as_str(), "invalid_grant"),
        ("grant_type=password&username=a&password=b", "unsupported_grant_type"),
        ("code=x", "invalid_request"),
        ("grant_type=refresh_token", "invalid_request"),
        ("grant_type=refresh_token&refresh_token=a.b&refresh_token=c.d", "invalid_request"),
        ("grant_type=refresh_token&refresh_token=a.b", "invalid_grant"),
    ] {
        let reply = world.post("/token", Some((CLIENT, SECRET)), body).await;
        assert_eq!((reply.status, reply.json()["error"].as_str()), (400, Some(error)), "{body}");
    }
    let tokens = world.redeem(&code, VERIFIER).await;
    assert_eq!(tokens.status, 200, "none of that has spent the code");
    let access = tokens.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(world.redeem(&code, VERIFIER).await.json()["error"], "invalid_grant", "used twice");
    assert_eq!(world.userinfo(&access).await.status, 401, "and the tokens of the first use are gone");

    let code = world.code("bob").await;
    let other = VERIFIER.to_uppercase();
    assert_eq!(world.redeem(&code, &other).await.json()["error"], "invalid_grant", "another verifier");
    assert_eq!(
        world.redeem(&code, VERIFIER).await.json()["error"],
        "invalid_grant",
        "which has spent the code"
    );
}

#[tokio::test]
async fn the_form_of_the_sign_in_page_is_good_for_one_browser_once() {
    let world = World::new().await;
    let mut browser = Browser::default();
    let page = browser.get(&world, &world.authorize(&[])).await;
    let form = |user: &str| format!("interaction={}&user={user}", page.interaction());
    let mut stranger = Browser::default();
    stranger.get(&world, &world.authorize(&[])).await;
    let mut browsers = [browser, stranger, Browser::default()];
    let (own, strange, new) = (0, 1, 2);
    for (who, body, more, status) in [
        (strange, form("alice"), "", 400),
        (new, form("alice"), "", 400),
        (own, "user=alice".to_owned(), "", 400),
        (own, "interaction=x&user=alice".to_owned(), "", 400),
        (own, form("mallory"), "", 400),
        (own, format!("interaction={}", page.interaction()), "", 400),
        (own, form("alice"), "Sec-Fetch-Site: cross-site\r\n", 403),
        (own, form("alice"), "Sec-Fetch-Site: same-site\r\n", 403),
        (own, form("alice"), "Sec-Fetch-Site: same-origin\r\n", 303),
        (own, form("bob"), "", 400),
    ] {
        let reply = browsers[who].post(&world, "/sign-in", &body, more).await;
        assert_eq!(reply.status, status, "{body} {more}");
    }
    let json = world.raw("POST", "/sign-in", "Content-Type: application/json\r\n", "{}").await;
    assert_eq!(json.status, 415);
    let large = "a".repeat(20_000);
    assert_eq!(browsers[own].post(&world, "/sign-in", &large, "").await.status, 413);
}

#[tokio::test]
async fn one_sign_in_serves_again_until_another_is_asked_for() {
    let world = World::new().await;
    let mut browser = Browser::default();
    let page = browser.get(&world, &world.authorize(&[])).await;
    let set = browser.choose(&world, &page, "alice").await.header("set-cookie").to_owned();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax") && !set.contains("Domain"), "{set}");

    let on = browser.get(&world, &world.authorize(&[])).await;
    assert_eq!(on.status, 303, "signed in already");
    let silent = browser.get(&world, &world.authorize(&[("prompt", "none")])).await;
    assert!(silent.query().contains_key("code"));
    assert_eq!(
        Browser::default().get(&world, &world.authorize(&[])).await.status,
        200,
        "not in another browser"
    );

    for prompt in ["login", "select_account"] {
        assert_eq!(
            browser.get(&world, &world.authorize(&[("prompt", prompt)])).await.status,
            200,
            "{prompt}"
        );
    }
    let page = browser.get(&world, &world.authorize(&[("prompt", "login")])).await;
    let back = browser.choose(&world, &page, "bob").await;
    let tokens = world.redeem(&back.query()["code"], VERIFIER).await.json();
    assert_eq!(verified(&world, &tokens["id_token"]).await["preferred_username"], "bob");
}

#[tokio::test]
async fn a_sign_out_by_our_token_ends_everything_and_leads_back() {
    let world = World::new().await;
    let mut browser = Browser::default();
    let page = browser.get(&world, &world.authorize(&[])).await;
    let code = browser.choose(&world, &page, "carol").await.query()["code"].clone();
    let tokens = world.redeem(&code, VERIFIER).await.json();
    let hint = tokens["id_token"].as_str().unwrap().to_owned();

    let broken = format!("{}x", &hint[..hint.len() - 4]);
    let foreign = World::new().await.id_token("carol").await;
    for hint in [broken.as_str(), "nonsense", &foreign] {
        let reply = browser.get(&world, &world.end_session(Some(hint), Some(&world.signed_out), None)).await;
        assert_eq!((reply.status, reply.header("location")), (400, ""), "{hint}");
    }
    let evil: Url = "http://evil.test/".parse().unwrap();
    assert_eq!(browser.get(&world, &world.end_session(Some(&hint), Some(&evil), None)).await.status, 400);
    assert_eq!(
        browser.get(&world, &world.authorize(&[])).await.status,
        303,
        "still signed in after all that"
    );

    let reply =
        browser.get(&world, &world.end_session(Some(&hint), Some(&world.signed_out), Some("st"))).await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, format!("{}?state=st", world.signed_out).as_str())
    );
    assert_eq!(browser.get(&world, &world.authorize(&[])).await.status, 200, "signed out");
    assert_eq!(
        world.refresh(tokens["refresh_token"].as_str().unwrap()).await.json()["error"],
        "invalid_grant"
    );
    let again = browser.get(&world, &world.end_session(Some(&hint), Some(&world.signed_out), None)).await;
    assert_eq!(
        (again.status, again.header("location")),
        (303, world.signed_out.as_str()),
        "there is nothing to end"
    );
}

#[tokio::test]
async fn a_sign_out_by_nobody_in_particular_asks_first() {
    let world = World::new().await;
    let other = world.id_token("alice").await;
    let mut browser = Browser::default();
    let page = browser.get(&world, &world.authorize(&[])).await;
    browser.choose(&world, &page, "bob").await;
    for hint in [None, Some(other.as_str())] {
        let page = browser.get(&world, &world.end_session(hint, Some(&world.signed_out), None)).await;
        assert_eq!(page.status, 200);
        assert!(page.body.contains("Bob Baker (bob)") && page.body.contains("action=\"/sign-out\""));
        assert_eq!(browser.get(&world, &world.authorize(&[])).await.status, 303, "not yet");
    }
    let page = browser.get(&world, &world.end_session(None, Some(&world.signed_out), None)).await;
    let form = format!("interaction={}", page.interaction());
    assert_eq!(
        Browser::default().post(&world, "/sign-out", &form, "").await.status,
        400,
        "not in another browser"
    );
    assert_eq!(browser.post(&world, "/sign-in", &(form.clone() + "&user=bob"), "").await.status, 400);
    let page = browser.get(&world, &world.end_session(None, Some(&world.signed_out), None)).await;
    let form = format!("interaction={}", page.interaction());
    let reply = browser.post(&world, "/sign-out", &form, "").await;
    assert_eq!((reply.status, reply.header("location")), (303, world.signed_out.as_str()));
    assert_eq!(browser.get(&world, &world.authorize(&[])).await.status, 200);
    let nobody = browser.get(&world, &world.end_session(None, Some(&world.signed_out), None)).await;
    assert_eq!((nobody.status, nobody.header("location")), (200, ""), "nobody is led on without a token");
}

#[tokio::test]
async fn tokens_can_be_revoked_by_the_client_alone() {
    let world = World::new().await;
    let tokens = world.redeem(&world.code("alice").await, VERIFIER).await.json();
    let access = tokens["access_token"].as_str().unwrap();
    let body = format!("token={access}");
    assert_eq!(world.post("/revoke", Some((CLIENT, "wrong")), &body).await.status, 401);
    assert_eq!(world.userinfo(access).await.status, 200);
    assert_eq!(world.post("/revoke", Some((CLIENT, SECRET)), &body).await.status, 200);
    let reply = world.userinfo(access).await;
    assert_eq!((reply.status, reply.header("www-authenticate")), (401, "Bearer error=\"invalid_token\""));
    assert_eq!(
        world.post("/revoke", Some((CLIENT, SECRET)), "token=unknown").await.status,
        200,
        "RFC 7009 2.2"
    );
    assert_eq!(world.post("/revoke", Some((CLIENT, SECRET)), "").await.json()["error"], "invalid_request");
    assert_eq!(world.get("/userinfo").await.status, 401);
    assert_eq!(world.get("/nothing").await.status, 404);
}

#[test]
fn the_verifier_and_basic_of_these_tests_are_sound() {
    assert_eq!(hash(VERIFIER.as_bytes()).len(), 43);
    assert_eq!(Reply::basic(CLIENT, SECRET), STANDARD.encode("a+client:s%2Be%3Ac+ret"));
}
