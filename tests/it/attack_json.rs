//! Attacks with what a message says (S10-S14).

use serde_json::{Value, json};

use crate::support::apps::MAIN;
use crate::support::frame::{TEXT, message};
use crate::support::{Incoming, Socket, TestNode, shared, unique};

#[test]
fn attack_s10_hostile_json_is_an_error_and_the_socket_stays() {
    let deep = "[".repeat(60_000);
    let digits = "9".repeat(60_000);
    let deep_objects = format!("{{\"event\":\"a\",\"data\":{}", "{\"a\":".repeat(10_000));
    let deep_event = format!("{{\"event\":{}{}}}", "[".repeat(20_000), "]".repeat(20_000));
    let texts: [&str; 15] = [
        &deep,
        &digits,
        &deep_objects,
        &deep_event,
        "1e999",
        r#""\ud800""#,
        r#"{"event":"\ud800"}"#,
        "\0",
        "{\"event\":\"a\0b\"}",
        "{\"event\":\"pusher:ping\"}\0",
        "",
        "{",
        "null",
        r#"{"event":"pusher:ping"}{"event":"pusher:ping"}"#,
        r#"{"event":"pusher:ping","event":"pusher:ping"}"#,
    ];
    for text in texts {
        let mut socket = shared().connect(MAIN);
        socket.send_text(text);
        socket.expect_error(None);
        socket.expect_silence();
    }
}

#[test]
fn attack_s10_numbers_and_depth_in_data_do_not_stop_anything() {
    let channel = unique("private-hostile");
    let mut sender = shared().connect(MAIN);
    let mut receiver = shared().connect(MAIN);
    sender.subscribe(&channel);
    receiver.subscribe(&channel);
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    for data in ["1e999", r#""\ud800""#, &deep] {
        sender.send_text(&format!(r#"{{"event":"client-a","channel":"{channel}","data":{data}}}"#));
    }
    sender.send_text(&format!(r#"{{"event":"client-last","channel":"{channel}"}}"#));
    // Each one may be passed on or refused; what matters is that the last one arrives.
    while let Incoming::Text(text) = receiver.next() {
        if text.contains("client-last") {
            return;
        }
    }
    panic!("the receiver was closed");
}

#[test]
fn attack_s10_ten_errors_in_ten_seconds_are_enough() {
    let mut socket = shared().connect(MAIN);
    let broken: Vec<u8> = (0..50).flat_map(|_| message(TEXT, b"not json")).collect();
    socket.send_bytes(&broken);
    for _ in 0..10 {
        assert_eq!(socket.expect_error(None), "Invalid message format");
    }
    socket.expect_close_after_anything(1008);
}

#[test]
fn refused_subscriptions_never_close_a_socket() {
    let mut socket = shared().connect(MAIN);
    for _ in 0..30 {
        socket.ask_subscribe(&json!({"channel": "private-refused"}));
        socket.expect_refused("private-refused", "AuthError", 401);
    }
    socket.expect_silence();
}

#[test]
fn attack_s11_wrong_types_are_errors_and_others_go_on() {
    let mut other = shared().connect(MAIN);
    for text in [
        r#"{"event":"pusher:subscribe","data":{"channel":1,"auth":[]}}"#,
        r#"{"event":"pusher:subscribe","data":{"channel":{},"auth":""}}"#,
        r#"{"event":"pusher:subscribe","data":{"channel":"private-a","auth":[]}}"#,
        r#"{"event":"pusher:subscribe","data":{"channel":"presence-a","auth":"k:a","channel_data":{}}}"#,
        r#"{"event":"pusher:subscribe","data":null}"#,
        r#"{"event":"pusher:subscribe","data":"null"}"#,
        r#"{"event":"pusher:subscribe","data":[]}"#,
        r#"{"event":"pusher:subscribe"}"#,
        r#"{"event":"pusher:unsubscribe","data":1}"#,
        r#"{"event":"pusher:unsubscribe","data":{"channel":[]}}"#,
        r#"{"event":"pusher:signin","data":{"auth":1,"user_data":2}}"#,
        r#"{"event":"pusher:signin"}"#,
        r#"{"event":"client-a","channel":[],"data":{}}"#,
        r#"{"event":{}}"#,
        r#"{"event":null}"#,
        r#"{"data":{}}"#,
        "[]",
        "1",
    ] {
        let mut socket = shared().connect(MAIN);
        socket.send_text(text);
        let mut frame = socket.event();
        if frame["event"] == "pusher:subscription_error" {
            frame = socket.event();
        }
        assert_eq!(frame["event"], "pusher:error", "{text}");
        assert_eq!(frame["data"]["code"], Value::Null, "{text}");
        socket.expect_silence();
    }
    other.expect_silence();
}

#[test]
fn attack_s12_a_key_given_twice_grants_nothing() {
    let (public, private) = (unique("public"), unique("private-x"));
    let pairs = [(&public, &private), (&private, &public)];
    for (first, second) in pairs {
        let mut socket = shared().connect(MAIN);
        socket.send_text(&format!(
            r#"{{"event":"pusher:subscribe","data":{{"channel":"{first}","auth":"","channel":"{second}"}}}}"#
        ));
        let mut frame = socket.event();
        if frame["event"] == "pusher:subscription_error" {
            frame = socket.event();
        }
        assert_eq!(frame["event"], "pusher:error", "{frame}");
        shared().trigger(MAIN, &private, "secret", "1");
        socket.expect_silence();
    }
}

#[test]
fn attack_s13_protocol_events_are_not_for_clients() {
    let channel = unique("presence-forged");
    let mut victim = shared().connect(MAIN);
    victim.join(&channel, "1");
    let mut attacker = shared().connect(MAIN);
    attacker.join(&channel, "2");
    victim.expect_event("pusher_internal:member_added");
    for event in [
        "pusher_internal:member_added",
        "pusher_internal:subscription_succeeded",
        "pusher:connection_established",
        "pusher:error",
        "pusher:cache_miss",
    ] {
        attacker.whisper(&channel, event, &json!({"user_id": "3"}));
        assert_eq!(
            attacker.expect_error(None),
            format!("Unsupported event received on socket: {event}")
        );
    }
    shared().fence(&channel, &mut [&mut attacker, &mut victim]);
}

#[test]
fn attack_s14_a_connection_has_a_number_of_channels() {
    let node = TestNode::start(|config| config.node.limits.channels_per_connection = 5);
    let mut socket = node.connect(MAIN);
    for index in 0..5 {
        socket.subscribe(&format!("c-{index}"));
    }
    socket.ask_subscribe(&json!({"channel": "c-5"}));
    let frame = socket.expect_event("pusher:subscription_error");
    assert_eq!(frame["data"]["type"], "LimitReached", "{frame}");
    socket.expect_error(None);
    socket.unsubscribe("c-0");
    socket.subscribe("c-5");
}

#[test]
fn attack_s14_a_thousand_channels_are_the_limit() {
    let node = TestNode::start(|config| config.node.limits.commands_per_second = 100_000);
    let mut socket = node.connect(MAIN);
    for index in 0..1000 {
        socket.subscribe(&format!("c-{index}"));
    }
    socket.ask_subscribe(&json!({"channel": "c-1000"}));
    socket.expect_event("pusher:subscription_error");
    socket.expect_error(None);
    socket.expect_silence();
}

#[test]
fn attack_s14_a_flood_of_commands_is_closed() {
    let mut other = shared().connect(MAIN);
    let mut socket: Socket = shared().connect(MAIN);
    let command = br#"{"event":"pusher:unsubscribe","data":{"channel":"none"}}"#;
    let flood: Vec<u8> = (0..5000).flat_map(|_| message(TEXT, command)).collect();
    socket.offer_bytes(&flood);
    let mut answers = 0;
    loop {
        match socket.next() {
            Incoming::Text(_) => answers += 1,
            Incoming::Close(code, _) => {
                assert_eq!(code, Some(1008));
                break;
            }
            Incoming::End => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(answers < 5000, "nothing limits commands");
    other.expect_silence();
}
