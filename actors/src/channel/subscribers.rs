//! How connections come to a channel and go: subscriptions, members, counts (protocol sections 3.4 to 3.9).

use actix::{AsyncContext as _, Context};
use hashbrown::HashSet;

use super::count::Telling;
use super::presence::Presence;
use super::roster::Arrival;
use super::{ChannelActor, Join, Subscriber, UNREACHABLE};
use crate::errand::Errand;
use crate::membership::Counts;
use crate::metrics::Living;
use crate::protocol::{ErrorCode, Frame, SocketId, UserId};
use crate::seat::Seat;
use crate::session::effect::{Close, JoinRefusal, Refused};
use crate::tap::{Details, Kind};

impl ChannelActor {
    pub(super) fn join(&mut self, join: Join, ctx: &mut Context<Self>) {
        if self.joining.is_some() {
            self.promise_answer(&join, ctx);
            self.joining.get_or_insert_default().push(join);
            return;
        }
        if let Some(subscriber) = self.subscribers.get(&join.seat.socket) {
            let wish = subscriber.wish;
            return self.attach(&join, wish);
        }
        match (&join.member, self.can.members, &mut self.presence) {
            (_, false, _) => self.attach(&join, 0),
            (None, true, _) => return self.refuse(&join, JoinRefusal::Unavailable),
            (_, true, Presence::Shared(_)) => return self.enter(join, ctx),
            (Some(member), true, Presence::Alone(roster)) => {
                let arrival = roster.join(member, self.app.limits.presence_members);
                if arrival == Arrival::Full {
                    return self.refuse(&join, JoinRefusal::MembersFull);
                }
                self.attach(&join, 0);
                if arrival == Arrival::First {
                    let frame = Frame::member_added(&self.key.channel, &member.user, &member.info);
                    self.fan_out(&frame, Some(join.seat.socket), None);
                }
            }
        }
        self.changed(ctx);
    }

    /// Sees to it that a join has an answer in time, whatever it waits for.
    pub(super) fn promise_answer(&mut self, join: &Join, ctx: &mut Context<Self>) {
        self.promised.put((join.seat.socket, join.attempt), self.crew.now());
        self.await_promised(ctx);
    }

    /// Sees to it that promised answers are looked at when they are due.
    fn await_promised(&mut self, ctx: &mut Context<Self>) {
        let Some(wait) = self.promised.arm(self.crew.now()) else {
            return;
        };
        ctx.run_later(wait, |channel, ctx| {
            channel.guarded(|channel| {
                let due = channel.promised.ring(channel.crew.now());
                channel.give_up(&due.into_iter().collect());
                channel.await_promised(ctx);
                channel.tell_if_vacant(ctx);
            });
        });
    }

    /// Turns those of these joins away that still wait for other nodes.
    fn give_up(&mut self, due: &HashSet<(SocketId, u32)>) {
        for join in self.take_back(|join| due.contains(&(join.seat.socket, join.attempt))) {
            if join.replies.is_some() {
                self.dismiss(join.seat, UNREACHABLE);
            } else {
                self.refuse(&join, JoinRefusal::Unavailable);
            }
        }
    }

    /// Takes out the joins that fit and have no answer yet.
    fn take_back(&mut self, fits: impl Fn(&Join) -> bool) -> Vec<Join> {
        let waiting = self.joining.iter_mut();
        let mut taken: Vec<Join> =
            waiting.flat_map(|waiting| waiting.extract_if(.., |join| fits(join))).collect();
        for (wish, join) in self.entering.take(fits) {
            if let Some(member) = &join.member {
                self.give_back(wish, member.user.clone());
            }
            taken.push(join);
        }
        taken
    }

    pub(super) fn attach(&mut self, join: &Join, wish: u64) {
        let user = join.member.as_ref().map(|member| member.user.clone());
        let alive = self.metrics.subscriptions.of(self.key.channel.kind()).map(Living::enter);
        let subscriber = Subscriber { seat: join.seat, user, wish, _alive: alive };
        if self.subscribers.insert(join.seat.socket, subscriber).is_none() {
            if let Some(count) = self.per_worker.get_mut(usize::from(join.seat.worker)) {
                *count += 1;
            }
            let user = join.member.as_ref().map(|member| &member.user);
            self.show(Kind::Subscription, join.seat, user);
        }
        let replies = join.replies.clone().unwrap_or_else(|| self.success());
        let (seat, channel) = (join.seat, self.id);
        self.errand(seat, Errand::Attach { seat, channel, replies });
    }

    /// Returns what a new subscriber hears first: the success, then what the channel remembers.
    fn success(&mut self) -> Vec<Frame> {
        let channel = &self.key.channel;
        let mut frames = vec![if self.can.members {
            self.presence.succeeded(channel)
        } else {
            Frame::subscription_succeeded(channel)
        }];
        if self.can.caches {
            let replay = self.cache.replay(self.crew.now());
            frames.push(replay.unwrap_or_else(|| Frame::cache_miss(channel)));
        }
        frames
    }

    pub(super) fn refuse(&self, join: &Join, cause: JoinRefusal) {
        let (channel, attempt) = (self.key.channel.clone(), join.attempt);
        let refused = Refused { channel, attempt, cause };
        self.errand(join.seat, Errand::Refuse { seat: join.seat, refused });
    }

    pub(super) fn resend(&mut self, seat: Seat) {
        let frame = if self.can.members {
            self.presence.succeeded(&self.key.channel)
        } else {
            Frame::subscription_succeeded(&self.key.channel)
        };
        self.tell(seat, frame);
    }

    /// Tells a subscriber, or somebody whose sign-in waits for the bridge, behind the replies to it.
    pub(super) fn tell(&mut self, seat: Seat, frame: Frame) {
        if self.subscribers.contains_key(&seat.socket) {
            self.errand(seat, Errand::Tell { seat, frames: vec![frame] });
        } else if let Some(waiting) = &mut self.joining
            && let Some(join) = waiting.iter_mut().rfind(|join| join.seat == seat)
            && let Some(replies) = &mut join.replies
        {
            replies.push(frame);
        }
    }

    pub(super) fn leave(&mut self, seat: Seat, answer: bool, ctx: &mut Context<Self>) {
        // a join that is taken back is not answered otherwise
        let unanswered = self.take_back(|join| join.seat == seat).len();
        for _ in 0..unanswered + usize::from(answer) {
            self.errand(seat, Errand::Detach { seat, channel: self.id });
        }
        let Some(subscriber) = self.subscribers.remove(&seat.socket) else {
            return;
        };
        if let Some(count) = self.per_worker.get_mut(usize::from(seat.worker)) {
            *count = count.saturating_sub(1);
        }
        self.show(Kind::Unsubscription, seat, subscriber.user.as_ref());
        match (subscriber.user, &mut self.presence) {
            (None, _) => {}
            (Some(user), Presence::Shared(_)) => self.give_back(subscriber.wish, user),
            (Some(user), Presence::Alone(roster)) => {
                if roster.leave(&user) {
                    self.fan_out(&Frame::member_removed(&self.key.channel, &user), None, None);
                }
            }
        }
        self.changed(ctx);
    }

    fn show(&self, kind: Kind, seat: Seat, user: Option<&UserId>) {
        self.crew.tap().show(kind, Some(&self.key.app), Some(self.key.channel.as_str()), || {
            Details {
                socket: Some(seat.socket),
                user: user.cloned(),
                subscribers: Some(self.subscribers.len()),
                ..Details::default()
            }
        });
    }

    /// Closes the connections of all subscribers, and of those who wait to become one.
    pub(super) fn dismiss_all(&self, why: (ErrorCode, &'static str)) {
        let subscribed = self.subscribers.values().map(|subscriber| subscriber.seat);
        let waiting = self.joining.iter().flatten().map(|join| join.seat);
        for seat in subscribed.chain(waiting).chain(self.entering.seats()) {
            self.dismiss(seat, why);
        }
    }

    pub(super) fn dismiss(&self, seat: Seat, (code, reason): (ErrorCode, &'static str)) {
        let (error, close) = (Frame::error(Some(code), reason), Close::pusher(code, reason));
        self.errand(seat, Errand::Dismiss { seat, error, close });
        let (app, channel) = (&self.key.app, self.key.channel.as_str());
        self.crew.tap().show(Kind::Error, Some(app), Some(channel), || Details {
            socket: Some(seat.socket),
            code: Some(code.number()),
            text: Some(reason.into()),
            ..Details::default()
        });
    }

    /// Sees to it that all hear how many subscriptions there are now.
    fn changed(&mut self, ctx: &mut Context<Self>) {
        match self.crew.membership() {
            None => self.tell_count(ctx),
            // they are counted as they enter and leave
            Some(_) if self.can.members => {}
            Some(membership) => {
                membership.count(self.key.clone(), self.subscribers.len() as u64);
            }
        }
    }

    /// Takes how many are in the channel over all nodes.
    pub(super) fn counted(&mut self, counts: Counts, ctx: &mut Context<Self>) {
        if counts.at > self.counts.at {
            let before = std::mem::replace(&mut self.counts, counts);
            if before.subscriptions != counts.subscriptions {
                self.tell_count(ctx);
            }
        }
    }

    /// Returns how many subscriptions there are on all nodes.
    fn subscriptions(&self) -> u64 {
        match self.crew.membership() {
            None => self.subscribers.len() as u64,
            Some(_) => self.counts.subscriptions,
        }
    }

    fn tell_count(&mut self, ctx: &mut Context<Self>) {
        if !(self.app.subscription_count && self.can.counted) {
            return;
        }
        match self.pace.changed(self.subscriptions(), self.crew.now()) {
            Telling::Now => self.fan_out_count(),
            Telling::After(wait) => {
                ctx.run_later(wait, |channel, _| {
                    channel.guarded(|channel| {
                        channel.pace.kept(channel.crew.now());
                        channel.fan_out_count();
                    });
                });
            }
            Telling::Promised => {}
        }
    }

    fn fan_out_count(&self) {
        let frame = Frame::subscription_count(&self.key.channel, self.subscriptions());
        self.fan_out(&frame, None, None);
    }
}
