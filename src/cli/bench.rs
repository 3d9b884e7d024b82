//! The command line of `bench`.

use clap::{Args, value_parser};

use super::TargetArguments;
use crate::commands::bench::SMALLEST_DATA;

/// Arguments of `bench`. The bounds keep a slip of the finger from becoming an attack.
#[derive(Debug, Clone, Args)]
pub struct Bench {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take it as help text")]
    pub target: TargetArguments,
    /// Sockets, each subscribed to one channel.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub connections: u32,
    /// Channels that the sockets are spread over.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub channels: u32,
    /// Events per second, all channels together; 0 = as fast as they are delivered.
    #[arg(long, value_name = "EVENTS", default_value_t = 10, value_parser = value_parser!(u64).range(0..=1_000_000))]
    pub rate: u64,
    /// With --rate 0: events that may be on their way at once.
    #[arg(long, value_name = "EVENTS", default_value_t = 8, value_parser = value_parser!(u32).range(1..=10_000))]
    pub window: u32,
    /// How long to measure.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,
    /// How long the same load goes on before that.
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = value_parser!(u64).range(0..=3600))]
    pub warm_up: u64,
    /// Length of an event's data.
    #[arg(long, value_name = "BYTES", default_value_t = 128, value_parser = value_parser!(u32).range(SMALLEST_DATA..=1_048_576))]
    pub size: u32,
    /// Kept HTTP connections that send the events, each one at a time.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = value_parser!(u32).range(1..=1024))]
    pub publishers: u32,
    /// New sockets per second.
    #[arg(long, value_name = "SOCKETS", default_value_t = 500, value_parser = value_parser!(u32).range(1..=100_000))]
    pub connect_rate: u32,
    /// Handshakes at once.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = value_parser!(u32).range(1..=10_000))]
    pub parallel: u32,
    /// Threads that hold the sockets; a quarter of the cores by default, from 1 to 8.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=64))]
    pub threads: Option<u32>,
    /// Subscribes to private channels, with signatures.
    #[arg(long)]
    pub private: bool,
    /// Prints one JSON document instead of the table.
    #[arg(long)]
    pub json: bool,
}
