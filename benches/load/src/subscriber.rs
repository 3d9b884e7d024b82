//! One client: handshake, subscriptions, then it counts what arrives.

use std::io;

use crate::frame::{self, Received};
use crate::link::Link;
use crate::tally::Tally;
use crate::target::Target;
use memchr::memmem::find;

/// How much of an error frame is kept.
const ERROR_BYTES: usize = 160;

/// How far a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The upgrade is asked for.
    Handshake,
    /// `pusher:connection_established` is to come.
    Upgraded,
    /// The subscription is asked for.
    Subscribing,
    /// Events count.
    Ready,
    /// The socket is gone.
    Closed,
}

pub(crate) struct Subscriber {
    socket: Link,
    /// The beginning of a frame that is not whole.
    unread: Vec<u8>,
    unsent: Vec<u8>,
    pub(crate) stage: Stage,
    /// The number of its channel, or of the first of them.
    pub(crate) channel: usize,
    /// Subscriptions without an answer.
    pending: usize,
}

/// The connection is over, and why is counted.
struct Over;

impl Subscriber {
    pub(crate) fn new(socket: Link, handshake: Vec<u8>, channel: usize) -> Self {
        Self {
            socket,
            unread: Vec::new(),
            unsent: handshake,
            stage: Stage::Handshake,
            channel,
            pending: 0,
        }
    }

    /// Sends a text message as soon as the socket takes it.
    pub(crate) fn send(&mut self, text: &str) {
        self.unsent.extend(frame::text(text.as_bytes()));
        // what is wrong with the socket is seen when it is read
        drop(self.write());
    }

    /// Writes and reads what the socket allows. `stage` tells how far it came.
    pub(crate) fn pump(&mut self, buffer: &mut [u8], target: &Target, tally: &mut Tally) {
        if self.write_and_read(buffer, target, tally).is_err() {
            self.stage = Stage::Closed;
        }
    }

    fn write_and_read(
        &mut self,
        buffer: &mut [u8],
        target: &Target,
        tally: &mut Tally,
    ) -> Result<(), Over> {
        self.write().map_err(|error| {
            tally.error(format!("write {}", error.kind()));
            Over
        })?;
        self.read(buffer, target, tally)?;
        self.write().map_err(|_| Over)
    }

    fn write(&mut self) -> io::Result<()> {
        if self.unsent.is_empty() {
            return self.socket.flush();
        }
        match self.socket.write(&self.unsent) {
            Ok(count) => {
                self.unsent.drain(..count);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn read(&mut self, buffer: &mut [u8], target: &Target, tally: &mut Tally) -> Result<(), Over> {
        loop {
            let count = match self.socket.read(buffer) {
                Ok(0) => {
                    tally.error("closed by the server");
                    return Err(Over);
                }
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => {
                    tally.error(format!("read {}", error.kind()));
                    return Err(Over);
                }
            };
            tally.bytes_in += count as u64;
            let fresh = buffer.get(..count).unwrap_or_default();
            let mut joined = std::mem::take(&mut self.unread);
            if joined.is_empty() {
                self.unread = self.take_in(fresh, target, tally)?.to_vec();
            } else {
                joined.extend_from_slice(fresh);
                self.unread = self.take_in(&joined, target, tally)?.to_vec();
            }
            if self.socket.is_drained(count, buffer.len()) {
                return Ok(());
            }
        }
    }

    /// Takes whole frames in and returns the rest.
    fn take_in<'b>(
        &mut self,
        mut bytes: &'b [u8],
        target: &Target,
        tally: &mut Tally,
    ) -> Result<&'b [u8], Over> {
        if self.stage == Stage::Handshake {
            let Some(end) = find(bytes, b"\r\n\r\n") else {
                return Ok(bytes);
            };
            if !bytes.starts_with(b"HTTP/1.1 101") {
                tally.error(format!("handshake {}", beginning(bytes, 60)));
                return Err(Over);
            }
            bytes = bytes.get(end + 4..).unwrap_or_default();
            self.stage = Stage::Upgraded;
        }
        while let Some(Received { opcode, payload }) = frame::take(&mut bytes) {
            match opcode {
                frame::CLOSE => {
                    let code = payload.first_chunk().map_or(0, |code| u16::from_be_bytes(*code));
                    tally.error(format!("close {code}"));
                    return Err(Over);
                }
                frame::PING => self.unsent.extend(frame::masked(frame::PONG, payload)),
                _ => self.message(payload, target, tally),
            }
        }
        Ok(bytes)
    }

    fn message(&mut self, payload: &[u8], target: &Target, tally: &mut Tally) {
        match self.stage {
            Stage::Ready => self.event(payload, tally),
            Stage::Upgraded if find(payload, b"connection_established").is_some() => {
                let socket_id = socket_id(payload);
                for channel in target.channels_from(self.channel) {
                    let subscribe = target.subscribe(&socket_id, &target.channel(channel));
                    self.unsent.extend(frame::text(subscribe.as_bytes()));
                    self.pending += 1;
                }
                self.stage = Stage::Subscribing;
            }
            Stage::Subscribing if find(payload, b"subscription_succeeded").is_some() => {
                self.pending = self.pending.saturating_sub(1);
                if self.pending == 0 {
                    self.stage = Stage::Ready;
                }
            }
            Stage::Subscribing if find(payload, b"error").is_some() => {
                tally.error(beginning(payload, ERROR_BYTES));
            }
            _ => {}
        }
    }

    fn event(&mut self, payload: &[u8], tally: &mut Tally) {
        if let Some(mark) = find(payload, b"@@") {
            let digits = payload.get(mark + 2..).unwrap_or_default();
            tally.deliver(leading_number(digits));
        } else if find(payload, b"pusher:ping").is_some() {
            tally.heartbeats += 1;
            self.unsent.extend(frame::text(br#"{"event":"pusher:pong","data":{}}"#));
        } else if find(payload, b"pusher:error").is_some() {
            tally.error(beginning(payload, ERROR_BYTES));
        }
    }
}

/// Returns the number that a text begins with.
pub(crate) fn leading_number(text: &[u8]) -> u64 {
    text.iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

/// Returns the first bytes of something that may not be text.
pub(crate) fn beginning(bytes: &[u8], count: usize) -> String {
    String::from_utf8_lossy(bytes.get(..count).unwrap_or(bytes)).into_owned()
}

/// Returns the id in `pusher:connection_established`, whichever way its data is escaped.
pub(crate) fn socket_id(payload: &[u8]) -> String {
    let name = find(payload, b"socket_id").unwrap_or(payload.len());
    payload
        .iter()
        .skip(name)
        .skip_while(|byte| !byte.is_ascii_digit())
        .take_while(|byte| byte.is_ascii_digit() || **byte == b'.')
        .map(|byte| char::from(*byte))
        .collect()
}
