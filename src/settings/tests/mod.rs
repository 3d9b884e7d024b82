//! What a configuration may say, what it means, and what it is told when it is wrong: the helpers of these tests.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may stop")]

mod environment;
mod meaning;
mod mistakes;
mod samples;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use micronotifier_actors::config::{Delivery, DuplicateSubscribe};
use micronotifier_actors::limits::{AppLimits, NodeLimits};
use micronotifier_actors::redis::{Address, RedisOptions, Topology};
use serde_json::json;

use super::report::Report;
use super::section::Section;
use super::{Settings, SettingsErrors, server, source};
use crate::config::{
    Compatibility, HttpConfig, Listen, LogConfig, LogFormat, Network, SocketConfig,
};

/// A directory that is gone with the test.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> Self {
        let name =
            format!("micronotifier-settings-{}-{:016x}", std::process::id(), rand::random::<u64>());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(super) fn file(&self, name: &str, text: &str) -> PathBuf {
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

pub(super) fn load_under(
    text: &str,
    environment: &[(&str, &str)],
) -> Result<Settings, SettingsErrors> {
    let scratch = Scratch::new();
    let file = scratch.file("config.json", text);
    load_file(&file, environment)
}

pub(super) fn load_file(
    file: &Path,
    environment: &[(&str, &str)],
) -> Result<Settings, SettingsErrors> {
    let owned = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Settings::load(Some(file), owned)
}

pub(super) fn load(json: &serde_json::Value) -> Result<Settings, SettingsErrors> {
    load_under(&json.to_string(), &[])
}

/// A configuration with one application that holds `fields` beside its key and secret.
pub(super) fn with_app(fields: serde_json::Value) -> serde_json::Value {
    let mut app = json!({"name": "a", "key": "k", "secret": "0123456789abcdef"});
    let serde_json::Value::Object(fields) = fields else {
        panic!("an object");
    };
    app.as_object_mut().unwrap().extend(fields);
    json!({ "applications": [app] })
}

/// The mistakes as `place: problem`.
#[track_caller]
pub(super) fn mistakes(result: Result<Settings, SettingsErrors>) -> Vec<String> {
    result.unwrap_err().mistakes.iter().map(ToString::to_string).collect()
}

#[track_caller]
pub(super) fn assert_mistake(result: Result<Settings, SettingsErrors>, expected: &str) {
    let found = mistakes(result);
    assert!(found.iter().any(|mistake| mistake.starts_with(expected)), "{found:#?}");
}

pub(super) fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)
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
    report.known_keys().into_iter().collect()
}
