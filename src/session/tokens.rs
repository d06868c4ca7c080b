//! The tokens of a session that lives. They are nowhere but in its row, sealed under its cookie. Knows no provider.

use zeroize::Zeroizing;

use super::store::StoreError;
use super::{Session, Sessions, key_of};
use crate::browser::Purpose;

impl Sessions {
    /// The tokens as the sign-in or the last renewal kept them; `None` if the session has ended, or no key opens them.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be asked.
    pub async fn tokens(
        &self,
        session: &Session,
        now: u64,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let handle = session.handle();
        let found = self.ask(self.store.find(&key_of(handle), now, u64::MAX), now).await?;
        Ok(found.and_then(|row| self.sealer.open(Purpose::Tokens, handle.secret(), &row.tokens)))
    }
}
