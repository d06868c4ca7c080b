//! Passwords as Argon2id hashes (RFC 9106), written as PHC strings. Knows nobody whose they are.

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::{constant_time, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use thiserror::Error;

use crate::secret::Secret;

/// The hash of one password; prints as `***`.
#[derive(Clone)]
pub struct Hash {
    params: Params,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

/// Why a text is no hash that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HashError {
    /// Not `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
    #[error("is no Argon2id hash")]
    Malformed,
    /// It costs whoever guesses too little.
    #[error("is too weak: m must be 7168 (KiB) or more")]
    Weak,
    /// It costs foregate too much.
    #[error("costs too much: m may be 262144 (KiB) at most, m by t 524288, and p 16")]
    Dear,
}

impl Hash {
    /// Reads a PHC string.
    ///
    /// # Errors
    /// See [`HashError`].
    pub fn parse(text: &str) -> Result<Self, HashError> {
        let malformed = HashError::Malformed;
        let parts: Vec<&str> = text.split('$').collect();
        let ["", "argon2id", "v=19", costs, salt, hash] = parts[..] else { return Err(malformed) };
        let costs: Vec<&str> = costs.split(',').collect();
        let [memory, times, lanes] = costs[..] else { return Err(malformed) };
        let number = |text: &str, name: &str| -> Result<u32, HashError> {
            text.strip_prefix(name).and_then(|text| text.parse().ok()).ok_or(malformed)
        };
        let (memory, times, lanes) = (number(memory, "m=")?, number(times, "t=")?, number(lanes, "p=")?);
        if memory < LEAST_MEMORY {
            return Err(HashError::Weak);
        }
        if u64::from(memory) * u64::from(times) > MOST_WORK || memory > MOST_MEMORY || lanes > MOST_LANES {
            return Err(HashError::Dear);
        }
        let decode = |text: &str| STANDARD_NO_PAD.decode(text).map_err(|_| malformed);
        let (salt, hash) = (decode(salt)?, decode(hash)?);
        if !(8..=64).contains(&salt.len()) || !(16..=64).contains(&hash.len()) {
            return Err(malformed);
        }
        let params = Params::new(memory, times, lanes, Some(hash.len())).map_err(|_| malformed)?;
        Ok(Self { params, salt, hash })
    }

    /// Whether it takes as long as another one.
    pub fn costs_the_same(&self, other: &Self) -> bool {
        let costs = |hash: &Self| (hash.params.m_cost(), hash.params.t_cost(), hash.params.p_cost());
        costs(self) == costs(other)
    }

    /// Whether it is the hash of this password. Takes its time, and as much memory as it says.
    pub(super) fn is_of(&self, password: &Secret) -> bool {
        let mut found = vec![0; self.hash.len()];
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone());
        let hashed = argon.hash_password_into(password.expose().as_bytes(), &self.salt, &mut found);
        hashed.is_ok() && constant_time::verify_slices_are_equal(&found, &self.hash).is_ok()
    }
}

impl PartialEq for Hash {
    fn eq(&self, other: &Self) -> bool {
        let costs = |hash: &Self| (hash.params.m_cost(), hash.params.t_cost(), hash.params.p_cost());
        (costs(self), &self.salt, &self.hash) == (costs(other), &other.salt, &other.hash)
    }
}

impl Eq for Hash {}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// A new hash of a password, as the PHC string that belongs in the configuration: 19 MiB, 2 passes, 1 lane.
///
/// `None` if the system has no randomness to offer.
pub fn hash_password(password: &Secret) -> Option<String> {
    let mut salt = [0; 16];
    rand::fill(&mut salt).ok()?;
    let mut hash = [0; 32];
    let params = Params::new(MEMORY, TIMES, LANES, Some(hash.len())).ok()?;
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon.hash_password_into(password.expose().as_bytes(), &salt, &mut hash).ok()?;
    let [salt, hash] = [&salt[..], &hash[..]].map(|bytes| STANDARD_NO_PAD.encode(bytes));
    Some(format!("$argon2id$v=19$m={MEMORY},t={TIMES},p={LANES}${salt}${hash}"))
}

/// What a new hash costs.
const MEMORY: u32 = 19_456;
const TIMES: u32 = 2;
const LANES: u32 = 1;
const LEAST_MEMORY: u32 = 7168;
const MOST_MEMORY: u32 = 262_144;
/// KiB by passes: less than a second on a slow machine, as one password is looked at at a time.
const MOST_WORK: u64 = 524_288;
const MOST_LANES: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_of_its_password_and_of_no_other() {
        let password = Secret::new("pass word \u{e4}");
        let text = hash_password(&password).unwrap();
        let hash = Hash::parse(&text).unwrap();
        assert!(hash.is_of(&password) && !hash.is_of(&Secret::new("pass word")));
        assert_ne!(hash_password(&password).unwrap(), text, "another salt each time");
        assert_eq!(format!("{hash:?}"), "***");
    }

    #[test]
    fn hashes_of_other_programs_count() {
        // By the reference implementation: echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -e
        let text = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let hash = Hash::parse(text).unwrap();
        assert!(hash.is_of(&Secret::new("password")) && !hash.is_of(&Secret::new("Password")));
    }

    #[test]
    fn what_is_no_hash_or_costs_too_little_or_too_much_is_told() {
        let tail = "c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        for (head, found) in [
            ("$argon2id$v=19$m=7168,t=1,p=1$", None),
            ("$argon2id$v=19$m=7167,t=9,p=1$", Some(HashError::Weak)),
            ("$argon2id$v=19$m=262145,t=1,p=1$", Some(HashError::Dear)),
            ("$argon2id$v=19$m=7168,t=74,p=1$", Some(HashError::Dear)),
            ("$argon2id$v=19$m=7168,t=1,p=17$", Some(HashError::Dear)),
            ("$argon2id$v=19$m=7168,t=0,p=1$", Some(HashError::Malformed)),
            ("$argon2i$v=19$m=7168,t=1,p=1$", Some(HashError::Malformed)),
            ("$argon2id$v=16$m=7168,t=1,p=1$", Some(HashError::Malformed)),
            ("$argon2id$m=7168,t=1,p=1$", Some(HashError::Malformed)),
            ("$argon2id$v=19$m=7168,t=1$", Some(HashError::Malformed)),
            ("$argon2id$v=19$m=x,t=1,p=1$", Some(HashError::Malformed)),
            ("$2y$05$", Some(HashError::Malformed)),
        ] {
            assert_eq!(Hash::parse(&format!("{head}{tail}")).err(), found, "{head}");
        }
        for text in
            ["", "plain", "$argon2id$v=19$m=7168,t=1,p=1$c2hvcnQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"]
        {
            assert_eq!(Hash::parse(text).err(), Some(HashError::Malformed), "{text}");
        }
    }
}
