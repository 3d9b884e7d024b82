//! Where a connection sits, and what it is told there.

use actix::Message;

use crate::mailbox::Named;
use crate::mailbox::names::SESSION;
use crate::protocol::SocketId;
use crate::session::effect::Refused;

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
    /// The moment has come that it asked for with [`Desk::wake_at`](crate::Desk::wake_at).
    Tick,
    /// A channel did not take its subscription.
    Refused(Refused),
}

impl Named for Notice {
    fn index(&self) -> usize {
        match self {
            Self::Tick => const { SESSION.index("tick") },
            Self::Refused(_) => const { SESSION.index("refused") },
        }
    }
}
