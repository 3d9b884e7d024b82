//! What is written is read again, and nothing else is.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

use proptest::prelude::*;

use super::*;
use crate::protocol::{AppId, ChannelName};

fn key() -> ChannelKey {
    ChannelKey { app: AppId::new("a:\"b"), channel: ChannelName::parse("private-c", 164).unwrap() }
}

fn published(data: &str) -> Relayed {
    Relayed::Published {
        event: EventName::parse(r"App\Event", 200).unwrap(),
        data: data.to_owned().into(),
        except: Some(SocketId::new(1, 2)),
    }
}

#[test]
fn the_form_of_an_envelope() {
    let text = Wire::new("n1", "").write(&key(), &published("1"), false).unwrap();
    assert_eq!(
        text,
        r#"{"v":1,"n":"n1","k":"published","a":"a:\"b","c":"private-c","e":"App\\Event","d":"1","x":"1.2"}"#
    );
}

#[test]
fn every_kind_comes_back() {
    let wire = Wire::new("n1", "secret");
    let whispered = Relayed::Whispered {
        event: "client-a".into(),
        data: "{}".into(),
        user: Some(UserId::member("u \u{1f600}").unwrap()),
        socket: SocketId::new(3, 4),
    };
    let user = UserId::member("u").unwrap();
    let joined = Member { user: user.clone(), info: r#"{"n":"é"}"#.into() };
    let counts = Counts { subscriptions: 3, users: 0, at: 1_700_000_000_000_000 };
    for (body, delivered) in [
        (published("{\"\\u0000\":1}"), false),
        (whispered, true),
        (Relayed::Terminated, false),
        (Relayed::Joined(joined), false),
        (Relayed::Left(user), false),
        (Relayed::Counted(counts), true),
        (Relayed::Occupied, false),
        (Relayed::Vacated, false),
        (Relayed::Nothing, false),
        (Relayed::Missing, false),
    ] {
        let text = wire.write(&key(), &body, delivered).unwrap();
        let told = wire.read(&key(), &text).unwrap();
        assert_eq!((told.node.as_str(), told.delivered), ("n1", delivered));
        // what is written of it again is the same
        assert_eq!(wire.write(&key(), &told.body, delivered).unwrap(), text);
    }
}

#[test]
fn a_user_who_is_too_large_to_be_told_is_missing() {
    let wire = Wire::new("n1", "secret");
    let info = format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_BYTES));
    let member = Member { user: UserId::member("u").unwrap(), info: info.into() };
    let told = wire.read(&key(), &wire.joined(&key(), &member)).unwrap();
    assert!(matches!(told.body, Relayed::Missing));
}

#[test]
fn what_is_not_taken() {
    let wire = Wire::new("n1", "");
    let of = |kind: &str, rest: &str| {
        format!(r#"{{"v":1,"n":"n2","k":"{kind}","a":"a:\"b","c":"private-c"{rest}}}"#)
    };
    let cases = [
        (String::new(), WireError::Malformed),
        ("[]".to_owned(), WireError::Malformed),
        (of("published", ""), WireError::Malformed),
        (of("published", r#","e":"pusher:error","d":"{}""#), WireError::Malformed),
        (of("published", r#","e":"e","d":"d","x":"1""#), WireError::Malformed),
        (of("published", r#","e":"e","d":{}"#), WireError::Malformed),
        (of("whispered", r#","e":"client-a","d":"{}""#), WireError::Malformed),
        (of("whispered", r#","e":"a","d":"{}","x":"1.2""#), WireError::Malformed),
        (of("joined", r#","u":"1""#), WireError::Malformed),
        (of("joined", r#","u":"1","d":"}""#), WireError::Malformed),
        (of("joined", r#","u":"1","d":"[]""#), WireError::Malformed),
        (of("joined", r#","u":"","d":"{}""#), WireError::Malformed),
        (of("left", ""), WireError::Malformed),
        (of("counted", r#","s":-1,"t":1"#), WireError::Malformed),
        (of("promoted", ""), WireError::Unknown),
        (r#"{"v":2,"all":"else"}"#.to_owned(), WireError::Version),
        (of("terminated", "").replace("private-c", "private-d"), WireError::Misplaced),
        (of("terminated", "").replace("b\"", "c\""), WireError::Misplaced),
        (" ".repeat(MAX_BYTES + 1), WireError::TooLarge),
    ];
    for (text, expected) in cases {
        let Err(error) = wire.read(&key(), &text) else {
            panic!("taken: {text}");
        };
        assert_eq!(error, expected, "{text:.200}");
    }
    let later = of("terminated", r#","new":{"field":[1]}"#);
    assert!(wire.read(&key(), &later).is_ok(), "unknown fields are ignored");
    let error = wire.write(&key(), &published(&"x".repeat(MAX_BYTES)), false);
    assert_eq!(error, Err(WireError::TooLarge));
}

#[test]
fn with_a_secret_everything_else_is_forged() {
    let (wire, other) = (Wire::new("n1", "secret"), Wire::new("n2", "another"));
    let unsigned = Wire::new("n3", "");
    let text = wire.write(&key(), &published("1"), false).unwrap();
    assert!(wire.read(&key(), &text).is_ok());
    assert!(unsigned.read(&key(), &text).is_ok(), "a signature is an unknown field");
    for forged in [
        text.replace(r#""d":"1""#, r#""d":"2""#),
        text.replace("\"}", "\" }"),
        other.write(&key(), &published("1"), false).unwrap(),
        unsigned.write(&key(), &published("1"), false).unwrap(),
        r#"{"v":1,"mac":""}"#.to_owned(),
        r#"","mac":""}"#.to_owned(),
    ] {
        assert_eq!(wire.read(&key(), &forged).err(), Some(WireError::Forged), "{forged}");
    }
}

proptest! {
    #[test]
    fn any_text_is_judged(text in "\\PC{0,80}", secret in "[a-z]{0,2}") {
        prop_assert!(Wire::new("n", &secret).read(&key(), &text).is_err());
    }

    #[test]
    fn any_data_comes_back(data in any::<String>(), event in "[^:]{1,20}", secret in "[a-z]{0,2}") {
        let wire = Wire::new("n", &secret);
        let event = EventName::parse(&event, 200).unwrap();
        let body = Relayed::Published { event: event.clone(), data: data.clone().into(), except: None };
        let text = wire.write(&key(), &body, true).unwrap();
        match wire.read(&key(), &text).unwrap().body {
            Relayed::Published { event: name, data: read, except: None } => {
                prop_assert_eq!((name, read.to_string()), (event, data));
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }
}
