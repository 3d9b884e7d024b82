//! Questions about channels and users over HTTP (checks 88-94).

use serde_json::json;

use crate::support::apps::{COUNTED, MAIN, QUIET};
use crate::support::{Call, eventually, shared, unique};

fn get(tail: &str, query: &[(&str, &str)]) -> crate::support::http::Answer {
    shared().api(MAIN).get(tail, query)
}

#[test]
fn check_088_nothing_occupied_is_an_empty_object() {
    let answer = shared().api(QUIET).get("/channels", &[]);
    assert_eq!(answer.text(), r#"{"channels":{}}"#);
}

#[test]
fn check_089_presence_channels_are_listed_with_distinct_users() {
    let prefix = unique("presence-list");
    let channel = format!("{prefix}-a");
    let mut sockets = [shared().connect(MAIN), shared().connect(MAIN), shared().connect(MAIN)];
    sockets[0].subscribe(&unique("public-list"));
    for (user, socket) in ["1", "1", "2"].iter().zip(&mut sockets) {
        socket.join(&channel, user);
    }
    let answer = get("/channels", &[("filter_by_prefix", &prefix), ("info", "user_count")]);
    assert_eq!(answer.json(), json!({"channels": {channel: {"user_count": 2}}}));
    let all = get("/channels", &[("filter_by_prefix", "presence-"), ("info", "user_count")]).json();
    for (name, facts) in all["channels"].as_object().unwrap() {
        assert!(name.starts_with("presence-"), "{name}");
        assert!(facts["user_count"].is_u64(), "{facts}");
    }
}

#[test]
fn check_089_without_info_channels_are_empty_objects() {
    let prefix = unique("plain-list");
    let names = [format!("{prefix}-a"), format!("{prefix}-b")];
    let mut socket = shared().connect(MAIN);
    for name in &names {
        socket.subscribe(name);
    }
    let answer = get("/channels", &[("filter_by_prefix", &prefix)]);
    assert_eq!(answer.json(), json!({"channels": {&names[0]: {}, &names[1]: {}}}));
    socket.close();
    eventually("vacated channels are not listed", || {
        get("/channels", &[("filter_by_prefix", &prefix)]).json() == json!({"channels": {}})
    });
}

#[test]
fn check_090_user_counts_need_the_presence_prefix() {
    for prefix in ["", "private-", "presence"] {
        let message =
            get("/channels", &[("filter_by_prefix", prefix), ("info", "user_count")]).error(400);
        assert!(
            message.starts_with("user_count may only be requested for presence channels"),
            "{message}"
        );
    }
    get("/channels", &[("info", "user_count")]).error(400);
}

#[test]
fn check_091_a_channel_is_occupied_or_not() {
    let channel = unique("presence-one");
    let path = format!("/channels/{channel}");
    assert_eq!(get(&path, &[]).json(), json!({"occupied": false}));
    assert_eq!(
        get(&path, &[("info", "user_count")]).json(),
        json!({"occupied": false, "user_count": 0})
    );
    let mut socket = shared().connect(MAIN);
    socket.join(&channel, "1");
    assert_eq!(get(&path, &[]).json(), json!({"occupied": true}));
    assert_eq!(
        get(&path, &[("info", "user_count,unknown_word")]).json(),
        json!({"occupied": true, "user_count": 1})
    );
}

#[test]
fn check_092_each_kind_of_information_has_its_kind_of_channel() {
    let message = get("/channels/my-channel", &[("info", "user_count")]).error(400);
    assert_eq!(message, "Cannot retrieve the user count unless the channel is a presence channel");
    let message = get("/channels/my-channel", &[("info", "subscription_count")]).error(400);
    assert_eq!(
        message,
        "Cannot retrieve the subscription count because subscription counting is not enabled"
    );
    get("/channels/my-channel", &[("info", "cache")]).error(400);
}

#[test]
fn check_092_the_cache_is_told_with_its_time() {
    let channel = unique("cache-told");
    let path = format!("/channels/{channel}");
    let empty = get(&path, &[("info", "cache")]).json();
    assert_eq!(empty, json!({"occupied": false, "cache": null}));
    shared().trigger(MAIN, &channel, "e", r#"{"a":1}"#);
    let filled = get(&path, &[("info", "cache")]).json();
    assert_eq!(filled["cache"]["data"], r#"{"a":1}"#);
    let seconds = filled["cache"]["ttl"].as_u64().expect("whole seconds");
    assert!((1700..=1800).contains(&seconds), "{filled}");
}

#[test]
fn subscriptions_are_counted_where_the_feature_is_on() {
    let channel = unique("counted");
    let mut sockets = [shared().connect(COUNTED), shared().connect(COUNTED)];
    for socket in &mut sockets {
        socket.subscribe(&channel);
    }
    let mut api = shared().api(COUNTED);
    let answer = api.get(&format!("/channels/{channel}"), &[("info", "subscription_count")]);
    assert_eq!(answer.json(), json!({"occupied": true, "subscription_count": 2}));
    let query = [("filter_by_prefix", channel.as_str()), ("info", "subscription_count")];
    let listed = api.get("/channels", &query);
    assert_eq!(listed.json(), json!({"channels": {&channel: {"subscription_count": 2}}}));
}

#[test]
fn check_093_users_of_a_presence_channel() {
    let channel = unique("presence-users");
    let path = format!("/channels/{channel}/users");
    assert_eq!(get(&path, &[]).text(), r#"{"users":[]}"#);
    let mut sockets = [shared().connect(MAIN), shared().connect(MAIN)];
    for socket in &mut sockets {
        socket.ask_join(&channel, r#"{"user_id":10}"#);
        socket.expect_joined(&channel);
    }
    assert_eq!(get(&path, &[]).json(), json!({"users": [{"id": "10"}]}));
    get("/channels/my-channel/users", &[]).error(400);
}

#[test]
fn check_094_the_python_sdk_leaves_the_application_out_of_the_path() {
    let mut socket = shared().connect(MAIN);
    let user = unique("python");
    socket.sign_in(&user);
    let call =
        Call::post(MAIN, "", &json!({})).on_path(&format!("/users/{user}/terminate_connections"));
    let answer = shared().api(MAIN).call(&call);
    assert_eq!((answer.status, answer.json()), (200, json!({})));
    socket.expect_rejection(4009);
}

#[test]
fn path_segments_are_percent_decoded() {
    let channel = unique("presence-a@b");
    let mut socket = shared().connect(MAIN);
    socket.join(&channel, "1");
    let escaped = channel.replace('@', "%40");
    for path in [format!("/channels/{channel}/users"), format!("/channels/{escaped}/users")] {
        assert_eq!(get(&path, &[]).json(), json!({"users": [{"id": "1"}]}), "{path}");
    }
}

#[test]
fn invalid_channel_names_in_paths_are_bad_requests() {
    get("/channels/bad%20name", &[]).error(400);
    get(&format!("/channels/{}", "a".repeat(165)), &[]).error(400);
}

#[test]
fn wrong_methods_and_paths_are_told_in_json() {
    let mut api = shared().api(MAIN);
    let mut call = Call::get(MAIN, "/events");
    let wrong_method = api.call(&call).error(405);
    assert!(!wrong_method.is_empty());
    call = Call::get(MAIN, "/nothing");
    api.call(&call).error(404);
}

#[test]
fn answers_are_objects_even_when_empty() {
    let answer = get("/channels", &[("filter_by_prefix", "no-such-prefix")]);
    assert!(answer.json()["channels"].is_object());
}

#[test]
fn browsers_may_ask_across_origins() {
    let request = b"OPTIONS /apps/3/events HTTP/1.1\r\nHost: node\r\nOrigin: https://app.example.com\r\n\
        Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n\r\n";
    let answer = shared().api(MAIN).connection.ask(request);
    assert!(matches!(answer.status, 200 | 204), "{answer:?}");
    assert!(answer.header("access-control-allow-origin").is_some(), "{answer:?}");
    assert!(answer.header("access-control-allow-methods").is_some(), "{answer:?}");
}
