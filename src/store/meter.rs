//! Counts the store's calls: how long each took, and how many failed.

use std::sync::Arc;
use std::time::Instant;

use crate::clock::monotonic_now;
use crate::metrics::{Histogram, Metrics, Operation};
use crate::session::StoreError;

const LOAD: Operation = Operation { operation: "load" };

/// The counters of every call.
#[derive(Debug, Clone)]
pub(super) struct Meter {
    metrics: Arc<Metrics>,
    /// Of the one call that most requests make, so it is found once.
    loads: Histogram,
}

/// A lookup under way.
#[derive(Debug)]
#[must_use]
pub(super) struct LoadTimer {
    started: Instant,
}

impl Meter {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        let loads = metrics.store_seconds.get_or_create_owned(&LOAD);
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
        let label = Operation { operation };
        let started = monotonic_now();
        let result = work.await;
        self.metrics
            .store_seconds
            .get_or_create(&label)
            .observe(started.elapsed().as_secs_f64());
        if result.is_err() {
            self.metrics.store_errors.get_or_create(&label).inc();
        }
        result
    }

    /// The same for a lookup, which is not handed over: moving its future costs more than counting
    /// it.
    pub(super) fn load_begins(&self) -> LoadTimer {
        LoadTimer {
            started: monotonic_now(),
        }
    }

    /// The lookup has come to its end.
    pub(super) fn load_ended<T>(&self, timer: &LoadTimer, outcome: &Result<T, StoreError>) {
        self.loads.observe(timer.started.elapsed().as_secs_f64());
        if outcome.is_err() {
            self.metrics.store_errors.get_or_create(&LOAD).inc();
        }
    }
}
