//! Counts the store's calls: how long each took, and how many failed.

use std::sync::Arc;
use std::time::Instant;

use crate::clock::monotonic_now;
use crate::metrics::{Histogram, Metrics, Operation};
use crate::session::StoreError;

const LOAD: Operation = Operation { operation: "load" };

/// The counters of every call.
#[derive(Clone)]
pub(super) struct Meter {
    metrics: Arc<Metrics>,
    /// Of the one call that most requests make, so it is found once.
    loads: Histogram,
}

impl Meter {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        let loads = metrics.store.seconds.get_or_create_owned(&LOAD);
        Self { metrics, loads }
    }

    /// Everything else that is counted.
    pub(super) const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Runs a call and counts it under its name in the metrics.
    pub(super) async fn watch<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let started = monotonic_now();
        let result = work.await;
        self.counted(operation, started, result)
    }

    /// Counts a call that began at this time and came to this result.
    pub(super) fn counted<T>(
        &self,
        operation: &'static str,
        started: Instant,
        result: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let label = Operation { operation };
        self.metrics
            .store
            .seconds
            .get_or_create(&label)
            .observe(started.elapsed().as_secs_f64());
        if result.is_err() {
            self.metrics.store.errors.get_or_create(&label).inc();
        }
        result
    }

    /// The same for a lookup, whose result is not handed over: moving it costs more than counting.
    pub(super) fn count_load<T>(&self, started: Instant, outcome: &Result<T, StoreError>) {
        self.loads.observe(started.elapsed().as_secs_f64());
        if outcome.is_err() {
            self.metrics.store.errors.get_or_create(&LOAD).inc();
        }
    }
}
