//! Connections whose answers may be kept, because somebody tells what changes: Redis itself, on the
//! connection (`CLIENT TRACKING` over RESP3), or else the gateways, over the process's
//! subscription.
//!
//! Tracking is in its default mode and never `NOLOOP`: with that, one's own renewal would drop the
//! tracking without a push, and a later revocation would never be heard of.

use std::collections::HashMap;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, RedisResult, Value, cmd};

use super::hearing::{Hearing, Way};
use super::server_clock::ServerClock;
use super::server_clock::store_time;
use super::subscription::{HEARTBEATS, Subscription};
use super::worker_cache::WorkerCache;
use crate::clock::{UnixMillis, monotonic_now};
use crate::metrics::Metrics;
use crate::redis_client::pushing::{self, NoPush, answering, plain};
use crate::redis_client::{
    ConnectionId, InvalidationSource, Observation, Observer, Place, Server, ServerAddress,
};
use crate::session::SessionId;
use crate::store::keys::Keys;
use crate::store::near_cache::NearCacheSettings;
use crate::store::push::{PushChoice, PushMode, PushState};
use crate::store::settings::KeyPrefix;

/// How long until a server that does not seem to push is asked again: at first and at most.
const AGAIN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(600));

/// What the near caches of all workers of a process have in common.
#[derive(Debug)]
pub(in crate::store) struct Push {
    settings: NearCacheSettings,
    hearing: Arc<Hearing>,
    subscription: Subscription,
    doubts: Doubts,
}

impl Push {
    pub(in crate::store) fn new(
        place: &Place,
        settings: NearCacheSettings,
        prefix: KeyPrefix,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let hearing = Arc::new(Hearing::new(settings.push, metrics.clone()));
        Self {
            settings,
            subscription: Subscription::new(place, &settings, prefix, hearing.clone(), metrics),
            hearing,
            doubts: Doubts::default(),
        }
    }

    /// What is in effect.
    pub(in crate::store) fn state(&self) -> PushState {
        self.hearing.state()
    }

    /// This process has revoked these sessions: none of its workers serves them from now on, before
    /// anybody is told of it.
    pub(super) fn revoked(&self, ids: &[SessionId]) {
        self.subscription.revoked(ids);
    }

    /// Whether other gateways may depend on being told. Under `auto` this one may have what another
    /// has not, as over another proxy.
    pub(super) fn announces(&self) -> bool {
        self.hearing.choice() != PushChoice::Tracking
    }

    /// Whether Redis pushes to all connections of this process, and so probably to the other
    /// gateways too.
    pub(super) fn is_told_by_redis(&self) -> bool {
        self.state().mode == Some(PushMode::Tracking)
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
    source: Option<InvalidationSource>,
    tracker: Arc<Tracker>,
    /// What heartbeats say of the server's time.
    clock: Arc<ServerClock>,
    heartbeats: Option<tokio::task::AbortHandle>,
    /// Asks again whether the server pushes.
    again: Option<tokio::task::AbortHandle>,
    outdated: Arc<AtomicBool>,
}

impl Observation for Feed {
    fn is_outdated(&self) -> bool {
        self.outdated.load(Ordering::Relaxed)
    }

    fn source(&self) -> Option<InvalidationSource> {
        if self.source == Some(InvalidationSource::Subscription) {
            self.tracker.push.subscription.keep();
        }
        self.source
    }

    fn server_time(&self, now: Instant) -> Option<UnixMillis> {
        self.clock.at(now)
    }
}

impl Feed {
    fn beat(&mut self, connection: MultiplexedConnection, every: Duration) {
        let heartbeats = tokio::spawn(beat(
            self.tracker.cache.clone(),
            self.id,
            self.clock.clone(),
            connection,
            every,
        ));
        self.heartbeats = Some(heartbeats.abort_handle());
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if let Some(heartbeats) = &self.heartbeats {
            heartbeats.abort();
            self.tracker.cache.lost(self.id);
        }
        if let Some(again) = &self.again {
            again.abort();
        }
        self.tracker.push.hearing.closed(self.id);
    }
}

#[async_trait]
impl Observer for Tracker {
    async fn connect(
        self: Arc<Self>,
        server: &Server,
    ) -> RedisResult<(MultiplexedConnection, Box<dyn Observation>)> {
        let (connection, feed) = self.open(server).await?;
        Ok((connection, Box::new(feed)))
    }
}

impl Tracker {
    pub(super) fn new(push: &Arc<Push>, keys: Keys, metrics: Arc<Metrics>) -> Arc<Self> {
        let cache = Arc::new(WorkerCache::new(push.settings, metrics));
        push.subscription.attach(&cache);
        Arc::new(Self {
            cache,
            push: push.clone(),
            keys,
        })
    }

    /// A connection, and what tells of changes to what is read on it.
    async fn open(self: &Arc<Self>, server: &Server) -> RedisResult<(MultiplexedConnection, Feed)> {
        let id = self.push.hearing.number();
        if self.push.hearing.choice() == PushChoice::Pubsub {
            return Ok((plain(server).await?, self.without_pushes(id, None)));
        }
        if let Some(why) = self.push.doubts.about(server) {
            return Ok((plain(server).await?, self.doubtful(id, server, why)));
        }
        match self.tracked_or_spare(server, id).await? {
            Opened::Tracked(connection) => {
                let mut feed =
                    self.feed(id, Some(InvalidationSource::Connection(id)), Way::Tracking);
                feed.beat(
                    connection.clone(),
                    self.push.settings.max_stale / HEARTBEATS,
                );
                Ok((connection, feed))
            }
            Opened::Refused(connection, code) => Ok((
                connection,
                self.without_pushes(id, Some(refused(server, &code))),
            )),
            Opened::Spare(connection, what) => {
                let why = refused(server, &format!("it {what}"));
                self.push.doubts.remember(server, &why);
                Ok((connection, self.doubtful(id, server, why)))
            }
        }
    }

    /// A connection on which Redis pushes, else one that answers all the same. Of the time that a
    /// connection may take the first has nearly all; the other is begun in the middle of it, so
    /// that silence costs no more.
    async fn tracked_or_spare(
        self: &Arc<Self>,
        server: &Server,
        id: ConnectionId,
    ) -> RedisResult<Opened> {
        let patience = server.timeouts.connect;
        let mut tracked = pin!(self.tracked(server, id, patience - patience / 8));
        let mut spare = pin!(async {
            tokio::time::sleep(patience / 2).await;
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
            Err(NoPush::Refused(code)) => Ok(Opened::Refused(plain(server).await?, code)),
            Err(NoPush::Failed(error)) => Err(error),
            Err(NoPush::Unclear(what, error)) => {
                let connection = match ready {
                    Some(connection) => connection?,
                    None if error.is_timeout() => spare.await?,
                    None => answering(server).await?,
                };
                Ok(Opened::Spare(connection, what))
            }
        }
    }

    /// What hears where the server pushes nothing, and why it does not, where that was tried.
    fn without_pushes(self: &Arc<Self>, id: ConnectionId, refusal: Option<String>) -> Feed {
        let feed = match refusal {
            Some(refusal) if self.push.hearing.choice() == PushChoice::Tracking => {
                self.feed(id, None, Way::Off(refusal))
            }
            refusal => self.feed(
                id,
                Some(InvalidationSource::Subscription),
                Way::Pubsub(refusal),
            ),
        };
        // Now rather than with the first read: until the subscription stands nothing is kept.
        let _ = feed.source();
        feed
    }

    /// The same where the server has not said no: it is asked again from time to time, beside the
    /// connection that is in use.
    fn doubtful(self: &Arc<Self>, id: ConnectionId, server: &Server, why: String) -> Feed {
        let mut feed = self.without_pushes(id, Some(why));
        let again = tokio::spawn(ask_again(
            self.clone(),
            server.clone(),
            feed.outdated.clone(),
        ));
        feed.again = Some(again.abort_handle());
        feed
    }

    fn feed(
        self: &Arc<Self>,
        id: ConnectionId,
        source: Option<InvalidationSource>,
        way: Way,
    ) -> Feed {
        self.push.hearing.opened(id, way);
        let clock = Arc::new(ServerClock::new(self.push.settings.max_stale));
        Feed {
            id,
            source,
            tracker: self.clone(),
            clock,
            heartbeats: None,
            again: None,
            outdated: Arc::default(),
        }
    }

    /// A connection on which Redis pushes.
    async fn tracked(
        self: &Arc<Self>,
        server: &Server,
        id: ConnectionId,
        within: Duration,
    ) -> Result<MultiplexedConnection, NoPush> {
        let tracker = self.clone();
        let listen = move |push: PushInfo| -> Result<(), std::convert::Infallible> {
            tracker.heard(id, &push);
            Ok(())
        };
        // From before it was asked: what changes from then on is heard of.
        let sent = monotonic_now();
        let connection =
            pushing::open(server, &server.limits().set_push_sender(listen), within).await?;
        self.cache.connected(id, sent);
        Ok(connection)
    }

    fn heard(&self, id: ConnectionId, push: &PushInfo) {
        match push.kind {
            PushKind::Invalidate => match push.data.first() {
                Some(Value::Array(keys)) => keys
                    .iter()
                    .filter_map(|key| self.session_of(key))
                    .for_each(|session| self.cache.changed(&session)),
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

/// Asks the time again and again on that very connection: a frozen server sends no disconnection.
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

/// Tries whether the server pushes by now, ever more rarely. Once it does, the connection that
/// cannot hear is to make room for one that can.
async fn ask_again(tracker: Arc<Tracker>, server: Server, outdated: Arc<AtomicBool>) {
    let mut wait = AGAIN.0;
    while tracker.push.doubts.about(&server).is_some() {
        tokio::time::sleep(wait).await;
        wait = (2 * wait).min(AGAIN.1);
        if pushing::open(&server, &server.limits(), server.timeouts.connect)
            .await
            .is_ok()
        {
            tracker.push.doubts.forget(&server);
        }
    }
    outdated.store(true, Ordering::Relaxed);
}

/// Servers that do not seem to push, and why: connections to them are not held up by another try.
#[derive(Debug, Default)]
struct Doubts(Mutex<HashMap<ServerAddress, String>>);

impl Doubts {
    fn about(&self, server: &Server) -> Option<String> {
        self.0.lock().get(&server.address).cloned()
    }

    fn remember(&self, server: &Server, why: &str) {
        self.0.lock().insert(server.address.clone(), why.to_owned());
    }

    fn forget(&self, server: &Server) {
        self.0.lock().remove(&server.address);
    }
}

/// What was opened.
enum Opened {
    Tracked(MultiplexedConnection),
    /// Without pushes, and the server's code.
    Refused(MultiplexedConnection, String),
    /// Without pushes, and what happened where they were asked for.
    Spare(MultiplexedConnection, String),
}

fn refused(server: &Server, why: &str) -> String {
    format!(
        "redis {} does not push changes ({why}): this needs Redis 6.2 with RESP3 and the right to CLIENT TRACKING",
        server.address
    )
}
