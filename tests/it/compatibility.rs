//! Habits of other servers that a node takes on when asked (checks 121-126).

use micronotifier::config::Compatibility;
use serde_json::json;

use crate::support::apps::{COUNTED, MAIN};
use crate::support::http::{Answer, Connection};
use crate::support::process::{Configured, free_port};
use crate::support::{Socket, TestNode, shared};

fn plain_get(node: &TestNode, path: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nHost: node\r\n\r\n");
    Connection::new(node.stream()).ask(request.as_bytes())
}

fn micronotifier() -> TestNode {
    TestNode::start(|config| config.edge.compatibility = Compatibility::MicroNotifier)
}

#[test]
fn check_121_health_is_told_on_the_public_port() {
    let answer = plain_get(shared(), "/up");
    assert_eq!((answer.status, answer.json()), (200, json!({"health": "OK"})));
}

#[test]
fn check_121_and_attack_s30_the_public_port_tells_nothing_else() {
    for path in ["/", "/ready", "/metrics", "/apps", "/debug", "/usage", "/actors", "/health"] {
        plain_get(shared(), path).error(404);
    }
}

#[test]
fn check_121_soketi_answers_on_its_paths() {
    let node = TestNode::start(|config| config.edge.compatibility = Compatibility::Soketi);
    for path in ["/", "/ready"] {
        let answer = plain_get(&node, path);
        assert_eq!((answer.status, answer.text()), (200, "OK".to_owned()));
    }
}

#[test]
fn check_124_applications_are_listed_in_order() {
    let answer = plain_get(&micronotifier(), "/apps");
    assert_eq!(answer.status, 200);
    let body = answer.json();
    let listed = body["applications"].as_array().unwrap();
    assert_eq!(listed[..2], [json!(MAIN.id), json!(COUNTED.id)]);
}

#[test]
fn check_124_a_configuration_file_of_micro_notifier_loads_unchanged() {
    let port = free_port();
    let file = json!({
        "host": "localhost", "port": port,
        "applications": [
            {"name": "testapp", "key": "1234567890", "secret": "abcdefghij"},
            {"name": "testapp2", "key": "0987654321", "secret": "jihgfedcba"}
        ]
    });
    let environment =
        [("MICRONOTIFIER__COMPATIBILITY", "micronotifier"), ("MICRONOTIFIER__ADMIN_PORT", "0")];
    let node = Configured::start(&file, &environment, port);
    let mut connection = Connection::new(node.stream());
    let answer = connection.ask(b"GET /apps HTTP/1.1\r\nHost: node\r\n\r\n");
    assert_eq!(answer.text(), r#"{"applications":["testapp","testapp2"]}"#);
    Socket::upgrade(node.stream(), "/app/1234567890", &[]).established();
}

#[test]
fn check_125_unsigned_calls_are_taken_in_compatibility_alone() {
    let body = r#"{"name":"e","channels":["c"],"data":"x"}"#;
    let request = format!(
        "POST /apps/{}/events HTTP/1.1\r\nHost: node\r\nContent-Length: {}\r\n\r\n{body}",
        MAIN.id,
        body.len()
    );
    Connection::new(shared().stream()).ask(request.as_bytes()).error(401);

    let node = micronotifier();
    let mut socket = node.connect(MAIN);
    socket.subscribe("c");
    let answer = Connection::new(node.stream()).ask(request.as_bytes());
    assert_eq!(answer.status, 200);
    socket.expect(json!({"event": "e", "channel": "c", "data": "x"}));
}

#[test]
fn check_125_a_signature_that_is_given_is_checked_in_compatibility_too() {
    let node = micronotifier();
    let call = crate::support::Call::get(MAIN, "/channels");
    assert_eq!(node.api(MAIN).call(&call).status, 200);
    let mut forged = call;
    forged.app.secret = "guess";
    node.api(MAIN).call(&forged).error(401);
}

#[test]
fn check_126_a_public_frame_is_the_same_in_both_modes() {
    let node = micronotifier();
    for node in [&node, shared()] {
        let mut socket = node.connect(MAIN);
        socket.subscribe("c-126");
        node.trigger(MAIN, "c-126", "e", "x");
        socket.expect(json!({"event": "e", "channel": "c-126", "data": "x"}));
    }
}
