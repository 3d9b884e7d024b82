//! `check`: says whether a configuration is right, or everything that is wrong with it.

use std::path::Path;
use std::process::ExitCode;

use super::{complain, load, refuse, say};

/// Reads the configuration as `serve` does, without starting anything.
pub(crate) fn run(file: Option<&Path>) -> ExitCode {
    match load(file) {
        Ok(settings) => {
            let name = match file {
                Some(file) => file.display().to_string(),
                None if settings.config.development => "development configuration".to_owned(),
                None => "the built-in defaults and the environment".to_owned(),
            };
            for warning in &settings.warnings {
                complain(format_args!("warning: {warning}"));
            }
            for key in &settings.unbuilt {
                complain(format_args!("warning: {key}: not in this build yet, serve refuses it"));
            }
            match say(format_args!("{name}: ok")) {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            }
        }
        Err(errors) => refuse(&errors),
    }
}
