//! What all sessions of one worker thread share: their outboxes, the local copy of who listens to
//! which channel, and the wheel that wakes sessions on time.
//!
//! A desk never leaves its thread. Sessions open and close outboxes on it directly; other threads
//! reach it through the [`Courier`](crate::courier::Courier) that runs beside it. Nothing here calls
//! back into a session: it is told by its mailbox or woken.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hashbrown::HashMap;
use indexmap::IndexSet;
use slab::Slab;

use crate::clock::{Clock, Moment};
use crate::door::Place;
use crate::errand::Errand;
use crate::limits::NodeLimits;
use crate::metrics::{Alive, Metrics};
use crate::outbox::{Ending, Flushed, Outbox, Pushed, Spare, Tick};
use crate::protocol::{ErrorCode, Frame, SocketId};
use crate::seat::{ChannelId, Notice, Seat};
use crate::session::effect::{Close, Refused};

/// How often deadlines are looked at.
pub(crate) const TICK: Duration = Duration::from_millis(250);
/// Bytes in one outbox from which on it is flushed at once instead of at the end of the turn.
const FLUSH_AT: usize = 64 * 1024;
/// Outboxes flushed in one turn of the loop before sockets are read again.
const FLUSHES_PER_TURN: usize = 128;
/// Frames queued to outboxes in one turn before flushing begins.
const PUSHES_PER_TURN: usize = 8192;

const TOO_SLOW: Close = Close::pusher(ErrorCode::OverCapacity, "Over capacity");

type Members = IndexSet<u32, foldhash::fast::RandomState>;

/// What the sessions of one thread share. See the module.
pub struct Desk {
    worker: u16,
    clock: Clock,
    limits: NodeLimits,
    metrics: Arc<Metrics>,
    outboxes: RefCell<Slab<Seated>>,
    by_socket: RefCell<HashMap<SocketId, u32, foldhash::fast::RandomState>>,
    members: RefCell<HashMap<ChannelId, Members, foldhash::fast::RandomState>>,
    errands: RefCell<VecDeque<Errand>>,
    /// The fan-out that is under way, when it took more than its turn.
    fan_out: RefCell<Option<FanOut>>,
    dirty: RefCell<VecDeque<Rc<Outbox>>>,
    /// Weak: a connection that has ended must not keep its socket open until the next tick.
    watched: RefCell<Vec<Weak<Outbox>>>,
    wheel: RefCell<BTreeMap<Tick, Vec<(u32, SocketId)>>>,
    tick: Cell<Tick>,
    spare: Spare,
}

impl Desk {
    pub(crate) fn new(
        worker: u16,
        clock: Clock,
        limits: NodeLimits,
        metrics: Arc<Metrics>,
    ) -> Rc<Self> {
        Rc::new(Self {
            worker,
            clock,
            limits,
            metrics,
            outboxes: RefCell::default(),
            by_socket: RefCell::default(),
            members: RefCell::default(),
            errands: RefCell::default(),
            fan_out: RefCell::default(),
            dirty: RefCell::default(),
            watched: RefCell::default(),
            wheel: RefCell::default(),
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
            outbox.abandon();
            if self.fan_out.borrow().is_some() {
                self.add(Errand::Forget { seat });
            } else {
                self.forget(seat);
            }
        }
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
        if (flushed == Flushed::Blocked || ending) && outbox.mark_watched() {
            self.watched.borrow_mut().push(Rc::downgrade(outbox));
        }
    }

    /// Asks for [`Notice::Tick`] at the first tick from a moment on, never before it. A session has one
    /// such wish at a time.
    pub fn wake_at(&self, seat: Seat, moment: Moment) {
        let due = moment.elapsed().as_nanos().div_ceil(TICK.as_nanos());
        let due = Tick::try_from(due).unwrap_or(Tick::MAX);
        self.wheel.borrow_mut().entry(due).or_default().push((seat.slot, seat.socket));
    }

    // --- courier --------------------------------------------------------------------------------

    pub(crate) fn add(&self, errand: Errand) {
        self.errands.borrow_mut().push_back(errand);
    }

    /// Does a turn's work: queues frames, then flushes. `true` when some is left for the next turn.
    pub(crate) fn turn(&self) -> bool {
        let mut room = PUSHES_PER_TURN;
        while room > 0 {
            let under_way = self.fan_out.borrow_mut().take();
            let Some(fan_out) = under_way.or_else(|| self.next_fan_out(&mut room)) else {
                break;
            };
            room = room.saturating_sub(1);
            if let Some(rest) = self.deliver(fan_out, &mut room) {
                *self.fan_out.borrow_mut() = Some(rest);
            }
        }
        for _ in 0..FLUSHES_PER_TURN {
            let Some(outbox) = self.dirty.borrow_mut().pop_front() else {
                break;
            };
            outbox.clear_dirty();
            self.flush(&outbox);
        }
        !self.errands.borrow().is_empty()
            || self.fan_out.borrow().is_some()
            || !self.dirty.borrow().is_empty()
    }

    /// Does errands up to the next fan-out.
    fn next_fan_out(&self, room: &mut usize) -> Option<FanOut> {
        while *room > 0 {
            let errand = self.errands.borrow_mut().pop_front()?;
            *room -= 1;
            match errand {
                Errand::Deliver { channel, frame, except, place } => {
                    let except =
                        except.and_then(|socket| self.by_socket.borrow().get(&socket).copied());
                    let frame = Rc::new(frame);
                    return Some(FanOut { channel, frame, except, next: 0, _place: place });
                }
                Errand::Attach { seat, channel, replies } => self.attach(seat, channel, replies),
                Errand::Detach { seat, channel } => self.detach(seat, channel),
                Errand::Tell { seat, frames } => self.tell(seat, frames),
                Errand::Refuse { seat, refused } => self.refuse(seat, refused),
                Errand::Dismiss { seat, error, close } => self.dismiss(seat, error, &close),
                Errand::DismissAll { close } => self.dismiss_all(&close),
                Errand::Forget { seat } => self.forget(seat),
            }
        }
        None
    }

    /// Moves time on: wakes sessions that are due, and ends those that take nothing.
    pub(crate) fn on_tick(&self) {
        let elapsed = self.now().elapsed().as_millis() / TICK.as_millis();
        self.tick.set(Tick::try_from(elapsed).unwrap_or(Tick::MAX));
        self.wake_due();
        self.judge_watched();
    }

    fn wake_due(&self) {
        let now = self.tick.get();
        loop {
            let due = {
                let mut wheel = self.wheel.borrow_mut();
                match wheel.first_entry() {
                    Some(entry) if *entry.key() <= now => entry.remove(),
                    _ => return,
                }
            };
            for (slot, socket) in due {
                if let Some(outbox) = self.outbox(Seat { worker: self.worker, slot, socket }) {
                    outbox.notify(Notice::Tick);
                }
            }
        }
    }

    /// Looks at every socket that takes nothing: its age, its bytes, and whether its end is overdue.
    fn judge_watched(&self) {
        let now = self.tick.get();
        let ticks = |wait: Duration| {
            Tick::try_from(wait.as_millis() / TICK.as_millis()).unwrap_or(Tick::MAX)
        };
        let (patience, close_wait) =
            (ticks(self.limits.outbox_wait), ticks(self.limits.close_wait).max(1));
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
                    outbox.has_work()
                }
            };
            if keep {
                self.watched.borrow_mut().push(Rc::downgrade(&outbox));
            } else {
                outbox.clear_watched();
            }
        }
    }

    fn evict(&self, outbox: &Rc<Outbox>) {
        outbox.metrics().evictions.add(1);
        log::debug!(socket:% = outbox.socket(), bytes = outbox.bytes(); "closing a client that does not read");
        outbox.evict(&TOO_SLOW, self.tick.get());
        self.flush(outbox);
    }

    /// Queues a frame to local subscribers, `room` of them at most, and returns what is left to do.
    fn deliver(&self, mut fan_out: FanOut, room: &mut usize) -> Option<FanOut> {
        let channels = self.members.borrow();
        let members = channels.get(&fan_out.channel)?;
        let outboxes = self.outboxes.borrow();
        let count = (members.len() - fan_out.next.min(members.len())).min(*room);
        let chunk = members.iter().skip(fan_out.next).take(count);
        let mut queued = 0;
        let mut last = None;
        for slot in chunk.filter(|slot| Some(**slot) != fan_out.except) {
            if let Some(Seated { outbox, .. }) = outboxes.get(*slot as usize) {
                queued += usize::from(self.push(outbox, &fan_out.frame));
                last = Some(outbox);
            }
        }
        // all subscribers of a channel are of one application
        if let Some(outbox) = last {
            let bytes = queued * fan_out.frame.len();
            outbox.metrics().sent.add(queued, bytes);
        }
        fan_out.next += count;
        *room -= count;
        (fan_out.next < members.len()).then_some(fan_out)
    }

    /// Queues a frame; the outbox is flushed in this turn or the next. `false` when the connection is
    /// ending and the frame was dropped. The caller counts it.
    fn push(&self, outbox: &Rc<Outbox>, frame: &Rc<Frame>) -> bool {
        let Pushed::Queued { bytes, blocked } = outbox.push(frame, self.tick.get(), &self.spare)
        else {
            return false;
        };
        if blocked {
            if bytes > self.limits.outbox_bytes {
                self.evict(outbox);
            }
        } else if bytes >= FLUSH_AT {
            self.flush(outbox);
        } else {
            self.mark_dirty(outbox);
        }
        true
    }

    /// Queues and counts frames of one connection alone.
    fn push_all(&self, outbox: &Rc<Outbox>, frames: Vec<Frame>) {
        for frame in frames {
            let bytes = frame.len();
            if self.push(outbox, &Rc::new(frame)) {
                outbox.metrics().sent.add(1, bytes);
            }
        }
    }

    fn mark_dirty(&self, outbox: &Rc<Outbox>) {
        if outbox.mark_dirty() {
            self.dirty.borrow_mut().push_back(Rc::clone(outbox));
        }
    }

    fn attach(&self, seat: Seat, channel: ChannelId, replies: Vec<Frame>) {
        let Some(outbox) = self.outbox(seat) else {
            return;
        };
        outbox.command_answered();
        if self.members.borrow_mut().entry(channel).or_default().insert(seat.slot) {
            outbox.channels.borrow_mut().push(channel);
        }
        self.push_all(&outbox, replies);
    }

    fn detach(&self, seat: Seat, channel: ChannelId) {
        let Some(outbox) = self.outbox(seat) else {
            return;
        };
        outbox.command_answered();
        outbox.channels.borrow_mut().retain(|joined| *joined != channel);
        self.remove_member(channel, seat.slot);
    }

    fn tell(&self, seat: Seat, frames: Vec<Frame>) {
        let Some(outbox) = self.outbox(seat) else {
            return;
        };
        self.push_all(&outbox, frames);
    }

    fn refuse(&self, seat: Seat, refused: Refused) {
        let Some(outbox) = self.outbox(seat) else {
            return;
        };
        outbox.command_answered();
        outbox.notify(Notice::Refused(refused));
    }

    fn dismiss(&self, seat: Seat, error: Frame, close: &Close) {
        let Some(outbox) = self.outbox(seat) else {
            return;
        };
        self.send(&outbox, error);
        self.end(&outbox, close);
        self.mark_dirty(&outbox);
    }

    fn dismiss_all(&self, close: &Close) {
        for (_, Seated { outbox, .. }) in &*self.outboxes.borrow() {
            self.end(outbox, close);
            self.mark_dirty(outbox);
        }
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
            members.swap_remove(&slot);
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

/// One frame on its way to the local subscribers of a channel.
struct FanOut {
    channel: ChannelId,
    frame: Rc<Frame>,
    /// The slot that gets no copy.
    except: Option<u32>,
    /// The subscriber to go on with.
    next: usize,
    /// Free again when the last courier is done.
    _place: Option<Place>,
}
