//! I3, I4, I5 and I7: who must get an event, how often, and who must not.

use std::collections::{HashMap, HashSet};

use super::history::{Event, History, Span, Stray, Strayed};
use super::{Finding, Terms};
use crate::log::{Micros, in_seconds};

/// Who was accepted is delivered to every connection that was there all the time, once.
pub(super) fn accepted_is_delivered_once(history: &History, terms: &Terms) -> Finding {
    let mut finding = Finding::new(
        "2xx: exactly one position, and every unbroken connection that was subscribed then got it once",
    );
    let mut events: HashMap<u32, Vec<(u64, &Event, Micros)>> = HashMap::new();
    for (number, event) in &history.events {
        if let Some(accepted) = event.accepted() {
            events.entry(event.channel).or_default().push((*number, event, accepted));
        }
    }
    for span in history.spans.iter().filter(|span| span.since.is_some()) {
        let got: HashSet<u64> = span.got.iter().map(|(_, event)| *event).collect();
        let sent = got.iter().filter_map(|event| history.events.get(event));
        let latest = sent.map(|event| event.sent).max().unwrap_or(0);
        for (number, event, accepted) in events.get(&span.channel).into_iter().flatten() {
            if !is_owed(event, *accepted, span, latest, terms) {
                continue;
            }
            finding.checked += 1;
            if got.contains(number) {
                continue;
            }
            if let Some(why) = terms.excuse(event.sent, *accepted) {
                *finding.excused.entry(why.to_owned()).or_default() += 1;
                continue;
            }
            finding.break_by(format!(
                "event {number} of node {}, channel {}, accepted at {:.3} s, was lost to connection {} of node {}",
                event.node,
                event.channel,
                in_seconds(*accepted),
                span.conn,
                history.connections.get(&span.conn).map_or(u32::MAX, |connection| connection.node),
            ));
        }
    }
    for (number, positions) in positions(history) {
        let is_accepted =
            history.events.get(&number).is_some_and(|event| event.accepted().is_some());
        if is_accepted {
            finding.check(positions == 1, || format!("event {number} has {positions} positions"));
        }
    }
    finding
}

/// Tells whether a subscription had to get an event; `latest` is when the last one that it got was sent.
fn is_owed(event: &Event, accepted: Micros, span: &Span, latest: Micros, terms: &Terms) -> bool {
    let was_there = span.since.is_some_and(|since| since <= event.sent);
    let outlived = span.covers(event.sent, accepted + terms.grace);
    was_there && event.except != Some(span.conn) && (outlived || latest > accepted)
}

/// Returns how many positions in Redis each event has.
fn positions(history: &History) -> HashMap<u64, usize> {
    let mut positions: HashMap<u64, HashSet<(&str, u64)>> = HashMap::new();
    for kept in history.kept.values().flatten() {
        if let Some(event) = kept.event {
            positions.entry(event).or_default().insert((&kept.epoch, kept.serial));
        }
    }
    positions.into_iter().map(|(event, positions)| (event, positions.len())).collect()
}

/// What was not accepted came once or never.
pub(super) fn refused_is_never_doubled(history: &History) -> Finding {
    let mut finding = Finding::new("not 2xx, however often it was tried: at most one copy");
    let positions = positions(history);
    let mut copies: HashMap<(u64, u32), u64> = HashMap::new();
    for span in &history.spans {
        for (_, event) in &span.got {
            *copies.entry((*event, span.conn)).or_default() += 1;
        }
    }
    let most = copies.iter().fold(HashMap::new(), |mut most: HashMap<u64, u64>, (key, count)| {
        let here = most.entry(key.0).or_default();
        *here = (*here).max(*count);
        most
    });
    for (number, event) in &history.events {
        if event.accepted().is_some() && event.attempts < 2 {
            continue;
        }
        let heard = most.get(number).copied().unwrap_or(0);
        let kept = positions.get(number).copied().unwrap_or(0);
        finding.check(heard <= 1 && kept <= 1, || {
            format!(
                "event {number} ({:?}, tried {} times): {heard} copies to one connection, {kept} positions",
                event.answered, event.attempts
            )
        });
    }
    finding
}

/// No event to anyone who is not authorised or not subscribed, nor to the excluded connection.
pub(super) fn nobody_else_hears(history: &History) -> Finding {
    let mut finding =
        Finding::new("no event to anyone not authorised, not subscribed, or excluded");
    for span in &history.spans {
        finding.check(!(span.may_not && span.since.is_some()), || {
            format!("connection {} was let into channel {} without right", span.conn, span.channel)
        });
        for (_, number) in &span.got {
            let event = history.events.get(number);
            finding.check(event.is_none_or(|event| event.except != Some(span.conn)), || {
                format!("connection {} got event {number}, from which it was excluded", span.conn)
            });
            finding.check(event.is_none_or(|event| event.channel == span.channel), || {
                format!("event {number} came on channel {}", span.channel)
            });
        }
    }
    for stray in history.strays.iter().filter(|stray| stray.why == Strayed::Uninvited) {
        let (conn, channel) = (stray.conn, stray.channel);
        finding.break_by(format!("connection {conn} heard of channel {channel} without right"));
    }
    finding
}

/// `subscription_succeeded` comes first, and nothing comes after `unsubscribe` but what was on its way.
pub(super) fn between_success_and_leave(history: &History, terms: &Terms) -> Finding {
    let mut finding =
        Finding::new("subscription_succeeded before every event, nothing long after unsubscribe");
    finding.checked = history.spans.iter().map(|span| span.got.len() as u64).sum();
    for Stray { conn, channel, at, why } in &history.strays {
        match why {
            Strayed::Early => finding.break_by(format!(
                "connection {conn} heard of channel {channel} before its subscription succeeded"
            )),
            Strayed::Left(left) if *at > left + terms.trip => {
                let late = in_seconds(at - left);
                finding.break_by(format!(
                    "connection {conn} heard of channel {channel} {late} s after it had left"
                ));
            }
            Strayed::Left(_) | Strayed::Uninvited => {}
        }
    }
    finding
}
