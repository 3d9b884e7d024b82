//! Why a listener cannot be had: the key that says where it is, and what to do.

use std::io::{self, ErrorKind};
use std::path::Path;

/// A host name has no address, its port is taken at one of them, or none of them can be bound.
#[derive(Debug, thiserror::Error)]
#[error("{key}: cannot listen on {place}: {problem}")]
pub struct Unbound {
    /// The key of the configuration that is to be changed.
    pub key: &'static str,
    /// Host and port, or `unix:` and the path of a socket.
    pub place: String,
    /// What is wrong and what to do.
    pub problem: String,
    /// What the system says.
    pub source: io::Error,
}

/// The keys of a TCP listener.
#[derive(Clone, Copy)]
pub(super) struct Keys {
    host: &'static str,
    port: &'static str,
    /// What to do where the port cannot be had.
    remedy: &'static str,
}

/// Clients and backends connect there.
pub(super) const PUBLIC: Keys =
    Keys { host: "host", port: "port", remedy: "choose another (MICRONOTIFIER__PORT)" };
/// The operator does.
pub(super) const OPERATOR: Keys = Keys {
    host: "admin-host",
    port: "admin-port",
    remedy: "choose another (MICRONOTIFIER__ADMIN_PORT), or 0 for no operator's port",
};

impl Unbound {
    pub(super) fn tcp(keys: Keys, host: &str, port: u16, source: io::Error) -> Self {
        let Keys { host: host_key, port: port_key, remedy } = keys;
        let (key, problem) = match source.kind() {
            ErrorKind::AddrInUse => {
                (port_key, format!("the port is in use, perhaps by another node; {remedy}"))
            }
            ErrorKind::PermissionDenied => (
                port_key,
                format!(
                    "this user may not take the port, as none below 1024; {remedy}, or give the program CAP_NET_BIND_SERVICE"
                ),
            ),
            ErrorKind::AddrNotAvailable => {
                (host_key, "this machine has no such address".to_owned())
            }
            _ => (host_key, source.to_string()),
        };
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        Self { key, place: format!("{host}:{port}"), problem, source }
    }

    pub(super) fn unix(path: &Path, source: io::Error) -> Self {
        let problem = if source.kind() == ErrorKind::AddrInUse {
            "somebody listens there, or the file is no socket; choose another (MICRONOTIFIER__HOST)"
                .to_owned()
        } else {
            format!("{source}: its directory must exist, and this user must be able to write to it")
        };
        Self { key: "host", place: format!("unix:{}", path.display()), problem, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_and_the_remedy_are_told() {
        let told = |keys, kind: ErrorKind| Unbound::tcp(keys, "::1", 80, kind.into()).to_string();
        assert_eq!(
            told(OPERATOR, ErrorKind::AddrInUse),
            "admin-port: cannot listen on [::1]:80: the port is in use, perhaps by another node; choose another (MICRONOTIFIER__ADMIN_PORT), or 0 for no operator's port"
        );
        let told_public = |kind| told(PUBLIC, kind);
        assert!(told_public(ErrorKind::PermissionDenied).starts_with("port: "));
        assert!(told_public(ErrorKind::AddrNotAvailable).starts_with("host: "));
        let path = Path::new("/nonexistent/a.sock");
        let told = Unbound::unix(path, ErrorKind::NotFound.into()).to_string();
        assert!(told.starts_with("host: cannot listen on unix:/nonexistent/a.sock: "), "{told}");
        assert!(told.ends_with("must be able to write to it"), "{told}");
    }
}
