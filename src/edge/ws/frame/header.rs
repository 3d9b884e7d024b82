//! The header of one client frame, judged before its payload (RFC 6455, section 5.2).

use super::input::Input;
use super::{FrameError, FrameLimits};

/// The largest header of a client: two bytes, a 64-bit length, a masking key.
pub(super) const MAX_HEADER: usize = 14;

/// The largest payload of a control frame (RFC 6455, section 5.5).
pub(super) const MAX_CONTROL_PAYLOAD: usize = 125;

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    fn parse(byte: u8) -> Result<Self, FrameError> {
        match byte & 0x0f {
            0x0 => Ok(Self::Continuation),
            0x1 => Ok(Self::Text),
            0x2 => Ok(Self::Binary),
            0x8 => Ok(Self::Close),
            0x9 => Ok(Self::Ping),
            0xa => Ok(Self::Pong),
            _ => Err(FrameError::Protocol("reserved opcode")),
        }
    }

    pub(super) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// A header, and how much of its payload has not been taken yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) is_final: bool,
    pub(super) opcode: Opcode,
    /// Payload bytes not yet taken.
    pub(super) left: usize,
    /// The masking key, turned so that its first byte belongs to the next payload byte.
    mask: [u8; 4],
}

impl Header {
    /// Parses the header at the start of `bytes`; returns it and its size, or `None` when more bytes are needed.
    ///
    /// A longer form of the length than needed is taken, as common readers do.
    ///
    /// # Errors
    /// [`FrameError::Protocol`] as soon as the bytes that are there break a rule; [`FrameError::TooLong`]
    /// for a length that this machine cannot address.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, FrameError> {
        let Some((&[first, second], rest)) = bytes.split_first_chunk() else {
            return Ok(None);
        };
        if first & 0x70 != 0 {
            return Err(FrameError::Protocol("reserved bit set"));
        }
        let opcode = Opcode::parse(first)?;
        let is_final = first & 0x80 != 0;
        let short = second & 0x7f;
        if opcode.is_control() && !is_final {
            return Err(FrameError::Protocol("fragmented control frame"));
        }
        if opcode.is_control() && usize::from(short) > MAX_CONTROL_PAYLOAD {
            return Err(FrameError::Protocol("control frame over 125 bytes"));
        }
        if second & 0x80 == 0 {
            return Err(FrameError::Protocol("frame without mask"));
        }
        let (length, rest) = match short {
            126 => match rest.split_first_chunk() {
                Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk() {
                Some((length, rest)) => (u64::from_be_bytes(*length), rest),
                None => return Ok(None),
            },
            short => (u64::from(short), rest),
        };
        if length >> 63 != 0 {
            return Err(FrameError::Protocol("length with its highest bit set"));
        }
        let left = usize::try_from(length).map_err(|_| FrameError::TooLong)?;
        let Some((&mask, rest)) = rest.split_first_chunk() else {
            return Ok(None);
        };
        let header = Self { is_final, opcode, left, mask };
        Ok(Some((header, bytes.len() - rest.len())))
    }

    /// Checks what the header's own bytes cannot tell. `begun` are the size and the number of
    /// fragments of the message that has begun.
    ///
    /// # Errors
    /// [`FrameError`] says which rule or limit the frame would break.
    pub(super) fn judge(
        &self,
        begun: Option<(usize, usize)>,
        limits: FrameLimits,
    ) -> Result<(), FrameError> {
        if self.opcode.is_control() {
            return Ok(());
        }
        let (bytes, fragments) = match (self.opcode, begun) {
            (Opcode::Continuation, Some(begun)) => begun,
            (Opcode::Continuation, None) => {
                return Err(FrameError::Protocol("continuation of no message"));
            }
            (_, Some(_)) => {
                return Err(FrameError::Protocol("new message inside a fragmented one"));
            }
            (_, None) => (0, 0),
        };
        if fragments >= limits.fragments {
            return Err(FrameError::TooManyFragments);
        }
        if self.left > limits.message_bytes.saturating_sub(bytes) {
            return Err(FrameError::TooLong);
        }
        Ok(())
    }

    /// Takes what `input` holds of the payload and unmasks it in place.
    pub(super) fn take_payload<'i>(&mut self, input: &mut Input<'i>) -> &'i mut [u8] {
        let payload = input.take(self.left);
        self.left -= payload.len();
        unmask(payload, self.mask);
        self.mask.rotate_left(payload.len() % 4);
        payload
    }
}

/// Applies the masking key, eight bytes at a time.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= key;
    }
}
