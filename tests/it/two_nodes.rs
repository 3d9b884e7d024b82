//! Two nodes of one process, with the loopback bridge between them.

use std::net::TcpStream;
use std::sync::LazyLock;

use micronotifier::config::ServerConfig;
use micronotifier_actors::bridge::loopback::Hub;
use micronotifier_actors::config::{App, Apps, Delivery};
use serde_json::json;

use crate::support::apps::MAIN;
use crate::support::{DEADLINE, TestNode, eventually, unique};

/// Returns the two nodes that these tests share.
fn nodes() -> &'static (TestNode, TestNode) {
    static NODES: LazyLock<(TestNode, TestNode)> = LazyLock::new(|| {
        let hub = Hub::default();
        (TestNode::start_on(&hub, |_| {}), TestNode::start_on(&hub, |_| {}))
    });
    &NODES
}

#[test]
fn an_event_reaches_the_subscribers_of_both_nodes_once() {
    let (here, there) = nodes();
    let channel = unique("both");
    let (mut near, mut far) = (here.connect(MAIN), there.connect(MAIN));
    near.subscribe(&channel);
    far.subscribe(&channel);
    here.trigger(MAIN, &channel, "first", "1");
    for socket in [&mut near, &mut far] {
        socket.expect(json!({"event": "first", "channel": channel, "data": "1"}));
    }
    there.fence(&channel, &mut [&mut near, &mut far]);
}

#[test]
fn both_nodes_see_one_order() {
    let (here, there) = nodes();
    let channel = unique("order");
    let (mut near, mut far) = (here.connect(MAIN), there.connect(MAIN));
    near.subscribe(&channel);
    far.subscribe(&channel);
    std::thread::scope(|scope| {
        for node in [here, there] {
            let channel = &channel;
            scope.spawn(move || {
                let mut api = node.api(MAIN);
                for event in 0..100 {
                    api.trigger(channel, &format!("e{event}"), &node.address().to_string());
                }
            });
        }
    });
    let seen: [Vec<_>; 2] = [&mut near, &mut far].map(|socket| {
        let event = |_| {
            let frame = socket.event();
            (frame["event"].clone(), frame["data"].clone())
        };
        (0..200).map(event).collect()
    });
    assert_eq!(seen[0], seen[1]);
}

#[test]
fn the_excluded_socket_is_excluded_on_the_other_node_too() {
    let (here, there) = nodes();
    let channel = unique("except");
    let (mut near, mut far) = (here.connect(MAIN), there.connect(MAIN));
    near.subscribe(&channel);
    far.subscribe(&channel);
    let id = far.id.clone();
    let body = json!({"name": "e", "channels": [&channel], "data": "1", "socket_id": id});
    here.api(MAIN).post("/events", &body);
    near.expect(json!({"event": "e", "channel": channel, "data": "1"}));
    there.fence(&channel, &mut [&mut near, &mut far]);
}

#[test]
fn a_client_event_reaches_the_other_node_and_not_its_sender() {
    let (here, there) = nodes();
    let channel = unique("private-whisper");
    let (mut near, mut far) = (here.connect(MAIN), there.connect(MAIN));
    near.subscribe(&channel);
    far.subscribe(&channel);
    near.whisper(&channel, "client-a", &json!({"n": 1}));
    far.expect(json!({"event": "client-a", "channel": channel, "data": "{\"n\":1}"}));
    there.fence(&channel, &mut [&mut near, &mut far]);
}

#[test]
fn a_cached_event_is_remembered_for_both_nodes() {
    let (here, there) = nodes();
    let channel = unique("cache-both");
    here.trigger(MAIN, &channel, "e", "1");
    let mut far = there.connect(MAIN);
    far.subscribe(&channel);
    far.expect(json!({"event": "e", "channel": channel, "data": "1"}));
}

#[test]
fn terminating_a_user_closes_the_connections_on_both_nodes() {
    let (here, there) = nodes();
    let user = unique("user");
    let mut sockets = [here.connect(MAIN), there.connect(MAIN)];
    for socket in &mut sockets {
        socket.sign_in(&user);
    }
    here.api(MAIN).post(&format!("/users/{user}/terminate_connections"), &json!({}));
    for socket in &mut sockets {
        socket.expect_rejection(4009);
    }
}

#[test]
fn fast_delivery_reaches_both_nodes_once() {
    let hub = Hub::default();
    let fast = |config: &mut ServerConfig| {
        config.node.apps = Apps::new([App { delivery: Delivery::Fast, ..MAIN.config() }]);
    };
    let (here, there) = (TestNode::start_on(&hub, fast), TestNode::start_on(&hub, fast));
    let channel = unique("fast");
    let (mut near, mut far) = (here.connect(MAIN), there.connect(MAIN));
    near.subscribe(&channel);
    far.subscribe(&channel);
    here.trigger(MAIN, &channel, "e", "1");
    for socket in [&mut near, &mut far] {
        socket.expect(json!({"event": "e", "channel": channel, "data": "1"}));
    }
    here.fence(&channel, &mut [&mut near, &mut far]);
}

#[test]
fn subscriptions_taken_back_at_once_leave_nothing_unanswered() {
    let (here, _) = nodes();
    let channel = unique("back");
    let mut socket = here.connect(MAIN);
    socket.subscribe_among_taken_back(&channel);
    here.fence(&channel, &mut [&mut socket]);
}

#[test]
fn a_node_that_ends_refuses_connections_and_hands_on_what_comes_over_open_ones() {
    let hub = Hub::default();
    let patient = |config: &mut ServerConfig| config.node.limits.close_wait = DEADLINE;
    let (mut ending, staying) =
        (TestNode::start_on(&hub, patient), TestNode::start_on(&hub, |_| {}));
    let channel = unique("ending");
    let mut far = staying.connect(MAIN);
    far.subscribe(&channel);
    // One that has been told of the end, and one that does not listen, for which the node waits.
    let (mut near, deaf) = (ending.connect(MAIN), ending.connect(MAIN));
    let (mut api, mut asking, mut looking) = (ending.api(MAIN), ending.api(MAIN), ending.api(MAIN));
    api.trigger(&channel, "before", "1");
    for open in [&mut asking, &mut looking] {
        assert_eq!(open.get("/channels", &[]).status, 200);
    }
    ending.begin_stop();
    near.expect_close(1001);
    eventually("connections are refused", || TcpStream::connect(ending.address()).is_err());
    let body = json!({"name": "after", "channels": [&channel], "data": "2"});
    let answer = api.post("/events", &body);
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    let body = json!({"name": "asked", "channels": [&channel], "data": "3", "info": "user_count"});
    assert_eq!(asking.post("/events", &body).status, 200);
    assert_eq!(looking.get("/channels", &[]).status, 200);
    for (event, data) in [("before", "1"), ("after", "2"), ("asked", "3")] {
        far.expect(json!({"event": event, "channel": channel, "data": data}));
    }
    drop(deaf);
}
