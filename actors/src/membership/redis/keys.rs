//! The names under which membership is kept in Redis, and how the reaper reads them back.
//!
//! `⟨prefix⟩{0}:⟨letter⟩:⟨length of the application⟩:⟨application⟩:⟨channel⟩`: the letter stands before the
//! user's text and the length before the application, so no two things share a name. One hash tag holds
//! them all in the slot of one script.

use crate::protocol::{AppId, ChannelKey, ChannelName};

/// The hash tag of a server that is not a cluster.
const PARTITION: &str = "{0}";

/// Builds the names under one prefix.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// Incarnations that may write: a hash of `⟨generation⟩:⟨end of the lease, ms⟩`.
    pub(super) fn nodes(&self) -> String {
        self.plain("nodes")
    }

    /// Incarnations declared dead that have left something: a hash of the end of a reaper's claim, ms.
    pub(super) fn dead(&self) -> String {
        self.plain("dead")
    }

    /// Connections of all nodes: a hash by application.
    pub(super) fn connections(&self) -> String {
        self.plain("q")
    }

    /// Connections of one incarnation: a hash by application.
    pub(super) fn connections_of(&self, incarnation: &str) -> String {
        self.plain(&format!("q:{incarnation}"))
    }

    /// Where an incarnation has something: a hash of [`entry`].
    pub(super) fn index(&self, incarnation: &str) -> String {
        self.plain(&format!("node:{incarnation}"))
    }

    /// Occupied channels of an application: a hash of subscriptions.
    pub(super) fn list(&self, app: &AppId) -> String {
        self.plain(&format!("l:{app}"))
    }

    /// The topic of a channel.
    pub(super) fn topic(&self, channel: &ChannelKey) -> String {
        self.of('t', channel)
    }

    /// The position of a channel.
    pub(super) fn meta(&self, channel: &ChannelKey) -> String {
        self.of('m', channel)
    }

    /// The history of a channel.
    pub(super) fn history(&self, channel: &ChannelKey) -> String {
        self.of('h', channel)
    }

    /// Subscriptions of a channel: a hash by incarnation.
    pub(super) fn counts(&self, channel: &ChannelKey) -> String {
        self.of('n', channel)
    }

    /// Connections of a presence channel: a hash by user.
    pub(super) fn users(&self, channel: &ChannelKey) -> String {
        self.of('u', channel)
    }

    /// What is told of the users of a presence channel: a hash by user.
    pub(super) fn infos(&self, channel: &ChannelKey) -> String {
        self.of('i', channel)
    }

    /// Connections of a presence channel: a hash by incarnation, `|` and user.
    pub(super) fn rows(&self, channel: &ChannelKey) -> String {
        self.of('w', channel)
    }

    fn plain(&self, name: &str) -> String {
        format!("{}{PARTITION}:{name}", self.prefix)
    }

    fn of(&self, letter: char, channel: &ChannelKey) -> String {
        format!("{}{PARTITION}:{letter}:{}", self.prefix, entry(channel))
    }
}

/// Returns a channel as it stands in names and in the index of an incarnation.
pub(super) fn entry(channel: &ChannelKey) -> String {
    let app = channel.app.as_str();
    format!("{}:{app}:{}", app.len(), channel.channel)
}

/// Reads a channel back; `None` for what no node of ours has written.
pub(super) fn read_entry(entry: &str) -> Option<ChannelKey> {
    let (length, rest) = entry.split_once(':')?;
    let (app, rest) = rest.split_at_checked(length.parse().ok()?)?;
    let channel = ChannelName::parse(rest.strip_prefix(':')?, usize::MAX).ok()?;
    Some(ChannelKey { app: AppId::new(app), channel })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn different_things_have_different_names(
            apps in ("[a0:{}*?|\\[\\]é]{0,6}", "[a0:{}*?|\\[\\]é]{0,6}"),
            channels in ("[a0;=]{1,4}", "[a0;=]{1,4}"),
        ) {
            let keys = Keys::new("mn:");
            let key = |app: &str, channel: &str| ChannelKey {
                app: AppId::new(app),
                channel: ChannelName::parse(channel, 164).unwrap(),
            };
            let (one, other) = (key(&apps.0, &channels.0), key(&apps.1, &channels.1));
            let names = |key| [
                keys.topic(key), keys.meta(key), keys.history(key), keys.counts(key),
                keys.users(key), keys.infos(key), keys.rows(key),
            ];
            for (index, name) in names(&one).iter().enumerate() {
                for (other_index, other_name) in names(&other).iter().enumerate() {
                    prop_assert_eq!(name == other_name, one == other && index == other_index);
                }
                for plain in [keys.nodes(), keys.dead(), keys.list(&other.app), keys.index("n.1"), keys.connections()] {
                    prop_assert_ne!(name, &plain);
                }
            }
            prop_assert_eq!(read_entry(&entry(&one)), Some(one));
        }

        #[test]
        fn what_no_node_wrote_is_not_read(text in ".{0,12}") {
            if let Some(key) = read_entry(&text) {
                let number = text.split(':').next().unwrap();
                prop_assert!(entry(&key) == text || number != key.app.as_str().len().to_string());
            }
        }
    }
}
