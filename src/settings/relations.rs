//! What must hold between keys: limits that fit each other, names that are one application's alone.

use std::collections::HashMap;

use micronotifier_actors::bridge::wire;
use micronotifier_actors::config::App;
use micronotifier_actors::limits::NodeLimits;

use crate::config::{AdminConfig, HttpConfig, Listen};

use super::section::Section;
use super::server::MAX_BODY_BYTES;

/// What an event's frame or request holds beside its data, in bytes.
const ENVELOPE_BYTES: usize = 4096;
/// What a request holds beside a full batch, in bytes.
const BATCH_SLACK_BYTES: usize = 56 * 1024;

/// Returns the body size that takes every application's full batch, its data escaped to twice its size.
pub(super) fn body_bytes_for(apps: &[App]) -> usize {
    apps.iter()
        .map(|app| {
            let batch = app.limits.events_per_batch.saturating_mul(app.limits.event_data_bytes);
            batch.saturating_mul(2).saturating_add(BATCH_SLACK_BYTES)
        })
        .max()
        .unwrap_or(0)
        .clamp(HttpConfig::default().body_bytes, MAX_BODY_BYTES)
}

/// Notes what does not fit together.
pub(super) fn check(keys: &Section<'_>, apps: &[App], limits: &NodeLimits, http: &HttpConfig) {
    if limits.pong_timeout > limits.activity_timeout {
        keys.mistake("pong-timeout", "must not be longer than activity-timeout");
    }
    if apps.is_empty() {
        keys.report().warning("applications", "are none: nobody can connect");
    }
    for (index, app) in apps.iter().enumerate() {
        let path = format!("applications[{index}].limits.event-data-bytes");
        let with_envelope = app.limits.event_data_bytes.saturating_add(ENVELOPE_BYTES);
        if with_envelope > limits.outbox_bytes {
            keys.mistake(
                "limits.outbox-bytes",
                format!("must be at least {with_envelope}: {path} and {ENVELOPE_BYTES} for the frame around it"),
            );
        }
        if with_envelope > http.body_bytes {
            keys.mistake(
                "http.body-bytes",
                format!("must be at least {with_envelope}: {path} and {ENVELOPE_BYTES} for the request around it"),
            );
        }
        if app.client_events && app.limits.event_data_bytes > limits.frame_bytes {
            keys.report().warning(
                &path,
                "is more than limits.frame-bytes: client events of that size close the connection (1009)",
            );
        }
    }
    check_unique(keys, apps);
}

/// What nodes tell each other of an event must fit one envelope, its data escaped to six times its size.
pub(super) fn check_envelopes(keys: &Section<'_>, apps: &[App]) {
    let most = (wire::MAX_BYTES - ENVELOPE_BYTES) / 6;
    for (index, app) in apps.iter().enumerate() {
        if app.limits.event_data_bytes > most {
            keys.mistake(
                &format!("applications[{index}].limits.event-data-bytes"),
                format!("must be at most {most} where nodes share a redis"),
            );
        }
    }
}

/// Ids with aliases, and keys with older keys, each name one application.
fn check_unique(keys: &Section<'_>, apps: &[App]) {
    let mut ids = HashMap::new();
    let mut app_keys = HashMap::new();
    for (index, app) in apps.iter().enumerate() {
        let at = format!("applications[{index}]");
        for id in [Some(&app.id), app.alias.as_ref()].into_iter().flatten() {
            if let Some(first) = ids.insert(id.as_str(), index)
                && !id.as_str().is_empty()
            {
                keys.mistake(
                    &at,
                    format!("id or name {:?} is taken by applications[{first}]", id.as_str()),
                );
            }
        }
        let older = app.older.iter().map(|older| &older.credential);
        for credential in std::iter::once(&app.credential).chain(older) {
            if let Some(first) = app_keys.insert(credential.key(), index)
                && !credential.key().is_empty()
            {
                keys.mistake(
                    &at,
                    format!("key {:?} is taken by applications[{first}]", credential.key()),
                );
            }
        }
    }
}

/// Both listeners cannot have one port of one host.
pub(super) fn check_listeners(keys: &Section<'_>, public: &Listen, admin: Option<&AdminConfig>) {
    let (Listen::Tcp { host, port }, Some(admin)) = (public, admin) else {
        return;
    };
    let everywhere = |host: &str| matches!(host, "0.0.0.0" | "::");
    let same_host = *host == admin.host
        || everywhere(host)
        || everywhere(&admin.host)
        || (crate::config::is_loopback(host) && crate::config::is_loopback(&admin.host));
    if *port == admin.port && same_host {
        keys.mistake("admin-port", "must not be the port of the public listener");
    }
}
