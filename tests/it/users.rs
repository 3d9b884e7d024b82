//! Users who sign in, what is sent to them, and their end (checks 63-70).

use serde_json::json;

use crate::support::apps::{COUNTED, MAIN};
use crate::support::{TestNode, shared, unique};

#[test]
fn check_063_a_signed_user_is_signed_in() {
    let mut socket = shared().connect(MAIN);
    let user_data = r#"{"id":"12345"}"#;
    socket.ask_sign_in(user_data);
    socket.expect(json!({
        "event": "pusher:signin_success",
        "data": r#"{"user_data":"{\"id\":\"12345\"}"}"#
    }));
}

#[test]
fn check_064_a_bad_signature_is_an_error_and_the_socket_stays() {
    let user = unique("forged");
    let mut socket = shared().connect(MAIN);
    let user_data = json!({ "id": user }).to_string();
    let auth = MAIN.signin_auth("1.2", &user_data);
    socket.send(&json!({"event": "pusher:signin", "data": {"auth": auth, "user_data": user_data}}));
    let message = socket.expect_error(None);
    let expected =
        format!("Invalid signature: Expected HMAC SHA256 hex digest of {}::user::", socket.id);
    assert!(message.starts_with(&expected), "{message}");
    shared().trigger(MAIN, &format!("#server-to-user-{user}"), "e", "1");
    socket.expect_silence();
    socket.sign_in(&user);
}

#[test]
fn check_065_a_user_has_an_id_that_is_a_text() {
    let mut socket = shared().connect(MAIN);
    for user_data in [
        "{}",
        r#"{"id":12345}"#,
        r#"{"id":""}"#,
        r#"{"id":null}"#,
        "[]",
        "x",
        r#"{"id":"a","watchlist":"b"}"#,
        r#"{"id":"a","user_info":"b"}"#,
    ] {
        socket.ask_sign_in(user_data);
        socket.expect_error(None);
        socket.expect_silence();
    }
}

#[test]
fn check_066_a_connection_stays_with_its_user() {
    let (user, other) = (unique("user"), unique("user"));
    let mut socket = shared().connect(MAIN);
    socket.sign_in(&user);
    socket.ask_sign_in(&json!({ "id": other }).to_string());
    assert_eq!(socket.expect_error(None), "Connection already signed in as a different user");
    socket.sign_in(&user);
}

#[test]
fn check_067_only_the_user_may_subscribe_to_its_channel() {
    let user = unique("user");
    let channel = format!("#server-to-user-{user}");
    let mut socket = shared().connect(MAIN);
    let mut other = shared().connect(MAIN);
    other.sign_in(&unique("user"));
    for socket in [&mut socket, &mut other] {
        socket.ask_subscribe(&json!({"auth": "", "channel": channel}));
        let mut frame = socket.event();
        if frame["event"] == "pusher:subscription_error" {
            frame = socket.event();
        }
        assert_eq!(
            frame["data"]["message"],
            format!("Auth info required to subscribe to {channel}")
        );
        socket.expect_silence();
    }
    socket.sign_in(&user);
    socket.ask_subscribe(&json!({"auth": "", "channel": channel}));
    socket.expect_subscribed(&channel);
    shared().fence(&channel, &mut [&mut socket]);
    socket.unsubscribe(&channel);
    socket.expect_silence();
}

#[test]
fn check_068_an_event_reaches_every_socket_of_the_user_and_nobody_else() {
    let user = unique("user");
    let channel = format!("#server-to-user-{user}");
    let mut sockets = [shared().connect(MAIN), shared().connect(MAIN)];
    for socket in &mut sockets {
        socket.sign_in(&user);
    }
    let mut stranger = shared().connect(MAIN);
    stranger.sign_in(&unique("user"));
    let mut elsewhere = shared().connect(COUNTED);
    elsewhere.sign_in(&user);
    shared().trigger(MAIN, &channel, "my-event", r#"{"a":1}"#);
    for socket in &mut sockets {
        socket.expect(json!({"event": "my-event", "channel": channel, "data": "{\"a\":1}"}));
        socket.expect_silence();
    }
    stranger.expect_silence();
    elsewhere.expect_silence();
    let listed = shared().api(MAIN).get("/channels", &[("filter_by_prefix", "#")]);
    assert_eq!(listed.json(), json!({"channels": {}}));
}

#[test]
fn check_069_a_signed_in_user_needs_no_channel_data_for_presence() {
    let channel = unique("presence-foobar");
    let mut socket = shared().connect(MAIN);
    socket.ask_sign_in(r#"{"id":"12345","user_info":{"name":"Ann"}}"#);
    socket.expect_event("pusher:signin_success");
    let auth = socket.app.auth(&socket.id, &channel);
    socket.ask_subscribe(&json!({"channel": channel, "auth": auth}));
    let snapshot = socket.expect_joined(&channel);
    assert_eq!(snapshot, json!({"count": 1, "ids": ["12345"], "hash": {"12345": {"name": "Ann"}}}));
}

#[test]
fn check_070_terminated_users_are_closed_and_mere_members_are_not() {
    let user = unique("terminated");
    let channel = unique("presence-terminated");
    let mut signed_in = [shared().connect(MAIN), shared().connect(MAIN)];
    for socket in &mut signed_in {
        socket.sign_in(&user);
    }
    let mut member = shared().connect(MAIN);
    member.join(&channel, &user);
    let mut elsewhere = shared().connect(COUNTED);
    elsewhere.sign_in(&user);
    let tail = format!("/users/{user}/terminate_connections");
    let answer = shared().api(MAIN).post(&tail, &json!({}));
    assert_eq!((answer.status, answer.json()), (200, json!({})));
    for socket in &mut signed_in {
        assert_eq!(socket.expect_rejection(4009), "You got disconnected by the app.");
    }
    shared().fence(&channel, &mut [&mut member]);
    elsewhere.expect_silence();
}

#[test]
fn check_070_terminating_an_unknown_user_is_no_error() {
    let answer = shared().api(MAIN).post("/users/nobody/terminate_connections", &json!({}));
    assert_eq!((answer.status, answer.json()), (200, json!({})));
}

#[test]
fn an_unauthorised_connection_is_closed_where_the_application_asks_for_it() {
    let node = TestNode::start(|config| {
        let mut app = MAIN.config();
        app.authorized_connections = true;
        config.node.apps = micronotifier_actors::config::Apps::new([app]);
        config.node.limits.authorization_timeout = std::time::Duration::from_secs(1);
    });
    let mut signed_in = node.connect(MAIN);
    signed_in.sign_in("1");
    let mut subscribed = node.connect(MAIN);
    subscribed.subscribe("private-authorised");
    let mut public = node.connect(MAIN);
    public.subscribe("public");
    assert_eq!(public.expect_rejection(4009), "Connection not authorized within timeout");
    let mut late = node.connect(MAIN);
    late.expect_rejection(4009);
    signed_in.expect_silence();
    subscribed.expect_silence();
}
