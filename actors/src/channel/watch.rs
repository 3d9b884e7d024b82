//! How those who watch a user learn whether the user is online (protocol section 5.3), where that is shared
//! over nodes.
//!
//! A user is online while the user's own channel is occupied anywhere. The channel of a watched user is
//! followed here even with no connection of the user on this node, and mirrors that one fact: the user is its
//! only member, who comes when it is occupied and goes when it is vacated.

use std::sync::Arc;
use std::time::Duration;

use actix::{Context, Message};

use super::command::Watcher;
use super::presence::Presence;
use super::{ChannelActor, Member};
use crate::config::App;
use crate::mailbox::Named;
use crate::mailbox::names::USERS;
use crate::membership::Position;
use crate::membership::mirror::Mirror;
use crate::protocol::UserId;

/// A channel tells who watches its user what has become of the user.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Seen {
    pub(crate) app: Arc<App>,
    pub(crate) user: UserId,
    /// Whether the user is online; `None` when the channel has failed, and is to be watched anew.
    pub(crate) online: Option<bool>,
}

impl Named for Seen {
    fn index(&self) -> usize {
        const { USERS.index("seen") }
    }
}

/// Who is told. One for each node: it tells all others.
pub(super) struct Watch {
    user: UserId,
    watcher: Watcher,
    /// What it was told last.
    told: Option<bool>,
}

impl ChannelActor {
    /// Begins to tell whether the user is online, as soon as that is known and whenever it changes. Looks at it
    /// anew if it has begun.
    pub(super) fn watch(&mut self, user: UserId, watcher: Watcher, ctx: &mut Context<Self>) {
        if self.watch.replace(Watch { user, watcher, told: None }).is_none() {
            // what an earlier watch has left is out of date
            self.presence = Presence::new(true);
            self.entering.begin_mirror();
        }
        if self.joining.is_none() {
            self.look_at_user(ctx);
        }
    }

    /// Looks whether the user is online, once the bridge follows the channel.
    pub(super) fn look_at_user(&mut self, ctx: &mut Context<Self>) {
        if self.watch.is_some() {
            self.look(Duration::ZERO, ctx);
        }
    }

    /// Takes that the channel was occupied or vacated on all nodes together.
    pub(super) fn turned(&mut self, at: &Position, occupied: bool, ctx: &mut Context<Self>) {
        let Some(Watch { user, .. }) = &self.watch else {
            return;
        };
        let member = Member { user: user.clone(), info: "{}".into() };
        let turn = |mirror: &mut Mirror| {
            if occupied { mirror.joined(at, &member) } else { mirror.left(at, &member.user) }
        };
        self.reflect(turn, None, ctx);
        self.tell_watcher();
    }

    /// Tells whether the user is online, if that is not what was told last.
    pub(super) fn tell_watcher(&mut self) {
        let (Some(watch), Presence::Shared(mirror)) = (&mut self.watch, &self.presence) else {
            return;
        };
        let online = mirror.has_begun().then(|| !mirror.is_empty());
        if watch.told != online {
            watch.told = online;
            let (app, user) = (Arc::clone(&self.app), watch.user.clone());
            watch.watcher.tell(Seen { app, user, online });
        }
    }

    /// Has whoever watches ask the channel that is started in this one's place.
    pub(super) fn end_watch(&mut self) {
        if let Some(Watch { user, watcher, .. }) = self.watch.take() {
            self.send_away(user, &watcher);
        }
    }

    /// As [`Self::end_watch`], for a watch that has not begun.
    pub(super) fn send_away(&self, user: UserId, watcher: &Watcher) {
        watcher.tell(Seen { app: Arc::clone(&self.app), user, online: None });
    }
}
