//! Waiting for a condition instead of sleeping.

use std::time::Duration;

use hufu::clock::monotonic_now;

/// How long a condition may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long between two looks. Whatever a test waits for, it looks for it here: a `sleep` elsewhere
/// says why time itself is the matter.
pub(super) const STEP: Duration = Duration::from_millis(10);

/// What a condition says: `false` and `None` are "not yet".
pub(crate) trait Outcome {
    type Value;
    fn value(self) -> Option<Self::Value>;
}

impl Outcome for bool {
    type Value = ();

    fn value(self) -> Option<()> {
        self.then_some(())
    }
}

impl<T> Outcome for Option<T> {
    type Value = T;

    fn value(self) -> Self {
        self
    }
}

/// Waits until `condition` holds, or answers with a value.
pub(crate) async fn until<T: Outcome>(
    what: &str,
    mut condition: impl AsyncFnMut() -> T,
) -> T::Value {
    let started = monotonic_now();
    loop {
        if let Some(value) = condition().await.value() {
            return value;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain for: {what}");
        tokio::time::sleep(STEP).await;
    }
}

/// The same, for code that is not asynchronous.
pub(crate) fn until_blocking<T: Outcome>(what: &str, mut condition: impl FnMut() -> T) -> T::Value {
    let started = monotonic_now();
    loop {
        if let Some(value) = condition().value() {
            return value;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain for: {what}");
        std::thread::sleep(STEP);
    }
}
