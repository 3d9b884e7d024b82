//! Channels.

pub(crate) mod roster;

pub use roster::Member;
