//! What operators do to users, counted.

use std::sync::Arc;

use crate::clock::UnixMillis;
use crate::crypto::encoding::base64url;
use crate::crypto::keyring::NamingKey;
use crate::metrics::{AppOperation, Metrics};
use crate::session::claims::ClaimsPatch;
use crate::session::store::{SessionStore, StoreError};
use crate::session::token;
use crate::session::user::UserKey;
use crate::session::user_state::{Block, PatchLife, UnreadableState, UserState};
use crate::session::users::{Blocked, ClaimsChange, Users};

/// Decides about users over a store.
pub struct UserService {
    pub store: Arc<dyn SessionStore>,
    pub users: Arc<dyn Users>,
    pub naming: Arc<NamingKey>,
    pub metrics: Arc<Metrics>,
}

impl UserService {
    /// The user's name in the log, which is the one in the store.
    pub fn name_of(&self, user: &UserKey) -> String {
        base64url(&token::name_of(&self.naming, user))
    }

    /// What is in force now.
    pub async fn state(
        &self,
        user: &UserKey,
    ) -> Result<Result<UserState, UnreadableState>, StoreError> {
        self.store.user_state(user).await
    }

    /// Ends all sessions of the user and lets none come until then.
    pub async fn block(
        &self,
        user: &UserKey,
        until: Option<UnixMillis>,
        reason: &str,
    ) -> Result<Blocked, StoreError> {
        let blocked = self.users.block(user, until, reason).await;
        let outcome = match &blocked {
            Ok(Blocked::Done { .. }) => "done",
            Ok(Blocked::Over) => "refused",
            Err(_) => "store_unavailable",
        };
        self.count(user, "block", outcome);
        blocked
    }

    /// Lets the user sign in again; the block that there was.
    pub async fn unblock(&self, user: &UserKey) -> Result<Option<Block>, StoreError> {
        let lifted = self.users.unblock(user).await;
        let outcome = match &lifted {
            Ok(Some(_)) => "done",
            Ok(None) => "nothing",
            Err(_) => "store_unavailable",
        };
        self.count(user, "unblock", outcome);
        lifted
    }

    /// Changes the claims of all sessions of the user.
    pub async fn change_claims(
        &self,
        user: &UserKey,
        patch: &ClaimsPatch,
        life: PatchLife,
    ) -> Result<ClaimsChange, StoreError> {
        let changed = self.users.change_claims(user, patch, life).await;
        let outcome = match &changed {
            Ok(ClaimsChange::Done { .. }) => "done",
            Ok(ClaimsChange::Unfit(_)) => "refused",
            Ok(ClaimsChange::Unreadable(..) | ClaimsChange::UnreadableState(_)) => "unreadable",
            Ok(ClaimsChange::Busy) => "busy",
            Err(_) => "store_unavailable",
        };
        self.count(user, "claims", outcome);
        changed
    }

    fn count(&self, user: &UserKey, operation: &'static str, outcome: &'static str) {
        let label = AppOperation {
            app: user.app.to_string(),
            operation,
            outcome,
        };
        self.metrics
            .session
            .user_changes
            .get_or_create(&label)
            .inc();
    }
}
