//! What a server is told at its start: the checked form of the configuration.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use micronotifier_actors::config::NodeConfig;
use micronotifier_actors::redis::RedisOptions;

/// Everything that [`crate::serve`] needs.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Applications and limits.
    pub node: NodeConfig,
    /// Where clients and backends connect.
    pub listen: Listen,
    /// The certificate chain and its key; `None` = plain HTTP.
    pub tls: Option<TlsFiles>,
    /// The operator's listener; `None` = switched off.
    pub admin: Option<AdminConfig>,
    /// What the HTTP edge needs beyond the node.
    pub edge: EdgeConfig,
    /// What the edge sets on every accepted socket.
    pub socket: SocketConfig,
    /// How long and how large HTTP requests may be.
    pub http: HttpConfig,
    /// The Redis that it shares with other nodes; `None` = it is alone.
    pub redis: Option<RedisOptions>,
    /// How the node logs.
    pub log: LogConfig,
    /// The application is the built-in one, which everybody knows, and only this machine can connect: the server says what
    /// to try first, and tells its operator the key.
    pub development: bool,
}

/// Where the public listener is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// A host name or address, and a port; 0 = any free one. Every address of the host is bound.
    Tcp {
        /// Name, IPv4 or IPv6 address.
        host: String,
        /// Port.
        port: u16,
    },
    /// A Unix socket, for a proxy on the same machine (`"host": "unix:/run/micronotifier.sock"`).
    Unix(PathBuf),
}

impl Listen {
    /// Tells whether only this machine can connect. A Unix socket is there for a proxy, and that for others.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp { host, .. } => is_loopback(host),
            Self::Unix(_) => false,
        }
    }
}

/// Tells whether a host is `localhost` or a loopback address. Other names are not looked up: they are not.
pub fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub private_key: PathBuf,
}

/// The operator's listener. `Debug` prints no token.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminConfig {
    /// Name or address.
    pub host: String,
    /// Port; 0 never gets here, it switches the listener off.
    pub port: u16,
    /// Asked for as `Authorization: Bearer …` when not empty. Required beyond loopback.
    pub token: String,
}

impl fmt::Debug for AdminConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminConfig")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("token_bytes", &self.token.len())
            .finish()
    }
}

/// What the HTTP edge needs beyond the node.
#[derive(Debug, Clone, Default)]
pub struct EdgeConfig {
    /// What stands before `/app` and `/apps` in every path; empty or `/prefix`.
    pub path_prefix: String,
    /// Whose habits the public port takes on.
    pub compatibility: Compatibility,
    /// Networks whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
}

/// Whose habits the public port takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compatibility {
    /// Pusher's alone.
    #[default]
    None,
    /// MicroNotifier: `GET /apps`, and API calls without a signature.
    MicroNotifier,
    /// soketi: `/`, `/ready`, `/metrics` on the public port, its limits and metric names.
    Soketi,
}

/// An address range, such as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// The first address.
    pub address: IpAddr,
    /// How many leading bits must agree.
    pub prefix: u8,
}

/// What the edge sets on every accepted socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketConfig {
    /// `SO_SNDBUF`, in bytes: what the kernel holds for a client that does not read.
    pub send_buffer_bytes: usize,
    /// `TCP_NOTSENT_LOWAT`, in bytes: unsent data above which a socket counts as full.
    pub notsent_lowat_bytes: u32,
    /// `TCP_USER_TIMEOUT`: how long sent data may stay unacknowledged before the kernel ends the connection.
    pub user_timeout: Duration,
    /// Connections that may wait to be accepted.
    pub backlog: u32,
}

impl Default for SocketConfig {
    fn default() -> Self {
        Self {
            send_buffer_bytes: 64 * 1024,
            notsent_lowat_bytes: 16 * 1024,
            user_timeout: Duration::from_secs(30),
            backlog: 4096,
        }
    }
}

/// How long and how large HTTP requests may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpConfig {
    /// How long a TLS handshake may take, and then a request's head.
    pub request_head: Duration,
    /// How long an API request's body may take to arrive.
    pub request_body: Duration,
    /// How long an idle HTTP connection is kept.
    pub keep_alive: Duration,
    /// Largest body of an API request, in bytes. Over it: 413.
    pub body_bytes: usize,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            request_head: Duration::from_secs(5),
            request_body: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            body_bytes: 256 * 1024,
        }
    }
}

/// How the node logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogConfig {
    /// Text or JSON lines.
    pub format: LogFormat,
    /// The least severity that is written.
    pub level: log::LevelFilter,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::default(), level: log::LevelFilter::Info }
    }
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}
