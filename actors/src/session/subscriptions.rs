//! The channels of one connection: small while they are few, quick to search when they are many.

use crate::protocol::ChannelName;

/// Channels in the order of their names: 24 bytes each, and nothing while there are none.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    sorted: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    channel: ChannelName,
    attempt: u32,
}

impl Subscriptions {
    pub(super) fn len(&self) -> usize {
        self.sorted.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &ChannelName> {
        self.sorted.iter().map(|entry| &entry.channel)
    }

    pub(super) fn get(&self, channel: &str) -> Option<&ChannelName> {
        let index = self.position(channel).ok()?;
        self.sorted.get(index).map(|entry| &entry.channel)
    }

    /// Adds a channel; one that is there already only takes the new attempt.
    pub(super) fn insert(&mut self, channel: ChannelName, attempt: u32) {
        match self.position(channel.as_str()) {
            Ok(index) => {
                if let Some(entry) = self.sorted.get_mut(index) {
                    entry.attempt = attempt;
                }
            }
            Err(index) => {
                if self.sorted.is_empty() {
                    // most connections have one channel; the default growth begins with four
                    self.sorted.reserve_exact(1);
                }
                self.sorted.insert(index, Entry { channel, attempt });
            }
        }
    }

    pub(super) fn remove(&mut self, channel: &str) -> Option<ChannelName> {
        let index = self.position(channel).ok()?;
        Some(self.sorted.remove(index).channel)
    }

    /// Removes a channel if it is there by this very attempt.
    pub(super) fn remove_attempt(&mut self, channel: &str, attempt: u32) {
        if let Ok(index) = self.position(channel)
            && self.sorted.get(index).is_some_and(|entry| entry.attempt == attempt)
        {
            self.sorted.remove(index);
        }
    }

    fn position(&self, channel: &str) -> Result<usize, usize> {
        self.sorted.binary_search_by(|entry| entry.channel.as_str().cmp(channel))
    }
}
