//! The Lua scripts, with their hashes; Redis keeps them and is sent the text only when it has
//! forgotten it.

use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisResult, ToRedisArgs, cmd};

/// All scripts. Each has one cluster slot and gets every key that it touches.
#[derive(Debug)]
pub(in crate::store) struct Scripts {
    pub(super) create: Script,
    pub(super) renew: Script,
    pub(super) remove: Script,
    pub(super) remove_all: Script,
    pub(super) rotate: Script,
    pub(super) reserve: Script,
    pub(super) settle: Script,
    pub(super) withdraw: Script,
    pub(super) take: Script,
}

impl Scripts {
    pub(in crate::store) fn new() -> Self {
        Self {
            create: Script::new(concat!(
                include_str!("scripts/index.lua"),
                include_str!("scripts/gcra.lua"),
                include_str!("scripts/create.lua")
            )),
            renew: Script::new(concat!(
                include_str!("scripts/index.lua"),
                include_str!("scripts/renew.lua")
            )),
            remove: Script::new(concat!(
                include_str!("scripts/index.lua"),
                include_str!("scripts/remove.lua")
            )),
            remove_all: Script::new(concat!(
                include_str!("scripts/index.lua"),
                include_str!("scripts/remove_all.lua")
            )),
            rotate: Script::new(concat!(
                include_str!("scripts/index.lua"),
                include_str!("scripts/rotate.lua")
            )),
            reserve: Script::new(include_str!("scripts/reserve.lua")),
            settle: Script::new(include_str!("scripts/settle.lua")),
            withdraw: Script::new(include_str!("scripts/withdraw.lua")),
            take: Script::new(concat!(
                include_str!("scripts/gcra.lua"),
                include_str!("scripts/take.lua")
            )),
        }
    }
}

/// A script's text and hash.
#[derive(Debug)]
pub(super) struct Script(redis::Script);

impl Script {
    fn new(text: &str) -> Self {
        Self(redis::Script::new(text))
    }

    /// A run of the script with its first key, which decides the node in a cluster.
    pub(super) fn key(&self, key: impl ToRedisArgs) -> Invocation<'_> {
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
pub(super) struct Invocation<'a> {
    script: &'a Script,
    keys: Vec<Vec<u8>>,
    args: Vec<Vec<u8>>,
}

impl Invocation<'_> {
    /// A further key.
    pub(super) fn key(&mut self, key: impl ToRedisArgs) -> &mut Self {
        key.write_redis_args(&mut self.keys);
        self
    }

    /// A further argument.
    pub(super) fn arg(&mut self, arg: impl ToRedisArgs) -> &mut Self {
        arg.write_redis_args(&mut self.args);
        self
    }

    pub(super) fn first_key(&self) -> Option<&[u8]> {
        self.keys.first().map(Vec::as_slice)
    }

    /// The command that runs it on a server that has it.
    pub(super) fn by_hash(&self) -> Cmd {
        let mut command = cmd("EVALSHA");
        command
            .arg(self.script.0.get_hash())
            .arg(self.keys.len())
            .arg(&self.keys)
            .arg(&self.args);
        command
    }

    /// Gives the server the text.
    pub(super) async fn load(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        self.script.0.load_async(connection).await.map(drop)
    }
}
