//! Observes what is read over which connection: the hook for a cache of answers, which has to learn
//! of their changes.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use redis::RedisResult;
use redis::aio::MultiplexedConnection;

use super::server::Server;
use crate::clock::UnixMillis;

/// A connection that reports changes. Numbers are never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// What reports changes to the values that a connection reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InvalidationSource {
    /// The connection itself.
    Connection(ConnectionId),
    /// The process's subscription.
    Subscription,
}

/// Opens the connections whose reads are observed.
#[async_trait]
pub(crate) trait Observer: Send + Sync {
    /// A connection, and what observes it for as long as it is in use.
    async fn connect(
        self: Arc<Self>,
        server: &Server,
    ) -> RedisResult<(MultiplexedConnection, Box<dyn Observation>)>;
}

/// A connection under observation.
pub(crate) trait Observation: Send + Sync {
    /// Whether a new connection would report more.
    fn is_outdated(&self) -> bool;

    /// What reports changes to a value that is read now; `None`: nothing.
    fn source(&self) -> Option<InvalidationSource>;

    /// The server's time at `now`, as far as it is known.
    fn server_time(&self, now: Instant) -> Option<UnixMillis>;
}

/// A read that is to be observed.
pub(crate) trait ObservedRead: Sync {
    /// The read goes out now, over this connection; `None`: over one without observation. It is
    /// called before anything is written: a change that is reported later must find it under way.
    fn begin(&self, connection: Option<&dyn Observation>);

    /// Whether the server need not be asked for its time.
    fn knows_time(&self) -> bool;
}
