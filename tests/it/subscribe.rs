//! Subscriptions to public and private channels (checks 27-34, 43-46, 53).

use serde_json::json;

use crate::support::apps::{COUNTED, MAIN};
use crate::support::{TestNode, frame, shared, unique};

#[test]
fn check_027_a_public_subscription_with_empty_auth_succeeds() {
    let mut socket = shared().connect(MAIN);
    socket.ask_subscribe(&json!({"auth": "", "channel": "my-channel"}));
    socket.expect(json!({
        "event": "pusher_internal:subscription_succeeded", "channel": "my-channel", "data": "{}"
    }));
}

#[test]
fn check_028_a_public_subscription_without_auth_succeeds() {
    let mut socket = shared().connect(MAIN);
    socket.ask_subscribe(&json!({"channel": "my-channel"}));
    socket.expect_subscribed("my-channel");
}

#[test]
fn check_029_a_signed_private_subscription_succeeds() {
    let mut socket = shared().connect(MAIN);
    socket.subscribe("private-foobar");
    shared().fence("private-foobar", &mut [&mut socket]);
}

#[test]
fn check_030_one_wrong_digit_is_refused_and_the_socket_stays_open() {
    let mut socket = shared().connect(MAIN);
    let auth = socket.app.auth(&socket.id, "private-wrong");
    let digit = if auth.ends_with('0') { "1" } else { "0" };
    let wrong = format!("{}{digit}", &auth[..auth.len() - 1]);
    socket.ask_subscribe(&json!({"auth": wrong, "channel": "private-wrong"}));
    let message = socket.expect_refused("private-wrong", "AuthError", 401);
    let expected = format!(
        "Invalid signature: Expected HMAC SHA256 hex digest of {}:private-wrong",
        socket.id
    );
    assert!(message.starts_with(&expected), "{message}");
    let right = &auth["k:".len()..];
    assert!(!message.contains(right), "the expected signature is told");
    shared().trigger(MAIN, "private-wrong", "e", "1");
    socket.expect_silence();
    socket.subscribe("private-wrong");
}

#[test]
fn check_031_another_key_with_the_right_digest_is_refused() {
    let mut socket = shared().connect(MAIN);
    let auth = socket.app.auth(&socket.id, "private-key");
    let auth = auth.replacen("k:", "other:", 1);
    socket.ask_subscribe(&json!({"auth": auth, "channel": "private-key"}));
    let message = socket.expect_refused("private-key", "AuthError", 401);
    assert_eq!(message, "Invalid key in subscription auth data: 'other'");
}

#[test]
fn check_032_a_private_channel_needs_auth() {
    let mut socket = shared().connect(MAIN);
    socket.ask_subscribe(&json!({"channel": "private-x"}));
    let message = socket.expect_refused("private-x", "AuthError", 401);
    assert_eq!(message, "Auth info required to subscribe to private-x");
}

#[test]
fn check_033_auth_without_a_colon_is_refused() {
    let mut socket = shared().connect(MAIN);
    socket.ask_subscribe(&json!({"channel": "private-x", "auth": "abc"}));
    let message = socket.expect_refused("private-x", "AuthError", 401);
    assert_eq!(
        message,
        "Auth value for subscription to private-x is invalid: should be of format 'key:signature'"
    );
}

#[test]
fn check_034_channel_data_on_a_private_channel_is_part_of_the_signature() {
    let mut socket = shared().connect(MAIN);
    let data = r#"{"user_id":"1"}"#;
    let auth = socket.app.auth_with(&socket.id, "private-data", data);
    socket.ask_subscribe(&json!({"channel": "private-data", "auth": auth, "channel_data": data}));
    socket.expect_subscribed("private-data");

    let unsigned = socket.app.auth(&socket.id, "private-data-2");
    socket.ask_subscribe(
        &json!({"channel": "private-data-2", "auth": unsigned, "channel_data": data}),
    );
    socket.expect_refused("private-data-2", "AuthError", 401);
}

#[test]
fn check_043_a_second_subscription_is_an_error_and_one_unsubscribe_ends_it() {
    let channel = unique("my-channel");
    let mut socket = shared().connect(MAIN);
    socket.subscribe(&channel);
    socket.ask_subscribe(&json!({"channel": channel}));
    assert_eq!(socket.expect_error(None), format!("Existing subscription to channel {channel}"));
    socket.unsubscribe(&channel);
    socket.expect_silence();
    shared().trigger(MAIN, &channel, "e", "1");
    socket.expect_silence();
    let answer = shared().api(MAIN).get(&format!("/channels/{channel}"), &[]);
    assert_eq!(answer.json(), json!({"occupied": false}));
}

#[test]
fn check_044_after_unsubscribing_nothing_is_delivered() {
    let channel = unique("left");
    let mut stays = shared().connect(MAIN);
    let mut leaves = shared().connect(MAIN);
    stays.subscribe(&channel);
    leaves.subscribe(&channel);
    leaves.unsubscribe(&channel);
    leaves.expect_silence();
    shared().fence(&channel, &mut [&mut stays]);
    leaves.expect_silence();
    leaves.subscribe(&channel);
    shared().fence(&channel, &mut [&mut stays, &mut leaves]);
}

#[test]
fn check_045_unsubscribing_from_nothing_is_an_error() {
    let mut socket = shared().connect(MAIN);
    socket.unsubscribe("never-joined");
    let message = socket.expect_error(None);
    assert!(message.starts_with("No current subscription to channel never-joined"), "{message}");
    socket.expect_silence();
}

#[test]
fn check_046_names_have_a_length_and_an_alphabet() {
    let mut socket = shared().connect(MAIN);
    socket.subscribe(&"a".repeat(164));
    socket.subscribe("A-z_0=9@,.;");
    let too_long = "a".repeat(165);
    for name in [too_long.as_str(), "bad name!", "#x", "", "ü", "a:b", "a#b"] {
        socket.ask_subscribe(&json!({"channel": name}));
        let frame = socket.event();
        if frame["event"] == "pusher:subscription_error" {
            assert_eq!(frame["data"]["type"], "LimitReached", "{frame}");
            assert_eq!(frame["data"]["status"], 4009, "{frame}");
            let message = socket.expect_error(None);
            assert!(message.starts_with("Invalid channel name"), "{message}");
        } else {
            assert_eq!(name, "", "{frame}");
            assert_eq!(frame["event"], "pusher:error");
        }
        socket.expect_silence();
    }
}

#[test]
fn check_053_subscribe_unsubscribe_subscribe_in_a_row_ends_subscribed() {
    let channel = unique("back");
    let mut socket = shared().connect(MAIN);
    for _ in 0..20 {
        socket.ask_subscribe(&json!({"channel": channel}));
        socket.unsubscribe(&channel);
        socket.ask_subscribe(&json!({"channel": channel}));
        socket.expect_subscribed(&channel);
        socket.expect_subscribed(&channel);
        socket.unsubscribe(&channel);
        socket.expect_silence();
    }
    socket.subscribe(&channel);
    shared().fence(&channel, &mut [&mut socket]);
}

#[test]
fn data_may_be_a_string_that_holds_the_object() {
    let mut socket = shared().connect(MAIN);
    socket.send(&json!({"event": "pusher:subscribe", "data": "{\"channel\":\"stringly\"}"}));
    socket.expect_subscribed("stringly");
    socket.send(&json!({"event": "pusher:unsubscribe", "data": "{\"channel\":\"stringly\"}"}));
    socket.expect_silence();
}

#[test]
fn applications_do_not_share_channels() {
    let channel = unique("same-name");
    let mut ours = shared().connect(MAIN);
    let mut theirs = shared().connect(COUNTED);
    ours.subscribe(&channel);
    theirs.subscribe(&channel);
    theirs.expect_event("pusher_internal:subscription_count");
    shared().trigger(MAIN, &channel, "ours", "1");
    shared().trigger(COUNTED, &channel, "theirs", "2");
    ours.expect(json!({"event": "ours", "channel": channel, "data": "1"}));
    theirs.expect(json!({"event": "theirs", "channel": channel, "data": "2"}));
    ours.expect_silence();
    theirs.expect_silence();
}

#[test]
fn many_channels_at_once_are_all_answered_in_order() {
    let prefix = unique("many");
    let mut socket = shared().connect(MAIN);
    let names: Vec<String> = (0..50).map(|index| format!("{prefix}-{index}")).collect();
    for name in &names {
        socket.ask_subscribe(&json!({"channel": name}));
    }
    let mut seen: Vec<String> = names
        .iter()
        .map(|_| {
            let frame = socket.expect_event("pusher_internal:subscription_succeeded");
            frame["channel"].as_str().unwrap().to_owned()
        })
        .collect();
    seen.sort();
    let mut expected = names;
    expected.sort();
    assert_eq!(seen, expected);
}

#[test]
fn a_client_with_hundreds_of_channels_may_subscribe_to_all_of_them_in_one_write() {
    let prefix = unique("burst");
    let mut socket = shared().connect(MAIN);
    let mut burst = Vec::new();
    for index in 0..400 {
        let data = json!({"channel": format!("{prefix}-{index}")});
        let message = json!({"event": "pusher:subscribe", "data": data}).to_string();
        burst.extend(frame::message(frame::TEXT, message.as_bytes()));
    }
    socket.send_bytes(&burst);
    for _ in 0..400 {
        socket.expect_event("pusher_internal:subscription_succeeded");
    }
    let last = format!("{prefix}-399");
    shared().fence(&last, &mut [&mut socket]);
}

#[test]
fn dotnet_clients_get_the_error_they_wait_for() {
    let mut socket =
        shared().upgrade("/app/k?protocol=5&client=pusher-dotnet-client&version=2.1.0");
    socket.established();
    socket.ask_subscribe(&json!({"channel": "private-x"}));
    let mut names: Vec<String> =
        (0..3).map(|_| socket.event()["event"].as_str().unwrap().to_owned()).collect();
    names.sort();
    assert_eq!(
        names,
        ["pusher:error", "pusher:subscription_error", "pusher_internal:subscription_error"]
    );
}

#[test]
fn an_application_may_answer_a_second_subscription_with_success() {
    let node = TestNode::start(|config| {
        let mut app = MAIN.config();
        app.duplicate_subscribe = micronotifier_actors::config::DuplicateSubscribe::Succeed;
        config.node.apps = micronotifier_actors::config::Apps::new([app]);
    });
    let mut socket = node.connect(MAIN);
    socket.subscribe("twice");
    socket.subscribe("twice");
    assert_eq!(socket.join("presence-twice", "1")["count"], 1);
    assert_eq!(socket.join("presence-twice", "1")["count"], 1);
    socket.unsubscribe("twice");
    socket.expect_silence();
    node.trigger(MAIN, "twice", "e", "1");
    socket.expect_silence();
}
