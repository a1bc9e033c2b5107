//! Sessions that were looked up a moment ago, kept in the process and dropped when Redis says so.
//!
//! A state machine: it takes the time, does no I/O, and whoever owns the connections tells it what happened on them. What it
//! promises: a value is served as certain only while the connection that read it is known to have been alive within
//! `max_stale`, so that no revocation can have gone unheard for longer; and no load that an invalidation overtook becomes an
//! entry.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::session::SessionId;

/// A connection of this worker. Numbers are never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub u64);

/// The bounds of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NearCacheSettings {
    /// Entries at most; 0: nothing is kept.
    pub capacity: usize,
    /// How long after the last answered heartbeat was sent an entry counts as certain.
    pub max_stale: Duration,
    /// How long after it an entry may serve while Redis cannot be reached.
    pub outage_grace: Duration,
}

/// What the cache knows.
#[derive(Debug, PartialEq, Eq)]
pub enum Known<V> {
    /// This is what Redis holds, or held less than `max_stale` ago: the value, or `None` for no such session.
    Certain(Option<V>),
    /// This was so when Redis was last heard of; it serves only while Redis cannot be reached. Never a missing session: "down" is not
    /// "not logged in".
    Unconfirmed(V),
    /// Nothing.
    Nothing,
}

/// A load under way. Dropping it leaves a slot that the next load replaces.
#[derive(Debug)]
#[must_use]
pub struct Load {
    id: SessionId,
    number: u64,
}

#[derive(Debug)]
enum Slot<V> {
    Loading { number: u64, by: ConnectionId },
    Held { value: Option<V>, by: ConnectionId, until: Instant, used: bool },
}

#[derive(Debug, Clone, Copy)]
struct Heard {
    /// When the last heartbeat that was answered had been sent.
    sent: Instant,
    alive: bool,
}

/// The cache of one worker.
#[derive(Debug)]
pub struct NearCache<V> {
    settings: NearCacheSettings,
    slots: HashMap<SessionId, Slot<V>>,
    /// In the order of their coming, for eviction.
    queue: VecDeque<SessionId>,
    connections: HashMap<ConnectionId, Heard>,
    loads: u64,
}

impl<V: Clone> NearCache<V> {
    /// An empty cache.
    #[must_use]
    pub fn new(settings: NearCacheSettings) -> Self {
        Self { settings, slots: HashMap::new(), queue: VecDeque::new(), connections: HashMap::new(), loads: 0 }
    }

    /// What is known of a session.
    pub fn get(&mut self, id: &SessionId, now: Instant) -> Known<V> {
        let Some(Slot::Held { value, by, until, used }) = self.slots.get_mut(id) else { return Known::Nothing };
        // Redis pushes a natural expiry up to 100 ms late, so the entry's own deadline decides.
        let heard = self.connections.get(by).filter(|_| now < *until);
        let Some(heard) = heard else {
            self.slots.remove(id);
            return Known::Nothing;
        };
        let silence = now.saturating_duration_since(heard.sent);
        if heard.alive && silence <= self.settings.max_stale {
            *used = true;
            return Known::Certain(value.clone());
        }
        match value {
            Some(value) if silence <= self.settings.outage_grace => Known::Unconfirmed(value.clone()),
            _ => Known::Nothing,
        }
    }

    /// Before a read goes out on a connection: from here on an invalidation taints it.
    pub fn begin(&mut self, id: SessionId, by: ConnectionId) -> Load {
        self.loads += 1;
        let number = self.loads;
        if self.settings.capacity > 0 && self.connections.get(&by).is_some_and(|heard| heard.alive) {
            if self.slots.insert(id, Slot::Loading { number, by }).is_none() {
                self.queue.push_back(id);
            }
            self.evict();
        }
        Load { id, number }
    }

    /// What the read brought: the session, which lives until then, or `None`. Kept unless something has happened to it in between.
    pub fn finish(&mut self, load: &Load, value: Option<V>, until: Instant) {
        if let Some(slot) = self.slots.get_mut(&load.id)
            && let Slot::Loading { number, by } = *slot
            && number == load.number
        {
            *slot = Slot::Held { value, by, until, used: false };
        }
    }

    /// The read failed, or its session is about to be changed from here.
    pub fn forget(&mut self, id: &SessionId) {
        self.slots.remove(id);
    }

    /// Redis says that the session has changed.
    pub fn invalidated(&mut self, id: &SessionId) {
        self.slots.remove(id);
    }

    /// Redis says that everything has changed (FLUSHALL), or that it has stopped keeping track.
    pub fn flushed(&mut self, by: ConnectionId) {
        self.slots.retain(|_, slot| slot.by() != by);
        self.tidy();
    }

    /// A new connection, heard of when its first answer was asked for. What lost connections have left behind is dropped before its
    /// first read.
    pub fn connected(&mut self, id: ConnectionId, sent: Instant) {
        self.connections.retain(|_, heard| heard.alive);
        let connections = &self.connections;
        self.slots.retain(|_, slot| connections.contains_key(&slot.by()));
        self.tidy();
        self.connections.insert(id, Heard { sent, alive: true });
    }

    /// A heartbeat was answered.
    pub fn heartbeat(&mut self, id: ConnectionId, sent: Instant) {
        if let Some(heard) = self.connections.get_mut(&id) {
            heard.sent = heard.sent.max(sent);
        }
    }

    /// A connection is gone: its entries are unconfirmed, its loads tainted.
    pub fn lost(&mut self, id: ConnectionId) {
        if let Some(heard) = self.connections.get_mut(&id) {
            heard.alive = false;
        }
        self.slots.retain(|_, slot| !matches!(slot, Slot::Loading { by, .. } if *by == id));
        self.tidy();
    }

    /// Entries, loads under way included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Second chance: what was used since it was last looked at stays.
    fn evict(&mut self) {
        while self.slots.len() > self.settings.capacity {
            let Some(oldest) = self.queue.pop_front() else { return };
            match self.slots.get_mut(&oldest) {
                Some(Slot::Held { used, .. }) if *used => {
                    *used = false;
                    self.queue.push_back(oldest);
                }
                _ => {
                    self.slots.remove(&oldest);
                }
            }
        }
        self.tidy();
    }

    /// Names whose slots are gone stay in the queue until they are most of it.
    fn tidy(&mut self) {
        if self.queue.len() > 2 * self.slots.len() + 64 {
            let slots = &self.slots;
            let mut seen = std::collections::HashSet::with_capacity(slots.len());
            self.queue.retain(|id| slots.contains_key(id) && seen.insert(*id));
        }
    }
}

impl<V> Slot<V> {
    const fn by(&self) -> ConnectionId {
        match self {
            Self::Loading { by, .. } | Self::Held { by, .. } => *by,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::monotonic_now;

    const A: ConnectionId = ConnectionId(1);
    const B: ConnectionId = ConnectionId(2);

    const fn settings(capacity: usize) -> NearCacheSettings {
        NearCacheSettings { capacity, max_stale: Duration::from_secs(2), outage_grace: Duration::from_secs(5) }
    }

    const fn id(n: u8) -> SessionId {
        SessionId { tag: [0, 0], hash: [n; 16] }
    }

    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// A cache with one entry read by connection A now.
    fn one(now: Instant) -> NearCache<u32> {
        let mut cache = NearCache::new(settings(10));
        cache.connected(A, now);
        let load = cache.begin(id(1), A);
        cache.finish(&load, Some(7), now + secs(100));
        cache
    }

    #[test]
    fn certain_only_as_long_as_the_connection_is_known_to_live() {
        let now = monotonic_now();
        let mut cache = one(now);
        assert_eq!(cache.get(&id(1), now + secs(2)), Known::Certain(Some(7)));
        assert_eq!(cache.get(&id(1), now + secs(3)), Known::Unconfirmed(7));
        cache.heartbeat(A, now + secs(2));
        assert_eq!(cache.get(&id(1), now + secs(4)), Known::Certain(Some(7)));
        cache.lost(A);
        assert_eq!(cache.get(&id(1), now + secs(4)), Known::Unconfirmed(7));
        assert_eq!(cache.get(&id(1), now + secs(8)), Known::Nothing);
        cache.connected(B, now + secs(4));
        assert_eq!(cache.get(&id(1), now + secs(4)), Known::Nothing);
    }

    #[test]
    fn a_missing_session_is_never_told_on_a_guess() {
        let now = monotonic_now();
        let mut cache = one(now);
        let load = cache.begin(id(2), A);
        cache.finish(&load, None, now + secs(100));
        assert_eq!(cache.get(&id(2), now), Known::Certain(None));
        assert_eq!(cache.get(&id(2), now + secs(3)), Known::Nothing);
    }

    #[test]
    fn an_invalidation_taints_a_load_under_way() {
        let now = monotonic_now();
        let mut cache = one(now);
        let load = cache.begin(id(2), A);
        cache.invalidated(&id(2));
        cache.finish(&load, Some(1), now + secs(100));
        assert_eq!(cache.get(&id(2), now), Known::Nothing);
        let (first, second) = (cache.begin(id(3), A), cache.begin(id(3), A));
        cache.finish(&first, Some(1), now + secs(100));
        assert_eq!(cache.get(&id(3), now), Known::Nothing, "an older load counts for nothing");
        cache.finish(&second, Some(2), now + secs(100));
        assert_eq!(cache.get(&id(3), now), Known::Certain(Some(2)));
        cache.flushed(A);
        assert!(cache.is_empty());
    }

    #[test]
    fn the_entry_s_own_deadline_decides_and_what_is_used_stays() {
        let now = monotonic_now();
        let mut cache = NearCache::new(settings(3));
        cache.connected(A, now);
        for n in 0..3 {
            let load = cache.begin(id(n), A);
            cache.finish(&load, Some(n), now + secs(1));
        }
        assert_eq!(cache.get(&id(0), now), Known::Certain(Some(0)));
        let load = cache.begin(id(9), A);
        cache.finish(&load, Some(9), now + secs(1));
        assert_eq!((cache.len(), cache.get(&id(0), now)), (3, Known::Certain(Some(0))));
        assert_eq!(cache.get(&id(1), now), Known::Nothing);
        assert_eq!(cache.get(&id(0), now + secs(1)), Known::Nothing);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Begin(u8),
        Finish(usize),
        Change(u8),
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
            Just(Step::Lose),
            Just(Step::Connect),
            Just(Step::Beat),
            (1..1500_u64).prop_map(Step::Wait),
        ]
    }

    proptest! {
        /// Against a Redis of four values that tells of each change at once while a connection lives, and of none while it does not.
        #[test]
        fn what_is_certain_was_so_within_max_stale(steps in prop::collection::vec(step(), 1..80)) {
            let mut cache = NearCache::new(settings(3));
            let mut now = monotonic_now();
            let (mut truth, mut changed) = ([0_u32; 4], [now; 4]);
            let (mut alive, mut number, mut loads) = (None, 0, Vec::new());
            for step in steps {
                match step {
                    Step::Begin(n) => if let Some(by) = alive { loads.push((cache.begin(id(n), by), n, truth[usize::from(n)])); },
                    Step::Finish(at) => if !loads.is_empty() {
                        let (load, _, seen) = loads.remove(at % loads.len());
                        cache.finish(&load, Some(seen), now + secs(1000));
                    },
                    Step::Change(n) => {
                        truth[usize::from(n)] += 1;
                        changed[usize::from(n)] = now;
                        if alive.is_some() { cache.invalidated(&id(n)); }
                    }
                    Step::Lose => if let Some(by) = alive.take() { cache.lost(by); },
                    Step::Connect => if alive.is_none() {
                        number += 1;
                        alive = Some(ConnectionId(number));
                        cache.connected(ConnectionId(number), now);
                    },
                    Step::Beat => if let Some(by) = alive { cache.heartbeat(by, now); },
                    Step::Wait(ms) => now += Duration::from_millis(ms),
                }
                prop_assert!(cache.len() <= 3);
                for n in 0..4_u8 {
                    if let Known::Certain(Some(value)) = cache.get(&id(n), now) {
                        let at = usize::from(n);
                        prop_assert!(value == truth[at] || now.duration_since(changed[at]) <= secs(2), "{n}: {value} of {}", truth[at]);
                    }
                }
            }
        }
    }
}
