//! The scripts that run inside Redis. Their text is constant; all data goes in `KEYS` and `ARGV`.

use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisResult, Script, ToRedisArgs};

use super::partition::Partition;

/// A script and its hash.
pub(crate) struct Lua {
    text: String,
    hash: String,
}

impl Lua {
    /// Puts a script together.
    pub(crate) fn new(parts: &[&str]) -> Self {
        let text = parts.concat();
        Self { hash: Script::new(&text).get_hash().to_owned(), text }
    }

    /// Builds the command that has a server know it.
    pub(crate) fn load(&self) -> Cmd {
        let mut command = redis::cmd("SCRIPT");
        command.arg("LOAD").arg(&self.text);
        command
    }

    /// Begins a call of the script; its arguments are to be added.
    pub(crate) fn call<K: ToRedisArgs>(&self, keys: &[K]) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.hash).arg(keys.len()).arg(keys);
        command
    }
}

/// Every script of the bridge.
pub(crate) struct Scripts {
    /// Gives an event its position and publishes it. See `lua/publish.lua`.
    pub(crate) publish: Lua,
    /// Reads where a channel stands and what it remembers. See `lua/follow.lua`.
    pub(crate) follow: Lua,
    /// Reads what a node missed. See `lua/repair.lua`.
    pub(crate) repair: Lua,
}

impl Scripts {
    /// Makes those of a partition.
    pub(crate) fn new(partition: Partition) -> Self {
        let sequence = include_str!("lua/sequence.lua");
        let publish = [partition.prelude(), sequence, include_str!("lua/publish.lua")];
        Self {
            publish: Lua::new(&publish),
            follow: Lua::new(&[include_str!("lua/follow.lua")]),
            repair: Lua::new(&[include_str!("lua/repair.lua")]),
        }
    }

    /// Has the server know every script.
    ///
    /// # Errors
    /// The server's or the connection's.
    pub(crate) async fn load(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let mut pipeline = redis::pipe();
        for script in [&self.publish, &self.follow, &self.repair] {
            pipeline.add_command(script.load()).ignore();
        }
        pipeline.query_async(connection).await
    }
}
