//! What a panic of the keeper costs: the incarnation, the answer to a question, what the node is told; never the keeper.

use std::time::Duration;

use actix::fut::wrap_future;
use actix::{ActorFutureExt as _, AsyncContext as _, Context};

use super::{Keeper, Standing, WHO};
use crate::lifeline::{contain, contain_task};
use crate::mailbox::{Letter, Named};
use crate::membership::MembershipEvent;

/// How long it goes on without a panic until the next one counts as the first.
const CALM: Duration = Duration::from_mins(1);

impl Keeper {
    /// Takes a message, and counts it.
    pub(super) fn take<M: Named>(
        &mut self,
        letter: Letter<M>,
        ctx: &mut Context<Self>,
        work: impl FnOnce(&mut Self, M, &mut Context<Self>),
    ) {
        let taken = self.task.counters.keepers.open(&letter);
        self.guarded(ctx, |keeper, ctx| work(keeper, letter.message, ctx));
        self.task.counters.keepers.done(taken);
    }

    /// As [`Self::take`], for what only asks: a panic costs the answer.
    pub(in crate::membership::redis) fn take_question<M: Named>(
        &mut self,
        letter: Letter<M>,
        work: impl FnOnce(&mut Self, M),
    ) {
        let taken = self.task.counters.keepers.open(&letter);
        if contain(WHO, || work(self, letter.message)).is_none() {
            self.task.counters.keeper_panics.add(1);
        }
        self.task.counters.keepers.done(taken);
    }

    /// Does something beside the actor, then goes on with what came of it.
    pub(super) fn beside<T: 'static>(
        ctx: &mut Context<Self>,
        work: impl Future<Output = T> + 'static,
        then: impl FnOnce(&mut Self, T, &mut Context<Self>) + 'static,
    ) {
        let done = wrap_future(contain_task(WHO, work));
        ctx.spawn(done.map(move |result, keeper: &mut Self, ctx| match result {
            Some(result) => keeper.guarded(ctx, |keeper, ctx| then(keeper, result, ctx)),
            None => keeper.recover(ctx),
        }));
    }

    /// Does something after a pause.
    pub(super) fn later(
        ctx: &mut Context<Self>,
        pause: Duration,
        work: impl FnOnce(&mut Self, &mut Context<Self>) + 'static,
    ) {
        ctx.run_later(pause, move |keeper, ctx| keeper.guarded(ctx, work));
    }

    /// Carries out something; if it panics, the ledger is told anew from what is left of it.
    pub(super) fn guarded(
        &mut self,
        ctx: &mut Context<Self>,
        work: impl FnOnce(&mut Self, &mut Context<Self>),
    ) {
        if contain(WHO, || work(self, ctx)).is_none() {
            self.recover(ctx);
        }
    }

    /// Takes a new name after a panic and gives the connection up. Should that panic too, nothing is said any
    /// more: the age of the lease tells.
    fn recover(&mut self, ctx: &mut Context<Self>) {
        self.task.counters.keeper_panics.add(1);
        if self.standing == Standing::Retired {
            return;
        }
        self.client = None;
        let now = self.clock.now();
        let soon = now.since(self.panicked_at) < CALM;
        self.panics = if soon { self.panics.saturating_add(1) } else { 1 };
        self.panicked_at = now;
        let recovered = contain(WHO, || {
            // under a name that Redis does not know nothing was said
            if self.standing != Standing::New {
                self.keep_former();
                self.rename();
            }
            self.lose_touch(ctx);
        });
        if recovered.is_none() {
            self.task.counters.keeper_panics.add(1);
        }
    }

    /// Tells the node something. A panic there costs what is told.
    pub(super) fn emit(&self, event: MembershipEvent) {
        if contain(WHO, || (self.task.sink)(event)).is_none() {
            self.task.counters.keeper_panics.add(1);
        }
    }
}
