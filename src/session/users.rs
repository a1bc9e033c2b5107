//! The seam between who decides about users and where that is kept.

use async_trait::async_trait;

use crate::clock::UnixMillis;
use crate::session::store::StoreError;
use crate::session::user::UserKey;
use crate::session::user_state::Block;

/// Changes what is kept of users. `SessionStore::create` obeys it.
#[async_trait]
pub trait Users: Send + Sync {
    /// Ends all sessions of the user and lets none come until then, as one; how many ended. It also
    /// works in a store that is full. A block that there was before is replaced.
    async fn block(
        &self,
        user: &UserKey,
        until: Option<UnixMillis>,
        reason: &str,
    ) -> Result<Blocked, StoreError>;

    /// Lets the user sign in again; the block that there was.
    async fn unblock(&self, user: &UserKey) -> Result<Option<Block>, StoreError>;
}

/// What came of a block.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blocked {
    /// It is in force.
    Done { block: Block, ended: u64 },
    /// Its end is past already; nothing was written.
    Over,
}
