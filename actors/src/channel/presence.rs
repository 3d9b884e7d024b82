//! Who is present in a channel, as its subscribers are told: what a node alone knows by itself, or what it
//! mirrors of all nodes. Pure.

use super::Member;
use super::roster::Roster;
use crate::membership::mirror::Mirror;
use crate::protocol::{ChannelName, Frame, UserId};

/// See the module.
#[derive(Debug)]
pub(super) enum Presence {
    /// All members are on this node.
    Alone(Roster),
    /// Members are on other nodes too.
    Shared(Mirror),
}

impl Presence {
    /// Starts with nobody; `shared` where there is a membership over several nodes.
    pub(super) fn new(shared: bool) -> Self {
        if shared { Self::Shared(Mirror::default()) } else { Self::Alone(Roster::default()) }
    }

    /// Returns what a new subscriber hears first.
    pub(super) fn succeeded(&self, channel: &ChannelName) -> Frame {
        match self {
            Self::Alone(roster) => Frame::presence_succeeded(channel, roster.members()),
            Self::Shared(mirror) => Frame::presence_succeeded(channel, mirror.members()),
        }
    }

    /// Returns the users.
    pub(super) fn users(&self) -> Vec<UserId> {
        match self {
            Self::Alone(roster) => roster.members().map(|(user, _)| user.clone()).collect(),
            Self::Shared(mirror) => mirror.members().map(|(user, _)| user.clone()).collect(),
        }
    }

    /// Returns how many distinct users there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Alone(roster) => roster.len(),
            Self::Shared(mirror) => mirror.len(),
        }
    }

    /// Takes what a user who is there tells anew with a further connection.
    pub(super) fn renew(&mut self, member: &Member) {
        if let Self::Shared(mirror) = self {
            mirror.renew(member);
        }
    }
}
