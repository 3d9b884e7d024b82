//! Redis goes away, stands still, forgets, throws clients out: sockets stay, nothing is doubled, all comes back.

use micronotifier::config::AdminConfig;
use serde_json::json;

use crate::support::apps::MAIN;
use crate::support::http::Connection;
use crate::support::stream::Stream;
use crate::support::{Socket, TestNode, unique};
use crate::surroundings::redis::command;
use crate::surroundings::{Redis, node, node_with, until, watch};

struct Pair {
    here: TestNode,
    there: TestNode,
    near: Socket,
    far: Socket,
    channel: String,
}

impl Pair {
    fn start(redis: &Redis, name: &str) -> Self {
        let (here, there) = (node(redis.options()), node(redis.options()));
        let (mut near, mut far) = (here.connect(MAIN), there.connect(MAIN));
        let channel = unique(name);
        near.subscribe(&channel);
        far.subscribe(&channel);
        Self { here, there, near, far, channel }
    }

    fn trigger_status(&self, data: &str) -> u16 {
        let body = json!({"name": "e", "channels": [&self.channel], "data": data});
        self.here.api(MAIN).post("/events", &body).status
    }

    /// Triggers an event that must come next on both nodes.
    fn trigger(&mut self, data: &str) {
        assert_eq!(self.trigger_status(data), 200);
        for socket in [&mut self.near, &mut self.far] {
            socket.expect(json!({"event": "e", "channel": self.channel, "data": data}));
        }
    }

    fn wait_until_whole(&self) {
        until("both bridges are whole", || {
            watch(&self.here).is_whole() && watch(&self.there).is_whole()
        });
    }
}

#[test]
fn redis_is_killed_and_comes_back() {
    let mut redis = Redis::start();
    let mut pair = Pair::start(&redis, "killed");
    pair.trigger("before");
    for _ in 0..3 {
        redis.kill();
        until("the nodes are not ready", || {
            !watch(&pair.here).is_whole() && !watch(&pair.there).is_whole()
        });
        assert_eq!(pair.trigger_status("meanwhile"), 503);
        pair.near.expect_silence();
        redis.restart();
        pair.wait_until_whole();
        pair.trigger("after");
    }
    for node in [&pair.here, &pair.there] {
        assert_eq!((watch(node).epochs.get(), watch(node).lost.get()), (3, 0));
    }
}

#[test]
fn a_join_that_waits_too_long_is_refused() {
    let mut redis = Redis::start();
    let here = node_with(redis.options(), |config| {
        config.node.limits.join = std::time::Duration::from_secs(2);
    });
    redis.kill();
    until("the node is not ready", || !watch(&here).is_whole());
    let (channel, mut socket) = (unique("late"), here.connect(MAIN));
    socket.ask_subscribe(&json!({ "channel": channel }));
    socket.expect_refused(&channel, "ServerError", 503);
    let mut signed = here.connect(MAIN);
    signed.ask_sign_in(r#"{"id":"late"}"#);
    signed.expect_rejection(4100);
    redis.restart();
    until("the node is ready", || watch(&here).is_whole());
    socket.subscribe(&channel);
    here.fence(&channel, &mut [&mut socket]);
}

#[test]
fn redis_stands_still_and_goes_on() {
    let redis = Redis::start();
    let mut pair = Pair::start(&redis, "still");
    pair.trigger("before");
    redis.pause();
    // it may be carried out when the server goes on, for it was sent: once, and nobody was told that it was not
    assert_eq!(pair.trigger_status("meanwhile"), 503);
    until("the nodes are not ready", || {
        !watch(&pair.here).is_whole() && !watch(&pair.there).is_whole()
    });
    redis.resume();
    pair.wait_until_whole();
    assert_eq!(pair.trigger_status("after"), 200);
    let channel = pair.channel.clone();
    let seen = [&mut pair.near, &mut pair.far].map(|socket| {
        let mut seen = Vec::new();
        while seen.last() != Some(&json!("after")) {
            let frame = socket.event();
            assert_eq!(frame["channel"], channel);
            seen.push(frame["data"].clone());
        }
        seen
    });
    assert_eq!(seen[0], seen[1]);
    assert!(seen[0].len() <= 2, "{:?}", seen[0]);
}

#[test]
fn subscribers_are_thrown_out_while_events_come() {
    let redis = Redis::start();
    let mut pair = Pair::start(&redis, "thrown");
    let mut api = pair.here.api(MAIN);
    for event in 0..50 {
        if event % 10 == 5 {
            let _: i64 = redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        }
        api.trigger(&pair.channel, "e", &event.to_string());
    }
    for socket in [&mut pair.near, &mut pair.far] {
        for event in 0..50 {
            socket
                .expect(json!({"event": "e", "channel": pair.channel, "data": event.to_string()}));
        }
    }
    pair.wait_until_whole();
    pair.trigger("after");
}

#[test]
fn publishers_are_thrown_out() {
    let redis = Redis::start();
    let mut pair = Pair::start(&redis, "thrown");
    for round in 0..5 {
        let _: i64 = redis.command(&["CLIENT", "KILL", "TYPE", "normal"]);
        pair.wait_until_whole();
        until("events are taken", || pair.trigger_status("again") == 200);
        for socket in [&mut pair.near, &mut pair.far] {
            socket.expect(json!({"event": "e", "channel": pair.channel, "data": "again"}));
        }
        pair.trigger(&round.to_string());
    }
}

#[test]
fn the_password_changes_and_changes_back() {
    let redis = Redis::start();
    let mut pair = Pair::start(&redis, "password");
    let mut operator = redis.connection();
    let _: String = command(&mut operator, &["CONFIG", "SET", "requirepass", "new"]);
    let _: String = command(&mut operator, &["AUTH", "new"]);
    for kind in ["pubsub", "normal"] {
        let _: i64 = command(&mut operator, &["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"]);
    }
    until("the nodes are not ready", || {
        !watch(&pair.here).is_whole() && !watch(&pair.there).is_whole()
    });
    assert_eq!(pair.trigger_status("meanwhile"), 503);
    let _: String = command(&mut operator, &["CONFIG", "SET", "requirepass", ""]);
    pair.wait_until_whole();
    pair.trigger("after");
}

#[test]
fn scripts_are_forgotten() {
    let redis = Redis::start();
    let mut pair = Pair::start(&redis, "scripts");
    for round in 0..5 {
        let _: String = redis.command(&["SCRIPT", "FLUSH"]);
        pair.trigger(&round.to_string());
        let _: String = redis.command(&["SCRIPT", "FLUSH"]);
        let (name, mut late) = (unique("scripts-late"), pair.there.connect(MAIN));
        late.subscribe(&name);
        pair.here.fence(&name, &mut [&mut late]);
    }
}

#[test]
fn scripts_are_forgotten_under_a_batch_and_its_order_holds() {
    let redis = Redis::start();
    let mut pair = Pair::start(&redis, "scripts-batch");
    let event = |index| json!({"name": "e", "channel": pair.channel, "data": format!("x{index}")});
    let batch: Vec<_> = (0..10).map(event).collect();
    let mut api = pair.here.api(MAIN);
    for _ in 0..20 {
        let _: String = redis.command(&["SCRIPT", "FLUSH"]);
        assert_eq!(api.post("/batch_events", &json!({ "batch": batch })).status, 200);
        for socket in [&mut pair.near, &mut pair.far] {
            for index in 0..10 {
                assert_eq!(socket.event()["data"], format!("x{index}"));
            }
        }
    }
}

#[test]
fn everything_is_forgotten() {
    let redis = Redis::start();
    let mut pair = Pair::start(&redis, "flushed");
    for round in 1..=3 {
        pair.trigger("a");
        pair.trigger("b");
        let _: String = redis.command(&["FLUSHALL"]);
        pair.trigger("c");
        pair.trigger("d");
        assert_eq!(watch(&pair.there).epochs.get(), round, "serials begin anew");
    }
}

#[test]
fn a_subscriber_that_is_cut_off_for_its_backlog_reads_it_again() {
    let redis = Redis::start();
    let mut pair = Pair::start(&redis, "backlog");
    pair.trigger("before");
    let limit = "client-output-buffer-limit";
    let _: String = redis.command(&["CONFIG", "SET", limit, "pubsub 10kb 10kb 0"]);
    let large = "\"".repeat(9000);
    let before = watch(&pair.there).connections.get();
    assert_eq!(pair.trigger_status(&large), 200);
    until("it is cut off", || watch(&pair.there).connections.get() > before);
    let _: String = redis.command(&["CONFIG", "SET", limit, "pubsub 32mb 8mb 60"]);
    for socket in [&mut pair.near, &mut pair.far] {
        socket.expect(json!({"event": "e", "channel": pair.channel, "data": large}));
    }
    pair.wait_until_whole();
    pair.trigger("after");
}

#[test]
fn a_full_redis_refuses_and_nothing_is_delivered() {
    let redis = Redis::start();
    let mut pair = Pair::start(&redis, "full");
    pair.trigger("before");
    let _: String = redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(pair.trigger_status("meanwhile"), 503);
    // a channel that had no event yet is no exception
    let first = json!({"name": "e", "channels": [unique("first")], "data": "{}"});
    assert_eq!(pair.here.api(MAIN).post("/events", &first).status, 503);
    let _: String = redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    pair.trigger("after");
}

#[test]
fn the_operator_is_told_of_the_bridge() {
    let mut redis = Redis::start();
    let here = node_with(redis.options(), |config| {
        let (host, port, token) = ("127.0.0.1".to_owned(), 0, String::new());
        config.admin = Some(AdminConfig { host, port, token });
    });
    let mut operator = Connection::new(Stream::connect(here.admin.unwrap()));
    let mut ask = |path: &str| {
        operator.ask(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
    };
    until("the node is ready", || ask("/ready").status == 200);
    let metrics = ask("/metrics").text();
    for line in [
        "micronotifier_bridge_whole 1",
        "micronotifier_bridge_followed_channels 0",
        "micronotifier_membership_reachable 1",
        "micronotifier_membership_declared_dead_total 0",
        "micronotifier_bridge_messages_dropped_total{cause=\"forged\"} 0",
    ] {
        assert!(metrics.lines().any(|told| told == line), "{line}\n{metrics}");
    }
    redis.kill();
    until("the node is not ready", || ask("/ready").status == 503);
    assert!(ask("/ready").text().contains("the bridge to the other nodes is broken"));
    until("members cannot be shared", || {
        ask("/ready").text().contains("who is where cannot be shared with the other nodes")
    });
    assert_eq!(ask("/health").status, 200, "it lives all the same");
}

#[test]
fn a_thousand_channels_come_back() {
    let mut redis = Redis::start();
    let (here, there) = (node(redis.options()), node(redis.options()));
    let prefix = unique("thousand");
    let mut far = there.connect(MAIN);
    for index in 0..1000 {
        far.subscribe(&format!("{prefix}-{index}"));
    }
    redis.kill();
    until("the nodes are not ready", || !watch(&here).is_whole() && !watch(&there).is_whole());
    redis.restart();
    until("the nodes are ready", || watch(&here).is_whole() && watch(&there).is_whole());
    let mut api = here.api(MAIN);
    for index in (0..1000).step_by(37) {
        let channel = format!("{prefix}-{index}");
        api.trigger(&channel, "e", "1");
        far.expect(json!({"event": "e", "channel": channel, "data": "1"}));
    }
    assert_eq!(watch(&there).followed(), 1000);
}
