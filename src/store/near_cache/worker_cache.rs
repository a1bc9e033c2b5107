//! The near cache of a worker as its lookups use it: what is known, what is being read, and who
//! waits for the same read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::cache::{CachedLookup, InvalidationScope, Load, NearCache};
use super::settings::NearCacheSettings;
use crate::clock::{UnixMillis, monotonic_now};
use crate::metrics::{Counter, Metrics, Outcome};
use crate::redis_client::{ConnectionId, InvalidationSource, Observation, ObservedRead};
use crate::session::{LoadedSession, Lookup, RecordStamp, SessionId, SharedSession, StoreError};

/// How long a session that does not exist is cached. A token is random, so nobody asks for it
/// before it is made; this only bounds what is kept.
const MISS_KEPT: Duration = Duration::from_secs(30);

/// A session as the cache keeps it, with what turns it back into one that was just loaded.
#[derive(Debug, Clone)]
struct CachedSession {
    id: SessionId,
    stamp: RecordStamp,
    session: SharedSession,
    until: Instant,
    /// The store's time when it was read, and this machine's.
    read: (UnixMillis, Instant),
}

/// What a read has brought, for all who wait for it.
pub(crate) type ReadOutcome = Result<Lookup, StoreError>;

/// A read under way: the holder of the lock reads, the others wait for it. A reader who leaves
/// without a result (its client hung up) leaves the lock to the next, who reads in its place.
pub(crate) type SharedRead = tokio::sync::Mutex<Option<ReadOutcome>>;

/// The near cache of one worker.
pub(crate) struct WorkerCache {
    state: Mutex<WorkerCacheState>,
    metrics: Arc<Metrics>,
    /// Counted on most requests, so they are found once.
    hits: Counter,
    misses: Counter,
}

struct WorkerCacheState {
    entries: NearCache<CachedSession>,
    /// Reads that may be joined: those that have not gone out yet, and those whose changes are
    /// reported and that nothing has tainted. So nobody is given what was read before a change that
    /// this worker knew of when they came.
    reads: FxHashMap<SessionId, Arc<SharedRead>>,
    /// The subscription to what gateways revoke, while there is one.
    subscription: Option<ConnectionId>,
}

/// What the cache says of a session.
pub(crate) enum CacheAnswer {
    /// No need to ask Redis.
    Known(Lookup),
    /// Redis is to be asked; this serves if it cannot be reached.
    Ask(Option<LoadedSession>),
}

/// What is known of a read when it has gone out.
#[derive(Default)]
struct ReadStart {
    /// `None`: the answer is not kept.
    load: Option<(Load, Instant)>,
    /// The server's time then; `None`: it is asked along.
    time: Option<UnixMillis>,
}

/// One of those who wait for the same read. Whoever sends it notes its start here, and its outcome.
pub(crate) struct JoinedRead<'a> {
    cache: &'a WorkerCache,
    session: SessionId,
    pub(crate) read: Arc<SharedRead>,
    start: Mutex<ReadStart>,
}

impl Drop for JoinedRead<'_> {
    fn drop(&mut self) {
        let mut state = self.cache.state.lock();
        // The map's and this one's: nobody else waits, so the next to come begins anew.
        if Arc::strong_count(&self.read) <= 2 {
            state.close(&self.session, &self.read);
        }
    }
}

impl WorkerCacheState {
    fn close(&mut self, session: &SessionId, read: &Arc<SharedRead>) {
        if self
            .reads
            .get(session)
            .is_some_and(|open| Arc::ptr_eq(open, read))
        {
            self.reads.remove(session);
        }
    }
}

impl WorkerCache {
    pub(crate) fn new(settings: NearCacheSettings, metrics: Arc<Metrics>) -> Self {
        let state = WorkerCacheState {
            entries: NearCache::new(settings),
            reads: FxHashMap::default(),
            subscription: None,
        };
        let counter = |outcome| {
            metrics
                .store
                .near_cache
                .get_or_create_owned(&Outcome { outcome })
        };
        Self {
            state: Mutex::new(state),
            hits: counter("hit"),
            misses: counter("miss"),
            metrics,
        }
    }

    /// What is known of a session now.
    pub(crate) fn look(&self, id: &SessionId) -> CacheAnswer {
        let now = monotonic_now();
        let known = self.state.lock().entries.get(id, now);
        match known {
            CachedLookup::Certain(Some(cached)) => {
                self.hits.inc();
                CacheAnswer::Known(Lookup::Found(cached.loaded(now)))
            }
            CachedLookup::Certain(None) => {
                self.hits.inc();
                CacheAnswer::Known(Lookup::Gone)
            }
            CachedLookup::Unconfirmed(cached) => CacheAnswer::Ask(Some(cached.loaded(now))),
            CachedLookup::Nothing => CacheAnswer::Ask(None),
        }
    }

    /// Counts what became of a lookup that the cache could not answer for certain.
    pub(crate) fn count(&self, outcome: &'static str) {
        self.metrics
            .store
            .near_cache
            .get_or_create(&Outcome { outcome })
            .inc();
    }

    /// Joins the read of a session that is under way, or is the first of one.
    pub(crate) fn join(&self, session: SessionId) -> JoinedRead<'_> {
        let read = self.state.lock().reads.entry(session).or_default().clone();
        JoinedRead {
            cache: self,
            session,
            read,
            start: Mutex::default(),
        }
    }

    /// This gateway has changed the session, or another says that it has.
    pub(crate) fn invalidated(&self, id: &SessionId) {
        let mut state = self.state.lock();
        state.entries.invalidated(id);
        state.reads.remove(id);
    }

    /// Everything that this connection reports may have changed.
    pub(crate) fn flushed(&self, by: ConnectionId) {
        let mut state = self.state.lock();
        state.entries.flushed(by);
        state.reads.clear();
    }

    /// A connection that reports changes to all that it reads.
    pub(crate) fn connected(&self, id: ConnectionId, sent: Instant) {
        self.state
            .lock()
            .entries
            .connected(id, InvalidationScope::Everything, sent);
    }

    /// The subscription receives what is published.
    pub(crate) fn subscribed(&self, id: ConnectionId, sent: Instant) {
        let mut state = self.state.lock();
        state
            .entries
            .connected(id, InvalidationScope::Revocations, sent);
        state.subscription = Some(id);
    }

    /// A heartbeat was answered that had been sent at this time.
    pub(crate) fn heartbeat(&self, id: ConnectionId, sent: Instant) {
        self.state.lock().entries.heartbeat(id, sent);
    }

    /// A connection is gone.
    pub(crate) fn lost(&self, id: ConnectionId) {
        let mut state = self.state.lock();
        state.entries.lost(id);
        state.reads.clear();
        state
            .subscription
            .take_if(|subscription| *subscription == id);
    }
}

impl CachedSession {
    fn loaded(&self, now: Instant) -> LoadedSession {
        let (store_time, read) = self.read;
        let expires_in = self.until.saturating_duration_since(now);
        LoadedSession {
            id: self.id,
            stamp: self.stamp,
            session: self.session.clone(),
            expires_in,
            now: store_time.plus(now.saturating_duration_since(read)),
            rotated: None,
        }
    }
}

impl ObservedRead for JoinedRead<'_> {
    /// Where nobody reports changes the answer is not kept, and whoever comes from now on reads for
    /// themselves.
    fn begin(&self, connection: Option<&dyn Observation>) {
        let sent = monotonic_now();
        let source = connection.and_then(Observation::source);
        let mut state = self.cache.state.lock();
        let by = match source {
            Some(InvalidationSource::Connection(id)) => Some(id),
            Some(InvalidationSource::Subscription) => state.subscription,
            None => None,
        };
        let load = by.map(|id| (state.entries.begin(self.session, id), sent));
        if load.is_none() {
            state.close(&self.session, &self.read);
        }
        *self.start.lock() = ReadStart {
            load,
            time: connection.and_then(|connection| connection.server_time(sent)),
        };
    }

    fn knows_time(&self) -> bool {
        self.time().is_some()
    }
}

impl JoinedRead<'_> {
    /// The server's time when the read went out, if it was known.
    pub(crate) fn time(&self) -> Option<UnixMillis> {
        self.start.lock().time
    }

    /// What came of it. A record that cannot be read is not kept: a roll of keys may make it
    /// readable. What hangs on two keys, one that a token was rotated away from and its
    /// successor's, is not kept either.
    pub(crate) fn finish(&self, outcome: &ReadOutcome) {
        self.cache.misses.inc();
        let mut state = self.cache.state.lock();
        state.close(&self.session, &self.read);
        let Some((load, sent)) = self.start.lock().load.take() else {
            return;
        };
        match outcome {
            Ok(Lookup::Found(found)) if found.rotated.is_none() => {
                // Counted from the sending: Redis answered later than that, so the session ends here
                // no later than there.
                let until = sent + found.expires_in;
                let cached = CachedSession {
                    id: found.id,
                    stamp: found.stamp,
                    session: found.session.clone(),
                    until,
                    read: (found.now, sent),
                };
                state.entries.finish(&load, Some(cached), sent, until);
            }
            Ok(Lookup::Gone) => state.entries.finish(&load, None, sent, sent + MISS_KEPT),
            Ok(Lookup::Found(_) | Lookup::Unreadable(_)) => {
                state.entries.invalidated(&self.session);
            }
            Err(_) => state.entries.failed(&load),
        }
    }
}

#[cfg(test)]
mod tests;
