//! The buffers that a thread lends to data lanes, so that a delivery allocates nothing.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use super::lanes::Queued;
use crate::protocol::Frame;

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
