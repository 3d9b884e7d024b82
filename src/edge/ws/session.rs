//! One WebSocket connection: the actor that pumps between a socket and its [`Session`].
//!
//! Owns the socket, the frame reader and the session's rules; shares the outbox with its thread's
//! courier. Started by [`super::upgrade`] on the worker that accepted the connection. By mailbox it is
//! told of time and of refused subscriptions only: one message at most for each thing it asked for.
//! Frames reach the socket by the outbox. It ends when the socket does, or when a Close has been
//! answered or waited for.

use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, AsyncContext as _, Context, Handler};
use bytes::{Bytes, BytesMut};
use micronotifier_actors::clock::Moment;
use micronotifier_actors::protocol::{ErrorCode, Frame, SocketId};
use micronotifier_actors::session::effect::Effect;
use micronotifier_actors::session::{ClientLibrary, Now, Opening, Session};
use micronotifier_actors::{NodeError, Notice, Outbox, Seat, Worker};

use super::admission::Admitted;
use super::control;
use super::frame::FrameReader;
use super::pump::Pump;
use super::stream::Stream;
use crate::edge::{WallClock, sighting};

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
    pub(super) session: Session,
    pub(super) reader: FrameReader,
    pub(super) typed: Rc<Outbox<S>>,
    pub(super) outbox: Rc<Outbox>,
    pub(super) seat: Seat,
    pub(super) worker: Worker,
    pub(super) limits: Arc<micronotifier_actors::limits::NodeLimits>,
    wall: WallClock,
    /// Bytes that have arrived and are not taken in yet.
    pub(super) held: Option<BytesMut>,
    /// When the unfinished message must be whole.
    pub(super) frame_due: Option<Moment>,
    /// The tick that counts; earlier wishes may still fire.
    pub(super) next_tick: Moment,
    /// The client has sent its Close: nothing more is read.
    pub(super) peer_closed: bool,
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
            sighting::opened(worker.tap(), &app, socket);
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

    pub(super) fn now(&self) -> Now {
        Now { moment: self.worker.desk().now(), unix: self.wall.unix_now() }
    }

    // --- effects --------------------------------------------------------------------------------

    pub(super) fn carry_out(&mut self, mut effects: Vec<Effect>) {
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
            Effect::Send(frame) => {
                let (app, socket) = (self.session.app(), self.session.socket());
                sighting::trouble(self.worker.tap(), app, socket, &frame);
                desk.send(&self.outbox, frame);
            }
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
        sighting::ended(self.worker.tap(), app, self.seat.socket(), self.outbox.close_code());
        for channel in self.session.channels() {
            self.worker.leave(app, self.seat, channel.clone());
        }
        if self.session.user().is_some() {
            self.worker.sign_out(app, self.seat);
        }
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
