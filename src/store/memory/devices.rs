//! All sessions of a user, and of everybody.

use super::held::Value;
use super::store::MemorySessionStore;
use crate::session::token::tag_of;
use crate::session::{LoadedSession, Lookup, SessionCount, SessionId, UserKey};
use crate::store::forward::Forward;

impl MemorySessionStore {
    pub(super) fn list_now(&self, user: &UserKey) -> Vec<LoadedSession> {
        let (held, now) = self.at_now();
        let tag = tag_of(&self.naming, user);
        let index = held
            .index(&self.keys.user(tag, user))
            .cloned()
            .unwrap_or_default();
        let found = index.sessions.into_keys().filter_map(|hash| {
            match self.look_up(&held, &SessionId { tag, hash }, now) {
                Lookup::Found(loaded) => Some(loaded),
                Lookup::Gone | Lookup::Unreadable(_) => None,
            }
        });
        found.collect()
    }

    pub(super) fn remove_all_now(&self, user: &UserKey) -> u64 {
        let (mut held, _) = self.at_now();
        let tag = tag_of(&self.naming, user);
        let user_key = self.keys.user(tag, user);
        let index = held.index(&user_key).cloned().unwrap_or_default();
        held.remove(&user_key);
        let ended = index
            .sessions
            .keys()
            .filter(|hash| held.remove(&self.keys.session_of(tag, hash)));
        ended.count() as u64
    }

    pub(super) fn count_now(&self) -> SessionCount {
        let (held, _) = self.at_now();
        let sessions = held
            .entries
            .values()
            .filter(|entry| matches!(&entry.value, Value::Bytes(stored) if !Forward::is(stored)));
        let sessions = sessions.count() as u64;
        SessionCount {
            at_least: sessions,
            at_most: sessions,
        }
    }
}
