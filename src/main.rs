//! The `micronotifier` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    micronotifier::cli::run(std::env::args_os(), micronotifier::run)
}
