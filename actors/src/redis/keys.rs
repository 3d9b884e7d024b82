//! The names of everything that nodes keep in Redis: no two things share one, whatever users call them.
//!
//! `⟨prefix⟩{T}:⟨letter⟩:⟨length of the application⟩:⟨application⟩:⟨channel⟩`. The letter says what it is
//! and stands before the user's text; the length tells where the application ends, so that application
//! `a` with channel `b:c` and application `a:b` with channel `c` differ. `{T}` is the hash tag of the
//! partition, one for all on a single server: what a script touches is in one slot.

use super::partition::Partition;
use crate::protocol::{AppId, ChannelKey, ChannelName};

/// Builds the names of one partition under one prefix.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    /// What all begin with: `⟨prefix⟩{T}:`.
    start: String,
}

impl Keys {
    /// Builds names that start with `prefix`.
    pub(crate) fn new(prefix: &str, partition: Partition) -> Self {
        Self { start: format!("{prefix}{{{}}}:", partition.tag()) }
    }

    /// The topic that nodes tell each other a channel's events on.
    pub(crate) fn topic(&self, channel: &ChannelKey) -> String {
        self.of('t', channel)
    }

    /// A channel's epoch `e`, serial `s` and the server `r` that the epoch belongs to: a hash.
    pub(crate) fn meta(&self, channel: &ChannelKey) -> String {
        self.of('m', channel)
    }

    /// A channel's last events by serial: a stream.
    pub(crate) fn history(&self, channel: &ChannelKey) -> String {
        self.of('h', channel)
    }

    /// The event that a cache channel remembers: a hash of envelope `p` and its end `x` (ms since 1970).
    pub(crate) fn cached(&self, channel: &ChannelKey) -> String {
        self.of('c', channel)
    }

    /// What was published on a channel of a request that may come again: a hash of its digest `r` and the
    /// places of its events.
    pub(crate) fn repeats(&self, channel: &ChannelKey, request: &[u8; 32]) -> String {
        self.plain(&format!("d:{}:{}", hex::encode(request), entry(channel)))
    }

    /// The topic on which one node listens for its own probes.
    pub(crate) fn probe(&self, node: &str) -> String {
        self.plain(&format!("p:{node}"))
    }

    // --- who is where ---

    /// Subscriptions of a channel: a hash by incarnation.
    pub(crate) fn counts(&self, channel: &ChannelKey) -> String {
        self.of('n', channel)
    }

    /// Connections of a presence channel: a hash by user.
    pub(crate) fn users(&self, channel: &ChannelKey) -> String {
        self.of('u', channel)
    }

    /// What is told of the users of a presence channel: a hash by user.
    pub(crate) fn infos(&self, channel: &ChannelKey) -> String {
        self.of('i', channel)
    }

    /// Connections of a presence channel: a hash by incarnation, `|` and user.
    pub(crate) fn rows(&self, channel: &ChannelKey) -> String {
        self.of('w', channel)
    }

    /// Incarnations that may write: a hash of `⟨generation⟩:⟨end of the lease, ms⟩`.
    pub(crate) fn nodes(&self) -> String {
        self.plain("nodes")
    }

    /// Incarnations declared dead that have left something: a hash of the end of a reaper's claim, ms.
    pub(crate) fn dead(&self) -> String {
        self.plain("dead")
    }

    /// Connections of all nodes: a hash by application.
    pub(crate) fn connections(&self) -> String {
        self.plain("q")
    }

    /// Connections of one incarnation: a hash by application.
    pub(crate) fn connections_of(&self, incarnation: &str) -> String {
        self.plain(&format!("q:{incarnation}"))
    }

    /// Where an incarnation has something: a hash of [`entry`].
    pub(crate) fn index(&self, incarnation: &str) -> String {
        self.plain(&format!("node:{incarnation}"))
    }

    /// Occupied channels of an application: a hash of subscriptions.
    pub(crate) fn list(&self, app: &AppId) -> String {
        self.plain(&format!("l:{app}"))
    }

    /// Users of an application who are signed in: a hash of their channels' subscriptions.
    pub(crate) fn online(&self, app: &AppId) -> String {
        self.plain(&format!("o:{app}"))
    }

    /// Where the subscriptions of a channel stand among those of its application: [`Self::list`], or
    /// [`Self::online`] for what is not listed.
    pub(crate) fn occupied(&self, channel: &ChannelKey) -> String {
        let is_listed = channel.channel.kind().capabilities().listed;
        if is_listed { self.list(&channel.app) } else { self.online(&channel.app) }
    }

    fn plain(&self, name: &str) -> String {
        format!("{}{name}", self.start)
    }

    fn of(&self, letter: char, channel: &ChannelKey) -> String {
        format!("{}{letter}:{}", self.start, entry(channel))
    }
}

/// Returns a channel as it stands in names and in the index of an incarnation.
pub(crate) fn entry(channel: &ChannelKey) -> String {
    let app = channel.app.as_str();
    format!("{}:{app}:{}", app.len(), channel.channel)
}

/// Reads a channel back; `None` for what no node of ours has written.
pub(crate) fn read_entry(text: &str) -> Option<ChannelKey> {
    let (length, rest) = text.split_once(':')?;
    let (app, rest) = rest.split_at_checked(length.parse().ok()?)?;
    let channel = ChannelName::parse(rest.strip_prefix(':')?, usize::MAX).ok()?;
    let key = ChannelKey { app: AppId::new(app), channel };
    // of two texts for one channel only ours is found again when it is to be dropped
    (entry(&key) == text).then_some(key)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use proptest::prelude::*;

    use super::*;

    fn key(app: &str, channel: &str) -> ChannelKey {
        ChannelKey { app: AppId::new(app), channel: ChannelName::parse(channel, 164).unwrap() }
    }

    #[test]
    fn the_form_of_a_key() {
        let keys = Keys::new("mn:", Partition::WHOLE);
        assert_eq!(keys.topic(&key("app", "private-a")), "mn:{0}:t:3:app:private-a");
        assert_eq!(keys.probe("n1"), "mn:{0}:p:n1");
    }

    proptest! {
        #[test]
        fn different_things_have_different_names(
            apps in ("[a0:{}*?|\\[\\]é]{0,6}", "[a0:{}*?|\\[\\]é]{0,6}"),
            channels in ("[a0;=]{1,4}", "[a0;=]{1,4}"),
        ) {
            let keys = Keys::new("mn:", Partition::WHOLE);
            let (one, other) = (key(&apps.0, &channels.0), key(&apps.1, &channels.1));
            let names = |key| [
                keys.topic(key), keys.meta(key), keys.history(key), keys.counts(key),
                keys.users(key), keys.infos(key), keys.rows(key), keys.cached(key),
                keys.repeats(key, &[0; 32]), keys.repeats(key, &[1; 32]),
            ];
            for (index, name) in names(&one).iter().enumerate() {
                for (other_index, other_name) in names(&other).iter().enumerate() {
                    prop_assert_eq!(name == other_name, one == other && index == other_index);
                }
                for plain in [keys.nodes(), keys.dead(), keys.list(&other.app), keys.online(&other.app), keys.index("n.1"), keys.connections(), keys.probe("n1")] {
                    prop_assert_ne!(name, &plain);
                }
            }
            prop_assert_eq!(read_entry(&entry(&one)), Some(one));
        }

        #[test]
        fn what_no_node_wrote_is_not_read(text in "[+0]{0,2}[0-3]:.{0,12}") {
            prop_assert!(read_entry(&text).is_none_or(|key| entry(&key) == text));
        }
    }
}
