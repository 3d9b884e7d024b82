//! Subscription counts (check 52).

use serde_json::json;

use crate::support::apps::{COUNTED, MAIN};
use crate::support::{Socket, shared, unique};

fn expect_count(socket: &mut Socket, channel: &str, count: u64) {
    socket.expect(json!({
        "event": "pusher_internal:subscription_count",
        "channel": channel,
        "data": format!(r#"{{"subscription_count":{count}}}"#)
    }));
}

#[test]
fn check_052_subscribers_are_told_how_many_they_are() {
    let channel = unique("counted");
    let mut first = shared().connect(COUNTED);
    first.subscribe(&channel);
    expect_count(&mut first, &channel, 1);
    let mut second = shared().connect(COUNTED);
    second.subscribe(&channel);
    expect_count(&mut second, &channel, 2);
    expect_count(&mut first, &channel, 2);
    second.cut();
    expect_count(&mut first, &channel, 1);
}

#[test]
fn check_052_presence_channels_have_no_count() {
    let channel = unique("presence-uncounted");
    let mut socket = shared().connect(COUNTED);
    socket.join(&channel, "1");
    shared().fence(&channel, &mut [&mut socket]);
}

#[test]
fn an_application_without_the_feature_sends_no_count() {
    let channel = unique("uncounted");
    let mut socket = shared().connect(MAIN);
    socket.subscribe(&channel);
    shared().fence(&channel, &mut [&mut socket]);
}

#[test]
fn on_a_cache_channel_the_count_comes_after_the_cache() {
    let channel = unique("cache-counted");
    let mut socket = shared().connect(COUNTED);
    socket.subscribe(&channel);
    socket.expect_event("pusher:cache_miss");
    expect_count(&mut socket, &channel, 1);
}
