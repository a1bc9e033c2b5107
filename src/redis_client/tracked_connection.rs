//! A connection on which Redis pushes what changes: how it is opened, and why there is none.
//!
//! Not everything before a Redis says no where it does not know a command: proxies close the
//! connection, stay silent, or answer something else. A server that is down does the same, so that
//! alone proves nothing: the caller tries whether another connection gets an answer.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError, RedisResult, Value, cmd, pipe};

use super::failure::said_by_server;
use super::opening;
use super::server::Server;
use crate::clock::monotonic_now;

/// Why Redis does not push on a connection.
#[derive(Debug)]
pub(crate) enum NoTracking {
    /// The server understood and said no: its code.
    Refused(String),
    /// What happened instead of an answer, in words that follow "it".
    Unclear(String, RedisError),
    /// Nothing about pushing: no connection, no login, or a server that is not ready.
    Failed(RedisError),
}

/// The commands that it takes.
const HELLO: &str = "HELLO";
const TRACKING: &str = "CLIENT TRACKING";

/// Opens one within this time.
pub(crate) async fn open(
    server: &Server,
    limits: &AsyncConnectionConfig,
    within: Duration,
) -> Result<MultiplexedConnection, NoTracking> {
    let started = monotonic_now();
    // HELLO 3 is what the connection begins with.
    let client = Client::open(server.resp3_connection_info()).map_err(NoTracking::Failed)?;
    let mut connection = opening::bounded(
        within,
        client.get_multiplexed_async_connection_with_config(limits),
    )
    .await
    .map_err(|error| judged(HELLO, error))?;
    // And once more: the library takes any answer to its own for a yes, and without RESP3 nothing
    // would ever be pushed.
    let mut both = pipe();
    both.add_command(cmd(HELLO))
        .cmd("CLIENT")
        .arg("TRACKING")
        .arg("ON");
    let left = within.saturating_sub(started.elapsed());
    let answers: Vec<Value> = opening::bounded(left, both.query_async(&mut connection))
        .await
        .map_err(|error| judged(TRACKING, error))?;
    let nonsense = |command| {
        Err(judged(
            command,
            (
                ErrorKind::UnexpectedReturnType,
                "not an answer to the command",
            )
                .into(),
        ))
    };
    match answers.as_slice() {
        [hello, _] if !speaks_resp3(hello) => nonsense(HELLO),
        [_, Value::Okay] => Ok(connection),
        _ => nonsense(TRACKING),
    }
}

fn speaks_resp3(hello: &Value) -> bool {
    let Value::Map(fields) = hello else {
        return false;
    };
    let is_proto = |key: &Value| {
        matches!(key, Value::BulkString(name) if name == b"proto")
            || matches!(key, Value::SimpleString(name) if name == "proto")
    };
    fields
        .iter()
        .any(|(key, value)| is_proto(key) && *value == Value::Int(3))
}

fn judged(command: &str, error: RedisError) -> NoTracking {
    if error.kind() == ErrorKind::RESP3NotSupported {
        return NoTracking::Refused("no RESP3".to_owned());
    }
    if let Some(said) = said_by_server(&error) {
        let passing = matches!(
            said.code(),
            "WRONGPASS" | "NOAUTH" | "LOADING" | "READONLY" | "CLUSTERDOWN" | "MASTERDOWN"
        );
        return if passing {
            NoTracking::Failed(error)
        } else {
            NoTracking::Refused(said.code().to_owned())
        };
    }
    if error.is_connection_refusal()
        || matches!(
            error.kind(),
            ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig
        )
    {
        return NoTracking::Failed(error);
    }
    let what = if error.is_timeout() {
        format!("says nothing to {command}")
    } else if error.is_io_error() || error.is_connection_dropped() {
        format!("closes the connection at {command}")
    } else {
        format!("answers {command} with something else")
    };
    NoTracking::Unclear(what, error)
}

/// A connection without pushes on which the server has answered something: it is there, whatever it
/// knows.
pub(crate) async fn answering(server: &Server) -> RedisResult<MultiplexedConnection> {
    let mut connection = opening::open(server).await?;
    match cmd("PING").exec_async(&mut connection).await {
        Err(error) if said_by_server(&error).is_none() => Err(error),
        _ => Ok(connection),
    }
}
