//! Where Redis is and how it is used: the checked form of the `redis` object of the configuration.

use std::fmt;
use std::time::Duration;

/// Everything that is needed to reach Redis. `Debug` prints no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisOptions {
    /// One server, or the Sentinels, or some nodes of the cluster. Never empty.
    pub addresses: Vec<Address>,
    /// What the addresses are.
    pub topology: Topology,
    /// The number of the database.
    pub database: u32,
    /// The user; empty = the default user.
    pub username: String,
    /// The password; empty = none.
    pub password: String,
    /// TLS, without a fallback.
    pub secure: bool,
    /// PEM certificates that are believed instead of the public ones; with `secure` only.
    pub authority: Option<Vec<u8>>,
    /// What stands before every key and topic.
    pub prefix: String,
    /// What nodes sign with whatever they tell each other; empty = nothing is signed.
    pub cluster_secret: String,
    /// Events that a channel keeps for nodes that missed one. 0 = none, so that nothing is repaired.
    pub repair_events: u32,
    /// How long they are kept.
    pub repair_wait: Duration,
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Name, IPv4 or IPv6 address without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Address {
    /// Parses `host:port` or `[address]:port`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = bare.unwrap_or(host);
        let port = port.parse().ok().filter(|port| *port > 0)?;
        let is_host = !host.is_empty() && (bare.is_some() || !host.contains(':'));
        is_host.then(|| Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// What the addresses of [`RedisOptions`] are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topology {
    /// One server.
    Single,
    /// Sentinels, which know where the master is.
    Sentinel {
        /// The master's name there.
        master: String,
    },
    /// Nodes of a Redis Cluster, which know where each slot is.
    Cluster,
}

impl RedisOptions {
    /// Describes one server with everything else as the configuration leaves it.
    pub fn single(address: Address) -> Self {
        Self {
            addresses: vec![address],
            topology: Topology::Single,
            database: 0,
            username: String::new(),
            password: String::new(),
            secure: false,
            authority: None,
            prefix: "mn:".to_owned(),
            cluster_secret: String::new(),
            repair_events: 1000,
            repair_wait: Duration::from_mins(2),
        }
    }
}

impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOptions")
            .field("addresses", &self.addresses)
            .field("topology", &self.topology)
            .field("database", &self.database)
            .field("username", &self.username)
            .field("password_bytes", &self.password.len())
            .field("secure", &self.secure)
            .field("authority", &self.authority.is_some())
            .field("prefix", &self.prefix)
            .field("cluster_secret_bytes", &self.cluster_secret.len())
            .field("repair_events", &self.repair_events)
            .field("repair_wait", &self.repair_wait)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use super::*;

    #[test]
    fn addresses_are_parsed_and_printed() {
        for text in ["localhost:6379", "10.0.0.1:1", "[::1]:26379"] {
            assert_eq!(Address::parse(text).unwrap().to_string(), text);
        }
        for bad in ["", "localhost", ":6379", "a:0", "a:65536", "::1:6379", "a:x", "[]:1"] {
            assert_eq!(Address::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let mut options = RedisOptions::single(Address { host: "h".to_owned(), port: 1 });
        options.password = "one-secret".to_owned();
        options.cluster_secret = "other-secret".to_owned();
        assert!(!format!("{options:?}").contains("-secret\""));
    }
}
