//! The command line of `doctor`.

use std::path::PathBuf;

use clap::Args;

use super::Secret;

/// Arguments of `doctor`.
#[derive(Debug, Clone, Args)]
pub struct Doctor {
    /// Address that clients are given, like `https://push.example.com`, its path prefix included; the configuration's by default.
    pub url: Option<String>,
    /// Application by id or name; the configuration's first where a file is named or no URL is given.
    #[arg(long, value_name = "ID")]
    pub app: Option<String>,
    /// Key of an application that the configuration does not have.
    #[arg(long, value_name = "KEY")]
    pub app_key: Option<String>,
    /// Its secret; better in the environment, where other users of the machine do not see it.
    #[arg(long, value_name = "SECRET", env = "MICRONOTIFIER_SECRET", hide_env_values = true)]
    pub secret: Option<Secret>,
    /// Certificates (PEM) to believe instead of the public ones.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Leaves out the wait for `activity_timeout` (two minutes on a server that leaves it as it is).
    #[arg(long)]
    pub quick: bool,
}
