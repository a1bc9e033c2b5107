//! Whether the process is on its way out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Set when the process is told to end: from then on answers carry `Connection: close` and the process is not ready. Set again when no more
/// connections are accepted: then WebSockets end too.
#[derive(Debug, Clone, Default)]
pub struct Drain(Arc<AtomicU8>);

const DRAINING: u8 = 1;
const ENDING: u8 = 2;

impl Drain {
    /// Starts draining.
    pub fn start(&self) {
        self.0.store(DRAINING, Ordering::Relaxed);
    }

    /// Ends what would not end by itself.
    pub fn end_streams(&self) {
        self.0.store(ENDING, Ordering::Relaxed);
    }

    /// Whether WebSockets are to end.
    #[must_use]
    pub fn ends_streams(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= ENDING
    }

    /// Whether draining has started.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= DRAINING
    }
}
