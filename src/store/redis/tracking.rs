//! Connections whose answers may be kept, because somebody tells what changes: Redis itself, on the connection (`CLIENT TRACKING`
//! over RESP3), or else the gateways, over the process's subscription.
//!
//! Tracking is in its default mode and never `NOLOOP`: with that, one's own renewal would drop the tracking without a push, and a
//! later revocation would never be heard of.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Client, PushInfo, PushKind, RedisError, RedisResult, Value, cmd};

use super::hearing::{Hearing, Way};
use super::server::{Place, Server};
use super::server_clock::ServerClock;
use super::sessions::store_time;
use super::subscription::{HEARTBEATS, Subscription};
use super::worker_cache::{Ear, WorkerCache};
use crate::clock::monotonic_now;
use crate::metrics::Metrics;
use crate::session::SessionId;
use crate::store::keys::Keys;
use crate::store::near_cache::{ConnectionId, NearCacheSettings};
use crate::store::push::{PushChoice, PushMode, PushState};
use crate::store::settings::KeyPrefix;

/// What the near caches of all workers of a process have in common.
#[derive(Debug)]
pub(in crate::store) struct Push {
    settings: NearCacheSettings,
    hearing: Arc<Hearing>,
    subscription: Subscription,
}

impl Push {
    pub(in crate::store) fn new(place: &Place, settings: NearCacheSettings, prefix: KeyPrefix, metrics: &Arc<Metrics>) -> Self {
        let hearing = Arc::new(Hearing::new(settings.push, metrics.clone()));
        Self { settings, subscription: Subscription::new(place, &settings, prefix, hearing.clone(), metrics), hearing }
    }

    /// What is in effect.
    pub(in crate::store) fn state(&self) -> PushState {
        self.hearing.state()
    }
}

/// The near cache of a worker, and what opens the connections that feed it.
pub(super) struct Tracker {
    pub(super) cache: Arc<WorkerCache>,
    push: Arc<Push>,
    keys: Keys,
}

impl fmt::Debug for Tracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tracker")
    }
}

/// What keeps the answers of a connection fresh, for as long as the connection is in use.
#[derive(Debug)]
pub(super) struct Feed {
    id: ConnectionId,
    ear: Option<Ear>,
    tracker: Arc<Tracker>,
    /// What heartbeats say of the server's time.
    clock: Arc<ServerClock>,
    heartbeats: Option<tokio::task::AbortHandle>,
}

impl Feed {
    /// Who hears of changes to what is read there.
    pub(super) fn ear(&self) -> Option<Ear> {
        if self.ear == Some(Ear::Subscription) {
            self.tracker.push.subscription.keep();
        }
        self.ear
    }

    /// The server's time, as far as it is known.
    pub(super) fn clock(&self) -> &ServerClock {
        &self.clock
    }

    fn beat(&mut self, connection: MultiplexedConnection, every: Duration) {
        let heartbeats = tokio::spawn(beat(self.tracker.cache.clone(), self.id, self.clock.clone(), connection, every));
        self.heartbeats = Some(heartbeats.abort_handle());
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if let Some(heartbeats) = &self.heartbeats {
            heartbeats.abort();
            self.tracker.cache.lost(self.id);
        }
        self.tracker.push.hearing.closed(self.id);
    }
}

impl Tracker {
    pub(super) fn new(push: &Arc<Push>, keys: Keys, metrics: Arc<Metrics>) -> Arc<Self> {
        let cache = Arc::new(WorkerCache::new(push.settings, metrics));
        push.subscription.attach(&cache);
        Arc::new(Self { cache, push: push.clone(), keys })
    }

    /// This process has revoked these sessions: none of its workers serves them from now on, before anybody is told of it.
    pub(super) fn revoked(&self, ids: &[SessionId]) {
        self.push.subscription.revoked(ids);
    }

    /// Whether other gateways may depend on being told. Under `auto` this one may have what another has not, as over another proxy.
    pub(super) fn announces(&self) -> bool {
        self.push.hearing.choice() != PushChoice::Tracking
    }

    /// Whether Redis pushes to all connections of this process, and so probably to the other gateways too.
    pub(super) fn is_told_by_redis(&self) -> bool {
        self.push.state().mode == Some(PushMode::Tracking)
    }

    /// A connection, and what tells of changes to what is read on it.
    pub(super) async fn connect(self: &Arc<Self>, server: &Server) -> RedisResult<(MultiplexedConnection, Feed)> {
        let id = self.push.hearing.number();
        let refusal = match self.push.hearing.choice() {
            PushChoice::Pubsub => None,
            PushChoice::Auto | PushChoice::Tracking => match self.tracked(server, id).await {
                Ok(connection) => {
                    let mut feed = self.feed(id, Some(Ear::Connection(id)), Way::Tracking);
                    feed.beat(connection.clone(), self.push.settings.max_stale / HEARTBEATS);
                    return Ok((connection, feed));
                }
                Err(error) if is_refusal(&error) => Some(refused(server, &error)),
                Err(error) => return Err(error),
            },
        };
        let plain = Client::open(server.connection_info())?.get_multiplexed_async_connection_with_config(&server.limits()).await?;
        let feed = match refusal {
            Some(refusal) if self.push.hearing.choice() == PushChoice::Tracking => self.feed(id, None, Way::Off(refusal)),
            refusal => self.feed(id, Some(Ear::Subscription), Way::Pubsub(refusal)),
        };
        // Now rather than with the first read: until the subscription stands nothing is kept.
        feed.ear();
        Ok((plain, feed))
    }

    fn feed(self: &Arc<Self>, id: ConnectionId, ear: Option<Ear>, way: Way) -> Feed {
        self.push.hearing.opened(id, way);
        Feed { id, ear, tracker: self.clone(), clock: Arc::new(ServerClock::new(self.push.settings.max_stale)), heartbeats: None }
    }

    /// A connection on which Redis pushes.
    async fn tracked(self: &Arc<Self>, server: &Server, id: ConnectionId) -> RedisResult<MultiplexedConnection> {
        let tracker = self.clone();
        let listen = move |push: PushInfo| -> Result<(), std::convert::Infallible> {
            tracker.heard(id, &push);
            Ok(())
        };
        let limits = server.limits().set_push_sender(listen);
        let mut connection = Client::open(server.pushing_connection_info())?.get_multiplexed_async_connection_with_config(&limits).await?;
        let sent = monotonic_now();
        cmd("CLIENT").arg("TRACKING").arg("ON").exec_async(&mut connection).await?;
        self.cache.connected(id, sent);
        Ok(connection)
    }

    fn heard(&self, id: ConnectionId, push: &PushInfo) {
        match push.kind {
            PushKind::Invalidate => match push.data.first() {
                Some(Value::Array(keys)) => keys.iter().filter_map(|key| self.session_of(key)).for_each(|session| self.cache.changed(&session)),
                // Everything: FLUSHALL, or a server whose table of tracked keys is full in a way that it cannot name.
                _ => self.cache.flushed(id),
            },
            PushKind::Disconnection => self.cache.lost(id),
            _ => {}
        }
    }

    fn session_of(&self, key: &Value) -> Option<SessionId> {
        match key {
            Value::BulkString(key) => self.keys.session_in(std::str::from_utf8(key).ok()?),
            _ => None,
        }
    }
}

/// Asks the time again and again on that very connection: a frozen server sends no disconnection.
async fn beat(cache: Arc<WorkerCache>, id: ConnectionId, clock: Arc<ServerClock>, mut connection: MultiplexedConnection, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let sent = monotonic_now();
        match cmd("TIME").query_async(&mut connection).await {
            Ok(time) => {
                clock.set(store_time(time), sent);
                cache.heartbeat(id, sent);
            }
            Err(error) if error.is_connection_dropped() => return cache.lost(id),
            // Silence is no answer: the entries become unconfirmed by themselves.
            Err(_) => {}
        }
    }
}

fn refused(server: &Server, error: &RedisError) -> String {
    let code = error.code().unwrap_or("no RESP3");
    format!("redis {} does not push what changes ({code}): that takes Redis 6.2 with RESP3 and the right to CLIENT TRACKING", server.address)
}

/// Whether the server understood and said no, as editions without RESP3 or without the right to TRACKING do.
fn is_refusal(error: &RedisError) -> bool {
    let code = error.code().unwrap_or_default();
    let login = matches!(code, "WRONGPASS" | "NOAUTH");
    !login
        && !error.is_io_error()
        && !error.is_timeout()
        && !error.is_connection_dropped()
        && !matches!(code, "LOADING" | "READONLY" | "CLUSTERDOWN" | "MASTERDOWN")
}
