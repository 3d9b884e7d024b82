//! The actor system of MicroNotifier.

mod channel;
pub mod clock;
pub mod config;
pub mod limits;
mod node;
pub mod protocol;
pub mod session;

pub use channel::Member;
pub use node::{CachedEvent, ChannelFacts, NodeError, NodeHandle, Publication};
