//! What a server says when it serves: where it is, and what to try next.

use std::ffi::OsString;
use std::net::SocketAddr;

use crate::config::{Listen, ServerConfig};
use crate::server::RunningServer;

/// Where a command looks for a node that it was not told of: the built-in configuration's address.
const DEFAULT: &str = "http://127.0.0.1:8111";

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
            let addresses = server.addresses().iter().map(|address| self.url(*address));
            let program = program(std::env::args_os().next());
            let way = way(&addresses.collect::<Vec<_>>());
            log::info!("application key {key}; listen to a channel in another terminal:");
            log::info!("    {program} listen{way} my-channel");
            log::info!("and send it an event:");
            log::info!(r#"    {program} trigger{way} my-channel my-event '{{"hello":"world"}}'"#);
        }
    }

    fn url(&self, address: SocketAddr) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{address}{}", self.prefix)
    }
}

/// Returns the name that the program was started by: what works there once works again.
fn program(name: Option<OsString>) -> String {
    name.and_then(|name| name.into_string().ok()).unwrap_or_else(|| "micronotifier".to_owned())
}

/// Returns the option that leads a command to a node at one of these addresses; empty where it needs none.
fn way(addresses: &[String]) -> String {
    match addresses.first() {
        Some(first) if !addresses.iter().any(|address| address == DEFAULT) => {
            format!(" --url {first}")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use super::*;
    use crate::settings::Settings;

    #[test]
    fn an_address_is_told_where_commands_would_not_find_it() {
        let config = Settings::load(None, std::iter::empty()).unwrap().config;
        let Listen::Tcp { host, port } = &config.listen else {
            unreachable!("the built-in configuration listens on a port");
        };
        assert_eq!(Welcome::of(&config).url(format!("{host}:{port}").parse().unwrap()), DEFAULT);
        let [six, four, other] =
            ["http://[::1]:8111", DEFAULT, "http://127.0.0.1:8121/push"].map(str::to_owned);
        assert_eq!(way(&[six, four]), "");
        assert_eq!(way(&[other]), " --url http://127.0.0.1:8121/push");
    }
}
