//! Moves bytes between a session's socket, its frame reader and its outbox, and keeps its deadlines.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use actix::fut::ActorFuture;
use actix::{ActorContext as _, Context};
use bytes::{Buf as _, BytesMut};
use micronotifier_actors::Ending;
use micronotifier_actors::clock::Moment;
use micronotifier_actors::session::ControlFrame;
use micronotifier_actors::session::effect::{Close, Effect};

use super::control;
use super::frame::{FrameError, FrameLimits, Incoming, Input};
use super::session::WsSession;
use super::stream::Stream;

/// Bytes read from a socket at once. One buffer serves all sockets of a thread.
const SCRATCH: usize = 16 * 1024;
/// What stands for the code of a Close that has none (RFC 6455, section 7.1.5).
const NO_CODE: u16 = 1005;
/// Reads of one socket before others have their turn.
const READS_PER_TURN: usize = 4;

thread_local! {
    static SCRATCH_BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH]);
}

/// The resident future: runs whenever the socket or the outbox has something to do.
pub(super) struct Pump;

impl<S: Stream> ActorFuture<WsSession<S>> for Pump {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        session: &mut WsSession<S>,
        ctx: &mut Context<WsSession<S>>,
        task: &mut TaskContext<'_>,
    ) -> Poll<()> {
        let done = session.pump(task);
        if done.is_ready() {
            ctx.stop();
        }
        done
    }
}

impl<S: Stream> WsSession<S> {
    /// Does all that the socket allows now. `Ready` when the connection is over.
    fn pump(&mut self, task: &mut TaskContext<'_>) -> Poll<()> {
        self.outbox.set_driver(task.waker());
        if self.write(task).is_err() {
            return Poll::Ready(());
        }
        if let Some(mut held) = self.held.take() {
            let rest = self.take_in(&mut held);
            if rest > 0 {
                held.advance(held.len() - rest);
                self.held = Some(held);
            }
        }
        let Ok(more) = self.read(task) else {
            return Poll::Ready(());
        };
        if !self.outbox.is_blocked() && self.outbox.has_work() {
            self.worker.desk().flush(&self.outbox);
        }
        if self.write(task).is_err() || self.is_over() {
            return Poll::Ready(());
        }
        if more {
            task.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Waits for a socket that took nothing, and goes on once it does.
    fn write(&self, task: &mut TaskContext<'_>) -> io::Result<()> {
        while self.outbox.is_blocked() {
            match self.typed.wire().poll_writable(task) {
                Poll::Pending => return Ok(()),
                Poll::Ready(ready) => ready?,
            }
            self.worker.desk().flush(&self.outbox);
        }
        Ok(())
    }

    /// Reads what is there; `true` when there may be more than one turn's worth.
    fn read(&mut self, task: &mut TaskContext<'_>) -> io::Result<bool> {
        SCRATCH_BUFFER.with_borrow_mut(|scratch| {
            for _ in 0..READS_PER_TURN {
                if self.must_wait() {
                    self.outbox.await_answer();
                    return Ok(false);
                }
                match self.typed.wire().read(scratch) {
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(count) => {
                        let bytes = scratch.get_mut(..count).unwrap_or_default();
                        let rest = self.take_in(bytes);
                        if rest > 0 {
                            let (_, rest) = bytes.split_at(bytes.len() - rest);
                            self.held = Some(BytesMut::from(rest));
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        match self.typed.wire().poll_readable(task) {
                            Poll::Pending => return Ok(false),
                            Poll::Ready(ready) => ready?,
                        }
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(true)
        })
    }

    /// Tells whether nothing is left to do: the socket is gone, or both sides have closed.
    fn is_over(&self) -> bool {
        match self.outbox.ending() {
            Ending::Open => false,
            Ending::Closing { .. } => self.peer_closed && !self.outbox.has_work(),
            Ending::Broken => true,
        }
    }

    /// Tells whether the client has so many commands under way that what it says next must wait for an answer.
    fn must_wait(&self) -> bool {
        self.outbox.commands() >= self.limits.commands_per_connection
            && self.outbox.ending() == Ending::Open
    }

    /// Takes bytes of the client in, and returns how many of the last ones must wait. Once a Close is on its
    /// way, only the client's own matters.
    fn take_in(&mut self, bytes: &mut [u8]) -> usize {
        let limits = FrameLimits::from(&*self.limits);
        let mut input = Input::new(bytes);
        while !self.peer_closed {
            if self.must_wait() {
                return input.left().len();
            }
            match self.reader.next(&mut input, limits) {
                Ok(Some(message)) => self.take_message(message),
                Ok(None) => break,
                Err(error) => {
                    self.break_off(error);
                    return 0;
                }
            }
        }
        self.time_frame();
        0
    }

    fn take_message(&mut self, message: Incoming<'_>) {
        if let Incoming::Close(close) = message {
            self.peer_closed = true;
            let told = close.map(|close| close.code);
            let (code, reason) = (told.unwrap_or(1000), "");
            // otherwise it answers ours
            if self.outbox.ending() == Ending::Open {
                let code = told.unwrap_or(NO_CODE);
                log::debug!(socket:% = self.outbox.socket(), code; "the client closes");
            }
            return self.worker.desk().end(&self.outbox, &Close { code, reason });
        }
        if self.outbox.ending() != Ending::Open {
            return;
        }
        let now = self.now();
        let mut effects = Vec::new();
        match message {
            Incoming::Text(text) => {
                self.frame_due = None;
                self.outbox.metrics().received.add(1, text.len());
                self.session.text(&text, now, &mut effects);
            }
            Incoming::Binary(_) => {
                self.frame_due = None;
                self.session.binary(now.moment, &mut effects);
            }
            Incoming::Ping(payload) => {
                self.worker.desk().send_control(&self.outbox, control::pong(&payload));
                self.session.control(ControlFrame::Ping, now.moment, &mut effects);
            }
            Incoming::Pong(_) => {
                self.session.control(ControlFrame::Pong, now.moment, &mut effects);
            }
            Incoming::Close(_) => {}
        }
        self.carry_out(effects);
    }

    /// Answers a breach of the WebSocket protocol. What the client still sends makes no sense any more.
    fn break_off(&mut self, error: FrameError) {
        self.peer_closed = true;
        let close = Close { code: error.close_code(), reason: error.reason() };
        self.end(&close);
    }

    /// Sets the deadline of a message that has begun, and lifts it when none has. It is a new one for each
    /// message; control frames in between do not move it.
    fn time_frame(&mut self) {
        if !self.reader.has_partial() {
            self.frame_due = None;
        } else if self.frame_due.is_none() {
            let due = self.worker.desk().now().after(self.limits.frame_wait);
            self.frame_due = Some(due);
            self.wish(due);
        }
    }

    /// Asks for a tick, unless one comes sooner.
    fn wish(&mut self, moment: Moment) {
        if moment < self.next_tick {
            self.next_tick = moment;
            self.worker.desk().wake_at(self.seat, moment);
        }
    }

    pub(super) fn tick(&mut self) {
        let now = self.worker.desk().now();
        if now < self.next_tick {
            return;
        }
        let mut effects = Vec::new();
        let mut next = self.session.tick(now, &mut effects);
        match self.frame_due {
            Some(due) if due <= now => {
                effects.push(Effect::Close(Close::abuse("unfinished frame")));
            }
            Some(due) => next = next.min(due),
            None => {}
        }
        self.carry_out(effects);
        self.next_tick = next;
        self.worker.desk().wake_at(self.seat, next);
    }
}
