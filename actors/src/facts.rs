//! What the edge tells a node and learns from it: events, counts, and why something was not done.

use std::time::Duration;

use bytestring::ByteString;

use crate::protocol::{ChannelName, EventName, SocketId};

/// One event for one channel.
#[derive(Clone)]
pub struct Publication {
    /// Where it goes.
    pub channel: ChannelName,
    /// Its name.
    pub event: EventName,
    /// Its data, delivered byte for byte.
    pub data: ByteString,
    /// The connection that gets no copy.
    pub except: Option<SocketId>,
}

/// Makes a request known when it comes again, to whichever node: what it publishes is then published once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeatable {
    /// The digest of what names the request, within its application.
    pub key: [u8; 32],
    /// The digest of what it says.
    pub request: [u8; 32],
}

/// What is known of a channel at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChannelFacts {
    /// Subscriptions, one per connection. Occupied = more than none.
    pub subscriptions: u64,
    /// Distinct users; presence channels only, else 0.
    pub users: u64,
    /// The remembered event; cache channels only.
    pub cached: Option<CachedEvent>,
    /// The other nodes could not be asked: the numbers are what this node knows.
    pub partial: bool,
}

/// A list, and whether it is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// What is listed.
    pub items: Vec<T>,
    /// The other nodes could not be asked: it is what this node knows.
    pub partial: bool,
}

/// The event that a cache channel remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedEvent {
    /// Its data.
    pub data: ByteString,
    /// How long it is still remembered.
    pub expires_in: Duration,
}

/// Why the node did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// A queue is at its bound; nothing was done. Try again in a second.
    #[error("the node is busy")]
    Busy,
    /// The node is starting or shutting down, or the part that was asked is gone; nothing was done.
    #[error("the node is stopping")]
    Stopped,
    /// No answer in time; the command may still be carried out.
    #[error("the node did not answer in time")]
    TimedOut,
    /// The bridge to the other nodes did not take it; nothing was done.
    #[error("the other nodes cannot be reached")]
    Unreachable,
    /// Another request had this one's key; of this one, nothing went to the channels of that one.
    #[error("the key is that of another request")]
    Different,
}
