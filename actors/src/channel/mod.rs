//! One occupied channel of one application on this node.
//!
//! Owns its subscribers, the roster of a presence channel, the last event of a cache channel. Started
//! and retired by [`Registry`](crate::registry::Registry) alone, on the thread of its shard, which also
//! routes every command to it; it tells couriers. Its mailbox has no bound of its own: events carry the
//! [`Place`] that bounds them, everything else is bounded by live connections. Couriers hold a copy of
//! the subscribers that only this actor changes. An event is encoded once, whoever listens. A panic
//! costs the channel: its subscribers are told to reconnect.

mod cache;
mod command;
mod count;
mod entering;
mod events;
mod presence;
mod roster;
mod subscribers;
mod watch;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext as _, AsyncContext as _, Context, Handler, Message, Recipient};
use hashbrown::HashMap;

use self::cache::Cache;
use self::count::CountPace;
use self::entering::Entering;
use self::presence::Presence;
use self::watch::Watch;
use crate::bridge::Remembered;
use crate::config::App;
use crate::crew::Crew;
use crate::facts::ChannelFacts;
use crate::later::Later;
use crate::lifeline::contain;
use crate::mailbox::names::{CHANNEL, REGISTRY};
use crate::mailbox::{Letter, Mail, Named, Postbox};
use crate::membership::Counts;
use crate::metrics::{Alive, AppMetrics};
use crate::protocol::kind::Capabilities;
use crate::protocol::{ChannelKey, ErrorCode, Frame, SocketId, UserId};
use crate::seat::{ChannelId, Seat};

pub(crate) use self::command::{Answer, Command, Join, Route};
pub use self::roster::Member;
pub(crate) use self::watch::Seen;

const FAILED: (ErrorCode, &str) = (ErrorCode::Reconnect, "Channel restarted");
const UNREACHABLE: (ErrorCode, &str) =
    (ErrorCode::OverCapacity, "The other nodes cannot be reached");
const TERMINATED: (ErrorCode, &str) = (ErrorCode::Unauthorized, "You got disconnected by the app.");

/// Stops a channel that has nobody left. Sent by the registry, which has already forgotten it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Retire;

impl Named for Retire {
    fn index(&self) -> usize {
        const { CHANNEL.index("retire") }
    }
}

/// A channel is at its end.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct ChannelEnded {
    pub(crate) key: ChannelKey,
    pub(crate) id: ChannelId,
    pub(crate) cause: Ended,
}

impl Named for ChannelEnded {
    fn index(&self) -> usize {
        const { REGISTRY.index("channel_ended") }
    }
}

/// Who is told that a channel is at its end.
pub(crate) type Registrar = Postbox<Recipient<Letter<ChannelEnded>>>;

/// Why a channel is at its end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ended {
    /// It has nobody left and remembers nothing. To be retired if it was sent no more commands than it
    /// has handled.
    Vacated { handled: u64 },
    /// It panicked.
    Failed,
}

// === State ===

/// See the module.
pub(crate) struct ChannelActor {
    key: ChannelKey,
    id: ChannelId,
    app: Arc<App>,
    can: Capabilities,
    crew: Arc<Crew>,
    mail: Mail,
    metrics: Arc<AppMetrics>,
    ended: Registrar,
    subscribers: HashMap<SocketId, Subscriber, foldhash::fast::RandomState>,
    /// How many subscribers each worker has; a courier without any hears nothing.
    per_worker: Vec<usize>,
    presence: Presence,
    entering: Entering,
    /// What is known of all nodes; of several nodes only.
    counts: Counts,
    cache: Cache,
    pace: CountPace,
    /// Who is told whether the channel's user is online.
    watch: Option<Watch>,
    /// Joins that wait until the bridge follows the channel; `None` once it does.
    joining: Option<Vec<Join>>,
    /// Joins, and their attempts, that are to have an answer in time; with those that have had it.
    promised: Later<(SocketId, u32)>,
    /// A look is promised at the time when the cached event is forgotten.
    forgets: bool,
    /// A command panicked: what is left of the state is not to be used.
    failed: bool,
    /// Commands handled: the registry retires the channel only when it has sent no more.
    handled: u64,
    _alive: Alive,
}

struct Subscriber {
    seat: Seat,
    user: Option<UserId>,
    /// The number of the wish that it joined with; members of several nodes only.
    wish: u64,
    _alive: Option<Alive>,
}

impl ChannelActor {
    pub(crate) fn new(
        key: ChannelKey,
        id: ChannelId,
        app: Arc<App>,
        crew: Arc<Crew>,
        mail: Mail,
        ended: Registrar,
    ) -> Self {
        Self {
            can: key.channel.kind().capabilities(),
            per_worker: vec![0; crew.workers()],
            _alive: crew.metrics().actors.channels.enter(),
            presence: Presence::new(crew.membership().is_some()),
            joining: crew.bridge().map(|_| Vec::new()),
            promised: Later::new(crew.join_wait()),
            metrics: crew.metrics().of(&app.id),
            key,
            id,
            app,
            crew,
            mail,
            ended,
            subscribers: HashMap::default(),
            entering: Entering::default(),
            counts: Counts::default(),
            cache: Cache::default(),
            pace: CountPace::default(),
            watch: None,
            forgets: false,
            failed: false,
            handled: 0,
        }
    }

    fn carry_out(&mut self, command: Command, ctx: &mut Context<Self>) {
        match command {
            Command::Publish { event, place, facts } => {
                self.publish(&event, place.as_ref());
                facts.give(|| self.facts());
            }
            Command::Join(join) => self.join(join, ctx),
            Command::Leave { seat, answer } => self.leave(seat, answer, ctx),
            Command::Resend { seat } => self.resend(seat),
            Command::Whisper { seat, whisper, place } => self.whisper(seat, whisper, place),
            Command::Tell { seat, frame } => self.tell(seat, frame),
            Command::Terminate => self.dismiss_all(TERMINATED),
            Command::Watch { user, watcher } => self.watch(user, watcher, ctx),
            Command::Unwatch => self.watch = None,
            Command::Describe(facts) => facts.give(|| self.facts()),
            Command::ListMembers(members) => {
                members.give(|| self.presence.users());
            }
            Command::Relayed { body, position, place } => {
                self.relayed(body, position.as_ref(), place.as_ref(), ctx);
            }
            Command::Entered { ticket, outcome } => self.entered(ticket, outcome, ctx),
            Command::Counted(counts) => self.counted(counts, ctx),
            Command::Followed { channel, remembered } => {
                // an earlier life of this channel may have asked too
                if channel == self.id {
                    self.followed(remembered, ctx);
                }
            }
        }
    }

    fn followed(&mut self, remembered: Option<Remembered>, ctx: &mut Context<Self>) {
        if let Some(Remembered { event, data, expires_in }) = remembered {
            let frame = Frame::channel_event(&self.key.channel, &event, &data);
            self.cache.remember(frame, data, self.crew.now().after(expires_in));
        }
        for join in self.joining.take().into_iter().flatten() {
            self.join(join, ctx);
        }
        self.look_at_user(ctx);
    }

    fn facts(&mut self) -> ChannelFacts {
        ChannelFacts {
            subscriptions: self.subscribers.len() as u64,
            users: self.presence.len() as u64,
            cached: self.cache.event(self.crew.now()),
            partial: false,
        }
    }

    /// Tells the registry when nobody is left and nothing is remembered, now or once it is forgotten.
    fn tell_if_vacant(&mut self, ctx: &mut Context<Self>) {
        let waiting = self.joining.as_ref().is_some_and(|joins| !joins.is_empty());
        if waiting
            || self.watch.is_some()
            || !self.entering.is_empty()
            || !self.subscribers.is_empty()
        {
            return;
        }
        // a bridge remembers for all nodes; alone, the channel stays until it has forgotten
        let holds_for = self.cache.holds_for(self.crew.now());
        match holds_for.filter(|_| self.crew.bridge().is_none()) {
            None => self.report(Ended::Vacated { handled: self.handled }),
            Some(_) if self.forgets => {}
            Some(wait) => {
                self.forgets = true;
                ctx.run_later(wait + Duration::from_millis(1), |channel, ctx| {
                    channel.forgets = false;
                    channel.guarded(|channel| channel.tell_if_vacant(ctx));
                });
            }
        }
    }

    /// Does some work; a panic costs the channel.
    fn guarded(&mut self, work: impl FnOnce(&mut Self)) {
        if self.failed || self.contain(work).is_some() {
            return;
        }
        self.failed = true;
        // whatever is left half done, each of them has its turn
        self.contain(|channel| channel.dismiss_all(FAILED));
        self.contain(|channel| channel.report(Ended::Failed));
        self.contain(Self::end_watch);
    }

    /// Does some work; a panic is counted, and the actor stays to answer what is on its way.
    fn contain<R>(&mut self, work: impl FnOnce(&mut Self) -> R) -> Option<R> {
        let result = contain("channel", || work(self));
        if result.is_none() {
            self.crew.metrics().panics.channels.add(1);
        }
        result
    }

    /// Answers what was on its way when the channel failed.
    fn turn_away(&self, command: Command) {
        match command {
            Command::Join(join) => self.dismiss(join.seat, FAILED),
            Command::Watch { user, watcher } => self.send_away(user, &watcher),
            command => command.answer_for_none(),
        }
    }

    fn report(&self, cause: Ended) {
        self.ended.tell(ChannelEnded { key: self.key.clone(), id: self.id, cause });
    }
}

// === Lifecycle ===

impl Actor for ChannelActor {
    type Context = Context<Self>;
}

// === Handlers ===

impl Handler<Letter<Command>> for ChannelActor {
    type Result = ();

    fn handle(&mut self, command: Letter<Command>, ctx: &mut Self::Context) {
        let taken = self.mail.open(&command);
        self.handled += 1;
        if self.failed {
            self.contain(|channel| channel.turn_away(command.message));
        } else {
            self.guarded(|channel| {
                channel.carry_out(command.message, ctx);
                channel.tell_if_vacant(ctx);
            });
        }
        self.mail.done(taken);
    }
}

impl Handler<Letter<Retire>> for ChannelActor {
    type Result = ();

    fn handle(&mut self, retire: Letter<Retire>, ctx: &mut Self::Context) {
        let taken = self.mail.open(&retire);
        ctx.stop();
        self.mail.done(taken);
    }
}
