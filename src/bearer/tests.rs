//! What is remembered of tokens, and for how long.
#![cfg(feature = "sqlite")]

use std::sync::Mutex;

use serde_json::{Value, json};

use super::*;
use crate::browser::Sealer;
use crate::identity::Field;
use crate::jwt::testing::{OTHER_RSA, P256, RSA, TestKey, merged};
use crate::oidc::ClaimNames;
use crate::outbound::testing::{Server, answer, json as reply};
use crate::secret::Secret;
use crate::session;
use crate::session::store::Location;

const NOW: u64 = 1_700_000_000;

/// An issuer with a key set, and clients that take its tokens.
struct Setup {
    server: Server,
    keys: Arc<Mutex<Value>>,
    clients: Clients,
    metrics: Arc<Metrics>,
}

impl Setup {
    async fn new() -> Self {
        let keys = Arc::new(Mutex::new(key_set(&RSA)));
        let told = Arc::clone(&keys);
        let server = Server::start(move |_| {
            let keys = told.lock().unwrap();
            if keys.is_null() { answer(500, "text/html", "<h1>down</h1>") } else { reply(200, &keys) }
        })
        .await;
        let issuer = ExtraIssuer {
            name: "ci".into(),
            issuer: "https://ci.test/".into(),
            jwks_url: server.at("/jwks"),
            audiences: vec!["api".into()],
            claims: ClaimNames { groups: "realm_access.roles".into(), ..ClaimNames::default() },
        };
        let settings = Settings {
            audiences: vec!["other".into()],
            issuers: vec![issuer],
            introspection: None,
            app_passwords: None,
            cache_tokens: 100,
        };
        let metrics = Arc::new(Metrics::default());
        let sessions = sessions(&metrics);
        let clients = Clients::new(settings, [], sessions, vec!["team".into()], Arc::clone(&metrics));
        Self { server, keys, clients, metrics }
    }

    /// As a request is served: by what is remembered, else in full.
    async fn find(&self, token: &str, now: u64) -> Result<Arc<Person>, NoPerson> {
        let shown = Shown::Bearer(token);
        match self.clients.known(shown, Reach::Provider, now) {
            Some(person) => Ok(person),
            None => self.clients.find(shown, Reach::Provider, now).await,
        }
    }

    async fn lets_in(&self, token: &str, now: u64) -> bool {
        self.find(token, now).await.is_ok()
    }

    fn checks(&self) -> u64 {
        self.metrics.token_checks.get()
    }
}

/// Nobody has a session, and nobody is disabled.
fn sessions(metrics: &Arc<Metrics>) -> Arc<Sessions> {
    let keys = vec![Secret::new("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")];
    let sealer = Arc::new(Sealer::new(&keys).unwrap());
    let settings = session::Settings {
        location: Location::Memory,
        issuers: Vec::new(),
        keys,
        idle: Duration::from_secs(60),
        lifetime: Duration::from_secs(60),
        outage_grace: Duration::ZERO,
        poll: Duration::from_secs(5),
        cache_sessions: 10,
        owner_absence: Duration::from_secs(60),
    };
    Arc::new(Sessions::open(settings, sealer, Vec::new(), Arc::clone(metrics)).unwrap())
}

fn key_set(key: &TestKey) -> Value {
    json!({"keys": [key.jwk(json!({"use": "sig"}))]})
}

fn token(key: &TestKey, over: Value) -> String {
    let usual = json!({"iss": "https://ci.test/", "sub": "s-1", "aud": "api", "exp": NOW + 3600});
    key.token(&json!({"alg": "RS256", "typ": "at+jwt"}), &merged(usual, over))
}

#[tokio::test]
async fn a_token_is_looked_at_in_full_once_a_minute() {
    let setup = Setup::new().await;
    let token = token(&RSA, json!({}));
    // The fetch of the first keys counts as a change of keys.
    assert!(setup.lets_in(&token, NOW).await);
    for (now, checks) in
        [(NOW, 2), (NOW + 1, 2), (NOW + 59, 2), (NOW + 60, 3), (NOW + 119, 3), (NOW + 120, 4)]
    {
        assert!(setup.lets_in(&token, now).await, "{now}");
        assert_eq!(setup.checks(), checks, "{now}");
    }
    assert_eq!(setup.metrics.token_cache_hits.get(), 3);
    assert_eq!(setup.server.seen().len(), 1);
}

#[tokio::test]
async fn a_key_that_is_withdrawn_is_noticed_although_its_tokens_are_remembered() {
    let setup = Setup::new().await;
    let (old, new) = (token(&RSA, json!({})), token(&OTHER_RSA, json!({})));
    assert!(setup.lets_in(&old, NOW).await);
    *setup.keys.lock().unwrap() = key_set(&OTHER_RSA);
    assert!(setup.lets_in(&old, NOW + 30).await, "nobody has asked for keys since");
    // A token that no key at hand fits has them asked for, and that ends what was checked with the others.
    assert!(setup.lets_in(&new, NOW + 31).await);
    assert!(!setup.lets_in(&old, NOW + 31).await);
    assert_eq!(setup.server.seen().len(), 2);
}

#[tokio::test]
async fn keys_are_renewed_behind_tokens_that_are_remembered() {
    let setup = Setup::new().await;
    let old = token(&RSA, json!({}));
    assert!(setup.lets_in(&old, NOW).await);
    *setup.keys.lock().unwrap() = key_set(&OTHER_RSA);
    let mut now = NOW;
    // Once a minute somebody comes; after ten the key set is old, and is fetched behind the scenes.
    while setup.lets_in(&old, now).await {
        now += 60;
        assert!(now < NOW + 3600, "never noticed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!((NOW + 600..NOW + 1200).contains(&now) || setup.server.seen().len() == 2, "{}", now - NOW);
}

#[tokio::test]
async fn known_keys_serve_while_the_issuer_is_down() {
    let setup = Setup::new().await;
    *setup.keys.lock().unwrap() = Value::Null;
    let token = token(&RSA, json!({}));
    assert_eq!(setup.find(&token, NOW).await.unwrap_err(), NoPerson::Unavailable);
    assert_eq!(setup.find(&token, NOW + 5).await.unwrap_err(), NoPerson::Unavailable);
    assert_eq!(setup.server.seen().len(), 1, "it is left alone for a while");
    *setup.keys.lock().unwrap() = key_set(&RSA);
    assert!(setup.lets_in(&token, NOW + 10).await);
    *setup.keys.lock().unwrap() = Value::Null;
    for minute in 0..59 {
        assert!(setup.lets_in(&token, NOW + 10 + minute * 60).await, "{minute}");
    }
}

#[tokio::test]
async fn a_bad_token_is_never_remembered_and_a_good_one_not_beyond_its_end() {
    let setup = Setup::new().await;
    let good = token(&RSA, json!({"exp": NOW + 10}));
    assert!(setup.lets_in(&good, NOW).await && setup.lets_in(&good, NOW + 69).await);
    for now in [NOW + 70, NOW + 71, NOW + 500] {
        let refused = setup.find(&good, now).await.unwrap_err();
        assert_eq!(refused, NoPerson::Refused("the token has expired".into()), "{now}");
    }
    let foreign = token(&P256, json!({}));
    for _ in 0..2 {
        let before = setup.checks();
        assert!(!setup.lets_in(&foreign, NOW).await);
        assert_eq!(setup.checks(), before + 1);
    }
    let stranger = token(&RSA, json!({"iss": "https://other.test/"}));
    let asked = setup.server.seen().len();
    assert!(!setup.lets_in(&stranger, NOW + 5000).await);
    assert_eq!(setup.server.seen().len(), asked, "a stranger's token makes nobody ask");
}

#[tokio::test]
async fn a_token_is_a_person_as_a_sign_in_is() {
    let setup = Setup::new().await;
    let over = json!({
        "preferred_username": "robot", "name": "Robot", "email": "robot@example.com", "team": "red", "other": 1,
        "realm_access": {"roles": ["b", "a"]},
    });
    let person = setup.find(&token(&RSA, over), NOW).await.unwrap();
    let identity = person.identity();
    assert_eq!(identity.issuer(), "https://ci.test/");
    for (field, text) in [
        (Field::Subject, "s-1"),
        (Field::Username, "robot"),
        (Field::Name, "Robot"),
        (Field::Email, "robot@example.com"),
    ] {
        assert_eq!(identity.field(field), text);
    }
    assert_eq!(identity.groups().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((identity.claim("team"), identity.claim("other")), (Some(&"red".into()), None));
    let plain = setup.find(&token(&RSA, json!({})), NOW).await.unwrap();
    assert_eq!(plain.identity().field(Field::Username), "s-1", "the subject, where there is no name");
}
