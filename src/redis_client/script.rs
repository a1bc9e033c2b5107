//! Lua scripts with their hashes: Redis keeps them and is sent the text only when it has forgotten
//! it.

use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisResult, ToRedisArgs, cmd};

/// A script's text and hash.
#[derive(Debug)]
pub(crate) struct Script(redis::Script);

impl Script {
    pub(crate) fn new(text: &str) -> Self {
        Self(redis::Script::new(text))
    }

    /// A run of the script with its first key, which decides the node in a cluster.
    pub(crate) fn key(&self, key: impl ToRedisArgs) -> Invocation<'_> {
        let mut run = Invocation {
            script: self,
            keys: Vec::new(),
            args: Vec::new(),
        };
        run.key(key);
        run
    }
}

/// A run of a script. The redis crate's own does not show the command, and a cluster needs it: to
/// send it behind ASKING.
#[derive(Clone)]
pub(crate) struct Invocation<'a> {
    script: &'a Script,
    keys: Vec<Vec<u8>>,
    args: Vec<Vec<u8>>,
}

impl Invocation<'_> {
    /// A further key.
    pub(crate) fn key(&mut self, key: impl ToRedisArgs) -> &mut Self {
        key.write_redis_args(&mut self.keys);
        self
    }

    /// A further argument.
    pub(crate) fn arg(&mut self, arg: impl ToRedisArgs) -> &mut Self {
        arg.write_redis_args(&mut self.args);
        self
    }

    pub(crate) fn first_key(&self) -> Option<&[u8]> {
        self.keys.first().map(Vec::as_slice)
    }

    /// The command that runs it on a server that has it.
    pub(crate) fn by_hash(&self) -> Cmd {
        let mut command = cmd("EVALSHA");
        command
            .arg(self.script.0.get_hash())
            .arg(self.keys.len())
            .arg(&self.keys)
            .arg(&self.args);
        command
    }

    /// Gives the server the text.
    pub(crate) async fn load(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        self.script.0.load_async(connection).await.map(drop)
    }
}
