//! What right values mean.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

use super::*;

#[test]
fn every_part_of_an_application_is_taken() {
    let config = load(&with_app(json!({
        "id": "7", "enabled": false, "tls-only": true, "client-events": true, "subscription-count": true,
        "watchlist": false, "authorized-connections": true, "duplicate-subscribe": "succeed", "delivery": "fast",
        "allowed-origins": ["https://example.com", "null"],
        "secrets": [{"key": "old", "secret": "fedcba9876543210", "until": "2100-01-01T00:00:00Z"}],
        "limits": {"max-connections": 5, "client-events-per-second": -1, "cache-seconds": 60},
    })))
    .unwrap()
    .config;
    let app = config.node.apps.by_id("7").unwrap();
    assert_eq!(app.alias.as_ref().unwrap().as_str(), "a");
    assert!(!app.enabled && app.tls_only && app.client_events && app.subscription_count);
    assert!(!app.watchlist && app.authorized_connections);
    assert_eq!(app.duplicate_subscribe, DuplicateSubscribe::Succeed);
    assert_eq!(app.delivery, Delivery::Fast);
    assert_eq!(app.allowed_origins, ["https://example.com", "null"]);
    assert_eq!(app.older[0].until_unix, Some(4_102_444_800));
    assert!(app.credential("old", 4_102_444_799).is_some());
    assert_eq!(app.limits.max_connections, Some(5));
    assert_eq!(app.limits.client_events_per_second, None);
    assert_eq!(app.limits.cache, Duration::from_mins(1));
}

#[test]
fn soketi_brings_its_own_defaults() {
    let mut json = with_app(json!({}));
    json["compatibility"] = json!("soketi");
    let config = load(&json).unwrap().config;
    assert_eq!(config.edge.compatibility, Compatibility::Soketi);
    assert_eq!(config.node.limits.activity_timeout, Duration::from_secs(30));
    assert_eq!(config.node.limits.pong_timeout, Duration::from_secs(30));
    let app = config.node.apps.iter().next().unwrap();
    assert_eq!(
        (app.limits.channel_name, app.limits.event_data_bytes, app.limits.presence_data_bytes),
        (200, 102_400, 2048)
    );
    assert_eq!(app.limits.client_events_per_second, None);
    assert_eq!(app.limits.cache, Duration::from_hours(1));
    // Ten events of 100 KB fit in one request.
    assert_eq!(config.http.body_bytes, 2 * 1_024_000 + 57_344);
}

#[test]
fn networks_and_listeners_are_parsed() {
    let mut json = with_app(json!({}));
    json["trusted-proxies"] = json!(["10.1.2.3/8", "::1", "0.0.0.0/0", "2001:db8::1/32"]);
    json["host"] = json!("unix:/run/mn.sock");
    json["admin-port"] = json!(0);
    let config = load(&json).unwrap().config;
    let network = |address: &str, prefix| Network { address: address.parse().unwrap(), prefix };
    assert_eq!(
        config.edge.trusted_proxies,
        [
            network("10.0.0.0", 8),
            network("::1", 128),
            network("0.0.0.0", 0),
            network("2001:db8::", 32)
        ]
    );
    assert_eq!(config.listen, Listen::Unix(PathBuf::from("/run/mn.sock")));
    assert!(config.admin.is_none());
}

#[test]
fn null_is_absent() {
    let mut json = with_app(json!({"id": null, "limits": null}));
    json["redis"] = json!(null);
    json["port"] = json!(null);
    assert!(load(&json).unwrap().unbuilt.is_empty());
}
