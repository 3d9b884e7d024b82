//! What is to be measured, checked.

use std::thread::available_parallelism;
use std::time::Duration;

use rand::RngExt as _;
use serde::Serialize;

use super::machine;
use crate::cli::Bench;

/// Why a measurement cannot begin.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlanError {
    /// Some channels would have no subscriber.
    #[error(
        "--channels {channels} is more than --connections {connections}: each socket has one channel"
    )]
    Channels {
        /// As asked for.
        channels: u32,
        /// As asked for.
        connections: u32,
    },
    /// The machine cannot hold so many sockets.
    #[error("{0}")]
    Machine(String),
}

/// A measurement, as the report repeats it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Plan {
    pub(super) connections: u32,
    pub(super) channels: u32,
    /// Events per second; 0 = as fast as they are delivered.
    pub(super) rate: u64,
    pub(super) window: u32,
    pub(super) seconds: u64,
    pub(super) warm_up: u64,
    /// Bytes of an event's data.
    pub(super) size: u32,
    pub(super) publishers: u32,
    pub(super) connect_rate: u32,
    pub(super) parallel: u32,
    pub(super) threads: u32,
    pub(super) private: bool,
    /// Keeps two measurements on one server apart.
    #[serde(skip)]
    run: u32,
}

impl Plan {
    /// Takes what the arguments say.
    pub(super) fn of(arguments: &Bench) -> Result<Self, PlanError> {
        let Bench { connections, channels, publishers, .. } = *arguments;
        if channels > connections {
            return Err(PlanError::Channels { channels, connections });
        }
        if let Some(lack) = machine::lack(u64::from(connections) + u64::from(publishers)) {
            return Err(PlanError::Machine(lack));
        }
        Ok(Self {
            connections,
            channels,
            rate: arguments.rate,
            window: arguments.window,
            seconds: arguments.seconds,
            warm_up: arguments.warm_up,
            size: arguments.size,
            publishers,
            connect_rate: arguments.connect_rate,
            parallel: arguments.parallel,
            threads: arguments.threads.unwrap_or_else(a_quarter_of_the_cores).min(connections),
            private: arguments.private,
            run: rand::rng().random(),
        })
    }

    /// Returns the name of a channel.
    pub(super) fn channel(&self, index: u32) -> String {
        let prefix = if self.private { "private-bench" } else { "bench" };
        format!("{prefix}-{:08x}-{index}", self.run)
    }

    /// Tells whether the next event waits for the deliveries of those before.
    pub(super) const fn is_closed_loop(&self) -> bool {
        self.rate == 0
    }

    pub(super) const fn warm_up(&self) -> Duration {
        Duration::from_secs(self.warm_up)
    }

    pub(super) const fn measured(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// The node under test may need the rest, and the publishers need one.
fn a_quarter_of_the_cores() -> u32 {
    let cores = available_parallelism().map_or(1, usize::from);
    u32::try_from(cores / 4).unwrap_or(1).clamp(1, 8)
}
