//! Membership over a real redis-server: who is where, whatever nodes and Redis do.

mod faults;
mod model;
mod node;
mod outages;
mod panics;
mod questions;
mod rows;
mod server;
mod transitions;
