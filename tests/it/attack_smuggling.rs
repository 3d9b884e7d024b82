//! Requests that two readers would split differently (S28, S29).

use std::io::Write as _;

use serde_json::json;

use crate::support::api::joined;
use crate::support::apps::MAIN;
use crate::support::http::Connection;
use crate::support::{Call, shared};

const INNER: &str = "GET /up HTTP/1.1\r\nHost: node\r\n\r\n";

/// Sends a request with another one inside and expects one refusal and the end.
fn expect_refused(what: &str, outer: &str) {
    let mut connection = Connection::new(shared().stream());
    connection.offer(format!("{outer}{INNER}").as_bytes());
    let Some(answer) = connection.answer() else {
        return;
    };
    assert!(matches!(answer.status, 400 | 501), "{what}: {answer:?}");
    let second = connection.answer();
    assert!(second.is_none(), "{what}: the inner request was answered: {second:?}");
}

#[test]
fn attack_s28_two_framings_of_a_body_are_refused() {
    let post =
        |framing: &str| format!("POST /apps/3/events HTTP/1.1\r\nHost: node\r\n{framing}\r\n\r\n");
    for (what, framing) in [
        ("length and chunks", "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"),
        ("chunks and length", "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n"),
        ("chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"),
        ("an unknown coding", "Transfer-Encoding: xchunked\r\n\r\n0\r\n"),
        ("chunked and identity", "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n"),
        ("two lengths", "Content-Length: 0\r\nContent-Length: 5"),
        ("a signed length", "Content-Length: +5"),
        ("a list of lengths", "Content-Length: 5, 5"),
        ("a length of no number", "Content-Length: five"),
    ] {
        expect_refused(what, &post(framing));
    }
}

#[test]
fn attack_s28_broken_lines_are_refused() {
    for (what, outer) in [
        ("a folded header", "GET /up HTTP/1.1\r\nHost: node\r\nX-A: 1\r\n 2\r\n\r\n"),
        ("a space before the colon", "GET /up HTTP/1.1\r\nHost: node\r\nX-A : 1\r\n\r\n"),
        ("a lone CR in a value", "GET /up HTTP/1.1\r\nHost: node\r\nX-A: 1\r2\r\n\r\n"),
        ("a NUL in a value", "GET /up HTTP/1.1\r\nHost: node\r\nX-A: 1\0\r\n\r\n"),
        ("two hosts", "GET /up HTTP/1.1\r\nHost: node\r\nHost: other\r\n\r\n"),
        ("no host", "GET /up HTTP/1.1\r\nX-A: 1\r\n\r\n"),
    ] {
        expect_refused(what, outer);
    }
}

#[test]
fn attack_s28_a_line_feed_in_a_chunk_extension_is_refused() {
    // Signed, so that the body is what the request fails on.
    let body = json!({"name": "e", "channel": "c", "data": "1"}).to_string();
    let call = Call::post_text(MAIN, "/events", &body);
    let outer = |extension: &str| {
        format!(
            "POST {}?{} HTTP/1.1\r\nHost: node\r\nTransfer-Encoding: chunked\r\n\r\n\
             {:x}{extension}\r\n{body}\r\n0\r\n\r\n",
            call.path,
            joined(&call.signed_query()),
            body.len()
        )
    };
    let mut connection = Connection::new(shared().stream());
    assert_eq!(connection.ask(outer(";a=b").as_bytes()).status, 200);
    expect_refused("a line feed in a chunk extension", &outer(";a\nb"));
}

#[test]
fn attack_s29_what_follows_a_refused_upgrade_is_not_taken_for_frames() {
    let mut connection = Connection::new(shared().stream());
    let upgrade = "GET /app/k?protocol=7 HTTP/1.1\r\nHost: node\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 777\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    connection.stream.write_all(upgrade.as_bytes()).unwrap();
    let answer = connection.answer().expect("an answer");
    assert_eq!(answer.status, 426, "{answer:?}");
    assert_eq!(answer.header("sec-websocket-version"), Some("13"));
    if connection.offer(b"GET /metrics HTTP/1.1\r\nHost: node\r\n\r\n")
        && let Some(second) = connection.answer()
    {
        assert_eq!(second.status, 404, "{second:?}");
    }
}
