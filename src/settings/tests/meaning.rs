//! What right values mean.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

use super::*;

#[test]
fn every_part_of_an_application_is_taken() {
    let config = load(&with_app(json!({
        "id": "7", "enabled": false, "tls-only": true, "client-events": true, "subscription-count": true,
        "watchlist": false, "tap-payloads": true, "authorized-connections": true, "duplicate-subscribe": "succeed", "delivery": "fast",
        "allowed-origins": ["https://example.com", "null"],
        "secrets": [{"key": "old", "secret": "fedcba9876543210", "until": "2100-01-01T00:00:00Z"}],
        "limits": {"max-connections": 5, "client-events-per-second": -1, "cache-seconds": 60},
    })))
    .unwrap()
    .config;
    let app = config.node.apps.by_id("7").unwrap();
    assert_eq!(app.alias.as_ref().unwrap().as_str(), "a");
    assert!(!app.enabled && app.tls_only && app.client_events && app.subscription_count);
    assert!(!app.watchlist && app.authorized_connections && app.tap_payloads);
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
    let mut json = with_app(json!({"client-events": true}));
    json["compatibility"] = json!("soketi");
    let settings = load(&json).unwrap();
    assert!(settings.warnings.is_empty(), "{:?}", settings.warnings);
    let config = settings.config;
    assert_eq!(config.node.limits.frame_bytes, 262_144);
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
    let settings = load(&json).unwrap();
    assert!(settings.unbuilt.is_empty() && settings.config.redis.is_none());
}

#[test]
fn redis_is_read_whole() {
    let mut json = with_app(json!({}));
    json["redis"] = json!({
        "addresses": ["a:1", "[::1]:2"], "sentinel": true, "master": "m", "database": 3, "username": "u",
        "password": "p", "prefix": "x/", "cluster-secret": "0123456789abcdef", "repair-events": 0,
        "repair-seconds": 9, "secure": true,
    });
    let address = |host: &str, port| Address { host: host.to_owned(), port };
    let expected = RedisOptions {
        addresses: vec![address("a", 1), address("::1", 2)],
        topology: Topology::Sentinel { master: "m".to_owned() },
        database: 3,
        username: "u".to_owned(),
        password: "p".to_owned(),
        secure: true,
        authority: None,
        prefix: "x/".to_owned(),
        cluster_secret: "0123456789abcdef".to_owned(),
        repair_events: 0,
        repair_wait: Duration::from_secs(9),
    };
    assert_eq!(load(&json).unwrap().config.redis, Some(expected));
    json["redis"]["address"] = json!("b:3");
    let options = load(&json).unwrap().config.redis.unwrap();
    assert_eq!(options.addresses.len(), 3);
    assert_eq!(options.addresses[0], address("b", 3));
    json["redis"] = json!({"addresses": ["a:1", "b:2"], "cluster": true});
    let settings = load(&json).unwrap();
    assert!(settings.unbuilt.is_empty());
    let options = settings.config.redis.unwrap();
    assert_eq!((options.topology, options.addresses.len()), (Topology::Cluster, 2));
}

#[test]
fn redis_that_cannot_be_meant() {
    let cases = [
        (json!({"address": "r"}), "redis.address: must be host:port"),
        (
            json!({"address": "rediss://:p@r:1"}),
            "redis.address: must be host:port without redis://; TLS is redis.secure",
        ),
        (json!({"addresses": ["r"]}), "redis.addresses[0]: must be host:port"),
        (json!({"addresses": ["a:1", "b:2"]}), "redis.addresses: must be one server"),
        (json!({"prefix": "{a}"}), "redis.prefix: must be"),
        (json!({"sentinel": true, "cluster": true}), "redis.cluster: cannot go with sentinel"),
        (json!({"cluster": true, "database": 1}), "redis.database: must be 0 with cluster"),
        (json!({"certificate-authority": "x.pem"}), "redis.certificate-authority: needs secure"),
        (
            json!({"secure": true, "certificate-authority": "x.pem"}),
            "redis.certificate-authority: x.pem",
        ),
        (json!({"adress": "r:1"}), "redis.adress: no such key; did you mean redis.address?"),
    ];
    for (redis, expected) in cases {
        let mut json = with_app(json!({}));
        json["redis"] = redis;
        assert_mistake(load(&json), expected);
    }
    let mut json = with_app(json!({"limits": {"event-data-bytes": 250_000}}));
    json["limits"] = json!({"outbox-bytes": 1_000_000});
    assert!(load(&json).is_ok());
    json["redis"] = json!({});
    assert_mistake(load(&json), "applications[0].limits.event-data-bytes: must be at most 174080");
}
