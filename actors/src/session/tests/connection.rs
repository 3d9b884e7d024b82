//! Opening, liveness, malformed and unknown messages, rates of the connection as a whole.

use std::time::Duration;

use super::*;

const PING: &str = r#"{"event":"pusher:ping","data":"{}"}"#;
const PONG: &str = r#"{"event":"pusher:pong","data":"{}"}"#;
const SECOND: Duration = Duration::from_secs(1);

fn coded(code: u16, message: &str) -> String {
    format!(r#"{{"event":"pusher:error","data":{{"code":{code},"message":"{message}"}}}}"#)
}

/// Check 18.
#[test]
fn the_first_frame_tells_socket_and_activity_timeout() {
    for (timeout, told) in [(120, 120), (30, 30), (0, 1)] {
        let opening = Opening {
            app: Arc::new(App::new("3", Credential::new(KEY, SECRET))),
            limits: Arc::new(NodeLimits {
                activity_timeout: Duration::from_secs(timeout),
                ..NodeLimits::default()
            }),
            socket: SOCKET,
            client: ClientLibrary::Other,
            now: Moment::default(),
        };
        let mut effects = Vec::new();
        Session::open(opening, &mut effects);
        assert_eq!(
            lines(&effects),
            [format!(
                r#"{{"event":"pusher:connection_established","data":"{{\"socket_id\":\"1234.1234\",\"activity_timeout\":{told}}}"}}"#
            )]
        );
    }
}

/// Checks 19 and 20.
#[test]
fn a_ping_is_answered_whatever_its_data() {
    let mut client = Client::open();
    for ping in [
        r#"{"event":"pusher:ping","data":{}}"#,
        r#"{"event":"pusher:ping","data":""}"#,
        r#"{"event":"pusher:ping"}"#,
        r#"{"event":"pusher:ping","data":null,"channel":null}"#,
        r#"{"event": "pusher:ping", "data": [1], "more": {}}"#,
    ] {
        assert_eq!(client.text(ping), [PONG], "{ping}");
    }
    assert!(client.text(r#"{"event":"pusher:pong","data":{}}"#).is_empty());
}

/// Check 23.
#[test]
fn a_silent_client_is_pinged_and_then_lost() {
    let mut client = Client::open();
    assert_eq!(client.tick(), (vec![], SECOND * 120));
    client.passes(SECOND * 119);
    assert_eq!(client.tick(), (vec![], SECOND));
    client.passes(SECOND);
    assert_eq!(client.tick(), (vec![PING.to_owned()], SECOND * 30));
    client.passes(SECOND * 29);
    assert_eq!(client.tick(), (vec![], SECOND));
    client.passes(SECOND);
    assert_eq!(
        client.tick().0,
        [
            coded(4201, "Pong reply not received in time"),
            "close 4201 Pong reply not received in time".to_owned()
        ]
    );
}

/// Checks 24, 25 and 26.
#[test]
fn anything_heard_keeps_a_connection() {
    let signs: [fn(&mut Client) -> Vec<String>; 6] = [
        |client| client.text(r#"{"event":"pusher:pong","data":{}}"#),
        |client| client.text(r#"{"event":"client-a"}"#),
        |client| client.text("not json"),
        Client::binary,
        |client| client.control(ControlFrame::Ping),
        |client| client.control(ControlFrame::Pong),
    ];
    for sign in signs {
        let mut client = Client::open();
        client.passes(SECOND * 120);
        assert_eq!(client.tick().0.len(), 1, "a ping is due");
        client.passes(SECOND * 29);
        sign(&mut client);
        assert_eq!(client.tick(), (vec![], SECOND * 120));
    }
    let mut client = Client::open();
    for _ in 0..10 {
        client.passes(SECOND * 100);
        client.text(r#"{"event":"pusher:pong"}"#);
        assert!(client.tick().0.is_empty());
    }
}

#[test]
fn who_pings_by_control_frame_is_pinged_by_control_frame() {
    let mut client = Client::open();
    assert!(client.control(ControlFrame::Pong).is_empty());
    client.passes(SECOND * 120);
    assert_eq!(client.tick().0, [PING]);
    assert!(client.control(ControlFrame::Ping).is_empty());
    client.passes(SECOND * 120);
    assert_eq!(client.tick().0, ["control ping"]);
}

#[test]
fn too_many_control_frames_end_the_connection() {
    let mut client = Client::with(|_, limits| limits.control_frames_per_second = 2);
    for _ in 0..3 {
        assert!(client.control(ControlFrame::Ping).is_empty());
        assert!(client.control(ControlFrame::Ping).is_empty());
        client.passes(SECOND);
    }
    client.control(ControlFrame::Ping);
    client.control(ControlFrame::Pong);
    assert_eq!(
        client.control(ControlFrame::Ping),
        [
            error("Control frame rate limit of this connection reached"),
            "close 1008 Too many control frames".to_owned()
        ]
    );
}

/// Check 13; attack S10.
#[test]
fn what_is_no_message_gets_an_error_and_the_connection_stays() {
    let deep = "[".repeat(60_000);
    let digits = format!(r#"{{"event":{}}}"#, "9".repeat(60_000));
    for text in [
        "not json",
        "",
        "\0",
        "null",
        "1e999",
        "[]",
        r#"["pusher:ping"]"#,
        r#"{"data":{}}"#,
        r#"{"event":{}}"#,
        r#"{"event":null}"#,
        r#"{"event":"\ud800"}"#,
        r#"{"event":"pusher:ping","event":"pusher:pong"}"#,
        deep.as_str(),
        digits.as_str(),
    ] {
        let mut client = Client::open();
        assert_eq!(client.text(text), [error("Invalid message format")]);
        assert_eq!(client.text(r#"{"event":"pusher:ping"}"#), [PONG]);
    }
    assert_eq!(
        Client::open().binary(),
        [error("Invalid message format: binary messages are not supported")]
    );
}

/// Attack S11.
#[test]
fn data_of_the_wrong_type_gets_a_clear_error() {
    let subscribe = "Invalid message format: data of pusher:subscribe must be an object with a string channel, and strings auth and channel_data if any";
    let unsubscribe = "Invalid message format: data of pusher:unsubscribe must be an object with a string channel";
    let signin = "Invalid message format: data of pusher:signin must be an object with strings auth and user_data";
    for (event, data, message) in [
        ("pusher:subscribe", r#"{"channel":1,"auth":[]}"#, subscribe),
        ("pusher:subscribe", r#"{"channel":"c","auth":7}"#, subscribe),
        ("pusher:subscribe", r#"{"channel":"c","channel_data":{"user_id":"1"}}"#, subscribe),
        ("pusher:subscribe", r#"{"channel":"public","channel":"private-x"}"#, subscribe),
        ("pusher:subscribe", r#"["c"]"#, subscribe),
        ("pusher:subscribe", "null", subscribe),
        ("pusher:subscribe", r#""not json""#, subscribe),
        ("pusher:subscribe", r#"{"channel":"\ud800"}"#, subscribe),
        ("pusher:unsubscribe", "{}", unsubscribe),
        ("pusher:unsubscribe", r#"{"channel":null}"#, unsubscribe),
        ("pusher:signin", r#"{"auth":"k:s"}"#, signin),
        ("pusher:signin", r#"{"auth":"k:s","user_data":{"id":"1"}}"#, signin),
    ] {
        let text = format!(r#"{{"event":"{event}","data":{data}}}"#);
        assert_eq!(Client::open().text(&text), [error(message)], "{text}");
    }
    let without_data = r#"{"event":"pusher:subscribe"}"#;
    assert_eq!(Client::open().text(without_data), [error(subscribe)]);
}

/// Checks 14 and 59; attack S13.
#[test]
fn an_unknown_event_is_named_and_nothing_else_happens() {
    let mut client = Client::open();
    for event in [
        "foo",
        "x-client-a",
        "Client-a",
        "pusher:nonsense",
        "pusher:error",
        "pusher:connection_established",
        "pusher_internal:member_added",
        "",
    ] {
        assert_eq!(
            client.text(&format!(r#"{{"event":"{event}","data":{{}}}}"#)),
            [error(&format!("Unsupported event received on socket: {event}"))]
        );
    }
    let long = "é".repeat(30_000);
    assert_eq!(
        client.text(&format!(r#"{{"event":"{long}"}}"#)),
        [error(&format!("Unsupported event received on socket: {}…", "é".repeat(200)))]
    );
}

#[test]
fn too_many_malformed_messages_end_the_connection() {
    let mut client = Client::open();
    for round in 0..3 {
        for _ in 0..10 {
            assert_eq!(client.text("x").len(), 1, "round {round}");
        }
        client.passes(SECOND * 10);
    }
    for _ in 0..10 {
        client.binary();
    }
    assert_eq!(
        client.text("x"),
        [error("Invalid message format"), "close 1008 Too many malformed messages".to_owned()]
    );
    assert!(client.text("x").is_empty(), "nothing comes after a close");
}

#[test]
fn errors_of_other_kinds_never_end_a_connection() {
    let mut client = Client::open();
    for _ in 0..200 {
        assert_eq!(client.text(r#"{"event":"foo"}"#).len(), 1);
        assert_eq!(client.text(&subscribe("private-x", Some("a:b"), None)).len(), 2);
        assert_eq!(client.text(&unsubscribe("private-x")).len(), 1);
        assert_eq!(client.text(r#"{"event":"client-a","channel":"c"}"#).len(), 1);
    }
}

/// Attack S14.
#[test]
fn commands_over_their_rate_are_refused_and_twice_the_rate_ends_the_connection() {
    let mut client = Client::with(|_, limits| limits.commands_per_second = 3);
    let refused = error("Command rate limit of this connection reached");
    assert_eq!(client.text(&subscribe("a", None, None)), ["join a"]);
    assert_eq!(client.text(&unsubscribe("a")), ["leave a"]);
    assert_eq!(client.text(&subscribe("b", None, None)), ["join b"]);
    assert_eq!(client.text(&subscribe("c", None, None)), [refused.as_str()]);
    assert_eq!(client.text(&unsubscribe("b")), [refused.as_str()]);
    assert_eq!(client.text(&signed_in(r#"{"id":"1"}"#)), [refused.as_str()]);
    assert_eq!(client.channels(), ["b"]);
    assert_eq!(client.text(&unsubscribe("b")), [refused.as_str(), "close 1008 Too many commands"]);

    let mut client = Client::with(|_, limits| limits.commands_per_second = 1);
    client.text(&subscribe("a", None, None));
    assert_eq!(client.text(&unsubscribe("a")), [refused]);
    client.passes(SECOND);
    assert_eq!(client.text(&unsubscribe("a")), ["leave a"]);
}

#[test]
fn a_connection_that_must_be_authorised_ends_in_time() {
    let open = || Client::with(|app, _| app.authorized_connections = true);
    let late = [
        coded(4009, "Connection not authorized within timeout"),
        "close 4009 Connection not authorized within timeout".to_owned(),
    ];
    let mut client = open();
    assert_eq!(client.tick(), (vec![], SECOND * 30));
    client.text(&subscribe("public", None, None));
    client.text(&subscribe("private-x", Some("a:b"), None));
    client.text(&signin("a:b", r#"{"id":"1"}"#));
    client.passes(SECOND * 30);
    assert_eq!(client.tick().0, late);
    assert_eq!(client.tick().0, [""; 0], "nothing comes after a close");

    for proof in [signed("private-x", None), signed_in(r#"{"id":"1"}"#)] {
        let mut client = open();
        assert_eq!(client.text(&proof).len(), 1);
        client.passes(SECOND * 30);
        assert_eq!(client.tick(), (vec![], SECOND * 90));
    }
}

#[test]
fn a_close_comes_after_its_error_and_is_the_last() {
    let mut client = Client::open();
    let mut effects = Vec::new();
    let reason = "You got disconnected by the app.";
    client.session.close(ErrorCode::Unauthorized, reason, &mut effects);
    client.session.close(ErrorCode::Unauthorized, reason, &mut effects);
    assert_eq!(lines(&effects), [coded(4009, reason), format!("close 4009 {reason}")]);
    assert!(client.text(r#"{"event":"pusher:ping"}"#).is_empty());
    assert!(client.binary().is_empty());
    assert!(client.control(ControlFrame::Ping).is_empty());
    client.passes(SECOND * 3600);
    assert!(client.tick().0.is_empty());
    assert!(client.refused("c", 1, JoinRefusal::Unavailable).is_empty());
}

#[test]
fn an_idle_session_is_small() {
    assert!(size_of::<Session>() <= 256, "{} bytes", size_of::<Session>());
}

#[test]
fn the_dotnet_client_is_known_by_its_query() {
    let known = ClientLibrary::of_query("pusher-dotnet-client");
    assert_eq!(known, ClientLibrary::Dotnet);
    assert_eq!(ClientLibrary::of_query("js"), ClientLibrary::Other);
}
