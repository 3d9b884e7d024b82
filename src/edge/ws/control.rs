//! Writes WebSocket control frames of a server: ping, pong, close (RFC 6455, section 5.5).

use bytes::Bytes;

use super::frame::CloseFrame;

/// The largest payload of a control frame, in bytes.
const MAX_PAYLOAD: usize = 125;

/// The longest reason of a close, in bytes: its code takes two.
const MAX_REASON: usize = MAX_PAYLOAD - 2;

const FIN: u8 = 0x80;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// Returns a ping. What is over 125 bytes of the payload is cut off.
pub fn ping(payload: &[u8]) -> Bytes {
    encode(PING, &[payload])
}

/// Returns the pong that answers a ping with this payload. What is over 125 bytes is cut off.
pub fn pong(payload: &[u8]) -> Bytes {
    encode(PONG, &[payload])
}

/// Returns a close with a code; the reason is cut between characters at 123 bytes.
pub fn close(code: u16, reason: &str) -> Bytes {
    let (reason, _) = reason.split_at(reason.floor_char_boundary(MAX_REASON));
    encode(CLOSE, &[&code.to_be_bytes(), reason.as_bytes()])
}

/// Returns the close that answers a client's: its code again, or none if it gave none.
pub fn close_reply(received: Option<&CloseFrame<'_>>) -> Bytes {
    match received {
        Some(received) => close(received.code, ""),
        None => encode(CLOSE, &[]),
    }
}

fn encode(opcode: u8, parts: &[&[u8]]) -> Bytes {
    let mut frame = Vec::with_capacity(2 + MAX_PAYLOAD);
    frame.extend_from_slice(&[FIN | opcode, 0]);
    for part in parts {
        frame.extend_from_slice(part);
    }
    frame.truncate(2 + MAX_PAYLOAD);
    let length = frame.len() - 2;
    if let (Some(byte), Ok(length)) = (frame.get_mut(1), u8::try_from(length)) {
        *byte = length;
    }
    Bytes::from(frame)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may stop")]
mod tests {
    use super::*;

    #[test]
    fn frames_as_rfc_6455_prints_them() {
        assert_eq!(&ping(b"Hello")[..], b"\x89\x05Hello");
        assert_eq!(&pong(b"Hello")[..], b"\x8a\x05Hello");
        assert_eq!(&close(1000, "bye")[..], b"\x88\x05\x03\xe8bye");
        assert_eq!(&close_reply(None)[..], b"\x88\x00");
    }

    #[test]
    fn a_reply_repeats_the_code() {
        let received = CloseFrame { code: 4201, reason: "late".into() };
        assert_eq!(close_reply(Some(&received)), close(4201, ""));
    }

    #[test]
    fn payloads_never_exceed_125_bytes() {
        for size in [124, 125, 126, 1000] {
            let frame = ping(&vec![7; size]);
            assert_eq!(frame.len(), 2 + size.min(125));
            assert_eq!(usize::from(frame[1]), size.min(125));
        }
    }

    #[test]
    fn reasons_are_cut_between_characters() {
        let frame = close(4200, &"é".repeat(100));
        assert_eq!(frame.len(), 2 + 2 + 122);
        assert_eq!(frame[1], 124);
        assert_eq!(std::str::from_utf8(&frame[4..]), Ok("é".repeat(61).as_str()));
    }
}
