//! Events triggered over HTTP (checks 81-87, 95).

use serde_json::{Value, json};

use crate::support::apps::{COUNTED, DISABLED, MAIN};
use crate::support::{Api, Call, shared, unique};

fn post_event(body: Value) -> crate::support::http::Answer {
    shared().api(MAIN).post("/events", &body)
}

#[test]
fn check_081_every_channel_gets_the_event_byte_for_byte() {
    let (a, b) = (unique("a"), unique("b"));
    let mut first = shared().connect(MAIN);
    first.subscribe(&a);
    let mut second = shared().connect(MAIN);
    second.subscribe(&b);
    let data = "  {\"z\":1, \"a\":\"\\u00e9 \u{e9} \u{1F980} \\n\", \"n\":1.0e3 }\t\u{7f}";
    let answer =
        post_event(json!({"name": "App\\Events\\Shipped", "channels": [a, b], "data": data}));
    assert_eq!(answer.text(), "{}");
    for (socket, channel) in [(&mut first, a), (&mut second, b)] {
        let crate::support::Incoming::Text(text) = socket.next() else {
            panic!("no message");
        };
        let frame: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            frame,
            json!({"event": "App\\Events\\Shipped", "channel": channel, "data": data})
        );
    }
}

#[test]
fn check_082_a_socket_may_be_left_out() {
    let channel = unique("except");
    let mut left_out = shared().connect(MAIN);
    let mut other = shared().connect(MAIN);
    left_out.subscribe(&channel);
    other.subscribe(&channel);
    let body = json!({"name": "e", "channels": [channel], "data": "1", "socket_id": left_out.id});
    assert_eq!(post_event(body).status, 200);
    other.expect_event("e");
    shared().fence(&channel, &mut [&mut left_out, &mut other]);
    for socket_id in [json!(null), json!(""), json!("1.2")] {
        let body = json!({"name": "e", "channels": [channel], "data": "1", "socket_id": socket_id});
        assert_eq!(post_event(body).status, 200);
        left_out.expect_event("e");
        other.expect_event("e");
    }
    for socket_id in ["x", "1", "1.", "1.2.3", "1.-2"] {
        let body = json!({"name": "e", "channels": [channel], "data": "1", "socket_id": socket_id});
        assert_eq!(post_event(body).error(400), "Invalid socket id");
    }
}

#[test]
fn check_083_a_single_channel_may_be_named() {
    let (one, two) = (unique("one"), unique("two"));
    let mut socket = shared().connect(MAIN);
    socket.subscribe(&one);
    socket.subscribe(&two);
    assert_eq!(post_event(json!({"name": "e", "channel": one, "data": "1"})).status, 200);
    socket.expect(json!({"event": "e", "channel": one, "data": "1"}));
    let both = json!({"name": "e", "channel": one, "channels": [one, two, two], "data": "1"});
    assert_eq!(post_event(both).status, 200);
    let mut seen = [socket.event(), socket.event()].map(|frame| frame["channel"].to_string());
    seen.sort();
    assert_eq!(seen, [json!(one).to_string(), json!(two).to_string()]);
    shared().fence(&one, &mut [&mut socket]);
}

#[test]
fn check_084_data_has_a_size() {
    let body = |size: usize| json!({"name": "e", "channel": "size", "data": "a".repeat(size)});
    assert_eq!(post_event(body(10_240)).status, 200);
    let message = post_event(body(10_241)).error(413);
    let expected = "The data content of this event exceeds the allowed maximum (10240 bytes)";
    assert!(message.starts_with(expected), "{message}");
    let bytes_not_characters = json!({"name": "e", "channel": "size", "data": "é".repeat(5121)});
    post_event(bytes_not_characters).error(413);
}

#[test]
fn check_085_names_and_lists_have_limits() {
    let channels =
        |count: usize| -> Value { (0..count).map(|index| format!("many-{index}")).collect() };
    assert_eq!(
        post_event(json!({"name": "e", "channels": channels(100), "data": "1"})).status,
        200
    );
    post_event(json!({"name": "e", "channels": channels(101), "data": "1"})).error(400);
    post_event(json!({"name": "e", "channels": [], "data": "1"})).error(400);
    let name = |name: &str| post_event(json!({"name": name, "channel": "names", "data": "1"}));
    assert_eq!(name(&"n".repeat(200)).status, 200);
    for wrong in [&*"n".repeat(201), "", "pusher:x", "pusher_internal:x"] {
        name(wrong).error(400);
    }
}

#[test]
fn check_085_one_bad_channel_stops_the_whole_event() {
    let channel = unique("whole");
    let mut socket = shared().connect(MAIN);
    socket.subscribe(&channel);
    let message =
        post_event(json!({"name": "e", "channels": [channel, "bad name"], "data": "1"})).error(400);
    assert!(message.starts_with("Invalid channel name"), "{message}");
    shared().fence(&channel, &mut [&mut socket]);
}

#[test]
fn check_086_counts_may_be_asked_for_with_the_event() {
    let (presence, public) = (unique("presence-info"), unique("info"));
    let mut socket = shared().connect(COUNTED);
    socket.join(&presence, "1");
    socket.subscribe(&public);
    let mut api = shared().api(COUNTED);
    let body = json!({
        "name": "e", "channels": [presence, public], "data": "1",
        "info": "user_count,subscription_count"
    });
    let answer = api.post("/events", &body);
    assert_eq!(answer.status, 200);
    let channels = &answer.json()["channels"];
    assert_eq!(channels[&presence]["user_count"], 1);
    assert_eq!(channels[&public], json!({"subscription_count": 1}));
}

#[test]
fn check_087_a_batch_is_all_or_nothing_and_ordered() {
    let (a, b) = (unique("batch"), unique("presence-batch"));
    let mut socket = shared().connect(MAIN);
    socket.subscribe(&a);
    socket.join(&b, "1");
    let mut api = shared().api(MAIN);
    let mut batch = |items: Value| api.post("/batch_events", &json!({ "batch": items }));
    let two = json!([
        {"channel": a, "name": "first", "data": "1"},
        {"channel": b, "name": "second", "data": "2", "info": "user_count"},
        {"channel": a, "name": "third", "data": "3"}
    ]);
    let answer = batch(two);
    assert_eq!(answer.json(), json!({"batch": [{}, {"user_count": 1}, {}]}));
    let mut names = [socket.event(), socket.event(), socket.event()]
        .map(|frame| frame["event"].as_str().unwrap().to_owned())
        .to_vec();
    names.retain(|name| name != "second");
    assert_eq!(names, ["first", "third"]);

    let plain = json!([{"channel": a, "name": "e", "data": "1"}]);
    assert_eq!(batch(plain).json(), json!({}));
    socket.expect_event("e");
    let eleven: Value = (0..11).map(|_| json!({"channel": a, "name": "e", "data": "1"})).collect();
    batch(eleven).error(400);
    batch(json!([])).error(400);
    let one_bad = json!([
        {"channel": a, "name": "e", "data": "1"}, {"channel": "bad name", "name": "e", "data": "1"}
    ]);
    batch(one_bad).error(400);
    shared().fence(&a, &mut [&mut socket]);
}

#[test]
fn check_095_the_content_type_does_not_matter() {
    let body = json!({"name": "e", "channel": "type", "data": "1"});
    let mut api = shared().api(MAIN);
    for kind in [Some("application/json; charset=utf-8"), Some("text/plain"), None] {
        let mut call = Call::post(MAIN, "/events", &body);
        call.headers =
            kind.map(|kind| ("Content-Type".to_owned(), kind.to_owned())).into_iter().collect();
        assert_eq!(api.call(&call).status, 200, "{kind:?}");
    }
}

#[test]
fn data_that_is_not_a_text_is_sent_as_compact_json() {
    let channel = unique("compact");
    let mut socket = shared().connect(MAIN);
    socket.subscribe(&channel);
    let body = format!(r#"{{"name":"e","channel":"{channel}","data":{{ "a" : [ 1 ] }}}}"#);
    let answer = shared().api(MAIN).call(&Call::post_text(MAIN, "/events", &body));
    assert_eq!(answer.status, 200, "{}", answer.text());
    socket.expect(json!({"event": "e", "channel": channel, "data": r#"{"a":[1]}"#}));
}

#[test]
fn broken_bodies_are_bad_requests() {
    let mut api = shared().api(MAIN);
    for body in [
        "",
        "x",
        "[]",
        "null",
        r#"{"name":"e","channel":"c"}"#,
        r#"{"channel":"c","data":"1"}"#,
        r#"{"name":"e","data":"1"}"#,
        r#"{"name":1,"channel":"c","data":"1"}"#,
        r#"{"name":"e","channels":"c","data":"1"}"#,
        r#"{"name":"e","channels":[1],"data":"1"}"#,
        r#"{"name":"e","channel":"c","data":"1""#,
    ] {
        let answer = api.call(&Call::post_text(MAIN, "/events", body));
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
    }
}

#[test]
fn a_disabled_application_is_forbidden() {
    let mut api = shared().api(DISABLED);
    api.post("/events", &json!({"name": "e", "channel": "c", "data": "1"})).error(403);
}

#[test]
fn an_idempotency_key_makes_a_retry_safe() {
    let channel = unique("idempotent");
    let mut socket = shared().connect(MAIN);
    socket.subscribe(&channel);
    let key = unique("key");
    let call = |data: &str| {
        let body = json!({"name": "e", "channel": channel, "data": data});
        Call::post(MAIN, "/events", &body).header("Idempotency-Key", &key)
    };
    for _ in 0..3 {
        let mut api: Api = shared().api(MAIN);
        let answer = api.call(&call("1"));
        assert_eq!((answer.status, answer.json()), (200, json!({})));
    }
    socket.expect_event("e");
    shared().fence(&channel, &mut [&mut socket]);
    let other_body = shared().api(MAIN).call(&call("2"));
    assert!((400..500).contains(&other_body.status), "{}", other_body.text());
    shared().fence(&channel, &mut [&mut socket]);
}

#[test]
fn events_of_one_backend_keep_their_order() {
    let channel = unique("order");
    let mut sockets = [shared().connect(MAIN), shared().connect(MAIN), shared().connect(MAIN)];
    for socket in &mut sockets {
        socket.subscribe(&channel);
    }
    let mut api = shared().api(MAIN);
    for number in 0..200 {
        api.trigger(&channel, "e", &number.to_string());
    }
    for socket in &mut sockets {
        for number in 0..200 {
            assert_eq!(socket.expect_event("e")["data"], number);
        }
    }
}
