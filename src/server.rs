//! Runs a whole server: listeners, workers, the node behind them, and the end of it all.

mod unbound;

use std::future::pending;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_rt::task::JoinHandle;
use actix_server::{Server, ServerBuilder};
use micronotifier_actors::bridge;
use micronotifier_actors::bridge::wire::Wire;
use micronotifier_actors::config::NodeConfig;
use micronotifier_actors::membership;
use micronotifier_actors::membership::redis::RedisMembership;
use micronotifier_actors::redis::LinkError;
use micronotifier_actors::session::effect::Close;
use micronotifier_actors::{Node, NodeHandle};
use socket2::SockRef;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Listen, ServerConfig, SocketConfig};
use crate::edge::admin;
use crate::edge::state::Calls;
use crate::edge::ws::admission::Admission;
use crate::edge::{EdgeState, PublicSide};
use crate::listener::{self, WorkerState};
use crate::logging;
use crate::serving::Serving;
use crate::tls::{self, TlsError};
use crate::welcome::Welcome;

pub use unbound::Unbound;

/// What a client is told when the node ends and nobody else takes over.
const GOING_AWAY: Close = Close { code: 1001, reason: "Server is shutting down" };
/// How long sockets may take to end beyond their own close wait.
const LAST_FLUSH: Duration = Duration::from_secs(1);
/// How long a node that others stay for answers over open connections, each time for the last: proxies keep some.
const HAND_OVER: Duration = Duration::from_millis(500);
/// How long Redis may take to be told that the node ends.
const LAST_WORD: Duration = Duration::from_secs(2);
/// How often the other nodes are told how many connections there are.
const REPORT: Duration = Duration::from_secs(2);
/// How often the end looks whether all sockets are gone, and how long it lets the accepting thread act.
const LOOK: Duration = Duration::from_millis(20);

/// Why a server did not start, or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A listener cannot be had.
    #[error(transparent)]
    Listen(#[from] Unbound),
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The Redis that nodes share cannot be used as configured.
    #[error(transparent)]
    Redis(#[from] LinkError),
    /// The workers did not start.
    #[error("cannot start the workers: {0}")]
    Start(#[source] io::Error),
    /// It ended although nobody stopped it.
    #[error("the {side} server ended: {source}")]
    Ended {
        /// Whom it served.
        side: &'static str,
        /// What it says.
        source: io::Error,
    },
}

/// A server that serves.
pub struct RunningServer {
    addresses: Vec<SocketAddr>,
    /// The public listeners once more, to close them before the workers end.
    doors: Vec<TcpListener>,
    admin_address: Option<SocketAddr>,
    node: NodeHandle,
    admission: Arc<Admission>,
    calls: Calls,
    public: Serving,
    operator: Option<Serving>,
    /// What goes on at intervals.
    clocks: Vec<JoinHandle<()>>,
    membership: Option<RedisMembership>,
}

/// Starts a server and waits for its workers. Call it inside an actix system; it runs until [`RunningServer::stop`].
///
/// # Errors
/// [`ServeError`] names the part that failed.
pub async fn serve(mut config: ServerConfig) -> Result<RunningServer, ServeError> {
    let Some(options) = config.redis.take() else {
        return serve_with(config, Node::start).await;
    };
    let announcer = Arc::new(Wire::new("", &options.cluster_secret));
    let connect = membership::redis::connect(&options);
    let locate = membership::redis::locate(&options);
    let mailbox_metrics = config.node.mailbox_metrics;
    let settings =
        membership::redis::Options { mailbox_metrics, ..membership::redis::Options::of(&options) };
    let bridge = bridge::redis::Ready::check(options).await?.with_mailbox_metrics(mailbox_metrics);
    let mut running = None;
    let join = |sink| {
        let membership = RedisMembership::start(settings, connect, locate, announcer, sink);
        running.insert(membership).handle()
    };
    let start = |node| Node::start_sharing(node, |sink| bridge.start(sink), join);
    let mut server = serve_with(config, start).await?;
    server.membership = running;
    Ok(server)
}

/// As [`serve`], with a node that `start` makes: one with a bridge to others, say.
///
/// # Errors
/// As [`serve`].
pub async fn serve_with(
    config: ServerConfig,
    start: impl FnOnce(NodeConfig) -> Node,
) -> Result<RunningServer, ServeError> {
    let tls = config.tls.as_ref().map(tls::server_config).transpose()?;
    let workers = config.node.workers.max(1);
    // all ports are had before other nodes hear of this one; whoever reaches the public one finds the operator's
    let operator_sockets = match &config.admin {
        Some(admin) => bind(unbound::OPERATOR, &admin.host, admin.port, &config.socket)?,
        None => Vec::new(),
    };
    let (sockets, unix) = match &config.listen {
        Listen::Tcp { host, port } => (bind(unbound::PUBLIC, host, *port, &config.socket)?, None),
        Listen::Unix(path) => (Vec::new(), Some(bind_unix(path)?)),
    };
    let admin_address = operator_sockets.first().and_then(|socket| socket.local_addr().ok());
    let node = start(config.node).handle();
    let admission = Admission::new(node.limits(), node.apps());
    let addresses: Vec<SocketAddr> =
        sockets.iter().filter_map(|socket| socket.local_addr().ok()).collect();
    let doors = sockets.iter().filter_map(|socket| socket.try_clone().ok()).collect();
    let mut edge = EdgeState::new(node.clone(), config.edge);
    edge.body_wait = config.http.request_body;
    edge.keep_alive = config.http.keep_alive;
    edge.body_bytes = config.http.body_bytes;
    edge.public = Arc::new(PublicSide {
        addresses: addresses.clone(),
        secure: tls.is_some(),
        development: config.development,
    });
    let state = WorkerState {
        limits: Arc::new(node.limits().clone()),
        admission: Arc::clone(&admission),
        edge,
        http: config.http,
    };

    // first, so that it is there to tell that the node starts
    let operator = match &config.admin {
        Some(admin) => {
            let operator = admin::Operator::new(admin, state.edge.clone());
            Some(serve_operator(operator_sockets, &operator, &state).await?)
        }
        None => None,
    };
    let public = match serve_public(workers, sockets, unix, tls.as_ref(), &state).await {
        Ok(public) => public,
        Err(error) => {
            if let Some(operator) = &operator {
                operator.stop().await;
            }
            return Err(error);
        }
    };
    let mut clocks = vec![actix_rt::spawn(beat(node.clone()))];
    if node.membership().is_some() {
        clocks.push(actix_rt::spawn(report(node.clone(), Arc::clone(&admission))));
    }
    let calls = state.edge.calls.clone();
    Ok(RunningServer {
        addresses,
        doors,
        admin_address,
        node,
        admission,
        calls,
        public,
        operator,
        clocks,
        membership: None,
    })
}

async fn serve_public(
    workers: usize,
    sockets: Vec<TcpListener>,
    unix: Option<UnixListener>,
    tls: Option<&rustls::ServerConfig>,
    state: &WorkerState,
) -> Result<Serving, ServeError> {
    let mut builder = server_of(workers);
    for socket in sockets {
        builder = match tls {
            Some(tls) => listener::secure(builder, socket, state, tls),
            None => listener::plain(builder, socket, state),
        }
        .map_err(ServeError::Start)?;
    }
    if let Some(socket) = unix {
        builder = listener::unix(builder, socket, state).map_err(ServeError::Start)?;
    }
    Serving::start(builder).await.map_err(ServeError::Start)
}

/// Serves the operator on a thread that is no worker's: it answers while event loops stand still, and is in the
/// way of no delivery.
async fn serve_operator(
    sockets: Vec<TcpListener>,
    operator: &admin::Operator,
    state: &WorkerState,
) -> Result<Serving, ServeError> {
    let mut builder = server_of(1);
    for socket in sockets {
        builder = listener::admin(builder, socket, operator, state).map_err(ServeError::Start)?;
    }
    Serving::start(builder).await.map_err(ServeError::Start)
}

fn server_of(workers: usize) -> ServerBuilder {
    Server::build()
        .workers(workers)
        .max_concurrent_connections(usize::MAX >> 1)
        .shutdown_timeout(LAST_FLUSH.as_secs())
        .disable_signals()
}

/// Moves on the clock by which the workers are judged. Runs beside them.
async fn beat(node: NodeHandle) {
    loop {
        tokio::time::sleep(NodeHandle::BEAT).await;
        node.beat();
    }
}

/// Tells the other nodes how many connections there are.
async fn report(node: NodeHandle, admission: Arc<Admission>) {
    loop {
        node.report_connections(admission.by_app());
        tokio::time::sleep(REPORT).await;
    }
}

impl RunningServer {
    /// Returns the first public address; none on a Unix socket.
    pub fn address(&self) -> Option<SocketAddr> {
        self.addresses.first().copied()
    }

    /// Returns all public addresses.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Returns the operator's address.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// Returns a door to the node.
    pub fn node(&self) -> &NodeHandle {
        &self.node
    }

    /// Returns how many sockets are open.
    pub fn connections(&self) -> u64 {
        self.admission.connections()
    }

    /// Waits until the public server or the operator's ends although nobody has stopped it, and returns which, and why. The other
    /// goes on until [`Self::stop`]. Each end is told once.
    pub async fn ended(&mut self) -> ServeError {
        let operator = async {
            match &mut self.operator {
                Some(operator) => operator.ended().await,
                None => pending().await,
            }
        };
        tokio::select! {
            source = self.public.ended() => ServeError::Ended { side: "public", source },
            source = operator => ServeError::Ended { side: "operator's", source },
        }
    }

    /// Ends the server: connections are refused, calls under way are answered, every client gets
    /// what waits for it and a Close 1001, and what is then still open is cut. The operator is answered to the last.
    pub async fn stop(self) {
        self.public.pause().await;
        // nobody tells when the accepting thread has let go; a listener that is shut before that is an error to it
        tokio::time::sleep(LOOK).await;
        for door in &self.doors {
            // a paused listener still lets connections wait, which a proxy would take for a slow node
            if let Err(error) = SockRef::from(door).shutdown(Shutdown::Read) {
                log::warn!(error:% = error; "a listener does not close; connections to it wait until the end");
            }
        }
        let close_wait = self.node.limits().close_wait;
        self.node.shut(GOING_AWAY);
        let is_done = || self.admission.connections() == 0 && self.calls.under_way() == 0;
        let all_gone = async {
            if self.node.bridge().is_some() {
                tokio::time::sleep(HAND_OVER).await;
            }
            // one look more than needed: the last answers are still on their way to their sockets
            while !is_done() {
                tokio::time::sleep(LOOK).await;
            }
            tokio::time::sleep(LOOK).await;
        };
        if tokio::time::timeout(close_wait + LAST_FLUSH, all_gone).await.is_err() {
            log::warn!(connections = self.admission.connections(); "cutting sockets that did not end");
        }
        for clock in &self.clocks {
            clock.abort();
        }
        if let Some(membership) = &self.membership
            && tokio::time::timeout(LAST_WORD, membership.retire()).await.is_err()
        {
            log::warn!("redis was not told of the end; the other nodes find out by themselves");
        }
        self.public.stop().await;
        if let Some(operator) = &self.operator {
            operator.stop().await;
        }
    }
}

fn bind(
    keys: unbound::Keys,
    host: &str,
    port: u16,
    options: &SocketConfig,
) -> Result<Vec<TcpListener>, Unbound> {
    listener::bind(host, port, options).map_err(|error| Unbound::tcp(keys, host, port, error))
}

fn bind_unix(path: &Path) -> Result<UnixListener, Unbound> {
    listener::bind_unix(path).map_err(|error| Unbound::unix(path, error))
}

/// Runs a server until SIGTERM or SIGINT: what `micronotifier serve` does.
///
/// # Errors
/// [`ServeError`] as an I/O error, when the server does not start or does not go on.
pub fn run(config: ServerConfig) -> io::Result<()> {
    let welcome = Welcome::of(&config);
    log::info!(version = env!("CARGO_PKG_VERSION"), workers = config.node.workers; "starting");
    actix_rt::System::new().block_on(async move {
        let mut terminated = signal(SignalKind::terminate())?;
        let mut interrupted = signal(SignalKind::interrupt())?;
        let mut server = serve(config).await.map_err(io::Error::other)?;
        welcome.say(&server);
        let outcome = tokio::select! {
            _ = terminated.recv() => Ok(()),
            _ = interrupted.recv() => Ok(()),
            // clients and other nodes are still told
            error = server.ended() => Err(io::Error::other(error)),
        };
        logging::node_ends();
        log::info!(connections = server.connections(); "shutting down");
        tokio::select! {
            () = server.stop() => {}
            // a second signal: at once
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
        log::info!("stopped");
        outcome
    })
}

#[cfg(test)]
mod tests;
