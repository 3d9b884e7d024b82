//! The names of everything that nodes keep in Redis: no two things share one, whatever users call them.
//!
//! `⟨prefix⟩{T}:⟨letter⟩:⟨length of the application⟩:⟨application⟩:⟨channel⟩`. The letter says what it is
//! and stands before the user's text; the length tells where the application ends, so that application
//! `a` with channel `b:c` and application `a:b` with channel `c` differ. `{T}` is the hash tag of the
//! partition, one for all on a single server: what a script touches is in one slot.

use crate::protocol::ChannelKey;

/// The partition on a server that is not a cluster.
const PARTITION: &str = "{0}";

/// Builds the names under one prefix.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    prefix: String,
}

impl Keys {
    /// Builds names that start with `prefix`.
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
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

    /// The topic on which one node listens for its own probes.
    pub(crate) fn probe(&self, node: &str) -> String {
        format!("{}{PARTITION}:p:{node}", self.prefix)
    }

    fn of(&self, letter: char, channel: &ChannelKey) -> String {
        let (prefix, app) = (&self.prefix, channel.app.as_str());
        format!("{prefix}{PARTITION}:{letter}:{}:{app}:{}", app.len(), channel.channel)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use proptest::prelude::*;

    use super::*;
    use crate::protocol::{AppId, ChannelName};

    fn key(app: &str, channel: &str) -> ChannelKey {
        ChannelKey { app: AppId::new(app), channel: ChannelName::parse(channel, 164).unwrap() }
    }

    #[test]
    fn the_form_of_a_key() {
        let keys = Keys::new("mn:");
        assert_eq!(keys.topic(&key("app", "private-a")), "mn:{0}:t:3:app:private-a");
        assert_eq!(keys.probe("n1"), "mn:{0}:p:n1");
    }

    proptest! {
        #[test]
        fn different_channels_have_different_keys(
            apps in ("[a0:{}*?\\[\\]]{0,6}", "[a0:{}*?\\[\\]]{0,6}"),
            channels in ("[a0;=]{1,4}", "[a0;=]{1,4}"),
        ) {
            let keys = Keys::new("mn:");
            let (one, other) = (key(&apps.0, &channels.0), key(&apps.1, &channels.1));
            let names = |key| [keys.topic(key), keys.meta(key), keys.history(key), keys.cached(key)];
            let (names, others) = (names(&one), names(&other));
            for (index, name) in names.iter().enumerate() {
                for (other_index, other_name) in others.iter().enumerate() {
                    prop_assert_eq!(name == other_name, one == other && index == other_index);
                }
            }
        }
    }
}
