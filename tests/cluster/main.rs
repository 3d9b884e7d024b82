//! Nodes that share a Redis, with real redis-servers: `cargo test --test cluster`.
//!
//! Needs `redis-server` (7.0 or later) in the path; each test starts its own on a free port and kills it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::needless_pass_by_value,
    clippy::format_push_string,
    clippy::disallowed_methods,
    reason = "a test may stop, and reads better when it says plainly what it wants"
)]

mod conformance;
mod counts;
mod delivery;
mod hostile;
mod idempotency;
mod membership;
mod order;
mod outage;
mod partitions;
mod presence;
mod repair;
mod secure;
mod sentinel;
mod start;
#[path = "../it/support/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the tests of one node, which use all of it"
)]
mod support;
#[path = "support/mod.rs"]
mod surroundings;
mod users;
