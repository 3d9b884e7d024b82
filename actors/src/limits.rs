//! Every limit and every wait of a node: unit, default, source, and who enforces it.
//!
//! The configuration overrides them by the keys in the README's table; an application overrides its own.

use std::time::Duration;

/// The limits of one application. `None` = no limit (`-1` in the configuration).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppLimits {
    /// Connections at once. Over it: close 4004. Enforced at the upgrade.
    pub max_connections: Option<u64>,
    /// Longest channel name, in characters. Source: Pusher. Enforced by session and API.
    pub channel_name: usize,
    /// Longest event name, in characters. Source: Pusher. Enforced by session and API.
    pub event_name: usize,
    /// Largest `data` of one event, in bytes of UTF-8. Source: Pusher (10 kB). Enforced by API (413) and session.
    pub event_data_bytes: usize,
    /// Channels of one trigger. Source: Pusher. Enforced by the API (400).
    pub channels_per_event: usize,
    /// Events of one batch. Source: Pusher. Enforced by the API (400).
    pub events_per_batch: usize,
    /// Distinct users of a presence channel. Source: Pusher. Enforced by the channel.
    pub presence_members: usize,
    /// Largest `channel_data`, in bytes. Source: Pusher (1 kB). Enforced by the session.
    pub presence_data_bytes: usize,
    /// Client events of one connection in a second. Source: Pusher. Enforced by the session (4301).
    pub client_events_per_second: Option<u32>,
    /// Triggered events of the application in a second. Over it: 429.
    pub backend_events_per_second: Option<u32>,
    /// GET requests of the application in a second. Over it: 429.
    pub read_requests_per_second: Option<u32>,
    /// How long a cache channel remembers its event. Source: Pusher (30 minutes at most).
    pub cache: Duration,
    /// Users on one watchlist. Source: Pusher. Over it the list is cut (4302).
    pub watchlist: usize,
}

impl Default for AppLimits {
    fn default() -> Self {
        Self {
            max_connections: None,
            channel_name: 164,
            event_name: 200,
            event_data_bytes: 10 * 1024,
            channels_per_event: 100,
            events_per_batch: 10,
            presence_members: 100,
            presence_data_bytes: 1024,
            client_events_per_second: Some(10),
            backend_events_per_second: None,
            read_requests_per_second: None,
            cache: Duration::from_mins(30),
            watchlist: 100,
        }
    }
}

/// The limits of one node. `None` = no limit (`-1` in the configuration).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeLimits {
    /// Connections at once; the edge resolves `None` to the descriptor limit less 512. Over it: HTTP 503.
    pub max_connections: Option<u64>,
    /// Connections from one address at once. Over it: HTTP 503.
    pub max_connections_per_address: Option<u64>,
    /// Upgrades in a second, over all workers; four seconds' worth at once. Over it: HTTP 503.
    pub handshakes_per_second: Option<u32>,
    /// Largest message of a client, in bytes, all its fragments together. Over it: close 1009.
    pub frame_bytes: usize,
    /// Most fragments of one message. Over it: close 1009.
    pub fragments: usize,
    /// Bytes that may wait for one socket that does not take them. Over it: close 4100.
    pub outbox_bytes: usize,
    /// How long bytes may wait for one socket. Over it: close 4100.
    pub outbox_wait: Duration,
    /// Channels of one connection. Over it: a subscription error.
    pub channels_per_connection: usize,
    /// Commands of one connection without an answer. Over it: what the client says next waits.
    pub commands_per_connection: u32,
    /// Subscribe, unsubscribe and sign-in messages of one connection in a second. Over it: an error, then close 1008.
    pub commands_per_second: u32,
    /// Malformed messages of one connection in ten seconds. Over it: close 1008.
    pub errors_per_ten_seconds: u32,
    /// WebSocket control frames of one connection in a second. Over it: close 1008.
    pub control_frames_per_second: u32,
    /// Triggers and client events that one registry shard has accepted and couriers have not yet taken. Over it: HTTP 503.
    pub events_in_flight: usize,
    /// Subscriptions, departures and questions that wait for one registry shard. Over it: close 4100, HTTP 503.
    pub commands_in_flight: usize,
    /// How long the edge waits for an answer of the registry. Over it: HTTP 503.
    pub ask: Duration,
    /// How long a subscription waits until the other nodes are listened to. Over it: a subscription error; a sign-in: close 4100.
    pub join: Duration,
    /// Silence after which a client is pinged; also what `connection_established` tells it. Source: Pusher.
    pub activity_timeout: Duration,
    /// Silence after a ping that ends a connection (4201). Source: Pusher.
    pub pong_timeout: Duration,
    /// How long a client may take to finish a frame that it has begun. Over it: close 1008.
    pub frame_wait: Duration,
    /// How long a connection may stay unauthorised where the application forbids it (4009). Source: Pusher.
    pub authorization_timeout: Duration,
    /// How long a closed socket may take to accept what is left, before it is cut.
    pub close_wait: Duration,
    /// How long a user stays online for watchers after the last connection went.
    pub offline_delay: Duration,
}

impl Default for NodeLimits {
    fn default() -> Self {
        Self {
            max_connections: None,
            max_connections_per_address: None,
            handshakes_per_second: Some(1000),
            frame_bytes: 64 * 1024,
            fragments: 64,
            outbox_bytes: 256 * 1024,
            outbox_wait: Duration::from_secs(10),
            channels_per_connection: 1000,
            commands_per_connection: 64,
            commands_per_second: 1000,
            errors_per_ten_seconds: 10,
            control_frames_per_second: 100,
            events_in_flight: 1024,
            commands_in_flight: 65_536,
            ask: Duration::from_secs(5),
            join: Duration::from_secs(5),
            activity_timeout: Duration::from_mins(2),
            pong_timeout: Duration::from_secs(30),
            frame_wait: Duration::from_secs(30),
            authorization_timeout: Duration::from_secs(30),
            close_wait: Duration::from_secs(1),
            offline_delay: Duration::from_secs(2),
        }
    }
}
