//! The log: text or JSON lines on standard error, written by a thread of its own so that a full disk stops nobody.
//!
//! Lines wait in a queue of [`QUEUE_LINES`] and [`QUEUE_BYTES`]; when it is full they are dropped, counted, and spoken of as soon as one is written,
//! once a second at most. Errors have a few places more.
//! A panic goes the same way: what std does with one would wait for a stuck pipe.

mod format;
mod queue;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::Cell;
use std::fmt;
use std::io::{self, IsTerminal as _};
use std::panic::{self, PanicHookInfo};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use env_logger::{Builder, Logger, Target, WriteStyle};
use log::kv::Value;
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::config::{LogConfig, LogFormat};

pub use queue::{QUEUE_BYTES, QUEUE_LINES, log_lines_dropped};

use queue::LineQueue;

/// What logs of listeners and workers.
const HTTP_SERVER: &str = "actix_server";
/// Its part that takes connections.
const ACCEPTOR: &str = "actix_server::accept";
/// How long the end of the process waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);
/// How long a thread that panics once more waits for its lines: the process may be about to abort.
const SECOND_PANIC: Duration = Duration::from_millis(50);

/// Keeps the log going. Dropping it waits up to a second for lines still in the queue.
#[derive(Debug)]
pub struct Logging {
    queue: LineQueue,
}

/// Starts logging to standard error, panics too. `RUST_LOG` overrides the level of the configuration; panics are told at
/// every level.
///
/// # Errors
/// If the process logs already, or the thread cannot be started.
pub fn start(config: LogConfig) -> io::Result<Logging> {
    let queue = LineQueue::start(io::stderr(), QUEUE_LINES)?;
    let mut lines = writing(config.format, queue.clone());
    lines
        .filter_level(config.level)
        // its life cycle is ours, and told in our words
        .filter_module(HTTP_SERVER, config.level.min(LevelFilter::Warn))
        .parse_env("RUST_LOG");
    let mut vital = writing(config.format, queue.vital());
    vital.filter_level(LevelFilter::Warn);
    let logger =
        Arc::new(NodeLog { lines: lines.build(), vital: vital.build(), queue: queue.clone() });
    log::set_boxed_logger(Box::new(Arc::clone(&logger))).map_err(io::Error::other)?;
    log::set_max_level(logger.lines.filter());
    panic::set_hook(Box::new(move |info| logger.tell_panic(info)));
    Ok(Logging { queue })
}

/// Returns what writes records in a format to a queue.
fn writing(format: LogFormat, queue: LineQueue) -> Builder {
    let colours = format == LogFormat::Text && io::stderr().is_terminal();
    let mut builder = Builder::new();
    builder.target(Target::Pipe(Box::new(queue))).write_style(if colours {
        WriteStyle::Always
    } else {
        WriteStyle::Never
    });
    match format {
        LogFormat::Text => builder.format(format::write_text),
        LogFormat::Json => builder.format(format::write_json),
    };
    builder
}

impl Drop for Logging {
    fn drop(&mut self) {
        // Nothing is to be done about a writer that does not end: its disk or pipe is stuck.
        self.queue.settle(LAST_LINES);
    }
}

/// The listeners are being closed under the HTTP server.
static CLOSING: AtomicBool = AtomicBool::new(false);

/// Leaves out what the HTTP server says of its listeners from now on: that they are gone is what was wanted, and no error.
pub(crate) fn listeners_close() {
    CLOSING.store(true, Ordering::Relaxed);
}

/// `env_logger`, twice: errors go by the places that the queue keeps for them. And with a flush, which it has not: who
/// aborts has something to say first.
struct NodeLog {
    lines: Logger,
    /// Takes what must not be dropped because others wait.
    vital: Logger,
    queue: LineQueue,
}

impl NodeLog {
    /// Logs where a panic was, and the way there if `RUST_BACKTRACE` asks for it.
    fn tell_panic(&self, info: &PanicHookInfo<'_>) {
        thread_local! {
            static HAS_PANICKED: Cell<bool> = const { Cell::new(false) };
        }

        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("unnamed");
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let message = info.payload_as_str().unwrap_or("no message");
        let facts = [("thread", Value::from(thread)), ("place", Value::from(place.as_str()))];
        self.tell_vital(&facts, format_args!("panicked: {message}"));
        let way = Backtrace::capture();
        if way.status() == BacktraceStatus::Captured {
            for line in way.to_string().lines() {
                self.tell_vital(&[], format_args!("{}", line.trim_start()));
            }
        }
        // A panic on the way out of another one ends the process as soon as this returns.
        if HAS_PANICKED.try_with(|has_panicked| has_panicked.replace(true)).unwrap_or(true) {
            self.queue.settle(SECOND_PANIC);
        }
    }

    /// Logs an error whatever the level.
    fn tell_vital(&self, facts: &[(&str, Value<'_>)], message: fmt::Arguments<'_>) {
        self.vital.log(
            &Record::builder()
                .level(Level::Error)
                .target(module_path!())
                .args(message)
                .key_values(&facts)
                .build(),
        );
    }
}

impl Log for NodeLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.lines.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let is_known = record.target() == ACCEPTOR && CLOSING.load(Ordering::Relaxed);
        if is_known || !self.lines.matches(record) {
            return;
        }
        let is_vital = record.level() == Level::Error || record.target() == queue::TARGET;
        if is_vital { self.vital.log(record) } else { self.lines.log(record) }
    }

    fn flush(&self) {
        self.queue.settle(LAST_LINES);
    }
}
