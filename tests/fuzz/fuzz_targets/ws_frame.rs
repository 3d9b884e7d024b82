//! Bytes of a WebSocket client: where they are cut makes no difference, memory is bounded, and
//! tungstenite hears the same.
//!
//! Input: the number of cuts, the length of each piece, then the stream.
#![no_main]

use std::io::{self, Read, Write};

use libfuzzer_sys::fuzz_target;
use micronotifier::edge::ws::frame::{FrameError, FrameLimits, FrameReader, Incoming, Input};
use tungstenite::protocol::{Message, Role, WebSocket, WebSocketConfig};

const MESSAGE_BYTES: usize = 2048;
const LIMITS: FrameLimits = FrameLimits {
    message_bytes: MESSAGE_BYTES,
    fragments: 8,
};
/// Tungstenite counts no fragments.
const NO_FRAGMENT_LIMIT: FrameLimits = FrameLimits {
    fragments: usize::MAX,
    ..LIMITS
};
/// The reader's own state, a header, a control frame.
const OVERHEAD: usize = 512;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Heard {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

fuzz_target!(|data: &[u8]| {
    let Some((&count, rest)) = data.split_first() else {
        return;
    };
    let (cuts, stream) = rest.split_at(usize::from(count % 16).min(rest.len()));
    let whole = read([stream], LIMITS);
    assert_eq!(whole, read(pieces(stream, cuts), LIMITS));
    assert_eq!(whole, read(stream.chunks(1), LIMITS));
    compare_with_tungstenite(stream);
});

fn pieces<'s>(stream: &'s [u8], cuts: &[u8]) -> Vec<&'s [u8]> {
    let mut rest = stream;
    let mut pieces = Vec::new();
    for cut in cuts {
        let (piece, after) = rest.split_at(usize::from(*cut).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

/// Reads up to the first error or Close.
fn read<'p>(
    pieces: impl IntoIterator<Item = &'p [u8]>,
    limits: FrameLimits,
) -> (Vec<Heard>, Option<FrameError>) {
    let mut reader = FrameReader::new();
    let mut heard = Vec::new();
    for piece in pieces {
        let mut scratch = piece.to_vec();
        let mut input = Input::new(&mut scratch);
        loop {
            match reader.next(&mut input, limits) {
                Ok(Some(message)) => {
                    heard.push(own(message));
                    if matches!(heard.last(), Some(Heard::Close(_))) {
                        return (heard, None);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(reader.buffered(), 0);
                    return (heard, Some(error));
                }
            }
        }
        assert!(input.left().is_empty());
        assert!(reader.buffered() <= limits.message_bytes + OVERHEAD);
        assert_eq!(reader.has_partial(), reader.buffered() > 0);
    }
    (heard, None)
}

fn own(message: Incoming<'_>) -> Heard {
    match message {
        Incoming::Text(text) => Heard::Text(text.into_owned()),
        Incoming::Binary(bytes) => Heard::Binary(bytes.into_owned()),
        Incoming::Ping(bytes) => Heard::Ping(bytes.into_owned()),
        Incoming::Pong(bytes) => Heard::Pong(bytes.into_owned()),
        Incoming::Close(close) => {
            Heard::Close(close.map(|close| (close.code, close.reason.into_owned())))
        }
    }
}

/// Tungstenite differs in three ways that are known: it takes the long form of a length on control
/// frames, does not know close code 1014, and judges most frames only when they are complete.
fn compare_with_tungstenite(stream: &[u8]) {
    let (heard, error) = read([stream], NO_FRAGMENT_LIMIT);
    if error == Some(FrameError::Protocol("control frame over 125 bytes"))
        || matches!(heard.last(), Some(Heard::Close(Some((1014, _)))))
    {
        return;
    }
    let (mut theirs, mut refused) = ask_tungstenite(stream);
    if error.is_some() && !refused {
        (theirs, refused) = ask_tungstenite(&[stream, &[0; MESSAGE_BYTES + 14]].concat());
    }
    assert_eq!(heard, theirs);
    assert_eq!(error.is_some(), refused, "{error:?}");
}

fn ask_tungstenite(stream: &[u8]) -> (Vec<Heard>, bool) {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES))
        .max_frame_size(Some(MESSAGE_BYTES));
    let mut socket = WebSocket::from_raw_socket(Stream(stream), Role::Server, Some(config));
    let mut heard = Vec::new();
    loop {
        let message = match socket.read() {
            Ok(Message::Text(text)) => Heard::Text(text.to_string()),
            Ok(Message::Binary(bytes)) => Heard::Binary(bytes.to_vec()),
            Ok(Message::Ping(bytes)) => Heard::Ping(bytes.to_vec()),
            Ok(Message::Pong(bytes)) => Heard::Pong(bytes.to_vec()),
            Ok(Message::Close(None)) => Heard::Close(None),
            // how it says that a code may not travel
            Ok(Message::Close(Some(close))) if close.reason.as_str() == "Protocol violation" => {
                return (heard, true);
            }
            Ok(Message::Close(Some(close))) => {
                Heard::Close(Some((close.code.into(), close.reason.to_string())))
            }
            Ok(Message::Frame(_)) => unreachable!("a raw frame is never read"),
            Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return (heard, false);
            }
            Err(_) => return (heard, true),
        };
        let is_last = matches!(message, Heard::Close(_));
        heard.push(message);
        if is_last {
            return (heard, false);
        }
    }
}

/// A peer that has said all it will say and takes whatever it is told.
struct Stream<'b>(&'b [u8]);

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer) {
            Ok(0) => Err(io::ErrorKind::WouldBlock.into()),
            other => other,
        }
    }
}

impl Write for Stream<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
