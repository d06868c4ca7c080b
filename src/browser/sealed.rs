//! Values that leave foregate and must come back unread and unchanged. Knows no meaning of what it seals.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::{constant_time, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// What a sealed value is for. One sealed for one purpose opens for no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A sign-in under way, in the `state` parameter.
    State,
    /// The browser's side of it, in a cookie.
    Binding,
    /// The provider's tokens, in a session row.
    Tokens,
    /// Proof that a form came from our own page.
    Form,
    /// A session on one host outside the cookie domain, in a cookie there.
    HostSession,
    /// The browser's side of a sign-in from such a host, in a cookie there.
    HostBinding,
    /// Such a host's wish for a ticket.
    Ask,
    /// A session on its way to such a host.
    Ticket,
    /// A sign-out that a person began on such a host.
    Leave,
    /// What signs the header that tells backends who was let in.
    Assertion,
    /// A form that waits in the browser until somebody is signed in.
    KeptForm,
    /// A wish of `foregate check` to hear how its request arrived.
    Probe,
    /// How it arrived.
    Arrival,
    /// A code that a person types to pair a device, in its row.
    UserCode,
    /// Whoever has shown the admin token at the operator's page, in a cookie.
    Operator,
}

impl Purpose {
    fn label(self) -> &'static str {
        match self {
            Self::State => "foregate state 1",
            Self::Binding => "foregate binding 1",
            Self::Tokens => "foregate tokens 1",
            Self::Form => "foregate form 1",
            Self::HostSession => "foregate host session 1",
            Self::HostBinding => "foregate host binding 1",
            Self::Ask => "foregate ask 1",
            Self::Ticket => "foregate ticket 1",
            Self::Leave => "foregate leave 1",
            Self::Assertion => "foregate assertion 1",
            Self::KeptForm => "foregate kept form 1",
            Self::Probe => "foregate probe 1",
            Self::Arrival => "foregate arrival 1",
            Self::UserCode => "foregate user code 1",
            Self::Operator => "foregate operator 1",
        }
    }
}

/// Why the sealing keys cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum KeyError {
    /// There is none.
    #[error("there is no sealing key: make one with `foregate session new-key`")]
    None,
    /// The key with this number, counted from 1, is not 32 bytes in base64.
    #[error("sealing key {0} is not 32 bytes in base64: make one with `foregate session new-key`")]
    Malformed(usize),
}

/// Bytes of a nonce, which must be random for each value.
pub const NONCE_BYTES: usize = 12;
const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 4;
/// Bytes by which a sealed value is longer than what is in it.
pub(super) const OVERHEAD_BYTES: usize = TAG_BYTES + NONCE_BYTES + 16;

/// Seals with the newest key and opens with every key, newest first.
#[derive(Debug)]
pub struct Sealer {
    keys: Vec<ServerKey>,
}

struct ServerKey {
    /// Names the key in what it sealed, so that opening tries one key only.
    tag: [u8; TAG_BYTES],
    key: Zeroizing<[u8; KEY_BYTES]>,
}

impl std::fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Sealer {
    /// Takes the keys, newest first, each 32 bytes in base64 of either alphabet.
    ///
    /// # Errors
    /// [`KeyError`] if there is none or one is malformed.
    pub fn new(keys: &[Secret]) -> Result<Self, KeyError> {
        if keys.is_empty() {
            return Err(KeyError::None);
        }
        let keys = keys
            .iter()
            .enumerate()
            .map(|(index, key)| ServerKey::parse(key).ok_or(KeyError::Malformed(index + 1)));
        Ok(Self { keys: keys.collect::<Result<_, _>>()? })
    }

    /// What tells the keys apart, newest first; it opens nothing.
    pub fn key_names(&self) -> Vec<String> {
        self.keys.iter().map(|key| format!("{:08x}", u32::from_be_bytes(key.tag))).collect()
    }

    /// Seals `plain` so that only `purpose` with the same `context` opens it. `nonce` must be random.
    pub fn seal(&self, purpose: Purpose, context: &[u8], plain: &[u8], nonce: [u8; NONCE_BYTES]) -> Vec<u8> {
        let Some(key) = self.keys.first() else { return Vec::new() };
        let mut text = plain.to_vec();
        let sealed = key.aead(purpose, context).and_then(|aead| {
            aead.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(key.tag), &mut text)
                .ok()
        });
        if sealed.is_none() {
            return Vec::new();
        }
        [key.tag.as_slice(), &nonce, &text].concat()
    }

    /// Opens what was sealed for `purpose` and `context`; anything else is `None`.
    pub fn open(&self, purpose: Purpose, context: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (tag, rest) = sealed.split_at_checked(TAG_BYTES)?;
        let (nonce, text) = rest.split_at_checked(NONCE_BYTES)?;
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().ok()?;
        self.keys.iter().filter(|key| key.tag == tag).find_map(|key| {
            let aead = key.aead(purpose, context)?;
            let mut text = Zeroizing::new(text.to_vec());
            let aad = Aad::from(key.tag);
            let length = aead.open_in_place(Nonce::assume_unique_for_key(nonce), aad, &mut text).ok()?.len();
            text.truncate(length);
            Some(text)
        })
    }

    /// [`Sealer::seal`] as text for a URL or a cookie.
    pub fn seal_text(&self, purpose: Purpose, plain: &[u8], nonce: [u8; NONCE_BYTES]) -> String {
        URL_SAFE_NO_PAD.encode(self.seal(purpose, b"", plain, nonce))
    }

    /// [`Sealer::open`] of such text.
    pub fn open_text(&self, purpose: Purpose, text: &str) -> Option<Zeroizing<Vec<u8>>> {
        self.open(purpose, b"", &URL_SAFE_NO_PAD.decode(text).ok()?)
    }

    /// A secret of its own for `purpose` from each key, newest first.
    pub fn seeds(&self, purpose: Purpose) -> Vec<Zeroizing<[u8; KEY_BYTES]>> {
        let seed = |key: &ServerKey| derive(key.key.as_slice(), b"", purpose.label().as_bytes());
        self.keys.iter().filter_map(seed).collect()
    }

    /// A proof that `message` was written here for `purpose`; the newest key makes it.
    pub fn sign(&self, purpose: Purpose, message: &[u8]) -> String {
        let tag = self.keys.first().and_then(|key| key.mac(purpose, message));
        tag.map_or_else(String::new, |tag| URL_SAFE_NO_PAD.encode(tag))
    }

    /// What `message` is found by for `purpose` where it is not kept itself, by each key, newest first.
    pub fn marks(&self, purpose: Purpose, message: &[u8]) -> Vec<[u8; KEY_BYTES]> {
        let mark = |key: &ServerKey| <[u8; KEY_BYTES]>::try_from(key.mac(purpose, message)?.as_ref()).ok();
        self.keys.iter().filter_map(mark).collect()
    }

    /// Whether any key made `proof` for `message` and `purpose`.
    pub fn signed(&self, purpose: Purpose, message: &[u8], proof: &str) -> bool {
        let Ok(proof) = URL_SAFE_NO_PAD.decode(proof) else { return false };
        let made = |key: &ServerKey| key.mac(purpose, message);
        self.keys
            .iter()
            .filter_map(made)
            .any(|tag| constant_time::verify_slices_are_equal(tag.as_ref(), &proof).is_ok())
    }
}

impl ServerKey {
    fn parse(text: &Secret) -> Option<Self> {
        let text =
            Zeroizing::new(text.expose().trim().trim_end_matches('=').replace('-', "+").replace('_', "/"));
        let bytes = Zeroizing::new(STANDARD_NO_PAD.decode(text.as_bytes()).ok()?);
        let key = Zeroizing::new(<[u8; KEY_BYTES]>::try_from(bytes.as_slice()).ok()?);
        let named = derive(key.as_slice(), b"", b"foregate key name 1")?;
        let tag = named.first_chunk::<TAG_BYTES>().copied()?;
        Some(Self { tag, key })
    }

    fn aead(&self, purpose: Purpose, context: &[u8]) -> Option<LessSafeKey> {
        let key = derive(self.key.as_slice(), context, purpose.label().as_bytes())?;
        Some(LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, key.as_slice()).ok()?))
    }

    fn mac(&self, purpose: Purpose, message: &[u8]) -> Option<hmac::Tag> {
        let key = derive(self.key.as_slice(), b"", purpose.label().as_bytes())?;
        Some(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_slice()), message))
    }
}

struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        KEY_BYTES
    }
}

/// One key for each purpose and context (HKDF, RFC 5869).
fn derive(key: &[u8], context: &[u8], label: &[u8]) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let mut derived = Zeroizing::new([0; KEY_BYTES]);
    let pseudo_random = Salt::new(HKDF_SHA256, context).extract(key);
    pseudo_random.expand(&[label], Length).ok()?.fill(derived.as_mut_slice()).ok()?;
    Some(derived)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const NEW: &str = "ISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0-P0A";
    const NONCE: [u8; NONCE_BYTES] = [7; NONCE_BYTES];

    fn sealer(keys: &[&str]) -> Sealer {
        Sealer::new(&keys.iter().map(|key| Secret::new(*key)).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_for_its_purpose_and_context_only() {
        let keys = sealer(&[NEW]);
        let sealed = keys.seal(Purpose::Tokens, b"handle", b"secret", NONCE);
        assert_eq!(keys.open(Purpose::Tokens, b"handle", &sealed).unwrap().as_slice(), b"secret");
        assert!(keys.open(Purpose::State, b"handle", &sealed).is_none());
        assert!(keys.open(Purpose::Tokens, b"other", &sealed).is_none());
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
    }

    #[test]
    fn every_change_is_noticed() {
        let keys = sealer(&[NEW]);
        let sealed = keys.seal(Purpose::State, b"", b"{}", NONCE);
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(keys.open(Purpose::State, b"", &changed).is_none(), "byte {index}");
            assert!(keys.open(Purpose::State, b"", &sealed[..index]).is_none(), "cut at {index}");
        }
        for text in ["", "e30", "{}", "a.b.c", "////", "=="] {
            assert!(keys.open_text(Purpose::State, text).is_none(), "{text}");
        }
    }

    #[test]
    fn old_keys_open_and_new_keys_seal() {
        let sealed = sealer(&[OLD]).seal_text(Purpose::State, b"x", NONCE);
        assert!(sealer(&[NEW, OLD]).open_text(Purpose::State, &sealed).is_some());
        assert!(sealer(&[NEW]).open_text(Purpose::State, &sealed).is_none());
        let proof = sealer(&[OLD]).sign(Purpose::Form, b"x");
        assert!(sealer(&[NEW, OLD]).signed(Purpose::Form, b"x", &proof));
        assert!(!sealer(&[NEW, OLD]).signed(Purpose::Form, b"y", &proof));
        assert!(!sealer(&[NEW]).signed(Purpose::Form, b"x", &proof));
    }

    #[test]
    fn a_key_is_32_bytes_or_refused() {
        assert_eq!(Sealer::new(&[]).err(), Some(KeyError::None));
        for bad in ["", "short", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gIQ==", "!!!!"] {
            assert_eq!(
                Sealer::new(&[Secret::new(NEW), Secret::new(bad)]).err(),
                Some(KeyError::Malformed(2)),
                "{bad}"
            );
        }
    }
}
