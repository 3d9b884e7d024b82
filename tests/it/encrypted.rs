//! End-to-end encrypted channels are opaque to the node (checks 105-107).

use serde_json::{Value, json};

use crate::support::apps::MAIN;
use crate::support::{Incoming, Socket, shared, unique};

const CIPHERTEXT: &str = r#"{ "nonce":"4sVYwy4j/8dCcjyxtPCWyk19GaaViaW9","ciphertext":"/GMESnFGlbNn01BuBjp31XYa3i9vZsGKR8fgR9EDhXKx3lzGiUD501A=" }"#;

/// Waits for a message and returns its data exactly as it came.
fn raw_data(socket: &mut Socket) -> String {
    let Incoming::Text(text) = socket.next() else {
        panic!("no message");
    };
    let frame: Value = serde_json::from_str(&text).unwrap();
    frame["data"].as_str().unwrap().to_owned()
}

#[test]
fn check_105_the_signature_is_that_of_a_private_channel() {
    let channel = unique("private-encrypted-foo");
    let mut socket = shared().connect(MAIN);
    let auth = socket.app.auth(&socket.id, &channel);
    socket.ask_subscribe(
        &json!({"channel": channel, "auth": auth, "shared_secret": "ignored by the server"}),
    );
    socket.expect_subscribed(&channel);
    let mut stranger = shared().connect(MAIN);
    stranger.ask_subscribe(&json!({"channel": channel, "auth": ""}));
    stranger.expect_refused(&channel, "AuthError", 401);
}

#[test]
fn check_106_the_data_is_not_touched() {
    let channel = unique("private-encrypted-foo");
    let mut socket = shared().connect(MAIN);
    socket.subscribe(&channel);
    for data in [CIPHERTEXT, "not json at all {{{", "\u{0}\u{1}", ""] {
        shared().trigger(MAIN, &channel, "e", data);
        assert_eq!(raw_data(&mut socket), data);
    }
}

#[test]
fn check_107_the_cache_keeps_ciphertext_and_a_miss_is_in_clear() {
    let channel = unique("private-encrypted-cache-foo");
    let mut first = shared().connect(MAIN);
    first.subscribe(&channel);
    first.expect(json!({"event": "pusher:cache_miss", "channel": channel, "data": "{}"}));
    shared().trigger(MAIN, &channel, "e", CIPHERTEXT);
    assert_eq!(raw_data(&mut first), CIPHERTEXT);
    let mut second = shared().connect(MAIN);
    second.subscribe(&channel);
    assert_eq!(raw_data(&mut second), CIPHERTEXT);
}
