//! Devices that wait for a person to approve them, as RFC 8628 has it: their codes, who guesses codes, and the one token that
//! comes of it. Knows neither apps nor rules: whether somebody may approve is decided elsewhere.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::store::{PairingRow, PersonKey, Room, SessionKey, StoreError, TokenId, WaitingPairing};
use super::{MOST_OWN_TOKENS, NewToken, Sessions, random};
use crate::browser::Purpose;
use crate::visit::AppToken;

/// What a person types: eight consonants, in either case, with or without the dash in their middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserCode([u8; CODE_LETTERS]);

/// What a device wants to be paired with.
#[derive(Debug)]
pub struct NewPairing {
    /// The app, as the configuration names it.
    pub app: String,
    /// What the device calls itself.
    pub name: String,
    /// Where it asks from.
    pub client: IpAddr,
}

/// The two codes of a pairing; neither is kept as it is.
#[derive(Debug)]
pub struct Codes {
    /// For the device alone.
    pub device: String,
    /// For the person.
    pub user: UserCode,
}

/// What came of a code that a person tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tried {
    /// This waits.
    Waiting(WaitingPairing),
    /// It names nothing that waits.
    Nothing,
    /// Nothing was looked up, as the person has tried too often.
    TooOften,
}

/// What came of a poll (RFC 8628 3.5).
#[derive(Debug)]
pub enum Polled {
    /// There is no such pairing, or it has been collected.
    Unknown,
    /// Nobody has decided.
    Pending,
    /// The same, and it asks too often.
    TooSoon,
    /// Somebody refused, or whoever approved may not sign in any more, or has as many tokens as they may have.
    Refused,
    /// It was not decided in time.
    Expired,
    /// Approved: this is the token, here and nowhere else.
    Collected(AppToken),
}

impl UserCode {
    /// Makes one of random bytes; `None` if they are too even to be random.
    fn from_random(random: &[u8; 32]) -> Option<Self> {
        // Bytes from 240 on would make the first letters likelier than the others.
        let mut letters =
            random.iter().filter(|byte| **byte < 240).map(|byte| LETTERS[usize::from(byte % 20)]);
        let mut code = [0; CODE_LETTERS];
        for place in &mut code {
            *place = letters.next()?;
        }
        Some(Self(code))
    }

    /// Reads one as people write it.
    pub fn parse(text: &str) -> Option<Self> {
        let letters: Vec<u8> = text
            .bytes()
            .filter(|byte| !matches!(byte, b'-' | b' '))
            .take(CODE_LETTERS + 1)
            .map(|byte| byte.to_ascii_uppercase())
            .collect();
        let code: [u8; CODE_LETTERS] = letters.try_into().ok()?;
        code.iter().all(|letter| LETTERS.contains(letter)).then_some(Self(code))
    }
}

impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, letter) in self.0.iter().enumerate() {
            let dash = if index == CODE_LETTERS / 2 { "-" } else { "" };
            write!(f, "{dash}{}", char::from(*letter))?;
        }
        Ok(())
    }
}

impl Sessions {
    /// Keeps a new pairing and hands out its codes; `None` while there are too many, in all or from this network.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be kept.
    pub async fn begin_pairing(&self, new: NewPairing, now: u64) -> Result<Option<Codes>, StoreError> {
        let user = UserCode::from_random(&random()?).ok_or_else(|| {
            StoreError::Unavailable("the random bytes of the system are not random".to_owned())
        })?;
        let device = URL_SAFE_NO_PAD.encode(random::<32>()?);
        let NewPairing { app, name, client } = new;
        let row = PairingRow {
            key: device_key(&device),
            user_code: self.sealer.marks(Purpose::UserCode, &user.0).first().copied().unwrap_or_default(),
            app,
            name,
            client: client.to_string(),
            origin: origin_of(client),
            created_at: now,
            expires_at: now.saturating_add(PAIRING_TIME.as_secs()),
        };
        let kept = self.ask(self.store.keep_pairing(&row, ROOM), now).await?;
        Ok(kept.then_some(Codes { device, user }))
    }

    /// The pairing that a code names while it waits. Every code that names none counts as a guess of this person's.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be asked.
    pub async fn waiting_pairing(
        &self,
        code: UserCode,
        person: &PersonKey,
        now: u64,
    ) -> Result<Tried, StoreError> {
        // Counted before it is looked up, so that many at once are no more than many.
        if !self.guesses.begin(person, now) {
            return Ok(Tried::TooOften);
        }
        for mark in self.sealer.marks(Purpose::UserCode, &code.0) {
            if let Some(found) = self.ask(self.store.waiting_pairing(&mark, now), now).await? {
                self.guesses.take_back(person, now);
                return Ok(Tried::Waiting(found));
            }
        }
        Ok(Tried::Nothing)
    }

    /// Approves a pairing for a person, or refuses it; `false` if it does not wait any more, or the person may not sign in.
    ///
    /// # Errors
    /// [`StoreError`] if the store could not be told.
    pub async fn decide_pairing(
        &self,
        code: UserCode,
        (person, approved): (&PersonKey, bool),
        now: u64,
    ) -> Result<bool, StoreError> {
        for mark in self.sealer.marks(Purpose::UserCode, &code.0) {
            let decided = if approved {
                self.ask(self.store.approve_pairing(&mark, person, now), now).await?
            } else {
                self.ask(self.store.refuse_pairing(&mark, now), now).await?
            };
            if decided {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What there is for a device: once the token, if it was approved, which lasts for `lasts`.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be asked.
    pub async fn poll_pairing(
        &self,
        device_code: &str,
        lasts: Duration,
        now: u64,
    ) -> Result<Polled, StoreError> {
        let key = device_key(device_code);
        let Some(state) = self.ask(self.store.poll_pairing(&key), now).await? else {
            return Ok(Polled::Unknown);
        };
        if state.refused {
            return Ok(Polled::Refused);
        }
        if state.expires_at <= now {
            return Ok(Polled::Expired);
        }
        match state.person {
            Some(person) => {
                let ends = Some(now.saturating_add(lasts.as_secs()));
                let (app, name, networks) = (state.app, state.name, Vec::new());
                self.collect(&key, NewToken { person, app, name, networks, expires_at: ends }, now).await
            }
            None if state.pause < SHORTEST_PAUSE_MICROS => Ok(Polled::TooSoon),
            None => Ok(Polled::Pending),
        }
    }

    async fn collect(&self, key: &SessionKey, new: NewToken, now: u64) -> Result<Polled, StoreError> {
        let (token, row) = new.mint(now)?;
        if self.ask(self.store.collect_pairing(key, &row, MOST_OWN_TOKENS), now).await? {
            tracing::info!(app = row.app, subject = row.person.subject, "a paired device has its app token");
            return Ok(Polled::Collected(token));
        }
        Ok(Polled::Refused)
    }
}

/// 256 random bits need no slow hash.
fn device_key(code: &str) -> SessionKey {
    let mut proof = [0; 32];
    proof.copy_from_slice(digest(&SHA256, code.as_bytes()).as_ref());
    let mut id = TokenId::default();
    id.copy_from_slice(&proof[..size_of::<TokenId>()]);
    SessionKey { id, proof }
}

/// What counts as one that asks: an address, or the network of 64 bits that one household has of IPv6.
fn origin_of(client: IpAddr) -> String {
    match client {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).to_string(),
    }
}

/// How long a pairing waits.
pub const PAIRING_TIME: Duration = Duration::from_secs(600);
/// How long a device is to wait between two polls.
pub const POLL_EVERY: Duration = Duration::from_secs(5);
/// Polls closer than this are too close: a second less than they are told, as networks are not even.
const SHORTEST_PAUSE_MICROS: i64 = 4_000_000;
/// Pairings that wait, in all and from one network.
const ROOM: Room = Room { all: 1000, one: 10 };
const CODE_LETTERS: usize = 8;
/// No vowels, so that no code is a word, and nothing that looks like a digit (RFC 8628 6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_people_write_it() {
        let code = UserCode::parse("BCDF-GHJK").unwrap();
        assert_eq!(code.to_string(), "BCDF-GHJK");
        for (text, is_it) in [
            ("bcdfghjk", true),
            (" bcdf ghjk ", true),
            ("Bcdf-gHJK", true),
            ("BCDF-GHJ", false),
            ("BCDF-GHJKL", false),
            ("ACDF-GHJK", false),
            ("BCDF-GHJ1", false),
            ("BCDF–GHJK", false),
            ("", false),
        ] {
            assert_eq!(UserCode::parse(text), is_it.then_some(code), "{text}");
        }
    }

    #[test]
    fn a_code_is_made_of_even_letters_only() {
        let mut random = [255; 32];
        assert_eq!(UserCode::from_random(&random), None);
        random[10..18].copy_from_slice(&[0, 19, 20, 239, 1, 2, 3, 4]);
        assert_eq!(UserCode::from_random(&random).unwrap().to_string(), "BZBZ-CDFG");
    }

    #[test]
    fn a_household_counts_as_one() {
        for (address, origin) in [("192.0.2.7", "192.0.2.7"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::")] {
            assert_eq!(origin_of(address.parse().unwrap()), origin);
        }
    }
}
