//! Sessions by what the provider calls them. Knows neither tokens nor requests.

use super::store::StoreError;
use super::{Sessions, key_of};
use crate::visit::SessionHandle;

impl Sessions {
    /// Whether a handle's session lives, is of this issuer, and belongs to the provider's own session `sid`. Asks the
    /// store, as memory holds no `sid`.
    ///
    /// # Errors
    /// [`StoreError`] if the store could not tell.
    pub async fn is_of(
        &self,
        handle: &SessionHandle,
        issuer: &str,
        sid: &str,
        now: u64,
    ) -> Result<bool, StoreError> {
        let key = key_of(handle);
        let found = self.store.find(&key, now, self.settings.idle.as_secs());
        match self.ask(found, now).await {
            Ok(row) => {
                Ok(row.is_some_and(|row| row.profile.issuer == issuer && row.sid.as_deref() == Some(sid)))
            }
            // It counts as no session anywhere.
            Err(StoreError::Damaged(_)) => Ok(false),
            Err(error @ (StoreError::Unavailable(_) | StoreError::TooNew { .. } | StoreError::OtherKeys)) => {
                Err(error)
            }
        }
    }
}
