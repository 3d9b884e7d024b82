//! What the tasks of one partition work with: the link, the names, the wire, and the way to the node.

use std::sync::Arc;
use std::time::Duration;

use super::position::Seen;
use super::query::Stands;
use super::topic;
use crate::bridge::watch::{BridgeWatch, PartWatch};
use crate::bridge::wire::{Told, Wire, WireError};
use crate::bridge::{BridgeEvent, BridgeSink, Held, Relayed, Remembered};
use crate::door::Bound;
use crate::membership::Position;
use crate::protocol::ChannelKey;
use crate::redis::{Keys, Link, Partition};

/// What is read of a message.
pub(super) struct Item {
    /// `None` for what is not to be delivered but has its place.
    pub(super) told: Option<Told>,
    /// Its place; where there are members, who are counted by it.
    pub(super) position: Option<Position>,
}

/// What both tasks work with.
pub(super) struct Office {
    pub(super) partition: Partition,
    /// This one's share of what a node may hold is one of so many.
    pub(super) partitions: usize,
    pub(super) link: Link,
    pub(super) keys: Keys,
    pub(super) wire: Wire,
    pub(super) watch: Arc<BridgeWatch>,
    /// The state of this partition.
    pub(super) state: Arc<PartWatch>,
    /// See [`Office::emit`].
    pub(super) sink: BridgeSink,
    /// The topic of this node's own probes.
    pub(super) probe: String,
    pub(super) repair_events: u32,
    pub(super) repair_wait: Duration,
}

impl Office {
    /// Reads the text of a topic: position and envelope; `None` for what is dropped, which is counted.
    /// What a later release tells has its place, but nothing to deliver.
    pub(super) fn read(&self, key: &ChannelKey, text: &[u8]) -> Option<(Stands, Option<Told>)> {
        let split = std::str::from_utf8(text).ok().and_then(topic::split);
        let Some((position, envelope)) = split else {
            self.watch.dropped.malformed.add(1);
            return None;
        };
        let told = self.watch.contain(|| self.wire.read(key, envelope))?;
        match told {
            Ok(told) => Some((position, Some(told))),
            Err(cause) => {
                self.watch.dropped.count(cause);
                matches!(cause, WireError::Unknown | WireError::Version).then_some((position, None))
            }
        }
    }

    /// Reads an entry of a history. What is dropped has its place all the same.
    pub(super) fn read_envelope(&self, key: &ChannelKey, envelope: &[u8]) -> Option<Told> {
        let envelope = std::str::from_utf8(envelope).ok()?;
        match self.wire.read(key, envelope) {
            Ok(told) => Some(told),
            Err(cause) => {
                self.watch.dropped.count(cause);
                None
            }
        }
    }

    pub(super) fn remembered(
        &self,
        key: &ChannelKey,
        envelope: &str,
        left: u64,
    ) -> Option<Remembered> {
        match self.read_envelope(key, envelope.as_bytes())?.body {
            Relayed::Published { event, data, .. } => {
                Some(Remembered { event, data, expires_in: Duration::from_millis(left) })
            }
            _ => None,
        }
    }

    pub(super) fn deliver(&self, key: &ChannelKey, item: Item, under_way: &Arc<Bound>) {
        let Item { told, position } = item;
        let is_news = |told: &Told| !(told.delivered && told.node == self.wire.node());
        let body = match told.filter(is_news) {
            Some(told) => told.body,
            None if position.is_some() => Relayed::Nothing,
            None => return,
        };
        self.hand_on(key, body, position, under_way);
    }

    /// Tells the node that events up to a position are lost for good.
    pub(super) fn miss(&self, key: &ChannelKey, position: Position, under_way: &Arc<Bound>) {
        self.hand_on(key, Relayed::Missing, Some(position), under_way);
    }

    fn hand_on(
        &self,
        key: &ChannelKey,
        body: Relayed,
        position: Option<Position>,
        under_way: &Arc<Bound>,
    ) {
        let (key, held) = (key.clone(), Held(Some(under_way.take())));
        self.emit(BridgeEvent::RemotePublished { key, body, position, held });
    }

    /// Tells the node something. A panic there costs what is told.
    pub(super) fn emit(&self, event: BridgeEvent) {
        self.watch.contain(|| (self.sink)(event));
    }

    pub(super) fn count(&self, seen: &Seen) {
        let watch = &self.watch;
        for (counter, count) in [
            (&watch.duplicates, seen.duplicates),
            (&watch.holes, seen.holes),
            (&watch.repaired, seen.repaired),
            (&watch.lost, seen.lost),
            (&watch.epochs, seen.epochs),
            (&watch.dropped.bogus, seen.bogus),
        ] {
            if count > 0 {
                counter.add(count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

    use super::*;
    use crate::protocol::{AppId, ChannelName};
    use crate::redis::{Address, RedisOptions};

    #[test]
    fn a_node_that_panics_when_it_is_told_costs_what_is_told() {
        let nowhere = Address { host: "localhost".to_owned(), port: 1 };
        let watch = Arc::new(BridgeWatch::over(Vec::new(), true));
        let office = Office {
            partition: Partition::WHOLE,
            partitions: 1,
            link: Link::new(RedisOptions::single(nowhere), Partition::WHOLE),
            keys: Keys::new("mn:", Partition::WHOLE),
            wire: Wire::new("node", ""),
            watch: Arc::clone(&watch),
            state: Arc::default(),
            sink: Arc::new(|_| panic!("sprung")),
            probe: "probe".to_owned(),
            repair_events: 0,
            repair_wait: Duration::ZERO,
        };
        let channel = ChannelName::parse("c", 164).unwrap();
        let key = ChannelKey { app: AppId::new("1"), channel };
        for count in 1..=2 {
            office.emit(BridgeEvent::Followed { key: key.clone(), wish: 1, remembered: None });
            assert_eq!(watch.panics.get(), count);
        }
    }
}
