//! Overload is answered before the upgrade, with 503 (protocol section 1.3, 4100, and section 13, S37).

use std::net::IpAddr;

use micronotifier::config::{Network, ServerConfig};

use crate::support::apps::MAIN;
use crate::support::http::Answer;
use crate::support::socket::target;
use crate::support::{Incoming, Socket, TestNode, eventually};

fn try_connect(node: &TestNode, headers: &[(&str, &str)]) -> Result<Socket, Answer> {
    let mut socket = Socket::try_upgrade(node.stream(), &target(MAIN), headers)?;
    socket.established();
    Ok(socket)
}

fn expect_busy(refused: Result<Socket, Answer>) {
    let answer = refused.expect_err("503 Service Unavailable");
    assert_eq!(answer.status, 503, "{answer:?}");
}

#[test]
fn a_full_node_answers_503_and_gives_places_back() {
    let node = TestNode::start(|config| config.node.limits.max_connections = Some(2));
    let first = try_connect(&node, &[]).unwrap();
    let _second = try_connect(&node, &[]).unwrap();
    expect_busy(try_connect(&node, &[]));
    let answer = node.api(MAIN).get("/channels", &[]);
    assert_eq!(answer.status, 200, "the API has no part in the connection limit");
    first.cut();
    eventually("a place is free", || try_connect(&node, &[]).is_ok());
}

#[test]
fn attack_s37_one_address_has_a_number_of_connections() {
    let node = TestNode::start(|config| config.node.limits.max_connections_per_address = Some(2));
    let _first = try_connect(&node, &[]).unwrap();
    let second = try_connect(&node, &[]).unwrap();
    expect_busy(try_connect(&node, &[]));
    expect_busy(try_connect(&node, &[("X-Forwarded-For", "192.0.2.1")]));
    second.close();
    eventually("a place is free", || try_connect(&node, &[]).is_ok());
}

#[test]
fn attack_s37_a_trusted_proxy_tells_whose_connection_it_is() {
    let behind_proxy = |config: &mut ServerConfig| {
        config.node.limits.max_connections_per_address = Some(1);
        config.edge.trusted_proxies =
            vec![Network { address: IpAddr::from([127, 0, 0, 0]), prefix: 8 }];
    };
    let node = TestNode::start(behind_proxy);
    let _first = try_connect(&node, &[("X-Forwarded-For", "192.0.2.1")]).unwrap();
    let _second = try_connect(&node, &[("X-Forwarded-For", "192.0.2.2")]).unwrap();
    expect_busy(try_connect(&node, &[("X-Forwarded-For", "192.0.2.1")]));
    // What stands left of the proxy's own entry was written by the client.
    expect_busy(try_connect(&node, &[("X-Forwarded-For", "203.0.113.9, 192.0.2.1")]));
}

#[test]
fn attack_s31_handshakes_have_a_rate() {
    let node = TestNode::start(|config| config.node.limits.handshakes_per_second = Some(5));
    let mut refused = 0;
    let mut accepted = 0;
    for _ in 0..60 {
        match Socket::try_upgrade(node.stream(), "/app/guess?protocol=7", &[]) {
            Ok(mut socket) => {
                accepted += 1;
                assert!(matches!(socket.next(), Incoming::Text(_)));
            }
            Err(answer) => {
                refused += 1;
                assert_eq!(answer.status, 503, "{answer:?}");
            }
        }
    }
    assert!(accepted >= 5, "{accepted} accepted");
    assert!(refused > 0, "sixty at once all passed");
    eventually("the rate recovers", || try_connect(&node, &[]).is_ok());
}
