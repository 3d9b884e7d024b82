//! How a desk does its errands: a turn's worth of frames to outboxes, then a turn's worth of writes.

use std::rc::Rc;

use super::{Desk, Seated};
use crate::door::Place;
use crate::errand::Errand;
use crate::mailbox::Taken;
use crate::outbox::{Flushed, Outbox, Pushed};
use crate::protocol::Frame;
use crate::seat::{ChannelId, Notice, Seat};
use crate::session::effect::{Close, Refused};

/// Bytes in one outbox from which on it is flushed at once instead of at the end of the turn.
const FLUSH_AT: usize = 64 * 1024;
/// Outboxes flushed in one turn of the loop before sockets are read again, and as many frames written that are alone.
const FLUSHES_PER_TURN: usize = 64;
/// Frames queued to outboxes in one turn before flushing begins.
const PUSHES_PER_TURN: usize = 8192;
/// Bytes from which on a frame counts as two, and so on: a turn queues 4 MiB, which is at most 64 flushes of
/// outboxes that are full enough to be flushed at once.
const BYTES_PER_PUSH: usize = FLUSHES_PER_TURN * FLUSH_AT / PUSHES_PER_TURN;

/// One frame on its way to the local subscribers of a channel.
pub(super) struct FanOut {
    channel: ChannelId,
    frame: Rc<Frame>,
    /// The slot that gets no copy.
    except: Option<u32>,
    /// The subscriber to go on with.
    next: usize,
    /// Free again when the last courier is done.
    _place: Option<Place>,
    taken: Taken,
}

impl Desk {
    /// Does a turn's work: queues frames, then flushes. `true` when some is left for the next turn.
    ///
    /// An event that is alone is written as it goes round, for nothing waits that could share its system
    /// calls. Those that come meanwhile find it half done, and share what is left.
    pub(crate) fn turn(&self) -> bool {
        let mut room = PUSHES_PER_TURN;
        while room > 0 {
            let under_way = self.fan_out.borrow_mut().take();
            let Some(fan_out) = under_way.or_else(|| self.next_fan_out(&mut room)) else {
                break;
            };
            let alone = self.errands.borrow().is_empty() && self.dirty.borrow().is_empty();
            if alone {
                let mut most = FLUSHES_PER_TURN;
                *self.fan_out.borrow_mut() = self.deliver(fan_out, &mut most, Self::send_or_push);
                break;
            }
            let cost = 1 + fan_out.frame.len() / BYTES_PER_PUSH;
            let most = room.div_ceil(cost);
            let mut left = most;
            *self.fan_out.borrow_mut() = self.deliver(fan_out, &mut left, Self::push);
            room = room.saturating_sub(1 + (most - left) * cost);
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
            let letter = self.errands.borrow_mut().pop_front()?;
            *room -= 1;
            let taken = self.mail.courier.open(&letter);
            match letter.message {
                Errand::Deliver { channel, frame, except, place } => {
                    let except =
                        except.and_then(|socket| self.by_socket.borrow().get(&socket).copied());
                    let frame = Rc::new(frame);
                    return Some(FanOut { channel, frame, except, next: 0, _place: place, taken });
                }
                Errand::Attach { seat, channel, replies } => self.attach(seat, channel, replies),
                Errand::Detach { seat, channel } => self.detach(seat, channel),
                Errand::Tell { seat, frames } => self.tell(seat, frames),
                Errand::Refuse { seat, refused } => self.refuse(seat, refused),
                Errand::Dismiss { seat, error, close } => self.dismiss(seat, error, &close),
                Errand::DismissAll { close } => self.dismiss_all(&close),
                Errand::Forget { seat } => self.forget(seat),
            }
            self.mail.courier.done(taken);
        }
        None
    }

    /// Puts a frame to local subscribers, `most` of them, of which it takes off those it came to, and returns
    /// what is left to do.
    fn deliver(
        &self,
        mut fan_out: FanOut,
        most: &mut usize,
        put: impl Fn(&Self, &Rc<Outbox>, &Rc<Frame>) -> bool,
    ) -> Option<FanOut> {
        let channels = self.members.borrow();
        let Some(members) = channels.get(&fan_out.channel) else {
            self.mail.courier.done(fan_out.taken);
            return None;
        };
        let outboxes = self.outboxes.borrow();
        let count = (members.len() - fan_out.next.min(members.len())).min(*most);
        let chunk = members.iter().skip(fan_out.next).take(count);
        let mut queued = 0;
        let mut last = None;
        for slot in chunk.filter(|slot| Some(**slot) != fan_out.except) {
            if let Some(Seated { outbox, .. }) = outboxes.get(*slot as usize) {
                queued += usize::from(put(self, outbox, &fan_out.frame));
                last = Some(outbox);
            }
        }
        // all subscribers of a channel are of one application
        if let Some(outbox) = last {
            let bytes = queued * fan_out.frame.len();
            outbox.metrics().sent.add(queued, bytes);
        }
        fan_out.next += count;
        *most -= count;
        if fan_out.next < members.len() {
            return Some(fan_out);
        }
        self.mail.courier.done(fan_out.taken);
        None
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

    /// Writes a frame at once where the socket takes it, and queues it otherwise. `false` as in
    /// [`Self::push`].
    fn send_or_push(&self, outbox: &Rc<Outbox>, frame: &Rc<Frame>) -> bool {
        match outbox.send(frame, self.tick.get()) {
            None => self.push(outbox, frame),
            Some(Flushed::Clean) => true,
            Some(Flushed::Broken) => false,
            Some(Flushed::Blocked) => {
                self.watch(outbox);
                true
            }
        }
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
            self.subscriptions.set(self.subscriptions.get() + 1);
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
        outbox.notify(Notice::Refused(refused), &self.mail.sessions);
    }

    fn dismiss(&self, seat: Seat, error: Frame, close: &Close) {
        let Some(outbox) = self.outbox(seat) else {
            return;
        };
        self.send(&outbox, error);
        self.send_off(&outbox, close);
    }

    fn dismiss_all(&self, close: &Close) {
        for (_, Seated { outbox, .. }) in &*self.outboxes.borrow() {
            self.send_off(outbox, close);
        }
    }

    fn send_off(&self, outbox: &Rc<Outbox>, close: &Close) {
        log::debug!(socket:% = outbox.socket(), code = close.code, reason = close.reason; "closing a connection");
        self.end(outbox, close);
        self.mark_dirty(outbox);
    }
}
