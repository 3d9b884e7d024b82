//! The lab: a world of nodes, Redis, Sentinels and nginx, a load with a seed, faults that are proved to have
//! happened, and a checker that reads what everybody wrote down. `docs/lab.md` tells how to use it.
//!
//! Nothing of the node is in here: what judges it does not share its mistakes.
#![allow(
    clippy::disallowed_methods,
    reason = "the lab runs in real time, outside of any actor's context"
)]

pub use check::{Finding, Findings};
pub use load::Size;

mod check;
pub mod faults;
mod load;
mod log;
mod names;
pub mod plan;
pub mod run;
pub mod verdict;
mod world;

/// What may fail for many reasons that nobody tells apart.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
