//! Who may connect, and how refusal looks (checks 1-15).

use std::io::Write as _;

use serde_json::json;

use crate::support::apps::{DISABLED, MAIN, QUOTA, TLS_ONLY};
use crate::support::http::Connection;
use crate::support::socket::target;
use crate::support::stream::Stream;
use crate::support::{Socket, TestNode, eventually, shared};

#[test]
fn check_001_the_first_frame_is_connection_established() {
    let mut socket = shared().upgrade("/app/k?protocol=7");
    let data = socket.established();
    assert_eq!(data["activity_timeout"], 120);
}

#[test]
fn check_002_protocols_5_and_6_get_the_same_frame() {
    for protocol in [5, 6] {
        let mut socket = shared().upgrade(&format!("/app/k?protocol={protocol}"));
        assert_eq!(socket.established()["activity_timeout"], 120);
    }
}

#[test]
fn check_003_no_protocol_is_accepted() {
    shared().upgrade("/app/k").established();
}

#[test]
fn check_004_and_005_other_protocols_are_refused() {
    for protocol in ["4", "8", "abc", "-7", "7.0", "99999999999999999999"] {
        let mut socket = shared().upgrade(&format!("/app/k?protocol={protocol}"));
        socket.expect(json!({
            "event": "pusher:error",
            "data": {"code": 4007, "message": "Unsupported protocol version"}
        }));
        assert_eq!(socket.expect_close(4007), "Unsupported protocol version");
    }
}

#[test]
fn check_006_an_unknown_key_is_refused() {
    let mut socket = shared().upgrade("/app/abc?protocol=7");
    socket.expect(json!({
        "event": "pusher:error", "data": {"code": 4001, "message": "App key abc does not exist"}
    }));
    socket.expect_close(4001);
}

#[test]
fn check_007_a_disabled_application_is_refused() {
    let mut socket = shared().upgrade(&target(DISABLED));
    assert_eq!(socket.expect_rejection(4003), "Application disabled");
}

#[test]
fn check_008_a_plain_socket_is_refused_where_tls_is_required() {
    let mut socket = shared().upgrade(&target(TLS_ONLY));
    assert_eq!(
        socket.expect_rejection(4000),
        "Application only accepts SSL connections, reconnect using wss://"
    );
}

#[test]
fn check_009_the_quota_holds_and_a_place_is_given_back() {
    let _first = shared().connect(QUOTA);
    let second = shared().connect(QUOTA);
    let mut third = shared().upgrade(&target(QUOTA));
    assert_eq!(third.expect_rejection(4004), "Application is over connection quota");
    second.cut();
    eventually("the place is free again", || {
        let mut socket = shared().upgrade(&target(QUOTA));
        socket.event()["event"] == "pusher:connection_established"
    });
}

#[test]
fn check_010_an_upgrade_elsewhere_is_refused() {
    let mut socket = shared().upgrade("/nope");
    assert_eq!(socket.expect_rejection(4005), "Path not found");
    let mut plain = Connection::new(shared().stream());
    plain.ask(b"GET /nope HTTP/1.1\r\nHost: node\r\n\r\n").error(404);
}

#[test]
fn check_011_a_path_prefix_is_stripped() {
    let node = TestNode::start(|config| config.edge.path_prefix = "/ws".to_owned());
    node.upgrade("/ws/app/k?protocol=7").established();
    node.upgrade("/app/k?protocol=7").expect_rejection(4005);
}

#[test]
fn check_012_close_reasons_are_short_whatever_the_key() {
    let key = "k".repeat(500);
    let mut socket = shared().upgrade(&format!("/app/{key}?protocol=7"));
    let message = socket.expect_error(Some(4001));
    assert!(message.len() < 1000, "{} bytes", message.len());
    let reason = socket.expect_close(4001);
    assert!(reason.starts_with("App key "), "{reason}");
}

#[test]
fn check_013_text_that_is_not_json_is_answered_with_an_error() {
    let mut socket = shared().connect(MAIN);
    socket.send_text("not json");
    assert_eq!(socket.expect_error(None), "Invalid message format");
    socket.expect_silence();
}

#[test]
fn check_014_unknown_events_are_answered_with_an_error() {
    let mut socket = shared().connect(MAIN);
    socket.send(&json!({"event": "foo", "data": {}}));
    assert_eq!(socket.expect_error(None), "Unsupported event received on socket: foo");
    socket.expect_silence();
}

#[test]
fn check_015_stopping_a_node_that_is_alone_closes_with_1001() {
    let mut node = TestNode::start(|_| {});
    let mut sockets: Vec<Socket> = (0..5).map(|_| node.connect(MAIN)).collect();
    sockets[0].subscribe("stop");
    node.begin_stop();
    for socket in &mut sockets {
        socket.expect_close(1001);
    }
}

#[test]
fn a_plain_get_of_the_endpoint_asks_for_an_upgrade() {
    let mut plain = Connection::new(shared().stream());
    let answer = plain.ask(b"GET /app/k?protocol=7 HTTP/1.1\r\nHost: node\r\n\r\n");
    assert_eq!(answer.status, 426);
    assert_eq!(answer.header("upgrade"), Some("websocket"));
}

#[test]
fn the_path_is_judged_first_and_the_protocol_before_the_key() {
    shared().upgrade("/nope/app/abc?protocol=4").expect_rejection(4005);
    shared().upgrade("/app/abc?protocol=4").expect_rejection(4007);
    let disabled = format!("/app/{}?protocol=4", DISABLED.key);
    shared().upgrade(&disabled).expect_rejection(4007);
}

#[test]
fn keys_are_percent_decoded() {
    shared().upgrade("/app/%6b?protocol=7").established();
}

#[test]
fn a_handshake_may_arrive_in_pieces() {
    let mut stream = shared().stream();
    let request = crate::support::socket::upgrade_request(&target(MAIN), &[]);
    let (head, tail) = request.split_at(request.len() - 10);
    for byte in head.as_bytes() {
        stream.write_all(&[*byte]).unwrap();
    }
    let mut connection = Connection::new(stream);
    assert_eq!(connection.ask(tail.as_bytes()).status, 101);
}

#[test]
fn messages_sent_together_with_the_handshake_are_answered() {
    let mut stream: Stream = shared().stream();
    let request = crate::support::socket::upgrade_request(&target(MAIN), &[]);
    let message = crate::support::frame::message(
        crate::support::frame::TEXT,
        br#"{"event":"pusher:ping","data":{}}"#,
    );
    stream.write_all(&[request.as_bytes(), &message].concat()).unwrap();
    let mut socket = Socket::after_request(stream);
    socket.established();
    socket.expect(json!({"event": "pusher:pong", "data": "{}"}));
}

#[test]
fn an_upgrade_behind_a_request_leaves_its_answer_alone() {
    let mut connection = Connection::new(shared().stream());
    connection.send(
        b"GET /up HTTP/1.1\r\nHost: node\r\n\r\n\
          GET /app/k?protocol=7 HTTP/1.1\r\nHost: node\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert_eq!(connection.answer().map(|answer| answer.status), Some(200));
    assert_eq!(connection.answer().map(|answer| answer.status), Some(101));
}
