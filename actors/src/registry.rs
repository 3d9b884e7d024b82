//! Finds the channel of a name, and alone starts and retires channels.
//!
//! One registry per worker thread, each with its share of the channels by a hash of application and
//! name, so that a channel always has the same one and order holds. Started by
//! [`crate::Node::attach_worker`]. Told by the [`NodeHandle`](crate::NodeHandle) and by the bridge; what
//! comes is bounded by the places that the handle gives out. It asks nobody and waits for nothing. It
//! ends with its worker; a dead registry ends the process.

use std::sync::Arc;

use actix::{Actor, Addr, AsyncContext as _, Context, Handler, Message};
use hashbrown::HashMap;
use tokio::sync::oneshot;

use crate::channel::{Answer, ChannelActor, Command, Retire, Route};
use crate::config::App;
use crate::courier::ChannelId;
use crate::door::post;
use crate::metrics::Alive;
use crate::node::{ChannelFacts, Shared};
use crate::protocol::{AppId, ChannelKey, ChannelName};

// === Commands ===

/// Asks every listed channel of an application whose name starts with `prefix` what is known of it.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct DescribeAll {
    pub(crate) app: AppId,
    pub(crate) prefix: String,
    pub(crate) answer: Answer<Vec<(ChannelName, oneshot::Receiver<ChannelFacts>)>>,
}

// === Events of channels ===

/// A channel has nobody left. Retired if it has handled all that was sent to it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct ChannelVacated {
    pub(crate) key: ChannelKey,
    pub(crate) id: ChannelId,
    pub(crate) handled: u64,
}

/// A channel panicked and is gone.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct ChannelFailed {
    pub(crate) key: ChannelKey,
    pub(crate) id: ChannelId,
}

// === State ===

/// See the module.
pub(crate) struct Registry {
    shared: Arc<Shared>,
    channels: HashMap<ChannelKey, Entry, foldhash::quality::RandomState>,
    _alive: Alive,
}

struct Entry {
    channel: Addr<ChannelActor>,
    id: ChannelId,
    /// Commands sent: a channel that has handled fewer is not retired.
    sent: u64,
}

impl Registry {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            _alive: shared.metrics().actors.registries.enter(),
            shared,
            channels: HashMap::default(),
        }
    }

    /// Hands a command to its channel, which is started where the command calls for it.
    fn route(&mut self, route: Route, ctx: &Context<Self>) {
        let Route { key, app, command } = route;
        if !self.channels.contains_key(&key) {
            let can = key.channel.kind().capabilities();
            if !command.starts(can, self.shared.bridge().is_none()) {
                return command.answer_for_none();
            }
            self.start_channel(key.clone(), app, ctx);
        }
        if let Some(entry) = self.channels.get_mut(&key) {
            entry.sent += 1;
            post(&entry.channel, command);
        }
    }

    fn start_channel(&mut self, key: ChannelKey, app: Arc<App>, ctx: &Context<Self>) {
        let id = self.shared.next_channel();
        let shared = Arc::clone(&self.shared);
        let channel = ChannelActor::new(key.clone(), id, app, shared, ctx.address()).start();
        self.channels.insert(key, Entry { channel, id, sent: 0 });
    }
}

// === Lifecycle ===

impl Actor for Registry {
    type Context = Context<Self>;
}

// === Handlers ===

impl Handler<Route> for Registry {
    type Result = ();

    fn handle(&mut self, route: Route, ctx: &mut Self::Context) {
        self.route(route, ctx);
    }
}

impl Handler<DescribeAll> for Registry {
    type Result = ();

    fn handle(&mut self, all: DescribeAll, _ctx: &mut Self::Context) {
        let mut asked = Vec::new();
        for (key, entry) in &mut self.channels {
            let listed = key.channel.kind().capabilities().listed;
            if listed && key.app == all.app && key.channel.as_str().starts_with(&all.prefix) {
                let (facts, waiting) = Answer::expected();
                entry.sent += 1;
                post(&entry.channel, Command::Describe(facts));
                asked.push((key.channel.clone(), waiting));
            }
        }
        all.answer.give(|| asked);
    }
}

impl Handler<ChannelVacated> for Registry {
    type Result = ();

    fn handle(&mut self, vacated: ChannelVacated, _ctx: &mut Self::Context) {
        let done = |entry: &Entry| entry.id == vacated.id && entry.sent == vacated.handled;
        if self.channels.get(&vacated.key).is_some_and(done)
            && let Some(entry) = self.channels.remove(&vacated.key)
        {
            post(&entry.channel, Retire);
        }
    }
}

impl Handler<ChannelFailed> for Registry {
    type Result = ();

    fn handle(&mut self, failed: ChannelFailed, _ctx: &mut Self::Context) {
        if self.channels.get(&failed.key).is_some_and(|entry| entry.id == failed.id) {
            self.channels.remove(&failed.key);
        }
    }
}
