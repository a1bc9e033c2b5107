//! The near cache of a worker as its lookups use it: what is known, what is being read, and who
//! waits for the same read.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::clock::{UnixMillis, monotonic_now};
use crate::metrics::{Counter, Metrics, Outcome};
use crate::redis_client::{ConnectionId, InvalidationSource, Observation, ObservedRead};
use crate::session::{LoadedSession, Lookup, SessionId, SharedSession, StoreError};
use crate::store::near_cache::{Hears, Known, Load, NearCache, NearCacheSettings};

/// How long a session that does not exist is remembered. A token is random, so nobody asks for it
/// before it is made; this only bounds what is kept.
const MISS_KEPT: Duration = Duration::from_secs(30);

/// A session as the cache keeps it, with what turns it back into one that was just loaded.
#[derive(Debug, Clone)]
struct Remembered {
    id: SessionId,
    session: SharedSession,
    until: Instant,
    /// The store's time when it was read, and this machine's.
    read: (UnixMillis, Instant),
}

/// What a flight has brought, for all who joined it.
pub(super) type Landed = Result<Lookup, StoreError>;

/// A read under way: whoever holds the lock reads, the others wait for it. A reader who leaves
/// without a result (its client hung up) leaves the lock to the next, who reads in its place.
pub(super) type Flight = tokio::sync::Mutex<Option<Landed>>;

/// The near cache of one worker.
pub(super) struct WorkerCache {
    state: Mutex<State>,
    metrics: Arc<Metrics>,
    /// Counted on most requests, so they are found once.
    hits: Counter,
    misses: Counter,
}

struct State {
    entries: NearCache<Remembered>,
    /// Reads that may be joined: those that have not gone out yet, and those whose changes are
    /// heard of and that nothing has tainted. So nobody is given what was read before a change that
    /// this worker knew of when they came.
    flights: FxHashMap<SessionId, Arc<Flight>>,
    /// The subscription on which gateways tell what they revoke, while there is one.
    subscription: Option<ConnectionId>,
}

impl fmt::Debug for WorkerCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WorkerCache")
    }
}

/// What the cache says of a session.
pub(super) enum Answer {
    /// No need to ask Redis.
    Known(Lookup),
    /// Redis is to be asked; this serves if it cannot be reached.
    Ask(Option<LoadedSession>),
}

/// A read whose answer may be kept.
pub(super) struct Reading<'a> {
    cache: &'a WorkerCache,
    session: SessionId,
    flight: &'a Arc<Flight>,
    begun: Mutex<Begun>,
}

/// What is known of a read when it has gone out.
#[derive(Default)]
struct Begun {
    /// `None`: the answer is not kept.
    load: Option<(Load, Instant)>,
    /// The server's time then; `None`: it is asked along.
    time: Option<UnixMillis>,
}

/// A place among those who wait for the same read.
pub(super) struct Seat<'a> {
    cache: &'a WorkerCache,
    session: SessionId,
    pub(super) flight: Arc<Flight>,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut state = self.cache.state.lock();
        // The map's and this one's: nobody else waits, so the next to come begins anew.
        if Arc::strong_count(&self.flight) <= 2 {
            state.close(&self.session, &self.flight);
        }
    }
}

impl State {
    fn close(&mut self, session: &SessionId, flight: &Arc<Flight>) {
        if self
            .flights
            .get(session)
            .is_some_and(|open| Arc::ptr_eq(open, flight))
        {
            self.flights.remove(session);
        }
    }
}

impl WorkerCache {
    pub(super) fn new(settings: NearCacheSettings, metrics: Arc<Metrics>) -> Self {
        let state = State {
            entries: NearCache::new(settings),
            flights: FxHashMap::default(),
            subscription: None,
        };
        let counter = |outcome| metrics.near_cache.get_or_create_owned(&Outcome { outcome });
        Self {
            state: Mutex::new(state),
            hits: counter("hit"),
            misses: counter("miss"),
            metrics,
        }
    }

    /// What is known of a session now.
    pub(super) fn look(&self, id: &SessionId) -> Answer {
        let now = monotonic_now();
        let known = self.state.lock().entries.get(id, now);
        match known {
            Known::Certain(Some(remembered)) => {
                self.hits.inc();
                Answer::Known(Lookup::Found(remembered.loaded(now)))
            }
            Known::Certain(None) => {
                self.hits.inc();
                Answer::Known(Lookup::Gone)
            }
            Known::Unconfirmed(remembered) => Answer::Ask(Some(remembered.loaded(now))),
            Known::Nothing => Answer::Ask(None),
        }
    }

    /// Counts what became of a lookup that the cache could not answer for certain.
    pub(super) fn count(&self, outcome: &'static str) {
        self.metrics.near_cache(outcome);
    }

    /// Joins the read of a session that is under way, or is the first of one.
    pub(super) fn join(&self, session: SessionId) -> Seat<'_> {
        let flight = self
            .state
            .lock()
            .flights
            .entry(session)
            .or_default()
            .clone();
        Seat {
            cache: self,
            session,
            flight,
        }
    }

    /// This gateway has changed the session, or another says that it has.
    pub(super) fn changed(&self, id: &SessionId) {
        let mut state = self.state.lock();
        state.entries.invalidated(id);
        state.flights.remove(id);
    }

    /// Everything that this connection hears of may have changed.
    pub(super) fn flushed(&self, by: ConnectionId) {
        let mut state = self.state.lock();
        state.entries.flushed(by);
        state.flights.clear();
    }

    /// A connection that hears of changes to all that it reads.
    pub(super) fn connected(&self, id: ConnectionId, sent: Instant) {
        self.state
            .lock()
            .entries
            .connected(id, Hears::Everything, sent);
    }

    /// The subscription stands.
    pub(super) fn subscribed(&self, id: ConnectionId, sent: Instant) {
        let mut state = self.state.lock();
        state.entries.connected(id, Hears::Revocations, sent);
        state.subscription = Some(id);
    }

    /// A heartbeat was answered that had been sent at this time.
    pub(super) fn heartbeat(&self, id: ConnectionId, sent: Instant) {
        self.state.lock().entries.heartbeat(id, sent);
    }

    /// A connection is gone.
    pub(super) fn lost(&self, id: ConnectionId) {
        let mut state = self.state.lock();
        state.entries.lost(id);
        state.flights.clear();
        state
            .subscription
            .take_if(|subscription| *subscription == id);
    }
}

impl Remembered {
    fn loaded(&self, now: Instant) -> LoadedSession {
        let (store_time, read) = self.read;
        let expires_in = self.until.saturating_duration_since(now);
        LoadedSession {
            id: self.id,
            session: self.session.clone(),
            expires_in,
            now: store_time.plus(now.saturating_duration_since(read)),
            rotated: None,
        }
    }
}

impl Seat<'_> {
    /// The read that is about to go out.
    pub(super) const fn reading(&self) -> Reading<'_> {
        Reading {
            cache: self.cache,
            session: self.session,
            flight: &self.flight,
            begun: Mutex::new(Begun {
                load: None,
                time: None,
            }),
        }
    }
}

impl ObservedRead for Reading<'_> {
    /// Where nobody hears of changes the answer is not kept, and who comes from now on reads for
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
            state.close(&self.session, self.flight);
        }
        *self.begun.lock() = Begun {
            load,
            time: connection.and_then(|connection| connection.server_time(sent)),
        };
    }

    fn knows_time(&self) -> bool {
        self.time().is_some()
    }
}

impl Reading<'_> {
    /// The server's time when the read went out, if it was known.
    pub(super) fn time(&self) -> Option<UnixMillis> {
        self.begun.lock().time
    }

    /// What came of it. A record that cannot be read is not kept: a roll of keys may make it
    /// readable. What hangs on two keys, one that a token was rotated away from and its
    /// successor's, is not kept either.
    pub(super) fn finish(self, outcome: &Landed) {
        self.cache.misses.inc();
        let mut state = self.cache.state.lock();
        state.close(&self.session, self.flight);
        let Some((load, sent)) = self.begun.into_inner().load else {
            return;
        };
        match outcome {
            Ok(Lookup::Found(found)) if found.rotated.is_none() => {
                // From when it was asked: its life was told later than that, so it ends here no
                // later than there.
                let until = sent + found.expires_in;
                let remembered = Remembered {
                    id: found.id,
                    session: found.session.clone(),
                    until,
                    read: (found.now, sent),
                };
                state.entries.finish(&load, Some(remembered), sent, until);
            }
            Ok(Lookup::Gone) => state.entries.finish(&load, None, sent, sent + MISS_KEPT),
            Ok(Lookup::Found(_) | Lookup::Unreadable(_)) => {
                state.entries.invalidated(&self.session);
            }
            Err(_) => state.entries.failed(&load),
        }
    }
}
