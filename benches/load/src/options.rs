//! What is to be measured: the command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Load generator for Pusher-protocol servers: prints one line of JSON.
///
/// The defaults are the node's development configuration. `errs` of the line must be empty.
#[derive(Debug, Parser)]
#[command(name = "load")]
pub(crate) struct Options {
    /// Servers to connect to; sockets are spread over them
    #[arg(long = "addr", value_delimiter = ',', default_value = "127.0.0.1:8111")]
    pub(crate) addresses: Vec<SocketAddr>,
    /// Servers that triggers go to [default: those of --addr]
    #[arg(long = "pub-addr", value_delimiter = ',')]
    publish_addresses: Vec<SocketAddr>,
    /// Processes whose time and memory is counted, together
    #[arg(long = "pid", value_delimiter = ',')]
    pub(crate) pids: Vec<u32>,
    /// Id of the application
    #[arg(long, default_value = "testapp")]
    pub(crate) app: String,
    /// Its key
    #[arg(long, default_value = "1234567890")]
    pub(crate) key: String,
    /// Its secret
    #[arg(long, default_value = "abcdefghij")]
    pub(crate) secret: String,
    /// Kind of work
    #[arg(long, value_enum, default_value_t = Mode::Fanout)]
    pub(crate) mode: Mode,
    /// Sockets
    #[arg(long = "conns", default_value_t = 1000, value_parser = at_least_one)]
    pub(crate) connections: usize,
    /// Channels that the sockets are spread over
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    pub(crate) channels: usize,
    /// Channels that each socket subscribes to, one after another
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    pub(crate) subscriptions: usize,
    /// Beginning of the channels' names [default: room-, with client events private-room-]
    #[arg(long)]
    prefix: Option<String>,
    /// Connections that send triggers, each one at a time
    #[arg(long, default_value_t = 4, value_parser = at_least_one)]
    pub(crate) publishers: usize,
    /// Bytes of data of an event, about
    #[arg(long, default_value_t = 128)]
    pub(crate) size: usize,
    /// Seconds to measure; when idle, to wait before memory is read
    #[arg(long = "secs", default_value_t = 8)]
    pub(crate) seconds: u64,
    /// Seconds of the same load before that
    #[arg(long = "warm", default_value_t = 2)]
    pub(crate) warm_up: u64,
    /// Events that may be on their way to one channel; client events: 64 times that, in all
    #[arg(long, default_value_t = 8)]
    pub(crate) window: u64,
    /// Events per second; 0 = as fast as they are delivered. With churn: guests per second
    #[arg(long, default_value_t = 0)]
    pub(crate) rate: u64,
    /// Of 100 sockets, how many never read once they are subscribed; theirs are not counted as deliveries
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(..100))]
    pub(crate) stalled: u8,
    /// One more socket that sends a ping 10 ms after each answer: how long the answers take
    #[arg(long)]
    pub(crate) probe: bool,
    /// Handshakes at once
    #[arg(long, default_value_t = 200, value_parser = at_least_one)]
    pub(crate) parallel: usize,
    /// Speak TLS to the servers, which are believed by the certificates of this PEM file
    #[arg(long = "ca")]
    pub(crate) authority: Option<PathBuf>,
    /// Churn: seconds that a guest stays, in the mean
    #[arg(long, default_value_t = 10)]
    pub(crate) stay: u64,
    /// Churn: signed triggers per second, to two channels each
    #[arg(long, default_value_t = 50)]
    pub(crate) triggers: u64,
}

/// Kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Signed triggers by HTTP
    Fanout,
    /// Client events
    Client,
    /// Connect, subscribe, and be quiet
    Idle,
    /// Come, join a few channels, and go, while triggers go on
    Churn,
}

impl Mode {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Fanout => "fanout",
            Self::Client => "client",
            Self::Idle => "idle",
            Self::Churn => "churn",
        }
    }
}

impl Options {
    pub(crate) fn publish_addresses(&self) -> &[SocketAddr] {
        if self.publish_addresses.is_empty() { &self.addresses } else { &self.publish_addresses }
    }

    /// Tells whether a socket is one of those that never read: spread evenly over the channels.
    pub(crate) fn is_stalled(&self, index: usize) -> bool {
        // 37 has no factor in common with 100: every hundred sockets have their share, whatever the channels
        index * 37 % 100 < usize::from(self.stalled)
    }

    pub(crate) fn prefix(&self) -> &str {
        match (&self.prefix, self.mode) {
            (Some(prefix), _) => prefix,
            (None, Mode::Client) => "private-room-",
            (None, _) => "room-",
        }
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(error.to_string()),
    }
}
