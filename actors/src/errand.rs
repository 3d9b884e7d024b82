//! What couriers are asked to do.

use actix::Message;

use crate::door::Place;
use crate::mailbox::Named;
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
    fn name(&self) -> &'static str {
        match self {
            Self::Deliver { .. } => "deliver",
            Self::Attach { .. } => "attach",
            Self::Detach { .. } => "detach",
            Self::Tell { .. } => "tell",
            Self::Refuse { .. } => "refuse",
            Self::Dismiss { .. } => "dismiss",
            Self::DismissAll { .. } => "dismiss_all",
            Self::Forget { .. } => "forget",
        }
    }
}
