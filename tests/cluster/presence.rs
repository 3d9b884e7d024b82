//! Presence channels over several nodes: all see the same users, and hear of each coming and going once.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::apps::{MAIN, SMALL};
use crate::support::{Socket, TestNode, unique};
use crate::surroundings::{Redis, is_whole, killable, node, proxy, through, until, watch};

fn expect_added(socket: &mut Socket, channel: &str, user: &str) {
    socket.expect(json!({
        "event": "pusher_internal:member_added", "channel": channel,
        "data": {"user_id": user, "user_info": {}}
    }));
}

fn expect_removed(socket: &mut Socket, channel: &str, user: &str) {
    socket.expect(json!({
        "event": "pusher_internal:member_removed", "channel": channel, "data": {"user_id": user}
    }));
}

/// Two nodes, and a member of one channel on each.
struct Pair {
    here: TestNode,
    there: TestNode,
    channel: String,
    near: Socket,
    far: Socket,
}

impl Pair {
    /// The near one is `1` and has been told of the far one, who is `2`.
    fn start(redis: &Redis, name: &str) -> Self {
        let (here, there) = (node(redis.options()), node(redis.options()));
        let channel = unique(name);
        let (mut near, mut far) = (here.connect(MAIN), there.connect(MAIN));
        assert_eq!(ids(&near.join(&channel, "1")), ["1"]);
        assert_eq!(ids(&far.join(&channel, "2")), ["1", "2"]);
        expect_added(&mut near, &channel, "2");
        Self { here, there, channel, near, far }
    }
}

/// Waits until both know that Redis is away.
fn wait_for_outage(nodes: [&TestNode; 2]) {
    let is_there = |node: &TestNode| node.handle().membership().unwrap().is_there();
    until("the nodes know", || !nodes.into_iter().any(is_there));
}

fn wait_for_whole(nodes: [&TestNode; 2]) {
    until("the nodes are whole", || nodes.into_iter().all(is_whole));
}

/// Returns the ids of a snapshot in order.
fn ids(snapshot: &Value) -> Vec<String> {
    let ids = snapshot["ids"].as_array().unwrap();
    let mut ids: Vec<_> = ids.iter().map(|id| id.as_str().unwrap().to_owned()).collect();
    assert_eq!(snapshot["count"], ids.len());
    ids.sort();
    ids
}

#[test]
fn members_of_both_nodes_see_each_other_and_each_change_once() {
    let redis = Redis::start();
    let Pair { here, there: _there, channel, mut near, mut far } =
        Pair::start(&redis, "presence-both");
    let mut third = here.connect(MAIN);
    assert_eq!(ids(&third.join(&channel, "3")), ["1", "2", "3"]);
    expect_added(&mut near, &channel, "3");
    expect_added(&mut far, &channel, "3");
    here.fence(&channel, &mut [&mut near, &mut far, &mut third]);
    near.close();
    expect_removed(&mut far, &channel, "1");
    expect_removed(&mut third, &channel, "1");
    far.cut();
    expect_removed(&mut third, &channel, "2");
    here.fence(&channel, &mut [&mut third]);
}

#[test]
fn a_user_on_two_nodes_comes_with_the_first_connection_and_goes_with_the_last() {
    let redis = Redis::start();
    let (here, there) = (node(redis.options()), node(redis.options()));
    let channel = unique("presence-same");
    let mut observers = [here.connect(MAIN), there.connect(MAIN)];
    observers[0].join(&channel, "o");
    observers[1].join(&channel, "o");
    let (mut near, mut far) = (here.connect(MAIN), there.connect(MAIN));
    near.join(&channel, "7");
    for observer in &mut observers {
        expect_added(observer, &channel, "7");
    }
    assert_eq!(ids(&far.join(&channel, "7")), ["7", "o"]);
    near.unsubscribe(&channel);
    far.whisper(&channel, "client-still", &json!({}));
    for observer in &mut observers {
        let frame = observer.expect_event("client-still");
        assert_eq!(frame["user_id"], "7");
    }
    far.unsubscribe(&channel);
    for observer in &mut observers {
        expect_removed(observer, &channel, "7");
    }
    let [one, other] = &mut observers;
    here.fence(&channel, &mut [one, other]);
}

#[test]
fn a_member_who_comes_back_at_once_is_in() {
    let redis = Redis::start();
    let (here, there) = (node(redis.options()), node(redis.options()));
    let channel = unique("presence-back");
    let mut observer = there.connect(MAIN);
    observer.join(&channel, "o");
    let mut socket = here.connect(MAIN);
    for _ in 0..20 {
        socket.join(&channel, "1");
        socket.unsubscribe(&channel);
    }
    socket.join(&channel, "1");
    let mut is_there = false;
    for _ in 0..41 {
        let frame = observer.event();
        let came = frame["event"] == "pusher_internal:member_added";
        assert_ne!(came, is_there, "they take turns: {frame}");
        is_there = came;
    }
    assert!(is_there);
    here.fence(&channel, &mut [&mut observer, &mut socket]);
}

#[test]
fn the_limit_of_members_is_that_of_all_nodes() {
    let redis = Redis::start();
    let nodes = [(); 3].map(|()| node(redis.options()));
    let channel = unique("presence-full");
    let mut sockets: Vec<_> = (0..12).map(|index| nodes[index % 3].connect(SMALL)).collect();
    for (index, socket) in sockets.iter_mut().enumerate() {
        socket.ask_join(&channel, &json!({ "user_id": format!("u{index}") }).to_string());
    }
    let admitted = sockets.iter_mut().filter_map(|socket| {
        let frame = socket.event();
        (frame["event"] == "pusher_internal:subscription_succeeded").then_some(frame)
    });
    assert_eq!(admitted.count(), 3, "as many as the application allows");
}

#[test]
fn members_of_a_killed_node_are_gone_within_the_bound() {
    let redis = Redis::start();
    let here = node(redis.options());
    let there = killable(&redis);
    let channel = unique("presence-killed");
    let mut near = here.connect(MAIN);
    near.join(&channel, "1");
    let mut far = Socket::establish(there.stream(), MAIN);
    assert_eq!(ids(&far.join(&channel, "2")), ["1", "2"]);
    expect_added(&mut near, &channel, "2");
    let mut shared = Socket::establish(there.stream(), MAIN);
    shared.join(&channel, "1");
    near.stream.wait_at_most(Duration::from_secs(10));
    drop(there);
    expect_removed(&mut near, &channel, "2");
    here.fence(&channel, &mut [&mut near]);
}

#[test]
fn members_of_a_node_that_ends_are_gone_at_once() {
    let redis = Redis::start();
    let Pair { here, there, channel, mut near, far: _far } = Pair::start(&redis, "presence-ends");
    drop(there);
    expect_removed(&mut near, &channel, "2");
    here.fence(&channel, &mut [&mut near]);
}

#[test]
fn redis_is_away_and_comes_back_empty() {
    let mut redis = Redis::start();
    let Pair { here, there, channel, mut near, mut far } = Pair::start(&redis, "presence-away");
    redis.kill();
    wait_for_outage([&here, &there]);
    let mut late = here.connect(MAIN);
    late.ask_join(&channel, r#"{"user_id":"3"}"#);
    late.expect_refused(&channel, "ServerError", 503);
    let mut gone = there.connect(MAIN);
    gone.ask_join(&channel, r#"{"user_id":"4"}"#);
    gone.cut();
    redis.restart();
    wait_for_whole([&here, &there]);
    assert_eq!(ids(&late.join(&channel, "3")), ["1", "2", "3"]);
    // nobody was seen to go who was there all the time
    expect_added(&mut near, &channel, "3");
    expect_added(&mut far, &channel, "3");
    far.close();
    expect_removed(&mut near, &channel, "2");
    expect_removed(&mut late, &channel, "2");
    here.fence(&channel, &mut [&mut near, &mut late]);
}

/// The node of the one who comes next finds out at once, the other with its next renewal.
#[test]
fn redis_forgets_everything_and_nobody_is_seen_to_go() {
    let redis = Redis::start();
    let Pair { here, there, channel, mut near, far } = Pair::start(&redis, "presence-forgotten");
    let mut far = [far, there.connect(MAIN)];
    far[1].join(&channel, "2");
    until("the nodes have been there for a while", || {
        [&here, &there].iter().all(|node| node.handle().uptime() > Duration::from_secs(5))
    });
    let _: String = redis.command(&["FLUSHALL"]);
    let mut third = here.connect(MAIN);
    assert_eq!(ids(&third.join(&channel, "3")), ["1", "2", "3"]);
    expect_added(&mut near, &channel, "3");
    for socket in &mut far {
        expect_added(socket, &channel, "3");
    }
    let incarnations = || {
        [&here, &there].map(|node| node.handle().membership_counters().unwrap().incarnations.get())
    };
    until("both have registered again", || incarnations() == [1, 1]);
    let [one, other] = &mut far;
    one.unsubscribe(&channel);
    other.unsubscribe(&channel);
    for socket in [&mut near, &mut third] {
        expect_removed(socket, &channel, "2");
    }
    here.fence(&channel, &mut [&mut near, &mut third]);
}

/// A member who goes while Redis is away is gone when it is back.
#[test]
fn who_goes_while_redis_is_away_is_told_of_later() {
    let mut redis = Redis::start();
    let Pair { here, there, channel, mut near, far } = Pair::start(&redis, "presence-went");
    redis.kill();
    wait_for_outage([&here, &there]);
    far.close();
    redis.restart();
    expect_removed(&mut near, &channel, "2");
    wait_for_whole([&here, &there]);
    here.fence(&channel, &mut [&mut near]);
}

/// Readers are thrown out and redis forgets its scripts meanwhile.
#[test]
fn members_come_and_go_in_a_storm_and_all_agree() {
    let redis = Redis::start();
    let nodes = [(); 3].map(|()| node(redis.options()));
    let channel = unique("presence-storm");
    let mut observers = nodes.each_ref().map(|node| node.connect(MAIN));
    for (index, observer) in observers.iter_mut().enumerate() {
        observer.join(&channel, &format!("o{index}"));
    }
    for (index, observer) in observers.iter_mut().enumerate() {
        for later in index + 1..3 {
            expect_added(observer, &channel, &format!("o{later}"));
        }
    }
    std::thread::scope(|scope| {
        for (index, node) in nodes.iter().enumerate() {
            let (channel, redis) = (&channel, &redis);
            scope.spawn(move || {
                let mut socket = node.connect(MAIN);
                for round in 0..40 {
                    let user = format!("u{}", (round + index) % 4);
                    assert!(ids(&join_among(&mut socket, channel, &user)).contains(&user));
                    socket.unsubscribe(channel);
                    if round % 10 == 3 * index {
                        let _: i64 = redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
                        let _: String = redis.command(&["SCRIPT", "FLUSH"]);
                    }
                }
            });
        }
    });
    let mut last = nodes[0].connect(MAIN);
    join_among(&mut last, &channel, "last");
    for (index, observer) in observers.iter_mut().enumerate() {
        let mut there: BTreeSet<String> = (0..3).map(|index| format!("o{index}")).collect();
        // the last to come may be told of before the last to go
        while !(there.contains("last") && there.len() == 4) {
            let frame = observer.event();
            let user = frame["data"]["user_id"].as_str().unwrap().to_owned();
            match frame["event"].as_str().unwrap() {
                "pusher_internal:member_added" => assert!(there.insert(user), "{frame}"),
                "pusher_internal:member_removed" => assert!(there.remove(&user), "{frame}"),
                other => panic!("{other} at {index}"),
            }
        }
    }
}

/// Joins while others come and go, whose events of an earlier subscription may still be on their way.
fn join_among(socket: &mut Socket, channel: &str, user: &str) -> Value {
    socket.ask_join(channel, &json!({ "user_id": user }).to_string());
    loop {
        let frame = socket.event();
        match frame["event"].as_str().unwrap() {
            "pusher_internal:subscription_succeeded" => return frame["data"]["presence"].clone(),
            "pusher_internal:member_added" | "pusher_internal:member_removed" => {}
            other => panic!("{other} while joining: {frame}"),
        }
    }
}

/// The last event of a channel is missed by comparison alone, and it follows on what is known.
#[test]
fn a_lost_coming_after_which_nothing_comes_is_told_all_the_same() {
    let redis = Redis::start();
    let proxy = proxy(&redis);
    let (mut forgetful, mut other) = (through(&proxy), redis.options());
    forgetful.repair_events = 0;
    other.repair_events = 0;
    let (here, there) = (node(forgetful), node(other));
    let channel = unique("presence-last");
    let mut near = here.connect(MAIN);
    near.join(&channel, "1");
    near.expect_silence();
    proxy.drop_next(1);
    let mut far = there.connect(MAIN);
    far.join(&channel, "2");
    near.stream.wait_at_most(Duration::from_secs(10));
    expect_added(&mut near, &channel, "2");
    here.fence(&channel, &mut [&mut near, &mut far]);
}

/// What is lost for good is noticed, and the whole roster tells what it was.
#[test]
fn a_lost_coming_is_told_all_the_same() {
    let redis = Redis::start();
    let proxy = proxy(&redis);
    let mut forgetful = through(&proxy);
    forgetful.repair_events = 0;
    let mut other = redis.options();
    other.repair_events = 0;
    let (here, there) = (node(forgetful), node(other));
    let channel = unique("presence-lost");
    let mut near = here.connect(MAIN);
    near.join(&channel, "1");
    near.expect_silence();
    proxy.drop_next(1);
    let mut far = [there.connect(MAIN), there.connect(MAIN)];
    far[0].join(&channel, "2");
    until("the message is lost", || proxy.left_to_drop() == 0);
    far[1].join(&channel, "3");
    let mut told = [near.event(), near.event()].map(|frame| {
        assert_eq!(frame["event"], "pusher_internal:member_added");
        frame["data"]["user_id"].as_str().unwrap().to_owned()
    });
    told.sort();
    assert_eq!(told, ["2", "3"]);
    assert_eq!(watch(&here).lost.get(), 1);
    here.fence(&channel, &mut [&mut near]);
}
