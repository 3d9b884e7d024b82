//! Where settings come from: one JSON file, and above it the environment.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use config::{Case, Config, Environment, Map, Value, ValueKind};

use super::json;
use super::report::Report;

/// The prefix of environment variables; the separator is the same two underscores.
const PREFIX: &str = "MICRONOTIFIER";
/// What `config` calls values of the environment.
const ENVIRONMENT: &str = "the environment";
/// Largest configuration or secret file, in bytes.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;
/// The configuration of a node that is given none.
const DEVELOPMENT: &str = include_str!("../../config/development.json");

/// Reads the layers and lays the environment over the file. `None` where the file is no JSON object: said in `report`.
pub(super) fn read(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    report: &Report,
) -> Option<Map<String, Value>> {
    let (place, text) = match file {
        None => ("development.json".to_owned(), DEVELOPMENT.to_owned()),
        Some(path) => {
            let place = path.display().to_string();
            match read_text(path) {
                Ok(text) => (place, text),
                Err(problem) => {
                    report.mistake(place, problem);
                    return None;
                }
            }
        }
    };
    let mut builder = Config::builder().add_source(environment_layer(environment, report));
    let mut odd = Vec::new();
    for (key, value) in parse_object(&text, &place, report)? {
        // `config` takes `a.b` and `a[0]` for paths. No key of ours has such a name.
        if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        {
            odd.push((key, value));
            continue;
        }
        builder = builder
            .set_default(&key, value)
            .map_err(|error| report.mistake(key, error.to_string()))
            .ok()?;
    }
    let config = builder.build().map_err(|error| report.mistake(place, error.to_string())).ok()?;
    let ValueKind::Table(mut table) = config.cache.kind else {
        return Some(Map::new());
    };
    table.extend(odd);
    Some(table)
}

/// Tells whether a value comes from the environment, where everything is text.
pub(super) fn is_environment(value: &Value) -> bool {
    value.origin() == Some(ENVIRONMENT)
}

/// Tells whether what stands at a key comes from the file alone.
pub(super) fn is_of_file(entries: &Map<String, Value>, key: &str) -> bool {
    let file_key = format!("{key}-file");
    !entries.contains_key(&file_key) && !entries.get(key).is_some_and(is_environment)
}

/// Returns the variable that gives what stands at a path; one of them, where there are several within.
pub(super) fn given_by(path: &str, value: &Value) -> Option<String> {
    match &value.kind {
        ValueKind::Table(entries) => entries
            .iter()
            .filter_map(|(key, value)| given_by(&format!("{path}.{key}"), value))
            .min(),
        _ => is_environment(value).then(|| variable(path)),
    }
}

/// Returns the variable that sets a key.
pub(super) fn variable(path: &str) -> String {
    let name = path.replace('.', "__").replace('-', "_").to_uppercase();
    format!("{PREFIX}__{name}")
}

/// Reads a UTF-8 file of bounded size; the error says why not.
pub(super) fn read_text(path: &Path) -> Result<String, String> {
    let file = File::open(path).map_err(|error| format!("cannot be opened: {error}"))?;
    let mut text = String::new();
    file.take(MAX_FILE_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| format!("cannot be read: {error}"))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("is larger than {MAX_FILE_BYTES} bytes"));
    }
    Ok(text)
}

fn parse_object(text: &str, place: &str, report: &Report) -> Option<Map<String, Value>> {
    match json::parse(text, "", report) {
        Ok(Value { kind: ValueKind::Table(object), .. }) => Some(object),
        Ok(_) => {
            report.mistake(place, "must be a JSON object");
            None
        }
        Err(error) => {
            let place = format!("{place}:{}:{}", error.line(), error.column());
            report.mistake(place, format!("not valid JSON: {error}"));
            None
        }
    }
}

fn environment_layer(
    variables: impl Iterator<Item = (String, String)>,
    report: &Report,
) -> Environment {
    let mut ours: Map<String, String> = Map::new();
    for (name, value) in variables {
        let upper = name.to_ascii_uppercase();
        let Some(key) = upper.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix("__")) else {
            continue;
        };
        let named = |text: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphabetic() || c == '_')
        };
        if key.split("__").all(named) {
            ours.insert(upper, value);
        } else {
            report.mistake(name, "no key has such a name");
        }
    }
    // Never `try_parsing`: it turns the secret `0012` into 12.
    Environment::with_prefix(PREFIX)
        .prefix_separator("__")
        .separator("__")
        .convert_case(Case::Kebab)
        .source(Some(ours))
}
