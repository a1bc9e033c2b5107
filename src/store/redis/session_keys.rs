//! The session_keys in a user's hash.

use async_trait::async_trait;
use redis::cmd;

use super::sessions::RedisStore;
use crate::clock::UnixMillis;
use crate::crypto::random;
use crate::redis_client::Request;
use crate::session::{SessionKey, SessionKeys, StoreError, TakenKeys, UserKey, Written};
use crate::store::generation;

/// A user's session_keys as they are stored, newest first, and when the platform last reset them.
type StoredKeys = (Option<Vec<u8>>, Option<Vec<u8>>, Option<u64>);

impl RedisStore {
    /// Reads the keys, and takes them away if they are still there. A login may come between, and
    /// then others are read.
    async fn take_what_is_there(&self, user: &UserKey) -> Result<TakenKeys, StoreError> {
        let key = self.keys.of_user(user);
        let ticket: [u8; 16] = random::bytes();
        let mut command = cmd("HMGET");
        command.arg(&key).arg(&generation::FIELDS).arg("kr");
        loop {
            let (newest, other, reset_before): StoredKeys =
                self.connector.call(&Request::Command(&command)).await?;
            let mut script = self.scripts.take_keys.key(&key);
            script.arg(&ticket);
            for generation in [&newest, &other] {
                script.arg(generation.as_deref().unwrap_or_default());
            }
            let before = reset_before.map(|before| before.to_string());
            script.arg(before.unwrap_or_default());
            let taken: Option<u64> = self.run(&script).await?;
            if let Some(at) = taken {
                let stored: Vec<_> = [newest, other].into_iter().flatten().collect();
                return Ok(TakenKeys {
                    keys: self.sealer.open_generations(&key, &stored),
                    at: UnixMillis(at),
                    reset_before: reset_before.map(UnixMillis),
                });
            }
        }
    }
}

#[async_trait]
impl SessionKeys for RedisStore {
    async fn session_keys(&self, user: &UserKey) -> Result<Vec<SessionKey>, StoreError> {
        let read = async {
            let key = self.keys.of_user(user);
            let mut command = cmd("HMGET");
            command.arg(&key).arg(&generation::FIELDS);
            let stored: Vec<Option<Vec<u8>>> =
                self.connector.call(&Request::Command(&command)).await?;
            let stored: Vec<_> = stored.into_iter().flatten().collect();
            Ok(self.sealer.open_generations(&key, &stored))
        };
        self.meter.watch("session_keys", read).await
    }

    async fn take_session_keys(&self, user: &UserKey) -> Result<TakenKeys, StoreError> {
        let take = self.in_time(self.take_what_is_there(user));
        self.meter.watch("take_session_keys", take).await
    }

    async fn return_session_keys(
        &self,
        user: &UserKey,
        taken: &TakenKeys,
    ) -> Result<(), StoreError> {
        let put_back = async {
            let key = self.keys.of_user(user);
            let mut script = self.scripts.return_keys.key(&key);
            script.arg(taken.at.0);
            let before = taken.reset_before.map(|before| before.0.to_string());
            script.arg(before.unwrap_or_default());
            script.arg(self.sealer.seal_generations(&key, user, &taken.keys));
            self.run(&script).await
        };
        self.meter.watch("return_session_keys", put_back).await
    }

    async fn reset_session_keys(
        &self,
        user: &UserKey,
        session_key: &SessionKey,
    ) -> Result<Written, StoreError> {
        let reset = async {
            let key = self.keys.of_user(user);
            let mut script = self.scripts.reset_keys.key(&key);
            script.arg(self.sealer.seal_generation(&key, user, session_key));
            let stands: bool = self.run(&script).await?;
            Ok(if stands { Written::Done } else { Written::Gone })
        };
        self.meter.watch("reset_session_keys", reset).await
    }
}
