//! The cells of limits: the store's clock, one key each.

use std::time::Duration;

use async_trait::async_trait;

use super::sessions::RedisSessionStore;
use crate::limit::{CounterError, CounterStore, Level, Limit};
use crate::redis_client::Request;
use crate::session::StoreError;

impl RedisSessionStore {
    async fn take_one(&self, limit: &Limit) -> Result<Level, StoreError> {
        let mut script = self.scripts.take.key(self.keys.cell(&limit.cell));
        script
            .arg(limit.quota.interval())
            .arg(limit.quota.capacity());
        let (admitted, backlog): (bool, u64) =
            self.connector.call(&Request::Script(&script)).await?;
        Ok(Level {
            admitted,
            backlog: Duration::from_micros(backlog),
        })
    }
}

#[async_trait]
impl CounterStore for RedisSessionStore {
    async fn take(&self, limit: &Limit) -> Result<Level, CounterError> {
        self.meter
            .watch("limit", self.take_one(limit))
            .await
            .map_err(unknown)
    }
}

fn unknown(error: StoreError) -> CounterError {
    CounterError {
        reason: error.reason,
    }
}
