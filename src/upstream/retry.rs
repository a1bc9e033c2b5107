//! How many other attempts are made. When an upstream fails as a whole, attempts after attempts
//! would make its load a multiple of what broke it; so they may be a share of the requests only.

use std::time::Instant;

use crate::upstream::RetrySettings;

/// How many seconds are looked back.
const WINDOW: usize = 10;

/// What one worker may spend on other attempts at one upstream: a share of the requests of the last
/// ten seconds, and a few more.
#[derive(Debug, Clone)]
pub struct RetryBudget {
    settings: RetrySettings,
    origin: Instant,
    /// The second that the newest cell stands for.
    newest: u64,
    requests: [u32; WINDOW],
    retries: [u32; WINDOW],
}

impl RetryBudget {
    /// A budget that begins now.
    pub const fn new(settings: RetrySettings, now: Instant) -> Self {
        Self {
            settings,
            origin: now,
            newest: 0,
            requests: [0; WINDOW],
            retries: [0; WINDOW],
        }
    }

    /// Counts a request.
    pub fn request(&mut self, now: Instant) {
        let cell = self.cell(now);
        self.requests[cell] = self.requests[cell].saturating_add(1);
    }

    /// Asks for another attempt.
    pub fn withdraw(&mut self, now: Instant) -> bool {
        let cell = self.cell(now);
        if spent(&self.retries) >= self.allowed() {
            return false;
        }
        self.retries[cell] += 1;
        true
    }

    fn allowed(&self) -> u64 {
        spent(&self.requests) * u64::from(self.settings.percent) / 100
            + u64::from(self.settings.per_second) * WINDOW as u64
    }

    /// The cell of this second; those of seconds that are over are emptied.
    fn cell(&mut self, now: Instant) -> usize {
        let second = now
            .saturating_duration_since(self.origin)
            .as_secs()
            .max(self.newest);
        for passed in (self.newest + 1..=second).take(WINDOW) {
            let index = usize::try_from(passed % WINDOW as u64).unwrap_or_default();
            self.requests[index] = 0;
            self.retries[index] = 0;
        }
        self.newest = second;
        usize::try_from(second % WINDOW as u64).unwrap_or_default()
    }
}

fn spent(cells: &[u32; WINDOW]) -> u64 {
    cells.iter().map(|count| u64::from(*count)).sum()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::clock::monotonic_now;

    fn granted(budget: &mut RetryBudget, asked: usize, now: Instant) -> usize {
        (0..asked).filter(|_| budget.withdraw(now)).count()
    }

    #[test]
    fn a_share_and_a_few_more() {
        let now = monotonic_now();
        let mut budget = RetryBudget::new(
            RetrySettings {
                attempts: 2,
                percent: 20,
                per_second: 3,
            },
            now,
        );
        assert_eq!(
            granted(&mut budget, 100, now),
            30,
            "three a second over ten seconds, without any request"
        );
        (0..100).for_each(|_| budget.request(now));
        assert_eq!(granted(&mut budget, 100, now), 20);
        let later = now + Duration::from_secs(10);
        assert_eq!(
            granted(&mut budget, 100, later),
            30,
            "what was before is forgotten"
        );
        let mut none = RetryBudget::new(
            RetrySettings {
                attempts: 2,
                percent: 0,
                per_second: 0,
            },
            now,
        );
        none.request(now);
        assert_eq!(granted(&mut none, 5, now), 0);
    }

    proptest! {
        /// In any ten seconds there are never more retries than the share of their requests and the
        /// few more.
        #[test]
        fn never_more_than_allowed(
            steps in proptest::collection::vec((0_u64..3000, 0_u32..40, 0_u32..40), 1..80),
            percent in 0_u32..=100,
            per_second in 0_u32..5,
        ) {
            let start = monotonic_now();
            let mut budget = RetryBudget::new(RetrySettings { attempts: 1, percent, per_second }, start);
            let mut at = Duration::ZERO;
            let mut log = Vec::new();
            for (wait, requests, asks) in steps {
                at += Duration::from_millis(wait);
                (0..requests).for_each(|_| budget.request(start + at));
                let granted = granted(&mut budget, asks as usize, start + at);
                log.push((at.as_secs(), u64::from(requests), granted as u64));
                let recent = || log.iter().filter(|(second, ..)| second + WINDOW as u64 > at.as_secs());
                let requests = recent().map(|entry| entry.1).sum::<u64>();
                let retries = recent().map(|entry| entry.2).sum::<u64>();
                let allowed = requests * u64::from(percent) / 100 + u64::from(per_second) * 10;
                // What was granted for requests that are forgotten by now may be a little more than
                // the rest allows.
                prop_assert!(granted == 0 || retries <= allowed, "{} retries of {} allowed", retries, allowed);
            }
        }
    }
}
