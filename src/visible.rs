//! Text from outside, made safe to print: one line, no terminal sequences.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Returns the text with every control character written as `\u{…}`, line ends included.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_hidden(character) {
            safe.extend(character.escape_unicode());
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

/// Returns the text as a JSON string, quotes included; control characters above ASCII are escaped too.
pub fn json_string(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            _ => push_json(&mut json, character),
        }
    }
    json.push('"');
    json
}

/// Returns JSON without line ends as JSON that is safe to print: what is hidden in it can only stand in
/// strings, and is escaped there.
pub fn visible_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for character in json.chars() {
        push_json(&mut safe, character);
    }
    safe
}

fn push_json(json: &mut String, character: char) {
    if !is_hidden(character) {
        return json.push(character);
    }
    for unit in character.encode_utf16(&mut [0; 2]) {
        // Writing to a String cannot fail.
        write!(json, "\\u{unit:04x}").unwrap_or_default();
    }
}

/// Control characters, and the marks that turn the direction of text or break lines in some viewers.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_terminal_sequences_and_line_ends() {
        assert_eq!(visible("a\u{1b}[31m\r\nb\u{9b}"), "a\\u{1b}[31m\\u{d}\\u{a}b\\u{9b}");
        assert!(matches!(visible("plain, ünï"), Cow::Borrowed(_)));
    }

    #[test]
    fn json_strings_parse_back_to_the_same_text() {
        let text =
            "quote \" slash \\ nul \0 esc \u{1b} del \u{7f} c1 \u{85} line \u{2028} smile 😀";
        let json = json_string(text);
        assert!(!json.chars().any(is_hidden), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).ok().as_deref(), Some(text));
    }

    #[test]
    fn json_that_is_printed_hides_nothing_and_says_the_same() {
        let value = serde_json::json!({"a\u{9b}": ["\u{7f}", "\u{202e}", "\u{1b}\n \"", 1]});
        let json = visible_json(&value.to_string());
        assert!(!json.chars().any(is_hidden), "{json}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).ok(), Some(value));
    }
}
