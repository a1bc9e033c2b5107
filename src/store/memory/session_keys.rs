//! The session_keys in a user's hash.

use async_trait::async_trait;

use super::store::MemoryStore;
use crate::session::{SessionKey, SessionKeys, StoreError, TakenKeys, UserKey, Written};

#[async_trait]
impl SessionKeys for MemoryStore {
    async fn session_keys(&self, user: &UserKey) -> Result<Vec<SessionKey>, StoreError> {
        self.run("session_keys", |entries, _| {
            let key = self.keys.of_user(user);
            let generations = entries.index(&key).generations;
            Ok(self.sealer.open_generations(&key, generations.kept()))
        })
    }

    async fn take_session_keys(&self, user: &UserKey) -> Result<TakenKeys, StoreError> {
        self.run("take_session_keys", |entries, now| {
            let key = self.keys.of_user(user);
            let (taken, reset_before) =
                entries.update_index(&key, now, |index| index.generations.take(now));
            Ok(TakenKeys {
                keys: self.sealer.open_generations(&key, &taken),
                at: now,
                reset_before,
            })
        })
    }

    async fn return_session_keys(
        &self,
        user: &UserKey,
        taken: &TakenKeys,
    ) -> Result<(), StoreError> {
        self.run("return_session_keys", |entries, now| {
            let key = self.keys.of_user(user);
            let sealed = self.sealer.seal_generations(&key, user, &taken.keys);
            entries.update_index(&key, now, |index| {
                index
                    .generations
                    .put_back(sealed, taken.at, taken.reset_before);
            });
            Ok(())
        })
    }

    async fn reset_session_keys(
        &self,
        user: &UserKey,
        session_key: &SessionKey,
    ) -> Result<Written, StoreError> {
        self.run("reset_session_keys", |entries, now| {
            let key = self.keys.of_user(user);
            let sealed = self.sealer.seal_generation(&key, user, session_key);
            let is_gone = entries.update_index(&key, now, |index| {
                index.generations.reset(sealed);
                index.sessions.is_empty()
            });
            Ok(if is_gone {
                Written::Gone
            } else {
                Written::Done
            })
        })
    }
}
