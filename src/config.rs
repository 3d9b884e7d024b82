//! What a server is told at its start: the checked form of the configuration.

use std::net::IpAddr;
use std::path::PathBuf;

use micronotifier_actors::config::NodeConfig;

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
    /// How the node logs.
    pub log: LogConfig,
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

/// PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub private_key: PathBuf,
}

/// The operator's listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminConfig {
    /// Name or address.
    pub host: String,
    /// Port; 0 never gets here, it switches the listener off.
    pub port: u16,
    /// Asked for as `Authorization: Bearer …` when not empty. Required beyond loopback.
    pub token: String,
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

/// How the node logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogConfig {
    /// Text or JSON lines.
    pub format: LogFormat,
    /// The least severity that is written.
    pub level: log::LevelFilter,
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
