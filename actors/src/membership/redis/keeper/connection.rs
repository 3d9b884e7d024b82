//! The keeper's connection: opened, given up, and opened again after a pause.

use std::sync::Arc;
use std::time::Duration;

use actix::fut::wrap_future;
use actix::{ActorFutureExt as _, AsyncContext as _, Context};

use super::{Keeper, Standing, WHO};
use crate::lifeline::contain_task;
use crate::membership::MembershipEvent;
use crate::membership::redis::client::{Client, ConnectError};

/// The first pause before another try to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

impl Keeper {
    pub(super) fn connect(&mut self, ctx: &mut Context<Self>) {
        self.connecting = true;
        let task = Arc::clone(&self.task);
        let opening = async move { contain_task(WHO, task.open_client()).await };
        ctx.spawn(wrap_future(opening).map(|opened, keeper: &mut Self, ctx| {
            keeper.connecting = false;
            if let Some(opened) = opened {
                keeper.guarded(ctx, |keeper, ctx| keeper.connected(opened, ctx));
            } else {
                // it had nothing of the keeper's in hand: what was said holds
                keeper.task.counters.keeper_panics.add(1);
                keeper.guarded(ctx, Self::lose_touch);
            }
        }));
    }

    fn connected(&mut self, opened: Result<Client, ConnectError>, ctx: &mut Context<Self>) {
        match opened {
            Ok(client) => {
                self.client = Some(client);
                self.generation += 1;
                self.renew(ctx);
            }
            Err(error) => {
                if self.failures <= 1 {
                    let partition = self.task.partition.index();
                    log::warn!(partition, error:% = error; "membership: redis cannot be reached");
                }
                self.lose_touch(ctx);
            }
        }
    }

    /// Gives the connection up and opens another after a pause, if none is on its way.
    pub(super) fn lose_touch(&mut self, ctx: &mut Context<Self>) {
        self.client = None;
        self.renewing = false;
        self.saying = false;
        if self.standing == Standing::Alive {
            self.standing = Standing::Known;
        }
        self.ledger.lose_touch();
        self.task.line.turn_away();
        self.set_reachable(false);
        self.task.counters.failures.add(1);
        if self.connecting {
            return;
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.max(self.panics).min(10));
        self.failures += 1;
        let pause = pause.min(self.task.options.reconnect);
        self.connecting = true;
        Self::later(ctx, pause.mul_f64(rand::random_range(0.5..=1.0)), |keeper, ctx| {
            keeper.connecting = false;
            if keeper.standing != Standing::Retired {
                keeper.connect(ctx);
            }
        });
    }

    pub(super) fn set_reachable(&mut self, reachable: bool) {
        if std::mem::replace(&mut self.reachable, reachable) != reachable {
            self.emit(MembershipEvent::Reachable(reachable));
        }
    }
}
