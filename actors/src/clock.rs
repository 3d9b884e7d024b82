//! Monotonic time as a value: rules take a [`Moment`] and never ask for one.

use std::time::Duration;

use tokio::time::Instant;

/// A point in time, as the time that went by since the node started. Never wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(Duration);

impl Moment {
    /// Builds a moment from the time since the node's start.
    pub const fn since_start(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// Returns the moment that is `wait` later.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(wait))
    }

    /// Returns how long ago `earlier` was; zero if it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Returns the time since the node's start.
    pub const fn elapsed(self) -> Duration {
        self.0
    }
}

/// The one source of moments in a node.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// Starts a clock at [`Moment::default`].
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// Returns the present moment.
    pub fn now(&self) -> Moment {
        Moment(self.origin.elapsed())
    }
}
