//! Presence channels: who is there, and who hears of it (checks 35-42).

use serde_json::{Value, json};

use crate::support::apps::{MAIN, SMALL};
use crate::support::{Socket, shared, unique};

/// Expects `member_added` of a user; returns `user_info`.
fn expect_added(socket: &mut Socket, channel: &str, user: &str) -> Value {
    let frame = socket.expect_event("pusher_internal:member_added");
    assert_eq!(frame["channel"], channel);
    assert_eq!(frame["data"]["user_id"], user);
    assert!(frame.get("user_id").is_none(), "{frame}");
    frame["data"]["user_info"].clone()
}

fn expect_removed(socket: &mut Socket, channel: &str, user: &str) {
    socket.expect(json!({
        "event": "pusher_internal:member_removed", "channel": channel, "data": {"user_id": user}
    }));
}

#[test]
fn check_035_the_first_member_sees_itself_and_a_numeric_id_becomes_text() {
    let channel = unique("presence-foobar");
    let mut socket = shared().connect(MAIN);
    socket.ask_join(&channel, r#"{"user_id":10,"user_info":{"name":"Mr. Channels"}}"#);
    socket.expect(json!({
        "event": "pusher_internal:subscription_succeeded",
        "channel": channel,
        "data": r#"{"presence":{"count":1,"ids":["10"],"hash":{"10":{"name":"Mr. Channels"}}}}"#
    }));
}

#[test]
fn check_036_others_hear_of_a_new_user_and_the_joiner_does_not() {
    let channel = unique("presence-added");
    let mut first = shared().connect(MAIN);
    first.join(&channel, "1");
    let mut second = shared().connect(MAIN);
    second.ask_join(&channel, r#"{"user_id":"2","user_info":{"name":"Bob"}}"#);
    let snapshot = second.expect_joined(&channel);
    assert_eq!(snapshot["count"], 2);
    assert_eq!(snapshot["hash"], json!({"1": {}, "2": {"name": "Bob"}}));
    let mut ids = snapshot["ids"].as_array().unwrap().clone();
    ids.sort_by_key(Value::to_string);
    assert_eq!(ids, ["1", "2"]);
    assert_eq!(expect_added(&mut first, &channel, "2"), json!({"name": "Bob"}));
    shared().fence(&channel, &mut [&mut first, &mut second]);
}

#[test]
fn check_037_another_socket_of_the_same_user_changes_nothing() {
    let channel = unique("presence-same");
    let mut observer = shared().connect(MAIN);
    observer.join(&channel, "observer");
    let mut first = shared().connect(MAIN);
    first.join(&channel, "1");
    expect_added(&mut observer, &channel, "1");
    let mut second = shared().connect(MAIN);
    assert_eq!(second.join(&channel, "1")["count"], 2);
    shared().fence(&channel, &mut [&mut observer, &mut first, &mut second]);
}

#[test]
fn check_038_a_user_leaves_with_the_last_socket_and_once() {
    let channel = unique("presence-last");
    let mut observer = shared().connect(MAIN);
    observer.join(&channel, "observer");
    let mut first = shared().connect(MAIN);
    first.join(&channel, "1");
    let mut second = shared().connect(MAIN);
    second.join(&channel, "1");
    expect_added(&mut observer, &channel, "1");
    first.close();
    shared().fence(&channel, &mut [&mut observer, &mut second]);
    second.close();
    expect_removed(&mut observer, &channel, "1");
    shared().fence(&channel, &mut [&mut observer]);
}

#[test]
fn check_038_unsubscribing_leaves_as_closing_does() {
    let channel = unique("presence-unsubscribe");
    let mut observer = shared().connect(MAIN);
    observer.join(&channel, "observer");
    let mut member = shared().connect(MAIN);
    member.join(&channel, "1");
    expect_added(&mut observer, &channel, "1");
    member.unsubscribe(&channel);
    expect_removed(&mut observer, &channel, "1");
    member.expect_silence();
    assert_eq!(member.join(&channel, "1")["count"], 2);
    expect_added(&mut observer, &channel, "1");
}

#[test]
fn check_039_a_connection_that_is_cut_leaves() {
    let channel = unique("presence-cut");
    let mut observer = shared().connect(MAIN);
    observer.join(&channel, "observer");
    for vanish in [Socket::cut, drop::<Socket>] {
        let mut member = shared().connect(MAIN);
        member.join(&channel, "1");
        expect_added(&mut observer, &channel, "1");
        vanish(member);
        expect_removed(&mut observer, &channel, "1");
    }
}

#[test]
fn check_040_a_member_without_information_has_an_empty_object() {
    let channel = unique("presence-bare");
    let mut first = shared().connect(MAIN);
    assert_eq!(first.join(&channel, "1")["hash"], json!({"1": {}}));
    let mut second = shared().connect(MAIN);
    second.join(&channel, "2");
    assert_eq!(expect_added(&mut first, &channel, "2"), json!({}));
}

#[test]
fn check_041_user_info_must_be_an_object() {
    let channel = unique("presence-info");
    let mut socket = shared().connect(MAIN);
    for info in [r#""text""#, "1", "[]", "true"] {
        socket.ask_join(&channel, &format!(r#"{{"user_id":"1","user_info":{info}}}"#));
        let message = socket.expect_refused(&channel, "AuthError", 400);
        assert_eq!(
            message,
            "user_info supplied to presence subscription is invalid - if supplied it must be a type of hash"
        );
    }
}

#[test]
fn check_042_the_hundred_and_first_user_is_refused_and_more_sockets_of_a_member_are_not() {
    let channel = unique("presence-full");
    let mut members: Vec<Socket> = (0..100)
        .map(|user| {
            let mut socket = shared().connect(MAIN);
            socket.join(&channel, &user.to_string());
            socket
        })
        .collect();
    let mut late = shared().connect(MAIN);
    late.ask_join(&channel, r#"{"user_id":"100"}"#);
    let message = late.expect_refused(&channel, "LimitReached", 4100);
    assert_eq!(message, "Presence channel member limit reached");
    late.expect_silence();
    assert_eq!(late.join(&channel, "7")["count"], 100);
    members.remove(50).cut();
    expect_removed(&mut late, &channel, "50");
    assert_eq!(shared().connect(MAIN).join(&channel, "100")["count"], 100);
}

#[test]
fn check_042_the_member_limit_is_the_applications() {
    let channel = unique("presence-small");
    let mut members: Vec<Socket> = (0..4).map(|_| shared().connect(SMALL)).collect();
    for (user, socket) in members.iter_mut().take(3).enumerate() {
        socket.join(&channel, &user.to_string());
    }
    members[3].ask_join(&channel, r#"{"user_id":"3"}"#);
    members[3].expect_refused(&channel, "LimitReached", 4100);
}

#[test]
fn a_later_join_of_the_same_user_replaces_the_information() {
    let channel = unique("presence-replace");
    let mut sockets: Vec<Socket> = (0..3).map(|_| shared().connect(MAIN)).collect();
    for (name, socket) in ["old", "new"].iter().zip(&mut sockets) {
        socket.ask_join(&channel, &format!(r#"{{"user_id":"1","user_info":{{"name":"{name}"}}}}"#));
        socket.expect_joined(&channel);
    }
    let snapshot = sockets[2].join(&channel, "2");
    assert_eq!(snapshot["hash"]["1"], json!({"name": "new"}));
}

#[test]
fn channel_data_that_names_nobody_is_refused() {
    let channel = unique("presence-nobody");
    let mut socket = shared().connect(MAIN);
    for data in ["", "x", "{}", "[]", "null", r#"{"user_id":""}"#, r#"{"user_id":null}"#] {
        socket.ask_join(&channel, data);
        socket.expect_refused(&channel, "AuthError", 400);
        socket.expect_silence();
    }
    let auth = socket.app.auth(&socket.id, &channel);
    socket.ask_subscribe(&json!({"channel": channel, "auth": auth}));
    socket.expect_event("pusher:subscription_error");
    socket.expect_error(None);
    let answer = shared().api(MAIN).get(&format!("/channels/{channel}/users"), &[]);
    assert_eq!(answer.json(), json!({"users": []}));
}

#[test]
fn observers_agree_with_the_members_after_churn() {
    let channel = unique("presence-churn");
    let mut observer = shared().connect(MAIN);
    observer.join(&channel, "observer");
    for round in 0..30 {
        let user = (round % 3).to_string();
        let mut member = shared().connect(MAIN);
        member.join(&channel, &user);
        expect_added(&mut observer, &channel, &user);
        if round % 2 == 0 {
            member.cut();
        } else {
            member.close();
        }
        expect_removed(&mut observer, &channel, &user);
    }
    shared().fence(&channel, &mut [&mut observer]);
    let answer = shared().api(MAIN).get(&format!("/channels/{channel}/users"), &[]);
    assert_eq!(answer.json(), json!({"users": [{"id": "observer"}]}));
}
