//! The process's one subscription to what gateways revoke, for servers that do not push what
//! changes by themselves.
//!
//! A task in the runtime of whichever worker needs it first; should that worker end, the next one
//! that needs it starts it again. Messages are passed on to the near caches of all workers. A
//! heartbeat takes the way of a revocation: it is published over the connections that calls take,
//! and counts when it has come back on the subscription. So a server that is frozen, a subscription
//! on a node that is no master any more, and a proxy that swallows messages are all found out by
//! the same silence.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use parking_lot::Mutex;
use redis::aio::PubSubStream;
use redis::{Client, cmd};
use tokio::task::JoinHandle;

use super::announcement::{self, Announcement};
use super::hearing::{Hearing, Subscribed};
use super::worker_cache::WorkerCache;
use crate::backoff;
use crate::clock::monotonic_now;
use crate::crypto::random;
use crate::metrics::Metrics;
use crate::redis_client::opening::without_password;
use crate::redis_client::{
    ClientError, ConnectionId, Connections, Place, Request, Server, Topology,
};
use crate::session::SessionId;
use crate::store::near_cache::NearCacheSettings;
use crate::store::settings::KeyPrefix;

/// Heartbeats within `max_stale`.
pub(super) const HEARTBEATS: u32 = 4;
/// Between attempts to subscribe: the first wait and the longest.
const WAITS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(3));
/// A subscription that stood for so long was none that fails each time.
const STEADY: Duration = Duration::from_secs(10);

/// The subscription, and whom it tells.
#[derive(Debug)]
pub(super) struct Subscription {
    shared: Arc<Shared>,
    task: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    hearing: Arc<Hearing>,
    /// Where heartbeats are published, and which server the subscription belongs on.
    topology: Topology,
    prefix: KeyPrefix,
    max_stale: Duration,
    listeners: Mutex<Listeners>,
}

#[derive(Debug, Default)]
struct Listeners {
    workers: Vec<Weak<WorkerCache>>,
    /// The subscription that stands, and when its last heartbeat that came back had been sent.
    standing: Option<(ConnectionId, Instant)>,
}

/// One subscription, from its beginning to its end.
struct Listening<'a> {
    shared: &'a Shared,
    server: Server,
    id: ConnectionId,
    sender: [u8; 16],
    /// Heartbeats that have not come back yet, with the time of their sending.
    pending: Mutex<VecDeque<(u64, Instant)>>,
    returned: Mutex<Instant>,
}

impl Subscription {
    pub(super) fn new(
        place: &Place,
        settings: &NearCacheSettings,
        prefix: KeyPrefix,
        hearing: Arc<Hearing>,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let topology = Topology::new(place, metrics, Connections::Worker);
        let shared = Shared {
            hearing,
            topology,
            prefix,
            max_stale: settings.max_stale,
            listeners: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
            task: Mutex::default(),
        }
    }

    /// From now on this cache is told.
    pub(super) fn attach(&self, worker: &Arc<WorkerCache>) {
        let mut listeners = self.shared.listeners.lock();
        listeners.workers.retain(|worker| worker.strong_count() > 0);
        listeners.workers.push(Arc::downgrade(worker));
        if let Some((id, sent)) = listeners.standing {
            worker.subscribed(id, sent);
        }
    }

    /// Sees to it that there is a subscription, in the runtime of the caller if there is none yet.
    pub(super) fn keep(&self) {
        let mut task = self.task.lock();
        if task.as_ref().is_none_or(JoinHandle::is_finished) {
            *task = Some(tokio::spawn(run(self.shared.clone())));
        }
    }

    /// This process has revoked these sessions itself: its workers know before anybody is answered.
    pub(super) fn revoked(&self, ids: &[SessionId]) {
        self.shared.revoked(ids);
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(task) = &*self.task.lock() {
            task.abort();
        }
    }
}

/// However a subscription ends, nothing counts as certain any more that hung on it.
struct Standing<'a>(&'a Shared);

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        self.0.ended();
    }
}

async fn run(shared: Arc<Shared>) {
    let mut failures = 0;
    loop {
        let began = monotonic_now();
        let why = {
            let _standing = Standing(&shared);
            shared.listen().await.unwrap_or_else(|error| error)
        };
        log::debug!("near cache: subscription lost: {why}");
        shared.hearing.subscription(Subscribed::No(why.reason));
        failures = if began.elapsed() > STEADY {
            1
        } else {
            failures + 1
        };
        tokio::time::sleep(backoff::jittered(WAITS.0, WAITS.1, failures)).await;
    }
}

impl Shared {
    /// Subscribes and listens; answers why it ended.
    async fn listen(&self) -> Result<ClientError, ClientError> {
        let channel = announcement::revocations(&self.prefix);
        let server = self.topology.server_of(channel.as_bytes()).await?;
        let sender = random::bytes();
        let own = announcement::heartbeats(&self.prefix, &sender);
        let limit = server.timeouts.connect + server.timeouts.answer;
        let stream = match tokio::time::timeout(limit, subscribed(&server, &[&channel, &own])).await
        {
            Ok(stream) => stream?,
            Err(_) => return Err(server.trouble("no answer to SUBSCRIBE in time")),
        };
        let listening = Listening {
            shared: self,
            server,
            id: self.hearing.number(),
            sender,
            pending: Mutex::default(),
            returned: Mutex::new(monotonic_now()),
        };
        let why = tokio::select! {
            why = listening.receive(stream) => why,
            why = listening.beat(&channel, &own) => why,
        };
        Ok(why)
    }

    fn stands(&self, id: ConnectionId, sent: Instant) {
        let mut listeners = self.listeners.lock();
        listeners.standing = Some((id, sent));
        listeners.each(|worker| worker.subscribed(id, sent));
        drop(listeners);
        self.hearing.subscription(Subscribed::Yes);
    }

    fn heartbeat(&self, id: ConnectionId, sent: Instant) {
        let mut listeners = self.listeners.lock();
        listeners.standing = Some((id, sent));
        listeners.each(|worker| worker.heartbeat(id, sent));
    }

    fn revoked(&self, ids: &[SessionId]) {
        self.listeners
            .lock()
            .each(|worker| ids.iter().for_each(|id| worker.changed(id)));
    }

    fn flushed(&self, id: ConnectionId) {
        self.listeners.lock().each(|worker| worker.flushed(id));
    }

    fn ended(&self) {
        let mut listeners = self.listeners.lock();
        let Some((id, _)) = listeners.standing.take() else {
            return;
        };
        listeners.each(|worker| worker.lost(id));
        drop(listeners);
        self.hearing.subscription(Subscribed::Starting);
    }
}

impl Listeners {
    fn each(&self, tell: impl Fn(&WorkerCache)) {
        self.workers
            .iter()
            .filter_map(Weak::upgrade)
            .for_each(|worker| tell(&worker));
    }
}

impl Listening<'_> {
    /// Passes on what is said, in the order in which it is said: when a heartbeat has come back,
    /// whatever was said before it has been passed on.
    async fn receive(&self, mut stream: PubSubStream) -> ClientError {
        while let Some(message) = stream.next().await {
            match Announcement::decode(message.get_payload_bytes()) {
                Some(Announcement::Revoked(ids)) => self.shared.revoked(&ids),
                Some(Announcement::Beat { sender, number }) if sender == self.sender => {
                    self.back(number);
                }
                Some(Announcement::Beat { .. }) => {}
                // Whatever it revokes, nothing is kept that it could mean.
                None => self.shared.flushed(self.id),
            }
        }
        self.server.trouble("the subscription was closed")
    }

    /// A heartbeat has come back. The first one goes over the channel of the revocations, and
    /// nothing is kept before it is here.
    fn back(&self, number: u64) {
        let mut pending = self.pending.lock();
        let Some(at) = pending.iter().position(|(sent, _)| *sent == number) else {
            return;
        };
        let Some((_, sent)) = pending.drain(..=at).next_back() else {
            return;
        };
        drop(pending);
        *self.returned.lock() = monotonic_now();
        if number == 0 {
            self.shared.stands(self.id, sent);
        } else {
            self.shared.heartbeat(self.id, sent);
        }
    }

    /// Publishes heartbeats for as long as they come back.
    async fn beat(&self, all: &str, own: &str) -> ClientError {
        let patience = self.shared.max_stale + self.server.timeouts.answer;
        for number in 0.. {
            let sent = monotonic_now();
            self.pending.lock().push_back((number, sent));
            let beat = Announcement::Beat {
                sender: self.sender,
                number,
            };
            if let Err(error) = publish(
                &self.shared.topology,
                if number == 0 { all } else { own },
                &beat,
            )
            .await
                && number == 0
            {
                return error;
            }
            tokio::time::sleep(self.shared.max_stale / HEARTBEATS).await;
            if self.returned.lock().elapsed() > patience {
                return self
                    .server
                    .trouble("the subscription does not receive what is published");
            }
            // Where the channel's slot has moved to, or the sentinels' master, revocations are
            // published.
            match self.shared.topology.server_of(all.as_bytes()).await {
                Ok(server) if server.address != self.server.address => {
                    return self.server.trouble("the store has moved to another server");
                }
                _ => {}
            }
        }
        self.server.trouble("no number is left for a heartbeat")
    }
}

/// Says it to all who have subscribed.
pub(super) async fn publish(
    topology: &Topology,
    channel: &str,
    said: &Announcement,
) -> Result<(), ClientError> {
    let mut command = cmd("PUBLISH");
    command.arg(channel).arg(said.encode());
    topology
        .call::<i64>(&Request::Command(&command))
        .await
        .map(drop)
}

async fn subscribed(server: &Server, channels: &[&str]) -> Result<PubSubStream, ClientError> {
    let subscribe = async {
        let mut connection = match Client::open(server.connection_info())?
            .get_async_pubsub()
            .await
        {
            Err(error) => match without_password(server, &error).await {
                Some(open) => {
                    Client::open(open.connection_info())?
                        .get_async_pubsub()
                        .await?
                }
                None => return Err(error),
            },
            Ok(connection) => connection,
        };
        connection.subscribe(channels).await?;
        Ok::<_, redis::RedisError>(connection.into_on_message())
    };
    subscribe.await.map_err(|error| server.error(&error))
}
