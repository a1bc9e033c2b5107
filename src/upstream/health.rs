//! Whether an endpoint answers as it should when it is asked. A state machine: it is told what came
//! of each question.

use crate::upstream::HealthSettings;

/// One endpoint's health. It counts as healthy until checks fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    up: bool,
    /// Answers in a row that contradict `up`.
    against: u32,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            up: true,
            against: 0,
        }
    }
}

impl Health {
    /// What was found before.
    #[must_use]
    pub const fn known(up: bool) -> Self {
        Self { up, against: 0 }
    }

    /// Whether it counts as well.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.up
    }

    /// An answer, or none; tells whether it changed anything: `Some(true)`: healthy from now on.
    pub const fn observe(&mut self, good: bool, settings: &HealthSettings) -> Option<bool> {
        if good == self.up {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let needed = if good {
            settings.healthy_after
        } else {
            settings.unhealthy_after
        };
        if self.against < needed {
            return None;
        }
        *self = Self {
            up: good,
            against: 0,
        };
        Some(good)
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

    #[test]
    fn it_takes_several_answers_in_a_row_to_change() {
        let (settings, mut health) = (settings(2, 3), Health::default());
        let seen: Vec<_> = [
            false, false, true, false, false, false, true, false, true, true,
        ]
        .map(|good| health.observe(good, &settings))
        .into();
        let mut expected = vec![None; 10];
        (expected[5], expected[9]) = (Some(false), Some(true));
        assert_eq!(seen, expected);
    }

    proptest! {
        /// It changes exactly when the last answers, as many as are needed, all say the same and
        /// the opposite of before.
        #[test]
        fn a_change_has_its_answers(answers in proptest::collection::vec(any::<bool>(), 0..100), healthy in 1_u32..5, unhealthy in 1_u32..5) {
            let (settings, mut health) = (settings(healthy, unhealthy), Health::default());
            for (index, good) in answers.iter().enumerate() {
                let before = health;
                let change = health.observe(*good, &settings);
                let needed = if before.is_up() { unhealthy } else { healthy } as usize;
                let run = answers[..=index].iter().rev().take_while(|answer| **answer != before.is_up()).count();
                prop_assert_eq!(change.is_some(), run >= needed);
                prop_assert_eq!(change, (before != health && run >= needed).then(|| health.is_up()));
            }
        }
    }
}
