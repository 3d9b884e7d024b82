//! The opening handshake of WebSocket: checks a request and writes the answer (RFC 6455, section 4.2).

use actix_http::header::{self, HeaderMap, HeaderName};
use actix_http::{Method, RequestHead, Version, ws};
use bytes::Bytes;

/// Why a request is not the start of a WebSocket. Its text goes into the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// Another method than GET: 405.
    #[error("method not allowed")]
    Method,
    /// Another version than HTTP/1.1: 400.
    #[error("the handshake needs HTTP/1.1")]
    HttpVersion,
    /// A request with a body, which would be taken for frames: 400.
    #[error("the handshake has no body")]
    Body,
    /// No `Upgrade: websocket`, or no `Connection: Upgrade`: 426.
    #[error("upgrade to websocket required")]
    NoUpgrade,
    /// Another `Sec-WebSocket-Version` than 13: 426.
    #[error("unsupported websocket version")]
    WebSocketVersion,
    /// `Sec-WebSocket-Key` missing, given twice, or not 16 bytes in base64: 400.
    #[error("bad websocket key")]
    Key,
}

impl HandshakeError {
    /// Returns the HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::HttpVersion | Self::Body | Self::Key => 400,
            Self::Method => 405,
            Self::NoUpgrade | Self::WebSocketVersion => 426,
        }
    }

    /// Returns the whole HTTP answer, after which the connection is to be closed:
    /// `{"error":"unsupported websocket version","code":426}`
    pub fn answer(self) -> Bytes {
        let status = match self.status() {
            405 => "405 Method Not Allowed\r\nAllow: GET\r\nConnection: close",
            // an Upgrade header must be named in Connection (RFC 9110, section 7.8)
            426 => {
                "426 Upgrade Required\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nConnection: close, upgrade"
            }
            _ => "400 Bad Request\r\nConnection: close",
        };
        let body = format!(r#"{{"error":"{self}","code":{}}}"#, self.status());
        let length = body.len();
        Bytes::from(format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
    }
}

/// Returns the `101 Switching Protocols` that accepts a request. No subprotocol, no extension.
///
/// # Errors
/// [`HandshakeError`], whose [`HandshakeError::answer`] refuses it.
pub fn accept(head: &RequestHead) -> Result<Bytes, HandshakeError> {
    let headers = head.headers();
    if head.method != Method::GET {
        return Err(HandshakeError::Method);
    }
    if head.version != Version::HTTP_11 {
        return Err(HandshakeError::HttpVersion);
    }
    if has_body(headers) {
        return Err(HandshakeError::Body);
    }
    if !has_token(headers, &header::UPGRADE, "websocket")
        || !has_token(headers, &header::CONNECTION, "upgrade")
    {
        return Err(HandshakeError::NoUpgrade);
    }
    if only(headers, &header::SEC_WEBSOCKET_VERSION) != Some(b"13") {
        return Err(HandshakeError::WebSocketVersion);
    }
    let key = only(headers, &header::SEC_WEBSOCKET_KEY).ok_or(HandshakeError::Key)?;
    if !is_key(key) {
        return Err(HandshakeError::Key);
    }
    let accept = ws::hash_key(key);
    let mut answer = Vec::with_capacity(129);
    answer.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
    );
    answer.extend_from_slice(&accept);
    answer.extend_from_slice(b"\r\n\r\n");
    Ok(Bytes::from(answer))
}

fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get_all(header::CONTENT_LENGTH).any(|length| length.as_bytes() != b"0")
}

/// Tells whether a comma-separated header holds a token, in any case of letters.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|value| value.trim().eq_ignore_ascii_case(token))
}

/// Returns the value of a header that is there exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name);
    let value = values.next()?;
    values.next().is_none().then(|| value.as_bytes())
}

/// Tells whether this is the base64 of 16 bytes.
fn is_key(key: &[u8]) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.split_last_chunk().is_some_and(|(letters, padding)| {
        letters.len() == 22 && letters.iter().all(is_letter) && padding == b"=="
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]
mod tests {
    use actix_http::test::TestRequest;
    use actix_http::{Request, Uri};

    use super::*;

    const KEY: (&str, &str) = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");

    /// The request of RFC 6455, section 1.3, without the headers in `without` and with those in `with`.
    fn request(without: &[&str], with: &[(&str, &str)]) -> Request {
        let usual = [
            ("upgrade", "websocket"),
            ("connection", "Upgrade"),
            ("sec-websocket-version", "13"),
            KEY,
        ];
        let mut request = TestRequest::default();
        request.method(Method::GET).uri("/app/k?protocol=7");
        for header in usual.iter().filter(|(name, _)| !without.contains(name)).chain(with) {
            request.append_header(*header);
        }
        request.finish()
    }

    fn judge(without: &[&str], with: &[(&str, &str)]) -> Option<HandshakeError> {
        accept(request(without, with).head()).err()
    }

    #[test]
    fn answers_as_rfc_6455_prints_it() {
        assert_eq!(
            accept(request(&[], &[]).head()).unwrap(),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        );
    }

    #[test]
    fn tokens_come_in_lists_and_any_case() {
        for connection in ["keep-alive, Upgrade", "UPGRADE", "upgrade,keep-alive"] {
            assert_eq!(judge(&["connection"], &[("connection", connection)]), None);
        }
        assert_eq!(judge(&["upgrade"], &[("upgrade", "h2c, WebSocket")]), None);
        let split = [("connection", "keep-alive"), ("connection", "upgrade")];
        assert_eq!(judge(&["connection"], &split), None);
    }

    #[test]
    fn what_is_no_upgrade_is_told_to_upgrade() {
        for (name, value) in [
            ("upgrade", "websockets"),
            ("upgrade", "h2c"),
            ("connection", "keep-alive"),
            ("connection", "no-upgrade"),
        ] {
            let refused = Some(HandshakeError::NoUpgrade);
            assert_eq!(judge(&[name], &[(name, value)]), refused, "{name}: {value}");
            assert_eq!(judge(&[name], &[]), refused, "no {name}");
        }
    }

    /// Attack S29: a version that nobody speaks must not open a tunnel through a proxy.
    #[test]
    fn other_versions_get_426() {
        let name = "sec-websocket-version";
        let refused = Some(HandshakeError::WebSocketVersion);
        for version in ["8", "777", "", "13, 8", "013", "1"] {
            assert_eq!(judge(&[name], &[(name, version)]), refused, "{version}");
        }
        assert_eq!(judge(&[name], &[]), refused);
        assert_eq!(judge(&[], &[(name, "13")]), refused, "given twice");
        let answer = HandshakeError::WebSocketVersion.answer();
        let text = std::str::from_utf8(&answer).unwrap();
        assert!(text.starts_with("HTTP/1.1 426 Upgrade Required\r\n"), "{text}");
        assert!(text.contains("\r\nSec-WebSocket-Version: 13\r\n"), "{text}");
        assert!(text.ends_with(r#"{"error":"unsupported websocket version","code":426}"#));
    }

    /// Attack S9: keys that are not 16 bytes in base64.
    #[test]
    fn bad_keys_get_400() {
        let name = KEY.0;
        for key in [
            "",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25jZ===",
            "dGhlIHNhbXBsZSBub25j",
            "dGhlIHNhbXBsZSBub25jZQAA",
            "dGhlIHNhbXBsZSBub25j*Q==",
            "dGhlIHNhbXBsZSBub25jZQ==dGhlIHNhbXBsZSBub25jZQ==",
        ] {
            assert_eq!(judge(&[name], &[(name, key)]), Some(HandshakeError::Key), "{key}");
        }
        assert_eq!(judge(&[name], &[]), Some(HandshakeError::Key));
        assert_eq!(judge(&[], &[KEY]), Some(HandshakeError::Key), "given twice");
    }

    /// Attack S9: other methods and versions of HTTP; and bodies, which would be read as frames.
    #[test]
    fn other_requests_are_refused() {
        let mut post = request(&[], &[]);
        post.head_mut().method = Method::POST;
        assert_eq!(accept(post.head()), Err(HandshakeError::Method));
        let mut old = request(&[], &[]);
        old.head_mut().version = Version::HTTP_10;
        old.head_mut().uri = Uri::from_static("/app/k");
        assert_eq!(accept(old.head()), Err(HandshakeError::HttpVersion));

        let body = Some(HandshakeError::Body);
        assert_eq!(judge(&[], &[("content-length", "5")]), body);
        assert_eq!(judge(&[], &[("transfer-encoding", "chunked")]), body);
        assert_eq!(judge(&[], &[("content-length", "0")]), None);
    }

    #[test]
    fn answers_are_whole_http() {
        for error in [
            HandshakeError::Method,
            HandshakeError::HttpVersion,
            HandshakeError::Body,
            HandshakeError::NoUpgrade,
            HandshakeError::WebSocketVersion,
            HandshakeError::Key,
        ] {
            let answer = error.answer();
            let text = std::str::from_utf8(&answer).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {} ", error.status())), "{head}");
            assert!(head.contains(&format!("\r\nContent-Length: {}", body.len())), "{head}");
            assert!(head.contains("\r\nConnection: close"), "{head}");
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["code"], error.status());
            assert_eq!(body["error"], error.to_string());
        }
    }
}
