//! JSON text as the values of `config`. A name that an object has twice is a mistake: the one would hide the other.

use std::fmt;

use config::{Map, Value, ValueKind};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::report::Report;

/// Parses what stands at a path. What stands twice goes to the report.
///
/// # Errors
/// What is wrong with the text, with line and column and without its content.
pub(super) fn parse(text: &str, path: &str, report: &Report) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let place = Place { path: path.to_owned(), report };
    let value = place.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Where a value stands.
struct Place<'r> {
    path: String,
    report: &'r Report,
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let kind = deserializer.deserialize_any(self)?;
        Ok(Value::new(None, kind))
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = ValueKind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<ValueKind, E> {
        Ok(ValueKind::Nil)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<ValueKind, E> {
        Ok(ValueKind::Boolean(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<ValueKind, E> {
        Ok(ValueKind::I64(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<ValueKind, E> {
        Ok(i64::try_from(number).map_or(ValueKind::U64(number), ValueKind::I64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<ValueKind, E> {
        Ok(ValueKind::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<ValueKind, E> {
        Ok(ValueKind::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ValueKind, A::Error> {
        let mut items = Vec::new();
        let place = |index| Place { path: format!("{}[{index}]", self.path), report: self.report };
        while let Some(item) = list.next_element_seed(place(items.len()))? {
            items.push(item);
        }
        Ok(ValueKind::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<ValueKind, A::Error> {
        let mut entries = Map::new();
        while let Some(key) = object.next_key::<String>()? {
            let path =
                if self.path.is_empty() { key.clone() } else { format!("{}.{key}", self.path) };
            let is_repeated = entries.contains_key(&key);
            if is_repeated {
                self.report.mistake(&path, "stands twice in one object");
            }
            entries.insert(key, object.next_value_seed(Place { path, report: self.report })?);
        }
        Ok(ValueKind::Table(entries))
    }
}
