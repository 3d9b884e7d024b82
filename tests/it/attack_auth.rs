//! Attacks on authorisation (S15, S16, S18-S20).

use serde_json::{Value, json};

use crate::support::apps::{COUNTED, MAIN, TestApp};
use crate::support::{Socket, shared, unique};

/// Asks to subscribe with this and expects to be refused and to hear nothing of the channel.
fn expect_no_entry(socket: &mut Socket, channel: &str, data: &Value, what: &str) -> String {
    socket.ask_subscribe(data);
    let mut frame = socket.event();
    if frame["event"] == "pusher:subscription_error" {
        frame = socket.event();
    }
    assert_eq!(frame["event"], "pusher:error", "{what}: {frame}");
    assert_eq!(frame["data"]["code"], Value::Null, "{what}: {frame}");
    let mut api = shared().api(socket.app);
    let body = json!({"name": "secret", "channel": channel, "data": "1"});
    // Names that cannot exist cannot be triggered either.
    assert!(matches!(api.post("/events", &body).status, 200 | 400), "{what}");
    socket.expect_silence();
    frame["data"]["message"].as_str().unwrap().to_owned()
}

#[test]
fn attack_s15_a_signature_is_good_for_one_socket_channel_and_application() {
    let (private, other) = (unique("private-x"), unique("private-y"));
    let presence = private.replace("private-", "presence-");
    let data = r#"{"user_id":"1"}"#;
    let mut socket = shared().connect(MAIN);
    let second = shared().connect(MAIN);
    let own = socket.app.auth(&socket.id, &private);
    let crossed = TestApp { secret: COUNTED.secret, ..MAIN };
    let cases = [
        ("of another socket", &private, second.app.auth(&second.id, &private)),
        ("of another channel", &other, own.clone()),
        ("of a private channel on a presence channel", &presence, own.clone()),
        ("with the secret of another application", &private, crossed.auth(&socket.id, &private)),
        ("of another application", &private, COUNTED.auth(&socket.id, &private)),
        ("nothing", &private, String::new()),
        ("no colon", &private, own.replace(':', "")),
        ("a colon alone", &private, ":".to_owned()),
        ("no signature", &private, "k:".to_owned()),
        ("upper-case hex", &private, format!("k:{}", own["k:".len()..].to_uppercase())),
        ("half a signature", &private, own[..20].to_owned()),
        ("more than a signature", &private, format!("{own}0")),
        ("white space", &private, format!("{own} ")),
    ];
    for (what, channel, auth) in cases {
        let mut request = json!({"channel": channel, "auth": auth});
        if channel.starts_with("presence-") {
            request["channel_data"] = json!(data);
        }
        let message = expect_no_entry(&mut socket, channel, &request, what);
        assert!(
            !message.contains(&own["k:".len()..]) || auth.contains(&own["k:".len()..]),
            "{what}"
        );
    }
}

#[test]
fn attack_s15_channel_data_is_signed_to_the_byte() {
    let channel = unique("presence-x");
    let mut socket = shared().connect(MAIN);
    let auth = socket.app.auth_with(&socket.id, &channel, r#"{"user_id":"1"}"#);
    for data in [r#"{"user_id":"2"}"#, r#"{"user_id":"1"} "#, r#"{"user_id": "1"}"#] {
        let request = json!({"channel": channel, "auth": auth, "channel_data": data});
        expect_no_entry(&mut socket, &channel, &request, data);
    }
    let unsigned = socket.app.auth(&socket.id, &channel);
    let request =
        json!({"channel": channel, "auth": unsigned, "channel_data": r#"{"user_id":"1"}"#});
    expect_no_entry(&mut socket, &channel, &request, "signed without channel_data");
}

#[test]
fn attack_s15_long_signatures_are_not_echoed_whole() {
    let mut socket = shared().connect(MAIN);
    let auth = format!("k:{}", "a".repeat(50_000));
    socket.ask_subscribe(&json!({"channel": "private-x", "auth": auth}));
    let message = socket.expect_refused("private-x", "AuthError", 401);
    assert!(message.len() < 1000, "{} bytes", message.len());
}

#[test]
fn attack_s16_names_that_look_private_are_private_or_nothing() {
    let mut socket = shared().connect(MAIN);
    for channel in [
        "private-a:b",
        " private-a",
        "private-a ",
        "private-\u{430}",
        "priv\u{430}te-a",
        "private-",
        "presence-",
        "private-encrypted-",
        "#server-to-user-7",
        "#server-to-user-",
        "#private-a",
        "private-a\0",
        "private-a\n",
    ] {
        expect_no_entry(&mut socket, channel, &json!({"channel": channel, "auth": ""}), channel);
    }
}

#[test]
fn attack_s16_prefixes_are_case_sensitive() {
    let (upper, lower) = (unique("Private-a"), unique("private-a"));
    let mut socket = shared().connect(MAIN);
    socket.subscribe(&upper);
    shared().trigger(MAIN, &lower, "secret", "1");
    shared().fence(&upper, &mut [&mut socket]);
    socket.whisper(&upper, "client-a", &json!({}));
    socket.expect_error(None);
}

#[test]
fn attack_s18_members_have_ids_of_a_sane_size() {
    let channel = unique("presence-ids");
    let mut socket = shared().connect(MAIN);
    for data in [
        json!({"user_id": ""}),
        json!({"user_id": "a".repeat(129)}),
        json!({"user_id": {}}),
        json!({"user_id": []}),
        json!({"user_id": true}),
        // Browsers keep members in an object by id.
        json!({"user_id": "__proto__"}),
        json!({"user_id": "1", "user_info": {"a": "b".repeat(1025)}}),
    ] {
        let data = data.to_string();
        let auth = socket.app.auth_with(&socket.id, &channel, &data);
        let request = json!({"channel": channel, "auth": auth, "channel_data": data});
        expect_no_entry(&mut socket, &channel, &request, &data);
    }
    let longest = "a".repeat(128);
    assert_eq!(socket.join(&channel, &longest)["ids"], json!([longest]));
}

#[test]
fn attack_s18_member_data_too_large_is_a_limit() {
    let channel = unique("presence-large");
    let mut socket = shared().connect(MAIN);
    let data = json!({"user_id": "1", "user_info": {"a": "b".repeat(1025)}}).to_string();
    socket.ask_join(&channel, &data);
    let message = socket.expect_refused(&channel, "LimitReached", 4301);
    assert_eq!(message, "Presence user object too large");
}

#[test]
fn attack_s19_a_sender_cannot_name_itself() {
    let channel = unique("presence-sender");
    let mut receiver = shared().connect(MAIN);
    receiver.join(&channel, "1");
    let mut sender = shared().connect(MAIN);
    sender.join(&channel, "2");
    receiver.expect_event("pusher_internal:member_added");
    sender.send(&json!({"event": "client-a", "channel": channel, "data": {}, "user_id": "1"}));
    assert_eq!(receiver.expect_event("client-a")["user_id"], "2");

    let private = unique("private-sender");
    sender.subscribe(&private);
    receiver.subscribe(&private);
    sender.send(&json!({"event": "client-a", "channel": private, "data": {}, "user_id": "1"}));
    assert_eq!(receiver.expect_event("client-a").get("user_id"), None);
}

#[test]
fn attack_s19_client_events_stay_within_the_application() {
    let channel = unique("private-tenant");
    let mut ours = shared().connect(MAIN);
    ours.subscribe(&channel);
    let mut theirs = shared().connect(COUNTED);
    theirs.subscribe(&channel);
    theirs.expect_event("pusher_internal:subscription_count");
    ours.whisper(&channel, "client-a", &json!({}));
    ours.expect_silence();
    shared().trigger(COUNTED, &channel, "e", "1");
    theirs.expect_event("e");
}

#[test]
fn attack_s20_a_sign_in_is_good_for_one_socket() {
    let user = unique("replayed");
    let user_data = json!({ "id": user }).to_string();
    let first = shared().connect(MAIN);
    let mut second = shared().connect(MAIN);
    let replayed = MAIN.signin_auth(&first.id, &user_data);
    let edited = MAIN.signin_auth(&second.id, &json!({"id": "somebody"}).to_string());
    let foreign = COUNTED.signin_auth(&second.id, &user_data);
    // A channel signature must not pass for a sign-in.
    let channel = MAIN.auth(&second.id, &format!(":user::{user_data}"));
    for auth in [replayed, edited, foreign, "k:".to_owned(), String::new()] {
        second.send(
            &json!({"event": "pusher:signin", "data": {"auth": auth, "user_data": user_data}}),
        );
        second.expect_error(None);
        shared().trigger(MAIN, &format!("#server-to-user-{user}"), "secret", "1");
        second.expect_silence();
    }
    assert_eq!(channel, MAIN.signin_auth(&second.id, &user_data));
    second.ask_subscribe(&json!({"channel": format!(":user::{user_data}"), "auth": channel}));
    let frame = second.event();
    assert_ne!(frame["event"], "pusher_internal:subscription_succeeded");
}

#[test]
fn attack_s42_socket_ids_do_not_repeat() {
    use micronotifier_actors::protocol::SocketId;
    let ids: std::collections::HashSet<SocketId> =
        (0..1_000_000).map(|_| SocketId::random().unwrap()).collect();
    assert_eq!(ids.len(), 1_000_000);
}
