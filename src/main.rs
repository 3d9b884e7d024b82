//! The `micronotifier` program.

use std::process::ExitCode;

/// Takes less time and memory than the system's for many small connections (docs/performance.md).
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    micronotifier::cli::run(std::env::args_os(), micronotifier::run)
}
