//! Subscribing and unsubscribing: names, signatures, duplicates, limits, refusals of the channel.

use super::*;
use crate::config::{DuplicateSubscribe, OlderCredential};

const A1: &str =
    "278d425bdf160c739803:58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4";
const A4: &str =
    "278d425bdf160c739803:dfaa2efdf7f1d9341eda3dd4402578bade68221dd3869a5ec8cd9bd633a81a84";

/// Checks 27 and 28.
#[test]
fn public_channels_ignore_auth() {
    for auth in [None, Some(""), Some("nonsense")] {
        let mut client = Client::open();
        assert_eq!(client.text(&subscribe("my-channel", auth, Some("{"))), ["join my-channel"]);
        assert_eq!(client.channels(), ["my-channel"]);
    }
}

#[test]
fn data_may_be_a_string_that_holds_the_object() {
    let text = r#"{"event":"pusher:subscribe","data":"{\"channel\":\"c\",\"auth\":\"\"}"}"#;
    assert_eq!(Client::open().text(text), ["join c"]);
    let java = r#"{"event":"pusher:subscribe","data":{"channel":"c"},"id":7}"#;
    assert_eq!(Client::open().text(java), ["join c"]);
}

/// Checks 29 and 34.
#[test]
fn signatures_of_the_appendix_hold() {
    let mut client = Client::open();
    assert_eq!(client.text(&subscribe("private-foobar", Some(A1), None)), ["join private-foobar"]);
    let with_data = subscribe("private-foobar", Some(A4), Some(r#"{"user_id":"1"}"#));
    assert_eq!(Client::open().text(&with_data), ["join private-foobar"]);
}

/// Check 30, for an ordinary client and for .NET.
#[test]
fn a_wrong_signature_is_refused_on_the_channel_and_on_the_connection() {
    let given = "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a5";
    let message = format!(
        "Invalid signature: Expected HMAC SHA256 hex digest of 1234.1234:private-foobar, but got {given}"
    );
    let text = subscribe("private-foobar", Some(&format!("{KEY}:{given}")), None);
    let mut expected = refusal("private-foobar", "AuthError", &message, 401);
    assert_eq!(
        expected[0],
        format!(
            r#"{{"event":"pusher:subscription_error","channel":"private-foobar","data":"{{\"type\":\"AuthError\",\"error\":\"{message}\",\"status\":401}}"}}"#
        )
    );
    let mut client = Client::open();
    assert_eq!(client.text(&text), expected);
    assert!(client.channels().is_empty());

    expected.push(format!(
        r#"{{"event":"pusher_internal:subscription_error","channel":"private-foobar","data":"{message}"}}"#
    ));
    let mut dotnet = Client::of_library(ClientLibrary::Dotnet, |_, _| {});
    assert_eq!(dotnet.text(&text), expected);
}

/// Attack S15.
#[test]
fn a_signature_holds_for_nothing_but_what_was_signed() {
    let digest = |text: &str| Credential::new(KEY, SECRET).sign(text.as_bytes());
    let foreign = Credential::new(KEY, "another secret").sign(b"1234.1234:private-x");
    let data = r#"{"user_id":"1"}"#;
    let presence = digest(&format!("1234.1234:presence-x:{data}"));
    for (channel, sig, channel_data) in [
        ("private-x", digest("1234.1235:private-x"), None),
        ("private-x", digest("1234.1234:private-y"), None),
        ("presence-x", digest("1234.1234:private-x"), None),
        ("presence-x", presence.clone(), Some(r#"{"user_id":"2"}"#)),
        ("presence-x", presence, None),
        ("private-x", digest("1234.1234:private-x"), Some("")),
        ("private-x", digest("1234.1234:private-x").to_uppercase(), None),
        ("private-x", foreign, None),
        ("private-x", String::new(), None),
    ] {
        let mut client = Client::open();
        let answer = client.text(&subscribe(channel, Some(&format!("{KEY}:{sig}")), channel_data));
        assert_eq!(answer.len(), 2, "{answer:?}");
        assert!(answer[1].contains("Invalid signature: Expected"), "{answer:?}");
        assert!(client.channels().is_empty());
    }
}

#[test]
fn no_answer_holds_the_signature_that_would_be_right() {
    for (channel, data) in [("private-x", None), ("presence-x", Some(r#"{"user_id":"1"}"#))] {
        let right = signature(&subscription_text(SOCKET, channel, data));
        let (_, right) = right.split_once(':').unwrap();
        for wrong in ["", "0", &right[..63], &right.to_uppercase()] {
            let answer = Client::open()
                .text(&subscribe(channel, Some(&format!("{KEY}:{wrong}")), data))
                .concat();
            assert!(!answer.contains(right), "{answer}");
        }
    }
}

/// Checks 31, 32 and 33.
#[test]
fn each_fault_of_auth_has_its_text() {
    let other_key = A1.replace(KEY, "otherkey");
    for (channel, auth, message) in [
        (
            "private-foobar",
            Some(other_key.as_str()),
            "Invalid key in subscription auth data: 'otherkey'",
        ),
        ("private-x", None, "Auth info required to subscribe to private-x"),
        ("private-x", Some(""), "Auth info required to subscribe to private-x"),
        ("presence-x", None, "Auth info required to subscribe to presence-x"),
        (
            "private-x",
            Some("abc"),
            "Auth value for subscription to private-x is invalid: should be of format 'key:signature'",
        ),
        ("#server-to-user-7", Some(A1), "Auth info required to subscribe to #server-to-user-7"),
    ] {
        assert_eq!(
            Client::open().text(&subscribe(channel, auth, None)),
            refusal(channel, "AuthError", message, 401)
        );
    }
}

#[test]
fn an_older_key_holds_until_it_ends() {
    let auth = format!("old:{}", Credential::new("old", "older").sign(b"1234.1234:private-x"));
    let text = subscribe("private-x", Some(&auth), None);
    for (until, answer) in [(None, 1), (Some(UNIX + 1), 1), (Some(UNIX), 2)] {
        let mut client = Client::with(|app, _| {
            app.older.push(OlderCredential {
                credential: Credential::new("old", "older"),
                until_unix: until,
            });
        });
        assert_eq!(client.text(&text).len(), answer, "{until:?}");
    }
}

/// Checks 43 and 45.
#[test]
fn a_second_subscription_is_an_error_and_one_unsubscribe_ends_it() {
    let mut client = Client::open();
    let text = subscribe("my-channel", None, None);
    assert_eq!(client.text(&text), ["join my-channel"]);
    assert_eq!(client.text(&text), [error("Existing subscription to channel my-channel")]);
    assert_eq!(client.text(&unsubscribe("my-channel")), ["leave my-channel"]);
    assert!(client.channels().is_empty());
    assert_eq!(
        client.text(&unsubscribe("my-channel")),
        [error("No current subscription to channel my-channel, or subscription in progress")]
    );
    assert_eq!(client.text(&text), ["join my-channel"]);
}

#[test]
fn a_second_subscription_succeeds_where_the_application_says_so() {
    let mut client = Client::with(|app, _| app.duplicate_subscribe = DuplicateSubscribe::Succeed);
    let text = subscribe("my-channel", None, None);
    assert_eq!(client.text(&text), ["join my-channel"]);
    assert_eq!(client.text(&text), ["resend my-channel"]);
    assert_eq!(client.channels(), ["my-channel"]);
    assert_eq!(client.text(&unsubscribe("my-channel")), ["leave my-channel"]);
}

/// Check 46; attack S16.
#[test]
fn names_are_checked() {
    assert_eq!(Client::open().text(&subscribe(&"a".repeat(164), None, None)).len(), 1);
    for name in [
        &"a".repeat(165),
        "bad name!",
        "#x",
        "private-a:b",
        " private-a",
        "private-\u{430}",
        "#server-to-user-",
        "#server-to-user-a b",
    ] {
        assert_eq!(
            Client::open().text(&subscribe(name, Some(A1), None)),
            refusal(name, "LimitReached", &format!("Invalid channel name {name}"), 4009)
        );
    }
    assert_eq!(
        Client::open().text(&subscribe("", None, None)),
        [error("Invalid channel name ")],
        "no frame names the empty channel"
    );
}

#[test]
fn no_frame_names_an_empty_channel() {
    let answer = Client::open().text(&subscribe("", Some(A1), None));
    assert_eq!(answer, [error("Invalid channel name ")]);
}

#[test]
fn a_connection_has_a_limit_of_channels() {
    let mut client = Client::with(|_, limits| limits.channels_per_connection = 2);
    client.text(&subscribe("b", None, None));
    client.text(&subscribe("a", None, None));
    assert_eq!(
        client.text(&subscribe("c", None, None)),
        refusal("c", "LimitReached", "Channel limit of this connection reached", 4100)
    );
    client.text(&unsubscribe("b"));
    assert_eq!(client.text(&subscribe("c", None, None)), ["join c"]);
    assert_eq!(client.channels(), ["a", "c"]);
}

#[test]
fn answers_stay_small_whatever_comes_in() {
    let long = "\u{1}".repeat(10_000);
    for text in [
        subscribe(&long, None, None),
        subscribe("private-x", Some(&format!("{long}:1")), None),
        subscribe("private-x", Some(&format!("{KEY}:{long}")), None),
        subscribe("private-x", Some(&format!("{KEY}:0")), Some(&long)),
        unsubscribe(&long),
        signin(&format!("{KEY}:{long}"), &long),
        signin(&format!("{long}:1"), "{}"),
        serde_json::json!({ "event": "client-a", "channel": format!("private-{long}") })
            .to_string(),
        serde_json::json!({ "event": long }).to_string(),
    ] {
        let answer = Client::open().text(&text).concat();
        assert!(answer.len() < 24 * 1024, "{} bytes", answer.len());
        assert!(answer.contains('…'));
    }
}

/// Check 42 on this side; and the cluster out of reach.
#[test]
fn a_channel_that_refuses_is_left() {
    let mut client = Client::open();
    let text = signed("presence-x", Some(r#"{"user_id":"1"}"#));
    client.text(&text);
    assert_eq!(
        client.refused("presence-x", 1, JoinRefusal::MembersFull),
        refusal("presence-x", "LimitReached", "Presence channel member limit reached", 4100)
    );
    assert!(client.channels().is_empty());
    assert_eq!(client.text(&text), ["join presence-x as 1 {}"]);
    assert_eq!(
        client.refused("presence-x", 2, JoinRefusal::Unavailable),
        refusal(
            "presence-x",
            "ServerError",
            "The channel cannot be joined at the moment, try again later",
            503
        )
    );
    assert!(client.channels().is_empty());
}

/// Check 53 on this side.
#[test]
fn a_late_refusal_leaves_a_newer_subscription_alone() {
    let mut client = Client::open();
    let text = signed("presence-x", Some(r#"{"user_id":"1"}"#));
    client.text(&text);
    client.text(&unsubscribe("presence-x"));
    client.text(&text);
    assert_eq!(client.refused("presence-x", 1, JoinRefusal::MembersFull).len(), 2);
    assert_eq!(client.channels(), ["presence-x"]);
    assert_eq!(client.refused("presence-x", 2, JoinRefusal::MembersFull).len(), 2);
    assert!(client.channels().is_empty());
}
