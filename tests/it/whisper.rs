//! Client events (checks 54-62).

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::apps::{MAIN, PLAIN};
use crate::support::{Socket, shared, unique};

/// Connects two subscribers of a private channel.
fn pair(channel: &str) -> (Socket, Socket) {
    let mut sender = shared().connect(MAIN);
    let mut receiver = shared().connect(MAIN);
    sender.subscribe(channel);
    receiver.subscribe(channel);
    (sender, receiver)
}

#[test]
fn check_054_others_get_a_client_event_and_the_sender_does_not() {
    let channel = unique("private-foo");
    let (mut sender, mut receiver) = pair(&channel);
    sender.whisper(&channel, "client-a", &json!({"n": 1}));
    receiver.expect(json!({"event": "client-a", "channel": channel, "data": "{\"n\":1}"}));
    shared().fence(&channel, &mut [&mut sender, &mut receiver]);
}

#[test]
fn check_054_data_of_any_kind_arrives_as_text() {
    let channel = unique("private-kinds");
    let (mut sender, mut receiver) = pair(&channel);
    let kinds: [(&str, Value); 4] = [
        (r#""data":"plain""#, json!("plain")),
        (r#""data":{ "a" : [1, 2] }"#, json!({"a": [1, 2]})),
        (r#""data":null"#, json!({})),
        (r#""more":1"#, json!({})),
    ];
    for (part, expected) in kinds {
        sender.send_text(&format!(r#"{{"event":"client-a","channel":"{channel}",{part}}}"#));
        assert_eq!(receiver.expect_event("client-a")["data"], expected, "{part}");
    }
}

#[test]
fn check_055_on_presence_channels_the_sender_is_named() {
    let channel = unique("presence-foo");
    let mut receiver = shared().connect(MAIN);
    receiver.join(&channel, "1");
    let mut sender = shared().connect(MAIN);
    sender.ask_join(&channel, r#"{"user_id":2}"#);
    sender.expect_joined(&channel);
    receiver.expect_event("pusher_internal:member_added");
    sender.whisper(&channel, "client-a", &json!({"n": 1}));
    receiver.expect(json!({
        "event": "client-a", "channel": channel, "data": "{\"n\":1}", "user_id": "2"
    }));
}

#[test]
fn check_056_client_events_must_be_enabled() {
    let channel = unique("private-off");
    let mut sender = shared().connect(PLAIN);
    let mut receiver = shared().connect(PLAIN);
    sender.subscribe(&channel);
    receiver.subscribe(&channel);
    sender.whisper(&channel, "client-a", &json!({}));
    let message = sender.expect_error(None);
    assert!(
        message.starts_with("To send client events, you must enable this feature"),
        "{message}"
    );
    shared().fence(&channel, &mut [&mut sender, &mut receiver]);
}

#[test]
fn check_057_public_channels_take_no_client_events() {
    for prefix in ["public-foo", "cache-foo"] {
        let channel = unique(prefix);
        let mut sender = shared().connect(MAIN);
        let mut receiver = shared().connect(MAIN);
        for socket in [&mut sender, &mut receiver] {
            socket.subscribe(&channel);
            if prefix == "cache-foo" {
                socket.expect_event("pusher:cache_miss");
            }
        }
        sender.whisper(&channel, "client-a", &json!({}));
        let message = sender.expect_error(None);
        assert_eq!(
            message,
            "Client event rejected - only supported on private and presence channels"
        );
        shared().fence(&channel, &mut [&mut sender, &mut receiver]);
    }
}

#[test]
fn check_058_only_subscribers_may_send() {
    let channel = unique("private-foo");
    let (mut left, mut receiver) = pair(&channel);
    let mut stranger = shared().connect(MAIN);
    left.unsubscribe(&channel);
    for sender in [&mut left, &mut stranger] {
        sender.whisper(&channel, "client-a", &json!({}));
        assert_eq!(
            sender.expect_error(None),
            format!(
                "Cannot broadcast client event (connection not subscribed to channel {channel})"
            )
        );
        sender.expect_silence();
    }
    shared().fence(&channel, &mut [&mut receiver]);
}

#[test]
fn check_059_the_prefix_must_stand_at_the_start() {
    let channel = unique("private-foo");
    let (mut sender, mut receiver) = pair(&channel);
    for event in ["x-client-a", "Client-a", "clientx"] {
        sender.whisper(&channel, event, &json!({}));
        assert_eq!(
            sender.expect_error(None),
            format!("Unsupported event received on socket: {event}")
        );
    }
    shared().fence(&channel, &mut [&mut sender, &mut receiver]);
    sender.whisper(&channel, "client-", &json!({}));
    receiver.expect_event("client-");
}

#[test]
fn check_060_the_eleventh_event_of_a_second_is_refused_and_later_ones_pass() {
    let channel = unique("private-rate");
    let (mut sender, mut receiver) = pair(&channel);
    for number in 0..11 {
        sender.whisper(&channel, "client-a", &json!(number));
    }
    let message = sender.expect_error(Some(4301));
    assert_eq!(message, "The client event was rejected due to rate limit");
    for number in 0..10 {
        assert_eq!(receiver.expect_event("client-a")["data"], number);
    }
    receiver.expect_nothing_for(Duration::from_millis(1100));
    sender.whisper(&channel, "client-a", &json!("again"));
    assert_eq!(receiver.expect_event("client-a")["data"], "again");
    sender.expect_silence();
}

#[test]
fn check_061_data_over_ten_kilobytes_is_refused() {
    let channel = unique("private-large");
    let (mut sender, mut receiver) = pair(&channel);
    sender.whisper(&channel, "client-a", &json!("a".repeat(10_241)));
    assert_eq!(sender.expect_error(None), "Client event data too large");
    sender.whisper(&channel, "client-a", &json!("b".repeat(10_240)));
    let frame = receiver.expect_event("client-a");
    assert_eq!(frame["data"], "b".repeat(10_240));
}

#[test]
fn check_062_encrypted_channels_take_no_client_events() {
    let channel = unique("private-encrypted-foo");
    let (mut sender, mut receiver) = pair(&channel);
    sender.whisper(&channel, "client-a", &json!({}));
    let message = sender.expect_error(None);
    assert_eq!(message, "Client event rejected - only supported on private and presence channels");
    shared().fence(&channel, &mut [&mut sender, &mut receiver]);
}

#[test]
fn names_of_client_events_have_a_length() {
    let channel = unique("private-names");
    let (mut sender, mut receiver) = pair(&channel);
    let longest = format!("client-{}", "a".repeat(193));
    sender.whisper(&channel, &format!("{longest}a"), &json!({}));
    assert_eq!(sender.expect_error(None), "Event name too long");
    sender.whisper(&channel, &longest, &json!({}));
    receiver.expect_event(&longest);
}

#[test]
fn a_client_event_needs_a_channel() {
    let mut sender = shared().connect(MAIN);
    for message in [
        r#"{"event":"client-a","data":{}}"#,
        r#"{"event":"client-a","channel":1,"data":{}}"#,
        r#"{"event":"client-a","channel":null,"data":{}}"#,
    ] {
        sender.send_text(message);
        assert_eq!(
            sender.expect_error(None),
            "Invalid client event (must contain channel and data)"
        );
    }
    sender.expect_silence();
}

#[test]
fn client_events_of_one_sender_keep_their_order() {
    let channel = unique("private-order");
    let (mut sender, mut receiver) = pair(&channel);
    for number in 0..10 {
        sender.whisper(&channel, "client-a", &json!(number));
    }
    for number in 0..10 {
        assert_eq!(receiver.expect_event("client-a")["data"], number);
    }
}
