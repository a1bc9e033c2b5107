//! Which sessions may be served without asking Redis.
//!
//! A state machine: it takes the time, does no I/O, and the owner of the connections reports what
//! happened on them. It promises two things. A value is certain only while the connection that
//! reports its changes is known to have been alive within `max_stale`, so no revocation goes
//! unnoticed for longer. And no load that an invalidation overtook becomes an entry.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rustc_hash::{FxBuildHasher, FxHashMap};

use super::settings::NearCacheSettings;
use crate::redis_client::ConnectionId;
use crate::session::SessionId;

/// Up to this capacity a cache grows as it fills: it is soon moved, and its places would cost 8 MiB
/// that few need.
const GROWS: usize = 100_000;
/// Most entries for which there is a place from the start.
const MOST_PLACES: usize = 4_000_000;

/// Which changes a connection reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidationScope {
    /// Whatever changes a session, whoever does it.
    Everything,
    /// What gateways revoke. Nobody reports a deletion by hand, so what was read is certain for
    /// `max_stale` at most.
    Revocations,
}

/// What the cache knows.
#[derive(Debug, PartialEq, Eq)]
pub enum CachedLookup<V> {
    /// This is what Redis holds, or cached less than `max_stale` ago: the value, or `None` for no
    /// such session.
    Certain(Option<V>),
    /// This was so when Redis last answered; it serves only while Redis cannot be reached.
    /// Never a missing session: "down" is not "not logged in".
    Unconfirmed(V),
    /// Nothing.
    Nothing,
}

/// A load under way. Dropping it leaves a mark that the next load replaces.
#[derive(Debug)]
#[must_use]
pub struct Load {
    id: SessionId,
    number: u64,
}

/// What is known of a session, and the load that is under way for it.
#[derive(Debug)]
struct Slot<V> {
    cached: Option<CachedValue<V>>,
    loading: Option<(u64, ConnectionId)>,
}

impl<V> Slot<V> {
    const fn is_empty(&self) -> bool {
        self.cached.is_none() && self.loading.is_none()
    }
}

#[derive(Debug)]
struct CachedValue<V> {
    value: Option<V>,
    by: ConnectionId,
    read: Instant,
    until: Instant,
    used: bool,
}

#[derive(Debug, Clone, Copy)]
struct ConnectionHealth {
    scope: InvalidationScope,
    /// When the last heartbeat that was answered had been sent.
    sent: Instant,
    alive: bool,
}

/// The cache of one worker.
#[derive(Debug)]
pub struct NearCache<V> {
    settings: NearCacheSettings,
    /// A quick hash will do: the names are hashes of tokens, which no client chooses.
    ///
    /// Slots are boxed, and a large cache has all its places from the start: moving a table of a
    /// million to a larger one would stop the worker for longer than a call to Redis may take.
    slots: FxHashMap<SessionId, Box<Slot<V>>>,
    /// In the order of their coming, for eviction.
    queue: VecDeque<SessionId>,
    /// One a server, so they are looked through.
    connections: Vec<(ConnectionId, ConnectionHealth)>,
    loads: u64,
}

fn health_of(
    connections: &[(ConnectionId, ConnectionHealth)],
    id: ConnectionId,
) -> Option<&ConnectionHealth> {
    connections
        .iter()
        .find(|(known, _)| *known == id)
        .map(|(_, health)| health)
}

impl<V: Clone> NearCache<V> {
    /// An empty cache.
    pub fn new(settings: NearCacheSettings) -> Self {
        let places = if settings.capacity > GROWS {
            settings.capacity.min(MOST_PLACES)
        } else {
            0
        };
        Self {
            settings,
            slots: FxHashMap::with_capacity_and_hasher(places, FxBuildHasher),
            queue: VecDeque::with_capacity(places),
            connections: Vec::new(),
            loads: 0,
        }
    }

    /// What is known of a session.
    pub fn get(&mut self, id: &SessionId, now: Instant) -> CachedLookup<V> {
        let NearCacheSettings {
            max_stale,
            outage_grace,
            ..
        } = self.settings;
        let Some(slot) = self.slots.get_mut(id) else {
            return CachedLookup::Nothing;
        };
        // Redis pushes a natural expiry up to 100 ms late, so the entry's own deadline decides.
        slot.cached.take_if(|cached| now >= cached.until);
        let Some(cached) = &mut slot.cached else {
            return CachedLookup::Nothing;
        };
        let Some(connection) = health_of(&self.connections, cached.by) else {
            return CachedLookup::Nothing;
        };
        let silence = now.saturating_duration_since(connection.sent);
        let age = match connection.scope {
            InvalidationScope::Everything => Duration::ZERO,
            InvalidationScope::Revocations => now.saturating_duration_since(cached.read),
        };
        if connection.alive && silence <= max_stale && age <= max_stale {
            cached.used = true;
            return CachedLookup::Certain(cached.value.clone());
        }
        match &cached.value {
            Some(value) if silence <= outage_grace && age <= max_stale + outage_grace => {
                CachedLookup::Unconfirmed(value.clone())
            }
            _ => CachedLookup::Nothing,
        }
    }

    /// Before a read goes out whose changes this connection reports: from here on an invalidation
    /// taints it.
    pub fn begin(&mut self, id: SessionId, by: ConnectionId) -> Load {
        self.loads += 1;
        let number = self.loads;
        if self.settings.capacity > 0
            && health_of(&self.connections, by).is_some_and(|health| health.alive)
        {
            match self.slots.get_mut(&id) {
                Some(slot) => slot.loading = Some((number, by)),
                None => {
                    self.slots.insert(
                        id,
                        Box::new(Slot {
                            cached: None,
                            loading: Some((number, by)),
                        }),
                    );
                    self.queue.push_back(id);
                }
            }
            self.evict();
        }
        Load { id, number }
    }

    /// What a read that went out at `read` brought: the session, which lives until then, or `None`.
    /// Kept unless something has happened to it in between.
    pub fn finish(&mut self, load: &Load, value: Option<V>, read: Instant, until: Instant) {
        if let Some(slot) = self.slots.get_mut(&load.id)
            && let Some((number, by)) = slot.loading
            && number == load.number
        {
            **slot = Slot {
                cached: Some(CachedValue {
                    value,
                    by,
                    read,
                    until,
                    used: false,
                }),
                loading: None,
            };
        }
    }

    /// The read brought nothing: what was known before is what is known.
    pub fn failed(&mut self, load: &Load) {
        let Some(slot) = self.slots.get_mut(&load.id) else {
            return;
        };
        slot.loading.take_if(|(number, _)| *number == load.number);
        if slot.is_empty() {
            self.slots.remove(&load.id);
        }
    }

    /// The session has changed, or is about to: Redis, another gateway, or this one says so.
    pub fn invalidated(&mut self, id: &SessionId) {
        self.slots.remove(id);
    }

    /// Everything that this connection reports has changed (FLUSHALL), or it has stopped keeping
    /// track.
    pub fn flushed(&mut self, by: ConnectionId) {
        self.slots.retain(|_, slot| {
            slot.cached.as_ref().is_none_or(|cached| cached.by != by)
                && slot.loading.is_none_or(|(_, loading)| loading != by)
        });
        self.tidy();
    }

    /// A new connection, alive when its first question was sent. What lost connections have left
    /// behind is dropped before its first read.
    pub fn connected(&mut self, id: ConnectionId, scope: InvalidationScope, sent: Instant) {
        self.connections.retain(|(_, health)| health.alive);
        let connections = &self.connections;
        self.slots.retain(|_, slot| {
            slot.cached
                .take_if(|cached| health_of(connections, cached.by).is_none());
            !slot.is_empty()
        });
        self.tidy();
        self.connections.push((
            id,
            ConnectionHealth {
                scope,
                sent,
                alive: true,
            },
        ));
    }

    /// A heartbeat was answered.
    pub fn heartbeat(&mut self, id: ConnectionId, sent: Instant) {
        if let Some((_, health)) = self.connections.iter_mut().find(|(known, _)| *known == id) {
            health.sent = health.sent.max(sent);
        }
    }

    /// A connection is gone: its entries are unconfirmed, its loads tainted.
    pub fn lost(&mut self, id: ConnectionId) {
        if let Some((_, health)) = self.connections.iter_mut().find(|(known, _)| *known == id) {
            health.alive = false;
        }
        self.slots.retain(|_, slot| {
            slot.loading.take_if(|(_, by)| *by == id);
            !slot.is_empty()
        });
        self.tidy();
    }

    /// Entries, loads under way included.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Second chance: what was used since it was last looked at stays.
    fn evict(&mut self) {
        while self.slots.len() > self.settings.capacity {
            let Some(oldest) = self.queue.pop_front() else {
                return;
            };
            match self
                .slots
                .get_mut(&oldest)
                .and_then(|slot| slot.cached.as_mut())
            {
                Some(cached) if cached.used => {
                    cached.used = false;
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
            self.queue
                .retain(|id| slots.contains_key(id) && seen.insert(*id));
        }
    }
}

#[cfg(test)]
mod tests;
