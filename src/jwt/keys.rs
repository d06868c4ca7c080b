//! A provider's key set, reduced to what can check a signature. Knows RFC 7517 and 7518, no tokens.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde_json::Value;

use super::error::{KeysError, TokenError};
use crate::outbound::json;

/// The usable keys of a set: public ones, for signatures, of an algorithm we allow.
pub(super) struct KeySet {
    keys: Vec<Key>,
    /// The SHA-256 of its text.
    mark: [u8; 32],
}

struct Key {
    id: Option<String>,
    algorithm: Option<Algorithm>,
    shape: Shape,
    material: DecodingKey,
}

/// What the key material is, which limits the algorithms it goes with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl KeySet {
    /// Reads a JSON Web Key Set. Keys that cannot check a signature are left out (RFC 7517 5).
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, KeysError> {
        let set: Value = json::read(bytes).map_err(|error| KeysError::Unreadable(error.to_string()))?;
        let Some(Value::Array(members)) = set.get("keys") else {
            return Err(KeysError::Unreadable("it has no array named keys".into()));
        };
        if members.len() > LIMIT {
            return Err(KeysError::TooMany(members.len()));
        }
        let mut mark = [0; 32];
        mark.copy_from_slice(digest(&SHA256, bytes).as_ref());
        Ok(Self { keys: members.iter().filter_map(Key::read).collect(), mark })
    }

    /// How many keys go with any of these algorithms.
    pub(super) fn count(&self, algorithms: &[Algorithm]) -> usize {
        let fits = |key: &&Key| {
            let own = |&algorithm: &Algorithm| {
                key.algorithm.is_none_or(|named| named == algorithm) && shape(algorithm) == Some(key.shape)
            };
            algorithms.iter().any(own)
        };
        self.keys.iter().filter(fits).count()
    }

    /// Whether the other set was written in the same letters.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.mark == other.mark
    }

    /// The keys for a token with this key id, if it names one, and algorithm.
    ///
    /// # Errors
    /// [`TokenError::UnknownKey`] if no key has the key id.
    pub(super) fn fitting(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<impl Iterator<Item = &DecodingKey>, TokenError> {
        let is_named = move |key: &&Key| id.is_none() || key.id.as_deref() == id;
        if id.is_some() && !self.keys.iter().any(|key| is_named(&key)) {
            return Err(TokenError::UnknownKey);
        }
        let fits = move |key: &&Key| {
            key.algorithm.is_none_or(|own| own == algorithm) && shape(algorithm) == Some(key.shape)
        };
        Ok(self.keys.iter().filter(is_named).filter(fits).map(|key| &key.material))
    }
}

impl Key {
    /// A key of a set, or none if it is not one for checking signatures.
    fn read(member: &Value) -> Option<Self> {
        let text = |name: &str| member.get(name).and_then(Value::as_str);
        if member.get("use").is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        if let Some(operations) = member.get("key_ops") {
            operations.as_array()?.iter().find(|&operation| operation == "verify")?;
        }
        let algorithm = match member.get("alg") {
            None => None,
            Some(name) => Some(algorithm(name.as_str()?)?),
        };
        // No "oct" here: a symmetric key in a public set is no secret.
        let (shape, material) = match (text("kty")?, text("crv")) {
            ("RSA", _) => (Shape::Rsa, rsa(text("n")?, text("e")?)?),
            ("EC", Some("P-256")) => (Shape::P256, point(text("x")?, text("y")?, 32)?),
            ("EC", Some("P-384")) => (Shape::P384, point(text("x")?, text("y")?, 48)?),
            ("OKP", Some("Ed25519")) => (Shape::Ed25519, edwards(text("x")?)?),
            _ => return None,
        };
        let id = match member.get("kid") {
            None => None,
            Some(id) => Some(id.as_str()?.to_owned()),
        };
        Some(Self { id, algorithm, shape, material })
    }
}

/// The algorithm of this name, among those we know. `Ed25519` is RFC 9864's name for what EdDSA is here.
pub(super) fn algorithm(name: &str) -> Option<Algorithm> {
    if name == "Ed25519" { Some(Algorithm::EdDSA) } else { name.parse().ok() }
}

fn shape(algorithm: Algorithm) -> Option<Shape> {
    match algorithm.family() {
        AlgorithmFamily::Hmac => None,
        AlgorithmFamily::Rsa => Some(Shape::Rsa),
        AlgorithmFamily::Ec if algorithm == Algorithm::ES256 => Some(Shape::P256),
        AlgorithmFamily::Ec => (algorithm == Algorithm::ES384).then_some(Shape::P384),
        AlgorithmFamily::Ed => Some(Shape::Ed25519),
    }
}

fn rsa(modulus: &str, exponent: &str) -> Option<DecodingKey> {
    let (modulus, exponent) = (number(modulus)?, number(exponent)?);
    // RFC 7518 3.3 wants 2048 bits; more than 8192 is a way to keep us busy.
    let is_sound = (256..=1024).contains(&modulus.len()) && (1..=8).contains(&exponent.len());
    is_sound.then(|| DecodingKey::from_rsa_raw_components(&modulus, &exponent))
}

/// An uncompressed point (SEC 1, 2.3.3); coordinates whose leading zeros were lost get them back.
fn point(x: &str, y: &str, length: usize) -> Option<DecodingKey> {
    let mut point = vec![4];
    for coordinate in [number(x)?, number(y)?] {
        point.resize(point.len() + length.checked_sub(coordinate.len())?, 0);
        point.extend(coordinate);
    }
    Some(DecodingKey::from_ec_der(&point))
}

fn edwards(x: &str) -> Option<DecodingKey> {
    let bytes = LENIENT.decode(x).ok()?;
    (bytes.len() == 32).then(|| DecodingKey::from_ed_der(&bytes))
}

/// The bytes of a big-endian number, without leading zeros.
fn number(text: &str) -> Option<Vec<u8>> {
    let bytes = LENIENT.decode(text).ok()?;
    let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
    Some(bytes[zeros..].to_vec())
}

/// Keys a set may have.
const LIMIT: usize = 100;
/// Some providers pad the numbers in their keys.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
