//! Logs with planted violations: each invariant finds its own, and a clean log has none.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

use std::collections::BTreeMap;

use super::history::History;
use super::{Excuse, Findings, Terms, check};
use crate::log::{Micros, Record, seconds};

const PUBLIC: u32 = 0;
const PRESENCE: u32 = 1;
const END: Micros = seconds(60);

/// A log that is written by hand. Events are sent a second apart, from 10 s on.
#[derive(Default)]
struct Plant {
    records: Vec<Record>,
    terms: Terms,
}

impl Plant {
    /// Two connections to a public channel, and ten events that both get.
    fn clean() -> Self {
        let mut plant = Self::default();
        plant.open(1, PUBLIC).open(2, PUBLIC);
        for event in 0..10 {
            plant.sent(event, 200).kept("a", event + 1, event).got(1, event).got(2, event);
        }
        plant
    }

    fn add(&mut self, record: Record) -> &mut Self {
        self.records.push(record);
        self
    }

    fn open(&mut self, conn: u32, channel: u32) -> &mut Self {
        self.add(Record::Opened { at: seconds(1), conn, client: conn, node: conn % 2 });
        self.add(Record::Asked { at: seconds(1), conn, channel, user: None, may: true });
        self.add(Record::Subscribed { at: seconds(2), conn, channel, users: None })
    }

    fn close(&mut self, conn: u32, at: Micros) -> &mut Self {
        self.add(Record::Closed { at, conn, ours: false, why: String::new() })
    }

    fn sent(&mut self, event: u64, status: u16) -> &mut Self {
        self.sent_but(event, status, None)
    }

    fn sent_but(&mut self, event: u64, status: u16, except: Option<u32>) -> &mut Self {
        let at = seconds(10 + event);
        self.add(Record::Sent { at, event, channel: PUBLIC, node: 0, except });
        self.add(Record::Answered { at: at + 1_000, event, status, attempts: 1 })
    }

    fn searched(&mut self, bytes: u64, found: &[(&str, u64)]) -> &mut Self {
        let found = found.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect();
        let (at, place) = (END, "log".to_owned());
        self.add(Record::Searched { at, node: 0, place, bytes, found })
    }

    fn kept(&mut self, epoch: &str, serial: u64, event: u64) -> &mut Self {
        let (at, epoch) = (seconds(11 + event), epoch.to_owned());
        self.add(Record::Kept { at, channel: PUBLIC, epoch, serial, event: Some(event) })
    }

    fn got(&mut self, conn: u32, event: u64) -> &mut Self {
        let at = seconds(10 + event) + 2_000;
        self.add(Record::Got { at, conn, channel: PUBLIC, event })
    }

    /// Removes what a connection got of an event.
    fn lose(&mut self, lost: u32, number: u64) -> &mut Self {
        self.records.retain(
            |record| !matches!(record, Record::Got { conn, event, .. } if (*conn, *event) == (lost, number)),
        );
        self
    }

    /// A member of the presence channel, from `from` to `to`, who is told who is there.
    fn member(&mut self, conn: u32, from: Micros, to: Option<Micros>, users: &[u32]) -> &mut Self {
        let (channel, user) = (PRESENCE, Some(conn));
        self.add(Record::Opened { at: from, conn, client: conn, node: 0 });
        self.add(Record::Asked { at: from, conn, channel, user, may: true });
        self.add(Record::Subscribed { at: from + 1, conn, channel, users: Some(users.to_vec()) });
        match to {
            Some(to) => self.close(conn, to),
            None => self,
        }
    }

    fn told(&mut self, conn: u32, at: Micros, user: u32, came: bool) -> &mut Self {
        self.add(Record::Member { at, conn, channel: PRESENCE, user, came })
    }

    /// What a node of a clean log says, but for one figure.
    fn still(&mut self, node: u32, name: &str, value: f64) -> &mut Self {
        let here = ["connections", "subscriptions", "seats", "sessions"].map(|name| (name, 1.0));
        let mut values: BTreeMap<_, _> =
            here.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        values.insert(name.to_owned(), value);
        self.figures(node, values)
    }

    fn figures(&mut self, node: u32, values: BTreeMap<String, f64>) -> &mut Self {
        self.add(Record::Figures { at: seconds(50), node, still: true, values })
    }

    fn findings(&mut self) -> Findings {
        let (scenario, what) = ("run".to_owned(), "end".to_owned());
        let mut records = self.records.clone();
        records.push(Record::Mark { at: END, scenario, what, node: None });
        // as a log is: by time, what is of one moment in its order
        records.sort_by_key(at);
        check(&History::of(records), &self.terms)
    }

    /// Returns the invariants that are broken.
    fn broken(&mut self) -> Vec<&'static str> {
        let findings = self.findings();
        findings.iter().filter(|(_, finding)| finding.violations > 0).map(|(id, _)| *id).collect()
    }
}

fn at(record: &Record) -> Micros {
    serde_json::to_value(record).unwrap()["at"].as_u64().unwrap()
}

#[test]
fn a_clean_log_breaks_nothing_and_everything_was_looked_at() {
    let mut plant = Plant::clean();
    plant.member(5, seconds(3), None, &[5]).member(6, seconds(5), Some(seconds(20)), &[5, 6]);
    plant.told(5, seconds(5) + 2, 6, true).told(5, seconds(20) + 1, 6, false);
    plant.still(1, "connections", 1.0).sent(20, 503).searched(1, &[]);
    let findings = plant.findings();
    for (id, finding) in findings {
        assert_eq!((finding.violations, finding.examples.len()), (0, 0), "{id}: {finding:?}");
        assert!(finding.checked > 0, "{id}");
    }
}

#[test]
fn planted_loss_is_found_in_the_middle_and_at_the_end() {
    assert_eq!(Plant::clean().lose(2, 4).broken(), ["I2", "I3"]);
    assert_eq!(Plant::clean().lose(2, 9).broken(), ["I3"]);
    assert_eq!(Plant::clean().lose(2, 0).broken(), ["I3"]);
}

#[test]
fn what_a_connection_did_not_live_to_see_is_not_lost() {
    let mut plant = Plant::clean();
    assert_eq!(plant.lose(2, 9).close(2, seconds(19) + 5_000).broken(), [""; 0]);
    let mut plant = Plant::clean();
    assert_eq!(plant.lose(2, 8).close(2, seconds(20)).broken(), ["I2", "I3"], "it got a later one");
    let mut plant = Plant::clean();
    assert_eq!(plant.lose(2, 9).close(2, seconds(40)).broken(), ["I3"], "it lived long enough");
}

#[test]
fn loss_is_excused_where_it_is_legal_and_counted() {
    let mut plant = Plant::clean();
    let why = "the server died".to_owned();
    plant.terms.excuses.push(Excuse { from: seconds(19), to: seconds(20), why: why.clone() });
    plant.lose(2, 9);
    assert_eq!(plant.broken(), [""; 0]);
    assert_eq!(plant.findings()["I3"].excused, BTreeMap::from([(why, 1)]));
    assert_eq!(plant.lose(2, 8).broken(), ["I3"]);
}

#[test]
fn planted_duplicates_are_found() {
    assert_eq!(Plant::clean().got(1, 4).broken(), ["I2"]);
    let mut refused = Plant::clean();
    refused.sent(20, 503).got(1, 20).got(2, 20);
    assert_eq!(refused.broken(), [""; 0], "once is allowed");
    assert_eq!(refused.got(1, 20).broken(), ["I2", "I4"]);
}

#[test]
fn an_event_with_two_positions_is_found() {
    assert_eq!(Plant::clean().kept("a", 11, 4).broken(), ["I3"]);
    let mut refused = Plant::clean();
    refused.sent(20, 0).kept("a", 11, 20);
    assert_eq!(refused.broken(), [""; 0], "once is allowed");
    assert_eq!(refused.kept("a", 12, 20).broken(), ["I4"]);
}

#[test]
fn planted_reordering_is_found_by_positions_by_time_and_by_comparison() {
    let swap = |plant: &mut Plant, conn: u32| {
        for record in &mut plant.records {
            if let Record::Got { conn: here, event, .. } = record
                && *here == conn
                && (*event == 4 || *event == 5)
            {
                *event = 9 - *event;
            }
        }
    };
    let mut plant = Plant::clean();
    swap(&mut plant, 1);
    assert_eq!(plant.broken(), ["I2"]);

    // as if nothing were known of Redis, and all were sent at once
    let mut concurrent = Plant::clean();
    concurrent.records.retain(|record| !matches!(record, Record::Kept { .. }));
    for record in &mut concurrent.records {
        if let Record::Answered { at, .. } = record {
            *at = seconds(30);
        }
    }
    assert_eq!(concurrent.broken(), [""; 0]);
    swap(&mut concurrent, 1);
    assert_eq!(concurrent.broken(), ["I2"], "the two disagree");
    swap(&mut concurrent, 2);
    assert_eq!(concurrent.broken(), [""; 0], "nobody knows better");
}

#[test]
fn planted_holes_and_collisions_in_redis_are_found() {
    let mut hole = Plant::clean();
    hole.records.retain(|record| !matches!(record, Record::Kept { serial: 5, .. }));
    assert_eq!(hole.broken(), ["I1"]);
    let mut collision = Plant::clean();
    collision.records.retain(|record| !matches!(record, Record::Kept { serial: 5, .. }));
    assert!(collision.kept("a", 4, 4).broken().contains(&"I1"));
    let mut unknown = Plant::clean();
    assert_eq!(unknown.kept("a", 11, 99).broken(), ["I1"]);
    let mut back = Plant::clean();
    back.sent(10, 200).sent(11, 200).kept("b", 1, 10).kept("a", 11, 11);
    for event in [10, 11] {
        back.got(1, event).got(2, event);
    }
    assert!(back.broken().contains(&"I1"));
}

#[test]
fn a_new_epoch_begins_at_one() {
    let mut plant = Plant::clean();
    plant.sent(10, 200).got(1, 10).got(2, 10);
    assert_eq!(plant.kept("b", 1, 10).broken(), [""; 0]);
    let mut plant = Plant::clean();
    plant.sent(10, 200).got(1, 10).got(2, 10);
    assert_eq!(plant.kept("b", 7, 10).broken(), ["I1"]);
}

#[test]
fn an_excluded_connection_that_hears_is_found() {
    let mut plant = Plant::clean();
    plant.sent_but(10, 200, Some(1)).kept("a", 11, 10).got(2, 10);
    assert_eq!(plant.broken(), [""; 0]);
    assert_eq!(plant.got(1, 10).broken(), ["I5"]);
}

#[test]
fn who_is_let_in_or_hears_without_right_is_found() {
    let mut plant = Plant::clean();
    plant.add(Record::Opened { at: seconds(1), conn: 3, client: 3, node: 0 });
    plant.add(Record::Asked { at: seconds(1), conn: 3, channel: PUBLIC, user: None, may: false });
    plant.add(Record::Refused { at: seconds(2), conn: 3, channel: PUBLIC });
    assert_eq!(plant.broken(), [""; 0]);
    assert_eq!(plant.got(3, 5).broken(), ["I5"]);
    let mut plant = Plant::clean();
    plant.add(Record::Opened { at: seconds(1), conn: 3, client: 3, node: 0 });
    assert_eq!(plant.got(3, 5).broken(), ["I5"], "it has never asked");
}

#[test]
fn an_event_before_the_success_of_its_subscription_is_found() {
    let mut plant = Plant::clean();
    plant.add(Record::Opened { at: seconds(1), conn: 3, client: 3, node: 0 });
    plant.add(Record::Asked { at: seconds(12), conn: 3, channel: PUBLIC, user: None, may: true });
    plant.got(3, 4);
    plant.add(Record::Subscribed { at: seconds(15), conn: 3, channel: PUBLIC, users: None });
    for event in 5..10 {
        plant.got(3, event);
    }
    assert_eq!(plant.broken(), ["I7"]);
}

#[test]
fn what_comes_long_after_unsubscribe_is_found() {
    let mut plant = Plant::clean();
    plant.add(Record::Left { at: seconds(17) + 1_000, conn: 2, channel: PUBLIC });
    for event in [8, 9] {
        plant.lose(2, event);
    }
    assert_eq!(plant.broken(), [""; 0], "7 was on its way");
    assert_eq!(plant.got(2, 9).broken(), ["I7"]);
}

/// Members 5 and 6; 5 observes.
fn members() -> Plant {
    let mut plant = Plant::default();
    plant.member(5, seconds(3), None, &[5]).member(6, seconds(5), Some(seconds(30)), &[5, 6]);
    plant.told(5, seconds(5) + 2, 6, true);
    plant
}

#[test]
fn ghosts_and_the_unseen_are_found() {
    let mut plant = members();
    assert_eq!(plant.broken(), ["I6"], "6 is a ghost after 30 s");
    assert_eq!(plant.told(5, seconds(31), 6, false).broken(), [""; 0]);
    let mut unseen = Plant::default();
    unseen.member(5, seconds(3), None, &[5]).member(6, seconds(5), None, &[5, 6]);
    assert_eq!(unseen.broken(), ["I6"]);
}

#[test]
fn broken_alternation_is_found() {
    let mut plant = members();
    plant.told(5, seconds(31), 6, false);
    assert_eq!(plant.told(5, seconds(32), 6, false).broken(), ["I6"]);
    let mut plant = members();
    plant.told(5, seconds(31), 6, false);
    assert_eq!(plant.told(5, seconds(6), 6, true).broken(), ["I6"]);
}

#[test]
fn a_going_of_who_stayed_is_found_even_if_it_is_taken_back() {
    let mut plant = members();
    plant.told(5, seconds(20), 6, false).told(5, seconds(21), 6, true);
    plant.told(5, seconds(31), 6, false);
    assert_eq!(plant.broken(), ["I6"]);
    plant.terms.disturbed.push((seconds(18), seconds(22)));
    assert_eq!(plant.broken(), [""; 0], "a node was cut off");
}

#[test]
fn a_coming_of_who_was_never_there_is_found() {
    let mut plant = members();
    plant.told(5, seconds(31), 6, false);
    plant.told(5, seconds(40), 9, true).told(5, seconds(41), 9, false);
    assert_eq!(plant.broken(), ["I6"]);
}

#[test]
fn a_wrong_or_negative_gauge_is_found() {
    let mut plant = Plant::clean();
    assert_eq!(plant.still(1, "connections", 1.0).broken(), [""; 0]);
    assert_eq!(plant.still(0, "connections", 2.0).broken(), ["I8"]);
    let mut plant = Plant::clean();
    assert_eq!(plant.still(0, "subscriptions", 0.0).broken(), ["I8"]);
    let mut plant = Plant::clean();
    assert_eq!(plant.still(1, "watched", 18_446_744_073_709_551_615.0).broken(), ["I8"]);
    assert_eq!(Plant::clean().figures(1, BTreeMap::new()).broken(), ["I8"], "it says nothing");
    let mut plant = members();
    plant.told(5, seconds(31), 6, false);
    plant.add(Record::Told { at: seconds(50), node: 0, channel: PRESENCE, users: 1 });
    assert_eq!(plant.broken(), [""; 0]);
    plant.add(Record::Told { at: seconds(51), node: 1, channel: PRESENCE, users: 2 });
    assert_eq!(plant.broken(), ["I8"]);
}

#[test]
fn what_a_node_keeps_of_those_who_have_gone_is_found() {
    let says = |left: &str| {
        let mut values: BTreeMap<String, f64> =
            ["connections", "subscriptions", "channels", "channel_actors", "seats", "sessions"]
                .into_iter()
                .chain(["watched_sockets", "outbox"])
                .map(|name| (name.to_owned(), 0.0))
                .collect();
        if let Some(value) = values.get_mut(left) {
            *value = 1.0;
        }
        Plant::clean().close(1, seconds(40)).figures(1, values).broken()
    };
    assert_eq!(says("nothing"), [""; 0]);
    for left in ["connections", "channels", "seats", "watched_sockets", "outbox"] {
        assert_eq!(says(left), ["I8"], "{left}");
    }
}

#[test]
fn what_nobody_may_read_is_complained_of_and_so_is_a_search_of_nothing() {
    assert_eq!(Plant::clean().searched(1, &[]).broken(), [""; 0]);
    assert_eq!(Plant::clean().searched(1, &[("secrets", 2)]).broken(), ["I10"]);
    assert_eq!(Plant::clean().searched(0, &[]).broken(), ["I10"]);
}
