//! The breaker: after several failures in a row it refuses calls for a while, then lets one through
//! on trial. A state machine: it is told the time, does no I/O and answers what changed.

use std::time::{Duration, Instant};

/// When a breaker opens and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Failures in a row that open it; at least 1.
    pub failures: u32,
    /// How long it stays open the first time. Every failed trial doubles it.
    pub open_for: Duration,
    /// The longest that it stays open.
    pub open_max: Duration,
    /// How long a trial may take. One whose outcome was never told (the caller was cancelled)
    /// lapses after this, so that the breaker cannot stay shut behind a trial that nobody runs any
    /// more.
    pub trial_lease: Duration,
}

impl Default for BreakerSettings {
    /// Five failures; one second, at most thirty; trials of ten seconds.
    fn default() -> Self {
        Self {
            failures: 5,
            open_for: Duration::from_secs(1),
            open_max: Duration::from_secs(30),
            trial_lease: Duration::from_secs(10),
        }
    }
}

/// Whether a call may go out.
#[derive(Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Pass(Ticket),
    /// It may, and its outcome decides for all who come after.
    Trial(Ticket),
    /// It may not.
    Refused {
        /// When to ask again.
        retry_after: Duration,
    },
}

/// Belongs to one admitted call. The outcome of a call that started before the last change tells
/// nothing about the time after it and is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(pub(super) u64);

/// What an outcome changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerChange {
    /// Calls are refused from now on.
    Opened {
        /// For how long.
        open_for: Duration,
    },
    /// Calls pass again.
    Closed,
}

#[derive(Debug, Clone, Copy)]
enum BreakerState {
    Closed { failures: u32 },
    Open { until: Instant, openings: u32 },
    Trial { lapses: Instant, openings: u32 },
}

/// One breaker, for one endpoint or one platform.
#[derive(Debug, Clone)]
pub struct Breaker {
    settings: BreakerSettings,
    state: BreakerState,
    changes: u64,
}

impl Breaker {
    /// A closed breaker.
    pub const fn new(settings: BreakerSettings) -> Self {
        Self {
            settings,
            state: BreakerState::Closed { failures: 0 },
            changes: 0,
        }
    }

    /// Goes on under other settings; what was decided under the old ones stands.
    pub const fn settle(&mut self, settings: BreakerSettings) {
        self.settings = settings;
    }

    /// Whether calls pass without a trial.
    pub const fn is_closed(&self) -> bool {
        matches!(self.state, BreakerState::Closed { .. })
    }

    /// Whether the next failure opens it.
    pub const fn is_on_the_brink(&self) -> bool {
        matches!(self.state, BreakerState::Closed { failures } if failures + 1 >= self.settings.failures)
    }

    /// The ticket of calls that pass while nothing changes, for whoever admits calls without asking
    /// each time.
    #[must_use]
    pub const fn ticket(&self) -> Ticket {
        Ticket(self.changes)
    }

    /// Asks for one call. Whoever gets a ticket tells the outcome with [`Breaker::succeeded`] or
    /// [`Breaker::failed`].
    pub fn admit(&mut self, now: Instant) -> Admission {
        match self.state {
            BreakerState::Closed { .. } => Admission::Pass(Ticket(self.changes)),
            BreakerState::Open { until, .. } if now < until => Admission::Refused {
                retry_after: until - now,
            },
            BreakerState::Trial { lapses, .. } if now < lapses => Admission::Refused {
                retry_after: self.settings.open_for.min(lapses - now),
            },
            BreakerState::Open { openings, .. } | BreakerState::Trial { openings, .. } => {
                Admission::Trial(self.enter(BreakerState::Trial {
                    lapses: now + self.settings.trial_lease,
                    openings,
                }))
            }
        }
    }

    /// The call was answered, whatever the answer says.
    pub fn succeeded(&mut self, ticket: Ticket) -> Option<BreakerChange> {
        if ticket.0 != self.changes {
            return None;
        }
        if let BreakerState::Closed { failures } = &mut self.state {
            *failures = 0;
            return None;
        }
        self.enter(BreakerState::Closed { failures: 0 });
        Some(BreakerChange::Closed)
    }

    /// The call was not answered.
    pub fn failed(&mut self, ticket: Ticket, now: Instant) -> Option<BreakerChange> {
        if ticket.0 != self.changes {
            return None;
        }
        match &mut self.state {
            BreakerState::Closed { failures } => {
                *failures += 1;
                (*failures >= self.settings.failures).then(|| self.open(now, 0))
            }
            BreakerState::Trial { openings, .. } => {
                let openings = *openings;
                Some(self.open(now, openings))
            }
            // Nobody holds a ticket of the open state.
            BreakerState::Open { .. } => None,
        }
    }

    fn open(&mut self, now: Instant, openings: u32) -> BreakerChange {
        let open_for = self
            .settings
            .open_for
            .saturating_mul(2_u32.saturating_pow(openings))
            .min(self.settings.open_max);
        self.enter(BreakerState::Open {
            until: now + open_for,
            openings: openings.saturating_add(1),
        });
        BreakerChange::Opened { open_for }
    }

    const fn enter(&mut self, state: BreakerState) -> Ticket {
        self.state = state;
        self.changes += 1;
        Ticket(self.changes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::monotonic_now;

    const SECOND: Duration = Duration::from_secs(1);

    fn after(failures: u32) -> Breaker {
        Breaker::new(BreakerSettings {
            failures,
            ..BreakerSettings::default()
        })
    }

    fn opens_for(seconds: u64) -> Option<BreakerChange> {
        let open_for = Duration::from_secs(seconds);
        Some(BreakerChange::Opened { open_for })
    }

    fn pass(breaker: &mut Breaker, now: Instant) -> Ticket {
        match breaker.admit(now) {
            Admission::Pass(ticket) | Admission::Trial(ticket) => ticket,
            Admission::Refused { .. } => panic!("refused"),
        }
    }

    fn opened(now: Instant) -> Breaker {
        let mut breaker = after(1);
        let ticket = pass(&mut breaker, now);
        assert_eq!(breaker.failed(ticket, now), opens_for(1));
        breaker
    }

    #[test]
    fn opens_after_failures_in_a_row_and_a_good_trial_closes_it() {
        let now = monotonic_now();
        let mut breaker = after(2);
        let ticket = pass(&mut breaker, now);
        assert_eq!(breaker.failed(ticket, now), None);
        assert_eq!(
            breaker.succeeded(ticket),
            None,
            "a success between starts the count again"
        );
        assert_eq!(breaker.failed(ticket, now), None);
        assert_eq!(breaker.failed(ticket, now), opens_for(1));
        assert_eq!(
            breaker.admit(now),
            Admission::Refused {
                retry_after: SECOND
            }
        );
        let Admission::Trial(trial) = breaker.admit(now + SECOND) else {
            panic!("no trial")
        };
        assert!(
            matches!(breaker.admit(now + SECOND), Admission::Refused { .. }),
            "one trial at a time"
        );
        assert_eq!(
            breaker.failed(ticket, now + SECOND),
            None,
            "a call from before the change decides nothing"
        );
        assert_eq!(breaker.succeeded(trial), Some(BreakerChange::Closed));
        assert!(breaker.is_closed());
    }

    #[test]
    fn a_failed_trial_doubles_the_pause_up_to_the_maximum() {
        let mut now = monotonic_now();
        let mut breaker = opened(now);
        for seconds in [2, 4, 8, 16, 30, 30] {
            now += Duration::from_secs(30);
            let trial = pass(&mut breaker, now);
            assert_eq!(breaker.failed(trial, now), opens_for(seconds));
        }
    }

    #[test]
    fn a_trial_that_nobody_finishes_lapses() {
        let now = monotonic_now();
        let mut breaker = opened(now);
        let first = pass(&mut breaker, now + SECOND);
        let later = now + SECOND + BreakerSettings::default().trial_lease;
        let second = pass(&mut breaker, later);
        assert_eq!(breaker.succeeded(first), None, "its place is taken");
        assert_eq!(breaker.succeeded(second), Some(BreakerChange::Closed));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Wait(u64),
        Admit,
        Finish { which: usize, good: bool },
        Forget(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0_u64..20_000).prop_map(Step::Wait),
            Just(Step::Admit),
            (any::<usize>(), any::<bool>()).prop_map(|(which, good)| Step::Finish { which, good }),
            any::<usize>().prop_map(Step::Forget),
        ]
    }

    proptest! {
        /// Whatever happens: it never refuses for longer than the longest pause, there is one trial
        /// at a time, it refuses everything while open, and once the longest waits are over it
        /// always lets somebody through.
        #[test]
        fn never_stuck_and_never_two_trials(steps in proptest::collection::vec(step(), 0..200), failures in 1_u32..4) {
            let mut breaker = after(failures);
            let settings = breaker.settings;
            let mut now = monotonic_now();
            let mut open_until = now;
            let mut trial_since: Option<Instant> = None;
            let mut tickets = Vec::new();
            for step in steps {
                match step {
                    Step::Wait(ms) => now += Duration::from_millis(ms),
                    Step::Admit => match breaker.admit(now) {
                        Admission::Pass(ticket) => tickets.push(ticket),
                        Admission::Trial(ticket) => {
                            prop_assert!(now >= open_until);
                            prop_assert!(trial_since.is_none_or(|since| now - since >= settings.trial_lease), "two trials");
                            trial_since = Some(now);
                            tickets.push(ticket);
                        }
                        Admission::Refused { retry_after } => {
                            prop_assert!(!breaker.is_closed());
                            prop_assert!(retry_after <= settings.open_max && retry_after > Duration::ZERO);
                        }
                    },
                    Step::Finish { which, good } if !tickets.is_empty() => {
                        let ticket = tickets.swap_remove(which % tickets.len());
                        match if good { breaker.succeeded(ticket) } else { breaker.failed(ticket, now) } {
                            Some(BreakerChange::Opened { open_for }) => {
                                open_until = now + open_for;
                                trial_since = None;
                            }
                            Some(BreakerChange::Closed) => {
                                prop_assert!(good && breaker.is_closed());
                                trial_since = None;
                            }
                            None => {}
                        }
                    }
                    Step::Forget(which) if !tickets.is_empty() => {
                        tickets.swap_remove(which % tickets.len());
                    }
                    Step::Finish { .. } | Step::Forget(_) => {}
                }
            }
            let end = now + settings.open_max.max(settings.trial_lease);
            let stuck = matches!(breaker.admit(end), Admission::Refused { .. });
            prop_assert!(!stuck);
        }
    }
}
