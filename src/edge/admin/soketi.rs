//! The same numbers in soketi's names, for its dashboards (protocol section 10.1).
//!
//! Families about requests between nodes are left out: nothing here would ever raise them.

use micronotifier_actors::metrics::AppMetrics;

use super::exposition::{Exposition, Kind};
use super::figures::{self, PerApp};
use super::process::Process;
use crate::edge::EdgeState;

const PER_APP: [PerApp; 10] = [
    (
        "soketi_connected",
        Kind::Gauge,
        "The number of currently connected sockets.",
        AppMetrics::connections,
    ),
    (
        "soketi_new_connections_total",
        Kind::Counter,
        "Total amount of connection requests.",
        |app| app.connections_opened.get(),
    ),
    ("soketi_new_disconnections_total", Kind::Counter, "Total amount of disconnections.", |app| {
        app.connections_closed.get()
    }),
    (
        "soketi_socket_received_bytes",
        Kind::Counter,
        "Total amount of bytes that came from clients.",
        |app| app.received.bytes.get(),
    ),
    (
        "soketi_socket_transmitted_bytes",
        Kind::Counter,
        "Total amount of bytes that were sent to clients.",
        |app| app.sent.bytes.get(),
    ),
    (
        "soketi_ws_messages_received_total",
        Kind::Counter,
        "The total amount of WS messages received from connections by the server.",
        |app| app.received.messages.get(),
    ),
    (
        "soketi_ws_messages_sent_total",
        Kind::Counter,
        "The total amount of WS messages sent to the connections from the server.",
        |app| app.sent.messages.get(),
    ),
    (
        "soketi_http_received_bytes",
        Kind::Counter,
        "Total amount of bytes received by the HTTP API.",
        |app| app.api_request_bytes.get(),
    ),
    (
        "soketi_http_transmitted_bytes",
        Kind::Counter,
        "Total amount of bytes sent by the HTTP API.",
        |app| app.api_response_bytes.get(),
    ),
    (
        "soketi_http_calls_received_total",
        Kind::Counter,
        "Total amount of calls to the HTTP API.",
        |app| app.triggers.total() + app.queries.total(),
    ),
];

/// Writes the metrics.
pub(super) fn expose(exposition: &mut Exposition, edge: &EdgeState) {
    let apps = figures::counted(&edge.node);
    let port = edge.public.port().to_string();
    for (name, kind, help, read) in PER_APP {
        let mut family = exposition.family(name, kind, help);
        for (id, metrics) in &apps {
            family.value(&[("app_id", id), ("port", &port)], read(metrics));
        }
    }
    Process::read().expose(exposition, "soketi_");
}
