//! The actor system of MicroNotifier.

pub mod bridge;
mod channel;
pub mod clock;
pub mod config;
mod courier;
mod desk;
mod door;
mod lifeline;
pub mod limits;
pub mod metrics;
mod node;
mod outbox;
pub mod protocol;
mod registry;
pub mod session;
mod users;
mod worker;

pub use channel::Member;
pub use courier::{Notice, Seat};
pub use desk::Desk;
pub use door::Usage;
pub use node::{CachedEvent, ChannelFacts, Node, NodeError, NodeHandle, Publication};
pub use outbox::{Ending, Outbox, Wire};
pub use worker::Worker;
