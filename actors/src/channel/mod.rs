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
mod roster;

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext as _, AsyncContext as _, Context, Handler, Message};
use hashbrown::HashMap;

use self::cache::Cache;
use self::count::{CountPace, Telling};
use self::roster::{Arrival, Roster};
use crate::bridge::{Relay, Relayed, Remembered};
use crate::config::App;
use crate::courier::{ChannelId, Errand, Seat};
use crate::door::{Place, post};
use crate::lifeline::contain;
use crate::metrics::Alive;
use crate::node::{ChannelFacts, Publication, Shared};
use crate::protocol::kind::Capabilities;
use crate::protocol::{ChannelKey, ErrorCode, Frame, SocketId, UserId};
use crate::registry::{ChannelFailed, ChannelVacated, Registry};
use crate::session::effect::{Close, JoinRefusal, Refused, Whisper};

pub(crate) use self::command::{Answer, Command, Join, Route};
pub use self::roster::Member;

const FAILED: (ErrorCode, &str) = (ErrorCode::Reconnect, "Channel restarted");
const TERMINATED: (ErrorCode, &str) = (ErrorCode::Unauthorized, "You got disconnected by the app.");

/// Stops a channel that has nobody left. Sent by the registry, which has already forgotten it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Retire;

// === State ===

/// See the module.
pub(crate) struct ChannelActor {
    key: ChannelKey,
    id: ChannelId,
    app: Arc<App>,
    can: Capabilities,
    shared: Arc<Shared>,
    registry: actix::Addr<Registry>,
    subscribers: HashMap<SocketId, Subscriber, foldhash::fast::RandomState>,
    /// How many subscribers each worker has; a courier without any hears nothing.
    per_worker: Vec<usize>,
    roster: Roster,
    cache: Cache,
    pace: CountPace,
    /// Joins that wait until the bridge follows the channel; `None` once it does.
    joining: Option<Vec<Join>>,
    /// Commands handled: the registry retires the channel only when it has sent no more.
    handled: u64,
    _alive: Alive,
}

struct Subscriber {
    seat: Seat,
    user: Option<UserId>,
}

impl ChannelActor {
    pub(crate) fn new(
        key: ChannelKey,
        id: ChannelId,
        app: Arc<App>,
        shared: Arc<Shared>,
        registry: actix::Addr<Registry>,
    ) -> Self {
        Self {
            can: key.channel.kind().capabilities(),
            per_worker: vec![0; shared.workers()],
            _alive: shared.metrics().actors.channels.enter(),
            joining: shared.bridge().map(|_| Vec::new()),
            key,
            id,
            app,
            shared,
            registry,
            subscribers: HashMap::default(),
            roster: Roster::default(),
            cache: Cache::default(),
            pace: CountPace::default(),
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
            Command::Describe(facts) => facts.give(|| self.facts()),
            Command::ListMembers(members) => {
                members.give(|| self.roster.members().map(|(user, _)| user.clone()).collect());
            }
            Command::Relayed(body) => self.relayed(body),
            Command::Followed(remembered) => self.followed(remembered, ctx),
        }
    }

    // --- events ---------------------------------------------------------------------------------

    fn publish(&mut self, event: &Publication, place: Option<&Place>) {
        let frame = Frame::channel_event(&self.key.channel, &event.event, &event.data);
        if self.can.caches {
            let until = self.shared.now().after(self.app.limits.cache);
            self.cache.remember(frame.clone(), event.data.clone(), until);
        }
        self.fan_out(&frame, event.except, place);
    }

    fn whisper(&mut self, seat: Seat, whisper: Whisper, place: Option<Place>) {
        let Some(subscriber) = self.subscribers.get(&seat.socket) else {
            return;
        };
        let Whisper { channel, event, data } = whisper;
        let user = subscriber.user.clone();
        let frame = Frame::client_event(&channel, &event, &data, user.as_ref());
        self.fan_out(&frame, Some(seat.socket), place.as_ref());
        if let Some(bridge) = self.shared.bridge() {
            bridge.relay(Relay {
                key: self.key.clone(),
                body: Relayed::Whispered { event, data, user, socket: seat.socket },
                remember: None,
                to_self: false,
                done: None,
                place,
            });
        }
    }

    fn relayed(&mut self, body: Relayed) {
        match body {
            Relayed::Published { event, data, except } => {
                let channel = self.key.channel.clone();
                self.publish(&Publication { channel, event, data, except }, None);
            }
            Relayed::Whispered { event, data, user, socket } => {
                let frame = Frame::client_event(&self.key.channel, &event, &data, user.as_ref());
                self.fan_out(&frame, Some(socket), None);
            }
            Relayed::Terminated => self.dismiss_all(TERMINATED),
        }
    }

    /// Sends a frame to the courier of every worker that has subscribers.
    fn fan_out(&self, frame: &Frame, except: Option<SocketId>, place: Option<&Place>) {
        for (worker, subscribers) in self.per_worker.iter().enumerate() {
            if *subscribers > 0 {
                let (channel, frame, place) = (self.id, frame.clone(), place.cloned());
                self.shared.courier(worker, Errand::Deliver { channel, frame, except, place });
            }
        }
    }

    fn errand(&self, seat: Seat, errand: Errand) {
        self.shared.courier(usize::from(seat.worker), errand);
    }

    // --- subscribers ----------------------------------------------------------------------------

    fn join(&mut self, join: Join, ctx: &mut Context<Self>) {
        if let Some(waiting) = &mut self.joining {
            waiting.push(join);
            return;
        }
        let known = self.subscribers.contains_key(&join.seat.socket);
        let arrival = match (&join.member, self.can.members) {
            _ if known => Arrival::Further,
            (Some(member), true) => self.roster.join(member, self.app.limits.presence_members),
            (None, true) => return self.refuse(&join, JoinRefusal::Unavailable),
            (_, false) => Arrival::Further,
        };
        if arrival == Arrival::Full {
            return self.refuse(&join, JoinRefusal::MembersFull);
        }
        self.attach(&join);
        if known {
            return;
        }
        if let (Arrival::First, Some(member)) = (arrival, &join.member) {
            let frame = Frame::member_added(&self.key.channel, &member.user, &member.info);
            self.fan_out(&frame, Some(join.seat.socket), None);
        }
        self.tell_count(ctx);
    }

    fn attach(&mut self, join: &Join) {
        let user = join.member.as_ref().map(|member| member.user.clone());
        let subscriber = Subscriber { seat: join.seat, user };
        if self.subscribers.insert(join.seat.socket, subscriber).is_none()
            && let Some(count) = self.per_worker.get_mut(usize::from(join.seat.worker))
        {
            *count += 1;
        }
        let replies = join.replies.clone().unwrap_or_else(|| self.success());
        let (seat, channel) = (join.seat, self.id);
        self.errand(seat, Errand::Attach { seat, channel, replies });
    }

    /// Returns what a new subscriber hears first: the success, then what the channel remembers.
    fn success(&mut self) -> Vec<Frame> {
        let channel = &self.key.channel;
        let mut frames = vec![if self.can.members {
            Frame::presence_succeeded(channel, self.roster.members())
        } else {
            Frame::subscription_succeeded(channel)
        }];
        if self.can.caches {
            let replay = self.cache.replay(self.shared.now());
            frames.push(replay.unwrap_or_else(|| Frame::cache_miss(channel)));
        }
        frames
    }

    fn refuse(&self, join: &Join, cause: JoinRefusal) {
        let (channel, attempt) = (self.key.channel.clone(), join.attempt);
        let refused = Refused { channel, attempt, cause };
        self.errand(join.seat, Errand::Refuse { seat: join.seat, refused });
    }

    fn resend(&self, seat: Seat) {
        let frame = if self.can.members {
            Frame::presence_succeeded(&self.key.channel, self.roster.members())
        } else {
            Frame::subscription_succeeded(&self.key.channel)
        };
        self.tell(seat, frame);
    }

    fn tell(&self, seat: Seat, frame: Frame) {
        if self.subscribers.contains_key(&seat.socket) {
            self.errand(seat, Errand::Tell { seat, frames: vec![frame] });
        }
    }

    fn leave(&mut self, seat: Seat, answer: bool, ctx: &mut Context<Self>) {
        if let Some(waiting) = &mut self.joining {
            waiting.retain(|join| join.seat != seat);
        }
        if answer {
            self.errand(seat, Errand::Detach { seat, channel: self.id });
        }
        let Some(subscriber) = self.subscribers.remove(&seat.socket) else {
            return;
        };
        if let Some(count) = self.per_worker.get_mut(usize::from(seat.worker)) {
            *count = count.saturating_sub(1);
        }
        if let Some(user) = &subscriber.user
            && self.roster.leave(user)
        {
            self.fan_out(&Frame::member_removed(&self.key.channel, user), None, None);
        }
        self.tell_count(ctx);
    }

    fn dismiss_all(&self, (code, reason): (ErrorCode, &'static str)) {
        for Subscriber { seat, .. } in self.subscribers.values() {
            let (error, close) = (Frame::error(Some(code), reason), Close::pusher(code, reason));
            self.errand(*seat, Errand::Dismiss { seat: *seat, error, close });
        }
    }

    fn tell_count(&mut self, ctx: &mut Context<Self>) {
        if !(self.app.subscription_count && self.can.counted) {
            return;
        }
        match self.pace.changed(self.subscribers.len(), self.shared.now()) {
            Telling::Now => self.fan_out_count(),
            Telling::After(wait) => {
                ctx.run_later(wait, |channel, _| {
                    channel.pace.kept(channel.shared.now());
                    channel.fan_out_count();
                });
            }
            Telling::Promised => {}
        }
    }

    fn fan_out_count(&self) {
        let count = self.subscribers.len() as u64;
        self.fan_out(&Frame::subscription_count(&self.key.channel, count), None, None);
    }

    // --- life -----------------------------------------------------------------------------------

    fn followed(&mut self, remembered: Option<Remembered>, ctx: &mut Context<Self>) {
        if let Some(Remembered { event, data, expires_in }) = remembered {
            let frame = Frame::channel_event(&self.key.channel, &event, &data);
            self.cache.remember(frame, data, self.shared.now().after(expires_in));
        }
        for join in self.joining.take().into_iter().flatten() {
            self.join(join, ctx);
        }
    }

    fn facts(&mut self) -> ChannelFacts {
        ChannelFacts {
            subscriptions: self.subscribers.len() as u64,
            users: self.roster.len() as u64,
            cached: self.cache.event(self.shared.now()),
        }
    }

    /// Tells the registry when nobody is left and nothing is remembered, now or once it is forgotten.
    fn tell_if_vacant(&mut self, ctx: &mut Context<Self>) {
        let waiting = self.joining.as_ref().is_some_and(|joins| !joins.is_empty());
        if waiting || !self.subscribers.is_empty() {
            return;
        }
        // a bridge remembers for all nodes; alone, the channel stays until it has forgotten
        let holds_for = self.cache.holds_for(self.shared.now());
        if let Some(wait) = holds_for.filter(|_| self.shared.bridge().is_none()) {
            ctx.run_later(wait + Duration::from_millis(1), |channel, ctx| {
                channel.tell_if_vacant(ctx);
            });
        } else {
            let (key, id, handled) = (self.key.clone(), self.id, self.handled);
            post(&self.registry, ChannelVacated { key, id, handled });
        }
    }
}

// === Lifecycle ===

impl Actor for ChannelActor {
    type Context = Context<Self>;

    fn started(&mut self, _ctx: &mut Self::Context) {
        if let Some(bridge) = self.shared.bridge() {
            bridge.follow(self.key.clone());
        }
    }
}

// === Handlers ===

impl Handler<Command> for ChannelActor {
    type Result = ();

    fn handle(&mut self, command: Command, ctx: &mut Self::Context) {
        self.handled += 1;
        if contain("channel", || self.carry_out(command, ctx)).is_none() {
            self.dismiss_all(FAILED);
            post(&self.registry, ChannelFailed { key: self.key.clone(), id: self.id });
            ctx.stop();
            return;
        }
        self.tell_if_vacant(ctx);
    }
}

impl Handler<Retire> for ChannelActor {
    type Result = ();

    fn handle(&mut self, _retire: Retire, ctx: &mut Self::Context) {
        if let Some(bridge) = self.shared.bridge() {
            bridge.unfollow(self.key.clone());
        }
        ctx.stop();
    }
}
