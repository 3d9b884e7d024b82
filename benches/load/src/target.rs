//! The application under load: its channels, and what its secret signs.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest as _, Md5};
use serde_json::json;
use sha2::Sha256;

use crate::options::Options;

pub(crate) struct Target {
    app: String,
    key: String,
    mac: Hmac<Sha256>,
    prefix: String,
    pub(crate) channels: usize,
    /// Channels of each socket.
    subscriptions: usize,
}

impl Target {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104, section 2)")]
    pub(crate) fn new(options: &Options) -> Self {
        let secret = options.secret.as_bytes();
        Self {
            app: options.app.clone(),
            key: options.key.clone(),
            mac: Hmac::new_from_slice(secret).expect("any key length"),
            prefix: options.prefix().to_owned(),
            channels: options.channels,
            subscriptions: options.subscriptions.min(options.channels),
        }
    }

    pub(crate) fn channel(&self, number: usize) -> String {
        format!("{}{number}", self.prefix)
    }

    /// Returns the numbers of the channels of a socket whose first is `first`: far from each other, so that
    /// events to one channel after another go to other sockets each time.
    pub(crate) fn channels_from(&self, first: usize) -> impl Iterator<Item = usize> {
        let (channels, step) = (self.channels, self.channels / self.subscriptions.max(1));
        (0..self.subscriptions).map(move |number| (first + number * step) % channels)
    }

    /// Returns the upgrade request of a client.
    pub(crate) fn handshake(&self, host: std::net::SocketAddr) -> Vec<u8> {
        let key = &self.key;
        format!(
            "GET /app/{key}?protocol=7&client=js&version=8.6.0&flash=false HTTP/1.1\r\n\
             Host: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Origin: http://localhost\r\n\r\n"
        )
        .into_bytes()
    }

    /// Returns the message with which a socket subscribes.
    pub(crate) fn subscribe(&self, socket_id: &str, channel: &str) -> String {
        let auth = if channel.starts_with("private-") {
            let signature = self.sign(&format!("{socket_id}:{channel}"));
            format!(r#","auth":"{}:{signature}""#, self.key)
        } else {
            String::new()
        };
        format!(r#"{{"event":"pusher:subscribe","data":{{"channel":"{channel}"{auth}}}}}"#)
    }

    /// Returns the message with which a socket joins a presence channel as a user.
    pub(crate) fn subscribe_member(&self, socket_id: &str, channel: &str, user: &str) -> String {
        let member = json!({"user_id": user, "user_info": {"name": user}}).to_string();
        let auth = self.auth(&format!("{socket_id}:{channel}:{member}"));
        let data = json!({"channel": channel, "auth": auth, "channel_data": member});
        json!({"event": "pusher:subscribe", "data": data}).to_string()
    }

    /// Returns the message with which a socket signs in.
    pub(crate) fn sign_in(&self, socket_id: &str, user: &str, watched: &[String]) -> String {
        let user = json!({"id": user, "watchlist": watched}).to_string();
        let auth = self.auth(&format!("{socket_id}::user::{user}"));
        json!({"event": "pusher:signin", "data": {"auth": auth, "user_data": user}}).to_string()
    }

    fn auth(&self, text: &str) -> String {
        format!("{}:{}", self.key, self.sign(text))
    }

    /// Returns a signed trigger as an HTTP request, with further header lines.
    pub(crate) fn trigger(&self, body: &str, headers: &str) -> Vec<u8> {
        let Self { app, key, .. } = self;
        let digest = hex::encode(Md5::digest(body.as_bytes()));
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let query =
            format!("auth_key={key}&auth_timestamp={unix}&auth_version=1.0&body_md5={digest}");
        let signature = self.sign(&format!("POST\n/apps/{app}/events\n{query}"));
        let length = body.len();
        format!(
            "POST /apps/{app}/events?{query}&auth_signature={signature} HTTP/1.1\r\n\
             Host: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        )
        .into_bytes()
    }

    fn sign(&self, text: &str) -> String {
        let mut mac = self.mac.clone();
        mac.update(text.as_bytes());
        hex::encode(mac.finalize().into_bytes())
    }
}
