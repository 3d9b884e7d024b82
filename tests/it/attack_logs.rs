//! Text of strangers in the log (S41), and no secret in it (I10); the program's end on a signal.

use serde_json::{Value, json};

use crate::support::apps::MAIN;
use crate::support::http::Connection;
use crate::support::process::{Configured, free_port};
use crate::support::stream::Stream;
use crate::support::{Call, Socket};

const SECRET: &str = "a-secret-that-nobody-may-ever-read-in-a-log";

fn program() -> Configured {
    let port = free_port();
    let file = json!({
        "host": "127.0.0.1", "port": port, "admin-port": 0,
        "log": {"format": "json", "level": "trace"},
        "applications": [{"name": "3", "key": "k", "secret": SECRET, "client-events": true}]
    });
    Configured::start(&file, &[], port)
}

/// Sends bytes and takes whatever comes back.
fn provoke(stream: Stream, bytes: &[u8]) {
    let mut connection = Connection::new(stream);
    connection.offer(bytes);
    while connection.answer().is_some_and(|answer| answer.status == 100) {}
}

#[test]
fn attack_s41_every_log_line_parses_and_none_holds_a_secret() {
    let app = crate::support::TestApp { secret: SECRET, ..MAIN };
    let program = program();
    let mut socket = Socket::establish(program.stream(), app);
    socket.subscribe("private-logged");
    socket.whisper("private-logged", "client-\u{1b}[2J\r\nforged", &json!("payload-of-a-client"));
    socket.send(&json!({"event": "\u{1b}[31m\r\n{\"level\":\"error\"}", "data": {}}));
    socket.expect_error(None);
    let call = Call::post(
        app,
        "/events",
        &json!({"name": "\r\n\u{1b}]0;x\u{7}", "channel": "private-logged", "data": "payload-of-a-backend"}),
    );
    provoke(program.stream(), &call.bytes());
    socket.expect(json!({"event": "\r\n\u{1b}]0;x\u{7}", "channel": "private-logged", "data": "payload-of-a-backend"}));
    Socket::upgrade(program.stream(), "/app/%0d%0a%1b%5b31mkey?protocol=7", &[])
        .expect_error(Some(4001));
    let agent = b"GET /up HTTP/1.1\r\nHost: node\r\nUser-Agent: \x1b[31m\"}\\\r\n\r\n";
    provoke(program.stream(), agent);
    let reason = crate::support::frame::close_payload(4999, "\r\n\u{1b}[31mreason");
    socket.send_bytes(&crate::support::frame::message(crate::support::frame::CLOSE, &reason));
    socket.expect_end();
    let signature = call.signed_query().pop().unwrap().1;

    program.terminate();
    let (status, log) = program.wait();
    assert!(status.success(), "{status}");
    assert!(!log.is_empty(), "nothing was logged at the level trace");
    for line in log.lines() {
        let record: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        assert!(record.is_object(), "{line}");
        assert!(!line.contains('\u{1b}'), "{line:?}");
    }
    for hidden in [SECRET, &signature, "payload-of-a-client", "payload-of-a-backend"] {
        assert!(!log.contains(hidden), "the log holds {hidden}");
    }
}

#[test]
fn a_signal_ends_the_program_with_a_close_for_everybody() {
    let app = crate::support::TestApp { secret: SECRET, ..MAIN };
    let program = program();
    let mut socket = Socket::establish(program.stream(), app);
    program.terminate();
    socket.expect_close(1001);
    let (status, _) = program.wait();
    assert_eq!(status.code(), Some(0));
}
