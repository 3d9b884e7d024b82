//! `serve`: reads the configuration, starts the log, and hands over to the node.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use crate::config::ServerConfig;
use crate::logging;

use super::{EXIT_USAGE, complain, load, refuse};

/// Runs the node until it stops. A configuration with mistakes or with parts not built yet is refused.
pub(crate) fn run(
    file: Option<&Path>,
    serve: impl FnOnce(ServerConfig) -> io::Result<()>,
) -> ExitCode {
    let settings = match load(file) {
        Ok(settings) => settings,
        Err(errors) => return refuse(&errors),
    };
    if !settings.unbuilt.is_empty() {
        for key in &settings.unbuilt {
            complain(format_args!("{key}: not in this build yet"));
        }
        return ExitCode::from(EXIT_USAGE);
    }
    let logging = match logging::start(settings.config.log) {
        Ok(logging) => logging,
        Err(error) => {
            complain(format_args!("cannot log: {error}"));
            return ExitCode::FAILURE;
        }
    };
    if file.is_none() && !settings.config.development {
        log::info!("no -c FILE given: the built-in defaults and the environment");
    }
    for warning in &settings.warnings {
        log::warn!("{warning}");
    }
    let outcome = serve(settings.config);
    if let Err(error) = &outcome {
        log::error!("{error}");
    }
    drop(logging);
    if outcome.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
