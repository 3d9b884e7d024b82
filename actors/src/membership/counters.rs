//! What a membership has done: raised by it, read by anybody.

use crate::metrics::Counter;

/// See the module.
#[derive(Debug, Default)]
pub struct Counters {
    /// Numbers that were told to the broker.
    pub told: Counter,
    /// Commands that the broker refused or that got no answer.
    pub failures: Counter,
    /// How often this node had to begin under a new name.
    pub incarnations: Counter,
    /// Nodes that were declared dead by this one.
    pub declared_dead: Counter,
    /// Dead nodes that were cleared by this one.
    pub reaped: Counter,
    /// Users that were gone with a dead node.
    pub users_expired: Counter,
    /// Commands that panicked.
    pub panics: Counter,
}
