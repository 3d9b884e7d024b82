//! What the tests stand on: a running node, a hand-written WebSocket client, a hand-written HTTP client.

pub(crate) mod api;
pub(crate) mod apps;
pub(crate) mod expect;
pub(crate) mod frame;
pub(crate) mod http;
pub(crate) mod node;
pub(crate) mod process;
pub(crate) mod socket;
pub(crate) mod stream;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use micronotifier_actors::clock::Clock;

pub(crate) use api::{Api, Call};
pub(crate) use apps::TestApp;
pub(crate) use expect::Incoming;
pub(crate) use node::{TestNode, shared};
pub(crate) use socket::Socket;

/// How long a test waits for anything before it fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// Asks again and again until `holds`, or fails after [`DEADLINE`]. Each question should wait for an answer itself.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let clock = Clock::start();
    while !holds() {
        assert!(clock.now().elapsed() < DEADLINE, "did not happen in time: {what}");
        std::thread::yield_now();
    }
}

/// Returns a name that no other test of this run uses.
pub(crate) fn unique(prefix: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{prefix}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
