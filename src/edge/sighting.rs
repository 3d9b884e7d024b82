//! What the edge shows to those who look on: connections, and what clients and backends are told went wrong.

use micronotifier_actors::config::App;
use micronotifier_actors::protocol::{Frame, SocketId};
use micronotifier_actors::tap::{Details, Kind, Tap};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::ApiError;

/// Behind these begins what was to be signed, or a wrong signature: onlookers see neither.
const SIGNED_TEXTS: [&str; 2] = [": Expected HMAC", ": you should have sent Hmac"];

/// How frames begin that tell of an error: no other is parsed.
const BEGINNINGS: [&[u8]; 2] =
    [br#"{"event":"pusher:error","#, br#"{"event":"pusher:subscription_error","#];

/// A frame, as far as errors go.
#[derive(Deserialize)]
struct Message<'m> {
    event: &'m str,
    #[serde(default)]
    channel: Option<String>,
    #[serde(borrow)]
    data: &'m RawValue,
}

/// The data of `pusher:error` and of `pusher:subscription_error`.
#[derive(Deserialize)]
struct Trouble {
    #[serde(alias = "status")]
    code: Option<u16>,
    #[serde(alias = "error")]
    message: String,
}

/// Shows that a connection was established.
pub(super) fn opened(tap: &Tap, app: &App, socket: SocketId) {
    tap.show(Kind::Connection, Some(&app.id), None, || of(socket, None));
}

/// Shows that a connection has ended, and the code that it was closed with.
pub(super) fn ended(tap: &Tap, app: &App, socket: SocketId, code: Option<u16>) {
    tap.show(Kind::Disconnection, Some(&app.id), None, || of(socket, code));
}

/// Shows a frame that tells a client of an error; any other is no matter of onlookers.
pub(super) fn trouble(tap: &Tap, app: &App, socket: SocketId, frame: &Frame) {
    if !tap.wants(Kind::Error, Some(&app.id)) {
        return;
    }
    let payload = frame.payload();
    let Some((channel, trouble)) = parse(&payload) else {
        return;
    };
    tap.show(Kind::Error, Some(&app.id), channel.as_deref(), || Details {
        text: Some(public(&trouble.message).into()),
        ..of(socket, trouble.code)
    });
}

/// Shows a client that was sent away before it had a connection. Its application may not be known.
pub(super) fn refused(tap: &Tap, app: Option<&App>, code: u16, text: &str) {
    tap.show(Kind::Error, app.map(|app| &app.id), None, || Details {
        code: Some(code),
        text: Some(text.into()),
        ..Details::default()
    });
}

/// Shows an API call that was not carried out.
pub(super) fn api_error(tap: &Tap, app: Option<&App>, error: &ApiError) {
    tap.show(Kind::Error, app.map(|app| &app.id), None, || Details {
        code: Some(error.status().as_u16()),
        text: Some(public(&error.to_string()).into()),
        ..Details::default()
    });
}

fn of(socket: SocketId, code: Option<u16>) -> Details {
    Details { socket: Some(socket), code, ..Details::default() }
}

fn parse(payload: &[u8]) -> Option<(Option<String>, Trouble)> {
    if !BEGINNINGS.iter().any(|beginning| payload.starts_with(beginning)) {
        return None;
    }
    let Message { event, channel, data } = serde_json::from_slice(payload).ok()?;
    let trouble = match event {
        "pusher:error" => serde_json::from_str(data.get()).ok()?,
        "pusher:subscription_error" => {
            let text: String = serde_json::from_str(data.get()).ok()?;
            serde_json::from_str(&text).ok()?
        }
        _ => return None,
    };
    Some((channel, trouble))
}

/// Returns an error's text without what was, or should have been, signed.
fn public(text: &str) -> &str {
    let cut = SIGNED_TEXTS.iter().find_map(|mark| text.split_once(mark));
    cut.map_or(text, |(before, _)| before)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use micronotifier_actors::protocol::{ChannelName, ErrorCode};

    use super::*;

    #[test]
    fn errors_are_found_among_frames() {
        let frame = Frame::error(Some(ErrorCode::PongTimeout), "late");
        let (channel, trouble) = parse(&frame.payload()).unwrap();
        assert_eq!((channel, trouble.code, trouble.message.as_str()), (None, Some(4201), "late"));
        let frame = Frame::error(None, "a \"quoted\" text");
        let (_, trouble) = parse(&frame.payload()).unwrap();
        assert_eq!((trouble.code, trouble.message.as_str()), (None, "a \"quoted\" text"));
        let frame = Frame::subscription_error("private-\"a\"", "AuthError", "no", 401);
        let (channel, trouble) = parse(&frame.payload()).unwrap();
        assert_eq!(channel.as_deref(), Some("private-\"a\""));
        assert_eq!((trouble.code, trouble.message.as_str()), (Some(401), "no"));
        let channel = ChannelName::parse("c", 164).unwrap();
        for frame in [Frame::pong(), Frame::subscription_succeeded(&channel)] {
            assert!(parse(&frame.payload()).is_none());
        }
    }

    #[test]
    fn what_is_signed_is_not_shown() {
        let text = "Invalid signature: Expected HMAC SHA256 hex digest of 1.2:private-a, but got x";
        assert_eq!(public(text), "Invalid signature");
        let text = "Invalid signature: you should have sent HmacSHA256Hex(\"POST\", your_secret_key), but you sent \"x\"";
        assert_eq!(public(text), "Invalid signature");
        assert_eq!(public("Invalid body_md5"), "Invalid body_md5");
    }
}
