//! The lab: a world of nodes, Redis, Sentinels and nginx, a load with a seed, faults that are proved to have
//! happened, and a checker that reads what everybody wrote down. `docs/lab.md` tells how to use it.
//!
//! Nothing of the node is in here: what judges it does not share its mistakes.
#![allow(
    clippy::disallowed_methods,
    reason = "the lab runs in real time, outside of any actor's context"
)]

pub mod check;
pub mod log;
