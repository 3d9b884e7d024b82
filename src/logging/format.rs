//! The forms of a line: text for people, JSON for programs. Everything that comes from outside is escaped, so a line is
//! always one line.

use std::io::{self, Write as _};

use env_logger::fmt::Formatter;
use log::Record;
use log::kv::{Error as KvError, Key, Value, VisitSource};

use crate::visible::{json_string, visible};

/// Longest message, in characters; the rest is cut.
const MAX_MESSAGE: usize = 2048;
/// Longest value of one fact, in characters.
const MAX_VALUE: usize = 512;
/// Names that a JSON line uses itself.
const RESERVED: [&str; 4] = ["time", "level", "target", "message"];

/// Writes a record as a line for people.
pub(super) fn write_text(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
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

/// Writes a record as a JSON object.
pub(super) fn write_json(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
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

    use std::time::Duration;

    use env_logger::{Builder, Target, WriteStyle};
    use log::{Level, LevelFilter, Log as _};

    use crate::logging::queue::LineQueue;
    use crate::logging::queue::tests::{Pipe, notice};

    use super::*;

    /// Logs one nasty record in a format and returns what was written.
    fn written(
        format: impl Fn(&mut Formatter, &Record<'_>) -> io::Result<()> + Sync + Send + 'static,
    ) -> String {
        let pipe = Pipe::default();
        let queue = LineQueue::start(pipe.clone(), 16, notice).unwrap();
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
        assert!(queue.settle(Duration::from_secs(10)));
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
}
