//! How a connection without pushes is opened, also to a server that has no password for the one
//! that is configured.
//!
//! Redis refuses `AUTH` with a password then, and takes any password in `HELLO`, with which
//! connections that are pushed to begin. Both must come to the same: such a server lets everybody
//! in, and is used.

use std::io;
use std::time::Duration;

use redis::aio::{MultiplexedConnection, PubSub};
use redis::{Client, ErrorKind, RedisError, RedisResult, cmd};

use super::server::Server;

/// What is said of such a server, and what to do.
pub(crate) const NO_PASSWORD: (&str, &str) = (
    "this Redis has no password: everybody can connect",
    "remove store.password, or give the server one (`requirepass`)",
);

pub(crate) async fn open(server: &Server) -> RedisResult<MultiplexedConnection> {
    match connect(server).await {
        Err(error) => match without_password(server, &error).await {
            Some(open) => connect(&open).await,
            None => Err(error),
        },
        connected => connected,
    }
}

/// Opens a connection on which what is published on these channels arrives.
pub(crate) async fn subscribe(server: &Server, channels: &[&str]) -> RedisResult<PubSub> {
    let mut subscription = match pubsub(server).await {
        Err(error) => match without_password(server, &error).await {
            Some(open) => pubsub(&open).await?,
            None => return Err(error),
        },
        Ok(subscription) => subscription,
    };
    subscription.subscribe(channels).await?;
    Ok(subscription)
}

async fn pubsub(server: &Server) -> RedisResult<PubSub> {
    Client::open(server.connection_info())?
        .get_async_pubsub()
        .await
}

/// The same server without a login, where it has refused the password only because it has none.
pub(crate) async fn without_password(server: &Server, error: &RedisError) -> Option<Server> {
    if error.kind() == ErrorKind::AuthenticationFailed {
        lets_everybody_in(server).await
    } else {
        None
    }
}

/// The same server without a login, where a password alone is configured and nobody needs one.
pub(crate) async fn lets_everybody_in(server: &Server) -> Option<Server> {
    let open = server.without_password()?;
    let mut connection = connect(&open).await.ok()?;
    let answer: String = cmd("PING").query_async(&mut connection).await.ok()?;
    (answer == "PONG").then_some(open)
}

/// A call that ends within a time.
pub(crate) async fn bounded<T>(
    within: Duration,
    call: impl Future<Output = RedisResult<T>>,
) -> RedisResult<T> {
    tokio::time::timeout(within, call)
        .await
        .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
}

async fn connect(server: &Server) -> RedisResult<MultiplexedConnection> {
    Client::open(server.connection_info())?
        .get_multiplexed_async_connection_with_config(&server.limits())
        .await
}
