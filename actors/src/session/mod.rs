//! The rules of one connection: a message, a control frame or a tick goes in, effects come out.
//!
//! Sans-IO: no clock, no actor, no socket. The shell around a [`Session`] carries out the effects in
//! the order given, and drops the session once it has carried out an [`Effect::Close`].

mod auth;
pub mod effect;
mod heartbeat;
mod member;
mod rate;
mod refusal;
mod signin;
mod subscribe;
mod subscriptions;
#[cfg(test)]
mod tests;
mod whisper;

use std::sync::Arc;

use self::effect::{Close, Effect, Refused};
use self::heartbeat::{Beat, Heartbeat};
use self::rate::{SECOND, TEN_SECONDS, Window};
use self::refusal::{Complaint, Malformed};
use self::subscribe::SubscribeError;
use self::subscriptions::Subscriptions;
use crate::channel::Member;
use crate::clock::Moment;
use crate::config::App;
use crate::limits::NodeLimits;
use crate::protocol::message::ClientMessage;
use crate::protocol::{ChannelName, ErrorCode, Frame, SocketId, UserId};

/// What a connection begins with.
#[derive(Debug)]
pub struct Opening {
    /// The application whose key the client gave.
    pub app: Arc<App>,
    /// The limits of the node.
    pub limits: Arc<NodeLimits>,
    /// The connection's id.
    pub socket: SocketId,
    /// What the client says it is.
    pub client: ClientLibrary,
    /// The present.
    pub now: Moment,
}

/// The client libraries that are answered differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientLibrary {
    /// `pusher-websocket-dotnet`, which waits for a subscription error of its own.
    Dotnet,
    /// Every other one.
    #[default]
    Other,
}

impl ClientLibrary {
    /// Reads the `client` of a connection's query.
    pub fn of_query(client: &str) -> Self {
        if client == "pusher-dotnet-client" { Self::Dotnet } else { Self::Other }
    }
}

/// The present, as the two clocks tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// By the monotonic clock: for waits and rates.
    pub moment: Moment,
    /// Seconds since 1970: for credentials that end.
    pub unix: i64,
}

/// A WebSocket control frame that concerns liveness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlFrame {
    /// The client pinged; the pong is the transport's matter.
    Ping,
    /// The client answered a ping.
    Pong,
}

/// The state of one connection: about 216 bytes, and one small allocation per channel.
pub struct Session {
    app: Arc<App>,
    limits: Arc<NodeLimits>,
    socket: SocketId,
    client: ClientLibrary,
    heartbeat: Heartbeat,
    /// The client pings by control frame, so it understands them.
    uses_control: bool,
    /// When the connection ends unless it shows a signature before.
    authorize_by: Option<Moment>,
    /// Channels joined or being joined. The channel decides; until it refuses, they count as joined.
    subscriptions: Subscriptions,
    attempts: u32,
    signed_in: Option<Box<Member>>,
    /// The client subscribed to its user's own channel.
    hears_user: bool,
    whispers: Window,
    commands: Window,
    malformed: Window,
    controls: Window,
    ended: bool,
}

impl Session {
    /// Opens a session. `connection_established` is the first effect.
    pub fn open(opening: Opening, effects: &mut Vec<Effect>) -> Self {
        let Opening { app, limits, socket, client, now } = opening;
        // pusher-js refuses 0
        let activity_seconds = limits.activity_timeout.as_secs().max(1);
        effects.push(Effect::Send(Frame::connection_established(socket, activity_seconds)));
        let authorize_by =
            app.authorized_connections.then(|| now.after(limits.authorization_timeout));
        Self {
            app,
            limits,
            socket,
            client,
            heartbeat: Heartbeat::start(now),
            uses_control: false,
            authorize_by,
            subscriptions: Subscriptions::default(),
            attempts: 0,
            signed_in: None,
            hears_user: false,
            whispers: Window::default(),
            commands: Window::default(),
            malformed: Window::default(),
            controls: Window::default(),
            ended: false,
        }
    }

    /// Takes a text message.
    pub fn text(&mut self, text: &str, now: Now, effects: &mut Vec<Effect>) {
        if self.ended {
            return;
        }
        self.heartbeat.hear(now.moment);
        let Some(message) = ClientMessage::parse(text) else {
            return self.malformed(Malformed::Message, now.moment, effects);
        };
        match message.event.as_ref() {
            "pusher:ping" => effects.push(Effect::Send(Frame::pong())),
            "pusher:pong" => {}
            "pusher:subscribe" => {
                if self.admits_command(now.moment, effects) {
                    self.subscribe(&message, now, effects);
                }
            }
            "pusher:unsubscribe" => {
                if self.admits_command(now.moment, effects) {
                    self.unsubscribe(&message, now.moment, effects);
                }
            }
            "pusher:signin" => {
                if self.admits_command(now.moment, effects) {
                    self.sign_in(&message, now, effects);
                }
            }
            event if event.starts_with("client-") => self.whisper(&message, now.moment, effects),
            event => effects.push(refusal::complaint(&Complaint::UnknownEvent(event))),
        }
    }

    /// Takes a binary message, which the protocol has no use for.
    pub fn binary(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if self.ended {
            return;
        }
        self.heartbeat.hear(now);
        self.malformed(Malformed::Binary, now, effects);
    }

    /// Takes note of a control frame.
    pub fn control(&mut self, frame: ControlFrame, now: Moment, effects: &mut Vec<Effect>) {
        if self.ended {
            return;
        }
        self.heartbeat.hear(now);
        self.uses_control |= frame == ControlFrame::Ping;
        if self.controls.hit(now, SECOND) > self.limits.control_frames_per_second {
            effects.push(refusal::complaint(&Complaint::TooManyControlFrames));
            self.end(Close::abuse("Too many control frames"), effects);
        }
    }

    /// Does what is due by now and returns when to be called next. A call too early or too late does no harm.
    pub fn tick(&mut self, now: Moment, effects: &mut Vec<Effect>) -> Moment {
        if !self.ended {
            self.watch(now, effects);
        }
        if self.ended {
            return now.after(self.limits.activity_timeout);
        }
        let next = self.heartbeat.next(&self.limits);
        self.authorize_by.map_or(next, |deadline| next.min(deadline))
    }

    fn watch(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if self.authorize_by.is_some_and(|deadline| now >= deadline) {
            let reason = "Connection not authorized within timeout";
            return self.close(ErrorCode::Unauthorized, reason, effects);
        }
        match self.heartbeat.beat(now, &self.limits) {
            Beat::Rest => {}
            Beat::Ping if self.uses_control => effects.push(Effect::ControlPing),
            Beat::Ping => effects.push(Effect::Send(Frame::ping())),
            Beat::Lost => {
                let reason = "Pong reply not received in time";
                self.close(ErrorCode::PongTimeout, reason, effects);
            }
        }
    }

    /// Takes the news that a channel did not take a subscription. One that the client has replaced since stands.
    pub fn refused(&mut self, refused: &Refused, effects: &mut Vec<Effect>) {
        if self.ended {
            return;
        }
        let channel = refused.channel.as_str();
        self.subscriptions.remove_attempt(channel, refused.attempt);
        let cause = SubscribeError::Channel(refused.cause);
        refusal::subscription(&cause, channel, self.client, effects);
    }

    /// Ends the connection from this side: an error with the code, then a close with the same code.
    pub fn close(&mut self, code: ErrorCode, reason: &'static str, effects: &mut Vec<Effect>) {
        if self.ended {
            return;
        }
        effects.push(Effect::Send(Frame::error(Some(code), reason)));
        self.end(Close::pusher(code, reason), effects);
    }

    /// Returns the channels to leave when the connection ends; the user's own is not among them.
    pub fn channels(&self) -> impl Iterator<Item = &ChannelName> {
        self.subscriptions.iter()
    }

    /// Returns who is signed in.
    pub fn user(&self) -> Option<&UserId> {
        self.signed_in.as_deref().map(|member| &member.user)
    }

    /// Returns the application.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Returns the connection's id.
    pub fn socket(&self) -> SocketId {
        self.socket
    }

    fn malformed(&mut self, cause: Malformed, now: Moment, effects: &mut Vec<Effect>) {
        effects.push(refusal::malformed(cause));
        if self.malformed.hit(now, TEN_SECONDS) > self.limits.errors_per_ten_seconds {
            self.end(Close::abuse("Too many malformed messages"), effects);
        }
    }

    /// Tells whether the rate of commands allows one more. Who goes on at twice the rate is sent away.
    fn admits_command(&mut self, now: Moment, effects: &mut Vec<Effect>) -> bool {
        let limit = self.limits.commands_per_second;
        let count = self.commands.hit(now, SECOND);
        if count <= limit {
            return true;
        }
        effects.push(refusal::complaint(&Complaint::TooManyCommands));
        if count > limit.saturating_mul(2) {
            self.end(Close::abuse("Too many commands"), effects);
        }
        false
    }

    fn end(&mut self, close: Close, effects: &mut Vec<Effect>) {
        self.ended = true;
        effects.push(Effect::Close(close));
    }
}
