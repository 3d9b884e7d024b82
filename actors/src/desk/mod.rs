//! What all sessions of one worker thread share: their outboxes, the local copy of who listens to
//! which channel, and the wheel that wakes sessions on time.
//!
//! A desk never leaves its thread. Sessions open and close outboxes on it directly; other threads
//! reach it through the [`Courier`](crate::courier::Courier) that runs beside it. Nothing here calls
//! back into a session: it is told by its mailbox or woken.

mod errands;
mod wheel;

#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;
use indexmap::IndexSet;
use slab::Slab;

use self::errands::FanOut;
pub(crate) use self::wheel::TICK;
use self::wheel::Wheel;
use crate::clock::{Clock, Moment};
use crate::errand::Errand;
use crate::limits::NodeLimits;
use crate::mailbox::{Letter, Mailboxes, Taken};
use crate::metrics::{Alive, Metrics};
use crate::outbox::{Ending, Flushed, Outbox, Pushed, Spare, Tick};
use crate::protocol::{ErrorCode, Frame, SocketId};
use crate::seat::{ChannelId, Notice, Seat};
use crate::session::effect::Close;

const TOO_SLOW: Close = Close::pusher(ErrorCode::OverCapacity, "Over capacity");

type Members = IndexSet<u32, foldhash::fast::RandomState>;

/// What the sessions of one thread share. See the module.
pub struct Desk {
    worker: u16,
    clock: Clock,
    limits: NodeLimits,
    metrics: Arc<Metrics>,
    mail: Mailboxes,
    outboxes: RefCell<Slab<Seated>>,
    by_socket: RefCell<HashMap<SocketId, u32, foldhash::fast::RandomState>>,
    members: RefCell<HashMap<ChannelId, Members, foldhash::fast::RandomState>>,
    errands: RefCell<VecDeque<Letter<Errand>>>,
    /// The fan-out that is under way, when it took more than its turn.
    fan_out: RefCell<Option<FanOut>>,
    dirty: RefCell<VecDeque<Rc<Outbox>>>,
    /// Weak: a connection that has ended must not keep its socket open until the next tick.
    watched: RefCell<Vec<Weak<Outbox>>>,
    wheel: RefCell<Wheel>,
    subscriptions: Cell<usize>,
    tick: Cell<Tick>,
    spare: Spare,
}

impl Desk {
    pub(crate) fn new(
        worker: u16,
        clock: Clock,
        limits: NodeLimits,
        metrics: Arc<Metrics>,
        mail: Mailboxes,
    ) -> Rc<Self> {
        Rc::new(Self {
            worker,
            clock,
            limits,
            metrics,
            mail,
            outboxes: RefCell::default(),
            by_socket: RefCell::default(),
            members: RefCell::default(),
            errands: RefCell::default(),
            fan_out: RefCell::default(),
            dirty: RefCell::default(),
            watched: RefCell::default(),
            wheel: RefCell::default(),
            subscriptions: Cell::new(0),
            tick: Cell::new(0),
            spare: Spare::default(),
        })
    }

    /// Returns the present moment of the node.
    pub fn now(&self) -> Moment {
        self.clock.now()
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Returns how many connections are open here.
    pub fn connections(&self) -> usize {
        self.outboxes.borrow().len()
    }

    // --- sessions -------------------------------------------------------------------------------

    /// Takes an outbox in and returns where channels find it.
    pub fn open(&self, outbox: Rc<Outbox>) -> Seat {
        let socket = outbox.socket();
        outbox.metrics().connections_opened.add(1);
        let seated = Seated { outbox, _alive: self.metrics.actors.sessions.enter() };
        let slot = self.outboxes.borrow_mut().insert(seated);
        let slot = u32::try_from(slot).unwrap_or(u32::MAX);
        self.by_socket.borrow_mut().insert(socket, slot);
        Seat { worker: self.worker, slot, socket }
    }

    /// Forgets a connection: from now on nothing reaches it.
    ///
    /// Its slot is freed when no fan-out is under way, which would lose its place in the list.
    pub fn close(&self, seat: Seat) {
        if let Some(outbox) = self.outbox(seat) {
            self.mail.sessions.drop_unread(outbox.unread());
            outbox.abandon();
            self.count_end(&outbox);
            if self.fan_out.borrow().is_some() {
                self.add(self.mail.courier.seal(Errand::Forget { seat }));
            } else {
                self.forget(seat);
            }
        }
    }

    fn count_end(&self, outbox: &Outbox) {
        let ended = &self.metrics.ended.sessions;
        let cause = if std::thread::panicking() {
            &ended.panicked
        } else if outbox.was_evicted() {
            &ended.evicted
        } else {
            &ended.done
        };
        cause.add(1);
    }

    /// Takes what a session was told. It says [`Self::done`] when it has acted on it.
    pub fn open_notice(&self, outbox: &Outbox, notice: Letter<Notice>) -> (Notice, Taken) {
        outbox.notice_read();
        let taken = self.mail.sessions.open(&notice);
        (notice.message, taken)
    }

    /// Takes that a session has acted on what it was told.
    pub fn done(&self, taken: Taken) {
        self.mail.sessions.done(taken);
    }

    /// Queues a frame for a connection of this thread; the caller flushes. A client that takes none of
    /// its answers is closed like one that takes no events.
    pub fn send(&self, outbox: &Rc<Outbox>, frame: Frame) {
        let size = frame.len();
        let pushed = outbox.push(&Rc::new(frame), self.tick.get(), &self.spare);
        if let Pushed::Queued { bytes, blocked } = pushed {
            outbox.metrics().sent.add(1, size);
            if blocked && bytes > self.limits.outbox_bytes {
                self.evict(outbox);
            }
        }
    }

    /// Queues a control frame, which overtakes data; the caller flushes.
    pub fn send_control(&self, outbox: &Outbox, frame: Bytes) {
        outbox.push_control(frame);
    }

    /// Ends a connection once what waits has left; the caller flushes.
    pub fn end(&self, outbox: &Outbox, close: &Close) {
        outbox.close(close, self.tick.get());
    }

    /// Writes what waits for one connection. One that takes nothing is watched from now on, and so is
    /// one that is ending: both are cut when their time is up.
    pub fn flush(&self, outbox: &Rc<Outbox>) {
        let flushed = outbox.flush(self.tick.get(), &self.spare);
        let ending = matches!(outbox.ending(), Ending::Closing { .. });
        if flushed == Flushed::Blocked || ending {
            self.watch(outbox);
        }
    }

    /// Has every tick look at an outbox that takes nothing, or is to end.
    fn watch(&self, outbox: &Rc<Outbox>) {
        if outbox.mark_watched() {
            self.watched.borrow_mut().push(Rc::downgrade(outbox));
        }
    }

    /// Asks for [`Notice::Tick`] at the first tick from a moment on, never before it. A session has one
    /// such wish at a time.
    pub fn wake_at(&self, seat: Seat, moment: Moment) {
        self.wheel.borrow_mut().add(moment, seat.slot, seat.socket);
    }

    // --- courier --------------------------------------------------------------------------------

    pub(crate) fn add(&self, errand: Letter<Errand>) {
        self.errands.borrow_mut().push_back(errand);
    }

    /// Moves time on: wakes sessions that are due, and ends those that take nothing. `due` is when this
    /// tick should have come.
    pub(crate) fn on_tick(&self, due: Moment) {
        let now = self.now();
        if let Some(lag) = self.metrics.loop_lag.get(usize::from(self.worker)) {
            lag.add(now.since(due));
        }
        self.tell_ran(now);
        self.tick.set(wheel::tick_of(now));
        self.wake_due();
        self.judge_watched();
        self.tell_tables();
    }

    fn wake_due(&self) {
        while let Some(due) = self.next_due() {
            for (slot, socket) in due {
                if let Some(outbox) = self.outbox(Seat { worker: self.worker, slot, socket }) {
                    outbox.notify(Notice::Tick, &self.mail.sessions);
                }
            }
        }
    }

    fn next_due(&self) -> Option<Vec<(u32, SocketId)>> {
        self.wheel.borrow_mut().take_due(self.tick.get())
    }

    /// Looks at every socket that takes nothing: its age, its bytes, and whether its end is overdue.
    fn judge_watched(&self) {
        let now = self.tick.get();
        let patience = wheel::ticks(self.limits.outbox_wait);
        let close_wait = wheel::ticks(self.limits.close_wait).max(1);
        let watched = std::mem::take(&mut *self.watched.borrow_mut());
        for outbox in watched.iter().filter_map(Weak::upgrade) {
            let keep = match outbox.ending() {
                Ending::Broken => false,
                Ending::Closing { since } if now.wrapping_sub(since) >= close_wait => {
                    outbox.abandon();
                    false
                }
                Ending::Closing { .. } => true,
                Ending::Open => {
                    if outbox.age(now).is_some_and(|age| age >= patience) {
                        self.evict(&outbox);
                    }
                    outbox.has_work() || outbox.ending() != Ending::Open
                }
            };
            if keep {
                self.watched.borrow_mut().push(Rc::downgrade(&outbox));
            } else {
                outbox.clear_watched();
            }
        }
    }

    /// Says how full its tables are.
    fn tell_tables(&self) {
        let Some(tables) = self.metrics.tables.get(usize::from(self.worker)) else {
            return;
        };
        tables.seats.set(self.outboxes.borrow().len());
        tables.sockets.set(self.by_socket.borrow().len());
        tables.audiences.set(self.members.borrow().len());
        tables.subscriptions.set(self.subscriptions.get());
        tables.deadlines.set(self.wheel.borrow().len());
        let watched = self.watched.borrow();
        tables.watched.set(watched.len());
        let (mut sum, mut highest) = (0, 0);
        for bytes in watched.iter().filter_map(Weak::upgrade).map(|outbox| outbox.bytes()) {
            sum += bytes;
            highest = highest.max(bytes);
        }
        tables.outbox_bytes.set(sum);
        tables.outbox_bytes_highest.set(highest);
    }

    /// Says that the event loop runs.
    pub(crate) fn tell_ran(&self, now: Moment) {
        if let Some(tables) = self.metrics.tables.get(usize::from(self.worker)) {
            tables.ran_at.set(usize::try_from(now.elapsed().as_millis()).unwrap_or(usize::MAX));
        }
    }

    fn evict(&self, outbox: &Rc<Outbox>) {
        outbox.metrics().evictions.add(1);
        log::debug!(socket:% = outbox.socket(), bytes = outbox.bytes(); "closing a client that does not read");
        outbox.evict(&TOO_SLOW, self.tick.get());
        self.flush(outbox);
    }

    fn forget(&self, seat: Seat) {
        let Some(outbox) = self.outbox(seat) else {
            return;
        };
        for channel in outbox.channels.borrow_mut().drain(..) {
            self.remove_member(channel, seat.slot);
        }
        self.by_socket.borrow_mut().remove(&seat.socket);
        self.outboxes.borrow_mut().try_remove(seat.slot as usize);
        outbox.metrics().connections_closed.add(1);
    }

    fn remove_member(&self, channel: ChannelId, slot: u32) {
        let mut channels = self.members.borrow_mut();
        if let Some(members) = channels.get_mut(&channel) {
            if members.swap_remove(&slot) {
                self.subscriptions.set(self.subscriptions.get() - 1);
            }
            if members.is_empty() {
                channels.remove(&channel);
            }
        }
    }

    /// Returns the outbox of a seat, unless the connection is gone and its slot another's.
    fn outbox(&self, seat: Seat) -> Option<Rc<Outbox>> {
        let outboxes = self.outboxes.borrow();
        let Seated { outbox, .. } = outboxes.get(seat.slot as usize)?;
        (outbox.socket() == seat.socket).then(|| Rc::clone(outbox))
    }
}

/// A connection at its place on the desk.
struct Seated {
    outbox: Rc<Outbox>,
    _alive: Alive,
}
