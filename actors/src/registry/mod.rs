//! Finds the channel of a name, and alone starts and retires channels.
//!
//! One registry per worker thread, each with its share of the channels by a hash of application and
//! name, so that a channel always has the same one and order holds. Started by
//! [`crate::Node::attach_worker`]. Told by the [`NodeHandle`](crate::NodeHandle) and by the bridge; what
//! comes is bounded by the places that the handle gives out. It asks nobody and waits for nothing. It
//! ends with its worker; a dead registry ends the process.

mod shards;

use std::sync::Arc;

use actix::{Actor, Addr, AsyncContext as _, Context, Handler, Message};
use hashbrown::HashMap;
use tokio::sync::oneshot;

pub(crate) use self::shards::Registries;
use crate::channel::{
    Answer, ChannelActor, ChannelEnded, Command, Ended, Registrar, Retire, Route,
};
use crate::config::App;
use crate::crew::Crew;
use crate::facts::ChannelFacts;
use crate::lifeline::vital;
use crate::mailbox::names::REGISTRY;
use crate::mailbox::{Letter, Mailboxes, Named, Postbox};
use crate::metrics::Alive;
use crate::protocol::{AppId, ChannelKey, ChannelName};
use crate::seat::ChannelId;

// === Commands ===

/// Asks every listed channel of an application whose name starts with `prefix` what is known of it.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct DescribeAll {
    pub(crate) app: AppId,
    pub(crate) prefix: String,
    pub(crate) answer: Answer<Vec<(ChannelName, oneshot::Receiver<ChannelFacts>)>>,
}

impl Named for DescribeAll {
    fn index(&self) -> usize {
        const { REGISTRY.index("describe_all") }
    }
}

// === State ===

/// See the module.
pub(crate) struct Registry {
    worker: usize,
    crew: Arc<Crew>,
    mail: Mailboxes,
    channels: HashMap<ChannelKey, Entry, foldhash::quality::RandomState>,
    _alive: Alive,
}

struct Entry {
    channel: Postbox<Addr<ChannelActor>>,
    id: ChannelId,
    /// Commands sent: a channel that has handled fewer is not retired.
    sent: u64,
}

impl Registry {
    pub(crate) fn new(worker: usize, crew: Arc<Crew>) -> Self {
        Self {
            worker,
            _alive: crew.metrics().actors.registries.enter(),
            mail: crew.mail_of(worker),
            crew,
            channels: HashMap::default(),
        }
    }

    /// Hands a command to its channel, which is started where the command calls for it.
    fn route(&mut self, route: Route, ctx: &Context<Self>) {
        let Route { key, app, command } = route;
        if !self.channels.contains_key(&key) {
            let can = key.channel.kind().capabilities();
            if !command.starts(can, self.crew.bridge().is_none()) {
                return command.answer_for_none();
            }
            self.start_channel(key.clone(), app, ctx);
        }
        if let Some(entry) = self.channels.get_mut(&key) {
            entry.sent += 1;
            entry.channel.post(command);
        }
    }

    fn start_channel(&mut self, key: ChannelKey, app: Arc<App>, ctx: &Context<Self>) {
        let id = self.crew.next_channel();
        let crew = Arc::clone(&self.crew);
        let mail = self.mail.channels.clone();
        let ended = Registrar::new(ctx.address().recipient(), self.mail.registry.clone());
        let channel = ChannelActor::new(key.clone(), id, app, crew, mail.clone(), ended);
        let channel = Postbox::new(channel.start(), mail);
        if let Some(bridge) = self.crew.bridge() {
            bridge.follow(key.clone(), id);
        }
        self.channels.insert(key, Entry { channel, id, sent: 0 });
        self.tell_channels();
    }

    /// Says how many channels it has.
    fn tell_channels(&self) {
        if let Some(tables) = self.crew.metrics().tables.get(self.worker) {
            tables.channels.set(self.channels.len());
        }
    }

    fn describe_all(&mut self, all: DescribeAll) {
        let mut asked = Vec::new();
        for (key, entry) in &mut self.channels {
            let listed = key.channel.kind().capabilities().listed;
            if listed && key.app == all.app && key.channel.as_str().starts_with(&all.prefix) {
                let (facts, waiting) = Answer::expected();
                entry.sent += 1;
                entry.channel.post(Command::Describe(facts));
                asked.push((key.channel.clone(), waiting));
            }
        }
        all.answer.give(|| asked);
    }

    /// Retires a channel that has ended, unless a command to it is still on its way.
    fn retire(&mut self, ended: ChannelEnded) {
        let is_due = |entry: &Entry| match ended.cause {
            Ended::Vacated { handled } => entry.sent == handled,
            Ended::Failed => true,
        };
        let entry = self.channels.get(&ended.key).filter(|entry| entry.id == ended.id);
        if entry.is_some_and(is_due)
            && let Some(entry) = self.channels.remove(&ended.key)
        {
            self.tell_channels();
            let ends = &self.crew.metrics().ended.channels;
            match ended.cause {
                Ended::Vacated { .. } => ends.done.add(1),
                Ended::Failed => ends.panicked.add(1),
            }
            entry.channel.post(Retire);
            if let Some(bridge) = self.crew.bridge() {
                bridge.unfollow(ended.key.clone());
            }
            if let Some(membership) = self.crew.membership() {
                membership.vacate(ended.key);
            }
        }
    }
}

// === Lifecycle ===

impl Actor for Registry {
    type Context = Context<Self>;
}

// === Handlers ===

impl Handler<Letter<Route>> for Registry {
    type Result = ();

    fn handle(&mut self, route: Letter<Route>, ctx: &mut Self::Context) {
        let taken = self.mail.registry.open(&route);
        vital("registry", || self.route(route.message, ctx));
        self.mail.registry.done(taken);
    }
}

impl Handler<Letter<DescribeAll>> for Registry {
    type Result = ();

    fn handle(&mut self, all: Letter<DescribeAll>, _ctx: &mut Self::Context) {
        let taken = self.mail.registry.open(&all);
        vital("registry", || self.describe_all(all.message));
        self.mail.registry.done(taken);
    }
}

impl Handler<Letter<ChannelEnded>> for Registry {
    type Result = ();

    fn handle(&mut self, ended: Letter<ChannelEnded>, _ctx: &mut Self::Context) {
        let taken = self.mail.registry.open(&ended);
        vital("registry", || self.retire(ended.message));
        self.mail.registry.done(taken);
    }
}
