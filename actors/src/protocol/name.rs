//! Names as types: once parsed they are never checked again (protocol sections 0.4, 2.2, 3.1).

use std::fmt;
use std::sync::Arc;

use super::kind::ChannelKind;

/// The prefix of the channel that reaches the connections of one signed-in user.
pub const SERVER_TO_USER: &str = "#server-to-user-";

/// Why a name was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing where a name should be.
    #[error("is empty")]
    Empty,
    /// Longer than the limit that the caller gave.
    #[error("is longer than {limit} characters")]
    TooLong {
        /// The limit, in characters.
        limit: usize,
    },
    /// A character outside `A-Za-z0-9_-=@,.;`, or a `#` that starts no server-to-user name.
    #[error("has a character that is not allowed")]
    Character,
    /// The name is kept for the protocol itself (`pusher:`, `pusher_internal:`).
    #[error("is reserved")]
    Reserved,
}

/// The id of an application, as it stands in API paths.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AppId(Arc<str>);

impl AppId {
    /// Takes any text: ids come from the configuration, which checks them.
    pub fn new(id: &str) -> Self {
        Self(id.into())
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a channel: `A-Za-z0-9_-=@,.;`, or `#server-to-user-` and a user id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelName(Arc<str>);

impl ChannelName {
    /// Checks a name of at most `limit` characters. Server-to-user names have a limit of their own.
    ///
    /// # Errors
    /// [`NameError`] says what is wrong with it.
    pub fn parse(name: &str, limit: usize) -> Result<Self, NameError> {
        if let Some(user) = name.strip_prefix(SERVER_TO_USER) {
            return UserId::parse(user).map(|user| Self::of_user(&user));
        }
        check(name, limit)?;
        Ok(Self(name.into()))
    }

    /// Returns the channel that reaches every connection of a signed-in user.
    pub fn of_user(user: &UserId) -> Self {
        Self(format!("{SERVER_TO_USER}{user}").into())
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns what kind of channel bears this name.
    pub fn kind(&self) -> ChannelKind {
        ChannelKind::of(&self.0)
    }

    /// Returns the user that a server-to-user channel reaches.
    pub fn user(&self) -> Option<UserId> {
        self.0.strip_prefix(SERVER_TO_USER).map(|user| UserId(user.into()))
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A channel of one application: what the registry looks up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ChannelKey {
    /// The application.
    pub app: AppId,
    /// The channel in it.
    pub channel: ChannelName,
}

impl fmt::Display for ChannelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.app, self.channel)
    }
}

/// The name of an event. Any characters: Laravel sends class names with backslashes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventName(Arc<str>);

impl EventName {
    /// Checks the name of an event that a backend triggers, of at most `limit` characters.
    ///
    /// # Errors
    /// [`NameError::Reserved`] for `pusher:` and `pusher_internal:`, which would forge protocol frames.
    pub fn parse(name: &str, limit: usize) -> Result<Self, NameError> {
        if name.starts_with("pusher:") || name.starts_with("pusher_internal:") {
            return Err(NameError::Reserved);
        }
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.chars().count() > limit {
            return Err(NameError::TooLong { limit });
        }
        Ok(Self(name.into()))
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The id of a user: 1 to 128 characters. In presence it may be any text, at sign-in as a channel name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(Arc<str>);

impl UserId {
    /// The longest id, in characters (protocol section 0.4).
    pub const MAX_CHARS: usize = 128;

    /// Checks the id of a user who signs in: the characters of a channel name.
    ///
    /// # Errors
    /// [`NameError`] says what is wrong with it.
    pub fn parse(id: &str) -> Result<Self, NameError> {
        check(id, Self::MAX_CHARS)?;
        Ok(Self(id.into()))
    }

    /// Checks the id of a presence member: any characters.
    ///
    /// # Errors
    /// [`NameError::Empty`] or [`NameError::TooLong`].
    pub fn member(id: &str) -> Result<Self, NameError> {
        if id.is_empty() {
            return Err(NameError::Empty);
        }
        if id.chars().count() > Self::MAX_CHARS {
            return Err(NameError::TooLong { limit: Self::MAX_CHARS });
        }
        Ok(Self(id.into()))
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of a connection: two numbers from the system's random source, unguessable, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SocketId {
    high: u32,
    low: u64,
}

impl SocketId {
    /// Builds an id from its halves; [`Self::random`] is what a node uses.
    pub const fn new(high: u32, low: u64) -> Self {
        Self { high, low }
    }

    /// Draws a new id from the operating system's random source.
    ///
    /// # Errors
    /// The error of the random source, in which case no connection can be opened.
    pub fn random() -> Result<Self, rand::rngs::SysError> {
        use rand::TryRng as _;
        let mut source = rand::rngs::SysRng;
        Ok(Self { high: source.try_next_u32()?, low: source.try_next_u64()? })
    }

    /// Parses `⟨digits⟩.⟨digits⟩`; `None` for anything else, an id of another server included.
    pub fn parse(text: &str) -> Option<Self> {
        let (high, low) = text.split_once('.')?;
        let digits =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(high) || !digits(low) {
            return None;
        }
        Some(Self { high: high.parse().ok()?, low: low.parse().ok()? })
    }

    /// Tells whether a text has the form of a socket id, of this server or another.
    pub fn is_well_formed(text: &str) -> bool {
        text.split_once('.').is_some_and(|(high, low)| {
            [high, low]
                .iter()
                .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
        })
    }
}

impl fmt::Display for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.high, self.low)
    }
}

fn check(name: &str, limit: usize) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > limit {
        return Err(NameError::TooLong { limit });
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-=@,.;".contains(&byte);
    if name.bytes().all(allowed) { Ok(()) } else { Err(NameError::Character) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use super::*;

    #[test]
    fn channel_names_of_the_protocol() {
        assert!(ChannelName::parse(&"a".repeat(164), 164).is_ok());
        assert_eq!(
            ChannelName::parse(&"a".repeat(165), 164),
            Err(NameError::TooLong { limit: 164 })
        );
        for bad in ["bad name!", "#x", "a:b", " private-a", "private-\u{430}", "a\0"] {
            assert_eq!(ChannelName::parse(bad, 164), Err(NameError::Character), "{bad}");
        }
        let own = ChannelName::parse("#server-to-user-12345", 10).map(|name| name.user());
        assert_eq!(own, Ok(UserId::parse("12345").ok()));
    }

    #[test]
    fn socket_ids_round_trip() {
        let id = SocketId::new(1234, 1234);
        assert_eq!(SocketId::parse(&id.to_string()), Some(id));
        for bad in ["", ".", "1.", ".1", "1.2.3", "+1.2", "a.b", "1,2"] {
            assert_eq!(SocketId::parse(bad), None, "{bad}");
            assert!(!SocketId::is_well_formed(bad), "{bad}");
        }
    }

    #[test]
    fn protocol_event_names_are_reserved() {
        assert_eq!(EventName::parse("pusher:x", 200), Err(NameError::Reserved));
        assert_eq!(EventName::parse("pusher_internal:x", 200), Err(NameError::Reserved));
        assert!(EventName::parse(r"App\Events\OrderShipped", 200).is_ok());
    }
}
