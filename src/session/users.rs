//! The seam between who decides about users and where that is kept.

use async_trait::async_trait;

use crate::clock::UnixMillis;
use crate::session::claims::{Claims, ClaimsError, ClaimsPatch};
use crate::session::store::StoreError;
use crate::session::token::SessionId;
use crate::session::user::UserKey;
use crate::session::user_state::{Block, PatchLife, UnreadableState};

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

    /// Changes the claims of all sessions of the user, as one, and keeps the change for logins. What
    /// a lookup finds afterwards has it, on every gateway that learns of revocations; so has what a
    /// rotation makes.
    async fn change_claims(
        &self,
        user: &UserKey,
        patch: &ClaimsPatch,
        life: PatchLife,
    ) -> Result<ClaimsChange, StoreError>;

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

/// What came of a change of claims.
#[must_use]
#[derive(Debug, Clone, PartialEq)]
pub enum ClaimsChange {
    /// All have it.
    Done {
        /// How many sessions the user has.
        sessions: u64,
        /// The claims of the newest of them, or those that a login would get if it brought none.
        claims: Claims,
    },
    /// A session has more or longer claims than there may be, or the change has; nothing was written.
    Unfit(ClaimsError),
    /// Others changed the user's sessions all the time; nothing was written.
    Busy,
    /// This session's record cannot be read, and why; nothing was written.
    Unreadable(SessionId, &'static str),
    /// What is kept of the user cannot be read; nothing was written.
    UnreadableState(UnreadableState),
}
