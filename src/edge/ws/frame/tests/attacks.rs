//! Clients that want the node's memory (attacks S1 to S4 of the reliability page).

use super::*;

/// What the reader holds besides the message: its own state and a small buffer or two.
const OVERHEAD: usize = 512;

/// Feeds pieces until the reader refuses; returns the error, the bytes it took and the most memory it held.
fn press<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> (FrameError, usize, usize) {
    let mut reader = FrameReader::new();
    let (mut taken, mut most) = (0, 0);
    for piece in pieces {
        let mut scratch = piece.to_vec();
        let mut input = Input::new(&mut scratch);
        taken += piece.len();
        loop {
            match reader.next(&mut input, LIMITS) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => return (error, taken, most),
            }
        }
        most = most.max(reader.buffered());
    }
    panic!("never refused, held {most} bytes")
}

/// S1: a tebibyte is announced; nothing of it is waited for.
#[test]
fn s1_a_length_over_the_limit_costs_its_header() {
    let mut bytes = header(FIN | TEXT, 1 << 40);
    bytes.extend([1, 2, 3, 4]);
    bytes.resize(64 * 1024, b'x');
    let (error, taken, most) = press(bytes.chunks(1));
    assert_eq!(error, FrameError::TooLong);
    assert_eq!(error.close_code(), 1009);
    assert_eq!(taken, 14);
    assert!(most <= OVERHEAD, "{most}");
    assert_eq!(press(bytes.chunks(16 * 1024)).0, FrameError::TooLong);
}

/// S1: a length within the limit is believed only as its bytes arrive.
#[test]
fn s1_memory_follows_what_arrives() {
    let mut reader = FrameReader::new();
    let bytes = frame(FIN | BINARY, &vec![1; 64 * 1024]);
    let mut taken = 0;
    for piece in bytes.chunks(100) {
        let mut scratch = piece.to_vec();
        let message = reader.next(&mut Input::new(&mut scratch), LIMITS).unwrap();
        taken += piece.len();
        assert!(reader.buffered() <= 2 * taken + OVERHEAD);
        assert!(reader.buffered() <= LIMITS.message_bytes + OVERHEAD);
        assert_eq!(message.is_some(), taken == bytes.len());
    }
    assert_eq!(reader.buffered(), 0);
}

/// S2: the highest bit of a 64-bit length.
#[test]
fn s2_the_highest_bit_of_a_length_is_a_protocol_error() {
    for length in [1 << 63, u64::MAX] {
        let mut bytes = header(FIN | BINARY, length);
        bytes.extend([0; 4]);
        let heard = read_both_ways(&bytes);
        assert_eq!(heard.error.map(FrameError::close_code), Some(1002));
    }
}

/// S3: a mebibyte in fragments of one byte.
#[test]
fn s3_many_small_fragments_are_refused_at_the_65th() {
    let first = frame(TEXT, b"x");
    let more = frame(CONTINUATION, b"x");
    let pieces = std::iter::once(&first[..]).chain(std::iter::repeat_n(&more[..], 1 << 20));
    let (error, taken, most) = press(pieces);
    assert_eq!(error, FrameError::TooManyFragments);
    assert_eq!(error.close_code(), 1009);
    assert_eq!(taken, 65 * more.len());
    assert!(most <= OVERHEAD, "{most}");
}

/// S3: continuations without end and without content.
#[test]
fn s3_empty_continuations_count() {
    let first = frame(BINARY, b"");
    let more = frame(CONTINUATION, b"");
    let pieces = std::iter::once(&first[..]).chain(std::iter::repeat(&more[..]));
    let (error, taken, _) = press(pieces);
    assert_eq!(error, FrameError::TooManyFragments);
    assert_eq!(taken, 65 * more.len());
}

/// S3: large fragments are bounded together.
#[test]
fn s3_the_sum_of_fragments_is_bounded() {
    let first = frame(BINARY, &[0; 8000]);
    let more = frame(CONTINUATION, &[0; 8000]);
    let pieces = std::iter::once(&first[..]).chain(std::iter::repeat(&more[..]));
    let (error, _, most) = press(pieces);
    assert_eq!(error, FrameError::TooLong);
    assert!(most <= LIMITS.message_bytes + OVERHEAD, "{most}");
}

/// S4: pings inside a fragmented message neither end it nor pile up.
#[test]
fn s4_controls_inside_a_message_hold_nothing() {
    let mut reader = FrameReader::new();
    let mut begin = frame(TEXT, b"a");
    assert_eq!(reader.next(&mut Input::new(&mut begin), LIMITS), Ok(None));
    let held = reader.buffered();
    for _ in 0..1000 {
        for piece in frame(FIN | PING, &[1; 125]).chunks(50) {
            let mut scratch = piece.to_vec();
            assert!(reader.next(&mut Input::new(&mut scratch), LIMITS).is_ok());
        }
        assert!(reader.buffered() <= held + OVERHEAD);
    }
}
