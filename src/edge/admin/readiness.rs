//! Whether the node lives, and whether it should be sent clients; if not, why.

use std::time::Duration;

use actix_web::HttpResponse;
use micronotifier_actors::NodeHandle;
use micronotifier_actors::membership::counters::Counters;
use serde::Serialize;

use super::process::Process;

/// Descriptors below which the node takes no more clients.
const DESCRIPTORS_NEEDED: u64 = 64;
/// How long an event loop may stand still before the node takes no more clients.
const LATE: Duration = Duration::from_secs(2);
/// How long one may stand still before it is taken for dead: whoever watches the process starts it again.
const STUCK: Duration = Duration::from_secs(30);
const IS_LATE: &str = "an event loop has stood still for 2 seconds";
const IS_STUCK: &str = "an event loop has stood still for 30 seconds";

#[derive(Serialize)]
struct State {
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<&'static str>,
}

/// What the public port's health check tells.
#[derive(Serialize)]
struct Up {
    health: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<&'static str>,
}

/// Tells whether the process is alive, with 200 or 503:
///
/// ```json
/// {"status":"ok"}
/// {"status":"stuck","reasons":["an event loop has stood still for 30 seconds"]}
/// ```
pub(super) fn health(node: &NodeHandle) -> HttpResponse {
    let reasons = ailments(node);
    let status = if reasons.is_empty() { "ok" } else { "stuck" };
    answer_with(reasons.is_empty(), &State { status, reasons })
}

/// Tells whether the node should be sent clients, with 200 or 503:
///
/// ```json
/// {"status":"ready"}
/// {"status":"not ready","reasons":["shutting down"]}
/// ```
pub(super) fn answer(node: &NodeHandle) -> HttpResponse {
    let reasons = obstacles(node);
    let status = if reasons.is_empty() { "ready" } else { "not ready" };
    answer_with(reasons.is_empty(), &State { status, reasons })
}

/// Tells on the public port whether this process serves, whatever becomes of the other nodes, with 200 or 503:
///
/// ```json
/// {"health":"OK"}
/// {"health":"DOWN","reasons":["shutting down"]}
/// ```
pub(in crate::edge) fn up(node: &NodeHandle) -> HttpResponse {
    let mut reasons = ailments(node);
    reasons.extend(stage(node));
    let health = if reasons.is_empty() { "OK" } else { "DOWN" };
    answer_with(reasons.is_empty(), &Up { health, reasons })
}

fn answer_with(is_well: bool, body: &impl Serialize) -> HttpResponse {
    if is_well {
        HttpResponse::Ok().json(body)
    } else {
        HttpResponse::ServiceUnavailable().json(body)
    }
}

/// Returns what only a new start heals.
fn ailments(node: &NodeHandle) -> Vec<&'static str> {
    let (_, stuck) = judge(&node.behind());
    stuck.into_iter().collect()
}

/// Returns what event loops that stand still are an obstacle to, and an ailment of.
fn judge(behind: &[Duration]) -> (Option<&'static str>, Option<&'static str>) {
    let reaches = |bound| behind.iter().any(|behind| *behind >= bound);
    (reaches(LATE).then_some(IS_LATE), reaches(STUCK).then_some(IS_STUCK))
}

/// Returns what a node says of itself before and after it serves.
fn stage(node: &NodeHandle) -> Option<&'static str> {
    if node.is_stopping() {
        Some("shutting down")
    } else if !node.is_serving() {
        Some("starting")
    } else {
        None
    }
}

/// Returns what keeps the node from being ready.
pub(super) fn obstacles(node: &NodeHandle) -> Vec<&'static str> {
    let mut reasons: Vec<_> = stage(node).into_iter().collect();
    if node.bridge().is_some_and(|bridge| !bridge.is_whole()) {
        reasons.push("the bridge to the other nodes is broken");
    }
    if node.membership().is_some_and(|reach| !reach.is_there()) {
        reasons.push("who is where cannot be shared with the other nodes");
    }
    if node.membership_counters().is_some_and(Counters::has_run_out) {
        reasons.push("the lease has run out: the other nodes take this one for dead");
    }
    if Process::read().descriptors_left().is_some_and(|left| left < DESCRIPTORS_NEEDED) {
        reasons.push("file descriptors are running out");
    }
    let (late, _) = judge(&node.behind());
    reasons.extend(late);
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
        assert_eq!(up(&node).status(), 503);
        assert_eq!(health(&node).status(), 200);
    }

    #[test]
    fn an_event_loop_that_does_not_run_is_seen() {
        let system = actix_rt::System::new();
        let node = Node::start(NodeConfig::new(Apps::new([]))).handle();
        let _worker = system.block_on(async { node.attach_worker().unwrap() });
        assert_eq!(node.behind(), [Duration::ZERO]);
        // nothing runs it from here on
        while node.behind() == [Duration::ZERO] {
            std::thread::yield_now();
        }
        assert_eq!(node.behind().len(), 1);
    }

    #[test]
    fn an_event_loop_that_stands_still_is_told() {
        let behind = |seconds| [Duration::ZERO, Duration::from_secs(seconds)];
        assert_eq!(judge(&behind(1)), (None, None));
        assert_eq!(judge(&behind(2)), (Some(IS_LATE), None));
        assert_eq!(judge(&behind(30)), (Some(IS_LATE), Some(IS_STUCK)));
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
