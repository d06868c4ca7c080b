//! The demo provider's one key: signs ID tokens, and knows them again when they come back. Knows no people.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

/// An ES256 key that lives as long as the process.
#[derive(Debug)]
pub(super) struct Signer {
    key: EcdsaKeyPair,
    id: String,
}

impl Signer {
    /// Makes a fresh key.
    ///
    /// # Errors
    /// [`Unspecified`] if the system gives no random bytes.
    pub(super) fn new() -> Result<Self, Unspecified> {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
        let (x, y) = coordinates(&key);
        // RFC 7638: the members that make the key, in the order of their names, without blanks.
        let id = hash(format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#).as_bytes());
        Ok(Self { key, id })
    }

    /// The public half, as clients fetch it (RFC 7517).
    pub(super) fn key_set(&self) -> Value {
        let (x, y) = coordinates(&self.key);
        let key = json!({
            "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": self.id, "alg": "ES256", "use": "sig",
        });
        json!({ "keys": [key] })
    }

    /// A token with these claims (RFC 7515).
    ///
    /// # Errors
    /// [`Unspecified`] if the system gives no random bytes.
    pub(super) fn sign(&self, claims: &Map<String, Value>) -> Result<String, Unspecified> {
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": self.id }).to_string();
        let claims = serde_json::to_vec(claims).map_err(|_| Unspecified)?;
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes())?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref())))
    }

    /// The claims of a token that was signed here, however long ago.
    pub(super) fn recognise(&self, token: &str) -> Option<Map<String, Value>> {
        let (message, signature) = token.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref());
        public.verify(message.as_bytes(), &signature).ok()?;
        let (_, claims) = message.split_once('.')?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }
}

/// SHA-256 in base64url, as PKCE and thumbprints want it.
pub(super) fn hash(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, bytes))
}

/// The left half of a token's SHA-256, which binds it to the ID token (OpenID Connect Core 3.1.3.6).
pub(super) fn half_hash(token: &str) -> String {
    let whole = digest(&SHA256, token.as_bytes());
    URL_SAFE_NO_PAD.encode(whole.as_ref().split_at(whole.as_ref().len() / 2).0)
}

/// The point of a public key: the byte 4, then both numbers in equal length (SEC 1 2.3.3).
fn coordinates(key: &EcdsaKeyPair) -> (String, String) {
    let point = key.public_key().as_ref().get(1..).unwrap_or_default();
    let (x, y) = point.split_at(point.len() / 2);
    (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y))
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::jwk::JwkSet;
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};

    use super::*;

    fn claims() -> Map<String, Value> {
        Map::from_iter([("sub".to_owned(), "s".into()), ("aud".to_owned(), "c".into())])
    }

    #[test]
    fn others_verify_a_token_by_the_key_set() {
        let signer = Signer::new().unwrap();
        let token = signer.sign(&claims()).unwrap();
        let keys: JwkSet = serde_json::from_value(signer.key_set()).unwrap();
        let id = decode_header(&token).unwrap().kid.unwrap();
        let key = DecodingKey::from_jwk(keys.find(&id).unwrap()).unwrap();
        let mut rules = Validation::new(Algorithm::ES256);
        rules.set_audience(&["c"]);
        rules.required_spec_claims.clear();
        assert_eq!(decode::<Value>(&token, &key, &rules).unwrap().claims["sub"], "s");
    }

    #[test]
    fn only_what_was_signed_here_is_recognised() {
        let (signer, other) = (Signer::new().unwrap(), Signer::new().unwrap());
        let token = signer.sign(&claims()).unwrap();
        assert_eq!(signer.recognise(&token), Some(claims()));
        let (message, _) = token.rsplit_once('.').unwrap();
        let (header, _) = message.split_once('.').unwrap();
        let signature = token.rsplit_once('.').unwrap().1;
        let forged = format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(r#"{"sub":"root"}"#));
        for bad in [&forged, message, "", ".", "..", &format!("{message}."), &other.sign(&claims()).unwrap()]
        {
            assert_eq!(signer.recognise(bad), None, "{bad}");
        }
    }

    #[test]
    fn hashes_are_those_of_the_specifications() {
        // RFC 7636, appendix B.
        assert_eq!(
            hash(b"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
        assert_eq!(half_hash("x").len(), 22);
    }
}
