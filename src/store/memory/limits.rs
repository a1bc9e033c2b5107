//! The cells of limits, as their users see them.

use async_trait::async_trait;

use super::store::MemoryStore;
use crate::clock::UnixMillis;
use crate::limit::{Cell, CounterError, CounterStore, Level, Limit};

impl MemoryStore {
    pub(super) fn take_one(&self, limit: &Limit, now: UnixMillis) -> Level {
        self.cells
            .lock()
            .entry(limit.cell, Cell::default)
            .take(limit.quota, now.0.saturating_mul(1000))
    }
}

#[async_trait]
impl CounterStore for MemoryStore {
    async fn take(&self, limit: &Limit) -> Result<Level, CounterError> {
        Ok(self.take_one(limit, self.clock.unix_now()))
    }
}
