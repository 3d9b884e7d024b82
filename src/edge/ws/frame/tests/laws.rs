//! Laws over random streams: cuts do not matter, and tungstenite agrees.

use std::io::{self, Read, Write};

use proptest::collection::vec;
use proptest::prelude::*;
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocket, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error};

use super::*;

/// Tungstenite counts no fragments.
const NO_FRAGMENT_LIMIT: FrameLimits = FrameLimits { message_bytes: 4096, fragments: usize::MAX };

/// One step of a script that is valid by construction: a message, its cuts, and controls between its fragments.
type Step = (Incoming<'static>, Vec<usize>, Vec<Incoming<'static>>);

fn control() -> impl Strategy<Value = Incoming<'static>> {
    (any::<bool>(), vec(any::<u8>(), 0..=125)).prop_map(|(is_ping, payload)| {
        if is_ping { Incoming::Ping(payload.into()) } else { Incoming::Pong(payload.into()) }
    })
}

fn data() -> impl Strategy<Value = Incoming<'static>> {
    prop_oneof![
        "\\PC{0,80}".prop_map(|text| Incoming::Text(text.into())),
        vec(any::<u8>(), 0..300).prop_map(|bytes| Incoming::Binary(bytes.into())),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    vec((data(), vec(0..400_usize, 0..5), vec(control(), 0..3)), 0..5)
}

/// Encodes a script; returns the bytes and the messages that they mean, in order of their ends.
fn encode(steps: &[Step], mask: [u8; 4]) -> (Vec<u8>, Vec<Incoming<'static>>) {
    let (mut bytes, mut meant) = (Vec::new(), Vec::new());
    for (message, cuts, controls) in steps {
        let (opcode, payload) = match message {
            Incoming::Text(text) => (TEXT, text.as_bytes()),
            Incoming::Binary(bytes) => (BINARY, &bytes[..]),
            other => panic!("no data: {other:?}"),
        };
        let fragments = pieces(payload, cuts);
        let mut controls = controls.iter();
        for (index, fragment) in fragments.iter().enumerate() {
            let is_last = index + 1 == fragments.len();
            let opcode = if index == 0 { opcode } else { CONTINUATION };
            let fin = if is_last { FIN } else { 0 };
            bytes.extend(masked(fin | opcode, fragment, mask));
            if !is_last && let Some(control) = controls.next() {
                let (opcode, payload) = match control {
                    Incoming::Ping(payload) => (PING, payload),
                    Incoming::Pong(payload) => (PONG, payload),
                    other => panic!("no control: {other:?}"),
                };
                bytes.extend(masked(FIN | opcode, payload, mask));
                meant.push(control.clone());
            }
        }
        meant.push(message.clone());
    }
    (bytes, meant)
}

/// Cuts bytes at these places, in any order and some of them out of reach.
fn pieces<'b>(bytes: &'b [u8], cuts: &[usize]) -> Vec<&'b [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.sort_unstable();
    let mut pieces = Vec::new();
    let mut start = 0;
    for cut in cuts.into_iter().chain([bytes.len()]) {
        pieces.push(&bytes[start..cut]);
        start = cut;
    }
    pieces
}

/// Frames that may break any rule: random first bytes, forms of length, payloads near the edges.
fn wild_stream() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        6 => prop::sample::select(vec![0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a, 0x88]),
        1 => any::<u8>(),
    ];
    let close = (0..5010_u16, "\\PC{0,8}")
        .prop_map(|(code, reason)| [&code.to_be_bytes()[..], reason.as_bytes()].concat());
    let payload =
        prop_oneof!["\\PC{0,30}".prop_map(String::into_bytes), vec(any::<u8>(), 0..140), close,];
    let frame =
        (first, payload, any::<[u8; 4]>(), 0..40_u8).prop_map(|(first, payload, mask, form)| {
            let size = payload.len() as u64;
            let mut bytes = masked(first, &payload, mask);
            match form {
                // no mask
                0 => bytes[1] &= 0x7f,
                // a longer length than needed; tungstenite takes it on control frames too
                1 if first & 0x08 == 0 => {
                    let start = header(first, size).len();
                    let mut long = vec![first, 0xff];
                    long.extend(size.to_be_bytes());
                    long.extend(&bytes[start..]);
                    bytes = long;
                }
                // a length over the limit or over everything
                2 if first & 0x08 == 0 => {
                    bytes = [&[first, 0xff][..], &(size << 13).to_be_bytes(), &[0; 4]].concat();
                }
                3 => bytes = [&[first, 0xff][..], &u64::MAX.to_be_bytes(), &[0; 4]].concat(),
                _ => {}
            }
            bytes
        });
    prop_oneof![
        8 => vec(frame, 0..8).prop_map(|frames| frames.concat()),
        1 => vec(any::<u8>(), 0..64),
    ]
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

/// What tungstenite says about a stream: its messages, and whether it refuses what follows them.
fn ask_tungstenite(bytes: &[u8], limits: FrameLimits) -> (Vec<Incoming<'static>>, bool) {
    let config = WebSocketConfig::default()
        .max_message_size(Some(limits.message_bytes))
        .max_frame_size(Some(limits.message_bytes));
    let mut socket = WebSocket::from_raw_socket(Stream(bytes), Role::Server, Some(config));
    let mut messages = Vec::new();
    let keep = |bytes: Bytes| Cow::Owned(bytes.to_vec());
    loop {
        let message = match socket.read() {
            Ok(Message::Text(text)) => Incoming::Text(text.to_string().into()),
            Ok(Message::Binary(bytes)) => Incoming::Binary(keep(bytes)),
            Ok(Message::Ping(bytes)) => Incoming::Ping(keep(bytes)),
            Ok(Message::Pong(bytes)) => Incoming::Pong(keep(bytes)),
            Ok(Message::Close(None)) => Incoming::Close(None),
            Ok(Message::Close(Some(close))) => {
                // a code that may not travel is not an error there, but this
                if close.reason.as_str() == "Protocol violation" {
                    return (messages, true);
                }
                Incoming::Close(Some(CloseFrame {
                    code: close.code.into(),
                    reason: close.reason.to_string().into(),
                }))
            }
            Ok(Message::Frame(_)) => panic!("a raw frame is never read"),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return (messages, false);
            }
            Err(_) => return (messages, true),
        };
        let is_last = matches!(message, Incoming::Close(_));
        messages.push(message);
        if is_last {
            return (messages, false);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn valid_streams_mean_the_same_however_cut(
        steps in steps(), mask in any::<[u8; 4]>(), cuts in vec(any::<usize>(), 0..12),
    ) {
        let (bytes, meant) = encode(&steps, mask);
        let heard = read(pieces(&bytes, &cuts), LIMITS);
        prop_assert_eq!(heard.error, None);
        prop_assert!(heard.messages == meant);
    }

    #[test]
    fn any_stream_means_the_same_however_cut(
        bytes in wild_stream(), cuts in vec(any::<usize>(), 0..12),
    ) {
        let limits = FrameLimits { message_bytes: 300, fragments: 3 };
        let whole = read([&bytes[..]], limits);
        prop_assert!(whole == read(pieces(&bytes, &cuts), limits));
        prop_assert!(whole == read(bytes.chunks(1), limits));
    }

    #[test]
    fn tungstenite_agrees(bytes in wild_stream()) {
        let heard = read([&bytes[..]], NO_FRAGMENT_LIMIT);
        // IANA's 1014 is younger than tungstenite's list
        prop_assume!(!heard.messages.iter().any(
            |message| matches!(message, Incoming::Close(Some(close)) if close.code == 1014)
        ));
        let (mut messages, mut refused) = ask_tungstenite(&bytes, NO_FRAGMENT_LIMIT);
        if heard.error.is_some() && !refused {
            // it judges most frames only when they are complete: complete the last one
            let longer = [&bytes[..], &[0; 4096 + 14]].concat();
            (messages, refused) = ask_tungstenite(&longer, NO_FRAGMENT_LIMIT);
        }
        prop_assert_eq!(heard.error.is_some(), refused);
        prop_assert!(heard.messages == messages);
    }
}
