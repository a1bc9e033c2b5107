//! How long a call may take in all, which begins anew while its client still sends.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::clock::monotonic_now;

/// The end of a call; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Deadline {
    pub(super) timeout: Duration,
    at: Rc<Cell<Instant>>,
}

impl Deadline {
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            at: Rc::new(Cell::new(monotonic_now() + timeout)),
        }
    }

    /// Begins anew.
    pub(super) fn postpone(&self) {
        self.at.set(monotonic_now() + self.timeout);
    }

    /// Ready when it is over.
    pub(super) async fn passed(&self) {
        loop {
            let left = self.at.get().saturating_duration_since(monotonic_now());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left).await;
        }
    }
}
