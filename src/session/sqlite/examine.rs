//! A look at a database file without making or changing it. Knows no sessions but the size of what is kept of people.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _};
use tokio::time::Instant;

use super::{MIGRATIONS, connect, sql, told};
use crate::session::examine::{Found, Schema};
use crate::session::names::name_of;
use crate::session::outage::KEYS_FACT;
use crate::session::store::StoreError;
use crate::session::store::parts::stored;

/// Looks at the database at `path`; one that is not there yet is not made, only whether it could be.
pub(in crate::session) fn examine(path: &Path) -> Result<Found, StoreError> {
    let path = std::path::absolute(path).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    if !path.exists() {
        return Ok(Found::empty(Duration::ZERO, has_room_beside(&path)));
    }
    let connection = connect(&path)?;
    let asked = Instant::now();
    let is_new: bool =
        connection.query_row(sql::IS_NEW, (), |row| row.get(0)).map_err(|error| told(&error))?;
    let latency = asked.elapsed();
    // SQLite keeps its log in files beside the database.
    let writable = has_room_beside(&path).and_then(|()| takes_changes(&connection));
    if is_new {
        return Ok(Found::empty(latency, writable));
    }
    let look = || {
        let version: i64 = connection.query_row(sql::VERSION, (), |row| row.get(0))?;
        let schema = Schema::of(version, stored(MIGRATIONS.len() as u64));
        if !matches!(schema, Schema::Current(_)) {
            return Ok(Found { schema, ..Found::empty(latency, writable.clone()) });
        }
        let keys = connection.query_row(sql::FACT, [KEYS_FACT], |row| row.get(0)).optional()?;
        let largest: Option<String> = connection.query_row(sql::LARGEST, (), |row| row.get(0)).optional()?;
        let largest = largest.and_then(|profile| serde_json::from_str(&profile).ok());
        Ok(Found { latency, schema, writable: writable.clone(), clock: None, keys, largest })
    };
    look().map_err(|error: rusqlite::Error| told(&error))
}

/// Whether a file can be made beside the database, and filled: one is, and removed at once. A change of the database that is taken
/// back never reaches the disk, so that it passes on a full one.
fn has_room_beside(path: &Path) -> Result<(), String> {
    let mark: [u8; 16] = crate::session::random().map_err(|error| error.to_string())?;
    let dir = path.parent().unwrap_or_else(|| Path::new("/"));
    let file = dir.join(format!(".foregate-check-{}", name_of(&mark)));
    let made = OpenOptions::new().write(true).create_new(true).open(&file);
    let filled = made.and_then(|mut made| {
        let filled = made.write_all(&[0; ROOM_BYTES]).and_then(|()| made.sync_all());
        std::fs::remove_file(&file).and(filled)
    });
    filled.map_err(|error| format!("{}: {error}", dir.display()))
}

/// Whether the database takes a change: one is begun, and taken back.
fn takes_changes(connection: &Connection) -> Result<(), String> {
    let tried = connection.execute_batch("BEGIN IMMEDIATE; CREATE TABLE foregate_check (tried); ROLLBACK");
    tried.map_err(|error| format!("SQLite: {error}"))
}

/// Room that there must be for a few sign-ins.
const ROOM_BYTES: usize = 64 * 1024;
