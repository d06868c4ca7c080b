//! Finding the person an operator means by a name. Knows nothing of who asks.

use super::Sessions;
use super::store::{Person, PersonKey, SessionStore, StoreError};

/// What an operator says of a person: a name, and where that fits several, which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meant<'a> {
    /// The name they sign in with.
    pub username: &'a str,
    /// The provider that knows them.
    pub issuer: Option<&'a str>,
    /// Its name for them.
    pub subject: Option<&'a str>,
}

/// Who that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Nobody who was ever seen.
    Nobody,
    /// This person.
    One(Box<Person>),
    /// Any of these, of whom the first few are told.
    Several(Vec<Person>),
}

impl SessionStore {
    /// The person who is meant, read page by page.
    ///
    /// # Errors
    ///
    /// As for [`Self::people`].
    pub async fn who(&self, meant: Meant<'_>) -> Result<Who, StoreError> {
        let start = meant.issuer.unwrap_or_default().to_owned();
        let mut after = PersonKey { issuer: start, subject: String::new() };
        let mut found = Vec::new();
        loop {
            let page = self.people(Some(meant.username), &after, PAGE).await?;
            let whole = page.len() == PAGE as usize;
            if let Some(last) = page.last() {
                after = last.key.clone();
            }
            found.extend(page.into_iter().filter(|person| meant.fits(&person.key)));
            if !whole || found.len() > MOST_TOLD {
                break;
            }
        }
        found.truncate(MOST_TOLD);
        Ok(match found.len() {
            0 => Who::Nobody,
            1 => Who::One(Box::new(found.swap_remove(0))),
            _ => Who::Several(found),
        })
    }
}

impl Sessions {
    /// The person who is meant.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be asked.
    pub async fn who(&self, meant: Meant<'_>, now: u64) -> Result<Who, StoreError> {
        self.ask(self.store.who(meant), now).await
    }
}

impl Meant<'_> {
    fn fits(&self, key: &PersonKey) -> bool {
        self.issuer.is_none_or(|issuer| issuer == key.issuer)
            && self.subject.is_none_or(|subject| subject == key.subject)
    }
}

/// People read at a time.
const PAGE: u32 = 200;
/// People of one name who are told.
const MOST_TOLD: usize = 20;
