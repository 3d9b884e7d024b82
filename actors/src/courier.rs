//! Brings frames to the sessions of one worker thread.
//!
//! Owns nothing but the thread's [`Desk`]. Started by [`crate::Node::attach_worker`], one per worker, on
//! its thread; told by channels, users and the node. Its mailbox needs no bound of its own: what comes
//! is bounded by the [`Place`] that a fan-out carries from the edge, or by the subscriptions of live
//! connections. Handlers only queue errands; a resident future does them after the mailbox is empty, a
//! turn's worth at a time, so that many frames leave in one system call and sockets are read between
//! turns. It ends with its worker.

use std::future::Future as _;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll};

use actix::fut::ActorFuture;
use actix::{Actor, Addr, AsyncContext as _, Context, Handler, Message};

use crate::desk::{Desk, TICK};
use crate::door::Place;
use crate::lifeline::contain;
use crate::metrics::Alive;
use crate::protocol::{Frame, SocketId};
use crate::session::effect::{Close, Refused};

/// A channel's number in this node: new for every life of the channel.
pub(crate) type ChannelId = u64;

/// Where a connection is found: its worker, its slot on the desk there, and its id, which tells whether
/// the slot is still its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// The worker thread.
    pub(crate) worker: u16,
    /// The place on its desk.
    pub(crate) slot: u32,
    /// The connection.
    pub(crate) socket: SocketId,
}

impl Seat {
    /// Returns the connection's id.
    pub const fn socket(&self) -> SocketId {
        self.socket
    }
}

/// What a session is told by its mailbox.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub enum Notice {
    /// The moment has come that it asked for with [`Desk::wake_at`].
    Tick,
    /// A channel did not take its subscription.
    Refused(Refused),
}

// === Commands ===

/// What a courier is asked to do. Errands are done in the order in which they came.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) enum Errand {
    /// Sends one encoded frame to every local subscriber of a channel.
    Deliver {
        channel: ChannelId,
        frame: Frame,
        /// The connection that gets no copy.
        except: Option<SocketId>,
        place: Option<Place>,
    },
    /// Makes a connection a local subscriber, and tells it so before anything else of that channel.
    Attach { seat: Seat, channel: ChannelId, replies: Vec<Frame> },
    /// Ends a local subscription.
    Detach { seat: Seat, channel: ChannelId },
    /// Sends frames to one connection.
    Tell { seat: Seat, frames: Vec<Frame> },
    /// Tells a session that a channel did not take its subscription.
    Refuse { seat: Seat, refused: Refused },
    /// Ends one connection: an error frame, then the Close.
    Dismiss { seat: Seat, error: Frame, close: Close },
    /// Ends every connection of this thread.
    DismissAll { close: Close },
    /// Frees the slot of a connection that is gone.
    Forget { seat: Seat },
}

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
}

// === Lifecycle ===

impl Actor for Courier {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.spawn(Turns);
        ctx.run_interval(TICK, |courier, _| courier.desk.on_tick());
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
        let more = contain("courier", || courier.desk.turn()).unwrap_or(true);
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

impl Handler<Errand> for Courier {
    type Result = ();

    fn handle(&mut self, errand: Errand, _ctx: &mut Self::Context) {
        self.desk.add(errand);
    }
}
