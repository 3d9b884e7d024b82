//! What `/apps` and `/actors` tell.

use std::time::Duration;

use micronotifier_actors::membership::counters::Counters;
use micronotifier_actors::membership::reach::Reach;
use micronotifier_actors::{NodeHandle, Usage};
use serde::Serialize;

use super::readiness::Reasons;
use super::{figures, readiness};
use crate::edge::EdgeState;

/// The answer of `/apps`:
///
/// ```json
/// {
///   "applications": [{"id":"1","name":"testapp","connections":3,"messages_sent":7,"key":"1234567890"}],
///   "node": {"version":"0.1.0","uptime_seconds":60,"ready":true,"reasons":[],"development":true,
///            "path_prefix":"","sockets":["ws://127.0.0.1:8111"]},
///   "cluster": {"bridge_whole":true,"probe_seconds":0.0004,"followed_channels":3,"holes":0,"lost":0,
///               "membership_reachable":true,"lease_age_seconds":0.9}
/// }
/// ```
///
/// `name` is the id again where the application has no other. `key` is told of the built-in
/// application alone, and where only this machine can connect. `reasons` are those of `/ready`. `cluster` is `null` for a node that
/// stands alone; its last two are `null` where who is where is not shared.
#[derive(Serialize)]
pub(super) struct AppsBody<'n> {
    applications: Vec<AppBody<'n>>,
    node: NodeBody<'n>,
    cluster: Option<ClusterBody>,
}

#[derive(Serialize)]
struct AppBody<'n> {
    id: &'n str,
    name: &'n str,
    connections: u64,
    messages_sent: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'n str>,
}

#[derive(Serialize)]
struct NodeBody<'n> {
    version: &'static str,
    uptime_seconds: u64,
    ready: bool,
    reasons: Reasons,
    development: bool,
    path_prefix: &'n str,
    sockets: Vec<String>,
}

#[derive(Serialize)]
struct ClusterBody {
    bridge_whole: bool,
    /// How long the last probe took from this node through the broker to itself.
    probe_seconds: f64,
    followed_channels: u64,
    holes: u64,
    lost: u64,
    membership_reachable: Option<bool>,
    lease_age_seconds: Option<f64>,
}

/// Describes the applications, and the node for the operator's page at `host`.
pub(super) fn apps<'e>(edge: &'e EdgeState, host: Option<&str>) -> AppsBody<'e> {
    let development = edge.public.development;
    let metrics = edge.node.metrics();
    let reasons = readiness::obstacles(&edge.node);
    let applications = edge
        .node
        .apps()
        .iter()
        .map(|app| {
            let metrics = metrics.of(&app.id);
            AppBody {
                id: app.id.as_str(),
                name: app.alias.as_ref().unwrap_or(&app.id).as_str(),
                connections: metrics.connections(),
                messages_sent: metrics.sent.messages.get(),
                key: development.then(|| app.credential.key()),
            }
        })
        .collect();
    AppsBody {
        applications,
        node: NodeBody {
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: edge.node.uptime().as_secs(),
            ready: reasons.is_empty(),
            reasons,
            development,
            path_prefix: &edge.edge.path_prefix,
            sockets: edge.public.sockets(host),
        },
        cluster: cluster(&edge.node),
    }
}

fn cluster(node: &NodeHandle) -> Option<ClusterBody> {
    let watch = node.bridge()?;
    let lease_age = node.membership_counters().map(Counters::lease_age);
    Some(ClusterBody {
        bridge_whole: watch.is_whole(),
        probe_seconds: Duration::from_micros(watch.probe_micros()).as_secs_f64(),
        followed_channels: watch.followed(),
        holes: watch.holes.get(),
        lost: watch.lost.get(),
        membership_reachable: node.membership().map(Reach::is_there),
        lease_age_seconds: lease_age.map(|age| age.as_secs_f64()),
    })
}

/// The answer of `/actors`:
///
/// ```json
/// {
///   "actors": [{"kind":"session","live":3}],
///   "queues": [{"queue":"events","shard":0,"places":65536,"taken":0,"highest":12,"refused":0}]
/// }
/// ```
#[derive(Serialize)]
pub(super) struct ActorsBody {
    actors: Vec<KindBody>,
    queues: Vec<QueueBody>,
}

#[derive(Serialize)]
struct KindBody {
    kind: &'static str,
    live: u64,
}

#[derive(Serialize)]
struct QueueBody {
    queue: &'static str,
    shard: usize,
    places: usize,
    taken: usize,
    highest: usize,
    refused: u64,
}

/// Describes the actors and the queues before them.
pub(super) fn actors(node: &NodeHandle) -> ActorsBody {
    let live = figures::live(node);
    let queues = [("events", node.event_queues()), ("commands", node.command_queues())];
    ActorsBody {
        actors: live.into_iter().map(|(kind, live)| KindBody { kind, live }).collect(),
        queues: queues
            .into_iter()
            .flat_map(|(queue, shards)| {
                let describe = move |(shard, usage)| describe_queue(queue, shard, usage);
                shards.into_iter().enumerate().map(describe)
            })
            .collect(),
    }
}

fn describe_queue(queue: &'static str, shard: usize, usage: Usage) -> QueueBody {
    let Usage { places, taken, highest, refused } = usage;
    QueueBody { queue, shard, places, taken, highest, refused }
}
