//! The session store as an operator's commands use it: opened directly, with or without a running foregate, which then
//! learns of every change by the store's log. Needs no sealing keys.

use std::path::Path;

use super::progress::{Progress, during};
use crate::config::Config;
use crate::session::store::{
    Location, Person, PersonKey, REMOVED_AT_ONCE, Selection, SessionId, SessionStore,
};
use crate::session::{IdPrefix, Meant, Who, name_of};
use crate::wording::printable;

/// Opens the store that is there, and brings its tables up to date. A database file that is not there is not made.
pub(super) async fn open(config: &Config) -> anyhow::Result<SessionStore> {
    match &config.session.location {
        #[cfg(feature = "sqlite")]
        Location::Sqlite(path) => is_there(path)?,
        #[cfg(feature = "sqlite")]
        Location::Memory => {}
        #[cfg(feature = "postgres")]
        Location::Postgres(_) => {}
    }
    let store = SessionStore::open(&config.session.location)?;
    during("waiting for the session store", store.probe()).await?;
    Ok(store)
}

#[cfg_attr(not(feature = "sqlite"), expect(dead_code, reason = "only SQLite has a file"))]
fn is_there(path: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(
        path.exists(),
        "there is no session store at {}: nobody has signed in yet, or session.store names another file, also by another \
         working directory",
        path.display()
    );
    Ok(())
}

/// Sees that somebody of this name, if one is given, was ever here: a list of nothing would hide a slip.
pub(super) async fn ensure_known(store: &SessionStore, username: Option<&str>) -> anyhow::Result<()> {
    let Some(username) = username else { return Ok(()) };
    let known = store.people(Some(username), &PersonKey::default(), 1).await?;
    anyhow::ensure!(
        !known.is_empty(),
        "nobody of the name {} was ever seen here; `foregate user list` shows everybody",
        printable(username)
    );
    Ok(())
}

/// Ends every session selected and tells running foregates; says how many.
pub(super) async fn end(store: &SessionStore, which: &Selection<'_>) -> anyhow::Result<u64> {
    let (mut ended, mut progress) = (0, Progress::new());
    loop {
        let gone = store.remove_some(which).await?.len();
        ended += gone as u64;
        if gone > 0 {
            store.announce().await;
        }
        if gone < REMOVED_AT_ONCE {
            return Ok(ended);
        }
        progress.tell(&format!("{ended} sessions ended so far"));
    }
}

/// The one person who is meant.
pub(super) async fn person(store: &SessionStore, meant: Meant<'_>) -> anyhow::Result<Person> {
    match store.who(meant).await? {
        Who::One(person) => Ok(*person),
        Who::Nobody => anyhow::bail!(
            "nobody of the name {} was ever seen here; `foregate user list` shows everybody",
            printable(meant.username)
        ),
        Who::Several(people) => {
            let line = |one: &Person| {
                let PersonKey { issuer, subject } = &one.key;
                format!("\n  --issuer {} --subject {}", printable(issuer), printable(subject))
            };
            let all: String = people.iter().map(line).collect();
            anyhow::bail!("several people have the name {}; say which:{all}", printable(meant.username))
        }
    }
}

/// The one session whose name begins so.
pub(super) async fn session(store: &SessionStore, prefix: IdPrefix) -> anyhow::Result<SessionId> {
    if let Some(id) = prefix.whole() {
        return Ok(id);
    }
    let mut page = store.sessions(&Selection::All, prefix.before(), 2).await?;
    page.retain(|one| prefix.fits(&one.id));
    match page.as_slice() {
        [] => anyhow::bail!("there is no session whose id begins so"),
        [one] => Ok(one.id),
        [one, other, ..] => anyhow::bail!(
            "several sessions begin so, such as {} and {}: give more digits",
            name_of(&one.id),
            name_of(&other.id)
        ),
    }
}
