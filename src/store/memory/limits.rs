//! The cells of limits, as their users see them.

use async_trait::async_trait;

use super::store::MemoryStore;
use crate::limit::{CounterError, CounterStore, Level, Limit};

#[async_trait]
impl CounterStore for MemoryStore {
    async fn take(&self, limit: &Limit) -> Result<Level, CounterError> {
        let now = self.clock.unix_now();
        Ok(self.cells.lock().take(limit, now))
    }
}
