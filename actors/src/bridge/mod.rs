//! The contract of what carries events between nodes. A broker is an actor that takes three commands
//! and emits [`BridgeEvent`]s; it knows nothing of channels or registries.
//!
//! Order: whatever is relayed for one channel reaches every follower, the sender included, once and in
//! one order. After [`BridgeEvent::Followed`] nothing that is relayed later is missed.

pub mod loopback;
pub mod redis;
pub mod watch;
pub mod wire;

use std::sync::Arc;
use std::time::Duration;

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Handler, Message, Recipient};
use bytestring::ByteString;
use tokio::sync::oneshot;

use self::watch::BridgeWatch;
use crate::channel::Member;
use crate::door::Place;
use crate::facts::Repeatable;
use crate::mailbox::names::BRIDGE;
use crate::mailbox::{Letter, Named, Postbox};
use crate::membership::{Counts, Position};
use crate::protocol::{ChannelKey, EventName, SocketId, UserId};

/// What nodes tell each other about a channel.
#[derive(Clone)]
pub enum Relayed {
    /// A backend triggered an event.
    Published {
        /// The event's name.
        event: EventName,
        /// Its data.
        data: ByteString,
        /// The connection, on whichever node, that gets no copy.
        except: Option<SocketId>,
    },
    /// A subscriber sent a client event, which its own node has delivered already.
    Whispered {
        /// The event's name.
        event: Arc<str>,
        /// Its data.
        data: Arc<str>,
        /// The sender, on presence channels.
        user: Option<UserId>,
        /// The sender's connection.
        socket: SocketId,
    },
    /// Every connection that is signed in as this user's channel says is to be closed.
    Terminated,
    /// A user came to a presence channel.
    Joined(Member),
    /// A user went from a presence channel.
    Left(UserId),
    /// How many are in the channel over all nodes.
    Counted(Counts),
    /// The channel has its first subscription on any node.
    Occupied,
    /// The channel has no subscription any more on any node.
    Vacated,
    /// Nothing that is to be told, but it has its place in the channel's sequence.
    Nothing,
    /// What stood here or before cannot be told: whoever counts by positions is to ask.
    Missing,
}

impl std::fmt::Debug for Relayed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Published { .. } => "Published",
            Self::Whispered { .. } => "Whispered",
            Self::Terminated => "Terminated",
            Self::Joined(_) => "Joined",
            Self::Left(_) => "Left",
            Self::Counted(_) => "Counted",
            Self::Occupied => "Occupied",
            Self::Vacated => "Vacated",
            Self::Nothing => "Nothing",
            Self::Missing => "Missing",
        })
    }
}

/// An event that the bridge remembers for a cache channel.
#[derive(Clone)]
pub struct Remembered {
    /// The event's name.
    pub event: EventName,
    /// Its data.
    pub data: ByteString,
    /// How long it is still remembered.
    pub expires_in: Duration,
}

/// Has an event be published once, however often its request comes, to whichever nodes.
#[derive(Debug, Clone, Copy)]
pub struct Once {
    /// The request.
    pub request: Repeatable,
    /// The event's place in the request.
    pub place: usize,
}

// === Commands ===

/// Sends something to every node that follows the channel.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Relay {
    /// The channel.
    pub key: ChannelKey,
    /// What is told.
    pub body: Relayed,
    /// For how long it is kept as the channel's last event; cache channels only.
    pub remember: Option<Duration>,
    /// Whether this node is told too; a whisper is not.
    pub to_self: bool,
    /// Nothing is sent where it was before; only to a bridge that [knows](BridgeHandle::knows_repeats) that.
    pub once: Option<Once>,
    /// Told when the bridge has taken it for good, or could not.
    pub done: Option<oneshot::Sender<Result<(), BridgeError>>>,
    /// Free again when the bridge is done with it.
    pub(crate) place: Option<Place>,
}

impl Relay {
    /// Builds a relay that nobody waits for, that is told to this node too, and that is not remembered.
    pub fn new(key: ChannelKey, body: Relayed) -> Self {
        Self { key, body, remember: None, to_self: true, once: None, done: None, place: None }
    }
}

/// Starts to follow a channel. Answered by [`BridgeEvent::Followed`].
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Follow {
    /// The channel.
    pub key: ChannelKey,
    /// Tells this wish from earlier ones; the answer has it too.
    pub wish: u64,
}

/// Stops following a channel.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Unfollow {
    /// The channel.
    pub key: ChannelKey,
}

impl Named for Relay {
    fn index(&self) -> usize {
        const { BRIDGE.index("relay") }
    }
}

impl Named for Follow {
    fn index(&self) -> usize {
        const { BRIDGE.index("follow") }
    }
}

impl Named for Unfollow {
    fn index(&self) -> usize {
        const { BRIDGE.index("unfollow") }
    }
}

// === Events ===

/// What a bridge tells its node.
pub enum BridgeEvent {
    /// Something was relayed by a node, perhaps this one.
    RemotePublished {
        /// The channel.
        key: ChannelKey,
        /// What is told.
        body: Relayed,
        /// Its place in the channel's sequence, if it has one; presence channels and users' channels only.
        position: Option<Position>,
        /// Let go when it has been handed to the workers.
        held: Held,
    },
    /// A channel is followed from now on.
    Followed {
        /// The channel.
        key: ChannelKey,
        /// The wish that this answers.
        wish: u64,
        /// Its last event; cache channels only.
        remembered: Option<Remembered>,
    },
}

/// What bounds the events that a bridge has emitted and its node has not yet handed on.
#[derive(Debug, Clone, Default)]
pub struct Held(pub(crate) Option<Place>);

/// Where a bridge emits its events. Never blocks.
pub type BridgeSink = Arc<dyn Fn(BridgeEvent) + Send + Sync>;

/// Why a bridge did not take what it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BridgeError {
    /// The broker refused it: nothing was sent.
    #[error("the broker did not take it")]
    Refused,
    /// The broker cannot be reached: nothing was sent.
    #[error("the broker cannot be reached")]
    Unreachable,
    /// The broker did not answer: it may have been sent.
    #[error("the broker did not answer")]
    TimedOut,
    /// It belongs to another request than the one that the broker knows by its key: nothing was sent.
    #[error("the key is that of another request")]
    Different,
}

/// The addresses of a bridge.
#[derive(Clone)]
pub struct BridgeHandle {
    relay: Postbox<Recipient<Letter<Relay>>>,
    follow: Postbox<Recipient<Letter<Follow>>>,
    unfollow: Postbox<Recipient<Letter<Unfollow>>>,
    /// Says whether it is whole, and what it has counted.
    pub watch: Arc<BridgeWatch>,
    /// Whether it heeds [`Relay::once`].
    pub knows_repeats: bool,
}

impl BridgeHandle {
    /// Makes the handle of an actor that takes the three commands, and opens them in the watch's mailbox.
    pub fn new<A>(bridge: &Addr<A>, watch: Arc<BridgeWatch>) -> Self
    where
        A: Actor + Handler<Letter<Relay>> + Handler<Letter<Follow>> + Handler<Letter<Unfollow>>,
        A::Context: ToEnvelope<A, Letter<Relay>>
            + ToEnvelope<A, Letter<Follow>>
            + ToEnvelope<A, Letter<Unfollow>>,
    {
        let mail = || watch.mail.clone();
        Self {
            relay: Postbox::new(bridge.clone().recipient(), mail()),
            follow: Postbox::new(bridge.clone().recipient(), mail()),
            unfollow: Postbox::new(bridge.clone().recipient(), mail()),
            watch,
            knows_repeats: false,
        }
    }

    /// Sends [`Relay`]. Bounded by the place that it holds.
    pub fn relay(&self, relay: Relay) {
        self.relay.tell(relay);
    }

    /// Sends [`Follow`]. Bounded by live channels.
    pub fn follow(&self, key: ChannelKey, wish: u64) {
        self.follow.tell(Follow { key, wish });
    }

    /// Sends [`Unfollow`]. Bounded by live channels.
    pub fn unfollow(&self, key: ChannelKey) {
        self.unfollow.tell(Unfollow { key });
    }
}
