//! The node's own metrics: what each is called and where it is read.
//!
//! Names are `micronotifier_<noun>_<unit>[_total]`. The only label that a configuration chooses is
//! `app_id`; none comes from clients.

use std::sync::Arc;

use micronotifier_actors::metrics::{AppMetrics, Outcomes, Tables};
use micronotifier_actors::{NodeHandle, Usage};

use super::exposition::{Exposition, Kind};
use super::process::Process;
use super::{bridge, mailboxes, membership, readiness, tap};
use crate::edge::EdgeState;
use crate::edge::ws::refusals::Refusals;
use crate::logging;

/// One application's id and what is counted for it.
pub(super) type Counted<'n> = (&'n str, Arc<AppMetrics>);

/// What is told of each application: name, kind, help, and where it is read.
pub(super) type PerApp = (&'static str, Kind, &'static str, fn(&AppMetrics) -> u64);

const PER_APP: [PerApp; 13] = [
    ("micronotifier_connections", Kind::Gauge, "Established connections.", AppMetrics::connections),
    (
        "micronotifier_connections_opened_total",
        Kind::Counter,
        "Connections that were established.",
        |app| app.connections_opened.get(),
    ),
    (
        "micronotifier_connections_closed_total",
        Kind::Counter,
        "Established connections that have ended.",
        |app| app.connections_closed.get(),
    ),
    (
        "micronotifier_connections_evicted_total",
        Kind::Counter,
        "Connections closed because their client did not read.",
        |app| app.evictions.get(),
    ),
    (
        "micronotifier_messages_sent_total",
        Kind::Counter,
        "Messages queued to sockets, replies included.",
        |app| app.sent.messages.get(),
    ),
    (
        "micronotifier_sent_bytes_total",
        Kind::Counter,
        "Bytes of messages queued to sockets, with frame headers.",
        |app| app.sent.bytes.get(),
    ),
    (
        "micronotifier_messages_received_total",
        Kind::Counter,
        "Text messages taken from clients.",
        |app| app.received.messages.get(),
    ),
    (
        "micronotifier_received_bytes_total",
        Kind::Counter,
        "Bytes of text messages taken from clients, without frame headers.",
        |app| app.received.bytes.get(),
    ),
    (
        "micronotifier_events_published_total",
        Kind::Counter,
        "Events accepted from the HTTP API, one for each channel.",
        |app| app.published.get(),
    ),
    ("micronotifier_client_events_total", Kind::Counter, "Events accepted from clients.", |app| {
        app.client_events.get()
    }),
    (
        "micronotifier_api_request_bytes_total",
        Kind::Counter,
        "Bytes of API request bodies that were read.",
        |app| app.api_request_bytes.get(),
    ),
    (
        "micronotifier_api_response_bytes_total",
        Kind::Counter,
        "Bytes of API response bodies.",
        |app| app.api_response_bytes.get(),
    ),
    (
        "micronotifier_signature_failures_total",
        Kind::Counter,
        "API calls whose signature was missing, wrong or too old.",
        |app| app.signature_failures.get(),
    ),
];

/// What is told of the tables of all workers together: its name, and where it is read.
type Table = (&'static str, fn(&Tables) -> u64);

const TABLES: [Table; 10] = [
    ("seats", |tables| tables.seats.get()),
    ("sockets", |tables| tables.sockets.get()),
    ("audiences", |tables| tables.audiences.get()),
    ("subscriptions", |tables| tables.subscriptions.get()),
    ("deadlines", |tables| tables.deadlines.get()),
    ("watched_sockets", |tables| tables.watched.get()),
    ("channels", |tables| tables.channels.get()),
    ("signed_in", |tables| tables.signed_in.get()),
    ("users", |tables| tables.users.get()),
    ("watched_users", |tables| tables.watched_users.get()),
];

/// Writes all metrics of the node and its process.
pub(super) fn expose(exposition: &mut Exposition, edge: &EdgeState) {
    let node = &edge.node;
    expose_node(exposition, node);
    mailboxes::expose(exposition, node);
    expose_tables(exposition, edge);
    if let Some(watch) = node.bridge() {
        bridge::expose(exposition, watch);
    }
    if let Some((reach, counters)) = node.membership().zip(node.membership_counters()) {
        membership::expose(exposition, reach.is_there(), counters);
    }
    expose_apps(exposition, node);
    expose_refusals(exposition, &edge.refusals);
    tap::expose(exposition, node.tap());
    Process::read().expose(exposition, "");
}

fn expose_apps(exposition: &mut Exposition, node: &NodeHandle) {
    let apps = counted(node);
    for (name, kind, help, read) in PER_APP {
        let mut family = exposition.family(name, kind, help);
        for (id, metrics) in &apps {
            family.value(&[("app_id", id)], read(metrics));
        }
    }
    let mut family = exposition.family(
        "micronotifier_subscriptions",
        Kind::Gauge,
        "Live subscriptions, by kind of channel.",
    );
    for (id, metrics) in &apps {
        for (kind, count) in metrics.subscriptions.by_kind() {
            family.value(&[("app_id", id), ("channel_kind", kind.name())], count);
        }
    }
    let mut outcomes = |name, help, read: fn(&AppMetrics) -> &Outcomes| {
        let mut family = exposition.family(name, Kind::Counter, help);
        for (id, metrics) in &apps {
            // 200 is always told, so that its rate has a beginning
            let told = read(metrics)
                .by_status()
                .filter(|(status, count)| *count > 0 || *status == Some(200));
            for (status, count) in told {
                let status = status.map_or_else(|| "other".to_owned(), |code| code.to_string());
                family.value(&[("app_id", id), ("status", &status)], count);
            }
        }
    };
    outcomes(
        "micronotifier_triggers_total",
        "API calls that publish, by the status of their answer.",
        |app| &app.triggers,
    );
    outcomes(
        "micronotifier_queries_total",
        "API calls that do not publish, by the status of their answer.",
        |app| &app.queries,
    );
}

/// Returns what is counted for each application, in the order of the configuration.
pub(super) fn counted(node: &NodeHandle) -> Vec<Counted<'_>> {
    let metrics = node.metrics();
    node.apps().iter().map(|app| (app.id.as_str(), metrics.of(&app.id))).collect()
}

/// Returns each kind of actor that the node has, and how many live.
pub(super) fn live(node: &NodeHandle) -> Vec<(&'static str, u64)> {
    let actors = &node.metrics().actors;
    let mut live = vec![
        ("session", &actors.sessions),
        ("channel", &actors.channels),
        ("courier", &actors.couriers),
        ("registry", &actors.registries),
        ("users", &actors.users),
    ];
    live.extend(node.bridge().map(|bridge| ("bridge", &bridge.living)));
    if let Some(membership) = node.membership_counters() {
        live.push(("keeper", &membership.living_keepers));
        live.extend(membership.has_router().then_some(("router", &membership.living_routers)));
    }
    live.into_iter().map(|(kind, living)| (kind, living.get())).collect()
}

fn expose_node(exposition: &mut Exposition, node: &NodeHandle) {
    exposition
        .family("micronotifier_build_info", Kind::Gauge, "Always 1; the version of this node.")
        .value(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    exposition
        .family("micronotifier_ready", Kind::Gauge, "1 when /ready answers 200, else 0.")
        .value(&[], u8::from(readiness::obstacles(node).is_empty()));
    let mut actors = exposition.family("micronotifier_actors", Kind::Gauge, "Actors that live.");
    for (kind, count) in live(node) {
        actors.value(&[("kind", kind)], count);
    }
    expose_queues(exposition, node);
    expose_lag(exposition, node);
    exposition
        .family(
            "micronotifier_log_lines_dropped_total",
            Kind::Counter,
            "Log lines dropped because the writer could not keep up.",
        )
        .value(&[], logging::log_lines_dropped());
}

fn expose_refusals(exposition: &mut Exposition, refusals: &Refusals) {
    let name = "micronotifier_connections_refused_total";
    let help = "Clients that asked for a connection and were sent away, by cause.";
    let mut family = exposition.family(name, Kind::Counter, help);
    for (cause, count) in refusals.by_cause() {
        family.value(&[("cause", cause)], count);
    }
}

fn expose_lag(exposition: &mut Exposition, node: &NodeHandle) {
    let name = "micronotifier_worker_loop_lag_seconds";
    let help = "How late the event loops of the workers were, looked at every 250 ms in each.";
    let mut family = exposition.family(name, Kind::Histogram, help);
    for (worker, lag) in node.metrics().loop_lag.iter().enumerate() {
        family.delays(&[("worker", &worker.to_string())], std::iter::once(lag));
    }
    let mut family = exposition.family(
        "micronotifier_worker_behind_seconds",
        Kind::Gauge,
        "How long each worker's event loop has not run although it should have.",
    );
    for (worker, behind) in node.behind().into_iter().enumerate() {
        family.value(&[("worker", &worker.to_string())], behind.as_secs_f64());
    }
}

fn expose_tables(exposition: &mut Exposition, edge: &EdgeState) {
    let tables = &edge.node.metrics().tables;
    let sum = |read: fn(&Tables) -> u64| tables.iter().map(read).sum::<u64>();
    let help = "What the tables of all workers hold, or held at most a second ago.";
    let mut family = exposition.family("micronotifier_table_entries", Kind::Gauge, help);
    for (table, read) in TABLES {
        family.value(&[("table", table)], sum(read));
    }
    let keys = edge.idempotency.keys(edge.clock.now());
    family.value(&[("table", "idempotency_keys")], keys);
    let mut per_worker = |name, help, read: fn(&Tables) -> u64| {
        let mut family = exposition.family(name, Kind::Gauge, help);
        for (worker, tables) in tables.iter().enumerate() {
            family.value(&[("worker", &worker.to_string())], read(tables));
        }
    };
    per_worker(
        "micronotifier_outbox_bytes",
        "Bytes of data that wait for sockets that take nothing.",
        |tables| tables.outbox_bytes.get(),
    );
    per_worker(
        "micronotifier_fullest_outbox_bytes",
        "The most bytes of data that wait for one socket that takes nothing.",
        |tables| tables.outbox_bytes_highest.get(),
    );
}

fn expose_queues(exposition: &mut Exposition, node: &NodeHandle) {
    let queues = [("events", node.event_queues()), ("commands", node.command_queues())];
    let mut family = |name, kind, help, read: fn(&Usage) -> u64| {
        let mut family = exposition.family(name, kind, help);
        for (queue, shards) in &queues {
            for (shard, usage) in shards.iter().enumerate() {
                let labels = [("queue", *queue), ("shard", &shard.to_string())];
                family.value(&labels, read(usage));
            }
        }
    };
    family(
        "micronotifier_queue_places",
        Kind::Gauge,
        "Pieces of work that a queue takes at once.",
        |usage| usage.places as u64,
    );
    family("micronotifier_queue_places_taken", Kind::Gauge, "Pieces of work under way.", |usage| {
        usage.taken as u64
    });
    family(
        "micronotifier_queue_places_taken_highest",
        Kind::Gauge,
        "The most pieces of work that were under way since the start.",
        |usage| usage.highest as u64,
    );
    family(
        "micronotifier_queue_refusals_total",
        Kind::Counter,
        "Pieces of work refused because no place was free.",
        |usage| usage.refused,
    );
}
