//! What a client expects of its server, exactly.

use std::io::{ErrorKind, Read as _};
use std::time::Duration;

use serde_json::{Value, json};

use super::frame::{self, CLOSE, PING, PONG, TEXT};
use super::socket::Socket;
use super::stream::is_end;
use super::{DEADLINE, unique};

/// What a server sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Incoming {
    Text(String),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
    /// The connection ended without more.
    End,
}

impl Socket {
    /// Expects success of a presence subscription; returns `presence` of the snapshot.
    pub(crate) fn expect_joined(&mut self, channel: &str) -> Value {
        let frame = self.expect_event("pusher_internal:subscription_succeeded");
        assert_eq!(frame["channel"], channel);
        frame["data"]["presence"].clone()
    }

    /// Expects to be told of watched users: pairs of `online` or `offline` and their names.
    pub(crate) fn expect_watched(&mut self, events: &[(&str, &[&str])]) {
        let events: Vec<Value> =
            events.iter().map(|(name, users)| json!({"name": name, "user_ids": users})).collect();
        self.expect(json!({
            "event": "pusher_internal:watchlist_events", "data": {"events": events}
        }));
    }

    /// Waits for whatever comes next.
    pub(crate) fn next(&mut self) -> Incoming {
        loop {
            if let Some((opcode, payload)) = frame::take(&mut self.buffer) {
                return match opcode {
                    TEXT => Incoming::Text(String::from_utf8(payload).unwrap()),
                    PING => Incoming::Ping(payload),
                    PONG => Incoming::Pong(payload),
                    CLOSE => close_of(&payload),
                    other => panic!("the server sent opcode {other}"),
                };
            }
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Incoming::End,
                Ok(count) => self.buffer.extend(&chunk[..count]),
                Err(error) if is_end(&error) => return Incoming::End,
                Err(error) => panic!("nothing came in time: {error}"),
            }
        }
    }

    /// Waits for a text message and returns it as a value, its `data` parsed once.
    pub(crate) fn event(&mut self) -> Value {
        match self.next() {
            Incoming::Text(text) => {
                let frame: Value = serde_json::from_str(&text).expect("JSON");
                check_encoding(&frame);
                parsed_once(frame)
            }
            other => panic!("{other:?} instead of a message"),
        }
    }

    /// Expects exactly this message next; `data` may be given as text or as what the text holds.
    pub(crate) fn expect(&mut self, expected: Value) {
        assert_eq!(self.event(), parsed_once(expected));
    }

    /// Expects a message with this name next.
    pub(crate) fn expect_event(&mut self, name: &str) -> Value {
        let frame = self.event();
        assert_eq!(frame["event"], name, "{frame}");
        frame
    }

    /// Expects success of a subscription that is not a presence channel's.
    pub(crate) fn expect_subscribed(&mut self, channel: &str) {
        self.expect(json!({
            "event": "pusher_internal:subscription_succeeded", "channel": channel, "data": "{}"
        }));
    }

    /// Expects `pusher:error` next; returns its message.
    pub(crate) fn expect_error(&mut self, code: Option<u16>) -> String {
        let frame = self.expect_event("pusher:error");
        assert_eq!(frame["data"]["code"], json!(code), "{frame}");
        frame["data"]["message"].as_str().expect("a text").to_owned()
    }

    /// Expects a refused subscription: the channel's own error and then `pusher:error`; returns the message.
    pub(crate) fn expect_refused(&mut self, channel: &str, kind: &str, status: u16) -> String {
        let frame = self.expect_event("pusher:subscription_error");
        assert_eq!(frame["channel"], channel, "{frame}");
        assert_eq!(frame["data"]["type"], kind, "{frame}");
        assert_eq!(frame["data"]["status"], status, "{frame}");
        let message = self.expect_error(None);
        assert_eq!(frame["data"]["error"], message.as_str());
        message
    }

    /// Expects a Close with this code next, answers it, and expects the end; returns the reason.
    pub(crate) fn expect_close(&mut self, code: u16) -> String {
        match self.next() {
            Incoming::Close(Some(seen), reason) if seen == code => {
                assert!(reason.len() <= 123, "RFC 6455, section 5.5");
                self.offer_bytes(&frame::message(CLOSE, &frame::close_payload(code, "")));
                assert_eq!(self.next(), Incoming::End);
                reason
            }
            other => panic!("{other:?} instead of a Close {code}"),
        }
    }

    /// Expects `pusher:error` with this code and then a Close with the same code and text; returns the text.
    pub(crate) fn expect_rejection(&mut self, code: u16) -> String {
        let message = self.expect_error(Some(code));
        assert_eq!(self.expect_close(code), message);
        message
    }

    /// Skips messages until a Close with this code, and expects the end.
    pub(crate) fn expect_close_after_anything(&mut self, code: u16) {
        loop {
            match self.next() {
                Incoming::Close(seen, _) => {
                    assert_eq!(seen, Some(code));
                    return;
                }
                Incoming::End => panic!("the end without a Close {code}"),
                _ => {}
            }
        }
    }

    /// Expects the end, after whatever was under way.
    pub(crate) fn expect_end(&mut self) {
        while self.next() != Incoming::End {}
    }

    /// Proves that the socket lives and that nothing waits for it: the next thing is the pong of a ping.
    pub(crate) fn expect_silence(&mut self) {
        self.send(&json!({"event": "pusher:ping", "data": {}}));
        self.expect(json!({"event": "pusher:pong", "data": "{}"}));
        let marker = unique("marker").into_bytes();
        self.send_bytes(&frame::message(PING, &marker));
        assert_eq!(self.next(), Incoming::Pong(marker));
    }

    /// Waits this long and fails if anything comes.
    pub(crate) fn expect_nothing_for(&mut self, wait: Duration) {
        assert_eq!(self.buffer, b"", "something waits already");
        self.stream.wait_at_most(wait);
        let mut byte = [0; 1];
        match self.stream.read(&mut byte) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Ok(0) => panic!("the connection ended"),
            Ok(_) => panic!("something came"),
            Err(error) => panic!("{error}"),
        }
        self.stream.wait_at_most(DEADLINE);
    }
}

fn close_of(payload: &[u8]) -> Incoming {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        assert!(payload.is_empty(), "a Close of one byte");
        return Incoming::Close(None, String::new());
    };
    let reason = String::from_utf8(reason.to_vec()).unwrap();
    Incoming::Close(Some(u16::from_be_bytes(*code)), reason)
}

/// Holds every frame to the universal encoding rule (protocol section 0.3).
fn check_encoding(frame: &Value) {
    assert!(frame["event"].is_string(), "{frame}");
    if frame["event"] == "pusher:error" {
        assert!(frame["data"].is_object(), "{frame}");
        assert!(frame.get("channel").is_none(), "{frame}");
    } else {
        assert!(frame["data"].is_string(), "{frame}");
    }
    if let Some(channel) = frame.get("channel") {
        assert!(channel.as_str().is_some_and(|name| !name.is_empty()), "{frame}");
    }
    if let Some(user) = frame.get("user_id") {
        assert!(user.is_string(), "{frame}");
    }
}

/// Replaces a `data` text that holds JSON by what it holds.
fn parsed_once(mut frame: Value) -> Value {
    if let Some(Ok(inner)) = frame["data"].as_str().map(serde_json::from_str) {
        frame["data"] = inner;
    }
    frame
}
