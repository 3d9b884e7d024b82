//! Bodies of triggers and batches, well formed and not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

use actix_web::http::StatusCode;
use micronotifier_actors::protocol::sign::Credential;

use super::*;

fn app() -> App {
    App::new("1", Credential::new("key", "secret"))
}

fn trigger(body: &str) -> Result<Order, ApiError> {
    Order::of_trigger(body.as_bytes(), &app())
}

fn batch(body: &str) -> Result<Order, ApiError> {
    Order::of_batch(body.as_bytes(), &app())
}

fn status(order: Result<Order, ApiError>) -> u16 {
    order.map_or_else(|error| error.status(), |_| StatusCode::OK).as_u16()
}

fn channels(order: &Order) -> Vec<&str> {
    let names = order.events.iter().map(|event| event.channel.as_str());
    names.collect()
}

#[test]
fn one_event_reaches_each_channel_once() {
    let order = trigger(r#"{"name":"e","data":"d","channels":["a","b","a"],"channel":"b"}"#);
    assert_eq!(channels(&order.unwrap()), ["a", "b"]);
    let order = trigger(r#"{"name":"e","data":"d","channel":"c","tags":{"x":[1]}}"#).unwrap();
    assert_eq!(channels(&order), ["c"]);
    assert_eq!(order.wanted, Wanted::Nothing);
    let order = trigger(r##"{"name":"e","data":"d","channels":["#server-to-user-7"]}"##);
    assert_eq!(channels(&order.unwrap()), ["#server-to-user-7"]);
}

#[test]
fn data_is_text_byte_for_byte_and_other_values_are_compact() {
    for (data, text) in [
        (r#""{\"a\": 1}""#, r#"{"a": 1}"#),
        (r#""\u00e9\ud83d\ude00 \/""#, "é😀 /"),
        (r#"{ "a" : [1, 2.50] }"#, r#"{"a":[1,2.50]}"#),
        ("12", "12"),
        ("null", "null"),
        (r#""""#, ""),
    ] {
        let order = trigger(&format!(r#"{{"name":"e","channel":"c","data":{data}}}"#)).unwrap();
        assert_eq!(order.events[0].data, text);
    }
}

#[test]
fn data_is_measured_as_subscribers_get_it() {
    let of_bytes = |count: usize| {
        let data = "\\u0061".repeat(count);
        trigger(&format!(r#"{{"name":"e","channel":"c","data":"{data}"}}"#))
    };
    assert_eq!(status(of_bytes(10_240)), 200);
    let error = of_bytes(10_241).err().unwrap();
    assert_eq!(error.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(
        error.to_string(),
        "The data content of this event exceeds the allowed maximum (10240 bytes). See https://pusher.com/docs/channels/server_api/http-api#publishing-events for more info"
    );
}

#[test]
fn the_sender_is_left_out() {
    let except = |id: &str| {
        let body = format!(r#"{{"name":"e","channel":"c","data":"","socket_id":{id}}}"#);
        trigger(&body).map(|order| order.events[0].except)
    };
    assert_eq!(except(r#""1.2""#), Ok(Some(SocketId::new(1, 2))));
    for none in ["null", r#""""#, r#""99999999999999999999.1""#] {
        assert_eq!(except(none), Ok(None), "{none}");
    }
    for bad in [r#""1""#, r#""a.b""#, r#""1.2\n""#, "1.2", "{}"] {
        assert_eq!(except(bad).err().unwrap().status().as_u16(), 400, "{bad}");
    }
}

#[test]
fn what_breaks_a_rule_is_refused() {
    for bad in [
        "",
        "null",
        "[]",
        "{",
        r#"["e","d",["c"]]"#,
        r#"{"name":"e","channel":"c"}"#,
        r#"{"data":"d","channel":"c"}"#,
        r#"{"name":"e","data":"d"}"#,
        r#"{"name":"e","data":"d","channels":[]}"#,
        r#"{"name":"e","data":"d","channels":"c"}"#,
        r#"{"name":"e","data":"d","channels":["a",null]}"#,
        r#"{"name":"e","data":"d","channels":["a","bad name!"]}"#,
        r#"{"name":"","data":"d","channel":"c"}"#,
        r#"{"name":7,"data":"d","channel":"c"}"#,
        r#"{"name":"pusher:x","data":"d","channel":"c"}"#,
        r#"{"name":"pusher_internal:x","data":"d","channel":"c"}"#,
        r#"{"name":"e","data":"\ud800","channel":"c"}"#,
        r#"{"name":"e","data":"d","channel":"c","info":["user_count"]}"#,
        r#"{"name":"e","name":"f","data":"d","channel":"c"}"#,
        r#"{"name":"e","data":"d","channel":"c","channel":"private-c"}"#,
        r#"{"name":"e","data":"d","channel":"c"} x"#,
    ] {
        assert_eq!(status(trigger(bad)), 400, "{bad}");
    }
    assert_eq!(status(Order::of_trigger(b"\xff", &app())), 400);
}

#[test]
fn names_and_channels_have_limits() {
    let with_name = |length: usize| {
        let name = "n".repeat(length);
        trigger(&format!(r#"{{"name":"{name}","channel":"c","data":""}}"#))
    };
    assert_eq!(status(with_name(200)), 200);
    assert_eq!(status(with_name(201)), 400);
    let to = |count: usize, more: &str| {
        let names: Vec<String> = (0..count).map(|index| format!("c{index}")).collect();
        let names = serde_json::to_string(&names).unwrap();
        trigger(&format!(r#"{{"name":"e","channels":{names},"data":""{more}}}"#))
    };
    assert_eq!(status(to(100, "")), 200);
    assert_eq!(status(to(101, "")), 400);
    assert_eq!(status(to(100, r#","channel":"c1""#)), 200);
    assert_eq!(status(to(100, r#","channel":"new""#)), 400);
}

#[test]
fn a_batch_is_taken_whole_or_not_at_all() {
    let item = r#"{"channel":"a","name":"e","data":"1"}"#;
    let of = |items: &[&str]| batch(&format!(r#"{{"batch":[{}]}}"#, items.join(",")));
    assert_eq!(status(of(&[])), 400);
    assert_eq!(status(of(&[item; 10])), 200);
    assert_eq!(status(of(&[item; 11])), 400);
    assert_eq!(status(of(&[item, r#"{"name":"e","data":"1"}"#])), 400);
    assert_eq!(status(of(&[item, r#"["a","e","1"]"#])), 400);
    assert_eq!(status(of(&[item, r#"{"channel":"a b","name":"e","data":"1"}"#])), 400);
    let large = format!(r#"{{"channel":"a","name":"e","data":"{}"}}"#, "x".repeat(10_241));
    assert_eq!(status(of(&[item, &large])), 413);
    let order = of(&[item, r#"{"channel":"b","name":"f","data":"2","socket_id":"1.2"}"#]);
    let order = order.unwrap();
    assert_eq!(channels(&order), ["a", "b"]);
    assert_eq!(order.events[1].except, Some(SocketId::new(1, 2)));
    assert_eq!(order.wanted, Wanted::Nothing);
}

#[test]
fn the_answer_has_the_shape_of_the_question() {
    let mut app = app();
    app.subscription_count = true;
    let facts = [
        ChannelFacts { subscriptions: 2, users: 1, ..ChannelFacts::default() },
        ChannelFacts { subscriptions: 3, ..ChannelFacts::default() },
    ];
    let tell = |order: Order| {
        let channels = order.events.into_iter().map(|event| event.channel);
        let told = order.wanted.tell(&app, channels.collect(), &facts);
        serde_json::to_string(&told).unwrap()
    };
    let asking = |info: &str| {
        let body = r#"{"name":"e","data":"","channels":["presence-a","b"],"info":"#;
        tell(trigger(&format!("{body}{info}}}")).unwrap())
    };
    for nothing in ["null", r#""""#] {
        assert_eq!(asking(nothing), "{}");
    }
    assert_eq!(
        asking(r#""user_count,subscription_count""#),
        r#"{"channels":{"presence-a":{"user_count":1},"b":{"subscription_count":3}}}"#
    );
    assert_eq!(asking(r#""other""#), r#"{"channels":{"presence-a":{},"b":{}}}"#);
    let order = batch(
        r#"{"batch":[{"channel":"presence-a","name":"e","data":""},
            {"channel":"b","name":"e","data":"","info":"subscription_count"}]}"#,
    );
    assert_eq!(tell(order.unwrap()), r#"{"batch":[{},{"subscription_count":3}]}"#);
}
