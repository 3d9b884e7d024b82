//! A configuration file: any text is loaded or told its mistakes, and no secret shows either way.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use micronotifier::settings::Settings;
use serde_json::Value;

/// The file that is written anew for each text.
static FILE: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::temp_dir().join(format!("fuzz-config-{}.json", std::process::id())));

/// Shorter secrets occur in texts by chance.
const TELLING: usize = 12;

fuzz_target!(|text: &str| {
    std::fs::write(&*FILE, text).expect("a file in the directory for temporary files");
    let loaded = Settings::load(Some(&FILE), std::iter::empty());
    let shown = match &loaded {
        Ok(settings) => format!("{settings:?}"),
        Err(mistakes) => {
            let shown = mistakes.to_string();
            assert!(!shown.trim().is_empty(), "refused without a word: {text}");
            shown
        }
    };
    for secret in secrets(text) {
        // one that also stands elsewhere in the file may be shown for what it is there
        if secret.len() >= TELLING && text.matches(&*secret).count() == 1 {
            assert!(!shown.contains(&*secret), "shows a secret: {shown}");
        }
    }
});

/// Returns the secrets of the applications in a text, if it is JSON at all.
fn secrets(text: &str) -> Vec<String> {
    let root: Value = serde_json::from_str(text).unwrap_or_default();
    let applications = root["applications"].as_array().cloned().unwrap_or_default();
    let secrets = applications.iter().filter_map(|app| app["secret"].as_str());
    secrets.map(str::to_owned).collect()
}
