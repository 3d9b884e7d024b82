//! What the application of a run knows: its secret, and what that signs. Written from the protocol, not from the node.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest as _, Md5};
use serde_json::json;
use sha2::Sha256;

/// The application of a run.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) id: String,
    pub(crate) key: String,
    pub(crate) secret: String,
}

impl App {
    /// The one application of the lab.
    pub(crate) fn new() -> Self {
        let [id, key, secret] =
            ["7", "lab-key", "secret-of-the-lab-application"].map(str::to_owned);
        Self { id, key, secret }
    }

    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104, section 2)")]
    fn sign(&self, text: &str) -> String {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).expect("any key length");
        mac.update(text.as_bytes());
        hex::encode(mac.finalize().into_bytes())
    }

    /// Returns the message that subscribes to a channel; to a presence channel as a user. Where the socket may
    /// not, the signature is of another socket.
    pub(crate) fn subscribe(
        &self,
        socket: &str,
        channel: &str,
        user: Option<u32>,
        may: bool,
    ) -> String {
        let signer = if may { socket } else { "1.1" };
        let mut data = serde_json::Map::from_iter([("channel".to_owned(), json!(channel))]);
        let mut text = format!("{signer}:{channel}");
        if let Some(user) = user {
            let member = json!({"user_id": user.to_string()}).to_string();
            text = format!("{text}:{member}");
            data.insert("channel_data".to_owned(), json!(member));
        }
        if user.is_some() || channel.starts_with("private-") {
            let auth = format!("{}:{}", self.key, self.sign(&text));
            data.insert("auth".to_owned(), json!(auth));
        }
        json!({"event": "pusher:subscribe", "data": data}).to_string()
    }

    /// Returns the signed query of a request.
    pub(crate) fn query(&self, method: &str, path: &str, body: Option<&str>, info: &str) -> String {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut query = format!("auth_key={}&auth_timestamp={unix}&auth_version=1.0", self.key);
        if let Some(body) = body {
            query.push_str("&body_md5=");
            query.push_str(&hex::encode(Md5::digest(body.as_bytes())));
        }
        // parameters are signed in the order of their names, and this is the only other one
        query.push_str(info);
        let signature = self.sign(&format!("{method}\n{path}\n{query}"));
        format!("{query}&auth_signature={signature}")
    }
}
