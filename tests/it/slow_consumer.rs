//! A client that does not read is closed; nobody waits for it.

use std::time::Duration;

use micronotifier_actors::clock::Clock;
use serde_json::json;

use crate::support::apps::MAIN;
use crate::support::frame::{self, TEXT};
use crate::support::socket::target;
use crate::support::stream::Stream;
use crate::support::{DEADLINE, Socket, TestNode, eventually};

/// Connects a client whose host takes few bytes that it does not read.
fn narrow(node: &TestNode) -> Socket {
    let stream = Stream::connect_narrow(node.address(), 4096);
    let mut socket = Socket::upgrade(stream, &target(MAIN), &[]);
    socket.app = MAIN;
    socket.established();
    socket
}

#[test]
fn a_client_that_stops_reading_is_closed_by_bytes_and_others_go_on() {
    let node = TestNode::start(|_| {});
    let mut watcher = node.connect(MAIN);
    watcher.join("presence-watch", "watcher");
    let mut healthy = node.connect(MAIN);
    healthy.subscribe("flood");
    let mut slow = narrow(&node);
    slow.join("presence-watch", "slow");
    slow.subscribe("flood");
    watcher.expect_event("pusher_internal:member_added");

    let mut api = node.api(MAIN);
    let data = "x".repeat(10_000);
    for number in 0..400 {
        api.trigger("flood", &number.to_string(), &data);
        healthy.expect_event(&number.to_string());
    }
    watcher.expect(json!({
        "event": "pusher_internal:member_removed", "channel": "presence-watch",
        "data": {"user_id": "slow"}
    }));
    slow.expect_end();
    healthy.expect_silence();
}

#[test]
fn a_client_that_stops_reading_is_closed_by_age() {
    let node = TestNode::start(|_| {});
    let mut slow = narrow(&node);
    slow.join("presence-age", "slow");
    slow.subscribe("trickle");
    // More than the kernel holds for it, less than the outbox may hold.
    let mut api = node.api(MAIN);
    let data = "x".repeat(10_000);
    for _ in 0..24 {
        api.trigger("trickle", "e", &data);
    }
    let mut watcher = node.connect(MAIN);
    watcher.join("presence-age", "watcher");
    watcher.stream.wait_at_most(Duration::from_secs(14));
    watcher.expect(json!({
        "event": "pusher_internal:member_removed", "channel": "presence-age",
        "data": {"user_id": "slow"}
    }));
    slow.expect_end();
}

#[test]
fn a_client_that_asks_and_does_not_read_the_answers_is_closed_by_bytes() {
    // So patient that it cannot be closed by age while the test lasts.
    let node = TestNode::start(|config| {
        config.node.limits.outbox_wait = Duration::from_mins(10);
    });
    let mut slow = narrow(&node);
    let question = frame::message(TEXT, br#"{"event":"nonsense"}"#).repeat(500);
    let clock = Clock::start();
    while slow.offer_bytes(&question) {
        assert!(clock.now().elapsed() < DEADLINE, "it is let ask on and on");
    }
    node.connect(MAIN).subscribe("next");
}

#[test]
fn a_client_that_reads_late_but_in_time_loses_nothing() {
    let node = TestNode::start(|_| {});
    let mut late = narrow(&node);
    late.subscribe("late");
    let mut api = node.api(MAIN);
    let data = "x".repeat(10_000);
    for number in 0..20 {
        api.trigger("late", &number.to_string(), &data);
    }
    for number in 0..20 {
        late.expect_event(&number.to_string());
    }
    late.expect_silence();
}

#[test]
fn many_clients_that_do_not_read_do_not_hold_the_node() {
    let node = TestNode::start(|_| {});
    let mut slow: Vec<Socket> = (0..30).map(|_| narrow(&node)).collect();
    for socket in &mut slow {
        socket.subscribe("crowd");
    }
    let mut healthy = node.connect(MAIN);
    healthy.subscribe("crowd");
    let mut api = node.api(MAIN);
    let data = "x".repeat(10_000);
    for number in 0..100 {
        api.trigger("crowd", &number.to_string(), &data);
        healthy.expect_event(&number.to_string());
    }
    for socket in &mut slow {
        socket.expect_end();
    }
    eventually("only the healthy one is left", || {
        let mut api = node.api(MAIN);
        let answer = api.get("/channels", &[]);
        answer.json() == json!({"channels": {"crowd": {}}})
    });
    node.fence("crowd", &mut [&mut healthy]);
}
