//! The near cache against what it promises.

use proptest::prelude::*;

use super::CachedLookup::{Certain, Nothing, Unconfirmed};
use super::InvalidationScope::{Everything, Revocations};
use super::*;
use crate::clock::monotonic_now;
use crate::store::near_cache::invalidation::InvalidationChoice;

const A: ConnectionId = ConnectionId(1);
const B: ConnectionId = ConnectionId(2);

const fn settings(capacity: usize) -> NearCacheSettings {
    NearCacheSettings {
        push: InvalidationChoice::Auto,
        capacity,
        max_stale: secs(2),
        outage_grace: secs(5),
    }
}

const fn id(n: u8) -> SessionId {
    SessionId {
        tag: [0, 0],
        hash: [n; 16],
    }
}

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A cache in which connection A has read the entry 1 now, which is 7.
fn one(scope: InvalidationScope, now: Instant) -> NearCache<u32> {
    let mut cache = NearCache::new(settings(10));
    cache.connected(A, scope, now);
    read(&mut cache, 1, Some(7), now);
    cache
}

/// Has connection A read an entry now.
fn read(cache: &mut NearCache<u32>, n: u8, value: Option<u32>, now: Instant) {
    let load = cache.begin(id(n), A);
    cache.finish(&load, value, now, now + secs(100));
}

#[test]
fn certain_only_as_long_as_the_connection_is_known_to_live() {
    let now = monotonic_now();
    let mut cache = one(Everything, now);
    assert_eq!(cache.get(&id(1), now + secs(2)), Certain(Some(7)));
    assert_eq!(cache.get(&id(1), now + secs(3)), Unconfirmed(7));
    cache.heartbeat(A, now + secs(2));
    assert_eq!(cache.get(&id(1), now + secs(4)), Certain(Some(7)));
    cache.lost(A);
    assert_eq!(cache.get(&id(1), now + secs(4)), Unconfirmed(7));
    assert_eq!(cache.get(&id(1), now + secs(8)), Nothing);
    cache.connected(B, Everything, now + secs(4));
    assert_eq!(cache.get(&id(1), now + secs(4)), Nothing);
}

#[test]
fn a_missing_session_is_never_told_on_a_guess() {
    let now = monotonic_now();
    let mut cache = one(Everything, now);
    read(&mut cache, 2, None, now);
    assert_eq!(cache.get(&id(2), now), Certain(None));
    assert_eq!(cache.get(&id(2), now + secs(3)), Nothing);
}

#[test]
fn what_hears_of_revocations_only_is_read_again_after_max_stale() {
    let now = monotonic_now();
    let mut cache = one(Revocations, now);
    for beat in 1..=3 {
        cache.heartbeat(A, now + secs(beat));
    }
    assert_eq!(cache.get(&id(1), now + secs(2)), Certain(Some(7)));
    assert_eq!(cache.get(&id(1), now + secs(3)), Unconfirmed(7));
    let load = cache.begin(id(1), A);
    assert_eq!(
        cache.get(&id(1), now + secs(3)),
        Unconfirmed(7),
        "until the load has ended"
    );
    cache.failed(&load);
    assert_eq!(cache.get(&id(1), now + secs(7)), Unconfirmed(7));
    cache.heartbeat(A, now + secs(8));
    assert_eq!(
        cache.get(&id(1), now + secs(8)),
        Nothing,
        "nobody would have told of a deletion by hand"
    );
}

#[test]
fn an_invalidation_taints_a_load_under_way() {
    let now = monotonic_now();
    let mut cache = one(Everything, now);
    let load = cache.begin(id(2), A);
    cache.invalidated(&id(2));
    cache.finish(&load, Some(1), now, now + secs(100));
    assert_eq!(cache.get(&id(2), now), Nothing);
    let (first, second) = (cache.begin(id(3), A), cache.begin(id(3), A));
    cache.finish(&first, Some(1), now, now + secs(100));
    assert_eq!(
        cache.get(&id(3), now),
        Nothing,
        "an older load counts for nothing"
    );
    cache.finish(&second, Some(2), now, now + secs(100));
    assert_eq!(cache.get(&id(3), now), Certain(Some(2)));
    cache.flushed(A);
    assert!(cache.is_empty());
}

#[test]
fn the_entry_s_own_deadline_decides_and_what_is_used_stays() {
    let now = monotonic_now();
    let mut cache = NearCache::new(settings(3));
    cache.connected(A, Everything, now);
    for n in 0..3 {
        let load = cache.begin(id(n), A);
        cache.finish(&load, Some(n), now, now + secs(1));
    }
    assert_eq!(cache.get(&id(0), now), Certain(Some(0)));
    let load = cache.begin(id(9), A);
    cache.finish(&load, Some(9), now, now + secs(1));
    assert_eq!((cache.len(), cache.get(&id(0), now)), (3, Certain(Some(0))));
    assert_eq!(cache.get(&id(1), now), Nothing);
    assert_eq!(cache.get(&id(0), now + secs(1)), Nothing);
}

#[derive(Debug, Clone)]
enum Step {
    Begin(u8),
    Finish(usize),
    Change(u8),
    ByHand(u8),
    Lose,
    Connect,
    Beat,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..4_u8).prop_map(Step::Begin),
        (0..4_usize).prop_map(Step::Finish),
        (0..4_u8).prop_map(Step::Change),
        (0..4_u8).prop_map(Step::ByHand),
        Just(Step::Lose),
        Just(Step::Connect),
        Just(Step::Beat),
        (1..1500_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Against a Redis of four values that tells of each change at once while a connection lives,
    /// and of none while it does not; with revocations only, not of what is done by hand either.
    #[test]
    fn what_is_certain_was_so_within_max_stale(scope in prop_oneof![Just(Everything), Just(Revocations)], steps in prop::collection::vec(step(), 1..80)) {
        let mut cache = NearCache::new(settings(3));
        let mut now = monotonic_now();
        let (mut truth, mut changed) = ([0_u32; 4], [now; 4]);
        let (mut alive, mut number, mut loads) = (None, 0, Vec::new());
        for step in steps {
            match step {
                Step::Begin(n) => if let Some(by) = alive { loads.push((cache.begin(id(n), by), now, truth[usize::from(n)])); },
                Step::Finish(at) => if !loads.is_empty() {
                    let (load, read, seen) = loads.remove(at % loads.len());
                    if at == 3 { cache.failed(&load) } else { cache.finish(&load, Some(seen), read, now + secs(1000)) }
                },
                Step::Change(n) | Step::ByHand(n) => {
                    truth[usize::from(n)] += 1;
                    changed[usize::from(n)] = now;
                    let told = scope == Everything || matches!(step, Step::Change(_));
                    if alive.is_some() && told { cache.invalidated(&id(n)); }
                }
                Step::Lose => if let Some(by) = alive.take() { cache.lost(by); },
                Step::Connect => if alive.is_none() {
                    number += 1;
                    alive = Some(ConnectionId(number));
                    cache.connected(ConnectionId(number), scope, now);
                },
                Step::Beat => if let Some(by) = alive { cache.heartbeat(by, now); },
                Step::Wait(ms) => now += Duration::from_millis(ms),
            }
            prop_assert!(cache.len() <= 3);
            for n in 0..4_u8 {
                if let Certain(Some(value)) = cache.get(&id(n), now) {
                    let at = usize::from(n);
                    prop_assert!(value == truth[at] || now.duration_since(changed[at]) <= secs(2), "{n}: {value} of {}", truth[at]);
                }
            }
        }
    }
}
