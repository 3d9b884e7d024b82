//! I2: each connection hears a channel in one order that all others hear too, and hears all of it.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::Finding;
use super::history::{History, Span};
use crate::log::in_seconds;

/// Per connection and channel positions strictly increase without a hole, and all agree on one order.
pub(super) fn one_order_without_holes(history: &History) -> Finding {
    let mut finding = Finding::new(
        "per connection and channel: one order over all nodes, as in Redis, without a hole or a duplicate",
    );
    for (channel, spans) in history.by_channel() {
        let places = places(history, channel);
        let mut chains: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
        for span in &spans {
            check_span(history, span, &places, &mut finding);
            let heard = span.got.iter().map(|(_, event)| *event);
            chains.entry(span.conn).or_default().extend(heard);
        }
        for (conn, chain) in &mut chains {
            let mut seen = HashSet::new();
            chain.retain(|event| {
                let is_new = seen.insert(*event);
                finding.check(is_new, || format!("connection {conn} got event {event} twice"));
                is_new
            });
            check_real_time(history, *conn, chain, &mut finding);
        }
        let mut kept: Vec<(&(usize, u64), &u64)> =
            places.iter().map(|(event, place)| (place, event)).collect();
        kept.sort_unstable();
        let kept: Vec<u64> = kept.into_iter().map(|(_, event)| *event).collect();
        let all = chains.values().chain([&kept]);
        finding.check(is_one_order(all), || {
            format!(
                "channel {channel}: subscribers got its events in orders that contradict each other"
            )
        });
    }
    finding
}

/// Returns where each event of a channel stands in Redis: number of the epoch, and serial.
fn places(history: &History, channel: u32) -> HashMap<u64, (usize, u64)> {
    let (mut epochs, mut places) = (Vec::new(), HashMap::new());
    for kept in history.kept.get(&channel).into_iter().flatten() {
        let epoch = epochs.iter().position(|epoch| *epoch == &kept.epoch).unwrap_or_else(|| {
            epochs.push(&kept.epoch);
            epochs.len() - 1
        });
        if let Some(event) = kept.event {
            places.entry(event).or_insert((epoch, kept.serial));
        }
    }
    places
}

/// Compares what one subscription got with the positions in Redis.
fn check_span(
    history: &History,
    span: &Span,
    places: &HashMap<u64, (usize, u64)>,
    finding: &mut Finding,
) {
    let got: HashSet<u64> = span.got.iter().map(|(_, event)| *event).collect();
    let heard: Vec<(usize, u64)> =
        span.got.iter().filter_map(|(_, event)| places.get(event).copied()).collect();
    for pair in heard.windows(2) {
        let [before, after] = pair else { continue };
        finding.check(before < after, || {
            let (conn, channel) = (span.conn, span.channel);
            format!("connection {conn}, channel {channel}: {after:?} came after {before:?}")
        });
    }
    // what stands at the end of an order may have died with its server
    let mut heard_of: HashMap<usize, (u64, u64)> = HashMap::new();
    for (epoch, serial) in heard {
        let (first, last) = heard_of.entry(epoch).or_insert((serial, serial));
        (*first, *last) = ((*first).min(serial), (*last).max(serial));
    }
    let is_between = |(epoch, serial): &(usize, u64)| {
        heard_of.get(epoch).is_some_and(|(first, last)| (first..last).contains(&serial))
    };
    for (event, place) in places.iter().filter(|(_, place)| is_between(place)) {
        let is_excepted =
            || history.events.get(event).is_some_and(|event| event.except == Some(span.conn));
        if !got.contains(event) && !is_excepted() {
            let (conn, channel) = (span.conn, span.channel);
            finding.break_by(format!(
                "connection {conn}, channel {channel}: event {event} at {place:?} is a hole"
            ));
        }
    }
}

/// What was answered before something else was sent comes before it.
fn check_real_time(history: &History, conn: u32, chain: &[u64], finding: &mut Finding) {
    let mut latest = None;
    for number in chain {
        let Some(event) = history.events.get(number) else {
            finding.break_by(format!("connection {conn} got event {number}, which nobody sent"));
            continue;
        };
        if let (Some(accepted), Some((sent, other))) = (event.accepted(), latest) {
            finding.check(accepted >= sent, || {
                let late = in_seconds(sent - accepted);
                format!(
                    "connection {conn} got event {other}, sent {late} s after {number} was accepted, before it"
                )
            });
        }
        latest = latest.max(Some((event.sent, *number)));
    }
}

/// Tells whether there is one order that contains all chains.
fn is_one_order<'c>(chains: impl Iterator<Item = &'c Vec<u64>>) -> bool {
    let mut after: HashMap<u64, HashSet<u64>> = HashMap::new();
    let mut before: HashMap<u64, usize> = HashMap::new();
    for chain in chains {
        for event in chain {
            before.entry(*event).or_default();
        }
        for pair in chain.windows(2) {
            if let [one, next] = pair
                && after.entry(*one).or_default().insert(*next)
            {
                *before.entry(*next).or_default() += 1;
            }
        }
    }
    let mut free: Vec<u64> =
        before.iter().filter(|(_, count)| **count == 0).map(|(event, _)| *event).collect();
    let mut taken = 0;
    while let Some(event) = free.pop() {
        taken += 1;
        for next in after.remove(&event).into_iter().flatten() {
            if let Some(count) = before.get_mut(&next) {
                *count -= 1;
                if *count == 0 {
                    free.push(next);
                }
            }
        }
    }
    taken == before.len()
}
