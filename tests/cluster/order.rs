//! One order, whatever happens between nodes and Redis: two publishers, three nodes, random faults.

use std::collections::HashMap;
use std::time::Duration;

use micronotifier_fault_proxy::Proxy;
use proptest::prelude::*;
use proptest::test_runner::Config;
use redis::{Connection, Value};

use crate::support::apps::MAIN;
use crate::support::{Socket, TestNode, unique};
use crate::surroundings::{Redis, is_whole, node, through, until};

/// Events of one publisher.
const EVENTS: usize = 40;

/// What goes wrong between a node and Redis, or in Redis. None of it loses what Redis has.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// The next messages to this node are lost.
    Lose { node: usize, messages: usize },
    /// Every k-th message to this node is lost from now on.
    LoseEvery { node: usize, k: usize },
    /// All connections of this node end.
    Cut { node: usize },
    /// All that passes to and from this node takes longer.
    Delay { node: usize, millis: u64 },
    /// Redis ends the connections of all subscribers.
    EndSubscribers,
    /// Redis forgets the scripts.
    ForgetScripts,
}

fn fault() -> impl Strategy<Value = Fault> {
    let node = 0..3_usize;
    prop_oneof![
        3 => (node.clone(), 1..6_usize).prop_map(|(node, messages)| Fault::Lose { node, messages }),
        1 => (node.clone(), 2..9_usize).prop_map(|(node, k)| Fault::LoseEvery { node, k }),
        2 => node.clone().prop_map(|node| Fault::Cut { node }),
        1 => (node, 1..20_u64).prop_map(|(node, millis)| Fault::Delay { node, millis }),
        1 => Just(Fault::EndSubscribers),
        1 => Just(Fault::ForgetScripts),
    ]
}

/// Faults, each before an event of one of the publishers.
fn plan() -> impl Strategy<Value = Vec<(usize, usize, Fault)>> {
    prop::collection::vec((0..2_usize, 0..EVENTS, fault()), 1..8)
}

proptest! {
    #![proptest_config(Config { cases: 12, max_shrink_iters: 24, failure_persistence: None, ..Config::default() })]

    #[test]
    fn all_subscribers_see_one_order_through_any_faults(plan in plan()) {
        let redis = Redis::start();
        let proxies = [(); 3].map(|()| Proxy::start(redis.port()).unwrap());
        let nodes = proxies.each_ref().map(|proxy| node(through(proxy)));
        let channel = unique("order");
        let mut sockets = nodes.each_ref().map(|node| node.connect(MAIN));
        for socket in &mut sockets {
            socket.subscribe(&channel);
        }
        let taken = std::thread::scope(|scope| {
            let publishers = [0, 1].map(|publisher| {
                let (redis, nodes, proxies, channel, plan) = (&redis, &nodes, &proxies, &channel, &plan);
                scope.spawn(move || {
                    let mut server = redis.connection();
                    (0..EVENTS)
                        .map(|event| {
                            for (_, _, fault) in plan.iter().filter(|(by, at, _)| (*by, *at) == (publisher, event)) {
                                fault.befall(proxies, &mut server);
                            }
                            let name = format!("{publisher}.{event}");
                            let is_taken = trigger(&nodes[publisher], channel, &name);
                            (name, is_taken)
                        })
                        .collect::<Vec<_>>()
                })
            });
            publishers.map(|publisher| publisher.join().unwrap())
        });
        for proxy in &proxies {
            proxy.drop_next(0);
            proxy.drop_every(0, "");
            proxy.delay(Duration::ZERO);
        }
        until("all nodes are whole", || nodes.iter().all(is_whole));
        prop_assert!(trigger(&nodes[2], &channel, "end"));
        let seen = sockets.each_mut().map(until_the_end);
        prop_assert!(seen[0] == seen[1] && seen[1] == seen[2], "{seen:?}");
        check(&seen[0], &taken)?;
    }
}

impl Fault {
    fn befall(self, proxies: &[Proxy; 3], redis: &mut Connection) {
        match self {
            Self::Lose { node, messages } => proxies[node].drop_next(messages),
            Self::LoseEvery { node, k } => proxies[node].drop_every(k, "no topic"),
            Self::Cut { node } => proxies[node].cut(),
            Self::Delay { node, millis } => proxies[node].delay(Duration::from_millis(millis)),
            Self::EndSubscribers => {
                run(redis, &["CLIENT", "KILL", "TYPE", "pubsub"]);
            }
            Self::ForgetScripts => {
                run(redis, &["SCRIPT", "FLUSH"]);
            }
        }
    }
}

fn run(redis: &mut Connection, words: &[&str]) {
    crate::surroundings::redis::command::<Value>(redis, words);
}

/// Triggers an event, and tells whether the node has said that it is taken; if not, waits until the node can take more.
fn trigger(node: &TestNode, channel: &str, name: &str) -> bool {
    let body = serde_json::json!({"name": name, "channels": [channel], "data": "{}"});
    let status = node.api(MAIN).post("/events", &body).status;
    assert!(status == 200 || status == 503, "{status}");
    if status != 200 {
        until("the node is whole again", || is_whole(node));
    }
    status == 200
}

fn until_the_end(socket: &mut Socket) -> Vec<String> {
    let next = || {
        let name = socket.event()["event"].as_str().unwrap().to_owned();
        (name != "end").then_some(name)
    };
    std::iter::from_fn(next).collect()
}

/// Checks what a subscriber has seen: what was taken once and each publisher's in its order; the rest once at most.
fn check(seen: &[String], publishers: &[Vec<(String, bool)>; 2]) -> Result<(), TestCaseError> {
    let mut places = HashMap::new();
    for (place, name) in seen.iter().enumerate() {
        prop_assert!(places.insert(name.as_str(), place).is_none(), "{} came twice", name);
    }
    for events in publishers {
        let taken: Vec<_> = events
            .iter()
            .filter(|(_, is_taken)| *is_taken)
            .map(|(name, _)| places.get(name.as_str()))
            .collect();
        prop_assert!(taken.iter().all(Option::is_some), "one was lost: {:?} of {:?}", seen, events);
        prop_assert!(taken.is_sorted(), "out of order: {:?} of {:?}", seen, events);
    }
    Ok(())
}
