//! So many in so much time.

use std::time::Duration;

/// Why there is no such quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadQuota {
    /// None at all, or more than can be told apart in the shortest window.
    #[error("the number is not between 1 and {}", Quota::MOST)]
    Amount,
    /// Too short, too long, or not in whole seconds, which is what the header fields can say.
    #[error("the time is not a number of whole seconds between 1s and 24h")]
    Window,
}

/// At most `amount` at once, and over time `amount` in each `window`. A client that has used it up
/// gets one more each `window / amount`. So the busiest window, after a quiet one, sees twice the
/// amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    amount: u32,
    window: Duration,
}

impl Quota {
    /// What one user may ask about their session_key and under it. Data that does not open counts:
    /// whoever changes ciphertexts needs many tries for each byte.
    pub const OPEN_DATA: Self = Self {
        amount: 60,
        window: Duration::from_secs(60),
    };
    /// The largest amount: one a microsecond in the shortest window.
    pub const MOST: u32 = 1_000_000;
    /// The longest window.
    pub const LONGEST: Duration = Duration::from_secs(24 * 3600);

    /// Checks a quota.
    pub fn new(amount: u32, window: Duration) -> Result<Self, BadQuota> {
        match (amount, window) {
            (0, _) => Err(BadQuota::Amount),
            (amount, _) if amount > Self::MOST => Err(BadQuota::Amount),
            (_, window)
                if window.is_zero() || window > Self::LONGEST || window.subsec_nanos() != 0 =>
            {
                Err(BadQuota::Window)
            }
            _ => Ok(Self { amount, window }),
        }
    }

    /// How many.
    pub const fn amount(self) -> u32 {
        self.amount
    }

    /// In which time; whole seconds.
    pub const fn window(self) -> Duration {
        self.window
    }

    /// What one costs, in microseconds: rounded up, so that rounding never grants more.
    pub fn interval(self) -> u64 {
        self.window_micros().div_ceil(u64::from(self.amount))
    }

    /// What may be owed at once, in microseconds: exactly `amount` intervals.
    pub fn capacity(self) -> u64 {
        self.interval() * u64::from(self.amount)
    }

    const fn window_micros(self) -> u64 {
        self.window.as_secs() * 1_000_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_counted_or_said_is_no_quota() {
        let second = Duration::from_secs(1);
        assert_eq!(Quota::new(0, second), Err(BadQuota::Amount));
        assert_eq!(Quota::new(Quota::MOST + 1, second), Err(BadQuota::Amount));
        for window in [
            Duration::ZERO,
            Duration::from_millis(1500),
            Duration::from_secs(86_401),
        ] {
            assert_eq!(Quota::new(1, window), Err(BadQuota::Window), "{window:?}");
        }
        let most = Quota::new(Quota::MOST, second).unwrap();
        assert_eq!((most.interval(), most.capacity()), (1, 1_000_000));
        let odd = Quota::new(7, second).unwrap();
        assert_eq!((odd.interval(), odd.capacity()), (142_858, 1_000_006));
    }
}
