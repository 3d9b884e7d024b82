//! Keys of parts that are not built yet: checked like all others, and named so that the server refuses them.

use std::ops::RangeInclusive;

use super::section::Section;

const DAY: RangeInclusive<i64> = 1..=86_400;

/// The events a webhook may ask for (protocol section 7.2).
const WEBHOOK_EVENTS: [&str; 7] = [
    "channel_occupied",
    "channel_vacated",
    "member_added",
    "member_removed",
    "client_event",
    "cache_miss",
    "subscription_count",
];

/// Reads the node's own: `drain-seconds`.
pub(super) fn of_node(keys: &mut Section<'_>) {
    if keys.has("drain-seconds") {
        keys.unbuilt("drain-seconds");
    }
    keys.number("drain-seconds", &(0..=3600), 20_u64);
}

/// Reads an application's: `positions`, `client-ttl`, `history`, `webhooks`.
pub(super) fn of_application(keys: &mut Section<'_>) {
    if keys.flag("positions", false) {
        keys.unbuilt("positions");
    }
    if keys.has("client-ttl") {
        keys.unbuilt("client-ttl");
    }
    keys.number("client-ttl", &DAY, 120_u64);
    if keys.has("history") {
        keys.unbuilt("history");
    }
    let mut history = keys.section("history");
    history.number("events", &(1..=1_000_000), 100_u64);
    history.number("bytes", &(1024..=1 << 30), 1_048_576_u64);
    history.number("seconds", &DAY, 120_u64);
    history.finish();
    let webhooks = keys.list("webhooks");
    if !webhooks.is_empty() {
        keys.unbuilt("webhooks");
    }
    for (path, value) in webhooks {
        read_webhook(Section::of(path, value, keys.report()));
    }
}

fn read_webhook(mut keys: Section<'_>) {
    match keys.optional_text("url") {
        Some(url) if url.starts_with("https://") || url.starts_with("http://") => {}
        Some(_) => keys.mistake("url", "must start with https:// or http://"),
        None => keys.mistake("url", "is missing"),
    }
    for (path, event) in keys.texts("events") {
        if !WEBHOOK_EVENTS.contains(&event.as_str()) {
            let known = WEBHOOK_EVENTS.join(", ");
            keys.report().mistake(path, format!("must be one of {known}"));
        }
    }
    keys.optional_text("channel-prefix");
    keys.pairs("headers");
    keys.finish();
}
