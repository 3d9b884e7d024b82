//! One entry of `applications`: a tenant with its keys, switches and limits.

use jiff::Timestamp;
use micronotifier_actors::config::{App, Delivery, DuplicateSubscribe, OlderCredential};
use micronotifier_actors::protocol::AppId;
use micronotifier_actors::protocol::sign::Credential;

use crate::config::Compatibility;

use super::section::Section;
use super::{limits, unbuilt};

/// Longest id and key, in characters.
const MAX_NAME: usize = 200;
/// A secret below this many characters can be guessed.
const SHORT_SECRET: usize = 16;
/// Secrets that stand in the samples of this project and of other servers, or are the first guess.
const PUBLISHED: [&str; 9] = [
    "abcdefghij",
    "donttellanybody",
    "app-secret",
    "reverb-secret",
    "7ad3773142a6692b25b8",
    "secret",
    "your-secret",
    "changeme",
    "password",
];

/// What the node's other settings mean for an application.
#[derive(Clone, Copy)]
pub(super) struct Surroundings {
    pub(super) compatibility: Compatibility,
    /// Only this machine can connect: a published secret does no harm.
    pub(super) local: bool,
}

/// Reads one application. A mistake leaves a default in its place; the report refuses the whole.
pub(super) fn read(mut keys: Section<'_>, around: Surroundings) -> App {
    let (id, alias) = names(&mut keys);
    let credential = credential(&mut keys, around);
    let mut app = App::new(&id, credential);
    app.alias = alias.as_deref().map(AppId::new);
    for (path, value) in keys.list("secrets") {
        app.older.push(older(Section::of(path, value, keys.report()), around));
    }
    app.enabled = keys.flag("enabled", app.enabled);
    app.tls_only = keys.flag("tls-only", app.tls_only);
    app.allowed_origins = origins(&mut keys);
    app.client_events = keys.flag("client-events", app.client_events);
    app.subscription_count = keys.flag("subscription-count", app.subscription_count);
    app.watchlist = keys.flag("watchlist", app.watchlist);
    app.tap_payloads = keys.flag("tap-payloads", app.tap_payloads);
    app.authorized_connections = keys.flag("authorized-connections", app.authorized_connections);
    app.duplicate_subscribe = keys.choice(
        "duplicate-subscribe",
        &[("error", DuplicateSubscribe::Error), ("succeed", DuplicateSubscribe::Succeed)],
        match around.compatibility {
            Compatibility::Soketi => DuplicateSubscribe::Succeed,
            Compatibility::None | Compatibility::MicroNotifier => app.duplicate_subscribe,
        },
    );
    app.delivery = keys.choice(
        "delivery",
        &[("ordered", Delivery::Ordered), ("fast", Delivery::Fast)],
        app.delivery,
    );
    app.limits = limits::application(keys.section("limits"), around.compatibility);
    unbuilt::of_application(&mut keys);
    keys.finish();
    app
}

/// Returns the id, and the alias where both `id` and `name` are given.
fn names(keys: &mut Section<'_>) -> (String, Option<String>) {
    let name = keys.optional_text("name");
    let id = keys.optional_text("id");
    for (key, text) in [("name", &name), ("id", &id)] {
        if let Some(text) = text {
            check_name(keys, key, text);
        }
    }
    match (id, name) {
        (Some(id), name) => {
            let alias = name.filter(|name| *name != id);
            (id, alias)
        }
        (None, Some(name)) => (name, None),
        (None, None) => {
            keys.mistake("name", "is missing: an application needs a name or an id");
            (String::new(), None)
        }
    }
}

/// Ids and keys stand in paths, and a colon ends the key in an `auth` text.
fn check_name(keys: &Section<'_>, key: &str, text: &str) {
    let plain =
        |character: char| character.is_ascii_graphic() && !r#"/?#%:\"<>&"#.contains(character);
    if text.is_empty() || text.chars().count() > MAX_NAME || !text.chars().all(plain) {
        keys.mistake(
            key,
            format!("must be 1 to {MAX_NAME} letters, digits or marks that a path may hold, without a colon"),
        );
    }
}

fn credential(keys: &mut Section<'_>, around: Surroundings) -> Credential {
    let key = keys.optional_text("key");
    match &key {
        Some(key) => check_name(keys, "key", key),
        None => keys.mistake("key", "is missing"),
    }
    let secret = keys.secret("secret");
    if let Ok(secret) = &secret {
        check_secret(keys, secret, around);
    }
    Credential::new(&key.unwrap_or_default(), &secret.unwrap_or_default())
}

fn check_secret(keys: &Section<'_>, secret: &str, around: Surroundings) {
    match secret {
        "" => keys.mistake("secret", "is missing or empty"),
        _ if PUBLISHED.contains(&secret) && around.local => {}
        _ if PUBLISHED.contains(&secret) => keys.mistake(
            "secret",
            "is published in a sample, so everybody knows it; choose another, or listen on localhost only",
        ),
        _ if secret.chars().count() < SHORT_SECRET => keys.report().warning(
            &keys.at("secret"),
            &format!("is shorter than {SHORT_SECRET} characters and can be guessed"),
        ),
        _ => {}
    }
}

fn older(mut keys: Section<'_>, around: Surroundings) -> OlderCredential {
    let credential = credential(&mut keys, around);
    let until_unix = keys.optional_text("until").and_then(|text| {
        let end = text.parse::<Timestamp>();
        match &end {
            Err(_) => keys.mistake("until", "must be a time such as 2026-12-31T00:00:00Z"),
            Ok(end) if *end < Timestamp::now() => {
                keys.report().warning(&keys.at("until"), "has passed: this key is no longer valid");
            }
            Ok(_) => {}
        }
        end.ok().map(Timestamp::as_second)
    });
    keys.finish();
    OlderCredential { credential, until_unix }
}

fn origins(keys: &mut Section<'_>) -> Vec<String> {
    let mut origins = Vec::new();
    for (path, origin) in keys.texts("allowed-origins") {
        let well_formed = origin.split_once("://").is_some_and(|(scheme, host)| {
            !scheme.is_empty() && !host.is_empty() && !host.contains(['/', ' ', '*'])
        });
        if well_formed || origin == "null" {
            origins.push(origin);
        } else {
            keys.report().mistake(
                path,
                "must be an origin such as https://example.com, without a path; an empty list allows all",
            );
        }
    }
    origins
}
