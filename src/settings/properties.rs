//! Any JSON at any key: never a panic, and a mistake names the key.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::tests::{known_keys, load};

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-z.\\-\\[\\]]{0,8}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Puts a value at a path such as `applications[].limits.channel-name`, with what must stand beside it.
fn at(path: &str, value: &Value) -> Value {
    let mut root =
        json!({"applications": [{"name": "a", "key": "k", "secret": "0123456789abcdef"}]});
    let mut place = &mut root;
    for part in path.split('.') {
        let (name, is_list) = match part.strip_suffix("[]") {
            Some(name) => (name, true),
            None => (part, false),
        };
        if !place[name].is_array() && is_list {
            place[name] = json!([{}]);
        }
        place = if is_list { &mut place[name][0] } else { &mut place[name] };
    }
    *place = value.clone();
    root
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn any_value_at_any_key(value in anything(), key in prop::sample::select(known_keys())) {
        let Err(errors) = load(&at(&key, &value)) else {
            return Ok(());
        };
        // A mistake stands at the key or within it, or at the key that does not fit it.
        let first = key.split(['[', '.']).next().unwrap();
        let related = ["applications", "limits", "http", "pong-timeout", "admin-token", "private-key", "certificate", "admin-port"];
        for mistake in &errors.mistakes {
            prop_assert!(
                mistake.place.starts_with(first) || related.iter().any(|other| mistake.place.starts_with(other)),
                "{key}: {mistake}"
            );
        }
    }

    #[test]
    fn any_object_at_the_top(value in prop::collection::hash_map("[a-z.\\-\\[\\]0-9]{0,12}", anything(), 0..6)) {
        let object = Value::Object(value.into_iter().collect());
        if let Err(errors) = load(&object) {
            prop_assert!(!errors.mistakes.is_empty());
        }
    }
}

/// No key takes a number with a fraction.
#[test]
fn a_wrong_type_names_its_key() {
    for key in known_keys() {
        let errors = load(&at(&key, &json!(1.5))).unwrap_err();
        let place = key.replace("[]", "[0]");
        assert!(errors.mistakes.iter().any(|mistake| mistake.place == place), "{key}: {errors}");
    }
}
