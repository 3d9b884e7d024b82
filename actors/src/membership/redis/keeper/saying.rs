//! How the keeper says what is to be said: one batch after another, and what becomes of each number in it.

use std::iter;
use std::sync::Arc;

use actix::Context;
use redis::{Cmd, RedisResult, Value};

use super::{Keeper, Standing};
use crate::membership::redis::answers::{self, Answer, Turn};
use crate::membership::redis::calls::Writer;
use crate::membership::redis::client::{Client, is_elsewhere};
use crate::membership::redis::ledger::{Saying, Slot};
use crate::membership::redis::row::Heard;
use crate::membership::{Admission, Counts, MembershipEvent, Outcome, Roster};
use crate::protocol::ChannelKey;

type Answers = RedisResult<Vec<RedisResult<Value>>>;

impl Keeper {
    /// Says what is to be said, unless something is under way.
    pub(super) fn speak(&mut self, ctx: &mut Context<Self>) {
        if self.saying || self.standing != Standing::Alive {
            return;
        }
        let Some(client) = self.client.clone() else {
            return;
        };
        let sayings = self.ledger.take(self.task.options.batch);
        if sayings.is_empty() {
            return self.retire_former(client, ctx);
        }
        self.saying = true;
        let commands: Vec<Cmd> = sayings.iter().map(|saying| self.call(saying)).collect();
        let batch: Vec<Slot> = sayings.into_iter().map(Saying::into_slot).collect();
        let (generation, incarnation) = (self.generation, Arc::clone(&self.incarnation));
        let sending = async move { client.send(&commands).await };
        Self::beside(ctx, sending, move |keeper, answers, ctx| {
            // over an older connection, it was given up already
            if keeper.generation != generation || keeper.client.is_none() {
                return;
            }
            keeper.saying = false;
            if keeper.incarnation == incarnation {
                keeper.said(batch, answers, ctx);
            } else {
                keeper.speak(ctx);
            }
        });
    }

    fn call(&self, saying: &Saying) -> Cmd {
        let writer = Writer::Node(&self.incarnation, self.generation);
        let (calls, announcer) = (&self.task.calls, &*self.task.announcer);
        match saying {
            Saying::Member(key, user, said) => calls.member(writer, key, user, said, announcer),
            Saying::Count(key, subscriptions) => {
                calls.count(writer, key, *subscriptions, announcer)
            }
        }
    }

    fn said(&mut self, batch: Vec<Slot>, answers: Answers, ctx: &mut Context<Self>) {
        let answers = match answers {
            Ok(answers) => answers,
            Err(error) => {
                log::warn!(error:% = error; "membership: a batch got no answer");
                return self.lose_touch(ctx);
            }
        };
        let (mut turn, mut refused) = (Then::Pause, None);
        for (slot, answer) in batch.into_iter().zip(answers) {
            let then = match slot {
                Slot::Member(..) => self.heard_member(slot, answer.and_then(answers::member_set)),
                Slot::Count(_) => self.heard_count(slot, answer.and_then(answers::count_set)),
            };
            let then = then.unwrap_or_else(|error| {
                self.task.counters.failures.add(1);
                let then = if is_elsewhere(&error) { Then::LoseTouch } else { Then::Pause };
                refused.get_or_insert(error);
                then
            });
            turn = turn.max(then);
        }
        if let Some(error) = refused {
            log::warn!(error:% = error; "membership: redis refused a command, or more");
        }
        match turn {
            Then::GoOn => self.speak(ctx),
            Then::Pause => {
                self.saying = true;
                let generation = self.generation;
                Self::later(ctx, self.task.options.refine, move |keeper, ctx| {
                    if keeper.generation == generation && keeper.client.is_some() {
                        keeper.saying = false;
                        keeper.speak(ctx);
                    }
                });
            }
            Then::BeginAnew => self.begin_anew(ctx),
            Then::LoseTouch => self.lose_touch(ctx),
        }
    }

    fn heard_member(
        &mut self,
        slot: Slot,
        answer: RedisResult<Answer<answers::MemberSet>>,
    ) -> RedisResult<Then> {
        let key = slot.channel().clone();
        Ok(match self.done(&slot, answer)? {
            Answer::Done(set) => {
                self.task.counters.told.add(1);
                for wish in self.ledger.hear(slot, Heard::Done) {
                    let Roster { position, members, counts } = set.roster.clone();
                    let roster = wish.roster.then_some(members);
                    let outcome = Outcome::Admitted(Admission { position, roster, counts });
                    let (key, ticket) = (key.clone(), wish.ticket);
                    self.emit(MembershipEvent::Entered { key, ticket, outcome });
                }
                self.tell(&key, set.occupancy, set.roster.counts);
                Then::GoOn
            }
            Answer::Full => {
                for wish in self.ledger.hear(slot, Heard::Full) {
                    let (key, ticket, outcome) = (key.clone(), wish.ticket, Outcome::Full);
                    self.emit(MembershipEvent::Entered { key, ticket, outcome });
                }
                Then::GoOn
            }
            Answer::Gone => self.unheard(slot, Then::BeginAnew),
            Answer::Refused => self.unheard(slot, Then::LoseTouch),
        })
    }

    fn heard_count(
        &mut self,
        slot: Slot,
        answer: RedisResult<Answer<answers::CountSet>>,
    ) -> RedisResult<Then> {
        Ok(match self.done(&slot, answer)? {
            Answer::Done(set) => {
                self.task.counters.told.add(1);
                self.tell(slot.channel(), set.occupancy, set.counts);
                self.ledger.hear(slot, Heard::Done);
                Then::GoOn
            }
            Answer::Gone => self.unheard(slot, Then::BeginAnew),
            Answer::Full | Answer::Refused => self.unheard(slot, Then::LoseTouch),
        })
    }

    /// Returns what was done. What failed is said again later, and costs nothing else but its own channel.
    fn done<T>(&mut self, slot: &Slot, answer: RedisResult<T>) -> RedisResult<T> {
        answer.inspect_err(|_| self.ledger.refuse(slot.clone()))
    }

    fn unheard(&mut self, slot: Slot, then: Then) -> Then {
        self.ledger.hear(slot, Heard::Unknown);
        then
    }

    fn tell(&self, key: &ChannelKey, occupancy: Turn, counts: Counts) {
        news(key, occupancy, counts).for_each(|event| self.emit(event));
    }

    /// Lets former incarnations go, once nobody is missed by it.
    fn retire_former(&mut self, client: Client, ctx: &mut Context<Self>) {
        if self.former.is_empty() || !self.ledger.is_settled() {
            return;
        }
        let former = std::mem::take(&mut self.former);
        let retire: Vec<_> = former.iter().map(|former| self.task.calls.retire(former)).collect();
        let sending = async move { client.send(&retire).await };
        Self::beside(ctx, sending, |keeper, answers, _| {
            // if it was not heard, their leases end by themselves
            if answers.is_err() {
                keeper.task.counters.failures.add(1);
            }
        });
    }
}

/// What a batch leaves to do: the last of what its answers call for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Then {
    /// Nothing of it was done.
    Pause,
    GoOn,
    BeginAnew,
    LoseTouch,
}

/// Returns what the node is told of what a command left of a channel.
pub(in crate::membership::redis) fn news(
    key: &ChannelKey,
    occupancy: Turn,
    counts: Counts,
) -> impl Iterator<Item = MembershipEvent> {
    let turned = match occupancy {
        Turn::Came => Some(MembershipEvent::Occupied { key: key.clone() }),
        Turn::Went => Some(MembershipEvent::Vacated { key: key.clone() }),
        Turn::Stayed => None,
    };
    iter::once(MembershipEvent::Counted { key: key.clone(), counts }).chain(turned)
}
