//! I1, read from Redis itself: positions are not told to clients.

use std::collections::{BTreeMap, HashMap};

use super::Finding;
use super::history::{History, Kept};

/// Per channel and epoch serials are contiguous from 1, with one payload each.
pub(super) fn one_payload_for_each(history: &History) -> Finding {
    let mut finding =
        Finding::new("per channel and epoch: serials contiguous from 1, one payload each");
    for (channel, kept) in &history.kept {
        for (epoch, serials) in by_epoch(kept) {
            let mut expected = 1;
            for (serial, events) in serials {
                finding.check(serial == expected, || {
                    format!("channel {channel}, epoch {epoch}: {serial} follows {}", expected - 1)
                });
                expected = serial + 1;
                finding.check(events.iter().all(|event| Some(event) == events.first()), || {
                    format!("channel {channel}, epoch {epoch}, {serial}: {events:?}")
                });
                let is_known = |event: &u64| history.events.contains_key(event);
                finding.check(events.iter().flatten().all(is_known), || {
                    format!("channel {channel}, epoch {epoch}, {serial}: nobody sent {events:?}")
                });
            }
        }
        let mut last: HashMap<&str, usize> = HashMap::new();
        for (index, here) in kept.iter().enumerate() {
            let before = last.insert(&here.epoch, index);
            finding.check(before.is_none_or(|before| before + 1 == index), || {
                format!("channel {channel}: epoch {} came back", here.epoch)
            });
        }
    }
    finding
}

fn by_epoch(kept: &[Kept]) -> BTreeMap<&str, BTreeMap<u64, Vec<Option<u64>>>> {
    let mut epochs: BTreeMap<&str, BTreeMap<u64, Vec<Option<u64>>>> = BTreeMap::new();
    for here in kept {
        epochs.entry(&here.epoch).or_default().entry(here.serial).or_default().push(here.event);
    }
    epochs
}
