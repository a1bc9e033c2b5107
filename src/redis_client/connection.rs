//! The one connection of a worker to a node: multiplexed, made on first use in the worker's own
//! runtime (one made elsewhere costs wake-ups across threads), thrown away when it fails. What is on
//! no request's path takes one of the process's pool instead. Everything that waits is bounded.
//! Nowhere else are connections made for requests.

mod replicated;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value};
use tokio::task::JoinHandle;

use self::replicated::ReplicatedWrites;
use super::address::NodeAddress;
use super::error::ClientError;
use super::failure::{Failure, spoils_connection};
use super::observer::{Observation, Observer};
use super::opening;
use super::pools::{PooledConnection, Pools};
use super::request::Request;
use super::server::Server;
use crate::clock::monotonic_now;
use crate::metrics::Metrics;

/// After a failed attempt to connect, calls fail at once for this long instead of waiting in a row
/// for the next one.
const RETRY_AFTER: Duration = Duration::from_millis(150);

/// Which connections requests take.
#[derive(Clone)]
pub(crate) enum Connections {
    /// One to each server, of the worker that first uses it.
    Worker,
    /// The same, and reads on it are shown to an observer.
    Observed(Arc<dyn Observer>),
    /// Those of the process.
    Pooled(Pools),
}

impl Connections {
    /// Runs a task in the runtime of the connections.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        match self {
            Self::Worker | Self::Observed(_) => tokio::spawn(task),
            Self::Pooled(pools) => pools.spawn(task),
        }
    }

    /// No other servers are in use.
    pub(super) fn keep(&self, servers: &[NodeAddress]) {
        if let Self::Pooled(pools) = self {
            pools.keep(servers);
        }
    }
}

/// Connects when needed, and again when that went wrong.
pub(crate) struct Connector {
    /// How to connect to the node.
    pub(super) server: Server,
    metrics: Arc<Metrics>,
    connections: Connections,
    state: Mutex<ConnectorState>,
    /// Held by the one call that connects; the others wait for its outcome.
    connecting: tokio::sync::Mutex<()>,
    /// Made with the first script whose writes replicas are waited for.
    replicated: OnceLock<Arc<ReplicatedWrites>>,
}

#[derive(Default)]
struct ConnectorState {
    live: Option<LiveConnection>,
    made: u64,
    failed: Option<(Instant, ClientError)>,
    answered: Option<Instant>,
}

/// A connection, and its number: only the one that failed is thrown away, not the one made since.
#[derive(Clone)]
struct LiveConnection {
    number: u64,
    connection: MultiplexedConnection,
    /// `None`: reads on it are not observed.
    observation: Option<Arc<dyn Observation>>,
}

impl Connector {
    pub(super) fn new(server: Server, metrics: Arc<Metrics>, connections: Connections) -> Self {
        Self {
            server,
            metrics,
            connections,
            state: Mutex::default(),
            connecting: tokio::sync::Mutex::new(()),
            replicated: OnceLock::new(),
        }
    }

    /// A failure of a request to this node, for the log.
    pub(super) fn error(&self, failure: &Failure) -> ClientError {
        match failure {
            Failure::NoConnection(error) => error.clone(),
            // A connection is open before the server has said anything.
            Failure::Request(error) if self.state.lock().answered.is_none() => {
                self.server.unconnected(error)
            }
            Failure::Request(error) => self.server.error(error),
        }
    }

    /// How long ago it answered last.
    pub(super) fn silence(&self) -> Duration {
        self.state
            .lock()
            .answered
            .map_or(Duration::MAX, |at| at.elapsed())
    }

    /// Whether it is connected, as far as is known.
    pub(super) fn is_connected(&self) -> bool {
        self.state.lock().live.is_some()
    }

    /// Sends a request and reads its answer. A connection that turns out to be closed (the server
    /// was started anew, a firewall forgot it) is replaced once, so that a restart of Redis costs
    /// no user an error. The first sending may have been carried out: every request
    /// may be repeated.
    pub(super) async fn send(&self, request: &Request<'_>, asking: bool) -> Result<Value, Failure> {
        if let Request::Replicated { place, .. } = request {
            return Box::pin(self.send_replicated(request, place, asking)).await;
        }
        if let Connections::Pooled(pools) = &self.connections {
            return Box::pin(self.send_pooled(pools, request, asking)).await;
        }
        let (live, fresh) = self
            .live_or_connect()
            .await
            .map_err(Failure::NoConnection)?;
        let result = self.attempt(live, request, asking).await;
        match result {
            Err(error) if error.is_connection_dropped() && !fresh => {
                let (live, _) = self
                    .live_or_connect()
                    .await
                    .map_err(Failure::NoConnection)?;
                self.attempt(live, request, asking)
                    .await
                    .map_err(Failure::Request)
            }
            result => result.map_err(Failure::Request),
        }
    }

    async fn attempt(
        &self,
        mut live: LiveConnection,
        request: &Request<'_>,
        asking: bool,
    ) -> RedisResult<Value> {
        if let Some(reading) = request.reading() {
            // A node that is just taking the slot over answers for it only once.
            reading.begin(live.observation.as_deref().filter(|_| !asking));
        }
        let result = request.send(&mut live.connection, asking).await;
        if self.is_spoilt_by(&result) {
            self.discard(live.number);
        }
        result
    }

    /// The same over a connection of the pool, which was tried when it was taken out.
    async fn send_pooled(
        &self,
        pools: &Pools,
        request: &Request<'_>,
        asking: bool,
    ) -> Result<Value, Failure> {
        let mut connection = pools
            .connection(&self.server)
            .await
            .map_err(Failure::NoConnection)?;
        let result = request.send(&mut connection, asking).await;
        if self.is_spoilt_by(&result) {
            drop(PooledConnection::take(connection));
        }
        result.map_err(Failure::Request)
    }

    /// Notes an answer; whether the connection that it came on must be thrown away.
    fn is_spoilt_by(&self, result: &RedisResult<Value>) -> bool {
        match result {
            Ok(_) => {
                self.state.lock().answered = Some(monotonic_now());
                false
            }
            Err(error) => spoils_connection(error),
        }
    }

    async fn live_or_connect(&self) -> Result<(LiveConnection, bool), ClientError> {
        if let Some(live) = self.live() {
            return Ok((live, false));
        }
        // Waiting for another's attempt counts too: a caller never waits longer than for an attempt
        // of its own. Boxed, as all that happens rarely: a future is as large as the largest of
        // what it may wait for, and each lookup moves its own to the heap.
        match Box::pin(tokio::time::timeout(
            self.server.timeouts.connect,
            self.connect(),
        ))
        .await
        {
            Ok(outcome) => outcome,
            Err(_) => Err(self.failed(self.server.silent("no connection in time"))),
        }
    }

    async fn connect(&self) -> Result<(LiveConnection, bool), ClientError> {
        let _alone = self.connecting.lock().await;
        if let Some(live) = self.live() {
            return Ok((live, false));
        }
        self.failed_just_now()?;
        match self.open().await {
            Ok((connection, observation)) => Ok((self.made(connection, observation), true)),
            Err(error) => Err(self.failed(error)),
        }
    }

    async fn open(
        &self,
    ) -> Result<(MultiplexedConnection, Option<Box<dyn Observation>>), ClientError> {
        let opened = match &self.connections {
            Connections::Observed(observer) => observer
                .clone()
                .connect(&self.server)
                .await
                .map(|(connection, observation)| (connection, Some(observation))),
            Connections::Worker => opening::open(&self.server).await.map(|made| (made, None)),
            // It lives in their runtime, and leaves them.
            Connections::Pooled(pools) => {
                let made = pools.connection(&self.server).await?;
                return Ok((PooledConnection::take(made), None));
            }
        };
        opened.map_err(|error| self.server.unconnected(&error))
    }

    fn live(&self) -> Option<LiveConnection> {
        let live = self.state.lock().live.clone();
        live.filter(|live| {
            !live
                .observation
                .as_deref()
                .is_some_and(|observation| observation.is_outdated())
        })
    }

    fn failed_just_now(&self) -> Result<(), ClientError> {
        match &self.state.lock().failed {
            Some((at, error)) if at.elapsed() < RETRY_AFTER => Err(error.clone()),
            _ => Ok(()),
        }
    }

    fn made(
        &self,
        connection: MultiplexedConnection,
        observation: Option<Box<dyn Observation>>,
    ) -> LiveConnection {
        // The pool counts its own.
        if !matches!(self.connections, Connections::Pooled(_)) {
            self.metrics
                .store
                .connection(&self.server.address.to_string());
        }
        let mut state = self.state.lock();
        state.made += 1;
        let live = LiveConnection {
            number: state.made,
            connection,
            observation: observation.map(Arc::from),
        };
        state.live = Some(live.clone());
        if state.failed.take().is_some() {
            log::info!("redis {}: connected again", self.server.address);
        }
        live
    }

    fn failed(&self, error: ClientError) -> ClientError {
        self.state.lock().failed = Some((monotonic_now(), error.clone()));
        error
    }

    fn discard(&self, number: u64) {
        let mut state = self.state.lock();
        if state
            .live
            .as_ref()
            .is_some_and(|live| live.number == number)
        {
            state.live = None;
        }
    }
}
