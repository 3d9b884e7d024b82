//! How connections come to a channel and go: subscriptions, members, counts (protocol sections 3.4 to 3.9).

use actix::{AsyncContext as _, Context};

use super::count::Telling;
use super::roster::Arrival;
use super::{ChannelActor, Join, Subscriber, UNREACHABLE};
use crate::errand::Errand;
use crate::protocol::{ErrorCode, Frame};
use crate::seat::Seat;
use crate::session::effect::{Close, JoinRefusal, Refused};

impl ChannelActor {
    pub(super) fn join(&mut self, join: Join, ctx: &mut Context<Self>) {
        if let Some(waiting) = &mut self.joining {
            let (seat, attempt) = (join.seat, join.attempt);
            waiting.push(join);
            ctx.run_later(self.crew.join_wait(), move |channel, ctx| {
                channel.give_up(seat, attempt);
                channel.tell_if_vacant(ctx);
            });
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

    /// Turns a join away that still waits for the bridge.
    fn give_up(&mut self, seat: Seat, attempt: u32) {
        let Some(waiting) = &mut self.joining else {
            return;
        };
        let is_it = |join: &Join| join.seat == seat && join.attempt == attempt;
        let Some(index) = waiting.iter().position(is_it) else {
            return;
        };
        let join = waiting.remove(index);
        if join.replies.is_some() {
            self.dismiss(seat, UNREACHABLE);
        } else {
            self.refuse(&join, JoinRefusal::Unavailable);
        }
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
            let replay = self.cache.replay(self.crew.now());
            frames.push(replay.unwrap_or_else(|| Frame::cache_miss(channel)));
        }
        frames
    }

    fn refuse(&self, join: &Join, cause: JoinRefusal) {
        let (channel, attempt) = (self.key.channel.clone(), join.attempt);
        let refused = Refused { channel, attempt, cause };
        self.errand(join.seat, Errand::Refuse { seat: join.seat, refused });
    }

    pub(super) fn resend(&mut self, seat: Seat) {
        let frame = if self.can.members {
            Frame::presence_succeeded(&self.key.channel, self.roster.members())
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
        let mut unanswered = usize::from(answer);
        if let Some(waiting) = &mut self.joining {
            let before = waiting.len();
            waiting.retain(|join| join.seat != seat);
            // a join that is taken back is not answered otherwise
            unanswered += before - waiting.len();
        }
        for _ in 0..unanswered {
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

    /// Closes the connections of all subscribers, and of those who wait to become one.
    pub(super) fn dismiss_all(&self, why: (ErrorCode, &'static str)) {
        let subscribed = self.subscribers.values().map(|subscriber| subscriber.seat);
        let waiting = self.joining.iter().flatten().map(|join| join.seat);
        for seat in subscribed.chain(waiting) {
            self.dismiss(seat, why);
        }
    }

    pub(super) fn dismiss(&self, seat: Seat, (code, reason): (ErrorCode, &'static str)) {
        let (error, close) = (Frame::error(Some(code), reason), Close::pusher(code, reason));
        self.errand(seat, Errand::Dismiss { seat, error, close });
    }

    fn tell_count(&mut self, ctx: &mut Context<Self>) {
        if !(self.app.subscription_count && self.can.counted) {
            return;
        }
        match self.pace.changed(self.subscribers.len(), self.crew.now()) {
            Telling::Now => self.fan_out_count(),
            Telling::After(wait) => {
                ctx.run_later(wait, |channel, _| {
                    channel.pace.kept(channel.crew.now());
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
}
