//! Counts the store's calls: how long each took, and how many failed.

use std::sync::Arc;

use crate::clock::monotonic_now;
use crate::metrics::{Metrics, Operation};
use crate::session::StoreError;

/// The counters of every call.
#[derive(Debug, Clone)]
pub(super) struct Meter(Arc<Metrics>);

impl Meter {
    pub(super) const fn new(metrics: Arc<Metrics>) -> Self {
        Self(metrics)
    }

    /// Everything else that is counted.
    pub(super) const fn metrics(&self) -> &Arc<Metrics> {
        &self.0
    }

    /// Runs a call and counts it under its name in the metrics.
    pub(super) async fn watch<T>(&self, operation: &'static str, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let label = Operation { operation };
        let started = monotonic_now();
        let result = work.await;
        self.0.store_seconds.get_or_create(&label).observe(started.elapsed().as_secs_f64());
        if result.is_err() {
            self.0.store_errors.get_or_create(&label).inc();
        }
        result
    }
}
