//! Whether health checks find an endpoint healthy. A state machine without I/O.

use crate::upstream::HealthSettings;

/// One endpoint's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    up: bool,
    /// Answers in a row that contradict `up`.
    against: u32,
}

impl Health {
    /// What was found before.
    pub const fn known(up: bool) -> Self {
        Self { up, against: 0 }
    }

    /// An answer, or none; returns whether that changed anything.
    pub const fn observe(&mut self, good: bool, settings: &HealthSettings) -> bool {
        if good == self.up {
            self.against = 0;
            return false;
        }
        self.against += 1;
        let needed = if good {
            settings.healthy_after
        } else {
            settings.unhealthy_after
        };
        if self.against < needed {
            return false;
        }
        *self = Self::known(good);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn settings(healthy_after: u32, unhealthy_after: u32) -> HealthSettings {
        let second = Duration::from_secs(1);
        HealthSettings {
            path: "/".to_owned(),
            interval: second,
            timeout: second,
            healthy_after,
            unhealthy_after,
            expected_status: 200..=299,
        }
    }

    proptest! {
        /// It changes exactly when the last answers, as many as are needed, all say the same and
        /// the opposite of before.
        #[test]
        fn a_change_has_its_answers(answers in proptest::collection::vec(any::<bool>(), 0..100), healthy in 1_u32..5, unhealthy in 1_u32..5) {
            let settings = settings(healthy, unhealthy);
            let mut health = Health::known(true);
            for (index, good) in answers.iter().enumerate() {
                let before = health;
                let change = health.observe(*good, &settings);
                let needed = if before.up { unhealthy } else { healthy } as usize;
                let run = answers[..=index].iter().rev().take_while(|answer| **answer != before.up).count();
                prop_assert_eq!(change, run >= needed);
                prop_assert_eq!(change, before.up != health.up);
            }
        }
    }
}
