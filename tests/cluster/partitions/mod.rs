//! Nodes that share a Redis Cluster: as with one Redis, and what one master does is felt by its channels alone.

mod alike;
mod moves;
mod start;

use serde_json::{Value, json};

use crate::support::apps::MAIN;
use crate::support::{Socket, TestApp, TestNode};

fn get(node: &TestNode, app: TestApp, tail: &str, query: &[(&str, &str)]) -> Value {
    let answer = node.api(app).get(tail, query);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn expect_event(socket: &mut Socket, channel: &str, data: &str) {
    socket.expect(json!({"event": "e", "channel": channel, "data": data}));
}

fn status(node: &TestNode, channels: &[&str], data: &str) -> u16 {
    let body = json!({"name": "e", "channels": channels, "data": data});
    node.api(MAIN).post("/events", &body).status
}
