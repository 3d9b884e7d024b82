//! How a presence channel of several nodes takes members in: it asks the membership, and shows them what
//! it mirrors (see `membership`).
//!
//! A join is asked (`Enter`), admitted at a position of the channel's sequence, and taken in when the
//! mirror has reached that position: so whoever is told who is there hears of every later change once.

use std::collections::BTreeMap;
use std::time::Duration;

use actix::fut::wrap_future;
use actix::{ActorFutureExt as _, AsyncContext as _, Context, SpawnHandle};

use super::presence::Presence;
use super::{ChannelActor, Join, Member};
use crate::door::Place;
use crate::membership::mirror::{Difference, Mirror, Received, Reflected};
use crate::membership::reach::SETTLING;
use crate::membership::{Enter, Leave, MembershipError, Outcome, Position, Roster, Ticket};
use crate::protocol::{Frame, UserId};
use crate::seat::Seat;
use crate::session::effect::JoinRefusal;

/// The first pause before a roster is asked for again that could not be had, or that was of no use: half of it
/// at least, so that not all channels ask together. Each further one is twice as long.
const AGAIN: Duration = Duration::from_secs(1);
/// The longest. It leaves a join that waits for the roster the time to be answered within the 5 s it has by
/// default.
const AGAIN_AT_MOST: Duration = Duration::from_secs(4);

/// Joins on their way into a presence channel.
#[derive(Default)]
pub(super) struct Entering {
    /// Wishes so far: the next one's number.
    wishes: u64,
    /// The membership has not answered yet.
    asked: BTreeMap<u64, Join>,
    /// They wait until the mirror is as far.
    admitted: Vec<Admitted>,
    /// A roster is asked for, or about to be.
    is_looking: bool,
    /// That roster will not do: what came meanwhile was not mirrored.
    is_vain: bool,
    /// Rosters one after another that could not be had.
    missed: u32,
    /// Somebody is shown whom only an earlier sequence has told of, until then.
    settling: Option<SpawnHandle>,
}

struct Admitted {
    number: u64,
    join: Join,
    position: Position,
}

impl Entering {
    pub(super) fn is_empty(&self) -> bool {
        self.asked.is_empty() && self.admitted.is_empty()
    }

    /// Returns who is on the way.
    pub(super) fn seats(&self) -> impl Iterator<Item = Seat> {
        let admitted = self.admitted.iter().map(|admitted| &admitted.join);
        self.asked.values().chain(admitted).map(|join| join.seat)
    }

    /// Takes that nothing was mirrored until now: a roster that was asked for before will not do.
    pub(super) fn begin_mirror(&mut self) {
        self.is_vain = self.is_looking;
    }

    /// Returns how long to wait before a roster is asked for again.
    fn pause(&mut self) -> Duration {
        let pause = AGAIN.saturating_mul(1 << self.missed.min(10)).min(AGAIN_AT_MOST);
        self.missed += 1;
        pause.mul_f64(rand::random_range(0.5..=1.0))
    }

    /// Takes out those that fit, with the numbers of their wishes.
    pub(super) fn take(&mut self, fits: impl Fn(&Join) -> bool) -> Vec<(u64, Join)> {
        let mut taken: Vec<_> = self.asked.extract_if(.., |_, join| fits(join)).collect();
        let admitted = self.admitted.extract_if(.., |entry| fits(&entry.join));
        taken.extend(admitted.map(|Admitted { number, join, .. }| (number, join)));
        taken
    }

    /// Takes out whom the mirror is far enough for. Where the sequence began anew meanwhile, whoever is
    /// shown is in.
    fn reached(&mut self, mirror: &Mirror) -> Vec<(u64, Join)> {
        let is_shown =
            |join: &Join| join.member.as_ref().is_some_and(|member| mirror.shows(&member.user));
        let reached = self.admitted.extract_if(.., |Admitted { position, join, .. }| {
            mirror.has_reached(position) || (!mirror.is_of(position) && is_shown(join))
        });
        reached.map(|Admitted { number, join, .. }| (number, join)).collect()
    }
}

impl ChannelActor {
    /// Asks the membership to let a connection in.
    pub(super) fn enter(&mut self, join: Join, ctx: &mut Context<Self>) {
        let Presence::Shared(mirror) = &self.presence else {
            return;
        };
        let (Some(membership), Some(member)) = (self.crew.membership(), &join.member) else {
            return self.refuse(&join, JoinRefusal::Unavailable);
        };
        let number = self.entering.wishes;
        self.entering.wishes += 1;
        membership.enter(Enter {
            key: self.key.clone(),
            ticket: Ticket { life: self.id, number },
            member: member.clone(),
            limit: self.app.limits.presence_members,
            roster: !mirror.has_begun(),
        });
        self.promise_answer(&join, ctx);
        self.entering.asked.insert(number, join);
    }

    /// Takes the answer of the membership.
    pub(super) fn entered(&mut self, ticket: Ticket, outcome: Outcome, ctx: &mut Context<Self>) {
        // an earlier life of this channel may have asked too
        if ticket.life != self.id {
            return;
        }
        // who has gone meanwhile has taken the wish back
        let Some(join) = self.entering.asked.remove(&ticket.number) else {
            return;
        };
        let admission = match outcome {
            Outcome::Admitted(admission) => admission,
            Outcome::Full => return self.refuse(&join, JoinRefusal::MembersFull),
            Outcome::Unavailable => return self.refuse(&join, JoinRefusal::Unavailable),
        };
        let Presence::Shared(mirror) = &mut self.presence else {
            return;
        };
        let received = mirror.receive(&admission);
        let is_lost = received == Received::Lost || !mirror.is_whole();
        let (number, position) = (ticket.number, admission.position);
        self.entering.admitted.push(Admitted { number, join, position });
        if let Received::Now(difference) = received {
            self.tell_difference(&difference);
        }
        self.settle_later(ctx);
        if is_lost {
            self.look(Duration::ZERO, ctx);
        }
        self.let_in();
    }

    /// Lets a connection go, or takes its wish to join back.
    pub(super) fn give_back(&self, number: u64, user: UserId) {
        if let Some(membership) = self.crew.membership() {
            let ticket = Ticket { life: self.id, number };
            membership.leave(Leave { key: self.key.clone(), ticket, user });
        }
    }

    /// Takes that a user came.
    pub(super) fn came(
        &mut self,
        at: &Position,
        member: &Member,
        place: Option<&Place>,
        ctx: &mut Context<Self>,
    ) {
        let frame = Frame::member_added(&self.key.channel, &member.user, &member.info);
        self.reflect(|mirror| mirror.joined(at, member), Some((&frame, place)), ctx);
    }

    /// Takes that a user went.
    pub(super) fn went(
        &mut self,
        at: &Position,
        user: &UserId,
        place: Option<&Place>,
        ctx: &mut Context<Self>,
    ) {
        let frame = Frame::member_removed(&self.key.channel, user);
        self.reflect(|mirror| mirror.left(at, user), Some((&frame, place)), ctx);
    }

    /// Takes that the channel had an event by which nobody came or went.
    pub(super) fn passed(&mut self, at: &Position, ctx: &mut Context<Self>) {
        self.reflect(|mirror| mirror.pass(at), None, ctx);
    }

    /// Takes that events up to here are lost.
    pub(super) fn missed(&mut self, at: &Position, ctx: &mut Context<Self>) {
        self.reflect(|mirror| mirror.miss(at), None, ctx);
    }

    pub(super) fn reflect(
        &mut self,
        change: impl FnOnce(&mut Mirror) -> Reflected,
        told: Option<(&Frame, Option<&Place>)>,
        ctx: &mut Context<Self>,
    ) {
        let Presence::Shared(mirror) = &mut self.presence else {
            return;
        };
        match change(mirror) {
            Reflected::Changed => {
                if let Some((frame, place)) = told {
                    self.fan_out(frame, None, place);
                }
            }
            Reflected::Known => {}
            // the first roster comes with an admission
            Reflected::Lost if !mirror.has_begun() => {}
            Reflected::Lost => self.look(Duration::ZERO, ctx),
        }
        self.let_in();
    }

    /// Lets those in for whom the mirror is far enough.
    fn let_in(&mut self) {
        let Presence::Shared(mirror) = &self.presence else {
            return;
        };
        for (number, join) in self.entering.reached(mirror) {
            if let Some(member) = &join.member {
                self.presence.renew(member);
            }
            self.attach(&join, number);
        }
    }

    fn tell_difference(&mut self, difference: &Difference) {
        if self.can.watched {
            return self.tell_watcher();
        }
        let channel = &self.key.channel;
        for user in &difference.went {
            self.fan_out(&Frame::member_removed(channel, user), None, None);
        }
        for Member { user, info } in &difference.came {
            self.fan_out(&Frame::member_added(channel, user, info), None, None);
        }
    }

    /// Lets those go whom only an earlier sequence has told of, when all nodes have had the time to tell
    /// of them again.
    fn settle_later(&mut self, ctx: &mut Context<Self>) {
        if let Presence::Shared(mirror) = &self.presence
            && !mirror.is_settled()
        {
            let later = ctx.run_later(SETTLING, |channel, ctx| {
                channel.guarded(|channel| channel.settle(ctx));
            });
            if let Some(sooner) = self.entering.settling.replace(later) {
                ctx.cancel_future(sooner);
            }
        }
    }

    fn settle(&mut self, ctx: &mut Context<Self>) {
        let reach = self.crew.reach();
        if !reach.is_there() || !reach.settles_in(self.crew.now()).is_zero() {
            return self.settle_later(ctx);
        }
        let Presence::Shared(mirror) = &mut self.presence else {
            return;
        };
        let difference = Difference { went: mirror.settle(), ..Difference::default() };
        self.tell_difference(&difference);
    }

    /// Asks who is there, after a wait, until there is an answer.
    pub(super) fn look(&mut self, wait: Duration, ctx: &mut Context<Self>) {
        if !std::mem::replace(&mut self.entering.is_looking, true) {
            self.look_after(wait, ctx);
        }
    }

    fn look_after(&mut self, wait: Duration, ctx: &mut Context<Self>) {
        if wait.is_zero() {
            self.look_now(ctx);
        } else {
            ctx.run_later(wait, |channel, ctx| channel.guarded(|channel| channel.look_now(ctx)));
        }
    }

    /// Asks who is there. After an outage it waits until the nodes have registered all again.
    fn look_now(&mut self, ctx: &mut Context<Self>) {
        let wait = self.crew.reach().settles_in(self.crew.now());
        if !wait.is_zero() {
            return self.look_after(wait, ctx);
        }
        let (Some(membership), Presence::Shared(mirror)) =
            (self.crew.membership().cloned(), &mut self.presence)
        else {
            return;
        };
        mirror.look();
        let key = self.key.clone();
        let looking = wrap_future(async move { membership.members(key).await });
        ctx.spawn(looking.map(|roster, channel: &mut Self, ctx| {
            channel.guarded(|channel| channel.looked(roster, ctx));
        }));
    }

    fn looked(&mut self, roster: Result<Roster, MembershipError>, ctx: &mut Context<Self>) {
        let (Ok(roster), Presence::Shared(mirror)) = (roster, &mut self.presence) else {
            let pause = self.entering.pause();
            return self.look_after(pause, ctx);
        };
        self.entering.is_looking = false;
        self.entering.missed = 0;
        let is_vain = std::mem::take(&mut self.entering.is_vain);
        if !mirror.has_reached(&roster.position) {
            let difference = mirror.replace(roster.position, roster.members);
            self.tell_difference(&difference);
            self.settle_later(ctx);
        }
        self.let_in();
        let Presence::Shared(mirror) = &self.presence else {
            return;
        };
        // more may have come than the roster has, or the sequence may have begun anew once more
        let is_of_another = |entry: &Admitted| !mirror.is_of(&entry.position);
        if is_vain || !mirror.is_whole() || self.entering.admitted.iter().any(is_of_another) {
            let pause = self.entering.pause();
            self.look(pause, ctx);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_are_never_the_whole_for_all() {
        let mut entering = Entering::default();
        for longest in [1, 2, 4, 4, 4] {
            let (pause, longest) = (entering.pause(), Duration::from_secs(longest));
            assert!((longest / 2..=longest).contains(&pause), "{pause:?} of {longest:?}");
        }
    }
}
