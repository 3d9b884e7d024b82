//! The node: the one value that owns everything, and the door through which the edge reaches it.

use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;

use crate::config::{App, Apps};
use crate::limits::NodeLimits;
use crate::protocol::{ChannelName, EventName, SocketId, UserId};

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

/// What is known of a channel at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChannelFacts {
    /// Subscriptions, one per connection. Occupied = more than none.
    pub subscriptions: u64,
    /// Distinct users; presence channels only, else 0.
    pub users: u64,
    /// The remembered event; cache channels only.
    pub cached: Option<CachedEvent>,
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
    /// The node is shutting down, or the part that was asked is gone; nothing is known of the outcome.
    #[error("the node is stopping")]
    Stopped,
    /// No answer in time; the command may still be carried out.
    #[error("the node did not answer in time")]
    TimedOut,
}

/// The typed door of a node. Cheap to clone; may travel between threads.
#[derive(Clone)]
pub struct NodeHandle {
    apps: Arc<Apps>,
    limits: Arc<NodeLimits>,
}

impl NodeHandle {
    /// Returns the applications.
    pub fn apps(&self) -> &Apps {
        &self.apps
    }

    /// Returns the limits.
    pub fn limits(&self) -> &NodeLimits {
        &self.limits
    }

    /// Publishes events in their order: all of them or, on an error, none.
    ///
    /// # Errors
    /// [`NodeError::Busy`] when a queue is full, [`NodeError::Stopped`] while shutting down.
    pub async fn publish(&self, app: &Arc<App>, events: Vec<Publication>) -> Result<(), NodeError> {
        let _ = (app, events);
        Err(NodeError::Stopped)
    }

    /// As [`Self::publish`], and returns for each event what is known of its channel at that moment.
    ///
    /// # Errors
    /// As [`Self::publish`], and [`NodeError::TimedOut`].
    pub async fn publish_and_describe(
        &self,
        app: &Arc<App>,
        events: Vec<Publication>,
    ) -> Result<Vec<ChannelFacts>, NodeError> {
        let _ = (app, events);
        Err(NodeError::Stopped)
    }

    /// Returns what is known of a channel; of an unknown one, the default.
    ///
    /// # Errors
    /// [`NodeError`] when the registry cannot be asked.
    pub async fn describe(
        &self,
        app: &Arc<App>,
        channel: ChannelName,
    ) -> Result<ChannelFacts, NodeError> {
        let _ = (app, channel);
        Err(NodeError::Stopped)
    }

    /// Returns the occupied, listed channels whose names start with `prefix`.
    ///
    /// # Errors
    /// [`NodeError`] when the registry cannot be asked.
    pub async fn channels(
        &self,
        app: &Arc<App>,
        prefix: &str,
    ) -> Result<Vec<(ChannelName, ChannelFacts)>, NodeError> {
        let _ = (app, prefix);
        Err(NodeError::Stopped)
    }

    /// Returns the users of a presence channel.
    ///
    /// # Errors
    /// [`NodeError`] when the registry cannot be asked.
    pub async fn members(
        &self,
        app: &Arc<App>,
        channel: ChannelName,
    ) -> Result<Vec<UserId>, NodeError> {
        let _ = (app, channel);
        Err(NodeError::Stopped)
    }

    /// Closes every connection that is signed in as `user`.
    ///
    /// # Errors
    /// [`NodeError`] when the registry cannot be told.
    pub async fn terminate(&self, app: &Arc<App>, user: UserId) -> Result<(), NodeError> {
        let _ = (app, user);
        Err(NodeError::Stopped)
    }
}
