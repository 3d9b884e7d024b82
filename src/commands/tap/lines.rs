//! The lines of the stream: put together from pieces, and told in one printed line each.

use jiff::Timestamp;
use serde_json::Value;

use crate::visible::{visible, visible_json};

/// Longest line of the node, in bytes: an event's data and what is said of it.
const MAX_LINE: usize = 4 * 1024 * 1024;

/// What is printed of the stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Something passed: a line of standard output.
    Passed(String),
    /// Something is to be said of the stream itself, on standard error.
    Note(String),
}

/// Puts lines together from the pieces that arrive, and tells what they hold.
#[derive(Debug, Default)]
pub(super) struct Lines {
    as_json: bool,
    rest: Vec<u8>,
    /// The line under way is left out up to its end.
    too_long: bool,
}

impl Lines {
    /// Begins a stream that is told as JSON objects, or in words.
    pub(super) fn new(as_json: bool) -> Self {
        Self { as_json, ..Self::default() }
    }

    /// Takes a piece and tells of the lines that it completes.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<Told> {
        let mut told = Vec::new();
        let mut pieces = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            self.extend(piece);
            if pieces.peek().is_some() {
                told.extend(self.finish());
            }
        }
        told
    }

    fn extend(&mut self, piece: &[u8]) {
        if self.rest.len().saturating_add(piece.len()) > MAX_LINE {
            self.too_long = true;
            self.rest = Vec::new();
        }
        if !self.too_long {
            self.rest.extend_from_slice(piece);
        }
    }

    fn finish(&mut self) -> Option<Told> {
        let line = std::mem::take(&mut self.rest);
        if std::mem::take(&mut self.too_long) {
            return Some(Told::Note(format!("left out: a line of more than {MAX_LINE} bytes")));
        }
        tell(&String::from_utf8_lossy(&line), self.as_json)
    }
}

/// Tells what a line holds, if it holds something.
fn tell(line: &str, as_json: bool) -> Option<Told> {
    let data = line.strip_prefix("data: ")?;
    let Ok(value) = serde_json::from_str::<Value>(data) else {
        return Some(Told::Note(format!("not understood: {}", visible(data))));
    };
    if let Some(dropped) = value.get("dropped").and_then(Value::as_u64) {
        return Some(Told::Note(format!("too slow: {dropped} missed here")));
    }
    let line = if as_json { visible_json(&value.to_string()) } else { describe(&value) };
    Some(Told::Passed(line))
}

/// Says in one line what passed.
fn describe(seen: &Value) -> String {
    let millis = seen.get("at").and_then(Value::as_i64).unwrap_or_default();
    let at = Timestamp::from_millisecond(millis).unwrap_or_default().strftime("%H:%M:%S%.3f");
    let field = |name: &str| seen.get(name).and_then(Value::as_str);
    let mut line = format!("{at} {:<14}", visible(field("type").unwrap_or("?")));
    let mut add = |text: &str| {
        line.push(' ');
        line.push_str(&visible(text));
    };
    for (name, label) in
        [("app", "app="), ("channel", ""), ("event", ""), ("socket", "socket="), ("user", "user=")]
    {
        if let Some(value) = field(name) {
            add(&format!("{label}{value}"));
        }
    }
    for name in ["code", "subscribers", "bytes"] {
        if let Some(value) = seen.get(name) {
            add(&format!("{name}={value}"));
        }
    }
    for name in ["text", "data"] {
        if let Some(value) = field(name) {
            add(value);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

    use serde_json::json;

    use super::*;

    fn passed(line: &str) -> Told {
        Told::Passed(line.to_owned())
    }

    #[test]
    fn lines_are_put_together() {
        let mut lines = Lines::new(true);
        assert_eq!(lines.take(b": looking on\n\ndata: {\"a"), []);
        assert_eq!(lines.take(b"\":1}\n\nda"), [passed("{\"a\":1}")]);
        assert_eq!(lines.take(b"ta: {}\n: still there\n"), [passed("{}")]);
    }

    #[test]
    fn a_line_that_is_too_long_is_left_out_as_a_whole() {
        let mut lines = Lines::new(true);
        assert_eq!(lines.take(b"data: {\"a\":\""), []);
        assert_eq!(lines.take(&vec![b'x'; MAX_LINE]), []);
        let told = lines.take(b"\"}\ndata: {}\n");
        let [Told::Note(note), rest] = told.as_slice() else {
            panic!("{told:?}");
        };
        assert!(note.starts_with("left out"), "{note}");
        assert_eq!(*rest, passed("{}"));
    }

    #[test]
    fn what_passed_is_one_line() {
        let event = json!({
            "at": 1_767_225_600_123_i64, "type": "event", "app": "1", "channel": "c", "event": "e",
            "bytes": 3, "data": "a\nb",
        });
        assert_eq!(describe(&event), "00:00:00.123 event          app=1 c e bytes=3 a\\u{a}b");
        let error = json!({"at": 0, "type": "error", "socket": "1.2", "code": 4009, "text": "no"});
        assert_eq!(describe(&error), "00:00:00.000 error          socket=1.2 code=4009 no");
    }

    #[test]
    fn nothing_that_works_on_a_terminal_is_printed() {
        let text = "\u{9b}2J\u{7f}\u{202e}";
        let names = ["type", "app", "channel", "event", "socket", "user", "code", "text", "data"];
        let all: Value = names.iter().map(|name| ((*name).to_owned(), json!(text))).collect();
        for value in [all.clone(), json!({ "dropped": text }), json!({ text: 1 })] {
            for as_json in [false, true] {
                let told = tell(&format!("data: {value}"), as_json).unwrap();
                let Told::Passed(line) = told else {
                    panic!("{told:?}");
                };
                assert!(line.is_ascii() && !line.contains('\u{7f}'), "{line:?}");
            }
        }
        assert_eq!(serde_json::from_str::<Value>(&visible_json(&all.to_string())).unwrap(), all);
        let dropped = Told::Note("too slow: 12 missed here".to_owned());
        assert_eq!(tell("data: {\"dropped\":12}", false), Some(dropped));
    }
}
