//! Attacks on the WebSocket layer (S1-S9).

use serde_json::json;

use crate::support::apps::MAIN;
use crate::support::frame::{
    self, BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_payload, fragment, message,
};
use crate::support::http::{Answer, Connection};
use crate::support::socket::{target, upgrade_request};
use crate::support::{Incoming, Socket, TestNode, shared};

const FIN_TEXT: u8 = 0x80 | TEXT;
const PUSHER_PING: &[u8] = br#"{"event":"pusher:ping","data":{}}"#;

/// Connects, sends these bytes, and expects a Close with this code.
fn expect_closed(bytes: &[u8], code: u16, what: &str) {
    let mut socket = shared().connect(MAIN);
    // The server may have ended the connection before it took everything.
    socket.offer_bytes(bytes);
    match socket.next() {
        Incoming::Close(seen, _) => assert_eq!(seen, Some(code), "{what}"),
        other => panic!("{what}: {other:?} instead of a Close {code}"),
    }
    socket.offer_bytes(&message(CLOSE, &close_payload(code, "")));
    socket.expect_end();
}

#[test]
fn attack_s1_a_frame_is_judged_by_its_header_alone() {
    for length in [65_537, 1 << 20, 1 << 40, i64::MAX as u64] {
        expect_closed(&frame::header(FIN_TEXT, length), 1009, &length.to_string());
    }
}

#[test]
fn attack_s1_what_follows_a_frame_too_long_is_not_read_for_ever() {
    let mut socket = shared().connect(MAIN);
    socket.send_bytes(&frame::header(FIN_TEXT, 1 << 40));
    let chunk = vec![b'a'; 64 * 1024];
    let taken = (0..1024).take_while(|_| socket.offer_bytes(&chunk)).count();
    assert!(taken < 1024, "the server took 64 MiB of a frame that it refused");
}

#[test]
fn attack_s2_a_length_with_its_top_bit_set_is_a_protocol_error() {
    for length in [1 << 63, u64::MAX] {
        expect_closed(&frame::header(FIN_TEXT, length), 1002, &length.to_string());
    }
}

#[test]
fn attack_s3_the_sixty_fifth_fragment_is_refused() {
    for payload in [&b"a"[..], b""] {
        let mut socket = shared().connect(MAIN);
        socket.send_bytes(&fragment(TEXT, payload));
        for _ in 1..64 {
            socket.send_bytes(&fragment(CONTINUATION, payload));
        }
        socket.send_bytes(&message(PING, b"still here"));
        assert_eq!(socket.next(), Incoming::Pong(b"still here".to_vec()));
        socket.send_bytes(&fragment(CONTINUATION, payload));
        socket.expect_close(1009);
    }
}

#[test]
fn attack_s3_fragments_together_have_the_size_of_a_message() {
    let half = vec![b'a'; 40_000];
    let bytes = [fragment(TEXT, &half), message(CONTINUATION, &half)].concat();
    expect_closed(&bytes, 1009, "80,000 bytes in two fragments");
}

#[test]
fn a_message_in_sixty_four_fragments_is_read() {
    let text = format!("{:<64}", String::from_utf8_lossy(PUSHER_PING));
    let bytes = text.as_bytes();
    let mut socket = shared().connect(MAIN);
    for (index, byte) in bytes.iter().enumerate() {
        let opcode = if index == 0 { TEXT } else { CONTINUATION };
        if index == 63 {
            socket.send_bytes(&message(opcode, &[*byte]));
        } else {
            socket.send_bytes(&fragment(opcode, &[*byte]));
        }
    }
    socket.expect_event("pusher:pong");
}

#[test]
fn attack_s4_broken_frames_are_protocol_errors() {
    let mut cases = vec![
        ("unmasked", frame::unmasked(PUSHER_PING)),
        ("fragmented ping", fragment(PING, b"")),
        ("fragmented close", fragment(CLOSE, b"")),
        ("ping of 126 bytes", message(PING, &[0; 126])),
        ("pong of 126 bytes", message(PONG, &[0; 126])),
        ("continuation of nothing", message(CONTINUATION, b"a")),
        ("close of one byte", message(CLOSE, b"a")),
        ("text within a fragmented message", [fragment(TEXT, b"a"), message(TEXT, b"b")].concat()),
    ];
    for bit in [0x40, 0x20, 0x10] {
        cases.push(("reserved bit", frame::masked(FIN_TEXT | bit, PUSHER_PING)));
    }
    for opcode in (3..=7).chain(11..=15) {
        cases.push(("reserved opcode", message(opcode, b"")));
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        cases.push(("close code", message(CLOSE, &close_payload(code, ""))));
    }
    for (what, bytes) in cases {
        expect_closed(&bytes, 1002, what);
    }
}

#[test]
fn attack_s4_text_that_is_not_utf8_is_refused() {
    let cases = [
        ("a lone byte", message(TEXT, b"\xFF")),
        ("an overlong form", message(TEXT, b"\xC0\xAF")),
        ("a surrogate", message(TEXT, b"\xED\xA0\x80")),
        ("cut at the end", message(TEXT, b"\xE2\x82")),
        (
            "split across fragments",
            [fragment(TEXT, b"\xE2\x82"), message(CONTINUATION, b"\x41")].concat(),
        ),
        ("in a close reason", message(CLOSE, &[&1000_u16.to_be_bytes()[..], b"\xFF"].concat())),
    ];
    for (what, bytes) in cases {
        expect_closed(&bytes, 1007, what);
    }
}

#[test]
fn a_character_split_across_fragments_is_whole_again() {
    let text = r#"{"event":"ü"}"#.as_bytes();
    let middle = text.iter().position(|byte| *byte > 0x7F).unwrap() + 1;
    let mut socket = shared().connect(MAIN);
    socket.send_bytes(&fragment(TEXT, &text[..middle]));
    socket.send_bytes(&message(CONTINUATION, &text[middle..]));
    assert_eq!(socket.expect_error(None), "Unsupported event received on socket: ü");
}

#[test]
fn attack_s5_a_flood_of_pings_is_closed_and_others_go_on() {
    let mut other = shared().connect(MAIN);
    let mut socket = shared().connect(MAIN);
    let flood: Vec<u8> = (0..2000).flat_map(|_| message(PING, &[0; 125])).collect();
    socket.offer_bytes(&flood);
    let mut pongs = 0;
    loop {
        match socket.next() {
            Incoming::Pong(_) => pongs += 1,
            Incoming::Text(text) => assert!(text.contains("pusher:error"), "{text}"),
            Incoming::Close(code, _) => {
                assert_eq!(code, Some(1008));
                break;
            }
            Incoming::End => break,
            Incoming::Ping(_) => panic!("a ping"),
        }
    }
    assert!(pongs <= 300, "{pongs} pongs for one second");
    other.expect_silence();
}

#[test]
fn attack_s6_compression_is_not_negotiated() {
    let offer = [("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")];
    let mut connection = Connection::new(shared().stream());
    let answer = connection.ask(upgrade_request(&target(MAIN), &offer).as_bytes());
    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("sec-websocket-extensions"), None);
    expect_closed(&frame::masked(0xC0 | TEXT, &[0; 100]), 1002, "a compressed frame");
}

#[test]
fn attack_s7_a_binary_message_is_an_error_and_the_socket_stays() {
    let mut socket = shared().connect(MAIN);
    socket.send_bytes(&message(BINARY, PUSHER_PING));
    socket.expect_error(None);
    socket.expect_silence();
}

#[test]
fn attack_s8_half_a_handshake_does_not_hold_a_place() {
    let mut halves: Vec<Connection> = (0..50)
        .map(|_| {
            let mut connection = Connection::new(shared().stream());
            connection.send(b"GET /app/k?protocol=7 HTTP/1.1\r\nHost: no");
            connection
        })
        .collect();
    shared().connect(MAIN).expect_silence();
    for half in &mut halves {
        if let Some(answer) = half.answer() {
            assert_eq!(answer.status, 408, "{answer:?}");
            half.expect_end();
        }
    }
}

fn head(change: impl FnOnce(String) -> String) -> Answer {
    let mut connection = Connection::new(shared().stream());
    let request = change(upgrade_request(&target(MAIN), &[]));
    connection.offer(request.as_bytes());
    connection.answer().expect("an answer")
}

#[test]
fn attack_s9_handshakes_that_are_not_one_are_refused() {
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let cases: [(&str, Answer, &[u16]); 9] = [
        ("version 8", head(|request| request.replace("Version: 13", "Version: 8")), &[400, 426]),
        (
            "version 777",
            head(|request| request.replace("Version: 13", "Version: 777")),
            &[400, 426],
        ),
        ("no key", head(|request| request.replace(key, "")), &[400]),
        (
            "a short key",
            head(|request| request.replace("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ=")),
            &[400],
        ),
        (
            "a key that is not base64",
            head(|request| request.replace("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j!!==")),
            &[400],
        ),
        ("HTTP/1.0", head(|request| request.replace("HTTP/1.1", "HTTP/1.0")), &[400, 426, 505]),
        ("POST", head(|request| request.replacen("GET", "POST", 1)), &[400, 404, 405]),
        (
            "a hundred headers",
            head(|request| {
                let more = "X-More: 1\r\n".repeat(100);
                request.replacen("Host:", &format!("{more}Host:"), 1)
            }),
            &[400, 431],
        ),
        (
            "a path of 64 KiB",
            head(|request| {
                request.replacen("/app/k?", &format!("/app/k?{}&", "a".repeat(65_536)), 1)
            }),
            &[400, 414, 431],
        ),
    ];
    for (what, answer, allowed) in cases {
        assert!(allowed.contains(&answer.status), "{what}: {answer:?}");
    }
}

#[test]
fn attack_s9_a_head_of_128_kib_is_refused() {
    let mut connection = Connection::new(shared().stream());
    let long = "a".repeat(160 * 1024);
    connection.offer(upgrade_request(&target(MAIN), &[("X-Long", &long)]).as_bytes());
    if let Some(answer) = connection.answer() {
        assert!(matches!(answer.status, 400 | 413 | 431), "{answer:?}");
    }
}

#[test]
fn a_message_of_exactly_the_limit_is_read_and_one_byte_more_is_not() {
    let node = TestNode::start(|config| config.node.limits.frame_bytes = 4096);
    let text = |size: usize| format!("{:<size$}", String::from_utf8_lossy(PUSHER_PING));
    let mut socket = node.connect(MAIN);
    socket.send_text(&text(4096));
    socket.expect(json!({"event": "pusher:pong", "data": "{}"}));
    socket.send_text(&text(4097));
    socket.expect_close(1009);
}

#[test]
fn messages_cut_anywhere_are_read() {
    let mut socket: Socket = shared().connect(MAIN);
    let bytes = message(TEXT, PUSHER_PING);
    for cut in 1..bytes.len() {
        socket.send_bytes(&bytes[..cut]);
        socket.send_bytes(&bytes[cut..]);
        socket.expect_event("pusher:pong");
    }
}
