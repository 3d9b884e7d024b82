//! WebSocket frames as a client writes and reads them.

const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
const MASKED: u8 = 0x80;
/// A length that is told in the next two bytes.
const MEDIUM: u8 = 0x7e;
const FIN: u8 = 0x80;
const TEXT: u8 = 0x1;

/// A close frame's opcode.
pub(crate) const CLOSE: u8 = 0x8;
/// A ping's opcode.
pub(crate) const PING: u8 = 0x9;
/// A pong's opcode.
pub(crate) const PONG: u8 = 0xa;

/// Encodes a masked text frame. Payloads end at 65,535 bytes.
pub(crate) fn text(payload: &[u8]) -> Vec<u8> {
    masked(TEXT, payload)
}

/// Encodes a masked frame.
pub(crate) fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + 8);
    frame.push(FIN | opcode);
    if payload.len() < usize::from(MEDIUM) {
        frame.push(MASKED | payload.len() as u8);
    } else {
        frame.push(MASKED | MEDIUM);
        frame.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// One frame of a server.
pub(crate) struct Received<'b> {
    pub(crate) opcode: u8,
    pub(crate) payload: &'b [u8],
}

/// Takes the first frame off `bytes`; `None` while it is not whole.
pub(crate) fn take<'b>(bytes: &mut &'b [u8]) -> Option<Received<'b>> {
    let (&[first, second], rest) = bytes.split_first_chunk()?;
    let (length, rest) = match second & 0x7f {
        126 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        127 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::try_from(u64::from_be_bytes(*length)).ok()?, rest)
        }
        short => (usize::from(short), rest),
    };
    let (payload, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some(Received { opcode: first & 0x0f, payload })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_taken_only_when_it_is_whole() {
        for length in [0_usize, 5, 125, 126, 300, 65_535, 65_536, 70_000] {
            let mut bytes = vec![0x81];
            match length {
                0..126 => bytes.push(length as u8),
                126..65_536 => {
                    bytes.push(126);
                    bytes.extend((length as u16).to_be_bytes());
                }
                _ => {
                    bytes.push(127);
                    bytes.extend((length as u64).to_be_bytes());
                }
            }
            bytes.extend(std::iter::repeat_n(b'x', length));
            for cut in [0, 1, bytes.len() - 1] {
                let mut left = bytes.split_at(cut).0;
                assert!(take(&mut left).is_none());
                assert_eq!(left.len(), cut);
            }
            bytes.push(0x89);
            let mut left = bytes.as_slice();
            let received = take(&mut left).map(|frame| (frame.opcode, frame.payload.len()));
            assert_eq!(received, Some((TEXT, length)));
            assert_eq!(left, [0x89]);
        }
    }
}
