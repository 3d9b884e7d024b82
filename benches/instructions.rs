//! Counts instructions: what one delivery, one encoded frame, one frame of a client, one signature take.
//!
//! `cargo bench --bench instructions` runs each part under valgrind (callgrind) and compares it with
//! `benches/instructions.baseline`: exit code 1 when one takes over 10 % more, or when a delivery to 1,000 takes over 2 %,
//! an event to one over 5 % more than it would with mailboxes that are not measured. `-- --write` makes what is counted the
//! new baseline. Unlike times, counts do not depend on what else the machine does. System calls are not in them, and
//! the allocator is the system's. Without valgrind nothing is counted, and it says so.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark may stop, and tells its parts"
)]

#[path = "support/hall.rs"]
mod hall;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::process::{Command, ExitCode};

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

/// What is counted with mailboxes that are measured and that are not, and how much more the first may take.
const MOST_FOR_MAILBOXES: [(&str, &str, f64); 2] = [
    ("delivery-of-1000", "delivery-of-1000-unmeasured", 1.02),
    ("event-to-one", "event-to-one-unmeasured", 1.05),
];

/// A part's name, how many there are of it in a round, and what a run of rounds does.
type Part = (&'static str, u32, fn(u32));

const PARTS: [Part; 10] = [
    ("delivery-of-1000", 1000, |rounds| fan_out(1000, 1, true, rounds)),
    ("delivery-of-1000-unmeasured", 1000, |rounds| fan_out(1000, 1, false, rounds)),
    ("delivery-of-8-x-1000", 8000, |rounds| fan_out(1000, 8, true, rounds)),
    ("event-to-one", 1, |rounds| fan_out(1, 1, true, rounds)),
    ("event-to-one-unmeasured", 1, |rounds| fan_out(1, 1, false, rounds)),
    ("encoded-frame", 1, encode),
    ("client-frame", 1, read_frame),
    ("client-message", 1, parse_message),
    ("request-signature", 1, check_request),
    ("subscription-signature", 1, check_subscription),
];

const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.baseline");
/// How much more than the baseline is too much, in percent.
const TOLERANCE: f64 = 10.0;
/// The difference of two runs is what the rounds between them took, without what comes before and after.
const FEW: u32 = 20;
const MANY: u32 = 60;

fn main() -> ExitCode {
    // cargo adds `--bench`
    let arguments: Vec<_> = std::env::args().skip(1).filter(|text| text != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => compare(&count_all()),
        ["--write"] => {
            write_baseline(&count_all());
            ExitCode::SUCCESS
        }
        [name, rounds] => {
            let (.., run) = PARTS.iter().find(|(part, ..)| part == name).unwrap();
            run(rounds.parse().unwrap());
            ExitCode::SUCCESS
        }
        _ => panic!("usage: cargo bench --bench instructions [-- --write]"),
    }
}

/// What was counted of a part.
struct Counted {
    name: &'static str,
    /// Instructions of one of it.
    each: f64,
}

/// Counts each part; nothing where valgrind is missing.
fn count_all() -> Vec<Counted> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("no instructions were counted: valgrind is missing");
        return Vec::new();
    }
    let count = |(name, each, _): Part| {
        let count = u32::try_from(collect(name, MANY) - collect(name, FEW)).unwrap();
        Counted { name, each: f64::from(count) / f64::from((MANY - FEW) * each) }
    };
    PARTS.into_iter().map(count).collect()
}

/// Returns how many instructions so many rounds of a part take, with everything around them.
fn collect(part: &str, rounds: u32) -> u64 {
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args([part, &rounds.to_string()])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{told}");
    let collected = told.split_once("Collected : ").and_then(|(_, rest)| rest.lines().next());
    collected.and_then(|count| count.trim().parse().ok()).unwrap_or_else(|| panic!("{told}"))
}

fn write_baseline(counted: &[Counted]) {
    let mut text = format!("# instructions, {}\n", std::env::consts::ARCH);
    for Counted { name, each } in counted {
        writeln!(text, "{name} {each:.0}").unwrap();
    }
    std::fs::write(BASELINE, text).unwrap();
}

/// Tells what was counted beside the baseline, which is of one kind of processor.
fn compare(counted: &[Counted]) -> ExitCode {
    let text = std::fs::read_to_string(BASELINE).unwrap();
    let mut lines = text.lines();
    let is_ours = lines.next().unwrap().ends_with(std::env::consts::ARCH);
    let baseline: HashMap<&str, f64> = lines
        .filter(|_| is_ours)
        .map(|line| line.split_once(' ').unwrap())
        .map(|(name, count)| (name, count.parse().unwrap()))
        .collect();
    println!("| part | instructions | baseline |\n|---|---|---|");
    let mut is_broken = false;
    for Counted { name, each } in counted {
        let told = baseline.get(name).map_or("none".to_owned(), |before| {
            let change = (each / before - 1.0) * 100.0;
            is_broken |= change > TOLERANCE;
            format!("{before} ({change:+.1} %)")
        });
        println!("| {name} | {each:.0} | {told} |");
    }
    let of = |part| counted.iter().find(|counted| counted.name == part).map(|found| found.each);
    for (measured, unmeasured, most) in MOST_FOR_MAILBOXES {
        if let (Some(on), Some(off)) = (of(measured), of(unmeasured)) {
            println!("{measured} is {:.4} times {unmeasured}: at most {most}", on / off);
            is_broken |= on / off > most;
        }
    }
    if is_broken { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// All that a node does for an event but for system calls.
fn fan_out(sockets: u32, events: u32, mailbox_metrics: bool, rounds: u32) {
    let system = System::new();
    system.block_on(async {
        let hall = Hall::open_with(sockets, mailbox_metrics).await;
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
