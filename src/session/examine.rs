//! A look at a store, for whoever wants to know what is wrong with it: nothing is made, changed or sealed. Knows no
//! settings but where it is.

use std::time::Duration;

use super::store::{Location, StoreError};
use crate::identity::Profile;

/// What a look at a store found.
#[derive(Debug)]
pub struct Found {
    /// How long one question took.
    pub latency: Duration,
    /// Whose tables there are.
    pub schema: Schema,
    /// Whether a change could be made, which was tried and taken back; why not, in the store's words.
    pub writable: Result<(), String>,
    /// The time by the store's own clock, in Unix microseconds; `None` where that is ours.
    pub clock: Option<i64>,
    /// What the store says of whose keys it is sealed with.
    pub keys: Option<String>,
    /// The person of whom the store keeps the most.
    pub largest: Option<Profile>,
}

/// Whose tables there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// None yet.
    Missing,
    /// Those of an older foregate, which the next start brings up to date.
    Older(i64),
    /// Those that this foregate makes.
    Current(i64),
    /// Those of a newer one.
    Newer(i64),
}

impl Schema {
    /// The tables of version `found`, where this program makes `known`.
    pub(super) fn of(found: i64, known: i64) -> Self {
        match found.cmp(&known) {
            std::cmp::Ordering::Less => Self::Older(found),
            std::cmp::Ordering::Equal => Self::Current(found),
            std::cmp::Ordering::Greater => Self::Newer(found),
        }
    }
}

impl Location {
    /// Looks at the store there, for [`EXAMINE_TIME`] at most. What a write would change is taken back.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if it cannot be reached or opened.
    pub async fn examine(&self) -> Result<Found, StoreError> {
        let looked = async {
            match self {
                #[cfg(feature = "sqlite")]
                Self::Sqlite(path) => {
                    let path = path.clone();
                    let look = tokio::task::spawn_blocking(move || super::sqlite::examine(&path));
                    look.await.map_err(|_| StoreError::Unavailable("the look broke off".to_owned()))?
                }
                #[cfg(feature = "sqlite")]
                Self::Memory => Ok(Found::empty(Duration::ZERO, Ok(()))),
                #[cfg(feature = "postgres")]
                Self::Postgres(url) => super::postgres::examine(url).await,
            }
        };
        tokio::time::timeout(EXAMINE_TIME, looked)
            .await
            .unwrap_or_else(|_| Err(StoreError::Unavailable("no answer in time".to_owned())))
    }
}

impl Found {
    /// A store without tables.
    pub(super) fn empty(latency: Duration, writable: Result<(), String>) -> Self {
        Self { latency, schema: Schema::Missing, writable, clock: None, keys: None, largest: None }
    }
}

/// How long a look may take.
pub const EXAMINE_TIME: Duration = Duration::from_secs(8);
