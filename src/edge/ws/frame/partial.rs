//! What has arrived of a frame, or of a fragmented message, that is not complete.

use std::borrow::Cow;

use super::header::{Header, MAX_HEADER, Opcode};
use super::input::Input;
use super::{FrameError, FrameLimits, Incoming, finish};

/// The unfinished part of one client's stream.
#[derive(Debug, Default)]
pub(super) struct Partial {
    /// A header of which bytes are missing.
    header: Vec<u8>,
    /// A judged header whose payload is not complete.
    frame: Option<Header>,
    /// The payload so far of the control frame in `frame`.
    control: Vec<u8>,
    /// The data message that has begun.
    message: Option<Message>,
}

/// A data message that has begun.
#[derive(Debug)]
struct Message {
    opcode: Opcode,
    bytes: Vec<u8>,
    fragments: usize,
    /// How much of a text is known to be UTF-8.
    checked: usize,
}

impl Partial {
    pub(super) fn is_unfinished(&self) -> bool {
        !self.header.is_empty() || self.frame.is_some() || self.message.is_some()
    }

    pub(super) fn memory(&self) -> usize {
        let message = self.message.as_ref().map_or(0, |message| message.bytes.capacity());
        size_of::<Self>() + self.header.capacity() + self.control.capacity() + message
    }

    /// Takes bytes off `input` until a message is complete or `input` is empty.
    pub(super) fn next<'i>(
        &mut self,
        input: &mut Input<'i>,
        limits: FrameLimits,
    ) -> Result<Option<Incoming<'i>>, FrameError> {
        loop {
            let begun = match self.frame.take() {
                Some(frame) => Some(frame),
                None => self.next_header(input, limits)?,
            };
            let Some(mut frame) = begun else {
                return Ok(None);
            };
            let payload = frame.take_payload(input);
            let complete = if frame.opcode.is_control() {
                self.take_control(&frame, payload)?
            } else {
                self.take_data(&frame, payload, limits)?
            };
            if frame.left > 0 {
                self.frame = Some(frame);
                return Ok(None);
            }
            if complete.is_some() {
                return Ok(complete);
            }
        }
    }

    /// Completes and judges a header, which begins a message if it is the first of one.
    fn next_header(
        &mut self,
        input: &mut Input<'_>,
        limits: FrameLimits,
    ) -> Result<Option<Header>, FrameError> {
        let known = self.header.len();
        self.header.extend(input.left().iter().take(MAX_HEADER - known));
        let Some((header, size)) = Header::parse(&self.header)? else {
            input.take(MAX_HEADER - known);
            return Ok(None);
        };
        // shorter headers need fewer bytes than were looked at, but always more than were known
        input.take(size - known);
        self.header = Vec::new();

        let begun = self.message.as_ref();
        header.judge(begun.map(|message| (message.bytes.len(), message.fragments)), limits)?;
        if !header.opcode.is_control() {
            let message = self.message.get_or_insert_with(|| Message::new(header.opcode));
            message.fragments += 1;
        }
        Ok(Some(header))
    }

    fn take_control<'i>(
        &mut self,
        frame: &Header,
        payload: &'i [u8],
    ) -> Result<Option<Incoming<'i>>, FrameError> {
        let is_complete = frame.left == 0;
        if is_complete && self.control.is_empty() {
            return finish(frame.opcode, Cow::Borrowed(payload)).map(Some);
        }
        self.control.extend_from_slice(payload);
        if !is_complete {
            return Ok(None);
        }
        let payload = std::mem::take(&mut self.control);
        finish(frame.opcode, Cow::Owned(payload)).map(Some)
    }

    fn take_data<'i>(
        &mut self,
        frame: &Header,
        payload: &[u8],
        limits: FrameLimits,
    ) -> Result<Option<Incoming<'i>>, FrameError> {
        let Some(mut message) = self.message.take() else {
            return Ok(None);
        };
        // the last frame tells the size of the whole message; before it there is only the limit
        let most = if frame.is_final {
            message.bytes.len() + payload.len() + frame.left
        } else {
            limits.message_bytes
        };
        append(&mut message.bytes, payload, most);
        if frame.is_final && frame.left == 0 {
            return finish(message.opcode, Cow::Owned(message.bytes)).map(Some);
        }
        if message.opcode == Opcode::Text {
            message.check_text()?;
        }
        self.message = Some(message);
        Ok(None)
    }
}

impl Message {
    const fn new(opcode: Opcode) -> Self {
        Self { opcode, bytes: Vec::new(), fragments: 0, checked: 0 }
    }

    /// Checks what arrived since the last check; a character cut at the end is left for later.
    fn check_text(&mut self) -> Result<(), FrameError> {
        let fresh = self.bytes.get(self.checked..).unwrap_or_default();
        match std::str::from_utf8(fresh) {
            Ok(_) => self.checked = self.bytes.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(FrameError::NotUtf8),
        }
        Ok(())
    }
}

/// Appends; doubles the capacity when it must grow, but to no more than `most` bytes.
fn append(bytes: &mut Vec<u8>, more: &[u8], most: usize) {
    let needed = bytes.len() + more.len();
    if needed > bytes.capacity() {
        let capacity = (2 * bytes.capacity()).min(most).max(needed);
        bytes.reserve_exact(capacity - bytes.len());
    }
    bytes.extend_from_slice(more);
}
