//! App tokens in SQLite. Knows rows, not what a token opens.

use rusqlite::{Row as SqlRow, Transaction, named_params, params, params_from_iter};

use super::statements as sql;
use super::{NOBODY, SqliteStore, gathered, owned, rows};
use crate::session::names::name_of;
use crate::session::store::parts::{id, seconds, stored};
use crate::session::store::tokens::{damaged, networks, written};
use crate::session::store::{
    FoundToken, ListedToken, PersonKey, Selection, SessionKey, StoreError, TokenId, TokenKept, TokenRow,
};

impl SqliteStore {
    pub(in crate::session) async fn keep_token(
        &self,
        row: &TokenRow,
        most: u32,
    ) -> Result<TokenKept, StoreError> {
        let row = row.clone();
        self.change(move |change| keep(change, &row, most)).await
    }

    pub(in crate::session) async fn find_token(
        &self,
        key: &SessionKey,
    ) -> Result<Option<FoundToken>, StoreError> {
        let key = *key;
        self.answer(&self.reader, move |connection| {
            Ok(rows(connection, sql::FIND_TOKEN, params![key.id, key.proof], read_found)?.pop())
        })
        .await
    }

    pub(in crate::session) async fn tokens(
        &self,
        which: &Selection<'_>,
        after: Option<TokenId>,
        limit: u32,
    ) -> Result<Vec<ListedToken>, StoreError> {
        self.page(which, sql::tokens, (after, limit), read_listed).await
    }

    pub(in crate::session) async fn revoke_tokens(
        &self,
        which: &Selection<'_>,
    ) -> Result<Vec<TokenId>, StoreError> {
        let (condition, values) = which.condition();
        let revoke = format!("DELETE FROM foregate_token WHERE {condition} RETURNING id");
        let values: Vec<rusqlite::types::Value> = values.iter().map(owned).collect();
        let revoked = self.change(move |change| {
            let gone = gathered(change, &revoke, params_from_iter(values), super::read_id)?;
            let mut tell = change.prepare(sql::TELL)?;
            for id in gone.iter().flatten() {
                tell.execute(params![id, NOBODY])?;
            }
            Ok(gone)
        });
        revoked.await?.into_iter().collect()
    }

    pub(in crate::session) async fn touch_tokens(&self, used: &[(TokenId, u64)]) -> Result<(), StoreError> {
        let used: serde_json::Value =
            used.iter().map(|(id, time)| (name_of(id), stored(*time))).map(super::pair).collect();
        let used = used.to_string();
        self.change(move |change| change.execute(sql::TOUCH_TOKENS, params![used]).map(drop)).await
    }

    pub(in crate::session) async fn trim_tokens(&self, time: u64) -> Result<(), StoreError> {
        let time = stored(time);
        self.change(move |change| change.execute(sql::TRIM_TOKENS, params![time]).map(drop)).await
    }
}

/// Keeps a token where there is room for it. Nobody else writes meanwhile.
pub(super) fn keep(change: &Transaction<'_>, row: &TokenRow, most: u32) -> rusqlite::Result<TokenKept> {
    let person = params![row.person.issuer, row.person.subject];
    let there: u32 = change.query_row(sql::COUNT_TOKENS, person, |row| row.get(0))?;
    if there >= most {
        return Ok(TokenKept::Full);
    }
    let values = named_params! {
        ":id": row.key.id, ":proof": row.key.proof, ":issuer": row.person.issuer,
        ":subject": row.person.subject, ":app": row.app, ":name": row.name,
        ":networks": written(&row.networks), ":created_at": stored(row.created_at),
        ":expires_at": row.expires_at.map(stored),
    };
    let kept = change.execute(sql::KEEP_TOKEN, values)? > 0;
    Ok(if kept { TokenKept::Kept } else { TokenKept::Nobody })
}

fn read_listed(row: &SqlRow<'_>) -> Result<ListedToken, StoreError> {
    let token = read_token(row)?;
    let username = row.get(10).map_err(|_| damaged(&token.key.id, "username"))?;
    let disabled = row.get(11).map_err(|_| damaged(&token.key.id, "disabled_at"))?;
    Ok(ListedToken { row: token, username, disabled })
}

fn read_found(row: &SqlRow<'_>) -> Result<FoundToken, StoreError> {
    let token = read_token(row)?;
    let id = token.key.id;
    let profile: Option<String> = row.get(10).map_err(|_| damaged(&id, "profile"))?;
    let profile = profile.map(|profile| serde_json::from_str(&profile)).transpose();
    Ok(FoundToken {
        row: token,
        profile: profile.map_err(|_| damaged(&id, "profile"))?,
        vouched_at: seconds(row.get(11).map_err(|_| damaged(&id, "vouched_at"))?)?,
        disabled: row.get(12).map_err(|_| damaged(&id, "disabled_at"))?,
    })
}

fn read_token(row: &SqlRow<'_>) -> Result<TokenRow, StoreError> {
    let stored_id: Vec<u8> = row.get(0).map_err(|_| StoreError::Damaged("an id is not bytes".to_owned()))?;
    let id = id(&stored_id)?;
    let text = |index: usize, part: &str| row.get::<_, String>(index).map_err(|_| damaged(&id, part));
    let time = |index: usize, part: &str| row.get(index).map_err(|_| damaged(&id, part)).and_then(seconds);
    let proof: Vec<u8> = row.get(1).map_err(|_| damaged(&id, "proof"))?;
    let expires_at: Option<i64> = row.get(8).map_err(|_| damaged(&id, "expires_at"))?;
    Ok(TokenRow {
        key: SessionKey { id, proof: proof.try_into().map_err(|_| damaged(&id, "proof"))? },
        person: PersonKey { issuer: text(2, "issuer")?, subject: text(3, "subject")? },
        app: text(4, "app")?,
        name: text(5, "name")?,
        networks: networks(&text(6, "networks")?, &id)?,
        created_at: time(7, "created_at")?,
        expires_at: expires_at.map(seconds).transpose()?,
        last_used: time(9, "last_used")?,
    })
}
