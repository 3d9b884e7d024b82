//! Reads client frames from bytes that arrive in any pieces (RFC 6455); does no IO.
//!
//! Each header is judged before its payload, so a length that is not allowed costs nothing.
//! A message that lies whole in the input is unmasked in place and handed out borrowed. Memory is
//! held only while a frame or a fragmented message is unfinished, and never more than arrived
//! (twice that while a buffer grows, and never above the limit).

mod header;
mod input;
mod partial;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

use micronotifier_actors::limits::NodeLimits;

use header::{Header, Opcode};
pub use input::Input;
use partial::Partial;

/// What a client may send in one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameLimits {
    /// Bytes of one message, all its fragments together.
    pub message_bytes: usize,
    /// Fragments of one message, empty ones included.
    pub fragments: usize,
}

impl From<&NodeLimits> for FrameLimits {
    fn from(limits: &NodeLimits) -> Self {
        Self { message_bytes: limits.frame_bytes, fragments: limits.fragments }
    }
}

/// One message of a client. Borrowed from the input where it lay there whole.
#[derive(Clone, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A text message.
    Text(Cow<'a, str>),
    /// A binary message.
    Binary(Cow<'a, [u8]>),
    /// A ping, to be answered by a pong with the same payload of at most 125 bytes.
    Ping(Cow<'a, [u8]>),
    /// A pong, asked for or not.
    Pong(Cow<'a, [u8]>),
    /// The end: what follows is to be ignored. `None` = without a code.
    Close(Option<CloseFrame<'a>>),
}

impl fmt::Debug for Incoming<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Binary(bytes) => write!(f, "Binary({} bytes)", bytes.len()),
            Self::Ping(bytes) => write!(f, "Ping({} bytes)", bytes.len()),
            Self::Pong(bytes) => write!(f, "Pong({} bytes)", bytes.len()),
            Self::Close(close) => write!(f, "Close({:?})", close.as_ref().map(|close| close.code)),
        }
    }
}

/// Why a client closes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseFrame<'a> {
    /// A code that may travel on the wire (RFC 6455, section 7.4).
    pub code: u16,
    /// At most 123 bytes, for people.
    pub reason: Cow<'a, str>,
}

/// A client broke the WebSocket protocol or a limit. Its text is the reason of the Close that answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The message is longer than allowed.
    #[error("message too long")]
    TooLong,
    /// The message has more fragments than allowed.
    #[error("too many fragments")]
    TooManyFragments,
    /// A rule of RFC 6455 is broken.
    #[error("{0}")]
    Protocol(&'static str),
    /// A text or a close reason is not UTF-8.
    #[error("text is not UTF-8")]
    NotUtf8,
}

impl FrameError {
    /// Returns the close code that answers this error (RFC 6455, section 7.4.1).
    pub const fn close_code(self) -> u16 {
        match self {
            Self::TooLong | Self::TooManyFragments => 1009,
            Self::Protocol(_) => 1002,
            Self::NotUtf8 => 1007,
        }
    }

    /// Returns the reason of that close.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::TooLong => "message too long",
            Self::TooManyFragments => "too many fragments",
            Self::Protocol(rule) => rule,
            Self::NotUtf8 => "text is not UTF-8",
        }
    }
}

/// Reads the frames of one client. One pointer in size while nothing is unfinished.
#[derive(Debug, Default)]
pub struct FrameReader {
    partial: Option<Box<Partial>>,
}

impl FrameReader {
    /// Starts before the first frame.
    pub const fn new() -> Self {
        Self { partial: None }
    }

    /// Returns the next message and takes its bytes off the front of `input`; `None` when all of
    /// `input` is taken and more is needed. Unmasks in place.
    ///
    /// Where the input is cut makes no difference to what is returned.
    ///
    /// # Errors
    /// [`FrameError`], after which nothing more of this client makes sense: answer with its
    /// [`FrameError::close_code`] and drop the reader. Memory is already freed.
    pub fn next<'i>(
        &mut self,
        input: &mut Input<'i>,
        limits: FrameLimits,
    ) -> Result<Option<Incoming<'i>>, FrameError> {
        if self.partial.is_none()
            && let Some(message) = next_whole(input, limits)?
        {
            return Ok(Some(message));
        }
        if input.left().is_empty() {
            return Ok(None);
        }
        let mut partial = self.partial.take().unwrap_or_default();
        let message = partial.next(input, limits)?;
        if partial.is_unfinished() {
            self.partial = Some(partial);
        }
        Ok(message)
    }

    /// Tells whether a frame or a fragmented message has begun and not ended.
    pub fn has_partial(&self) -> bool {
        self.partial.is_some()
    }

    /// Returns the bytes of memory held for what is unfinished.
    pub fn buffered(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| partial.memory())
    }
}

/// Returns the next message if it is one frame that lies whole in `input`; else leaves `input` alone.
fn next_whole<'i>(
    input: &mut Input<'i>,
    limits: FrameLimits,
) -> Result<Option<Incoming<'i>>, FrameError> {
    let Some((mut header, size)) = Header::parse(input.left())? else {
        return Ok(None);
    };
    header.judge(None, limits)?;
    if !header.is_final || header.left > input.left().len() - size {
        return Ok(None);
    }
    input.take(size);
    let payload = header.take_payload(input);
    finish(header.opcode, Cow::Borrowed(payload)).map(Some)
}

/// Makes a message of a complete payload.
fn finish(opcode: Opcode, payload: Cow<'_, [u8]>) -> Result<Incoming<'_>, FrameError> {
    match opcode {
        Opcode::Text => text(payload).map(Incoming::Text),
        // what continues nothing is refused at its header
        Opcode::Binary | Opcode::Continuation => Ok(Incoming::Binary(payload)),
        Opcode::Ping => Ok(Incoming::Ping(payload)),
        Opcode::Pong => Ok(Incoming::Pong(payload)),
        Opcode::Close => close(payload).map(Incoming::Close),
    }
}

fn text(bytes: Cow<'_, [u8]>) -> Result<Cow<'_, str>, FrameError> {
    match bytes {
        Cow::Borrowed(bytes) => {
            std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| FrameError::NotUtf8)
        }
        Cow::Owned(bytes) => {
            String::from_utf8(bytes).map(Cow::Owned).map_err(|_| FrameError::NotUtf8)
        }
    }
}

fn close(payload: Cow<'_, [u8]>) -> Result<Option<CloseFrame<'_>>, FrameError> {
    if payload.is_empty() {
        return Ok(None);
    }
    let Some((&code, _)) = payload.split_first_chunk() else {
        return Err(FrameError::Protocol("close payload of one byte"));
    };
    let code = u16::from_be_bytes(code);
    if !may_travel(code) {
        return Err(FrameError::Protocol("invalid close code"));
    }
    let reason = match payload {
        Cow::Borrowed(bytes) => Cow::Borrowed(bytes.get(2..).unwrap_or_default()),
        Cow::Owned(mut bytes) => {
            bytes.drain(..2);
            Cow::Owned(bytes)
        }
    };
    let reason = text(reason)?;
    Ok(Some(CloseFrame { code, reason }))
}

/// Tells whether a close code may be sent: those of RFC 6455, IANA's 1012 to 1014, and those of applications.
fn may_travel(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
