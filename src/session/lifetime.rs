//! How long a session lives: an idle timeout that use renews and an absolute one that nothing does.

use std::time::Duration;

use crate::clock::UnixMillis;

/// The two timeouts of a session (OWASP ASVS 7.3.1 and 7.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// Without a request for this long, the session ends.
    pub idle: Duration,
    /// After this long it ends, used or not.
    pub absolute: Duration,
}

impl Lifetime {
    /// When a session that is used at `now` expires.
    pub fn expiry(&self, now: UnixMillis, absolute_deadline: UnixMillis) -> UnixMillis {
        now.plus(self.idle).min(absolute_deadline)
    }

    /// Whether a use at `now` should move the expiry of a session that would end in `expires_in`.
    /// It moves when the session gains more than a tenth of the idle timeout, so a busy session costs
    /// no write per request; and once more when it can last until the absolute deadline.
    pub fn renewal_due(
        &self,
        now: UnixMillis,
        expires_in: Duration,
        absolute_deadline: UnixMillis,
    ) -> bool {
        /// Stored times are rounded, and copies are a moment old.
        const ROUNDING: Duration = Duration::from_secs(1);
        let expiry = self.expiry(now, absolute_deadline);
        let gained = expiry.since(now.plus(expires_in));
        gained > self.idle / 10 || (expiry == absolute_deadline && gained > ROUNDING)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn renews_after_a_tenth_and_never_past_the_absolute_deadline() {
        let life = Lifetime {
            idle: secs(100),
            absolute: secs(1000),
        };
        let (now, deadline) = (UnixMillis(0), UnixMillis(1_000_000));
        assert!(!life.renewal_due(now, secs(100), deadline));
        assert!(!life.renewal_due(now, secs(90), deadline));
        assert!(life.renewal_due(now, secs(89), deadline));
        // The last hundred seconds: one more write, and then nothing more can be gained.
        assert!(life.renewal_due(UnixMillis(950_000), secs(45), deadline));
        assert!(!life.renewal_due(UnixMillis(950_000), secs(49), deadline));
        assert!(!life.renewal_due(UnixMillis(950_000), secs(50), deadline));
    }

    proptest! {
        #[test]
        fn an_idle_session_ends_between_nine_tenths_and_the_whole_of_the_idle_timeout(
            idle in 1_u64..100_000, absolute in 1_u64..1_000_000, steps in prop::collection::vec(0_u64..120_000, 1..40)
        ) {
            let life = Lifetime { idle: secs(idle), absolute: secs(absolute.max(idle)) };
            let deadline = UnixMillis(0).plus(life.absolute);
            let (mut now, mut expiry, mut last_use) = (UnixMillis(0), life.expiry(UnixMillis(0), deadline), UnixMillis(0));
            for step in steps {
                now = now.plus(secs(step));
                if now >= expiry {
                    let idle_for = now.since(last_use);
                    // Close to the absolute deadline less than a second can be gained, and is not
                    // written for.
                    prop_assert!(deadline.since(expiry) <= secs(1) || idle_for >= life.idle.mul_f64(0.9));
                    break;
                }
                last_use = now;
                if life.renewal_due(now, expiry.since(now), deadline) {
                    expiry = life.expiry(now, deadline);
                }
                prop_assert!(expiry <= deadline);
                prop_assert!(expiry.since(now) <= life.idle);
            }
        }
    }
}
