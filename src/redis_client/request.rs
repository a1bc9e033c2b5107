//! What is sent to Redis in one piece, and which key decides where it goes.

use std::borrow::Cow;

use redis::aio::MultiplexedConnection;
use redis::{Arg, Cmd, ErrorKind, Pipeline, RedisResult, ServerErrorKind, Value};

use super::observer::ObservedRead;
use super::script::Invocation;
use super::write_place::WritePlace;

/// A request. All its keys are in one cluster slot.
pub(crate) enum Request<'a> {
    Command(&'a Cmd),
    /// A value and for how long it lives, and the server's time where the connection
    /// does not know it.
    Read {
        key: &'a str,
        /// `None`: it is not observed.
        reading: Option<&'a dyn ObservedRead>,
    },
    Script(&'a Invocation<'a>),
    /// A script on a connection that is not needed for anything else while replicas are waited for.
    Replicated {
        script: &'a Invocation<'a>,
        place: &'a WritePlace,
    },
}

impl Request<'_> {
    /// The key that decides which node of a cluster is asked; `None`: any.
    pub(crate) fn key(&self) -> Option<Cow<'_, [u8]>> {
        match self {
            Self::Command(command) => first_key(command),
            Self::Read { key, .. } => Some(Cow::Borrowed(key.as_bytes())),
            Self::Script(script) | Self::Replicated { script, .. } => {
                script.first_key().map(Cow::Borrowed)
            }
        }
    }

    /// What observes that it is sent.
    pub(crate) fn reading(&self) -> Option<&dyn ObservedRead> {
        match self {
            Self::Read { reading, .. } => *reading,
            _ => None,
        }
    }

    /// Sends it. `asking`: to a node that is just taking the slot over, and answers for it only
    /// when told that we know.
    pub(crate) async fn send(
        &self,
        connection: &mut MultiplexedConnection,
        asking: bool,
    ) -> RedisResult<Value> {
        match self {
            Self::Command(command) => send_one(connection, command, asking).await,
            Self::Read { key, reading } => {
                let commands = read(key, reading.is_some_and(|reading| reading.knows_time()));
                if asking {
                    send_asking(connection, commands.cmd_iter()).await
                } else {
                    commands.query_async(connection).await
                }
            }
            Self::Script(script) | Self::Replicated { script, .. } => {
                run(connection, script, asking).await
            }
        }
    }
}

fn read(key: &str, knows_time: bool) -> Pipeline {
    let mut commands = Pipeline::with_capacity(3);
    for name in ["GET", "PTTL"] {
        // Room for it from the start.
        let mut command = Cmd::with_capacity(2, name.len() + key.len());
        command.arg(name).arg(key);
        commands.add_command(command);
    }
    if !knows_time {
        commands.cmd("TIME");
    }
    commands
}

/// What stands behind the command's name, for all that is sent but scripts.
fn first_key(command: &Cmd) -> Option<Cow<'_, [u8]>> {
    match command.args_iter().nth(1) {
        Some(Arg::Simple(key)) => Some(Cow::Borrowed(key)),
        _ => None,
    }
}

async fn send_one(
    connection: &mut MultiplexedConnection,
    command: &Cmd,
    asking: bool,
) -> RedisResult<Value> {
    if asking {
        let answers: Value = send_asking(connection, std::iter::once(command)).await?;
        let Value::Array(mut answers) = answers else {
            return Ok(answers);
        };
        return Ok(answers.pop().unwrap_or(Value::Nil));
    }
    command.query_async(connection).await
}

/// Each command with an ASKING before it, in one piece: ASKING is good for one command, and nobody
/// else's may come between.
async fn send_asking<'a>(
    connection: &mut MultiplexedConnection,
    commands: impl Iterator<Item = &'a Cmd>,
) -> RedisResult<Value> {
    let mut all = Pipeline::new();
    for command in commands {
        all.cmd("ASKING").ignore().add_command(command.clone());
    }
    all.query_async(connection).await
}

/// Runs a script by its hash; a server that does not have it is sent the text.
async fn run(
    connection: &mut MultiplexedConnection,
    script: &Invocation<'_>,
    asking: bool,
) -> RedisResult<Value> {
    let by_hash = script.by_hash();
    let result = send_one(connection, &by_hash, asking).await;
    if !result
        .as_ref()
        .is_err_and(|error| error.kind() == ErrorKind::Server(ServerErrorKind::NoScript))
    {
        return result;
    }
    script.load(connection).await?;
    send_one(connection, &by_hash, asking).await
}

#[cfg(test)]
mod tests {
    use redis::cmd;

    use super::*;
    use crate::redis_client::script::Script;

    #[test]
    fn the_key_of_a_request_is_found() {
        let get = {
            let mut command = cmd("GET");
            command.arg("k");
            command
        };
        assert_eq!(Request::Command(&get).key().as_deref(), Some(&b"k"[..]));
        assert_eq!(Request::Command(&cmd("TIME")).key(), None);
        assert_eq!(
            Request::Read {
                key: "k",
                reading: None
            }
            .key()
            .as_deref(),
            Some(&b"k"[..])
        );
        let text = Script::new("return 1");
        let mut script = text.key("u");
        script.key("s").arg("a");
        assert_eq!(Request::Script(&script).key().as_deref(), Some(&b"u"[..]));
    }
}
