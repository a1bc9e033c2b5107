//! Where a script has run, for a caller that then waits for replicas: WAIT counts only what its own
//! connection has written.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;

/// The connection of a script that has run.
#[async_trait]
pub(crate) trait WrittenOn: Send {
    /// How many replicas have the script's writes, as soon as they are `wanted`, or after this time;
    /// `None`: the server did not say.
    async fn wait_for_replicas(self: Box<Self>, wanted: u32, within: Duration) -> Option<u32>;
}

/// Takes the connection from whoever sends the script.
#[derive(Default)]
pub(crate) struct WritePlace {
    connection: Mutex<Option<Box<dyn WrittenOn>>>,
    has_failed: AtomicBool,
}

impl WritePlace {
    pub(super) fn note(&self, written: impl WrittenOn + 'static) {
        *self.connection.lock() = Some(Box::new(written));
    }

    /// The script was sent, and the answer did not come.
    pub(super) fn note_failure(&self) {
        self.has_failed.store(true, Ordering::Relaxed);
    }

    /// Whether the script was sent more than once. Then the answer may say that there was nothing
    /// left to do, since it had been done before.
    pub(crate) fn was_repeated(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    /// See [`WrittenOn::wait_for_replicas`].
    pub(crate) async fn wait_for_replicas(self, wanted: u32, within: Duration) -> Option<u32> {
        let written = self.connection.into_inner()?;
        written.wait_for_replicas(wanted, within).await
    }
}
