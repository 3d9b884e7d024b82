//! Runs in which all went well, and what is complained of where it did not.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

use super::*;
use crate::Size;
use crate::log::{Record, seconds};
use crate::names::Names;
use crate::plan::Plan;

/// A run of F3 in which all went well: Redis dead from 20 to 25 s, one event before it and one meanwhile.
fn records() -> Vec<Record> {
    let mark = |at, scenario: &str, what: &str| {
        let (scenario, what) = (scenario.to_owned(), what.to_owned());
        Record::Mark { at: seconds(at), scenario, what, node: None }
    };
    let (channel, node, conn) = (0, 0, 1);
    let event = |at, event, status| {
        let at = seconds(at);
        let sent = Record::Sent { at, event, channel, node, except: None };
        [sent, Record::Answered { at: at + 1000, event, status, attempts: 1 }]
    };
    let epochs = |at, count| {
        let values = BTreeMap::from([("epochs".to_owned(), count)]);
        Record::Figures { at: seconds(at), node, still: false, values }
    };
    let ready = |at, is| Record::Ready { at: seconds(at), node, is };
    let kept = |at, epoch: &str, event| {
        let epoch = epoch.to_owned();
        Record::Kept { at: seconds(at), channel, epoch, serial: 1, event: Some(event) }
    };
    let (place, bytes, found) = ("log".to_owned(), 1, BTreeMap::new());
    let searched = Record::Searched { at: seconds(59), node, place, bytes, found };
    let got = |at, event| Record::Got { at: seconds(at) + 2000, conn, channel, event };
    let mut records = vec![
        Record::Opened { at: seconds(1), conn, client: 1, node },
        Record::Asked { at: seconds(1), conn, channel, user: Some(1), may: true },
        Record::Subscribed { at: seconds(2), conn, channel, users: Some(vec![1]) },
        ready(3, true),
        mark(3, "run", "begin"),
        epochs(4, 0.0),
        got(10, 0),
        kept(11, "a", 0),
        mark(20, "F3", "killed"),
        ready(21, false),
        mark(25, "F3", "starts"),
        mark(25, "F3", "back"),
        ready(26, true),
        got(27, 2),
        kept(28, "b", 2),
        epochs(29, 1.0),
        searched,
        mark(60, "run", "end"),
    ];
    records.extend([event(10, 0, 200), event(22, 1, 503), event(27, 2, 200)].concat());
    let (scenario, what) = ("F3".to_owned(), "redis ended by signal 9".to_owned());
    records.push(Record::Proof { at: seconds(20), scenario, what, count: 1 });
    records.sort_by_key(at);
    records
}

fn at(record: &Record) -> u64 {
    serde_json::to_value(record).unwrap().get("at").unwrap().as_u64().unwrap()
}

fn complaints(records: Vec<Record>) -> Vec<String> {
    let size = Size { sockets: 1, rate: 1, churn: 0, tails: 0 };
    // as long as two events are load enough
    let plan = Plan { run: "F3".to_owned(), seed: 1, seconds: 8, nodes: 1, size };
    let names = Names { channels: vec!["presence-lab-0".to_owned()] };
    let facts = Facts { plan, names };
    let history = History::of(records);
    let mut terms = Terms::default();
    faults::allow(Scenario::F3, &history, &mut terms);
    let findings = check(&history, &terms);
    let seen = seen(&history);
    verdict(Scenario::F3, &history, &facts, &findings, &seen).complaints
}

/// Returns the one complaint.
fn complaint(records: Vec<Record>) -> String {
    let complaints = complaints(records);
    let [complaint] = complaints.as_slice() else {
        panic!("{complaints:#?}");
    };
    complaint.clone()
}

#[test]
fn a_run_in_which_all_went_well_passes() {
    assert_eq!(complaints(records()), [""; 0]);
}

#[test]
fn a_run_without_proof_fails() {
    let mut none = records();
    none.retain(|record| !matches!(record, Record::Proof { .. }));
    assert_eq!(complaint(none), "nothing proves that the fault happened");
    let mut zero = records();
    for record in &mut zero {
        if let Record::Proof { count, .. } = record {
            *count = 0;
        }
    }
    assert_eq!(complaint(zero), "no proof: redis ended by signal 9");
}

#[test]
fn a_run_without_load_or_without_an_end_fails() {
    let mut idle = records();
    idle.retain(|record| !matches!(record, Record::Got { .. }));
    assert!(complaints(idle).contains(&"no load ran".to_owned()));
    let mut slack = records();
    for record in &mut slack {
        if let Record::Answered { event: 2, status, .. } = record {
            *status = 503;
        }
    }
    let says = "only 1 events of 8 were accepted".to_owned();
    assert!(complaints(slack).contains(&says));
    let mut empty = records();
    for record in &mut empty {
        if let Record::Mark { at, what, .. } = record
            && what == "begin"
        {
            *at = 0;
        }
    }
    empty.sort_by_key(at);
    assert!(complaints(empty).contains(&"only 0 of 1 sockets".to_owned()));
    let mut broken_off = records();
    broken_off.pop();
    assert!(complaints(broken_off).contains(&"the run has no end".to_owned()));
}

#[test]
fn a_run_that_loses_a_connection_fails_unless_its_node_was_killed() {
    let why = "Connection reset".to_owned();
    let mut records = records();
    let end = records.len() - 1;
    records.insert(end, Record::Closed { at: seconds(50), conn: 1, ours: false, why });
    let says = "1 connections of nodes that ran were lost, such as 1";
    assert_eq!(complaint(records.clone()), says);
    let (scenario, what) = ("F1".to_owned(), "killed".to_owned());
    let killed = Record::Mark { at: seconds(50), scenario, what, node: Some(0) };
    records.insert(end + 1, killed);
    assert_eq!(complaints(records), [""; 0]);
}

#[test]
fn a_false_2xx_while_redis_was_dead_fails() {
    let mut records = records();
    for record in &mut records {
        if let Record::Answered { event: 1, status, .. } = record {
            *status = 200;
        }
    }
    let complaints = complaints(records);
    let says = "accepted while Redis was dead, times: 1.000, at most 0".to_owned();
    assert!(complaints.contains(&says), "{complaints:#?}");
}

/// The run, but for a node that is ready 4 s after Redis is back, of 3.
fn ready_late() -> Vec<Record> {
    let mut records = records();
    for record in &mut records {
        if let Record::Ready { at, is: true, .. } = record
            && *at == seconds(26)
        {
            *at = seconds(29);
        }
    }
    records.sort_by_key(at);
    records
}

#[test]
fn a_node_that_is_ready_too_late_fails() {
    let says = "every node is ready after Redis is back, s: 4.000, at most 3";
    assert_eq!(complaint(ready_late()), says);
}

#[test]
fn what_the_lab_stood_still_is_not_held_against_a_node_up_to_a_second() {
    let stalled = |micros| {
        let mut records = ready_late();
        records.insert(5, Record::Stalled { at: seconds(40), micros });
        complaints(records)
    };
    assert_eq!(stalled(seconds(1)), [""; 0]);
    assert_eq!(stalled(seconds(1) / 2).len(), 1);
    let mut later = ready_late();
    later.insert(5, Record::Stalled { at: seconds(40), micros: seconds(9) });
    for record in &mut later {
        if let Record::Ready { at, is: true, .. } = record
            && *at == seconds(29)
        {
            *at = seconds(30);
        }
    }
    later.sort_by_key(at);
    assert_eq!(complaints(later).len(), 1, "a second at most");
}

#[test]
fn a_hole_of_the_sort_that_is_legal_is_not_complained_of() {
    let mut records = records();
    records.retain(|record| !matches!(record, Record::Got { event: 0, .. }));
    let says = "I3: 1 violations";
    assert!(complaint(records.clone()).starts_with(says), "long before the fault");
    for record in &mut records {
        if let Record::Sent { at, event: 0, .. } = record {
            *at = seconds(20) - 3000;
        }
        if let Record::Answered { at, event: 0, .. } = record {
            *at = seconds(20) - 2000;
        }
    }
    records.sort_by_key(at);
    assert_eq!(complaints(records), [""; 0]);
}
