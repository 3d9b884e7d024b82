//! What the sockets of one thread have seen. No input or output here.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::CreationError;

use super::latency::Latencies;
use super::order::{Arrival, Lane};
use super::stamp::{Phase, Stamp};

/// Most causes that are told apart: a server may say something else to each socket.
const MOST_CAUSES: usize = 20;

/// How often each cause came up.
pub(super) type Causes = BTreeMap<String, u64>;

/// One subscribed socket.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) channel: u32,
    /// One for each publisher, for each phase in turn.
    lanes: Vec<Lane>,
}

impl Seat {
    /// Returns what came of each publisher's events, in the order of publishers.
    pub(super) fn lanes(&self, phase: Phase) -> impl Iterator<Item = &Lane> {
        self.lanes.iter().skip(phase.index()).step_by(Phase::ALL.len())
    }
}

/// How the deliveries of one phase came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Arrivals {
    /// Each event once for each socket.
    pub(super) received: u64,
    pub(super) duplicated: u64,
    pub(super) out_of_order: u64,
    /// Of another channel, or of nobody.
    pub(super) stray: u64,
}

/// The sockets of one thread.
#[derive(Debug)]
pub(super) struct Part {
    publishers: u32,
    seats: Vec<Seat>,
    arrivals: [Arrivals; 2],
    /// When the last measured delivery came.
    pub(super) last_arrival: Duration,
    pub(super) handshake: Latencies,
    pub(super) subscribe: Latencies,
    pub(super) delivery: Latencies,
    /// Sockets that were never subscribed.
    pub(super) failed: Causes,
    /// Subscribed sockets that have ended.
    pub(super) closed: Causes,
}

impl Part {
    /// Begins with no socket.
    ///
    /// # Errors
    /// Never: the bounds of latencies are right.
    pub(super) fn new(publishers: u32) -> Result<Self, CreationError> {
        Ok(Self {
            publishers,
            seats: Vec::new(),
            arrivals: [Arrivals::default(); 2],
            last_arrival: Duration::ZERO,
            handshake: Latencies::new()?,
            subscribe: Latencies::new()?,
            delivery: Latencies::new()?,
            failed: Causes::new(),
            closed: Causes::new(),
        })
    }

    /// Takes a subscribed socket and returns its place.
    pub(super) fn sit(&mut self, channel: u32) -> usize {
        let lanes = self.publishers as usize * Phase::ALL.len();
        self.seats.push(Seat { channel, lanes: (0..lanes).map(|_| Lane::default()).collect() });
        self.seats.len() - 1
    }

    /// Counts an event that came to a socket. Returns whether it was the first time.
    pub(super) fn deliver(&mut self, seat: usize, stamp: &Stamp, now: Duration) -> bool {
        let [warm_up, measured] = &mut self.arrivals;
        let arrivals = match stamp.phase {
            Phase::WarmUp => warm_up,
            Phase::Measured => measured,
        };
        let lane = stamp.publisher as usize * Phase::ALL.len() + stamp.phase.index();
        let seat = self.seats.get_mut(seat).filter(|seat| seat.channel == stamp.channel);
        let Some(lane) = seat.and_then(|seat| seat.lanes.get_mut(lane)) else {
            arrivals.stray += 1;
            return false;
        };
        match lane.arrive(stamp.number) {
            Arrival::InOrder => {}
            Arrival::Late => arrivals.out_of_order += 1,
            Arrival::Again => {
                arrivals.duplicated += 1;
                return false;
            }
        }
        arrivals.received += 1;
        if stamp.phase == Phase::Measured {
            self.last_arrival = now;
            self.delivery.record(now.saturating_sub(stamp.due));
        }
        true
    }

    pub(super) fn seats(&self) -> &[Seat] {
        &self.seats
    }

    pub(super) const fn arrivals(&self, phase: Phase) -> Arrivals {
        let [warm_up, measured] = self.arrivals;
        match phase {
            Phase::WarmUp => warm_up,
            Phase::Measured => measured,
        }
    }
}

/// Counts a cause so many times more.
pub(super) fn count(causes: &mut Causes, cause: String, times: u64) {
    let is_one_too_many = causes.len() >= MOST_CAUSES && !causes.contains_key(&cause);
    let cause = if is_one_too_many { "other causes".to_owned() } else { cause };
    *causes.entry(cause).or_default() += times;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

    use super::super::ledger::{Deliveries, Ledger, Stream};
    use super::*;

    /// Two publishers, one channel with two sockets; each event goes to whom the server pleases.
    struct Story {
        ledger: Ledger,
        part: Part,
    }

    impl Story {
        fn new() -> Self {
            let mut part = Part::new(2).unwrap();
            assert_eq!([part.sit(0), part.sit(0)], [0, 1]);
            Self { ledger: Ledger::default(), part }
        }

        fn send(&mut self, phase: Phase, publisher: u32, refusal: Option<&str>) -> Stamp {
            let number = self.ledger.begin(Stream { phase, publisher, channel: 0 });
            match refusal {
                None => assert!(self.ledger.accept(publisher)),
                Some(cause) => self.ledger.refuse(publisher, cause.to_owned()),
            }
            Stamp { phase, publisher, number, due: Duration::from_millis(1), channel: 0 }
        }

        fn arrive(&mut self, stamp: &Stamp, seats: &[usize]) {
            for seat in seats {
                self.part.deliver(*seat, stamp, Duration::from_millis(3));
            }
        }

        fn settle(self, phase: Phase) -> Deliveries {
            self.ledger.settle(&[self.part], phase)
        }
    }

    #[test]
    fn a_faultless_run_balances_whoever_sends() {
        let mut story = Story::new();
        for publisher in [0, 1, 1, 0, 1] {
            let stamp = story.send(Phase::Measured, publisher, None);
            story.arrive(&stamp, &[1, 0]);
        }
        let quantiles = story.part.delivery.quantiles().unwrap();
        assert_eq!(quantiles.count, 10);
        let expected = Deliveries { expected: 10, received: 10, ..Deliveries::default() };
        assert_eq!(story.settle(Phase::Measured), expected);
    }

    #[test]
    fn each_fault_is_counted_as_what_it_is() {
        let mut story = Story::new();
        let lost = story.send(Phase::Measured, 0, None);
        story.arrive(&lost, &[0]);
        let twice = story.send(Phase::Measured, 0, None);
        story.arrive(&twice, &[0, 1, 1]);
        let (first, second) =
            (story.send(Phase::Measured, 1, None), story.send(Phase::Measured, 1, None));
        story.arrive(&second, &[0, 1]);
        story.arrive(&first, &[0, 1]);
        story.send(Phase::Measured, 0, Some("503 Service Unavailable"));
        let unknown = story.send(Phase::Measured, 1, Some("no answer"));
        story.arrive(&unknown, &[1]);
        story.ledger.begin(Stream { phase: Phase::Measured, publisher: 0, channel: 0 });
        story.ledger.close();
        assert_eq!(story.ledger.events(Phase::Measured).refused.values().sum::<u64>(), 3);
        let deliveries = story.settle(Phase::Measured);
        let expected = Deliveries {
            expected: 8,
            received: 8,
            missing: 1,
            duplicated: 1,
            out_of_order: 2,
            unaccepted: 1,
            stray: 0,
        };
        assert_eq!(deliveries, expected);
        assert_eq!(
            deliveries.received,
            deliveries.expected - deliveries.missing + deliveries.unaccepted
        );
    }

    #[test]
    fn what_nobody_sent_to_a_socket_is_no_delivery() {
        let mut story = Story::new();
        let stamp = story.send(Phase::Measured, 0, None);
        let strays = [
            Stamp { channel: 1, ..stamp },
            Stamp { publisher: 2, ..stamp },
            Stamp { publisher: 1, ..stamp },
            Stamp { number: 7, ..stamp },
            Stamp { number: u64::MAX, ..stamp },
        ];
        for stray in strays {
            story.arrive(&stray, &[1]);
        }
        story.arrive(&stamp, &[0]);
        let expected = Deliveries {
            expected: 2,
            received: 1,
            missing: 1,
            stray: strays.len() as u64,
            ..Deliveries::default()
        };
        assert_eq!(story.settle(Phase::Measured), expected);
    }

    #[test]
    fn causes_are_told_apart_to_a_limit() {
        let mut causes = Causes::new();
        for number in 0..100 {
            count(&mut causes, format!("closed: {number}"), 2);
        }
        count(&mut causes, "closed: 3".to_owned(), 1);
        assert_eq!(causes.len(), MOST_CAUSES + 1);
        assert_eq!((causes["closed: 3"], causes["other causes"]), (3, 160));
    }

    #[test]
    fn phases_are_accounts_of_their_own() {
        let mut story = Story::new();
        let warm_up = story.send(Phase::WarmUp, 0, None);
        let measured = story.send(Phase::Measured, 0, None);
        story.arrive(&measured, &[0, 1]);
        story.arrive(&warm_up, &[0]);
        assert_eq!(story.ledger.settle(&[], Phase::WarmUp), Deliveries::default());
        let expected = Deliveries { expected: 2, received: 1, missing: 1, ..Deliveries::default() };
        assert_eq!(story.settle(Phase::WarmUp), expected);
    }
}
