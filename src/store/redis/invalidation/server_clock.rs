//! The time of a server, counted from its last heartbeat: so a lookup need not ask for it.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::clock::UnixMillis;

/// The clock of a server, as a connection to it knows it.
#[derive(Debug)]
pub(crate) struct ServerClock {
    /// How long a heartbeat's time counts.
    trusted: Duration,
    last: Mutex<Option<(UnixMillis, Instant)>>,
}

impl ServerClock {
    /// One that knows no time yet.
    pub(crate) const fn new(trusted: Duration) -> Self {
        Self {
            trusted,
            last: Mutex::new(None),
        }
    }

    /// The server has answered with its time when it was asked at `sent`. It was read later than
    /// that, so this clock is fast by no more than the answer took, and no session lives longer for
    /// it.
    pub(crate) fn set(&self, time: UnixMillis, sent: Instant) {
        *self.last.lock() = Some((time, sent));
    }

    /// What time it is there at `now`; `None`: the last heartbeat is too old.
    pub(crate) fn at(&self, now: Instant) -> Option<UnixMillis> {
        let (time, sent) = (*self.last.lock())?;
        let since = now.saturating_duration_since(sent);
        (since <= self.trusted).then(|| time.plus(since))
    }
}

/// What `TIME` answers, in milliseconds.
pub(crate) const fn store_time((seconds, micros): (u64, u64)) -> UnixMillis {
    UnixMillis(seconds.saturating_mul(1000).saturating_add(micros / 1000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::monotonic_now;

    #[test]
    fn a_heartbeat_counts_for_a_while() {
        let (clock, sent) = (ServerClock::new(Duration::from_secs(2)), monotonic_now());
        assert_eq!(clock.at(sent), None);
        clock.set(UnixMillis(5000), sent);
        assert_eq!(
            clock.at(sent + Duration::from_millis(1500)),
            Some(UnixMillis(6500))
        );
        assert_eq!(clock.at(sent + Duration::from_millis(2001)), None);
    }
}
