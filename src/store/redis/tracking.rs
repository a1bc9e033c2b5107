//! Connections on which Redis tells what has changed: what feeds the near cache of a worker.
//!
//! Each connection has `CLIENT TRACKING` in its default mode and never `NOLOOP`: with that, one's own renewal would drop the
//! tracking without a push, and a later revocation would never be heard of.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{Client, PushInfo, PushKind, RedisResult, Value, cmd};

use super::server::Server;
use crate::clock::{UnixMillis, monotonic_now};
use crate::metrics::{Counter, Metrics, Outcome};
use crate::session::{LoadedSession, Lookup, SessionId, SharedSession};
use crate::store::keys::Keys;
use crate::store::near_cache::{ConnectionId, Known, Load, NearCache, NearCacheSettings};

/// How long a session that does not exist is remembered; its creation is pushed, so this only bounds what is kept.
const MISS_KEPT: Duration = Duration::from_secs(30);
/// Heartbeats within `max_stale`.
const HEARTBEATS: u32 = 4;

/// A session as the cache keeps it, with what turns it back into one that was just loaded.
#[derive(Debug, Clone)]
struct Remembered {
    id: SessionId,
    session: SharedSession,
    until: Instant,
    /// The store's time when it was read, and this machine's.
    read: (UnixMillis, Instant),
}

/// The near cache of a worker and the connections that feed it.
pub(in crate::store) struct Tracker {
    cache: Mutex<NearCache<Remembered>>,
    keys: Keys,
    heartbeat: Duration,
    made: AtomicU64,
    metrics: Arc<Metrics>,
    hits: Counter,
}

impl fmt::Debug for Tracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tracker")
    }
}

/// What the cache says of a session.
pub(super) enum Answer {
    /// No need to ask Redis.
    Known(Lookup),
    /// Redis is to be asked; this serves if it cannot be reached.
    Ask(Option<LoadedSession>),
}

/// A connection that is tracked, for as long as it is in use.
pub(super) struct Tracked {
    id: ConnectionId,
    tracker: Arc<Tracker>,
    heartbeats: tokio::task::AbortHandle,
}

impl fmt::Debug for Tracked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tracked({})", self.id.0)
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.heartbeats.abort();
        self.tracker.cache().lost(self.id);
    }
}

/// A read whose answer may be kept.
pub(super) struct Reading<'a> {
    tracker: &'a Tracker,
    session: SessionId,
    load: Mutex<Option<(Load, Instant)>>,
}

impl Tracker {
    pub(in crate::store) fn new(settings: NearCacheSettings, keys: Keys, metrics: Arc<Metrics>) -> Arc<Self> {
        let heartbeat = settings.max_stale / HEARTBEATS;
        let hits = metrics.near_cache.get_or_create_owned(&Outcome { outcome: "hit" });
        Arc::new(Self { cache: Mutex::new(NearCache::new(settings)), keys, heartbeat, made: AtomicU64::new(0), metrics, hits })
    }

    /// What is known of a session now.
    pub(super) fn look(&self, id: &SessionId) -> Answer {
        let now = monotonic_now();
        let known = self.cache().get(id, now);
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
            Known::Nothing => {
                self.metrics.near_cache("miss");
                Answer::Ask(None)
            }
        }
    }

    /// Redis could not be reached, and the cache served.
    pub(super) fn served_unconfirmed(&self) {
        self.metrics.near_cache("unconfirmed");
    }

    /// A read of a session that is about to go out.
    pub(super) const fn reading(&self, session: SessionId) -> Reading<'_> {
        Reading { tracker: self, session, load: Mutex::new(None) }
    }

    /// This worker has just changed the session: nobody here gets the old one, before Redis pushes it.
    pub(super) fn forget(&self, id: &SessionId) {
        self.cache().forget(id);
    }

    /// A connection on which Redis pushes. `None` beside it: the server cannot, and what it answers is not kept.
    pub(super) async fn connect(self: &Arc<Self>, server: &Server) -> RedisResult<(MultiplexedConnection, Option<Tracked>)> {
        let id = ConnectionId(self.made.fetch_add(1, Ordering::Relaxed));
        let tracker = self.clone();
        let listen = move |push: PushInfo| -> Result<(), std::convert::Infallible> {
            tracker.heard(id, &push);
            Ok(())
        };
        let limits = server.limits().set_push_sender(listen);
        let pushing = async { Client::open(server.pushing_connection_info())?.get_multiplexed_async_connection_with_config(&limits).await };
        let mut connection = match pushing.await {
            Ok(connection) => connection,
            Err(error) if is_refusal(&error) => {
                self.cannot(server, &error);
                let plain = Client::open(server.connection_info())?.get_multiplexed_async_connection_with_config(&server.limits()).await?;
                return Ok((plain, None));
            }
            Err(error) => return Err(error),
        };
        let sent = monotonic_now();
        match cmd("CLIENT").arg("TRACKING").arg("ON").exec_async(&mut connection).await {
            Ok(()) => {
                self.cache().connected(id, sent);
                let heartbeats = tokio::spawn(self.clone().beat(id, connection.clone())).abort_handle();
                Ok((connection, Some(Tracked { id, tracker: self.clone(), heartbeats })))
            }
            Err(error) if is_refusal(&error) => {
                self.cannot(server, &error);
                Ok((connection, None))
            }
            Err(error) => Err(error),
        }
    }

    fn cannot(&self, server: &Server, error: &redis::RedisError) {
        self.metrics.near_cache("untracked_connection");
        log::warn!(
            "redis {}: it does not push what changes ({}), so every lookup asks it; a Redis 6.2 with RESP3 and the right to CLIENT TRACKING would",
            server.address,
            error.code().unwrap_or("no code")
        );
    }

    /// Asks the time again and again on that very connection: a frozen server sends no disconnection.
    async fn beat(self: Arc<Self>, id: ConnectionId, mut connection: MultiplexedConnection) {
        loop {
            tokio::time::sleep(self.heartbeat).await;
            let sent = monotonic_now();
            match cmd("TIME").exec_async(&mut connection).await {
                Ok(()) => self.cache().heartbeat(id, sent),
                Err(error) if error.is_connection_dropped() => {
                    self.cache().lost(id);
                    return;
                }
                // Silence is no answer: the entries become unconfirmed by themselves.
                Err(_) => {}
            }
        }
    }

    fn heard(&self, id: ConnectionId, push: &PushInfo) {
        match push.kind {
            PushKind::Invalidate => match push.data.first() {
                Some(Value::Array(keys)) => {
                    let mut cache = self.cache();
                    for session in keys.iter().filter_map(|key| self.session_of(key)) {
                        cache.invalidated(&session);
                    }
                }
                // Everything: FLUSHALL, or a server whose table of tracked keys is full in a way that it cannot name.
                _ => self.cache().flushed(id),
            },
            PushKind::Disconnection => self.cache().lost(id),
            _ => {}
        }
    }

    fn session_of(&self, key: &Value) -> Option<SessionId> {
        match key {
            Value::BulkString(key) => self.keys.session_in(std::str::from_utf8(key).ok()?),
            _ => None,
        }
    }

    fn cache(&self) -> MutexGuard<'_, NearCache<Remembered>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Remembered {
    fn loaded(&self, now: Instant) -> LoadedSession {
        let (store_time, read) = self.read;
        let expires_in = self.until.saturating_duration_since(now);
        LoadedSession { id: self.id, session: self.session.clone(), expires_in, now: store_time.plus(now.saturating_duration_since(read)), rotated: None }
    }
}

impl Reading<'_> {
    /// The read goes out now, on this connection; `None`: on one whose answers are not kept.
    pub(super) fn begin(&self, on: Option<&Tracked>) {
        let load = on.map(|tracked| (self.tracker.cache().begin(self.session, tracked.id), monotonic_now()));
        *self.load.lock().unwrap_or_else(PoisonError::into_inner) = load;
    }

    /// What came of it. A record that cannot be read is not kept: a roll of keys may make it readable.
    pub(super) fn finish(self, outcome: Option<&Lookup>) {
        let Some((load, sent)) = self.load.into_inner().unwrap_or_else(PoisonError::into_inner) else { return };
        let mut cache = self.tracker.cache();
        match outcome {
            Some(Lookup::Found(found)) => {
                // From when it was asked: its life was told later than that, so it ends here no later than there.
                let until = sent + found.expires_in;
                let remembered = Remembered { id: found.id, session: found.session.clone(), until, read: (found.now, sent) };
                cache.finish(&load, Some(remembered), until);
            }
            Some(Lookup::Gone) => cache.finish(&load, None, sent + MISS_KEPT),
            Some(Lookup::Unreadable(_)) | None => cache.forget(&self.session),
        }
    }
}

/// Whether the server understood and said no, as editions without RESP3 or without the right to TRACKING do.
fn is_refusal(error: &redis::RedisError) -> bool {
    let code = error.code().unwrap_or_default();
    let login = matches!(code, "WRONGPASS" | "NOAUTH");
    !login
        && !error.is_io_error()
        && !error.is_timeout()
        && !error.is_connection_dropped()
        && !matches!(code, "LOADING" | "READONLY" | "CLUSTERDOWN" | "MASTERDOWN")
}
