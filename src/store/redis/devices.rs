//! All sessions of a user, and how many there are of everybody.

use futures_util::future::try_join_all;
use redis::cmd;

use super::affected::{AffectedSessions, session_ids};
use super::sessions::RedisStore;
use crate::redis_client::Request;
use crate::session::{LoadedSession, Lookup, SessionCount, SessionId, StoreError, UserKey};

/// Sessions whose records are read at once: an answer of some ten kilobytes.
pub(super) const AT_ONCE: usize = 100;

impl RedisStore {
    pub(super) async fn sessions_of(
        &self,
        user: &UserKey,
    ) -> Result<Vec<LoadedSession>, StoreError> {
        let mut found = Vec::new();
        for some in self.index_of(user).await?.chunks(AT_ONCE) {
            found.extend(self.read_some(some, user).await?);
        }
        Ok(found)
    }

    /// The names in the user's index, also of sessions that have just expired.
    pub(super) async fn index_of(&self, user: &UserKey) -> Result<Vec<SessionId>, StoreError> {
        let tag = self.keys.tag(user);
        let mut command = cmd("HGETALL");
        command.arg(self.keys.user(tag, user));
        let fields: Vec<(Vec<u8>, Vec<u8>)> =
            self.connector.call(&Request::Command(&command)).await?;
        Ok(session_ids(tag, fields.into_iter().map(|(name, _)| name)))
    }

    async fn read_some(
        &self,
        ids: &[SessionId],
        user: &UserKey,
    ) -> Result<Vec<LoadedSession>, StoreError> {
        let read = try_join_all(ids.iter().map(|id| self.read_session(id))).await?;
        let found = ids.iter().zip(read).filter_map(|(id, lookup)| match lookup {
            // The index is not sealed: whoever could write to it must not make a stranger's session
            // show up here.
            Lookup::Found(loaded) if loaded.session.user == *user => Some(loaded),
            Lookup::Found(_) | Lookup::Gone => None,
            Lookup::Unreadable(why) => {
                log::warn!(session = id.to_string().as_str(); "cannot read a session record: {why}");
                None
            }
        });
        Ok(found.collect())
    }

    /// Returns how many ended.
    pub(super) async fn remove_sessions_of(
        &self,
        user: &UserKey,
        affected: &AffectedSessions,
    ) -> Result<u64, StoreError> {
        let tag = self.keys.tag(user);
        loop {
            let mut script = self.scripts.remove_all.key(self.keys.user(tag, user));
            affected.add_to(&mut script, &self.keys);
            let (done, ended, others): (bool, u64, Vec<Vec<u8>>) = self
                .run_removal(&script, affected, |(_, ended, _)| *ended > 0)
                .await?;
            if done {
                return Ok(ended);
            }
            affected.again(tag, others)?;
        }
    }

    /// From the number of keys, which Redis knows without looking. A user who is signed in has one
    /// of their own, and one for each session. Keys of other kinds, such as the states of blocked
    /// users, are among them and make `at_least` too high. To leave them out would take a scan: a
    /// counter of sessions or states would have to change when a key expires, and Redis tells
    /// nobody in a way that could not be missed.
    pub(super) async fn count_keys(&self) -> Result<SessionCount, StoreError> {
        let sizes: Vec<u64> = self
            .connector
            .call_all(&Request::Command(&cmd("DBSIZE")))
            .await?;
        let keys: u64 = sizes.iter().sum();
        Ok(SessionCount {
            at_least: keys.div_ceil(2),
            at_most: keys.saturating_sub(1),
        })
    }
}
