//! WebSocket frames as a client writes them, right and wrong, and as a server's are read (RFC 6455, section 5).

/// Continuation of a fragmented message.
pub(crate) const CONTINUATION: u8 = 0x0;
/// Text message.
pub(crate) const TEXT: u8 = 0x1;
/// Binary message.
pub(crate) const BINARY: u8 = 0x2;
/// Close.
pub(crate) const CLOSE: u8 = 0x8;
/// Ping.
pub(crate) const PING: u8 = 0x9;
/// Pong.
pub(crate) const PONG: u8 = 0xA;

const FIN: u8 = 0x80;
const MASK: u8 = 0x80;
/// Says that the length stands in the next two bytes.
const SHORT: u8 = 0x7E;
/// Says that the length stands in the next eight bytes.
const LONG: u8 = 0x7F;
const MASKING_KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Returns a whole, masked message.
pub(crate) fn message(opcode: u8, payload: &[u8]) -> Vec<u8> {
    masked(FIN | opcode, payload)
}

/// Returns a masked frame that does not end its message.
pub(crate) fn fragment(opcode: u8, payload: &[u8]) -> Vec<u8> {
    masked(opcode, payload)
}

/// Returns a masked frame with any first byte: FIN, RSV bits and opcode.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, payload.len() as u64);
    frame.extend(payload.iter().zip(MASKING_KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// Returns the header of a masked frame that claims `length` bytes of payload.
pub(crate) fn header(first: u8, length: u64) -> Vec<u8> {
    let mut header = vec![first];
    match length {
        0..=125 => header.push(MASK | u8::try_from(length).unwrap()),
        126..=0xFFFF => {
            header.push(MASK | SHORT);
            header.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        _ => {
            header.push(MASK | LONG);
            header.extend(length.to_be_bytes());
        }
    }
    header.extend(MASKING_KEY);
    header
}

/// Returns a text frame that is not masked, which no client may send.
pub(crate) fn unmasked(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![FIN | TEXT, u8::try_from(payload.len()).unwrap()];
    frame.extend(payload);
    frame
}

/// Returns the payload of a Close.
pub(crate) fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend(reason.as_bytes());
    payload
}

/// Takes one server frame from the front of `buffer`, if it is there whole: opcode and payload.
pub(crate) fn take(buffer: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    let (&first, &second) = (buffer.first()?, buffer.get(1)?);
    assert_eq!(first & FIN, FIN, "the server fragments");
    assert_eq!(first & 0x70, 0, "the server sets RSV bits");
    assert_eq!(second & MASK, 0, "the server masks");
    let (length, header) = match second {
        SHORT => {
            let bytes = buffer.get(2..4)?.try_into().unwrap();
            (usize::from(u16::from_be_bytes(bytes)), 4)
        }
        LONG => {
            let bytes = buffer.get(2..10)?.try_into().unwrap();
            (usize::try_from(u64::from_be_bytes(bytes)).unwrap(), 10)
        }
        short => (usize::from(short), 2),
    };
    if buffer.len() < header + length {
        return None;
    }
    let mut frame: Vec<u8> = buffer.drain(..header + length).collect();
    Some((first & 0x0F, frame.split_off(header)))
}
