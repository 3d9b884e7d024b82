//! What a session wants done: the only way its rules reach the world.

use std::sync::Arc;

use crate::channel::Member;
use crate::protocol::{ChannelName, ErrorCode, Frame, UserId};

/// One thing that the shell around a [`super::Session`] must do, in the order given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send a frame on the data lane.
    Send(Frame),
    /// Send a ping control frame: what a client that pings by control frame is pinged with. Transports
    /// without control frames send [`Frame::ping`].
    ControlPing,
    /// Join a channel. The answer is `subscription_succeeded` on the data lane, or a [`Refused`].
    Subscribe(Subscription),
    /// Leave a channel, pending subscriptions included.
    Unsubscribe(ChannelName),
    /// Send `subscription_succeeded` once more for a channel already joined (`duplicate-subscribe: succeed`).
    Resend(ChannelName),
    /// Send a client event to the other subscribers.
    Whisper(Whisper),
    /// Take the identity of a user. `replies` are to be sent before anything that reaches the user.
    SignIn(SignIn),
    /// Send what is queued, then a WebSocket Close, then end.
    Close(Close),
}

/// A subscription whose signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The channel.
    pub channel: ChannelName,
    /// Tells this attempt from earlier ones of the same connection.
    pub attempt: u32,
    /// Who joins; presence channels only.
    pub member: Option<Member>,
}

/// A client event that passed the session's rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whisper {
    /// The channel.
    pub channel: ChannelName,
    /// The event's name, `client-` included.
    pub event: Arc<str>,
    /// The data as subscribers get it.
    pub data: Arc<str>,
}

/// A sign-in whose signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    /// The user.
    pub user: UserId,
    /// Whom the user watches, already cut at the limit.
    pub watchlist: Vec<UserId>,
    /// `pusher:signin_success`, and what else there is to say of it.
    pub replies: Vec<Frame>,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Close {
    /// The WebSocket close code.
    pub code: u16,
    /// The reason, at most 123 bytes.
    pub reason: &'static str,
}

impl Close {
    /// Closes with one of Pusher's codes.
    pub const fn pusher(code: ErrorCode, reason: &'static str) -> Self {
        Self { code: code.number(), reason }
    }

    /// Closes with 1008: the client breaks rules again and again (RFC 6455, section 7.4.1).
    pub const fn abuse(reason: &'static str) -> Self {
        Self { code: 1008, reason }
    }
}

/// A channel did not take a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The channel.
    pub channel: ChannelName,
    /// The attempt that is refused.
    pub attempt: u32,
    /// Why.
    pub cause: JoinRefusal,
}

/// Why a channel did not take a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinRefusal {
    /// As many users as it may have. The client's matter: it may come back later.
    #[error("presence channel member limit reached")]
    MembersFull,
    /// The node could not ask the cluster in time. Ours.
    #[error("the channel cannot be joined now")]
    Unavailable,
}
