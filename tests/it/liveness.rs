//! The established connection and its heartbeat (checks 17-26).

use std::collections::HashSet;
use std::sync::LazyLock;
use std::time::Duration;

use micronotifier_actors::clock::Clock;
use serde_json::json;

use crate::support::apps::MAIN;
use crate::support::frame::{self, PING, PONG, TEXT};
use crate::support::{Incoming, Socket, TestNode, shared};

/// A node that pings after a second and gives up after another.
fn hasty() -> &'static TestNode {
    static NODE: LazyLock<TestNode> = LazyLock::new(|| {
        TestNode::start(|config| {
            config.node.limits.activity_timeout = Duration::from_secs(2);
            config.node.limits.pong_timeout = Duration::from_secs(2);
        })
    });
    &NODE
}

fn expect_server_ping(socket: &mut Socket) {
    socket.expect(json!({"event": "pusher:ping", "data": "{}"}));
}

#[test]
fn check_017_ten_thousand_connections_have_ten_thousand_ids() {
    let node = TestNode::start(|_| {});
    let threads: Vec<Vec<String>> = std::thread::scope(|scope| {
        let connect = || {
            (0..5000)
                .map(|_| {
                    let mut socket = node.connect(MAIN);
                    let id = std::mem::take(&mut socket.id);
                    socket.cut();
                    id
                })
                .collect()
        };
        let halves = [scope.spawn(connect), scope.spawn(connect)];
        halves.map(|half| half.join().unwrap()).into()
    });
    let ids: HashSet<&String> = threads.iter().flatten().collect();
    assert_eq!(ids.len(), 10_000);
    for id in ids {
        let (high, low) = id.split_once('.').expect("a dot");
        for part in [high, low] {
            assert!(!part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()), "{id}");
        }
    }
}

#[test]
fn check_018_the_activity_timeout_is_the_configured_number() {
    let mut socket = hasty().upgrade("/app/k?protocol=7");
    assert_eq!(socket.established()["activity_timeout"], json!(2));
}

#[test]
fn check_019_and_020_a_ping_is_answered_whatever_its_data() {
    let mut socket = shared().connect(MAIN);
    for ping in [
        r#"{"event":"pusher:ping","data":{}}"#,
        r#"{"event":"pusher:ping"}"#,
        r#"{"event":"pusher:ping","data":""}"#,
        r#"{ "event" : "pusher:ping", "data" : null, "more" : [1] }"#,
    ] {
        socket.send_text(ping);
        socket.expect(json!({"event": "pusher:pong", "data": "{}"}));
    }
}

#[test]
fn check_021_a_ping_before_reading_is_answered_after_the_first_frame() {
    let mut socket = shared().upgrade("/app/k?client=Pysher&version=1.0.8&protocol=6");
    socket.send_text(r#"{"event":"pusher:ping","data":""}"#);
    socket.established();
    socket.expect(json!({"event": "pusher:pong", "data": "{}"}));
}

#[test]
fn check_022_a_control_ping_is_answered_with_its_payload() {
    let mut socket = shared().connect(MAIN);
    for payload in [&b""[..], b"payload", &[0xFF; 125]] {
        socket.send_bytes(&frame::message(PING, payload));
        assert_eq!(socket.next(), Incoming::Pong(payload.to_vec()));
    }
}

#[test]
fn check_023_a_silent_client_is_pinged_and_then_closed() {
    let mut socket = hasty().connect(MAIN);
    expect_server_ping(&mut socket);
    assert_eq!(socket.expect_rejection(4201), "Pong reply not received in time");
}

#[test]
fn check_024_and_025_any_answer_to_the_ping_keeps_the_socket() {
    let answers: [&[u8]; 3] = [
        br#"{"event":"pusher:pong","data":{}}"#,
        br#"{"event":"pusher:pong"}"#,
        br#"{"event":"pusher:unsubscribe","data":{"channel":"none"}}"#,
    ];
    let mut sockets: Vec<Socket> = answers.iter().map(|_| hasty().connect(MAIN)).collect();
    for _ in 0..3 {
        for (socket, answer) in sockets.iter_mut().zip(answers) {
            expect_server_ping(socket);
            socket.send_bytes(&frame::message(TEXT, answer));
            if answer.ends_with(br#"{"channel":"none"}}"#) {
                socket.expect_error(None);
            }
        }
    }
    for socket in &mut sockets {
        socket.expect_silence();
    }
}

#[test]
fn check_025_an_unasked_control_pong_keeps_the_socket() {
    let mut socket = hasty().connect(MAIN);
    for _ in 0..3 {
        expect_server_ping(&mut socket);
        socket.send_bytes(&frame::message(PONG, b""));
    }
    socket.expect_silence();
}

#[test]
fn check_026_a_client_that_keeps_talking_is_never_pinged() {
    let mut socket = hasty().connect(MAIN);
    for _ in 0..9 {
        socket.expect_nothing_for(Duration::from_millis(350));
        socket.send_text(r#"{"event":"pusher:pong","data":{}}"#);
    }
}

#[test]
fn a_client_that_pings_by_control_frame_is_kept_alive_by_answering_either_kind() {
    let mut socket = hasty().connect(MAIN);
    socket.send_bytes(&frame::message(PING, b"mine"));
    assert_eq!(socket.next(), Incoming::Pong(b"mine".to_vec()));
    for _ in 0..2 {
        match socket.next() {
            Incoming::Ping(payload) => socket.send_bytes(&frame::message(PONG, &payload)),
            Incoming::Text(text) => {
                assert!(text.contains("pusher:ping"), "{text}");
                socket.send_text(r#"{"event":"pusher:pong","data":{}}"#);
            }
            other => panic!("{other:?}"),
        }
    }
    socket.expect_silence();
}

#[test]
fn attack_s8_half_a_frame_and_silence_is_closed() {
    let mut socket = hasty().connect(MAIN);
    let message = frame::message(TEXT, br#"{"event":"pusher:ping","data":{}}"#);
    socket.send_bytes(&message[..20]);
    socket.expect_end();
}

#[test]
fn a_client_that_is_always_in_the_middle_of_its_next_message_is_not_closed() {
    let node = TestNode::start(|config| {
        config.node.limits.frame_wait = Duration::from_secs(2);
    });
    let mut socket = node.connect(MAIN);
    let ping = frame::message(TEXT, br#"{"event":"pusher:ping"}"#);
    let (front, back) = ping.split_at(ping.len() / 2);
    socket.send_bytes(front);
    for _ in 0..30 {
        std::thread::sleep(Duration::from_millis(100));
        socket.send_bytes(&[back, front].concat());
        socket.expect_event("pusher:pong");
    }
    socket.expect_close_after_anything(1008);
}

/// A browser tells the page of the end only when the server has hung up.
#[test]
fn the_server_hangs_up_at_once_when_both_have_closed() {
    let node = shared();
    let clock = Clock::start();
    for _ in 0..20 {
        node.connect(MAIN).close();
    }
    let taken = clock.now().elapsed();
    assert!(taken < Duration::from_secs(5), "{taken:?} for 20 connections");
}
