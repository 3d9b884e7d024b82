//! What a subscriber does with what a server sends: answers, lines to print, and when to come back. No input or output here.

use std::time::Duration;

use micronotifier_actors::protocol::sign::{Credential, subscription_text};
use micronotifier_actors::protocol::{ChannelKind, SocketId};
use serde_json::{Value, json};

use crate::visible::{visible, visible_json};

/// Asks for a sign of life.
pub(super) const PING: &str = r#"{"event":"pusher:ping","data":{}}"#;
/// Gives one.
pub(super) const PONG: &str = r#"{"event":"pusher:pong","data":{}}"#;
/// Longest wait before the next attempt.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What is to be done, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Send a message.
    Send(String),
    /// Print a line on standard output.
    Print(String),
    /// Print a line on standard error.
    Note(String),
    /// The server refused every channel: end.
    GiveUp,
}

/// Who joins presence channels.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) info: Option<Value>,
}

/// One connection's side of the protocol.
#[derive(Debug)]
pub(super) struct Follower {
    credential: Credential,
    channels: Vec<String>,
    member: Option<Member>,
    as_json: bool,
    refused: Vec<String>,
    established: bool,
    activity_timeout: Duration,
    /// The code of the last error: some servers close without one.
    last_error: Option<u16>,
}

impl Follower {
    /// Takes what is to be followed.
    ///
    /// # Errors
    /// A text, if a channel needs what is not there.
    pub(super) fn new(
        credential: Credential,
        channels: Vec<String>,
        member: Option<Member>,
        as_json: bool,
    ) -> Result<Self, String> {
        for channel in &channels {
            match ChannelKind::of(channel) {
                ChannelKind::ServerToUser => {
                    return Err(format!(
                        "{channel}: only a signed-in user gets it; listen does not sign in"
                    ));
                }
                kind if kind.capabilities().members && member.is_none() => {
                    return Err(format!("{channel}: a presence channel needs --user"));
                }
                _ => {}
            }
        }
        Ok(Self {
            credential,
            channels,
            member,
            as_json,
            refused: Vec::new(),
            established: false,
            activity_timeout: Duration::from_mins(2),
            last_error: None,
        })
    }

    /// Begins a connection: nothing of the one before counts.
    pub(super) fn reset(&mut self) {
        self.refused.clear();
        self.established = false;
        self.last_error = None;
    }

    /// Tells whether the server has taken the connection.
    pub(super) const fn is_established(&self) -> bool {
        self.established
    }

    /// Returns the silence after which the server is asked for a sign of life.
    pub(super) const fn activity_timeout(&self) -> Duration {
        self.activity_timeout
    }

    /// Returns the code of the last `pusher:error`.
    pub(super) const fn last_error(&self) -> Option<u16> {
        self.last_error
    }

    /// Takes one text message of the server.
    pub(super) fn on_message(&mut self, text: &str) -> Vec<Action> {
        let Ok(message) = serde_json::from_str::<Value>(text) else {
            return vec![Action::Note(format!("not JSON: {}", visible(text)))];
        };
        let field = |name: &str| message.get(name).and_then(Value::as_str).unwrap_or_default();
        let (event, channel) = (field("event"), field("channel"));
        let data = message.get("data").cloned().unwrap_or(Value::Null);
        match event {
            "pusher:ping" => vec![Action::Send(PONG.to_owned())],
            "pusher:pong" => Vec::new(),
            "pusher:connection_established" => self.subscribe_all(&object(&data)),
            "pusher:error" => self.on_error(&object(&data)),
            "pusher:subscription_error" => self.on_refusal(channel, &object(&data)),
            "pusher_internal:subscription_succeeded" => {
                vec![Action::Note(format!("subscribed to {}", visible(channel)))]
            }
            _ => vec![Action::Print(self.line(channel, event, &data))],
        }
    }

    fn subscribe_all(&mut self, data: &Value) -> Vec<Action> {
        let socket = data.get("socket_id").and_then(Value::as_str).and_then(SocketId::parse);
        let Some(socket) = socket else {
            return vec![Action::Note("the server gave no socket id".to_owned()), Action::GiveUp];
        };
        if let Some(seconds) = data.get("activity_timeout").and_then(Value::as_u64) {
            self.activity_timeout = Duration::from_secs(seconds.clamp(1, 3600));
        }
        self.established = true;
        let mut actions = vec![Action::Note(format!("connected as {socket}"))];
        actions.extend(self.channels.iter().map(|channel| {
            let member = self.member.as_ref();
            Action::Send(subscription(&self.credential, socket, channel, member))
        }));
        actions
    }

    fn on_error(&mut self, data: &Value) -> Vec<Action> {
        let code =
            data.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
        self.last_error = code.or(self.last_error);
        let message = data.get("message").and_then(Value::as_str).unwrap_or("no reason given");
        let code = code.map(|code| format!(" {code}")).unwrap_or_default();
        vec![Action::Note(format!("error{code}: {}", visible(message)))]
    }

    fn on_refusal(&mut self, channel: &str, data: &Value) -> Vec<Action> {
        let cause = data.get("error").and_then(Value::as_str).unwrap_or("no reason given");
        let mut actions =
            vec![Action::Note(format!("{}: refused: {}", visible(channel), visible(cause)))];
        if !self.refused.iter().any(|refused| refused == channel) {
            self.refused.push(channel.to_owned());
        }
        if self.channels.iter().all(|channel| self.refused.contains(channel)) {
            actions.push(Action::GiveUp);
        }
        actions
    }

    fn line(&self, channel: &str, event: &str, data: &Value) -> String {
        if self.as_json {
            let line = json!({ "channel": channel, "event": event, "data": data });
            return visible_json(&line.to_string());
        }
        let data = match data {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let channel = if channel.is_empty() { "-" } else { channel };
        format!("{} {} {}", visible(channel), visible(event), visible(&data))
    }
}

/// Returns the message that subscribes a connection to a channel, signed if the channel needs it (protocol section 3.3).
/// `member` is told to presence channels alone.
pub(super) fn subscription(
    credential: &Credential,
    socket: SocketId,
    channel: &str,
    member: Option<&Member>,
) -> String {
    let capabilities = ChannelKind::of(channel).capabilities();
    let mut data = json!({ "channel": channel });
    let member = member.filter(|_| capabilities.members);
    let channel_data = member.map(|member| {
        let mut text = json!({ "user_id": member.id });
        if let (Some(info), Some(fields)) = (&member.info, text.as_object_mut()) {
            fields.insert("user_info".to_owned(), info.clone());
        }
        text.to_string()
    });
    if let Some(fields) = data.as_object_mut() {
        if capabilities.signed {
            let text = subscription_text(socket, channel, channel_data.as_deref());
            let signature = credential.sign(text.as_bytes());
            fields.insert("auth".to_owned(), json!(format!("{}:{signature}", credential.key())));
        }
        if let Some(channel_data) = channel_data {
            fields.insert("channel_data".to_owned(), json!(channel_data));
        }
    }
    json!({ "event": "pusher:subscribe", "data": data }).to_string()
}

/// Data comes as an object, or as a text that holds one (protocol section 0.3).
pub(super) fn object(data: &Value) -> Value {
    match data {
        Value::String(text) => serde_json::from_str(text).unwrap_or(Value::Null),
        other => other.clone(),
    }
}

/// Returns how long to wait before the next attempt; `None` = do not come back.
///
/// By the close code (protocol section 1.3); `failures` are the attempts in a row that led nowhere.
pub(super) fn wait_after(code: Option<u16>, failures: u32) -> Option<Duration> {
    let longer = Duration::from_secs(u64::from(failures).saturating_mul(u64::from(failures)));
    let least = match code {
        Some(4000..=4099 | 4300..) => return None,
        Some(4200..=4299) => Duration::ZERO,
        _ => Duration::from_secs(1),
    };
    Some(longer.clamp(least, LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "a test may stop"
    )]

    use super::*;

    const ESTABLISHED: &str = r#"{"event":"pusher:connection_established","data":"{\"socket_id\":\"1234.1234\",\"activity_timeout\":7}"}"#;

    fn follower(channels: &[&str], as_json: bool) -> Follower {
        let credential = Credential::new("278d425bdf160c739803", "7ad3773142a6692b25b8");
        let member = Member { id: "10".to_owned(), info: Some(json!({"name": "Ann"})) };
        let channels = channels.iter().map(|channel| (*channel).to_owned()).collect();
        Follower::new(credential, channels, Some(member), as_json).unwrap()
    }

    #[test]
    fn subscribes_with_the_signatures_of_the_specification() {
        let mut follower = follower(&["open", "private-foobar", "presence-x"], false);
        let sent: Vec<Value> = follower
            .on_message(ESTABLISHED)
            .iter()
            .filter_map(|action| match action {
                Action::Send(text) => serde_json::from_str(text).ok(),
                _ => None,
            })
            .collect();
        assert!(follower.is_established());
        assert_eq!(follower.activity_timeout(), Duration::from_secs(7));
        assert_eq!(sent.len(), 3);
        assert_eq!(sent[0]["data"], json!({"channel": "open"}));
        // Appendix A, first vector.
        assert_eq!(
            sent[1]["data"]["auth"],
            "278d425bdf160c739803:58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4"
        );
        let channel_data = sent[2]["data"]["channel_data"].as_str().unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(channel_data).unwrap(),
            json!({"user_id": "10", "user_info": {"name": "Ann"}})
        );
        let socket = SocketId::new(1234, 1234);
        let text = subscription_text(socket, "presence-x", Some(channel_data));
        let auth = sent[2]["data"]["auth"].as_str().unwrap();
        let (_, signature) = auth.split_once(':').unwrap();
        assert!(follower.credential.verifies(&[text.as_bytes()], signature));
    }

    #[test]
    fn prints_one_line_for_an_event() {
        let event = r#"{"event":"e","channel":"c","data":"{\"a\":\"\u001b[2J\n\"}"}"#;
        assert_eq!(
            follower(&["c"], false).on_message(event),
            [Action::Print("c e {\"a\":\"\\u{1b}[2J\\u{a}\"}".to_owned())]
        );
        let actions = follower(&["c"], true).on_message(event);
        let [Action::Print(line)] = actions.as_slice() else {
            panic!("{actions:?}");
        };
        assert_eq!(
            serde_json::from_str::<Value>(line).unwrap(),
            json!({"channel": "c", "event": "e", "data": "{\"a\":\"\u{1b}[2J\n\"}"})
        );
    }

    #[test]
    fn nothing_that_works_on_a_terminal_is_printed() {
        let text = "\u{9b}2J\u{7f}\u{202e}";
        let event = json!({"event": text, "channel": text, "data": {text: text}}).to_string();
        for as_json in [false, true] {
            let actions = follower(&["c"], as_json).on_message(&event);
            let [Action::Print(line)] = actions.as_slice() else {
                panic!("{actions:?}");
            };
            assert!(line.is_ascii() && !line.contains('\u{7f}'), "{line:?}");
        }
    }

    #[test]
    fn answers_pings_and_gives_up_when_nothing_is_left() {
        let mut follower = follower(&["private-a", "private-b"], false);
        assert_eq!(
            follower.on_message(r#"{"event":"pusher:ping","data":"{}"}"#),
            [Action::Send(r#"{"event":"pusher:pong","data":{}}"#.to_owned())]
        );
        let refusal = |channel: &str| {
            format!(
                r#"{{"event":"pusher:subscription_error","channel":"{channel}","data":{{"error":"no"}}}}"#
            )
        };
        assert!(!follower.on_message(&refusal("private-a")).contains(&Action::GiveUp));
        assert!(follower.on_message(&refusal("private-b")).contains(&Action::GiveUp));
    }

    #[test]
    fn a_presence_channel_needs_a_user() {
        let credential = Credential::new("k", "s");
        let error =
            Follower::new(credential, vec!["presence-a".to_owned()], None, false).unwrap_err();
        assert!(error.contains("--user"), "{error}");
    }

    #[test]
    fn comes_back_as_the_close_code_says() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (code, failures, expected) in [
            (Some(4001), 0, None),
            (Some(4099), 3, None),
            (Some(4300), 0, None),
            (Some(4100), 0, seconds(1)),
            (Some(4100), 3, seconds(9)),
            (Some(4200), 0, seconds(0)),
            (Some(4200), 2, seconds(4)),
            (Some(1001), 0, seconds(1)),
            (None, 0, seconds(1)),
            (None, 100, seconds(30)),
            (None, u32::MAX, seconds(30)),
        ] {
            assert_eq!(wait_after(code, failures), expected, "{code:?} {failures}");
        }
    }
}
