//! The store: whether it answers, whose tables it has, whether it takes changes, and whose keys it is sealed with.

use super::Sheet;
use crate::browser::Sealer;
use crate::config::{Config, KeysError, keys_at_hand};
use crate::http::unix_now;
use crate::identity::Profile;
use crate::session::examine::{Found, Schema};
use crate::session::store::{Location, StoreError};

/// Looks at the store. The keys, where there are any, and the person of whom it keeps the most.
pub(super) async fn examine(config: &Config, sheet: &mut Sheet<'_>) -> (Option<Sealer>, Option<Profile>) {
    let place = &config.session.location;
    let sealer = keys(config, sheet);
    let found = match place.examine().await {
        Ok(found) => found,
        Err(error) => {
            sheet.fail("reachable", error.to_string(), reach_fix(place));
            for name in ["schema", "writable", "sealing keys"] {
                sheet.skip(name, "the store cannot be asked");
            }
            return (sealer, None);
        }
    };
    let answers = if found.latency.is_zero() {
        "not there yet".to_owned()
    } else {
        format!("answers in {:.1?}", found.latency)
    };
    sheet.ok("reachable", format!("{}, {answers}", name_of(place)));
    schema(&found, sheet);
    match &found.writable {
        Ok(()) => sheet.ok("writable", "a change was tried and taken back"),
        Err(why) => sheet.fail("writable", why.as_str(), write_fix(place)),
    }
    if let Some(micros) = found.clock {
        clock(micros, sheet);
    }
    agree(sealer.as_ref(), &found, sheet);
    (sealer, found.largest)
}

fn keys(config: &Config, sheet: &mut Sheet<'_>) -> Option<Sealer> {
    let keys = match keys_at_hand(&config.session) {
        Ok(keys) => keys,
        Err(error) => {
            let fix = match &error {
                KeysError::Missing => {
                    "write the output of `foregate session new-key` into a file, and name it in session.keys_file"
                }
                KeysError::NoRandomness => "repair the system's source of random numbers",
                KeysError::File { .. } => "let foregate's user read the file",
                KeysError::Damaged(_) => "restore the file: without it all sessions end",
            };
            sheet.fail("keys", error.to_string(), fix);
            return None;
        }
    };
    if keys.is_empty() {
        sheet.ok("keys", "none yet; the first start makes one beside the database");
        return None;
    }
    match Sealer::new(&keys) {
        Ok(sealer) => {
            sheet.ok("keys", format!("{} at hand", keys.len()));
            Some(sealer)
        }
        Err(error) => {
            sheet.fail("keys", error.to_string(), "make one with `foregate session new-key`");
            None
        }
    }
}

fn schema(found: &Found, sheet: &mut Sheet<'_>) {
    match found.schema {
        Schema::Missing => sheet.ok("schema", "no tables yet; the first start makes them"),
        Schema::Older(version) => {
            sheet.ok("schema", format!("version {version}; the next start brings it up to date"));
        }
        Schema::Current(version) => sheet.ok("schema", format!("version {version}, as this foregate has it")),
        Schema::Newer(version) => sheet.fail(
            "schema",
            format!("version {version}, made by a newer foregate"),
            "run the newer foregate, or restore the database of before the upgrade",
        ),
    }
}

/// Sessions end by this machine's clock, and changes are told by the store's.
fn clock(micros: i64, sheet: &mut Sheet<'_>) {
    let theirs = u64::try_from(micros / 1_000_000).unwrap_or(0);
    let apart = unix_now().abs_diff(theirs);
    if apart < STORE_CLOCK_SECONDS {
        sheet.ok("clock", "the store's clock agrees with ours");
    } else {
        let seen = format!("the store's clock and ours are {apart} seconds apart");
        sheet.warn("clock", seen, "set both by NTP");
    }
}

fn agree(sealer: Option<&Sealer>, found: &Found, sheet: &mut Sheet<'_>) {
    match (sealer, &found.keys) {
        (Some(sealer), Some(named)) if !sealer.key_names().contains(named) => {
            sheet.fail("sealing keys", StoreError::OtherKeys.to_string(), KEYS_FIX);
        }
        (None, Some(_)) => {
            sheet.fail("sealing keys", "the store is sealed with a key that is not here", KEYS_FIX)
        }
        (Some(_), Some(_)) => sheet.ok("sealing keys", "those that the store is sealed with"),
        (Some(_) | None, None) => sheet.ok("sealing keys", "nothing is sealed in the store yet"),
    }
}

fn name_of(place: &Location) -> String {
    match place {
        #[cfg(feature = "sqlite")]
        Location::Sqlite(path) => format!("SQLite, {}", path.display()),
        #[cfg(feature = "sqlite")]
        Location::Memory => "SQLite in memory".to_owned(),
        #[cfg(feature = "postgres")]
        Location::Postgres(_) => "PostgreSQL".to_owned(),
    }
}

fn reach_fix(place: &Location) -> &'static str {
    match place {
        #[cfg(feature = "sqlite")]
        Location::Sqlite(_) | Location::Memory => {
            "name a file in session.store that is an SQLite database and that foregate's user may open"
        }
        #[cfg(feature = "postgres")]
        Location::Postgres(_) => {
            "see that PostgreSQL runs there, and that session.store has the right host, port, user, password, database and sslmode"
        }
    }
}

fn write_fix(place: &Location) -> &'static str {
    match place {
        #[cfg(feature = "sqlite")]
        Location::Sqlite(_) | Location::Memory => {
            "let foregate's user write the file and its directory, make room on the disk, or name another place in session.store"
        }
        #[cfg(feature = "postgres")]
        Location::Postgres(_) => {
            "name a server that takes changes, and let the role make and change tables: GRANT CREATE, USAGE ON SCHEMA public TO …"
        }
    }
}

/// From here on a clock is told of: far more than any question takes.
const STORE_CLOCK_SECONDS: u64 = 30;
const KEYS_FIX: &str = "give every foregate on this store the same keys, or give up its sessions with `foregate session revoke --all`";
