//! The seam between the rules of sessions and where they are kept.

use std::time::Duration;

use async_trait::async_trait;

use crate::clock::UnixMillis;
use crate::limit::{Level, Limit};
use crate::session::claims::ClaimsError;
use crate::session::model::{LoadedSession, RecordStamp, Session, SessionKey};
use crate::session::token::SessionId;
use crate::session::user::UserKey;
use crate::session::user_state::{Block, PatchLife, UnreadableState, UserState};

/// The store could not answer: nothing is known about the session. Never to be mistaken for "there
/// is none".
#[derive(Debug, Clone, thiserror::Error)]
#[error("session store unavailable: {reason}")]
pub struct StoreError {
    /// For the log; never for a client.
    pub reason: String,
    /// Whether the store has answered, with an error; `false`: it is down, silent, or not to be
    /// found.
    pub answered: bool,
}

impl StoreError {
    /// Without an answer of the store; with its reason for the log.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            answered: false,
        }
    }
}

/// What came of a write.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is stored.
    Done,
    /// The session has ended in between; nothing was written and nothing came back to life.
    Gone,
    /// Somebody else was first; nothing was written.
    Stale,
}

/// What came of a lookup.
#[derive(Debug, Clone)]
pub enum Lookup {
    /// A living session.
    Found(LoadedSession),
    /// There is none: unknown, expired or revoked.
    Gone,
    /// There is a record, but it does not open: another key, changed, or from a release that writes
    /// another form.
    Unreadable(&'static str),
}

/// A login code's name in the store.
pub type LoginKey = [u8; 16];

/// The answer of a login, kept for a moment for a client that lost it.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The code's name.
    pub login: LoginKey,
    /// Proves the reservation.
    pub ticket: [u8; 16],
    /// The sealed answer.
    pub answer: Vec<u8>,
    /// How long it is kept.
    pub keep: Duration,
}

/// A session to be made.
#[derive(Debug)]
pub struct NewSession<'a> {
    /// Its name.
    pub id: SessionId,
    /// Its content.
    pub session: &'a Session,
    /// The idle timeout.
    pub idle: Duration,
    /// How many sessions the user may have; the oldest go. 0: no cap.
    pub max_per_user: u32,
    /// The session_key that the login brought, where the platform has one.
    pub session_key: Option<&'a SessionKey>,
    /// The limit that it counts against; its cell has the session's tag. A user over the limit gets
    /// no session and loses none.
    pub limit: Option<Limit>,
    /// Which changes of the user's claims it obeys.
    pub patches: PatchLife,
    /// The store keeps both or neither.
    pub settlement: Option<Settlement>,
}

/// A session that was made.
#[derive(Debug, Clone)]
pub struct CreatedSession {
    /// How long it lives if nobody uses it.
    pub expires_in: Duration,
    /// Sessions of the same user that had to go.
    pub evicted: Vec<SessionId>,
}

/// What came of making a session.
#[derive(Debug, Clone)]
pub enum Created {
    /// It is there.
    Made(CreatedSession),
    /// Its limit is used up; nothing was written.
    Limited(Level),
    /// The user is blocked; nothing was written.
    Blocked(Block),
    /// The claims that it brings and the changes that it has to obey break a limit together; nothing
    /// was written.
    Unfit(ClaimsError),
    /// Nobody knows whether the user is blocked; nothing was written.
    UnreadableState(UnreadableState),
}

/// A session's move to another token.
#[derive(Debug)]
pub struct Rotation<'a> {
    /// The name that goes.
    pub from: SessionId,
    /// The name that comes, with the same tag; drawn for this one call.
    pub to: SessionId,
    /// The session, which stays as it is.
    pub session: &'a Session,
    /// The record that it was read from.
    pub read: RecordStamp,
    /// The idle timeout, which begins anew.
    pub idle: Duration,
    /// Until when the old token still opens the session, by the store's clock.
    pub until: UnixMillis,
    /// The answer, sealed under the old token: kept until then for a client that lost it.
    pub answer: &'a [u8],
}

/// What came of a rotation.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotated {
    /// The session has its new name.
    Done {
        /// How long it lives if nobody uses it.
        expires_in: Duration,
    },
    /// Somebody else was first; nothing was written. The answer that they were given.
    Before {
        /// As in [`Rotation::answer`].
        answer: Vec<u8>,
    },
    /// The session has ended; nothing was written and nothing came back to life.
    Gone,
    /// The record is another one than the one that was read, since the session was changed; nothing
    /// was written.
    Changed,
}

/// How many sessions a store holds, as far as that can be known without looking at each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionCount {
    /// Not fewer, as far as the store's keys are those of users and sessions.
    pub at_least: u64,
    /// Not more.
    pub at_most: u64,
}

/// Keeps sessions. Every check-and-write is atomic; expiry is by the store's own clock; a write
/// never brings back a session that has ended; every call answers within its configured timeout.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// The store's time; also the cheapest proof that it answers.
    async fn now(&self) -> Result<UnixMillis, StoreError>;

    /// Makes a session, keeps the session_key's generation and evicts what is over the cap, as one.
    /// A blocked user gets none. The settlement's reservation then stands as before, and so it does
    /// for a user over the limit, for claims that do not fit and for a state that cannot be read.
    async fn create(&self, new: NewSession<'_>) -> Result<Created, StoreError>;

    /// What is known of a session without asking anybody; `None`: [`load`](Self::load) has to be
    /// asked. Most requests end here, so it makes no future, whose room they would all pay for.
    fn known(&self, id: &SessionId) -> Option<Lookup> {
        let _ = id;
        None
    }

    /// Looks a session up. Does not renew it. A token that was rotated away finds what its session
    /// is now; what was found in this way hangs on two keys, so whoever keeps copies must not keep
    /// this one.
    async fn load(&self, id: &SessionId) -> Result<Lookup, StoreError>;

    /// The same, from the store itself: for whoever writes what was read.
    async fn load_stored(&self, id: &SessionId) -> Result<Lookup, StoreError> {
        self.load(id).await
    }

    /// Moves the session's expiry to now + `idle`, at most `absolute_deadline`. `Stale`: it has
    /// moved to another token, and lives under that one.
    async fn renew(
        &self,
        id: &SessionId,
        user: &UserKey,
        idle: Duration,
        absolute_deadline: UnixMillis,
    ) -> Result<Written, StoreError>;

    /// Ends a session, under this name and under every other that it was given since. `Gone`: it
    /// had ended before.
    async fn remove(&self, id: &SessionId, user: &UserKey) -> Result<Written, StoreError>;

    /// The session has ended, but whoever ended it may not have told all gateways: this does.
    async fn announce_end(&self, id: &SessionId) {
        let _ = id;
    }

    /// Moves a session to another token, as one.
    async fn rotate(&self, rotation: Rotation<'_>) -> Result<Rotated, StoreError>;

    /// The user's living sessions, in no order.
    async fn list(&self, user: &UserKey) -> Result<Vec<LoadedSession>, StoreError>;

    /// Ends all sessions that the user has at this moment, as one; how many they were.
    async fn remove_all(&self, user: &UserKey) -> Result<u64, StoreError>;

    /// What an operator has decided about the user, and is still in force.
    async fn user_state(
        &self,
        user: &UserKey,
    ) -> Result<Result<UserState, UnreadableState>, StoreError>;

    /// How many sessions there are. The store scans nothing to find out.
    async fn count(&self) -> Result<SessionCount, StoreError>;
}
