//! What a channel can be asked, and what is answered where there is no such channel.

use std::sync::Arc;

use actix::{Message, Recipient};
use tokio::sync::oneshot;

use crate::bridge::{Relayed, Remembered};
use crate::channel::{Member, Seen};
use crate::config::App;
use crate::door::Place;
use crate::facts::{ChannelFacts, Publication};
use crate::mailbox::names::{CHANNEL, REGISTRY};
use crate::mailbox::{Letter, Named, Postbox};
use crate::membership::{Counts, Outcome, Position, Ticket};
use crate::protocol::kind::Capabilities;
use crate::protocol::{ChannelKey, Frame, UserId};
use crate::seat::{ChannelId, Seat};
use crate::session::effect::Whisper;

/// A command on its way to the channel of `key`, through the registry.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Route {
    pub(crate) key: ChannelKey,
    pub(crate) app: Arc<App>,
    pub(crate) command: Command,
}

/// Who is told whether a user is online.
pub(crate) type Watcher = Postbox<Recipient<Letter<Seen>>>;

impl Named for Route {
    fn index(&self) -> usize {
        const { REGISTRY.index("route") }
    }
}

/// What a channel can be asked. The registry alone sends it.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) enum Command {
    /// Deliver an event to all subscribers, and remember it if the channel caches.
    Publish { event: Publication, place: Option<Place>, facts: Answer<ChannelFacts> },
    /// Take a subscriber in.
    Join(Join),
    /// Let a subscriber go; `answer` when its session still waits to hear of it.
    Leave { seat: Seat, answer: bool },
    /// Tell a subscriber once more that it has succeeded.
    Resend { seat: Seat },
    /// Deliver a client event to the other subscribers.
    Whisper { seat: Seat, whisper: Whisper, place: Option<Place> },
    /// Send a frame to one subscriber, in order with everything else that the channel sends it.
    Tell { seat: Seat, frame: Frame },
    /// Close the connection of every subscriber.
    Terminate,
    /// Tell from now on whether the channel's user is online on any node.
    Watch { user: UserId, watcher: Watcher },
    /// Tell it no more.
    Unwatch,
    /// Say what is known of the channel.
    Describe(Answer<ChannelFacts>),
    /// Say who is present.
    ListMembers(Answer<Vec<UserId>>),
    /// Do what another node, or this one by way of the bridge, has told.
    Relayed { body: Relayed, position: Option<Position>, place: Option<Place> },
    /// Take what came of a wish to join.
    Entered { ticket: Ticket, outcome: Outcome },
    /// Take how many are in the channel over all nodes.
    Counted(Counts),
    /// The bridge follows the channel from now on.
    Followed { channel: ChannelId, remembered: Option<Remembered> },
}

/// A subscription that its session has found in order.
pub(crate) struct Join {
    pub(crate) seat: Seat,
    pub(crate) attempt: u32,
    pub(crate) member: Option<Member>,
    /// What the connection hears first, in place of `subscription_succeeded`.
    pub(crate) replies: Option<Vec<Frame>>,
    /// Free again when the connection has its answer.
    #[expect(dead_code, reason = "held for its drop")]
    pub(crate) place: Place,
}

/// Somebody who may wait for an answer.
pub(crate) struct Answer<T>(Option<oneshot::Sender<T>>);

impl<T> Answer<T> {
    /// Nobody waits.
    pub(crate) const fn nobody() -> Self {
        Self(None)
    }

    /// Makes a pair: what to hand on, and where to wait.
    pub(crate) fn expected() -> (Self, oneshot::Receiver<T>) {
        let (sender, receiver) = oneshot::channel();
        (Self(Some(sender)), receiver)
    }

    /// Answers, if somebody waits.
    pub(crate) fn give(self, answer: impl FnOnce() -> T) {
        if let Some(waiting) = self.0 {
            // who gave up waiting has been told so by the deadline
            drop(waiting.send(answer()));
        }
    }
}

impl Named for Command {
    fn index(&self) -> usize {
        match self {
            Self::Publish { .. } => const { CHANNEL.index("publish") },
            Self::Join(_) => const { CHANNEL.index("join") },
            Self::Leave { .. } => const { CHANNEL.index("leave") },
            Self::Resend { .. } => const { CHANNEL.index("resend") },
            Self::Whisper { .. } => const { CHANNEL.index("whisper") },
            Self::Tell { .. } => const { CHANNEL.index("tell") },
            Self::Terminate => const { CHANNEL.index("terminate") },
            Self::Watch { .. } => const { CHANNEL.index("watch") },
            Self::Unwatch => const { CHANNEL.index("unwatch") },
            Self::Describe(_) => const { CHANNEL.index("describe") },
            Self::ListMembers(_) => const { CHANNEL.index("list_members") },
            Self::Relayed { .. } => const { CHANNEL.index("relayed") },
            Self::Entered { .. } => const { CHANNEL.index("entered") },
            Self::Counted(_) => const { CHANNEL.index("counted") },
            Self::Followed { .. } => const { CHANNEL.index("followed") },
        }
    }
}

impl Command {
    /// Tells whether a channel is to be started for this command; `alone` when no bridge remembers
    /// cached events.
    pub(crate) fn starts(&self, can: Capabilities, alone: bool) -> bool {
        match self {
            Self::Join(_) | Self::Watch { .. } => true,
            Self::Publish { .. } => can.caches && alone,
            _ => false,
        }
    }

    /// Answers for a channel that does not exist.
    pub(crate) fn answer_for_none(self) {
        match self {
            Self::Publish { facts, .. } | Self::Describe(facts) => {
                facts.give(ChannelFacts::default);
            }
            Self::ListMembers(members) => members.give(Vec::new),
            _ => {}
        }
    }
}
