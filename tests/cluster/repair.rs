//! What is lost on the way to a node is read again: subscribers see no hole.

use serde_json::json;

use crate::support::apps::MAIN;
use crate::support::unique;
use crate::surroundings::{Redis, node, proxy, through, until, watch};

#[test]
fn a_lost_message_is_repaired_before_the_next_is_delivered() {
    let redis = Redis::start();
    let proxy = proxy(&redis);
    let (here, there) = (node(redis.options()), node(through(&proxy)));
    let channel = unique("hole");
    let mut far = there.connect(MAIN);
    far.subscribe(&channel);
    let mut api = here.api(MAIN);
    for round in 0..10 {
        proxy.drop_next(3);
        for event in 0..5 {
            api.trigger(&channel, "e", &format!("{round}.{event}"));
        }
        for event in 0..5 {
            far.expect(
                json!({"event": "e", "channel": channel, "data": format!("{round}.{event}")}),
            );
        }
        assert_eq!(proxy.left_to_drop(), 0);
    }
    let watch = watch(&there);
    assert_eq!((watch.repaired.get(), watch.lost.get()), (30, 0));
    assert!(watch.holes.get() >= 10);
}

#[test]
fn a_lost_last_message_is_found_by_comparison() {
    let redis = Redis::start();
    let proxy = proxy(&redis);
    let (here, there) = (node(redis.options()), node(through(&proxy)));
    let channel = unique("tail");
    let mut far = there.connect(MAIN);
    far.subscribe(&channel);
    proxy.drop_next(1);
    here.trigger(MAIN, &channel, "e", "1");
    far.expect(json!({"event": "e", "channel": channel, "data": "1"}));
    assert_eq!((proxy.left_to_drop(), watch(&there).repaired.get()), (0, 1));
}

#[test]
fn a_connection_that_hears_nothing_is_made_anew() {
    let redis = Redis::start();
    let proxy = proxy(&redis);
    let (here, there) = (node(redis.options()), node(through(&proxy)));
    let channel = unique("deaf");
    let mut far = there.connect(MAIN);
    far.subscribe(&channel);
    let before = watch(&there).connections.get();
    proxy.deafen(true);
    until("the node is not ready", || !watch(&there).is_whole());
    until("connections are made anew", || watch(&there).connections.get() > before);
    proxy.deafen(false);
    until("the node is ready", || watch(&there).is_whole());
    here.trigger(MAIN, &channel, "e", "1");
    far.expect(json!({"event": "e", "channel": channel, "data": "1"}));
}
