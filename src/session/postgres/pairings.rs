//! Pairings in PostgreSQL. Knows rows, not who decides.

use tokio_postgres::Row as PgRow;
use tokio_postgres::types::Type;

use super::statements as sql;
use super::tokens::holding;
use super::{Parameter, PostgresStore};
use crate::session::store::parts::{seconds, stored};
use crate::session::store::tokens::written;
use crate::session::store::{
    PairingRow, PairingState, PersonKey, Room, SessionKey, StoreError, TokenRow, WaitingPairing,
};

impl PostgresStore {
    pub(in crate::session) async fn keep_pairing(
        &self,
        row: &PairingRow,
        room: Room,
    ) -> Result<bool, StoreError> {
        let (id, proof, user_code) =
            (row.key.id.as_slice(), row.key.proof.as_slice(), row.user_code.as_slice());
        let times = [row.created_at, row.expires_at].map(stored);
        let room = [room.all, room.one].map(i64::from);
        let parameters: [Parameter<'_>; 11] = [
            (&id, Type::BYTEA),
            (&proof, Type::BYTEA),
            (&user_code, Type::BYTEA),
            (&row.app, Type::TEXT),
            (&row.name, Type::TEXT),
            (&row.client, Type::TEXT),
            (&row.origin, Type::TEXT),
            (&times[0], Type::INT8),
            (&times[1], Type::INT8),
            (&room[0], Type::INT8),
            (&room[1], Type::INT8),
        ];
        Ok(!self.ask(sql::KEEP_PAIRING, &parameters).await?.is_empty())
    }

    pub(in crate::session) async fn waiting_pairing(
        &self,
        user_code: &[u8; 32],
        now: u64,
    ) -> Result<Option<WaitingPairing>, StoreError> {
        let (user_code, now) = (user_code.as_slice(), stored(now));
        let parameters: [Parameter<'_>; 2] = [(&user_code, Type::BYTEA), (&now, Type::INT8)];
        self.ask(sql::WAITING_PAIRING, &parameters).await?.first().map(read_waiting).transpose()
    }

    pub(in crate::session) async fn approve_pairing(
        &self,
        user_code: &[u8; 32],
        person: &PersonKey,
        now: u64,
    ) -> Result<bool, StoreError> {
        let (user_code, now) = (user_code.as_slice(), stored(now));
        let parameters: [Parameter<'_>; 4] = [
            (&user_code, Type::BYTEA),
            (&now, Type::INT8),
            (&person.issuer, Type::TEXT),
            (&person.subject, Type::TEXT),
        ];
        Ok(!self.ask(sql::APPROVE_PAIRING, &parameters).await?.is_empty())
    }

    pub(in crate::session) async fn refuse_pairing(
        &self,
        user_code: &[u8; 32],
        now: u64,
    ) -> Result<bool, StoreError> {
        let (user_code, now) = (user_code.as_slice(), stored(now));
        let parameters: [Parameter<'_>; 2] = [(&user_code, Type::BYTEA), (&now, Type::INT8)];
        Ok(!self.ask(sql::REFUSE_PAIRING, &parameters).await?.is_empty())
    }

    pub(in crate::session) async fn poll_pairing(
        &self,
        key: &SessionKey,
    ) -> Result<Option<PairingState>, StoreError> {
        let parameters: [Parameter<'_>; 2] =
            [(&key.id.as_slice(), Type::BYTEA), (&key.proof.as_slice(), Type::BYTEA)];
        self.ask(sql::POLL_PAIRING, &parameters).await?.first().map(read_state).transpose()
    }

    pub(in crate::session) async fn collect_pairing(
        &self,
        key: &SessionKey,
        token: &TokenRow,
        most: u32,
    ) -> Result<bool, StoreError> {
        let (id, proof) = (token.key.id.as_slice(), token.key.proof.as_slice());
        let (networks, now) = (written(&token.networks), stored(token.created_at));
        let (expires_at, most) = (token.expires_at.map(stored), i64::from(most));
        let person = holding(&token.person);
        let parameters: [Parameter<'_>; 12] = [
            (&key.id.as_slice(), Type::BYTEA),
            (&key.proof.as_slice(), Type::BYTEA),
            (&id, Type::BYTEA),
            (&proof, Type::BYTEA),
            (&token.person.issuer, Type::TEXT),
            (&token.person.subject, Type::TEXT),
            (&token.app, Type::TEXT),
            (&token.name, Type::TEXT),
            (&networks, Type::TEXT),
            (&now, Type::INT8),
            (&expires_at, Type::INT8),
            (&most, Type::INT8),
        ];
        let [_, token] =
            self.ask_all([(sql::HOLD_PERSON, &person), (sql::COLLECT_PAIRING, &parameters)]).await?;
        Ok(!token.is_empty())
    }

    pub(in crate::session) async fn trim_pairings(&self, time: u64) -> Result<(), StoreError> {
        self.ask(sql::TRIM_PAIRINGS, &[(&stored(time), Type::INT8)]).await.map(drop)
    }
}

fn read_waiting(row: &PgRow) -> Result<WaitingPairing, StoreError> {
    let text = |index: usize| row.try_get::<_, String>(index).map_err(|_| damaged());
    let created_at = seconds(row.try_get(3).map_err(|_| damaged())?)?;
    Ok(WaitingPairing { app: text(0)?, name: text(1)?, client: text(2)?, created_at })
}

fn read_state(row: &PgRow) -> Result<PairingState, StoreError> {
    let (issuer, subject): (Option<String>, Option<String>) =
        (row.try_get(2).map_err(|_| damaged())?, row.try_get(3).map_err(|_| damaged())?);
    Ok(PairingState {
        app: row.try_get(0).map_err(|_| damaged())?,
        name: row.try_get(1).map_err(|_| damaged())?,
        person: issuer.zip(subject).map(|(issuer, subject)| PersonKey { issuer, subject }),
        refused: row.try_get(4).map_err(|_| damaged())?,
        expires_at: seconds(row.try_get(5).map_err(|_| damaged())?)?,
        pause: row.try_get(6).map_err(|_| damaged())?,
    })
}

fn damaged() -> StoreError {
    StoreError::Damaged("a pairing cannot be read".to_owned())
}
