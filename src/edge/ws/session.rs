//! One WebSocket connection: the actor that pumps between a socket and its [`Session`].
//!
//! Owns the socket, the frame reader and the session's rules; shares the outbox with its thread's
//! courier. Started by [`super::upgrade`] on the worker that accepted the connection. By mailbox it is
//! told of time and of refused subscriptions only: one message at most for each thing it asked for.
//! Frames reach the socket by the outbox. It ends when the socket does, or when a Close has been
//! answered or waited for.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use actix::fut::ActorFuture;
use actix::{Actor, ActorContext as _, AsyncContext as _, Context, Handler};
use bytes::{Buf as _, Bytes, BytesMut};
use micronotifier_actors::clock::Moment;
use micronotifier_actors::protocol::{ErrorCode, Frame, SocketId};
use micronotifier_actors::session::effect::{Close, Effect};
use micronotifier_actors::session::{ClientLibrary, ControlFrame, Now, Opening, Session};
use micronotifier_actors::{Ending, NodeError, Notice, Outbox, Seat, Worker};

use super::admission::Admitted;
use super::control;
use super::frame::{FrameError, FrameLimits, FrameReader, Incoming, Input};
use super::stream::Stream;
use crate::edge::WallClock;

/// Bytes read from a socket at once. One buffer serves all sockets of a thread.
const SCRATCH: usize = 16 * 1024;
/// Reads of one socket before others have their turn.
const READS_PER_TURN: usize = 4;

thread_local! {
    static SCRATCH_BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH]);
}

/// What a connection starts from.
pub(super) struct Accepted {
    pub(super) app: Arc<micronotifier_actors::config::App>,
    pub(super) limits: Arc<micronotifier_actors::limits::NodeLimits>,
    pub(super) client: ClientLibrary,
    pub(super) worker: Worker,
    pub(super) wall: WallClock,
    pub(super) admitted: Admitted,
    /// The `101` that has not been sent yet.
    pub(super) handshake: Bytes,
    /// Bytes that arrived behind the request.
    pub(super) early: BytesMut,
}

/// See the module.
pub(super) struct WsSession<S: Stream> {
    session: Session,
    reader: FrameReader,
    typed: Rc<Outbox<S>>,
    outbox: Rc<Outbox>,
    seat: Seat,
    worker: Worker,
    limits: Arc<micronotifier_actors::limits::NodeLimits>,
    wall: WallClock,
    /// Bytes that have arrived and are not taken in yet.
    held: Option<BytesMut>,
    /// When the unfinished message must be whole.
    frame_due: Option<Moment>,
    /// The tick that counts; earlier wishes may still fire.
    next_tick: Moment,
    /// The client has sent its Close: nothing more is read.
    peer_closed: bool,
    _admitted: Admitted,
}

impl<S: Stream> WsSession<S> {
    /// Starts the actor on this thread.
    pub(super) fn start_on(stream: S, socket: SocketId, accepted: Accepted) {
        Self::create(move |ctx| {
            let Accepted { app, limits, client, worker, wall, admitted, handshake, early } =
                accepted;
            let metrics = worker.metrics().of(&app.id);
            let notices = ctx.address().recipient();
            let typed = Rc::new(Outbox::new(socket, stream, notices, metrics));
            let outbox: Rc<Outbox> = typed.clone();
            let seat = worker.desk().open(Rc::clone(&outbox));
            let now = worker.desk().now();
            worker.desk().send_control(&outbox, handshake);
            let mut effects = Vec::new();
            let opening = Opening { app, limits: Arc::clone(&limits), socket, client, now };
            let mut actor = Self {
                session: Session::open(opening, &mut effects),
                reader: FrameReader::new(),
                typed,
                outbox,
                seat,
                worker,
                limits,
                wall,
                held: (!early.is_empty()).then_some(early),
                frame_due: None,
                next_tick: now,
                peer_closed: false,
                _admitted: admitted,
            };
            actor.carry_out(effects);
            actor
        });
    }

    fn now(&self) -> Now {
        Now { moment: self.worker.desk().now(), unix: self.wall.unix_now() }
    }

    // --- effects --------------------------------------------------------------------------------

    fn carry_out(&mut self, mut effects: Vec<Effect>) {
        let mut more = Vec::new();
        while !effects.is_empty() {
            for effect in effects.drain(..) {
                self.carry_out_one(effect, &mut more);
            }
            std::mem::swap(&mut effects, &mut more);
        }
    }

    fn carry_out_one(&mut self, effect: Effect, more: &mut Vec<Effect>) {
        let desk = self.worker.desk();
        match effect {
            Effect::Send(frame) => desk.send(&self.outbox, frame),
            Effect::ControlPing => desk.send_control(&self.outbox, control::ping(&[])),
            Effect::Close(close) => desk.end(&self.outbox, &close),
            Effect::Whisper(whisper) => {
                if self.worker.whisper(self.session.app(), self.seat, whisper).is_err() {
                    let busy = "Client event rejected: the node is busy";
                    desk.send(&self.outbox, Frame::error(None, busy));
                }
            }
            Effect::Resend(channel) => {
                self.worker.resend(self.session.app(), self.seat, channel);
            }
            Effect::Subscribe(_) | Effect::Unsubscribe(_) | Effect::SignIn(_) => {
                if self.command(effect).is_err() {
                    self.session.close(ErrorCode::OverCapacity, "Over capacity", more);
                }
            }
        }
    }

    /// Sends a command that is answered.
    fn command(&self, effect: Effect) -> Result<(), NodeError> {
        let (app, seat) = (self.session.app(), self.seat);
        match effect {
            Effect::Subscribe(subscription) => self.worker.subscribe(app, seat, subscription)?,
            Effect::Unsubscribe(channel) => self.worker.unsubscribe(app, seat, channel),
            Effect::SignIn(sign_in) => self.worker.sign_in(app, seat, sign_in)?,
            _ => return Ok(()),
        }
        self.outbox.command_sent();
        Ok(())
    }

    // --- socket ---------------------------------------------------------------------------------

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
            let (code, reason) = (close.map_or(1000, |close| close.code), "");
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
        self.worker.desk().end(&self.outbox, &close);
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

    fn tick(&mut self) {
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

// === Lifecycle ===

impl<S: Stream> Actor for WsSession<S> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.tick();
        ctx.spawn(Pump);
    }

    fn stopped(&mut self, _ctx: &mut Self::Context) {
        self.worker.desk().close(self.seat);
        let app = self.session.app();
        for channel in self.session.channels() {
            self.worker.leave(app, self.seat, channel.clone());
        }
        if self.session.user().is_some() {
            self.worker.sign_out(app, self.seat);
        }
    }
}

/// The resident future: runs whenever the socket or the outbox has something to do.
struct Pump;

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

// === Handlers ===

impl<S: Stream> Handler<Notice> for WsSession<S> {
    type Result = ();

    fn handle(&mut self, notice: Notice, _ctx: &mut Self::Context) {
        match notice {
            Notice::Tick => self.tick(),
            Notice::Refused(refused) => {
                let mut effects = Vec::new();
                self.session.refused(&refused, &mut effects);
                self.carry_out(effects);
            }
        }
    }
}
