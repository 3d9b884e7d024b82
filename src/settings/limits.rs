//! The keys of `limits`: of the node and of an application, each with its range.

use std::ops::RangeInclusive;
use std::time::Duration;

use micronotifier_actors::limits::{AppLimits, NodeLimits};

use crate::config::Compatibility;

use super::section::Section;

/// Any number of connections, events or commands that a machine can hold.
const COUNT: RangeInclusive<i64> = 1..=10_000_000;
/// Any rate in a second.
const RATE: RangeInclusive<i64> = 1..=1_000_000;
/// Lengths of names, in characters.
const NAME: RangeInclusive<i64> = 1..=4096;
/// Sizes of one message, in bytes.
const MESSAGE_BYTES: RangeInclusive<i64> = 256..=16 * 1024 * 1024;
const HOUR: RangeInclusive<i64> = 1..=3600;

/// Returns what a node has where nothing is said. soketi's frames have room for its events, their data escaped to twice
/// its size.
pub(super) fn node_defaults(compatibility: Compatibility) -> NodeLimits {
    let own = NodeLimits::default();
    match compatibility {
        Compatibility::None | Compatibility::MicroNotifier => own,
        Compatibility::Soketi => {
            NodeLimits { activity_timeout: Duration::from_secs(30), frame_bytes: 256 * 1024, ..own }
        }
    }
}

/// Reads `limits` of the node; the timeouts of sessions stand beside it and come with the defaults.
pub(super) fn node(mut keys: Section<'_>, defaults: &NodeLimits) -> NodeLimits {
    let limits = NodeLimits {
        max_connections: keys.limit("max-connections", &COUNT, defaults.max_connections),
        max_connections_per_address: keys.limit(
            "max-connections-per-address",
            &COUNT,
            defaults.max_connections_per_address,
        ),
        handshakes_per_second: keys.limit(
            "handshakes-per-second",
            &RATE,
            defaults.handshakes_per_second,
        ),
        frame_bytes: keys.number("frame-bytes", &MESSAGE_BYTES, defaults.frame_bytes),
        fragments: keys.number("fragments", &(1..=65_536), defaults.fragments),
        outbox_bytes: keys.number("outbox-bytes", &(1024..=1 << 30), defaults.outbox_bytes),
        outbox_wait: keys.seconds("outbox-seconds", &HOUR, defaults.outbox_wait),
        channels_per_connection: keys.number(
            "channels-per-connection",
            &(1..=1_000_000),
            defaults.channels_per_connection,
        ),
        commands_per_connection: keys.number(
            "commands-per-connection",
            &(1..=65_536),
            defaults.commands_per_connection,
        ),
        commands_per_second: keys.number(
            "commands-per-second",
            &RATE,
            defaults.commands_per_second,
        ),
        errors_per_ten_seconds: keys.number(
            "errors-per-ten-seconds",
            &RATE,
            defaults.errors_per_ten_seconds,
        ),
        control_frames_per_second: keys.number(
            "control-frames-per-second",
            &RATE,
            defaults.control_frames_per_second,
        ),
        events_in_flight: keys.number("events-in-flight", &COUNT, defaults.events_in_flight),
        commands_in_flight: keys.number("commands-in-flight", &COUNT, defaults.commands_in_flight),
        ask: keys.seconds("ask-seconds", &(1..=60), defaults.ask),
        join: keys.seconds("join-seconds", &HOUR, defaults.join),
        frame_wait: keys.seconds("frame-seconds", &HOUR, defaults.frame_wait),
        close_wait: keys.seconds("close-seconds", &(1..=60), defaults.close_wait),
        offline_delay: keys.seconds("offline-seconds", &(0..=3600), defaults.offline_delay),
        ..defaults.clone()
    };
    keys.finish();
    limits
}

/// Reads `applications[].limits`.
pub(super) fn application(mut keys: Section<'_>, compatibility: Compatibility) -> AppLimits {
    let defaults = application_defaults(compatibility);
    let limits = AppLimits {
        max_connections: keys.limit("max-connections", &COUNT, defaults.max_connections),
        channel_name: keys.number("channel-name", &NAME, defaults.channel_name),
        event_name: keys.number("event-name", &NAME, defaults.event_name),
        event_data_bytes: keys.number(
            "event-data-bytes",
            &MESSAGE_BYTES,
            defaults.event_data_bytes,
        ),
        channels_per_event: keys.number(
            "channels-per-event",
            &(1..=10_000),
            defaults.channels_per_event,
        ),
        events_per_batch: keys.number("events-per-batch", &(1..=10_000), defaults.events_per_batch),
        presence_members: keys.number(
            "presence-members",
            &(1..=100_000),
            defaults.presence_members,
        ),
        presence_data_bytes: keys.number(
            "presence-data-bytes",
            &(16..=1024 * 1024),
            defaults.presence_data_bytes,
        ),
        client_events_per_second: keys.limit(
            "client-events-per-second",
            &RATE,
            defaults.client_events_per_second,
        ),
        backend_events_per_second: keys.limit(
            "backend-events-per-second",
            &RATE,
            defaults.backend_events_per_second,
        ),
        read_requests_per_second: keys.limit(
            "read-requests-per-second",
            &RATE,
            defaults.read_requests_per_second,
        ),
        cache: keys.seconds("cache-seconds", &(1..=30 * 86_400), defaults.cache),
        watchlist: keys.number("watchlist", &(0..=100_000), defaults.watchlist),
    };
    keys.finish();
    limits
}

/// Hosted Pusher's limits, or soketi's where it has others (protocol section 0.4).
fn application_defaults(compatibility: Compatibility) -> AppLimits {
    let hosted = AppLimits::default();
    match compatibility {
        Compatibility::None | Compatibility::MicroNotifier => hosted,
        Compatibility::Soketi => AppLimits {
            channel_name: 200,
            event_data_bytes: 100 * 1024,
            presence_data_bytes: 2 * 1024,
            client_events_per_second: None,
            cache: Duration::from_hours(1),
            ..hosted
        },
    }
}
