//! What is told of the bridge to the other nodes, in the text format of metrics.

use std::time::Duration;

use micronotifier_actors::bridge::watch::BridgeWatch;

use super::exposition::{Counted, Exposition, Kind};

const COUNTED: [Counted<BridgeWatch>; 9] = [
    (
        "micronotifier_bridge_connections_total",
        "Connections to the broker that were opened.",
        |watch| watch.connections.get(),
    ),
    ("micronotifier_bridge_events_taken_total", "Events that the broker took.", |watch| {
        watch.taken.get()
    }),
    (
        "micronotifier_bridge_events_repeated_total",
        "Events of repeated requests that the broker had taken before.",
        |watch| watch.repeated.get(),
    ),
    (
        "micronotifier_bridge_events_refused_total",
        "Events that the broker did not take, or not in time.",
        |watch| watch.refused.get(),
    ),
    (
        "micronotifier_bridge_holes_total",
        "Times that events of a channel were found missing.",
        |watch| watch.holes.get(),
    ),
    (
        "micronotifier_bridge_events_repaired_total",
        "Events that were missing and were read from the history.",
        |watch| watch.repaired.get(),
    ),
    (
        "micronotifier_bridge_events_lost_total",
        "Events that were missing and were not in the history either.",
        |watch| watch.lost.get(),
    ),
    (
        "micronotifier_bridge_epoch_changes_total",
        "Times that the order of a channel began anew: the broker restarted, failed over or forgot.",
        |watch| watch.epochs.get(),
    ),
    (
        "micronotifier_bridge_duplicates_total",
        "Messages that came twice and were delivered once.",
        |watch| watch.duplicates.get(),
    ),
];

/// Writes the metrics of the bridge.
pub(super) fn expose(exposition: &mut Exposition, watch: &BridgeWatch) {
    exposition
        .family(
            "micronotifier_bridge_whole",
            Kind::Gauge,
            "1 when events go out and come in, else 0: then the node is not ready.",
        )
        .value(&[], u8::from(watch.is_whole()));
    exposition
        .family("micronotifier_bridge_followed_channels", Kind::Gauge, "Channels followed.")
        .value(&[], watch.followed());
    exposition
        .family(
            "micronotifier_bridge_probe_seconds",
            Kind::Gauge,
            "How long the last probe took from this node through the broker to itself.",
        )
        .value(&[], Duration::from_micros(watch.probe_micros()).as_secs_f64());
    exposition
        .family(
            "micronotifier_bridge_probe_age_seconds",
            Kind::Gauge,
            "How long ago a probe came back last; of several partitions the longest.",
        )
        .value(&[], watch.probe_age().as_secs_f64());
    exposition.counters(&COUNTED, watch);
    let mut dropped = exposition.family(
        "micronotifier_bridge_messages_dropped_total",
        Kind::Counter,
        "Messages of the broker that were dropped, by cause.",
    );
    for (cause, count) in watch.dropped.by_cause() {
        dropped.value(&[("cause", cause)], count);
    }
}
