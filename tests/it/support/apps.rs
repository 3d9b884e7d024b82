//! The applications of the nodes under test, and an independent signer for them.

use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest as _, Md5};
use micronotifier_actors::config::{App, Apps};
use micronotifier_actors::protocol::sign::Credential;
use sha2::Sha256;

/// What a client or a backend knows of an application.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TestApp {
    pub(crate) id: &'static str,
    pub(crate) key: &'static str,
    pub(crate) secret: &'static str,
}

/// Client events on, subscription count off: the application of protocol section 12.
pub(crate) const MAIN: TestApp =
    TestApp { id: "3", key: "k", secret: "secret-of-the-main-application" };
/// Another tenant, with subscription counts.
pub(crate) const COUNTED: TestApp =
    TestApp { id: "4", key: "counted-key", secret: "secret-of-the-counted-application" };
/// As the configuration leaves it: client events off.
pub(crate) const PLAIN: TestApp =
    TestApp { id: "5", key: "plain-key", secret: "secret-of-the-plain-application" };
/// Nobody ever subscribes to anything here.
pub(crate) const QUIET: TestApp =
    TestApp { id: "6", key: "quiet-key", secret: "secret-of-the-quiet-application" };
/// Switched off.
pub(crate) const DISABLED: TestApp =
    TestApp { id: "7", key: "disabled-key", secret: "secret-of-the-disabled-application" };
/// Takes no plain sockets.
pub(crate) const TLS_ONLY: TestApp =
    TestApp { id: "8", key: "tls-only-key", secret: "secret-of-the-tls-only-application" };
/// Browsers may come from `https://app.example.com` alone.
pub(crate) const ORIGINS: TestApp =
    TestApp { id: "9", key: "origins-key", secret: "secret-of-the-origins-application" };
/// Two connections at once.
pub(crate) const QUOTA: TestApp =
    TestApp { id: "10", key: "quota-key", secret: "secret-of-the-quota-application" };
/// Caches forget after a second, presence channels hold three users.
pub(crate) const SMALL: TestApp =
    TestApp { id: "11", key: "small-key", secret: "secret-of-the-small-application" };

impl TestApp {
    /// Returns the application as a node is configured with it.
    pub(crate) fn config(self) -> App {
        App::new(self.id, Credential::new(self.key, self.secret))
    }

    /// Signs any text.
    pub(crate) fn sign(self, text: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).unwrap();
        mac.update(text.as_bytes());
        hex::encode(mac.finalize().into_bytes())
    }

    /// Returns `auth` of a private channel.
    pub(crate) fn auth(self, socket: &str, channel: &str) -> String {
        format!("{}:{}", self.key, self.sign(&format!("{socket}:{channel}")))
    }

    /// Returns `auth` of a channel with `channel_data`.
    pub(crate) fn auth_with(self, socket: &str, channel: &str, data: &str) -> String {
        let text = format!("{socket}:{channel}:{data}");
        format!("{}:{}", self.key, self.sign(&text))
    }

    /// Returns `auth` of a sign-in.
    pub(crate) fn signin_auth(self, socket: &str, user_data: &str) -> String {
        let text = format!("{socket}::user::{user_data}");
        format!("{}:{}", self.key, self.sign(&text))
    }
}

/// Returns the lower-case hex MD5 of a body.
pub(crate) fn md5_hex(body: &[u8]) -> String {
    hex::encode(Md5::digest(body))
}

/// Returns every application above, as the shared node has them.
pub(crate) fn all() -> Apps {
    let counted = App {
        client_events: true,
        subscription_count: true,
        tap_payloads: true,
        ..COUNTED.config()
    };
    let mut quota = QUOTA.config();
    quota.limits.max_connections = Some(2);
    let mut small = SMALL.config();
    small.limits.cache = std::time::Duration::from_secs(1);
    small.limits.presence_members = 3;
    Apps::new([
        App { client_events: true, ..MAIN.config() },
        counted,
        PLAIN.config(),
        QUIET.config(),
        App { enabled: false, ..DISABLED.config() },
        App { tls_only: true, ..TLS_ONLY.config() },
        App { allowed_origins: vec!["https://app.example.com".to_owned()], ..ORIGINS.config() },
        quota,
        small,
    ])
}
