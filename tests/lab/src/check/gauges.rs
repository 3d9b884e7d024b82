//! I8: what nodes say of themselves equals a recount of what the clients know.

use std::collections::BTreeSet;

use super::Finding;
use super::history::{Connection, Figures, History};
use crate::log::Micros;

/// Above this a gauge has gone below nothing and come out at the other end.
const WRAPPED: f64 = 1e12;

/// What a node must not have any more when all its clients have gone.
pub(crate) const OF_NOBODY: [&str; 6] =
    ["channels", "channel_actors", "seats", "sessions", "watched_sockets", "outbox"];

/// Gauges equal a recount at moments when nothing moves, and are never negative.
pub(super) fn equal_a_recount(history: &History) -> Finding {
    let mut finding = Finding::new("gauges equal a recount, never negative");
    for Figures { at, node, still, values } in &history.figures {
        for (name, value) in values.iter().filter(|(name, _)| !name.ends_with("bytes")) {
            finding.check((0.0..WRAPPED).contains(value), || {
                format!("node {node} says {name} = {value}")
            });
        }
        if !still {
            continue;
        }
        let (connections, subscriptions) = count(history, *node, *at);
        for (name, counted) in [("connections", connections), ("subscriptions", subscriptions)] {
            let value = values.get(name);
            finding.check(value.is_some_and(|value| is(counted, *value)), || {
                format!("node {node} says {name} = {value:?}, its clients {counted}")
            });
        }
        for name in OF_NOBODY.into_iter().filter(|_| connections == 0) {
            let value = values.get(name);
            finding.check(value.is_some_and(|value| is(0, *value)), || {
                format!("node {node} says {name} = {value:?} where nobody is")
            });
        }
    }
    for (at, node, channel, told) in &history.told {
        let here =
            history.spans.iter().filter(|span| span.channel == *channel && span.covers(*at, *at));
        let users: BTreeSet<u32> = here.filter_map(|span| span.user).collect();
        finding.check(users.len() as u64 == *told, || {
            format!(
                "node {node} tells {told} users of channel {channel}, there are {}",
                users.len()
            )
        });
    }
    finding
}

#[expect(clippy::cast_precision_loss, reason = "no run has 2^52 sockets")]
fn is(counted: usize, value: f64) -> bool {
    (counted as f64 - value).abs() < 0.5
}

/// Counts the connections and subscriptions of a node at a moment.
fn count(history: &History, node: u32, at: Micros) -> (usize, usize) {
    let is_open = |connection: &Connection| {
        connection.node == node
            && connection.opened <= at
            && connection.closed.is_none_or(|closed| closed > at)
    };
    let connections = history.connections.values().filter(|connection| is_open(connection)).count();
    let is_here = |conn| history.connections.get(&conn).is_some_and(is_open);
    let spans = history.spans.iter().filter(|span| span.covers(at, at) && is_here(span.conn));
    (connections, spans.count())
}
