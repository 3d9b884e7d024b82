//! The partitions of a Redis Cluster: each has its channels, with all that belongs to them, on one master.
//!
//! All names in a partition bear its hash tag, so what a script touches is in one slot. There are sixteen,
//! whose slots are evenly spaced over all slots: however few masters there are, they share them evenly. Any
//! other Redis is one partition. Which partition a channel is in is the same for every node and release.

use super::options::Topology;
use crate::protocol::ChannelKey;

/// Slots of a Redis Cluster.
const SLOTS: usize = 16_384;

/// The hash tag of each partition on a cluster. Its slot is near the middle of the partition's share of all.
const TAGS: [&str; 16] = [
    "18", "1095", "333", "223", "553", "443", "95", "663", "265", "375", "908", "155", "625",
    "735", "405", "515",
];

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    index: usize,
    tag: &'static str,
    is_sharded: bool,
}

impl Partition {
    /// The only one of a Redis that is no cluster.
    pub(crate) const WHOLE: Self = Self { index: 0, tag: "0", is_sharded: false };

    /// Returns all, in their order.
    pub(crate) fn all(topology: &Topology) -> ByPartition<Self> {
        let sharded = |(index, tag)| Self { index, tag, is_sharded: true };
        match topology {
            Topology::Single | Topology::Sentinel { .. } => {
                ByPartition { first: Self::WHOLE, others: Vec::new() }
            }
            Topology::Cluster => {
                let [first, others @ ..] = TAGS;
                let others = (1..).zip(others).map(sharded).collect();
                ByPartition { first: sharded((0, first)), others }
            }
        }
    }

    /// Returns its place among all.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Returns what stands between braces in each of its names.
    pub fn tag(&self) -> &'static str {
        self.tag
    }

    /// Tells whether its topics are those of one slot, which a cluster needs.
    pub(crate) fn is_sharded(&self) -> bool {
        self.is_sharded
    }

    /// Returns the slot of all its names.
    pub(crate) fn slot(&self) -> usize {
        slot(self.tag.bytes())
    }

    /// Returns the command that publishes on its topics.
    pub(crate) fn publish(&self) -> &'static str {
        if self.is_sharded { "SPUBLISH" } else { "PUBLISH" }
    }

    /// Returns what its scripts begin with: the same command, for those that publish.
    pub(crate) fn prelude(&self) -> &'static str {
        if self.is_sharded { "local publish = 'SPUBLISH'\n" } else { "local publish = 'PUBLISH'\n" }
    }
}

/// One of something for each partition, of which there is at least one.
#[derive(Debug)]
pub(crate) struct ByPartition<T> {
    first: T,
    others: Vec<T>,
}

impl<T> ByPartition<T> {
    /// Makes another of each.
    pub(crate) fn map<U>(&self, mut make: impl FnMut(&T) -> U) -> ByPartition<U> {
        let first = make(&self.first);
        ByPartition { first, others: self.others.iter().map(make).collect() }
    }

    /// Returns how many there are.
    pub(crate) fn count(&self) -> usize {
        self.others.len() + 1
    }

    /// Returns the first.
    pub(crate) fn first(&self) -> &T {
        &self.first
    }

    /// Returns that of a channel's partition.
    pub(crate) fn of(&self, channel: &ChannelKey) -> &T {
        self.nth(place(channel, self.count()))
    }

    /// Returns that of a partition.
    pub(crate) fn at(&self, partition: Partition) -> &T {
        self.nth(partition.index)
    }

    fn nth(&self, index: usize) -> &T {
        index.checked_sub(1).and_then(|other| self.others.get(other)).unwrap_or(&self.first)
    }

    /// Returns all, in the order of the partitions.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

/// Returns which of so many partitions a channel is in: the one that has its share of the slots where the
/// slot of application and channel is.
fn place(channel: &ChannelKey, partitions: usize) -> usize {
    if partitions == 1 {
        return 0;
    }
    let (app, name) = (channel.app.as_str().bytes(), channel.channel.as_str().bytes());
    slot(app.chain([b':']).chain(name)) * partitions / SLOTS
}

/// Returns the slot of a text as Redis Cluster reckons it: CRC-16 of polynomial 0x1021 from 0, modulo slots.
fn slot(text: impl Iterator<Item = u8>) -> usize {
    let crc = text.fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
            let carry = if crc & 0x8000 == 0 { 0 } else { 0x1021 };
            (crc << 1) ^ carry
        })
    });
    usize::from(crc) % SLOTS
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

    use super::*;
    use crate::protocol::{AppId, ChannelName};

    fn key(app: &str, channel: &str) -> ChannelKey {
        ChannelKey { app: AppId::new(app), channel: ChannelName::parse(channel, 164).unwrap() }
    }

    #[test]
    fn slots_are_those_of_redis() {
        // CLUSTER KEYSLOT of Redis 7.0 says the same
        for (text, expected) in [("", 0), ("foo", 12182), ("bar", 5061), ("123456789", 12739)] {
            assert_eq!(slot(text.bytes()), expected, "{text}");
        }
    }

    #[test]
    fn partitions_are_evenly_spaced_over_the_slots() {
        let all = Partition::all(&Topology::Cluster);
        assert_eq!(all.count(), 16);
        for (index, partition) in all.iter().enumerate() {
            assert_eq!(partition.index(), index);
            let middle = index * 1024 + 512;
            assert!(partition.slot().abs_diff(middle) <= 8, "{partition:?}");
        }
        for masters in 1..=16 {
            let mut shares = vec![0; masters];
            for partition in all.iter() {
                shares[partition.slot() * masters / SLOTS] += 1;
            }
            let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
            assert!(most - least <= 1, "{masters} masters: {shares:?}");
        }
        assert!(Partition::all(&Topology::Single).iter().eq([&Partition::WHOLE]));
    }

    /// Nodes of different releases must agree: these places never change.
    #[test]
    fn the_place_of_a_channel_is_fixed() {
        let channels = [("app", "a"), ("app", "presence-room"), ("other", "a"), ("", "private-x")];
        let places = channels.map(|(app, channel)| place(&key(app, channel), 16));
        assert_eq!(places, [15, 5, 9, 14]);
        assert_eq!(place(&key("app", "a"), 1), 0);
    }

    #[test]
    fn channels_are_spread_over_all_partitions() {
        let all = Partition::all(&Topology::Cluster).map(Partition::index);
        let mut shares = [0; 16];
        for index in 0..16_000 {
            shares[*all.of(&key("app", &format!("channel-{index}")))] += 1;
        }
        assert!(shares.iter().all(|share| (800..=1200).contains(share)), "{shares:?}");
    }
}
