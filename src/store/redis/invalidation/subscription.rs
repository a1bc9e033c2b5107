//! The process's one subscription to what gateways revoke, for servers that do not push what
//! changes by themselves.
//!
//! A task in the runtime of whichever worker needs it first; should that worker end, the next one
//! that needs it starts it again. It passes messages on to the near caches of all workers. A
//! heartbeat takes the way of a revocation: the gateway publishes it over the connections that calls
//! take, and it counts once the subscription has received it. So the same silence reveals a frozen
//! server, a subscription to a former master, and a proxy that drops messages.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use parking_lot::Mutex;
use redis::aio::PubSubStream;
use redis::cmd;
use tokio::task::JoinHandle;

use super::announcement::{self, Announcement};
use super::registry::{InvalidationRegistry, SubscriptionState};
use crate::backoff;
use crate::clock::monotonic_now;
use crate::crypto::random;
use crate::metrics::Metrics;
use crate::redis_client::{
    ClientError, ConnectionId, Connections, Deployment, Request, Server, Topology, opening,
};
use crate::session::SessionId;
use crate::store::near_cache::{NearCacheSettings, WorkerCache};
use crate::store::settings::KeyPrefix;

/// Heartbeats within `max_stale`.
pub(super) const HEARTBEATS: u32 = 4;
/// Between attempts to subscribe: the first wait and the longest.
const WAITS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(3));
/// A subscription that lasted so long is not one that fails each time.
const STEADY: Duration = Duration::from_secs(10);

/// The subscription, and the caches that it reports to.
pub(super) struct Subscription {
    pub(super) shared: Arc<SubscriptionShared>,
    task: Mutex<Option<JoinHandle<()>>>,
}

pub(super) struct SubscriptionShared {
    registry: Arc<InvalidationRegistry>,
    /// Where heartbeats are published, and which server the subscription belongs on.
    topology: Topology,
    prefix: KeyPrefix,
    max_stale: Duration,
    receivers: Mutex<Receivers>,
}

#[derive(Default)]
struct Receivers {
    workers: Vec<Weak<WorkerCache>>,
    /// The subscription that receives, and when its last heartbeat that came back had been sent.
    receiving: Option<(ConnectionId, Instant)>,
}

/// One subscription, from its beginning to its end.
struct Listening<'a> {
    shared: &'a SubscriptionShared,
    server: Server,
    id: ConnectionId,
    sender: [u8; 16],
    /// Heartbeats that have not come back yet, with the time of their sending.
    pending: Mutex<VecDeque<(u64, Instant)>>,
    returned: Mutex<Instant>,
}

impl Subscription {
    pub(super) fn new(
        deployment: &Deployment,
        settings: &NearCacheSettings,
        prefix: KeyPrefix,
        registry: Arc<InvalidationRegistry>,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let topology = Topology::new(deployment, metrics, Connections::Worker);
        let shared = SubscriptionShared {
            registry,
            topology,
            prefix,
            max_stale: settings.max_stale,
            receivers: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
            task: Mutex::default(),
        }
    }

    /// From now on this cache learns of revocations.
    pub(super) fn attach(&self, worker: &Arc<WorkerCache>) {
        let mut receivers = self.shared.receivers.lock();
        receivers.workers.retain(|worker| worker.strong_count() > 0);
        receivers.workers.push(Arc::downgrade(worker));
        if let Some((id, sent)) = receivers.receiving {
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
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(task) = &*self.task.lock() {
            task.abort();
        }
    }
}

/// However a subscription ends, nothing counts as certain any more that depended on it.
struct EndGuard<'a>(&'a SubscriptionShared);

impl Drop for EndGuard<'_> {
    fn drop(&mut self) {
        self.0.ended();
    }
}

async fn run(shared: Arc<SubscriptionShared>) {
    let mut failures = 0;
    loop {
        let began = monotonic_now();
        let why = {
            let _guard = EndGuard(&shared);
            shared.listen().await.unwrap_or_else(|error| error)
        };
        log::debug!("near cache: subscription lost: {why}");
        shared
            .registry
            .subscription(SubscriptionState::Failed(why.reason));
        failures = if began.elapsed() > STEADY {
            1
        } else {
            failures + 1
        };
        tokio::time::sleep(backoff::jittered(WAITS.0, WAITS.1, failures)).await;
    }
}

impl SubscriptionShared {
    /// Subscribes and listens; answers why it ended.
    async fn listen(&self) -> Result<ClientError, ClientError> {
        let channel = announcement::revocations(&self.prefix);
        let server = self.topology.server_of(channel.as_bytes()).await?;
        let sender = random::bytes();
        let own = announcement::heartbeats(&self.prefix, &sender);
        let limit = server.timeouts.connect + server.timeouts.answer;
        let channels = [&*channel, &*own];
        let subscribe = opening::subscribe(&server, &channels);
        let subscription = match tokio::time::timeout(limit, subscribe).await {
            Ok(subscribed) => subscribed.map_err(|error| server.error(&error))?,
            Err(_) => return Err(server.trouble("no answer to SUBSCRIBE in time")),
        };
        let listening = Listening {
            shared: self,
            server,
            id: self.registry.number(),
            sender,
            pending: Mutex::default(),
            returned: Mutex::new(monotonic_now()),
        };
        let why = tokio::select! {
            why = listening.receive(subscription.into_on_message()) => why,
            why = listening.beat(&channel, &own) => why,
        };
        Ok(why)
    }

    /// A heartbeat that was sent at this time has come back.
    fn received(
        &self,
        id: ConnectionId,
        sent: Instant,
        report: fn(&WorkerCache, ConnectionId, Instant),
    ) {
        let mut receivers = self.receivers.lock();
        receivers.receiving = Some((id, sent));
        receivers.each(|worker| report(worker, id, sent));
    }

    /// These sessions have ended: no worker serves them any more.
    pub(super) fn drop_from_near_caches(&self, ids: &[SessionId]) {
        self.receivers
            .lock()
            .each(|worker| ids.iter().for_each(|id| worker.invalidated(id)));
    }

    fn flushed(&self, id: ConnectionId) {
        self.receivers.lock().each(|worker| worker.flushed(id));
    }

    fn ended(&self) {
        let mut receivers = self.receivers.lock();
        let Some((id, _)) = receivers.receiving.take() else {
            return;
        };
        receivers.each(|worker| worker.lost(id));
        drop(receivers);
        self.registry.subscription(SubscriptionState::Starting);
    }
}

impl Receivers {
    fn each(&self, report: impl Fn(&WorkerCache)) {
        self.workers
            .iter()
            .filter_map(Weak::upgrade)
            .for_each(|worker| report(&worker));
    }
}

impl Listening<'_> {
    /// Passes messages on in the order in which they were published: when a heartbeat has come back,
    /// all messages before it have been passed on.
    async fn receive(&self, mut stream: PubSubStream) -> ClientError {
        while let Some(message) = stream.next().await {
            match Announcement::decode(message.get_payload_bytes()) {
                Some(Announcement::Revoked(ids)) => self.shared.drop_from_near_caches(&ids),
                Some(Announcement::Beat { sender, number }) if sender == self.sender => {
                    self.back(number);
                }
                Some(Announcement::Beat { .. }) => {}
                // It may revoke anything, so nothing is kept.
                None => self.shared.flushed(self.id),
            }
        }
        self.server.trouble("the subscription was closed")
    }

    /// A heartbeat has come back. The first one goes over the channel of the revocations, and
    /// nothing is kept before it has come back.
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
            self.shared.received(self.id, sent, WorkerCache::subscribed);
            self.shared
                .registry
                .subscription(SubscriptionState::Receiving);
        } else {
            self.shared.received(self.id, sent, WorkerCache::heartbeat);
        }
    }

    /// Publishes heartbeats for as long as they come back.
    async fn beat(&self, all: &str, own: &str) -> ClientError {
        let limit = self.shared.max_stale + self.server.timeouts.answer;
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
            if self.returned.lock().elapsed() > limit {
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

/// Sends it to all who have subscribed.
pub(crate) async fn publish(
    topology: &Topology,
    channel: &str,
    announcement: &Announcement,
) -> Result<(), ClientError> {
    let mut command = cmd("PUBLISH");
    command.arg(channel).arg(announcement.encode());
    topology
        .call::<i64>(&Request::Command(&command))
        .await
        .map(drop)
}
