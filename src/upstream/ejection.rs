//! Which endpoints are left out because requests to them failed. Each has a breaker; but a breaker
//! may not open where too many are open already: when most endpoints fail, the fault is most likely
//! not theirs, and whoever is left must not carry everything.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::upstream::EjectionSettings;
use crate::upstream::breaker::{Admission, Breaker, BreakerChange, Ticket};

/// What an outcome changed about an endpoint, for the log and the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is left out from now on, or goes on being left out after a trial.
    Ejected {
        /// Until the next trial.
        time: Duration,
    },
    /// It should be left out, and is not because too many are.
    Suspected,
    /// It is used again, or not suspected any more.
    Returned,
}

/// All endpoints of an upstream, by the number that each has for life.
#[derive(Debug, Clone)]
pub struct Ejection {
    settings: EjectionSettings,
    members: BTreeMap<u64, EjectionMember>,
}

#[derive(Debug, Clone)]
struct EjectionMember {
    breaker: Breaker,
    suspected: bool,
}

impl Ejection {
    /// Without members.
    pub const fn new(settings: EjectionSettings) -> Self {
        Self {
            settings,
            members: BTreeMap::new(),
        }
    }

    /// The same under other settings: who is left out stays so for as long as was said.
    pub fn succeeding(&self, settings: EjectionSettings) -> Self {
        let mut next = Self {
            settings,
            members: self.members.clone(),
        };
        for member in next.members.values_mut() {
            member.breaker.settle(settings.breaker);
        }
        next
    }

    /// These are the members from now on; who was one stays as it was. Returns whom the smaller
    /// number brings back.
    pub fn set_members(&mut self, members: &[u64]) -> Vec<u64> {
        self.members.retain(|id, _| members.contains(id));
        for id in members {
            let breaker = Breaker::new(self.settings.breaker);
            self.members.entry(*id).or_insert(EjectionMember {
                breaker,
                suspected: false,
            });
        }
        let too_many = self.ejected().saturating_sub(self.most());
        let ejected = self.members.iter_mut();
        let ejected = ejected.filter(|(_, member)| !member.breaker.is_closed());
        let mut returned = Vec::new();
        for (id, member) in ejected.take(too_many) {
            returned.push(*id);
            *member = EjectionMember {
                breaker: Breaker::new(self.settings.breaker),
                suspected: true,
            };
        }
        returned
    }

    /// How many are left out.
    pub fn ejected(&self) -> usize {
        self.members
            .values()
            .filter(|member| !member.breaker.is_closed())
            .count()
    }

    /// How many may be: the configured share, rounded up, and never all.
    pub fn most(&self) -> usize {
        let share = (self.members.len() * self.settings.max_percent as usize).div_ceil(100);
        share.min(self.members.len().saturating_sub(1))
    }

    /// Whether a member is left out.
    pub fn is_ejected(&self, id: u64) -> bool {
        self.members
            .get(&id)
            .is_some_and(|member| !member.breaker.is_closed())
    }

    /// The ticket of ordinary requests to a member.
    #[must_use]
    pub fn ticket(&self, id: u64) -> Option<Ticket> {
        self.members.get(&id).map(|member| member.breaker.ticket())
    }

    /// A request to this member failed.
    pub fn failed(&mut self, id: u64, ticket: Ticket, now: Instant) -> Option<Change> {
        let full = self.ejected() >= self.most();
        let member = self.members.get_mut(&id)?;
        if full && member.breaker.is_on_the_brink() {
            let known = std::mem::replace(&mut member.suspected, true);
            return (!known).then_some(Change::Suspected);
        }
        let Some(BreakerChange::Opened { open_for }) = member.breaker.failed(ticket, now) else {
            return None;
        };
        member.suspected = false;
        Some(Change::Ejected { time: open_for })
    }

    /// A request to this member was answered.
    pub fn succeeded(&mut self, id: u64, ticket: Ticket) -> Option<Change> {
        let member = self.members.get_mut(&id)?;
        let closed = member.breaker.succeeded(ticket).is_some();
        let was_suspected = member.breaker.is_closed() && std::mem::take(&mut member.suspected);
        (closed || was_suspected).then_some(Change::Returned)
    }

    /// The member whose time is over, with the ticket of its one trial; else how long it is until
    /// somebody's may be. Only those count whom `may_be_tried` lets.
    pub fn trial(
        &mut self,
        now: Instant,
        may_be_tried: impl Fn(u64) -> bool,
    ) -> Result<(u64, Ticket), Duration> {
        let mut wait = self.settings.breaker.open_max;
        for (id, member) in self
            .members
            .iter_mut()
            .filter(|(id, member)| !member.breaker.is_closed() && may_be_tried(**id))
        {
            match member.breaker.admit(now) {
                Admission::Trial(ticket) | Admission::Pass(ticket) => return Ok((*id, ticket)),
                Admission::Refused { retry_after } => wait = wait.min(retry_after),
            }
        }
        Err(wait)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::monotonic_now;
    use crate::upstream::breaker::BreakerSettings;

    const SECOND: Duration = Duration::from_secs(1);

    fn settings(failures: u32, max_percent: u32) -> EjectionSettings {
        EjectionSettings {
            breaker: BreakerSettings {
                failures,
                open_for: SECOND,
                open_max: 8 * SECOND,
                trial_lease: SECOND,
            },
            max_percent,
        }
    }

    fn of(members: u64, settings: EjectionSettings) -> Ejection {
        let mut ejection = Ejection::new(settings);
        assert!(
            ejection
                .set_members(&(0..members).collect::<Vec<_>>())
                .is_empty()
        );
        ejection
    }

    fn fail(ejection: &mut Ejection, id: u64, now: Instant) -> Option<Change> {
        let ticket = ejection.ticket(id).unwrap();
        ejection.failed(id, ticket, now)
    }

    #[test]
    fn failures_in_a_row_eject_and_a_trial_brings_back() {
        let now = monotonic_now();
        let mut ejection = of(3, settings(2, 50));
        assert_eq!(fail(&mut ejection, 0, now), None);
        assert_eq!(
            fail(&mut ejection, 0, now),
            Some(Change::Ejected { time: SECOND })
        );
        assert_eq!(ejection.trial(now, |_| true), Err(SECOND));
        let (id, ticket) = ejection.trial(now + SECOND, |_| true).unwrap();
        assert_eq!((id, ejection.is_ejected(0)), (0, true));
        assert!(
            ejection.trial(now + SECOND, |_| true).is_err(),
            "one trial at a time"
        );
        assert_eq!(
            ejection.failed(0, ticket, now + SECOND),
            Some(Change::Ejected { time: 2 * SECOND }),
            "for longer each time"
        );
        let (_, ticket) = ejection.trial(now + 3 * SECOND, |_| true).unwrap();
        assert_eq!(ejection.succeeded(0, ticket), Some(Change::Returned));
        assert_eq!(ejection.ejected(), 0);
    }

    #[test]
    fn never_all_and_never_more_than_the_share() {
        for (members, percent, most) in [
            (1, 100, 0),
            (2, 100, 1),
            (2, 50, 1),
            (3, 50, 2),
            (4, 50, 2),
            (5, 10, 1),
            (3, 0, 0),
        ] {
            let now = monotonic_now();
            let mut ejection = of(members, settings(1, percent));
            let changes: Vec<_> = (0..members)
                .filter_map(|id| fail(&mut ejection, id, now))
                .collect();
            assert_eq!(
                (ejection.ejected(), ejection.most()),
                (most, most),
                "{members} {percent}"
            );
            let suspected = changes
                .iter()
                .filter(|change| **change == Change::Suspected)
                .count();
            assert_eq!(suspected + most, usize::try_from(members).unwrap());
        }
        let now = monotonic_now();
        let mut ejection = of(1, settings(1, 100));
        fail(&mut ejection, 0, now);
        assert_eq!(fail(&mut ejection, 0, now), None, "suspected once");
        let ticket = ejection.ticket(0).unwrap();
        assert_eq!(ejection.succeeded(0, ticket), Some(Change::Returned));
    }

    proptest! {
        /// Whatever happens, members that come and go included: never more than the share are left
        /// out, never all, and whoever is left out gets a trial once the longest times are over.
        #[test]
        fn the_share_holds(
            steps in proptest::collection::vec((0_u64..6, 0_u8..5, 0_u64..4000), 0..200),
            failures in 1_u32..3,
            percent in 0_u32..=100,
        ) {
            let mut now = monotonic_now();
            let mut ejection = of(4, settings(failures, percent));
            let mut members = 4;
            for (id, step, wait) in steps {
                now += Duration::from_millis(wait);
                match step {
                    0 | 1 => { ejection.ticket(id).map(|ticket| ejection.failed(id, ticket, now)); }
                    2 => { ejection.ticket(id).map(|ticket| ejection.succeeded(id, ticket)); }
                    3 => if let Ok((id, ticket)) = ejection.trial(now, |_| true) {
                        if wait % 2 == 0 { ejection.succeeded(id, ticket); } else { ejection.failed(id, ticket, now); }
                    },
                    _ => {
                        members = id;
                        ejection.set_members(&(0..members).collect::<Vec<_>>());
                    }
                }
                let n = usize::try_from(members).unwrap();
                prop_assert!(ejection.ejected() <= (n * percent as usize).div_ceil(100));
                prop_assert!(n == 0 || ejection.ejected() < n);
            }
            let ejected = ejection.ejected();
            prop_assert_eq!(ejection.trial(now + 8 * SECOND, |_| true).is_ok(), ejected > 0);
        }
    }
}
