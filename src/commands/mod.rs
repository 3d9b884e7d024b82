//! What the program does besides being parsed: one file per command.

pub(crate) mod bench;
pub(crate) mod check;
pub(crate) mod doctor;
pub(crate) mod listen;
pub(crate) mod serve;
pub(crate) mod tap;
pub(crate) mod trigger;

mod answer;
mod follow;
mod socket;
mod target;

use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use crate::settings::{Settings, SettingsErrors};

/// The configuration or the call is wrong (sysexits' `EX_USAGE`).
const EXIT_USAGE: u8 = 64;

/// Reads a configuration under the environment of the process.
fn load(file: Option<&Path>) -> Result<Settings, SettingsErrors> {
    // Names and values that are not UTF-8 cannot be ours.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Settings::load(file, environment)
}

/// Prints a line on standard output.
fn say(line: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Prints a line on standard error.
pub(crate) fn complain(line: impl Display) {
    // There is nobody to tell that standard error is closed.
    writeln!(io::stderr(), "{line}").unwrap_or_default();
}

/// Prints every mistake and returns the exit code for them.
fn refuse(errors: &SettingsErrors) -> ExitCode {
    complain(errors);
    ExitCode::from(EXIT_USAGE)
}
