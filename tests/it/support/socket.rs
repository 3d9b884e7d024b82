//! A Pusher client written by hand: says anything, expects exactly.

use std::io::Write as _;

use serde_json::{Value, json};

use super::apps::TestApp;
use super::expect::Incoming;
use super::frame::{self, CLOSE, TEXT};
use super::http::{Answer, Connection};
use super::stream::{Stream, is_end};

/// One WebSocket connection.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) stream: Stream,
    pub(crate) app: TestApp,
    /// The socket id, once established.
    pub(crate) id: String,
    pub(super) buffer: Vec<u8>,
}

/// Returns the head of an upgrade request, with further headers.
pub(crate) fn upgrade_request(target: &str, headers: &[(&str, &str)]) -> String {
    let mut request = format!(
        "GET {target} HTTP/1.1\r\nHost: node\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    );
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request
}

/// Returns where pusher-js connects.
pub(crate) fn target(app: TestApp) -> String {
    format!("/app/{}?protocol=7&client=js&version=8.6.0&flash=false", app.key)
}

impl Socket {
    /// Asks for an upgrade; the answer may be a refusal.
    pub(crate) fn try_upgrade(
        stream: Stream,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, Answer> {
        let mut connection = Connection::new(stream);
        connection.send(upgrade_request(target, headers).as_bytes());
        Self::of_answer(connection)
    }

    /// Takes a stream on which an upgrade was asked for already.
    pub(crate) fn after_request(stream: Stream) -> Self {
        Self::of_answer(Connection::new(stream)).expect("101 Switching Protocols")
    }

    fn of_answer(mut connection: Connection) -> Result<Self, Answer> {
        let answer = connection.answer().expect("an answer");
        if answer.status != 101 {
            return Err(answer);
        }
        assert_eq!(
            answer.header("sec-websocket-accept"),
            Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            "RFC 6455, section 1.3"
        );
        let (stream, buffer) = connection.into_parts();
        Ok(Self { stream, app: super::apps::MAIN, id: String::new(), buffer })
    }

    /// Upgrades, or fails.
    pub(crate) fn upgrade(stream: Stream, target: &str, headers: &[(&str, &str)]) -> Self {
        Self::try_upgrade(stream, target, headers).expect("101 Switching Protocols")
    }

    /// Upgrades as pusher-js does and waits until the connection is established.
    pub(crate) fn establish(stream: Stream, app: TestApp) -> Self {
        let mut socket = Self::upgrade(stream, &target(app), &[]);
        socket.app = app;
        socket.established();
        socket
    }

    /// Expects the first frame and takes the socket id from it; returns its data.
    pub(crate) fn established(&mut self) -> Value {
        let frame = self.expect_event("pusher:connection_established");
        assert!(frame.get("channel").is_none(), "{frame}");
        let data = frame["data"].clone();
        data["socket_id"].as_str().expect("a text").clone_into(&mut self.id);
        data
    }

    /// Sends any bytes.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends any bytes to a server that may have ended the connection; tells whether it took them.
    pub(crate) fn offer_bytes(&mut self, bytes: &[u8]) -> bool {
        match self.stream.write_all(bytes) {
            Ok(()) => true,
            Err(error) if is_end(&error) => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// Sends a text message.
    pub(crate) fn send_text(&mut self, text: &str) {
        self.send_bytes(&frame::message(TEXT, text.as_bytes()));
    }

    /// Sends a JSON message.
    pub(crate) fn send(&mut self, message: &Value) {
        self.send_text(&message.to_string());
    }

    /// Asks to subscribe with any data.
    pub(crate) fn ask_subscribe(&mut self, data: &Value) {
        self.send(&json!({"event": "pusher:subscribe", "data": data}));
    }

    /// Subscribes to a channel of any kind but presence, signed where it must be, and waits for success.
    pub(crate) fn subscribe(&mut self, channel: &str) {
        let auth = if channel.starts_with("private-") {
            self.app.auth(&self.id, channel)
        } else {
            String::new()
        };
        self.ask_subscribe(&json!({"channel": channel, "auth": auth}));
        self.expect_subscribed(channel);
    }

    /// Subscribes to a public channel after many others, each taken back at once; nothing stays unanswered.
    pub(crate) fn subscribe_among_taken_back(&mut self, channel: &str) {
        for index in 0..100 {
            let name = format!("{channel}-{index}");
            self.ask_subscribe(&json!({ "channel": name }));
            self.unsubscribe(&name);
        }
        self.ask_subscribe(&json!({ "channel": channel }));
        while self.expect_event("pusher_internal:subscription_succeeded")["channel"] != channel {}
    }

    /// Asks to join a presence channel with this `channel_data`.
    pub(crate) fn ask_join(&mut self, channel: &str, channel_data: &str) {
        let auth = self.app.auth_with(&self.id, channel, channel_data);
        self.ask_subscribe(
            &json!({"channel": channel, "auth": auth, "channel_data": channel_data}),
        );
    }

    /// Joins a presence channel as a user without further information; returns `presence` of the snapshot.
    pub(crate) fn join(&mut self, channel: &str, user: &str) -> Value {
        self.ask_join(channel, &json!({"user_id": user}).to_string());
        self.expect_joined(channel)
    }

    /// Leaves a channel.
    pub(crate) fn unsubscribe(&mut self, channel: &str) {
        self.send(&json!({"event": "pusher:unsubscribe", "data": {"channel": channel}}));
    }

    /// Sends a client event.
    pub(crate) fn whisper(&mut self, channel: &str, event: &str, data: &Value) {
        self.send(&json!({"event": event, "channel": channel, "data": data}));
    }

    /// Asks to sign in with this `user_data`.
    pub(crate) fn ask_sign_in(&mut self, user_data: &str) {
        let auth = self.app.signin_auth(&self.id, user_data);
        self.send(
            &json!({"event": "pusher:signin", "data": {"auth": auth, "user_data": user_data}}),
        );
    }

    /// Signs in as a user and waits for success.
    pub(crate) fn sign_in(&mut self, user: &str) {
        let user_data = json!({ "id": user }).to_string();
        self.ask_sign_in(&user_data);
        self.expect(json!({"event": "pusher:signin_success", "data": {"user_data": user_data}}));
    }

    /// Signs in as a user who watches others; what the watcher is told of them is yet to come.
    pub(crate) fn sign_in_watching(&mut self, user: &str, watchlist: &[&str]) {
        self.ask_sign_in(&json!({"id": user, "watchlist": watchlist}).to_string());
        self.expect_event("pusher:signin_success");
    }

    /// Closes as a browser does, and waits for the end.
    pub(crate) fn close(mut self) {
        self.send_bytes(&frame::message(CLOSE, &frame::close_payload(1000, "")));
        assert_eq!(self.next(), Incoming::Close(Some(1000), String::new()));
        assert_eq!(self.next(), Incoming::End);
    }

    /// Vanishes: the connection is cut without a word.
    pub(crate) fn cut(self) {
        self.stream.cut_on_close();
    }
}
