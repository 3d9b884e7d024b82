//! A client's message: what the node reads is what `serde_json::Value` reads.
#![no_main]

use std::fmt;

use libfuzzer_sys::fuzz_target;
use micronotifier_actors::protocol::message::{ClientMessage, compact};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

fuzz_target!(|text: &str| {
    // Value refuses what a message may hold unread: deep nesting, numbers out of range, lone surrogates
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        if let Some(message) = ClientMessage::parse(text) {
            exercise(&message);
        }
        return;
    };
    match ClientMessage::parse(text) {
        Some(message) => agree(&message, &value),
        None => assert!(!is_message(text, &value), "refused: {text}"),
    }
});

fn exercise(message: &ClientMessage<'_>) {
    let data = message.data_text();
    assert_eq!(compact(&data).len(), compact(&compact(&data)).len());
    message.object_text();
    message.channel_text();
}

fn agree(message: &ClientMessage<'_>, value: &Value) {
    exercise(message);
    assert_eq!(value["event"].as_str(), Some(&*message.event));
    assert_eq!(value["channel"].as_str(), message.channel_text().as_deref());
    let data = message.data_text();
    match &value["data"] {
        Value::Null => assert_eq!(data, "{}"),
        Value::String(text) => {
            assert_eq!(data, *text);
            if let Some(object) = message.object_text() {
                assert_eq!(object, *text);
            }
        }
        other => {
            assert_eq!(
                serde_json::from_str::<Value>(&data).as_ref().ok(),
                Some(other)
            );
            let object = message.object_text();
            assert_eq!(object.is_some(), other.is_object());
            if let Some(object) = object {
                assert_eq!(
                    serde_json::from_str::<Value>(&object).as_ref().ok(),
                    Some(other)
                );
            }
        }
    }
}

/// Tells whether this is an object with a text `event`, and none of the keys that are read stands in it twice.
fn is_message(text: &str, value: &Value) -> bool {
    let Ok(Keys(keys)) = serde_json::from_str(text) else {
        return false;
    };
    let at_most_once = |name: &str| keys.iter().filter(|key| *key == name).count() <= 1;
    value["event"].is_string() && ["event", "channel", "data"].into_iter().all(at_most_once)
}

/// The keys of an object, in order, repeated ones repeated.
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, IgnoredAny)) = map.next_entry()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}
