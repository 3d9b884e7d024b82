//! The operator's listener (checks 121, 122 and 124 as design settles them; S30).

use micronotifier::config::AdminConfig;
use serde_json::json;

use crate::support::TestNode;
use crate::support::apps::{COUNTED, MAIN};
use crate::support::http::{Answer, Connection};
use crate::support::process::free_port;
use crate::support::stream::Stream;

fn node(token: &str) -> TestNode {
    TestNode::start(|config| {
        config.admin = Some(AdminConfig {
            host: "127.0.0.1".to_owned(),
            port: free_port(),
            token: token.to_owned(),
        });
    })
}

fn get(node: &TestNode, path: &str, headers: &str) -> Answer {
    let address = node.admin.expect("an admin listener");
    let request = format!("GET {path} HTTP/1.1\r\nHost: node\r\n{headers}\r\n");
    Connection::new(Stream::connect(address)).ask(request.as_bytes())
}

#[test]
fn check_121_health_and_readiness_are_told_to_the_operator() {
    let node = node("");
    for path in ["/health", "/ready"] {
        assert_eq!(get(&node, path, "").status, 200, "{path}");
    }
}

#[test]
fn check_122_metrics_count_connections_by_application() {
    let node = node("");
    let _socket = node.connect(MAIN);
    let metrics = get(&node, "/metrics", "");
    assert_eq!(metrics.status, 200);
    assert!(
        metrics.text().contains("micronotifier_"),
        "{}",
        metrics.text()
    );
}

#[test]
fn check_124_applications_are_listed_to_the_operator() {
    let node = node("");
    let body = get(&node, "/apps", "").json();
    let listed = body["applications"].as_array().expect("a list");
    assert_eq!(listed[..2], [json!(MAIN.id), json!(COUNTED.id)]);
}

#[test]
fn a_token_is_asked_for_where_one_is_configured() {
    let node = node("token-of-the-operator");
    for headers in [
        "",
        "Authorization: Bearer wrong\r\n",
        "Authorization: Bearer \r\n",
    ] {
        assert_eq!(get(&node, "/metrics", headers).status, 401, "{headers}");
    }
    let right = "Authorization: Bearer token-of-the-operator\r\n";
    assert_eq!(get(&node, "/metrics", right).status, 200);
}

#[test]
fn attack_s30_clients_are_not_served_on_the_admin_port() {
    let node = node("");
    assert_eq!(get(&node, "/app/k?protocol=7", "").status, 404);
    assert_eq!(get(&node, "/apps/3/channels", "").status, 404);
}
