//! What a panic of the keeper costs: the incarnation, or the answer to a question; never the keeper.

use std::sync::Arc;
use std::time::Duration;

use actix::fut::wrap_future;
use actix::{ActorFutureExt as _, AsyncContext as _, Context};

use super::{Keeper, WHO};
use crate::lifeline::{contain, contain_task};
use crate::mailbox::{Letter, Named};

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
        ctx: &mut Context<Self>,
        work: impl FnOnce(&mut Self, M, &mut Context<Self>),
    ) {
        let taken = self.task.counters.keepers.open(&letter);
        if contain(WHO, || work(self, letter.message, ctx)).is_none() {
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

    /// Takes a new name after a panic, and looks for a connection if there is none. Should that panic too, the
    /// age of the lease tells.
    pub(super) fn recover(&mut self, ctx: &mut Context<Self>) {
        self.task.counters.keeper_panics.add(1);
        let recovered = contain(WHO, || {
            self.saying = false;
            self.former.push(Arc::clone(&self.incarnation));
            self.begin_anew(ctx);
            // what was to open one may have panicked
            if self.client.is_none() && !self.connecting {
                self.lose_touch(ctx);
            }
        });
        if recovered.is_none() {
            self.task.counters.keeper_panics.add(1);
        }
    }
}
