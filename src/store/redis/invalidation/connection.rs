//! A connection whose answers may be kept, while it is in use.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::cmd;
use tokio::task::AbortHandle;

use super::registry::ConnectionMode;
use super::server_clock::{ServerClock, store_time};
use super::shared::Invalidation;
use crate::clock::{UnixMillis, monotonic_now};
use crate::redis_client::{
    ConnectionId, InvalidationSource, Observation, Server, tracked_connection,
};
use crate::store::near_cache::WorkerCache;

/// How long until a server that does not seem to push is tried again: at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(600));

/// What keeps the answers of a connection fresh.
pub(super) struct CachedConnection {
    id: ConnectionId,
    source: Option<InvalidationSource>,
    shared: Arc<Invalidation>,
    cache: Arc<WorkerCache>,
    /// What heartbeats say of the server's time.
    clock: Arc<ServerClock>,
    heartbeats: Option<AbortHandle>,
    retries: Option<AbortHandle>,
    outdated: Arc<AtomicBool>,
}

impl Observation for CachedConnection {
    fn is_outdated(&self) -> bool {
        self.outdated.load(Ordering::Relaxed)
    }

    fn source(&self) -> Option<InvalidationSource> {
        if self.source == Some(InvalidationSource::Subscription) {
            self.shared.subscription.keep();
        }
        self.source
    }

    fn server_time(&self, now: Instant) -> Option<UnixMillis> {
        self.clock.at(now)
    }
}

impl Drop for CachedConnection {
    fn drop(&mut self) {
        if let Some(heartbeats) = &self.heartbeats {
            heartbeats.abort();
            self.cache.lost(self.id);
        }
        if let Some(retries) = &self.retries {
            retries.abort();
        }
        self.shared.registry.closed(self.id);
    }
}

impl CachedConnection {
    pub(super) fn new(
        id: ConnectionId,
        mode: ConnectionMode,
        shared: Arc<Invalidation>,
        cache: Arc<WorkerCache>,
    ) -> Self {
        let source = match &mode {
            ConnectionMode::Tracking => Some(InvalidationSource::Connection(id)),
            ConnectionMode::Pubsub(_) => Some(InvalidationSource::Subscription),
            ConnectionMode::Off(_) => None,
        };
        shared.registry.opened(id, mode);
        let connection = Self {
            id,
            source,
            clock: Arc::new(ServerClock::new(shared.settings.max_stale)),
            shared,
            cache,
            heartbeats: None,
            retries: None,
            outdated: Arc::default(),
        };
        // Starts the subscription now rather than with the first read: until it receives, nothing
        // is kept.
        let _ = connection.source();
        connection
    }

    /// Heartbeats on the connection itself: a frozen server sends no disconnection.
    pub(super) fn start_heartbeats(&mut self, connection: MultiplexedConnection, every: Duration) {
        let task = beat(
            self.cache.clone(),
            self.id,
            self.clock.clone(),
            connection,
            every,
        );
        self.heartbeats = Some(tokio::spawn(task).abort_handle());
    }

    /// Tries from time to time whether the server pushes by now, beside the connection in use.
    pub(super) fn start_retries(&mut self, server: &Server) {
        let task = retry(self.shared.clone(), server.clone(), self.outdated.clone());
        self.retries = Some(tokio::spawn(task).abort_handle());
    }
}

async fn beat(
    cache: Arc<WorkerCache>,
    id: ConnectionId,
    clock: Arc<ServerClock>,
    mut connection: MultiplexedConnection,
    every: Duration,
) {
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

/// Tries ever more rarely. Once the server pushes, the connection is outdated: another one replaces
/// it.
async fn retry(shared: Arc<Invalidation>, server: Server, outdated: Arc<AtomicBool>) {
    let mut wait = RETRY.0;
    while shared.why_silent(&server).is_some() {
        tokio::time::sleep(wait).await;
        wait = (2 * wait).min(RETRY.1);
        if tracked_connection::open(&server, &server.limits(), server.timeouts.connect)
            .await
            .is_ok()
        {
            shared.forget_silent(&server);
        }
    }
    outdated.store(true, Ordering::Relaxed);
}
