//! Cache channels remember their last event (checks 47-51).

use serde_json::json;

use crate::support::apps::{MAIN, SMALL};
use crate::support::{eventually, shared, unique};

#[test]
fn check_047_a_subscriber_gets_the_last_event_once_after_success() {
    let channel = unique("cache-x");
    shared().trigger(MAIN, &channel, "older", "0");
    shared().trigger(MAIN, &channel, "e", "1");
    let mut socket = shared().connect(MAIN);
    socket.subscribe(&channel);
    socket.expect(json!({"event": "e", "channel": channel, "data": "1"}));
    shared().fence(&channel, &mut [&mut socket]);
}

#[test]
fn check_048_an_empty_cache_is_a_miss() {
    let channel = unique("cache-y");
    let mut socket = shared().connect(MAIN);
    socket.subscribe(&channel);
    socket.expect(json!({"event": "pusher:cache_miss", "channel": channel, "data": "{}"}));
    shared().fence(&channel, &mut [&mut socket]);
}

#[test]
fn check_049_after_its_time_the_event_is_forgotten() {
    let channel = unique("cache-short");
    shared().trigger(SMALL, &channel, "e", "1");
    let mut api = shared().api(SMALL);
    eventually("the cache is empty", || {
        let answer = api.get(&format!("/channels/{channel}"), &[("info", "cache")]);
        answer.json()["cache"].is_null()
    });
    let mut socket = shared().connect(SMALL);
    socket.subscribe(&channel);
    socket.expect_event("pusher:cache_miss");
}

#[test]
fn check_050_a_client_event_does_not_change_the_cache() {
    let channel = unique("private-cache-z");
    shared().trigger(MAIN, &channel, "kept", "1");
    let mut sender = shared().connect(MAIN);
    sender.subscribe(&channel);
    sender.expect_event("kept");
    let mut receiver = shared().connect(MAIN);
    receiver.subscribe(&channel);
    receiver.expect_event("kept");
    sender.whisper(&channel, "client-a", &json!({}));
    receiver.expect_event("client-a");
    let mut late = shared().connect(MAIN);
    late.subscribe(&channel);
    late.expect(json!({"event": "kept", "channel": channel, "data": "1"}));
}

#[test]
fn check_051_cache_within_a_name_means_nothing() {
    let channel = unique("my-cache-x");
    shared().trigger(MAIN, &channel, "e", "1");
    let mut socket = shared().connect(MAIN);
    socket.subscribe(&channel);
    shared().fence(&channel, &mut [&mut socket]);
}

#[test]
fn the_cache_outlives_its_subscribers() {
    let channel = unique("cache-empty");
    let mut first = shared().connect(MAIN);
    first.subscribe(&channel);
    first.expect_event("pusher:cache_miss");
    shared().trigger(MAIN, &channel, "e", "1");
    first.expect_event("e");
    first.close();
    let mut api = shared().api(MAIN);
    eventually("the channel is vacated", || {
        let answer = api.get(&format!("/channels/{channel}"), &[]);
        answer.json() == json!({"occupied": false})
    });
    let mut second = shared().connect(MAIN);
    second.subscribe(&channel);
    second.expect(json!({"event": "e", "channel": channel, "data": "1"}));
}

#[test]
fn a_presence_cache_sends_the_members_first() {
    let channel = unique("presence-cache-p");
    let mut first = shared().connect(MAIN);
    assert_eq!(first.join(&channel, "1")["count"], 1);
    first.expect(json!({"event": "pusher:cache_miss", "channel": channel, "data": "{}"}));
    shared().trigger(MAIN, &channel, "e", "1");
    first.expect_event("e");
    let mut second = shared().connect(MAIN);
    assert_eq!(second.join(&channel, "2")["count"], 2);
    second.expect(json!({"event": "e", "channel": channel, "data": "1"}));
}

#[test]
fn an_excluded_socket_does_not_stop_the_cache() {
    let channel = unique("cache-excluded");
    let mut socket = shared().connect(MAIN);
    socket.subscribe(&channel);
    socket.expect_event("pusher:cache_miss");
    let body = json!({"name": "e", "channel": channel, "data": "1", "socket_id": socket.id});
    assert_eq!(shared().api(MAIN).post("/events", &body).status, 200);
    let mut late = shared().connect(MAIN);
    late.subscribe(&channel);
    late.expect_event("e");
    shared().fence(&channel, &mut [&mut socket, &mut late]);
}
