//! The close and error codes of the Pusher protocol (protocol section 1.3).

/// A code that Pusher's documentation defines; no other 4xxx code is ever sent.
///
/// Codes 4000-4299 only ever accompany a close: some clients act on them in any `pusher:error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// 4000: the application wants TLS.
    TlsRequired,
    /// 4001: no application has this key.
    UnknownApplication,
    /// 4003: the application is switched off.
    ApplicationDisabled,
    /// 4004: the application has all the connections it may have.
    OverQuota,
    /// 4005: an upgrade on a path that is not ours.
    PathNotFound,
    /// 4007: a protocol version outside 5 to 7.
    UnsupportedProtocol,
    /// 4009: origin refused, connection terminated, or not authorised in time.
    Unauthorized,
    /// 4100: the node is at its limit, or this client does not read; come back in a second.
    OverCapacity,
    /// 4200: come back at once.
    Reconnect,
    /// 4201: the client answered no ping.
    PongTimeout,
    /// 4301: too many client events. Only ever an event, never a close.
    ClientEventRate,
    /// 4302: the watchlist was cut at its limit. Only ever an event.
    WatchlistLimit,
}

impl ErrorCode {
    /// Returns the number on the wire.
    pub const fn number(self) -> u16 {
        match self {
            Self::TlsRequired => 4000,
            Self::UnknownApplication => 4001,
            Self::ApplicationDisabled => 4003,
            Self::OverQuota => 4004,
            Self::PathNotFound => 4005,
            Self::UnsupportedProtocol => 4007,
            Self::Unauthorized => 4009,
            Self::OverCapacity => 4100,
            Self::Reconnect => 4200,
            Self::PongTimeout => 4201,
            Self::ClientEventRate => 4301,
            Self::WatchlistLimit => 4302,
        }
    }
}
