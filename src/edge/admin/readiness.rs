//! Whether the node should be sent clients, and if not, why.

use actix_web::HttpResponse;
use micronotifier_actors::NodeHandle;
use serde::Serialize;

use super::process::Process;

/// Descriptors below which the node takes no more clients.
const DESCRIPTORS_NEEDED: u64 = 64;

#[derive(Serialize)]
struct Readiness {
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<&'static str>,
}

/// Answers 200 or 503:
///
/// ```json
/// {"status":"ready"}
/// {"status":"not ready","reasons":["shutting down"]}
/// ```
pub(super) fn answer(node: &NodeHandle) -> HttpResponse {
    let reasons = obstacles(node);
    if reasons.is_empty() {
        let status = "ready";
        HttpResponse::Ok().json(Readiness { status, reasons })
    } else {
        let status = "not ready";
        HttpResponse::ServiceUnavailable().json(Readiness { status, reasons })
    }
}

/// Returns what keeps the node from being ready.
pub(super) fn obstacles(node: &NodeHandle) -> Vec<&'static str> {
    let mut reasons = Vec::new();
    if node.is_stopping() {
        reasons.push("shutting down");
    } else if !node.is_serving() {
        reasons.push("starting");
    }
    if node.bridge().is_some_and(|bridge| !bridge.is_whole()) {
        reasons.push("the bridge to the other nodes is broken");
    }
    if node.membership().is_some_and(|reach| !reach.is_there()) {
        reasons.push("who is where cannot be shared with the other nodes");
    }
    if Process::read().descriptors_left().is_some_and(|left| left < DESCRIPTORS_NEEDED) {
        reasons.push("file descriptors are running out");
    }
    if node.event_queues().iter().any(|usage| usage.taken >= usage.places) {
        reasons.push("an event queue is full");
    }
    reasons
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use micronotifier_actors::Node;
    use micronotifier_actors::config::{Apps, NodeConfig};
    use micronotifier_actors::session::effect::Close;

    use super::*;

    #[actix_rt::test]
    async fn a_node_is_ready_between_its_start_and_its_end() {
        let node = Node::start(NodeConfig::new(Apps::new([]))).handle();
        assert_eq!(obstacles(&node), ["starting"]);
        assert_eq!(answer(&node).status(), 503);
        let _worker = node.attach_worker().unwrap();
        assert_eq!(obstacles(&node), [""; 0]);
        assert_eq!(answer(&node).status(), 200);
        let close = Close { code: 1001, reason: "" };
        node.shut(close);
        assert_eq!(obstacles(&node), ["shutting down"]);
    }

    #[actix_rt::test]
    async fn a_full_event_queue_is_told() {
        let mut config = NodeConfig::new(Apps::new([]));
        config.limits.events_in_flight = 0;
        let node = Node::start(config).handle();
        let _worker = node.attach_worker().unwrap();
        assert_eq!(obstacles(&node), ["an event queue is full"]);
    }
}
