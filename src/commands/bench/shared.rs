//! What the threads of a measurement tell each other while it runs.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use micronotifier_actors::clock::Clock;
use tokio::sync::{Notify, Semaphore};

use super::plan::Plan;

/// One channel.
pub(super) struct Channel {
    pub(super) name: String,
    listeners: AtomicU32,
}

impl Channel {
    /// Returns how many sockets are subscribed now.
    pub(super) fn listeners(&self) -> u32 {
        self.listeners.load(Ordering::Relaxed)
    }
}

/// Counts and bounds of one measurement.
pub(super) struct Shared {
    pub(super) plan: Plan,
    pub(super) channels: Vec<Channel>,
    /// Handshakes that may be under way.
    pub(super) handshakes: Semaphore,
    /// In a closed loop: deliveries that may be outstanding.
    pub(super) room: Semaphore,
    /// The measurement ends: nothing more is to be sent.
    pub(super) is_ending: AtomicBool,
    clock: Clock,
    tried: AtomicU32,
    made: AtomicU32,
    lost: AtomicU32,
    received: AtomicU64,
    all_tried: Notify,
}

impl Shared {
    pub(super) fn new(plan: Plan) -> Self {
        let channel = |index| Channel { name: plan.channel(index), listeners: AtomicU32::new(0) };
        Self {
            channels: (0..plan.channels).map(channel).collect(),
            handshakes: Semaphore::new(plan.parallel as usize),
            room: Semaphore::new(0),
            is_ending: AtomicBool::new(false),
            clock: Clock::start(),
            tried: AtomicU32::new(0),
            made: AtomicU32::new(0),
            lost: AtomicU32::new(0),
            received: AtomicU64::new(0),
            all_tried: Notify::new(),
            plan,
        }
    }

    /// Returns the time since the start of the measurement's clock.
    pub(super) fn now(&self) -> Duration {
        self.clock.now().elapsed()
    }

    /// Counts a socket that is subscribed.
    pub(super) fn join(&self, channel: &Channel) {
        channel.listeners.fetch_add(1, Ordering::Relaxed);
        self.made.fetch_add(1, Ordering::Relaxed);
        self.count_try();
    }

    /// Counts a socket that came to nothing.
    pub(super) fn fail(&self) {
        self.count_try();
    }

    /// Counts a subscribed socket that has ended.
    pub(super) fn leave(&self, channel: &Channel) {
        channel.listeners.fetch_sub(1, Ordering::Relaxed);
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an event's first arrival at a socket.
    pub(super) fn deliver(&self) {
        self.received.fetch_add(1, Ordering::Relaxed);
        if self.plan.is_closed_loop() {
            self.room.add_permits(1);
        }
    }

    /// Waits until each socket is subscribed or has failed.
    pub(super) async fn all_tried(&self) {
        while self.tried.load(Ordering::Acquire) < self.plan.connections {
            self.all_tried.notified().await;
        }
    }

    /// Returns how many sockets were subscribed, and how many of them have ended since.
    pub(super) fn sockets(&self) -> (u32, u32) {
        (self.made.load(Ordering::Relaxed), self.lost.load(Ordering::Relaxed))
    }

    /// Returns how many sockets came to nothing so far.
    pub(super) fn failed(&self) -> u32 {
        let tried = self.tried.load(Ordering::Relaxed);
        tried.saturating_sub(self.made.load(Ordering::Relaxed))
    }

    /// Returns how many deliveries have come.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    fn count_try(&self) {
        if self.tried.fetch_add(1, Ordering::AcqRel).saturating_add(1) >= self.plan.connections {
            self.all_tried.notify_one();
        }
    }
}
