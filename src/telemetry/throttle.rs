//! Saying a thing once in a while instead of once per request.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::clock::monotonic_now;

/// Lets one through per interval and counts the others.
#[derive(Debug)]
pub struct Throttle {
    interval: Duration,
    last: Mutex<Option<Instant>>,
    held: AtomicU64,
}

impl Throttle {
    /// One per interval.
    pub const fn new(interval: Duration) -> Self {
        Self {
            interval,
            last: Mutex::new(None),
            held: AtomicU64::new(0),
        }
    }

    /// Whether to speak now; with the number of times that were held back since the last.
    pub fn admit(&self) -> Option<HeldBack> {
        let now = monotonic_now();
        let mut last = self.last.lock();
        if last.is_some_and(|last| now.duration_since(last) < self.interval) {
            self.held.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        *last = Some(now);
        Some(HeldBack(self.held.swap(0, Ordering::Relaxed)))
    }
}

/// How many were held back, as it stands at the end of a line. Nothing is said of none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldBack(u64);

impl fmt::Display for HeldBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            Ok(())
        } else {
            write!(f, " ({} more like it since the last line)", self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_speaks_and_the_others_are_counted() {
        let throttle = Throttle::new(Duration::from_secs(3600));
        assert_eq!(throttle.admit(), Some(HeldBack(0)));
        assert_eq!((throttle.admit(), throttle.admit()), (None, None));
        let eager = Throttle::new(Duration::ZERO);
        for _ in 0..2 {
            assert_eq!(eager.admit(), Some(HeldBack(0)));
        }
        // None held back are not worth a word.
        assert_eq!(HeldBack(0).to_string(), "");
        let some = HeldBack(2).to_string();
        assert_eq!(some, " (2 more like it since the last line)");
    }
}
