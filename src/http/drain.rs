//! Whether the process is on its way out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Set when the process is told to end: from then on answers carry `Connection: close` and the
/// process is not ready. Set again when no more connections are accepted: then WebSockets end too.
/// And again when requests under way have had their time: then what is left of them is cut.
#[derive(Debug, Clone, Default)]
pub struct Drain(Arc<DrainState>);

#[derive(Debug, Default)]
struct DrainState {
    stage: AtomicU8,
    cutting: Notify,
    cut: AtomicUsize,
}

const DRAINING: u8 = 1;
const ENDING: u8 = 2;
const CUTTING: u8 = 3;

impl Drain {
    /// Starts draining.
    pub fn start(&self) {
        self.0.stage.store(DRAINING, Ordering::Relaxed);
    }

    /// Ends what would not end by itself.
    pub fn end_streams(&self) {
        self.0.stage.store(ENDING, Ordering::Relaxed);
    }

    /// Cuts what has not ended by now.
    pub fn cut(&self) {
        self.0.stage.store(CUTTING, Ordering::Relaxed);
        self.0.cutting.notify_waiters();
    }

    /// Waits until requests under way have had their time.
    pub async fn cutting(&self) {
        let heard = self.0.cutting.notified();
        if !self.is_cutting() {
            heard.await;
        }
    }

    /// A request was cut.
    pub fn request_cut(&self) {
        self.0.cut.fetch_add(1, Ordering::Relaxed);
    }

    /// How many requests were cut.
    pub fn cut_requests(&self) -> usize {
        self.0.cut.load(Ordering::Relaxed)
    }

    /// Whether requests under way have had their time.
    pub fn is_cutting(&self) -> bool {
        self.0.stage.load(Ordering::Relaxed) >= CUTTING
    }

    /// Whether WebSockets are to end.
    pub fn ends_streams(&self) -> bool {
        self.0.stage.load(Ordering::Relaxed) >= ENDING
    }

    /// Whether draining has started.
    pub fn is_on(&self) -> bool {
        self.0.stage.load(Ordering::Relaxed) >= DRAINING
    }
}
