//! Pairings in the store: rows by the hash of a device code, until a person has decided and the device has its token.

use super::{PersonKey, SessionKey, SessionStore, StoreError, TokenRow};

/// A pairing as it is asked for. Times are Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairingRow {
    /// What finds it for the device: the beginning of the SHA-256 of its code, and all of that.
    pub key: SessionKey,
    /// What finds it for a person: an HMAC of the code that they type.
    pub user_code: [u8; 32],
    /// The app it is for, as the configuration names it.
    pub app: String,
    /// What the device calls itself.
    pub name: String,
    /// The address it asked from.
    pub client: String,
    /// What is counted as one that asks.
    pub origin: String,
    /// When it asked.
    pub created_at: u64,
    /// When that ends.
    pub expires_at: u64,
}

/// How many pairings there may be at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// In all.
    pub all: u32,
    /// Of one origin.
    pub one: u32,
}

/// A pairing that nobody has decided on, as a person is asked about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingPairing {
    /// The app it is for.
    pub app: String,
    /// What the device calls itself.
    pub name: String,
    /// The address it asked from.
    pub client: String,
    /// When it asked, in Unix seconds.
    pub created_at: u64,
}

/// How far a pairing is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairingState {
    /// The app it is for.
    pub app: String,
    /// What the device calls itself.
    pub name: String,
    /// Who approved it, if anybody has.
    pub person: Option<PersonKey>,
    /// Whether somebody refused it.
    pub refused: bool,
    /// When it ends, in Unix seconds.
    pub expires_at: u64,
    /// Microseconds since the device last asked, by the store's own clock.
    pub pause: i64,
}

impl SessionStore {
    /// Keeps a new pairing; `false` if there is no room.
    ///
    /// # Errors
    ///
    /// As for [`Self::insert`].
    pub async fn keep_pairing(&self, row: &PairingRow, room: Room) -> Result<bool, StoreError> {
        ask!(self, store => store.keep_pairing(row, room))
    }

    /// The pairing that the HMAC of a user code names, while it waits for a person. `now` is in Unix seconds.
    ///
    /// # Errors
    ///
    /// As for [`Self::find`].
    pub async fn waiting_pairing(
        &self,
        user_code: &[u8; 32],
        now: u64,
    ) -> Result<Option<WaitingPairing>, StoreError> {
        ask!(self, store => store.waiting_pairing(user_code, now))
    }

    /// Approves a pairing that waits, for a person who may sign in; `false` if it waits no more, or they may not.
    ///
    /// # Errors
    ///
    /// As for [`Self::probe`].
    pub async fn approve_pairing(
        &self,
        user_code: &[u8; 32],
        person: &PersonKey,
        now: u64,
    ) -> Result<bool, StoreError> {
        ask!(self, store => store.approve_pairing(user_code, person, now))
    }

    /// Refuses a pairing that waits; `false` if it waits no more.
    ///
    /// # Errors
    ///
    /// As for [`Self::probe`].
    pub async fn refuse_pairing(&self, user_code: &[u8; 32], now: u64) -> Result<bool, StoreError> {
        ask!(self, store => store.refuse_pairing(user_code, now))
    }

    /// How far the pairing of a device is, and writes down that it asked.
    ///
    /// # Errors
    ///
    /// As for [`Self::find`].
    pub async fn poll_pairing(&self, key: &SessionKey) -> Result<Option<PairingState>, StoreError> {
        ask!(self, store => store.poll_pairing(key))
    }

    /// Ends an approved pairing and keeps the token made for it, both or neither; `false` if it is not approved by the
    /// token's person, has expired or is gone. If the person is disabled by now, or has `most` tokens, it ends and there is no
    /// token: `false`.
    ///
    /// # Errors
    ///
    /// As for [`Self::insert`].
    pub async fn collect_pairing(
        &self,
        key: &SessionKey,
        token: &TokenRow,
        most: u32,
    ) -> Result<bool, StoreError> {
        ask!(self, store => store.collect_pairing(key, token, most))
    }

    /// Forgets the pairings that ended before `time`, in Unix seconds.
    ///
    /// # Errors
    ///
    /// As for [`Self::probe`].
    pub async fn trim_pairings(&self, time: u64) -> Result<(), StoreError> {
        ask!(self, store => store.trim_pairings(time))
    }
}
