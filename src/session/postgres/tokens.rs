//! App tokens in PostgreSQL. Knows rows, not what a token opens.

use tokio_postgres::Row as PgRow;
use tokio_postgres::types::{Json, Type};

use super::rows::read_id;
use super::statements as sql;
use super::{Parameter, PostgresStore, bound};
use crate::identity::Profile;
use crate::session::store::parts::{seconds, stored};
use crate::session::store::tokens::{damaged, networks, written};
use crate::session::store::{
    FoundToken, ListedToken, PersonKey, Selection, SessionKey, StoreError, TokenId, TokenKept, TokenRow,
};

impl PostgresStore {
    pub(in crate::session) async fn keep_token(
        &self,
        row: &TokenRow,
        most: u32,
    ) -> Result<TokenKept, StoreError> {
        let (id, proof) = (row.key.id.as_slice(), row.key.proof.as_slice());
        let (networks, created_at) = (written(&row.networks), stored(row.created_at));
        let (expires_at, most) = (row.expires_at.map(stored), i64::from(most));
        let person = holding(&row.person);
        let parameters: [Parameter<'_>; 10] = [
            (&id, Type::BYTEA),
            (&proof, Type::BYTEA),
            (&row.person.issuer, Type::TEXT),
            (&row.person.subject, Type::TEXT),
            (&row.app, Type::TEXT),
            (&row.name, Type::TEXT),
            (&networks, Type::TEXT),
            (&created_at, Type::INT8),
            (&expires_at, Type::INT8),
            (&most, Type::INT8),
        ];
        let told = self.ask_all([(sql::HOLD_PERSON, &person), (sql::KEEP_TOKEN, &parameters)]).await?;
        Ok(match told.each_ref().map(Vec::is_empty) {
            [true, _] => TokenKept::Nobody,
            [false, true] => TokenKept::Full,
            [false, false] => TokenKept::Kept,
        })
    }

    pub(in crate::session) async fn find_token(
        &self,
        key: &SessionKey,
    ) -> Result<Option<FoundToken>, StoreError> {
        let parameters: [Parameter<'_>; 2] =
            [(&key.id.as_slice(), Type::BYTEA), (&key.proof.as_slice(), Type::BYTEA)];
        self.ask(sql::FIND_TOKEN, &parameters).await?.first().map(read_found).transpose()
    }

    pub(in crate::session) async fn tokens(
        &self,
        which: &Selection<'_>,
        after: Option<TokenId>,
        limit: u32,
    ) -> Result<Vec<ListedToken>, StoreError> {
        let (condition, values) = which.condition();
        let (after, limit) = (after.map_or(Vec::new(), |id| id.to_vec()), i64::from(limit));
        let mut parameters: Vec<Parameter<'_>> = values.iter().map(bound).collect();
        parameters.extend::<[Parameter<'_>; 2]>([(&after, Type::BYTEA), (&limit, Type::INT8)]);
        let list = sql::tokens(condition, parameters.len());
        self.ask(&list, &parameters).await?.iter().map(read_listed).collect()
    }

    pub(in crate::session) async fn revoke_tokens(
        &self,
        which: &Selection<'_>,
    ) -> Result<Vec<TokenId>, StoreError> {
        let (condition, values) = which.condition();
        let parameters: Vec<Parameter<'_>> = values.iter().map(bound).collect();
        self.ask(&sql::revoke_tokens(condition), &parameters).await?.iter().map(read_id).collect()
    }

    pub(in crate::session) async fn touch_tokens(&self, used: &[(TokenId, u64)]) -> Result<(), StoreError> {
        let (ids, times): (Vec<&[u8]>, Vec<i64>) =
            used.iter().map(|(id, time)| (id.as_slice(), stored(*time))).unzip();
        let parameters: [Parameter<'_>; 2] = [(&ids, Type::BYTEA_ARRAY), (&times, Type::INT8_ARRAY)];
        self.ask(sql::TOUCH_TOKENS, &parameters).await.map(drop)
    }

    pub(in crate::session) async fn trim_tokens(&self, time: u64) -> Result<(), StoreError> {
        self.ask(sql::TRIM_TOKENS, &[(&stored(time), Type::INT8)]).await.map(drop)
    }
}

/// The parameters of [`sql::HOLD_PERSON`].
pub(super) fn holding(person: &PersonKey) -> [Parameter<'_>; 2] {
    [(&person.issuer, Type::TEXT), (&person.subject, Type::TEXT)]
}

fn read_listed(row: &PgRow) -> Result<ListedToken, StoreError> {
    let token = read_token(row)?;
    let username = row.try_get(10).map_err(|_| damaged(&token.key.id, "username"))?;
    let disabled = row.try_get(11).map_err(|_| damaged(&token.key.id, "disabled_at"))?;
    Ok(ListedToken { row: token, username, disabled })
}

fn read_found(row: &PgRow) -> Result<FoundToken, StoreError> {
    let token = read_token(row)?;
    let id = token.key.id;
    let profile = row.try_get::<_, Option<Json<Profile>>>(10).map_err(|_| damaged(&id, "profile"))?;
    Ok(FoundToken {
        row: token,
        profile: profile.map(|Json(profile)| profile),
        vouched_at: seconds(row.try_get(11).map_err(|_| damaged(&id, "vouched_at"))?)?,
        disabled: row.try_get(12).map_err(|_| damaged(&id, "disabled_at"))?,
    })
}

fn read_token(row: &PgRow) -> Result<TokenRow, StoreError> {
    let id = read_id(row)?;
    let text = |index: usize, part: &str| row.try_get::<_, String>(index).map_err(|_| damaged(&id, part));
    let time =
        |index: usize, part: &str| row.try_get(index).map_err(|_| damaged(&id, part)).and_then(seconds);
    let proof: &[u8] = row.try_get(1).map_err(|_| damaged(&id, "proof"))?;
    let expires_at: Option<i64> = row.try_get(8).map_err(|_| damaged(&id, "expires_at"))?;
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
