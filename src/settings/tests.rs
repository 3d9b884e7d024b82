//! What a configuration may say, what it means, and what it is told when it is wrong.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use micronotifier_actors::config::{Delivery, DuplicateSubscribe};
use micronotifier_actors::limits::{AppLimits, NodeLimits};
use serde_json::json;

use super::section::{Report, Section};
use super::{Settings, SettingsErrors, server, source};
use crate::config::{
    Compatibility, HttpConfig, Listen, LogConfig, LogFormat, Network, SocketConfig,
};

/// A directory that is gone with the test.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> Self {
        let name = format!(
            "micronotifier-settings-{}-{:016x}",
            std::process::id(),
            rand::random::<u64>()
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn load_under(text: &str, environment: &[(&str, &str)]) -> Result<Settings, SettingsErrors> {
    let scratch = Scratch::new();
    let file = scratch.file("config.json", text);
    load_file(&file, environment)
}

fn load_file(file: &Path, environment: &[(&str, &str)]) -> Result<Settings, SettingsErrors> {
    let owned = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Settings::load(Some(file), owned)
}

pub(super) fn load(json: &serde_json::Value) -> Result<Settings, SettingsErrors> {
    load_under(&json.to_string(), &[])
}

/// A configuration with one application that holds `fields` beside its key and secret.
fn with_app(fields: serde_json::Value) -> serde_json::Value {
    let mut app = json!({"name": "a", "key": "k", "secret": "0123456789abcdef"});
    let serde_json::Value::Object(fields) = fields else {
        panic!("an object");
    };
    app.as_object_mut().unwrap().extend(fields);
    json!({ "applications": [app] })
}

/// The mistakes as `place: problem`.
#[track_caller]
fn mistakes(result: Result<Settings, SettingsErrors>) -> Vec<String> {
    result
        .unwrap_err()
        .mistakes
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[track_caller]
fn assert_mistake(result: Result<Settings, SettingsErrors>, expected: &str) {
    let found = mistakes(result);
    assert!(
        found.iter().any(|mistake| mistake.starts_with(expected)),
        "{found:#?}"
    );
}

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config")
        .join(name)
}

// === Samples ===

#[test]
fn without_a_file_the_development_configuration_is_local() {
    let settings = Settings::load(None, std::iter::empty()).unwrap();
    let config = settings.config;
    assert_eq!(
        config.listen,
        Listen::Tcp {
            host: "127.0.0.1".to_owned(),
            port: 8111
        }
    );
    let admin = config.admin.unwrap();
    assert_eq!((admin.host.as_str(), admin.port), ("127.0.0.1", 9111));
    let app = config.node.apps.by_id("1").unwrap();
    assert_eq!(app.alias.as_ref().unwrap().as_str(), "testapp");
    assert_eq!(app.credential.key(), "1234567890");
    assert!(app.client_events);
    assert!(config.node.apps.by_id("testapp").is_some());
    assert!(settings.warnings.is_empty() && settings.unbuilt.is_empty());
}

#[test]
fn micronotifier_files_load_unchanged() {
    let settings = load_file(&sample("sample.json"), &[]).unwrap();
    let ids: Vec<&str> = settings
        .config
        .node
        .apps
        .iter()
        .map(|app| app.id.as_str())
        .collect();
    assert_eq!(ids, ["testapp", "testapp2"]);
    assert!(
        settings
            .config
            .node
            .apps
            .iter()
            .all(|app| app.alias.is_none())
    );

    let with_redis = json!({
        "host": "localhost", "port": 8150,
        "applications": [{"name": "testapp", "key": "1234567890", "secret": "abcdefghij"}],
        "redis": {"address": "localhost:6379", "database": 0, "password": "", "sentinel": false, "secure": false},
    });
    assert_eq!(load(&with_redis).unwrap().unbuilt, ["redis"]);
}

#[test]
fn the_secure_sample_needs_its_two_files() {
    let found = mistakes(load_file(&sample("sample-secure.json"), &[]));
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(
        found[0].starts_with("certificate: cert.pem cannot be opened"),
        "{found:#?}"
    );
    assert!(
        found[1].starts_with("private-key: key.pem cannot be opened"),
        "{found:#?}"
    );

    let scratch = Scratch::new();
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = scratch.file("cert.pem", &pair.cert.pem());
    let key = scratch.file("key.pem", &pair.signing_key.serialize_pem());
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    let swapped = [
        ("MICRONOTIFIER__CERTIFICATE", key),
        ("MICRONOTIFIER__PRIVATE_KEY", certificate),
    ];
    let found = mistakes(load_file(&sample("sample-secure.json"), &swapped));
    assert!(
        found[0].ends_with("holds no certificate in PEM form"),
        "{found:#?}"
    );
    let right = [
        ("MICRONOTIFIER__CERTIFICATE", certificate),
        ("MICRONOTIFIER__PRIVATE_KEY", key),
    ];
    let tls = load_file(&sample("sample-secure.json"), &right)
        .unwrap()
        .config
        .tls
        .unwrap();
    assert_eq!(tls.certificate, Path::new(certificate));
    assert_eq!(tls.private_key, Path::new(key));
}

#[test]
fn the_full_file_says_the_defaults() {
    let full = load_file(&sample("full.json"), &[]).unwrap();
    assert!(full.unbuilt.is_empty() && full.warnings.is_empty());
    let least = json!({"applications": [
        {"name": "testapp", "id": "1", "key": "1234567890", "secret": "abcdefghij"}
    ]});
    let (full, least) = (full.config, load(&least).unwrap().config);
    assert_eq!(full.node.limits, NodeLimits::default());
    assert_eq!(full.node.workers, least.node.workers);
    let apps = |config: &crate::config::ServerConfig| {
        format!("{:?}", config.node.apps.iter().collect::<Vec<_>>())
    };
    assert_eq!(apps(&full), apps(&least));
    assert_eq!(
        full.node.apps.by_id("1").unwrap().limits,
        AppLimits::default()
    );
    assert_eq!(
        (&full.listen, &full.admin, full.tls.is_none()),
        (&least.listen, &least.admin, true)
    );
    assert_eq!(full.socket, SocketConfig::default());
    assert_eq!(full.http, HttpConfig::default());
    assert_eq!(full.log, LogConfig::default());
    assert_eq!(format!("{:?}", full.edge), format!("{:?}", least.edge));
}

/// Every key that the loader asks for, with everything present that has keys of its own.
pub(super) fn known_keys() -> Vec<String> {
    let everything = json!({
        "applications": [{"secrets": [{}], "webhooks": [{}], "history": {}}],
        "redis": {},
    });
    let scratch = Scratch::new();
    let file = scratch.file("config.json", &everything.to_string());
    let report = Report::default();
    let entries = source::read(Some(&file), std::iter::empty(), &report).unwrap();
    server::read(Section::new(String::new(), entries, &report));
    report.known().into_iter().collect()
}

#[test]
fn every_key_is_in_the_full_file_and_in_the_documentation() {
    let manual =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md"))
            .unwrap();
    let full: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(sample("full.json")).unwrap()).unwrap();
    // What asks for parts that are not built, and the other ways to give a secret.
    let not_in_full = |key: &str| {
        key.starts_with("redis")
            || key.contains("history")
            || key.contains("secrets[]")
            || key.contains("webhooks[]")
            || key.ends_with("-file")
            || ["drain-seconds", "applications[].client-ttl"].contains(&key)
    };
    let keys = known_keys();
    assert!(keys.len() > 80, "{keys:#?}");
    for key in &keys {
        assert!(
            manual.contains(&format!("`{key}`")),
            "docs/configuration.md lacks {key}"
        );
        let pointer = format!("/{}", key.replace("[]", ".0").replace('.', "/"));
        assert!(
            not_in_full(key) || full.pointer(&pointer).is_some(),
            "full.json lacks {key}"
        );
    }
}

// === Meaning ===

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
    assert_eq!(app.limits.cache, Duration::from_secs(60));
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
        (
            app.limits.channel_name,
            app.limits.event_data_bytes,
            app.limits.presence_data_bytes
        ),
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
    let network = |address: &str, prefix| Network {
        address: address.parse().unwrap(),
        prefix,
    };
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

// === Environment ===

#[test]
fn the_environment_overrides_every_kind_of_value() {
    let settings = load_under(
        &with_app(json!({})).to_string(),
        &[
            ("MICRONOTIFIER__HOST", "::1"),
            ("MICRONOTIFIER__PORT", "8222"),
            ("MICRONOTIFIER__LIMITS__OUTBOX_BYTES", "524288"),
            ("MICRONOTIFIER__LIMITS__MAX_CONNECTIONS_PER_ADDRESS", "-1"),
            ("MICRONOTIFIER__LOG__FORMAT", "json"),
            ("MICRONOTIFIER__TRUSTED_PROXIES", r#"["10.0.0.0/8"]"#),
            (
                "MICRONOTIFIER__APPLICATIONS",
                r#"[{"name":"b","key":"q","secret":"0012000000000000","client-events":true}]"#,
            ),
            ("MICRONOTIFIER_LOG", "not ours"),
            ("PATH", "/bin"),
        ],
    );
    let config = settings.unwrap().config;
    assert_eq!(
        config.listen,
        Listen::Tcp {
            host: "::1".to_owned(),
            port: 8222
        }
    );
    assert_eq!(config.node.limits.outbox_bytes, 524_288);
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.edge.trusted_proxies.len(), 1);
    let app = config.node.apps.by_id("b").unwrap();
    assert!(app.client_events);
    assert!(config.node.apps.by_id("a").is_none());
}

#[test]
fn a_secret_of_digits_stays_a_text() {
    let scratch = Scratch::new();
    let digits = scratch.file("token", "00120000000000001e3\r\n");
    let settings = load_under(
        &with_app(json!({})).to_string(),
        &[("MICRONOTIFIER__ADMIN_TOKEN_FILE", digits.to_str().unwrap())],
    );
    assert_eq!(
        settings.unwrap().config.admin.unwrap().token,
        "00120000000000001e3"
    );
    let settings = load_under(
        &with_app(json!({})).to_string(),
        &[("MICRONOTIFIER__ADMIN_TOKEN", "0012000000000000")],
    );
    assert_eq!(
        settings.unwrap().config.admin.unwrap().token,
        "0012000000000000"
    );
}

#[test]
fn files_hold_secrets_and_applications() {
    let scratch = Scratch::new();
    let secret = scratch.file("secret", "9876543210fedcba\n");
    let apps = json!([{"name": "a", "key": "k", "secret-file": secret}]);
    let list = scratch.file("apps.json", &apps.to_string());
    let text = b"1.1:private-a".as_slice();
    let expected =
        micronotifier_actors::protocol::sign::Credential::new("k", "9876543210fedcba").sign(text);
    let list = list.to_str().unwrap();
    for json in [
        json!({"applications": apps}),
        json!({"applications-file": list}),
    ] {
        let config = load(&json).unwrap().config;
        assert_eq!(
            config.node.apps.by_id("a").unwrap().credential.sign(text),
            expected
        );
    }
    // The environment's file goes over the file's list.
    let over = [("MICRONOTIFIER__APPLICATIONS_FILE", list)];
    let config = load_under(
        r#"{"applications": [{"name":"z","key":"z","secret":"z"}]}"#,
        &over,
    );
    assert!(config.unwrap().config.node.apps.by_id("a").is_some());

    let both = json!({"admin-token": "x", "admin-token-file": secret});
    assert_mistake(
        load(&both),
        "admin-token-file: give admin-token or admin-token-file, not both",
    );
    let missing = json!({"admin-token-file": "/nonexistent/token"});
    assert_mistake(
        load(&missing),
        "admin-token-file: /nonexistent/token cannot be opened",
    );
}

#[test]
fn mistakes_of_the_environment_name_the_variable() {
    let environment = [
        ("MICRONOTIFIER__PORT", "many"),
        ("MICRONOTIFIER__PROT", "1"),
        ("MICRONOTIFIER__LIMITS__FRAME_BYTES", "1e3"),
        ("MICRONOTIFIER__TRUSTED_PROXIES", "10.0.0.0/8"),
        ("MICRONOTIFIER__APPLICATIONS__0__SECRET", "x"),
        ("MICRONOTIFIER__A[99999999999]", "x"),
    ];
    let found = mistakes(load_under("{}", &environment));
    for expected in [
        "port: must be a whole number from 0 to 65535, not \"many\" (from MICRONOTIFIER__PORT)",
        "prot: no such key; did you mean port?",
        "limits.frame-bytes: must be a whole number",
        "trusted-proxies: not valid JSON: ",
        "MICRONOTIFIER__APPLICATIONS__0__SECRET: no key has such a name",
        "MICRONOTIFIER__A[99999999999]: no key has such a name",
    ] {
        assert!(
            found.iter().any(|mistake| mistake.starts_with(expected)),
            "{expected}: {found:#?}"
        );
    }
    assert_eq!(found.len(), environment.len(), "{found:#?}");
}

// === Mistakes ===

#[test]
fn all_mistakes_come_at_once_each_with_its_key() {
    let json = json!({
        "port": 70_000, "activity-timeout": "long", "pong-timeout": 200, "admin-host": "0.0.0.0",
        "compatibility": "poxa", "path-prefix": "push/", "certificate": "/nonexistent/cert.pem",
        "frame-bytes": 1, "trusted-proxies": ["10.0.0.0/33"], "log": {"level": 3}, "workers": 1.5,
        "applications": [
            {"name": "a", "key": "k", "secret": "0123456789abcdef", "limits": {"channel-name": 0, "eventName": 3}},
            {"name": "a", "key": "k", "secret": "", "allowed-origins": ["https://a.com/path", "*"], "maxConnections": 3},
            {"id": "x/y", "key": "with:colon", "secret": 7, "secrets": [{"until": "soon"}]},
            3,
        ],
    });
    let found = mistakes(load(&json));
    for expected in [
        "port: must be a whole number from 0 to 65535, not 70000",
        "activity-timeout: must be a whole number from 1 to 86400, not \"long\"",
        "pong-timeout: must not be longer than activity-timeout",
        "admin-token: is missing",
        "compatibility: must be one of none, micronotifier, soketi, not \"poxa\"",
        "path-prefix: must be empty or like /prefix",
        "certificate: /nonexistent/cert.pem cannot be opened",
        "private-key: is missing",
        "frame-bytes: no such key; did you mean limits.frame-bytes?",
        "trusted-proxies[0]: must be an address or a network",
        "log.level: must be one of off, error",
        "workers: must be a whole number from 0 to 1024, not a number with a fraction",
        "applications[0].limits.channel-name: must be a whole number from 1 to 4096, not 0",
        "applications[0].limits.eventName: no such key; did you mean applications[0].limits.event-name?",
        "applications[1]: id or name \"a\" is taken by applications[0]",
        "applications[1]: key \"k\" is taken by applications[0]",
        "applications[1].secret: is missing or empty",
        "applications[1].allowed-origins[0]: must be an origin",
        "applications[1].allowed-origins[1]: must be an origin",
        "applications[1].maxConnections: no such key",
        "applications[2].id: must be",
        "applications[2].key: must be",
        "applications[2].secret: must be a text, not a number",
        "applications[2].secrets[0].key: is missing",
        "applications[2].secrets[0].secret: is missing or empty",
        "applications[2].secrets[0].until: must be a time",
        "applications[3]: must be an object, not a number",
    ] {
        assert!(
            found.iter().any(|mistake| mistake.starts_with(expected)),
            "{expected}: {found:#?}"
        );
    }
}

#[test]
fn limits_must_fit_each_other() {
    let json = with_app(json!({"limits": {"event-data-bytes": 300_000}}));
    assert_mistake(load(&json), "limits.outbox-bytes: must be at least 304096");
    let mut json = with_app(json!({}));
    json["http"] = json!({"body-bytes": 4096});
    assert_mistake(load(&json), "http.body-bytes: must be at least 14336");
    let mut json = with_app(json!({}));
    json["admin-port"] = json!(8111);
    assert_mistake(
        load(&json),
        "admin-port: must not be the port of the public listener",
    );
    // A shorter activity timeout alone takes the pong timeout with it.
    let mut json = with_app(json!({}));
    json["activity-timeout"] = json!(5);
    assert_eq!(
        load(&json).unwrap().config.node.limits.pong_timeout,
        Duration::from_secs(5)
    );
}

#[test]
fn published_secrets_are_for_this_machine_alone() {
    for secret in [
        "abcdefghij",
        "donttellanybody",
        "app-secret",
        "reverb-secret",
    ] {
        let mut json = with_app(json!({ "secret": secret }));
        assert!(load(&json).unwrap().warnings.is_empty());
        json["host"] = json!("0.0.0.0");
        assert_mistake(
            load(&json),
            "applications[0].secret: is published in a sample",
        );
        json["host"] = json!("");
        assert_mistake(
            load(&json),
            "applications[0].secret: is published in a sample",
        );
    }
    let short = load(&with_app(json!({"secret": "notpublished"}))).unwrap();
    assert_eq!(
        short.warnings,
        ["applications[0].secret: is shorter than 16 characters and can be guessed"]
    );
}

#[test]
fn syntax_errors_have_line_and_column() {
    let found = mistakes(load_under("{\n  \"port\": ,\n}", &[]));
    assert_eq!(found.len(), 1);
    assert!(
        found[0].contains("config.json:2:11: not valid JSON: expected value"),
        "{found:?}"
    );
    assert!(mistakes(load_under("[]", &[]))[0].ends_with("must be a JSON object"));
    let deep = format!("{{\"a\":{}", "[".repeat(100_000));
    assert!(mistakes(load_under(&deep, &[]))[0].contains("recursion limit"));
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(5_000_000));
    assert!(mistakes(load_under(&large, &[]))[0].contains("is larger than"));
    assert!(
        mistakes(load_file(Path::new("/nonexistent.json"), &[]))[0].contains("cannot be opened")
    );
    assert!(!mistakes(load_under("{\"a.b\": 1, \"c[99999999]\": 1}", &[])).is_empty());
}

#[test]
fn keys_of_parts_not_built_are_checked_and_named() {
    let mut json = with_app(json!({
        "positions": true, "client-ttl": 120, "history": {"events": 10},
        "webhooks": [{"url": "https://example.com", "events": ["channel_occupied"], "headers": {"X-A": "b"}}],
    }));
    json["drain-seconds"] = json!(20);
    json["redis"] = json!({"address": "r:6379", "password": "p"});
    let mut unbuilt = load(&json).unwrap().unbuilt;
    unbuilt.sort();
    assert_eq!(
        unbuilt,
        [
            "applications[0].client-ttl",
            "applications[0].history",
            "applications[0].positions",
            "applications[0].webhooks",
            "drain-seconds",
            "redis",
        ]
    );
    let nothing = with_app(json!({"positions": false, "webhooks": []}));
    assert!(load(&nothing).unwrap().unbuilt.is_empty());
    json["redis"] = json!({"address": "r", "adress": 1});
    json["applications"][0]["webhooks"][0]["events"] = json!(["occupied"]);
    let found = mistakes(load(&json));
    assert_eq!(found.len(), 3, "{found:#?}");
}

#[test]
fn no_secret_shows_in_debug_output_or_in_mistakes() {
    let secret = "SuperSecret1234567890";
    let mut json =
        with_app(json!({ "secret": secret, "secrets": [{"key": "o", "secret": secret}] }));
    json["admin-token"] = json!(secret);
    json["redis"] = json!({ "password": secret, "cluster-secret": secret });
    let shown = format!("{:?}", load(&json).unwrap());
    assert!(!shown.contains("SuperSecret"), "{shown}");
    json["applications"][0]["secret"] = json!([secret]);
    json["admin-token"] = json!({ "x": secret });
    json["redis"] = json!({ "password": [secret] });
    json["port"] = json!(-1);
    let errors = load(&json).unwrap_err();
    let shown = format!("{errors} {errors:?}");
    assert!(!shown.contains("SuperSecret"), "{shown}");
}
