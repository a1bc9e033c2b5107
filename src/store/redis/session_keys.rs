//! The session_keys in a user's hash.

use async_trait::async_trait;
use redis::cmd;

use super::sessions::RedisStore;
use crate::clock::UnixMillis;
use crate::redis_client::Request;
use crate::session::{SessionKey, SessionKeys, StoreError, TakenKeys, UserKey, Written};
use crate::store::generation;

impl RedisStore {
    fn user_key(&self, user: &UserKey) -> String {
        self.keys.user(self.keys.tag(user), user)
    }

    async fn kept_session_keys(&self, user: &UserKey) -> Result<Vec<SessionKey>, StoreError> {
        let key = self.user_key(user);
        let mut command = cmd("HMGET");
        command.arg(&key).arg(&generation::FIELDS);
        let stored: Vec<Option<Vec<u8>>> = self.connector.call(&Request::Command(&command)).await?;
        Ok(self
            .sealer
            .open_generations(&key, &stored.into_iter().flatten().collect::<Vec<_>>()))
    }

    async fn taken_session_keys(&self, user: &UserKey) -> Result<TakenKeys, StoreError> {
        let key = self.user_key(user);
        let script = self.scripts.take_keys.key(&key);
        let (at, before, stored): (u64, Option<u64>, Vec<Vec<u8>>) =
            self.connector.call(&Request::Script(&script)).await?;
        Ok(TakenKeys {
            keys: self.sealer.open_generations(&key, &stored),
            at: UnixMillis(at),
            reset_before: before.map(UnixMillis),
        })
    }

    async fn put_back_session_keys(
        &self,
        user: &UserKey,
        taken: &TakenKeys,
    ) -> Result<(), StoreError> {
        let key = self.user_key(user);
        let mut script = self.scripts.return_keys.key(&key);
        script.arg(taken.at.0);
        let before = taken.reset_before.map(|before| before.0.to_string());
        script.arg(before.unwrap_or_default());
        script.arg(self.sealer.seal_generations(&key, user, &taken.keys));
        Ok(self.connector.call(&Request::Script(&script)).await?)
    }

    async fn replace_session_keys(
        &self,
        user: &UserKey,
        session_key: &SessionKey,
    ) -> Result<Written, StoreError> {
        let key = self.user_key(user);
        let mut script = self.scripts.reset_keys.key(&key);
        script.arg(self.sealer.seal_generation(&key, user, session_key));
        let stands: bool = self.connector.call(&Request::Script(&script)).await?;
        Ok(if stands { Written::Done } else { Written::Gone })
    }
}

#[async_trait]
impl SessionKeys for RedisStore {
    async fn session_keys(&self, user: &UserKey) -> Result<Vec<SessionKey>, StoreError> {
        self.meter
            .watch("session_keys", self.kept_session_keys(user))
            .await
    }

    async fn take_session_keys(&self, user: &UserKey) -> Result<TakenKeys, StoreError> {
        self.meter
            .watch("take_session_keys", self.taken_session_keys(user))
            .await
    }

    async fn return_session_keys(
        &self,
        user: &UserKey,
        taken: &TakenKeys,
    ) -> Result<(), StoreError> {
        self.meter
            .watch(
                "return_session_keys",
                self.put_back_session_keys(user, taken),
            )
            .await
    }

    async fn reset_session_keys(
        &self,
        user: &UserKey,
        session_key: &SessionKey,
    ) -> Result<Written, StoreError> {
        self.meter
            .watch(
                "reset_session_keys",
                self.replace_session_keys(user, session_key),
            )
            .await
    }
}
