//! What clients say: one JSON object with `event`, `data` and `channel` (protocol sections 0.3, 2.5, 3.2).

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// The envelope of every client message. Borrows from the message where it can.
///
/// A key given twice is refused, so that what is checked is also what is used.
#[derive(Debug, Deserialize)]
pub struct ClientMessage<'a> {
    /// The event's name.
    #[serde(borrow)]
    pub event: Cow<'a, str>,
    /// The channel of a client event. Any JSON value, judged by whoever needs it.
    #[serde(borrow, default)]
    pub channel: Option<&'a RawValue>,
    /// The event's data: any JSON value, not yet looked into.
    #[serde(borrow, default)]
    pub data: Option<&'a RawValue>,
}

/// Data of `pusher:subscribe`.
#[derive(Debug, Deserialize)]
pub struct SubscribeData<'a> {
    /// The channel to join.
    #[serde(borrow)]
    pub channel: Cow<'a, str>,
    /// `⟨key⟩:⟨signature⟩`; ignored on public channels.
    #[serde(borrow, default)]
    pub auth: Option<Cow<'a, str>>,
    /// The member's JSON, exactly as it was signed.
    #[serde(borrow, default)]
    pub channel_data: Option<Cow<'a, str>>,
}

/// Data of `pusher:unsubscribe`.
#[derive(Debug, Deserialize)]
pub struct UnsubscribeData<'a> {
    /// The channel to leave.
    #[serde(borrow)]
    pub channel: Cow<'a, str>,
}

/// Data of `pusher:signin`.
#[derive(Debug, Deserialize)]
pub struct SigninData<'a> {
    /// `⟨key⟩:⟨signature⟩`.
    #[serde(borrow)]
    pub auth: Cow<'a, str>,
    /// The user's JSON, exactly as it was signed.
    #[serde(borrow)]
    pub user_data: Cow<'a, str>,
}

impl<'a> ClientMessage<'a> {
    /// Parses a message; `None` if it is not a JSON object with a text `event`.
    pub fn parse(text: &'a str) -> Option<Self> {
        if !is_object(text) {
            // a derived parser would take an array of the fields too
            return None;
        }
        serde_json::from_str(text).ok()
    }

    /// Returns `data` as the JSON text of the object that a `pusher:*` event carries; `None` if it is no object.
    ///
    /// Some clients send that object as it is, others as a JSON string that holds it.
    pub fn object_text(&self) -> Option<Cow<'a, str>> {
        let raw = self.data?.get();
        let text = if raw.starts_with('"') {
            Cow::Owned(serde_json::from_str(raw).ok()?)
        } else {
            Cow::Borrowed(raw)
        };
        is_object(&text).then_some(text)
    }

    /// Returns `channel` if it is a text.
    pub fn channel_text(&self) -> Option<Cow<'a, str>> {
        text_of(self.channel?)
    }

    /// Returns `data` as the string that subscribers get: a text as it is, any other value
    /// as compact JSON, nothing as `{}` (protocol section 4.1).
    pub fn data_text(&self) -> Cow<'a, str> {
        let Some(raw) = self.data else {
            return Cow::Borrowed("{}");
        };
        text_of(raw).unwrap_or_else(|| compact(raw.get()))
    }
}

/// Tells whether a JSON text can only be an object, by its first character.
pub fn is_object(json: &str) -> bool {
    json.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{')
}

/// Returns the text in a JSON string; `None` for another kind of value.
pub fn text_of(raw: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'t>(#[serde(borrow)] Cow<'t, str>);
    serde_json::from_str::<Text<'_>>(raw.get()).ok().map(|text| text.0)
}

/// Takes the white space between the tokens of valid JSON out. Needs no stack, however deep the value.
pub fn compact(json: &str) -> Cow<'_, str> {
    let is_space = |byte: u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    if !json.bytes().any(is_space) {
        return Cow::Borrowed(json);
    }
    let mut within_string = false;
    let mut escaped = false;
    let kept = json.chars().filter(|&character| {
        if within_string {
            if escaped {
                escaped = false;
            } else if character == '\\' {
                escaped = true;
            } else if character == '"' {
                within_string = false;
            }
            return true;
        }
        within_string = character == '"';
        !matches!(character, ' ' | '\t' | '\n' | '\r')
    });
    Cow::Owned(kept.collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests {
    use super::*;

    #[test]
    fn data_reaches_subscribers_as_text() {
        for (message, data) in [
            (r#"{"event":"client-a","data":"{\"n\":1}"}"#, r#"{"n":1}"#),
            (
                r#"{"event":"client-a","data":{"n": 1, "s":"a \\\" b"}}"#,
                r#"{"n":1,"s":"a \\\" b"}"#,
            ),
            (r#"{"event":"client-a"}"#, "{}"),
            (r#"{"event":"client-a","data":null}"#, "{}"),
            (r#"{"event":"client-a","data":12}"#, "12"),
        ] {
            assert_eq!(ClientMessage::parse(message).unwrap().data_text(), data, "{message}");
        }
    }

    #[test]
    fn a_key_given_twice_is_refused() {
        assert!(ClientMessage::parse(r#"{"event":"a","event":"b"}"#).is_none());
        let twice = r#"{"channel":"public","channel":"private-x"}"#;
        assert!(serde_json::from_str::<SubscribeData<'_>>(twice).is_err());
    }

    #[test]
    fn objects_come_plain_or_as_a_string() {
        for message in [
            r#"{"event":"pusher:unsubscribe","data":{"channel":"c"}}"#,
            r#"{"event":"pusher:unsubscribe","data":"{\"channel\":\"c\"}"}"#,
        ] {
            let message = ClientMessage::parse(message).unwrap();
            let text = message.object_text().unwrap();
            let data: UnsubscribeData<'_> = serde_json::from_str(&text).unwrap();
            assert_eq!(data.channel, "c");
        }
    }

    #[test]
    fn an_array_is_no_object() {
        assert!(ClientMessage::parse(r#"["pusher:ping"]"#).is_none());
        assert!(ClientMessage::parse(" \n{\"event\":\"pusher:ping\"}").is_some());
        for data in [r#"["my-channel"]"#, r#""[\"my-channel\"]""#, "1", "null"] {
            let message = format!(r#"{{"event":"pusher:subscribe","data":{data}}}"#);
            let message = ClientMessage::parse(&message).unwrap();
            assert!(message.object_text().is_none(), "{data}");
        }
    }

    #[test]
    fn depth_needs_no_stack() {
        let deep = format!(
            r#"{{"event":"client-a","data":{}{}}}"#,
            "[ ".repeat(30_000),
            "]".repeat(30_000)
        );
        let text = ClientMessage::parse(&deep).unwrap();
        assert_eq!(text.data_text().len(), 60_000);
    }
}
