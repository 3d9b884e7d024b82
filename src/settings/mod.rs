//! The configuration: a JSON file and the environment, checked whole, into a [`ServerConfig`].

mod application;
mod foreign;
mod json;
mod limits;
mod mistake;
mod redis;
mod relations;
mod report;
mod section;
mod server;
mod source;
mod unbuilt;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::path::Path;

use crate::config::ServerConfig;

pub use mistake::{Mistake, SettingsErrors};

use report::Report;
use section::Section;

/// A configuration without mistakes.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the server is told.
    pub config: ServerConfig,
    /// What an operator should know; no reason to refuse.
    pub warnings: Vec<String>,
    /// Keys that ask for parts that are not built yet. The server must not start with them.
    pub unbuilt: Vec<String>,
}

impl Settings {
    /// Reads a JSON file, or the built-in development configuration, and lays `environment` over it.
    ///
    /// `environment` are names and values; those that do not start with `MICRONOTIFIER__` are ignored.
    /// Reads the files that the configuration names: secrets, certificate and private key.
    ///
    /// # Errors
    /// [`SettingsErrors`] with every mistake, not the first alone.
    pub fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, SettingsErrors> {
        let report = Report::default();
        let config = source::read(file, environment, &report).map(|entries| {
            let is_built_in = file.is_none() && source::is_of_file(&entries, "applications");
            let config = server::read(Section::new(String::new(), entries, &report));
            let development = is_built_in && config.listen.is_local();
            ServerConfig { development, ..config }
        });
        let findings = report.finish();
        match config {
            Some(config) if findings.mistakes.is_empty() => {
                Ok(Self { config, warnings: findings.warnings, unbuilt: findings.unbuilt })
            }
            _ => Err(SettingsErrors { mistakes: findings.mistakes }),
        }
    }
}
