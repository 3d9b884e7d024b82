//! What the workers of one server hold in common.

use std::sync::Arc;
use std::time::Duration;

use micronotifier_actors::NodeHandle;
use micronotifier_actors::clock::Clock;

use super::idempotency::Idempotency;
use super::rate::Rates;
use crate::config::EdgeConfig;

/// How long a request body may take to arrive, unless the server sets another wait.
pub const BODY_WAIT: Duration = Duration::from_secs(10);

/// What every worker needs to answer. Built once by the server and cloned for each worker, because
/// idempotency keys and rates belong to the node.
#[derive(Clone)]
pub struct EdgeState {
    /// The door of the node.
    pub node: NodeHandle,
    /// The configuration of the edge.
    pub edge: Arc<EdgeConfig>,
    /// Answers that are given again.
    pub idempotency: Arc<Idempotency>,
    /// What the applications have used of their allowances.
    pub rates: Arc<Rates>,
    /// The source of moments for the two above.
    pub clock: Clock,
    /// The clock that signatures are judged by.
    pub wall: WallClock,
    /// How long a request body may take to arrive. Over it: 408.
    pub body_wait: Duration,
}

impl EdgeState {
    /// Builds the state of one server, with the system's clock and [`BODY_WAIT`].
    pub fn new(node: NodeHandle, edge: EdgeConfig) -> Self {
        Self {
            node,
            edge: Arc::new(edge),
            idempotency: Arc::default(),
            rates: Arc::default(),
            clock: Clock::start(),
            wall: WallClock::System,
            body_wait: BODY_WAIT,
        }
    }
}

/// Where the time of day comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WallClock {
    /// The system's clock.
    #[default]
    System,
    /// Always the same second since 1970, for signatures that were made long ago.
    Fixed(i64),
}

impl WallClock {
    /// Returns the seconds since 1970.
    pub fn unix_now(self) -> i64 {
        match self {
            Self::System => jiff::Timestamp::now().as_second(),
            Self::Fixed(unix) => unix,
        }
    }
}
