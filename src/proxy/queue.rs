//! How many requests an upstream may have under way, and the few that wait for their turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics::Gauge;

/// The places of one upstream, for all workers.
#[derive(Debug)]
pub struct Queue {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    length: usize,
    timeout: Duration,
    shown: Gauge,
}

impl Queue {
    /// `at_once` requests are in progress, and `length` wait, for at most `timeout`. `shown` shows how
    /// many wait.
    pub fn new(at_once: usize, length: usize, timeout: Duration, shown: Gauge) -> Self {
        Self {
            places: Arc::new(Semaphore::new(at_once)),
            waiting: AtomicUsize::new(0),
            length,
            timeout,
            shown,
        }
    }

    /// A place that nobody has or waits for; kept until it is dropped.
    #[must_use]
    pub fn free(&self) -> Option<OwnedSemaphorePermit> {
        self.places.clone().try_acquire_owned().ok()
    }

    /// A place as soon as there is one. First come, first served. `None`: there is none, not even to
    /// wait; or the wait was too long.
    pub async fn enter(&self) -> Option<OwnedSemaphorePermit> {
        if let Some(place) = self.free() {
            return Some(place);
        }
        let _turn = Turn::take(self)?;
        let place = self.places.clone().acquire_owned();
        let place = tokio::time::timeout(self.timeout, place).await;
        place.ok()?.ok()
    }
}

/// Somebody who waits; gone when they leave, for whatever reason.
struct Turn<'a>(&'a Queue);

impl<'a> Turn<'a> {
    fn take(queue: &'a Queue) -> Option<Self> {
        if queue.waiting.fetch_add(1, Ordering::Relaxed) >= queue.length {
            queue.waiting.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        queue.shown.inc();
        Some(Self(queue))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.0.shown.dec();
    }
}
