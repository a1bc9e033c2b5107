//! The generic cell rate algorithm: a quota held by one number. Pure: the caller says what time it
//! is. `gcra.lua` is the same in Redis.

use std::time::Duration;

use crate::limit::quota::Quota;

/// A moment in microseconds, of whichever clock the cell goes by.
pub type Micros = u64;

/// What came of taking one from a cell.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// Whether there was one to take. What is refused costs nothing.
    pub admitted: bool,
    /// What is owed now: how long until the cell is as new.
    pub backlog: Duration,
}

impl Level {
    /// How long until the next one can be had; zero where it can be had now.
    pub fn next_in(self, quota: Quota) -> Duration {
        (self.backlog + Duration::from_micros(quota.interval()))
            .saturating_sub(Duration::from_micros(quota.capacity()))
    }
}

/// When everything taken so far will have been paid off. Each one taken moves it by the quota's
/// interval, and time catches up with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cell(pub Micros);

impl Cell {
    /// Takes one, if the quota has one left.
    pub fn take(&mut self, quota: Quota, now: Micros) -> Level {
        let owed = self.owed(quota, now);
        let with_one = owed + quota.interval();
        let admitted = with_one <= quota.capacity();
        let backlog = if admitted { with_one } else { owed };
        self.0 = now + backlog;
        Level {
            admitted,
            backlog: Duration::from_micros(backlog),
        }
    }

    /// How long a [`Cell::take`] would be refused; `None`: not now.
    pub fn refused_for(self, quota: Quota, now: Micros) -> Option<Duration> {
        let wait = Level {
            admitted: false,
            backlog: Duration::from_micros(self.owed(quota, now)),
        }
        .next_in(quota);
        (!wait.is_zero()).then_some(wait)
    }

    /// Never more than the quota's whole: a clock that was set back, or a quota that was made
    /// smaller, refuses nobody for longer.
    fn owed(self, quota: Quota, now: Micros) -> u64 {
        self.0.saturating_sub(now).min(quota.capacity())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quota(amount: u32, seconds: u64) -> Quota {
        Quota::new(amount, Duration::from_secs(seconds)).unwrap()
    }

    #[test]
    fn a_burst_then_one_at_a_time() {
        let (quota, mut cell, start) = (quota(3, 30), Cell::default(), 1_000_000_000);
        for _ in 0..3 {
            assert!(cell.take(quota, start).admitted);
        }
        let refused = cell.take(quota, start);
        assert_eq!(
            (refused.admitted, refused.next_in(quota)),
            (false, Duration::from_secs(10))
        );
        assert_eq!(
            cell.refused_for(quota, start + 9_999_999),
            Some(Duration::from_micros(1))
        );
        assert_eq!(cell.refused_for(quota, start + 10_000_000), None);
        assert!(cell.take(quota, start + 10_000_000).admitted);
        assert!(!cell.take(quota, start + 10_000_000).admitted);
    }

    #[test]
    fn nobody_waits_longer_than_the_window() {
        let quota = quota(2, 10);
        for cell in [Cell(u64::MAX / 2), Cell(1_000_000_000_000)] {
            let mut cell = cell;
            let wait = cell.refused_for(quota, 5).unwrap();
            assert!(wait <= quota.window(), "{wait:?}");
            assert!(!cell.take(quota, 5).admitted);
            assert!(cell.take(quota, 5 + 5_000_000).admitted);
        }
    }

    proptest! {
        /// In no span are more admitted than the amount and what the span pays for; and who keeps
        /// to the pace is never refused.
        #[test]
        fn the_quota_holds_in_every_span(amount in 1_u32..50, seconds in 1_u64..100, steps in prop::collection::vec(0_u64..3_000_000, 1..200)) {
            let quota = quota(amount, seconds);
            let (mut cell, mut now, mut admitted) = (Cell::default(), 1_000_000_000_u64, Vec::new());
            for step in steps {
                now += step;
                let known = cell.refused_for(quota, now);
                let level = cell.take(quota, now);
                prop_assert_eq!(level.admitted, known.is_none());
                prop_assert!(level.backlog <= Duration::from_micros(quota.capacity()));
                if level.admitted {
                    admitted.push(now);
                } else {
                    let mut later = cell;
                    let wait = u64::try_from(level.next_in(quota).as_micros()).unwrap();
                    prop_assert!(wait > 0 && later.take(quota, now + wait).admitted, "when the wait is over there is one");
                }
            }
            for (i, from) in admitted.iter().enumerate() {
                for (j, until) in admitted.iter().enumerate().skip(i) {
                    let most = u64::from(amount) + (until - from) / quota.interval();
                    prop_assert!((j - i + 1) as u64 <= most);
                }
            }
        }
    }
}
