//! A look at a database without making or changing anything in it: one transaction that is taken back. Knows no
//! sessions but the size of what is kept of people.

use tokio::time::Instant;
use tokio_postgres::types::{Json, Type};
use tokio_postgres::{Client, Transaction};

use super::{MIGRATIONS, fill_in, sql, stored, tls, told};
use crate::identity::Profile;
use crate::secret::Secret;
use crate::session::examine::{Found, Schema};
use crate::session::outage::KEYS_FACT;
use crate::session::store::StoreError;

/// Looks at the database at `url`.
pub(in crate::session) async fn examine(url: &Secret) -> Result<Found, StoreError> {
    let (mut config, trust) = tls::read(url)?;
    fill_in(&mut config);
    let (mut client, connection) =
        config.connect(tls::connector(trust)?).await.map_err(|error| told(&error))?;
    let look = look(&mut client);
    tokio::select! {
        found = look => found,
        broken = connection => Err(match broken {
            Ok(()) => StoreError::Unavailable("PostgreSQL closed the connection".to_owned()),
            Err(error) => told(&error),
        }),
    }
}

async fn look(client: &mut Client) -> Result<Found, StoreError> {
    let looked = async {
        let look = client.transaction().await?;
        look.batch_execute(sql::LOOK_BRIEFLY).await?;
        let asked = Instant::now();
        let clock: i64 = look.query_typed_one(sql::NOW, &[]).await?.try_get(0)?;
        let latency = asked.elapsed();
        let is_new: bool = look.query_typed_one(sql::IS_NEW, &[]).await?.try_get(0)?;
        let mut found = Found { clock: Some(clock), ..Found::empty(latency, Ok(())) };
        if !is_new {
            let version: i64 = look.query_typed_one(sql::VERSION, &[]).await?.try_get(0)?;
            found.schema = Schema::of(version, stored(MIGRATIONS.len() as u64));
        }
        if matches!(found.schema, Schema::Current(_)) {
            let facts = look.query_typed(sql::SHOW_FACT, &[(&KEYS_FACT, Type::TEXT)]).await?;
            found.keys = facts.first().and_then(|row| row.try_get(0).ok());
        }
        found.writable = takes_changes(&look, found.schema).await;
        if matches!(found.schema, Schema::Current(_)) {
            // The last question, as one that takes too long spoils the transaction, and is no fault of the store.
            let largest = look.query_typed(sql::LARGEST, &[]).await.unwrap_or_else(|_| Vec::new());
            let profile = largest.first().and_then(|row| row.try_get::<_, Json<Profile>>(0).ok());
            found.largest = profile.map(|Json(profile)| profile);
        }
        // Taken back also by an end of the connection; said here, so that nothing lies open meanwhile.
        look.rollback().await?;
        Ok(found)
    };
    looked.await.map_err(|error: tokio_postgres::Error| told(&error))
}

/// Whether foregate could make its changes, which are only tried.
async fn takes_changes(look: &Transaction<'_>, schema: Schema) -> Result<(), String> {
    let tried = match schema {
        Schema::Missing | Schema::Older(_) => look.batch_execute(sql::TRY_TABLE).await,
        Schema::Current(_) | Schema::Newer(_) => look.batch_execute(sql::TRY_FACT).await,
    };
    tried.map_err(|error| told(&error).to_string())?;
    if !matches!(schema, Schema::Current(_)) {
        return Ok(());
    }
    let row = look.query_typed_one(sql::NOT_OURS, &[]).await.map_err(|error| told(&error).to_string())?;
    match row.try_get::<_, Option<String>>(0) {
        Ok(None) => Ok(()),
        Ok(Some(tables)) => Err(format!("this role may not read and change {tables}")),
        Err(error) => Err(told(&error).to_string()),
    }
}
