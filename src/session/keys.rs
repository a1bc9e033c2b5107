//! The seam between who uses a user's session_keys and where they are kept.

use async_trait::async_trait;

use crate::session::model::SessionKey;
use crate::session::store::{StoreError, Written};
use crate::session::user::UserKey;

/// Keeps the newest session_keys of each user, as long as the user has a session.
/// `SessionStore::create` adds one.
#[async_trait]
pub trait SessionKeys: Send + Sync {
    /// The user's session_keys, newest first; those that do not open are left out, with a warning.
    async fn session_keys(&self, user: &UserKey) -> Result<Vec<SessionKey>, StoreError>;

    /// Puts this one, which a reset at the platform gave, into the place of all older ones, as one.
    /// Its reservation is the store's time after the reset: a login that began before may still
    /// bring the key that the reset has ended, and that is not kept. `Gone`: the user has no
    /// session any more.
    async fn reset_session_keys(
        &self,
        user: &UserKey,
        session_key: &SessionKey,
    ) -> Result<Written, StoreError>;
}
