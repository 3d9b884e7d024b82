//! Brings frames to the sessions of one worker thread.
//!
//! Owns nothing but the thread's [`Desk`]. Started by [`crate::Node::attach_worker`], one per worker, on
//! its thread; told by channels, users and the node. Its mailbox needs no bound of its own: what comes
//! is bounded by the [`Place`](crate::door::Place) that a fan-out carries from the edge, or by the subscriptions of live
//! connections. Handlers only queue errands; a resident future does them after the mailbox is empty, a
//! turn's worth at a time, so that many frames leave in one system call and sockets are read between
//! turns. It ends with its worker.

use std::future::Future as _;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll};

use actix::fut::ActorFuture;
use actix::{Actor, Addr, AsyncContext as _, Context, Handler};

use crate::desk::{Desk, TICK};
use crate::errand::Errand;
use crate::lifeline::contain;
use crate::mailbox::Letter;
use crate::metrics::Alive;

// === State ===

/// See the module.
pub(crate) struct Courier {
    desk: Rc<Desk>,
    _alive: Alive,
}

impl Courier {
    /// Starts the courier of this thread.
    pub(crate) fn start_beside(desk: &Rc<Desk>) -> Addr<Self> {
        Self { desk: Rc::clone(desk), _alive: desk.metrics().actors.couriers.enter() }.start()
    }

    /// Has the desk do something. A panic costs what was done, and is counted.
    fn contain<R>(&self, work: impl FnOnce(&Desk) -> R) -> Option<R> {
        let result = contain("courier", || work(&self.desk));
        if result.is_none() {
            self.desk.metrics().panics.couriers.add(1);
        }
        result
    }
}

// === Lifecycle ===

impl Actor for Courier {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.spawn(Turns);
        let mut due = self.desk.now();
        ctx.run_interval(TICK, move |courier, _| {
            due = due.after(TICK);
            courier.contain(|desk| desk.on_tick(due));
        });
    }
}

/// The resident future: a turn after each emptying of the mailbox.
struct Turns;

impl ActorFuture<Courier> for Turns {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        courier: &mut Courier,
        _ctx: &mut Context<Courier>,
        task: &mut TaskContext<'_>,
    ) -> Poll<()> {
        let more = courier.contain(Desk::turn).unwrap_or(true);
        if more {
            // not `wake_by_ref`: the runtime must look at its sockets before the next turn
            let mut next_turn = std::pin::pin!(tokio::task::yield_now());
            if next_turn.as_mut().poll(task).is_ready() {
                task.waker().wake_by_ref();
            }
        }
        Poll::Pending
    }
}

// === Handlers ===

impl Handler<Letter<Errand>> for Courier {
    type Result = ();

    fn handle(&mut self, errand: Letter<Errand>, _ctx: &mut Self::Context) {
        self.desk.add(errand);
    }
}
