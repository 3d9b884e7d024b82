//! What waits for one socket: a data lane, a control lane, and how the connection ends.
//!
//! An outbox is shared, on one thread, by the session that owns the socket and the courier of that
//! thread. Frames queue here, and [`Outbox::flush`] writes many of them in one system call; one that is alone
//! leaves at once by [`Outbox::send`].

mod lanes;
mod spare;

use std::cell::{Cell, RefCell, RefMut};
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use actix::Recipient;
use bytes::Bytes;

pub use self::lanes::Ending;
use self::lanes::Lanes;
pub(crate) use self::lanes::Tick;
pub(crate) use self::spare::Spare;
use crate::door::tell;
use crate::mailbox::{Letter, Mail};
use crate::metrics::AppMetrics;
use crate::protocol::{Frame, SocketId};
use crate::seat::{ChannelId, Notice};
use crate::session::effect::Close;

/// Most control frames that wait: beyond it the newest gives way, for the first may be a handshake.
const CONTROL_FRAMES: usize = 16;

/// The writing half of a socket. Nothing here blocks.
pub trait Wire {
    /// Writes from the slices in their order and returns how many bytes went.
    ///
    /// # Errors
    /// `WouldBlock` when the socket takes nothing now; any other error means it is gone.
    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Pushes out what the wire itself holds back, such as TLS records; `true` when nothing is left.
    ///
    /// # Errors
    /// Any error but `WouldBlock`, which is `Ok(false)`, means the socket is gone.
    fn flush(&self) -> io::Result<bool>;

    /// Returns what this transport says to end a connection.
    fn close_frame(&self, close: &Close) -> Bytes;
}

/// What waits for one socket. See the module.
pub struct Outbox<W: ?Sized = dyn Wire> {
    socket: SocketId,
    lanes: RefCell<Lanes>,
    /// Channels whose local copy holds this socket: kept by the desk, so that a slot is never reused in them.
    pub(crate) channels: RefCell<Vec<ChannelId>>,
    /// Commands that channels have not answered yet.
    commands: Cell<u32>,
    /// What the session was told and has not read yet.
    unread: Cell<u32>,
    evicted: Cell<bool>,
    /// The session reads on when the next of them is answered.
    awaits_answer: Cell<bool>,
    /// The code of the Close; 0 until there is one.
    close_code: Cell<u16>,
    driver: RefCell<Option<Waker>>,
    session: Recipient<Letter<Notice>>,
    metrics: Arc<AppMetrics>,
    wire: W,
}

/// What a push did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// The frame waits; `bytes` wait in all, and `blocked` tells that the socket takes nothing now.
    Queued { bytes: usize, blocked: bool },
    /// The connection is ending: the frame was dropped with it.
    Ending,
}

/// What a flush left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Nothing waits.
    Clean,
    /// The socket takes nothing now.
    Blocked,
    /// The socket is gone.
    Broken,
}

impl<W: Wire> Outbox<W> {
    /// Makes an empty outbox around the socket's writing half. `session` gets what the desk has to say;
    /// `metrics` are those of the connection's application.
    pub fn new(
        socket: SocketId,
        wire: W,
        session: Recipient<Letter<Notice>>,
        metrics: Arc<AppMetrics>,
    ) -> Self {
        Self {
            socket,
            lanes: RefCell::default(),
            channels: RefCell::default(),
            commands: Cell::new(0),
            unread: Cell::new(0),
            evicted: Cell::new(false),
            awaits_answer: Cell::new(false),
            close_code: Cell::new(0),
            driver: RefCell::default(),
            session,
            metrics,
            wire,
        }
    }

    /// Returns the wire, which the session also reads from.
    pub fn wire(&self) -> &W {
        &self.wire
    }
}

impl<W: Wire + ?Sized> Outbox<W> {
    /// Returns the connection's id.
    pub fn socket(&self) -> SocketId {
        self.socket
    }

    /// Returns what is counted for the connection's application.
    pub fn metrics(&self) -> &AppMetrics {
        &self.metrics
    }

    /// Returns how far the end is.
    pub fn ending(&self) -> Ending {
        self.lanes.borrow().end
    }

    /// Returns the code that the connection was closed with; `None` if it is open, or ended without a Close.
    pub fn close_code(&self) -> Option<u16> {
        Some(self.close_code.get()).filter(|code| *code != 0)
    }

    /// Tells whether the socket takes nothing now, so that the session must wait for it.
    pub fn is_blocked(&self) -> bool {
        self.lanes.borrow().blocked.is_some()
    }

    /// Tells whether something waits to be written.
    pub fn has_work(&self) -> bool {
        let lanes = self.lanes.borrow();
        !lanes.is_empty() || lanes.blocked.is_some()
    }

    /// Returns the bytes that wait in the data lane.
    pub(crate) fn bytes(&self) -> usize {
        self.lanes.borrow().bytes
    }

    /// Remembers whom to wake when the socket must be waited for, or has ended.
    pub fn set_driver(&self, waker: &Waker) {
        let mut driver = self.driver.borrow_mut();
        if !driver.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *driver = Some(waker.clone());
        }
    }

    /// Wakes the session that drives the socket.
    pub(crate) fn wake(&self) {
        if let Some(waker) = &*self.driver.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Tells the session something by its mailbox, if it goes on. Bounded: one tick and one answer per command
    /// at most. What a session that has ended is not told is counted nowhere: sessions end all the time.
    pub(crate) fn notify(&self, notice: Notice, mail: &Mail) {
        if self.ending() != Ending::Broken && self.session.connected() {
            self.unread.set(self.unread.get() + 1);
            tell(&self.session, mail.seal(notice));
        }
    }

    pub(crate) fn notice_read(&self) {
        self.unread.set(self.unread.get().saturating_sub(1));
    }

    /// Returns how much the session was told that it has not read yet.
    pub(crate) fn unread(&self) -> u32 {
        self.unread.get()
    }

    /// Tells whether it was closed because the client did not read.
    pub(crate) fn was_evicted(&self) -> bool {
        self.evicted.get()
    }

    /// Returns the commands that channels have not answered yet.
    pub fn commands(&self) -> u32 {
        self.commands.get()
    }

    /// Counts a command on its way to a channel.
    pub fn command_sent(&self) {
        self.commands.set(self.commands.get().saturating_add(1));
    }

    /// Has the session woken when the next command is answered.
    pub fn await_answer(&self) {
        self.awaits_answer.set(true);
    }

    pub(crate) fn command_answered(&self) {
        self.commands.set(self.commands.get().saturating_sub(1));
        if self.awaits_answer.replace(false) {
            self.wake();
        }
    }

    /// Puts a frame at the end of the data lane. `spare` lends buffers, so that a delivery allocates nothing.
    pub(crate) fn push(&self, frame: &Rc<Frame>, now: Tick, spare: &Spare) -> Pushed {
        let mut lanes = self.lanes.borrow_mut();
        if lanes.end != Ending::Open {
            return Pushed::Ending;
        }
        if lanes.data.capacity() == 0 {
            lanes.data = spare.take();
        }
        lanes.push(Rc::clone(frame), now);
        Pushed::Queued { bytes: lanes.bytes, blocked: lanes.blocked.is_some() }
    }

    /// Writes a frame at once, past the data lane, when nothing waits before it; what the socket does not
    /// take waits as if pushed. `None` when something does wait, or the connection is not open.
    pub(crate) fn send(&self, frame: &Rc<Frame>, now: Tick) -> Option<Flushed> {
        let mut lanes = self.lanes.borrow_mut();
        if !lanes.is_free() {
            return None;
        }
        let outcome = lanes.send(&self.wire, frame, now);
        Some(self.settle(lanes, outcome, now))
    }

    /// Puts a control frame in front of all data that has not begun to leave. When as many wait as may,
    /// the newest of them gives way.
    pub(crate) fn push_control(&self, frame: Bytes) {
        let mut lanes = self.lanes.borrow_mut();
        if lanes.end == Ending::Open {
            lanes.push_control(frame, CONTROL_FRAMES);
        }
    }

    /// Marks the outbox so that it is queued for a flush only once; `true` the first time.
    pub(crate) fn mark_dirty(&self) -> bool {
        !std::mem::replace(&mut self.lanes.borrow_mut().dirty, true)
    }

    pub(crate) fn clear_dirty(&self) {
        self.lanes.borrow_mut().dirty = false;
    }

    /// Marks the outbox as watched for its age; `true` the first time.
    pub(crate) fn mark_watched(&self) -> bool {
        !std::mem::replace(&mut self.lanes.borrow_mut().watched, true)
    }

    pub(crate) fn clear_watched(&self) {
        self.lanes.borrow_mut().watched = false;
    }

    /// Returns how many ticks the oldest frame has waited; `None` when nothing waits.
    pub(crate) fn age(&self, now: Tick) -> Option<Tick> {
        let lanes = self.lanes.borrow();
        let since = lanes.oldest().or(lanes.blocked)?;
        Some(now.wrapping_sub(since))
    }

    /// Ends the connection: what waits still leaves, then the Close; nothing is taken after it.
    pub(crate) fn close(&self, close: &Close, now: Tick) {
        {
            let mut lanes = self.lanes.borrow_mut();
            if lanes.end != Ending::Open {
                return;
            }
            lanes.finish(self.wire.close_frame(close), now);
            self.close_code.set(close.code);
        }
        self.wake();
    }

    /// Ends a connection that takes nothing: what waits is dropped, but for the rest of a frame that has begun.
    pub(crate) fn evict(&self, close: &Close, now: Tick) {
        self.evicted.set(true);
        self.lanes.borrow_mut().drop_waiting();
        self.close(close, now);
    }

    /// Gives the socket up.
    pub fn abandon(&self) {
        self.lanes.borrow_mut().abandon();
        self.wake();
    }

    /// Writes what waits, as much as the socket takes.
    pub(crate) fn flush(&self, now: Tick, spare: &Spare) -> Flushed {
        let mut lanes = self.lanes.borrow_mut();
        let outcome = loop {
            if lanes.is_empty() {
                break self.wire.flush();
            }
            match lanes.write(&self.wire) {
                Ok(count) => {
                    lanes.advance(count, now);
                    // it takes something: what it refuses next, it refuses from now on
                    lanes.blocked = None;
                }
                Err(error) => break Err(error),
            }
        };
        if matches!(outcome, Ok(true)) {
            lanes.rest(spare);
        }
        self.settle(lanes, outcome, now)
    }

    /// Remembers how a write ended: with nothing left, with a socket that takes no more, or with one that is
    /// gone.
    fn settle(
        &self,
        mut lanes: RefMut<'_, Lanes>,
        outcome: io::Result<bool>,
        now: Tick,
    ) -> Flushed {
        match outcome {
            Ok(true) => {
                lanes.blocked = None;
                Flushed::Clean
            }
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                drop(lanes);
                self.abandon();
                Flushed::Broken
            }
            _ => {
                lanes.blocked.get_or_insert(now);
                drop(lanes);
                self.wake();
                Flushed::Blocked
            }
        }
    }
}
