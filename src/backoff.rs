//! How long to wait before trying again: exponential, with full jitter, so that many clients of one
//! broken server do not come back in step.

use std::time::Duration;

use crate::crypto::random;

/// The wait before attempt `attempt` (the first retry is 1): a random span between half of and the
/// whole of `base · 2^(attempt-1)`, at most `cap`.
pub fn jittered(base: Duration, cap: Duration, attempt: u32) -> Duration {
    let whole = base
        .saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1)))
        .min(cap);
    let half = whole / 2;
    half + half.mul_f64(random::fraction())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_up_to_the_cap_and_keeps_at_least_half() {
        let (base, cap) = (Duration::from_millis(100), Duration::from_millis(350));
        for (attempt, whole) in [(1, 100), (2, 200), (3, 350), (40, 350)] {
            let wait = jittered(base, cap, attempt);
            assert!(
                wait >= Duration::from_millis(whole / 2) && wait <= Duration::from_millis(whole),
                "{attempt}: {wait:?}"
            );
        }
    }
}
