//! The seam between who uses a user's session_keys and where they are kept.

use async_trait::async_trait;

use crate::clock::UnixMillis;
use crate::session::model::SessionKey;
use crate::session::store::{StoreError, Written};
use crate::session::user::UserKey;

/// A user's session_keys, as long as the platform resets the newest.
#[derive(Debug)]
pub struct TakenKeys {
    /// Newest first; those that do not open are left out, with a warning.
    pub keys: Vec<SessionKey>,
    /// When they were taken, by the store's clock.
    pub at: UnixMillis,
    /// When the platform had reset the key before.
    pub reset_before: Option<UnixMillis>,
}

/// Keeps the newest session_keys of each user, as long as the user has a session.
/// `SessionStore::create` adds one.
#[async_trait]
pub trait SessionKeys: Send + Sync {
    /// The user's session_keys, newest first; those that do not open are left out, with a warning.
    async fn session_keys(&self, user: &UserKey) -> Result<Vec<SessionKey>, StoreError>;

    /// Takes all of them away before the platform resets the newest: whatever comes of that, none of
    /// them opens anything any more, and no login that began before brings one back.
    async fn take_session_keys(&self, user: &UserKey) -> Result<TakenKeys, StoreError>;

    /// Puts them back: the platform has surely not reset the key. Does nothing if there was another
    /// reset meanwhile.
    async fn return_session_keys(
        &self,
        user: &UserKey,
        taken: &TakenKeys,
    ) -> Result<(), StoreError>;

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
