//! The log: text or JSON lines on standard error, written by a thread of its own so that a full disk stops nobody.
//!
//! Lines wait in a queue of [`QUEUE_LINES`]; when it is full they are dropped and counted. Everything that
//! comes from outside is escaped, so a line is always one line.

use std::io::{self, IsTerminal as _, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use env_logger::fmt::Formatter;
use env_logger::{Builder, Target, WriteStyle};
use log::Record;
use log::kv::{Error as KvError, Key, Value, VisitSource};

use crate::config::{LogConfig, LogFormat};
use crate::visible::{json_string, visible};

/// Lines that may wait for the writer.
pub const QUEUE_LINES: usize = 16_384;
/// Longest message, in characters; the rest is cut.
const MAX_MESSAGE: usize = 2048;
/// Longest value of one fact, in characters.
const MAX_VALUE: usize = 512;
/// How long the end of the process waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);
/// Names that a JSON line uses itself.
const RESERVED: [&str; 4] = ["time", "level", "target", "message"];

static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Returns how many lines were dropped since the start because the writer could not keep up.
pub fn log_lines_dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Keeps the log going. Dropping it waits up to a second for lines still in the queue.
#[derive(Debug)]
pub struct Logging {
    queue: LineQueue,
    ended: Receiver<()>,
}

/// Starts logging to standard error. `RUST_LOG` overrides the level of the configuration.
///
/// # Errors
/// If the process logs already, or the thread cannot be started.
pub fn start(config: LogConfig) -> io::Result<Logging> {
    let colours = config.format == LogFormat::Text && io::stderr().is_terminal();
    let (queue, ended) = LineQueue::start(io::stderr(), QUEUE_LINES)?;
    let mut builder = Builder::new();
    builder
        .filter_level(config.level)
        // its life cycle is ours, and told in our words
        .filter_module("actix_server", config.level.min(log::LevelFilter::Warn))
        .parse_env("RUST_LOG")
        .target(Target::Pipe(Box::new(queue.clone())))
        .write_style(if colours { WriteStyle::Always } else { WriteStyle::Never });
    match config.format {
        LogFormat::Text => builder.format(write_text),
        LogFormat::Json => builder.format(write_json),
    };
    builder.try_init().map_err(io::Error::other)?;
    Ok(Logging { queue, ended })
}

impl Drop for Logging {
    fn drop(&mut self) {
        self.queue.end();
        // Nothing is to be done about a writer that does not end: its disk or pipe is stuck.
        self.ended.recv_timeout(LAST_LINES).unwrap_or_default();
    }
}

/// What the writer's thread is told.
#[derive(Debug)]
enum Order {
    Write(Vec<u8>),
    End,
}

/// The bounded way to the writer's thread. Never blocks.
#[derive(Debug, Clone)]
struct LineQueue {
    lines: SyncSender<Order>,
}

impl LineQueue {
    /// Starts the thread. The receiver hears from it once, when it has ended.
    fn start(
        mut out: impl Write + Send + 'static,
        capacity: usize,
    ) -> io::Result<(Self, Receiver<()>)> {
        let (lines, waiting) = sync_channel(capacity);
        let (ended, end) = sync_channel(1);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || {
            while let Ok(Order::Write(line)) = waiting.recv() {
                if out.write_all(&line).and_then(|()| out.flush()).is_err() {
                    DROPPED.fetch_add(1, Ordering::Relaxed);
                }
            }
            // Nobody listens when the process did not wait for its last lines.
            ended.send(()).unwrap_or_default();
        })?;
        Ok((Self { lines }, end))
    }

    fn end(&self) {
        // A full queue: the writer is stuck, and the wait in `drop` has its own end.
        self.lines.try_send(Order::End).unwrap_or_default();
    }
}

impl Write for LineQueue {
    /// Takes one whole line: `env_logger` writes a record in one call.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.lines.try_send(Order::Write(line.to_vec())).is_err() {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// === Formats ===

fn write_text(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let style = out.default_level_style(record.level());
    let message = cut(&record.args().to_string(), MAX_MESSAGE);
    write!(
        out,
        "{} {style}{:<5}{style:#} {} {}",
        now(),
        record.level(),
        visible(record.target()),
        visible(&message)
    )?;
    for (key, value) in facts(record) {
        let value = match value {
            Fact::Plain(value) => value,
            Fact::Text(value) if is_word(&value) => value,
            Fact::Text(value) => json_string(&value),
        };
        write!(out, " {}={value}", visible(&key))?;
    }
    writeln!(out)
}

fn write_json(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let message = cut(&record.args().to_string(), MAX_MESSAGE);
    write!(
        out,
        r#"{{"time":"{}","level":"{}","target":{},"message":{}"#,
        now(),
        record.level().as_str().to_ascii_lowercase(),
        json_string(record.target()),
        json_string(&message)
    )?;
    for (key, value) in facts(record) {
        let own = if RESERVED.contains(&key.as_str()) { "kv." } else { "" };
        let value = match value {
            Fact::Plain(value) => value,
            Fact::Text(value) => json_string(&value),
        };
        write!(out, ",{}:{value}", json_string(&format!("{own}{key}")))?;
    }
    writeln!(out, "}}")
}

/// The value of one fact.
enum Fact {
    /// A number or a truth value, as JSON writes it.
    Plain(String),
    Text(String),
}

fn facts(record: &Record<'_>) -> Vec<(String, Fact)> {
    struct Facts(Vec<(String, Fact)>);

    impl<'kvs> VisitSource<'kvs> for Facts {
        fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), KvError> {
            let fact = match (value.to_bool(), value.to_i64(), value.to_u64()) {
                (Some(flag), _, _) => Fact::Plain(flag.to_string()),
                (_, Some(number), _) => Fact::Plain(number.to_string()),
                (_, _, Some(number)) => Fact::Plain(number.to_string()),
                _ => Fact::Text(cut(&value.to_string(), MAX_VALUE)),
            };
            self.0.push((key.to_string(), fact));
            Ok(())
        }
    }

    let mut facts = Facts(Vec::new());
    // The visitor above never fails.
    record.key_values().visit(&mut facts).unwrap_or_default();
    facts.0
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|character| !character.is_whitespace() && character != '"' && character != '=')
        && matches!(visible(text), std::borrow::Cow::Borrowed(_))
}

fn cut(text: &str, most: usize) -> String {
    let mut cut: String = text.chars().take(most).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

/// Returns the wall clock in UTC with milliseconds.
fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

    use std::sync::{Arc, Condvar, Mutex};

    use log::{Level, LevelFilter, Log as _};

    use super::*;

    /// A pipe that keeps what it gets, and takes nothing while it is stuck.
    #[derive(Clone, Default)]
    struct Pipe(Arc<PipeEnds>);

    #[derive(Default)]
    struct PipeEnds {
        held: Mutex<Held>,
        moved: Condvar,
    }

    #[derive(Default)]
    struct Held {
        stuck: bool,
        bytes: Vec<u8>,
    }

    impl Pipe {
        fn stick(&self, stuck: bool) {
            self.0.held.lock().unwrap().stuck = stuck;
            self.0.moved.notify_all();
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.held.lock().unwrap().bytes.clone()).unwrap()
        }
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let held = self.0.held.lock().unwrap();
            let mut held = self.0.moved.wait_while(held, |held| held.stuck).unwrap();
            held.bytes.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Logs one nasty record in a format and returns what was written.
    fn written(
        format: impl Fn(&mut Formatter, &Record<'_>) -> io::Result<()> + Sync + Send + 'static,
    ) -> String {
        let pipe = Pipe::default();
        let (queue, ended) = LineQueue::start(pipe.clone(), 16).unwrap();
        let logger = Builder::new()
            .filter_level(LevelFilter::Info)
            .target(Target::Pipe(Box::new(queue.clone())))
            .write_style(WriteStyle::Never)
            .format(format)
            .build();
        let facts: [(&str, Value<'_>); 4] = [
            ("app", Value::from("a\r\n\u{1b}[2J\"")),
            ("connections", Value::from(12_u64)),
            ("message", Value::from("two words")),
            ("open", Value::from(true)),
        ];
        logger.log(
            &Record::builder()
                .level(Level::Warn)
                .target("edge")
                .args(format_args!("refused\n{}", "\u{1b}]0;x\u{7}"))
                .key_values(&facts.as_slice())
                .build(),
        );
        queue.end();
        ended.recv_timeout(Duration::from_secs(10)).unwrap();
        pipe.text()
    }

    #[test]
    fn json_lines_parse_whatever_they_hold() {
        let line = written(write_json);
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        assert!(!line.trim_end().chars().any(char::is_control), "{line:?}");
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(json["level"], "warn");
        assert_eq!(json["target"], "edge");
        assert_eq!(json["message"], "refused\n\u{1b}]0;x\u{7}");
        assert_eq!(json["app"], "a\r\n\u{1b}[2J\"");
        assert_eq!(json["connections"], 12);
        assert_eq!(json["kv.message"], "two words");
        assert_eq!(json["open"], true);
        assert!(json["time"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    }

    #[test]
    fn text_lines_hold_facts_at_the_end_and_no_control_characters() {
        let line = written(write_text);
        assert!(!line.trim_end().chars().any(char::is_control), "{line:?}");
        let (_, rest) = line.split_once(' ').unwrap();
        assert_eq!(
            rest,
            "WARN  edge refused\\u{a}\\u{1b}]0;x\\u{7} app=\"a\\u000d\\n\\u001b[2J\\\"\" connections=12 message=\"two words\" open=true\n"
        );
    }

    #[test]
    fn a_stuck_pipe_drops_and_counts_and_blocks_nobody() {
        let pipe = Pipe::default();
        pipe.stick(true);
        let (mut queue, ended) = LineQueue::start(pipe.clone(), 8).unwrap();
        let before = log_lines_dropped();
        for line in 0..100 {
            writeln!(queue, "{line}").unwrap();
        }
        let dropped = log_lines_dropped() - before;
        // At most 8 wait, and one is in the writer's hands.
        assert!(dropped >= 91, "{dropped}");
        pipe.stick(false);
        drop(queue);
        ended.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(pipe.text().starts_with("0\n"), "{}", pipe.text());
    }
}
