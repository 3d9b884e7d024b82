//! Membership over a real redis-server: who is where, whatever nodes and Redis do.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may stop, and has no clock to move"
)]

mod faults;
mod model;
mod node;
mod rows;
mod server;
mod transitions;
