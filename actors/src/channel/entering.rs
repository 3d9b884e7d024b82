//! How a presence channel of several nodes takes members in: it asks the membership, and shows them what
//! it mirrors (see `membership`).
//!
//! A join is asked (`Enter`), admitted at a position of the channel's sequence, and taken in when the
//! mirror has reached that position: so whoever is told who is there hears of every later change once.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use actix::fut::wrap_future;
use actix::{ActorFutureExt as _, AsyncContext as _, Context};

use super::presence::Presence;
use super::{ChannelActor, Join, Member};
use crate::door::Place;
use crate::membership::mirror::{Difference, Mirror, Received, Reflected};
use crate::membership::{Enter, Leave, Outcome, Position, Roster, Ticket};
use crate::protocol::{Frame, UserId};
use crate::seat::Seat;
use crate::session::effect::JoinRefusal;

/// The pause before a roster is asked for again that could not be had, or that was of no use.
const AGAIN: Duration = Duration::from_secs(1);

/// Joins on their way into a presence channel.
#[derive(Default)]
pub(super) struct Entering {
    /// Wishes so far: the next one's number.
    wishes: u64,
    /// The membership has not answered yet.
    asked: BTreeMap<u64, Join>,
    /// They wait until the mirror is as far; those of lower positions first.
    admitted: VecDeque<Admitted>,
    /// A roster is asked for.
    is_looking: bool,
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

    /// Takes out those that fit, with the numbers of their wishes.
    pub(super) fn take(&mut self, fits: impl Fn(&Join) -> bool) -> Vec<(u64, Join)> {
        let mut taken: Vec<_> = self.asked.extract_if(.., |_, join| fits(join)).collect();
        let (out, stay) =
            std::mem::take(&mut self.admitted).into_iter().partition(|entry| fits(&entry.join));
        self.admitted = stay;
        let out: VecDeque<Admitted> = out;
        taken.extend(out.into_iter().map(|Admitted { number, join, .. }| (number, join)));
        taken
    }

    /// Takes out whom the mirror is far enough for.
    fn reached(&mut self, mirror: &Mirror) -> Vec<(u64, Join)> {
        let mut reached = Vec::new();
        while let Some(Admitted { number, join, .. }) =
            self.admitted.pop_front_if(|entry| mirror.has_reached(&entry.position))
        {
            reached.push((number, join));
        }
        reached
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
        let (number, position) = (ticket.number, admission.position);
        self.entering.admitted.push_back(Admitted { number, join, position });
        match received {
            Received::Now(difference) => self.tell_difference(&difference),
            Received::Wait => {}
            Received::Lost => self.look(Duration::ZERO, ctx),
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

    pub(super) fn reflect(
        &mut self,
        change: impl FnOnce(&mut Mirror) -> Reflected,
        told: Option<(&Frame, Option<&Place>)>,
        ctx: &mut Context<Self>,
    ) {
        let Presence::Shared(mirror) = &mut self.presence else {
            return;
        };
        // before there is a roster, nobody is told of its changes
        if !mirror.has_begun() {
            return;
        }
        match change(mirror) {
            Reflected::Changed => {
                if let Some((frame, place)) = told {
                    self.fan_out(frame, None, place);
                }
            }
            Reflected::Known => {}
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

    /// Asks who is there, after a wait, until there is an answer. After an outage it waits until the
    /// nodes have registered all again.
    pub(super) fn look(&mut self, wait: Duration, ctx: &mut Context<Self>) {
        let Some(membership) = self.crew.membership().cloned() else {
            return;
        };
        if std::mem::replace(&mut self.entering.is_looking, true) {
            return;
        }
        let (crew, key) = (self.crew.clone(), self.key.clone());
        let looking = async move {
            let mut wait = wait;
            loop {
                tokio::time::sleep(wait).await;
                wait = crew.reach().settles_in(crew.now());
                if !wait.is_zero() {
                    continue;
                }
                match membership.members(key.clone()).await {
                    Ok(roster) => return roster,
                    Err(_) => wait = AGAIN,
                }
            }
        };
        ctx.spawn(wrap_future(looking).map(Self::looked));
    }

    fn looked(roster: Roster, channel: &mut Self, ctx: &mut Context<Self>) {
        channel.entering.is_looking = false;
        let Presence::Shared(mirror) = &mut channel.presence else {
            return;
        };
        if !mirror.has_reached(&roster.position) {
            let difference = mirror.replace(roster.position, roster.members);
            channel.tell_difference(&difference);
        }
        channel.let_in();
        let Presence::Shared(mirror) = &channel.presence else {
            return;
        };
        // the sequence may have begun anew once more
        if channel.entering.admitted.iter().any(|entry| !mirror.is_of(&entry.position)) {
            channel.look(AGAIN, ctx);
        }
    }
}
