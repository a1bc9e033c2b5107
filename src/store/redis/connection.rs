//! The one connection of a worker: multiplexed, made on first use in the worker's own runtime (one made elsewhere costs
//! wake-ups across threads), thrown away when it fails. Everything that waits is bounded.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, Pipeline, RedisError, RedisResult, ScriptInvocation, Value, from_redis_value};

use super::failure::{reason, spoils_connection};
use super::server::Server;
use crate::clock::monotonic_now;
use crate::session::StoreError;

/// After a failed attempt to connect, calls fail at once for this long instead of waiting in a row for the next one.
const RETRY_AFTER: Duration = Duration::from_millis(150);

/// What is sent in one piece.
pub(super) enum Request<'a> {
    Command(&'a Cmd),
    Commands(&'a Pipeline),
    Script(&'a ScriptInvocation<'a>),
}

impl Request<'_> {
    async fn send(&self, connection: &mut MultiplexedConnection) -> RedisResult<Value> {
        match self {
            Self::Command(command) => command.query_async(connection).await,
            Self::Commands(commands) => commands.query_async(connection).await,
            Self::Script(script) => script.invoke_async(connection).await,
        }
    }
}

/// Connects when needed, and again when that went wrong.
#[derive(Debug)]
pub(super) struct Connector {
    server: Server,
    state: Mutex<State>,
    /// Held by the one call that connects; the others wait for its outcome.
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    live: Option<Live>,
    made: u64,
    failed: Option<(Instant, StoreError)>,
}

/// A connection, and its number: only the one that failed is thrown away, not the one made since.
#[derive(Debug, Clone)]
struct Live {
    number: u64,
    connection: MultiplexedConnection,
}

impl Connector {
    pub(super) fn new(server: Server) -> Self {
        Self { server, state: Mutex::default(), connecting: tokio::sync::Mutex::new(()) }
    }

    /// The longest that a call takes: connecting, and a repetition over a fresh connection.
    pub(super) fn patience(&self) -> Duration {
        self.server.connect_timeout + 2 * self.server.timeout
    }

    /// An error in the words of this server.
    pub(super) fn error(&self, error: &RedisError) -> StoreError {
        StoreError::new(reason(&self.server.name, error))
    }

    /// Sends a request and reads its answer. A connection that turns out to be closed (the server was started anew, a
    /// firewall forgot it) is replaced once, so that a restart of Redis costs no user an error. The first sending may
    /// have been carried out: every request of the store may be repeated.
    pub(super) async fn call<T: FromRedisValue>(&self, request: &Request<'_>) -> Result<T, StoreError> {
        let (live, fresh) = self.live_or_connect().await?;
        let mut result = self.attempt(live, request).await;
        if let Err(error) = &result
            && error.is_connection_dropped()
            && !fresh
        {
            result = self.attempt(self.live_or_connect().await?.0, request).await;
        }
        let answer = result.and_then(|value| Ok(from_redis_value(value)?));
        answer.map_err(|error| self.error(&error))
    }

    async fn attempt(&self, mut live: Live, request: &Request<'_>) -> RedisResult<Value> {
        let result = request.send(&mut live.connection).await;
        if result.as_ref().is_err_and(spoils_connection) {
            self.discard(live.number);
        }
        result
    }

    async fn live_or_connect(&self) -> Result<(Live, bool), StoreError> {
        if let Some(live) = self.live() {
            return Ok((live, false));
        }
        // Waiting for another's attempt counts too: a caller never waits longer than for an attempt of its own.
        match tokio::time::timeout(self.server.connect_timeout, self.connect()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.failed(StoreError::new(format!("redis {}: no connection in time", self.server.name)))),
        }
    }

    async fn connect(&self) -> Result<(Live, bool), StoreError> {
        let _alone = self.connecting.lock().await;
        if let Some(live) = self.live() {
            return Ok((live, false));
        }
        self.failed_just_now()?;
        match self.server.client.get_multiplexed_async_connection_with_config(&self.server.limits()).await {
            Ok(connection) => Ok((self.made(connection), true)),
            Err(error) => Err(self.failed(self.error(&error))),
        }
    }

    fn live(&self) -> Option<Live> {
        self.state().live.clone()
    }

    fn failed_just_now(&self) -> Result<(), StoreError> {
        match &self.state().failed {
            Some((at, error)) if at.elapsed() < RETRY_AFTER => Err(error.clone()),
            _ => Ok(()),
        }
    }

    fn made(&self, connection: MultiplexedConnection) -> Live {
        let mut state = self.state();
        state.made += 1;
        let live = Live { number: state.made, connection };
        state.live = Some(live.clone());
        if state.failed.take().is_some() {
            log::info!("redis {}: connected again", self.server.name);
        }
        live
    }

    fn failed(&self, error: StoreError) -> StoreError {
        self.state().failed = Some((monotonic_now(), error.clone()));
        error
    }

    fn discard(&self, number: u64) {
        let mut state = self.state();
        if state.live.as_ref().is_some_and(|live| live.number == number) {
            state.live = None;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
