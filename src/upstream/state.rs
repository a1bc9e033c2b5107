//! What all workers know of one upstream: its addresses, who is unhealthy, who is ejected, whose turn it
//! is. While everybody is healthy, a request takes no lock here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::clock::{millis, monotonic_now};
use crate::crypto::random;
use crate::upstream::balance::{self, Candidate};
use crate::upstream::breaker::Ticket;
use crate::upstream::ejection::{Change, Ejection};
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

/// A choice. Whoever sends a request there reports the outcome with [`UpstreamState::succeeded`]
/// or [`UpstreamState::failed`].
#[derive(Debug, Clone)]
pub struct Pick {
    /// Its place in the set.
    pub index: usize,
    ticket: Ticket,
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
    pub fn new(upstream: Arc<Upstream>) -> Self {
        let set = EndpointSet::literal(&upstream.endpoints);
        let mut ejection = Ejection::new(upstream.ejection);
        ejection.set_members(&ids(&set));
        Self::with(upstream, set, ejection)
    }

    fn with(upstream: Arc<Upstream>, set: EndpointSet, ejection: Ejection) -> Self {
        Self {
            upstream,
            targets: watch::Sender::new(Arc::new(set)),
            trial_at: AtomicU64::new(next_trial(&ejection)),
            ejection: Mutex::new(ejection),
            origin: monotonic_now(),
            turn: AtomicUsize::new(0),
        }
    }

    /// The state of an upstream whose settings have changed: what is known of the endpoints that
    /// stay goes on.
    pub fn succeeding(&self, upstream: Arc<Upstream>) -> Self {
        let set = self.targets().succeeding(
            &self.upstream.endpoints,
            &upstream.endpoints,
            upstream.health.is_some(),
        );
        let mut ejection = self.ejection.lock().succeeding(upstream.ejection);
        let returned = ejection.set_members(&ids(&set));
        let next = Self::with(upstream, set, ejection);
        for id in returned {
            next.note(&next.ejection.lock(), &next.targets(), id);
        }
        next
    }

    /// The addresses now, and word of those to come.
    pub fn subscribe(&self) -> watch::Receiver<Arc<EndpointSet>> {
        self.targets.subscribe()
    }

    /// The addresses now.
    pub fn targets(&self) -> Arc<EndpointSet> {
        self.targets.borrow().clone()
    }

    /// Takes over what a look-up of the endpoints' names has found (see [`EndpointSet::refreshed`]);
    /// returns the addresses that are gone if anything has changed.
    pub fn refresh(&self, found: &[Option<Vec<Address>>]) -> Option<Vec<Arc<ResolvedEndpoint>>> {
        let before = self.targets();
        let set = Arc::new(before.refreshed(&self.upstream.endpoints, found)?);
        let mut ejection = self.ejection.lock();
        for id in ejection.set_members(&ids(&set)) {
            self.note(&ejection, &set, id);
        }
        drop(ejection);
        let gone = before
            .targets
            .iter()
            .filter(|old| set.targets.iter().all(|new| new.id != old.id))
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
        let targets = set.targets.as_slice();
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
        let count = set.targets.len();
        match (self.upstream.balance, user) {
            (Balance::RoundRobin, _) => balance::round_robin(
                &set.turns,
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
            millis(self.upstream.ejection.breaker.open_for)
        };
        if self.trial_at.load(Ordering::Relaxed).saturating_add(grace) > elapsed {
            return None;
        }
        let place = |id: u64| set.targets.iter().position(|target| target.id == id);
        let is_healthy =
            |id: u64| place(id).is_some_and(|index| !set.targets[index].has(Mark::Unhealthy));
        let mut ejection = self.ejection.lock();
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
    pub fn succeeded(&self, target: &ResolvedEndpoint, pick: &Pick) -> Option<Change> {
        if !target.troubled.load(Ordering::Relaxed) {
            return None;
        }
        let mut ejection = self.ejection.lock();
        let change = ejection.succeeded(target.id, pick.ticket);
        if !ejection.is_ejected(target.id) {
            target.troubled.store(false, Ordering::Relaxed);
        }
        self.apply(&ejection, target, change)
    }

    /// No connection, silence, or nothing that could be used.
    pub fn failed(&self, target: &ResolvedEndpoint, pick: &Pick, now: Instant) -> Option<Change> {
        let mut ejection = self.ejection.lock();
        target.troubled.store(true, Ordering::Relaxed);
        let change = ejection.failed(target.id, pick.ticket, now);
        self.apply(&ejection, target, change)
    }

    /// What health checks found; tells whether that is new.
    pub fn checked(&self, target: &ResolvedEndpoint, healthy: bool) -> bool {
        target.mark(Mark::Unhealthy, !healthy)
    }

    /// Whether requests to this upstream have nowhere good to go.
    pub fn has_no_healthy_endpoint(&self) -> bool {
        !self
            .targets
            .borrow()
            .targets
            .iter()
            .any(|target| target.is_healthy())
    }

    fn apply(
        &self,
        ejection: &Ejection,
        target: &ResolvedEndpoint,
        change: Option<Change>,
    ) -> Option<Change> {
        let change = change?;
        target.mark(Mark::Suspected, change == Change::Suspected);
        target.mark(Mark::Ejected, ejection.is_ejected(target.id));
        if let Some(ticket) = ejection.ticket(target.id) {
            target.set_ticket(ticket);
        }
        self.trial_at.store(next_trial(ejection), Ordering::Relaxed);
        Some(change)
    }

    fn note(&self, ejection: &Ejection, set: &EndpointSet, id: u64) {
        if let Some(target) = set.targets.iter().find(|target| target.id == id) {
            let _ = self.apply(ejection, target, Some(Change::Suspected));
        }
    }

    fn elapsed(&self, now: Instant) -> u64 {
        millis(now.saturating_duration_since(self.origin))
    }
}

/// No trial, or one at once: the next request finds out when it is due.
fn next_trial(ejection: &Ejection) -> u64 {
    if ejection.ejected() == 0 { NEVER } else { 0 }
}

fn ids(set: &EndpointSet) -> Vec<u64> {
    set.targets.iter().map(|target| target.id).collect()
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
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::upstream::Endpoint;

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
        let mut upstream = Upstream::new("u", endpoints);
        upstream.balance = balance;
        upstream.ejection.breaker.failures = 1;
        UpstreamState::new(Arc::new(upstream))
    }

    /// The endpoint that a request is sent to; `None`: none is left.
    fn chosen(
        state: &UpstreamState,
        tried: &[usize],
        hint: PickHint,
        now: Instant,
    ) -> Option<usize> {
        let pick = state.pick(&state.targets(), tried, hint, now);
        pick.map(|pick| pick.index)
    }

    /// Whether 50 requests are all sent to this endpoint.
    fn all_chosen(state: &UpstreamState, now: Instant, index: usize) -> bool {
        (0..50).all(|_| chosen(state, &[], GET, now) == Some(index))
    }

    /// An ordinary request to this endpoint fails.
    fn fail(state: &UpstreamState, index: usize, now: Instant) -> Option<Change> {
        let target = state.targets().targets[index].clone();
        let ticket = target.ticket();
        state.failed(&target, &Pick { index, ticket }, now)
    }

    fn check(state: &UpstreamState, index: usize, healthy: bool) {
        assert!(state.checked(&state.targets().targets[index], healthy));
    }

    /// The request that is a trial is sent to this endpoint, and answered.
    fn trial_succeeds(state: &UpstreamState, index: usize, now: Instant) {
        let set = state.targets();
        let trial = state.pick(&set, &[], GET, now).unwrap();
        assert_eq!(trial.index, index);
        assert!(!all_chosen(state, now, index), "one trial at a time");
        let change = state.succeeded(&set.targets[index], &trial);
        assert_eq!(change, Some(Change::Returned));
    }

    #[test]
    fn a_failed_endpoint_is_left_out_until_a_trial_succeeds() {
        let state = state(2, Balance::RoundRobin);
        let now = monotonic_now();
        assert!((0..50).any(|_| chosen(&state, &[], GET, now) == Some(0)));
        assert!(matches!(fail(&state, 0, now), Some(Change::Ejected { .. })));
        assert!(all_chosen(&state, now, 1));
        assert_eq!(
            chosen(&state, &[1], GET, now),
            None,
            "a retry does not go to somebody who is ejected"
        );
        let later = now + Duration::from_secs(11);
        trial_succeeds(&state, 0, later);
        assert!((0..50).any(|_| chosen(&state, &[], GET, later) == Some(0)));
        assert_eq!(state.trial_at.load(Ordering::Relaxed), NEVER);
    }

    #[test]
    fn trials_are_made_with_what_may_be_repeated_unless_nothing_such_comes() {
        let state = state(2, Balance::LeastRequest);
        let now = monotonic_now();
        fail(&state, 0, now);
        // Somebody asks now and then, so that the time of the next trial is known.
        for (second, hint, index) in [(1, GET, 1), (11, POST, 1), (19, POST, 1), (21, POST, 0)] {
            let at = now + Duration::from_secs(second);
            assert_eq!(chosen(&state, &[], hint, at), Some(index), "{second}");
        }
    }

    #[test]
    fn unhealthy_ones_are_never_used_and_an_ejected_one_is_better_than_nobody() {
        let state = state(2, Balance::LeastRequest);
        let now = monotonic_now();
        fail(&state, 0, now);
        assert!(!state.has_no_healthy_endpoint());
        check(&state, 1, false);
        assert_eq!(chosen(&state, &[], GET, now), Some(0));
        assert!(state.has_no_healthy_endpoint());
        check(&state, 0, false);
        assert_eq!(chosen(&state, &[], GET, now), None);
    }

    #[test]
    fn under_other_settings_endpoints_that_stay_keep_what_is_known_of_them() {
        let state = state(3, Balance::LeastRequest);
        let now = monotonic_now();
        fail(&state, 0, now);
        check(&state, 1, false);
        let succeeding = |urls: &[&str]| {
            let endpoints = urls.iter().map(|url| Endpoint::parse(url).unwrap());
            state.succeeding(Arc::new(Upstream {
                ejection: state.upstream.ejection,
                ..Upstream::new("u", endpoints.collect())
            }))
        };
        let next = succeeding(&[
            "http://10.0.0.9:80",
            "http://10.0.0.2:80",
            "http://10.0.0.1:80",
        ]);
        let old = state.targets();
        let new = next.targets();
        for (target, ejected) in new.targets.iter().zip([false, false, true]) {
            assert_eq!(target.has(Mark::Ejected), ejected, "{}", target.name);
            assert!(!target.has(Mark::Unhealthy), "nobody checks them any more");
        }
        let is_new = |id: u64| old.targets.iter().all(|old| old.id != id);
        assert!(is_new(new.targets[0].id));
        assert!((0..50).all(|_| chosen(&next, &[], GET, now) != Some(2)));
        trial_succeeds(&next, 2, now + Duration::from_secs(11));
        // A smaller upstream may leave out nobody.
        let one = succeeding(&["http://10.0.0.1:80"]);
        assert!(!one.targets().targets[0].has(Mark::Ejected));
        assert!(one.has_no_healthy_endpoint(), "it is suspected");
    }

    #[test]
    fn the_only_endpoint_is_never_ejected() {
        let state = state(1, Balance::LeastRequest);
        let now = monotonic_now();
        for _ in 0..20 {
            assert_eq!(chosen(&state, &[], GET, now), Some(0));
            fail(&state, 0, now);
        }
        assert!(state.has_no_healthy_endpoint());
        let set = state.targets();
        let pick = state.pick(&set, &[], GET, now).unwrap();
        let change = state.succeeded(&set.targets[0], &pick);
        assert_eq!(change, Some(Change::Returned));
        assert!(!state.has_no_healthy_endpoint());
    }

    proptest! {
        /// While anybody is healthy, nobody unhealthy is chosen, trials aside; and nobody who was
        /// tried is tried again.
        #[test]
        fn healthy_ones_come_first(
            outcomes in proptest::collection::vec((any::<bool>(), 0_u64..3000, any::<bool>()), 0..100),
            count in 2_u8..6,
            balance in prop_oneof![Just(Balance::RoundRobin), Just(Balance::LeastRequest), Just(Balance::UserHash)],
        ) {
            let state = state(count, balance);
            let mut now = monotonic_now();
            let set = state.targets();
            for (good, wait, unhealthy) in outcomes {
                now += Duration::from_millis(wait);
                let hint = PickHint { user: Some(wait), may_repeat: wait % 2 == 0 };
                state.checked(&set.targets[usize::try_from(wait).unwrap() % usize::from(count)], !unhealthy);
                let usable = |target: &Arc<ResolvedEndpoint>| !target.has(Mark::Unhealthy) && !target.has(Mark::Ejected);
                let anybody = set.targets.iter().any(usable);
                let Some(first) = state.pick(&set, &[], hint, now) else {
                    prop_assert!(set.targets.iter().all(|target| target.has(Mark::Unhealthy)));
                    continue;
                };
                let target = &set.targets[first.index];
                let is_trial = target.has(Mark::Ejected) && first.ticket != target.ticket();
                prop_assert!(!target.has(Mark::Unhealthy) && (usable(target) || is_trial || !anybody));
                if let Some(second) = state.pick(&set, &[first.index], hint, now) {
                    prop_assert!(second.index != first.index && usable(&set.targets[second.index]));
                }
                if good { state.succeeded(target, &first) } else { state.failed(target, &first, now) };
            }
        }
    }
}
