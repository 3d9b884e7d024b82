//! What was sent and what the server said to it; and, in the end, what each subscriber should have got. No input or output here.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use serde::Serialize;

use super::stamp::Phase;
use super::tally::Part;

/// Whose events are numbered together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Stream {
    pub(super) phase: Phase,
    pub(super) publisher: u32,
    pub(super) channel: u32,
}

#[derive(Debug, Default)]
struct Account {
    sent: u64,
    /// Numbers of events that the server has not said yes to.
    refused: Vec<u64>,
}

/// Events of one phase.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Events {
    pub(super) sent: u64,
    /// Answered with a 2xx.
    pub(super) accepted: u64,
    /// By status or by what went wrong.
    pub(super) refused: BTreeMap<String, u64>,
}

/// Deliveries of one phase: events times their subscribers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Deliveries {
    /// Accepted events times the sockets that were subscribed at the start, those that have ended since included.
    pub(super) expected: u64,
    /// Each counted once.
    pub(super) received: u64,
    pub(super) missing: u64,
    pub(super) duplicated: u64,
    pub(super) out_of_order: u64,
    /// Received though the event was not accepted, or nobody knows whether it was.
    pub(super) unaccepted: u64,
    /// Received by a socket that the event was not sent to, or sent by nobody.
    pub(super) stray: u64,
}

/// The account of everything that was sent.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    accounts: HashMap<Stream, Account>,
    /// By publisher: what has no answer yet.
    pending: HashMap<u32, (Stream, u64)>,
    events: [Events; 2],
}

impl Ledger {
    /// Begins an event and returns its number. The publisher has no other under way.
    pub(super) fn begin(&mut self, stream: Stream) -> u64 {
        let account = self.accounts.entry(stream).or_default();
        let number = account.sent;
        account.sent += 1;
        self.pending.insert(stream.publisher, (stream, number));
        self.count(stream.phase).sent += 1;
        number
    }

    /// Ends the event of a publisher: the server took it. Returns whether it was still under way.
    pub(super) fn accept(&mut self, publisher: u32) -> bool {
        let ended = self.pending.remove(&publisher);
        if let Some((stream, _)) = ended {
            self.count(stream.phase).accepted += 1;
        }
        ended.is_some()
    }

    /// Ends the event of a publisher: the server did not take it, or nobody knows.
    pub(super) fn refuse(&mut self, publisher: u32, cause: String) {
        let Some((stream, number)) = self.pending.remove(&publisher) else {
            return;
        };
        self.accounts.entry(stream).or_default().refused.push(number);
        *self.count(stream.phase).refused.entry(cause).or_default() += 1;
    }

    /// Ends all events that are under way.
    pub(super) fn close(&mut self) {
        let publishers: Vec<u32> = self.pending.keys().copied().collect();
        for publisher in publishers {
            self.refuse(publisher, "no answer before the end".to_owned());
        }
    }

    /// Returns the events of a phase.
    pub(super) const fn events(&self, phase: Phase) -> &Events {
        let [warm_up, measured] = &self.events;
        match phase {
            Phase::WarmUp => warm_up,
            Phase::Measured => measured,
        }
    }

    /// Compares with what the subscribers got.
    pub(super) fn settle(&self, parts: &[Part], phase: Phase) -> Deliveries {
        let mut deliveries = Deliveries::default();
        for part in parts {
            let arrivals = part.arrivals(phase);
            deliveries.received += arrivals.received;
            deliveries.duplicated += arrivals.duplicated;
            deliveries.out_of_order += arrivals.out_of_order;
            deliveries.stray += arrivals.stray;
            for seat in part.seats() {
                for (publisher, lane) in (0..).zip(seat.lanes(phase)) {
                    let stream = Stream { phase, publisher, channel: seat.channel };
                    let Some(account) = self.accounts.get(&stream) else {
                        continue;
                    };
                    let refused = account.refused.len() as u64;
                    deliveries.expected += account.sent.saturating_sub(refused);
                    let settled = lane.settle(account.sent, &account.refused);
                    deliveries.missing += settled.missing;
                    deliveries.unaccepted += settled.unaccepted;
                }
            }
        }
        let sent = deliveries.expected.saturating_sub(deliveries.missing) + deliveries.unaccepted;
        // Only those who sent know that a number was never given out.
        deliveries.stray += deliveries.received.saturating_sub(sent);
        deliveries.received = deliveries.received.min(sent);
        deliveries
    }

    const fn count(&mut self, phase: Phase) -> &mut Events {
        let [warm_up, measured] = &mut self.events;
        match phase {
            Phase::WarmUp => warm_up,
            Phase::Measured => measured,
        }
    }
}
