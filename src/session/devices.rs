//! The sessions of one user together: each is a device that is signed in.

use crate::session::service::{LiveSession, SessionService};
use crate::session::store::{SessionCount, StoreError, Written};
use crate::session::token::SessionId;
use crate::session::user::UserKey;

impl SessionService {
    /// The user's living sessions, newest first. Looking renews none of them.
    pub async fn devices(&self, user: &UserKey) -> Result<Vec<LiveSession>, StoreError> {
        let mut sessions: Vec<_> = self
            .store
            .list(user)
            .await?
            .into_iter()
            .map(LiveSession::from)
            .collect();
        sessions.sort_by_key(|live| std::cmp::Reverse((live.session.created, live.id)));
        Ok(sessions)
    }

    /// The living session of this name, whoever's it is. Looking does not renew it.
    pub async fn find(&self, id: &SessionId) -> Result<Option<LiveSession>, StoreError> {
        self.follow(id, false).await
    }

    /// Ends one of the user's sessions. `Gone`: there is none of this name, or it is somebody
    /// else's, and nothing tells these apart.
    pub async fn end_device(&self, user: &UserKey, id: &SessionId) -> Result<Written, StoreError> {
        match self.look_up(id).await? {
            // Whose a session is never changes, so nothing can happen between the look and the
            // write.
            Some(found) if found.session.user == *user => self.store.remove(id, user).await,
            _ => Ok(Written::Gone),
        }
    }

    /// Ends all sessions of the user, and with them every token that was rotated away; how many
    /// they were.
    pub async fn end_all(&self, user: &UserKey) -> Result<u64, StoreError> {
        self.store.remove_all(user).await
    }

    /// How many sessions there are in all, about.
    pub async fn total(&self) -> Result<SessionCount, StoreError> {
        self.store.count().await
    }
}
