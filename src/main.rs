//! The `micronotifier` program.

use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    micronotifier::cli::run(std::env::args_os(), |_config| {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "serve: not in this build yet",
        ))
    })
}
