//! Variables and files of secrets.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

use super::*;

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
    assert_eq!(config.listen, Listen::Tcp { host: "::1".to_owned(), port: 8222 });
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
    assert_eq!(settings.unwrap().config.admin.unwrap().token, "00120000000000001e3");
    let settings = load_under(
        &with_app(json!({})).to_string(),
        &[("MICRONOTIFIER__ADMIN_TOKEN", "0012000000000000")],
    );
    assert_eq!(settings.unwrap().config.admin.unwrap().token, "0012000000000000");
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
    for json in [json!({"applications": apps}), json!({"applications-file": list})] {
        let config = load(&json).unwrap().config;
        assert_eq!(config.node.apps.by_id("a").unwrap().credential.sign(text), expected);
    }
    // The environment's file goes over the file's list.
    let over = [("MICRONOTIFIER__APPLICATIONS_FILE", list)];
    let config = load_under(r#"{"applications": [{"name":"z","key":"z","secret":"z"}]}"#, &over);
    assert!(config.unwrap().config.node.apps.by_id("a").is_some());

    let both = json!({"admin-token": "x", "admin-token-file": secret});
    assert_mistake(load(&both), "admin-token-file: give admin-token or admin-token-file, not both");
    let missing = json!({"admin-token-file": "/nonexistent/token"});
    assert_mistake(load(&missing), "admin-token-file: /nonexistent/token cannot be opened");
}

#[test]
fn mistakes_of_the_environment_name_the_variable() {
    let environment = [
        ("MICRONOTIFIER__PORT", "many"),
        ("MICRONOTIFIER__PROT", "1"),
        ("MICRONOTIFIER__LISTENER__PORT", "1"),
        ("MICRONOTIFIER__DEBUG", "1"),
        ("MICRONOTIFIER__TAP_PAYLOADS", "true"),
        ("MICRONOTIFIER__LIMITS__FRAME_BYTES", "1e3"),
        ("MICRONOTIFIER__TRUSTED_PROXIES", "10.0.0.0/8"),
        ("MICRONOTIFIER__APPLICATIONS__0__SECRET", "x"),
        ("MICRONOTIFIER__A[99999999999]", "x"),
    ];
    let found = mistakes(load_under(&with_app(json!({})).to_string(), &environment));
    for expected in [
        "port: must be a whole number from 0 to 65535, not \"many\" (from MICRONOTIFIER__PORT)",
        "prot: no such key (from MICRONOTIFIER__PROT); did you mean MICRONOTIFIER__PORT?",
        "listener: no such key (from MICRONOTIFIER__LISTENER__PORT)",
        "debug: no such key (from MICRONOTIFIER__DEBUG); here it is log.level",
        "tap-payloads: no such key (from MICRONOTIFIER__TAP_PAYLOADS); did you mean applications[].tap-payloads?",
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
