//! The log: text or JSON lines on standard error, written by a thread of its own so that a full disk stops nobody.
//!
//! Lines wait in a queue of [`QUEUE_LINES`] and [`QUEUE_BYTES`]; when it is full they are dropped, counted, and spoken of as soon as one is written,
//! once a second while lines wait. Errors, and what tells of the end, have a few places more.
//! A panic goes the same way: what std does with one would wait for a stuck pipe.

mod format;
mod queue;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt;
use std::io::{self, IsTerminal as _, Write};
use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use env_logger::{Builder, Logger, Target, WriteStyle};
use log::kv::Value;
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::config::{LogConfig, LogFormat};

pub use queue::{QUEUE_BYTES, QUEUE_LINES};

use queue::LineQueue;

/// What logs of listeners and workers.
const HTTP_SERVER: &str = "actix_server";
/// Its part that takes connections.
const ACCEPTOR: &str = "actix_server::accept";
/// How long the end of the process waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// What the process logs with, once it does.
static LOG: OnceLock<NodeLog> = OnceLock::new();

/// Returns how many lines were dropped since the start because the writer could not keep up, or could not write.
pub fn log_lines_dropped() -> u64 {
    LOG.get().map_or(0, |log| log.queue.dropped())
}

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
    let queue = LineQueue::start(io::stderr(), QUEUE_LINES, notice(config))?;
    let lines = filtered(config, queue.clone()).build();
    let vital = writing(config.format, queue.vital()).filter_level(LevelFilter::Trace).build();
    let log = LOG.get_or_init(|| NodeLog { lines, vital, queue: queue.clone() });
    log::set_logger(log).map_err(io::Error::other)?;
    log::set_max_level(log.lines.filter());
    panic::set_hook(Box::new(|info| log.tell_panic(info)));
    Ok(Logging { queue })
}

/// Returns what writes the records that are wanted.
fn filtered(config: LogConfig, out: impl Write + Send + 'static) -> Builder {
    let mut builder = writing(config.format, out);
    builder
        .filter_level(config.level)
        // its life cycle is ours, and told in our words
        .filter_module(HTTP_SERVER, config.level.min(LevelFilter::Warn))
        .parse_env("RUST_LOG");
    builder
}

/// Returns what writes records in a format.
fn writing(format: LogFormat, out: impl Write + Send + 'static) -> Builder {
    let colours = format == LogFormat::Text && io::stderr().is_terminal();
    let mut builder = Builder::new();
    builder.target(Target::Pipe(Box::new(out))).write_style(if colours {
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

/// Returns what makes the line that says how many are missing; an empty one where warnings are not wanted.
fn notice(config: LogConfig) -> impl Fn(u64) -> Vec<u8> + Send + 'static {
    let line = Line::default();
    let logger = filtered(config, line.clone()).build();
    move |missing| {
        let facts = [("lines", Value::from(missing))];
        logger.log(
            &Record::builder()
                .level(Level::Warn)
                .target(module_path!())
                .args(format_args!("lines of the log were dropped: it was not taken in time"))
                .key_values(&facts)
                .build(),
        );
        line.take()
    }
}

/// A line in memory: `env_logger` gives it to a writer only.
#[derive(Clone, Default)]
struct Line(Arc<Mutex<Vec<u8>>>);

impl Line {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        // Nothing is to be done about a writer that does not end: its disk or pipe is stuck.
        self.queue.settle(LAST_LINES);
    }
}

/// The node ends.
static ENDING: AtomicBool = AtomicBool::new(false);

/// Has what tells of the end kept, however much the end logs of connections, and leaves out what the HTTP server says
/// of its listeners: that they are gone is what was wanted, and no error.
pub(crate) fn node_ends() {
    ENDING.store(true, Ordering::Relaxed);
}

/// `env_logger`, twice: errors, and what tells of the end, go by the places that the queue keeps for them. And with a
/// flush, which it has not: who aborts has something to say first.
struct NodeLog {
    lines: Logger,
    /// Takes what must not be dropped because others wait.
    vital: Logger,
    queue: LineQueue,
}

impl NodeLog {
    /// Logs where a panic was, and the way there if `RUST_BACKTRACE` asks for it.
    fn tell_panic(&self, info: &PanicHookInfo<'_>) {
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
        if ends_the_process(info) {
            self.queue.settle(LAST_LINES);
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
        let is_ending = ENDING.load(Ordering::Relaxed);
        let is_known = is_ending && record.target() == ACCEPTOR;
        if is_known || !self.lines.matches(record) {
            return;
        }
        let least = if is_ending { Level::Info } else { Level::Error };
        let is_vital = record.level() <= least;
        if is_vital { self.vital.log(record) } else { self.lines.log(record) }
    }

    fn flush(&self) {
        self.queue.settle(LAST_LINES);
    }
}

/// Tells whether the process aborts as soon as this panic is told: one on the way out of another, say.
fn ends_the_process(info: &PanicHookInfo<'_>) -> bool {
    // std tells it by `PanicHookInfo::can_unwind`, which is not stable
    format!("{info:?}").contains("can_unwind: false")
}
