//! One client of a churn: comes, joins a few channels, leaves some of them, and goes.

use std::io;

use memchr::memmem::find;
use mio::net::TcpStream;

use super::figures::Counts;
use super::plan::{Leave, Plan};
use crate::frame::{self, Received};
use crate::link::Link;
use crate::subscriber::{beginning, leading_number, socket_id};
use crate::tally::Tally;
use crate::target::Target;

/// How much of an error frame is kept.
const ERROR_BYTES: usize = 160;
/// A Close frame's payload: 1000, the normal end (RFC 6455, section 7.4.1).
const NORMAL_END: [u8; 2] = 1000_u16.to_be_bytes();

/// How far a guest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The upgrade is asked for.
    Handshake,
    /// `pusher:connection_established` is to come.
    Upgraded,
    /// Channels are asked for.
    Here,
    /// A Close frame is sent.
    Leaving,
}

/// The connection is over.
pub(super) struct Over;

pub(super) struct Guest {
    link: Link,
    pub(super) plan: Plan,
    stage: Stage,
    unread: Vec<u8>,
    unsent: Vec<u8>,
}

impl Guest {
    pub(super) fn new(link: Link, plan: Plan, handshake: Vec<u8>) -> Self {
        Self { link, plan, stage: Stage::Handshake, unread: Vec::new(), unsent: handshake }
    }

    pub(super) fn socket_mut(&mut self) -> &mut TcpStream {
        self.link.socket_mut()
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.stage == Stage::Leaving
    }

    /// Does what is planned for the middle of the stay; nothing if it did not come so far.
    pub(super) fn stir(&mut self, tally: &Tally, counts: &mut Counts) {
        if self.stage != Stage::Here {
            return;
        }
        if let Some(channel) = self.plan.whispers_to() {
            let now = tally.now();
            self.say(&format!(
                r#"{{"event":"client-ev","channel":"{channel}","data":"@@{now} "}}"#
            ));
            counts.client_events += 1;
        }
        for channel in self.plan.unsubscribes() {
            self.say(&format!(
                r#"{{"event":"pusher:unsubscribe","data":{{"channel":"{channel}"}}}}"#
            ));
            counts.unsubscribed += 1;
        }
        drop(self.write());
    }

    /// Begins to go; [`Over`] when there is nothing to wait for.
    pub(super) fn leave(&mut self, counts: &mut Counts) -> Result<(), Over> {
        let way = if self.stage == Stage::Here { self.plan.leave() } else { Leave::Hasty };
        counts.left(way);
        match way {
            Leave::Close => {
                self.unsent.extend(frame::masked(frame::CLOSE, &NORMAL_END));
                self.stage = Stage::Leaving;
                self.write().map_err(|_| Over)
            }
            Leave::Reset => {
                // without it, the end is the other one
                drop(self.link.reset_on_drop());
                Err(Over)
            }
            Leave::Shut | Leave::Hasty => Err(Over),
        }
    }

    /// Writes and reads what the socket allows.
    pub(super) fn pump(
        &mut self,
        buffer: &mut [u8],
        target: &Target,
        tally: &mut Tally,
        counts: &mut Counts,
    ) -> Result<(), Over> {
        let done = self.write().and_then(|()| self.read(buffer, target, tally, counts));
        let end = done.and_then(|end| self.write().map(|()| end));
        match end {
            Ok(false) => Ok(()),
            Ok(true) if self.stage == Stage::Leaving => Err(Over),
            Ok(true) => {
                tally.error("closed by the server");
                Err(Over)
            }
            Err(error) => {
                if self.stage != Stage::Leaving {
                    tally.error(format!("socket {}", error.kind()));
                }
                Err(Over)
            }
        }
    }

    fn say(&mut self, message: &str) {
        self.unsent.extend(frame::text(message.as_bytes()));
    }

    fn write(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.link.write(&self.unsent) {
                // TLS holds as much as it may
                Ok(0) => return Ok(()),
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.link.flush()
    }

    /// Reads and answers; `true` at the end.
    fn read(
        &mut self,
        buffer: &mut [u8],
        target: &Target,
        tally: &mut Tally,
        counts: &mut Counts,
    ) -> io::Result<bool> {
        loop {
            let count = match self.link.read(buffer) {
                Ok(0) => return Ok(true),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            };
            tally.bytes_in += count as u64;
            self.unread.extend_from_slice(buffer.get(..count).unwrap_or_default());
            let unread = std::mem::take(&mut self.unread);
            let mut rest = unread.as_slice();
            if self.take_in(&mut rest, target, tally, counts) {
                return Ok(true);
            }
            self.unread = rest.to_vec();
        }
    }

    /// Takes whole frames off `bytes`; `true` when the server ends the connection.
    fn take_in(
        &mut self,
        bytes: &mut &[u8],
        target: &Target,
        tally: &mut Tally,
        counts: &mut Counts,
    ) -> bool {
        if self.stage == Stage::Handshake {
            let Some(end) = find(bytes, b"\r\n\r\n") else {
                return false;
            };
            if !bytes.starts_with(b"HTTP/1.1 101") {
                tally.error(format!("handshake {}", beginning(bytes, 60)));
                return true;
            }
            *bytes = bytes.get(end + 4..).unwrap_or_default();
            self.stage = Stage::Upgraded;
        }
        while let Some(Received { opcode, payload }) = frame::take(bytes) {
            match opcode {
                frame::CLOSE => {
                    let code = payload.first_chunk().map_or(0, |code| u16::from_be_bytes(*code));
                    if self.stage != Stage::Leaving {
                        tally.error(format!("close {code}"));
                    }
                    return true;
                }
                frame::PING => self.unsent.extend(frame::masked(frame::PONG, payload)),
                _ => self.message(payload, target, tally, counts),
            }
        }
        false
    }

    fn message(&mut self, payload: &[u8], target: &Target, tally: &mut Tally, counts: &mut Counts) {
        let has = |text: &str| find(payload, text.as_bytes()).is_some();
        if self.stage == Stage::Upgraded && has("connection_established") {
            self.come_in(&socket_id(payload), target, counts);
        } else if let Some(mark) = find(payload, b"@@") {
            tally.deliver(leading_number(payload.get(mark + 2..).unwrap_or_default()));
        } else if has("subscription_succeeded") {
            counts.subscribed += 1;
        } else if has("signin_success") {
            counts.signed_in += 1;
        } else if has("pusher:ping") {
            self.say(r#"{"event":"pusher:pong","data":{}}"#);
        } else if has("pusher:error") || has("subscription_error") {
            tally.error(beginning(payload, ERROR_BYTES));
        } else {
            // members that come and go, watched users, a cache that is empty
            counts.other_messages += 1;
        }
    }

    fn come_in(&mut self, socket_id: &str, target: &Target, counts: &mut Counts) {
        self.stage = Stage::Here;
        counts.established += 1;
        if let Some(watched) = self.plan.watches() {
            let sign_in = target.sign_in(socket_id, &self.plan.user(), &watched);
            self.say(&sign_in);
        }
        for channel in self.plan.channels() {
            let subscribe = if channel.starts_with("presence-") {
                target.subscribe_member(socket_id, &channel, &self.plan.user())
            } else {
                target.subscribe(socket_id, &channel)
            };
            self.say(&subscribe);
        }
    }
}
