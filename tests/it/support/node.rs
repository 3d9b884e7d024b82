//! A node under test: a whole server on a thread of its own, stopped when dropped.

use std::net::SocketAddr;
use std::sync::{LazyLock, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use micronotifier::config::{
    EdgeConfig, HttpConfig, Listen, LogConfig, LogFormat, ServerConfig, SocketConfig,
};
use micronotifier::{RunningServer, ServeError};
use micronotifier_actors::bridge::loopback::Hub;
use micronotifier_actors::config::NodeConfig;
use micronotifier_actors::{Node, NodeHandle};
use serde_json::json;
use tokio::sync::oneshot;

use super::apps::{self, TestApp};
use super::stream::Stream;
use super::{Api, DEADLINE, Socket, unique};

/// A running server.
pub(crate) struct TestNode {
    address: Option<SocketAddr>,
    pub(crate) admin: Option<SocketAddr>,
    #[allow(dead_code, reason = "read by the cluster's tests")]
    handle: NodeHandle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Returns the node that tests share, each with channels and users of its own.
pub(crate) fn shared() -> &'static TestNode {
    static NODE: LazyLock<TestNode> = LazyLock::new(|| TestNode::start(|_| {}));
    &NODE
}

/// Returns what a test node is configured with: any free port, two workers, every application.
pub(crate) fn configuration() -> ServerConfig {
    let mut node = NodeConfig::new(apps::all());
    node.workers = 2;
    node.limits.offline_delay = Duration::from_millis(100);
    node.limits.handshakes_per_second = None;
    ServerConfig {
        node,
        development: false,
        listen: Listen::Tcp { host: "127.0.0.1".to_owned(), port: 0 },
        tls: None,
        admin: None,
        edge: EdgeConfig::default(),
        socket: SocketConfig::default(),
        http: HttpConfig::default(),
        redis: None,
        log: LogConfig { format: LogFormat::Text, level: log::LevelFilter::Off },
    }
}

impl TestNode {
    /// Starts a server as the program does, with the usual configuration, changed by `adjust`.
    pub(crate) fn start(adjust: impl FnOnce(&mut ServerConfig)) -> Self {
        Self::start_by(adjust, async |config| micronotifier::serve(config).await)
    }

    /// Starts one more node of those that share a hub.
    pub(crate) fn start_on(hub: &Hub, adjust: impl FnOnce(&mut ServerConfig)) -> Self {
        let hub = hub.clone();
        Self::start_with(adjust, move |config| Node::start_with(config, |sink| hub.connect(sink)))
    }

    fn start_with(
        adjust: impl FnOnce(&mut ServerConfig),
        start: impl FnOnce(NodeConfig) -> Node + Send + 'static,
    ) -> Self {
        Self::start_by(adjust, async |config| micronotifier::serve_with(config, start).await)
    }

    fn start_by(
        adjust: impl FnOnce(&mut ServerConfig),
        serve: impl AsyncFnOnce(ServerConfig) -> Result<RunningServer, ServeError> + Send + 'static,
    ) -> Self {
        let mut config = configuration();
        adjust(&mut config);
        let (started, addresses) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            actix::System::new().block_on(async move {
                let server = serve(config).await.expect("the server starts");
                let addresses = (server.address(), server.admin_address());
                started.send((addresses, server.node().clone())).expect("the test waits");
                // An error means that the test is gone, which is a reason to stop as well.
                stopped.await.ok();
                server.stop().await;
            });
        });
        let ((address, admin), handle) =
            addresses.recv_timeout(DEADLINE).expect("the server starts");
        Self { address, admin, handle, stop: Some(stop), thread: Some(thread) }
    }

    /// Returns the TCP address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address.expect("a TCP listener")
    }

    /// Returns a door to the node behind the server.
    #[allow(dead_code, reason = "used by the cluster's tests")]
    pub(crate) fn handle(&self) -> &NodeHandle {
        &self.handle
    }

    /// Opens a TCP connection.
    pub(crate) fn stream(&self) -> Stream {
        Stream::connect(self.address())
    }

    /// Connects a client and waits until it is established.
    pub(crate) fn connect(&self, app: TestApp) -> Socket {
        Socket::establish(self.stream(), app)
    }

    /// Upgrades a connection on any path and reads nothing more.
    pub(crate) fn upgrade(&self, target: &str) -> Socket {
        Socket::upgrade(self.stream(), target, &[])
    }

    /// Connects a backend.
    pub(crate) fn api(&self, app: TestApp) -> Api {
        Api::new(app, self.stream())
    }

    /// Triggers one event on a connection of its own.
    pub(crate) fn trigger(&self, app: TestApp, channel: &str, event: &str, data: &str) {
        self.api(app).trigger(channel, event, data);
    }

    /// Proves that nothing else is under way on a channel: a new event must be the next thing that each socket gets.
    pub(crate) fn fence(&self, channel: &str, sockets: &mut [&mut Socket]) {
        let event = unique("fence");
        self.trigger(sockets[0].app, channel, &event, "x");
        for socket in sockets {
            socket.expect(json!({"event": event, "channel": channel, "data": "x"}));
        }
    }

    /// Begins to stop the server, without waiting for it.
    pub(crate) fn begin_stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // An error means that the server stopped by itself, which the join below reports.
            stop.send(()).ok();
        }
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        self.begin_stop();
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(matches!(ended, Some(Ok(()))), "the server's thread panicked");
        }
    }
}
