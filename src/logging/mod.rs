//! The log: text or JSON lines on standard error, written by a thread of its own so that a full disk stops nobody.
//!
//! Lines wait in a queue of [`QUEUE_LINES`] and [`QUEUE_BYTES`]; when it is full they are dropped, counted, and spoken of once there is room.
//! A panic goes the same way: what std does with one would wait for a stuck pipe.

mod format;
mod queue;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal as _};
use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use env_logger::{Builder, Logger, Target, WriteStyle};
use log::{LevelFilter, Log, Metadata, Record};

use crate::config::{LogConfig, LogFormat};

pub use queue::{QUEUE_BYTES, QUEUE_LINES, log_lines_dropped};

use queue::LineQueue;

/// What logs of listeners and workers.
const HTTP_SERVER: &str = "actix_server";
/// How long the end of the process waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Keeps the log going. Dropping it waits up to a second for lines still in the queue.
#[derive(Debug)]
pub struct Logging {
    queue: LineQueue,
}

/// Starts logging to standard error, panics too. `RUST_LOG` overrides the level of the configuration.
///
/// # Errors
/// If the process logs already, or the thread cannot be started.
pub fn start(config: LogConfig) -> io::Result<Logging> {
    let colours = config.format == LogFormat::Text && io::stderr().is_terminal();
    let queue = LineQueue::start(io::stderr(), QUEUE_LINES)?;
    let mut builder = Builder::new();
    builder
        .filter_level(config.level)
        // its life cycle is ours, and told in our words
        .filter_module(HTTP_SERVER, config.level.min(LevelFilter::Warn))
        .parse_env("RUST_LOG")
        .target(Target::Pipe(Box::new(queue.clone())))
        .write_style(if colours { WriteStyle::Always } else { WriteStyle::Never });
    match config.format {
        LogFormat::Text => builder.format(format::write_text),
        LogFormat::Json => builder.format(format::write_json),
    };
    let logger = builder.build();
    let level = logger.filter();
    let logger = Flushing { logger, queue: queue.clone() };
    log::set_boxed_logger(Box::new(logger)).map_err(io::Error::other)?;
    log::set_max_level(level);
    panic::set_hook(Box::new(tell_panic));
    Ok(Logging { queue })
}

impl Drop for Logging {
    fn drop(&mut self) {
        // Nothing is to be done about a writer that does not end: its disk or pipe is stuck.
        self.queue.settle(LAST_LINES);
    }
}

/// The listeners are being closed under the HTTP server.
static CLOSING: AtomicBool = AtomicBool::new(false);

/// Leaves out what the HTTP server says from now on: that its listeners are gone is what was wanted, and no error.
pub(crate) fn listeners_close() {
    CLOSING.store(true, Ordering::Relaxed);
}

/// `env_logger` with a flush: it has none, and who aborts has something to say first.
struct Flushing {
    logger: Logger,
    queue: LineQueue,
}

impl Log for Flushing {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.logger.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let is_known = CLOSING.load(Ordering::Relaxed) && record.target().starts_with(HTTP_SERVER);
        if !is_known {
            self.logger.log(record);
        }
    }

    fn flush(&self) {
        self.queue.settle(LAST_LINES);
    }
}

/// Logs where a panic was, and the way there if `RUST_BACKTRACE` asks for it.
fn tell_panic(info: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let message = info.payload_as_str().unwrap_or("no message");
    log::error!(thread, place = place.as_str(); "panicked: {message}");
    let way = Backtrace::capture();
    if way.status() == BacktraceStatus::Captured {
        for line in way.to_string().lines() {
            log::error!("{}", line.trim_start());
        }
    }
}
