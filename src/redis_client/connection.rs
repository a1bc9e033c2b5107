//! The one connection of a worker to a node: multiplexed, made on first use in the worker's own
//! runtime (one made elsewhere costs wake-ups across threads), thrown away when it fails.
//! Everything that waits is bounded. Nowhere else are connections made for requests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value};

use super::address::ServerAddress;
use super::error::ClientError;
use super::failure::{Failure, spoils_connection};
use super::observer::{Observation, Observer};
use super::opening;
use super::request::Request;
use super::server::Server;
use crate::clock::monotonic_now;
use crate::metrics::Metrics;

/// After a failed attempt to connect, calls fail at once for this long instead of waiting in a row
/// for the next one.
const RETRY_AFTER: Duration = Duration::from_millis(150);

/// Connects when needed, and again when that went wrong.
#[derive(Debug)]
pub(super) struct Connector {
    server: Server,
    metrics: Arc<Metrics>,
    /// Whom reads are shown to, where anybody wants to know.
    observer: Option<Arc<dyn Observer>>,
    state: Mutex<State>,
    /// Held by the one call that connects; the others wait for its outcome.
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    live: Option<Live>,
    made: u64,
    failed: Option<(Instant, ClientError)>,
    answered: Option<Instant>,
}

/// A connection, and its number: only the one that failed is thrown away, not the one made since.
#[derive(Debug, Clone)]
struct Live {
    number: u64,
    connection: MultiplexedConnection,
    /// `None`: nobody is to know what is read on it.
    observation: Option<Arc<dyn Observation>>,
}

impl Connector {
    pub(super) fn new(
        server: Server,
        metrics: Arc<Metrics>,
        observer: Option<Arc<dyn Observer>>,
    ) -> Self {
        Self {
            server,
            metrics,
            observer,
            state: Mutex::default(),
            connecting: tokio::sync::Mutex::new(()),
        }
    }

    /// How to connect to the node.
    pub(super) const fn server(&self) -> &Server {
        &self.server
    }

    /// The node.
    pub(super) const fn address(&self) -> &ServerAddress {
        &self.server.address
    }

    /// A failure of a request to this node, for the log.
    pub(super) fn error(&self, failure: &Failure) -> ClientError {
        match failure {
            Failure::NoConnection(error) => error.clone(),
            // A connection is open before the server has said anything.
            Failure::Request(error) if self.state().answered.is_none() => {
                self.server.unconnected(error)
            }
            Failure::Request(error) => self.server.error(error),
        }
    }

    /// An error in this node's name.
    pub(super) fn trouble(&self, what: &str) -> ClientError {
        self.server.trouble(what)
    }

    /// How long it has said nothing.
    pub(super) fn silence(&self) -> Duration {
        self.state()
            .answered
            .map_or(Duration::MAX, |at| at.elapsed())
    }

    /// Whether it is connected, as far as is known.
    pub(super) fn is_connected(&self) -> bool {
        self.state().live.is_some()
    }

    /// Sends a request and reads its answer. A connection that turns out to be closed (the server
    /// was started anew, a firewall forgot it) is replaced once, so that a restart of Redis costs
    /// no user an error. The first sending may have been carried out: every request
    /// may be repeated.
    pub(super) async fn send(&self, request: &Request<'_>, asking: bool) -> Result<Value, Failure> {
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
        mut live: Live,
        request: &Request<'_>,
        asking: bool,
    ) -> RedisResult<Value> {
        if let Some(reading) = request.reading() {
            // A node that is just taking the slot over answers for it only once.
            reading.begin(live.observation.as_deref().filter(|_| !asking));
        }
        let result = request.send(&mut live.connection, asking).await;
        match &result {
            Ok(_) => self.state().answered = Some(monotonic_now()),
            Err(error) if spoils_connection(error) => self.discard(live.number),
            Err(_) => {}
        }
        result
    }

    async fn live_or_connect(&self) -> Result<(Live, bool), ClientError> {
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

    async fn connect(&self) -> Result<(Live, bool), ClientError> {
        let _alone = self.connecting.lock().await;
        if let Some(live) = self.live() {
            return Ok((live, false));
        }
        self.failed_just_now()?;
        match self.open().await {
            Ok((connection, observation)) => Ok((self.made(connection, observation), true)),
            Err(error) => Err(self.failed(self.server.unconnected(&error))),
        }
    }

    async fn open(&self) -> RedisResult<(MultiplexedConnection, Option<Box<dyn Observation>>)> {
        match &self.observer {
            Some(observer) => observer
                .clone()
                .connect(&self.server)
                .await
                .map(|(connection, observation)| (connection, Some(observation))),
            None => Ok((opening::open(&self.server).await?, None)),
        }
    }

    fn live(&self) -> Option<Live> {
        let live = self.state().live.clone();
        live.filter(|live| {
            !live
                .observation
                .as_deref()
                .is_some_and(|observation| observation.is_outdated())
        })
    }

    fn failed_just_now(&self) -> Result<(), ClientError> {
        match &self.state().failed {
            Some((at, error)) if at.elapsed() < RETRY_AFTER => Err(error.clone()),
            _ => Ok(()),
        }
    }

    fn made(
        &self,
        connection: MultiplexedConnection,
        observation: Option<Box<dyn Observation>>,
    ) -> Live {
        self.metrics
            .store_connection(&self.server.address.to_string());
        let mut state = self.state();
        state.made += 1;
        let live = Live {
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
        self.state().failed = Some((monotonic_now(), error.clone()));
        error
    }

    fn discard(&self, number: u64) {
        let mut state = self.state();
        if state
            .live
            .as_ref()
            .is_some_and(|live| live.number == number)
        {
            state.live = None;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
