//! What the workers of one server hold in common.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use micronotifier_actors::NodeHandle;
use micronotifier_actors::clock::Clock;

use super::idempotency::Idempotency;
use super::rate::Rates;
use crate::config::{EdgeConfig, HttpConfig};

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
    /// Where the public port is.
    pub public: Arc<PublicSide>,
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
    /// How long an idle HTTP connection is kept.
    pub keep_alive: Duration,
    /// The largest request body, in bytes. Over it: 413, whatever the application's own limits add up to.
    pub body_bytes: usize,
    /// Requests that are being answered.
    pub calls: Calls,
}

/// Counts the requests that are being answered, so that the end of a server waits for them.
#[derive(Debug, Clone, Default)]
pub struct Calls(Arc<AtomicU64>);

/// A request that is being answered, until it is dropped.
#[derive(Debug)]
pub(super) struct CallUnderWay(Calls);

impl Calls {
    pub(super) fn begin(&self) -> CallUnderWay {
        self.0.fetch_add(1, Ordering::Relaxed);
        CallUnderWay(self.clone())
    }

    /// Returns how many there are.
    pub fn under_way(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for CallUnderWay {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl EdgeState {
    /// Builds the state of one server, with the system's clock, [`BODY_WAIT`], and bodies
    /// that only the applications bound.
    pub fn new(node: NodeHandle, edge: EdgeConfig) -> Self {
        Self {
            node,
            edge: Arc::new(edge),
            public: Arc::default(),
            idempotency: Arc::default(),
            rates: Arc::default(),
            clock: Clock::start(),
            wall: WallClock::System,
            body_wait: BODY_WAIT,
            keep_alive: HttpConfig::default().keep_alive,
            body_bytes: usize::MAX,
            calls: Calls::default(),
        }
    }
}

/// Where the public port is, as far as the operator is told.
#[derive(Debug, Clone, Default)]
pub struct PublicSide {
    /// The addresses it is bound to; none on a Unix socket.
    pub addresses: Vec<SocketAddr>,
    /// Whether it speaks TLS.
    pub secure: bool,
    /// This is the built-in configuration, whose key is in the manual: it may be shown.
    pub development: bool,
}

impl PublicSide {
    /// Returns the port; 0 on a Unix socket.
    pub fn port(&self) -> u16 {
        self.addresses.first().map_or(0, SocketAddr::port)
    }

    /// Returns where a WebSocket can be opened, as `ws://127.0.0.1:8111`. An address that stands for all
    /// of the machine's is reached by `host`, the name under which somebody has found the machine.
    pub fn sockets(&self, host: Option<&str>) -> Vec<String> {
        let scheme = if self.secure { "wss" } else { "ws" };
        let mut sockets: Vec<String> = Vec::new();
        for address in &self.addresses {
            let place = match host {
                Some(host) if address.ip().is_unspecified() => format!("{host}:{}", address.port()),
                _ => address.to_string(),
            };
            let socket = format!("{scheme}://{place}");
            if !sockets.contains(&socket) {
                sockets.push(socket);
            }
        }
        sockets
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
