//! Who wants to know what is read over which connection: where a cache of answers hangs on, which
//! has to hear of their changes.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use redis::RedisResult;
use redis::aio::MultiplexedConnection;

use super::server::Server;
use crate::clock::UnixMillis;

/// A connection on which changes are heard of. Numbers are never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Who hears of changes to what a connection reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InvalidationSource {
    /// The connection itself.
    Connection(ConnectionId),
    /// The process's subscription.
    Subscription,
}

/// Opens the connections whose reads are observed.
#[async_trait]
pub(crate) trait Observer: fmt::Debug + Send + Sync {
    /// A connection, and what observes it for as long as it is in use.
    async fn connect(
        self: Arc<Self>,
        server: &Server,
    ) -> RedisResult<(MultiplexedConnection, Box<dyn Observation>)>;
}

/// A connection under observation.
pub(crate) trait Observation: fmt::Debug + Send + Sync {
    /// Whether a new connection would hear more.
    fn is_outdated(&self) -> bool;

    /// Who hears of changes to what is read now; `None`: nobody.
    fn source(&self) -> Option<InvalidationSource>;

    /// The server's time at `now`, as far as it is known.
    fn server_time(&self, now: Instant) -> Option<UnixMillis>;
}

/// A read whose sending somebody has to know of.
pub(crate) trait ObservedRead: Sync {
    /// The read goes out now, over this connection; `None`: one that nobody observes. It is called
    /// before anything is written: a change that is heard of later must find it under way.
    fn begin(&self, connection: Option<&dyn Observation>);

    /// Whether the server need not be asked for its time.
    fn knows_time(&self) -> bool;
}
