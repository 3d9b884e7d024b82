//! The one place where what went wrong on a connection becomes a Pusher text, code or status.
//!
//! Texts are hosted Pusher's where it has one (protocol sections 2.5, 3.5, 4.2, 5.2). No `match` here
//! has a catch-all: a new cause does not compile until someone chose its words. An answer that
//! repeats what the client sent cuts it, so that answers stay small whatever comes in.

use std::borrow::Cow;

use super::ClientLibrary;
use super::auth::AuthError;
use super::effect::{Effect, JoinRefusal};
use super::member::MemberError;
use super::signin::SignInError;
use super::subscribe::SubscribeError;
use super::whisper::WhisperError;
use crate::protocol::{ErrorCode, Frame};

/// Most characters of a name, key or signature that an answer repeats. Ours: every legal one fits, but
/// for longer names that a configuration allows.
const ECHO_CHARS: usize = 200;
/// Most characters of a signed text that an answer repeats. Ours: that of every legal subscription fits.
const SIGNED_ECHO_CHARS: usize = 1500;

/// A message that cannot be understood. Counts towards [`crate::limits::NodeLimits::errors_per_ten_seconds`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Malformed {
    /// Not a JSON object with a text `event`.
    Message,
    /// A binary message.
    Binary,
    /// `pusher:subscribe` with other data than it takes.
    SubscribeData,
    /// `pusher:unsubscribe` with other data than it takes.
    UnsubscribeData,
    /// `pusher:signin` with other data than it takes.
    SigninData,
}

/// What a client is told that concerns no one subscription.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Complaint<'a> {
    /// An event that clients do not send.
    UnknownEvent(&'a str),
    /// Nothing to unsubscribe from.
    NotSubscribed(&'a str),
    /// Too many commands in a second; this one is not carried out.
    TooManyCommands,
    /// Too many control frames in a second; the connection ends.
    TooManyControlFrames,
}

pub(super) fn malformed(cause: Malformed) -> Effect {
    error(match cause {
        Malformed::Message => "Invalid message format",
        Malformed::Binary => "Invalid message format: binary messages are not supported",
        Malformed::SubscribeData => {
            "Invalid message format: data of pusher:subscribe must be an object with a string channel, and strings auth and channel_data if any"
        }
        Malformed::UnsubscribeData => {
            "Invalid message format: data of pusher:unsubscribe must be an object with a string channel"
        }
        Malformed::SigninData => {
            "Invalid message format: data of pusher:signin must be an object with strings auth and user_data"
        }
    })
}

pub(super) fn complaint(cause: &Complaint<'_>) -> Effect {
    match cause {
        Complaint::UnknownEvent(event) => {
            error(&format!("Unsupported event received on socket: {}", cut(event, ECHO_CHARS)))
        }
        Complaint::NotSubscribed(channel) => error(&format!(
            "No current subscription to channel {}, or subscription in progress",
            cut(channel, ECHO_CHARS)
        )),
        Complaint::TooManyCommands => error("Command rate limit of this connection reached"),
        Complaint::TooManyControlFrames => {
            error("Control frame rate limit of this connection reached")
        }
    }
}

/// Returns the news that a watchlist was cut at its limit. The sign-in stands.
pub(super) fn watchlist_cut(limit: usize) -> Frame {
    let message =
        format!("Watchlist limit exceeded. Only the first {limit} user IDs are accepted.");
    Frame::error(Some(ErrorCode::WatchlistLimit), &message)
}

pub(super) fn whisper(cause: &WhisperError) -> Effect {
    match cause {
        WhisperError::NoChannel => error("Invalid client event (must contain channel and data)"),
        WhisperError::SwitchedOff => error(
            "To send client events, you must enable this feature in the Settings page of your dashboard.",
        ),
        WhisperError::Kind => {
            error("Client event rejected - only supported on private and presence channels")
        }
        WhisperError::NotSubscribed(channel) => error(&format!(
            "Cannot broadcast client event (connection not subscribed to channel {})",
            cut(channel, ECHO_CHARS)
        )),
        WhisperError::NameTooLong => error("Event name too long"),
        WhisperError::DataTooLarge => error("Client event data too large"),
        WhisperError::Rate => {
            coded(ErrorCode::ClientEventRate, "The client event was rejected due to rate limit")
        }
    }
}

pub(super) fn sign_in(cause: &SignInError<'_>) -> Effect {
    match cause {
        SignInError::Auth(cause) => error(&auth_text(cause, "signin", "signin")),
        SignInError::UserData => error(
            "user_data for signin is invalid: must be an object whose id is a non-empty string",
        ),
        SignInError::UserInfo => {
            error("user_info supplied to signin is invalid - if supplied it must be a type of hash")
        }
        SignInError::Watchlist => error(
            "watchlist supplied to signin is invalid - if supplied it must be an array of user ids",
        ),
        SignInError::OtherUser => error("Connection already signed in as a different user"),
    }
}

/// Tells a client that it does not get a channel: on the channel, then on the connection. `channel` is as the client wrote it.
pub(super) fn subscription(
    cause: &SubscribeError<'_>,
    channel: &str,
    client: ClientLibrary,
    effects: &mut Vec<Effect>,
) {
    // a legal name goes back whole, however long the application lets it be: clients find the channel by it
    let channel = match cause {
        SubscribeError::Name => cut(channel, ECHO_CHARS),
        SubscribeError::Existing
        | SubscribeError::TooManyChannels
        | SubscribeError::AuthMissing
        | SubscribeError::Auth(_)
        | SubscribeError::Member(_)
        | SubscribeError::Channel(_) => Cow::Borrowed(channel),
    };
    let message = subscription_text(cause, &channel);
    // no frame ever names an empty channel: some clients would look for one
    let told = kind_and_status(cause).filter(|_| !channel.is_empty());
    if let Some((kind, status)) = told {
        let frame = Frame::subscription_error(&channel, kind, &message, status);
        effects.push(Effect::Send(frame));
        effects.push(error(&message));
        if client == ClientLibrary::Dotnet {
            let frame = Frame::dotnet_subscription_error(&channel, &message);
            effects.push(Effect::Send(frame));
        }
    } else {
        effects.push(error(&message));
    }
}

fn subscription_text<'a>(cause: &SubscribeError<'_>, channel: &str) -> Cow<'a, str> {
    match cause {
        SubscribeError::Name => format!("Invalid channel name {channel}").into(),
        SubscribeError::Existing => format!("Existing subscription to channel {channel}").into(),
        SubscribeError::TooManyChannels => "Channel limit of this connection reached".into(),
        SubscribeError::AuthMissing => {
            format!("Auth info required to subscribe to {channel}").into()
        }
        SubscribeError::Auth(cause) => auth_text(
            cause,
            &format!("subscription to {channel}"),
            "subscription",
        )
        .into(),
        SubscribeError::Member(MemberError::Data) => {
            format!("channel_data for presence subscription to {channel} is invalid").into()
        }
        SubscribeError::Member(MemberError::Info) => {
            "user_info supplied to presence subscription is invalid - if supplied it must be a type of hash".into()
        }
        SubscribeError::Member(MemberError::TooLarge) => "Presence user object too large".into(),
        SubscribeError::Channel(JoinRefusal::MembersFull) => {
            "Presence channel member limit reached".into()
        }
        SubscribeError::Channel(JoinRefusal::Unavailable) => {
            "The channel cannot be joined at the moment, try again later".into()
        }
    }
}

/// Returns `type` and `status` of a `pusher:subscription_error`; `None` where no such frame is sent, because the
/// subscription that the channel's listeners know of stands.
fn kind_and_status(cause: &SubscribeError<'_>) -> Option<(&'static str, u16)> {
    match cause {
        SubscribeError::Existing => None,
        SubscribeError::AuthMissing | SubscribeError::Auth(_) => Some(("AuthError", 401)),
        SubscribeError::Member(MemberError::Data | MemberError::Info) => Some(("AuthError", 400)),
        SubscribeError::Name => Some(("LimitReached", 4009)),
        SubscribeError::TooManyChannels | SubscribeError::Channel(JoinRefusal::MembersFull) => {
            Some(("LimitReached", 4100))
        }
        SubscribeError::Member(MemberError::TooLarge) => Some(("LimitReached", 4301)),
        SubscribeError::Channel(JoinRefusal::Unavailable) => Some(("ServerError", 503)),
    }
}

/// The text names what should have been signed, never the signature that would be right.
fn auth_text(cause: &AuthError<'_>, subject: &str, short_subject: &str) -> String {
    match cause {
        AuthError::Format => {
            format!("Auth value for {subject} is invalid: should be of format 'key:signature'")
        }
        AuthError::UnknownKey(key) => {
            format!("Invalid key in {short_subject} auth data: '{}'", cut(key, ECHO_CHARS))
        }
        AuthError::WrongSignature { signed, given } => format!(
            "Invalid signature: Expected HMAC SHA256 hex digest of {}, but got {}",
            cut(signed, SIGNED_ECHO_CHARS),
            cut(given, ECHO_CHARS)
        ),
    }
}

/// An error that ends nothing has no code: some clients take 4000 to 4299 for the end, wherever they stand.
fn error(message: &str) -> Effect {
    Effect::Send(Frame::error(None, message))
}

fn coded(code: ErrorCode, message: &str) -> Effect {
    Effect::Send(Frame::error(Some(code), message))
}

/// Returns at most `limit` characters, and `…` where there were more.
fn cut(text: &str, limit: usize) -> Cow<'_, str> {
    let Some((end, _)) = text.char_indices().nth(limit) else {
        return Cow::Borrowed(text);
    };
    Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default()))
}
