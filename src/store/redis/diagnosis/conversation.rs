//! A question to a server, and what came of it.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, RedisError, RedisResult};

use crate::clock::monotonic_now;
use crate::diagnostic::Diagnostic;
use crate::redis_client::Server;
use crate::redis_client::failure::{
    NO_LOGIN, database_refusal, no_database, said_by_server, wants_login, without_arguments,
};

/// What a server said to a question. The error around it means that it said nothing.
pub(super) type ServerAnswer<T> = RedisResult<Result<T, ServerRefusal>>;

/// The server understood and said no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerRefusal {
    /// `NOPERM`, `ERR` and the like.
    pub(super) code: String,
    /// The rest, without what we sent.
    pub(super) words: String,
}

impl ServerRefusal {
    /// `None`: the error is not the server's word.
    pub(super) fn of(error: &RedisError) -> Option<Self> {
        let said = said_by_server(error)?;
        Some(Self {
            code: said.code().to_owned(),
            words: without_arguments(said.details().unwrap_or_default()),
        })
    }

    /// Whether an ACL stands in the way.
    pub(super) fn is_noperm(&self) -> bool {
        self.code == "NOPERM"
    }
}

/// Asks, within the store's timeout.
pub(super) async fn ask<T: FromRedisValue>(
    connection: &mut MultiplexedConnection,
    command: &Cmd,
) -> ServerAnswer<T> {
    match command.query_async(connection).await {
        Ok(answer) => Ok(Ok(answer)),
        // A server gives this answer to every command before the login, so it says nothing about the
        // command.
        Err(error) if wants_login(&error) => Err(error),
        Err(error) => ServerRefusal::of(&error).map(Err).ok_or(error),
    }
}

/// Asks, and measures how long the answer takes.
pub(super) async fn ask_timed<T: FromRedisValue>(
    connection: &mut MultiplexedConnection,
    command: &Cmd,
) -> RedisResult<(Result<T, ServerRefusal>, Duration)> {
    let sent = monotonic_now();
    let said = ask(connection, command).await?;
    Ok((said, sent.elapsed()))
}

/// A server that cannot be connected to, that does not let us in, or that falls silent on the way.
pub(super) fn lost(server: &Server, error: &RedisError) -> Diagnostic {
    let check = "connection";
    if wants_login(error) {
        let keys = server.login_keys();
        let advice = format!(
            "set {keys} (with `requirepass` the password alone); until then requests that need a session get 503"
        );
        return Diagnostic::fail(check, NO_LOGIN, advice);
    }
    if let Some(words) = database_refusal(error) {
        let (seen, advice) = no_database(server.database(), words);
        return Diagnostic::fail(check, seen, advice);
    }
    let reason = server.unconnected(error).reason;
    let seen = reason
        .strip_prefix(&format!("redis {}: ", server.address))
        .unwrap_or(&reason)
        .to_owned();
    let advice = lost_advice(error, &seen);
    Diagnostic::fail(check, seen, advice)
}

fn lost_advice(error: &RedisError, seen: &str) -> &'static str {
    if seen.contains("(check ") && !seen.contains("username") {
        "compare it with `requirepass` on that server; until then requests that need a session get 503"
    } else if seen.contains("(check ") {
        "compare them with the ACL user on that server (`ACL GETUSER`); it must have been saved there too"
    } else if error.is_timeout() {
        "frozen, overloaded, or behind a firewall that drops packets; until it answers, requests that need a session get 503"
    } else if seen.ends_with(')') {
        "until it answers, requests that need a session get 503"
    } else {
        "is it running, and is store.url right? Until it answers, requests that need a session get 503"
    }
}
