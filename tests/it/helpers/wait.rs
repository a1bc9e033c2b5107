//! Waiting for a condition instead of sleeping.

use std::time::Duration;

use hufu::clock::monotonic_now;

/// How long a condition may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long between two looks.
const STEP: Duration = Duration::from_millis(10);

/// Waits until `condition` answers with a value.
pub(crate) async fn until<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let started = monotonic_now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain for: {what}");
        tokio::time::sleep(STEP).await;
    }
}

/// The same, for code that is not asynchronous.
pub(crate) fn until_blocking<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let started = monotonic_now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain for: {what}");
        std::thread::sleep(STEP);
    }
}
