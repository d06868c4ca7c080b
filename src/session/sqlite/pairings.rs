//! Pairings in SQLite. Knows rows, not who decides.

use rusqlite::{Row as SqlRow, params};

use super::statements as sql;
use super::{SqliteStore, gathered, rows};
use crate::session::store::parts::{seconds, stored};
use crate::session::store::{
    PairingRow, PairingState, PersonKey, Room, SessionKey, StoreError, TokenKept, TokenRow, WaitingPairing,
};

impl SqliteStore {
    pub(in crate::session) async fn keep_pairing(
        &self,
        row: &PairingRow,
        room: Room,
    ) -> Result<bool, StoreError> {
        let row = row.clone();
        self.change(move |change| {
            let times = (stored(row.created_at), stored(row.expires_at));
            let values = params![
                row.key.id,
                row.key.proof,
                row.user_code,
                row.app,
                row.name,
                row.client,
                row.origin,
                times.0,
                times.1,
                room.all,
                room.one,
            ];
            Ok(change.execute(sql::KEEP_PAIRING, values)? > 0)
        })
        .await
    }

    pub(in crate::session) async fn waiting_pairing(
        &self,
        user_code: &[u8; 32],
        now: u64,
    ) -> Result<Option<WaitingPairing>, StoreError> {
        let (user_code, now) = (*user_code, stored(now));
        self.answer(&self.reader, move |connection| {
            Ok(rows(connection, sql::WAITING_PAIRING, params![user_code, now], read_waiting)?.pop())
        })
        .await
    }

    pub(in crate::session) async fn approve_pairing(
        &self,
        user_code: &[u8; 32],
        person: &PersonKey,
        now: u64,
    ) -> Result<bool, StoreError> {
        let (user_code, person, now) = (*user_code, person.clone(), stored(now));
        self.change(move |change| {
            let values = params![user_code, now, person.issuer, person.subject];
            Ok(change.execute(sql::APPROVE_PAIRING, values)? > 0)
        })
        .await
    }

    pub(in crate::session) async fn refuse_pairing(
        &self,
        user_code: &[u8; 32],
        now: u64,
    ) -> Result<bool, StoreError> {
        let (user_code, now) = (*user_code, stored(now));
        self.change(move |change| Ok(change.execute(sql::REFUSE_PAIRING, params![user_code, now])? > 0)).await
    }

    pub(in crate::session) async fn poll_pairing(
        &self,
        key: &SessionKey,
    ) -> Result<Option<PairingState>, StoreError> {
        let key = *key;
        let polled = self.change(move |change| {
            let state = gathered(change, sql::FIND_PAIRING, params![key.id, key.proof], read_state)?.pop();
            change.execute(sql::NOTE_POLL, params![key.id, key.proof])?;
            Ok(state)
        });
        polled.await?.transpose()
    }

    pub(in crate::session) async fn collect_pairing(
        &self,
        key: &SessionKey,
        token: &TokenRow,
        most: u32,
    ) -> Result<bool, StoreError> {
        let (key, token) = (*key, token.clone());
        self.change(move |change| {
            let (person, now) = (&token.person, stored(token.created_at));
            let ended = params![key.id, key.proof, person.issuer, person.subject, now];
            if change.execute(sql::END_PAIRING, ended)? == 0 {
                return Ok(false);
            }
            Ok(super::tokens::keep(change, &token, most)? == TokenKept::Kept)
        })
        .await
    }

    pub(in crate::session) async fn trim_pairings(&self, time: u64) -> Result<(), StoreError> {
        let time = stored(time);
        self.change(move |change| change.execute(sql::TRIM_PAIRINGS, params![time]).map(drop)).await
    }
}

fn read_waiting(row: &SqlRow<'_>) -> Result<WaitingPairing, StoreError> {
    let text = |index: usize| row.get::<_, String>(index).map_err(|_| damaged());
    let created_at = seconds(row.get(3).map_err(|_| damaged())?)?;
    Ok(WaitingPairing { app: text(0)?, name: text(1)?, client: text(2)?, created_at })
}

fn read_state(row: &SqlRow<'_>) -> Result<PairingState, StoreError> {
    let (issuer, subject): (Option<String>, Option<String>) =
        (row.get(2).map_err(|_| damaged())?, row.get(3).map_err(|_| damaged())?);
    Ok(PairingState {
        app: row.get(0).map_err(|_| damaged())?,
        name: row.get(1).map_err(|_| damaged())?,
        person: issuer.zip(subject).map(|(issuer, subject)| PersonKey { issuer, subject }),
        refused: row.get(4).map_err(|_| damaged())?,
        expires_at: seconds(row.get(5).map_err(|_| damaged())?)?,
        pause: row.get(6).map_err(|_| damaged())?,
    })
}

fn damaged() -> StoreError {
    StoreError::Damaged("a pairing cannot be read".to_owned())
}
