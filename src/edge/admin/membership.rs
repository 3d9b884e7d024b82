//! What is told of who is where over all nodes, in the text format of metrics.

use micronotifier_actors::membership::counters::Counters;

use super::exposition::{Counted, Exposition, Kind};

const COUNTED: [Counted<Counters>; 6] = [
    (
        "micronotifier_membership_told_total",
        "Numbers of connections and subscriptions that the broker was told.",
        |counters| counters.told.get(),
    ),
    (
        "micronotifier_membership_failures_total",
        "Commands that the broker refused or that got no answer.",
        |counters| counters.failures.get(),
    ),
    (
        "micronotifier_membership_incarnations_total",
        "Times that this node registered all again under a new name.",
        |counters| counters.incarnations.get(),
    ),
    (
        "micronotifier_membership_declared_dead_total",
        "Nodes that this one declared dead.",
        |counters| counters.declared_dead.get(),
    ),
    ("micronotifier_membership_reaped_total", "Dead nodes that this one cleared.", |counters| {
        counters.reaped.get()
    }),
    (
        "micronotifier_membership_users_expired_total",
        "Members who went with a dead node that this one cleared.",
        |counters| counters.users_expired.get(),
    ),
];

/// Writes the metrics of the membership.
pub(super) fn expose(exposition: &mut Exposition, is_there: bool, counters: &Counters) {
    exposition
        .family(
            "micronotifier_membership_reachable",
            Kind::Gauge,
            "1 when who is where can be shared with the other nodes, else 0: then the node is not ready.",
        )
        .value(&[], u8::from(is_there));
    exposition
        .family(
            "micronotifier_membership_lease_age_seconds",
            Kind::Gauge,
            "How long ago the broker last heard that this node lives; of several partitions the longest.",
        )
        .value(&[], counters.lease_age().as_secs_f64());
    exposition.counters(&COUNTED, counters);
}
