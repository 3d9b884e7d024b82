//! What couriers are asked to do.

use actix::Message;

use crate::door::Place;
use crate::mailbox::Named;
use crate::mailbox::names::COURIER;
use crate::protocol::{Frame, SocketId};
use crate::seat::{ChannelId, Seat};
use crate::session::effect::{Close, Refused};

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

impl Named for Errand {
    fn index(&self) -> usize {
        match self {
            Self::Deliver { .. } => const { COURIER.index("deliver") },
            Self::Attach { .. } => const { COURIER.index("attach") },
            Self::Detach { .. } => const { COURIER.index("detach") },
            Self::Tell { .. } => const { COURIER.index("tell") },
            Self::Refuse { .. } => const { COURIER.index("refuse") },
            Self::Dismiss { .. } => const { COURIER.index("dismiss") },
            Self::DismissAll { .. } => const { COURIER.index("dismiss_all") },
            Self::Forget { .. } => const { COURIER.index("forget") },
        }
    }
}
