//! What the frame reader must accept, refuse and hold in memory.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "a test may stop"
)]

mod attacks;
mod laws;
mod rules;

use std::borrow::Cow;

use super::{CloseFrame, FrameError, FrameLimits, FrameReader, Incoming, Input};

const FIN: u8 = 0x80;
const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

const LIMITS: FrameLimits = FrameLimits { message_bytes: 64 * 1024, fragments: 64 };

/// Everything a reader said about a stream, up to its first error or Close.
#[derive(Debug, PartialEq, Eq)]
struct Heard {
    messages: Vec<Incoming<'static>>,
    error: Option<FrameError>,
}

/// Encodes a masked frame the plain way: a byte at a time.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    masked(first, payload, [0x37, 0xfa, 0x21, 0x3d])
}

fn masked(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut bytes = header(first, payload.len() as u64);
    bytes.extend(mask);
    for (index, byte) in payload.iter().enumerate() {
        bytes.push(byte ^ mask[index % 4]);
    }
    bytes
}

/// Encodes a header up to its masking key.
fn header(first: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![first];
    match length {
        0..126 => bytes.push(0x80 | u8::try_from(length).unwrap()),
        126..0x1_0000 => {
            bytes.push(0xfe);
            bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        _ => {
            bytes.push(0xff);
            bytes.extend(length.to_be_bytes());
        }
    }
    bytes
}

/// Reads a stream that arrives in these pieces.
fn read<'p>(pieces: impl IntoIterator<Item = &'p [u8]>, limits: FrameLimits) -> Heard {
    let mut reader = FrameReader::new();
    let mut messages = Vec::new();
    for piece in pieces {
        let mut scratch = piece.to_vec();
        let mut input = Input::new(&mut scratch);
        loop {
            match reader.next(&mut input, limits) {
                Ok(Some(message)) => {
                    let is_last = matches!(message, Incoming::Close(_));
                    messages.push(owned(message));
                    if is_last {
                        return Heard { messages, error: None };
                    }
                }
                Ok(None) => {
                    assert!(input.left().is_empty(), "a pause with input left");
                    break;
                }
                Err(error) => {
                    assert_eq!(reader.buffered(), 0, "memory held after an error");
                    return Heard { messages, error: Some(error) };
                }
            }
        }
    }
    Heard { messages, error: None }
}

fn owned(message: Incoming<'_>) -> Incoming<'static> {
    let keep = |bytes: Cow<'_, [u8]>| Cow::Owned(bytes.into_owned());
    match message {
        Incoming::Text(text) => Incoming::Text(Cow::Owned(text.into_owned())),
        Incoming::Binary(bytes) => Incoming::Binary(keep(bytes)),
        Incoming::Ping(bytes) => Incoming::Ping(keep(bytes)),
        Incoming::Pong(bytes) => Incoming::Pong(keep(bytes)),
        Incoming::Close(close) => Incoming::Close(close.map(|close| CloseFrame {
            code: close.code,
            reason: Cow::Owned(close.reason.into_owned()),
        })),
    }
}

/// Reads the same bytes at once and one at a time, which must not differ.
fn read_both_ways(bytes: &[u8]) -> Heard {
    let whole = read([bytes], LIMITS);
    assert_eq!(whole, read(bytes.chunks(1), LIMITS), "cut at every byte");
    whole
}
