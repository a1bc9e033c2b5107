//! What all workers know of one upstream: its addresses, who is unhealthy, who is ejected, whose turn it
//! is. While everybody is healthy, a request takes no lock here.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::clock::{millis, monotonic_now};
use crate::crypto::random;
use crate::upstream::balance::{self, Candidate};
use crate::upstream::breaker::Ticket;
use crate::upstream::ejection::{Ejection, Verdict};
use crate::upstream::group::{Balance, Upstream};
use crate::upstream::resolved::{Address, EndpointSet, Mark, ResolvedEndpoint};

/// No trial is due, since nobody is ejected.
const NEVER: u64 = u64::MAX;

/// What matters of a request when an endpoint is chosen for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PickHint {
    /// The hash of the user whose request it is.
    pub user: Option<u64>,
    /// It may be sent a second time, should the first go wrong: trials are made with such requests
    /// rather than with others.
    pub may_repeat: bool,
}

/// A choice. Whoever sends a request there tells what came of it with [`UpstreamState::answered`]
/// or [`UpstreamState::failed`].
#[derive(Debug, Clone)]
pub struct Pick {
    /// Its place in the set.
    pub index: usize,
    ticket: Ticket,
}

/// What an outcome changed about a target, for the log and the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is left out for a while.
    Ejected {
        /// Until the next trial.
        time: Duration,
    },
    /// It fails, and is used nevertheless: too many others are left out.
    Suspected,
    /// It is healthy again as far as requests show.
    Returned,
}

/// What all workers know of one upstream.
#[derive(Debug)]
pub struct UpstreamState {
    /// Its settings.
    pub upstream: Arc<Upstream>,
    targets: watch::Sender<Arc<EndpointSet>>,
    ejection: Mutex<Ejection>,
    origin: Instant,
    /// When somebody who is ejected may be tried next, in milliseconds since `origin`.
    trial_at: AtomicU64,
    turn: AtomicUsize,
}

impl UpstreamState {
    /// An upstream whose endpoints are all healthy; names among them are still to be looked up.
    #[must_use]
    pub fn new(upstream: Arc<Upstream>) -> Self {
        let set = EndpointSet::literal(&upstream.endpoints);
        let mut ejection = Ejection::new(upstream.ejection);
        ejection.set_members(&ids(&set));
        let targets = watch::Sender::new(Arc::new(set));
        Self {
            upstream,
            targets,
            ejection: Mutex::new(ejection),
            origin: monotonic_now(),
            trial_at: AtomicU64::new(NEVER),
            turn: AtomicUsize::new(0),
        }
    }

    /// The state of an upstream whose settings have changed: what is known of the endpoints that
    /// stay goes on.
    #[must_use]
    pub fn succeeding(&self, upstream: Arc<Upstream>) -> Self {
        let set = self.targets().succeeding(
            &self.upstream.endpoints,
            &upstream.endpoints,
            upstream.health.is_some(),
        );
        let mut ejection = self.ejection().succeeding(upstream.ejection);
        let returned = ejection.set_members(&ids(&set));
        // Whoever asks next finds out when a trial is due.
        let trial_at = if ejection.ejected() == 0 { NEVER } else { 0 };
        let next = Self {
            upstream,
            targets: watch::Sender::new(Arc::new(set)),
            ejection: Mutex::new(ejection),
            origin: monotonic_now(),
            trial_at: AtomicU64::new(trial_at),
            turn: AtomicUsize::new(0),
        };
        for id in returned {
            next.note(&next.ejection(), &next.targets(), id);
        }
        next
    }

    /// The addresses now, and word of those to come.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<EndpointSet>> {
        self.targets.subscribe()
    }

    /// The addresses now.
    #[must_use]
    pub fn targets(&self) -> Arc<EndpointSet> {
        self.targets.borrow().clone()
    }

    /// Takes over what a look-up of the endpoints' names has found (see [`EndpointSet::refreshed`]);
    /// returns the addresses that are gone if anything has changed.
    pub fn refresh(&self, found: &[Option<Vec<Address>>]) -> Option<Vec<Arc<ResolvedEndpoint>>> {
        let before = self.targets();
        let set = Arc::new(before.refreshed(&self.upstream.endpoints, found)?);
        let mut ejection = self.ejection();
        for id in ejection.set_members(&ids(&set)) {
            self.note(&ejection, &set, id);
        }
        drop(ejection);
        let gone = before
            .targets()
            .iter()
            .filter(|old| set.targets().iter().all(|new| new.id != old.id))
            .cloned()
            .collect();
        self.targets.send_replace(set);
        Some(gone)
    }

    /// Chooses an address of the set that has not been tried. `None`: none is left, or
    /// health checks found all of them unhealthy.
    pub fn pick(
        &self,
        set: &EndpointSet,
        tried: &[usize],
        hint: PickHint,
        now: Instant,
    ) -> Option<Pick> {
        let targets = set.targets();
        if let [only] = targets {
            return (tried.is_empty() && !only.has(Mark::Unhealthy)).then(|| Pick {
                index: 0,
                ticket: only.ticket(),
            });
        }
        if tried.is_empty()
            && let Some(pick) = self.trial(set, hint.may_repeat, now)
        {
            return Some(pick);
        }
        let usable = |index: usize| !tried.contains(&index) && !targets[index].has(Mark::Unhealthy);
        let healthy = |index: usize| {
            (usable(index) && !targets[index].has(Mark::Ejected))
                .then(|| targets[index].candidate())
        };
        // Those who are left are unhealthy: then somebody who only failed lately is better than nobody.
        let any = |index: usize| usable(index).then(|| targets[index].candidate());
        let index = self.choose(set, hint.user, healthy).or_else(|| {
            if tried.is_empty() {
                self.choose(set, hint.user, any)
            } else {
                None
            }
        })?;
        Some(Pick {
            index,
            ticket: targets[index].ticket(),
        })
    }

    fn choose(
        &self,
        set: &EndpointSet,
        user: Option<u64>,
        candidate: impl Fn(usize) -> Option<Candidate>,
    ) -> Option<usize> {
        let count = set.targets().len();
        match (self.upstream.balance, user) {
            (Balance::RoundRobin, _) => balance::round_robin(
                set.turns(),
                self.turn.fetch_add(1, Ordering::Relaxed),
                candidate,
            ),
            (Balance::UserHash, Some(user)) => balance::user_hash(count, candidate, user),
            (Balance::LeastRequest, _) | (Balance::UserHash, None) => {
                balance::least_request(count, candidate, draw)
            }
        }
    }

    /// Somebody who is ejected and whose time is over gets this request as a trial. One that cannot
    /// be sent again is only taken if no better has come for a while.
    fn trial(&self, set: &EndpointSet, may_repeat: bool, now: Instant) -> Option<Pick> {
        let elapsed = self.elapsed(now);
        let grace = if may_repeat {
            0
        } else {
            millis(self.upstream.ejection.time)
        };
        if self.trial_at.load(Ordering::Relaxed).saturating_add(grace) > elapsed {
            return None;
        }
        let place = |id: u64| set.targets().iter().position(|target| target.id == id);
        let is_healthy =
            |id: u64| place(id).is_some_and(|index| !set.targets()[index].has(Mark::Unhealthy));
        let mut ejection = self.ejection();
        match ejection.trial(now, is_healthy) {
            Ok((id, ticket)) => place(id).map(|index| Pick { index, ticket }),
            Err(wait) => {
                let next = if ejection.ejected() == 0 {
                    NEVER
                } else {
                    elapsed + millis(wait).max(1)
                };
                self.trial_at.store(next, Ordering::Relaxed);
                None
            }
        }
    }

    /// The head of an answer came, whatever it says.
    pub fn answered(&self, target: &ResolvedEndpoint, pick: &Pick) -> Option<Change> {
        if !target.troubled.load(Ordering::Relaxed) {
            return None;
        }
        let mut ejection = self.ejection();
        let verdict = ejection.succeeded(target.id, pick.ticket);
        if !ejection.is_ejected(target.id) {
            target.troubled.store(false, Ordering::Relaxed);
        }
        self.apply(&ejection, target, verdict)
    }

    /// No connection, silence, or nothing that could be used.
    pub fn failed(&self, target: &ResolvedEndpoint, pick: &Pick, now: Instant) -> Option<Change> {
        let mut ejection = self.ejection();
        target.troubled.store(true, Ordering::Relaxed);
        let verdict = ejection.failed(target.id, pick.ticket, now);
        self.apply(&ejection, target, verdict)
    }

    /// What health checks found; tells whether that is new.
    pub fn checked(&self, target: &ResolvedEndpoint, healthy: bool) -> bool {
        target.mark(Mark::Unhealthy, !healthy)
    }

    /// Whether requests to this upstream have nowhere good to go.
    #[must_use]
    pub fn has_no_healthy_endpoint(&self) -> bool {
        !self
            .targets
            .borrow()
            .targets()
            .iter()
            .any(|target| target.is_healthy())
    }

    fn apply(
        &self,
        ejection: &Ejection,
        target: &ResolvedEndpoint,
        verdict: Option<Verdict>,
    ) -> Option<Change> {
        let verdict = verdict?;
        target.mark(Mark::Suspected, verdict == Verdict::Suspected);
        target.mark(Mark::Ejected, ejection.is_ejected(target.id));
        if let Some(ticket) = ejection.ticket(target.id) {
            target.set_ticket(ticket);
        }
        // Whoever asks next finds out how long it is.
        self.trial_at.store(
            if ejection.ejected() == 0 { NEVER } else { 0 },
            Ordering::Relaxed,
        );
        Some(match verdict {
            Verdict::Ejected { time } => Change::Ejected { time },
            Verdict::Suspected => Change::Suspected,
            Verdict::Returned => Change::Returned,
        })
    }

    fn note(&self, ejection: &Ejection, set: &EndpointSet, id: u64) {
        if let Some(target) = set.targets().iter().find(|target| target.id == id) {
            let _ = self.apply(ejection, target, Some(Verdict::Suspected));
        }
    }

    fn ejection(&self) -> MutexGuard<'_, Ejection> {
        self.ejection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn elapsed(&self, now: Instant) -> u64 {
        millis(now.saturating_duration_since(self.origin))
    }
}

fn ids(set: &EndpointSet) -> Vec<u64> {
    set.targets().iter().map(|target| target.id).collect()
}

/// A number below `below`, which is a sum of weights.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "weights together stay far below 2^52"
)]
fn draw(below: u64) -> u64 {
    ((random::fraction() * below as f64) as u64).min(below.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::upstream::Endpoint;
    use crate::upstream::group::EjectionSettings;

    const GET: PickHint = PickHint {
        user: None,
        may_repeat: true,
    };
    const POST: PickHint = PickHint {
        user: None,
        may_repeat: false,
    };

    fn state(count: u8, balance: Balance) -> UpstreamState {
        let endpoints = (1..=count)
            .map(|n| Endpoint::parse(&format!("http://10.0.0.{n}:80")).unwrap())
            .collect();
        let ejection = EjectionSettings {
            failures: 1,
            ..Upstream::for_tests("u").ejection
        };
        UpstreamState::new(Arc::new(Upstream {
            balance,
            ejection,
            ..Upstream::new("u", endpoints)
        }))
    }

    #[test]
    fn a_failed_endpoint_is_left_out_until_a_trial_succeeds() {
        let (state, now) = (state(2, Balance::RoundRobin), monotonic_now());
        let set = state.targets();
        let bad = loop {
            let pick = state.pick(&set, &[], GET, now).unwrap();
            if pick.index == 0 {
                break pick;
            }
        };
        assert!(matches!(
            state.failed(&set.targets()[0], &bad, now),
            Some(Change::Ejected { .. })
        ));
        assert!((0..50).all(|_| state.pick(&set, &[], GET, now).unwrap().index == 1));
        assert!(
            state.pick(&set, &[1], GET, now).is_none(),
            "a retry does not go to somebody who is ejected"
        );
        let later = now + Duration::from_secs(11);
        let trial = state.pick(&set, &[], GET, later).unwrap();
        assert_eq!(trial.index, 0);
        assert!(
            (0..50).all(|_| state.pick(&set, &[], GET, later).unwrap().index == 1),
            "one trial at a time"
        );
        assert_eq!(
            state.answered(&set.targets()[0], &trial),
            Some(Change::Returned)
        );
        assert!((0..50).any(|_| state.pick(&set, &[], GET, later).unwrap().index == 0));
        assert_eq!(state.trial_at.load(Ordering::Relaxed), NEVER);
    }

    #[test]
    fn trials_are_made_with_what_may_be_repeated_unless_nothing_such_comes() {
        let (state, now) = (state(2, Balance::LeastRequest), monotonic_now());
        let set = state.targets();
        state.failed(
            &set.targets()[0],
            &Pick {
                index: 0,
                ticket: set.targets()[0].ticket(),
            },
            now,
        );
        let seconds = |n: u64| now + Duration::from_secs(n);
        // Somebody asks now and then, so that the time of the next trial is known.
        assert_eq!(state.pick(&set, &[], GET, seconds(1)).unwrap().index, 1);
        assert!((11..20).all(|n| state.pick(&set, &[], POST, seconds(n)).unwrap().index == 1));
        assert_eq!(state.pick(&set, &[], POST, seconds(21)).unwrap().index, 0);
    }

    #[test]
    fn sick_ones_are_never_used_and_an_ejected_one_is_better_than_nobody() {
        let (state, now) = (state(2, Balance::LeastRequest), monotonic_now());
        let set = state.targets();
        let pick = Pick {
            index: 0,
            ticket: set.targets()[0].ticket(),
        };
        state.failed(&set.targets()[0], &pick, now);
        assert!(!state.has_no_healthy_endpoint());
        assert!(state.checked(&set.targets()[1], false));
        assert_eq!(
            state.pick(&set, &[], GET, now).map(|pick| pick.index),
            Some(0)
        );
        assert!(state.has_no_healthy_endpoint());
        assert!(state.checked(&set.targets()[0], false));
        assert!(state.pick(&set, &[], GET, now).is_none());
    }

    #[test]
    fn under_other_settings_endpoints_that_stay_keep_what_is_known_of_them() {
        let (state, now) = (state(3, Balance::LeastRequest), monotonic_now());
        let set = state.targets();
        state.failed(
            &set.targets()[0],
            &Pick {
                index: 0,
                ticket: set.targets()[0].ticket(),
            },
            now,
        );
        state.checked(&set.targets()[1], false);
        let urls = [
            "http://10.0.0.9:80",
            "http://10.0.0.2:80",
            "http://10.0.0.1:80",
        ];
        let endpoints: Vec<_> = urls
            .iter()
            .map(|url| Endpoint::parse(url).unwrap())
            .collect();
        let next = state.succeeding(Arc::new(Upstream {
            ejection: state.upstream.ejection,
            ..Upstream::new("u", endpoints)
        }));
        let now_set = next.targets();
        let known = |index: usize| {
            (
                now_set.targets()[index].has(Mark::Ejected),
                now_set.targets()[index].has(Mark::Unhealthy),
            )
        };
        assert_eq!(
            (known(0), known(1), known(2)),
            ((false, false), (false, false), (true, false)),
            "nobody asks whether they are sick any more"
        );
        assert!(
            set.targets()
                .iter()
                .all(|old| old.id != now_set.targets()[0].id)
        );
        assert!((0..50).all(|_| next.pick(&now_set, &[], GET, now).unwrap().index != 2));
        let trial = next
            .pick(&now_set, &[], GET, now + Duration::from_secs(11))
            .unwrap();
        assert_eq!(
            (trial.index, next.answered(&now_set.targets()[2], &trial)),
            (2, Some(Change::Returned))
        );
        // A smaller upstream may leave out nobody.
        let one = state.succeeding(Arc::new(Upstream {
            ejection: state.upstream.ejection,
            ..Upstream::new("u", vec![state.upstream.endpoints[0].clone()])
        }));
        assert_eq!(
            (
                one.targets().targets()[0].has(Mark::Ejected),
                one.has_no_healthy_endpoint()
            ),
            (false, true),
            "only suspected"
        );
    }

    #[test]
    fn the_only_endpoint_is_never_ejected() {
        let (state, now) = (state(1, Balance::LeastRequest), monotonic_now());
        let set = state.targets();
        for _ in 0..20 {
            let pick = state.pick(&set, &[], GET, now).unwrap();
            state.failed(&set.targets()[0], &pick, now);
        }
        assert!(state.has_no_healthy_endpoint());
        let pick = state.pick(&set, &[], GET, now).unwrap();
        assert_eq!(
            state.answered(&set.targets()[0], &pick),
            Some(Change::Returned)
        );
        assert!(!state.has_no_healthy_endpoint());
    }

    proptest! {
        /// While anybody is healthy, nobody unhealthy is chosen, trials aside; and nobody who was
        /// tried is tried again.
        #[test]
        fn the_well_come_first(
            outcomes in proptest::collection::vec((any::<bool>(), 0_u64..3000, any::<bool>()), 0..100),
            count in 2_u8..6,
            balance in prop_oneof![Just(Balance::RoundRobin), Just(Balance::LeastRequest), Just(Balance::UserHash)],
        ) {
            let (state, mut now) = (state(count, balance), monotonic_now());
            let set = state.targets();
            for (good, wait, sick) in outcomes {
                now += Duration::from_millis(wait);
                let hint = PickHint { user: Some(wait), may_repeat: wait % 2 == 0 };
                state.checked(&set.targets()[usize::try_from(wait).unwrap() % usize::from(count)], !sick);
                let usable = |target: &Arc<ResolvedEndpoint>| !target.has(Mark::Unhealthy) && !target.has(Mark::Ejected);
                let anybody = set.targets().iter().any(usable);
                let Some(first) = state.pick(&set, &[], hint, now) else {
                    prop_assert!(set.targets().iter().all(|target| target.has(Mark::Unhealthy)));
                    continue;
                };
                let target = &set.targets()[first.index];
                let is_trial = target.has(Mark::Ejected) && first.ticket != target.ticket();
                prop_assert!(!target.has(Mark::Unhealthy) && (usable(target) || is_trial || !anybody));
                if let Some(second) = state.pick(&set, &[first.index], hint, now) {
                    prop_assert!(second.index != first.index && usable(&set.targets()[second.index]));
                }
                if good { state.answered(target, &first) } else { state.failed(target, &first, now) };
            }
        }
    }
}
