//! Frames: reading those of clients, and encoding events.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark may stop")]

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use micronotifier::edge::ws::frame::{FrameLimits, FrameReader, Incoming, Input};
use micronotifier_actors::protocol::{ChannelName, EventName, Frame};

const LIMITS: FrameLimits = FrameLimits { message_bytes: 64 * 1024, fragments: 64 };
/// A client event as a browser sends it, but for its data.
const SMALL: &str = r#"{"event":"client-move","channel":"private-room-1","data":{"x":1,"y":2}}"#;
/// Frames in one read of many.
const MANY: usize = 100;

fn text_frame(payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![0x81];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | u8::try_from(short).unwrap()),
        length => {
            frame.push(0xfe);
            frame.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// Reads whole text frames and returns how many bytes of text there were.
fn read_all(bytes: &mut [u8]) -> usize {
    let (mut reader, mut input, mut total) = (FrameReader::new(), Input::new(bytes), 0);
    while let Some(message) = reader.next(&mut input, LIMITS).unwrap() {
        match message {
            Incoming::Text(text) => total += black_box(text).len(),
            other => panic!("{other:?}"),
        }
    }
    total
}

fn decode(criterion: &mut Criterion) {
    let small = text_frame(SMALL.as_bytes());
    let cases = [
        ("small", small.clone()),
        ("1 KiB", text_frame(&[b'x'; 1024])),
        ("10 KiB", text_frame(&[b'x'; 10 * 1024])),
        ("100 small in one read", small.repeat(MANY)),
    ];
    let mut group = criterion.benchmark_group("decode");
    for (name, bytes) in cases {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |bencher| {
            // unmasking is in place, so every round needs masked bytes again
            bencher.iter_batched_ref(
                || bytes.clone(),
                |bytes| assert!(read_all(bytes) > 0),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn encode(criterion: &mut Criterion) {
    let channel = ChannelName::parse("private-room-1", 164).unwrap();
    let event = EventName::parse("my-event", 200).unwrap();
    let mut group = criterion.benchmark_group("encode");
    for size in [128_usize, 1024, 10 * 1024] {
        // most publishers send JSON in the string: an escape every few bytes
        let data: String =
            r#"{"id":12345,"text":"some words"},"#.chars().cycle().take(size).collect();
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_with_input(BenchmarkId::new("JSON", size), &data, |bencher, data| {
            bencher.iter(|| Frame::channel_event(&channel, &event, black_box(data)));
        });
        let plain = "x".repeat(size);
        group.bench_with_input(BenchmarkId::new("plain", size), &plain, |bencher, data| {
            bencher.iter(|| Frame::channel_event(&channel, &event, black_box(data)));
        });
    }
    group.finish();
}

criterion_group!(benches, decode, encode);
criterion_main!(benches);
