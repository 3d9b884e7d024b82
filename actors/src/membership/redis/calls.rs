//! The scripts, and how each is called. Their text is constant; all data goes in `KEYS` and `ARGV`.

use std::time::Duration;

use redis::Cmd;

use super::Options;
use super::reaper::Looks;
use super::row::Said;
use crate::channel::Member;
use crate::membership::Announcer;
use crate::protocol::{AppId, ChannelKey, UserId};
use crate::redis::{Keys, Lua, Partition, entry};

/// Stands for the generation where a reaper writes on behalf of a dead node.
const ON_BEHALF: &str = "-";

/// Who writes: an incarnation of a node, over which of its connections.
#[derive(Debug, Clone, Copy)]
pub(super) enum Writer<'a> {
    /// A living node, over its connection of that number.
    Node(&'a str, u64),
    /// A reaper, for a dead one.
    Reaper(&'a str),
}

impl Writer<'_> {
    fn incarnation(&self) -> &str {
        match self {
            Self::Node(incarnation, _) | Self::Reaper(incarnation) => incarnation,
        }
    }

    fn generation(&self) -> String {
        match self {
            Self::Node(_, generation) => generation.to_string(),
            Self::Reaper(_) => ON_BEHALF.to_owned(),
        }
    }
}

/// How long events of members are kept for nodes that missed them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    /// How many; 0 = none.
    pub events: u32,
    /// How long.
    pub wait: Duration,
    /// How long the position of a channel is kept that nothing happens in.
    pub position: Duration,
}

impl Default for History {
    fn default() -> Self {
        Self { events: 1000, wait: Duration::from_mins(2), position: Duration::from_hours(1) }
    }
}

/// Builds calls.
pub(super) struct Calls {
    keys: Keys,
    history: History,
    member: Lua,
    count: Lua,
    renew: Lua,
    retire: Lua,
    sweep: Lua,
    forget: Lua,
    roster: Lua,
}

impl Calls {
    pub(super) fn new(prefix: &str, partition: Partition, history: History) -> Self {
        let (publish, rows) = (partition.prelude(), include_str!("lua/rows.lua"));
        let sequence = include_str!("../../redis/lua/sequence.lua");
        let connections = include_str!("lua/connections.lua");
        Self {
            keys: Keys::new(prefix, partition),
            history,
            member: Lua::new(&[publish, sequence, rows, include_str!("lua/member.lua")]),
            count: Lua::new(&[publish, sequence, rows, include_str!("lua/count.lua")]),
            renew: Lua::new(&[connections, include_str!("lua/renew.lua")]),
            retire: Lua::new(&[include_str!("lua/retire.lua")]),
            sweep: Lua::new(&[include_str!("lua/sweep.lua")]),
            forget: Lua::new(&[connections, include_str!("lua/forget.lua")]),
            roster: Lua::new(&[rows, include_str!("lua/roster.lua")]),
        }
    }

    /// Returns the commands that have the server know every script.
    pub(super) fn load(&self) -> Vec<Cmd> {
        let writing = [&self.member, &self.count, &self.renew, &self.retire];
        let all = writing.into_iter().chain([&self.sweep, &self.forget, &self.roster]);
        all.map(Lua::load).collect()
    }

    /// Sets a user's connections. See `lua/member.lua`.
    pub(super) fn member(
        &self,
        writer: Writer<'_>,
        key: &ChannelKey,
        user: &UserId,
        said: &Said,
        announcer: &dyn Announcer,
    ) -> Cmd {
        let keys = &self.keys;
        let mut call = self.member.call(&[
            keys.nodes(),
            keys.index(writer.incarnation()),
            keys.list(&key.app),
            keys.counts(key),
            keys.users(key),
            keys.infos(key),
            keys.rows(key),
            keys.meta(key),
            keys.history(key),
        ]);
        let told = if said.connections > 0 {
            let member = Member { user: user.clone(), info: said.info.clone() };
            announcer.joined(key, &member)
        } else {
            announcer.left(key, user)
        };
        call.arg(writer.incarnation())
            .arg(writer.generation())
            .arg(entry(key))
            .arg(key.channel.as_str())
            .arg(user.as_str())
            .arg(&*said.info)
            .arg(said.connections)
            .arg(said.limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX)))
            .arg(u8::from(said.roster))
            .arg(keys.topic(key))
            .arg(told)
            .arg(self.history.events)
            .arg(milliseconds(self.history.wait))
            .arg(milliseconds(self.history.position))
            .arg(fresh_epoch());
        call
    }

    /// Sets a node's subscriptions in a channel. See `lua/count.lua`.
    pub(super) fn count(
        &self,
        writer: Writer<'_>,
        key: &ChannelKey,
        subscriptions: u64,
        announcer: &dyn Announcer,
    ) -> Cmd {
        let keys = &self.keys;
        let mut call = self.count.call(&[
            keys.nodes(),
            keys.index(writer.incarnation()),
            keys.occupied(key),
            keys.counts(key),
            keys.users(key),
            keys.meta(key),
            keys.history(key),
        ]);
        call.arg(writer.incarnation())
            .arg(writer.generation())
            .arg(entry(key))
            .arg(key.channel.as_str())
            .arg(subscriptions)
            .arg(keys.topic(key))
            .arg(occupancy(key, subscriptions, announcer))
            .arg(self.history.events)
            .arg(milliseconds(self.history.wait))
            .arg(milliseconds(self.history.position))
            .arg(fresh_epoch());
        call
    }

    /// Starts (`new`) or renews a lease; `former` is an earlier name whose connections are over. See
    /// `lua/renew.lua`.
    pub(super) fn renew<'a>(
        &self,
        (incarnation, generation): (&str, u64),
        lease: Duration,
        new: bool,
        former: Option<&str>,
        connections: impl Iterator<Item = (&'a AppId, &'a u64)>,
    ) -> Cmd {
        let keys = &self.keys;
        let mut call = self.renew.call(&[
            keys.nodes(),
            keys.dead(),
            keys.connections(),
            keys.connections_of(incarnation),
            keys.connections_of(former.unwrap_or(incarnation)),
        ]);
        call.arg(incarnation).arg(generation).arg(milliseconds(lease)).arg(u8::from(new));
        for (app, count) in connections {
            call.arg(app.as_str()).arg(count);
        }
        call
    }

    /// Declares an incarnation dead. See `lua/retire.lua`.
    pub(super) fn retire(&self, incarnation: &str) -> Cmd {
        let mut call = self.retire.call(&[self.keys.nodes(), self.keys.dead()]);
        call.arg(incarnation);
        call
    }

    /// Finds the dead and claims one. See `lua/sweep.lua`.
    pub(super) fn sweep(&self, looks: &Looks, options: &Options) -> Cmd {
        let mut call = self.sweep.call(&[self.keys.nodes(), self.keys.dead()]);
        call.arg(milliseconds(options.claim))
            .arg(looks.first)
            .arg(looks.last)
            .arg(milliseconds(options.longest_look_away()))
            .arg(milliseconds(options.least_look()));
        call
    }

    /// Forgets a dead incarnation that has nothing left. See `lua/forget.lua`.
    pub(super) fn forget(&self, incarnation: &str) -> Cmd {
        let keys = &self.keys;
        let mut call = self.forget.call(&[
            keys.dead(),
            keys.index(incarnation),
            keys.connections(),
            keys.connections_of(incarnation),
        ]);
        call.arg(incarnation);
        call
    }

    /// Reads on in the channels that an incarnation has something in.
    pub(super) fn index_page(&self, incarnation: &str, cursor: u64, page: usize) -> Cmd {
        let mut command = redis::cmd("HSCAN");
        command.arg(self.keys.index(incarnation)).arg(cursor).arg("COUNT").arg(page);
        command
    }

    /// Drops a line of an index that names no channel.
    pub(super) fn drop_entry(&self, incarnation: &str, entry: &[u8]) -> Cmd {
        let mut command = redis::cmd("HDEL");
        command.arg(self.keys.index(incarnation)).arg(entry);
        command
    }

    /// Reads on in the users that an incarnation has in a channel.
    pub(super) fn rows_page(
        &self,
        incarnation: &str,
        key: &ChannelKey,
        cursor: u64,
        page: usize,
    ) -> Cmd {
        let mut command = redis::cmd("HSCAN");
        // an incarnation is letters, digits, `-`, `_` and `.` alone: nothing that a pattern could take otherwise
        let pattern = format!("{incarnation}|*");
        let rows = self.keys.rows(key);
        command.arg(rows).arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(page);
        command
    }

    /// Reads who is in a channel, and how many subscriptions there are. See `lua/roster.lua`.
    pub(super) fn roster(&self, key: &ChannelKey) -> Cmd {
        let keys = &self.keys;
        let mut call = self.roster.call(&[
            keys.meta(key),
            keys.history(key),
            keys.occupied(key),
            keys.infos(key),
        ]);
        call.arg(key.channel.as_str()).arg(milliseconds(self.history.position)).arg(fresh_epoch());
        call
    }

    /// Reads how many subscriptions a channel has.
    pub(super) fn subscriptions(&self, key: &ChannelKey) -> Cmd {
        let mut command = redis::cmd("HGET");
        command.arg(self.keys.occupied(key)).arg(key.channel.as_str());
        command
    }

    /// Reads the event that a channel remembers, and until when.
    pub(super) fn remembered(&self, key: &ChannelKey) -> Cmd {
        let mut command = redis::cmd("HMGET");
        command.arg(self.keys.cached(key)).arg("p").arg("x");
        command
    }

    /// Reads how many users a channel has.
    pub(super) fn users(&self, key: &ChannelKey) -> Cmd {
        let mut command = redis::cmd("HLEN");
        command.arg(self.keys.users(key));
        command
    }

    /// Reads on in the occupied channels of an application.
    pub(super) fn list_page(&self, app: &AppId, cursor: u64, page: usize) -> Cmd {
        let mut command = redis::cmd("HSCAN");
        command.arg(self.keys.list(app)).arg(cursor).arg("COUNT").arg(page);
        command
    }
}

fn occupancy(key: &ChannelKey, subscriptions: u64, announcer: &dyn Announcer) -> String {
    let told = if subscriptions > 0 { announcer.occupied(key) } else { announcer.vacated(key) };
    told.unwrap_or_default()
}

fn fresh_epoch() -> String {
    format!("{:016x}", rand::random::<u64>())
}

pub(super) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
