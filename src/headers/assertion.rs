//! `Foregate-Assertion`: who was let in, signed for one app, for backends that want proof that a request came by
//! foregate. Knows neither rules nor connections.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::error::KeyRejected;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{HeaderName, HeaderValue};
use quick_cache::sync::Cache;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{HeaderSet, Person};
use crate::identity::Field;

/// Signs assertions with the newest key, each for [`LIFETIME_SECONDS`], and keeps them for the requests that follow.
pub struct Signer {
    issuer: String,
    keys: Vec<SigningKey>,
    made: Cache<(usize, String), Arc<Made>>,
}

/// Whom an assertion is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asserted {
    /// The provider that knows them.
    pub issuer: String,
    /// Its name for them.
    pub subject: String,
    /// The name they sign in with.
    pub username: String,
}

struct SigningKey {
    pair: Ed25519KeyPair,
    /// Its thumbprint (RFC 7638).
    id: String,
}

struct Made {
    /// Whom it is about. Held, so that its address, by which it is found, is nobody else's meanwhile.
    person: Arc<Person>,
    value: HeaderValue,
    /// From when on another one is made, in Unix seconds.
    stale_at: u64,
}

impl Signer {
    /// Signs as `issuer` with keys from these seeds, newest first.
    ///
    /// # Errors
    /// If a seed makes no key.
    pub fn new(issuer: String, seeds: &[Zeroizing<[u8; SEED_BYTES]>]) -> Result<Self, KeyRejected> {
        let keys: Result<_, _> = seeds.iter().map(SigningKey::new).collect();
        Ok(Self { issuer, keys: keys?, made: Cache::new(MOST_KEPT) })
    }

    /// A token about `person` for `audience`, which tells of groups and roles what `set` does; good for two minutes at
    /// least from `now`, in Unix seconds.
    pub fn assert(&self, person: &Arc<Person>, set: &HeaderSet, audience: String, now: u64) -> HeaderValue {
        let key = (Arc::as_ptr(person).addr(), audience);
        if let Some(made) = self.made.get(&key)
            && now < made.stale_at
            && Arc::ptr_eq(&made.person, person)
        {
            return made.value.clone();
        }
        let mut value = self.sign((person, set), &key.1, now);
        value.set_sensitive(true);
        let stale_at = now.saturating_add(REUSE_SECONDS);
        let made = Made { person: Arc::clone(person), value: value.clone(), stale_at };
        self.made.insert(key, Arc::new(made));
        value
    }

    /// Who an assertion of ours for `audience` is about, if it is good at `now`, in Unix seconds.
    pub fn verify(&self, assertion: &str, audience: &str, now: u64) -> Option<Asserted> {
        let (signed, signature) = assertion.rsplit_once('.')?;
        let (head, claims) = signed.split_once('.')?;
        let read = |text: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(text).ok()?).ok();
        let (head, claims) = (read(head)?, read(claims)?);
        let key = self.keys.iter().find(|key| head["kid"] == *key.id && head["alg"] == "EdDSA")?;
        let public = UnparsedPublicKey::new(&ED25519, key.pair.public_key());
        public.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
        let is_good = claims["iss"] == *self.issuer && claims["aud"] == *audience;
        let in_time = claims["exp"].as_u64().is_some_and(|end| now < end);
        let text = |name: &str| claims[name].as_str().map(str::to_owned);
        let asserted =
            Asserted { issuer: text("idp")?, subject: text("sub")?, username: text("preferred_username")? };
        (is_good && in_time).then_some(asserted)
    }

    /// The public keys as a JWK set (RFC 7517, RFC 8037), for backends to check with.
    pub fn key_set(&self) -> String {
        let keys: Vec<_> = self.keys.iter().map(SigningKey::public).collect();
        json!({ "keys": keys }).to_string()
    }

    fn sign(&self, (person, set): (&Person, &HeaderSet), audience: &str, now: u64) -> HeaderValue {
        let (identity, roles) = (person.identity(), &set.roles);
        let empty = HeaderValue::from_static("");
        let Some(key) = self.keys.first() else { return empty };
        let head = json!({ "alg": "EdDSA", "typ": "JWT", "kid": key.id });
        let mut claims = json!({
            "iss": self.issuer,
            "aud": audience,
            "sub": identity.field(Field::Subject),
            "idp": identity.issuer(),
            "preferred_username": identity.field(Field::Username),
            "name": identity.field(Field::Name),
            "email": identity.field(Field::Email),
            "groups": set.told_groups(person),
            "iat": now,
            "exp": now.saturating_add(LIFETIME_SECONDS),
        });
        if !roles.is_empty() {
            claims["roles"] = roles.roles_of(identity).collect();
            claims["permissions"] = roles.permissions_of(identity).collect();
        }
        if let Some(inside) = identity.tenant() {
            claims["tenant"] = (*inside.tenant).into();
            claims["tenant_roles"] = inside.roles.iter().map(|role| &**role).collect();
        }
        let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", encode(head.to_string()), encode(claims.to_string()));
        let signature = URL_SAFE_NO_PAD.encode(key.pair.sign(signed.as_bytes()));
        HeaderValue::try_from(format!("{signed}.{signature}")).unwrap_or(empty)
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl SigningKey {
    fn new(seed: &Zeroizing<[u8; SEED_BYTES]>) -> Result<Self, KeyRejected> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice())?;
        let named = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, encoded(&pair));
        let id = URL_SAFE_NO_PAD.encode(digest(&SHA256, named.as_bytes()));
        Ok(Self { pair, id })
    }

    fn public(&self) -> Value {
        let x = encoded(&self.pair);
        json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": self.id, "x": x })
    }
}

fn encoded(pair: &Ed25519KeyPair) -> String {
    URL_SAFE_NO_PAD.encode(pair.public_key())
}

/// The header.
pub const ASSERTION: HeaderName = HeaderName::from_static("foregate-assertion");
/// Bytes of a seed.
pub const SEED_BYTES: usize = 32;
/// How long a token counts.
pub const LIFETIME_SECONDS: u64 = 300;
/// How long it is handed out.
const REUSE_SECONDS: u64 = 180;
/// Tokens kept for the requests that follow.
const MOST_KEPT: usize = 10_000;

#[cfg(test)]
mod tests {
    use jsonwebtoken::jwk::JwkSet;
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};

    use super::*;
    use crate::headers::{Budget, GroupPattern};
    use crate::identity::{Identity, Profile, Role, Roles};

    fn set() -> HeaderSet {
        HeaderSet::preset("remote").unwrap()
    }

    fn person(username: &str) -> Arc<Person> {
        let profile = Profile {
            subject: "s-1".into(),
            username: username.into(),
            groups: vec!["family".into()],
            ..Profile::default()
        };
        Arc::new(Person::new(Identity::pack(&profile, "https://id.test/".into(), &[])))
    }

    fn signer(seeds: &[u8]) -> Signer {
        let seeds: Vec<_> = seeds.iter().map(|byte| Zeroizing::new([*byte; SEED_BYTES])).collect();
        Signer::new("https://auth.test".into(), &seeds).unwrap()
    }

    /// What a backend reads with nothing but the published keys.
    fn read(token: &HeaderValue, keys: &str, audience: &str) -> Option<Value> {
        let token = token.to_str().unwrap();
        let keys: JwkSet = serde_json::from_str(keys).unwrap();
        let key = keys.find(&decode_header(token).ok()?.kid?)?;
        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.set_audience(&[audience]);
        rules.set_issuer(&["https://auth.test"]);
        rules.validate_exp = false;
        Some(decode::<Value>(token, &DecodingKey::from_jwk(key).ok()?, &rules).ok()?.claims)
    }

    #[test]
    fn a_backend_reads_it_with_the_published_keys_and_for_its_own_name_only() {
        let signer = signer(&[1, 2]);
        let token = signer.assert(&person("alice"), &set(), "https://kb.test".into(), 1_000);
        let claims = read(&token, &signer.key_set(), "https://kb.test").unwrap();
        assert_eq!(
            claims,
            json!({ "iss": "https://auth.test", "aud": "https://kb.test", "sub": "s-1", "idp": "https://id.test/",
                "preferred_username": "alice", "name": "", "email": "", "groups": ["family"], "iat": 1000, "exp": 1300 })
        );
        assert!(read(&token, &signer.key_set(), "https://other.test").is_none());
        assert!(read(&token, &self::signer(&[3]).key_set(), "https://kb.test").is_none());
        assert!(
            read(&token, &self::signer(&[9, 1]).key_set(), "https://kb.test").is_some(),
            "after a rotation"
        );
    }

    #[test]
    fn it_tells_of_groups_and_roles_what_the_headers_do() {
        let role = Role { name: "reader".into(), groups: vec!["family".into()], ..Role::default() };
        let roles = Arc::new(Roles::new(&[Role { permissions: vec!["read".into()], ..role }]));
        let none = Budget { shown: Some(Box::new([GroupPattern::parse("x*")])), ..Budget::default() };
        let set = HeaderSet::preset_with("remote", &roles).unwrap().within(none);
        let signer = signer(&[1]);
        let token = signer.assert(&person("alice"), &set, "https://kb.test".into(), 1_000);
        let claims = read(&token, &signer.key_set(), "https://kb.test").unwrap();
        let told = (&claims["groups"], &claims["roles"], &claims["permissions"]);
        assert_eq!(told, (&json!([]), &json!(["reader"]), &json!(["read"])));
    }

    #[test]
    fn one_is_signed_for_each_person_app_and_interval() {
        let signer = signer(&[1]);
        let (alice, bob) = (person("alice"), person("bob"));
        let made = |person, audience: &str, now| signer.assert(person, &set(), audience.to_owned(), now);
        let first = made(&alice, "https://kb.test", 1_000);
        for (person, audience, now, same) in [
            (&alice, "https://kb.test", 1_179, true),
            (&alice, "https://kb.test", 1_180, false),
            (&alice, "https://wiki.test", 1_000, false),
            (&bob, "https://kb.test", 1_000, false),
        ] {
            assert_eq!(made(person, audience, now) == first, same, "{person:?} {audience} {now}");
        }
        let again = Arc::new(Person::new(alice.identity().clone()));
        assert!(
            read(&made(&again, "https://kb.test", 2_000), &signer.key_set(), "https://kb.test").is_some()
        );
    }
}
