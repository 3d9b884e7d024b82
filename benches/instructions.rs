//! Rounds of one thing, for `benches/instructions.sh` to count: `instructions PART ROUNDS`. Otherwise, as
//! under `cargo bench`, it tells its parts and how many there are of each in a round.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark may stop, and tells its parts"
)]

#[path = "support/hall.rs"]
mod hall;

use std::hint::black_box;

use actix_rt::System;
use micronotifier::edge::ws::frame::{FrameLimits, FrameReader, Incoming, Input};
use micronotifier_actors::protocol::message::ClientMessage;
use micronotifier_actors::protocol::sign::{Credential, body_md5, request_text, subscription_text};
use micronotifier_actors::protocol::{ChannelName, EventName, Frame, SocketId};

use hall::Hall;

const LIMITS: FrameLimits = FrameLimits { message_bytes: 64 * 1024, fragments: 64 };
/// A client event as a browser sends it.
const CLIENT_EVENT: &str =
    r#"{"event":"client-move","channel":"private-room-1","data":{"x":1,"y":2}}"#;
/// An event's data of 128 bytes: JSON in a string, with an escape every few bytes.
const DATA: &str = r#"{"id":12345,"text":"some words"},{"id":12345,"text":"some words"},{"id":12345,"text":"some words"},{"id":12345,"text":"some words"}"#;

/// A part's name, how many there are of it in a round, and what a run of rounds does.
type Part = (&'static str, u32, fn(u32));

const PARTS: [Part; 8] = [
    ("delivery-of-1000", 1000, |rounds| fan_out(1000, 1, rounds)),
    ("delivery-of-8-x-1000", 8000, |rounds| fan_out(1000, 8, rounds)),
    ("event-to-one", 1, |rounds| fan_out(1, 1, rounds)),
    ("encoded-frame", 1, encode),
    ("client-frame", 1, read_frame),
    ("client-message", 1, parse_message),
    ("request-signature", 1, check_request),
    ("subscription-signature", 1, check_subscription),
];

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [name, rounds] = arguments.as_slice()
        && let Some((_, _, run)) = PARTS.iter().find(|(part, ..)| part == name)
    {
        return run(rounds.parse().unwrap());
    }
    for (name, count, _) in PARTS {
        println!("{name} {count}");
    }
}

/// All that a node does for an event but for system calls.
fn fan_out(sockets: u32, events: u32, rounds: u32) {
    let system = System::new();
    system.block_on(async {
        let hall = Hall::open(sockets).await;
        for _ in 0..rounds {
            hall.publish(events).await;
        }
    });
}

fn encode(rounds: u32) {
    let channel = ChannelName::parse("private-room-1", 164).unwrap();
    let event = EventName::parse("my-event", 200).unwrap();
    for _ in 0..rounds {
        black_box(Frame::channel_event(&channel, &event, black_box(DATA)));
    }
}

/// Header, mask and UTF-8 of a text frame of 70 bytes. Its mask is zero, so that unmasking it where it lies
/// leaves it as it was.
fn read_frame(rounds: u32) {
    let mut bytes = vec![0x81, 0x80 | u8::try_from(CLIENT_EVENT.len()).unwrap(), 0, 0, 0, 0];
    bytes.extend(CLIENT_EVENT.as_bytes());
    let mut reader = FrameReader::new();
    for _ in 0..rounds {
        match reader.next(&mut Input::new(black_box(&mut bytes)), LIMITS).unwrap().unwrap() {
            Incoming::Text(text) => assert_eq!(text.len(), CLIENT_EVENT.len()),
            other => panic!("{other:?}"),
        }
    }
}

fn parse_message(rounds: u32) {
    for _ in 0..rounds {
        assert!(ClientMessage::parse(black_box(CLIENT_EVENT)).is_some());
    }
}

fn check_request(rounds: u32) {
    let credential = Credential::new("1234567890", "abcdefghij");
    let digest = body_md5(b"{}");
    let query = [
        ("auth_key", "1234567890"),
        ("auth_timestamp", "1700000000"),
        ("auth_version", "1.0"),
        ("body_md5", digest.as_str()),
    ];
    let text = request_text("POST", "/apps/testapp/events", &query);
    let signature = credential.sign(text.as_bytes());
    for _ in 0..rounds {
        let text = request_text("POST", "/apps/testapp/events", black_box(&query));
        assert!(credential.verifies(&[text.as_bytes()], &signature));
    }
}

fn check_subscription(rounds: u32) {
    let credential = Credential::new("1234567890", "abcdefghij");
    let socket = SocketId::new(1234, 1234);
    let signature = credential.sign(subscription_text(socket, "private-room", None).as_bytes());
    for _ in 0..rounds {
        let text = subscription_text(black_box(socket), "private-room", None);
        assert!(credential.verifies(&[text.as_bytes()], &signature));
    }
}
