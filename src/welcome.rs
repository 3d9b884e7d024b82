//! What a server says when it serves: where it is, and what to try next.

use std::net::SocketAddr;

use crate::config::{Listen, ServerConfig};
use crate::server::RunningServer;

/// What is known before the start. `Debug` is not derived: nothing here is to be logged as a whole.
pub(crate) struct Welcome {
    secure: bool,
    socket_path: Option<String>,
    prefix: String,
    key: Option<String>,
    is_development: bool,
}

impl Welcome {
    /// Takes what is to be said out of a configuration.
    pub(crate) fn of(config: &ServerConfig) -> Self {
        let app = config.node.apps.iter().next();
        Self {
            secure: config.tls.is_some(),
            socket_path: match &config.listen {
                Listen::Unix(path) => Some(path.display().to_string()),
                Listen::Tcp { .. } => None,
            },
            prefix: config.edge.path_prefix.clone(),
            key: app.map(|app| app.credential.key().to_owned()),
            is_development: config.development,
        }
    }

    /// Says it.
    pub(crate) fn say(&self, server: &RunningServer) {
        if let Some(path) = &self.socket_path {
            log::info!("serving on unix:{path}");
        }
        for address in server.addresses() {
            log::info!("serving on {}", self.url(*address));
        }
        if let Some(admin) = server.admin_address() {
            log::info!("operator's page on http://{admin}/");
        }
        if !self.is_development {
            return;
        }
        log::info!("no -c FILE given: development configuration, this machine only");
        if let Some(key) = &self.key {
            log::info!("application key {key}; listen to a channel in another terminal:");
            log::info!("    cargo run --release -- listen my-channel");
            log::info!("and send it an event:");
            log::info!(
                r#"    cargo run --release -- trigger my-channel my-event '{{"hello":"world"}}'"#
            );
        }
    }

    fn url(&self, address: SocketAddr) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{address}{}", self.prefix)
    }
}
