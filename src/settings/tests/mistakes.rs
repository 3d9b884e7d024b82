//! What is said of wrong values.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

use super::*;

#[test]
fn all_mistakes_come_at_once_each_with_its_key() {
    let json = json!({
        "port": 70_000, "activity-timeout": "long", "pong-timeout": 200, "admin-host": "0.0.0.0",
        "compatibility": "poxa", "path-prefix": "push/", "certificate": "/nonexistent/cert.pem",
        "frame-bytes": 1, "trusted-proxies": ["10.0.0.0/33"], "log": {"level": 3}, "workers": 1.5, "appManager": {},
        "applications": [
            {"name": "a", "key": "k", "secret": "0123456789abcdef", "limits": {"channel-name": 0, "eventName": 3}},
            {"name": "a", "key": "k", "secret": "", "allowed-origins": ["https://a.com/path", "*"], "maxConnections": 3, "enableClientMessages": true},
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
        "applications[1].maxConnections: no such key; here it is limits.max-connections",
        "applications[1].enableClientMessages: no such key; here it is client-events",
        "appManager: no such key; here it is applications",
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
fn a_key_that_stands_twice_is_named() {
    let twice = r#"{"port": 1, "port": 2, "applications": [{"name":"a","key":"k","secret":"0123456789abcdef","limits":
        {"channel-name": 9, "channel-name": 9}}], "log": {"level": "off"}, "log": {}}"#;
    let expected = ["port", "applications[0].limits.channel-name", "log"]
        .map(|key| format!("{key}: stands twice in one object"));
    assert_eq!(mistakes(load_under(twice, &[])), expected);
    let apps = r#"[{"name":"a","name":"b","key":"k","secret":"0123456789abcdef"}]"#;
    let expected = ["applications[0].name: stands twice in one object"];
    let over = [("MICRONOTIFIER__APPLICATIONS", apps)];
    assert_eq!(mistakes(load_under("{}", &over)), expected);
    let scratch = Scratch::new();
    let file = scratch.file("apps.json", apps);
    assert_eq!(mistakes(load(&json!({ "applications-file": file }))), expected);
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
    assert_mistake(load(&json), "admin-port: must not be the port of the public listener");
    // A shorter activity timeout alone takes the pong timeout with it.
    let mut json = with_app(json!({}));
    json["activity-timeout"] = json!(5);
    assert_eq!(load(&json).unwrap().config.node.limits.pong_timeout, Duration::from_secs(5));
}

#[test]
fn of_a_secret_that_cannot_be_read_one_thing_is_said() {
    let scratch = Scratch::new();
    let empty = scratch.file("empty", "\n");
    for (secret, expected) in [
        (json!({"secret-file": "/nonexistent/x"}), "secret-file: /nonexistent/x cannot be opened"),
        (json!({ "secret-file": empty }), "secret-file: "),
        (json!({"secret-file": 3}), "secret-file: must be a path"),
        (json!({"secret": "of its own", "secret-file": 3}), "secret-file: must be a path"),
        (json!({"secret": 3}), "secret: must be a text, not a number"),
        (json!({}), "secret: is missing or empty"),
    ] {
        let mut app = json!({"name": "a", "key": "k"});
        app.as_object_mut().unwrap().extend(secret.as_object().unwrap().clone());
        let found = mistakes(load(&json!({ "applications": [app] })));
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].starts_with(&format!("applications[0].{expected}")), "{found:#?}");
    }
    let admin = json!({"admin-host": "0.0.0.0", "admin-token-file": "/nonexistent/x"});
    assert_eq!(mistakes(load(&admin)).len(), 1);
}

#[test]
fn published_secrets_are_for_this_machine_alone() {
    for secret in ["abcdefghij", "donttellanybody", "app-secret", "reverb-secret"] {
        let mut json = with_app(json!({ "secret": secret }));
        assert!(load(&json).unwrap().warnings.is_empty());
        for host in ["0.0.0.0", "", "unix:/run/mn.sock"] {
            json["host"] = json!(host);
            assert_mistake(load(&json), "applications[0].secret: is published in a sample");
        }
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
    assert!(found[0].contains("config.json:2:11: not valid JSON: expected value"), "{found:?}");
    assert!(mistakes(load_under("[]", &[]))[0].ends_with("must be a JSON object"));
    let deep = format!("{{\"a\":{}", "[".repeat(100_000));
    assert!(mistakes(load_under(&deep, &[]))[0].contains("recursion limit"));
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(5_000_000));
    assert!(mistakes(load_under(&large, &[]))[0].contains("is larger than"));
    assert!(
        mistakes(load_file(Path::new("/nonexistent.json"), &[]))[0].contains("cannot be opened")
    );
    let odd = json!({"limits.frame-bytes": 1, "c[99999999]": 1, "": 1});
    assert_eq!(mistakes(load(&odd)).len(), 3);
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
