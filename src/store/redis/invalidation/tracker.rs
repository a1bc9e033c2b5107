//! Opens the connections of a worker whose answers may be kept.
//!
//! Tracking is in its default mode and never `NOLOOP`: with that, one's own renewal would drop the
//! tracking without a push, and a later revocation would go unnoticed.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, RedisResult, Value};

use super::connection::CachedConnection;
use super::registry::ConnectionMode;
use super::shared::Invalidation;
use super::subscription::HEARTBEATS;
use crate::clock::monotonic_now;
use crate::metrics::Metrics;
use crate::redis_client::tracked_connection::{self, NoTracking, answering};
use crate::redis_client::{ConnectionId, Observation, Observer, Server, opening};
use crate::session::SessionId;
use crate::store::keys::Keys;
use crate::store::near_cache::WorkerCache;
use crate::store::near_cache::invalidation::InvalidationChoice;

/// The near cache of a worker, and what opens the connections that feed it.
pub(crate) struct Tracker {
    pub(crate) cache: Arc<WorkerCache>,
    shared: Arc<Invalidation>,
    keys: Keys,
}

/// What was opened.
enum Opened {
    Tracked(MultiplexedConnection),
    /// Without pushes, and the server's code.
    Refused(MultiplexedConnection, String),
    /// Without pushes, and what happened where they were asked for.
    Unclear(MultiplexedConnection, String),
}

#[async_trait]
impl Observer for Tracker {
    async fn connect(
        self: Arc<Self>,
        server: &Server,
    ) -> RedisResult<(MultiplexedConnection, Box<dyn Observation>)> {
        let (connection, cached) = self.open(server).await?;
        Ok((connection, Box::new(cached)))
    }
}

impl Tracker {
    pub(crate) fn new(shared: &Arc<Invalidation>, keys: Keys, metrics: Arc<Metrics>) -> Arc<Self> {
        let cache = Arc::new(WorkerCache::new(shared.settings, metrics));
        shared.subscription.attach(&cache);
        Arc::new(Self {
            cache,
            shared: shared.clone(),
            keys,
        })
    }

    async fn open(
        self: &Arc<Self>,
        server: &Server,
    ) -> RedisResult<(MultiplexedConnection, CachedConnection)> {
        let id = self.shared.registry.number();
        if self.shared.registry.choice() == InvalidationChoice::Pubsub {
            let connection = opening::open(server).await?;
            return Ok((connection, self.cached(id, ConnectionMode::Pubsub(None))));
        }
        if let Some(why) = self.shared.why_silent(server) {
            let connection = opening::open(server).await?;
            return Ok((connection, self.to_be_retried(id, server, why)));
        }
        match self.tracked_or_plain(server, id).await? {
            Opened::Tracked(connection) => {
                let mut cached = self.cached(id, ConnectionMode::Tracking);
                let every = self.shared.settings.max_stale / HEARTBEATS;
                cached.start_heartbeats(connection.clone(), every);
                Ok((connection, cached))
            }
            Opened::Refused(connection, code) => {
                let mode = self.without_pushes(no_pushes(server, &code));
                Ok((connection, self.cached(id, mode)))
            }
            Opened::Unclear(connection, what) => {
                let why = no_pushes(server, &format!("it {what}"));
                self.shared.remember_silent(server, &why);
                Ok((connection, self.to_be_retried(id, server, why)))
            }
        }
    }

    fn cached(&self, id: ConnectionId, mode: ConnectionMode) -> CachedConnection {
        CachedConnection::new(id, mode, self.shared.clone(), self.cache.clone())
    }

    /// A connection to a server that has not said no: it is tried again from time to time.
    fn to_be_retried(&self, id: ConnectionId, server: &Server, why: String) -> CachedConnection {
        let mut cached = self.cached(id, self.without_pushes(why));
        cached.start_retries(server);
        cached
    }

    /// The mode where the server does not push, and why it does not.
    fn without_pushes(&self, why: String) -> ConnectionMode {
        if self.shared.registry.choice() == InvalidationChoice::Tracking {
            ConnectionMode::Off(why)
        } else {
            ConnectionMode::Pubsub(Some(why))
        }
    }

    /// A connection on which Redis pushes, else one that answers all the same. Of the time that a
    /// connection may take the first has nearly all; the other is begun in the middle of it, so
    /// that silence costs no more.
    async fn tracked_or_plain(
        self: &Arc<Self>,
        server: &Server,
        id: ConnectionId,
    ) -> RedisResult<Opened> {
        let limit = server.timeouts.connect;
        let mut tracked = pin!(self.tracked(server, id, limit - limit / 8));
        let mut spare = pin!(async {
            tokio::time::sleep(limit / 2).await;
            answering(server).await
        });
        let mut ready = None;
        let outcome = loop {
            tokio::select! {
                biased;
                outcome = &mut tracked => break outcome,
                connection = &mut spare, if ready.is_none() => ready = Some(connection),
            }
        };
        match outcome {
            Ok(connection) => Ok(Opened::Tracked(connection)),
            Err(NoTracking::Refused(code)) => {
                Ok(Opened::Refused(opening::open(server).await?, code))
            }
            Err(NoTracking::Failed(error)) => Err(error),
            Err(NoTracking::Unclear(what, error)) => {
                let connection = match ready {
                    Some(connection) => connection?,
                    None if error.is_timeout() => spare.await?,
                    None => answering(server).await?,
                };
                Ok(Opened::Unclear(connection, what))
            }
        }
    }

    /// A connection on which Redis pushes.
    async fn tracked(
        self: &Arc<Self>,
        server: &Server,
        id: ConnectionId,
        within: Duration,
    ) -> Result<MultiplexedConnection, NoTracking> {
        let tracker = self.clone();
        let on_push = move |push: PushInfo| -> Result<(), std::convert::Infallible> {
            tracker.on_push(id, &push);
            Ok(())
        };
        // From before tracking was asked for: what changes from then on is pushed.
        let sent = monotonic_now();
        let limits = server.limits().set_push_sender(on_push);
        let connection = tracked_connection::open(server, &limits, within).await?;
        self.cache.connected(id, sent);
        Ok(connection)
    }

    fn on_push(&self, id: ConnectionId, push: &PushInfo) {
        match push.kind {
            PushKind::Invalidate => match push.data.first() {
                Some(Value::Array(keys)) => keys
                    .iter()
                    .filter_map(|key| self.session_of(key))
                    .for_each(|session| self.cache.invalidated(&session)),
                // Everything: FLUSHALL, or a server whose table of tracked keys is full in a way
                // that it cannot name.
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

fn no_pushes(server: &Server, why: &str) -> String {
    format!(
        "redis {} does not push changes ({why}): this needs Redis 6.2 with RESP3 and the right to CLIENT TRACKING",
        server.address
    )
}
