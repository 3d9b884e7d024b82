//! HMAC-SHA256 signatures of requests, subscriptions and sign-ins (protocol sections 3.3 and 6.2).
//!
//! Comparison is in constant time. No text made here holds a secret or an expected signature.

use std::borrow::Cow;
use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest as _, Md5};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::name::SocketId;

/// A key and its secret, ready to sign. `Debug` prints the key alone.
#[derive(Clone)]
pub struct Credential {
    key: String,
    /// Keyed once: a clone costs less than a new key schedule.
    mac: Hmac<Sha256>,
}

impl Credential {
    /// Takes a key and its secret. A secret may have any length.
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "HMAC takes keys of any length (RFC 2104, section 2)"
    )]
    pub fn new(key: &str, secret: &str) -> Self {
        let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key length");
        Self { key: key.to_owned(), mac }
    }

    /// Returns the public key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the signature of a text as lower-case hex.
    pub fn sign(&self, text: &[u8]) -> String {
        let mut mac = self.mac.clone();
        mac.update(text);
        hex::encode(mac.finalize().into_bytes())
    }

    /// Tells in constant time whether `signature` is the lower-case hex signature of the parts in a row.
    pub fn verifies(&self, parts: &[&[u8]], signature: &str) -> bool {
        let mut mac = self.mac.clone();
        for part in parts {
            mac.update(part);
        }
        let mut expected = [0_u8; 64];
        if hex::encode_to_slice(mac.finalize().into_bytes(), &mut expected).is_err() {
            return false;
        }
        expected.as_slice().ct_eq(signature.as_bytes()).into()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({})", self.key)
    }
}

/// Returns what a subscription signs: `⟨socket⟩:⟨channel⟩` or `⟨socket⟩:⟨channel⟩:⟨channel_data⟩`.
pub fn subscription_text(socket: SocketId, channel: &str, channel_data: Option<&str>) -> String {
    match channel_data {
        Some(data) => format!("{socket}:{channel}:{data}"),
        None => format!("{socket}:{channel}"),
    }
}

/// Returns what a sign-in signs: `⟨socket⟩::user::⟨user_data⟩`.
pub fn signin_text(socket: SocketId, user_data: &str) -> String {
    format!("{socket}::user::{user_data}")
}

/// Returns what an API request signs: method, path and the sorted query, a line each.
///
/// `query` are decoded pairs; `auth_signature` is left out here, names are lower-cased, pairs with
/// equal names keep their order.
pub fn request_text<Text: AsRef<str>>(method: &str, path: &str, query: &[(Text, Text)]) -> String {
    let mut pairs: Vec<(Cow<'_, str>, &str)> = query
        .iter()
        .map(|(name, value)| (lower_case(name.as_ref()), value.as_ref()))
        .filter(|(name, _)| name != "auth_signature")
        .collect();
    pairs.sort_by(|left, right| left.0.cmp(&right.0));
    let mut text = format!("{method}\n{path}\n");
    for (index, (name, value)) in pairs.iter().enumerate() {
        if index > 0 {
            text.push('&');
        }
        text.push_str(name);
        text.push('=');
        text.push_str(value);
    }
    text
}

fn lower_case(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

/// Returns the lower-case hex MD5 of a body, which requests carry as `body_md5`.
pub fn body_md5(body: &[u8]) -> String {
    hex::encode(Md5::digest(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOCKET: SocketId = SocketId::new(1234, 1234);

    fn credential() -> Credential {
        Credential::new("278d425bdf160c739803", "7ad3773142a6692b25b8")
    }

    /// The subscription and sign-in vectors of protocol appendix A.
    #[test]
    fn vectors_a1_to_a8() {
        let channels = [
            (
                "private-foobar",
                None,
                "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4",
            ),
            (
                "presence-foobar",
                Some(r#"{"user_id":10,"user_info":{"name":"Mr. Channels"}}"#),
                "31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80",
            ),
            (
                "presence-foobar",
                Some(r#"{"user_id":10,"user_info":{"name":"Mr. Pusher"}}"#),
                "afaed3695da2ffd16931f457e338e6c9f2921fa133ce7dac49f529792be6304c",
            ),
            (
                "private-foobar",
                Some(r#"{"user_id":"1"}"#),
                "dfaa2efdf7f1d9341eda3dd4402578bade68221dd3869a5ec8cd9bd633a81a84",
            ),
            (
                "presence-foobar",
                None,
                "71506e66e7fdca106571b8999a849ad34245bc653772e51e0026c1a2475b92ba",
            ),
            (
                "private-cache-foobar",
                None,
                "395f4a03f06e17b74af8d9c58386cf386e70176f58452420f042b6e1bddefa43",
            ),
            (
                "presence-foobar",
                Some(r#"{"user_id":"é"}"#),
                "cb62ae69a69a68b668ae5c02eb364ca3828c17462bb81143e6c234cc05c3bcbd",
            ),
        ];
        for (channel, data, expected) in channels {
            let text = subscription_text(SOCKET, channel, data);
            assert_eq!(credential().sign(text.as_bytes()), expected, "{text}");
            assert!(credential().verifies(&[text.as_bytes()], expected));
            assert!(!credential().verifies(&[text.as_bytes()], &expected.to_uppercase()));
        }
        assert_eq!(
            credential().sign(signin_text(SOCKET, r#"{"id":"12345"}"#).as_bytes()),
            "4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba"
        );
    }

    /// The request vectors of protocol appendix A.
    #[test]
    fn vectors_a9_to_a15() {
        type Request<'r> = (&'r str, &'r str, &'r [(&'r str, &'r str)], &'r str, &'r str);
        let requests: [Request<'_>; 7] = [
            (
                "POST",
                "/apps/3/events",
                &[],
                r#"{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}"#,
                "da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c",
            ),
            (
                "POST",
                "/apps/3/batch_events",
                &[],
                r#"{"batch":[{"name":"a","channel":"c1","data":"1"},{"name":"b","channel":"c2","data":"2"}]}"#,
                "5eb161881068ede35b2bf8031b3577c122e5745cc31a76112a8fec8c729cdcf5",
            ),
            (
                "GET",
                "/apps/3/channels",
                &[("info", "user_count"), ("filter_by_prefix", "presence-")],
                "",
                "16819168891cb5dfd72b5c7a5d3d602605b26c6ba1930033b5e2eeeb65010291",
            ),
            (
                "GET",
                "/apps/3/channels/presence-foobar",
                &[("info", "user_count,subscription_count")],
                "",
                "377ee9260ea002a70c0d40cd887d55cb36db9f7f821297f5efacbcce66be356d",
            ),
            (
                "GET",
                "/apps/3/channels/presence-foobar",
                &[("body_md5", "d41d8cd98f00b204e9800998ecf8427e"), ("info", "user_count")],
                "",
                "69e9e932a5e0d34a2bd43ab5c1b30239ef5abbaf79f646be12d717d87ae0edfe",
            ),
            (
                "POST",
                "/apps/3/users/u1/terminate_connections",
                &[],
                "{}",
                "61efad5e9fe693a686a71ff197d9770bd2c257d87ce961f4efda2dae952c4345",
            ),
            (
                "GET",
                "/apps/3/channels",
                &[("x[]", "1"), ("x[]", "2")],
                "",
                "0e6af98ab9d7161d18181e9678b8de5e3a4da72e654e77d888b0db92fd2f3ad7",
            ),
        ];
        for (method, path, extra, body, expected) in requests {
            let mut query = vec![
                ("auth_version".to_owned(), "1.0".to_owned()),
                ("auth_timestamp".to_owned(), "1353088179".to_owned()),
                ("Auth_Key".to_owned(), "278d425bdf160c739803".to_owned()),
                ("auth_signature".to_owned(), "ignored".to_owned()),
            ];
            if !body.is_empty() {
                query.push(("body_md5".to_owned(), body_md5(body.as_bytes())));
            }
            query.extend(
                extra.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
            );
            let text = request_text(method, path, &query);
            assert_eq!(credential().sign(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn debug_never_shows_the_secret() {
        assert!(!format!("{:?}", credential()).contains("7ad3"));
    }
}
