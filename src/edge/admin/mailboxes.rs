//! What is told of actors and their mailboxes, in the text format of metrics.

use micronotifier_actors::NodeHandle;
use micronotifier_actors::mailbox::{Mailbox, Mailboxes};
use micronotifier_actors::metrics::Delays;

use super::exposition::{Exposition, Kind};

/// One kind of actor, and what is counted of its mailboxes on each worker.
type OfKind<'n> = (&'static str, Vec<&'n Mailbox>);

/// What is told of the mailboxes of each kind and worker: name, kind, help, and where it is read.
type PerWorker = (&'static str, Kind, &'static str, fn(&Mailbox) -> u64);

const PER_WORKER: [PerWorker; 4] = [
    (
        "micronotifier_mailbox_depth",
        Kind::Gauge,
        "Messages that wait in mailboxes.",
        Mailbox::depth,
    ),
    (
        "micronotifier_mailbox_depth_highest",
        Kind::Gauge,
        "The most messages that ever waited in mailboxes since the start.",
        Mailbox::highest,
    ),
    (
        "micronotifier_mailbox_messages_dropped_total",
        Kind::Counter,
        "Messages that went unread when their actor ended.",
        Mailbox::dropped,
    ),
    (
        "micronotifier_mailbox_messages_undeliverable_total",
        Kind::Counter,
        "Messages that were not posted because their actor was gone.",
        Mailbox::undeliverable,
    ),
];

/// What is told of how long messages take: name, help, and where it is read.
type Timed = (&'static str, &'static str, fn(&Mailbox) -> &Delays);

const TIMED: [Timed; 2] = [
    (
        "micronotifier_mailbox_wait_seconds",
        "How long messages waited in mailboxes; one in 13 is timed.",
        Mailbox::queued,
    ),
    (
        "micronotifier_mailbox_handling_seconds",
        "How long messages took once they were taken, a fan-out to its last socket; one in 13 is timed.",
        Mailbox::handling,
    ),
];

/// Writes how actors have ended, and the metrics of all mailboxes unless those are switched off.
pub(super) fn expose(exposition: &mut Exposition, node: &NodeHandle) {
    expose_ends(exposition, node);
    let mut kinds = by_kind(node.mailboxes());
    if kinds.is_empty() {
        return;
    }
    let bridge = node.bridge().map(|bridge| ("bridge", &bridge.mail));
    let membership = node.membership_counters();
    let keepers = membership.map(|membership| ("keeper", &membership.keepers));
    let router = membership.map(|membership| ("router", &membership.router));
    for (kind, mail) in [bridge, keepers, router].into_iter().flatten() {
        kinds.extend(mail.figures().map(|mailbox| (kind, vec![mailbox])));
    }
    for (name, kind, help, read) in PER_WORKER {
        let mut family = exposition.family(name, kind, help);
        for (kind, mailboxes) in &kinds {
            for (worker, mailbox) in mailboxes.iter().enumerate() {
                let labels = [("kind", *kind), ("worker", &worker.to_string())];
                family.value(&labels, read(mailbox));
            }
        }
    }
    expose_messages(exposition, &kinds);
    for (name, help, read) in TIMED {
        let mut family = exposition.family(name, Kind::Histogram, help);
        for (kind, mailboxes) in &kinds {
            family.delays(&[("kind", *kind)], mailboxes.iter().map(|mailbox| read(mailbox)));
        }
    }
}

fn expose_messages(exposition: &mut Exposition, kinds: &[OfKind<'_>]) {
    let mut family = exposition.family(
        "micronotifier_mailbox_messages_total",
        Kind::Counter,
        "Messages taken from mailboxes, by type.",
    );
    for (kind, mailboxes) in kinds {
        let names = mailboxes.first().into_iter().flat_map(|mailbox| mailbox.handled());
        for (index, (name, _)) in names.enumerate() {
            let of =
                |mailbox: &&Mailbox| mailbox.handled().nth(index).map_or(0, |(_, count)| count);
            let count: u64 = mailboxes.iter().map(of).sum();
            family.value(&[("kind", *kind), ("message", name)], count);
        }
    }
}

fn expose_ends(exposition: &mut Exposition, node: &NodeHandle) {
    let (ended, panics) = (&node.metrics().ended, &node.metrics().panics);
    let mut family = exposition.family(
        "micronotifier_actors_ended_total",
        Kind::Counter,
        "Actors that have ended, by cause.",
    );
    for (kind, ends) in [("session", &ended.sessions), ("channel", &ended.channels)] {
        for (cause, count) in ends.by_cause() {
            family.value(&[("kind", kind), ("cause", cause)], count);
        }
    }
    let mut family = exposition.family(
        "micronotifier_actor_panics_total",
        Kind::Counter,
        "Commands, turns and tasks of actors that panicked.",
    );
    let mut told = vec![
        // a session that panics ends
        ("session", &ended.sessions.panicked),
        ("channel", &panics.channels),
        ("courier", &panics.couriers),
    ];
    told.extend(node.bridge().map(|bridge| ("bridge", &bridge.panics)));
    if let Some(membership) = node.membership_counters() {
        told.extend([
            ("keeper", &membership.keeper_panics),
            ("router", &membership.router_panics),
            ("reaper", &membership.reaper_panics),
        ]);
    }
    for (kind, count) in told {
        family.value(&[("kind", kind)], count.get());
    }
}

/// Turns what is kept by worker into what is kept by kind; nothing where it is switched off.
fn by_kind(workers: &[Mailboxes]) -> Vec<OfKind<'_>> {
    let mut kinds: Vec<OfKind<'_>> = Vec::new();
    for (index, (kind, _)) in workers.first().into_iter().flat_map(Mailboxes::by_kind).enumerate() {
        let of_kind = workers.iter().filter_map(|worker| worker.by_kind().into_iter().nth(index));
        let mailboxes: Vec<_> = of_kind.filter_map(|(_, mail)| mail.figures()).collect();
        if !mailboxes.is_empty() {
            kinds.push((kind, mailboxes));
        }
    }
    kinds
}
