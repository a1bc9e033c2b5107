//! The cells of limits: the store's clock, one key each.

use std::time::Duration;

use async_trait::async_trait;

use super::sessions::RedisStore;
use crate::limit::{CounterError, CounterStore, Level, Limit};

#[async_trait]
impl CounterStore for RedisStore {
    async fn take(&self, limit: &Limit) -> Result<Level, CounterError> {
        let taken = async {
            let mut script = self.scripts.take.key(self.keys.cell(&limit.cell));
            script
                .arg(limit.quota.interval())
                .arg(limit.quota.capacity());
            let (admitted, backlog): (bool, u64) = self.run(&script).await?;
            Ok(Level {
                admitted,
                backlog: Duration::from_micros(backlog),
            })
        };
        let taken = self.meter.watch("limit", taken).await;
        taken.map_err(|error| CounterError {
            reason: error.reason,
        })
    }
}
