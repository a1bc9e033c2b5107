//! Time comes from here and nowhere else (clippy.toml forbids the standard library's clocks
//! elsewhere), so that a test can be the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch. Which clock they were read from stands where the value is
/// made: the lifetime of a session is always by the clock of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// This moment and `span` later.
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }

    /// How long it is from `earlier` to this moment; zero when this moment came first.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The last moment that RFC 3339 can write: its years have four digits.
    const LAST: Self = Self(253_402_300_799_999);

    /// The time of such a text: `2027-01-01T00:00:00Z`, or with an offset from UTC such as `+08:00`.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        if let Some(there) = text.strip_suffix(['Z', 'z']) {
            return Self::in_utc(there);
        }
        let (there, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
        let there = Self::in_utc(there)?;
        match offset.strip_prefix('-') {
            Some(west) => Some(there.plus(hours_and_minutes(west)?)),
            None => {
                let east = millis(hours_and_minutes(offset.strip_prefix('+')?)?);
                there.0.checked_sub(east).map(Self)
            }
        }
    }

    /// The time of a text without its offset, as if it was in UTC.
    fn in_utc(text: &str) -> Option<Self> {
        // The parser takes a second Z for nothing.
        let ends_well = text.ends_with(|last: char| last.is_ascii_digit());
        let time = humantime::parse_rfc3339(&format!("{text}Z")).ok()?;
        let since = time.duration_since(UNIX_EPOCH).ok();
        since.filter(|_| ends_well).map(millis).map(Self)
    }

    /// In RFC 3339, to the second; what is later than all that it can write, as the last of this.
    pub fn rfc3339(self) -> String {
        let moment = UNIX_EPOCH + Duration::from_millis(self.min(Self::LAST).0);
        humantime::format_rfc3339_seconds(moment).to_string()
    }
}

/// The span of an offset such as `08:00`.
fn hours_and_minutes(text: &str) -> Option<Duration> {
    let digits = |two: &str| {
        let is_number = two.len() == 2 && two.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| two.parse::<u64>().ok())?
    };
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    (hours < 24 && minutes < 60).then(|| Duration::from_secs((hours * 60 + minutes) * 60))
}

/// A span in whole milliseconds, the unit of Redis expiries.
pub fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// What tells the time of day.
pub trait Clock: Send + Sync {
    /// The time of day, which may jump when somebody sets the clock.
    fn unix_now(&self) -> UnixMillis;
}

/// The clock of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the time of day"
    )]
    fn unix_now(&self) -> UnixMillis {
        UnixMillis(
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, millis),
        )
    }
}

/// A clock that stands still until it is told to move.
#[derive(Debug, Clone, Default)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// A clock that shows `now`.
    pub fn at(now: UnixMillis) -> Self {
        Self(Arc::new(AtomicU64::new(now.0)))
    }

    /// Moves the clock forward.
    pub fn advance(&self, span: Duration) {
        self.0.fetch_add(millis(span), Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn unix_now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::Relaxed))
    }
}

/// A moment of the clock that never jumps, for measuring spans and keeping deadlines.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the monotonic clock"
)]
pub fn monotonic_now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_and_without_an_offset() {
        let newyear = UnixMillis(1_798_732_800_000);
        for text in [
            "2026-12-31T16:00:00Z",
            "2027-01-01T00:00:00+08:00",
            "2026-12-31T16:00:00-00:00",
            "2026-12-31T10:30:00-05:30",
            "2027-01-01T00:00:00.000+08:00",
        ] {
            assert_eq!(UnixMillis::from_rfc3339(text), Some(newyear), "{text}");
        }
        for text in [
            "",
            "Z",
            "+08:00",
            "tomorrow",
            "2027-01-01",
            "2027-01-01T00:00:00",
            "2027-01-01T00:00:00+8:00",
            "2027-01-01T00:00:00+0800",
            "2027-01-01T00:00:00+08:60",
            "2027-01-01T00:00:00+24:00",
            "2027-01-01T00:00:00++8:00",
            "2027-01-01T00:00:00Z+08:00",
            "1970-01-01T00:00:00+08:00",
            "2027-01-01T00:00:0虎虎",
        ] {
            assert_eq!(UnixMillis::from_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_that_cannot_be_written_is_the_last_that_can() {
        for late in [UnixMillis::LAST.0, UnixMillis::LAST.0 + 1, u64::MAX] {
            let written = UnixMillis(late).rfc3339();
            assert_eq!(written, "9999-12-31T23:59:59Z");
            assert!(UnixMillis::from_rfc3339(&written).is_some());
        }
    }
}
