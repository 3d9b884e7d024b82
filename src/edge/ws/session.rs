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
use micronotifier_actors::mailbox::Letter;
use micronotifier_actors::protocol::{ErrorCode, Frame, SocketId};
use micronotifier_actors::session::effect::{Close, Effect};
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
            Effect::Send(frame) => self.tell(frame),
            Effect::ControlPing => desk.send_control(&self.outbox, control::ping(&[])),
            Effect::Close(close) => self.end(&close),
            Effect::Whisper(whisper) => {
                if self.worker.whisper(self.session.app(), self.seat, whisper).is_ok() {
                    self.outbox.metrics().client_events.add(1);
                } else {
                    let busy = "Client event rejected: the node is busy";
                    self.tell(Frame::error(None, busy));
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

    /// Sends a frame that is meant for this client alone.
    fn tell(&self, frame: Frame) {
        let (app, socket) = (self.session.app(), self.session.socket());
        sighting::trouble(self.worker.tap(), app, socket, &frame);
        self.worker.desk().send(&self.outbox, frame);
    }

    /// Ends the connection from this side.
    pub(super) fn end(&self, close: &Close) {
        log::debug!(socket:% = self.outbox.socket(), code = close.code, reason = close.reason; "closing a connection");
        self.worker.desk().end(&self.outbox, close);
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
        log::debug!(socket:% = self.outbox.socket(), app = app.id.as_str(); "disconnected");
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

impl<S: Stream> Handler<Letter<Notice>> for WsSession<S> {
    type Result = ();

    fn handle(&mut self, notice: Letter<Notice>, _ctx: &mut Self::Context) {
        let (notice, taken) = self.worker.desk().open_notice(&self.outbox, notice);
        match notice {
            Notice::Tick => self.tick(),
            Notice::Refused(refused) => {
                let mut effects = Vec::new();
                self.session.refused(&refused, &mut effects);
                self.carry_out(effects);
            }
        }
        self.worker.desk().done(taken);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

    use std::io::{self, IoSlice};
    use std::task::{Context as TaskContext, Poll};

    use micronotifier_actors::config::{App, Apps, NodeConfig};
    use micronotifier_actors::protocol::sign::Credential;
    use micronotifier_actors::session::effect::Close;
    use micronotifier_actors::{Node, Wire};

    use super::super::admission::Admission;
    use super::*;

    /// A socket at whose first read something goes wrong.
    struct Trap;

    impl Wire for Trap {
        fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            Ok(slices.iter().map(|slice| slice.len()).sum())
        }

        fn flush(&self) -> io::Result<bool> {
            Ok(true)
        }

        fn close_frame(&self, _close: &Close) -> Bytes {
            Bytes::new()
        }
    }

    impl Stream for Trap {
        const SECURE: bool = false;

        fn read(&self, _buffer: &mut [u8]) -> io::Result<usize> {
            panic!("sprung")
        }

        fn poll_readable(&self, _cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_writable(&self, _cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[actix_rt::test]
    async fn a_session_that_panics_costs_its_connection_and_is_counted() {
        let app = App::new("1", Credential::new("k", "s"));
        let node = Node::start(NodeConfig::new(Apps::new([app]))).handle();
        let worker = node.attach_worker().unwrap();
        let admission = Admission::new(node.limits(), node.apps());
        WsSession::start_on(
            Trap,
            SocketId::new(1, 1),
            Accepted {
                app: Arc::clone(node.apps().by_id("1").unwrap()),
                limits: Arc::new(node.limits().clone()),
                client: ClientLibrary::default(),
                worker,
                wall: WallClock::System,
                admitted: admission.admit(None).unwrap(),
                handshake: Bytes::new(),
                early: BytesMut::new(),
            },
        );
        let ended = &node.metrics().ended.sessions;
        let gone = async {
            while ended.panicked.get() == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), gone).await.unwrap();
        assert_eq!(ended.by_cause(), [("done", 0), ("evicted", 0), ("panicked", 1)]);
        assert_eq!(node.metrics().actors.sessions.get(), 0);
        assert_eq!(admission.connections(), 0);
    }
}
