//! The contract of who is in which channel, over all nodes.
//!
//! To join and to leave is a command and, for a join, a later event. A membership keeps for each node how
//! many connections it has for each user of a presence channel, and how many subscriptions in each
//! channel; it tells the followers of a channel, through the channel's own sequence, which users came
//! and went: exactly one event for each transition, whichever nodes a user's connections are on.
//!
//! What a node shows of a presence channel is a mirror ([`mirror::Mirror`]): a roster that an admission
//! brought, at a position of the channel's sequence, and the `joined` and `left` of higher serials.
//!
//! A node that nobody else shares channels with needs none of this: its channels know all there is.

pub mod counters;
pub(crate) mod elsewhere;
mod handle;
pub mod mirror;
pub mod reach;
pub mod redis;

use std::sync::Arc;

use actix::Message;
use bytestring::ByteString;
use tokio::sync::oneshot;

pub use self::handle::MembershipHandle;
use crate::channel::Member;
use crate::facts::CachedEvent;
use crate::mailbox::Named;
use crate::mailbox::names::KEEPER;
use crate::protocol::{AppId, ChannelKey, ChannelName, UserId};

/// Where a channel's sequence stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Which sequence: a new one after every loss of the broker's state.
    pub epoch: Arc<str>,
    /// How many events it has had.
    pub serial: u64,
}

/// Tells one wish to join from all others of its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// The life of the channel that asks.
    pub life: u64,
    /// The wish in it.
    pub number: u64,
}

/// What is known of a channel over all nodes at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Subscriptions, one per connection.
    pub subscriptions: u64,
    /// Distinct users; presence channels only, else 0.
    pub users: u64,
    /// The moment, in microseconds by the broker's clock: of two counts the later one holds.
    pub at: u64,
}

/// What the API tells of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Described {
    /// How many there are.
    pub counts: Counts,
    /// The event that it remembers; cache channels only.
    pub cached: Option<CachedEvent>,
}

// === Commands ===

/// Takes one connection of a user into a presence channel. Answered once by [`MembershipEvent::Entered`],
/// unless the ticket is given back before.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Enter {
    /// The channel.
    pub key: ChannelKey,
    /// Tells this wish from others; the answer has it too.
    pub ticket: Ticket,
    /// Who.
    pub member: Member,
    /// The most distinct users that the channel may have.
    pub limit: usize,
    /// Whether the answer is to bring the roster: for the first of a channel's life, which has no mirror yet.
    pub roster: bool,
}

/// Lets one connection of a user go, or takes its wish to join back.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Leave {
    /// The channel.
    pub key: ChannelKey,
    /// The wish that the connection joined with.
    pub ticket: Ticket,
    /// Who.
    pub user: UserId,
}

/// Says how many subscriptions this node has in a channel without members; in one with members, they are
/// counted as they enter and leave.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Count {
    /// The channel.
    pub key: ChannelKey,
    /// How many there are now.
    pub subscriptions: u64,
}

/// Says that this node has nobody left in a channel, whatever it said before.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Vacate {
    /// The channel.
    pub key: ChannelKey,
}

/// Says how many connections this node has for each application, for the quotas of all nodes together.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ReportConnections {
    /// Applications and their connections.
    pub connections: Vec<(AppId, u64)>,
}

/// Asks who is in a presence channel; in the channel of a user, the user while anybody is. For a mirror that
/// has none or has lost its sequence, and for the API.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ListMembers {
    /// The channel.
    pub key: ChannelKey,
    /// Takes the answer.
    pub answer: oneshot::Sender<Result<Roster, MembershipError>>,
}

/// Asks how many are in a channel, and which event it remembers.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct CountChannel {
    /// The channel.
    pub key: ChannelKey,
    /// Takes the answer.
    pub answer: oneshot::Sender<Result<Described, MembershipError>>,
}

/// Asks which channels of an application are occupied.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ListOccupied {
    /// The application.
    pub app: AppId,
    /// What their names begin with.
    pub prefix: String,
    /// Whether users are to be counted too.
    pub users: bool,
    /// Takes the answer.
    pub answer: oneshot::Sender<Result<Vec<(ChannelName, Counts)>, MembershipError>>,
}

impl Named for Enter {
    fn index(&self) -> usize {
        const { KEEPER.index("enter") }
    }
}

impl Named for Leave {
    fn index(&self) -> usize {
        const { KEEPER.index("leave") }
    }
}

impl Named for Count {
    fn index(&self) -> usize {
        const { KEEPER.index("count") }
    }
}

impl Named for Vacate {
    fn index(&self) -> usize {
        const { KEEPER.index("vacate") }
    }
}

impl Named for ReportConnections {
    fn index(&self) -> usize {
        const { KEEPER.index("report_connections") }
    }
}

impl Named for ListMembers {
    fn index(&self) -> usize {
        const { KEEPER.index("list_members") }
    }
}

impl Named for CountChannel {
    fn index(&self) -> usize {
        const { KEEPER.index("count_channel") }
    }
}

impl Named for ListOccupied {
    fn index(&self) -> usize {
        const { KEEPER.index("list_occupied") }
    }
}

// === Events ===

/// What a membership tells its node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MembershipEvent {
    /// The answer to [`Enter`].
    Entered {
        /// The channel.
        key: ChannelKey,
        /// The wish that this answers.
        ticket: Ticket,
        /// What came of it.
        outcome: Outcome,
    },
    /// What a command of this node left a channel's counts at.
    Counted {
        /// The channel.
        key: ChannelKey,
        /// The counts.
        counts: Counts,
    },
    /// A command of this node made a channel occupied: no other node is told so.
    Occupied {
        /// The channel.
        key: ChannelKey,
    },
    /// A command of this node, or what it did for a dead one, left a channel without subscriptions: no other node is told so.
    Vacated {
        /// The channel.
        key: ChannelKey,
    },
    /// The connections of the other nodes by application, as of now.
    Connections(Vec<(AppId, u64)>),
    /// Whether the broker is there, and knows this node.
    Reachable(bool),
}

/// What came of a wish to join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The connection is in.
    Admitted(Admission),
    /// There are as many users as may be; the wish left no trace.
    Full,
    /// Nobody could be asked in time; the wish leaves no trace.
    Unavailable,
}

/// What a connection learns that was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// Where the channel's sequence stood, the `joined` that this may have caused included. The answer is
    /// for whoever has seen all events up to here.
    pub position: Position,
    /// Who was there at that position, if it was asked for.
    pub roster: Option<Vec<Member>>,
    /// How many there were.
    pub counts: Counts,
}

/// Who is in a presence channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    /// Where the channel's sequence stood. The roster is for whoever has seen all events up to here.
    pub position: Position,
    /// Who was there.
    pub members: Vec<Member>,
    /// How many there were.
    pub counts: Counts,
}

/// Where a membership emits its events. Never blocks.
pub type MembershipSink = Arc<dyn Fn(MembershipEvent) + Send + Sync>;

/// What a membership needs its node for: the texts that nodes tell each other, ready to be published, and
/// how long they are kept. Called on the membership's own thread; must not block.
pub trait Announcer: Send + Sync {
    /// Returns what is told when a user came.
    fn joined(&self, key: &ChannelKey, member: &Member) -> String;

    /// Returns what is told when a user went.
    fn left(&self, key: &ChannelKey, user: &UserId) -> String;

    /// Returns what is told when a channel became occupied; `None` = nothing.
    fn occupied(&self, key: &ChannelKey) -> Option<String>;

    /// Returns what is told when a channel was vacated; `None` = nothing.
    fn vacated(&self, key: &ChannelKey) -> Option<String>;

    /// Reads the data of an event that nodes were told; `None` for what is none.
    fn data_of(&self, key: &ChannelKey, told: &str) -> Option<ByteString>;
}

/// Why a question has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// The broker cannot be reached, or did not answer in time.
    #[error("the broker cannot be reached")]
    Unreachable,
    /// The answer would be longer than an answer may be.
    #[error("too many channels are occupied")]
    TooMany,
}
