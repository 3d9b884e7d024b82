//! Attacks on the signed HTTP API (S21-S26, S31, S43).

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::api::{joined, unix_now};
use crate::support::apps::{COUNTED, MAIN, PLAIN, TestApp};
use crate::support::http::Connection;
use crate::support::{Call, TestNode, shared, unique};

fn event_on(app: TestApp, channel: &str) -> Call {
    Call::post(app, "/events", &json!({"name": "e", "channel": channel, "data": "1"}))
}

fn ask(bytes: &[u8]) -> crate::support::http::Answer {
    Connection::new(shared().stream()).ask(bytes)
}

#[test]
fn attack_s21_old_and_future_requests_are_refused() {
    for offset in [-601, 601] {
        ask(&event_on(MAIN, "c").at(unix_now() + offset).bytes()).error(401);
    }
}

#[test]
fn attack_s22_two_equal_triggers_are_both_meant() {
    let channel = unique("twice");
    let mut socket = shared().connect(MAIN);
    socket.subscribe(&channel);
    let request = event_on(MAIN, &channel).bytes();
    for _ in 0..2 {
        assert_eq!(ask(&request).status, 200);
        socket.expect_event("e");
    }
}

#[test]
fn attack_s23_timestamps_that_are_none_are_refused() {
    for timestamp in [
        "",
        "-9223372036854775808",
        "9223372036854775807",
        "-9223372036854775809",
        "1e9",
        "1353088179.5",
        "0x50a6",
        " 1",
        "9999999999999999999999999999999999999999",
    ] {
        let call = event_on(MAIN, "c").at(timestamp);
        let query = joined(&call.signed_query()).replace(' ', "%20");
        ask(&call.bytes_with(&query)).error(401);
    }
    let twice = event_on(MAIN, "c").with("auth_timestamp", &unix_now().to_string());
    ask(&twice.bytes()).error(401);
}

#[test]
fn attack_s24_tampering_with_body_or_query_is_refused() {
    let call = event_on(MAIN, "c");
    let signed = call.signed_query();
    let query = joined(&signed);
    let mut changed = call.clone();
    changed.body = Some(br#"{"name":"e","channel":"d","data":"1"}"#.to_vec());
    ask(&changed.bytes_with(&query)).error(401);

    let without_md5: Vec<_> =
        signed.iter().filter(|(name, _)| name != "body_md5").cloned().collect();
    ask(&call.bytes_with(&joined(&without_md5))).error(401);
    ask(&call.bytes_with(&format!("{query}&extra=1"))).error(401);
    ask(&call.bytes_with(&format!("{query}&auth_signature=0"))).error(401);
    ask(&call.bytes_with(&format!("auth_signature=0&{query}"))).error(401);
    ask(&call.bytes_with(&format!("{query}&auth_key=k"))).error(401);
    let upper = query.replace(&signed.last().unwrap().1, &signed.last().unwrap().1.to_uppercase());
    ask(&call.bytes_with(&upper)).error(401);

    let mut empty = Call::get(MAIN, "/channels");
    empty.query.push(("body_md5".to_owned(), "0".repeat(32)));
    ask(&empty.bytes()).error(401);
}

#[test]
fn attack_s24_honest_queries_of_every_shape_are_accepted() {
    let call = Call::get(MAIN, "/channels")
        .with("x[]", "1")
        .with("x[]", "2")
        .with("UPPER", "Case")
        .with("plus", "a+b")
        .with("empty", "");
    let query = joined(&call.signed_query());
    for query in [query.clone(), query.replace("x[]", "x%5B%5D"), query.replace("a+b", "a%2Bb")] {
        let answer = ask(&call.bytes_with(&query));
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    }
    let space = Call::get(MAIN, "/channels").with("space", "a b");
    for escaped in ["a%20b", "a+b"] {
        let query = joined(&space.signed_query()).replace("a b", escaped);
        assert_eq!(ask(&space.bytes_with(&query)).status, 200, "{query}");
    }
}

#[test]
fn attack_s25_a_signature_is_good_for_one_path() {
    let call = event_on(MAIN, "c");
    let query = joined(&call.signed_query());
    for path in [
        format!("/apps/{}/events", COUNTED.id),
        format!("/apps/{}/../{}/events", MAIN.id, COUNTED.id),
        format!("/apps/{}/batch_events", MAIN.id),
        format!("//apps/{}/events", MAIN.id),
        format!("/apps/{}/events/", MAIN.id),
        format!("/%61pps/{}/events", MAIN.id),
        format!("/apps/{}/./events", MAIN.id),
    ] {
        let moved = call.clone().on_path(&path);
        let answer = ask(&moved.bytes_with(&query));
        assert!(matches!(answer.status, 401 | 404), "{path}: {answer:?}");
    }
}

#[test]
fn attack_s25_a_path_that_is_not_ours_is_not_made_ours_by_a_signature() {
    for path in [
        format!("/apps/{}/../{}/events", PLAIN.id, MAIN.id),
        format!("//apps/{}/events", MAIN.id),
        format!("/%61pps/{}/events", MAIN.id),
        format!("/apps/{}/events/", MAIN.id),
    ] {
        let answer = ask(&event_on(MAIN, "c").on_path(&path).bytes());
        assert!(matches!(answer.status, 401 | 404), "{path}: {answer:?}");
    }
}

#[test]
fn attack_s26_bodies_are_bounded_before_they_are_read() {
    let call = event_on(MAIN, "c");
    let head = |framing: &str| {
        format!(
            "POST {}?{} HTTP/1.1\r\nHost: node\r\n{framing}\r\n\r\n",
            call.path,
            joined(&call.signed_query())
        )
    };
    let mut declared = Connection::new(shared().stream());
    declared.send(head("Content-Length: 1073741824").as_bytes());
    declared.answer().expect("an answer").error(413);

    let mut chunked = Connection::new(shared().stream());
    chunked.send(head("Transfer-Encoding: chunked").as_bytes());
    let chunk = [b"10000\r\n", &vec![b'a'; 0x10000][..], b"\r\n"].concat();
    for _ in 0..16 {
        chunked.offer(&chunk);
    }
    chunked.answer().expect("an answer").error(413);
    chunked.expect_end();
}

#[test]
fn attack_s26_the_node_bounds_bodies_too() {
    let node = TestNode::start(|config| config.http.body_bytes = 5000);
    let event = |data: usize| json!({"name": "e", "channel": "c", "data": "x".repeat(data)});
    let call = |data| Call::post(MAIN, "/events", &event(data)).bytes();
    assert_eq!(Connection::new(node.stream()).ask(&call(4900)).status, 200);
    Connection::new(node.stream()).ask(&call(5000)).error(413);
}

#[test]
fn attack_s26_compressed_bodies_are_refused() {
    for encoding in ["gzip", "deflate", "br", "identity, gzip"] {
        let call = event_on(MAIN, "c").header("Content-Encoding", encoding);
        ask(&call.bytes()).error(415);
    }
}

#[test]
fn attack_s31_guesses_are_answered_alike() {
    let shape = |text: &str, guess: &str| text.replace(guess, "*");
    let answers: Vec<String> = ["a", "kk", "K", "%00", "k%20"]
        .iter()
        .map(|guess| {
            let mut socket = shared().upgrade(&format!("/app/{guess}?protocol=7"));
            let message = socket.expect_error(Some(4001));
            socket.expect_close(4001);
            message
        })
        .collect();
    for answer in answers {
        assert!(answer.starts_with("App key ") && answer.ends_with(" does not exist"), "{answer}");
    }
    let mut seen: Vec<String> = ["0", "33", "apps"]
        .iter()
        .map(|guess| {
            let call = Call::get(MAIN, "").on_path(&format!("/apps/{guess}/channels"));
            shape(&ask(&call.bytes()).error(404), guess)
        })
        .collect();
    seen.dedup();
    assert_eq!(seen.len(), 1, "{seen:?}");
}

#[test]
fn attack_s43_errors_tell_nothing_of_the_inside() {
    let mut bad = event_on(MAIN, "c");
    bad.app.secret = "guess";
    let requests = [
        bad.bytes(),
        Call::post_text(MAIN, "/events", "{").bytes(),
        Call::post_text(MAIN, "/events", r#"{"name":1}"#).bytes(),
        Call::post_text(MAIN, "/batch_events", "{}").bytes(),
        Call::get(MAIN, "/channels/%ff").bytes(),
        Call::get(MAIN, "/nothing").bytes(),
        Call::get(MAIN, "/users/%00/terminate_connections").bytes(),
        Call::post(MAIN, "/users/%00/terminate_connections", &Value::Null).bytes(),
        b"GET /apps/3/channels?%zz=%zz HTTP/1.1\r\nHost: node\r\n\r\n".to_vec(),
        b"BREW /apps/3/channels HTTP/1.1\r\nHost: node\r\n\r\n".to_vec(),
    ];
    for request in requests {
        let answer = ask(&request);
        assert_ne!(answer.status, 500, "{}", answer.text());
        let text = answer.text();
        for inside in [".rs", "panicked", "/root", "/work", "backtrace", "redis", MAIN.secret] {
            assert!(!text.contains(inside), "{text}");
        }
    }
}

#[test]
fn attack_s27_half_a_head_ends_in_time_behind_another_request_too() {
    let node = TestNode::start(|config| {
        config.http.request_head = Duration::from_secs(1);
        config.http.request_body = Duration::from_secs(1);
        config.http.keep_alive = Duration::from_secs(1);
        config.node.limits.ask = Duration::from_millis(50);
    });
    let whole = b"GET /up HTTP/1.1\r\nHost: node\r\n\r\n".as_slice();
    let mut apart = Connection::new(node.stream());
    assert_eq!(apart.ask(whole).status, 200);
    apart.send(b"GET /u");
    let mut together = Connection::new(node.stream());
    assert_eq!(together.ask(&[whole, b"GET /u"].concat()).status, 200);
    for mut slow in [apart, together] {
        slow.expect_end();
    }
}
