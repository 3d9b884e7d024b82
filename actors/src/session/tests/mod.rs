//! The session's rules, one test each, with the exact frames.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test may stop"
)]

mod any_input;
mod connection;
mod members;
mod signin;
mod subscribe;
mod whisper;

use std::time::Duration;

use super::effect::{JoinRefusal, Refused};
use super::*;
use crate::protocol::sign::{Credential, signin_text, subscription_text};

/// The key and secret of protocol appendix A.
const KEY: &str = "278d425bdf160c739803";
const SECRET: &str = "7ad3773142a6692b25b8";
const SOCKET: SocketId = SocketId::new(1234, 1234);
/// The clock of protocol appendix A.
const UNIX: i64 = 1_353_088_179;

/// A session that has been opened, and what it wants written down as lines.
struct Client {
    session: Session,
    now: Now,
}

impl Client {
    /// Opens a session of an application with client events, as the conformance checks want it.
    fn open() -> Self {
        Self::with(|_, _| {})
    }

    fn with(change: impl FnOnce(&mut App, &mut NodeLimits)) -> Self {
        Self::of_library(ClientLibrary::Other, change)
    }

    fn of_library(client: ClientLibrary, change: impl FnOnce(&mut App, &mut NodeLimits)) -> Self {
        let mut app = App::new("3", Credential::new(KEY, SECRET));
        app.client_events = true;
        let mut limits = NodeLimits::default();
        change(&mut app, &mut limits);
        let now = Now { moment: Moment::since_start(Duration::from_secs(1000)), unix: UNIX };
        let opening = Opening {
            app: Arc::new(app),
            limits: Arc::new(limits),
            socket: SOCKET,
            client,
            now: now.moment,
        };
        let mut effects = Vec::new();
        let session = Session::open(opening, &mut effects);
        assert_eq!(effects.len(), 1);
        Self { session, now }
    }

    fn passes(&mut self, time: Duration) {
        self.now.moment = self.now.moment.after(time);
    }

    fn text(&mut self, text: &str) -> Vec<String> {
        let mut effects = Vec::new();
        self.session.text(text, self.now, &mut effects);
        lines(&effects)
    }

    fn binary(&mut self) -> Vec<String> {
        let mut effects = Vec::new();
        self.session.binary(self.now.moment, &mut effects);
        lines(&effects)
    }

    fn control(&mut self, frame: ControlFrame) -> Vec<String> {
        let mut effects = Vec::new();
        self.session.control(frame, self.now.moment, &mut effects);
        lines(&effects)
    }

    /// Ticks, and returns how long the session wants to be left alone as well.
    fn tick(&mut self) -> (Vec<String>, Duration) {
        let mut effects = Vec::new();
        let next = self.session.tick(self.now.moment, &mut effects);
        (lines(&effects), next.since(self.now.moment))
    }

    fn refused(&mut self, channel: &str, attempt: u32, cause: JoinRefusal) -> Vec<String> {
        let refused =
            Refused { channel: ChannelName::parse(channel, 164).unwrap(), attempt, cause };
        let mut effects = Vec::new();
        self.session.refused(&refused, &mut effects);
        lines(&effects)
    }

    fn channels(&self) -> Vec<&str> {
        self.session.channels().map(ChannelName::as_str).collect()
    }
}

/// Writes effects down: frames as their text, all else in a few words.
fn lines(effects: &[Effect]) -> Vec<String> {
    effects.iter().map(line).collect()
}

fn line(effect: &Effect) -> String {
    match effect {
        Effect::Send(frame) => String::from_utf8(frame.payload().to_vec()).unwrap(),
        Effect::ControlPing => "control ping".to_owned(),
        Effect::Subscribe(wanted) => match &wanted.member {
            Some(member) => format!("join {} as {} {}", wanted.channel, member.user, member.info),
            None => format!("join {}", wanted.channel),
        },
        Effect::Unsubscribe(channel) => format!("leave {channel}"),
        Effect::Resend(channel) => format!("resend {channel}"),
        Effect::Whisper(whisper) => {
            format!("whisper {} {} {}", whisper.channel, whisper.event, whisper.data)
        }
        Effect::SignIn(sign_in) => {
            let watched: Vec<_> = sign_in.watchlist.iter().map(UserId::as_str).collect();
            let payload = |reply: &Frame| String::from_utf8(reply.payload().to_vec()).unwrap();
            let replies: Vec<_> = sign_in.replies.iter().map(payload).collect();
            let replies = replies.join(" and ");
            format!("user {} watching {watched:?} told {replies}", sign_in.user)
        }
        Effect::Close(close) => format!("close {} {}", close.code, close.reason),
    }
}

/// A `pusher:error` without a code.
fn error(message: &str) -> String {
    let message = serde_json::to_string(message).unwrap();
    format!(r#"{{"event":"pusher:error","data":{{"code":null,"message":{message}}}}}"#)
}

/// The two frames of a refused subscription.
fn refusal(channel: &str, kind: &str, message: &str, status: u16) -> Vec<String> {
    let inner = format!(
        r#"{{"type":"{kind}","error":{},"status":{status}}}"#,
        serde_json::to_string(message).unwrap()
    );
    let data = serde_json::to_string(&inner).unwrap();
    let channel = serde_json::to_string(channel).unwrap();
    vec![
        format!(r#"{{"event":"pusher:subscription_error","channel":{channel},"data":{data}}}"#),
        error(message),
    ]
}

fn signature(text: &str) -> String {
    let signature = Credential::new(KEY, SECRET).sign(text.as_bytes());
    format!("{KEY}:{signature}")
}

/// `pusher:subscribe` with whatever `auth` and `channel_data` are given.
fn subscribe(channel: &str, auth: Option<&str>, channel_data: Option<&str>) -> String {
    let mut data = serde_json::json!({ "channel": channel });
    if let Some(auth) = auth {
        data["auth"] = auth.into();
    }
    if let Some(channel_data) = channel_data {
        data["channel_data"] = channel_data.into();
    }
    serde_json::json!({ "event": "pusher:subscribe", "data": data }).to_string()
}

/// `pusher:subscribe` with a signature that holds.
fn signed(channel: &str, channel_data: Option<&str>) -> String {
    let auth = signature(&subscription_text(SOCKET, channel, channel_data));
    subscribe(channel, Some(&auth), channel_data)
}

fn unsubscribe(channel: &str) -> String {
    serde_json::json!({ "event": "pusher:unsubscribe", "data": { "channel": channel } }).to_string()
}

fn signin(auth: &str, user_data: &str) -> String {
    let data = serde_json::json!({ "auth": auth, "user_data": user_data });
    serde_json::json!({ "event": "pusher:signin", "data": data }).to_string()
}

/// `pusher:signin` with a signature that holds.
fn signed_in(user_data: &str) -> String {
    signin(&signature(&signin_text(SOCKET, user_data)), user_data)
}
