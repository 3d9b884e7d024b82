//! The lanes of one outbox: what waits, in which order it leaves, and what is partly out. No socket, no clock.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::rc::Rc;

use bytes::Bytes;

use super::Wire;
use crate::protocol::Frame;

/// Most pieces handed to the kernel in one call (Linux takes up to 1,024).
const PIECES: usize = 64;

/// A count of the desk's ticks.
pub(crate) type Tick = u32;

/// How far the end of a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ending {
    /// Open: frames are taken.
    #[default]
    Open,
    /// A Close is on its way; nothing may follow it.
    Closing {
        /// When that was decided, in ticks of the desk.
        since: u32,
    },
    /// The socket is gone.
    Broken,
}

/// What waits, in the order in which it leaves: the begun frame, control, data, the Close.
#[derive(Default)]
pub(super) struct Lanes {
    /// The rest of a frame that is partly out: it must be finished before anything else.
    pub(super) begun: Option<Queued<Bytes>>,
    /// Pings and pongs: they go before data.
    pub(super) control: VecDeque<Bytes>,
    pub(super) data: VecDeque<Queued<Rc<Frame>>>,
    /// The Close, behind everything.
    pub(super) last: Option<Bytes>,
    /// Bytes in the data lane.
    pub(super) bytes: usize,
    pub(super) end: Ending,
    pub(super) blocked: Option<Tick>,
    /// Already in the desk's list of outboxes to flush.
    pub(super) dirty: bool,
    /// Already in the desk's list of sockets that take nothing.
    pub(super) watched: bool,
}

pub(super) struct Queued<T> {
    pub(super) frame: T,
    pub(super) since: Tick,
}

impl Lanes {
    /// Tells whether nothing waits to be written.
    pub(super) fn is_empty(&self) -> bool {
        self.begun.is_none()
            && self.control.is_empty()
            && self.data.is_empty()
            && self.last.is_none()
    }

    /// Hands the first pieces to the wire, in the order in which [`Self::advance`] takes them off.
    pub(super) fn write(&self, wire: &(impl Wire + ?Sized)) -> io::Result<usize> {
        let mut pieces = [IoSlice::new(&[]); PIECES];
        let waiting = (self.begun.iter().map(|queued| &queued.frame))
            .chain(&self.control)
            .chain(self.data.iter().map(|queued| queued.frame.wire()))
            .chain(&self.last);
        let mut count = 0;
        for (piece, bytes) in pieces.iter_mut().zip(waiting) {
            *piece = IoSlice::new(bytes);
            count += 1;
        }
        match wire.write(pieces.get(..count).unwrap_or_default()) {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            outcome => outcome,
        }
    }

    /// Takes `count` written bytes off the lanes; a frame that is partly out becomes the begun one.
    pub(super) fn advance(&mut self, mut count: usize, now: Tick) {
        // whole data frames, which nearly all writes are made of: no clone of their buffers
        while self.begun.is_none() && self.control.is_empty() {
            let Some(length) = self.data.front().map(|queued| queued.frame.len()) else {
                break;
            };
            if length > count {
                break;
            }
            count -= length;
            self.bytes -= length;
            self.data.pop_front();
        }
        while count > 0 {
            let Some(next) = self.pop(now) else { return };
            if count < next.frame.len() {
                let frame = next.frame.slice(count..);
                self.begun = Some(Queued { frame, since: next.since });
                return;
            }
            count -= next.frame.len();
        }
    }

    fn pop(&mut self, now: Tick) -> Option<Queued<Bytes>> {
        if let Some(begun) = self.begun.take() {
            return Some(begun);
        }
        if let Some(frame) = self.control.pop_front() {
            return Some(Queued { frame, since: now });
        }
        if let Some(queued) = self.data.pop_front() {
            self.bytes = self.bytes.saturating_sub(queued.frame.len());
            return Some(Queued { frame: queued.frame.wire().clone(), since: queued.since });
        }
        self.last.take().map(|frame| Queued { frame, since: now })
    }
}

/// Buffers for data lanes that are in use only between a push and a flush. One per thread.
#[derive(Default)]
pub(crate) struct Spare {
    buffers: RefCell<Vec<VecDeque<Queued<Rc<Frame>>>>>,
    /// Frames that the kept buffers have room for, together.
    room: Cell<usize>,
}

impl Spare {
    /// Most frames that a kept buffer has room for, and all of them together: 4 MiB, enough for one
    /// frame to each of 65,536 sockets.
    const FRAMES: usize = 64;
    const ROOM: usize = 262_144;

    pub(super) fn take(&self) -> VecDeque<Queued<Rc<Frame>>> {
        let buffer = self.buffers.borrow_mut().pop().unwrap_or_default();
        self.room.set(self.room.get() - buffer.capacity());
        buffer
    }

    pub(super) fn give(&self, buffer: &mut VecDeque<Queued<Rc<Frame>>>) {
        let buffer = std::mem::take(buffer);
        let room = self.room.get() + buffer.capacity();
        if (1..=Self::FRAMES).contains(&buffer.capacity()) && room <= Self::ROOM {
            self.room.set(room);
            self.buffers.borrow_mut().push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

    use proptest::prelude::*;

    use super::*;
    use crate::protocol::{ChannelName, EventName};
    use crate::session::effect::Close;

    /// A socket that takes so many bytes and then says that it takes no more.
    struct Narrow {
        room: Cell<usize>,
        taken: RefCell<Vec<u8>>,
    }

    impl Wire for Narrow {
        fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
            let count = bytes.len().min(self.room.get());
            if count == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.room.set(self.room.get() - count);
            self.taken.borrow_mut().extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&self) -> io::Result<bool> {
            Ok(true)
        }

        fn close_frame(&self, _close: &Close) -> Bytes {
            Bytes::from_static(b"close")
        }
    }

    fn data(number: usize) -> Queued<Rc<Frame>> {
        let channel = ChannelName::parse("c", 164).unwrap();
        let event = EventName::parse(&format!("e{number}"), 200).unwrap();
        let text = "x".repeat(number % 200);
        Queued { frame: Rc::new(Frame::channel_event(&channel, &event, &text)), since: 0 }
    }

    /// One thing that happens to an outbox.
    #[derive(Debug, Clone)]
    enum Step {
        Data,
        Control,
        /// The socket takes so many more bytes.
        Room(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => Just(Step::Data),
            1 => Just(Step::Control),
            3 => (1_usize..400).prop_map(Step::Room),
        ];
        prop::collection::vec(step, 0..60)
    }

    fn drain(lanes: &mut Lanes, wire: &Narrow) {
        while !lanes.is_empty() {
            match lanes.write(wire) {
                Ok(count) => lanes.advance(count, 0),
                Err(_) => return,
            }
        }
    }

    proptest! {
        /// Whatever a socket takes at a time: frames leave whole, each lane in its order, the Close last,
        /// and the count of waiting bytes ends at nothing.
        #[test]
        fn frames_leave_whole_and_in_order(steps in steps()) {
            let wire = Narrow { room: Cell::new(0), taken: RefCell::default() };
            let mut lanes = Lanes::default();
            let (mut sent_data, mut sent_control) = (Vec::new(), Vec::new());
            for (number, step) in steps.iter().enumerate() {
                match step {
                    Step::Data => {
                        let queued = data(number);
                        lanes.bytes += queued.frame.len();
                        sent_data.push(queued.frame.wire().clone());
                        lanes.data.push_back(queued);
                    }
                    Step::Control => {
                        let ping = Bytes::from(format!("<ping {number}>"));
                        sent_control.push(ping.clone());
                        lanes.control.push_back(ping);
                    }
                    Step::Room(room) => {
                        wire.room.set(wire.room.get() + room);
                        drain(&mut lanes, &wire);
                    }
                }
            }
            lanes.last = Some(Bytes::from_static(b"close"));
            wire.room.set(usize::MAX);
            drain(&mut lanes, &wire);
            prop_assert!(lanes.is_empty());
            prop_assert_eq!(lanes.bytes, 0);

            let mut taken: &[u8] = &wire.taken.borrow();
            let (mut data, mut control) = (sent_data.into_iter(), sent_control.into_iter());
            let (mut next_data, mut next_control) = (data.next(), control.next());
            while !taken.starts_with(b"close") {
                let is_control = next_control.as_ref().is_some_and(|ping| taken.starts_with(ping));
                let lane = if is_control { &mut next_control } else { &mut next_data };
                let frame = lane.take().unwrap();
                prop_assert!(taken.starts_with(&frame), "a frame is cut or out of its order");
                taken = &taken[frame.len()..];
                if is_control {
                    next_control = control.next();
                } else {
                    next_data = data.next();
                }
            }
            prop_assert_eq!(taken, b"close");
            prop_assert!(next_data.is_none() && next_control.is_none(), "something is lost");
        }
    }

    #[test]
    fn control_frames_overtake_data_that_has_not_begun() {
        let wire = Narrow { room: Cell::new(3), taken: RefCell::default() };
        let mut lanes = Lanes::default();
        let (first, second) = (data(1), data(2));
        let expected =
            [first.frame.wire().as_ref(), b"<ping>", second.frame.wire().as_ref()].concat();
        lanes.bytes = first.frame.len() + second.frame.len();
        lanes.data.extend([first, second]);
        drain(&mut lanes, &wire);
        lanes.control.push_back(Bytes::from_static(b"<ping>"));
        wire.room.set(usize::MAX);
        drain(&mut lanes, &wire);
        assert_eq!(*wire.taken.borrow(), expected);
    }
}
