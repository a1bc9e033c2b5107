//! How often and how many at once a client may call through this process. A reload changes the
//! limits and forgets nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::clock::monotonic_now;
use crate::http::{ErrorCode, GatewayError};
use crate::limit::Quota;
use crate::limit::gcra::Cell;

/// When to come back if too many calls are under way.
const SOON: Duration = Duration::from_secs(1);

/// What a client has used up.
#[derive(Debug)]
pub(super) struct ClientUse {
    started: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    cell: Cell,
    in_flight: usize,
}

/// A call under way.
#[derive(Debug)]
pub(super) struct InFlight(Arc<ClientUse>);

impl Default for ClientUse {
    fn default() -> Self {
        Self {
            started: monotonic_now(),
            state: Mutex::default(),
        }
    }
}

impl ClientUse {
    /// Takes a call's place, if there is one.
    pub(super) fn admit(
        self: &Arc<Self>,
        rate: Option<Quota>,
        max_concurrent: usize,
    ) -> Result<InFlight, GatewayError> {
        let elapsed = monotonic_now().saturating_duration_since(self.started);
        let now = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX / 2);
        let mut state = self.state.lock();
        if state.in_flight >= max_concurrent {
            return Err(limited(
                "This client has as many calls under way as platform_api.clients.NAME.max_concurrent allows.",
                SOON,
            ));
        }
        if let Some(quota) = rate {
            let level = state.cell.take(quota, now);
            if !level.admitted {
                return Err(limited(
                    "This client has used up platform_api.clients.NAME.rate.",
                    level.next_in(quota),
                ));
            }
        }
        state.in_flight += 1;
        Ok(InFlight(self.clone()))
    }
}

fn limited(detail: &'static str, wait: Duration) -> GatewayError {
    GatewayError::new(ErrorCode::RateLimited, detail).retry_after(wait)
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.state.lock().in_flight -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_after_the_call() {
        let used = Arc::new(ClientUse::default());
        let first = used.admit(None, 1).unwrap();
        assert!(used.admit(None, 1).is_err());
        drop(first);
        assert!(used.admit(None, 1).is_ok());
        let quota = Quota::new(2, Duration::from_secs(3600)).ok();
        assert!(used.admit(quota, 1).is_ok() && used.admit(quota, 1).is_ok());
        let refused = used.admit(quota, 1).unwrap_err();
        assert!(refused.retry_after > Some(Duration::from_secs(1700)));
    }
}
