//! The lanes of one outbox: what waits, in which order it leaves, and what is partly out. No socket, no clock.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::rc::Rc;

use bytes::Bytes;

use super::Wire;
use super::spare::Spare;
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
    pub(super) data: VecDeque<Queued<Rc<Frame>>>,
    /// All but data.
    aside: Option<Box<Aside>>,
    /// Bytes in the data lane.
    pub(super) bytes: usize,
    pub(super) end: Ending,
    pub(super) blocked: Option<Tick>,
    /// Already in the desk's list of outboxes to flush.
    pub(super) dirty: bool,
    /// Already in the desk's list of sockets that take nothing.
    pub(super) watched: bool,
}

/// What waits beside data, for few sockets at a time: in a box, because a fan-out visits every outbox of a
/// channel, and the fewer cache lines each has, the less that costs.
#[derive(Default)]
struct Aside {
    /// The rest of a frame that is partly out: it must be finished before anything else.
    begun: Option<Queued<Bytes>>,
    /// Pings and pongs: they go before data.
    control: VecDeque<Bytes>,
    /// The Close, behind everything.
    last: Option<Bytes>,
}

pub(super) struct Queued<T> {
    pub(super) frame: T,
    pub(super) since: Tick,
}

impl Lanes {
    /// Tells whether nothing waits to be written.
    pub(super) fn is_empty(&self) -> bool {
        self.data.is_empty() && self.aside.as_ref().is_none_or(|aside| aside.is_empty())
    }

    /// Tells whether the socket is open and takes a frame now, with nothing before it.
    pub(super) fn is_free(&self) -> bool {
        self.end == Ending::Open && self.blocked.is_none() && self.is_empty()
    }

    /// Puts a frame at the end of the data lane.
    pub(super) fn push(&mut self, frame: Rc<Frame>, now: Tick) {
        self.bytes += frame.len();
        self.data.push_back(Queued { frame, since: now });
    }

    /// Writes a frame that nothing waits before; what the wire does not take waits. `true` when it is all out.
    pub(super) fn send(
        &mut self,
        wire: &(impl Wire + ?Sized),
        frame: &Rc<Frame>,
        now: Tick,
    ) -> io::Result<bool> {
        let bytes = frame.wire();
        match wire.write(&[IoSlice::new(bytes)]) {
            Ok(count) if count < bytes.len() => {
                self.begin(bytes.slice(count..), now);
                Ok(false)
            }
            Ok(_) => wire.flush(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.push(Rc::clone(frame), now);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Puts a control frame before the data. When `most` wait, the newest of them gives way.
    pub(super) fn push_control(&mut self, frame: Bytes, most: usize) {
        let control = &mut self.aside().control;
        if control.len() >= most {
            control.pop_back();
        }
        control.push_back(frame);
    }

    /// Has what is left of a frame leave before anything else.
    pub(super) fn begin(&mut self, rest: Bytes, since: Tick) {
        self.aside().begun = Some(Queued { frame: rest, since });
    }

    /// Takes the Close, which leaves behind everything else.
    pub(super) fn finish(&mut self, close: Bytes, now: Tick) {
        self.end = Ending::Closing { since: now };
        self.aside().last = Some(close);
    }

    /// Drops what waits, but for the rest of a frame that has begun.
    pub(super) fn drop_waiting(&mut self) {
        self.data = VecDeque::new();
        self.bytes = 0;
        if let Some(aside) = &mut self.aside {
            aside.control = VecDeque::new();
        }
    }

    /// Drops everything with the socket, which is gone.
    pub(super) fn abandon(&mut self) {
        let (dirty, watched) = (self.dirty, self.watched);
        *self = Self { end: Ending::Broken, dirty, watched, ..Self::default() };
    }

    /// Gives memory back when nothing waits.
    pub(super) fn rest(&mut self, spare: &Spare) {
        self.aside = None;
        spare.give(&mut self.data);
    }

    /// Returns since when the oldest data frame has waited.
    pub(super) fn oldest(&self) -> Option<Tick> {
        let begun = self.aside.as_ref().and_then(|aside| aside.begun.as_ref());
        begun.map(|queued| queued.since).or(self.data.front().map(|queued| queued.since))
    }

    fn aside(&mut self) -> &mut Aside {
        self.aside.get_or_insert_default()
    }

    /// Hands the first pieces to the wire, in the order in which [`Self::advance`] takes them off.
    pub(super) fn write(&self, wire: &(impl Wire + ?Sized)) -> io::Result<usize> {
        let mut pieces = [IoSlice::new(&[]); PIECES];
        let aside = || self.aside.iter();
        let waiting = (aside().filter_map(|aside| Some(&aside.begun.as_ref()?.frame)))
            .chain(aside().flat_map(|aside| &aside.control))
            .chain(self.data.iter().map(|queued| queued.frame.wire()))
            .chain(aside().filter_map(|aside| aside.last.as_ref()));
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
        while self.aside.as_ref().is_none_or(|aside| aside.lets_data_go()) {
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
                return self.begin(next.frame.slice(count..), next.since);
            }
            count -= next.frame.len();
        }
    }

    fn pop(&mut self, now: Tick) -> Option<Queued<Bytes>> {
        let first = self.aside.as_mut().and_then(|aside| aside.pop(now));
        if first.is_some() {
            return first;
        }
        if let Some(queued) = self.data.pop_front() {
            self.bytes = self.bytes.saturating_sub(queued.frame.len());
            return Some(Queued { frame: queued.frame.wire().clone(), since: queued.since });
        }
        let frame = self.aside.as_mut()?.last.take()?;
        Some(Queued { frame, since: now })
    }
}

impl Aside {
    fn is_empty(&self) -> bool {
        self.lets_data_go() && self.last.is_none()
    }

    /// Tells whether nothing leaves before data.
    fn lets_data_go(&self) -> bool {
        self.begun.is_none() && self.control.is_empty()
    }

    /// Takes off what leaves before data.
    fn pop(&mut self, now: Tick) -> Option<Queued<Bytes>> {
        let control = |frame| Queued { frame, since: now };
        self.begun.take().or_else(|| self.control.pop_front().map(control))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

    use std::cell::{Cell, RefCell};

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

    fn data(number: usize) -> Rc<Frame> {
        let channel = ChannelName::parse("c", 164).unwrap();
        let event = EventName::parse(&format!("e{number}"), 200).unwrap();
        let text = "x".repeat(number % 200);
        Rc::new(Frame::channel_event(&channel, &event, &text))
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
                        let frame = data(number);
                        sent_data.push(frame.wire().clone());
                        if lanes.is_free() {
                            lanes.send(&wire, &frame, 0).unwrap();
                        } else {
                            lanes.push(frame, 0);
                        }
                    }
                    Step::Control => {
                        let ping = Bytes::from(format!("<ping {number}>"));
                        sent_control.push(ping.clone());
                        lanes.push_control(ping, usize::MAX);
                    }
                    Step::Room(room) => {
                        wire.room.set(wire.room.get() + room);
                        drain(&mut lanes, &wire);
                    }
                }
            }
            lanes.finish(Bytes::from_static(b"close"), 0);
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
        let expected = [first.wire().as_ref(), b"<ping>", second.wire().as_ref()].concat();
        lanes.push(first, 0);
        lanes.push(second, 0);
        drain(&mut lanes, &wire);
        lanes.push_control(Bytes::from_static(b"<ping>"), 1);
        wire.room.set(usize::MAX);
        drain(&mut lanes, &wire);
        assert_eq!(*wire.taken.borrow(), expected);
    }
}
