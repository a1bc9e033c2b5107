//! The session_keys in a user's hash.

use async_trait::async_trait;
use redis::cmd;

use super::sessions::RedisStore;
use crate::clock::UnixMillis;
use crate::redis_client::Request;
use crate::session::{SessionKey, SessionKeys, StoreError, TakenKeys, UserKey, Written};
use crate::store::generation;

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
        let take = async {
            let key = self.keys.of_user(user);
            let script = self.scripts.take_keys.key(&key);
            let (at, before, stored): (u64, Option<u64>, Vec<Vec<u8>>) = self.run(&script).await?;
            Ok(TakenKeys {
                keys: self.sealer.open_generations(&key, &stored),
                at: UnixMillis(at),
                reset_before: before.map(UnixMillis),
            })
        };
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
