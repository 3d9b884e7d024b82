//! A server whose workers do not start: the process ends and says so, whatever the operator's server could answer.

use std::io;
use std::net::{Ipv4Addr, TcpStream};

use actix::System;
use micronotifier::config::{AdminConfig, Listen};
use micronotifier::{ServeError, serve_with};
use micronotifier_actors::Node;
use micronotifier_actors::config::NodeConfig;
use serde_json::json;

use crate::support::node::configuration;
use crate::support::process::{Configured, free_port};

/// Descriptors of a process that starts, and of none with that many workers.
const DESCRIPTORS: u32 = 64;

#[test]
fn a_server_whose_workers_do_not_start_has_not_started() {
    let (port, admin) = (free_port(), free_port());
    let mut config = configuration();
    config.listen = Listen::Tcp { host: "127.0.0.1".to_owned(), port };
    config.admin =
        Some(AdminConfig { host: "127.0.0.1".to_owned(), port: admin, token: String::new() });
    System::new().block_on(async {
        // the second worker finds no place in such a node
        let start = |mut node: NodeConfig| {
            node.workers = 1;
            Node::start(node)
        };
        let served = serve_with(config, start).await;
        assert!(matches!(served, Err(ServeError::Start(_))));
        for port in [port, admin] {
            let refused = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        }
    });
}

#[test]
fn a_program_whose_workers_do_not_start_ends_with_the_reason() {
    let (port, admin) = (free_port(), free_port());
    let file = json!({
        "host": "127.0.0.1", "port": port, "admin-port": admin, "workers": DESCRIPTORS,
        "applications": [{"name": "app", "key": "k", "secret": "a-secret-that-is-long-enough"}]
    });
    let (status, log) = Configured::start_confined(&file, port, DESCRIPTORS).wait();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("cannot start the workers"), "{log}");
}
