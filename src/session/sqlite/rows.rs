//! Rows as what they are: whatever cannot be read is told of, and nothing of what it says.

use rusqlite::Row as SqlRow;

use crate::identity::Profile;
use crate::session::store::parts::{damaged, id, seconds};
use crate::session::store::{Listed, Person, PersonKey, Row, SessionId, SessionKey, StoreError};

pub(super) fn read_id(row: &SqlRow<'_>) -> Result<SessionId, StoreError> {
    let stored: Vec<u8> = row.get(0).map_err(|_| StoreError::Damaged("an id is not bytes".to_owned()))?;
    id(&stored)
}

/// Reads a row of a whole session.
pub(super) fn read(row: &SqlRow<'_>) -> Result<Row, StoreError> {
    let id = read_id(row)?;
    let time = |index: usize, part: &str| match row.get(index) {
        Ok(stored) => seconds(stored),
        Err(_) => Err(damaged(&id, part)),
    };
    let proof: Vec<u8> = row.get(1).map_err(|_| damaged(&id, "proof"))?;
    let profile: String = row.get(2).map_err(|_| damaged(&id, "profile"))?;
    let renew_at: Option<i64> = row.get(7).map_err(|_| damaged(&id, "renew_at"))?;
    Ok(Row {
        key: SessionKey { id, proof: proof.try_into().map_err(|_| damaged(&id, "proof"))? },
        profile: serde_json::from_str(&profile).map_err(|_| damaged(&id, "profile"))?,
        sid: row.get(3).map_err(|_| damaged(&id, "sid"))?,
        created_at: time(4, "created_at")?,
        last_seen: time(5, "last_seen")?,
        expires_at: time(6, "expires_at")?,
        renew_at: renew_at.map(seconds).transpose()?,
        version: time(8, "version")?,
        tokens: row.get(9).map_err(|_| damaged(&id, "tokens"))?,
        client: row.get(10).map_err(|_| damaged(&id, "client"))?,
        user_agent: row.get(11).map_err(|_| damaged(&id, "user_agent"))?,
    })
}

/// Reads a row of a whole session, and the store's own time behind it.
pub(super) fn read_leased(row: &SqlRow<'_>) -> Result<(Row, u64), StoreError> {
    let session = read(row)?;
    let at = seconds(row.get(12).map_err(|_| damaged(&session.key.id, "lease"))?)?;
    Ok((session, at))
}

/// Reads a row of a list of sessions.
pub(super) fn read_listed(row: &SqlRow<'_>) -> Result<Listed, StoreError> {
    let id = read_id(row)?;
    let time = |index: usize, part: &str| match row.get(index) {
        Ok(stored) => seconds(stored),
        Err(_) => Err(damaged(&id, part)),
    };
    let text = |index: usize, part: &str| row.get(index).map_err(|_| damaged(&id, part));
    Ok(Listed {
        id,
        person: PersonKey { issuer: text(1, "issuer")?, subject: text(2, "subject")? },
        username: text(3, "profile")?,
        created_at: time(4, "created_at")?,
        last_seen: time(5, "last_seen")?,
        expires_at: time(6, "expires_at")?,
        client: text(7, "client")?,
        user_agent: text(8, "user_agent")?,
    })
}

/// Reads whom a session is of.
pub(super) fn read_profile(row: &SqlRow<'_>) -> Result<Profile, StoreError> {
    let id = read_id(row)?;
    let profile: String = row.get(1).map_err(|_| damaged(&id, "profile"))?;
    serde_json::from_str(&profile).map_err(|_| damaged(&id, "profile"))
}

/// Reads a row of a list of people.
pub(super) fn read_person(row: &SqlRow<'_>) -> Result<Person, StoreError> {
    let bad = |_| StoreError::Damaged("a person cannot be read".to_owned());
    let disabled_at: Option<i64> = row.get(7).map_err(bad)?;
    Ok(Person {
        key: PersonKey { issuer: row.get(0).map_err(bad)?, subject: row.get(1).map_err(bad)? },
        username: row.get(2).map_err(bad)?,
        name: row.get(3).map_err(bad)?,
        email: row.get(4).map_err(bad)?,
        first_seen: seconds(row.get(5).map_err(bad)?)?,
        last_seen: seconds(row.get(6).map_err(bad)?)?,
        disabled_at: disabled_at.map(seconds).transpose()?,
        sessions: seconds(row.get(8).map_err(bad)?)?,
    })
}
