//! One test for each rule of RFC 6455 that the reader enforces.

use super::*;

/// Asserts that a stream ends with this close code, after `before` good messages.
fn refused(bytes: &[u8], code: u16, before: usize) {
    let heard = read_both_ways(bytes);
    assert_eq!(heard.error.map(FrameError::close_code), Some(code), "{bytes:x?}");
    assert_eq!(heard.messages.len(), before, "{bytes:x?}");
}

fn text(text: &str) -> Incoming<'_> {
    Incoming::Text(text.into())
}

#[test]
fn messages_as_rfc_6455_prints_them() {
    let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(read_both_ways(&hello).messages, [text("Hello")]);
    let mut split = frame(TEXT, b"Hel");
    split.extend(frame(FIN | PING, b"Hello"));
    split.extend(frame(FIN, b"lo"));
    assert_eq!(
        read_both_ways(&split).messages,
        [Incoming::Ping(b"Hello"[..].into()), text("Hello")]
    );
}

#[test]
fn lengths_in_all_three_forms() {
    for size in [0, 1, 7, 8, 9, 125, 126, 127, 65_535, 65_536] {
        let payload: Vec<u8> = (0..=250).cycle().take(size).collect();
        let heard = read_both_ways(&frame(FIN | BINARY, &payload));
        assert_eq!(heard.messages, [Incoming::Binary(payload.into())], "{size}");
    }
}

#[test]
fn a_message_that_lies_whole_in_the_input_is_borrowed() {
    let mut bytes = frame(FIN | TEXT, b"Hello");
    let mut reader = FrameReader::new();
    let message = reader.next(&mut Input::new(&mut bytes), LIMITS);
    assert!(matches!(message, Ok(Some(Incoming::Text(Cow::Borrowed("Hello"))))));
    assert!(!reader.has_partial());
}

#[test]
fn reading_can_stop_between_messages() {
    let mut bytes = [frame(FIN | TEXT, b"a"), frame(FIN | TEXT, b"b")].concat();
    let mut reader = FrameReader::new();
    let mut input = Input::new(&mut bytes);
    assert_eq!(reader.next(&mut input, LIMITS), Ok(Some(text("a"))));
    assert_eq!(input.left().len(), 7);
    assert_eq!(reader.next(&mut input, LIMITS), Ok(Some(text("b"))));
    assert_eq!(reader.next(&mut input, LIMITS), Ok(None));
}

#[test]
fn half_a_frame_is_told() {
    let bytes = frame(FIN | TEXT, b"Hello");
    for cut in 1..bytes.len() {
        let mut reader = FrameReader::new();
        let (mut first, mut second) = (bytes[..cut].to_vec(), bytes[cut..].to_vec());
        assert_eq!(reader.next(&mut Input::new(&mut first), LIMITS), Ok(None));
        assert!(reader.has_partial(), "cut at {cut}");
        let message = reader.next(&mut Input::new(&mut second), LIMITS);
        assert_eq!(message, Ok(Some(text("Hello"))));
        assert!(!reader.has_partial());
        assert_eq!(reader.buffered(), 0);
    }
}

#[test]
fn frames_without_mask_are_refused() {
    refused(&[FIN | TEXT, 5, b'H', b'e', b'l', b'l', b'o'], 1002, 0);
    refused(&[FIN | TEXT, 0], 1002, 0);
}

#[test]
fn reserved_bits_are_refused() {
    for bit in [0x10, 0x20, 0x40] {
        refused(&frame(FIN | bit | TEXT, b"x"), 1002, 0);
        refused(&frame(FIN | bit | PING, b"x"), 1002, 0);
        let begun = [frame(TEXT, b"a"), frame(FIN | bit, b"b")].concat();
        refused(&begun, 1002, 0);
    }
}

#[test]
fn reserved_opcodes_are_refused() {
    for opcode in (0x3..=0x7).chain(0xb..=0xf) {
        refused(&frame(FIN | opcode, b""), 1002, 0);
        refused(&frame(FIN | opcode, b"x"), 1002, 0);
    }
}

#[test]
fn control_frames_are_short_and_whole() {
    for opcode in [CLOSE, PING, PONG] {
        refused(&frame(opcode, b""), 1002, 0);
        refused(&frame(FIN | opcode, &[0; 126]), 1002, 0);
    }
    let longest = read_both_ways(&frame(FIN | PING, &[7; 125]));
    assert_eq!(longest.messages, [Incoming::Ping(vec![7; 125].into())]);
}

#[test]
fn continuations_need_a_message() {
    refused(&frame(FIN | CONTINUATION, b"x"), 1002, 0);
    refused(&frame(CONTINUATION, b"x"), 1002, 0);
    let done = [frame(FIN | TEXT, b"a"), frame(FIN, b"b")].concat();
    refused(&done, 1002, 1);
    for opcode in [TEXT, BINARY] {
        let begun = [frame(TEXT, b"a"), frame(FIN | opcode, b"b")].concat();
        refused(&begun, 1002, 0);
    }
}

#[test]
fn fragments_of_a_text_may_cut_characters() {
    let word = "κόσμε 🦀".as_bytes();
    let mut bytes = frame(TEXT, b"");
    for byte in word {
        bytes.extend(frame(CONTINUATION, &[*byte]));
    }
    bytes.extend(frame(FIN, b""));
    assert_eq!(read_both_ways(&bytes).messages, [text("κόσμε 🦀")]);
}

#[test]
fn what_is_not_utf8_is_refused() {
    for bad in [&b"\xff"[..], b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"a\xe2\x82"] {
        refused(&frame(FIN | TEXT, bad), 1007, 0);
        refused(&[frame(TEXT, bad), frame(FIN, b"")].concat(), 1007, 0);
    }
    refused(&[frame(TEXT, b"\xe2\x82"), frame(FIN, b"a")].concat(), 1007, 0);
    let binary = read_both_ways(&frame(FIN | BINARY, b"\xff"));
    assert_eq!(binary.messages.len(), 1);
}

/// Autobahn 6.3 and 6.4: the message is not waited for once it cannot become a text.
#[test]
fn bad_utf8_is_refused_before_the_message_ends() {
    let fragment = frame(TEXT, b"\xce\xba\xf4\x90");
    refused(&fragment, 1007, 0);
    let whole = frame(FIN | TEXT, b"\xce\xba\xf4\x90\x80\x80\xed");
    refused(&whole[..6 + 4], 1007, 0);
}

#[test]
fn close_tells_code_and_reason() {
    for code in [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1014, 3000, 4000, 4999] {
        let payload = [&u16::to_be_bytes(code)[..], "späť".as_bytes()].concat();
        let close = CloseFrame { code, reason: "späť".into() };
        let heard = read_both_ways(&frame(FIN | CLOSE, &payload));
        assert_eq!(heard.messages, [Incoming::Close(Some(close))]);
    }
    let bare = read_both_ways(&frame(FIN | CLOSE, b""));
    assert_eq!(bare.messages, [Incoming::Close(None)]);
}

#[test]
fn bad_closes_are_refused() {
    refused(&frame(FIN | CLOSE, &[3]), 1002, 0);
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        refused(&frame(FIN | CLOSE, &u16::to_be_bytes(code)), 1002, 0);
    }
    refused(&frame(FIN | CLOSE, b"\x03\xe8\xff"), 1007, 0);
}

#[test]
fn limits_hold_to_the_byte_and_to_the_fragment() {
    let limits = FrameLimits { message_bytes: 10, fragments: 3 };
    let outcome = |frames: &[Vec<u8>]| read([&frames.concat()[..]], limits).error;
    assert_eq!(outcome(&[frame(FIN | TEXT, &[b'a'; 10])]), None);
    assert_eq!(outcome(&[frame(FIN | TEXT, &[b'a'; 11])]), Some(FrameError::TooLong));
    let begun = [frame(TEXT, &[b'a'; 5]), frame(FIN | PING, &[0; 50])];
    assert_eq!(outcome(&[&begun[..], &[frame(FIN, &[b'a'; 5])]].concat()), None);
    assert_eq!(
        outcome(&[&begun[..], &[frame(FIN, &[b'a'; 6])]].concat()),
        Some(FrameError::TooLong)
    );
    let empty = frame(CONTINUATION, b"");
    assert_eq!(outcome(&[frame(TEXT, b""), empty.clone(), frame(FIN, b"")]), None);
    assert_eq!(
        outcome(&[frame(TEXT, b""), empty.clone(), empty, frame(FIN, b"")]),
        Some(FrameError::TooManyFragments)
    );
}

#[test]
fn reasons_fit_into_a_close() {
    for error in [
        FrameError::TooLong,
        FrameError::TooManyFragments,
        FrameError::NotUtf8,
        FrameError::Protocol("new message inside a fragmented one"),
    ] {
        assert!(error.to_string().len() <= 123, "{error}");
    }
}
