//! The sessions that a script may end or change.
//!
//! A script's keys have to be named before it runs. So one that is about all sessions of a user only
//! answers which ones there are until it is sent with their names.

use parking_lot::Mutex;

use crate::redis_client::Invocation;
use crate::session::token::Tag;
use crate::session::{SessionId, StoreError};
use crate::store::keys::Keys;

/// How often a call that has to know the user's sessions may find that others changed them
/// meanwhile. One of those who change them gets through each time.
pub(super) const ROUNDS: u32 = 256;

/// The sessions that the last round of a call may have ended or changed. They are announced whatever
/// comes of the call: Redis may have run the script, and only its answer be lost.
#[derive(Default)]
pub(super) struct AffectedSessions(Mutex<Round>);

#[derive(Default)]
struct Round {
    number: u32,
    sessions: Vec<SessionId>,
}

impl AffectedSessions {
    /// It is these.
    pub(super) fn set(&self, sessions: Vec<SessionId>) {
        self.0.lock().sessions = sessions;
    }

    /// Redis has answered that nothing was written.
    pub(super) fn none(&self) {
        self.set(Vec::new());
    }

    pub(super) fn named(&self) -> Vec<SessionId> {
        self.0.lock().sessions.clone()
    }

    pub(super) fn take(&self) -> Vec<SessionId> {
        std::mem::take(&mut self.0.lock().sessions)
    }

    /// Names them in a script.
    pub(super) fn add_to(&self, script: &mut Invocation<'_>, keys: &Keys) {
        for id in &self.0.lock().sessions {
            script.key(keys.session(id)).arg(&id.hash);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().sessions.is_empty()
    }

    /// Nothing was written, and the user has the sessions of these names: the next round.
    pub(super) fn again(&self, tag: Tag, names: Vec<Vec<u8>>) -> Result<(), StoreError> {
        self.set(session_ids(tag, names));
        self.next_round()
    }

    /// Another round with the same sessions.
    pub(super) fn next_round(&self) -> Result<(), StoreError> {
        let mut round = self.0.lock();
        round.number += 1;
        if round.number < ROUNDS {
            return Ok(());
        }
        Err(StoreError::new(
            "too many logins and changes of one user at the same time",
        ))
    }
}

/// The sessions of these names, which share the user's tag.
pub(super) fn session_ids(tag: Tag, names: impl IntoIterator<Item: AsRef<[u8]>>) -> Vec<SessionId> {
    names
        .into_iter()
        .filter_map(|name| {
            let hash = name.as_ref().try_into().ok()?;
            Some(SessionId { tag, hash })
        })
        .collect()
}
