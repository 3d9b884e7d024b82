//! Client events: the rows of protocol section 4.2, in order.

use std::time::Duration;

use super::*;

fn event(name: &str, channel: &str, data: &str) -> String {
    format!(r#"{{"event":"{name}","channel":"{channel}","data":{data}}}"#)
}

fn subscribed() -> Client {
    let mut client = Client::open();
    client.text(&signed("private-foo", None));
    client.text(&signed("presence-foo", Some(r#"{"user_id":"2"}"#)));
    client.text(&signed("private-encrypted-foo", None));
    client.text(&subscribe("my-channel", None, None));
    client.text(&subscribe("cache-foo", None, None));
    client
}

/// Checks 54 and 55; the user id is the channel's to add, a forged one goes nowhere.
#[test]
fn an_event_goes_to_the_channel_as_text() {
    let mut client = subscribed();
    for (text, line) in [
        (
            event("client-a", "private-foo", r#"{"n": 1}"#),
            r#"whisper private-foo client-a {"n":1}"#,
        ),
        (
            event("client-a", "private-foo", r#""{\"n\": 1}""#),
            r#"whisper private-foo client-a {"n": 1}"#,
        ),
        (event("client-", "private-foo", "12"), "whisper private-foo client- 12"),
        (
            r#"{"event":"client-a","channel":"presence-foo","user_id":"9"}"#.to_owned(),
            "whisper presence-foo client-a {}",
        ),
    ] {
        assert_eq!(client.text(&text), [line]);
    }
}

/// Row 1.
#[test]
fn an_event_names_its_channel() {
    for text in [
        r#"{"event":"client-a","data":{}}"#,
        r#"{"event":"client-a","channel":null,"data":{}}"#,
        r#"{"event":"client-a","channel":7,"data":{}}"#,
        r#"{"event":"client-a","channel":"\ud800","data":{}}"#,
    ] {
        assert_eq!(
            subscribed().text(text),
            [error("Invalid client event (must contain channel and data)")]
        );
    }
}

/// Row 2; check 56.
#[test]
fn an_application_may_forbid_them() {
    let mut client = Client::with(|app, _| app.client_events = false);
    client.text(&signed("private-foo", None));
    assert_eq!(
        client.text(&event("client-a", "private-foo", "{}")),
        [error(
            "To send client events, you must enable this feature in the Settings page of your dashboard."
        )]
    );
}

/// Rows 3 and 4; checks 57 and 62.
#[test]
fn only_private_and_presence_channels_carry_them() {
    let mut client = subscribed();
    client.text(&signed_in(r#"{"id":"1"}"#));
    for channel in
        ["my-channel", "cache-foo", "private-encrypted-foo", "#server-to-user-1", "not there"]
    {
        assert_eq!(
            client.text(&event("client-a", channel, "{}")),
            [error("Client event rejected - only supported on private and presence channels")],
            "{channel}"
        );
    }
}

/// Row 5; check 58.
#[test]
fn the_sender_is_in_the_channel() {
    let mut client = Client::open();
    let rejected =
        error("Cannot broadcast client event (connection not subscribed to channel private-foo)");
    let text = event("client-a", "private-foo", "{}");
    assert_eq!(client.text(&text), [rejected.as_str()]);
    client.text(&signed("private-foo", None));
    assert_eq!(client.text(&text).len(), 1);
    client.text(&unsubscribe("private-foo"));
    assert_eq!(client.text(&text), [rejected.as_str()]);
}

/// Row 6.
#[test]
fn a_name_has_a_limit() {
    let mut client = subscribed();
    let name = |length: usize| format!("client-{}", "é".repeat(length - 7));
    assert_eq!(client.text(&event(&name(200), "private-foo", "1")).len(), 1);
    assert_eq!(client.text(&event(&name(201), "private-foo", "1")), [error("Event name too long")]);
}

/// Row 7; check 61.
#[test]
fn data_has_a_limit_in_bytes() {
    let mut client = subscribed();
    let data = |length: usize| format!(r#""{}""#, "x".repeat(length));
    let fits = client.text(&event("client-a", "private-foo", &data(10_240)));
    assert!(fits[0].starts_with("whisper private-foo client-a xxx"));
    assert_eq!(
        client.text(&event("client-a", "private-foo", &data(10_241))),
        [error("Client event data too large")]
    );
}

/// Row 8; check 60.
#[test]
fn too_many_at_once_are_refused_for_a_second() {
    let mut client = subscribed();
    let text = event("client-a", "private-foo", "{}");
    for _ in 0..10 {
        assert_eq!(client.text(&text), ["whisper private-foo client-a {}"]);
    }
    for _ in 0..50 {
        assert_eq!(
            client.text(&text),
            [
                r#"{"event":"pusher:error","data":{"code":4301,"message":"The client event was rejected due to rate limit"}}"#
            ]
        );
    }
    client.passes(Duration::from_secs(1));
    assert_eq!(client.text(&text), ["whisper private-foo client-a {}"]);

    let mut client = Client::with(|app, _| app.limits.client_events_per_second = None);
    client.text(&signed("private-foo", None));
    for _ in 0..1000 {
        assert_eq!(client.text(&text), ["whisper private-foo client-a {}"]);
    }
}

#[test]
fn what_was_refused_for_another_reason_does_not_count_towards_the_rate() {
    let mut client = subscribed();
    for _ in 0..20 {
        client.text(&event("client-a", "my-channel", "{}"));
    }
    assert_eq!(
        client.text(&event("client-a", "private-foo", "{}")),
        ["whisper private-foo client-a {}"]
    );
}
