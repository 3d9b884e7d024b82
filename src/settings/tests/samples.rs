//! The files of `config/`, and the documentation beside them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

use super::*;

#[test]
fn without_a_file_the_development_configuration_is_local() {
    let settings = Settings::load(None, std::iter::empty()).unwrap();
    let config = settings.config;
    assert_eq!(config.listen, Listen::Tcp { host: "127.0.0.1".to_owned(), port: 8111 });
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
fn it_is_development_while_the_application_is_built_in_and_nobody_else_can_connect() {
    let is_development = |variables: &[(&str, &str)]| {
        let owned = variables
            .iter()
            .map(|(name, value)| (format!("MICRONOTIFIER__{name}"), (*value).to_owned()));
        Settings::load(None, owned).unwrap().config.development
    };
    let apps = r#"[{"name":"a","key":"k","secret":"0123456789abcdef"}]"#;
    let scratch = Scratch::new();
    let file = scratch.file("apps.json", apps);
    let file = file.to_str().unwrap();
    assert!(is_development(&[]));
    assert!(is_development(&[("PORT", "8121"), ("HOST", "::1")]));
    assert!(!is_development(&[("APPLICATIONS", apps)]));
    assert!(!is_development(&[("APPLICATIONS_FILE", file)]));
    assert!(!is_development(&[("APPLICATIONS", apps), ("HOST", "0.0.0.0")]));
    assert!(!load_file(&sample("development.json"), &[]).unwrap().config.development);
}

#[test]
fn micronotifier_files_load_unchanged() {
    let settings = load_file(&sample("sample.json"), &[]).unwrap();
    let ids: Vec<&str> = settings.config.node.apps.iter().map(|app| app.id.as_str()).collect();
    assert_eq!(ids, ["testapp", "testapp2"]);
    assert!(settings.config.node.apps.iter().all(|app| app.alias.is_none()));

    let with_redis = json!({
        "host": "localhost", "port": 8150,
        "applications": [{"name": "testapp", "key": "1234567890", "secret": "abcdefghij"}],
        "redis": {"address": "localhost:6379", "database": 0, "password": "", "sentinel": false, "secure": false},
    });
    let settings = load(&with_redis).unwrap();
    assert!(settings.unbuilt.is_empty());
    let localhost = Address { host: "localhost".to_owned(), port: 6379 };
    assert_eq!(settings.config.redis, Some(RedisOptions::single(localhost)));
}

#[test]
fn the_secure_sample_needs_its_two_files() {
    let found = mistakes(load_file(&sample("sample-secure.json"), &[]));
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("certificate: cert.pem cannot be opened"), "{found:#?}");
    assert!(found[1].starts_with("private-key: key.pem cannot be opened"), "{found:#?}");

    let scratch = Scratch::new();
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = scratch.file("cert.pem", &pair.cert.pem());
    let key = scratch.file("key.pem", &pair.signing_key.serialize_pem());
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    let swapped =
        [("MICRONOTIFIER__CERTIFICATE", key), ("MICRONOTIFIER__PRIVATE_KEY", certificate)];
    let found = mistakes(load_file(&sample("sample-secure.json"), &swapped));
    assert!(found[0].ends_with("holds no certificate in PEM form"), "{found:#?}");
    let right = [("MICRONOTIFIER__CERTIFICATE", certificate), ("MICRONOTIFIER__PRIVATE_KEY", key)];
    let tls = load_file(&sample("sample-secure.json"), &right).unwrap().config.tls.unwrap();
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
    assert_eq!(full.node.apps.by_id("1").unwrap().limits, AppLimits::default());
    assert_eq!(
        (&full.listen, &full.admin, full.tls.is_none()),
        (&least.listen, &least.admin, true)
    );
    assert_eq!(full.socket, SocketConfig::default());
    assert_eq!(full.http, HttpConfig::default());
    assert_eq!(full.log, LogConfig::default());
    assert_eq!(format!("{:?}", full.edge), format!("{:?}", least.edge));
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
        assert!(manual.contains(&format!("`{key}`")), "docs/configuration.md lacks {key}");
        let pointer = format!("/{}", key.replace("[]", ".0").replace('.', "/"));
        assert!(not_in_full(key) || full.pointer(&pointer).is_some(), "full.json lacks {key}");
    }
}

#[test]
fn the_readme_has_the_limits_of_the_documentation() {
    let read =
        |file: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let (manual, readme) = (read("docs/configuration.md"), read("README.md"));
    let limits = [
        "limits.",
        "applications[].limits.",
        "socket.",
        "http.",
        "activity-",
        "pong-",
        "authorization-",
    ];
    let rows: Vec<&str> = manual
        .lines()
        .filter(|line| {
            line.strip_prefix("| `")
                .is_some_and(|key| limits.iter().any(|prefix| key.starts_with(prefix)))
        })
        .collect();
    assert!(rows.len() > 35, "{rows:#?}");
    for row in rows {
        assert!(readme.contains(row), "README.md lacks, or has otherwise: {row}");
    }
}
