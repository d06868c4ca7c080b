//! App tokens in the store: rows by key, each for one person and one app. Knows neither requests nor rules.

use ipnet::IpNet;
use serde_json::{Value as Json, json};

use super::{PersonKey, Selection, SessionKey, SessionStore, StoreError};
use crate::identity::Profile;
use crate::session::names::name_of;

/// The public name of an app token: the first bytes of its hash.
pub type TokenId = [u8; 16];

/// An app token as it is kept. Times are Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// What finds it: its public name, and the SHA-256 of the whole text.
    pub key: SessionKey,
    /// Whose it is.
    pub person: PersonKey,
    /// The app it is for, as the configuration names it.
    pub app: String,
    /// What its owner calls it.
    pub name: String,
    /// From where it counts; from everywhere if there are none.
    pub networks: Vec<IpNet>,
    /// When it was made.
    pub created_at: u64,
    /// When it ends, if it does by itself.
    pub expires_at: Option<u64>,
    /// When it was last used, some minutes behind; 0 if it never was.
    pub last_used: u64,
}

/// An app token with its owner.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundToken {
    /// The token.
    pub row: TokenRow,
    /// What the provider last said of its owner, if that is known.
    pub profile: Option<Profile>,
    /// When that was, in Unix seconds.
    pub vouched_at: u64,
    /// Whether the owner may not sign in.
    pub disabled: bool,
}

/// An app token as lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedToken {
    /// The token.
    pub row: TokenRow,
    /// The name its owner signs in with.
    pub username: String,
    /// Whether the owner may not sign in.
    pub disabled: bool,
}

/// What came of a new app token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKept {
    /// It is kept.
    Kept,
    /// Its owner has as many as there may be.
    Full,
    /// Its owner was never seen, or is disabled.
    Nobody,
}

impl ListedToken {
    /// What programs are told of it.
    pub fn to_json(&self) -> Json {
        let row = &self.row;
        let networks: Vec<String> = row.networks.iter().map(ToString::to_string).collect();
        json!({
            "id": name_of(&row.key.id),
            "user": self.username,
            "issuer": row.person.issuer,
            "subject": row.person.subject,
            "app": row.app,
            "name": row.name,
            "networks": networks,
            "created_at": row.created_at,
            "expires_at": row.expires_at,
            "disabled": self.disabled,
            "last_used": (row.last_used > 0).then_some(row.last_used),
        })
    }
}

impl SessionStore {
    /// Keeps a new app token, unless its owner is nobody who may sign in, or has `most` of them already: however many are
    /// kept at once, there are never more.
    ///
    /// # Errors
    ///
    /// As for [`Self::insert`].
    pub async fn keep_token(&self, row: &TokenRow, most: u32) -> Result<TokenKept, StoreError> {
        ask!(self, store => store.keep_token(row, most))
    }

    /// The app token of `key` and its owner, whatever its state.
    ///
    /// # Errors
    ///
    /// As for [`Self::find`].
    pub async fn find_token(&self, key: &SessionKey) -> Result<Option<FoundToken>, StoreError> {
        ask!(self, store => store.find_token(key))
    }

    /// Up to `limit` of the app tokens selected, by id, those behind `after` only.
    ///
    /// # Errors
    ///
    /// As for [`Self::sessions`].
    pub async fn tokens(
        &self,
        which: &Selection<'_>,
        after: Option<TokenId>,
        limit: u32,
    ) -> Result<Vec<ListedToken>, StoreError> {
        ask!(self, store => store.tokens(which, after, limit))
    }

    /// Revokes the app tokens selected, writes down which, as for sessions, and says which.
    ///
    /// # Errors
    ///
    /// As for [`Self::probe`].
    pub async fn revoke_tokens(&self, which: &Selection<'_>) -> Result<Vec<TokenId>, StoreError> {
        ask!(self, store => store.revoke_tokens(which))
    }

    /// Writes down when app tokens were last used; that never goes back.
    ///
    /// # Errors
    ///
    /// As for [`Self::probe`].
    pub async fn touch_tokens(&self, used: &[(TokenId, u64)]) -> Result<(), StoreError> {
        ask!(self, store => store.touch_tokens(used))
    }

    /// Forgets the app tokens that ended before `time`, in Unix seconds.
    ///
    /// # Errors
    ///
    /// As for [`Self::probe`].
    pub async fn trim_tokens(&self, time: u64) -> Result<(), StoreError> {
        ask!(self, store => store.trim_tokens(time))
    }
}

/// Networks as a row has them.
pub(in crate::session) fn written(networks: &[IpNet]) -> String {
    networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// Networks out of a row. What cannot be read must not come to mean "everywhere".
pub(in crate::session) fn networks(written: &str, id: &TokenId) -> Result<Vec<IpNet>, StoreError> {
    let networks: Result<Vec<IpNet>, _> = written.split_ascii_whitespace().map(str::parse).collect();
    networks.map_err(|_| damaged(id, "networks"))
}

/// What is told of the row of `id` whose `part` cannot be read.
pub(in crate::session) fn damaged(id: &TokenId, part: &str) -> StoreError {
    StoreError::Damaged(format!("the {part} of the app token {}", name_of(id)))
}
